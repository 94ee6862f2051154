#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The conv-chain space trained by PyTorch on images in IDX files (Fashion-MNIST and alike).

    trainer: {command: [python3, deploy/trainers/conv_chain_torch.py]}

A second opinion on the built-in trainer and a start for one's own, on a GPU when there is
one. How to talk to archway is explained in rings.py next to it. Hyperparameters that a task
may set: epochs, batch, lr, momentum, weight_decay.
"""
import gzip
import json
import os
import queue
import sys
import threading
import time

import numpy
import torch
from torch import nn
from torch.nn import functional


class Child(nn.Module):
    """Layers of convolution, batch norm, ReLU; see common/space/conv_chain.h."""

    def __init__(self, layers, channels, classes):
        super().__init__()
        self.layers, width = layers, {-1: channels}  # -1 is the image
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for i, l in enumerate(layers):
            inputs = sum(width[j] for j in (l["inputs"] or [-1]))
            self.convs.append(nn.Conv2d(inputs, l["filters"], stride=l["stride"], bias=False,
                                        kernel_size=(l["filter_height"], l["filter_width"])))
            self.norms.append(nn.BatchNorm2d(l["filters"]))
            width[i] = l["filters"]
        read = {j for l in layers for j in l["inputs"]}
        self.ends = [i for i in range(len(layers)) if i not in read]
        self.linear = nn.Linear(sum(width[i] for i in self.ends), classes)

    @staticmethod
    def join(maps):
        """Side by side in depth, smaller maps padded at the bottom and right."""
        h, w = max(m.shape[2] for m in maps), max(m.shape[3] for m in maps)
        return torch.cat([functional.pad(m, (0, w - m.shape[3], 0, h - m.shape[2]))
                          for m in maps], 1)

    @staticmethod
    def same(x, kernel, stride):
        """Padding for ceil(size / stride) outputs, the smaller half above and left."""
        pads = []
        for size, k in ((x.shape[3], kernel[1]), (x.shape[2], kernel[0])):
            total = max((-(-size // stride) - 1) * stride + k - size, 0)
            pads += [total // 2, total - total // 2]
        return functional.pad(x, pads)

    def forward(self, x):
        maps = {-1: x}
        for i, (l, conv, norm) in enumerate(zip(self.layers, self.convs, self.norms)):
            x = self.join([maps[j] for j in (l["inputs"] or [-1])])
            x = conv(self.same(x, conv.kernel_size, l["stride"]))
            maps[i] = torch.relu(norm(x))
        return self.linear(self.join([maps[i] for i in self.ends]).mean((2, 3)))


def read_idx(path):
    with (open(path, "rb") if os.path.exists(path) else gzip.open(path + ".gz")) as file:
        data = file.read()
    shape = [int.from_bytes(data[4 + 4 * i:8 + 4 * i], "big") for i in range(data[3])]
    return torch.tensor(numpy.frombuffer(data, numpy.uint8, -1, 4 + 4 * data[3])).view(shape)


def load(task, seed):
    """Training and validation images, normalised, split as the configuration says."""
    images = read_idx(task["data"]["path"] + "/train-images-idx3-ubyte").float().unsqueeze(1)
    labels = read_idx(task["data"]["path"] + "/train-labels-idx1-ubyte")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    validation = task.get("validation") or len(images) // 6
    train = task.get("train") or len(images) - validation
    images = (images - images.mean()) / images.std()
    return [(images[p], labels[p].long()) for p in order[:train + validation].split(train)]


def say(**line):
    print(json.dumps(line), flush=True)


def run(task, settings, data, device, cancelled):
    name = {"trial": task["trial"], "attempt": task["attempt"]}
    s, start = {**settings, **task.get("hyperparameters", {})}, time.monotonic()
    torch.manual_seed(task["seed"])
    (x, y), (vx, vy) = data
    child = Child(task["architecture"]["layers"], x.shape[1], int(y.max()) + 1).to(device)
    sgd = torch.optim.SGD(child.parameters(), s["lr"], s["momentum"], nesterov=True,
                          weight_decay=s["weight_decay"])
    for epoch in range(1, s["epochs"] + 1):
        child.train()
        for batch in torch.randperm(len(x)).split(s["batch"]):
            if tuple(name.values()) in cancelled:
                raise RuntimeError("cancelled")
            loss = functional.cross_entropy(child(x[batch].to(device)), y[batch].to(device))
            sgd.zero_grad()
            loss.backward()
            sgd.step()
        child.eval()
        with torch.no_grad():
            hits = sum(int((child(a.to(device)).argmax(1) == b.to(device)).sum())
                       for a, b in zip(vx.split(500), vy.split(500)))
        metrics = {"train_loss": loss.item(), "val_accuracy": hits / len(vx), "lr": s["lr"]}
        say(type="progress", **name, epoch=epoch, metrics=metrics)
    say(type="result", **name, status="ok", metrics=metrics,
        params=sum(p.numel() for p in child.parameters()), seconds=time.monotonic() - start)


def read_orders(orders, cancelled):
    for line in sys.stdin:
        order = json.loads(line)
        if order["type"] == "cancel":
            cancelled.add((order["trial"], order["attempt"]))
        else:
            orders.put(order)
    orders.put({"type": "stop"})


def kernels(device):
    """What decides about the bits of a result: the GPU's model or the instruction set."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    for line in torch.__config__.show().splitlines():
        if "CPU capability usage:" in line:
            return "torch " + line.split(":")[1].strip().lower()
    return "torch"


def main():
    orders, cancelled = queue.Queue(), set()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    settings = {"epochs": 5, "batch": 128, "lr": 0.1, "momentum": 0.9, "weight_decay": 1e-4}
    threading.Thread(target=read_orders, args=(orders, cancelled), daemon=True).start()
    while (order := orders.get())["type"] != "stop":
        if order["type"] == "hello":
            torch.set_num_threads(order["threads"])
            data = load(order["task"], order.get("seed", 0))
            say(type="ready", protocol=1, name="conv-chain-torch", version=torch.__version__,
                kernels=kernels(device))
        elif order["type"] == "task":
            try:
                run(order, settings, data, device, cancelled)
            except Exception as problem:
                say(type="result", trial=order["trial"], attempt=order["attempt"],
                    status="failed", reason=repr(problem))


if __name__ == "__main__":
    main()
