#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Does shellcheck find nothing in any shell script of the source tree?
#
#   scripts.sh ROOT
set -u
if ! command -v shellcheck >/dev/null; then
    echo "skipped: shellcheck is not installed" >&2
    exit 77
fi
cd "$1" || exit 2
scripts=$(find .ci deploy tests common proto master worker -type f \
    \( -name '*.sh' -o -name '*.sbatch' -o -path .ci/run \) | sort)
[ -n "$scripts" ] || exit 2
# shellcheck disable=SC2086 # no spaces in our names
shellcheck -x $scripts
