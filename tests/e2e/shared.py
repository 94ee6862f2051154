#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Searches whose architectures share one pool of weights: the same history with any number
of ranks, through kills of trainers and of the whole run, and without its saved weights.

Usage: shared.py ARCHWAY FAKE_TRAINER COMPARE_RUNS [WIKITEXT_FOLDER]
"""
import collections
import csv
import json
import math
import os
import random
import signal
import shutil
import subprocess
import sys
import time
import unittest

import language
import runs

CONFIG = """
preset: enas-article
name: shared
seed: 5
task: {{data: {{path: {data}, vocabulary: {vocabulary}}}}}
space: {{nodes: {nodes}}}
trainer:
  builtin:
    hidden: {hidden}
    batch: {batch}
    optimizer: {{lr: {lr}}}
    schedule: {{name: constant}}
    recurrent: {{bptt: {bptt}, norm: {norm}, init: 0.1,
                 dropout: {{embedding: 0, input: 0, output: 0, weight: 0}}}}
search:
  strategy: {strategy}
  batch: 3
  shared: {{epochs: {epochs}, steps: {steps}, samples: {samples}, save_every: 25,
            sync_every: {sync},
            controller_steps: 5, probes: {probes}, candidates: 20, finalists: 4}}
control: {{share: 0.25}}
run: {{mode: sync, snapshot_every: 0.2s, retries: 1000}}
resources: {{oversubscribe: true}}
"""
SMALL = {'vocabulary': 'all', 'nodes': 4, 'hidden': 16, 'batch': 8, 'lr': 2, 'bptt': 12,
         'norm': 'false', 'strategy': 'enas', 'epochs': 5, 'steps': 150, 'samples': 2,
         'sync': 1, 'probes': 8}
WIKITEXT = None


def seeded():
    seed = int(os.environ.get('ARCHWAY_TEST_SEED', time.time_ns() % 1000000))
    print('seed', seed, flush=True)
    return random.Random(seed)


def children_of(pid):
    """Living trainers that were started by this process."""
    found = []
    for name in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/stat' % name, encoding='latin-1') as stat:
                fields = stat.read().rpartition(')')[2].split()
            with open('/proc/%s/cmdline' % name, encoding='latin-1') as cmdline:
                trainer = 'archway-trainer' in cmdline.read()
        except OSError:
            continue
        if trainer and int(fields[1]) == pid and fields[0] != 'Z':
            found.append(int(name))
    return found


class Shared(language.Language):
    config, small, step = CONFIG, SMALL, 'train_shared'
    # Only the text of the other class.
    test_a_search_reaches_the_entropy = None
    test_random_trees = None
    test_killed_it_goes_on = None
    test_what_does_not_fit_is_refused = None
    test_a_text_that_is_too_short_fails_its_trials = None
    test_stopped_trials_go_on_where_they_were = None
    test_the_clock_suspends_over_ranks = None

    def write(self, **changes):
        values = dict(self.small, data=self.path('text'))
        values.update(changes)
        with open(self.path('c.yaml'), 'w', encoding='utf-8') as file:
            file.write(self.config.format(**values))
        return 'c.yaml'

    def probes(self, run, steps):
        """Mean perplexity on the whole validation text after every epoch, search arm."""
        by_epoch = {}
        for trial in self.trials(run):
            if trial['kind'] == 'eval_shared' and trial['part'] < 0 and trial['arm'] == 'search':
                by_epoch.setdefault(trial['step'] // steps, []).append(trial['metric'])
        return [sum(v) / len(v) for _, v in sorted(by_epoch.items())]

    def assert_same_losses(self, a, b):
        """Of every step, which the comparison of rewards does not see."""
        losses = [[t['curve'][-1]['train_loss'] for t in json.loads(
            self.archway('trials', run, '--format', 'json', '--curves')[0])
            if t['kind'] == self.step] for run in (a, b)]
        self.assertEqual(*losses)
        self.assertGreater(len(losses[0]), 0)

    def test_the_weights_learn_and_ranks_do_not_matter(self):
        for strategy in ('enas', 'random-shared'):
            with self.subTest(strategy):
                config = self.write(strategy=strategy)
                self.archway('search', config, '--run', strategy, '--quiet', ranks=3)
                self.archway('search', config, '--run', strategy + '1', '--quiet')
                self.assert_same(strategy, strategy + '1')
                self.assert_same_losses(strategy, strategy + '1')
                means = self.probes(strategy, SMALL['steps'])
                self.assertEqual(len(means), SMALL['epochs'])
                self.assertLess(means[-1], means[0])
                best = min(t['metric'] for t in json.loads(self.archway(
                    'trials', strategy, '--top', '4', '--format', 'json')[0]))
                self.assertLess(best, math.exp(language.ENTROPY) * 1.25)
                self.assertGreater(best, math.exp(language.ENTROPY) * 0.97)
                self.assert_replays(strategy)

    def test_trainers_are_killed(self):
        """Whoever holds the weights: steps since the last state are made again."""
        moments, kills = seeded(), 0
        config = self.write(epochs=8, hidden=32)
        self.archway('search', config, '--run', 'calm', '--quiet')
        process = self.start('search', config, '--run', 'r', '--quiet', '--set', 'run.slots=2')
        while process.poll() is None:
            time.sleep(moments.uniform(0.03, 0.2))
            for pid in children_of(process.pid):
                if moments.random() < 0.5:
                    os.kill(pid, signal.SIGKILL)
                    kills += 1
        self.assertEqual(process.returncode, 0, process.stderr.read())
        self.assertGreater(kills, 1)
        self.assert_same('calm', 'r')
        self.assert_same_losses('calm', 'r')

    def test_ranks_make_lanes_together(self):
        """Whoever makes a lane: all have the same weights to the bit, with gradients that are
        averaged and with weights that are."""
        for sync, ranks in ((1, 3), (1, 4), (5, 3)):
            with self.subTest(sync=sync, ranks=ranks):
                config = self.write(samples=3, sync=sync, epochs=2, steps=100)
                one, many = 'one%d' % sync, 'many%d%d' % (sync, ranks)
                if not os.path.exists(self.path(one)):
                    self.archway('search', config, '--run', one, '--quiet')
                self.archway('search', config, '--run', many, '--quiet', ranks=ranks)
                self.assert_same(one, many)
                self.assert_same_losses(one, many)
                parts = {t['trial']: t['part'] for t in self.trials(many)
                         if t['kind'] == 'train_shared'}
                table = self.archway('trials', many, '--format', 'csv')[0]
                makers = collections.Counter(
                    (row['worker'], parts[int(row['trial'])])
                    for row in csv.DictReader(table.splitlines()) if int(row['trial']) in parts)
                # On a machine that stalls, one may make what another was too late with.
                most = [pair for pair, count in makers.items() if count > 0.8 * 200]
                self.assertEqual(len({maker for maker, _ in most}), ranks - 1, makers)
                self.assertEqual(sorted(part for _, part in most), [0, 1, 2], makers)

    def strike(self, moments, process):
        """Kill a worker rank or a trainer of one; False: there is none."""
        ranks = [p for p in runs.RankCase.ranks_of(self, process) if children_of(p)]
        trainers = [t for rank in ranks for t in children_of(rank)]
        if not trainers:
            return False
        one = moments.random() < 0.7 or len(ranks) < 2 # a rank stays
        victim = moments.choice(trainers if one else ranks)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def test_makers_of_lanes_are_lost(self):
        """Trainers and whole ranks, between lanes, within them and while lanes travel."""
        moments = seeded()
        for sync in (1, 5):
            with self.subTest(sync=sync):
                config = self.write(samples=3, sync=sync, epochs=3, steps=200, hidden=64)
                one, many = 'one%d' % sync, 'many%d' % sync
                self.archway('search', config, '--run', one, '--quiet')
                process = self.start('search', config, '--run', many, '--quiet', ranks=4,
                                     options=('--mca', 'orte_enable_recovery', '1'))
                kills, until = 0, time.monotonic() + 200
                while not os.path.exists(self.path(many + '/exit.json')):
                    self.assertLess(time.monotonic(), until)
                    time.sleep(moments.uniform(0.5, 1.5))
                    if kills < 6:
                        kills += self.strike(moments, process)
                print('kills', kills, flush=True)
                self.assertGreater(kills, 0)
                time.sleep(0.5)
                process.terminate()
                process.communicate(timeout=20)
                self.assertEqual(self.exit_json(many)['status'], 0)
                self.assert_same(one, many)
                self.assert_same_losses(one, many)

    def disturb(self, moments):
        """What may happen to the saved weights while nobody runs."""
        folder = self.path('r/pool')
        states = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        what = moments.choice(['nothing', 'remove all', 'cut the newest', 'flip a bit'])
        if not states or what == 'nothing':
            return
        if what == 'remove all':
            shutil.rmtree(folder)
            return
        newest = os.path.join(folder, states[-1])
        size = os.path.getsize(newest)
        with open(newest, 'r+b') as file:
            if what == 'cut the newest':
                file.truncate(moments.randrange(size))
            elif size:
                file.seek(moments.randrange(size))
                byte = file.read(1)[0]
                file.seek(-1, 1)
                file.write(bytes([byte ^ 4]))

    def test_killed_it_goes_on(self):
        moments, kills = seeded(), 0
        config = self.write(epochs=8, hidden=32)
        self.archway('search', config, '--run', 'calm', '--quiet')
        words = ('search', config, '--run', 'r', '--quiet')
        while True:
            process = self.start(*words)
            try:
                process.wait(moments.uniform(0.15, 0.5) * (1 + kills / 3))
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
            if os.path.exists(self.path('r/journal')):
                words = ('resume', 'r', '--quiet')
                self.disturb(moments)
        self.assertEqual(process.returncode, 0, process.stderr.read())
        self.assertGreater(kills, 0)
        self.assert_same('calm', 'r')
        self.assert_same_losses('calm', 'r')

    def test_what_does_not_fit_is_refused(self):
        def refused(key, says):
            errors = self.archway('check', self.write(), '--set', key, status=2)[1]
            self.assertIn(says, errors)
        refused('search.trials=100', 'so this must be unlimited')
        refused('trainer.command=[python3]', 'held by the built-in trainer')
        refused('search.shared.finalists=21', 'more than search.shared.candidates = 20')
        refused('control.strategy=enas', 'only random can be the control')
        self.archway('search', 'c.yaml', '--run', 'r', '--quiet')
        errors = self.archway('resume', 'r', '--allow-change', '--set',
                              'search.shared.steps=7', status=2)[1]
        self.assertIn('search.shared cannot change within a run', errors)

    def test_wikitext(self):
        """The article's search, scaled down to minutes, on a text by its path: the
        perplexity falls from epoch to epoch, and a kill in the third changes nothing."""
        if not WIKITEXT or not os.path.isdir(WIKITEXT):
            self.skipTest('needs WikiText-2')
        steps = 40
        config = self.write(data=WIKITEXT, vocabulary=1000, nodes=12, hidden=24, batch=64,
                            bptt=35, lr=10, norm='true', epochs=4, steps=steps, samples=1,
                            probes=4)
        self.archway('search', config, '--run', 'calm', '--quiet', ranks=3)
        means = self.probes('calm', steps)
        print('perplexity by epoch:', ' '.join('%.1f' % m for m in means), flush=True)
        self.assertEqual(len(means), 4)
        for earlier, later in zip(means, means[1:]):
            self.assertLess(later, earlier)
        process = self.start('search', config, '--run', 'r', '--quiet')
        third = self.path('r/pool/step-%012d.h5' % (2 * steps + 20)) # in epoch 3
        while not os.path.exists(third) and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.wait()
        self.assertTrue(os.path.exists(third))
        self.archway('resume', 'r', '--quiet', ranks=3)
        self.assert_same('calm', 'r')
        self.assert_same_losses('calm', 'r')


if __name__ == '__main__':
    runs.ARCHWAY, runs.FAKE, runs.COMPARE = map(os.path.abspath, sys.argv[1:4])
    if len(sys.argv) > 4 and os.path.isdir(sys.argv[4]):
        WIKITEXT = os.path.abspath(sys.argv[4])
    unittest.main(argv=sys.argv[:1] + sys.argv[5:], verbosity=2)
