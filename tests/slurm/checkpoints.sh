#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Trials that outlast their jobs, under a real SLURM: one job is preempted by another of a
# higher partition, one meets its time limit again and again in the middle of the same
# trials, and one whose trainer cannot save is not queued again for ever.
#
#   checkpoints.sh ARCHWAY FAKE_TRAINER SCRIPTS COMPARE_RUNS [TOOLS]
set -u
archway=$1 trainer=$2 scripts=$3 compare=$4 tools=${5-}
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

# Partition `low` of the cluster is there to be preempted, at once; `urgent` preempts.
cat >>"$SLURM_CONF" <<CONF
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=urgent Nodes=n[1-4] MaxTime=INFINITE State=UP PriorityTier=10
CONF
kill "$(cat "$folder/c/slurmctld.pid")"
sleep 2
slurmctld -f "$SLURM_CONF" || skip "the controller does not start with preemption"
ready() { [ "$(sinfo -h -N -p urgent -t idle -o %N 2>/dev/null | sort -u | wc -l)" = 4 ]; }
wait_for 30 ready || skip "the nodes do not come back"
scontrol update PartitionName=low GraceTime=0

# config NAME MILLISECONDS WORDS OF THE TRAINER: two trials of 40 epochs, side by side.
config() {
    cat >"$folder/$1.yaml" <<YAML
name: slurm
task: {data: {format: generated, images: 600}}
trainer: {command: ["$trainer", --sleep, "$2", --epochs, "40"$(printf ', "%s"' "${@:3}")]}
search: {trials: 2, batch: 2, duplicates: train}
run: {mode: sync, slots: 2, lost_after: 3s, retries: 0}
resources: {oversubscribe: true}
YAML
}
config calm 0 --queue 0
config preempted 14000 --checkpoints --epochs-to "$folder/preempted.epochs"
config limit 62000 --checkpoints --epochs-to "$folder/limit.epochs"
config endless 62000 --queue 0

epochs() { [ "$(sort -u "$folder/$1.epochs" 2>/dev/null | wc -l)" -ge "$2" ]; }
suspended() { grep -c '"status":"suspended"' "$folder/$1/log.jsonl" 2>/dev/null; }
# What was trained once is not trained again, and the outcome is that of a calm run.
undisturbed() {
    [ -z "$(sort "$folder/$1.epochs" | uniq -d)" ] || fail "$1" "epochs were run twice"
    epochs "$1" 80 || fail "$1" "epochs are missing"
    all_counted "$1" 2
    "$compare" "$folder/calm" "$folder/$1" || fail "$1" "another history than undisturbed"
    [ ! -e "$folder/$1/checkpoints" ] || fail "$1" "states are left"
}

"$archway" search "$folder/calm.yaml" --run "$folder/calm" --quiet || exit 1
# USR1 comes some 20 s after the start.
submit limit one-node limit --nodelist=n2 --time=1 --signal=B:USR1@40
submit endless one-node endless --nodelist=n3 --time=1 --signal=B:USR1@40
submit preempted one-node preempted --partition=low --nodelist=n1 --time=5
wait_for 40 epochs preempted 8 || fail preempted "does not begin"
sbatch --partition=urgent --nodelist=n1 --exclusive --time=1 --output=/dev/null --wrap 'sleep 2' \
    >/dev/null || fail preempted "nothing to preempt it with"
exited preempted 75
grep -q 'DUE TO PREEMPTION' "$folder/preempted.log" || fail preempted "was not preempted"
[ "$(suspended preempted)" = 2 ] || fail preempted "its trials were not suspended"
wait_for 30 is_state preempted PENDING || fail preempted "is not queued again"
say "preempted"

# While SLURM queues a job again it may be called failed for a moment.
all_over() {
    local name
    for name in preempted limit endless; do
        push "$name" 2>/dev/null
    done
    is_over preempted && is_over limit && is_over endless && grep -q 'given up' "$folder/endless.log"
}
wait_for 240 all_over || fail limit "the jobs do not end"

ended_as preempted COMPLETED
restarted preempted 1
undisturbed preempted
say "the preempted job went on with its trials"

ended_as limit COMPLETED
[ "$(field limit Restarts)" -ge 2 ] || fail limit "ended within $(field limit Restarts) restarts"
undisturbed limit
say "trials longer than a job took $(field limit Restarts) restarts"

ended_as endless FAILED
restarted endless 2
exited endless 75
grep -q 'sessions in a row brought not one trial and none further' "$folder/endless.log" ||
    fail endless "does not say why it is given up"
say "a job that gets nowhere was given up"
