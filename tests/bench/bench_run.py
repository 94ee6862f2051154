# SPDX-License-Identifier: Apache-2.0
"""Shared by the measurements of whole runs: start the program through run_mpi.sh (which
leaves nothing behind), read what it logged, print figures. Standard library only."""
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

PYTHON = '/usr/bin/python3'
LIMIT = 40  # seconds; no run takes longer


class Programs:
    """The paths that meson gives, in the order of meson.build."""

    def __init__(self, argv):
        self.run_mpi, self.archway, self.fake, self.trainer = map(os.path.abspath, argv[1:5])


def has_module(name):
    return os.path.exists(PYTHON) and subprocess.run(
        [PYTHON, '-c', f'import importlib.util, sys;'
         f'sys.exit(importlib.util.find_spec("{name}") is None)'],
        check=False).returncode == 0


def need_mpirun():
    if not shutil.which('mpirun'):
        print('skipped: mpirun is not installed')
        sys.exit(77)


def environment():
    """mpirun refuses to run as root without being told so twice."""
    return dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT='1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM='1')


def write_config(folder, command, search, mode='async', trainer=None, extra=''):
    """A small configuration; `command` is an external trainer's, else `trainer` is text."""
    path = os.path.join(folder, 'config.yaml')
    trainer = trainer or f'{{command: {json.dumps(command)}}}'
    with open(path, 'w', encoding='utf-8') as f:
        f.write('name: bench\n'
                'task: {kind: image-classification, data: {format: generated}}\n'
                f'space: {{name: conv-chain, layers: 6{extra}}}\n'
                f'trainer: {trainer}\n'
                f'search: {{{search}}}\n'
                'control: {share: 0.1}\n'
                'resources: {oversubscribe: true}\n'
                f'run: {{mode: {mode}, prefetch: 128, slots: 1}}\n')
    return path


def search_command(programs, ranks, config, run, options=()):
    """ranks 1: without mpirun; options: of run_mpi.sh."""
    command = [programs.archway, 'search', config, '--run', run, '--quiet']
    if ranks > 1:
        command = [programs.run_mpi, '-n', str(ranks), '-t', str(LIMIT), *options] + command
    return command


class Search:
    """A search in a group of its own, ended with the block it is used in."""

    def __init__(self, programs, ranks, config, run, options=()):
        self.run = run
        self.started = time.time()
        self.process = subprocess.Popen(search_command(programs, ranks, config, run,
                                                       options), env=environment(),
                                        stdout=subprocess.DEVNULL,
                                        stderr=subprocess.PIPE, start_new_session=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            # The wrapper ends mpirun and cleans up; alone it is the program itself.
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        self.process.stderr.close()

    def finish(self):
        _, text = self.process.communicate(timeout=LIMIT + 10)
        if self.process.returncode != 0:
            raise RuntimeError(f'status {self.process.returncode}: {text.decode()}')

    def events(self):
        try:
            with open(os.path.join(self.run, 'log.jsonl'), encoding='utf-8') as f:
                return [json.loads(line) for line in f if line.endswith('\n')]
        except FileNotFoundError:
            return []


def one(events, name):
    return next(e for e in events if e['event'] == name)


def work_folder():
    return tempfile.TemporaryDirectory(prefix='archway-bench-')


def show(name, value, unit, peer_name=None, peer=None, decimals=0, goal=None):
    """'name: value unit, goal below G (peer value, ratio x)'; a ratio above 1 is a larger
    own value."""
    line = f'{name}: {value:,.{decimals}f} {unit}'
    if goal is not None:
        line += f', goal below {goal}: ' + ('reached' if value < goal else 'NOT reached')
    if peer:
        line += f' ({peer_name} {peer:,.{decimals}f}, {value / peer:.2f} x)'
    print(line, flush=True)


median = statistics.median
