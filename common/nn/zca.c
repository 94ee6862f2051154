/* SPDX-License-Identifier: Apache-2.0 */
/* ZCA over LAPACK's divide-and-conquer eigenvalues: 3072 values (CIFAR) are beyond what a
 * Jacobi sweep does in reasonable time. Fortran keeps matrices by columns, so what it is
 * told is the transpose of what is meant: rows x W becomes W' x rows', and the upper
 * triangle of a symmetric matrix its lower one. */
#include "common/nn/zca.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const float one = 1, zero = 0;

/* The upper triangle of sums += rows' x rows, or = when `fresh`. */
static void add_products(const struct blas *blas, float *sums, int d, const float *rows,
                         int n, bool fresh)
{
    blas->ssyrk("L", "N", &d, &n, &one, rows, &d, fresh ? &zero : &one, sums, &d, 1, 1);
}

void zca_add(const struct blas *blas, float *sums, int d, const float *rows, int n)
{
    add_products(blas, sums, d, rows, n, false);
}

void zca_apply(const struct blas *blas, const float *w, int d, const float *rows, int n,
               float *ret)
{
    blas->sgemm("N", "N", &d, &n, &d, &one, w, &d, rows, &d, &zero, ret, &d, 1, 1);
}

/* Eigenvectors into the rows of a (d, d), eigenvalues into w. The upper triangle of a
 * row-major matrix is the lower one of Fortran's. */
static int eigen(const struct blas *blas, float *a, int d, float *w, struct error *err)
{
    int work_size = 1 + 6 * d + 2 * d * d, iwork_size = 3 + 5 * d, info = 0, status = 0;
    float *work = malloc((size_t)work_size * sizeof *work);
    int *iwork = malloc((size_t)iwork_size * sizeof *iwork);
    if (!work || !iwork)
        status = error_set(err, ERROR_SYSTEM, "whitening: out of memory");
    else
        blas->ssyevd("V", "L", &d, a, &d, w, work, &work_size, iwork, &iwork_size, &info,
                     1, 1);
    if (info)
        status = error_set(err, ERROR_INPUT,
                           "whitening: no eigenvalues found for the covariance");
    free(work);
    free(iwork);
    return status;
}

/* Divide the sums by the count; returns the mean of the diagonal. */
static double to_covariance(float *sums, int d, double count)
{
    double trace = 0;
    float scale = (float)(1 / count);
    for (size_t i = 0; i < (size_t)d * (size_t)d; i++)
        sums[i] *= scale;
    for (size_t i = 0; i < (size_t)d; i++)
        trace += sums[i * (size_t)d + i];
    return trace / d;
}

/* W = V' V where row i of V is eigenvector i over the fourth root of its value. */
static void scale_vectors(float *vectors, const float *values, int d, double epsilon)
{
    for (int i = 0; i < d; i++) {
        double value = values[i] > 0 ? values[i] : 0; /* below 0 by rounding only */
        float factor = (float)(1 / sqrt(sqrt(value + epsilon)));
        for (int j = 0; j < d; j++)
            vectors[(size_t)i * (size_t)d + (size_t)j] *= factor;
    }
}

static void copy_upper_to_lower(float *a, int d)
{
    size_t n = (size_t)d;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            a[i * n + j] = a[j * n + i];
}

int zca_finish(const struct blas *blas, float *sums, int d, double count, double epsilon,
               struct error *err)
{
    size_t size = (size_t)d * (size_t)d;
    float *vectors = malloc(size * sizeof *vectors),
          *values = malloc((size_t)d * sizeof *values);
    int status = 0;
    if (!vectors || !values) {
        status = error_set(err, ERROR_SYSTEM, "whitening: out of memory");
        goto out;
    }
    double mean = to_covariance(sums, d, count);
    if (!(mean > 0) || !isfinite(mean)) {
        status = error_set(err, ERROR_INPUT,
                           "whitening: the images do not differ from each other");
        goto out;
    }
    memcpy(vectors, sums, size * sizeof *vectors);
    status = eigen(blas, vectors, d, values, err);
    if (status)
        goto out;
    scale_vectors(vectors, values, d, epsilon * mean);
    add_products(blas, sums, d, vectors, d, true);
    copy_upper_to_lower(sums, d);
out:
    free(vectors);
    free(values);
    return status;
}
