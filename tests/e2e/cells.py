#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Searches over recurrent cells, and every command that shows them.

Usage: cells.py ARCHWAY FAKE_TRAINER CASE      (a CASE is a class below)

Only the standard library. Everything happens in a temporary folder that is removed.
"""
import csv
import io
import json
import os
import sys
import unittest
from xml.etree import ElementTree

import commands

CONFIG = """
name: cells
seed: 5
task: {{kind: image-classification, data: {{format: generated, images: 240}}}}
space: {space}
trainer: {{command: [{trainer}]}}
search: {{strategy: {strategy}, trials: 60, batch: 8}}
control: {{share: {share}}}
run: {{mode: sync, retries: 0, slots: 2}}
resources: {{oversubscribe: true}}
"""


class Cells(commands.Case):
    """What is the same for every space; subclasses name one."""
    SPACE = STRATEGY = SIZE = HEADING = None

    @classmethod
    def prepare(cls):
        if cls.SPACE is None:
            raise unittest.SkipTest('a base class')
        trainer = ', '.join(json.dumps(word) for word in (commands.FAKE, '--null'))
        with open(cls.path('c.yaml'), 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(space=cls.SPACE, trainer=trainer, strategy=cls.STRATEGY,
                                     share=0.25 if cls.STRATEGY == 'reinforce' else 0))
        done = cls.call('search', 'c.yaml', '--run', 'r', '--quiet')
        assert done.returncode == 0, done.stderr

    def best(self):
        return json.loads(self.good('export', 'r'))['architecture']

    def test_check_tells_the_size(self):
        self.assertIn(self.SIZE, self.good('check', 'c.yaml'))

    def test_status_and_explain(self):
        self.assertIn('60', self.good('status', 'r'))
        rows = list(csv.DictReader(io.StringIO(self.good('trials', 'r', '--format', 'csv'))))
        self.assertEqual(len(rows), 60)
        told = self.good('explain', 'r', '17')
        self.assertIn('%-6s  %s' % (self.HEADING, rows[17]['layers']), told)
        self.assertIn('  %s\n' % self.HEADING, self.good('trials', 'r'))

    def test_trials_differ_and_agree_with_the_export(self):
        rows = json.loads(self.good('trials', 'r', '--format', 'json'))
        self.assertGreater(len({tuple(row['architecture']['tokens']) for row in rows}), 40)
        one = json.loads(self.good('export', 'r', '--trial', '3'))
        self.assertEqual(one['architecture'], rows[3]['architecture'])

    def test_exports(self):
        dot = self.good('export', 'r', '--format', 'dot')
        self.assertTrue(dot.startswith('digraph cell {\n') and dot.endswith('}\n'))
        self.assertIn('next h', dot)
        picture = ElementTree.fromstring(self.good('export', 'r', '--format', 'svg'))
        labels = [text.text for text in picture.iter('{http://www.w3.org/2000/svg}text')]
        self.assertIn('last h', labels)
        self.assertGreater(len(labels), 4)
        self.assertIn('next h = ', self.good('export', 'r', '--format', 'equations'))

    def test_replay(self):
        self.good('replay', 'r')

    def test_simulate(self):
        self.assertIn('60', self.good('simulate', 'c.yaml', '--workers', '4'))

    def test_built_in_trainer_is_refused(self):
        self.refused(['check', 'c.yaml', '--set', 'trainer.command=[]'], 'space.name: ')


class PerStep(Cells):
    SPACE = '{name: rnn-dag, nodes: 12, activations: [tanh, sigmoid, relu]}'
    STRATEGY, SIZE, HEADING = 'reinforce', '10^13.3 architectures of 12 nodes', 'nodes'

    def test_nodes(self):
        found = self.best()
        nodes = found['nodes']
        self.assertEqual(len(nodes), 12)
        self.assertEqual(len(found['tokens']), 23)
        for j, node in enumerate(nodes):
            self.assertIn(node['activation'], ('tanh', 'sigmoid', 'relu'))
            self.assertIn(node['previous'], range(j) if j else [-1])


class Attention(PerStep):
    SPACE = PerStep.SPACE.replace('}', ', decisions: attention}')


class Tree(Cells):
    SPACE, STRATEGY = '{name: rnn-tree}', 'reinforce'
    SIZE, HEADING = '10^16.8 architectures of 8 leaves', 'leaves'

    def test_nodes(self):
        found = self.best()
        self.assertEqual(len(found['nodes']), 15)
        self.assertEqual(len(found['tokens']), 34)
        self.assertLess(max(found['memory'], found['injected']), 15)


class Random(Tree):
    STRATEGY = 'random'


class Refusals(commands.Case):
    """Configurations of cells that cannot be, and what images have no equations."""

    def test_wrong_keys(self):
        self.write_config('c.yaml', '--null')
        dag = ['check', 'c.yaml', '--set', 'space.name=rnn-dag', '--set']
        self.refused(dag + ['space.nodes=33'], 'space.nodes', 'from 1 to 32')
        self.refused(dag + ['space.activations=[tanh, tan]'], 'space.activations',
                     'tanh, relu, identity or sigmoid')
        self.refused(dag + ['space.activations=tanh'], 'a list, each entry once')
        self.refused(dag + ['space.activations=[tanh, tanh]'], 'tanh stands twice')
        self.refused(dag + ['space.decisions=hierarchical'], 'per-step or attention')
        self.refused(['check', 'c.yaml', '--set', 'space.name=rnn-tree', '--set',
                      'space.base=1'], 'space.base', 'from 2 to 32')

    def test_chains_have_no_equations(self):
        self.write_config('c.yaml', '--null', trials=4)
        self.good('search', 'c.yaml', '--run', 'r', '--quiet')
        self.refused(['export', 'r', '--format', 'equations'], 'the space is conv-chain')


class Text(commands.Case):
    """A task of text: what check finds in the files, refusals, a search over cells."""

    @classmethod
    def prepare(cls):
        cls.write('train.txt', 'the cat sat on the mat\n\nthe dog sat\n' * 20)
        cls.write('valid.txt', 'the bird sat\n')
        cls.write('test.txt', 'a mat\n')
        cls.write('c.yaml', CONFIG.format(
            space='{name: rnn-dag, nodes: 4}', trainer=json.dumps(commands.FAKE) + ', --null',
            strategy='reinforce', share=0.25).replace(
                'image-classification, data: {format: generated, images: 240}',
                'language-model, data: {format: text, path: %s}' % cls.folder))

    @classmethod
    def write(cls, name, text):
        with open(cls.path(name), 'w', encoding='utf-8') as file:
            file.write(text)

    def test_check_counts_words(self):
        text = self.good('check', 'c.yaml')
        self.assertIn('# data       8 different words: 240 for training, 4 for validation, 3 '
                      'for test\n', text)
        self.assertIn('by FLOPs of a word (forward)', text)
        self.assertNotIn('whiten', text)
        text = self.good('check', 'c.yaml', '--set', 'task.data.vocabulary=4')
        self.assertIn('# data       4 different words', text)

    def test_check_tells_the_entropy_of_generated_text(self):
        text = self.good('check', 'c.yaml', '--set', 'task.data.format=generated-text',
                         '--set', 'task.data.words=2000')
        self.assertIn('2000 for training, 200 for validation, 200 for test\n', text)
        self.assertRegex(text, r'# entropy    1\.\d{4} nats a word: no perplexity below \d')

    def test_contradictions(self):
        def check(*settings):
            return ['check', 'c.yaml'] + [w for s in settings for w in ('--set', s)]
        self.refused(check('task.data.format=idx'), 'language-model needs text')
        self.refused(check('task.kind=image-classification'), 'needs images')
        self.refused(check('task.train=100'), 'its files say')
        self.refused(check('task.data.vocabulary=1'), 'nothing but <unk>')
        self.refused(check('trainer.command=[]'), 'recurrent cells are trained without')

    def test_search(self):
        self.good('search', 'c.yaml', '--run', 'r', '--quiet')
        self.good('replay', 'r')
        one = json.loads(self.good('export', 'r'))
        self.assertEqual(len(one['architecture']['nodes']), 4)


if __name__ == '__main__':
    commands.ARCHWAY, commands.FAKE = map(os.path.abspath, sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
