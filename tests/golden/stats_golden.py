#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes stats_golden.h: what scipy, numpy and exact fractions say about small samples.

Run with scipy >= 1.10:  python3 stats_golden.py > stats_golden.h
"""
from fractions import Fraction
from math import comb

import numpy
from scipy import stats

rng = numpy.random.default_rng(20170424)


def normal(mean, deviation, count):
    """Few digits, so that the table stays readable."""
    return numpy.round(rng.normal(mean, deviation, count), 6)


def numbers(name, values):
    print(f"static const double {name}[] = {{")
    words = [repr(float(v)) for v in values]
    for i in range(0, len(words), 8):
        print("    " + ", ".join(words[i:i + 8]) + ",")
    print("};")


def samples():
    """(a, b, method): without ties of many sizes, then with ties."""
    for na, nb in [(1, 1), (1, 2), (3, 4), (5, 5), (8, 20), (20, 20), (20, 200), (8, 250),
                   (2, 300)]:
        yield normal(0.3, 1, na), normal(0, 1, nb), "exact"
    yield numpy.arange(6), 100.0 + numpy.arange(7), "exact"
    yield numpy.array([1.0, 4.0]), numpy.array([2.0, 3.0]), "exact"
    for na, nb in [(21, 21), (20, 201), (60, 90)]:
        yield normal(0.2, 1, na), normal(0, 1, nb), "asymptotic"
    for na, nb, top in [(3, 4, 3), (10, 12, 4), (20, 20, 10), (150, 90, 7), (40, 5, 2)]:
        yield (rng.integers(0, top + 1, na) / 4, rng.integers(0, top, nb) / 4,
               "asymptotic")


def expected_best(values, k):
    ordered = sorted(Fraction(float(v)) for v in values)
    n = len(ordered)
    total = sum(ordered[i - 1] * comb(i - 1, k - 1) for i in range(k, n + 1))
    return float(total / comb(n, k))


print("/* SPDX-License-Identifier: Apache-2.0 */")
print("/* Written by stats_golden.py; do not edit. */")
rows = []
for i, (a, b, method) in enumerate(samples()):
    result = stats.mannwhitneyu(a, b, alternative="two-sided", method=method)
    numbers(f"mann_whitney_a{i}", a)
    numbers(f"mann_whitney_b{i}", b)
    rows.append(f"    {{mann_whitney_a{i}, {len(a)}, mann_whitney_b{i}, {len(b)}, "
                f"{float(result.statistic).hex()}, {float(result.pvalue).hex()}, "
                f"{int(method == 'exact')}}},")
print("static const struct {\n    const double *a;\n    size_t na;\n    const double *b;\n"
      "    size_t nb;\n    double u, p;\n    int exact;\n} golden_mann_whitney[] = {")
print("\n".join(rows) + "\n};")

rows = []
for i, (n, top) in enumerate([(3, 0), (10, 0), (10, 3), (50, 6), (200, 2), (100, 0)]):
    a = rng.integers(0, top, n) if top else normal(0, 1, n)
    b = a + (rng.integers(0, top, n) if top else normal(0, 2, n))
    numbers(f"spearman_a{i}", a)
    numbers(f"spearman_b{i}", b)
    rho = stats.spearmanr(a, b).correlation
    rows.append(f"    {{spearman_a{i}, spearman_b{i}, {n}, {float(rho).hex()}}},")
print("static const struct {\n    const double *a, *b;\n    size_t n;\n    double rho;\n"
      "} golden_spearman[] = {")
print("\n".join(rows) + "\n};")

values = numpy.round(rng.uniform(0.5, 0.95, 400), 6)
numbers("sample", values)
print(f"static const double golden_mean = {float(numpy.mean(values)).hex()};")
print(f"static const double golden_variance = {float(numpy.var(values, ddof=1)).hex()};")
print("static const struct {\n    double p, quantile;\n} golden_quantiles[] = {")
for p in [0, 0.025, 0.1, 1 / 3, 0.5, 0.999, 1]:
    print(f"    {{{float(p).hex()}, {float(numpy.quantile(values, p)).hex()}}},")
print("};")
print("static const struct {\n    size_t n, k;\n    double best;\n"
      "} golden_expected_best[] = {")
for n, k in [(1, 1), (5, 1), (5, 3), (5, 5), (400, 1), (400, 2), (400, 37), (400, 200),
             (400, 399), (400, 400)]:
    print(f"    {{{n}, {k}, {expected_best(values[:n], k).hex()}}},")
print("};")
