/* SPDX-License-Identifier: Apache-2.0 */
/* Image data for the built-in trainer. One file per format stands behind this interface
 * (a const table of struct data_format, chosen by task.data.format).
 *
 * data_open prepares the data once a node: the first process that needs it reads and
 * decodes the original files, splits, computes the whitening, and writes one file into the
 * cache folder (temporary name, rename, under a lock file); all processes map that file
 * read-only, so the pages are shared. The file's name carries a hash of everything that it
 * depends on (format, path, sizes and times of the files, split, whitening, seed), its
 * header a magic, version, sizes and a checksum of the header: a stale or damaged file is
 * made anew. */
#ifndef ARCHWAY_WORKER_DATA_DATA_H
#define ARCHWAY_WORKER_DATA_DATA_H

#include <stddef.h>
#include <stdint.h>

#include "common/config.h"
#include "common/data_facts.h"
#include "common/error.h"
#include "common/rng.h"

/* Look at the files (headers and sizes, labels are checked in data_open) and work out the
 * split. ERROR_INPUT naming the file and what is wrong: missing, truncated, wrong magic,
 * different counts of images and labels, train + validation larger than the file. */
int data_inspect(const struct config *config, struct data_facts *ret, struct error *err);
/* Which format does a folder hold? Fills task.data.format and .path of config, and
 * task.kind where it is a text; ERROR_INPUT listing what was looked for when none fits.
 */
int data_detect(const char *folder, struct config *ret, struct error *err);

struct dataset; /* opaque, immutable */

enum data_part { DATA_TRAIN, DATA_VALIDATION, DATA_TEST, DATA_PARTS };

/* cache: folder ("" or NULL: $TMPDIR or /tmp). A label out of range is ERROR_INPUT with the
 * file and the index. Caller closes. */
int data_open(const struct config *config, const char *cache, struct dataset **ret,
              struct error *err);
void data_close(struct dataset *d);
const struct data_facts *data_facts(const struct dataset *d);
int data_count(const struct dataset *d, enum data_part part);
/* Labels of a part; borrowed. */
const uint8_t *data_labels(const struct dataset *d, enum data_part part);

struct data_augment {
    int pad;   /* zero padding around the whitened image before a random crop */
    int flip;  /* random horizontal flip */
};
/* Write images indices[0..n) of a part, whitened and as float32, to images (n, H, W, C) and
 * their labels. With augment (may be NULL), crops and flips come from rng, a fixed number of
 * draws per image. */
void data_batch(const struct dataset *d, enum data_part part, const uint32_t *indices, int n,
                const struct data_augment *augment, struct rng *rng, float *ret_images,
                uint8_t *ret_labels);

#endif
