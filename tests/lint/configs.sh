#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Does `archway check` accept every example configuration?
#
#   configs.sh ARCHWAY FOLDER
#
# Where the data of an example is not installed, generated data takes its place, so that
# its keys are checked all the same.
set -u
archway=$1 checked=0 failed=0
for file in "$2"/*.yaml; do
    set -- "$file" --no-timing
    path=$(sed -n 's/.*path: *\([^,} ]*\).*/\1/p' "$file" | head -n 1)
    if [ -n "$path" ] && [ ! -d "$path" ]; then
        echo "$file: no data in $path, checked with generated data"
        set -- "$@" --set task.data.format=generated --set task.data.images=60000
    fi
    "$archway" check "$@" >/dev/null </dev/null || failed=$((failed + 1))
    checked=$((checked + 1))
done
echo "$checked checked, $failed refused"
[ "$failed" = 0 ] && [ "$checked" -ge 7 ]
