/* SPDX-License-Identifier: Apache-2.0 */
/* OpenMP's threads are the only ones: OpenBLAS, where it is loaded (common/nn/blas.h),
 * takes their number. */
#include "worker/threads.h"

#include <omp.h>

#include "common/nn/graph.h"

void threads_set(int threads)
{
    omp_set_dynamic(0);
    omp_set_num_threads(threads);
    nn_set_flush_denormals(true);
}
