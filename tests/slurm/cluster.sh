#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A real SLURM of virtual nodes n1 to n4 on this machine, for scripts that source this file
# after they have set archway, trainer, scripts (the folder of the batch scripts) and tools,
# the folder of slurm_up.sh and slurm_down.sh (the variable ARCHWAY_SLURM_TOOLS counts more).
# The script is skipped where it cannot be brought up; the cluster ends with the script.
tools=${ARCHWAY_SLURM_TOOLS:-${tools-}}

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
# shellcheck disable=SC2154 # of the script
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
    echo "${0##*/}: $1: $2" >&2
    cat "$folder/$1.log" "$folder/$1/exit.json" >&2
    scontrol show job "${job[$1]}" >&2
    exit 1
}
say() { echo "$SECONDS s: $1"; }

# Jobs are known by a name, which also is that of the run's folder and of the output.
declare -A job

# submit NAME SCRIPT CONFIG [OPTIONS...]
# shellcheck disable=SC2154
submit() {
    job[$1]=$(sbatch --parsable --output="$folder/$1.log" "${@:4}" "$scripts/$2.sbatch" \
        "$folder/$3.yaml" "$folder/$1") || fail "$1" "sbatch refused the script"
}
# wait_for SECONDS COMMAND...
wait_for() {
    local until=$((SECONDS + $1))
    while ! "${@:2}"; do
        [ "$SECONDS" -lt "$until" ] || return 1
        sleep 0.2
    done
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
# SLURM holds a job that is queued again back for two minutes. A test need not wait so long,
# but a node refuses ("credential revoked") what starts in the second in which it ended.
declare -A pending_since
push() {
    is_state "$1" PENDING || { unset "pending_since[$1]" && return 1; }
    : "${pending_since[$1]:=$SECONDS}"
    [ $((SECONDS - pending_since[$1])) -ge 3 ] &&
        scontrol update "JobId=${job[$1]}" StartTime=now
}
start_again() {
    unset "pending_since[$1]"
    wait_for 80 push "$1" || fail "$1" "cannot be started again"
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
