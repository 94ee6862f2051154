/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a run in words: the best architectures, search against random, the hours. The
 * same text closes a search and answers `archway status` of a stopped run. */
#ifndef ARCHWAY_MASTER_SUMMARY_H
#define ARCHWAY_MASTER_SUMMARY_H

#include <jansson.h>

#include "common/error.h"
#include "common/text.h"
#include "master/engine.h"

/* dir: as the user gave it. */
int summary_format(struct engine *e, const char *dir, struct text *out, struct error *err);
void summary_hours(struct engine *e, struct text *out);
/* Ids of the best `most` distinct trained trials of both arms, best first. Returns how many
 * (ids has room for `most`). */
int summary_top(struct engine *e, int most, uint64_t *ids);
/* A trial with its architecture, for export and DIR/best. New reference; NULL when memory
 * is gone. */
/* "suspended at epoch 3 of 20", of a trial that goes on from a saved state; "" for
 * others. */
void summary_kept(const struct config *config, const struct trial *t, char *text,
                  size_t size);
json_t *summary_trial_json(const struct space *space, const struct trial *t);

#endif
