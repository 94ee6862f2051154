#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The scripts of deploy/slurm/ under a real SLURM of virtual nodes on this machine: an array,
# a cancelled job, one that fails for good, one that is queued again from outside (as a
# preemption does it), a lost node, a time limit, a lost rank.
#
#   jobs.sh ARCHWAY FAKE_TRAINER SCRIPTS [TOOLS]
#
# TOOLS, or the variable ARCHWAY_SLURM_TOOLS, is the folder of slurm_up.sh and slurm_down.sh,
# which start and stop such a cluster of nodes n1 to n4 in the folder SLURM_MINI_DIR. Skipped
# where it cannot be brought up.
set -u
archway=$1 trainer=$2 scripts=$3
tools=${ARCHWAY_SLURM_TOOLS:-${4-}}

skip() {
    echo "SKIPPED, NOTHING OF SLURM WAS TESTED: $1" >&2
    exit 77
}
[ -x "$tools/slurm_up.sh" ] || skip "no slurm_up.sh in '$tools' (ARCHWAY_SLURM_TOOLS)"
for program in sbatch slurmctld slurmd munge mpirun; do
    command -v "$program" >/dev/null || skip "$program is not installed"
done
[ "$(id -u)" = 0 ] || skip "a cluster of virtual nodes needs root"
pgrep -x -r R,S,D slurmctld >/dev/null && skip "a SLURM runs here already"

# The folder is also the nodes' TMPDIR, where Open MPI's sockets need short paths.
folder=$(mktemp -d /tmp/awslurm.XXXXXX) || exit 1
export SLURM_MINI_DIR=$folder/c SLURM_CONF=$folder/c/slurm.conf
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export ARCHWAY=$archway ARCHWAY_GRACE=3s
# shellcheck disable=SC2317 # called by the trap
finish() {
    scancel --user=root 2>/dev/null && sleep 2
    "$tools/slurm_down.sh" >/dev/null 2>&1
    # Whatever is left of our cluster: the next one uses the same ports.
    local pid
    for pid in $(pgrep "$ours|slurmd|slurmctld"); do
        has_variable "$pid" "SLURM_CONF=$SLURM_CONF" && kill -KILL "$pid"
    done
    rm -rf "$folder"
}
ours='orted|archway|slurmstepd|fake-trainer|mpirun|srun'
has_variable() { { tr '\0' '\n' <"/proc/$1/environ"; } 2>/dev/null | grep -qx "$2"; }
trap finish EXIT
trap 'exit 1' HUP INT TERM
"$tools/slurm_up.sh" >"$folder/up.log" 2>&1 </dev/null ||
    skip "the virtual cluster does not start: $(tail -n 1 "$folder/up.log")"

# fail JOB TEXT
fail() {
    echo "jobs.sh: $1: $2" >&2
    cat "$folder/$1.log" "$folder/$1/exit.json" >&2
    scontrol show job "${job[$1]}" >&2
    exit 1
}
say() { echo "$SECONDS s: $1"; }

# Jobs are known by a name, which also is that of the run's folder and of the output.
declare -A job

# submit NAME SCRIPT CONFIG [OPTIONS...]
submit() {
    job[$1]=$(sbatch --parsable --output="$folder/$1.log" "${@:4}" "$scripts/$2.sbatch" \
        "$folder/$3.yaml" "$folder/$1") || fail "$1" "sbatch refused the script"
}
# wait_for SECONDS COMMAND...
wait_for() {
    local i
    for ((i = 0; i < 5 * $1; i++)); do
        "${@:2}" && return 0
        sleep 0.2
    done
    return 1
}
field() { scontrol show job "${job[$1]}" | grep -o "\b$2=[^ ]*" | sort -u | cut -d= -f2; }
is_state() { [[ $(field "$1" JobState) =~ ^($2)$ ]]; }
is_over() { is_state "$1" 'COMPLETED|FAILED|TIMEOUT|CANCELLED|NODE_FAIL'; }
ended_as() {
    wait_for "${3:-60}" is_over "$1" || fail "$1" "the job does not end"
    is_state "$1" "$2" || fail "$1" "ended as $(field "$1" JobState), not $2"
}
restarted() { [ "$(field "$1" Restarts)" = "$2" ] || fail "$1" "not restarted $2 times"; }
says_status() { grep -qs "\"status\": $2" "$folder/$1/exit.json"; }
exited() { # a cancelled job is called so before its processes have ended
    wait_for 15 says_status "$1" "$2" || fail "$1" "no status $2 in exit.json"
}
trials() { sed -n '/"event":"trial"/p' "$folder/$1/log.jsonl" 2>/dev/null | wc -l; }
has_trials() { [ "$(trials "$1")" -ge "$2" ]; }
# Every trial is there, once.
all_counted() {
    local rows
    rows=$("$archway" trials "$folder/$1" --format csv | tail -n +2 | cut -d, -f1 | sort -n |
        uniq | wc -l)
    [ "$rows" = "$2" ] || fail "$1" "$rows trials in the record, not $2"
}
# SLURM holds a job that is queued again back for two minutes; a test need not wait.
start_again() {
    wait_for 60 is_state "$1" PENDING || fail "$1" "not queued again"
    sleep 2 # for what the node still does for the first run; that is what SLURM waits for
    wait_for 20 scontrol update "JobId=${job[$1]}" StartTime=now ||
        fail "$1" "cannot be started again"
}

# What runs on a node, with its slurmd: none of it gets a chance to say goodbye.
kill_on() {
    local pid
    [ -s "$folder/c/slurmd.$1.pid" ] && kill -KILL "$(cat "$folder/c/slurmd.$1.pid")"
    for pid in $(pgrep "$ours"); do
        has_variable "$pid" "SLURM_CONF=$SLURM_CONF" &&
            has_variable "$pid" "SLURMD_NODENAME=$1.*" && kill -KILL "$pid"
    done
}
# Ranks of a run on a node, the newest last; not what they have forked.
ranks_on() {
    local pid parent
    for pid in $(pgrep -f "^$archway (search|resume) .*$folder/$1"); do
        parent=$(cut -d' ' -f4 "/proc/$pid/stat" 2>/dev/null)
        tr '\0' ' ' <"/proc/$parent/cmdline" 2>/dev/null | grep -q "^$archway" && continue
        has_variable "$pid" "SLURMD_NODENAME=$2" && echo "$pid"
    done
}

# config NAME TRIALS WORDS OF THE TRAINER
config() {
    cat >"$folder/$1.yaml" <<YAML
name: slurm
task: {data: {format: generated, images: 600}}
trainer: {command: ["$trainer"$(printf ', "%s"' "${@:3}")]}
search: {trials: $2, duplicates: train}
run: {slots: 2, lost_after: 3s, retries: 0}
resources: {oversubscribe: true}
YAML
}
config short 20 --null
config long 1600 --sleep 100
config middle 300 --sleep 100
config broken 20 --start-exit 3

# In the background: a job whose limit comes before its end (USR1 after some 20 s).
submit limit many-nodes long --nodes=2 --nodelist=n1,n2 --time=1 --signal=B:USR1@40

submit array array short --array=1-2 --time=5
wait_for 40 is_over array || fail array "the array does not end"
[ "$(field array JobState)" = COMPLETED ] || fail array "a task of the array did not end well"
for seed in 1 2; do
    grep -q "^seed: $seed" "$folder/array/seed-$seed/config.yaml" || fail array "no seed $seed"
    exited "array/seed-$seed" 0
    all_counted "array/seed-$seed" 20
done
say "array"

submit cancelled one-node middle --nodelist=n3 --time=5
submit requeued one-node middle --nodelist=n4 --time=5
wait_for 30 has_trials cancelled 10 || fail cancelled "no trials"
scancel "${job[cancelled]}"
wait_for 30 has_trials requeued 10 || fail requeued "no trials"
scontrol requeue "${job[requeued]}"
ended_as cancelled CANCELLED
restarted cancelled 0
exited cancelled 75
[ -z "$(ranks_on cancelled n3)" ] || fail cancelled "ranks are left"
say "scancel"

submit failing one-node broken --nodelist=n3 --time=5
start_again requeued
ended_as failing FAILED
restarted failing 0
exited failing 1
say "failed for good"
ended_as requeued COMPLETED
restarted requeued 1
all_counted requeued 300
say "queued again from outside"

submit node many-nodes middle --nodes=2 --nodelist=n3,n4 --time=5
wait_for 30 has_trials node 20 || fail node "no trials"
kill_on n4
say "n4 is dead"

# Meanwhile, at the limit.
start_again limit
exited limit 75
done_before=$(trials limit)
[ "$done_before" -lt 1600 ] || fail limit "the run had finished before its limit"
say "stopped at the limit after $done_before trials"
wait_for 60 has_trials limit $((done_before + 20)) || fail limit "the second run does not go on"
# A rank of the other node dies; its trials are trained elsewhere.
victim=$(ranks_on limit n2 | tail -n 1)
kill -KILL "$victim" || fail limit "no rank to kill"
say "a rank of n2 is dead"

wait_for 90 test -e "$folder/node/exit.json" || fail node "the run does not end"
exited node 0
all_counted node 300
grep -q 'going on with 2 ranks on n3:2' "$folder/node.log" || fail node "n4 is not left out"
say "went on without n4"

# On a busy machine it may meet its limit once more.
step_on() {
    is_state limit PENDING && scontrol update "JobId=${job[limit]}" StartTime=now
    is_over limit
}
wait_for 150 step_on 2>/dev/null
ended_as limit COMPLETED
[ "$(field limit Restarts)" -ge 1 ] || fail limit "not restarted"
grep -q 'asked to stop' "$folder/limit.log" || fail limit "the first run's output is gone"
exited limit 0
all_counted limit 1600
say "all"
