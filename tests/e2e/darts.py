#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Searches by a relaxed cell: the mixture learns, the cell it stands for is trained from
scratch, and the history is the same with any number of ranks, through kills of trainers
and of the whole run, and without its saved states.

Usage: darts.py ARCHWAY FAKE_TRAINER COMPARE_RUNS
"""
import json
import math
import os
import sys
import unittest

import language
import runs
import shared

CONFIG = """
preset: darts-rnn
name: darts
seed: 5
task: {{data: {{path: {data}}}}}
space: {{nodes: 5}}
trainer:
  builtin:
    epochs: 8
    hidden: {hidden}
    batch: 8
    optimizer: {{lr: 4}}
    recurrent: {{bptt: 12, init: 0.1, dropout: {{input: 0, state: 0, output: 0}}}}
reward: {{last_epochs: 1}}
search:
  shared: {{epochs: {epochs}, steps: {steps}, save_every: 25, order: {order}, alpha_lr: 0.01,
            norm: false, finalists: 3}}
run: {{mode: sync, snapshot_every: 0.2s, retries: 1000}}
resources: {{oversubscribe: true}}
"""
SMALL = {'hidden': 16, 'epochs': 5, 'steps': 150, 'order': 2}


class Darts(shared.Shared):
    config, small, step = CONFIG, SMALL, 'relax'
    # Those of the other class that are about its strategies.
    test_the_weights_learn_and_ranks_do_not_matter = None
    test_ranks_make_lanes_together = None
    test_makers_of_lanes_are_lost = None
    test_wikitext = None

    def cells(self, run):
        """Of every step, the nodes of the cell that it led to."""
        return [t['architecture']['nodes'] for t in json.loads(
            self.archway('trials', run, '--format', 'json')[0]) if t['kind'] == 'relax']

    def scores(self, run):
        """Perplexity of the mixture after every epoch."""
        return [t['metric'] for t in self.trials(run) if t['kind'] == 'eval_relax']

    def settled(self, run):
        """Of every step, how far the mixture had settled on that cell."""
        return [t['settled'] for t in json.loads(self.archway(
            'trials', run, '--format', 'json')[0]) if t['kind'] == 'relax']

    def check_children(self, run):
        """The last cell with three seeds, beside as many random ones."""
        last = self.cells(run)[-1]
        children = [t for t in json.loads(self.archway(
            'trials', run, '--format', 'json', '--curves')[0]) if t['kind'] == 'train_child']
        self.assertEqual([t['arm'] for t in children], 3 * ['search'] + 3 * ['control'])
        for trial in children:
            self.assertEqual(trial['state'], 'done')
            self.assertEqual(len(trial['curve']), 8)
            self.assertEqual(trial['architecture']['nodes'][0]['activation'], 'tanh')
            self.assertLess(trial['metric'], math.exp(language.ENTROPY) * 1.6)
        for trial in children[:3]:
            self.assertEqual(trial['architecture']['nodes'], last)
        self.assertEqual(len({t['metric'] for t in children[:3]}), 3)

    def test_the_mixture_learns_and_ranks_do_not_matter(self):
        for order in (1, 2):
            with self.subTest(order=order):
                config, name = self.write(order=order), 'order%d' % order
                self.archway('search', config, '--run', name, '--quiet', ranks=3)
                self.archway('search', config, '--run', name + '-alone', '--quiet')
                self.assert_same(name, name + '-alone')
                self.assert_same_losses(name, name + '-alone')
                self.assertEqual(self.cells(name), self.cells(name + '-alone'))
                scores = self.scores(name)
                print('perplexity by epoch:', ' '.join('%.2f' % s for s in scores), flush=True)
                self.assertEqual(len(scores), SMALL['epochs'])
                self.assertLess(scores[-1], scores[0])
                self.assertLess(scores[-1], math.exp(language.ENTROPY) * 1.6)
                self.assertGreater(len(set(map(json.dumps, self.cells(name)))), 1)
                settled = self.settled(name)
                self.assertAlmostEqual(settled[0], -4 * math.log(4), delta=0.1)
                self.assertGreater(settled[-1], settled[0] + 0.3)
                self.check_children(name)
                self.assert_replays(name)

    def test_the_orders_differ(self):
        losses = []
        for order in ('1', '2'):
            self.archway('search', self.write(epochs=1, steps=30, order=order), '--run', order,
                         '--quiet')
            losses.append([t['curve'][-1]['val_loss'] for t in json.loads(self.archway(
                'trials', order, '--format', 'json', '--curves')[0]) if t['kind'] == 'relax'])
        self.assertEqual(len(losses[0]), 30)
        self.assertNotEqual(*losses)

    def test_commands_tell_what_it_is_about(self):
        config = self.write(epochs=2, steps=20)
        found = self.archway('check', config)[0]
        self.assertIn('a choice of 5 operations on each of 10 edges', found)
        self.archway('search', config, '--run', 'r', '--quiet')
        status = self.archway('status', 'r')[0]
        self.assertIn('40 of 40 steps, epoch 2 of 2', status)
        scored = json.loads(self.archway('trials', 'r', '--format', 'json')[0])[41]
        relaxed = json.loads(self.archway('status', 'r', '--format', 'json')[0])['relaxed']
        self.assertEqual((relaxed['trial'], relaxed['steps']), (41, 40))
        self.assertEqual(relaxed['metric'], scored['metric'])
        self.assertIn('relaxed     val_perplexity %.4f after 40 steps' % scored['metric'], status)
        self.assertIn(relaxed['cell'], status)
        nodes = scored['architecture']['nodes']
        self.assertEqual(relaxed['cell'], ' '.join(
            [nodes[0]['activation']] + ['%(previous)d:%(activation)s' % n for n in nodes[1:]]))
        self.assertIn('of step 3 of the relaxed cell', self.archway('explain', 'r', '3')[0])
        self.assertIn('of the relaxed cell after 20 steps', self.archway(
            'explain', 'r', '20')[0])
        self.assertIn('step 19', self.archway('trials', 'r')[0])
        best = int(json.loads(self.archway('trials', 'r', '--top', '1', '--format',
                                           'json')[0])[0]['trial'])
        self.assertGreater(best, 41) # a child, not the mixture
        self.assertIn('digraph', self.archway('export', 'r', '--format', 'dot')[0])
        self.assertIn('48: 48 done, 0 failed', self.archway(
            'simulate', config, '--workers', '3', '--set', 'run.snapshot_every=1h')[0])

    def test_what_does_not_fit_is_refused(self):
        def refused(key, says):
            errors = self.archway('check', self.write(), '--set', key, status=2)[1]
            self.assertIn(says, errors)
        refused('search.trials=100', 'so this must be unlimited')
        refused('trainer.command=[python3]', 'held by the built-in trainer')
        refused('space.nodes=1', 'darts needs 2 at least')
        refused('space.name=conv-chain', 'cells of rnn-dag')
        refused('space.activations=[tanh, relu]', 'all must be in the space')
        refused('trainer.builtin.recurrent.output=leaves', 'relaxes has all-but-first')
        refused('search.shared.samples=2', 'say 1')
        refused('search.shared.order=3', 'from 1 to 2')
        refused('search.shared.alpha_lr=-1', 'expected a number')
        refused('control.strategy=darts', 'only random can be the control')
        self.archway('search', self.write(epochs=1, steps=9), '--run', 'r', '--quiet')
        errors = self.archway('resume', 'r', '--allow-change', '--set',
                              'search.shared.alpha_lr=7', status=2)[1]
        self.assertIn('search.shared cannot change within a run', errors)

    def test_a_rate_that_is_too_high_is_said(self):
        config = self.write(epochs=1, steps=12)
        errors = self.archway('search', config, '--run', 'r', '--quiet', '--set',
                              'trainer.builtin.optimizer.lr=1000', '--set',
                              'trainer.builtin.recurrent.clip=none', '--set',
                              'trainer.builtin.recurrent.init=10', status=1)[1]
        self.assertIn('attempts all failed', errors)


if __name__ == '__main__':
    runs.ARCHWAY, runs.FAKE, runs.COMPARE = map(os.path.abspath, sys.argv[1:4])
    unittest.main(argv=sys.argv[:1] + sys.argv[4:], verbosity=2)
