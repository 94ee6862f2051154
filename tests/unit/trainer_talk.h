/* SPDX-License-Identifier: Apache-2.0 */
/* The real archway-trainer behind two pipes. ARCHWAY_TRAINER in the environment names the
 * program. Every function fails the test when the trainer does not do its part in time.
 */
#ifndef ARCHWAY_TESTS_TRAINER_TALK_H
#define ARCHWAY_TESTS_TRAINER_TALK_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <check.h>

#include "common/config.h"
#include "proto/trainer_protocol.h"

struct talk {
    char folder[64]; /* of the cache and of standard error */
    pid_t pid;
    int to, from; /* to: -1 when it is not for talk_end to close */
    char buffer[1 << 16];
    size_t used;
};

#define TALK_LAYER(fields) "{\"layers\":[{" fields "}]}"
#define TALK_ONE_LAYER                                                                 \
    "{\"layers\":[{\"filter_height\":3,\"filter_width\":3,\"filters\":8,\"stride\":2," \
    "\"inputs\":[-1]}]}"
#define TALK_TWO_LAYERS                                                                \
    "{\"layers\":[{\"filter_height\":3,\"filter_width\":2,\"filters\":6,\"stride\":1," \
    "\"inputs\":[-1]},{\"filter_height\":3,\"filter_width\":3,\"filters\":8,"          \
    "\"stride\":2,\"inputs\":[-1,0]}]}"

/* 300 + 60 generated images of 12 x 10 in 3 classes, 2 epochs, batches of 32. */
struct config talk_config(void);
/* Start the program with these arguments (NULL: none). */
void talk_begin(struct talk *t, char *const *argv);
/* Start it, say hello, hear that it is ready. */
void talk_start(struct talk *t, const struct config *config);
void talk_say(struct talk *t, const char *line); /* a newline is added */
void talk_say_hello(struct talk *t, const struct config *config);
void talk_say_task(struct talk *t, uint64_t trial, int attempt, uint64_t seed,
                   const char *architecture, const char *hyperparameters);
void talk_say_task_at(struct talk *t, uint64_t trial, int attempt, uint64_t seed,
                      const char *architecture, const char *hyperparameters,
                      const struct trainer_checkpoint *checkpoint);
struct trainer_line talk_hear(struct talk *t);
/* A failed result of the trial, `part` within its reason. */
void talk_hear_failure(struct talk *t, uint64_t trial, const char *part);
/* Progress up to a failed result, which is returned. */
struct trainer_line talk_hear_until_failure(struct talk *t);
/* Progress of at most `most` epochs and a good result; returns the number of epochs. */
int talk_hear_curve(struct talk *t, uint64_t trial, struct trial_epoch *ret, int most);
/* A file for the state of a trial, in the folder of the conversation. Borrowed until the
 * next call. */
const char *talk_state_path(const struct talk *t);
/* What became of a state, enum trial_checkpoint, as expected. */
struct trainer_line talk_hear_checkpoint(struct talk *t, int what);
/* Hear so many epochs, then ask for the state of trial 1, attempt 1; the line that says
 * that it is suspended. */
struct trainer_line talk_suspend_after(struct talk *t, int epochs);
/* Close its input, wait for its end; exit status. `part` has to be in what it wrote on
 * standard error. */
int talk_end(struct talk *t, const char *part);
/* Remove its folder; talk_end does. For one that was killed and waited for. */
void talk_clear(const struct talk *t);
/* Check's main, or 77 without ARCHWAY_TRAINER. */
int talk_main(Suite *suite);

#endif
