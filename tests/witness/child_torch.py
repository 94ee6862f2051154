#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An outside witness that child networks are right: PyTorch.

  child_torch.py steps DUMP_CHILD
      the same architecture, initial weights and batches give the same loss over 20 steps,
      and the same loss under the running statistics, to 1e-4 relative
  child_torch.py accuracy DUMP_CHILD ARCHWAY_TRAINER
      5 epochs on a subset of Fashion-MNIST reach the same validation accuracy within noise

PyTorch's network is the one of the example trainer in deploy/trainers, so that it is
witnessed as well. Exit status 77 when torch or the data is missing.
"""
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "..", "..", "deploy", "trainers"))
FASHION = "/usr/share/datasets/fashion-mnist"

try:
    import numpy
    import torch
    from torch.nn import functional
    from conv_chain_torch import Child
except ImportError as missing:
    print("skipped: this python has no", missing.name)
    sys.exit(77)


def layer(height, width, filters, stride, inputs):
    return {"filter_height": height, "filter_width": width, "filters": filters,
            "stride": stride, "inputs": inputs}


# (image, layers): odd and even filters, strides, skips with padding, several ends.
CHAINS = {
    "plain": ([14, 14, 1], [layer(3, 3, 24, 1, [-1]), layer(5, 1, 36, 1, [0]),
                            layer(1, 7, 24, 1, [1])]),
    "strides": ([28, 28, 1], [layer(7, 5, 24, 2, [-1]), layer(3, 3, 48, 3, [0]),
                              layer(5, 3, 36, 2, [1])]),
    "even filters": ([15, 13, 3], [layer(2, 4, 7, 1, [-1]), layer(4, 2, 10, 2, [0]),
                                   layer(6, 6, 5, 3, [1])]),
    "skips": ([16, 12, 3], [layer(3, 3, 8, 1, [-1]), layer(3, 5, 12, 2, [0]),
                            layer(1, 1, 9, 1, [-1, 0, 1]), layer(3, 3, 16, 3, [0, 2]),
                            layer(5, 7, 6, 1, [1, 3])]),
    "many ends": ([9, 11, 2], [layer(3, 3, 5, 1, [-1]), layer(3, 3, 6, 2, [-1]),
                               layer(2, 3, 7, 3, [0]), layer(3, 1, 4, 1, [0, 1])]),
    "small maps": ([6, 5, 1], [layer(7, 7, 8, 3, [-1]), layer(5, 5, 8, 3, [0]),
                               layer(3, 3, 8, 2, [1])]),
}
OPTIMIZERS = {
    "nesterov": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 1e-3,
                 "nesterov": True},
    "momentum": {"name": "sgd", "lr": 0.05, "momentum": 0.8, "weight_decay": 0.0,
                 "nesterov": False},
    "adam": {"name": "adam", "lr": 1e-3, "momentum": 0.9, "weight_decay": 1e-3,
             "nesterov": False},
}


def optimizer(child, o):
    """Weight decay for the weights of convolutions and the linear layer only."""
    weights = [p for p in child.parameters() if p.dim() > 1]
    others = [p for p in child.parameters() if p.dim() == 1]
    groups = [{"params": weights, "weight_decay": o["weight_decay"]}, {"params": others}]
    if o["name"] == "adam":
        return torch.optim.Adam(groups, lr=o["lr"])
    return torch.optim.SGD(groups, lr=o["lr"], momentum=o["momentum"],
                           nesterov=o["nesterov"])


def load_weights(child, parameters, flat):
    """Ours are (KH, KW, C, K) and (C, K)."""
    named = {}
    for p in parameters:
        values = flat[p["offset"]:p["offset"] + p["count"]].copy()
        named[p["name"]] = torch.from_numpy(values).reshape(p["dims"])
    with torch.no_grad():
        for i, (conv, norm) in enumerate(zip(child.convs, child.norms)):
            conv.weight.copy_(named[f"conv{i}.weight"].permute(3, 2, 0, 1))
            norm.weight.copy_(named[f"bn{i}.scale"])
            norm.bias.copy_(named[f"bn{i}.shift"])
        child.linear.weight.copy_(named["linear0.weight"].t())
        child.linear.bias.copy_(named["linear0.bias"])


def our_steps(dump, spec):
    """What dump-child says, and the numbers it wrote."""
    with tempfile.TemporaryDirectory() as folder:
        out = subprocess.run([dump, "steps", folder], input=json.dumps(spec), text=True,
                             stdout=subprocess.PIPE, check=True)
        flat = numpy.fromfile(os.path.join(folder, "weights.f32"), "<f4")
        images = numpy.fromfile(os.path.join(folder, "images.f32"), "<f4")
        labels = numpy.fromfile(os.path.join(folder, "labels.u8"), "u1")
    images = images.reshape(spec["steps"], spec["batch"], *spec["image"])
    labels = torch.tensor(labels.reshape(spec["steps"], spec["batch"])).long()
    return json.loads(out.stdout), flat, torch.tensor(images).permute(0, 1, 4, 2, 3), labels


def check_steps(dump, title, chain, chosen):
    image, layers = chain
    spec = {"architecture": {"layers": layers}, "image": image, "classes": 10, "batch": 32,
            "steps": 20, "seed": 11, "optimizer": chosen}
    ours, flat, images, labels = our_steps(dump, spec)
    child = Child(layers, image[2], 10)
    load_weights(child, ours["parameters"], flat)
    descent, losses = optimizer(child, chosen), []
    for x, y in zip(images, labels):
        loss = functional.cross_entropy(child(x), y)
        descent.zero_grad()
        loss.backward()
        descent.step()
        losses.append(loss.item())
    child.eval()
    with torch.no_grad():
        evaluated = functional.cross_entropy(child(images[-1]), labels[-1]).item()
    pairs = zip(ours["losses"] + [ours["eval_loss"]], losses + [evaluated])
    worst = max(abs(a - b) / abs(b) for a, b in pairs)
    print(f"{title}: loss {losses[0]:.4f} -> {losses[-1]:.4f}, under running statistics "
          f"{evaluated:.4f}; largest difference {worst:.1e} ({ours['kernels']})")
    return worst <= 1e-4


def steps(dump):
    good = True
    for name, chain in CHAINS.items():
        good &= check_steps(dump, f"{name}, nesterov", chain, OPTIMIZERS["nesterov"])
    for name in ("momentum", "adam"):
        good &= check_steps(dump, f"skips, {name}", CHAINS["skips"], OPTIMIZERS[name])
    return good


EPOCHS, BATCH = 5, 64
ACCURACY_LAYERS = [layer(3, 3, 12, 2, [-1]), layer(3, 3, 24, 2, [0]),
                   layer(3, 3, 32, 1, [1])]
TASK = {"kind": "image-classification", "train": 5000, "validation": 3000,
        "data": {"format": "idx", "path": FASHION, "whiten": "channel"}}


def our_accuracies(trainer, folder, seeds):
    hello = {"type": "hello", "protocol": 1, "run": "witness", "seed": 1, "threads": 1,
             "memory": 0, "cache": folder, "slot": 0, "task": TASK,
             "trainer": {"builtin": {
                 "epochs": EPOCHS, "batch": BATCH, "augment": {"pad": 0, "flip": False},
                 "schedule": {"name": "cosine"},
                 "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9,
                               "weight_decay": 1e-4, "nesterov": True}}},
             "reward": {"metric": "val_accuracy"}}
    accuracies = []
    with subprocess.Popen([trainer], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True) as process:
        tasks = [{"type": "task", "trial": s, "attempt": 1, "seed": s, "hyperparameters": {},
                  "architecture": {"layers": ACCURACY_LAYERS}} for s in seeds]
        for order in [hello] + tasks:
            print(json.dumps(order), file=process.stdin, flush=True)
        while len(accuracies) < len(seeds):
            line = json.loads(process.stdout.readline())
            assert line.get("status") != "failed", line
            if line["type"] == "progress" and line["epoch"] == EPOCHS:
                accuracies.append(line["metrics"]["val_accuracy"])
    return accuracies


def torch_accuracy(parts, seed):
    torch.manual_seed(seed)
    (x, y), (vx, vy) = parts
    child = Child(ACCURACY_LAYERS, x.shape[1], 10)
    for conv in child.convs:
        torch.nn.init.kaiming_uniform_(conv.weight, nonlinearity="relu")
    descent = optimizer(child, dict(OPTIMIZERS["nesterov"], weight_decay=1e-4))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(descent, EPOCHS)
    for _ in range(EPOCHS):
        child.train()
        for batch in torch.randperm(len(x)).split(BATCH):
            loss = functional.cross_entropy(child(x[batch]), y[batch])
            descent.zero_grad()
            loss.backward()
            descent.step()
        schedule.step()
    child.eval()
    with torch.no_grad():
        return (child(vx).argmax(1) == vy).float().mean().item()


def dumped(folder, name, shape):
    images = numpy.fromfile(os.path.join(folder, name + ".f32"), "<f4").reshape(-1, *shape)
    labels = numpy.fromfile(os.path.join(folder, name + ".u8"), "u1")
    return torch.tensor(images).permute(0, 3, 1, 2).contiguous(), torch.tensor(labels).long()


def accuracy(dump, trainer):
    if not os.path.isdir(FASHION):
        print("skipped: there is no", FASHION)
        sys.exit(77)
    seeds = [1, 2, 3]
    with tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "config.yaml")
        with open(config, "w", encoding="utf-8") as file:
            json.dump({"seed": 1, "task": TASK}, file)
        facts = json.loads(subprocess.run([dump, "data", folder, config, folder], text=True,
                                          stdout=subprocess.PIPE, check=True).stdout)
        parts = [dumped(folder, name, facts["image"]) for name in ("train", "validation")]
        ours = our_accuracies(trainer, folder, seeds)
    theirs = [torch_accuracy(parts, seed) for seed in seeds]
    difference = sum(ours) / len(ours) - sum(theirs) / len(theirs)
    print("ours", ours, "PyTorch", theirs, f"difference of means {difference:+.4f}")
    return abs(difference) <= 0.025 and min(ours) > 0.65


def main():
    torch.set_num_threads(1)
    good = steps(sys.argv[2]) if sys.argv[1] == "steps" else accuracy(*sys.argv[2:4])
    sys.exit(0 if good else 1)


main()
