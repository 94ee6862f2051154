#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Is no shell started by the programs, so that none ever sees a file name?
#
#   shells.sh ROOT              check the sources below ROOT
#   shells.sh --self-test       plant every kind of violation and see that it is found
#
# Programs are started with a list of words (exec, posix_spawn): system, popen, wordexp and
# the name of a shell as a word of a command do not occur.
set -u

# Prints one line a violation; status 1 when there is any.
check() {
    cd "$1" || return 2
    find common proto worker master -name '*.[ch]' -exec awk '
        /^[ \t]*(\/\*|\*)/ { next }
        {
            wrong = ""
            code = $0
            gsub(/"([^"\\]|\\.)*"/, "\"\"", code)
            if (code ~ /(^|[^a-zA-Z0-9_])(system|popen|wordexp)[ \t]*\(/)
                wrong = "starts a shell"
            else if ($0 ~ /"([^" ]*\/)?(sh|bash|dash|csh|zsh|ksh)"/)
                wrong = "names a shell"
            if (wrong != "") {
                printf "%s:%d: %s: %s\n", FILENAME, FNR, wrong, $0
                bad = 1
            }
        }
        END { exit bad }' {} +
}

plant() {
    printf '%s\n' "$2" >"$folder/worker/planted.c"
    if (check "$folder") >/dev/null; then found=0; else found=1; fi
    if [ "$found" != "$1" ]; then
        echo "not as it should be: $2" >&2
        failed=1
    fi
}

self_test() {
    folder=$(mktemp -d) || exit 2
    trap 'rm -rf "$folder"' EXIT
    mkdir "$folder/common" "$folder/proto" "$folder/worker" "$folder/master"
    echo 'int x;' >"$folder/common/x.c"
    failed=0
    plant 1 '    int status = system(command);'
    plant 1 '    FILE *f = popen(path, "r");'
    plant 1 '    wordexp (path, &words, 0);'
    plant 1 '    const char *argv[] = {"/bin/sh", "-c", text, NULL};'
    plant 1 '    const char *argv[] = {"bash", NULL};'
    plant 0 '    file_system(command);'
    plant 0 '        "ask who runs the system (or popen (3))",'
    plant 0 '    execvp(argv[0], argv);'
    plant 0 '    text_append(out, "run.sh (see the system)");'
    plant 0 ' * as system(3) does'
    exit "$failed"
}

case ${1-} in
--self-test) self_test ;;
'')
    echo "usage: $0 ROOT | --self-test" >&2
    exit 2
    ;;
*) check "$1" ;;
esac
