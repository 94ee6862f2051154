#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs whose disk breaks in the middle: writing, syncing or renaming a file fails from some
call on. There is one message, which names the file, the run ends as designed, and from what
is on disk it goes on to the undisturbed history.

Usage: broken_disk.py ARCHWAY FAKE_TRAINER COMPARE_RUNS FAKE_WRITES   (for LD_PRELOAD)
       ARCHWAY_TEST_SEED=N repeats a failure
"""
import errno
import os
import random
import shutil
import subprocess
import sys
import tempfile
import unittest

ARCHWAY = FAKE = COMPARE = WRITES = None
SEED = int(os.environ.get('ARCHWAY_TEST_SEED') or random.SystemRandom().randrange(1 << 32))
CONFIG = """
name: broken
seed: 5
task: {{data: {{format: generated}}}}
space: {{name: conv-chain, layers: 3}}
trainer: {{command: ["{fake}", --sleep, "4"]}}
search: {{strategy: reinforce, trials: 60, batch: 6}}
run: {{mode: sync, snapshot_every: 0.05s, slots: 2}}
resources: {{oversubscribe: true}}
"""


class BrokenDisk(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.random = random.Random(SEED)
        print('seed', SEED, flush=True)
        cls.folder = tempfile.mkdtemp(prefix='aw', dir='/tmp')
        with open(cls.folder + '/c.yaml', 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(fake=FAKE))
        cls.run_archway('search', 'c.yaml', '--run', 'calm', '--quiet')

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    @classmethod
    def run_archway(cls, *words, fail=''):
        environment = dict(os.environ, TMPDIR=cls.folder)
        if fail:
            environment.update(LD_PRELOAD=WRITES, FAKE_FAIL=fail,
                               FAKE_CALLS=cls.folder + '/calls',
                               FAKE_FAILED=cls.folder + '/failed')
        return subprocess.run((ARCHWAY,) + words, cwd=cls.folder, env=environment, text=True,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, timeout=60)

    def setUp(self):
        shutil.rmtree(self.folder + '/r', ignore_errors=True)

    def has_failed(self):
        failed = os.path.exists(self.folder + '/failed')
        for name in ('/failed', '/calls'):
            if os.path.exists(self.folder + name):
                os.remove(self.folder + name)
        return failed

    def same_as_calm(self, words):
        done = self.run_archway(*words)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        done = subprocess.run([COMPARE, self.folder + '/calm', self.folder + '/r'],
                              stdout=subprocess.PIPE, text=True)
        self.assertEqual(done.returncode, 0, done.stdout)

    def go_on(self):
        """What was refused its folder begins anew; the rest resumes."""
        if os.path.exists(self.folder + '/r/journal'):
            self.same_as_calm(('resume', 'r', '--quiet'))
        else:
            self.same_as_calm(('search', 'c.yaml', '--run', 'r', '--quiet'))

    def check(self, call, name, count, number=errno.EIO):
        """Does it reach the failure? Then it is told, and costs nothing."""
        fail = '%s:%s:%d:%d' % (call, name, count, number)
        done = self.run_archway('search', 'c.yaml', '--run', 'r', '--quiet', fail=fail)
        reached = self.has_failed()
        said = done.stderr + done.stdout
        with self.subTest(fail=fail, seed=SEED):
            self.assertIn(done.returncode, (0, 1), said)
            self.assertEqual(done.stderr.count('archway: error:'), done.returncode, said)
            if done.returncode == 1:
                self.assertTrue(reached, said)
                self.assertIn(os.strerror(number), done.stderr)
                self.assertIn(name.strip('/').split('.')[0], done.stderr)
                self.assertNotIn('.tmp', done.stderr)
            self.go_on()
        return reached, done

    def always(self, call, name, counts, number=errno.EIO):
        """These failures end the run."""
        for count in counts:
            reached, done = self.check(call, name, count, number)
            with self.subTest(call=call, name=name, count=count, seed=SEED):
                self.assertTrue(reached, (call, name, count))
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
            self.setUp()

    def some(self, most, count=3):
        return [1] + [self.random.randrange(2, most) for _ in range(count)]

    def test_writing_the_journal(self):
        self.always('write', '/journal', self.some(30))
        self.always('write', '/journal', self.some(30, 1), errno.EDQUOT)

    def test_syncing_the_journal(self):
        self.always('sync', '/journal', self.some(20))

    def test_writing_a_snapshot(self):
        self.always('write', '/snapshot.h5', self.some(4, 1))
        self.always('write', '/snapshot.h5', self.some(4, 1), errno.ENOSPC)

    def test_syncing_a_snapshot(self):
        self.always('sync', '/snapshot.h5', self.some(4, 1))

    def test_renaming_a_snapshot(self):
        self.always('rename', '/snapshot.h5', self.some(4, 1))

    def test_the_last_words(self):
        for call in ('write', 'sync', 'rename'):
            self.always(call, '/exit.json', [1])

    def test_the_configuration(self):
        for call in ('write', 'sync', 'rename'):
            self.check(call, '/config.yaml', 1)
            self.setUp()

    def test_the_best_architecture(self):
        for call in ('write', 'rename'):
            self.check(call, '/best/', 1)
            self.setUp()

    def test_a_log_without_room(self):
        """The log is for people: without it the run goes on."""
        self.run_archway('search', 'c.yaml', '--run', 'r', '--quiet', '--max-trials', '6')
        os.remove(self.folder + '/r/log.jsonl')
        os.symlink('/dev/full', self.folder + '/r/log.jsonl')
        self.same_as_calm(('resume', 'r', '--quiet', '--trials', '60'))


def main():
    global ARCHWAY, FAKE, COMPARE, WRITES
    ARCHWAY, FAKE, COMPARE, WRITES = map(os.path.abspath, sys.argv[1:5])
    del sys.argv[1:5]
    unittest.main(verbosity=2)


if __name__ == '__main__':
    main()
