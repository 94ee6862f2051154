/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/text_columns.h"

struct text_columns text_columns_make(const struct corpus_part *part, int batch)
{
    size_t length = part->count / (size_t)batch;
    return (struct text_columns){
        .part = part, .batch = batch, .rows = length > 0 ? length - 1 : 0};
}

size_t text_columns_windows(const struct text_columns *c, int steps)
{
    return (c->rows + (size_t)steps - 1) / (size_t)steps;
}

int text_columns_window(const struct text_columns *c, int steps, size_t k, int32_t *inputs,
                        int32_t *targets)
{
    size_t first = k * (size_t)steps, batch = (size_t)c->batch;
    if (first >= c->rows)
        return 0;
    size_t left = c->rows - first, rows = left < (size_t)steps ? left : (size_t)steps;
    for (size_t b = 0; b < batch; b++) {
        const int32_t *from = c->part->words + b * (c->rows + 1) + first;
        for (size_t t = 0; t < rows; t++) {
            inputs[t * batch + b] = from[t];
            targets[t * batch + b] = from[t + 1];
        }
    }
    return (int)rows;
}
