/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks of the built-in trainer on weights that architectures share: steps of training,
 * and scores. The trainer holds the weights from task to task, and keeps states of them
 * in a folder (worker/pool_file.h), where other trainers find what they score with.
 *
 * A step is made only by weights that have come exactly so far, a score only with weights
 * of exactly so many steps. A trainer whose weights are not there yet reads the newest
 * state that helps; where that is not enough it answers "behind" and says how far it has
 * come.
 *
 * With several lanes other trainers may make some of them: the agent puts those into
 * memory that it shares with this one (worker/lanes.h). A trainer that needs a lane which
 * is under way waits for it, but not for ever: then it is behind. */
#ifndef ARCHWAY_WORKER_TRAINER_SHARED_H
#define ARCHWAY_WORKER_TRAINER_SHARED_H

#include "worker/data/corpus.h"
#include "worker/trainer_trial.h"

struct trainer_shared; /* opaque */

/* Wait for orders for at most so many seconds and handle them; true: stop. */
struct trainer_patience {
    bool (*wait)(void *context, double seconds);
    void *context;
};

/* config and folder are copied, corpus is borrowed. */
int trainer_shared_new(const struct config *config, const struct corpus *corpus,
                       const char *folder, struct trainer_shared **ret,
                       struct error *err);
/* Keeps what has been trained since the last state, as far as whole steps go. */
void trainer_shared_free(struct trainer_shared *s); /* NULL is allowed */
/* So many ranks make the lanes of a round together from now on. What they had under way
 * may not come any more. */
void trainer_shared_gang(struct trainer_shared *s, int ranks);
/* A lane of this round was put into the shared memory. */
void trainer_shared_arrived(struct trainer_shared *s, uint64_t round, int part);
/* Nothing else is to be done: take the round under way if all its lanes are there. */
void trainer_shared_idle(struct trainer_shared *s);
/* As trainer_trial_run. */
int trainer_shared_run(struct trainer_shared *s, const struct trainer_trial_setup *setup,
                       const struct trainer_patience *patience, struct error *err);

#endif
