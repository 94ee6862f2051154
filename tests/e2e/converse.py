#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Converse with a trainer as an agent does, and see that it keeps to the protocol.

  converse.py [--needs MODULE] COMMAND ...

Greets it with a small IDX data set, gives it a task, one that fails, one that is cancelled
while it runs, and the first one again, whose curve has to be the same; then closes its
input. Exit status 77 when python lacks MODULE.
"""
import importlib.util
import json
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading

CLASSES, SIDE, IMAGES = 3, 8, 240


def write_data(folder):
    """Images whose bright columns tell their class."""
    rng = random.Random(1)
    labels = bytes(rng.randrange(CLASSES) for _ in range(IMAGES))
    pixels = bytearray()
    for label in labels:
        for _ in range(SIDE):
            pixels += bytes(rng.randrange(100) + 120 * (x // 2 == label) for x in range(SIDE))
    for part in ("train", "t10k"):
        with open(os.path.join(folder, part + "-images-idx3-ubyte"), "wb") as file:
            file.write(struct.pack(">4B3I", 0, 0, 8, 3, IMAGES, SIDE, SIDE) + pixels)
        with open(os.path.join(folder, part + "-labels-idx1-ubyte"), "wb") as file:
            file.write(struct.pack(">4BI", 0, 0, 8, 1, IMAGES) + labels)


def layer(filters, inputs):
    return {"filter_height": 3, "filter_width": 3, "filters": filters, "stride": 1,
            "inputs": inputs}


GOOD = {"layers": [layer(8, [-1]), layer(6, [-1, 0])]}
BAD = {"layers": [{"filters": "many"}]}


class Trainer:
    """A trainer process, killed when it takes too long."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True,
                                        stdout=subprocess.PIPE)
        self.watchdog = threading.Timer(100, self.process.kill)
        self.watchdog.start()

    def end(self):
        self.watchdog.cancel()
        self.process.kill()
        self.process.wait()

    def say(self, **line):
        print(json.dumps(line), file=self.process.stdin, flush=True)

    def task(self, trial, architecture, **hyperparameters):
        self.say(type="task", trial=trial, attempt=1, seed=trial, architecture=architecture,
                 hyperparameters=hyperparameters)

    def hear(self):
        line = self.process.stdout.readline()
        assert line, "the trainer ended"
        return json.loads(line)

    def hear_result(self, trial):
        """The curve and the result of a trial."""
        curve = []
        while True:
            line = self.hear()
            assert (line["trial"], line["attempt"]) == (trial, 1), line
            if line["type"] == "result":
                return curve, line
            assert line["type"] == "progress" and line["epoch"] == len(curve) + 1, line
            curve.append(line["metrics"])


def greet(trainer, folder):
    trainer.say(type="hello", protocol=1, run="converse", seed=1, threads=1, memory=0,
                cache=folder, slot=0, reward={"metric": "val_accuracy"},
                task={"kind": "image-classification", "train": 180, "validation": 60,
                      "data": {"format": "idx", "path": folder}},
                trainer={"builtin": {"batch": 20, "augment": {"pad": 0, "flip": False}}})
    ready = trainer.hear()
    assert ready["type"] == "ready" and ready["protocol"] == 1, ready


def converse(trainer):
    trainer.task(1, GOOD, epochs=20)
    curve, result = trainer.hear_result(1)
    assert result["status"] == "ok" and len(curve) == 20, result
    assert all(math.isfinite(m["val_accuracy"]) for m in curve), curve
    assert curve[-1]["val_accuracy"] > 0.6, curve
    assert result["params"] > 0 and result["seconds"] >= 0, result

    trainer.task(2, BAD)
    _, result = trainer.hear_result(2)
    assert result["status"] == "failed" and result["reason"], result

    trainer.task(3, GOOD, epochs=9999)
    trainer.hear()
    trainer.say(type="cancel", trial=3, attempt=1)
    while (line := trainer.hear())["type"] == "progress":
        pass
    assert line["status"] == "failed" and line["trial"] == 3, line

    trainer.task(1, GOOD, epochs=20)
    again, result = trainer.hear_result(1)
    assert result["status"] == "ok", result
    assert [m["val_accuracy"] for m in again] == [m["val_accuracy"] for m in curve], again

    trainer.process.stdin.close()
    assert trainer.process.wait() == 0, trainer.process.returncode


def main():
    command = sys.argv[1:]
    if command[0] == "--needs":
        if not importlib.util.find_spec(command[1]):
            print("skipped: this python has no", command[1])
            sys.exit(77)
        command = command[2:]
    with tempfile.TemporaryDirectory() as folder:
        write_data(folder)
        trainer = Trainer(command)
        try:
            greet(trainer, folder)
            converse(trainer)
        finally:
            trainer.end()


main()
