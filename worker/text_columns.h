/* SPDX-License-Identifier: Apache-2.0 */
/* A text cut into `batch` columns of equal length that are read side by side (Zaremba et
 * al., 2014): column b is words [b L, (b + 1) L), L = count / batch; what is left over at
 * the end is not used. A window is some rows of it, its targets are the rows one further,
 * so L - 1 rows can be read. */
#ifndef ARCHWAY_WORKER_TEXT_COLUMNS_H
#define ARCHWAY_WORKER_TEXT_COLUMNS_H

#include "worker/data/corpus.h"

struct text_columns {
    const struct corpus_part *part; /* borrowed */
    int batch;
    size_t rows; /* that can be read: L - 1; 0 when the text is too short */
};

struct text_columns text_columns_make(const struct corpus_part *part, int batch);
/* Windows of at most `steps` rows that cover all rows. */
size_t text_columns_windows(const struct text_columns *c, int steps);
/* The k-th of them: (steps, batch) inputs and targets. Returns its rows, < steps in the
 * last one, 0 beyond it. */
int text_columns_window(const struct text_columns *c, int steps, size_t k, int32_t *inputs,
                        int32_t *targets);

#endif
