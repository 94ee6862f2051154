/* SPDX-License-Identifier: Apache-2.0 */
/* The names under which kinds, states, arms and failures are shown and stored in text. A
 * value that a newer file brought along is "unknown", never an index out of the table. */
#include "common/trial.h"

#include <stddef.h>

static const char *name_of(const char *const *names, size_t count, int value)
{
    return value >= 0 && (size_t)value < count ? names[value] : "unknown";
}

#define NAME_OF(names, value) name_of(names, sizeof(names) / sizeof *(names), value)

bool trial_is_evaluation(const struct trial *t)
{
    return t->kind == TRIAL_TRAIN_CHILD ||
           (t->kind == TRIAL_EVAL_SHARED && t->shared.part < 0);
}

bool trial_kind_is_step(int kind)
{
    return kind == TRIAL_TRAIN_SHARED || kind == TRIAL_RELAX;
}

const char *trial_kind_name(int kind)
{
    static const char *const names[] = {"train_child", "train_shared", "eval_shared",
                                        "relax", "eval_relax"};
    return NAME_OF(names, kind);
}

const char *trial_state_name(int state)
{
    static const char *const names[] = {"queued", "running", "waiting",
                                        "done",   "failed",  "saved"};
    return NAME_OF(names, state);
}

const char *trial_arm_name(int arm)
{
    static const char *const names[] = {"search", "control"};
    return NAME_OF(names, arm);
}

const char *trial_failure_name(int failure)
{
    static const char *const names[] = {"none",     "trainer", "exit", "timeout",
                                        "protocol", "nan",     "lost", "start"};
    return NAME_OF(names, failure);
}

const char *trial_checkpoint_name(int checkpoint)
{
    static const char *const names[] = {"saved", "suspended", "continued", "refused"};
    return NAME_OF(names, checkpoint);
}
