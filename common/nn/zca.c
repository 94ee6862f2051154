/* SPDX-License-Identifier: Apache-2.0 */
/* ZCA over LAPACK's divide-and-conquer eigenvalues: 3072 values (CIFAR) are beyond what a
 * Jacobi sweep does in reasonable time. ssyevd is called by its Fortran name, because
 * Debian's OpenBLAS has LAPACK but no lapacke.h; all its integers are 32 bits wide. */
#include "common/nn/zca.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The two lengths at the end are those that Fortran passes for character arguments. */
extern void ssyevd_(const char *job, const char *part, const int *n, float *a,
                    const int *lda, float *w, float *work, const int *work_size,
                    int *iwork, const int *iwork_size, int *info, size_t, size_t);

void zca_add(float *sums, int d, const float *rows, int n)
{
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, d, n, 1, rows, d, 1, sums, d);
}

void zca_apply(const float *w, int d, const float *rows, int n, float *ret)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, d, d, 1, rows, d, w, d, 0,
                ret, d);
}

/* Eigenvectors into the rows of a (d, d), eigenvalues into w. The upper triangle of a
 * row-major matrix is the lower one of Fortran's. */
static int eigen(float *a, int d, float *w, struct error *err)
{
    int work_size = 1 + 6 * d + 2 * d * d, iwork_size = 3 + 5 * d, info = 0, status = 0;
    float *work = malloc((size_t)work_size * sizeof *work);
    int *iwork = malloc((size_t)iwork_size * sizeof *iwork);
    if (!work || !iwork)
        status = error_set(err, ERROR_SYSTEM, "whitening: out of memory");
    else
        ssyevd_("V", "L", &d, a, &d, w, work, &work_size, iwork, &iwork_size, &info, 1,
                1);
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
        cblas_sscal(d, (float)(1 / sqrt(sqrt(value + epsilon))), vectors + (size_t)i * d,
                    1);
    }
}

static void copy_upper_to_lower(float *a, int d)
{
    size_t n = (size_t)d;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            a[i * n + j] = a[j * n + i];
}

int zca_finish(float *sums, int d, double count, double epsilon, struct error *err)
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
    status = eigen(vectors, d, values, err);
    if (status)
        goto out;
    scale_vectors(vectors, values, d, epsilon * mean);
    cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, d, d, 1, vectors, d, 0, sums, d);
    copy_upper_to_lower(sums, d);
out:
    free(vectors);
    free(values);
    return status;
}
