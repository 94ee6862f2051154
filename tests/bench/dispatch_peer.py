#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a Python user would dispatch with: mpi4py's MPIPoolExecutor and a task that does
nothing. Prints tasks a second. Run under mpirun as `-m mpi4py.futures dispatch_peer.py N`,
rank 0 is the pool's master."""
import sys
import time

from mpi4py.futures import MPIPoolExecutor


def nothing(i):
    return i


def main():
    count = int(sys.argv[1])
    with MPIPoolExecutor() as pool:
        list(pool.map(nothing, range(200)))
        start = time.perf_counter()
        list(pool.map(nothing, range(count)))
        print(count / (time.perf_counter() - start), flush=True)


if __name__ == '__main__':
    main()
