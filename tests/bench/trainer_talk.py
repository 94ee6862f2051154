# SPDX-License-Identifier: Apache-2.0
"""Shared by bench_start and bench_memory: speak with the built-in trainer as an agent does
and note when it answers. One epoch is one batch of 128 images, so that its progress line
tells when the first step is done. Standard library only."""
import json
import subprocess
import threading
import time

BATCH = 128
LIMIT = 20  # seconds; then a trainer that says nothing is killed
LAYERS = [{'filter_height': 3, 'filter_width': 3, 'filters': 24, 'stride': stride,
           'inputs': [i - 1]} for i, stride in enumerate((1, 2, 1, 2, 1, 1))]


def hello(cache):
    data = {'format': 'generated', 'images': 6000, 'classes': 10, 'height': 28,
            'width': 28, 'channels': 1}
    return {'type': 'hello', 'protocol': 1, 'run': 'bench', 'seed': 1,
            'task': {'kind': 'image-classification', 'data': data, 'train': BATCH,
                     'validation': 1},
            'trainer': {'builtin': {'epochs': 1, 'batch': BATCH}},
            'reward': {'metric': 'val_accuracy'}, 'threads': 1, 'memory': 0,
            'cache': cache, 'slot': 0}


TASK = {'type': 'task', 'trial': 0, 'attempt': 1, 'seed': 1,
        'architecture': {'layers': LAYERS}, 'hyperparameters': {}}


class Start:
    """Seconds from the start of the process to its lines "ready" and "progress", and, when
    `inspect` is given, what inspect(pid) says after the first step."""

    def __init__(self, trainer, cache, inspect=None):
        lines = ''.join(json.dumps(line) + '\n' for line in (hello(cache), TASK))
        start = time.perf_counter()
        with subprocess.Popen([trainer], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              text=True) as p:
            timer = threading.Timer(LIMIT, p.kill)
            timer.daemon = True
            timer.start()
            p.stdin.write(lines)
            p.stdin.flush()
            self.ready = self.hear(p, 'ready', start)
            self.first_step = self.hear(p, 'progress', start)
            self.inspected = inspect(p.pid) if inspect else None
            p.stdin.close()
            p.stdout.read()
            timer.cancel()

    @staticmethod
    def hear(process, kind, start):
        line = json.loads(process.stdout.readline() or '{}')
        if line.get('type') != kind:
            raise RuntimeError(f'the trainer said {line} instead of "{kind}"')
        return time.perf_counter() - start
