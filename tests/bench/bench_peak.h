/* SPDX-License-Identifier: Apache-2.0 */
/* What one core can do with float32, in GFLOP/s; each call measures for about 0.2 s. */
#ifndef ARCHWAY_TESTS_BENCH_BENCH_PEAK_H
#define ARCHWAY_TESTS_BENCH_BENCH_PEAK_H

/* Fused multiply-adds in registers, without any memory: the limit of the core. */
double peak_fma(void);
/* OpenBLAS: product of square matrices, one thread. */
double peak_sgemm(void);

#endif
