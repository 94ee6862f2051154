#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A search as a Flux job. A template: it was not run.
#
#   flux batch -N 4 --exclusive -t 12h search.sh config.yaml runs/first
#
# The job is a Flux instance of its own; mpirun reaches its nodes by ssh from the host file.
set -u
config=${1:-config.yaml} run=${2:-runs/first}
hosts=$(mktemp) || exit 1
trap 'rm -f "$hosts"' EXIT
flux getattr hostlist | flux hostlist --expand --delimiter='\n' - >"$hosts"
nodes=$(wc -l <"$hosts")
left=$(flux job timeleft) # seconds

${ARCHWAY:-archway} launch "$config" --run "$run" --time-limit "$((left - 120))s" \
    -- --hostfile "$hosts" --oversubscribe --bind-to none --map-by node -n $((nodes + 1)) &
launch=$!
trap 'kill -TERM "$launch" 2>/dev/null' TERM
while kill -0 "$launch" 2>/dev/null; do
    wait "$launch"
done
wait "$launch"
status=$?

# 75: stopped early, to be continued in a job of its own.
if [ "$status" = 75 ]; then
    flux --parent batch -N "$nodes" --exclusive -t 12h "$0" "$config" "$run"
fi
exit "$status"
