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

cd_back=$PWD
cd "$source_dir"
[ -f build/build.ninja ] || meson setup build -Dtests=false >/dev/null
printf 'Building ...\n'
ninja -C build >/dev/null
cd "$cd_back"

number=1
while [ -e "archway-demo-$number" ]; do number=$((number + 1)); done
printf 'Searching for about two minutes (the configuration is %s) ...\n\n' \
  "$source_dir/deploy/configs/quickstart.yaml"
mpirun --oversubscribe -n 3 "$source_dir/build/master/archway" search \
  "$source_dir/deploy/configs/quickstart.yaml" --run "archway-demo-$number"
