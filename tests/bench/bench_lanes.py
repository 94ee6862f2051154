#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Exact data-parallel training of shared weights: two ranks that make the two lanes of a
step each, against one rank that makes both. Tokens of training a second, from the first
result of a step to the last, and the losses, which must be equal to the bit.

Usage: bench_lanes.py RUN_MPI ARCHWAY FAKE_TRAINER TRAINER [HIDDEN [STEPS [ROUNDS]]]
"""
import csv
import io
import json
import os
import random
import subprocess
import sys
import tempfile

import bench_run

WORDS, BATCH, BPTT, LANES = 10000, 64, 35, 2
CONFIG = """
preset: enas-article
name: lanes
task: {{data: {{path: {text}, vocabulary: {words}}}}}
trainer: {{builtin: {{hidden: {hidden}, batch: {batch}, recurrent: {{bptt: {bptt}}}}}}}
search:
  strategy: random-shared
  shared: {{epochs: 1, steps: {steps}, samples: {lanes}, save_every: 1000, probes: 0,
           candidates: 1, finalists: 1}}
control: {{share: 0}}
run: {{slots: 1}}
resources: {{threads_per_trial: 1, oversubscribe: true}}
"""


def write_text(folder, steps):
    numbers = random.Random(1)
    os.mkdir(folder)
    for name, count in (('train', BATCH * (BPTT * steps + 2)), ('valid', 20 * BATCH),
                        ('test', 20 * BATCH)):
        words = ['w%d' % int(WORDS * numbers.random() ** 3) for _ in range(count)]
        if name == 'train':
            words[:WORDS] = ['w%d' % i for i in range(WORDS)]
        with open(os.path.join(folder, name + '.txt'), 'w', encoding='utf-8') as file:
            file.write(' '.join(words) + '\n')


def measure(programs, folder, workers, steps):
    """Tokens a second, and the losses."""
    run = os.path.join(folder, 'run%d' % workers)
    subprocess.run(['rm', '-rf', run], check=True)
    subprocess.run(bench_run.search_command(programs, workers + 1,
                                            os.path.join(folder, 'c.yaml'), run,
                                            ('-t', '3000')),
                   env=bench_run.environment(), check=True, stdout=subprocess.DEVNULL)
    table = subprocess.run([programs.archway, 'trials', run, '--format', 'csv', '--curves'],
                           check=True, capture_output=True, text=True).stdout
    rows = [r for r in csv.DictReader(io.StringIO(table)) if int(r['trial']) < LANES * steps]
    ends = sorted(float(r['finished_at']) for r in rows)
    seconds = ends[-1] - ends[LANES - 1]
    return LANES * (steps - 1) * BATCH * BPTT / seconds, losses(programs, run, steps)


def losses(programs, run, steps):
    text = subprocess.run([programs.archway, 'trials', run, '--format', 'json', '--curves'],
                          check=True, capture_output=True, text=True).stdout
    return [t['curve'][-1]['train_loss'] for t in json.loads(text)[:LANES * steps]]


def main():
    bench_run.need_mpirun()
    programs = bench_run.Programs(sys.argv)
    hidden, steps, rounds = (int(a) for a in (sys.argv[5:] + ['200', '20', '3'][
        len(sys.argv[5:]):]))
    ratios = []
    with tempfile.TemporaryDirectory(prefix='archway-lanes-') as folder:
        write_text(os.path.join(folder, 'text'), steps)
        with open(os.path.join(folder, 'c.yaml'), 'w', encoding='utf-8') as file:
            file.write(CONFIG.format(text=os.path.join(folder, 'text'), words=WORDS,
                                     hidden=hidden, batch=BATCH, bptt=BPTT, steps=steps,
                                     lanes=LANES))
        for k in range(rounds):
            one, first = measure(programs, folder, 1, steps)
            two, second = measure(programs, folder, 2, steps)
            if first != second:
                sys.exit('the losses of one and of two ranks differ')
            ratios.append(two / one)
            print('hidden %d, round %d: 1 rank %.0f tokens/s, 2 ranks %.0f: %.2f times'
                  % (hidden, k + 1, one, two, two / one), flush=True)
    print('two ranks against one: %.2f times as fast (median of %d; goal 1.85), losses equal'
          % (sorted(ratios)[len(ratios) // 2], rounds))


if __name__ == '__main__':
    main()
