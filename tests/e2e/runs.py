# SPDX-License-Identifier: Apache-2.0
"""Whole runs with the fake trainer: runs.py CASE ARCHWAY FAKE_TRAINER RUN_DIGEST."""
import json
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib

CASE = sys.argv[1]
ARCHWAY, FAKE, DIGEST = map(os.path.abspath, sys.argv[2:5])
os.environ.update(OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1")
FOLDER = tempfile.mkdtemp(prefix="aw-e2e.", dir="/tmp")
os.environ["TMPDIR"] = FOLDER
os.chdir(FOLDER)


def config(trainer="--null", trials=120, mode="sync", run="", search=""):
    words = ", ".join([FAKE] + trainer.split())
    with open("c.yaml", "w") as f:
        f.write(f"""name: e2e
task: {{kind: image-classification, data: {{format: generated}}}}
space: {{name: conv-chain, layers: 3}}
trainer: {{command: [{words}]}}
search: {{strategy: reinforce, trials: {trials}, batch: 8{search}}}
control: {{share: 0.1}}
run: {{mode: {mode}{run}}}
""")


def command(*args, ranks=0, options=()):
    words = [ARCHWAY, *args, "--quiet"]
    if ranks:
        words = ["mpirun", "--oversubscribe", *options, "-n", str(ranks), *words]
    return words


def archway(*args, ranks=0, options=(), status=0, limit=50):
    p = subprocess.run(command(*args, ranks=ranks, options=options), timeout=limit,
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    text = p.stdout + p.stderr
    assert p.returncode == status, f"{args}: status {p.returncode}, not {status}: {text}"
    return text


def digest(run):
    return subprocess.run([DIGEST, run], check=True, capture_output=True, text=True).stdout


def verify(run):
    p = subprocess.run([DIGEST, "--verify", run], capture_output=True, text=True)
    assert p.returncode == 0, p.stdout + p.stderr


def ending(run):
    with open(f"{run}/exit.json") as f:
        return json.load(f)


def trainers():
    """Pids of trainers of this test (by their folder in the environment)."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as f:
                ours = f.read().split(b"\0")[0] == FAKE.encode()
            with open(f"/proc/{pid}/environ", "rb") as f:
                ours = ours and f"TMPDIR={FOLDER}".encode() in f.read()
        except OSError:
            continue
        if ours:
            found.append(int(pid))
    return found


def wait_for(condition, what, limit=20):
    until = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < until, f"no {what} within {limit} s"
        time.sleep(0.02)


def kill_and_resume(mode):
    seed = int(os.environ.get("ARCHWAY_SEED", time.time_ns() % 2**32))
    print("seed", seed, flush=True)
    rng = random.Random(seed)
    config("--sleep 8", trials=160, mode=mode, run=", snapshot_every: 0.3")
    if mode == "sync":
        archway("search", "c.yaml", "--run", "whole")
    kills, args = 0, ("search", "c.yaml", "--run", "cut")
    while True:
        p = subprocess.Popen(command(*args))
        try:
            assert p.wait(rng.uniform(0.05, 0.3) if kills < 20 else 50) == 0
            break
        except subprocess.TimeoutExpired:
            p.kill()
            p.wait()
            kills += 1
        if os.path.exists("cut/journal") and os.path.getsize("cut/journal") > 100:
            args = ("resume", "cut")
        else:
            shutil.rmtree("cut", ignore_errors=True)
    print("kills", kills)
    assert kills > 3
    assert ending("cut")["status"] == 0
    if mode == "sync":
        assert digest("whole") == digest("cut")
    verify("cut")
    wait_for(lambda: not trainers(), "end of the trainers")


def ranks_alike():
    config(trials=96)
    archway("search", "c.yaml", "--run", "alone")
    for ranks in (2, 3, 5):
        archway("search", "c.yaml", "--run", f"r{ranks}", ranks=ranks)
        assert digest("alone") == digest(f"r{ranks}"), ranks
        assert ending(f"r{ranks}")["status"] == 0


def refusals():
    config(trials=20)
    archway("search", "c.yaml", "--run", "r")
    before = os.path.getsize("r/journal")
    assert "archway resume r" in archway("search", "c.yaml", "--run", "r", status=2)
    started = time.monotonic()
    archway("search", "c.yaml", "--run", "r", ranks=3, status=2)
    assert time.monotonic() - started < 15
    text = archway("resume", "r", "--set", "reward.power=2", status=2)
    assert "reward.power" in text and "--allow-change" in text, text
    assert "search.batch" in archway("resume", "r", "--allow-change", "--set",
                                     "search.batch=2", status=2)
    assert os.path.getsize("r/journal") == before
    archway("resume", "r", "--trials", "+12", "--allow-change", "--set", "reward.power=2")
    assert ending("r")["trials"] == 32
    verify("r")
    with open("bad.yaml", "w") as f:
        f.write("search: {trails: 3}\n")
    text = archway("search", "bad.yaml", "--run", "never", ranks=2, status=2)
    assert text.count("archway: error") == 1 and not os.path.exists("never"), text
    with open("r/journal", "r+b") as f:  # of a later release
        header = f.read(8) + struct.pack("<I", 99)
        f.seek(0)
        f.write(header + struct.pack("<I", zlib.crc32(header)))
    assert "version" in archway("resume", "r", status=2)


def locked():
    config("--sleep 60000")
    p = subprocess.Popen(command("search", "c.yaml", "--run", "r"))
    try:
        wait_for(trainers, "trainer")
        wait_for(lambda: os.path.exists("r/journal"), "journal")
        assert f"pid {p.pid}" in archway("resume", "r", status=2)
    finally:
        p.kill()
        p.wait()
    wait_for(lambda: not trainers(), "end of the trainers")


def stops():
    config("--sleep 60000")
    for ranks, number in ((0, signal.SIGTERM), (0, signal.SIGUSR1), (3, signal.SIGTERM),
                          (3, signal.SIGUSR1)):
        run = f"r{ranks}-{number}"
        p = subprocess.Popen(command("search", "c.yaml", "--run", run, ranks=ranks),
                             stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for(trainers, "trainer")
        time.sleep(0.5)
        started = time.monotonic()
        p.send_signal(number)
        wait_for(lambda: os.path.exists(f"{run}/exit.json"), "exit.json", 4)
        took = time.monotonic() - started
        p.wait(20)
        print(run, f"{took:.2f} s", flush=True)
        assert took < 2.5 and ending(run)["status"] == 75, ending(run)
        assert os.path.exists(f"{run}/snapshot.h5")
        wait_for(lambda: not trainers(), "end of the trainers", 3)
    archway("search", "c.yaml", "--run", "limit", "--time-limit", "1", status=75, limit=10)


def budgets():
    config("--sleep 100", trials=100000, search=", hours: 0.0004")
    archway("search", "c.yaml", "--run", "hours", limit=20)
    assert "search.hours" in ending("hours")["reason"]
    config("--sleep 100", trials=100000, search=", core_hours: 0.0004")
    archway("search", "c.yaml", "--run", "cores", limit=20)
    assert "core_hours" in ending("cores")["reason"]


def bad_trainers():
    config("--sleep 20 --fail-every 5 --crash-every 7 --nan-every 9 --garbage-every 11 "
           "--hang-every 13 --once", trials=40, mode="async", run=", trial_timeout: 1")
    archway("search", "c.yaml", "--run", "r", ranks=3)
    assert ending("r")["status"] == 0 and ending("r")["trials"] == 40
    verify("r")


def disk_full():
    config("--sleep 10", trials=100000)
    p = subprocess.run(command("search", "c.yaml", "--run", "r"), capture_output=True,
                       text=True, timeout=50, preexec_fn=lambda: resource.setrlimit(
                           resource.RLIMIT_FSIZE, (60000, 60000)))
    assert p.returncode == 1 and p.stderr.count("archway: error") == 1, p.stderr
    archway("resume", "r", "--time-limit", "1", status=75)
    verify("r")


CASES = {"kill_sync": lambda: kill_and_resume("sync"),
         "kill_async": lambda: kill_and_resume("async"), "ranks_alike": ranks_alike,
         "refusals": refusals, "locked": locked, "stops": stops, "budgets": budgets,
         "bad_trainers": bad_trainers, "disk_full": disk_full}
try:
    if CASE in ("ranks_alike", "refusals", "stops", "bad_trainers") and \
            not shutil.which("mpirun"):
        print("skipped: mpirun is not installed")
        sys.exit(77)
    CASES[CASE]()
finally:
    for pid in trainers():
        os.kill(pid, signal.SIGKILL)
    shutil.rmtree(FOLDER, ignore_errors=True)
