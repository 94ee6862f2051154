#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Trials a second from the first result to the last, with a trainer that answers at once,
strategy, ledger and journal (synced) in the loop, beside mpi4py's pool with a task that does
nothing and no record. Rounds alternate between the two; figures are medians. Also what the
master's process used (event "usage" of log.jsonl): CPU time a trial, start included, and
peak memory."""
import os
import subprocess
import sys

import bench_run as b

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'dispatch_peer.py')
ROUNDS = 3
TRIALS = {'random': 40000, 'reinforce': 12000}


def own_round(programs, workers, strategy):
    with b.work_folder() as folder:
        search = f'strategy: {strategy}, trials: {TRIALS[strategy]}, duplicates: train'
        config = b.write_config(folder, [programs.fake, '--null'], search)
        with b.Search(programs, workers + 1, config, os.path.join(folder, 'run')) as s:
            s.finish()
            events = s.events()
    times = [e['time'] for e in events if e['event'] == 'trial']
    usage = b.one(events, 'usage')
    return ((len(times) - 1) / (max(times) - min(times)),
            usage['cpu_seconds'] / len(times), usage['max_rss_bytes'])


def peer_round(programs, workers):
    done = subprocess.run([programs.run_mpi, '-n', str(workers + 1), '-t', str(b.LIMIT),
                           b.PYTHON, '-m', 'mpi4py.futures', PEER, '4000'],
                          env=b.environment(), capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f'the pool: status {done.returncode}: {done.stderr}')
    return float(done.stdout)


def main():
    programs = b.Programs(sys.argv)
    b.need_mpirun()
    has_peer = b.has_module('mpi4py')
    if not has_peer:
        print('no mpi4py: figures without their peer')
    for workers in (2, 8):
        own, peer = {s: [] for s in TRIALS}, []
        for _ in range(ROUNDS):
            for strategy, rounds in own.items():
                rounds.append(own_round(programs, workers, strategy))
            if has_peer:
                peer.append(peer_round(programs, workers))
        for strategy, rounds in own.items():
            rate, cpu, memory = (b.median(column) for column in zip(*rounds))
            name = f'dispatch, {workers} workers, {strategy}'
            b.show(name, rate, 'trials/s', 'mpi4py pool', b.median(peer) if peer else None)
            b.show(f"{name}, master's CPU", cpu * 1e6, 'us/trial', decimals=1)
            b.show(f"{name}, master's peak memory", memory / 2**20, 'MiB', decimals=1)


main()
