/* SPDX-License-Identifier: Apache-2.0 */
/* Which implementations there are and which one to take. The choice is made once, when a
 * graph is made, from the processor's features; nothing here reads the environment. */
#include "common/nn/kernels.h"

#include <stdio.h>
#include <string.h>

const struct nn_kernels *const nn_kernels_all[] = {
#ifdef NN_HAVE_X86
    &nn_kernels_avx512,
    &nn_kernels_avx2,
#endif
    &nn_kernels_generic,
    NULL,
};

static void list_usable(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; nn_kernels_all[i]; i++) {
        if (!nn_kernels_all[i]->runs_here() || used >= size)
            continue;
        int n = snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                         nn_kernels_all[i]->name);
        used += n > 0 ? (size_t)n : 0;
    }
}

int nn_kernels_find(const char *name, const struct nn_kernels **ret, struct error *err)
{
    for (int i = 0; nn_kernels_all[i]; i++) {
        const struct nn_kernels *k = nn_kernels_all[i];
        if ((name && strcmp(name, k->name) != 0) || !k->runs_here())
            continue;
        *ret = k;
        return 0;
    }
    char usable[128];
    list_usable(usable, sizeof usable);
    return error_set(err, ERROR_INPUT,
                     "kernels '%s' are unknown or do not run on this processor; "
                     "allowed: %s",
                     name ? name : "", usable);
}

static void same_axis(int in, int filter, int stride, int *out, int *before)
{
    *out = (in + stride - 1) / stride;
    int total = (*out - 1) * stride + filter - in;
    *before = total > 0 ? total / 2 : 0;
}

struct nn_conv nn_conv_make(int h, int w, int c, int kh, int kw, int k, int stride)
{
    struct nn_conv s = {
        .h = h, .w = w, .c = c, .kh = kh, .kw = kw, .k = k, .stride = stride};
    same_axis(h, kh, stride, &s.oh, &s.top);
    same_axis(w, kw, stride, &s.ow, &s.left);
    return s;
}

void nn_conv_tap_range(int in, int out, int stride, int before, int tap, int *ret_from,
                       int *ret_to)
{
    /* 0 <= o * stride + tap - before < in */
    int low = before - tap, high = in - 1 + before - tap;
    int from = low > 0 ? (low + stride - 1) / stride : 0;
    int to = high >= 0 ? high / stride + 1 : 0;
    if (to > out)
        to = out;
    *ret_from = from < to ? from : to;
    *ret_to = to;
}
