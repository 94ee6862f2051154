/* SPDX-License-Identifier: Apache-2.0 */
/* Zero-phase whitening (Krizhevsky 2009, appendix A): y = W x with
 * W = U diag(1 / sqrt(lambda + epsilon)) U', where U diag(lambda) U' is the covariance of
 * the rows. Load the BLAS, call zca_add over all (centred) rows, zca_finish once, then
 * zca_apply. */
#ifndef ARCHWAY_COMMON_NN_ZCA_H
#define ARCHWAY_COMMON_NN_ZCA_H

#include <stddef.h>

#include "common/error.h"
#include "common/nn/blas.h"

enum { ZCA_MAX_SIZE = 4096 };

/* sums (d, d), zeroed before the first call: adds rows' x rows, rows (n, d). */
void zca_add(const struct blas *blas, float *sums, int d, const float *rows, int n);
/* Turn the sums over `count` rows into W (d, d). epsilon is a share of the mean
 * eigenvalue, positive. d <= ZCA_MAX_SIZE. ERROR_SYSTEM when memory is gone, ERROR_INPUT
 * when the rows do not vary at all or are not finite. */
int zca_finish(const struct blas *blas, float *sums, int d, double count, double epsilon,
               struct error *err);
/* ret (n, d) = rows (n, d) x W. */
void zca_apply(const struct blas *blas, const float *w, int d, const float *rows, int n,
               float *ret);

#endif
