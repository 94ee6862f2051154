#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""How long it takes until something is trained.

The built-in trainer: from its start to "ready" (programs loaded, data mapped) and to the
end of its first step (child built, memory touched, 128 images), data prepared before.
Whole runs: from the start of the command to the first trial handed to a trainer (event
"first_trial" of log.jsonl), three ranks under mpirun, and alone. The peer is a Python that
imports torch and has done nothing yet. Rounds alternate."""
import os
import subprocess
import sys
import time

import bench_run as b
import trainer_talk

ROUNDS = 5
TRAINER_ROUNDS = 15
STEP_GOAL = 60  # ms from the start of a trainer to the end of its first step


def own_round(programs, ranks):
    with b.work_folder() as folder:
        config = b.write_config(folder, [programs.fake, '--null'],
                                'strategy: random, trials: 8, duplicates: train')
        with b.Search(programs, ranks, config, os.path.join(folder, 'run')) as s:
            s.finish()
            return b.one(s.events(), 'first_trial')['time'] - s.started


def peer_round():
    start = time.time()
    subprocess.run([b.PYTHON, '-c', 'import torch'], check=True)
    return time.time() - start


def show_trainer(programs, torch):
    with b.work_folder() as cache:
        trainer_talk.Start(programs.trainer, cache)  # prepares the data
        starts = [trainer_talk.Start(programs.trainer, cache)
                  for _ in range(TRAINER_ROUNDS)]
    ready = [1000 * s.ready for s in starts]
    step = [1000 * s.first_step for s in starts]
    torch = 1000 * torch if torch else None
    b.show('start of a trainer to "ready"', b.median(ready), 'ms', 'import torch', torch, 1)
    b.show('start of a trainer to its first step', b.median(step), 'ms', 'import torch',
           torch, 1, STEP_GOAL)
    print(f'  fastest of {TRAINER_ROUNDS}: {min(ready):.1f} ms, {min(step):.1f} ms')


def show_runs(programs, torch):
    three, alone = [], []
    for _ in range(ROUNDS):
        three.append(own_round(programs, 3))
        alone.append(own_round(programs, 1))
    b.show('start to first trial, 3 ranks', b.median(three), 's', 'import torch', torch, 3)
    b.show('start to first trial, alone', b.median(alone), 's', 'import torch', torch, 3)


def main():
    programs = b.Programs(sys.argv)
    torch = None
    if b.has_module('torch'):
        torch = b.median([peer_round() for _ in range(ROUNDS)])
    else:
        print('no torch: figures without their peer')
    show_trainer(programs, torch)
    b.need_mpirun()
    show_runs(programs, torch)


main()
