/* SPDX-License-Identifier: Apache-2.0 */
/* Sorting many numbers, in time that grows with their count only. */
#ifndef ARCHWAY_COMMON_SORT_H
#define ARCHWAY_COMMON_SORT_H

#include <stddef.h>

/* Ascending, in place; none is NAN. -1 when memory for a second copy is gone (v is then
 * as it was), else 0. */
int sort_doubles(double *v, size_t n);
/* The order of keys, none of them NAN, which stay where they are: ret_order[i] is the
 * index of the i-th smallest; equal ones keep their order. -1 when memory is gone. */
int sort_order(const double *keys, size_t n, size_t *ret_order);

#endif
