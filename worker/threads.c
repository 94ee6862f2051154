/* SPDX-License-Identifier: Apache-2.0 */
/* Two thread pools that each take all cores make a trainer several times slower, and
 * setting one library's threads does not reach the other. OpenBLAS is asked through a
 * weak symbol: a program whose kernels do not need it is not made to load it (its pool
 * alone is most of a small trainer's memory). */
#include "worker/threads.h"

#include <omp.h>

#include "common/nn/graph.h"

void openblas_set_num_threads(int threads) __attribute__((weak));

void threads_set(int threads)
{
    omp_set_dynamic(0);
    omp_set_num_threads(threads);
    if (openblas_set_num_threads)
        openblas_set_num_threads(threads);
    nn_set_flush_denormals(true);
}
