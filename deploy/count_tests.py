#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Add up the results of meson test over several build folders.

Usage: count_tests.py BUILD_FOLDER...

Prints what failed and what was skipped, then 'N passed, N failed, N skipped'. The exit
status is 1 when a test failed, when one was skipped that is not listed here, or when a
folder has no results at all.
"""
import json
import sys

# Tests that may be skipped, and why nothing on this machine can change that.
MAY_SKIP = {
    'corpus_wikitext': 'needs WikiText-2, which is not part of this tree',
    'slurm': 'needs the scripts of a virtual SLURM cluster, which are not part of this tree',
}
PASSED = {'OK', 'EXPECTEDFAIL'}


def results(folder):
    """Yield (name, result) of the last run of the tests in a build folder."""
    with open(folder + '/meson-logs/testlog.json', encoding='utf-8') as log:
        for line in log:
            test = json.loads(line)
            yield folder + ': ' + test['name'], test['result']


def main(folders):
    counts = {'passed': 0, 'failed': 0, 'skipped': 0}
    bad = False
    for folder in folders:
        found = list(results(folder))
        bad |= not found
        for name, result in found:
            if result in PASSED:
                counts['passed'] += 1
            elif result == 'SKIP':
                counts['skipped'] += 1
                reason = MAY_SKIP.get(name.split()[-1])
                print('skipped:', name, '(%s)' % (reason or 'should have run'))
                bad |= reason is None
            else:
                counts['failed'] += 1
                bad = True
                print('failed:', name, '(%s)' % result)
    print('%(passed)d passed, %(failed)d failed, %(skipped)d skipped' % counts)
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
