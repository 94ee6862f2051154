#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Memory of the processes of a run while it trains: master, one agent, the built-in trainer
(generated data, a small child). Resident (RSS) and proportional (PSS: shared pages divided
by who shares them) from smaps_rollup, the largest seen while the run goes on. Before that a
trainer alone: the largest resident memory up to the end of its first step (VmHWM), without
the pages of the mapped data. The peer is a Python that has imported torch."""
import os
import subprocess
import sys
import time

import bench_run as b
import trainer_talk

TRAINER = '{builtin: {epochs: 5}}'
SMALL = (', filter_heights: [3], filter_widths: [3], filters: [24], strides: [2, 3]')
SECONDS = 25
STEP_GOAL = 60  # MB beyond the mapped data, up to the end of a trainer's first step


def memory(pid):
    """(RSS, PSS) in bytes, or None when the process is gone."""
    found = {}
    try:
        with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as f:
            for line in f:
                word = line.split()
                if word[0] in ('Rss:', 'Pss:'):
                    found[word[0]] = int(word[1]) * 1024
    except OSError:
        return None
    return (found['Rss:'], found['Pss:']) if len(found) == 2 else None


def fields(pid):
    """(name, parent) of a process; None when it is gone."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as f:
            text = f.read()
    except OSError:
        return None
    name = text[text.index('(') + 1:text.rindex(')')]
    rest = text[text.rindex(')') + 2:].split()
    return name, int(rest[1])


def descendants(root):
    known = {int(p): fields(p) for p in os.listdir('/proc') if p.isdigit()}
    below = {root}
    while True:
        more = {p for p, f in known.items() if f and f[1] in below} - below
        if not more:
            return {p: known[p][0] for p in below if known.get(p)}
        below |= more


def rank_of(pid):
    try:
        with open(f'/proc/{pid}/environ', 'rb') as f:
            for entry in f.read().split(b'\0'):
                if entry.startswith(b'OMPI_COMM_WORLD_RANK='):
                    return int(entry.split(b'=')[1])
    except OSError:
        pass
    return None


def role_of(pid, name):
    if name == 'archway':
        rank = rank_of(pid)
        return {0: 'master', 1: 'agent'}.get(rank)
    return 'trainer' if name.startswith('archway-trainer') else None


def watch(search, seconds):
    largest = {}
    until = time.time() + seconds
    while time.time() < until and search.process.poll() is None:
        for pid, name in descendants(search.process.pid).items():
            role, m = role_of(pid, name), memory(pid)
            if role and m:
                old = largest.get(role, (0, 0))
                largest[role] = (max(old[0], m[0]), max(old[1], m[1]))
        time.sleep(0.1)
    return largest


def peer_memory():
    code = 'import torch; print(flush=True); input()'
    with subprocess.Popen([b.PYTHON, '-c', code], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE) as p:
        p.stdout.readline()
        found = memory(p.pid)
        p.communicate(b'\n')
    return found


def peak_without_data(pid):
    """Bytes. The data is mapped until the end, so its pages are in the peak."""
    data, inside = 0, False
    with open(f'/proc/{pid}/smaps', encoding='utf-8') as f:
        for line in f:
            word = line.split()
            if '-' in word[0]:
                inside = 'archway-data-' in line
            elif inside and word[0] == 'Rss:':
                data += int(word[1])
    with open(f'/proc/{pid}/status', encoding='utf-8') as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith('VmHWM:'))
    return 1024 * (peak - data)


def show_trainer(programs, peer):
    with b.work_folder() as cache:
        trainer_talk.Start(programs.trainer, cache)  # prepares the data
        peaks = [trainer_talk.Start(programs.trainer, cache, peak_without_data).inspected
                 for _ in range(5)]
    b.show("peak of a trainer's first step beyond its data", b.median(peaks) / 1e6, 'MB',
           'import torch', peer[0] / 1e6 if peer else None, 1, STEP_GOAL)


def main():
    programs = b.Programs(sys.argv)
    peer = peer_memory() if b.has_module('torch') else None
    if not peer:
        print('no torch: figures without their peer')
    show_trainer(programs, peer)
    b.need_mpirun()
    with b.work_folder() as folder:
        os.environ['PATH'] = (os.path.dirname(programs.trainer) + os.pathsep +
                              os.environ['PATH'])
        config = b.write_config(folder, None, 'strategy: random, trials: 4, '
                                'duplicates: train', trainer=TRAINER, extra=SMALL)
        with b.Search(programs, 3, config, os.path.join(folder, 'run')) as s:
            largest = watch(s, SECONDS)
            if s.process.poll() not in (0, None):
                raise RuntimeError(s.process.stderr.read().decode())
    if not {'master', 'agent', 'trainer'} <= set(largest):
        raise RuntimeError(f'only {sorted(largest)} were seen')
    for role in ('master', 'agent', 'trainer'):
        for i, kind in enumerate(('resident', 'proportional')):
            b.show(f'memory of the {role}, {kind}', largest[role][i] / 2**20, 'MiB',
                   'import torch', peer[i] / 2**20 if peer else None, 1)


main()
