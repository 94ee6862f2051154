# SPDX-License-Identifier: Apache-2.0
"""What the outside witnesses of language models have in common: PyTorch in double precision
beside what a dump program wrote (dump.h), window by window.

Where a ReLU's argument is so near 0 that rounding decides on which side, there are two right
gradients: where they differ then, the case is played again with other numbers. Importing
this exits with status 77 when torch is missing.
"""
import json
import os
import subprocess
import sys
import tempfile

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
SEED, TOLERANCE, KINK, ATTEMPTS, TINY = 20260, 1e-4, 5e-7, 5, 1e-30
SMALL = {"vocabulary": 23, "hidden": 19, "steps": 6, "batch": 5}


def ours(dump, spec):
    """What a dump says, and all the numbers that it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([dump, folder], input=json.dumps(spec), text=True,
                             stdout=subprocess.PIPE, check=True)
        said = json.loads(out.stdout)
        for name in os.listdir(folder):
            key, kind = name.split(".")
            said[key] = numpy.fromfile(os.path.join(folder, name),
                                       {"f32": "<f4", "i32": "<i4"}[kind])
    said["gradients"] = said["gradients"].reshape(spec["windows"], said["count"])
    said["states"] = said["states"].reshape(spec["windows"], -1)
    said["text"] = torch.tensor(said["text"].reshape(-1, spec["batch"])).long()
    return said


class Model:
    """The weights of a dump: `places` are (offset, rows, columns) by name, E the first. A
    state is (kinds, batch, hidden). Kinds of model define step."""

    def __init__(self, spec, said, places):
        self.spec, self.nearest, self.longest = spec, 1.0, 0.0
        self.places = {"E": (0, spec["vocabulary"], spec["hidden"]), **places}
        flat = torch.tensor(said["weights"]).double()
        self.weights = {name: self.part(flat, name).clone().requires_grad_()
                        for name in self.places}
        self.alpha = None

    def part(self, flat, name):
        at, rows, columns = self.places[name]
        return flat[at:at + rows * columns].reshape(rows, columns)

    def step(self, weights, x, state):
        """What the softmax sees, and the next state."""
        raise NotImplementedError

    def activate(self, name, a):
        if name == "relu":
            self.nearest = min(self.nearest, a.detach().abs().min().item())
        return FUNCTIONS[name](a)

    def norm(self, rows):
        return functional.batch_norm(rows, None, None, training=True) \
            if self.spec["norm"] else rows

    def cut(self, rows):
        limit = self.spec["state_clip"]
        if not limit:
            return rows
        norms = rows.detach().norm(dim=1, keepdim=True)
        self.longest = max(self.longest, norms.max().item())
        return rows * torch.where(norms > limit, limit / norms, torch.ones_like(norms))

    def loss(self, text, state, weights=None):
        weights, outputs = weights or self.weights, []
        for words in text[:-1]:
            out, state = self.step(weights, weights["E"][words], state)
            outputs.append(out)
        logits = torch.cat(outputs) @ weights["E"].t()
        return functional.cross_entropy(logits, text[1:].reshape(-1)), state.detach()

    def leaves(self):
        return [*self.weights.values(), *([] if self.alpha is None else [self.alpha])]


def window(said, spec, i):
    return said["text"][i * spec["steps"]:(i + 1) * spec["steps"] + 1]


def start(said, spec):
    state = torch.tensor(said["start"]).double()
    return state.view(-1, spec["batch"], spec["hidden"])


def distance(a, b):
    """Relative to b's length; of a b of 0, whether a is 0 as well. What is too small for
    floats is 0: products of products may be."""
    a, b = (numpy.where(numpy.abs(x) < TINY, 0, x).astype(float) for x in (a, b))
    length = numpy.linalg.norm(b)
    return numpy.linalg.norm(a - b) / length if length else float(numpy.any(a))


def gradient_distance(model, found, slopes):
    """The largest of all matrices; infinite where something has one that no place names."""
    worst, used = 0.0, numpy.zeros(len(found), bool)
    for name, slope in zip(model.places, slopes):
        at, rows, columns = model.places[name]
        used[at:at + rows * columns] = True
        worst = max(worst, distance(model.part(found, name), slope.numpy()))
    return worst if not found[~used].any() else float("inf")


def play(model, said, spec):
    """Every window, each followed by a step of SGD: losses, and the largest relative
    differences."""
    state, losses = start(said, spec), []
    worst = {"loss": 0.0, "state": 0.0, "gradient": 0.0}
    for i in range(spec["windows"]):
        loss, state = model.loss(window(said, spec, i), state)
        slopes = torch.autograd.grad(loss, model.leaves())
        losses.append(loss.item())
        worst["state"] = max(worst["state"],
                             distance(said["states"][i], state.reshape(-1).numpy()))
        worst["gradient"] = max(worst["gradient"], gradient_distance(
            model, said["gradients"][i], slopes))
        if model.alpha is not None:
            alphas = said["alphas"].reshape(spec["windows"], -1)
            worst["alpha"] = max(worst.get("alpha", 0.0), distance(
                alphas[i], slopes[-1].reshape(-1).numpy()))
        with torch.no_grad():
            for leaf, slope in zip(model.leaves(), slopes):
                leaf -= spec["rate"] * slope
    losses.append(model.loss(window(said, spec, 0), state)[0].item())
    worst["loss"] = max(abs(a - b) / abs(b) for a, b in zip(said["losses"], losses))
    return losses, worst


def check(title, spec, check_once):
    """check_once(spec) returns the model, the losses and the differences, each with the
    largest that is good."""
    for attempt in range(ATTEMPTS):
        model, losses, worst = check_once(dict(spec, seed=spec["seed"] + attempt))
        told = ", ".join(f"{name} {value:.1e}" for name, (value, _) in worst.items())
        print(f"{title}: loss {losses[0]:.4f} -> {losses[-1]:.4f}; "
              f"largest differences: {told}")
        if all(value <= limit for value, limit in worst.values()):
            return True
        if model.nearest >= KINK:
            return False
    print(f"{title}: {ATTEMPTS} times different, a ReLU within {KINK} of its kink")
    return False


def run(cases, check_once):
    """Exit with the verdict on all (title, specification)."""
    torch.set_num_threads(1)
    print("seed", SEED)
    good = [check(title, spec, check_once) for title, spec in cases]
    sys.exit(0 if all(good) else 1)
