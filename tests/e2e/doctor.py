#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""archway doctor where something is wrong: every check, made to fail for real.

Usage: doctor.py ARCHWAY FAKE_TRAINER FAKE_SYSTEM    (the latter for LD_PRELOAD)
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
KEPT = ('PATH', 'HOME', 'LANG', 'LD_LIBRARY_PATH')
# Small, and started by a program of ours, so that nothing depends on the machine.
GOOD = ['--set', 'resources.oversubscribe=true', '--set', 'run.slots=1']


class Doctor(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='aw', dir='/tmp')
        self.environment = {k: os.environ[k] for k in KEPT if k in os.environ}
        self.path = self.environment['PATH']
        self.environment.update(TMPDIR=self.folder, PATH='/no/such')
        if os.getuid() == 0:
            self.environment.update(OMPI_ALLOW_RUN_AS_ROOT='1',
                                    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')

    def tearDown(self):
        shutil.rmtree(self.folder, ignore_errors=True)

    def run_doctor(self, *words, prefix=(), **environment):
        """Status and findings by check; nothing is left in the folder."""
        env = dict(self.environment, **environment)
        before = sorted(os.listdir(self.folder))
        done = subprocess.run(list(prefix) + [ARCHWAY, 'doctor', '--format', 'json', *words],
                              cwd=self.folder, env=env, stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100)
        self.assertEqual(done.stderr, '')
        self.assertEqual([n for n in sorted(os.listdir(self.folder)) if n not in before
                          and not n.startswith(('ompi', 'archway-'))], [])
        found = json.loads(done.stdout)
        worst = {c['verdict'] for c in found['checks']}
        self.assertEqual(done.returncode, 1 if 'problem' in worst else 0)
        return {c['check']: c for c in found['checks']}

    def finds(self, check, verdict, text, *words, **more):
        found = self.run_doctor(*words, **more)[check]
        self.assertEqual(found['verdict'], verdict, found)
        self.assertIn(text, found['text'])
        self.assertEqual(bool(found['advice']), verdict in ('warning', 'problem'), found)

    def program(self, name, script):
        """A program in a folder that is the only one in PATH."""
        folder = os.path.join(self.folder, 'bin')
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, name)
        with open(path, 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\n' + script + '\n')
        os.chmod(path, 0o755)
        return folder

    def system(self, **environment):
        return dict(environment, LD_PRELOAD=SYSTEM)

    def test_errors(self):
        for words, part in ((['no.yaml'], 'no.yaml'), (['--set', 'run.slotz=1'], "'slots'"),
                            (['--run', ''], 'the path is empty'), (['a', 'b'], 'unexpected')):
            done = subprocess.run([ARCHWAY, 'doctor'] + words, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, env=self.environment)
            self.assertEqual((done.returncode, done.stdout), (2, ''), words)
            self.assertIn(part, done.stderr)

    def test_all_is_well(self):
        started = time.monotonic()
        found = self.run_doctor(*GOOD, PATH=self.path)
        self.assertLess(time.monotonic() - started, 60)
        for name in ('file locks', 'room on disk', 'snapshots', 'trainer', 'mpirun', 'cores'):
            self.assertEqual(found[name]['verdict'], 'ok', found[name])
        self.assertIn('kernels', found['trainer']['text'])
        self.assertNotEqual(found['ranks']['verdict'], 'problem', found['ranks'])

    def test_mpirun(self):
        self.finds('mpirun', 'problem', 'no mpirun')
        path = self.program('mpirun', 'echo mpirun of MPICH')
        self.finds('mpirun', 'warning', 'of another kind', PATH=path)
        self.program('mpirun', 'exit 3')
        self.finds('mpirun', 'problem', 'ends with status 3', PATH=path)

    def test_ranks(self):
        path = self.program('mpirun', 'echo There are not enough slots available; exit 1')
        self.finds('ranks', 'problem', 'not enough slots', PATH=path)
        self.program('mpirun', '[ "$1" = --oversubscribe ] && echo "fewest cores of a worker: '
                     '2 of 2" && exit; echo There are not enough slots available; exit 1')
        self.finds('ranks', 'warning', 'only with --oversubscribe', PATH=path)
        self.program('mpirun', 'echo "fewest cores of a worker: 1 of 64"')
        self.finds('ranks', 'warning', 'gets 1 of 64 cores', PATH=path)
        self.program('mpirun', 'kill -SEGV $$')
        self.finds('ranks', 'problem', 'status 139', PATH=path)
        self.program('mpirun', 'sleep 100')
        self.finds('ranks', 'problem', 'not done within', PATH=path + ':' + self.path)

    @unittest.skipUnless(os.getuid() == 0, 'not root')
    def test_root(self):
        del self.environment['OMPI_ALLOW_RUN_AS_ROOT']
        self.finds('ranks', 'problem', 'run as root', PATH=self.path)

    def test_cores(self):
        self.finds('cores', 'problem', 'run.slots 999', '--set', 'run.slots=999')
        self.finds('cores', 'warning', '999 slots', '--set', 'run.slots=999', '--set',
                   'resources.oversubscribe=true')

    def test_file_locks(self):
        self.finds('file locks', 'problem', 'cannot lock files', **self.system(FAKE_LOCKS='none'))
        self.finds('file locks', 'problem', 'do not keep other', **self.system(FAKE_LOCKS='open'))

    def test_durable_writes(self):
        self.finds('durable writes', 'problem', 'Input/output error',
                   **self.system(FAKE_FSYNC='fail'))
        self.finds('durable writes', 'warning', 'ms', **self.system(FAKE_FSYNC='slow'))

    def test_file_size_limit(self):
        """Of 4 KiB: three checks tell."""
        limited = ['/bin/bash', '-c', 'ulimit -f 4; exec "$@"', 'bash']
        found = self.run_doctor(prefix=limited)
        for name, text in (('durable writes', 'File too large'),
                           ('room on disk', 'may have 4.0 KiB only'),
                           ('snapshots', 'File too large')):
            self.assertEqual(found[name]['verdict'], 'problem', found[name])
            self.assertIn(text, found[name]['text'])

    def test_room(self):
        room = os.path.join(self.folder, 'room')
        with open(room, 'w', encoding='utf-8') as file:
            file.write('1000000')
        self.finds('room on disk', 'problem', 'has 976.0 KiB', **self.system(FAKE_ROOM=room))
        with open(room, 'w', encoding='utf-8') as file:
            file.write('50000000')
        self.finds('room on disk', 'warning', 'needs about', **self.system(FAKE_ROOM=room))

    def test_read_only(self):
        """As far as the machine lets us mount one."""
        place = os.path.join(self.folder, 'ro')
        os.mkdir(place)
        done = subprocess.run(['mount', '-t', 'tmpfs', '-o', 'ro,size=1m', 'tmpfs', place],
                              stderr=subprocess.DEVNULL)
        if done.returncode != 0:
            self.skipTest('nothing can be mounted here')
        try:
            self.finds('file locks', 'problem', 'Read-only file system', '--run', 'ro/x/y')
        finally:
            subprocess.run(['umount', place], check=True)

    def test_slurm(self):
        path = self.program('scontrol', 'echo Slurmctld is DOWN; exit 1')
        self.finds('SLURM', 'skipped', 'not installed', PATH=path)
        self.finds('SLURM', 'warning', 'inside job 7', PATH=path, SLURM_JOB_ID='7')
        self.program('sinfo', 'exit 0')
        self.finds('SLURM', 'warning', 'does not answer', PATH=path)
        self.finds('SLURM', 'problem', 'does not answer', PATH=path, SLURM_JOB_ID='7')
        self.program('scontrol', '[ $1 = ping ] && echo Slurmctld is UP && exit; echo Requeue=0')
        self.finds('SLURM', 'ok', 'UP', PATH=path)
        self.finds('SLURM', 'warning', 'may not be queued again', PATH=path, SLURM_JOB_ID='7')

    def test_end_of_the_job(self):
        soon = str(int(time.time()) + 100)
        path = self.program('squeue', 'echo 3:00:00')
        self.finds('end of the job', 'warning', 'only', SLURM_JOB_END_TIME=soon)
        self.finds('end of the job', 'ok', 'squeue', SLURM_JOB_ID='7', PATH=path)
        self.program('squeue', 'echo 1:00')
        self.finds('end of the job', 'warning', 'only 1m', SLURM_JOB_ID='7', PATH=path)
        self.program('squeue', 'exit 1')
        self.finds('end of the job', 'warning', 'nobody tells', SLURM_JOB_ID='7', PATH=path)

    def test_data(self):
        with open(os.path.join(self.folder, 'c.yaml'), 'w', encoding='utf-8') as file:
            file.write('name: x\ntask: {data: {format: idx, path: /no/such}}\n')
        found = self.run_doctor('c.yaml')
        self.assertEqual(found['data']['verdict'], 'problem')
        self.assertIn('/no/such', found['data']['text'])
        # Which the trainer does not get over either.
        self.assertEqual(found['trainer']['verdict'], 'problem')

    def test_trainer(self):
        def trainer(*words):
            return ['--set', 'trainer.command=' + json.dumps([FAKE, *words])]
        self.finds('trainer', 'problem', 'exit status 9) before it was ready: broken', *trainer(
            '--start-exit', '9', '--complaint', 'broken'))
        self.finds('trainer', 'problem', 'not a JSON object', *trainer('--start-text', 'garbage'))
        self.finds('trainer', 'problem', 'cannot start', '--set', 'trainer.command=["/no/such"]')
        self.finds('trainer', 'ok', 'is ready', *trainer())

    def test_devices(self):
        wanted = ['--set', 'resources.gpus_per_trial=1']
        self.finds('devices', 'problem', 'gpus_per_trial', *wanted, CUDA_VISIBLE_DEVICES='')
        self.finds('devices', 'ok', 'slot 0: 4; slot 1: 7', *wanted, '--set', 'run.slots=2',
                   '--set', 'resources.oversubscribe=true', CUDA_VISIBLE_DEVICES='4,7')
        self.finds('devices', 'ok', '4,7, not used', CUDA_VISIBLE_DEVICES='4,7')


if __name__ == '__main__':
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    ARCHWAY, FAKE, SYSTEM = map(os.path.abspath, sys.argv[1:4])
    unittest.main(argv=sys.argv[:1])
