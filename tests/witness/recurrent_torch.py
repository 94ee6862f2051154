#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An outside witness that recurrent language models are right, of cells of nodes and of
trees: PyTorch.

  recurrent_torch.py DUMP_RECURRENT

From the same weights, words and state, several windows of text with a step of SGD after
each give the same losses, states and gradients of all weights, and the same loss after all
of them, to 1e-4 relative to PyTorch's in double precision. Weights of a pool that the cell
does not use get no gradient at all. Exit status 77 when torch is missing.
"""
import random
import sys

sys.dont_write_bytecode = True

from language_witness import NAMES, SEED, SMALL, TOLERANCE, Model, ours, play, run
import torch

OUTPUTS = ["all", "leaves", "all but first"]
COMBINATIONS = ["add", "elem_mult"]


def published():
    """The cell of Pham et al., ICML 2018, figure 6: 12 nodes."""
    tokens = [0, 0, 0, 1, 1, 2, 1, 2, 0, 2, 0, 5, 1, 1, 0, 6, 1, 8, 1, 8, 1, 8, 1]
    return [[0, NAMES[tokens[0]]]] + [[tokens[j], NAMES[tokens[j + 1]]]
                                      for j in range(1, len(tokens), 2)]


def cell_of(rng, nodes):
    return [[rng.randrange(max(j, 1)), rng.choice(NAMES)] for j in range(nodes)]


def cells():
    rng = random.Random(SEED)
    yield "published cell, 12 nodes", dict(vocabulary=1500, hidden=48, steps=35, batch=8,
                                           cell=published(), pool=True)
    yield "published cell from scratch, two threads", dict(
        SMALL, cell=published(), threads=2, batch=13)
    yield "one node", dict(SMALL, cell=[[0, "sigmoid"]])
    yield "a chain", dict(SMALL, cell=[[max(j - 1, 0), NAMES[j % 4]] for j in range(6)])
    yield "a star", dict(SMALL, cell=[[0, NAMES[j % 4]] for j in range(6)], pool=True)
    yield "states cut", dict(SMALL, cell=published(), state_clip=0.2)
    # One window: a norm of few columns makes ever more of a difference, and so of rounding.
    normal = dict(SMALL, cell=published(), norm=True, batch=16, windows=1)
    yield "batch norm", dict(normal, hidden=37, threads=2, pool=True)
    yield "batch norm, states cut", dict(normal, state_clip=4, output="all")
    yield "generic kernels", dict(SMALL, cell=published(), kernels="generic")
    yield "wide cell over one column", dict(SMALL, hidden=130, batch=1, cell=published())
    for i in range(8):
        yield f"random cell {i}", dict(
            vocabulary=rng.randrange(2, 200), hidden=rng.randrange(1, 70),
            steps=rng.randrange(1, 12), batch=rng.randrange(1, 20),
            cell=cell_of(rng, rng.randrange(1, 13)), pool=i % 2 == 0,
            output=OUTPUTS[i % 3], threads=1 + i % 2, state_clip=(0, 0.5)[i % 4 == 3])


def worked_example():
    """Zoph & Le, ICLR 2017, figure 5: base 2."""
    return {"nodes": [["add", "tanh"], ["elem_mult", "relu"], ["elem_mult", "sigmoid"]],
            "inject": ["add", "relu"], "memory": 1, "injected": 0}


def tree_of(rng, leaves, names=tuple(NAMES)):
    def node():
        return [rng.choice(COMBINATIONS), rng.choice(names)]

    count = 2 * leaves - 1
    return {"nodes": [node() for _ in range(count)], "inject": node(),
            "memory": rng.randrange(count), "injected": rng.randrange(count)}


def lstm_like():
    """Everything bounded, eight leaves: what a search ends with."""
    leaf, names = ["add"], ["tanh", "sigmoid", "sigmoid", "tanh"]
    return {"nodes": [leaf + [names[i % 4]] for i in range(8)] +
                     [["elem_mult", "tanh"], ["add", "sigmoid"], ["elem_mult", "identity"],
                      ["add", "tanh"], ["elem_mult", "tanh"], ["add", "sigmoid"],
                      ["elem_mult", "tanh"]],
            "inject": ["add", "tanh"], "memory": 12, "injected": 9}


def trees():
    rng = random.Random(SEED + 1)
    yield "worked example", dict(SMALL, tree=worked_example())
    yield "a large tree", dict(vocabulary=1500, hidden=48, steps=35, batch=8,
                               tree=lstm_like())
    yield "two threads", dict(SMALL, tree=lstm_like(), threads=2, batch=13)
    yield "generic kernels, a tree", dict(SMALL, tree=lstm_like(), kernels="generic")
    yield "h and c cut", dict(SMALL, tree=lstm_like(), state_clip=0.2)
    yield "batch norm of a tree", dict(SMALL, tree=lstm_like(), norm=True, batch=16,
                                       windows=1)
    # Sums of sums and products of products: what is not cut grows from step to step.
    for i in range(12):
        yield f"random tree {i}", dict(
            vocabulary=rng.randrange(2, 200), hidden=rng.randrange(1, 70),
            steps=rng.randrange(1, 9), batch=rng.randrange(1, 20),
            tree=tree_of(rng, rng.randrange(2, 10)), threads=1 + i % 2, rate=0.05,
            state_clip=1, longest=0)


def complete(spec):
    full = dict({"pool": False, "output": "leaves", "norm": False, "state_clip": 0,
                 "threads": 1, "windows": 4, "seed": SEED, "rate": 1}, **spec)
    if "cell" in full:
        full["nodes"] = len(full["cell"]) + (2 if full["pool"] else 0)
    return full


class Cell(Model):
    def __init__(self, spec, said):
        hidden, self.cell = spec["hidden"], spec["cell"]
        read = {previous for previous, _ in self.cell[1:]}
        self.outputs = [j for j in range(len(self.cell))
                        if {"leaves": j not in read, "all": True,
                            "all but first": j > 0 or len(self.cell) == 1}[spec["output"]]]
        places = {"W_x": (said["input"], hidden, 2 * hidden)}
        for j, at in enumerate(said["edges"]):
            places[f"W into {j}"] = (at, hidden, 2 * hidden)
        super().__init__(spec, said, places)

    def highway(self, a, p, name):
        gate, value = a.chunk(2, dim=1)
        return p + torch.sigmoid(gate) * (self.activate(name, value) - p)

    def step(self, weights, x, state):
        w, h = weights, state[0]
        nodes = [self.highway(x @ w["W_x"] + h @ w["W into 0"], h, self.cell[0][1])]
        for j, (previous, name) in enumerate(self.cell[1:], 1):
            p = nodes[previous]
            nodes.append(self.highway(p @ w[f"W into {j}"], p, name))
        out = self.norm(sum(nodes[j] for j in self.outputs) / len(self.outputs))
        return out, self.cut(out)[None]


class Tree(Model):
    """The equations of common/space/rnn_tree.h, node after node."""

    def __init__(self, spec, said):
        tree, hidden = spec["tree"], spec["hidden"]
        self.tree, self.leaf_count = tree, (len(tree["nodes"]) + 1) // 2
        width = self.leaf_count * hidden
        super().__init__(spec, said, {"W_x": (said["input"], hidden, width),
                                      "W_h": (said["edges"][0], hidden, width)})

    def combine(self, node, a, b):
        return a + b if node[0] == "add" else a * b

    def step(self, weights, x, state):
        h, c = state
        tree, n = self.tree, self.spec["hidden"]
        read, memory = [], None
        for i, node in enumerate(tree["nodes"]):
            if i < self.leaf_count:
                leaf = slice(i * n, (i + 1) * n)
                p = self.combine(node, x @ weights["W_x"][:, leaf],
                                 h @ weights["W_h"][:, leaf])
            else:
                left = 2 * (i - self.leaf_count)
                p = self.combine(node, read[left], read[left + 1])
            a = self.activate(node[1], p)
            if i == tree["injected"]:
                a = self.activate(tree["inject"][1], self.combine(tree["inject"], a, c))
            if i == tree["memory"]:
                memory = p
            read.append(a)
        out = self.norm(read[-1])
        return out, torch.stack([self.cut(out), self.cut(memory)])


def check_once(spec):
    said = ours(sys.argv[1], spec)
    model = (Tree if "tree" in spec else Cell)(spec, said)
    losses, worst = play(model, said, spec)
    worst = {name: (value, TOLERANCE) for name, value in worst.items()}
    if model.longest < spec.get("longest", spec["state_clip"]):
        worst["no state cut"] = (1, 0)
    return model, losses, worst


if __name__ == "__main__":
    run([(title, complete(spec)) for title, spec in [*cells(), *trees()]], check_once)
