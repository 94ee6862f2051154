#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""archway launch over real mpiruns whose ranks die, and over false ones that lie or hang;
archway slurm.

Usage: launch.py ARCHWAY FAKE_TRAINER
"""
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

ARCHWAY = FAKE = None
CONFIG = """
name: launched
task: {{data: {{format: generated, images: 600}}}}
trainer: {{command: ["{fake}", {words}]}}
search: {{trials: {trials}}}
run: {{slots: 2, lost_after: 2s, heartbeat: 0.2s}}
resources: {{oversubscribe: true}}
"""
# Drops mpirun's options; then "$@" is archway and its arguments.
SKIP = 'while [ "$1" != "$ARCHWAY" ]; do shift; done\n'


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix='aw', dir='/tmp')
        self.environment = dict(os.environ, TMPDIR=self.folder, ARCHWAY=ARCHWAY)
        if os.getuid() == 0:
            self.environment.update(OMPI_ALLOW_RUN_AS_ROOT='1',
                                    OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')
        self.started = []
        self.config()

    def tearDown(self):
        for process in self.started:
            if process.poll() is None:
                process.terminate()
                process.wait(timeout=30)
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, name):
        return os.path.join(self.folder, name)

    def read(self, name):
        with open(self.path(name), encoding='utf-8') as file:
            return file.read()

    def config(self, *words, trials=20):
        with open(self.path('c.yaml'), 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(fake=FAKE, trials=trials, words=', '.join(
                json.dumps(word) for word in words or ('--null',))))

    def mpirun(self, script):
        """A false one, first in PATH, that keeps its arguments."""
        folder = self.path('bin')
        os.makedirs(folder, exist_ok=True)
        with open(folder + '/mpirun', 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\necho "$*" >>"%s"\n%s\n' % (self.path('calls'), script))
        os.chmod(folder + '/mpirun', 0o755)
        self.environment['PATH'] = folder + ':' + os.environ['PATH']

    def calls(self):
        return self.read('calls').splitlines()

    def start(self, *words, run='r'):
        process = subprocess.Popen([ARCHWAY, 'launch', 'c.yaml', '--run', run, *words],
                                   cwd=self.folder, env=self.environment, text=True,
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        self.started.append(process)
        return process

    def launch(self, *words, status=0, run='r', timeout=60):
        process = self.start(*words, run=run)
        out = process.communicate(timeout=timeout)[0]
        self.assertEqual(process.returncode, status, out)
        return out

    def events(self, event):
        try:
            lines = self.read('r/log.jsonl').splitlines()
        except OSError:
            return []
        return [line for line in lines if '"event":"%s"' % event in line]

    def wait_for(self, what, timeout=40):
        until = time.monotonic() + timeout
        while not what():
            self.assertLess(time.monotonic(), until, 'waited in vain')
            time.sleep(0.05)

    def ranks(self, command):
        """Process ids of the ranks of a run, the master first; not what they have forked."""
        found, pids = [], set()
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/cmdline' % pid, 'rb') as file:
                    words = file.read().decode(errors='replace').split('\0')
                with open('/proc/%s/environ' % pid, 'rb') as file:
                    environment = file.read().split(b'\0')
                with open('/proc/%s/stat' % pid, encoding='utf-8', errors='replace') as file:
                    parent = int(file.read().rsplit(')', 1)[1].split()[1])
            except OSError:
                continue
            if words[:2] == [ARCHWAY, command] and \
                    ('TMPDIR=' + self.folder).encode() in environment:
                rank = [e for e in environment if e.startswith(b'OMPI_COMM_WORLD_RANK=')]
                found.append((int(rank[0].split(b'=')[1]), int(pid), parent))
                pids.add(int(pid))
        return [pid for _, pid, parent in sorted(found) if parent not in pids]

    def assert_all_counted(self, trials):
        text = subprocess.run([ARCHWAY, 'trials', 'r', '--format', 'json'], cwd=self.folder,
                              stdout=subprocess.PIPE, check=True).stdout
        found = json.loads(text)
        rows = found if isinstance(found, list) else found['trials']
        self.assertEqual(sorted(row['trial'] for row in rows), list(range(trials)))


class Deceived(Case):
    """False mpiruns."""

    def test_errors(self):
        for words, part in ((['--grace', 'x'], '--grace'), (['--least', '2'], 'a share'),
                            (['--restarts', '-1'], '--restarts')):
            self.assertIn(part, self.launch(*words, status=2))
        done = subprocess.run([ARCHWAY, 'launch', 'c.yaml'], cwd=self.folder, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, 2)
        self.assertIn('--run DIR is missing', done.stderr)
        self.environment['PATH'] = '/no/such'
        self.assertIn('cannot start mpirun', self.launch(status=1))

    def test_never_ends(self):
        """After the end of the run mpirun waits for a node that is no more."""
        self.mpirun(SKIP + '"$@"; exec sleep 100')
        started = time.monotonic()
        self.assertIn('all trials are done (0)', self.launch('--grace', '1s'))
        self.assertLess(time.monotonic() - started, 30)

    def test_ignores_term(self):
        self.mpirun(SKIP + 'trap "" TERM; "$@"; sleep 100; sleep 100')
        self.launch('--grace', '0s')

    def test_lies(self):
        """Its status is 0 although the run failed, and 1 although it did not."""
        self.config('--fail-every', '1', '--null')
        self.mpirun(SKIP + '"$@"; exit 0')
        self.launch(status=1)
        self.config()
        self.mpirun(SKIP + '"$@"; exit 1')
        self.launch(run='other')

    def test_nothing_said(self):
        self.mpirun('exit 0')
        self.assertIn('no exit.json (1)', self.launch(status=1))
        self.mpirun('exit 213')
        self.launch(status=213)
        self.assertEqual(len(self.calls()), 2) # not started again: nothing had come of it

    def test_options(self):
        self.mpirun(SKIP + 'exec "$@"')
        self.launch('--seed', '5', '--set', 'search.batch=4', '--', '-n', '3', '-x', 'A b')
        self.assertIn('--mca orte_enable_recovery 1 --mca odls_base_sigkill_timeout 3 '
                      '-n 3 -x A b %s search c.yaml --run r '
                      '--seed 5 --set search.batch=4' % ARCHWAY, self.calls()[0])
        self.assertIn('seed: 5', self.read('r/config.yaml'))
        self.launch('--seed', '5', '--time-limit', '1h', '--', '-n', '3')
        self.assertTrue(self.calls()[1].endswith('-n 3 %s resume r --time-limit 1h' % ARCHWAY))

    def test_stop_and_go_on(self):
        self.config('--sleep', '100', trials=60)
        self.mpirun(SKIP + 'exec "$@"')
        for number in (signal.SIGUSR1, signal.SIGTERM):
            before = len(self.events('trial'))
            process = self.start()
            self.wait_for(lambda: len(self.events('trial')) > before + 5)
            process.send_signal(number)
            out = process.communicate(timeout=30)[0]
            self.assertEqual(process.returncode, 75, out)
            self.assertIn('asked to stop', out)
        self.launch()
        self.assert_all_counted(60)

    def test_end_of_job(self):
        """As squeue tells it, where the environment does not."""
        self.config('--sleep', '100', trials=1000)
        self.mpirun(SKIP + 'exec "$@"')
        with open(self.path('bin/squeue'), 'w', encoding='utf-8') as file:
            file.write('#!/bin/sh\necho 0:04\n')
        os.chmod(self.path('bin/squeue'), 0o755)
        self.environment.pop('SLURM_JOB_END_TIME', None)
        self.environment['SLURM_JOB_ID'] = '7'
        started = time.monotonic()
        self.assertIn('the end of the batch job is near (75)', self.launch(status=75))
        self.assertLess(time.monotonic() - started, 15)

    def test_idle_sessions(self):
        """What never gets anywhere is given up, so that no job is queued for ever."""
        os.mkdir(self.path('r'))
        for name in ('journal', 'config.yaml'):
            with open(self.path('r/' + name), 'w', encoding='utf-8'):
                pass
        idle = """echo '{"status": 75, "reason": "SIGUSR1"}' >r/exit.json; exit 0"""
        self.mpirun(idle)
        self.launch(status=75)
        self.launch(status=75)
        self.assertIn('given up', self.launch(status=1))
        self.mpirun("""echo '{"time":1,"event":"trial","trial":1}' >>r/log.jsonl\n""" + idle)
        self.launch(status=75) # and counted afresh from here
        self.mpirun(idle)
        self.launch(status=75)
        self.launch(status=75)

    def test_dead_hosts(self):
        """All ranks of one host are gone: not started there again."""
        here = os.uname().nodename
        slots = [{'host': h, 'rank': r} for r, h in enumerate((here, 'n2', 'n2', 'n3', 'n4'), 1)]
        os.mkdir(self.path('r'))
        for name in ('journal', 'config.yaml'):
            with open(self.path('r/' + name), 'w', encoding='utf-8'):
                pass
        lost = ''.join('{"time":1,"event":"rank_lost","rank":%d,"text":"n2"}\\n' % r
                       for r in (2, 3))
        # n2 is not asked, n4 does not answer.
        self.mpirun("""case "$*" in
    *"--host n4 -n 1 true") exit 1 ;;
    *"--host n2 "*) touch n2 ;;
    *"-n 1 true") exit 0 ;;
esac
[ -e second ] && echo '{"status": 0, "reason": "x"}' >r/exit.json && exit
touch second
echo '%s' >r/placement.json
printf '%s' >>r/log.jsonl
trap "echo '{\\"status\\": 75, \\"reason\\": \\"SIGUSR1\\"}' >r/exit.json; exit" USR1
for i in 1 2 3 4 5 6 7 8 9 0; do sleep 1; done""" % (json.dumps(slots), lost))
        out = self.launch('--least', '0.7', '--', '-n', '6', '--bind-to', 'none')
        self.assertIn('2 of 5 workers are lost', out)
        self.assertIn('3 --bind-to none --host %s:2,n3:1 -n 3 %s resume r' % (here, ARCHWAY),
                      self.calls()[-1])
        self.assertFalse(os.path.exists(self.path('n2')))

    def test_restarts_end(self):
        self.mpirun('mkdir -p r; touch r/journal\n'
                    """echo '{"time":1,"event":"trial","trial":1}' >>r/log.jsonl; exit 9""")
        self.launch('--restarts', '2', status=9)
        self.assertEqual(len(self.calls()), 3)


class Real(Case):
    """A real mpirun."""
    OPTIONS = ('--grace', '3s', '--', '--oversubscribe', '--bind-to', 'none', '-n', '4')

    def segments_of(self, pid):
        """Names of the shared memory of a rank's job, as far as the rank has it mapped."""
        with open('/proc/%d/maps' % pid, encoding='utf-8') as file:
            paths = [line.split()[5] for line in file if '/vader_segment.' in line]
        return set(map(os.path.basename, paths))

    def lose(self, *which):
        self.config('--sleep', '100', trials=150)
        process = self.start(*self.OPTIONS)
        self.wait_for(lambda: len(self.events('trial')) > 10)
        ranks = self.ranks('search')
        self.assertEqual(len(ranks), 4)
        ours = self.segments_of(ranks[0])
        self.assertEqual(len(ours), 4)
        for i in which:
            os.kill(ranks[i], signal.SIGKILL)
        out = process.communicate(timeout=90)[0]
        self.assertEqual(ours & set(os.listdir('/dev/shm')), set())
        self.assertEqual(process.returncode, 0, out)
        self.assert_all_counted(150)
        self.assertEqual(self.ranks('search') + self.ranks('resume'), [])
        return out

    def test_finished(self):
        self.launch(*self.OPTIONS)
        self.assert_all_counted(20)

    def test_lost_rank(self):
        self.assertNotIn('again', self.lose(2))

    def test_lost_ranks(self):
        self.assertIn('2 of 3 workers are lost: stopping', self.lose(1, 3))

    def test_lost_before_the_run_begins(self):
        """Within MPI_Init, where the others would wait for it for ever."""
        self.config('--sleep', '50', trials=40)
        process = self.start(*self.OPTIONS)
        self.wait_for(lambda: len(self.ranks('search')) == 4)
        os.kill(self.ranks('search')[2], signal.SIGKILL)
        out = process.communicate(timeout=90)[0]
        self.assertEqual(process.returncode, 0, out)
        # Where the machine was quick, the run had begun and went on without the rank.
        if not self.events('rank_lost'):
            self.assertIn('lost before the run began; stopping it', out)
            self.assertIn('the run did not begin; starting mpirun again', out)
        self.assert_all_counted(40)

    def test_lost_master(self):
        self.assertIn('the master is gone; starting mpirun again', self.lose(0))


class Slurm(Case):
    """archway slurm."""

    def slurm(self, *words, status=0):
        done = subprocess.run([ARCHWAY, 'slurm', 'c.yaml', *words], cwd=self.folder,
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.returncode, status, done.stderr)
        return done.stdout + done.stderr

    def test_errors(self):
        job = ['--nodes', '2', '--time', '4h']
        for words, part in (([], '--nodes N is missing'), (['--nodes', '2'], '--time T is'),
                            (['--nodes', '0', '--time', '4h'], "--nodes is '0'"),
                            (['--nodes', '2', '--time', '30'], 'with its unit'),
                            (['--nodes', '2', '--time', '10s'], 'from 60s'),
                            (job + ['--signal-before', '3h'], 'more than half'),
                            (job + ['--account', 'a b'], "--account is 'a b'"),
                            (job + ['--partition', 'x\ny'], '--partition is'),
                            (job + ['--array', '1;2'], "--array is '1;2'"),
                            (job + ['--array', '-1'], "begins with '-'"),
                            (job + ['--gpus', '2'], 'gpus_per_trial is 0'),
                            (job + ['--set', 'resources.gpus_per_trial=2'], 'give --gpus'),
                            (job + ['--set', 'search.trials=x'], 'search.trials')):
            self.assertIn(part, self.slurm(*words, status=2))

    def test_script(self):
        text = self.slurm('--nodes', '3', '--time', '1d', '--cpus', '16', '--account', 'nas',
                          '--partition', 'gpu', '--gpus', '4', '--signal-before', '5m',
                          '--array', '1-8', '--set', 'resources.gpus_per_trial=1', '--set',
                          "name=it's $HOME", '--run', "a'b c")
        for line in ('--nodes=3', '--time=1-00:00:00', '--cpus-per-task=16', '--account=nas',
                     '--partition=gpu', '--gpus-per-node=4', '--signal=B:USR1@300',
                     '--array=1-8', '--requeue', '--open-mode=append', '--job-name=it-s--HOME',
                     '--no-kill', '--output=archway-%A_%a.log'):
            self.assertIn('\n#SBATCH %s\n' % line, text)
        self.assertNotIn('--exclusive', text)
        self.assertIn("\nrun='a'\\''b c'\n", text)
        self.assertIn("--set 'name=it'\\''s $HOME'", text)
        subprocess.run(['bash', '-n'], input=text, text=True, check=True)
        if shutil.which('shellcheck'):
            subprocess.run(['shellcheck', '-e', 'SC2016', '-'], input=text, text=True, check=True)

    def test_file(self):
        said = self.slurm('--nodes', '1', '--time', '2h', '--output', 'job.sbatch')
        self.assertIn('sbatch job.sbatch', said)
        self.assertTrue(os.access(self.path('job.sbatch'), os.X_OK))
        self.assertIn('--exclusive', self.read('job.sbatch'))
        before = self.read('job.sbatch')
        self.assertIn("'job.sbatch' exists", self.slurm(
            '--nodes', '2', '--time', '2h', '--output', 'job.sbatch', status=2))
        self.assertEqual(self.read('job.sbatch'), before)
        self.slurm('--nodes', '1', '--time', '2h', '--output', 'no/job', status=1)


if __name__ == '__main__':
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    ARCHWAY, FAKE = map(os.path.abspath, sys.argv[1:3])
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
