#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A search on Fashion-MNIST under archway launch that is killed again and again: SIGKILL
for a random worker rank, or for the whole job, master, mpirun and launch included. In mode
sync its history must be that of the search which nobody disturbed, and no result that was
once told may be lost or change. A search that ends before all kills are done is followed
by another one. The seed of the moments is printed; ARCHWAY_TEST_SEED sets it.

Usage: kills.py ARCHWAY COMPARE_RUNS [KILLS]    (ARCHWAY_KILLS is stronger than KILLS)
"""
import os
import random
import signal
import subprocess
import sys
import time
import unittest

import launch
import runs

DATA = '/usr/share/datasets/fashion-mnist'
KILLS = 12
TRIALS = 100
CONFIG = """
name: kills
seed: 7
task: {{kind: image-classification, data: {{format: idx, path: {data}}},
        train: 1200, validation: 400}}
space: {{name: conv-chain, layers: 2, filter_heights: [1, 3], filter_widths: [1, 3],
         filters: [4, 8], strides: [2, 3]}}
trainer: {{builtin: {{epochs: 1, batch: 50}}}}
reward: {{last_epochs: 1}}
search: {{strategy: reinforce, trials: {trials}, batch: 4}}
control: {{strategy: random, share: 0.2}}
run: {{mode: sync, slots: 1, retries: 1000, snapshot_every: 0.5s, heartbeat: 0.1s, 
       lost_after: 1s, cache: {cache}}}
resources: {{oversubscribe: true}}
"""
OPTIONS = ('--grace', '1s', '--restarts', '1000', '--', '--oversubscribe', '--bind-to', 'none',
           '-n', '4')


class Kills(launch.Case):
    segments_of = launch.Real.segments_of
    told = runs.Kills.told
    assert_nothing_lost = runs.Kills.assert_nothing_lost
    assert_same = runs.RunCase.assert_same
    assert_replays = runs.RunCase.assert_replays

    def setUp(self):
        super().setUp()
        self.segments = set()

    def tearDown(self):
        super().tearDown()
        for name in self.segments: # what a killed launch could not remove
            if os.path.exists('/dev/shm/' + name):
                os.unlink('/dev/shm/' + name)

    def config(self, *words, trials=TRIALS):
        with open(self.path('c.yaml'), 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(data=DATA, trials=trials, cache=self.folder))

    def pids(self):
        """All processes of ours below the test, by what they are."""
        found = {}
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/environ' % pid, 'rb') as file:
                    ours = os.fsencode('TMPDIR=' + self.folder) in file.read().split(b'\0')
                with open('/proc/%s/comm' % pid, encoding='utf-8') as file:
                    name = file.read().strip()
            except OSError:
                continue
            if ours:
                found[int(pid)] = name
        return found

    def all_ranks(self):
        return self.ranks('search') + self.ranks('resume')

    def kill_job(self, process):
        """At one blow, as when the power goes: nobody can end the others in order."""
        victims = [pid for pid, name in self.pids().items()
                   if not name.startswith('archway-train')]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGSTOP)
                self.segments |= self.segments_of(pid)
            except (ProcessLookupError, FileNotFoundError):
                pass
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        process.communicate()
        self.wait_for(lambda: not self.pids(), 20) # trainers end by themselves

    def kill_rank(self):
        workers = self.all_ranks()[1:]
        if not workers:
            return False
        try:
            os.kill(self.moments.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def disturb(self, run, left):
        """Search until done, with up to `left` kills on the way; [of ranks, of the job]."""
        kills, told = [0, 0], {}
        process = self.start(*OPTIONS, run=run)
        while True:
            try:
                patience = self.moments.uniform(0.3, 1.6) if sum(kills) < left else 300
                out = process.communicate(timeout=patience)[0]
                break
            except subprocess.TimeoutExpired:
                self.assertLess(sum(kills), left, 'the search does not end')
            if self.moments.random() < 0.6:
                kills[0] += self.kill_rank()
                continue
            self.kill_job(process)
            kills[1] += 1
            if os.path.exists(self.path(run) + '/journal'):
                told = self.assert_nothing_lost(run, told)
            process = self.start(*OPTIONS, run=run)
        self.assertEqual(process.returncode, 0, out)
        self.assert_nothing_lost(run, told)
        return kills

    def test_killed_history_is_the_undisturbed_one(self):
        seed = int(os.environ.get('ARCHWAY_TEST_SEED', time.time_ns() % 1000000))
        print('seed', seed, flush=True)
        self.moments = random.Random(seed)
        self.launch('--grace', '1s', '--', *OPTIONS[OPTIONS.index('--') + 1:], run='calm',
                    timeout=200)
        searches, ranks, jobs = 0, 0, 0
        started = time.monotonic()
        while ranks + jobs < KILLS:
            run = 'killed%d' % searches
            kills = self.disturb(run, KILLS - ranks - jobs)
            searches, ranks, jobs = searches + 1, ranks + kills[0], jobs + kills[1]
            self.assert_same('calm', run)
            self.assert_replays(run)
            self.assertEqual(len(self.told(run)), TRIALS)
        self.wait_for(lambda: not self.pids(), 20)
        print('%d kills of a rank, %d of the job, in %d searches of %d trials and %.0f s; '
              'lost: nothing' % (ranks, jobs, searches, TRIALS, time.monotonic() - started))


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    launch.ARCHWAY, runs.COMPARE = map(os.path.abspath, sys.argv[1:3])
    KILLS = int(os.environ.get('ARCHWAY_KILLS', sys.argv[3] if len(sys.argv) > 3 else KILLS))
    if not os.path.isdir(DATA):
        print('skipped: no data in %s (package dataset-fashion-mnist)' % DATA)
        sys.exit(77)
    unittest.main(argv=sys.argv[:1])
