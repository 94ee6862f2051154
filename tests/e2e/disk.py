#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs whose disk is nearly full or very slow: they pause, lose nothing, and go on.

Usage: disk.py ARCHWAY FAKE_TRAINER FAKE_SYSTEM    (the latter for LD_PRELOAD) [CASE]
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

ARCHWAY = FAKE = SYSTEM = None
CONFIG = """
name: disk
task: {{data: {{format: generated, images: 600}}}}
trainer: {{command: ["{fake}", --sleep, "20"]}}
search: {{trials: {trials}}}
run: {{slots: 2, reserve: 4MiB, snapshot_every: 0.5s}}
resources: {{oversubscribe: true}}
"""


class Disk(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='aw', dir='/tmp')
        self.process = None
        os.mkdir(self.path('place'))
        with open(self.path('c.yaml'), 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(fake=FAKE, trials=700))

    def tearDown(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        subprocess.run(['umount', self.path('place')], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self, **environment):
        self.process = subprocess.Popen(
            [ARCHWAY, 'search', 'c.yaml', '--run', 'place/r'], cwd=self.folder, text=True,
            env=dict(os.environ, **environment), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def events(self, name):
        try:
            with open(self.path('place/r/log.jsonl'), encoding='utf-8') as file:
                return [line for line in file if '"event":"%s"' % name in line]
        except OSError:
            return []

    def wait_for(self, name, count=1):
        until = time.monotonic() + 40
        while len(self.events(name)) < count:
            self.assertLess(time.monotonic(), until, 'no event ' + name)
            self.assertIsNone(self.process.poll(), 'the run has ended')
            time.sleep(0.05)

    def is_shown(self, said, *more):
        """By the log, status and explain, of the run and of what is asked for as well."""
        self.wait_for('stall')
        self.assertIn(said, self.events('stall')[-1])
        for words in (('status', 'place/r'), ('explain', 'place/r')) + more:
            lead, text = 'attention   ' if words[0] == 'status' else 'now: ', ''
            until = time.monotonic() + 10 # a rank that still trains is not held up yet
            while lead + said not in text and time.monotonic() < until:
                text = subprocess.run((ARCHWAY,) + words, cwd=self.folder, text=True,
                                      check=True, stdout=subprocess.PIPE).stdout
            self.assertIn(lead + said, text, words)
        attention = subprocess.run([ARCHWAY, 'status', 'place/r', '--format', 'json'],
                                   cwd=self.folder, stdout=subprocess.PIPE, check=True)
        self.assertIn(said, json.loads(attention.stdout)['attention'][0])

    def pause_and_go_on(self, fill, empty):
        self.wait_for('trial', 20)
        fill()
        self.wait_for('disk_low')
        self.is_shown('the disk of the run is nearly full, so no trial is handed out: ',
                      ('explain', 'place/r', 'rank-1'))
        time.sleep(2) # the log is written once a second
        paused = len(self.events('trial'))
        time.sleep(1.5)
        self.assertEqual(len(self.events('trial')), paused)
        self.assertIsNone(self.process.poll())
        self.assertLess(paused, 700)
        empty()
        self.wait_for('disk_room')
        self.wait_for('stall_over')
        out = self.process.communicate(timeout=60)[0]
        self.assertEqual(self.process.returncode, 0, out)
        self.assertIn('less than run.reserve (4.0 MiB)', out)
        self.assertIn('free again: going on', out)
        found = json.loads(subprocess.run([ARCHWAY, 'trials', 'place/r', '--format', 'json'],
                                          cwd=self.folder, stdout=subprocess.PIPE,
                                          check=True).stdout)
        self.assertEqual(sorted(t['trial'] for t in found), list(range(700)))
        self.assertEqual({t['state'] for t in found} - {'done', 'saved'}, set())

    def tell(self, text):
        with open(self.path('room.new'), 'w', encoding='utf-8') as file:
            file.write(text)
        os.rename(self.path('room.new'), self.path('room'))

    def test_told(self):
        """As statvfs of a library of ours tells it."""
        self.start(LD_PRELOAD=SYSTEM, FAKE_ROOM=self.path('room'))
        self.pause_and_go_on(lambda: self.tell('1000000'), lambda: self.tell('9000000'))

    def test_from_the_start(self):
        """Nothing is handed out, nothing is lost, and it can be stopped."""
        self.tell('1000')
        self.start(LD_PRELOAD=SYSTEM, FAKE_ROOM=self.path('room'))
        self.wait_for('disk_low')
        time.sleep(1)
        self.assertEqual(self.events('trial'), [])
        self.tell('9000000')
        self.process.communicate(timeout=60)
        self.assertEqual(self.process.returncode, 0)

    def test_stalled(self):
        """While the journal waits for the disk, little more is handed out."""
        with open(self.path('c.yaml'), 'a', encoding='utf-8') as file:
            file.write('control: {share: 0}\n')
        null = ['--set', 'search.trials=400000', '--set', 'search.strategy=random',
                '--set', 'search.duplicates=train', '--set', 'run.snapshot_every=1h',
                '--set', 'run.prefetch=128', '--set', 'trainer.command=[%s, --null]' % FAKE]
        self.process = subprocess.Popen(
            [ARCHWAY, 'search', 'c.yaml', '--run', 'place/r', '--quiet'] + null,
            cwd=self.folder, env=dict(os.environ, LD_PRELOAD=SYSTEM, FAKE_FSYNC='stall'))
        self.wait_for('trial', 1000)
        time.sleep(6)
        done = len(self.events('trial'))
        self.process.terminate()
        self.assertEqual(self.process.wait(30), 75)
        # Five commits at most, each of some 1,000 trials; without the limit it is 100,000.
        self.assertLess(done, 20000)
        record = os.path.getsize(self.path('place/r/journal'))
        self.assertLess(record / (len(self.events('trial')) + 1), 400)

    def test_hanging(self):
        """A disk that takes nothing is named, and costs nothing."""
        held = self.path('held')
        self.start(LD_PRELOAD=SYSTEM, FAKE_HOLD=held)
        self.wait_for('trial', 20)
        with open(held, 'w', encoding='utf-8'):
            pass
        self.is_shown('the disk of the run has taken nothing, and the search hears of no '
                      'result, for ')
        self.assertIsNone(self.process.poll())
        os.remove(held)
        out = self.process.communicate(timeout=60)[0]
        self.assertEqual(self.process.returncode, 0, out)
        self.assertEqual(len(self.events('trial')), 700)

    def test_tmpfs(self):
        """A real one, as far as the machine lets us mount it."""
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=12m', 'tmpfs',
                               self.path('place')], stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            self.skipTest('a tmpfs cannot be mounted here: ' + done.stderr)
        self.start()
        filler = self.path('place/filler')

        def fill():
            with open(filler, 'wb') as file:
                file.write(bytes(9 << 20))
        self.pause_and_go_on(fill, lambda: os.unlink(filler))


if __name__ == '__main__':
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    ARCHWAY, FAKE, SYSTEM = map(os.path.abspath, sys.argv[1:4])
    unittest.main(argv=sys.argv[:1] + sys.argv[4:])
