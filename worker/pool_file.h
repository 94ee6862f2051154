/* SPDX-License-Identifier: Apache-2.0 */
/* States of shared weights on disk, as worker/step_files.h keeps them:
 *
 *   parameters  float32 (count): E, W_x, W_0, the pairs of the edges; see
 *               common/nn/recurrent.h
 *   states      float32 (samples, batch, hidden): hidden state of every lane
 *   attributes  version, step, seed, vocabulary, hidden, nodes, batch, samples, sync,
 *               words */
#ifndef ARCHWAY_WORKER_POOL_FILE_H
#define ARCHWAY_WORKER_POOL_FILE_H

#include "common/error.h"
#include "worker/pool.h"

enum { POOL_FILE_VERSION = 2 };

/* Write the state of a pool, without the lanes of the round under way, as
 * step_files_write. */
int pool_file_write(const char *folder, const struct pool *p, struct error *err);
/* Bring the pool to the newest state of `least` to `step` steps that can be used. Returns
 * 1 when it did, 0 when there is none; the pool is then unchanged, unless a file turned
 * out to be damaged, when it has begun anew. Every file that cannot be used is told to
 * `warn` with the reason. */
int pool_file_read(const char *folder, uint64_t least, uint64_t step, struct pool *p,
                   void (*warn)(const char *text));

#endif
