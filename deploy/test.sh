#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what the tests need, builds twice (warnings are errors; then with the address and
# undefined-behaviour sanitizers, for the suites without MPI), runs every suite, and ends
# with one line of counts. Fails when a test fails or when one that should run was skipped.
# Can be run again, from any folder.
set -euo pipefail

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=deploy/packages.sh
. "$source_dir/deploy/packages.sh"

install_packages "${build_packages[@]}" "${test_packages[@]}"
allow_mpi_as_root
cd "$source_dir"

# The options take effect in an existing build folder too.
prepare() {
  local folder=$1
  shift
  if [ -f "$folder/build.ninja" ]; then
    meson configure "$folder" "$@"
  else
    meson setup "$folder" "$@" >/dev/null
  fi
  ninja -C "$folder" | grep -E 'warning|error:|FAILED' || true
  ninja -C "$folder" >/dev/null
}

prepare build-test -Dwerror=true
prepare build-asan -Dwerror=true -Db_sanitize=address,undefined -Db_lundef=false \
  -Dbuildtype=debugoptimized

# Every result counts below, so a failing test must not end the script here.
meson test -C build-test --no-rebuild --print-errorlogs --timeout-multiplier 3 || true
# gcc before 13.3 lays out the stack frames of that check on 32 bytes, where AVX-512 needs 64
# (its bug 110027).
use_after_return=1
if grep -qw avx512f /proc/cpuinfo 2>/dev/null; then
  use_after_return=0
fi
ASAN_OPTIONS=detect_stack_use_after_return=$use_after_return \
  UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
  meson test -C build-asan --no-rebuild --print-errorlogs --timeout-multiplier 4 \
  --suite unit --suite kernel --suite search --suite fuzz || true

exec /usr/bin/python3 deploy/count_tests.py build-test build-asan
