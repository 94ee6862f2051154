#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A script of deploy/slurm/ under a real SLURM of virtual nodes on this machine: a job that
# is asked to stop queues itself again and resumes, loses a rank, and finishes all the same.
#
#   search_job.sh ARCHWAY FAKE_TRAINER SCRIPT [TOOLS]
#
# TOOLS, or the variable ARCHWAY_SLURM_TOOLS, is the folder of slurm_up.sh and slurm_down.sh,
# which start and stop such a cluster in the folder SLURM_MINI_DIR. Skipped without.
set -u
archway=$1 trainer=$2 script=$3
tools=${ARCHWAY_SLURM_TOOLS:-${4-}}

skip() {
    echo "skipped: $1" >&2
    exit 77
}
[ -x "$tools/slurm_up.sh" ] || skip "no slurm_up.sh in '$tools' (ARCHWAY_SLURM_TOOLS)"
for program in sbatch slurmctld slurmd munge mpirun; do
    command -v "$program" >/dev/null || skip "$program is not installed"
done
[ "$(id -u)" = 0 ] || skip "a cluster of virtual nodes needs root"
pgrep -x slurmctld >/dev/null && skip "a SLURM runs here already"

# The folder is also the nodes' TMPDIR, where Open MPI's sockets need short paths.
folder=$(mktemp -d /tmp/awslurm.XXXXXX) || exit 1
export SLURM_MINI_DIR=$folder/c SLURM_CONF=$folder/c/slurm.conf
job=''
# shellcheck disable=SC2317 # called by the trap
finish() {
    [ -n "$job" ] && scancel "$job" 2>/dev/null && sleep 2
    "$tools/slurm_down.sh" >/dev/null 2>&1
    rm -rf "$folder"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
"$tools/slurm_up.sh" >"$folder/up.log" 2>&1 </dev/null ||
    skip "the virtual cluster does not start: $(tail -n 1 "$folder/up.log")"

fail() {
    echo "search_job.sh: $1" >&2
    cat "$folder/job.log" >&2
    scontrol show job "$job" >&2
    exit 1
}

# wait_for SECONDS COMMAND...
wait_for() {
    local seconds=$1
    shift
    for ((i = 0; i < 5 * seconds; i++)); do
        "$@" && return 0
        sleep 0.2
    done
    return 1
}
state() { scontrol show job "$job" | grep -o "JobState=[A-Z_]*"; }
is_over() { state | grep -qE 'COMPLETED|FAILED|TIMEOUT|CANCELLED'; }
is_queued() { state | grep -q PENDING; }
trials() { sed -n '/"event":"trial"/p' "$folder/run/log.jsonl" 2>/dev/null | wc -l; }
has_trials() { [ "$(trials)" -ge "$1" ]; }

cat >"$folder/config.yaml" <<YAML
name: slurm
task: {data: {format: generated, images: 600}}
trainer: {command: ["$trainer", --sleep, "100"]}
search: {trials: 400}
run: {slots: 2, lost_after: 3s}
resources: {oversubscribe: true}
YAML

export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export ARCHWAY=$archway ARCHWAY_MPIRUN_OPTIONS=--oversubscribe ARCHWAY_GRACE=3
job=$(sbatch --parsable --nodes=2 --ntasks-per-node=2 --cpus-per-task=1 --time=10 \
    --output="$folder/job.log" "$script" "$folder/config.yaml" "$folder/run") ||
    fail "sbatch refused the script"

wait_for 30 has_trials 20 || fail "no trials"
scancel --signal=USR1 --batch "$job"
wait_for 20 is_queued || fail "a job that was asked to stop did not queue itself again"
done_before=$(trials)
[ "$done_before" -lt 400 ] || fail "the run had finished before it was stopped"
grep -q '"status": 75' "$folder/run/exit.json" || fail "no status 75 in exit.json"

# SLURM holds a requeued job back for two minutes; a test need not wait.
wait_for 20 scontrol update "JobId=$job" StartTime=now || fail "cannot be started again"
wait_for 150 has_trials $((done_before + 20)) || fail "the second run does not go on"
# A rank dies; its trials are trained elsewhere and the job ends by itself.
victim=$(pgrep -f "$archway resume $folder/run" | tail -n 1)
tr '\0' ' ' <"/proc/$victim/cmdline" | grep -q "^$archway resume" || fail "no rank to kill"
kill -KILL "$victim"
wait_for 90 is_over || fail "the job does not end"
state | grep -q COMPLETED || fail "the job did not end well"
grep -q '"status": 0' "$folder/run/exit.json" || fail "no status 0 in exit.json"
scontrol show job "$job" | grep -q 'Restarts=1' || fail "not restarted once"
[ "$(trials)" -ge 400 ] || fail "$(trials) trials recorded, not 400"
grep -q 'asked to stop' "$folder/job.log" || fail "the first run's output is gone"
