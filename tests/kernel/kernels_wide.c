/* SPDX-License-Identifier: Apache-2.0 */
/* The vector kernels at 16 lanes, compiled for AVX2: the source that kernels_avx512.c
 * compiles, tested on processors without AVX-512 as well. Blocks have few rows: more
 * than the registers hold take minutes to compile. */
#define VECTOR_LANES 16
#define VECTOR_ROWS_1 4
#define VECTOR_ROWS_2 3
#define VECTOR_ROWS_3 2
#include "common/nn/kernels_vector.h"
#include "common/nn/kernels_vector_conv.h"
#include "common/nn/kernels_vector_norm.h"
#include "common/nn/kernels_vector_weight.h"

static bool runs_here(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

extern const struct nn_kernels nn_kernels_wide;
const struct nn_kernels nn_kernels_wide = {
    .name = "16 lanes by AVX2",
    .runs_here = runs_here,
    .conv_pack_count = conv_pack_count,
    .conv_pack = conv_pack,
    .conv_forward = conv_forward,
    .conv_backward_data = conv_backward_data,
    .conv_backward_weight = conv_backward_weight,
    .norm_sums = norm_sums,
    .norm_forward = norm_forward,
    .norm_backward_sums = norm_backward_sums,
    .norm_backward = norm_backward,
};
