/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses among the tables that lstm_kernels_body.c was compiled into. The processor is
 * asked once per process start by the compiler's own run-time; asking again is a load. */
#include "common/nn/lstm_kernels.h"

const struct lstm_kernels *const *lstm_kernels_all(void)
{
    static const struct lstm_kernels *const all[] = {
#if defined __x86_64__
        &lstm_kernels_avx512,
        &lstm_kernels_avx2,
#endif
        &lstm_kernels_plain,
        NULL
    };
    return all;
}

const struct lstm_kernels *lstm_kernels_best(void)
{
    const struct lstm_kernels *const *k = lstm_kernels_all();
    while (!(*k)->runs_here())
        k++;
    return *k;
}
