#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Do the includes point one way? tests, deploy -> master | worker -> proto -> common.
#
#   includes.sh ROOT              check the sources below ROOT
#   includes.sh --self-test       plant every kind of violation and see that it is found
#
# Rules: common includes common; proto also proto; worker and master also themselves, but
# never each other, except master/main.c, which composes. mpi.h stands in proto/wire_mpi.c
# alone, BLAS headers below common/nn, hdf5.h in master/store*.c and in its private headers
# master/store_*.h, which nobody else includes, and in worker/step_files.c. Project headers are included by their full
# path in quotes.
set -u

# Prints one line a violation; status 1 when there is any.
check() {
    cd "$1" || return 2
    find common proto worker master -name '*.[ch]' -exec awk '
        FNR == 1 { split(FILENAME, part, "/"); from = part[1] }
        !/^[ \t]*#[ \t]*include/ { next }
        {
            name = $0
            sub(/^[ \t]*#[ \t]*include[ \t]*/, "", name)
            quoted = name ~ /^"/
            sub(/^["<]/, "", name)
            sub(/[">].*$/, "", name)
            split(name, part, "/")
            to = name ~ /\// ? part[1] : ""
            wrong = ""
            if (name ~ /(^|\/)mpi\.h$/ && FILENAME != "proto/wire_mpi.c")
                wrong = "mpi.h belongs to proto/wire_mpi.c alone"
            else if (name ~ /(^|\/)hdf5(_hl)?\.h$|(^|\/)H5[A-Za-z]*public\.h$/ &&
                     FILENAME !~ /^master\/store(_[a-z_0-9]+)?\.c$/ &&
                     FILENAME !~ /^master\/store_[a-z_0-9]+\.h$/ &&
                     FILENAME != "worker/step_files.c")
                wrong = "hdf5.h belongs to master/store*.c and worker/step_files.c"
            else if (name ~ /^master\/store_/ && FILENAME !~ /^master\/store[._]/)
                wrong = "a private header of master/store.c"
            else if (name ~ /(^|\/)(cblas|f77blas|lapacke|openblas_config)[a-z_0-9]*\.h$/ &&
                     FILENAME !~ /^common\/nn\//)
                wrong = "BLAS belongs to common/nn alone"
            else if (to ~ /^(tests|deploy)$/)
                wrong = from " must not include " to
            else if (from == "common" && to ~ /^(proto|worker|master)$/)
                wrong = "common must not include " to
            else if (from == "proto" && to ~ /^(worker|master)$/)
                wrong = "proto must not include " to
            else if (from == "worker" && to == "master")
                wrong = "worker must not include master"
            else if (from == "master" && to == "worker" && FILENAME != "master/main.c")
                wrong = "only master/main.c may include worker"
            else if (name ~ /^\.\.?\//)
                wrong = "a project header is named by its full path"
            else if (!quoted && to ~ /^(common|proto|worker|master)$/)
                wrong = "project headers stand in quotes"
            if (wrong != "") {
                printf "%s:%d: %s: %s\n", FILENAME, FNR, name, wrong
                bad = 1
            }
        }
        END { exit bad }' {} +
}

# plant FILE INCLUDE: a tree with this line in this file must be refused.
planted=0 missed=0
plant() {
    mkdir -p "$folder/$(dirname "$1")"
    printf '#include %s\n' "$2" >"$folder/$1"
    planted=$((planted + 1))
    if found=$(check "$folder"); then
        echo "not found: #include $2 in $1" >&2
        missed=$((missed + 1))
    elif [ "${found#"$1":1: }" = "$found" ]; then
        echo "found without its place: $found" >&2
        missed=$((missed + 1))
    fi
    rm "$folder/$1"
}

allow() {
    mkdir -p "$folder/$(dirname "$1")"
    printf '#include %s\n' "$2" >"$folder/$1"
    planted=$((planted + 1))
    if ! check "$folder"; then
        echo "wrongly refused: #include $2 in $1" >&2
        missed=$((missed + 1))
    fi
    rm "$folder/$1"
}

self_test() {
    folder=$(mktemp -d) || return 1
    trap 'rm -rf "$folder"' EXIT
    mkdir "$folder/common" "$folder/proto" "$folder/worker" "$folder/master"
    plant common/a.c '"proto/wire.h"'
    plant common/nn/a.h '"worker/agent.h"'
    plant common/space/a.c '"master/store.h"'
    plant proto/a.c '"worker/agent.h"'
    plant proto/a.h '"master/ledger.h"'
    plant worker/data/a.c '"master/ledger.h"'
    plant master/a.c '"worker/agent.h"'
    plant master/search/main.c '"worker/agent.h"'
    plant master/a.c '"tests/unit/unit.h"'
    plant proto/wire.c '<mpi.h>'
    plant master/main.c '<mpi.h>'
    plant worker/a.c '<hdf5.h>'
    plant master/report/store.c '<hdf5.h>'
    plant master/store.h '<hdf5.h>'
    plant master/ledger.c '"master/store_table.h"'
    plant worker/a.c '<cblas.h>'
    plant master/a.c '<openblas/cblas.h>'
    plant master/a.c '"../worker/agent.h"'
    plant proto/a.c '<common/error.h>'
    printf '/* first */\n#  include  "master/a.h" /* x */\n' >"$folder/common/b.c"
    found=$(check "$folder") && missed=$((missed + 1))
    [ "$found" = "common/b.c:2: master/a.h: common must not include master" ] ||
        missed=$((missed + 1))
    rm "$folder/common/b.c"
    allow master/main.c '"worker/agent.h"'
    allow master/store_read.c '<hdf5.h>'
    allow worker/step_files.c '<hdf5.h>'
    allow master/store_table.h '<hdf5.h>'
    allow master/store.c '"master/store_table.h"'
    allow proto/wire_mpi.c '<mpi.h>'
    allow common/nn/gemm.c '<cblas.h>'
    allow worker/a.c '"proto/wire.h"'
    allow master/a.c '"common/error.h"'
    if [ "$missed" -gt 0 ]; then
        echo "$missed of $planted cases were judged wrongly" >&2
        return 1
    fi
}

case ${1-} in
--self-test) self_test ;;
'') echo "usage: includes.sh ROOT | --self-test" >&2 && exit 2 ;;
*) check "$1" ;;
esac
