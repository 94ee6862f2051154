#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An outside witness that recurrent language models are right: PyTorch.

  recurrent_torch.py DUMP_RECURRENT

From the same weights, words and state, several windows of text with a step of SGD after
each give the same losses, states and gradients of all weights, and the same loss after all
of them, to 1e-4 relative to PyTorch's in double precision. Weights of a pool that the cell
does not use get no gradient at all. Where a ReLU's argument is so near 0 that rounding
decides on which side, there are two right gradients: where they differ then, the case is
played again with other numbers. Exit status 77 when torch is missing.
"""
import json
import os
import random
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True

try:
    import numpy
    import torch
    from torch.nn import functional
except ImportError as missing:
    print("skipped: this python has no", missing.name)
    sys.exit(77)

FUNCTIONS = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid,
             "identity": lambda a: a}
NAMES = ["tanh", "relu", "identity", "sigmoid"]
OUTPUTS = ["all", "leaves", "all but first"]
SEED, TOLERANCE, KINK, ATTEMPTS = 20260, 1e-4, 5e-7, 5
SMALL = {"vocabulary": 23, "hidden": 19, "steps": 6, "batch": 5}


def published():
    """The cell of Pham et al., ICML 2018, figure 6: 12 nodes."""
    tokens = [0, 0, 0, 1, 1, 2, 1, 2, 0, 2, 0, 5, 1, 1, 0, 6, 1, 8, 1, 8, 1, 8, 1]
    return [[0, NAMES[tokens[0]]]] + [[tokens[j], NAMES[tokens[j + 1]]]
                                      for j in range(1, len(tokens), 2)]


def cell_of(rng, nodes):
    return [[rng.randrange(max(j, 1)), rng.choice(NAMES)] for j in range(nodes)]


def cases():
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


def complete(spec):
    full = dict({"pool": False, "output": "leaves", "norm": False, "state_clip": 0, "threads": 1,
                 "windows": 4, "seed": SEED, "rate": 1}, **spec)
    full["nodes"] = len(full["cell"]) + (2 if full["pool"] else 0)
    return full


def ours(dump, spec, files=()):
    """What a dump says, and the numbers it wrote: those of all dumps and these files."""
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([dump, folder], input=json.dumps(spec), text=True,
                             stdout=subprocess.PIPE, check=True)
        said = json.loads(out.stdout)
        for name in ("weights.f32", "start.f32", "text.i32", "gradients.f32", "states.f32",
                     *files):
            path = os.path.join(folder, name)
            said[name[:-4]] = numpy.fromfile(path, "<f4" if name[-3:] == "f32" else "<i4")
    said["gradients"] = said["gradients"].reshape(spec["windows"], said["count"])
    said["states"] = said["states"].reshape(spec["windows"], spec["batch"], spec["hidden"])
    said["text"] = torch.tensor(said["text"].reshape(-1, spec["batch"])).long()
    return said


class Model:
    def __init__(self, spec, said):
        self.spec, hidden = spec, spec["hidden"]
        self.nearest, self.longest = 1.0, 0.0
        self.cell = spec["cell"]
        read = {previous for previous, _ in self.cell[1:]}
        self.outputs = [j for j in range(len(self.cell))
                        if {"leaves": j not in read, "all": True,
                            "all but first": j > 0 or len(self.cell) == 1}[spec["output"]]]
        flat = torch.tensor(said["weights"]).double()
        self.places = {"E": (0, (spec["vocabulary"], hidden)),
                       "W_x": (said["input"], (hidden, 2 * hidden))}
        for j, at in enumerate(said["edges"]):
            self.places[f"W into {j}"] = (at, (hidden, 2 * hidden))
        self.weights = {name: flat[at:at + rows * columns].view(rows, columns).clone()
                        .requires_grad_() for name, (at, (rows, columns)) in self.places.items()}

    def highway(self, a, p, name):
        gate, value = a.chunk(2, dim=1)
        if name == "relu":
            self.nearest = min(self.nearest, value.detach().abs().min().item())
        return p + torch.sigmoid(gate) * (FUNCTIONS[name](value) - p)

    def step(self, x, h):
        w = self.weights
        nodes = [self.highway(x @ w["W_x"] + h @ w["W into 0"], h, self.cell[0][1])]
        for j, (previous, name) in enumerate(self.cell[1:], 1):
            p = nodes[previous]
            nodes.append(self.highway(p @ w[f"W into {j}"], p, name))
        out = sum(nodes[j] for j in self.outputs) / len(self.outputs)
        if self.spec["norm"]:
            return functional.batch_norm(out, None, None, training=True)
        return out

    def cut(self, h):
        limit = self.spec["state_clip"]
        if not limit:
            return h
        norms = h.detach().norm(dim=1, keepdim=True)
        self.longest = max(self.longest, norms.max().item())
        return h * torch.where(norms > limit, limit / norms, torch.ones_like(norms))

    def loss(self, text, h):
        outputs = []
        for words in text[:-1]:
            out = self.step(self.weights["E"][words], h)
            outputs.append(out)
            h = self.cut(out)
        logits = torch.cat(outputs) @ self.weights["E"].t()
        return functional.cross_entropy(logits, text[1:].reshape(-1)), h.detach()

    def flat_gradient(self, count):
        flat = torch.zeros(count, dtype=torch.double)
        for name, (at, (rows, columns)) in self.places.items():
            flat[at:at + rows * columns] = self.weights[name].grad.reshape(-1)
        return flat.numpy()


def distance(a, b):
    """Relative to b's length; of a b of 0, whether a is 0 as well."""
    length = numpy.linalg.norm(b)
    return numpy.linalg.norm(a - b) / length if length else float(numpy.any(a))


def check_gradient(model, ours_flat, theirs_flat):
    worst, used = 0.0, numpy.zeros(len(ours_flat), bool)
    for at, (rows, columns) in model.places.values():
        part = slice(at, at + rows * columns)
        used[part] = True
        worst = max(worst, distance(ours_flat[part], theirs_flat[part]))
    return worst if not ours_flat[~used].any() else float("inf")


def check_once(dump, title, spec):
    """None: they differ, and rounding may have decided at a kink."""
    said = ours(dump, spec)
    model, h = Model(spec, said), torch.tensor(said["start"]).double()
    h, steps = h.view(spec["batch"], spec["hidden"]), spec["steps"]
    losses, worst_gradient, worst_state = [], 0.0, 0.0
    for i in range(spec["windows"]):
        loss, h = model.loss(said["text"][i * steps:(i + 1) * steps + 1], h)
        loss.backward()
        losses.append(loss.item())
        worst_gradient = max(worst_gradient, check_gradient(
            model, said["gradients"][i], model.flat_gradient(said["count"])))
        worst_state = max(worst_state, distance(said["states"][i], h.numpy()))
        with torch.no_grad():
            for w in model.weights.values():
                w -= spec["rate"] * w.grad
                w.grad = None
    losses.append(model.loss(said["text"][:steps + 1], h)[0].item())
    worst_loss = max(abs(a - b) / abs(b) for a, b in zip(said["losses"], losses))
    print(f"{title}: loss {losses[0]:.4f} -> {losses[-1]:.4f}; largest differences: loss "
          f"{worst_loss:.1e}, state {worst_state:.1e}, gradient {worst_gradient:.1e}")
    if model.longest < spec["state_clip"]:
        print(f"{title}: no state was longer than {spec['state_clip']}")
        return False
    good = max(worst_loss, worst_state, worst_gradient) <= TOLERANCE
    return None if not good and model.nearest < KINK else good


def check(dump, title, spec):
    spec = complete(spec)
    for attempt in range(ATTEMPTS):
        good = check_once(dump, title, dict(spec, seed=spec["seed"] + attempt))
        if good is not None:
            return good
    print(f"{title}: {ATTEMPTS} times different, a ReLU within {KINK} of its kink")
    return False


def main():
    torch.set_num_threads(1)
    print("seed", SEED)
    good = [check(sys.argv[1], title, spec) for title, spec in cases()]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
