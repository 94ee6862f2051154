# SPDX-License-Identifier: Apache-2.0
"""The peer of bench_recurrent: a training step of the same recurrent cell in PyTorch, eager,
written as it usually is: a linear layer for every edge, the graph walked breadth first, one
decoder for all steps, the embedding tied to it, clipped gradients, SGD.

usage: recurrent_peer.py HIDDEN THREADS SECONDS
    -> "rate", tokens a second at the median step

THREADS is PyTorch's own number. Its BLAS and its allocator read the environment when they
are loaded: that is the caller's business.
"""
import collections
import sys
import time

import torch
from torch import nn
from torch.nn import functional

CELL = [0, 0, 0, 1, 1, 2, 1, 2, 0, 2, 0, 5, 1, 1, 0, 6, 1, 8, 1, 8, 1, 8, 1]  # f0, (i, f) x 11
FUNCTIONS = (torch.tanh, torch.relu)
WORDS, STEPS, COLUMNS, WINDOWS = 10000, 35, 64, 20
WARM_UP, STEPS_MIN = 1, 3


class Language(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.count = (len(CELL) + 1) // 2
        self.edges = [(CELL[2 * j - 1], j, CELL[2 * j]) for j in range(1, self.count)]
        self.after = collections.defaultdict(list)
        for i, j, f in self.edges:
            self.after[i].append((j, f))
        self.leaves = [j for j in range(self.count) if j not in self.after]
        self.encoder, self.decoder = nn.Embedding(WORDS, hidden), nn.Linear(hidden, WORDS)
        self.decoder.weight = self.encoder.weight

        def linear():
            return nn.Linear(hidden, hidden, bias=False)

        self.first = nn.ModuleDict({name: linear() for name in ("xc", "xh", "hc", "hh")})
        self.w_h = nn.ModuleDict({f"{i}_{j}": linear() for i, j, _ in self.edges})
        self.w_c = nn.ModuleDict({f"{i}_{j}": linear() for i, j, _ in self.edges})
        for p in self.parameters():
            nn.init.uniform_(p, -0.025, 0.025)

    def cell(self, x, h):
        w = self.first
        c = torch.sigmoid(w["xc"](x) + w["hc"](h))
        nodes = {0: c * FUNCTIONS[CELL[0]](w["xh"](x) + w["hh"](h)) + (1 - c) * h}
        waiting = collections.deque([0])
        while waiting:
            i = waiting.popleft()
            for j, f in self.after[i]:
                c = torch.sigmoid(self.w_c[f"{i}_{j}"](nodes[i]))
                new = FUNCTIONS[f](self.w_h[f"{i}_{j}"](nodes[i]))
                nodes[j] = c * new + (1 - c) * nodes[i]
                waiting.append(j)
        return torch.stack([nodes[j] for j in self.leaves], 2).mean(-1)

    def forward(self, words, h):
        embedded, outputs = self.encoder(words), []
        for x in embedded:
            h = self.cell(x, h)
            outputs.append(h)
        return self.decoder(torch.cat(outputs)), h


def make_step(hidden):
    torch.manual_seed(1)
    net = Language(hidden)
    descent = torch.optim.SGD(net.parameters(), lr=1.0)
    chances = 1 / torch.arange(1, WORDS + 1, dtype=torch.float)
    text = torch.multinomial(chances, (WINDOWS * STEPS + 1) * COLUMNS, True).view(-1, COLUMNS)
    state = {"h": torch.zeros(COLUMNS, hidden), "window": 0}

    def step():
        at = state["window"] % WINDOWS * STEPS
        descent.zero_grad(set_to_none=True)
        logits, h = net(text[at:at + STEPS], state["h"])
        loss = functional.cross_entropy(logits, text[at + 1:at + STEPS + 1].reshape(-1))
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.25)
        descent.step()
        loss.item()
        state["h"], state["window"] = h.detach(), state["window"] + 1

    return step


def rate(step, seconds):
    for _ in range(WARM_UP):
        step()
    times, start = [], time.perf_counter()
    while len(times) < STEPS_MIN or time.perf_counter() - start < seconds:
        before = time.perf_counter()
        step()
        times.append(time.perf_counter() - before)
    return STEPS * COLUMNS / sorted(times)[len(times) // 2]


def main():
    hidden, threads, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    print("rate", rate(make_step(hidden), seconds), flush=True)


main()
