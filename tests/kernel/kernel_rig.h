/* SPDX-License-Identifier: Apache-2.0 */
/* Random buffers of exactly the promised size, and what recurrent kernels compute in
 * double precision. */
#ifndef ARCHWAY_TESTS_KERNEL_KERNEL_RIG_H
#define ARCHWAY_TESTS_KERNEL_KERNEL_RIG_H

#include <stdbool.h>
#include <stddef.h>

#include "common/nn/recurrent_kernels.h"
#include "common/rng.h"

/* Print a seed by the clock and begin its numbers: first thing in a random test. */
void rig_start(void);
struct rng *rig_rng(void);
size_t draw(size_t from, size_t to); /* both may come */

/* Owned by the caller. */
float *random_floats(size_t count);
float *copy_of(const float *x, size_t count);
/* Random where it is added to, else NaN. */
float *result(size_t count, bool add);
void free_all(float *const *owned, size_t count);

/* Floats of a matrix whose last row ends with its last column. */
size_t floats(size_t rows, size_t row, size_t columns);

void assert_near(double value, double exact, double scale);
void assert_same(const float *a, const float *b, size_t count);

double activate(double a, int f);
double slope(double a, int f); /* of f at a */

#endif
