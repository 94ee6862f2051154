/* SPDX-License-Identifier: Apache-2.0 */
/* The few functions of BLAS and LAPACK that are needed, loaded when they are: a library
 * with a thread for every core is not what a trainer of convolutions should start with.
 */
#ifndef ARCHWAY_COMMON_NN_BLAS_H
#define ARCHWAY_COMMON_NN_BLAS_H

#include <stddef.h>

#include "common/error.h"

/* Fortran's interface: matrices by columns, integers of 32 bits, at the end the lengths
 * of the character arguments. */
struct blas {
    void (*sgemm)(const char *transpose_a, const char *transpose_b, const int *m,
                  const int *n, const int *k, const float *alpha, const float *a,
                  const int *lda, const float *b, const int *ldb, const float *beta,
                  float *c, const int *ldc, size_t, size_t);
    void (*ssyrk)(const char *part, const char *transpose, const int *n, const int *k,
                  const float *alpha, const float *a, const int *lda, const float *beta,
                  float *c, const int *ldc, size_t, size_t);
    void (*ssyevd)(const char *job, const char *part, const int *n, float *a,
                   const int *lda, float *w, float *work, const int *work_size,
                   int *iwork, const int *iwork_size, int *info, size_t, size_t);
};

/* Before the process loads it: compute with the instruction set of these kernels (a name
 * of kernels.h), so that their results are the same on processors that have more. NULL, an
 * unknown name, or OPENBLAS_CORETYPE in the environment leave things as they are. */
void blas_choose(const char *kernels);
/* OpenBLAS, with as many threads as OpenMP has. It stays loaded until the process ends,
 * because its threads do. ERROR_SYSTEM, with the loader's reason, where it is missing. */
int blas_load(struct blas *ret, struct error *err);
/* The same from the first of these libraries (names end with NULL) that can be loaded. */
int blas_load_from(const char *const *names, struct blas *ret, struct error *err);

#endif
