#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# From a fresh Debian 12 with gcc and make to a finished search: installs the packages,
# builds into build/, and searches convolutional networks for Fashion-MNIST with a master
# and two worker ranks for about two minutes. Can be run again, from any folder; each run
# gets a folder of its own in the current one.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/packages.sh
. "$source_dir/deploy/packages.sh"

install_packages "${build_packages[@]}" "${demo_packages[@]}"
allow_mpi_as_root

# Run a command, and show what it says only when it fails.
quietly() {
  local output
  if ! output=$("$@" 2>&1 </dev/null); then
    printf '%s\n' "$output" | tail -n 40 >&2
    printf 'quickstart.sh: this failed: %s\n' "$*" >&2
    exit 1
  fi
}

printf 'Building ...\n'
[ -f "$source_dir/build/build.ninja" ] ||
  quietly meson setup -Dtests=false "$source_dir/build" "$source_dir"
quietly ninja -C "$source_dir/build" master/archway worker/archway-trainer

# Containers often forbid what Open MPI's single-copy transfers need; it then warns.
export OMPI_MCA_btl_vader_single_copy_mechanism=none
# On a single core the two trainers share it.
share=()
[ "$(nproc)" -gt 1 ] || share=(--set resources.oversubscribe=true)

number=1
while [ -e "archway-demo-$number" ]; do number=$((number + 1)); done
printf 'Searching for about two minutes (the configuration is %s) ...\n\n' \
  "$source_dir/deploy/configs/quickstart.yaml"
mpirun --oversubscribe -n 3 "$source_dir/build/master/archway" search \
  "$source_dir/deploy/configs/quickstart.yaml" --run "archway-demo-$number" "${share[@]}" </dev/null
