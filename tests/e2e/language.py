#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Searches of recurrent cells whose children are trained on a text of known entropy.

Usage: language.py ARCHWAY FAKE_TRAINER COMPARE_RUNS

The text: word k of WORDS is followed by 2 k + 1 or 2 k + 2 (modulo WORDS), with the
probabilities 3/4 and 1/4, so no model's perplexity can stay below e^0.5623 = 1.755.
"""
import json
import math
import os
import random
import signal
import subprocess
import sys
import time
import unittest

import runs

WORDS = 11
ENTROPY = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
CONFIG = """
preset: rnn-scratch
name: text
seed: 3
task: {{data: {{path: {data}}}}}
space: {{nodes: 4}}
trainer:
  builtin:
    epochs: {epochs}
    hidden: 16
    batch: 8
    optimizer: {{lr: 2}}
    schedule: {{name: step, every: 6, factor: 0.25}}
    recurrent: {{bptt: 12, clip: 0.5, average_after: never,
                 dropout: {{embedding: 0, input: 0, output: 0, weight: 0}}}}
search: {{trials: {trials}, batch: 4}}
control: {{share: 0.25}}
run: {{mode: sync, snapshot_every: 0.2s}}
resources: {{oversubscribe: true}}
"""


def chain(numbers, count):
    word, words = 0, []
    for _ in range(count):
        words.append('w%d' % word)
        word = (2 * word + 1 + (numbers.random() < 0.25)) % WORDS
    return ' '.join(words) + '\n'


class Language(runs.RunCase):
    def setUp(self):
        super().setUp()
        numbers = random.Random(4)
        os.mkdir(self.path('text'))
        for name, count in (('train', 20000), ('valid', 4000), ('test', 4000)):
            with open(self.path('text/%s.txt' % name), 'w', encoding='utf-8') as file:
                file.write(chain(numbers, count))

    def write(self, trials=8, epochs=8):
        with open(self.path('c.yaml'), 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(data=self.path('text'), trials=trials, epochs=epochs))
        return 'c.yaml'

    def trials(self, run):
        return json.loads(self.archway('trials', run, '--format', 'json')[0])

    def test_a_search_reaches_the_entropy(self):
        """On three ranks: within three percent of what can be reached, and not below it by
        more than chance; alone the same history."""
        self.archway('search', self.write(), '--run', 'r', '--quiet', ranks=3)
        self.archway('search', 'c.yaml', '--run', 'alone', '--quiet')
        self.assert_same('r', 'alone')
        best = min(trial['metric'] for trial in self.trials('r'))
        self.assertLess(best, math.exp(ENTROPY) * 1.03)
        self.assertGreater(best, math.exp(ENTROPY) * 0.97)
        status = json.loads(self.archway('status', 'r', '--format', 'json')[0])
        self.assertEqual(status['metric'], 'val_perplexity')
        for trial in self.trials('r'): # of the whole run, 80 / perplexity^2
            self.assertAlmostEqual(trial['reward'], 80 / trial['metric'] ** 2, places=3)

    def test_random_trees(self):
        """Cells of rnn-tree, whose memory is carried from window to window: on two ranks
        the history of one, of children as large as check says, the best of which knows
        more than how frequent words are."""
        sets = [word for key in ('space.name=rnn-tree', 'space.base=4',
                                 'search.strategy=random', 'control.share=0')
                for word in ('--set', key)]
        words = ('search', self.write(trials=10, epochs=6), *sets, '--quiet', '--run')
        self.archway(*words, 'alone')
        self.archway(*words, 'r', ranks=2)
        self.assert_same('r', 'alone')
        trials = self.trials('r')
        self.assertEqual(len(trials), 10)
        best = min(trial['metric'] for trial in trials if trial['metric'] is not None)
        self.assertLess(best, WORDS / 2)
        self.assertGreater(best, math.exp(ENTROPY) * 0.97)
        size = 2 * 4 * 16 ** 2 + (WORDS + 1) * 16 # and <eos>
        for trial in trials:
            if trial['params'] is not None:
                self.assertEqual((trial['params'], trial['flops']), (size, 2 * size))

    def test_killed_it_goes_on(self):
        seed = int(os.environ.get('ARCHWAY_TEST_SEED', time.time_ns() % 1000000))
        print('seed', seed, flush=True)
        moments = random.Random(seed)
        config = self.write(trials=12, epochs=20)
        self.archway('search', config, '--run', 'calm', '--quiet')
        words, kills = ('search', config, '--run', 'r', '--quiet'), 0
        while True:
            process = self.start(*words)
            try:
                process.wait(moments.uniform(0.3, 0.9) * (1 + kills / 4))
                break
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
            if os.path.exists(self.path('r/journal')):
                words = ('resume', 'r', '--quiet')
        self.assertEqual(process.returncode, 0, process.stderr.read())
        self.assertGreater(kills, 0)
        self.assert_same('calm', 'r')

    def long(self):
        """Trials that are longer than a session, and average their weights on the way."""
        config = self.write(trials=6, epochs=40)
        return ('search', config, '--quiet', '--slots', '2', '--set',
                'trainer.builtin.recurrent.average_after=3', '--set',
                'trainer.builtin.optimizer.lr=8', '--set',
                'trainer.builtin.recurrent.dropout.output=0.2', '--run')

    def calm(self):
        """Seconds of the search that nobody disturbs."""
        started = time.monotonic()
        self.archway(*self.long(), 'calm')
        return time.monotonic() - started

    def states(self, run):
        return [e for e in self.events(run) if e['event'] == 'checkpoint']

    def assert_went_on(self, run):
        """Trials went on from where they were, none began anew, and nothing is left."""
        states = self.states(run)
        self.assertTrue(any(e['status'] == 'continued' and e['epoch'] > 0 for e in states))
        self.assertFalse(any(e['status'] == 'refused' for e in states), states)
        self.assert_same('calm', run)
        self.assert_replays(run)
        self.assertFalse(os.path.exists(self.path(run + '/checkpoints')))

    def test_stopped_trials_go_on_where_they_were(self):
        """By SIGTERM, SIGKILL and the clock, in the middle of epochs."""
        seed = int(os.environ.get('ARCHWAY_TEST_SEED', time.time_ns() % 1000000))
        print('seed', seed, flush=True)
        moments = random.Random(seed)
        session = max(0.7, self.calm() / 6)
        words, status, stops = self.long() + ('r',), None, 0
        while status != 0:
            often = ('run.checkpoint_every=0.01s',) if stops < 20 else ('run.retries=9',)
            by_clock = ('--time-limit', '%.2fs' % session) if stops % 3 == 2 else ()
            process = self.start(*words, '--set', *often, *by_clock)
            try:
                process.wait(60 if by_clock else session * moments.uniform(0.8, 1.6))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL if stops % 3 else signal.SIGTERM)
            out, errors = process.communicate(timeout=30)
            status = process.returncode
            self.assertIn(status, (0, 75, -9), out + errors)
            stops += 1
            self.assertLess(stops, 60)
            if os.path.exists(self.path('r/journal')):
                words = ('resume', 'r', '--quiet', '--slots', '2')
        print('sessions', stops)
        self.assertGreater(stops, 2)
        self.assert_went_on('r')

    def test_the_clock_suspends_over_ranks(self):
        """By nothing but time limits: every trial goes on at the epoch it was stopped in."""
        limit, status, sessions = self.calm() / 4, 75, 0
        words = self.long() + ('r', '--set', 'run.checkpoint_every=never')
        while status == 75:
            process = self.start(*words, '--time-limit', '%.2fs' % limit, ranks=3)
            out, errors = process.communicate(timeout=60)
            status = process.returncode
            self.assertIn(status, (0, 75), out + errors)
            words, limit, sessions = ('resume', 'r', '--quiet'), 1.3 * limit, sessions + 1
        print('sessions', sessions)
        at = {what: sorted((e['trial'], e['epoch']) for e in self.states('r')
                           if e['status'] == what) for what in ('suspended', 'continued')}
        self.assertEqual(at['suspended'], at['continued'])
        self.assert_went_on('r')

    def refused(self, *sets, says):
        words = [word for key in sets for word in ('--set', key)]
        errors = self.archway('check', self.write(), *words, status=2)[1]
        self.assertIn(says, errors)

    def test_what_does_not_fit_is_refused(self):
        self.refused('trainer.builtin.optimizer.name=adam', says='trained by sgd')
        self.refused('trainer.builtin.optimizer.momentum=0.9', says='trained without, say 0')
        self.refused('space.name=conv-chain', says='trains cells of rnn-dag or rnn-tree')
        self.refused('space.name=rnn-tree', 'search.strategy=enas', 'search.trials=unlimited',
                     says='shares weights between cells of space rnn-dag; the space is rnn-tree')
        self.refused('reward.metric=val_accuracy', says='val_loss and val_perplexity')
        self.refused('task.data.path=' + self.path('nowhere'), says='nowhere')

    def test_a_text_that_is_too_short_fails_its_trials(self):
        with open(self.path('text/train.txt'), 'w', encoding='utf-8') as file:
            file.write('w0 w1 w2\n')
        errors = self.archway('search', self.write(), '--run', 'r', '--quiet', status=1)[1]
        self.assertIn('4 words, which are too few for 8 columns', errors)


if __name__ == '__main__':
    runs.ARCHWAY, runs.FAKE, runs.COMPARE = map(os.path.abspath, sys.argv[1:4])
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
