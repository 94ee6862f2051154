/* SPDX-License-Identifier: Apache-2.0 */
/* Chooses among the tables that recurrent_kernels_body.c was compiled into. */
#include "common/nn/recurrent_kernels.h"

#include <string.h>

const struct recurrent_kernels *const *recurrent_kernels_all(void)
{
    static const struct recurrent_kernels *const all[] = {
#if defined __x86_64__
        &recurrent_kernels_avx512,
        &recurrent_kernels_avx2,
#endif
        &recurrent_kernels_plain,
        NULL
    };
    return all;
}

const struct recurrent_kernels *recurrent_kernels_find(const char *limit)
{
    const struct recurrent_kernels *const *k = recurrent_kernels_all();
    if (limit && strcmp(limit, "generic") == 0)
        return &recurrent_kernels_plain;
    while (limit && (*k)->runs_here && strcmp((*k)->name, limit) != 0 && k[1])
        k++;
    while (!(*k)->runs_here())
        k++;
    return *k;
}
