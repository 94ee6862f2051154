#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An outside witness that relaxed recurrent cells are right: PyTorch.

  relaxed_torch.py DUMP_RELAXED

From the same weights, alpha, words and state, several windows of text with a step of SGD of
weights and alpha after each give the same losses, states and gradients of all weights and of
alpha, and the same loss after all of them, to 1e-4 relative to PyTorch's in double precision.
The second-order gradient of alpha, a quotient of differences and so of more rounding, agrees
to SECOND; that it is the gradient of the unrolled objective is for tests/kernel to show.
Exit status 77 when torch is missing.
"""
import random
import sys

sys.dont_write_bytecode = True

from language_witness import (SEED, SMALL, TOLERANCE, Model, distance, ours, play, run,
                              start, window)
import torch

SECOND = 1e-2
OPERATIONS = ["tanh", "relu", "sigmoid", "identity"]  # behind none
SMALL = dict(SMALL, nodes=4)


def cases():
    rng = random.Random(SEED)
    # As published: without a norm the states of so many nodes grow without bound.
    yield "eight nodes", dict(vocabulary=600, hidden=48, steps=12, batch=40, nodes=8,
                              norm=True, windows=2)
    yield "one node", dict(SMALL, nodes=1)
    yield "two threads, clipped", dict(SMALL, threads=2, batch=13, clip=0.1)
    yield "generic kernels", dict(SMALL, kernels="generic")
    # Few windows: a norm of few columns makes ever more of a difference, and so of rounding.
    normal = dict(SMALL, norm=True, batch=24, windows=2, steps=4, nodes=3)
    yield "batch norm", normal
    yield "batch norm, two threads", dict(normal, threads=2, hidden=37)
    for i in range(6):
        yield f"random sizes {i}", dict(
            vocabulary=rng.randrange(2, 200), hidden=rng.randrange(1, 60),
            steps=rng.randrange(1, 7), batch=rng.randrange(1, 20),
            nodes=rng.randrange(1, 5), threads=1 + i % 2, clip=(0, 0.25)[i % 3 == 1])


def complete(spec):
    return dict({"norm": False, "threads": 1, "windows": 3, "seed": SEED, "rate": 0.5,
                 "eta": 0.5, "clip": 0, "decay": 1e-3, "radius": 1e-2}, **spec)


class Relaxed(Model):
    def __init__(self, spec, said):
        hidden = spec["hidden"]
        super().__init__(spec, said, {f"W_{j}": (at, hidden, 2 * hidden) for j, at in
                                      zip(["x", *range(spec["nodes"] + 1)],
                                          said["matrices"])})
        self.alpha = torch.tensor(said["alpha"]).double().view(-1, 5).requires_grad_()

    def edge(self, s, matrix, shares):
        gate, value = (s @ matrix).chunk(2, dim=1)
        return sum(q * (s + torch.sigmoid(gate) * (self.activate(operation, value) - s))
                   for q, operation in zip(shares[1:], OPERATIONS))

    def step(self, weights, x, state):
        h = state[0]
        gate, value = (x @ weights["W_x"] + h @ weights["W_0"]).chunk(2, dim=1)
        nodes = [self.norm(h + torch.sigmoid(gate) * (torch.tanh(value) - h))]
        shares = iter(torch.softmax(self.alpha, dim=1))
        for j in range(1, self.spec["nodes"] + 1):
            matrix = weights[f"W_{j}"]
            nodes.append(self.norm(sum(self.edge(s, matrix, next(shares)) for s in nodes)))
        out = sum(nodes[1:]) / (len(nodes) - 1)
        return out, out[None]

    def slopes(self, text, state, weights):
        """The loss and its gradients with respect to these weights and alpha."""
        loss = self.loss(text, state, weights)[0]
        *of_weights, of_alpha = torch.autograd.grad(loss, [*weights.values(), self.alpha])
        return loss.item(), of_weights, of_alpha

    def moved(self, by):
        return {name: (w + d).detach().requires_grad_()
                for (name, w), d in zip(self.weights.items(), by)}

    def unrolled(self, train, valid, state):
        """Validation loss after a step, and alpha's gradient of second order."""
        spec, (_, ahead, _) = self.spec, self.slopes(train, state, self.weights)
        factor = min(1, spec["clip"] / (length(ahead) + 1e-6)) if spec["clip"] else 1
        ahead = self.moved(-spec["eta"] * (factor * slope + spec["decay"] * w)
                           for w, slope in zip(self.weights.values(), ahead))
        loss, along, result = self.slopes(valid, state, ahead)
        radius = spec["radius"] / length(along)
        for sign in (1, -1):
            aside = self.moved(sign * radius * d for d in along)
            result = result - (sign * spec["eta"] * factor / (2 * radius)
                               * self.slopes(train, state, aside)[2])
        return loss, result.reshape(-1).numpy()


def length(vectors):
    return sum((v.detach() ** 2).sum() for v in vectors).sqrt().item()


def check_once(spec):
    said = ours(sys.argv[1], spec)
    model = Relaxed(spec, said)
    ahead, slope = model.unrolled(window(said, spec, 0), window(said, spec, 1),
                                  start(said, spec))
    losses, worst = play(model, said, spec)
    worst["loss"] = max(worst["loss"], abs(said["ahead"] - ahead) / ahead)
    worst = {name: (value, TOLERANCE) for name, value in worst.items()}
    worst["second order"] = (distance(said["unrolled"], slope), SECOND)
    return model, losses, worst


run([(title, complete(spec)) for title, spec in cases()], check_once)
