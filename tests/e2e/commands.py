#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The commands that look at runs, data and configurations, over small runs.

Usage: commands.py ARCHWAY FAKE_TRAINER SOURCE_ROOT MAN_PAGE COMPLETION CASE
(a CASE is a class below)

Only the standard library. Everything happens in a temporary folder that is removed.
"""
import csv
import gzip
import io
import json
import os
import pty
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

ARCHWAY = FAKE = ROOT = MAN = COMPLETION = None
CONFIG = """
name: small
seed: 3
task: {{kind: image-classification, data: {{format: generated, images: 240}}}}
space: {{name: conv-chain, layers: {layers}, filters: [24, 36], strides: [1, 2]}}
trainer: {{command: [{trainer}]}}
search: {{strategy: reinforce, trials: {trials}, batch: 8}}
control: {{share: 0.25}}
run: {{mode: sync, retries: 0, slots: 2}}
resources: {{oversubscribe: true}}
"""


class Case(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix='aw', dir='/tmp')
        cls.prepare()

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder, ignore_errors=True)

    @classmethod
    def prepare(cls):
        """What the tests of the class share."""

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    @classmethod
    def call(cls, *words):
        return subprocess.run([ARCHWAY] + list(words), cwd=cls.folder, timeout=100,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, env=dict(os.environ, TMPDIR=cls.folder))

    @classmethod
    def write_config(cls, name, *trainer, trials=40, layers=2):
        words = ', '.join(json.dumps(w) for w in (FAKE,) + trainer)
        with open(cls.path(name), 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(trainer=words, trials=trials, layers=layers))

    def good(self, *words, status=0):
        done = self.call(*words)
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(done.stderr, b'')
        return done.stdout.decode()

    def refused(self, words, *parts):
        """One line on standard error, nothing on standard output, nothing on disk."""
        before = self.tree()
        done = self.call(*words)
        text = done.stderr.decode()
        self.assertEqual(done.returncode, 2, text)
        self.assertEqual(done.stdout, b'')
        self.assertTrue(text.startswith('archway: error: '), text)
        self.assertEqual(text.count('\n'), 1, text)
        for part in parts:
            self.assertIn(part, text)
        self.assertEqual(self.tree(), before)

    def tree(self):
        found = {}
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                state = os.stat(path)
                found[path] = (state.st_mtime_ns, state.st_size)
        return found


class Runs(Case):
    """status, trials, export, replay of a finished run with failures and duplicates."""

    @classmethod
    def prepare(cls):
        cls.write_config('c.yaml', '--null', '--fail-every', '9', layers=1)
        done = cls.call('search', 'c.yaml', '--run', 'r', '--quiet')
        assert done.returncode == 0, done.stderr

    def rows(self, *words):
        text = self.call('trials', 'r', '--format', 'csv', *words).stdout.decode()
        self.assertTrue(text.endswith('\r\n'))
        return list(csv.DictReader(io.StringIO(text, newline='')))

    def test_errors(self):
        self.refused(['trials'], 'usage: archway trials DIR')
        self.refused(['trials', 'nope'], "run folder 'nope' does not exist")
        self.refused(['status', 'c.yaml'], 'is not a run: it is not a folder')
        self.refused(['replay', '.'], 'is not a run: it holds no config.yaml')
        self.refused(['trials', 'r', '--sort', 'metrik'], "did you mean 'metric'?",
                     'Allowed: id, metric, reward')
        self.refused(['trials', 'r', '--sort', 'qqqqqqqq'], 'Allowed: id, metric')
        self.refused(['trials', 'r', '--top', '0'], 'a whole number from 1 to')
        self.refused(['trials', 'r', '--arm', 'random'], 'allowed: search|control')
        self.refused(['trials', 'r', '--state', 'dnoe'], "did you mean 'done'?")
        self.refused(['export', 'r', '--trial', '40'], 'the trials of r are 0 to 39')
        self.refused(['export', 'r', '--trial', '-1'], 'the trials of r are 0 to 39')
        self.refused(['export', 'r', '--format', 'onnx'], 'allowed: json|svg|dot|equations')
        self.refused(['status', 'r', '--format', 'xml'], 'allowed: text|json')
        self.refused(['help', 'trails'], "did you mean 'trials'?")

    def test_status(self):
        text = self.good('status', 'r')
        for part in ('r: finished (', 'trials      40 of 40 (100 %): ', ' saved, ', ' failed',
                     'best        ', 'last 50     search ', 'throughput  ', 'slots       2',
                     'Was it worth it?', 'Hours (core time): trained '):
            self.assertIn(part, text)
        one = json.loads(self.good('status', 'r', '--format', 'json'))
        rows = self.rows()
        self.assertEqual(one['state'], 'finished')
        self.assertFalse(one['resumable'])
        self.assertEqual(one['trials']['over'], 40)
        for state in ('done', 'saved', 'failed', 'queued', 'running'):
            self.assertEqual(one['trials'][state],
                             sum(r['state'] == state for r in rows), state)
        self.assertGreater(one['trials']['saved'], 0)
        self.assertGreater(one['trials']['failed'], 0)
        best = max((r for r in rows if r['state'] == 'done'), key=lambda r: float(r['metric']))
        self.assertEqual(one['best']['metric'], float(best['metric']))
        self.assertEqual(one['seconds_left'], 0)
        self.assertIn(one['comparison']['verdict'], ('cannot-tell', 'better', 'worse'))

    def test_table(self):
        lines = self.good('trials', 'r').splitlines()
        self.assertEqual(lines[0].split(), ['trial', 'arm', 'state', 'metric', 'reward',
                                            'seconds', 'params', 'flops', 'layers'])
        rows = [line.split() for line in lines[1:] if line[6:8] == '  ' and line[:6].strip()]
        self.assertEqual([int(r[0]) for r in rows], list(range(40)))
        self.assertLessEqual(max(map(len, lines)), 80)
        top = self.good('trials', 'r', '--top', '3').splitlines()
        self.assertEqual(len(top), 4)
        values = [float(line.split()[3]) for line in top[1:]]
        self.assertEqual(values, sorted(values, reverse=True))
        self.assertEqual(self.good('trials', 'r', '--state', 'queued'), 'No trial fits.\n')
        self.assertIn('told to fail', self.good('trials', 'r', '--state', 'failed'))

    def test_failed(self):
        self.write_config('f.yaml', '--null', '--exit-every', '7', '--complaint',
                          'disk on fire\nValueError: oh', layers=1)
        self.call('search', 'f.yaml', '--run', 'f', '--quiet')
        text = self.good('trials', 'f', '--failed')
        self.assertIn('trial 6 (search): exit after 1 attempts, the last on rank 1', text)
        self.assertIn('    the trainer ended with exit status 3: ValueError: oh\n'
                      '    | disk on fire\n    | ValueError: oh\n', text)
        self.assertEqual(len(text.split('\ntrial ')), 5)
        table = self.good('trials', 'f', '--state', 'failed')
        self.assertIn('ValueError: oh', table)
        self.assertNotIn('| disk', table)
        self.assertEqual(self.good('trials', 'r', '--failed', '--top', '1').count('told'), 1)

    def test_explain(self):
        self.refused(['explain', 'nope'], "run folder 'nope' does not exist")
        self.refused(['explain', 'r', '40'], 'r has 40 trials')
        self.refused(['explain', 'r', 'rank-9'], 'no rank 9')
        for word in ('x', '1.5', 'rank-', 'rank-x', 'rank-99999999999'):
            self.refused(['explain', 'r', word], 'neither the number of a trial nor a rank')
        text = self.good('explain', 'r')
        self.assertIn('r: finished: all trials are done', text)
        self.assertRegex(text, 'rank 1 on .*: 2 slots, 0 running, [0-9]+ done, [0-9]+ failed')
        rows = self.rows()
        first = {state: next(r for r in rows if r['state'] == state)
                 for state in ('done', 'saved', 'failed')}
        done = self.good('explain', 'r', first['done']['trial'])
        self.assertIn(': trained by attempt 1 on rank 1', done)
        self.assertIn('proposed by the', done)
        self.assertIn('answered by trial %s,' % first['saved']['same_as'],
                      self.good('explain', 'r', first['saved']['trial']))
        failed = self.good('explain', 'r', first['failed']['trial'])
        self.assertIn('failed for good (trainer) after 1 attempts (run.retries: 0): told to '
                      'fail', failed)
        self.assertIn('attempt 1 failed on rank 1', failed)
        control = next(r for r in rows if r['arm'] == 'control')
        self.assertIn('drawn at random', self.good('explain', 'r', control['trial']))
        rank = self.good('explain', 'r', 'rank-1')
        self.assertIn('idle: the run is finished', rank)

    def test_csv(self):
        rows = self.rows()
        self.assertEqual(len(rows), 40)
        self.assertEqual([int(r['trial']) for r in rows], list(range(40)))
        for r in rows:
            self.assertEqual(len(r), 29)
            self.assertEqual((r['kind'], r['step'], r['part']), ('train_child', '', ''))
            self.assertNotIn(None, r)
            self.assertEqual(r['metric'] == '', r['state'] == 'failed')
            self.assertEqual(r['same_as'] != '', r['state'] == 'saved')
            self.assertEqual(r['failure'], 'trainer' if r['state'] == 'failed' else '')
        metrics = [float(r['metric']) for r in self.rows('--sort', 'metric', '--state', 'done')]
        self.assertEqual(metrics, sorted(metrics, reverse=True))
        again = [float(r['metric']) for r in
                 self.rows('--sort', 'metric', '--state', 'done', '--reverse')]
        self.assertEqual(again, sorted(metrics))
        every = self.rows('--sort', 'metric')
        self.assertEqual(every[-1]['state'], 'failed')
        self.assertEqual(self.rows('--sort', 'metric', '--reverse')[-1]['state'], 'failed')
        self.assertEqual({r['arm'] for r in self.rows('--arm', 'control')}, {'control'})
        self.assertEqual(len(self.rows('--arm', 'control')), 10)

    def test_json(self):
        listed = json.loads(self.good('trials', 'r', '--format', 'json'))
        self.assertEqual([t['trial'] for t in listed], list(range(40)))
        self.assertNotIn('curve', listed[0])
        self.assertEqual(len(listed[0]['architecture']['layers']), 1)
        curves = json.loads(self.good('trials', 'r', '--format', 'json', '--curves'))
        self.assertIn('curve', curves[0])
        self.assertEqual(json.loads(self.good('trials', 'r', '--format', 'json', '--state',
                                              'queued')), [])

    def test_export(self):
        best = json.loads(self.good('export', 'r'))
        top = json.loads(self.good('trials', 'r', '--top', '1', '--format', 'json'))
        self.assertEqual(best['trial'], top[0]['trial'])
        self.assertEqual(json.loads(self.good('export', 'r', '--trial', '8'))['state'], 'failed')
        self.assertTrue(self.good('export', 'r', '--format', 'dot').startswith('digraph'))
        self.assertEqual(self.good('export', 'r', '--trial', '0', '--output', 'o.json'), '')
        with open(self.path('o.json'), encoding='utf-8') as file:
            self.assertEqual(json.load(file)['trial'], 0)
        self.assertEqual(self.call('export', 'r', '--output', 'no/o.json').returncode, 1)

    def test_replay(self):
        text = self.good('replay', 'r')
        self.assertIn('40 decisions made again', text)
        self.assertIn('Every decision is the same.', text)
        self.assertIn('equals that of the snapshot', text)

    def test_replay_of_a_cut_journal(self):
        shutil.copytree(self.path('r'), self.path('other'))
        with open(self.path('other/journal'), 'rb') as file:
            data = file.read()
        for name in ('snapshot.h5', 'snapshot.prev.h5'):
            if os.path.exists(self.path('other/' + name)):
                os.unlink(self.path('other/' + name))
        with open(self.path('other/journal'), 'wb') as file:
            file.write(data[:len(data) - 7])  # cut in the last record, as by a kill
        text = self.good('replay', 'other')
        self.assertIn('There is no readable snapshot', text)
        self.assertIn('not complete, as a kill leaves it', text)

    def test_replay_finds_a_difference(self):
        """The journal of a run, made to say that it began with another seed."""
        shutil.copytree(self.path('r'), self.path('changed'))
        name = self.path('changed/journal')
        with open(name, 'rb') as file:
            data = bytearray(file.read())
        at = 16  # behind the file's header; frames are size, type, CRC-32, payload
        while b'\nseed: 3\n' not in data[at:at + 12 + int.from_bytes(data[at:at + 4], 'little')]:
            at += 12 + int.from_bytes(data[at:at + 4], 'little')
        end = at + 12 + int.from_bytes(data[at:at + 4], 'little')
        payload = bytes(data[at + 12:end]).replace(b'\nseed: 3\n', b'\nseed: 4\n')
        crc = zlib.crc32(bytes(data[at:at + 8]) + payload)
        data[at + 8:end] = crc.to_bytes(4, 'little') + payload
        with open(name, 'wb') as file:
            file.write(data)
        text = self.good('replay', 'changed', status=1)
        self.assertIn('40 of 40 differ, the first is that of trial 0.', text)
        self.assertIn('First difference: ', text)

    def test_full_disk(self):
        with open('/dev/full', 'w', encoding='utf-8') as full:
            done = subprocess.run([ARCHWAY, 'trials', self.path('r')], stdout=full,
                                  stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)
        self.assertIn(b'cannot write to standard output', done.stderr)


class Live(Case):
    """A run that is going on, is watched, is killed."""

    def wait_running(self):
        for _ in range(200):
            done = self.call('status', 'r', '--format', 'json')
            if done.returncode == 0:
                one = json.loads(done.stdout)
                if one['trials']['over'] >= 3:
                    return one
            time.sleep(0.05)
        self.fail('the run did not start')

    def test_life(self):
        self.write_config('c.yaml', '--sleep', '100', trials=2000)
        run = subprocess.Popen([ARCHWAY, 'search', 'c.yaml', '--run', 'r', '--quiet'],
                               cwd=self.folder, stdin=subprocess.DEVNULL)
        try:
            one = self.wait_running()
            self.assertEqual(one['state'], 'running')
            self.assertIn('pid %d' % run.pid, one['holder'])
            self.assertLessEqual(one['busy'], one['slots'])
            self.assertEqual(one['slots'], 2)
            self.assertGreater(one['seconds_left'], 1)
            self.assertGreater(one['trials_per_second'], 0)
            self.assertIn(' of 2 busy', self.good('status', 'r'))
            self.watch(run)
        finally:
            run.kill()
            run.wait()
        one = json.loads(self.good('status', 'r', '--format', 'json'))
        self.assertEqual((one['state'], one['resumable']), ('killed', True))
        self.assertIn('archway resume r', self.good('status', 'r'))
        self.good('replay', 'r')
        self.call('resume', 'r', '--time-limit', '0.5', '--quiet')
        text = self.good('status', 'r')
        self.assertIn('stopped early (', text)
        self.assertIn(' in 2 sessions', text)

    def watch(self, run):
        """On a terminal: repeats, and Ctrl-C ends it with status 0."""
        leader, follower = pty.openpty()
        watch = subprocess.Popen([ARCHWAY, 'status', 'r', '--watch'], cwd=self.folder,
                                 stdin=subprocess.DEVNULL, stdout=follower)
        os.close(follower)
        seen = b''
        until = time.monotonic() + 20
        while seen.count(b'\033[H') < 2 and time.monotonic() < until:
            seen += os.read(leader, 65536)
        watch.send_signal(signal.SIGINT)
        self.assertEqual(watch.wait(timeout=10), 0)
        os.close(leader)
        self.assertEqual(seen.count(b'running on'), seen.count(b'\033[H'))


def write_idx(path, count, labels):
    with gzip.open(path, 'wb') as file:
        if labels:
            file.write(struct.pack('>II', 0x801, count) + bytes(i % 10 for i in range(count)))
        else:
            file.write(struct.pack('>IIII', 0x803, count, 8, 8) +
                       bytes(i % 251 for i in range(count * 64)))


class Setup(Case):
    """init and check."""

    @classmethod
    def prepare(cls):
        os.mkdir(cls.path('My Data'))
        for part, count in (('train', 120), ('t10k', 20)):
            write_idx(cls.path('My Data/%s-images-idx3-ubyte.gz' % part), count, False)
            write_idx(cls.path('My Data/%s-labels-idx1-ubyte.gz' % part), count, True)
        cls.write_config('external.yaml', '--null')

    def test_errors(self):
        self.refused(['init', 'nope'], "'nope' is no folder that can be read")
        self.refused(['init', '/etc'], 'holds no data that is known')
        self.refused(['init', 'My Data', '--output', 'external.yaml'], '--force replaces it')
        self.refused(['check', 'nope.yaml'], 'nope.yaml')
        self.refused(['check', 'external.yaml', '--set', 'search.trails=3'],
                     'search.trails: unknown key', "'trials'")
        self.refused(['check', 'external.yaml', '--set', 'search.batch=0'], 'search.batch')
        self.refused(['check', 'external.yaml', '--set', 'trainer.command=[]', '--set',
                      'task.data.format=idx', '--set', 'task.data.path=nope'], 'nope')

    def test_init(self):
        text = self.good('init', 'My Data', '--output', 'i.yaml')
        self.assertIn('120 images of 8 x 8 x 1 in 10 classes (format idx), 20 more for test',
                      text)
        self.assertIn('archway search i.yaml', text)
        with open(self.path('i.yaml'), encoding='utf-8') as file:
            written = file.read()
        self.assertIn('name: My-Data\n', written)
        self.assertIn('# Seed of every random choice', written)
        self.assertIn('path: "%s"\n' % self.path('My Data'), written)
        checked = self.good('check', 'i.yaml', '--no-timing')
        self.assertIn('# data       8 x 8 x 1, 10 classes: 100 for training, 20 for validation, '
                      '20 for test', checked)
        self.refused(['init', 'My Data', '--output', 'i.yaml'], "'i.yaml' exists")
        self.good('init', 'My Data', '--output', 'i.yaml', '--force')

    def test_init_of_a_text(self):
        os.mkdir(self.path('words'))
        for name, count in (('train', 3000), ('valid', 800), ('test', 800)):
            with open(self.path('words/%s.txt' % name), 'w', encoding='utf-8') as file:
                file.write('a b c\n' * (count // 4))
        text = self.good('init', 'words', '--output', 't.yaml')
        self.assertIn('3000 words of text to train on, 800 for validation, 800 for test; 4 '
                      'different ones', text)
        with open(self.path('t.yaml'), encoding='utf-8') as file:
            written = file.read()
        self.assertIn('kind: language-model\n', written)
        self.assertIn('name: rnn-dag\n', written)
        self.assertIn('metric: val_perplexity\n', written)
        self.assertIn('# data       4 different words: 3000 for training',
                      self.good('check', 't.yaml'))
        self.good('search', 't.yaml', '--run', 'words-run', '--quiet', '--set',
                  'search.trials=1', '--set', 'trainer.builtin.hidden=4', '--set',
                  'trainer.builtin.batch=8', '--set', 'control.share=0', '--set',
                  'resources.oversubscribe=true')

    def test_check(self):
        text = self.good('check', 'external.yaml', '--set', 'trainer.command=[]',
                         '--set', 'space.grow={every: 10, by: 2}', '--max-trials', '40')
        for part in ('\n    trials: 40\n', '# Findings', 'growing to 10^', ' of 8 layers',
                     'smallest', 'median', 'largest', 'images/s', '# A random trial takes about',
                     'The 40 trials take', 'on 1 slot ', 'on 2 slots'):
            self.assertIn(part, text)
        self.assertLessEqual(max(map(len, text.splitlines())), 100)
        # The whole output is a configuration, and means the same.
        with open(self.path('again.yaml'), 'w', encoding='utf-8') as file:
            file.write(text)
        again = self.good('check', 'again.yaml', '--no-timing')
        self.assertEqual(again.split('# Findings')[0], text.split('# Findings')[0])

    def test_external_trainer(self):
        text = self.good('check', 'external.yaml')
        self.assertIn('The trainer is a program of your own', text)
        self.assertNotIn('images/s', text)
        self.assertEqual(text, self.good('check', 'external.yaml', '--no-timing'))


class Pages(Case):
    """Help, manual page, completion, and the reference pages in docs/."""

    def complete(self, *words):
        script = ('. "$0"; COMP_WORDS=("$@"); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); '
                  '_archway 2>/dev/null; printf "%s\\n" "${COMPREPLY[@]}"')
        done = subprocess.run(['bash', '-c', script, COMPLETION] + list(words),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=self.folder)
        self.assertEqual((done.returncode, done.stderr), (0, b''))
        return done.stdout.decode().split()

    def test_help(self):
        self.assertEqual(self.good('help'), self.good('--help'))
        for name in ('init', 'check', 'doctor', 'launch', 'slurm', 'search', 'resume', 'status', 'trials', 'export',
                     'replay', 'help'):
            self.assertIn('\n  %-11s ' % name, self.good('help'))
            text = self.good(name, '--help')
            self.assertTrue(text.startswith('Usage: archway %s ' % name))
            self.assertEqual(text, self.good('help', name))

    def test_docs_are_fresh(self):
        for name in ('commands', 'configuration'):
            with open(os.path.join(ROOT, 'docs', name + '.md'), encoding='utf-8') as file:
                self.assertEqual(file.read(), self.good('--' + name),
                                 'stale: run archway --%s > docs/%s.md' % (name, name))

    def test_manual(self):
        with open(MAN, encoding='utf-8') as file:
            self.assertEqual(file.read(), self.good('--man'))
        if not shutil.which('groff'):
            self.skipTest('groff is not installed')
        done = subprocess.run(['groff', '-man', '-ww', '-Tutf8', MAN], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
        self.assertEqual((done.returncode, done.stderr), (0, b''))
        self.assertIn(b'archway trials', done.stdout)

    def test_completion(self):
        self.assertEqual(self.complete('archway', 'se'), ['search'])
        self.assertIn('--version', self.complete('archway', '--'))
        self.assertEqual(self.complete('archway', 'trials', 'r', '--fo'), ['--format'])
        self.assertEqual(self.complete('archway', 'trials', 'r', '--format', ''),
                         ['table', 'csv', 'json'])
        self.assertEqual(self.complete('archway', 'trials', '--format', '=', 'j'), ['json'])
        self.assertEqual(self.complete('archway', 'search', 'c', '--set', 'search.str'),
                         ['search.strategy='])
        self.assertEqual(self.complete('archway', 'search', '--set', 'run.mode', '=', 'a'),
                         ['async'])
        self.assertEqual(self.complete('archway', 'help', 'st'), ['status'])
        os.makedirs(self.path('runs'), exist_ok=True)
        self.assertEqual(self.complete('archway', 'status', 'ru'), ['runs'])


if __name__ == '__main__':
    if len(sys.argv) != 7:
        sys.exit(__doc__)
    ARCHWAY, FAKE, ROOT, MAN, COMPLETION = map(os.path.abspath, sys.argv[1:6])
    unittest.main(argv=[sys.argv[0], sys.argv[6]])
