/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of trials: as a table for people, as RFC 4180 for spreadsheets, as JSON. All append
 * to `out`, which remembers a failed allocation. */
#ifndef ARCHWAY_MASTER_CLI_TRIAL_TABLE_H
#define ARCHWAY_MASTER_CLI_TRIAL_TABLE_H

#include "common/text.h"
#include "master/engine.h"

/* width: columns that a line may take, 0: as many as it needs. */
void trial_table(struct engine *e, const struct trial *const *list, size_t count, int width,
                 struct text *out);
/* Why trials failed: a line each, and below it the whole reason with the last lines of the
 * trainer's standard error. */
void trial_failures(const struct trial *const *list, size_t count, struct text *out);
/* A header and a line a trial, each ended by CR LF; what is not known is empty. */
void trial_csv(const struct space *space, const struct trial *const *list, size_t count,
               struct text *out);
/* An array of objects, one a line or more (summary_trial_json). */
void trial_json(const struct space *space, const struct trial *const *list, size_t count,
                bool curves, struct text *out);

#endif
