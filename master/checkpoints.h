/* SPDX-License-Identifier: Apache-2.0 */
/* DIR/checkpoints: the states of trials that are not over, a file each, called by the
 * trial's number. Trainers write and read them; the master makes the folder and clears
 * away what nobody will go on from. */
#ifndef ARCHWAY_MASTER_CHECKPOINTS_H
#define ARCHWAY_MASTER_CHECKPOINTS_H

#include <stdint.h>

#include "common/error.h"
#include "master/ledger.h"

/* Make the folder when it is missing, and clear it. */
int checkpoints_open(const char *dir, const struct ledger *l, struct error *err);
/* Remove every file that is not of a QUEUED or RUNNING trial, halves of files included;
 * then the folder, when it is empty. A missing folder is no error. */
void checkpoints_clear(const char *dir, const struct ledger *l);
void checkpoints_remove(const char *dir, uint64_t trial);

#endif
