#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The smallest useful trainer of one's own, with nothing but Python's standard library.

    trainer: {command: [python3, deploy/trainers/rings.py]}

It shows the whole conversation with archway: JSON lines on standard input and output, one
task at a time, a line of progress an epoch, a result at the end, cancel and stop heeded.
What it learns is small on purpose: to tell two rings of points apart by logistic
regression over random features, as many of them as the architecture's first layer has
filters. Replace the class Child by your own model and keep the rest.

Anything meant for people goes to standard error; archway keeps it in the trainer's log.
"""
import json
import math
import queue
import random
import sys
import threading
import time


class Child:
    """One network to be trained. Everything random comes from the task's seed."""

    def __init__(self, architecture, seed):
        rng = random.Random(seed)
        features = architecture["layers"][0]["filters"]
        self.planes = [[rng.gauss(0, 2) for _ in range(3)] for _ in range(features)]
        self.weights = [0.0] * (features + 1)
        self.train_points = [self.point(rng) for _ in range(200)]
        self.validation_points = [self.point(rng) for _ in range(200)]
        self.rng = rng

    @staticmethod
    def point(rng):
        label, angle = rng.randrange(2), rng.uniform(0, 2 * math.pi)
        radius = 0.5 + 0.5 * label + rng.gauss(0, 0.15)
        return radius * math.cos(angle), radius * math.sin(angle), label

    def features(self, x, y):
        return [max(0.0, a * x + b * y + c) for a, b, c in self.planes] + [1.0]

    def probability(self, values):
        z = sum(w * v for w, v in zip(self.weights, values))
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, z))))

    def train(self, lr):
        """One epoch of stochastic gradient descent."""
        self.rng.shuffle(self.train_points)
        for x, y, label in self.train_points:
            values = self.features(x, y)
            error = self.probability(values) - label
            step = lr * error / len(values)
            self.weights = [w - step * v for w, v in zip(self.weights, values)]

    def validate(self):
        hits, loss = 0, 0.0
        for x, y, label in self.validation_points:
            p = self.probability(self.features(x, y))
            hits += (p > 0.5) == label
            loss -= math.log(p if label else 1 - p)
        n = len(self.validation_points)
        return hits / n, loss / n


def say(**line):
    print(json.dumps(line), flush=True)


def read_orders(orders, cancelled):
    """A thread of its own, so that a cancel is seen while a child is trained."""
    for line in sys.stdin:
        order = json.loads(line)
        if order["type"] == "cancel":
            cancelled.add((order["trial"], order["attempt"]))
        else:
            orders.put(order)
    orders.put({"type": "stop"})  # the end of the input means stop


def run(task, settings, cancelled):
    """Train one task; every way out is exactly one result line."""
    name = {"trial": task["trial"], "attempt": task["attempt"]}
    settings = {**settings, **task.get("hyperparameters", {})}  # the task overrides
    start = time.monotonic()
    try:
        child = Child(task["architecture"], task["seed"])
        for epoch in range(1, settings["epochs"] + 1):
            if tuple(name.values()) in cancelled:
                raise RuntimeError("cancelled")
            child.train(settings["lr"])
            accuracy, loss = child.validate()
            metrics = {"val_accuracy": accuracy, "val_loss": loss, "lr": settings["lr"]}
            say(type="progress", **name, epoch=epoch, metrics=metrics)
        say(type="result", **name, status="ok", metrics=metrics,
            params=len(child.weights), seconds=time.monotonic() - start)
    except Exception as problem:  # a bad task must not cost the process
        say(type="result", **name, status="failed", reason=repr(problem))


def main():
    orders, cancelled, settings = queue.Queue(), set(), {"epochs": 5, "lr": 2.0}
    threading.Thread(target=read_orders, args=(orders, cancelled), daemon=True).start()
    while True:
        order = orders.get()
        if order["type"] == "hello":
            # order["task"], order["trainer"]: the configuration; order["threads"],
            # order["memory"]: what may be used; order["cache"]: a folder on this node
            say(type="ready", protocol=1, name="rings", version="1", queue=1)
        elif order["type"] == "task":
            run(order, settings, cancelled)
        elif order["type"] == "stop":
            return


if __name__ == "__main__":
    main()
