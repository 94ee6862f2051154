#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Writes the batch scripts of this folder, which are what archway slurm prints.
#
#   generate.sh ARCHWAY             write them
#   generate.sh ARCHWAY --check     are they what it would write?
set -eu
archway=$(realpath "$1")
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
folder=$here
PATH=$(dirname "$archway"):$PATH # the scripts then say plainly: archway
if [ "${2-}" = --check ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
fi
cd "$here/.."

# write NAME CONFIG OPTIONS...
write() {
    "$archway" slurm "configs/$2" "${@:3}" >"$folder/$1.sbatch"
}
write one-node cifar10.yaml --nodes 1 --time 4h
write many-nodes cifar10.yaml --nodes 8 --time 12h
write array cifar10.yaml --nodes 1 --time 4h --array 1-8
write gpu external-trainer.yaml --nodes 2 --time 12h --gpus 4 \
    --set resources.gpus_per_trial=1

for script in "$folder"/*.sbatch "$here"/*.sbatch; do
    if ! cmp -s "$folder/${script##*/}" "$here/${script##*/}"; then
        echo "stale: ${script##*/}; run deploy/slurm/generate.sh ARCHWAY" >&2
        exit 1
    fi
done
