#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""The controller's policy in PyTorch, eager, one thread: 2 x 35 LSTM, six layers of 4, 4, 4
and 3 choices. Prints architectures sampled a second (batches of 1000, then singly) and
REINFORCE updates of 8 a second; exits 77 without torch."""
import statistics
import sys
import time

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit(77)

KINDS, LAYERS, UNITS, STEPS = (4, 4, 4, 3), 2, 35, 24


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.cells = nn.ModuleList(nn.LSTMCell(UNITS, UNITS) for _ in range(LAYERS))
        self.embeddings = nn.ModuleList(nn.Embedding(n, UNITS) for n in KINDS)
        self.heads = nn.ModuleList(nn.Linear(UNITS, n) for n in KINDS)
        for p in self.parameters():
            nn.init.uniform_(p, -0.08, 0.08)

    def forward(self, n, given=None):
        x = torch.zeros(n, UNITS)
        state = [(x, x)] * LAYERS
        tokens, total = [], torch.zeros(n)
        for t in range(STEPS):
            for i, cell in enumerate(self.cells):
                state[i] = cell(x, state[i])
                x = state[i][0]
            log_p = torch.log_softmax(self.heads[t % 4](x), dim=1)
            if given is None:
                token = torch.multinomial(log_p.exp(), 1).squeeze(1)
            else:
                token = given[:, t]
            total = total + log_p.gather(1, token[:, None]).squeeze(1)
            tokens.append(token)
            x = self.embeddings[t % 4](token)
        return torch.stack(tokens, 1), total


def median(call, seconds=1.5):
    call()
    times, start = [], time.process_time()
    while len(times) < 7 or time.process_time() - start < seconds:
        before = time.process_time()
        call()
        times.append(time.process_time() - before)
    return statistics.median(times)


def main():
    torch.set_num_threads(1)
    torch.manual_seed(1)
    policy = Policy()
    adam = torch.optim.Adam(policy.parameters(), lr=6e-4)
    advantages = torch.linspace(-0.1, 0.1, 8)
    with torch.no_grad():
        given, _ = policy(8)
        batch = 1000 / median(lambda: policy(1000))
        single = 1 / median(lambda: policy(1))

    def update():
        adam.zero_grad(set_to_none=True)
        _, log_p = policy(8, given)
        (-(log_p * advantages).mean()).backward()
        nn.utils.clip_grad_norm_(policy.parameters(), 5.0)
        adam.step()

    print(batch, single, 1 / median(update))


main()
