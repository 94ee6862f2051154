#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What grows with a run, and what must not: the master's memory beyond the bytes of its
records (as its ledger counts them) after many trials against few; archway status on the
longest run, from its digest and without it; 64 ranks on this machine's few cores beside
mpi4py's pool of as many; seconds from the death of a rank to its trials running elsewhere,
with default settings.

ARCHWAY_BENCH_TRIALS: trials of the long runs, instead of a million."""
import os
import resource
import signal
import subprocess
import sys
import time

import bench_run as b

PEER = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'dispatch_peer.py')
FEW, MANY = 10000, int(os.environ.get('ARCHWAY_BENCH_TRIALS', 1000000))
GOAL_REST, GOAL_STATUS, GOAL_ELSEWHERE = 1.05, 1, 5


def search(programs, folder, strategy, trials, workers):
    config = b.write_config(folder, [programs.fake, '--null'],
                            f'strategy: {strategy}, trials: {trials}, duplicates: train')
    run = os.path.join(folder, f'{strategy}-{trials}-{workers}')
    with b.Search(programs, workers + 1, config, run) as s:
        s.finish()
    return run


def last_event(run, name):
    """Without reading a log of hundreds of megabytes."""
    with open(os.path.join(run, 'log.jsonl'), 'rb') as f:
        f.seek(-min(f.seek(0, 2), 4096), 2)
        lines = f.read().decode().splitlines()[1:]
    return b.one([b.json.loads(line) for line in lines], name)


def rest_of(programs, folder, strategy, trials):
    """(memory, bytes of the records) at the largest, in MB."""
    run = search(programs, folder, strategy, trials, 2)
    usage = last_event(run, 'usage')
    return usage['max_rss_bytes'] / 1e6, usage['record_bytes'] / 1e6, run


def show_memory(programs, folder, strategy):
    rest = {}
    for trials in (FEW, MANY):
        memory, records, run = rest_of(programs, folder, strategy, trials)
        rest[trials] = memory - records
        b.show(f"{strategy}, {trials} trials, master's memory", memory, 'MB', decimals=1)
        b.show('  of that records', records, f'MB, {1e6 * records / trials:.0f} bytes a trial',
               decimals=1)
        b.show('  the rest', rest[trials], 'MB', decimals=1)
    b.show(f'{strategy}, the rest after {MANY} trials to that after {FEW}',
           rest[MANY] / rest[FEW], 'times', decimals=3, goal=GOAL_REST)
    return run


def status_seconds(programs, run):
    """(wall, CPU) of one call."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run([programs.archway, 'status', run], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (time.monotonic() - started, after.ru_utime + after.ru_stime - before.ru_utime -
            before.ru_stime)


def show_status(programs, run):
    for what in ('status', 'status without the digest'):
        rounds = [status_seconds(programs, run) for _ in range(5)]
        for i, kind in enumerate(('wall', 'CPU')):
            b.show(f'{what} of {MANY} trials, {kind}', b.median(r[i] for r in rounds), 's',
                   decimals=2, goal=GOAL_STATUS if what == 'status' else None)
        if os.path.exists(run + '/snapshot.digest'):
            os.unlink(run + '/snapshot.digest')


def peer_rate(programs, ranks):
    done = subprocess.run([programs.run_mpi, '-n', str(ranks), '-t', str(b.LIMIT), b.PYTHON,
                           '-m', 'mpi4py.futures', PEER, '4000'], env=b.environment(),
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f'the pool: status {done.returncode}: {done.stderr}')
    return float(done.stdout)


def show_ranks(programs, folder, ranks):
    run = search(programs, folder, 'random', 40000, ranks - 1)
    with open(run + '/log.jsonl', encoding='utf-8') as f:
        events = [b.json.loads(line) for line in f]
    times = [e['time'] for e in events if e['event'] == 'trial']
    b.show(f'dispatch, {ranks} ranks', (len(times) - 1) / (max(times) - min(times)),
           'trials/s', 'mpi4py pool',
           peer_rate(programs, ranks) if b.has_module('mpi4py') else None)
    b.show(f"dispatch, {ranks} ranks, master's CPU",
           1e6 * b.one(events, 'usage')['cpu_seconds'] / len(times), 'us/trial', decimals=1)


def rank_pids(run_folder):
    """Of the ranks of the search into this folder, by rank; not what they have forked."""
    found, parents = {}, {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as f:
                words = f.read().decode(errors='replace').split('\0')
            with open(f'/proc/{pid}/environ', 'rb') as f:
                rank = [e for e in f.read().split(b'\0')
                        if e.startswith(b'OMPI_COMM_WORLD_RANK=')]
            with open(f'/proc/{pid}/stat', encoding='utf-8', errors='replace') as f:
                parent = f.read().rsplit(')', 1)[1].split()[1]
        except OSError:
            continue
        if run_folder in words and words[1:2] == ['search'] and rank:
            parents[pid] = parent
            found[pid] = int(rank[0].split(b'=')[1])
    return {rank: int(pid) for pid, rank in found.items() if parents[pid] not in found}


def elsewhere(programs, folder):
    """Seconds from the SIGKILL of a rank until the last of its trials runs elsewhere."""
    config = b.write_config(folder, [programs.fake, '--sleep', '300'],
                            'strategy: random, trials: 150, duplicates: train')
    with open(config, encoding='utf-8') as f:
        text = f.read().replace('prefetch: 128, ', '')
    with open(config, 'w', encoding='utf-8') as f:
        f.write(text)
    run = os.path.join(folder, 'killed')
    with b.Search(programs, 4, config, run, ('-o', '--mca orte_enable_recovery 1')) as s:
        while len([e for e in s.events() if e['event'] == 'trial']) < 6:
            time.sleep(0.1)
        killed = time.time()
        os.kill(rank_pids(run)[2], signal.SIGKILL)
        until = killed + 40
        while time.time() < until and not os.path.exists(run + '/exit.json'):
            time.sleep(0.2)
        again = [e for e in s.events() if e['event'] == 'trial' and e['attempt'] > 1]
    if not again:
        raise RuntimeError('no trial was started again')
    return max(e['time'] - e['seconds'] for e in again) - killed


def main():
    programs = b.Programs(sys.argv)
    b.need_mpirun()
    b.LIMIT = 600
    with b.work_folder() as folder:
        rounds = [elsewhere(programs, os.path.join(folder, str(i))) for i in range(3)
                  if not os.mkdir(os.path.join(folder, str(i)))]
        b.show("a rank's death to its trials running elsewhere", b.median(rounds), 's',
               decimals=1, goal=GOAL_ELSEWHERE)
        show_ranks(programs, folder, 64)
        show_memory(programs, folder, 'reinforce')
        show_status(programs, show_memory(programs, folder, 'random'))


main()
