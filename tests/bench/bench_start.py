#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Seconds from the start of the command to the first trial handed to a trainer (event
"first_trial" of log.jsonl): three ranks under mpirun, and alone. The peer is a Python that
imports torch and has done nothing yet. Rounds alternate."""
import os
import subprocess
import sys
import time

import bench_run as b

ROUNDS = 5


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


def main():
    programs = b.Programs(sys.argv)
    b.need_mpirun()
    has_peer = b.has_module('torch')
    if not has_peer:
        print('no torch: figures without their peer')
    three, alone, peer = [], [], []
    for _ in range(ROUNDS):
        three.append(own_round(programs, 3))
        alone.append(own_round(programs, 1))
        if has_peer:
            peer.append(peer_round())
    torch = b.median(peer) if peer else None
    b.show('start to first trial, 3 ranks', b.median(three), 's', 'import torch', torch, 3)
    b.show('start to first trial, alone', b.median(alone), 's', 'import torch', torch, 3)


main()
