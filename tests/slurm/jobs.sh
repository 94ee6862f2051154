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
archway=$1 trainer=$2 scripts=$3 tools=${4-}
# shellcheck source=tests/slurm/cluster.sh
. "$(dirname "${BASH_SOURCE[0]}")/cluster.sh"

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
unset "pending_since[limit]"
step_on() {
    push limit
    is_over limit
}
wait_for 150 step_on 2>/dev/null
ended_as limit COMPLETED
[ "$(field limit Restarts)" -ge 1 ] || fail limit "not restarted"
grep -q 'asked to stop' "$folder/limit.log" || fail limit "the first run's output is gone"
exited limit 0
all_counted limit 1600
say "all"
