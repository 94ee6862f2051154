#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The smallest useful trainer of one's own, with nothing but Python's standard library.

    trainer: {command: [python3, deploy/trainers/rings.py]}

It shows the whole conversation with archway: JSON lines on standard input and output, one
task at a time, a line of progress an epoch, a result at the end, cancel and stop heeded,
and a trial that a stop of the run cuts off goes on from its state.
What it learns is small on purpose: to tell two rings of points apart by logistic
regression over random features, as many of them as the architecture's first layer has
filters. Replace the class Child by your own model and keep the rest.

Anything meant for people goes to standard error; archway keeps it in the trainer's log.
"""
import json
import math
import os
import queue
import random
import signal
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

    def state(self):
        return [self.weights, self.train_points, self.rng.getstate()]

    def restore(self, state):
        self.weights, self.train_points, (version, words, gauss) = state
        self.rng.setstate((version, tuple(words), gauss))

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


def save(path, state):
    """Whole or not at all, whatever happens: another name, synced, renamed."""
    with open(path + ".tmp", "w", encoding="utf-8") as file:
        json.dump(state, file)
        file.flush()
        os.fsync(file.fileno())
    os.rename(path + ".tmp", path)


def load(path, identity):
    with open(path, encoding="utf-8") as file:
        state = json.load(file)  # never pickle: it would run what a file says
    if state["identity"] != identity:
        raise ValueError("the state is of another trial")
    return state


def read_orders(orders, cancelled, wanted):
    """A thread of its own, so that a cancel is seen while a child is trained."""
    for line in sys.stdin:
        order = json.loads(line)
        if order["type"] == "cancel":
            cancelled.add((order["trial"], order["attempt"]))
        elif order["type"] == "checkpoint":
            wanted.add((order["trial"], order["attempt"]))
        else:
            orders.put(order)
    orders.put({"type": "stop"})  # the end of the input means stop


def begin(task, settings, name, child):
    """The state of a trial: from its file when there is one, else of a new one."""
    identity = [task["seed"], task["architecture"], settings]
    path = task.get("checkpoint")  # only there when "ready" says that it is wanted
    if path and os.path.exists(path):
        try:
            state = load(path, identity)
            child.restore(state["child"])
            say(type="checkpoint", **name, status="continued", epoch=len(state["curve"]),
                seconds=state["seconds"])
            for epoch, metrics in enumerate(state["curve"], 1):  # once more
                say(type="progress", **name, epoch=epoch, metrics=metrics)
            return state
        except Exception as problem:  # no reason to fail: begin anew
            say(type="checkpoint", **name, status="refused", reason=repr(problem))
    return {"identity": identity, "curve": [], "seconds": 0.0}


def run(task, settings, cancelled, wanted):
    """Train one task; every way out is one result line, or its state that was asked for."""
    name = {"trial": task["trial"], "attempt": task["attempt"]}
    settings = {**settings, **task.get("hyperparameters", {})}  # the task overrides
    start = saved = time.monotonic()
    try:
        child = Child(task["architecture"], task["seed"])
        state = begin(task, settings, name, child)
        before = state["seconds"]
        for epoch in range(len(state["curve"]) + 1, settings["epochs"] + 1):
            if tuple(name.values()) in cancelled:
                raise RuntimeError("cancelled")
            state["seconds"] = before + time.monotonic() - start
            asked = tuple(name.values()) in wanted
            due = 0 < task.get("checkpoint_every", 0) <= time.monotonic() - saved
            if "checkpoint" in task and (asked or due):
                save(task["checkpoint"], {**state, "child": child.state()})
                saved = time.monotonic()
                say(type="checkpoint", **name, status="suspended" if asked else "saved",
                    epoch=epoch - 1, seconds=state["seconds"])
                if asked:
                    return
            child.train(settings["lr"])
            accuracy, loss = child.validate()
            metrics = {"val_accuracy": accuracy, "val_loss": loss, "lr": settings["lr"]}
            state["curve"].append(metrics)
            say(type="progress", **name, epoch=epoch, metrics=metrics)
        say(type="result", **name, status="ok", metrics=state["curve"][-1],
            params=len(child.weights), seconds=before + time.monotonic() - start)
    except Exception as problem:  # a bad task must not cost the process
        say(type="result", **name, status="failed", reason=repr(problem))


def main():
    orders, cancelled, wanted = queue.Queue(), set(), set()
    settings = {"epochs": 5, "lr": 2.0}
    # A scheduler that ends a job signals every process; the end of the input will do.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    threading.Thread(target=read_orders, args=(orders, cancelled, wanted),
                     daemon=True).start()
    while True:
        order = orders.get()
        if order["type"] == "hello":
            # order["task"], order["trainer"]: the configuration; order["threads"],
            # order["memory"]: what may be used; order["cache"]: a folder on this node
            say(type="ready", protocol=1, name="rings", version="1", queue=1,
                checkpoints=True)
        elif order["type"] == "task":
            run(order, settings, cancelled, wanted)
        elif order["type"] == "stop":
            return


if __name__ == "__main__":
    main()
