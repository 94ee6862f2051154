#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs of the program archway as people meet them: with and without mpirun, killed,
resumed, interrupted, with trainers that misbehave.

Usage: runs.py ARCHWAY FAKE_TRAINER COMPARE_RUNS CASE...    (a CASE is a class below)

Only the standard library. Everything happens in a temporary folder that is removed, with
the mpirun sessions and prepared data in it; every process is ended by its id.
"""
import json
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import zlib

ARCHWAY = FAKE = COMPARE = None
CONFIG = """
name: e2e
seed: {seed}
task: {{kind: image-classification, data: {{format: generated}}}}
space: {{name: conv-chain, layers: {layers}}}
trainer: {{command: [{trainer}]}}
search: {{strategy: reinforce, trials: {trials}, batch: 8}}
control: {{strategy: random, share: 0.1}}
run: {{mode: {mode}, snapshot_every: 0.2s}}
"""


class RunCase(unittest.TestCase):
    """A temporary folder, an environment for mpirun, and ways to start the program."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='aw', dir='/tmp')
        self.environment = dict(os.environ, TMPDIR=self.folder)
        if os.getuid() == 0:
            self.environment.update(OMPI_ALLOW_RUN_AS_ROOT='1',
                                    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')
        self.started = []

    def tearDown(self):
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()
            for stream in (process.stdout, process.stderr):
                if stream:
                    stream.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def config(self, *trainer, trials=40, mode='sync', layers=4, seed=11, extra=''):
        words = ', '.join(json.dumps(word) for word in (FAKE,) + trainer)
        name = self.path('config%d.yaml' % len(os.listdir(self.folder)))
        with open(name, 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(trainer=words, trials=trials, mode=mode, layers=layers,
                                     seed=seed) + extra)
        return name

    def start(self, *arguments, ranks=0, options=()):
        command = [ARCHWAY] + list(arguments)
        if ranks:
            command = ['mpirun', '--oversubscribe', '-n', str(ranks)] + list(options) + command
        process = subprocess.Popen(command, env=self.environment, cwd=self.folder,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.started.append(process)
        return process

    def archway(self, *arguments, ranks=0, options=(), status=0, timeout=60):
        process = self.start(*arguments, ranks=ranks, options=options)
        out, errors = process.communicate(timeout=timeout)
        if status is not None:
            self.assertEqual(process.returncode, status, out + errors)
        return out, errors

    def exit_json(self, run):
        with open(self.path(run) + '/exit.json', encoding='utf-8') as file:
            return json.load(file)

    def events(self, run):
        with open(self.path(run) + '/log.jsonl', encoding='utf-8') as file:
            return [json.loads(line) for line in file]

    def wait_for(self, run, event, timeout=30):
        """Until log.jsonl, which is flushed once a second, has an event."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            try:
                if any(e['event'] == event for e in self.events(run)):
                    return
            except (OSError, ValueError):
                pass
            time.sleep(0.05)
        self.fail('%s: no event %s within %d s' % (run, event, timeout))

    def wait_for_exit(self, run, timeout=40):
        """Until the master has ended: mpirun may not, once a rank was lost."""
        until = time.monotonic() + timeout
        while not os.path.exists(self.path(run + '/exit.json')):
            self.assertLess(time.monotonic(), until)
            time.sleep(0.05)

    def assert_same(self, *runs):
        done = subprocess.run([COMPARE] + [self.path(run) for run in runs], text=True,
                              stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stdout)

    def assert_replays(self, run):
        done = subprocess.run([COMPARE, '--verify', self.path(run)], text=True,
                              stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 0, done.stdout)

    def assert_no_trainer(self):
        left = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/cmdline' % pid, 'rb') as file:
                    words = file.read().split(b'\0')
                with open('/proc/%s/environ' % pid, 'rb') as file:
                    ours = os.fsencode('TMPDIR=' + self.folder) in file.read().split(b'\0')
            except OSError:
                continue
            if ours and words and words[0] == os.fsencode(FAKE):
                left.append(pid)
        self.assertEqual(left, [])


class BuiltinCase(RunCase):
    """With the built-in trainer, on little data."""

    def builtin(self, trials=6):
        words = (('--set', 'trainer.command=[]'), ('--set', 'trainer.builtin.epochs=2'),
                 ('--set', 'reward.last_epochs=1'), ('--set', 'space.filters=[8, 12]'),
                 ('--set', 'space.strides=[2]'), ('--set', 'space.layers=2'),
                 ('--set', 'search.batch=4'), ('--set', 'resources.oversubscribe=true'),
                 ('--set', 'task.data.images=600'), ('--set', 'task.train=400'),
                 ('--set', 'task.validation=200'), ('--set', 'run.cache=' + self.folder))
        return ('search', self.config('--null', trials=trials)) + sum(words, ())

    def kernels_of(self, run):
        """Of each trial, in order."""
        out, _ = self.archway('trials', run, '--format', 'json')
        return [trial['kernels'] for trial in json.loads(out)]

    def usable(self):
        """Kernels of this machine, the fastest first."""
        _, errors = self.archway('check', self.config('--null'), '--no-timing', '--set',
                                 'trainer.command=[]', '--set', 'trainer.builtin.kernels=avx512',
                                 status=None)
        words = errors.split('can be used is: ')
        return words[1].split(' (')[0].split() if len(words) > 1 else ['avx512', 'avx2',
                                                                        'generic']


class History(BuiltinCase):
    """mode sync: the same history, whoever trains."""

    def test_the_builtin_trainer_gives_the_same_bits_everywhere(self):
        for kernels in self.usable():
            search = self.builtin(12) + ('--set', 'trainer.builtin.kernels=' + kernels,
                                         '--quiet', '--run')
            runs = [kernels + name for name in ('alone', 'ranks', 'slots', 'crowd')]
            self.archway(*search, runs[0], '--slots', '1')
            self.archway(*search, runs[1], '--slots', '1', ranks=3)
            self.archway(*search, runs[2], '--slots', '2', ranks=2)
            self.archway(*search, runs[3], '--slots', '3', ranks=3) # 6 trials at a time
            self.assert_same(*runs)
            for run in runs:
                self.assertEqual(set(self.kernels_of(run)), {kernels})
                self.assert_replays(run)

    def test_any_number_of_workers(self):
        config = self.config('--null', trials=200)
        self.archway('search', config, '--run', 'alone', '--quiet')
        runs = ['alone']
        for workers in (1, 2, 4):
            runs.append('workers%d' % workers)
            self.archway('search', config, '--run', runs[-1], '--quiet', '--set',
                         'resources.oversubscribe=true', ranks=workers + 1)
        self.assert_same(*runs)
        for run in runs:
            self.assert_replays(run)

    def test_another_seed_is_another_history(self):
        self.archway('search', self.config('--null', seed=1), '--run', 'a', '--quiet')
        self.archway('search', self.config('--null', seed=2), '--run', 'b', '--quiet')
        done = subprocess.run([COMPARE, self.path('a'), self.path('b')],
                              stdout=subprocess.PIPE)
        self.assertEqual(done.returncode, 1)

    def test_async_replays(self):
        config = self.config('--null', trials=300, mode='async')
        self.archway('search', config, '--run', 'run', '--quiet', ranks=3)
        self.assert_replays('run')

    def test_extended_run_equals_a_longer_one(self):
        self.archway('search', self.config('--null', trials=60), '--run', 'long', '--quiet')
        self.archway('search', self.config('--null', trials=40), '--run', 'short', '--quiet')
        self.archway('resume', 'short', '--trials', '+20', '--quiet')
        self.assert_same('long', 'short')


class Kills(RunCase):
    """SIGKILL at any moment costs nothing but time."""

    def told(self, run):
        """{id: what its result was} of the trials that the strategy was told of."""
        with open(self.path(run) + '/journal', 'rb') as file:
            data = file.read()
        at, results, told = 16, {}, {}
        while at + 12 <= len(data):
            size, kind, check = struct.unpack_from('<III', data, at)
            payload = data[at + 12:at + 12 + size]
            if len(payload) < size or zlib.crc32(data[at:at + 8] + payload) != check:
                break
            if kind in (5, 6):
                trial = struct.unpack_from('<Q', payload)[0]
                results[trial] = payload if kind == 5 else results.get(trial)
                if kind == 6:
                    told[trial] = results[trial]
            at += 12 + size
        return told

    def assert_nothing_lost(self, run, before):
        now = self.told(run)
        for trial, result in before.items():
            self.assertEqual(now.get(trial), result, 'trial %d' % trial)
        return now

    def kill_until_done(self, config, run, least, ranks=0):
        seed = int(os.environ.get('ARCHWAY_TEST_SEED', time.time_ns() % 1000000))
        print('seed', seed, flush=True)
        moments = random.Random(seed)
        kills, told = 0, {}
        command = ('search', config, '--run', run, '--quiet')
        while True:
            process = self.start(*command, ranks=ranks)
            try:
                process.wait(moments.uniform(0.02, 0.4) if kills < least else 60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                kills += 1
                if os.path.exists(self.path(run) + '/journal'):
                    told = self.assert_nothing_lost(run, told)
            else:
                self.assertEqual(process.returncode, 0, process.stderr.read())
                if kills >= least or command[0] == 'resume':
                    self.assert_nothing_lost(run, told)
                    print('told before the last kill:', len(told))
                    return kills
            has_run = all(os.path.exists(self.path(run) + name)
                          for name in ('/config.yaml', '/journal'))
            command = ('resume', run, '--quiet') if has_run else command

    def test_twenty_kills_end_in_the_undisturbed_history(self):
        config = self.config('--sleep', '40', trials=250)
        self.archway('search', config, '--run', 'calm', '--quiet')
        kills = self.kill_until_done(config, 'killed', 20)
        self.assertGreaterEqual(kills, 20)
        self.assert_same('calm', 'killed')
        self.assert_replays('killed')
        self.assert_no_trainer()

    def test_async_killed_replays(self):
        config = self.config('--sleep', '20', trials=150, mode='async')
        self.kill_until_done(config, 'killed', 8)
        self.assert_replays('killed')

    def test_damaged_snapshots_leave_the_journal(self):
        config = self.config('--null', trials=60)
        self.archway('search', config, '--run', 'a', '--quiet')
        self.archway('search', config, '--run', 'b', '--quiet')
        for name in ('snapshot.h5', 'snapshot.prev.h5'):
            path = self.path('b/' + name)
            if os.path.exists(path):
                with open(path, 'r+b') as file:
                    file.seek(2000)
                    file.write(b'damage')
        out, _ = self.archway('resume', 'b', '--trials', '+20')
        self.assertIn('the whole journal is replayed instead', out)
        self.archway('resume', 'a', '--trials', '+20', '--quiet')
        self.assert_same('a', 'b')

    def test_torn_journal_loses_only_its_end(self):
        config = self.config('--null', trials=60)
        self.archway('search', config, '--run', 'a', '--quiet')
        self.archway('search', config, '--run', 'b', '--quiet')
        for name in ('snapshot.h5', 'snapshot.prev.h5'):
            if os.path.exists(self.path('b/' + name)):
                os.unlink(self.path('b/' + name))
        os.truncate(self.path('b/journal'), os.path.getsize(self.path('b/journal')) * 2 // 3)
        self.archway('resume', 'b', '--quiet')
        self.assert_same('a', 'b')


class Checkpoints(BuiltinCase):
    """What a stop or a kill cuts off goes on where it was, and the history is the same."""

    def slow(self, *words, trials=6, extra='', **more):
        return self.config('--sleep', '1000', '--epochs', '10', '--checkpoints', '--epochs-to',
                           self.path('epochs'), *words, trials=trials, layers=2,
                           extra='resources: {oversubscribe: true}\n' + extra, **more)

    def epochs(self):
        """(trial, epoch) of every epoch that was really run."""
        with open(self.path('epochs'), encoding='utf-8') as file:
            return [tuple(map(int, line.split())) for line in file]

    def wait_for_epochs(self, count):
        until = time.monotonic() + 30
        while not os.path.exists(self.path('epochs')) or len(self.epochs()) < count:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.02)

    def calm(self, config):
        self.archway('search', config, '--run', 'calm', '--quiet', '--slots', '2')
        os.unlink(self.path('epochs'))

    def states(self, run):
        folder = self.path(run + '/checkpoints')
        return sorted(os.listdir(folder)) if os.path.exists(folder) else []

    def trial(self, run, number):
        out, _ = self.archway('trials', run, '--format', 'json', '--curves')
        return json.loads(out)[number]

    def stop(self, config, process, run, number=signal.SIGTERM, status=75):
        started = time.monotonic()
        process.send_signal(number)
        out, errors = process.communicate(timeout=30)
        self.assertEqual(process.returncode, status, out + errors)
        return time.monotonic() - started

    def test_a_stopped_trial_goes_on(self):
        config = self.slow('--save-sleep', '100')
        self.calm(config)
        search = ('search', config, '--run', 'run', '--quiet', '--slots', '2', '--set',
                  'run.checkpoint_every=never')
        process = self.start(*search)
        self.wait_for_epochs(7)
        self.assertLess(self.stop(config, process, 'run'), 5)
        self.assertEqual(self.states('run'), ['0', '1'])
        out, _ = self.archway('status', 'run')
        self.assertRegex(out, 'trial 0 suspended at epoch [3-9], trial 1 suspended at epoch')
        self.assertIn('to go on in the next session', out)
        out, _ = self.archway('trials', 'run')
        self.assertRegex(out, r'\n +suspended at epoch [3-9]\n')
        out, _ = self.archway('explain', 'run', '1')
        self.assertRegex(out, 'trial 1: suspended at epoch [3-9], continues from there')
        self.archway('resume', 'run', '--quiet', '--slots', '2')
        self.assertEqual(sorted(self.epochs()), [(t, e) for t in range(6)
                                                 for e in range(1, 11)])
        self.assert_same('calm', 'run')
        self.assert_replays('run')
        self.assertEqual(self.states('run'), [])
        trial = self.trial('run', 0)
        self.assertEqual(len(trial['curve']), 10)
        self.assertTrue(all(row['val_accuracy'] for row in trial['curve']))
        out, _ = self.archway('explain', 'run', '0')
        self.assertRegex(out, r'(?s)suspended at epoch.*continued at epoch.*done')
        for line in self.archway('trials', 'run', '--format', 'csv')[0].splitlines()[1:]:
            self.assertEqual(line.split(',')[9], '1') # attempts: a suspended one is none

    def test_over_ranks_and_by_the_clock(self):
        config = self.slow(trials=12)
        self.calm(config)
        search = ('search', config, '--run', 'run', '--quiet', '--slots', '2', '--time-limit',
                  '1.6s', '--set', 'run.checkpoint_every=never')
        self.archway(*search, ranks=3, status=75)
        stopped = self.states('run')
        self.assertGreaterEqual(len(stopped), 3)
        self.archway('resume', 'run', '--quiet', '--time-limit', 'none', ranks=3)
        self.assertEqual(len(self.epochs()), len(set(self.epochs())))
        self.assert_same('calm', 'run')
        self.assert_replays('run')
        self.assertEqual(self.states('run'), [])

    def test_a_kill_costs_less_than_two_epochs_a_trial(self):
        config = self.slow()
        self.calm(config)
        process = self.start('search', config, '--run', 'run', '--quiet', '--slots', '2',
                             '--set', 'run.checkpoint_every=1s') # the fake one: every epoch
        self.wait_for_epochs(9)
        process.kill()
        process.wait()
        out, _ = self.archway('status', 'run')
        self.assertRegex(out, 'trial 0 saved at epoch [3-9]')
        self.archway('resume', 'run', '--quiet', '--slots', '2')
        again = len(self.epochs()) - len(set(self.epochs()))
        self.assertLessEqual(again, 2) # run, but not saved yet
        self.assert_same('calm', 'run')
        self.assert_replays('run')

    def test_torn_and_foreign_states_are_begun_anew(self):
        config = self.slow()
        self.calm(config)
        process = self.start('search', config, '--run', 'run', '--quiet', '--slots', '2')
        self.wait_for_epochs(5)
        self.stop(config, process, 'run')
        self.assertEqual(self.states('run'), ['0', '1'])
        os.truncate(self.path('run/checkpoints/0'), 9)
        os.unlink(self.path('run/checkpoints/1'))
        for name in ('5', '0.tmp.4711', '77'):
            shutil.copy(self.path('run/checkpoints/0'), self.path('run/checkpoints/' + name))
        _, errors = self.archway('resume', 'run', '--slots', '2')
        refused = [e for e in self.events('run') if e.get('status') == 'refused']
        self.assertEqual(sorted(e['trial'] for e in refused), [0, 1])
        self.assertIn('no state of this trial', json.dumps(refused))
        self.assertIn('no state of it to be seen', json.dumps(refused))
        self.assert_same('calm', 'run')
        self.assertEqual(self.states('run'), [])

    def test_trainers_that_do_not_save_hold_nothing_up(self):
        for words in (('--save-never',), ('--save-die',), ('--save-garbage',),
                      ('--save-sleep', '60000')):
            shutil.rmtree(self.path('run'), ignore_errors=True)
            config = self.slow(*words, trials=2)
            process = self.start('search', config, '--run', 'run', '--quiet', '--slots', '2',
                                 '--set', 'run.checkpoint_every=never', '--set',
                                 'run.retries=0')
            self.wait_for(('run'), 'first_trial')
            time.sleep(0.3)
            self.assertLess(self.stop(config, process, 'run'), 5)
            self.assert_no_trainer()
            self.archway('resume', 'run', '--quiet', '--slots', '2')
            self.assertEqual(self.trial('run', 0)['state'], 'done')

    def test_switched_off_and_without_support(self):
        for words, setting in ((('--epochs-to',), 'run.checkpoints=false'),
                               ((), 'run.checkpoints=true')):
            trainer = ('--sleep', '1500', '--epochs', '3') + (
                ('--checkpoints',) if words else ())
            shutil.rmtree(self.path('run'), ignore_errors=True)
            config = self.config(*trainer, trials=2, layers=2)
            process = self.start('search', config, '--run', 'run', '--quiet', '--set', setting)
            self.wait_for('run', 'first_trial')
            time.sleep(0.7)
            self.assertLess(self.stop(config, process, 'run'), 3)
            self.assertEqual(self.states('run'), [])
            self.archway('resume', 'run', '--quiet')

    def test_the_example_goes_on(self):
        rings = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                             '../../deploy/trainers/rings.py')
        config = self.config(trials=24, layers=2, extra='resources: {oversubscribe: true}\n')
        search = ('search', config, '--set',
                  'trainer.command=[%s, %s]' % (sys.executable, rings), '--slots', '2',
                  '--quiet', '--set', 'space.filters=[1000]', '--run')
        self.archway(*search, 'calm')
        process = self.start(*search, 'run')
        self.wait_for('run', 'first_trial')
        states = []
        while 'suspended' not in states: # until a stop falls into a trial
            time.sleep(0.4)
            self.assertIsNone(process.poll(), 'no stop fell into a trial')
            self.stop(config, process, 'run', signal.SIGUSR1)
            process = self.start('resume', 'run', '--quiet', '--slots', '2')
            states = [e['status'] for e in self.events('run') if e['event'] == 'checkpoint']
        out, errors = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 0, out + errors)
        states = [e['status'] for e in self.events('run') if e['event'] == 'checkpoint']
        self.assertIn('continued', states)
        self.assertNotIn('refused', states)
        self.assert_same('calm', 'run')

    def test_the_builtin_trainer_gives_the_same_bits(self):
        search = self.builtin(6) + ('--set', 'trainer.builtin.epochs=120', '--quiet', '--slots',
                                    '2', '--run')
        self.archway(*search, 'calm')
        process = self.start(*search, 'run', '--set', 'run.checkpoint_every=0.01s')
        status, sessions = None, 0
        while status != 0:
            try:
                process.wait(0.9)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL if sessions % 2 else signal.SIGTERM)
            out, errors = process.communicate(timeout=30)
            status = process.returncode
            self.assertIn(status, (0, 75, -9), out + errors)
            sessions += 1
            self.assertLess(sessions, 60)
            if status != 0:
                process = self.start('resume', 'run', '--quiet', '--slots', '2')
        print('sessions', sessions)
        self.assertGreater(sessions, 2)
        log = [e for e in self.events('run') if e['event'] == 'checkpoint']
        self.assertTrue(any(e['status'] == 'continued' and e['epoch'] > 0 for e in log))
        self.assertFalse(any(e['status'] == 'refused' for e in log), log)
        self.assert_same('calm', 'run')
        self.assert_replays('run')


class Damage(RunCase):
    """Files that something else changed: said with the byte, the newest state restored,
    nothing thrown away."""

    def setUp(self):
        super().setUp()
        self.search()

    def search(self):
        for run in ('a', 'b'):
            shutil.rmtree(self.path(run), ignore_errors=True)
        self.archway('search', self.config('--null', trials=60), '--run', 'a', '--quiet')
        shutil.copytree(self.path('a'), self.path('b'))
        self.journal = self.path('b/journal')
        self.size = os.path.getsize(self.journal)

    def drop_snapshots(self):
        for name in ('b/snapshot.h5', 'b/snapshot.prev.h5'):
            if os.path.exists(self.path(name)):
                os.unlink(self.path(name))

    def go_on(self, *says):
        """Both runs as far, with the same history."""
        _, errors = self.archway('resume', 'b', '--trials', '80', '--quiet')
        for text in says:
            self.assertIn(text, errors)
        self.archway('resume', 'a', '--trials', '80', '--quiet')
        self.assertEqual(self.exit_json('b')['trials'], 80)
        self.assert_same('a', 'b')
        return errors

    def test_a_journal_shorter_than_its_snapshot(self):
        for less in (self.size // 3, 5, 70):
            self.search()
            size = self.size - less
            os.truncate(self.journal, size)
            self.go_on('has %d bytes' % size, 'from byte %d' % self.size,
                       'what the snapshot holds counts')
            out, errors = self.archway('resume', 'b', '--trials', '+8', '--quiet')
            self.assertEqual(errors, '')
            self.assertEqual(self.exit_json('b')['trials'], 88)
            _, errors = self.archway('replay', 'b', status=1)
            self.assertIn('records were lost here', errors)
            self.assertIn('what the snapshot holds counts',
                          [e for e in self.events('b') if e['event'] == 'recovered'][0]['text'])
            self.drop_snapshots()
            _, errors = self.archway('resume', 'b', '--trials', '+8', '--quiet', status=1)
            self.assertIn('records were lost here', errors) # not begun again in silence

    def test_a_journal_without_a_header(self):
        for size in (0, 9):
            os.truncate(self.journal, size)
            self.go_on('ends within its header')
            shutil.rmtree(self.path('b'))
            shutil.copytree(self.path('a'), self.path('b'))
        with open(self.journal, 'r+b') as file:
            file.seek(12)
            file.write(b'damage')
        before = os.path.getsize(self.journal)
        self.archway('resume', 'b', '--trials', '+8', '--quiet')
        self.assertEqual(os.path.getsize(self.journal + '.cut-0'), before)
        self.assertEqual(self.exit_json('b')['trials'], 88)

    def test_damage_before_whole_records(self):
        self.drop_snapshots()
        with open(self.journal, 'r+b') as file:
            file.seek(self.size // 2)
            byte = file.read(1)
            file.seek(self.size // 2)
            file.write(bytes([byte[0] ^ 0x20]))
        out, _ = self.archway('status', 'b') # looks, and changes nothing
        self.assertIn('damaged at byte', out)
        errors = self.go_on('damaged at byte', 'whole records behind it cannot be used')
        at = int(errors.split('at byte ')[1].split(':')[0])
        self.assertLessEqual(at, self.size // 2)
        self.assertEqual(os.path.getsize(self.journal + '.cut-%d' % at), self.size - at)
        self.assert_replays('b')

    def test_damage_that_a_snapshot_covers(self):
        with open(self.journal, 'r+b') as file:
            file.seek(self.size // 2)
            file.write(b'damage')
        self.assertEqual(self.go_on(), '')

    def test_an_incomplete_record_is_said(self):
        with open(self.journal, 'ab') as file:
            file.write(b'\x40\0\0\0\2\0\0\0torn')
        out, _ = self.archway('resume', 'b', '--trials', '80')
        self.assertIn('byte %d: an incomplete record (12 bytes)' % self.size, out)
        self.archway('resume', 'a', '--trials', '80', '--quiet')
        self.assert_same('a', 'b')

    def test_a_disk_that_cannot_be_read(self):
        os.unlink(self.journal)
        os.symlink('/proc/self/mem', self.journal) # reads at 0 fail with EIO
        self.drop_snapshots()
        _, errors = self.archway('resume', 'b', '--quiet', status=1)
        self.assertEqual(errors.count('archway: error:'), 1, errors)
        self.assertIn('Input/output error', errors)

    def test_the_lock_of_another_host_is_stale_when_nobody_holds_it(self):
        with open(self.path('b/lock'), 'w', encoding='utf-8') as file:
            file.write('gone-host pid 4711 since 2026-01-01T00:00:00Z\n')
        self.go_on()


class Stops(RunCase):
    """Stopping ends in a snapshot and status 75 within two seconds."""

    def setUp(self):
        super().setUp()
        self.long = self.config('--sleep', '60000')

    def assert_stopped(self, run, reason):
        exit_json = self.exit_json(run)
        self.assertEqual(exit_json['status'], 75)
        self.assertFalse(exit_json['finished'])
        self.assertIn(reason, exit_json['reason'])
        self.assertTrue(os.path.exists(self.path(run + '/snapshot.h5')))
        self.assert_no_trainer()
        self.assert_replays(run)

    def test_signals(self):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1):
            run = 'run%d' % number
            process = self.start('search', self.long, '--run', run)
            self.wait_for(run, 'first_trial')
            sent = time.monotonic()
            process.send_signal(number)
            process.wait(10)
            self.assertLess(time.monotonic() - sent, 2)
            self.assertEqual(process.returncode, 75)
            self.assert_stopped(run, '')

    def test_signal_to_mpirun(self):
        for number in (signal.SIGUSR1, signal.SIGTERM):
            run = 'run%d' % number
            process = self.start('search', self.long, '--run', run, ranks=3)
            self.wait_for(run, 'first_trial')
            sent = time.monotonic()
            process.send_signal(number)
            while not os.path.exists(self.path(run + '/exit.json')):
                self.assertLess(time.monotonic() - sent, 3) # mpirun itself waits one first
                time.sleep(0.02)
            process.wait(20)
            self.assert_stopped(run, 'SIG')

    def test_time_limit(self):
        started = time.monotonic()
        self.archway('search', self.long, '--run', 'run', '--time-limit', '1s', status=75)
        self.assertLess(time.monotonic() - started, 4)
        self.assert_stopped('run', 'time limit')

    def test_the_clock_is_heeded(self):
        """No trial is begun that would be cut off; the session ends with the last one."""
        config = self.config('--sleep', '1100', trials=12)
        self.archway('search', config, '--run', 'run', '--slots', '2', '--time-limit', '5.4s',
                     status=75)
        self.assert_stopped('run', 'left for the next session')
        status = json.loads(self.archway('status', 'run', '--format', 'json')[0])
        self.assertEqual(status['hours']['lost'], 0)
        self.archway('resume', 'run', '--quiet', '--time-limit', 'none')
        self.archway('search', config, '--run', 'calm', '--quiet', '--slots', '2')
        self.assert_same('calm', 'run')

    def test_what_is_held_is_explained(self):
        """While one trial hangs, the others would not end in time: status says so."""
        config = self.config('--sleep', '5000', '--hang-every', '6', trials=40, mode='async',
                             extra='resources: {oversubscribe: true}\n')
        process = self.start('search', config, '--run', 'run', '--quiet', '--slots', '6',
                             '--time-limit', '9.5s')
        self.wait_for('run', 'stall')
        said = (r'trial [0-9]+ is held: expected to take up to 5\.[0-9]s \(90 % bound\), '
                r'[0-9.]+s are left in this session; [0-9]+ such trials')
        self.assertRegex(self.archway('status', 'run')[0], 'attention   ' + said)
        queued = [trial['trial'] for trial in
                  json.loads(self.archway('trials', 'run', '--format', 'json')[0])
                  if trial['state'] == 'queued']
        self.assertRegex(self.archway('explain', 'run', str(queued[0]))[0], 'now: ' + said)
        process.wait(20)
        self.assertEqual(process.returncode, 75)

    def test_what_never_fits_fails(self):
        """A trial longer than a session is not tried for ever, and the record says why."""
        config = self.config('--sleep', '20000', trials=2)
        limits = ('--slots', '2', '--quiet', '--time-limit', '1.5s', '--set',
                  'run.retries=1')
        self.archway('search', config, '--run', 'run', *limits, status=75)
        counts = json.loads(self.archway('status', 'run', '--format', 'json')[0])['trials']
        self.assertEqual(counts['failed'], 0)
        self.archway('resume', 'run', '--quiet', '--time-limit', '1.5s', status=75)
        text = self.archway('trials', 'run', '--failed')[0]
        self.assertEqual(text.count('cut off by the end of the session'), 2, text)
        self.archway('resume', 'run', '--quiet')
        self.assertTrue(self.exit_json('run')['finished'])

    def test_resume_after_a_stop(self):
        config = self.config('--sleep', '30', trials=60)
        self.archway('search', config, '--run', 'calm', '--quiet')
        self.archway('search', config, '--run', 'run', '--time-limit', '0.5s', status=75)
        self.archway('resume', 'run', '--quiet', '--time-limit', '1m')
        self.assert_same('calm', 'run')


class RankCase(RunCase):
    """With ranks that something happens to."""

    def fault(self, *trainer, ranks=3, trials=60, sets=(), status=0):
        """Start, wait for the first trial; the processes of the worker ranks."""
        config = self.config(*trainer, trials=trials)
        words = sum((('--set', key) for key in sets), ())
        process = self.start('search', config, '--run', 'run', *words, ranks=ranks,
                             options=('--mca', 'orte_enable_recovery', '1'))
        self.wait_for('run', 'first_trial')
        return config, process, self.ranks_of(process)[1:]

    def finish(self, process, status=0, seconds=60):
        """As a launch script does: the status is that of exit.json."""
        until = time.monotonic() + seconds
        while not os.path.exists(self.path('run/exit.json')):
            self.assertLess(time.monotonic(), until)
            time.sleep(0.05)
        time.sleep(0.5)
        process.terminate()
        process.wait(20)
        self.assertEqual(self.exit_json('run')['status'], status)
        self.assert_replays('run')

    def assert_undisturbed(self, config):
        self.archway('search', config, '--run', 'calm', '--quiet', '--set',
                     'trainer.command=[%s, --null]' % json.dumps(FAKE))
        self.assert_same('calm', 'run')

    def named(self, event):
        return [e for e in self.events('run') if e['event'] == event]

    def ranks_of(self, process):
        children = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/stat' % pid, encoding='utf-8') as file:
                    if int(file.read().rsplit(')', 1)[1].split()[1]) == process.pid:
                        children.append(int(pid))
            except (OSError, IndexError):
                pass
        return sorted(children)


class Faults(RankCase):
    """A child network that misbehaves costs an attempt, never the job."""

    def misbehave(self, *options, reason):
        config = self.config(*options, trials=30, extra='  trial_timeout: 1s\n')
        with open(config, encoding='utf-8') as file:
            text = file.read().replace('snapshot_every: 0.2s}',
                                       'snapshot_every: 0.2s, trial_timeout: 1s}')
        with open(config, 'w', encoding='utf-8') as file:
            file.write(text.replace('  trial_timeout: 1s\n', ''))
        self.archway('search', config, '--run', 'run')
        self.assertTrue(self.exit_json('run')['finished'])
        failed = [e for e in self.events('run') if e['event'] == 'attempt_failed']
        self.assertTrue(any(reason in e['reason'] for e in failed), failed)
        over = [e for e in self.events('run') if e['event'] == 'trial']
        self.assertEqual(len(over), 30)
        self.assert_no_trainer()
        self.assert_replays('run')
        shutil.rmtree(self.path('run'))

    def test_each_misdeed(self):
        self.misbehave('--null', '--fail-every', '9', reason='')
        self.misbehave('--null', '--crash-every', '9', reason='signal')
        self.misbehave('--null', '--exit-every', '9', reason='exit')
        self.misbehave('--null', '--nan-every', '9', reason='')
        self.misbehave('--null', '--garbage-every', '9', reason='')
        self.misbehave('--null', '--hang-every', '13', reason='')

    def test_nothing_but_failures_ends_the_run(self):
        config = self.config('--null', '--fail-every', '1')
        _, errors = self.archway('search', config, '--run', 'run', status=1)
        self.assertIn('attempts all failed', errors)
        self.assertEqual(self.exit_json('run')['status'], 1)

    def test_a_trainer_that_is_not_there(self):
        config = self.config('--null')
        with open(config, encoding='utf-8') as file:
            text = file.read().replace(FAKE, '/nowhere/trainer')
        with open(config, 'w', encoding='utf-8') as file:
            file.write(text)
        _, errors = self.archway('search', config, '--run', 'run', status=1)
        self.assertIn('/nowhere/trainer', errors)

    def test_lost_rank(self):
        config = self.config('--sleep', '100', trials=60)
        process = self.start('search', config, '--run', 'run', '--set', 'run.lost_after=2s',
                             '--set', 'run.heartbeat=0.2s', ranks=3, options=('--mca', 'orte_enable_recovery', '1'))
        self.wait_for('run', 'first_trial')
        os.kill(self.ranks_of(process)[-1], signal.SIGKILL)
        self.wait_for_exit('run')
        process.terminate()
        process.wait(20)
        self.assertEqual(self.exit_json('run')['status'], 0)
        self.assertTrue(any(e['event'] == 'rank_lost' for e in self.events('run')))
        self.assert_replays('run')
        self.archway('search', config, '--run', 'calm', '--quiet')
        self.assert_same('calm', 'run')

    def test_a_rehearsal(self):
        config = self.config('--sleep', '60', trials=80)
        out, _ = self.archway('search', config, '--run', 'run', '--chaos',
                              'kill=0.15,garbage=0.15,hang=0.1', '--set', 'run.retries=20',
                              '--set', 'run.trial_timeout=0.5s')
        self.assertIn('A rehearsal: faults on purpose, kill=0.15,garbage=0.15,hang=0.1, seed 11',
                      out)
        failed = ' '.join(e['reason'] for e in self.named('attempt_failed'))
        for reason in ('signal 9', 'a rehearsed fault', 'run.trial_timeout'):
            self.assertIn(reason, failed)
        self.assertEqual(sorted(e['trial'] for e in self.named('trial')), list(range(80)))
        self.assert_no_trainer()
        self.assert_replays('run')
        self.assert_undisturbed(config)
        _, errors = self.archway('search', config, '--chaos', 'kil=1', status=2)
        self.assertIn("run.chaos: 'kil' is no fault", errors)

    def test_too_many_failures_end_the_run(self):
        config = self.config('--null', '--exit-every', '2', '--complaint', 'bad\nworse',
                             trials=300)
        _, errors = self.archway('search', config, '--run', 'run', '--set', 'run.retries=0',
                                 '--set', 'run.max_failed=0.2', '--set', 'run.mode=async',
                                 status=1)
        self.assertRegex(errors, r'1[1-4] of the last 50 trials failed \(run.max_failed: 0.2\)')
        self.assertIn('exit status 3: worse', errors)
        self.assertIn('    | bad\n    | worse\n',
                      self.archway('trials', 'run', '--failed')[0])
        self.assert_replays('run')


class Ranks(RankCase):
    """A rank or the master that dies, stops or falls silent costs time only."""

    def test_a_killed_rank_with_default_settings(self):
        config, process, workers = self.fault('--sleep', '500', trials=40)
        killed = time.time()
        os.kill(workers[-1], signal.SIGKILL)
        self.wait_for('run', 'rank_silent')
        silent = self.named('rank_silent')[0]
        self.assertIn('tried elsewhere', silent['text'])
        print('doubted %.1f s after its death' % (silent['time'] - killed))
        self.assertLess(silent['time'] - killed, 5)
        self.finish(process)
        self.assert_undisturbed(config)
        self.assert_no_trainer()

    def test_a_stopped_rank_comes_back(self):
        config, process, workers = self.fault(
            '--sleep', '300', trials=60, sets=('run.silent_after=0.5s', 'run.heartbeat=0.1s'))
        os.kill(workers[-1], signal.SIGSTOP)
        self.wait_for('run', 'stall')
        silent = self.named('rank_silent')[0]['rank']
        said = 'rank %d on .*, trial [0-9]+, no heartbeat for [0-9]+ s' % silent
        self.assertRegex(self.archway('status', 'run')[0], 'attention   ' + said)
        self.assertRegex(self.archway('explain', 'run')[0], 'now: ' + said)
        text, _ = self.archway('explain', 'run', 'rank-%d' % silent)
        self.assertRegex(text, 'now: ' + said)
        self.assertIn('rank_silent: no heartbeat for', text)
        one = json.loads(self.archway('status', 'run', '--format', 'json')[0])
        self.assertRegex(one['attention'][0], said)
        self.assertNotIn('idle: ', text)
        os.kill(workers[-1], signal.SIGCONT)
        self.wait_for('run', 'rank_back')
        self.finish(process)
        self.assertEqual(self.named('rank_lost'), [])
        self.assertFalse(os.path.exists(self.path('run/watch.json')))
        over = [e['trial'] for e in self.named('trial')]
        self.assertEqual(sorted(over), list(range(60)))
        self.assert_undisturbed(config)
        self.assert_no_trainer()

    def test_a_rehearsal_with_ranks(self):
        config, process, _ = self.fault(
            '--sleep', '30', ranks=4, trials=120,
            sets=('run.chaos="stop-rank=0.04,kill=0.1,kill-rank=0.015"', 'run.retries=20',
                  'run.silent_after=0.3s', 'run.heartbeat=0.1s', 'run.lost_after=3s',
                  'resources.oversubscribe=true'))
        self.finish(process)
        for event in ('chaos', 'rank_silent', 'rank_back', 'attempt_failed'):
            self.assertGreater(len(self.named(event)), 0, event)
        self.assertEqual(sorted(e['trial'] for e in self.named('trial')), list(range(120)))
        self.assert_no_trainer()
        self.assert_undisturbed(config)

    def test_when_only_the_master_is_left(self):
        config, process, workers = self.fault(
            '--sleep', '300', trials=40, sets=('run.lost_after=1s', 'run.heartbeat=0.1s'))
        for pid in workers:
            os.kill(pid, signal.SIGKILL)
        self.finish(process, status=75)
        self.assertIn('no worker rank is left', self.exit_json('run')['reason'])
        self.assert_no_trainer()
        self.archway('resume', 'run', '--quiet')
        self.assert_undisturbed(config)

    def test_no_process_outlives_a_killed_master(self):
        daemon, child = self.path('daemon'), self.path('child')
        process = self.start('search', self.config('--sleep', '60000', '--daemon', daemon,
                                                   '--child', child), '--run', 'run')
        self.wait_for('run', 'first_trial')
        process.kill()
        process.wait()
        time.sleep(0.5)
        self.assert_no_trainer()


class FullDisk(RunCase):
    """A journal or snapshot that cannot be written ends the run with one clear error."""

    def test_full_disk(self):
        config = self.config('--null', trials=20000, mode='async')
        limited = ['bash', '-c', 'ulimit -f 200; exec "$@"', 'bash', ARCHWAY]
        process = subprocess.run(limited + ['search', config, '--run', 'run', '--quiet'],
                                 env=self.environment, cwd=self.folder, text=True,
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60)
        self.assertEqual(process.returncode, 1, process.stderr)
        self.assertEqual(process.stderr.count('archway: error:'), 1, process.stderr)
        self.assertIn('File too large', process.stderr)
        self.assert_no_trainer()
        self.archway('resume', 'run', '--trials', '+0', '--quiet', '--set',
                     'search.hours=0.0003', status=None)
        self.assert_replays('run')


    def on_a_small_disk(self, script, *arguments):
        """A shell script in a mount namespace of its own, where $1 is a full or read-only
        file system; returns (output, errors, {name: status})."""
        namespace = ['unshare', '-m'] + ([] if os.getuid() == 0 else ['-r'])
        if subprocess.run(namespace + ['mount', '-t', 'tmpfs', 'none', self.folder],
                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode:
            self.skipTest('no file system may be mounted here')
        disk = self.path('disk')
        os.mkdir(disk)
        done = subprocess.run(namespace + ['bash', '-c', script, 'bash', disk, ARCHWAY] +
                              list(arguments), env=self.environment, cwd=self.folder,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=100)
        statuses = dict(word.split('=') for word in done.stdout.split() if '=' in word)
        return done.stdout, done.stderr, statuses

    def test_a_disk_that_fills_up(self):
        out, errors, statuses = self.on_a_small_disk(
            'mount -t tmpfs -o size=1m none "$1"\n'
            '"$2" search "$3" --run "$1/run" --quiet --set run.reserve=0; echo search=$?\n'
            'ls "$1/run" >&2\n'
            'mount -o remount,size=64m "$1"\n'
            '"$2" resume "$1/run" --quiet --trials 9000; echo resume=$?\n'
            'cp -r "$1/run" copy',
            self.config('--null', trials=20000, mode='async'))
        self.assertEqual(statuses, {'search': '1', 'resume': '0'}, out + errors)
        self.assertEqual(errors.count('archway: error:'), 1, errors)
        self.assertIn('No space left on device', errors)
        self.assertNotIn('.tmp', errors)
        self.assert_no_trainer()
        self.assert_replays('copy')

    def test_a_read_only_folder(self):
        out, errors, statuses = self.on_a_small_disk(
            'mount -t tmpfs none "$1"\n'
            '"$2" search "$3" --run "$1/run" --quiet; echo search=$?\n'
            'mount -o remount,ro "$1"\n'
            '"$2" resume "$1/run" --quiet --trials 80; echo resume=$?\n'
            '"$2" search "$3" --run "$1/other" --quiet; echo other=$?\n'
            '"$2" status "$1/run" --format json >status.json; echo status=$?',
            self.config('--null', trials=40))
        self.assertEqual(statuses, {'search': '0', 'resume': '1', 'other': '1',
                                    'status': '0'}, out + errors)
        self.assertEqual(errors.count('archway: error:'), 2, errors)
        self.assertEqual(errors.count('Read-only file system'), 2, errors)


class Trust(BuiltinCase):
    """A run's folder belongs to its user, and is data."""

    def test_the_umask_decides_who_may_read(self):
        for umask in (0o027, 0o002):
            before = os.umask(umask)
            try:
                self.archway('search', self.config('--exit-every', '9', '--null', '--complaint',
                                                   'some words'), '--run', 'run')
            finally:
                os.umask(before)
            modes = {}
            for folder, _, files in os.walk(self.path('run')):
                for name in [''] + files:
                    path = os.path.join(folder, name)
                    modes[path] = os.stat(path).st_mode & 0o777
                    expected = (0o666 if name else 0o777) & ~umask
                    self.assertEqual(oct(modes[path]), oct(expected), path)
            self.assertTrue(any(path.endswith('.log') for path in modes), modes)
            self.assertTrue(any(path.endswith('snapshot.h5') for path in modes))
            shutil.rmtree(self.path('run'))

    def test_nothing_in_the_folder_is_executed(self):
        self.archway(*self.builtin(4), '--run', 'run')
        for folder in ('run', 'run/best', 'run/logs'):
            for name in ('archway', 'archway-trainer', 'sh', 'bash', 'python3', 'mpirun',
                         'scontrol', 'nvidia-smi', 'libz.so.1', 'sitecustomize.py'):
                os.makedirs(self.path(folder), exist_ok=True)
                with open(self.path(folder) + '/' + name, 'w', encoding='utf-8') as file:
                    file.write('#!/bin/sh\ntouch %s\n' % self.path('marker'))
                os.chmod(file.name, 0o755)
        for words in (('resume', '.', '--trials', '+2'), ('status', '.'), ('trials', '.'),
                      ('replay', '.'), ('export', '.')):
            done = subprocess.run((ARCHWAY,) + words, env=self.environment,
                                  cwd=self.path('run'), stdout=subprocess.DEVNULL, timeout=60)
            self.assertEqual(done.returncode, 0, words)
        self.assertFalse(os.path.exists(self.path('marker')))

    def test_names_for_a_shell_are_names(self):
        run = "$(touch marker) ; touch marker; 'a \"b`touch marker`"
        self.archway(*self.builtin(4), '--run', run)
        self.archway('resume', run, '--trials', '+2')
        self.assertEqual(self.exit_json(run)['trials'], 6)
        self.assertFalse(os.path.exists(self.path('marker')))


class Budgets(RunCase):
    """Never one trial more."""

    def test_trials(self):
        for trials in (1, 7, 33):
            run = 'run%d' % trials
            self.archway('search', self.config('--null', trials=trials, mode='async'),
                         '--run', run, ranks=3)
            self.assertEqual(self.exit_json(run)['trials'], trials)

    def test_hours(self):
        started = time.monotonic()
        self.archway('search', self.config('--sleep', '20', trials=100000), '--run', 'run',
                     '--set', 'search.hours=0.0005')
        self.assertLess(time.monotonic() - started, 6)
        self.assertIn('search.hours', self.exit_json('run')['reason'])
        self.assertTrue(self.exit_json('run')['finished'])

    def test_core_hours(self):
        self.archway('search', self.config('--sleep', '50', trials=100000), '--run', 'run',
                     '--set', 'search.core_hours=0.0004')
        spent = sum(e['seconds'] for e in self.events('run') if e['event'] == 'trial')
        self.assertLessEqual(spent, 0.0004 * 3600)
        self.assertGreater(spent, 0.0002 * 3600)


    def test_memory_follows_the_records(self):
        used = {}
        for trials in (3000, 30000):
            self.archway('search', self.config('--null', trials=trials, mode='async'), '--run',
                         'run%d' % trials, '--quiet', '--set', 'search.strategy=random')
            (usage,) = [e for e in self.events('run%d' % trials) if e['event'] == 'usage']
            used[trials] = usage['max_rss_bytes']
        a_trial = (used[30000] - used[3000]) / 27000
        print('%.0f bytes a trial' % a_trial)
        self.assertLess(a_trial, 450) # about 330; its record and its place in the index
        self.assertLess(usage['record_bytes'] / trials, 400)


class Refusals(RunCase):
    """Bad input: one clear sentence, status 2, nothing changed."""

    def tree(self):
        return sorted(os.listdir(self.folder))

    def refuse(self, *arguments, says, ranks=0):
        before = self.tree()
        _, errors = self.archway(*arguments, status=2, ranks=ranks)
        for text in says:
            self.assertIn(text, errors)
        self.assertEqual(errors.count('archway: error:'), 1, errors)
        self.assertEqual([n for n in self.tree() if not n.startswith('ompi')], before)

    def test_command_line(self):
        self.refuse('serch', says=["did you mean 'search'"])
        self.refuse('search', says=['missing'])
        self.refuse('search', 'a.yaml', '--sed', '1', says=["did you mean '--set'"])
        self.refuse('search', 'none.yaml', says=['none.yaml', 'No such file'])
        self.refuse('resume', 'none', says=['none'])

    def test_configuration(self):
        config = self.config('--null')
        self.refuse('search', config, '--set', 'search.trails=3', says=["'trials'"])
        self.refuse('search', config, '--set', 'space.layers=0', says=['space.layers'])
        self.refuse('search', config, '--run', 'run', '--set', 'run.slots=64',
                    says=['run.slots 64', 'oversubscribe'])
        with open(config, 'a', encoding='utf-8') as file:
            file.write('serch: {}\n')
        self.refuse('search', config, says=['.yaml:', 'serch', "'search'"])
        self.refuse('search', config, ranks=3, says=['.yaml:', 'serch'])

    def test_data(self):
        config = self.config('--null')
        builtin = ('--set', 'trainer.command=[]', '--set', 'task.data.format=idx', '--set')
        self.refuse('search', config, *builtin, 'task.data.path=/nowhere', says=['/nowhere'])

    def test_runs(self):
        config = self.config('--null')
        self.archway('search', config, '--run', 'run', '--quiet')
        self.refuse('search', config, '--run', 'run', says=['archway resume run'])
        self.refuse('resume', 'run', '--set', 'reward.power=2',
                    says=['reward.power: 3 -> 2', '--allow-change'])
        self.refuse('resume', 'run', '--set', 'search.controller.lr=0.5', '--allow-change',
                    says=['search.controller', 'cannot change'])
        self.refuse('resume', 'run', '--set', 'space.layers=5', '--allow-change',
                    says=['space', 'cannot change'])
        self.refuse('resume', 'run', '--trials', '3', says=['3', '40'])
        self.archway('resume', 'run', '--set', 'reward.power=2', '--allow-change',
                     '--trials', '+8', '--quiet')
        self.assertEqual(self.exit_json('run')['trials'], 48)
        self.assert_replays('run')

    def test_live_master(self):
        process = self.start('search', self.config('--sleep', '60000'), '--run', 'run')
        self.wait_for('run', 'first_trial')
        self.refuse('resume', 'run', says=['pid'])
        process.terminate()
        process.wait(10)


class Kernels(BuiltinCase):
    """What trained is recorded, can be pinned, and is told where it differs."""

    def mixed(self, *search, ranks=2):
        """One rank more, which only has `generic`."""
        more = (':', '-n', '1', '-x', 'ARCHWAY_KERNELS=generic', ARCHWAY) + search
        return self.archway(*search, *more, ranks=ranks)

    def status_of(self, run):
        return json.loads(self.archway('status', run, '--format', 'json')[0])

    def warnings(self, run):
        return [e['text'] for e in self.events(run) if e['event'] == 'kernels']

    def need_two(self):
        if len(self.usable()) < 2:
            self.skipTest('this machine has the generic kernels only')
        return self.usable()[0]

    def test_forced_off(self):
        self.environment['ARCHWAY_KERNELS'] = 'generic'
        out, _ = self.archway(*self.builtin(), '--run', 'run', ranks=3)
        self.assertNotIn('warning', out)
        self.assertEqual(self.warnings('run'), [])
        self.assertEqual(self.kernels_of('run'), ['generic'] * 6)
        self.assertEqual(self.status_of('run')['kernels'], {'generic': 6})
        with open(self.path('run/placement.json'), encoding='utf-8') as file:
            self.assertEqual({slot['kernels'] for slot in json.load(file)}, {'generic'})
        os.unlink(self.path('run/snapshot.h5')) # the journal has it as well
        if os.path.exists(self.path('run/snapshot.prev.h5')):
            os.unlink(self.path('run/snapshot.prev.h5'))
        self.assertEqual(self.kernels_of('run'), ['generic'] * 6)

    def test_a_mixed_run_is_told(self):
        fastest = self.need_two()
        out, _ = self.mixed(*self.builtin(12), '--run', 'run', '--slots', '1')
        self.assertEqual(out.count('warning: kernels differ'), 1, out)
        (text,) = self.warnings('run')
        self.assertIn(text, out)
        self.assertIn(fastest + ' on rank 1', text)
        self.assertIn('generic on rank 2', text)
        self.assertIn('trainer.builtin.kernels: generic', text)
        self.assertEqual(set(self.kernels_of('run')), {fastest, 'generic'})
        counts = self.status_of('run')['kernels']
        self.assertEqual(sum(counts.values()), 12)
        self.assertIn('generic (%d' % counts['generic'], self.archway('status', 'run')[0])

    def test_pinned_kernels_are_the_same_in_a_mixed_cluster(self):
        search = self.builtin(8) + ('--set', 'trainer.builtin.kernels=generic', '--run')
        out, _ = self.mixed(*search, 'mixed', '--slots', '1')
        self.assertNotIn('warning', out)
        self.environment['ARCHWAY_KERNELS'] = 'generic'
        self.archway(*self.builtin(8), '--run', 'alone')
        self.assert_same('mixed', 'alone')

    def test_a_resume_with_others_is_told(self):
        fastest = self.need_two()
        self.archway(*self.builtin(4), '--run', 'run')
        self.environment['ARCHWAY_KERNELS'] = 'generic'
        out, _ = self.archway('resume', 'run', '--trials', '+4')
        self.assertIn('earlier sessions ' + fastest, out)
        self.assertEqual(len(self.warnings('run')), 1)
        self.assertEqual(self.kernels_of('run'), [fastest] * 4 + ['generic'] * 4)
        del self.environment['ARCHWAY_KERNELS']
        self.archway('resume', 'run', '--trials', '+2', '--set',
                     'trainer.builtin.kernels=generic')
        self.assertEqual(self.kernels_of('run')[8:], ['generic'] * 2)
        self.assert_replays('run')

    def test_own_trainers_say_themselves(self):
        search = ('search', self.config('--sleep', '20', '--kernels', 'FAKE_KERNELS'),
                  '--slots', '1', '--set', 'resources.oversubscribe=true', '--run')
        out, _ = self.archway(*search, 'silent', ranks=3)
        self.assertEqual(self.kernels_of('silent'), [None] * 40)
        more = (':', '-n', '1', '-x', 'FAKE_KERNELS=cuda 12', ARCHWAY) + search + ('run',)
        out, _ = self.archway(*search, 'run', *more, ranks=2)
        self.assertEqual(out.count('warning: kernels differ'), 1, out)
        self.assertIn('not told on rank 1', out)
        self.assertIn('cuda 12 on rank 2', out)
        self.assertNotIn('trainer.builtin', out)
        self.assertEqual(set(self.kernels_of('run')), {None, 'cuda 12'})

    def test_what_cannot_be_used_is_refused(self):
        self.environment['ARCHWAY_KERNELS'] = 'generic'
        wrong = self.builtin() + ('--set', 'trainer.builtin.kernels=avx2', '--run', 'run')
        check = ('check',) + wrong[1:-2]
        for arguments, ranks in ((wrong, 0), (wrong, 3), (check, 0)):
            _, errors = self.archway(*arguments, status=2, ranks=ranks)
            self.assertEqual(errors.count('archway: error:'), 1, errors)
            self.assertIn('trainer.builtin.kernels is avx2', errors)
            self.assertFalse(os.path.exists(self.path('run')))
        self.environment['ARCHWAY_KERNELS'] = 'sse'
        for arguments, ranks in ((self.builtin(), 0), (self.builtin(), 3), (check, 0)):
            _, errors = self.archway(*arguments, status=2, ranks=ranks)
            self.assertIn("ARCHWAY_KERNELS is 'sse'", errors)
            self.assertIn('generic', errors)

    def test_a_rank_with_a_wrong_variable_is_given_up(self):
        search = self.builtin() + ('--run', 'run')
        more = (':', '-n', '1', '-x', 'ARCHWAY_KERNELS=sse', ARCHWAY) + search
        process = self.start(*search, *more, ranks=2,
                             options=('--mca', 'orte_enable_recovery', '1'))
        self.wait_for_exit('run')
        process.terminate()
        process.wait(20)
        (lost,) = [e for e in self.events('run') if e['event'] == 'rank_lost']
        self.assertEqual(lost['rank'], 2)
        self.assertIn("ARCHWAY_KERNELS is 'sse'", lost['text'])
        self.assertEqual(self.exit_json('run')['status'], 0)


class Training(RunCase):
    """The built-in trainer in the loop."""

    def builtin(self, data, *sets):
        config = self.config('--null', trials=6)
        words = ['search', config, '--run', 'run', '--set', 'trainer.command=[]', '--set',
                 'trainer.builtin.epochs=1', '--set', 'reward.last_epochs=1', '--set',
                 'space.filters=[8, 12]', '--set', 'space.strides=[2]', '--set',
                 'space.layers=2', '--set', 'search.batch=3', '--set',
                 'run.cache=' + self.folder]
        for key in data + sets:
            words += ['--set', key]
        out, _ = self.archway(*words, ranks=3, timeout=110)
        self.assertEqual(self.exit_json('run')['trials'], 6)
        self.assertIn('Was it worth it?', out)
        self.assert_replays('run')
        return [e for e in self.events('run') if e['event'] == 'trial']

    def test_generated_data(self):
        trials = self.builtin(('task.data.images=600', 'task.train=400',
                               'task.validation=200'))
        for trial in trials:
            self.assertGreater(trial['metric'], 0)

    def test_fashion_mnist(self):
        folder = '/usr/share/datasets/fashion-mnist'
        if not os.path.exists(folder):
            self.skipTest('package dataset-fashion-mnist is not installed')
        trials = self.builtin(('task.data.format=idx', 'task.data.path=' + folder,
                               'task.train=2000', 'task.validation=500'),
                              'trainer.builtin.batch=32', 'trainer.builtin.optimizer.lr=0.05')
        best = max(trial['metric'] for trial in trials)
        self.assertGreater(best, 0.25) # chance is 0.1


def main():
    global ARCHWAY, FAKE, COMPARE
    ARCHWAY, FAKE, COMPARE = map(os.path.abspath, sys.argv[1:4])
    if not shutil.which('mpirun'):
        print('skipped: mpirun is not installed')
        return 77
    suite = unittest.TestSuite()
    for name in sys.argv[4:]:
        suite.addTests(unittest.defaultTestLoader.loadTestsFromTestCase(globals()[name]))
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(suite)
    if not result.wasSuccessful():
        return 1
    return 77 if result.skipped and len(result.skipped) == result.testsRun else 0


if __name__ == '__main__':
    sys.exit(main())
