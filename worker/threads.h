/* SPDX-License-Identifier: Apache-2.0 */
/* The one place that sets threads and floating-point mode of a trainer process. */
#ifndef ARCHWAY_WORKER_THREADS_H
#define ARCHWAY_WORKER_THREADS_H

/* From now on every library of this process computes with `threads` threads (at least 1):
 * OpenMP, and OpenBLAS when it is loaded later. Denormals count as zero in this thread and
 * those it starts later. Call it before the first computation. */
void threads_set(int threads);

#endif
