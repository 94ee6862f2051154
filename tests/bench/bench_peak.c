/* SPDX-License-Identifier: Apache-2.0 */
/* The limits that kernels are compared with. The loop of multiply-adds is compiled for
 * each instruction set and the widest that runs here is taken; its accumulators are
 * independent of each other and more than a core needs to hide their latency. Contraction
 * is allowed in this file (see meson.build): it is what makes them fused. */
#include "bench_peak.h"

#include <cblas.h>
#include <stdlib.h>

#include "bench_child.h"

enum { ACCUMULATORS = 12, FMA_LOOPS = 100000, SGEMM_SIDE = 1024 };
static const double seconds = 0.2;

/* void name(float *out): FMA_LOOPS x ACCUMULATORS multiply-adds of vectors of `floats`.
 */
#define FMA_LOOP(name, floats, attribute)                                              \
    attribute static void name(float *out)                                             \
    {                                                                                  \
        typedef float vector                                                           \
            __attribute__((vector_size(4 * (floats)), aligned(4), may_alias));         \
        vector a[ACCUMULATORS], factor = *(vector *)out, term = *(vector *)(out + 16); \
        for (int j = 0; j < ACCUMULATORS; j++)                                         \
            a[j] = term * (float)(j + 1);                                              \
        for (int i = 0; i < FMA_LOOPS; i++)                                            \
            for (int j = 0; j < ACCUMULATORS; j++)                                     \
                a[j] = a[j] * factor + term;                                           \
        for (int j = 1; j < ACCUMULATORS; j++)                                         \
            a[0] += a[j];                                                              \
        *(vector *)out = a[0];                                                         \
    }

FMA_LOOP(fma_4, 4, )
#if defined __x86_64__
FMA_LOOP(fma_8, 8, __attribute__((target("avx2,fma"))))
FMA_LOOP(fma_16, 16, __attribute__((target("avx512f"))))
#endif

static void (*choose_loop(int *ret_floats))(float *)
{
#if defined __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return *ret_floats = 16, fma_16;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return *ret_floats = 8, fma_8;
#endif
    return *ret_floats = 4, fma_4;
}

double peak_fma(void)
{
    float values[32];
    int floats;
    void (*loop)(float *) = choose_loop(&floats);
    double best = 0, start = bench_now();
    while (bench_now() - start < seconds) {
        for (int i = 0; i < 32; i++)
            values[i] = i < 16 ? 0.5f : 1;
        double from = bench_now();
        loop(values);
        double rate = 2e-9 * FMA_LOOPS * ACCUMULATORS * floats / (bench_now() - from);
        best = rate > best ? rate : best;
    }
    return best;
}

double peak_sgemm(void)
{
    enum { N = SGEMM_SIDE };
    openblas_set_num_threads(1);
    float *m = calloc(3 * (size_t)N * N, sizeof *m);
    double best = 0, start = bench_now();
    for (int i = 0; m && i < 2 * N * N; i++)
        m[i] = (float)(i % 17) - 8;
    while (m && bench_now() - start < seconds) {
        double from = bench_now();
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, N, N, 1, m, N,
                    m + N * N, N, 0, m + 2 * N * N, N);
        double rate = 2e-9 * N * N * N / (bench_now() - from);
        best = rate > best ? rate : best;
    }
    free(m);
    return best;
}
