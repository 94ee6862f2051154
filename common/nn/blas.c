/* SPDX-License-Identifier: Apache-2.0 */
/* OpenBLAS starts its threads when it is loaded, one for every core that it sees, and is
 * most of what a small program's start costs. So nothing is linked with it: it is opened
 * by name where the system's loader looks, then where it was when this was built. */
#include "common/nn/blas.h"

#include <dlfcn.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static const char *const openblas[] = {"libopenblas.so.0",
                                       NN_BLAS_FOLDER "/libopenblas.so.0",
                                       NN_BLAS_FOLDER "/libopenblas.so", NULL};

/* OpenBLAS names instruction sets by the first processors that had them. */
static const char *const cores[][2] = {
#ifdef __x86_64__
    {"avx512", "SkylakeX"}, {"avx2", "Haswell"}, {"generic", "Prescott"},
#endif
    {NULL, NULL}};

void blas_choose(const char *kernels)
{
    for (int i = 0; kernels && cores[i][0]; i++)
        if (strcmp(kernels, cores[i][0]) == 0)
            setenv("OPENBLAS_CORETYPE", cores[i][1], 0);
}

/* A function pointer from a data pointer: POSIX allows what C does not. */
static int find(void *library, const char *name, void *ret, struct error *err)
{
    void *symbol = dlsym(library, name);
    if (!symbol)
        return error_set(err, ERROR_SYSTEM, "OpenBLAS has no function %s", name);
    *(void **)ret = symbol;
    return 0;
}

/* Two pools that each take all cores are several times slower than one. */
static void limit_threads(void *library)
{
    void (*set_threads)(int) = NULL;
    if (!find(library, "openblas_set_num_threads", &set_threads, NULL))
        set_threads(omp_get_max_threads());
}

int blas_load_from(const char *const *names, struct blas *ret, struct error *err)
{
    struct blas found = {0};
    void *library = NULL;
    for (; *names && !library; names++)
        library = dlopen(*names, RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return error_set(err, ERROR_SYSTEM, "cannot load OpenBLAS: %s", dlerror());
    int status = find(library, "sgemm_", &found.sgemm, err);
    if (!status)
        status = find(library, "ssyrk_", &found.ssyrk, err);
    if (!status)
        status = find(library, "ssyevd_", &found.ssyevd, err);
    if (status)
        return status;
    limit_threads(library);
    *ret = found;
    return 0;
}

int blas_load(struct blas *ret, struct error *err)
{
    return blas_load_from(openblas, ret, err);
}
