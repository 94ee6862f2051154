/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels for processors with AVX-512 (F, VL, DQ, BW): 16 lanes, 32 registers,
 * so register blocks of 8 rows of up to 3 vectors. Compiled with those instruction
 * sets; only `runs_here` may be called without knowing that the processor has them. */
#define VECTOR_LANES 16
#define VECTOR_ROWS_1 8
#define VECTOR_ROWS_2 8
#define VECTOR_ROWS_3 8
#include "common/nn/kernels_vector.h"
#include "common/nn/kernels_vector_conv.h"
#include "common/nn/kernels_vector_norm.h"
#include "common/nn/kernels_vector_weight.h"

static bool runs_here(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
           __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
}

const struct nn_kernels nn_kernels_avx512 = {
    .name = "avx512",
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
