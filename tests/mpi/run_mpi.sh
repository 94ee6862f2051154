#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run a test under mpirun and leave nothing behind.
#
#   run_mpi.sh [-n RANKS] [-t SECONDS] [-p PASSES] [-o "MPIRUN OPTIONS"] PROGRAM [ARGUMENT...]
#
# -p: so many ranks must have said that they passed, by mpi_unit_pass (mpi_unit.h). Needed
# where ranks are lost: mpirun's exit status says nothing then. Session folders and shared
# memory go to folders of this job alone, removed at the end however it ends.
set -u
ranks=2 seconds=120 passes='' options=''
while getopts n:t:p:o: option; do
    case $option in
    n) ranks=$OPTARG ;;
    t) seconds=$OPTARG ;;
    p) passes=$OPTARG ;;
    o) options=$OPTARG ;;
    *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
if ! command -v mpirun >/dev/null; then
    echo "skipped: mpirun is not installed" >&2
    exit 77
fi
# Open MPI's sockets live below TMPDIR and their paths must be short.
folder=$(mktemp -d /tmp/awmpi.XXXXXX) || exit 1
shared=$folder
[ -w /dev/shm ] && shared=$(mktemp -d /dev/shm/awmpi.XXXXXX)
mpirun_pid=''
# shellcheck disable=SC2317 # called by the trap
finish() {
    [ -n "$mpirun_pid" ] && kill -TERM "$mpirun_pid" 2>/dev/null && wait "$mpirun_pid"
    rm -rf "$folder" "$shared"
}
trap finish EXIT
trap 'exit 1' HUP INT TERM
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
# Under AddressSanitizer: MPI_Finalize unloads Open MPI's modules and leaves what they took,
# without a name that a suppression could match. Memory errors are reported as ever.
export ASAN_OPTIONS="detect_leaks=0${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export CK_FORK=no TMPDIR="$folder" ARCHWAY_MPI_RESULTS="$folder/results"
mkdir "$ARCHWAY_MPI_RESULTS"
# shellcheck disable=SC2086 # options is a list of words
timeout -k 5 "$seconds" mpirun --oversubscribe --mca btl_vader_backing_directory "$shared" \
    -n "$ranks" $options "$@" </dev/null &
mpirun_pid=$!
wait "$mpirun_pid"
status=$?
mpirun_pid=''
[ "$status" = 124 ] && echo "run_mpi.sh: stopped after $seconds s" >&2
if [ -n "$passes" ] && [ "$status" = 0 ]; then
    passed=$(find "$ARCHWAY_MPI_RESULTS" -name 'rank.*' | wc -l)
    if [ "$passed" -ne "$passes" ]; then
        echo "run_mpi.sh: $passed ranks passed, not $passes" >&2
        status=1
    fi
fi
exit "$status"
