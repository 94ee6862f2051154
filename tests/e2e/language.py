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

    def refused(self, *sets, says):
        words = [word for key in sets for word in ('--set', key)]
        errors = self.archway('check', self.write(), *words, status=2)[1]
        self.assertIn(says, errors)

    def test_what_does_not_fit_is_refused(self):
        self.refused('trainer.builtin.optimizer.name=adam', says='trained by sgd')
        self.refused('trainer.builtin.optimizer.momentum=0.9', says='trained without, say 0')
        self.refused('space.name=rnn-tree', says='trains cells of rnn-dag')
        self.refused('space.name=conv-chain', says='trains cells of rnn-dag')
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
