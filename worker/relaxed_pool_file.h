/* SPDX-License-Identifier: Apache-2.0 */
/* States of a relaxed cell on disk, as worker/step_files.h keeps them:
 *
 *   parameters           float32 (count), see common/nn/relaxed.h
 *   alpha, alpha_first,  float32 (edges, 5): alpha and Adam's moments of it; edges (i, j)
 *   alpha_second         with j ascending, within it i; operations none, tanh, relu,
 *                        sigmoid, identity
 *   train_state,         float32 (batch, hidden): hidden states of the two texts
 *   valid_state
 *   attributes           version, step, updates (of alpha), seed, vocabulary, hidden,
 *                        relaxed_nodes, batch, order, words, validation_words */
#ifndef ARCHWAY_WORKER_RELAXED_POOL_FILE_H
#define ARCHWAY_WORKER_RELAXED_POOL_FILE_H

#include "common/error.h"
#include "worker/relaxed_pool.h"

enum { RELAXED_POOL_FILE_VERSION = 1 };

/* As pool_file_write and pool_file_read of worker/pool_file.h. */
int relaxed_pool_file_write(const char *folder, const struct relaxed_pool *p,
                            struct error *err);
int relaxed_pool_file_read(const char *folder, uint64_t least, uint64_t step,
                           struct relaxed_pool *p, void (*warn)(const char *text));

#endif
