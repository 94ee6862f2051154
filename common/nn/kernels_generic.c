/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels for any processor: 4 lanes and at most 16 registers, compiled for the baseline
 * processor, so SSE2 on x86 and NEON on Arm. SSE2 needs registers for products, so blocks
 * are smaller than 16 registers could hold. Where a processor has no vectors at all the
 * compiler makes scalars of them. */
#define VECTOR_LANES 4
#define VECTOR_ROWS_1 8
#define VECTOR_ROWS_2 6
#define VECTOR_ROWS_3 3
#include "common/nn/kernels_vector.h"
#include "common/nn/kernels_vector_conv.h"
#include "common/nn/kernels_vector_norm.h"
#include "common/nn/kernels_vector_weight.h"

static bool runs_here(void)
{
    return true;
}

const struct nn_kernels nn_kernels_generic = {
    .name = "generic",
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
