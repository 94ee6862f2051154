#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs that wait for something: whatever it is, log.jsonl, archway status and archway
explain name it, and the trial and the rank that it is about.

Usage: stalls.py ARCHWAY FAKE_TRAINER COMPARE_RUNS FAKE_SYSTEM   (the last for LD_PRELOAD)
"""
import os
import shutil
import sys
import time
import unittest

import runs

SYSTEM = None


class Stalls(runs.RankCase):
    def states(self):
        return [e['text'] for e in self.named('stall')]

    def wait_for_state(self, words, timeout=40):
        """The state in the words of the log, without how long it has lasted."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            try:
                for state in self.states():
                    if words in state:
                        return state.rsplit(' for ', 1)[0]
            except (OSError, ValueError):
                pass
            time.sleep(0.1)
        self.fail('no state "%s"' % words)

    def is_told(self, state, *subject):
        text, _ = self.archway('explain', 'run', *subject)
        self.assertIn('  now: ' + state, text, subject)

    def end(self, process):
        process.terminate()
        process.communicate(timeout=30)
        self.assertEqual(self.exit_json('run')['status'], 75)
        self.assertFalse(os.path.exists(self.path('run/watch.json')))
        self.assertNotIn('now: ', self.archway('explain', 'run')[0])
        self.assert_no_trainer()

    def test_a_slow_trial_and_who_waits_for_it(self):
        config = self.config('--sleep', '50', '--hang-every', '7', trials=60)
        process = self.start('search', config, '--run', 'run', '--quiet', ranks=3)
        self.wait_for('run', 'first_trial')
        slow = self.wait_for_state(', runs for ')
        words = slow.replace(',', '').split()
        rank, trial = words[1], words[words.index('trial') + 1]
        idle = self.wait_for_state('slots idle, the search waits for trial ')
        self.assertIn(slow, self.archway('status', 'run')[0])
        self.assertIn(idle, self.archway('status', 'run')[0])
        for subject in ((), ('rank-' + rank,), (trial,)):
            self.is_told(slow, *subject)
        self.is_told(idle)
        waited = idle.split('waits for trial ')[1].split(',')[0]
        self.is_told(idle, waited)
        self.end(process)

    def test_a_rank_that_does_not_report(self):
        """Nothing is handed out yet; when it has reported, the run begins."""
        held = self.path('held')
        with open(held, 'w', encoding='utf-8'):
            pass
        config = self.config('--sleep', '5')
        search = [runs.ARCHWAY, 'search', config, '--run', 'run', '--quiet']
        apart = [':', '-n', '1', '-x', 'LD_PRELOAD=' + SYSTEM, '-x', 'FAKE_LOOK=' + held]
        process = self.start(*search[1:], *apart, *search, ranks=2)
        state = self.wait_for_state('1 of 2 ranks have not reported')
        self.assertIn('so no trial is handed out', state)
        self.assertEqual(self.named('trial'), [])
        self.assertIn(state, self.archway('status', 'run')[0])
        self.is_told(state)
        self.is_told('rank 2 has not reported', 'rank-2')
        os.remove(held)
        process.communicate(timeout=40)
        self.assertEqual(process.returncode, 0)
        self.assertEqual(self.exit_json('run')['status'], 0)
        self.assertEqual(len(self.named('trial')), 40)


if __name__ == '__main__':
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    runs.ARCHWAY, runs.FAKE, runs.COMPARE, SYSTEM = map(os.path.abspath, sys.argv[1:5])
    if not shutil.which('mpirun'):
        print('skipped: mpirun is not installed')
        sys.exit(77)
    unittest.main(argv=sys.argv[:1], verbosity=2)
