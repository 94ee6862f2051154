# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts beside it: which Debian packages are needed, and getting them.
# shellcheck shell=bash disable=SC2034

build_packages=(gcc make meson ninja-build pkg-config libopenmpi-dev openmpi-bin
  libhdf5-dev libopenblas-dev zlib1g-dev libyaml-dev libjansson-dev libhwloc-dev
  libxxhash-dev librandom123-dev)
demo_packages=(dataset-fashion-mnist)
test_packages=(check dataset-fashion-mnist hdf5-tools python3 python3-h5py python3-mpi4py
  python3-numpy python3-scipy python3-torch groff bash-completion shellcheck slurm-wlm
  munge libc6-dev libasan8 libubsan1)

# Print those of the arguments that are not installed.
missing_packages() {
  local package
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q ' installed$' ||
      printf '%s ' "$package"
  done
}

# Install what is missing of the arguments; does nothing when all is there. On a system
# without apt it names what is needed and ends with status 2.
install_packages() {
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    printf 'This script installs packages on Debian 12 and its relatives only.\n' >&2
    printf 'Please install what corresponds to: %s\n' "$*" >&2
    exit 2
  fi
  local missing root=()
  missing=$(missing_packages "$@")
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
      printf 'Neither root nor sudo; please install: %s\n' "$missing" >&2
      exit 2
    fi
    root=(sudo)
  fi
  printf 'Installing: %s\n' "$missing"
  "${root[@]}" apt-get update -qq
  # shellcheck disable=SC2086
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
    --no-install-recommends $missing >/dev/null
}

# Open MPI refuses root unless told twice.
allow_mpi_as_root() {
  if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  fi
}
