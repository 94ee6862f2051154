# SPDX-License-Identifier: Apache-2.0
"""The peer of bench_children: a training step of the same children in PyTorch.

usage: child_step.py small|medium|large THREADS SECONDS SETTING...
    -> a line for each setting: its name and images a second at the median step

SETTING is a layout and a way to run, "nchw" or "nhwc" and "eager" or "traced", joined by a
hyphen. Allocator and OpenBLAS read the environment when they are loaded: that is the caller's
business.
"""
import sys
import time

import torch
from torch import nn

CHILDREN = {  # (filter height, filter width, filters, stride)
    "small": [(3, 3, 24, 1), (3, 3, 24, 2), (3, 3, 24, 1), (3, 3, 24, 2), (3, 3, 24, 1), (3, 3, 24, 1)],
    "medium": [(5, 3, 36, 1), (3, 3, 48, 2), (7, 1, 36, 1), (3, 5, 48, 2), (1, 7, 64, 1), (3, 3, 48, 1)],
    "large": [(5, 5, 48, 1), (7, 7, 36, 1), (3, 7, 64, 1), (5, 5, 48, 2), (3, 3, 64, 1), (7, 5, 48, 1)],
}
BATCH, WARM_UP, STEPS_MIN = 128, 2, 3


class Child(nn.Module):
    def __init__(self, layers):
        super().__init__()
        body, c = [], 1
        for kh, kw, k, stride in layers:
            body += [nn.Conv2d(c, k, (kh, kw), stride, (kh // 2, kw // 2), bias=False),
                     nn.BatchNorm2d(k), nn.ReLU(inplace=True)]
            c = k
        self.body, self.classifier = nn.Sequential(*body), nn.Linear(c, 10)

    def forward(self, x):
        return self.classifier(self.body(x).mean((2, 3)))


def make_step(child, setting):
    layout, way = setting.split("-")
    torch.manual_seed(1)
    net = Child(CHILDREN[child])
    images, labels = torch.randn(BATCH, 1, 28, 28), torch.randint(10, (BATCH,))
    if layout == "nhwc":
        net.to(memory_format=torch.channels_last)
        images = images.contiguous(memory_format=torch.channels_last)
    model = torch.jit.trace(net, images) if way == "traced" else net
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4)

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()

    return step


def rate(step, seconds):
    for _ in range(WARM_UP):
        step()
    times, start = [], time.perf_counter()
    while len(times) < STEPS_MIN or time.perf_counter() - start < seconds:
        t = time.perf_counter()
        step()
        times.append(time.perf_counter() - t)
    return BATCH / sorted(times)[len(times) // 2]


def main():
    child, threads, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    for setting in sys.argv[4:]:
        print(setting, rate(make_step(child, setting), seconds), flush=True)


main()
