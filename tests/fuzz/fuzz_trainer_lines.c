/* SPDX-License-Identifier: Apache-2.0 */
/* What a trainer process writes, from the pipe through line_pipe, trainer_decode and
 * slot_lines to results: tasks of a slot without a process, the last of them a
 * relax step. The first byte chooses
 * the metric, the rest is the trainer's standard output. */
#include "fuzz.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include "worker/slot_private.h"

enum { TASKS = 3 };

static void take_progress(void *context, const struct message_progress *p)
{
    FUZZ_CHECK(p->trial < TASKS && p->epoch >= 1 && p->epoch <= TRIAL_MAX_EPOCHS);
}

static void take_result(void *context, const struct message_result *r)
{
    int *results = context;
    FUZZ_CHECK(r->trial < TASKS && r->epoch_count <= TRIAL_MAX_EPOCHS);
    FUZZ_CHECK(strlen(r->reason) < TRIAL_REASON && strlen(r->kernels) < TRIAL_KERNELS);
    FUZZ_CHECK(r->seconds >= 0 && isfinite(r->seconds));
    FUZZ_CHECK(!r->architecture || (r->trial == TASKS - 1 && r->architecture[0] == '{' &&
                                    strlen(r->architecture) <= MESSAGE_MAX_JSON));
    FUZZ_CHECK(++*results <= TASKS);
}

static void give_tasks(struct slot *s)
{
    for (uint64_t id = 0; id < TASKS; id++) {
        struct message_task task = {.trial = id, .attempt = 1, .timeout = 10};
        task.kind = id == TASKS - 1 ? TRIAL_RELAX : TRIAL_TRAIN_CHILD;
        slot_give(s, &task);
    }
}

/* Take all of it, sending tasks whenever the trainer may have some. */
static bool listen(struct slot *s, const uint8_t *data, size_t size)
{
    struct error err;
    bool good = true;
    int more = 1, fd = fuzz_descriptor(data, size);
    while (good && more > 0) {
        more = line_reader_fill(&s->from, fd);
        good = slot_lines_take(s, &err);
        FUZZ_CHECK(s->ahead >= 0 && s->ahead <= SLOT_AHEAD_MAX);
        if (good && s->state == SLOT_READY)
            FUZZ_CHECK(slot_tasks_send(s, 0));
    }
    close(fd);
    return good;
}

/* The length of the first line, which may be "ready": tasks are sent before the next. */
static size_t first_line(const uint8_t *data, size_t size)
{
    const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
    return newline ? (size_t)(newline - data) + 1 : size;
}

static void take_checkpoint(void *context, const struct message_checkpoint *c)
{
    FUZZ_CHECK(c->what <= CHECKPOINT_REFUSED && c->epoch <= TRIAL_MAX_EPOCHS);
    FUZZ_CHECK(c->seconds >= 0 && strlen(c->reason) < sizeof c->reason);
}

static void take_behind(void *context, const struct message_behind *b)
{
    FUZZ_CHECK(b->at.part >= 0 && b->at.step <= INT64_MAX);
}

static void take_lanes(void *context, int slot, int pid, const struct trainer_line *line,
                       uint64_t step)
{
    FUZZ_CHECK(line->fd >= 0 && line->samples > 0 && line->samples <= TRAINER_MAX_LANES);
    FUZZ_CHECK(line->stride > 0 && line->stride <= INT64_MAX / (2 * TRAINER_MAX_LANES));
}

static void take_made(void *context, int slot, const struct message_task *task)
{
    FUZZ_CHECK(task->kind == TRIAL_TRAIN_SHARED);
}

static void take_missing(void *context, int slot, uint64_t round)
{
    FUZZ_CHECK(round <= INT64_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const metrics[] = {"val_accuracy", "val_loss", "train_loss", "lr",
                                          "score"};
    static struct config config;
    int results = 0;
    struct slot_settings settings = {
        .config = &config,
        .checkpoint_folder = data && size > 0 && data[0] & 64 ? "/nowhere" : NULL,
        .clock = &clock_system,
        .sink = {take_progress, take_result, take_checkpoint, take_behind, take_lanes,
                 take_made, take_missing, &results}};
    const struct message_slot place = {0};
    struct slot *s;
    if (size < 1 || size > FUZZ_INPUT_MAX)
        return 0;
    config_defaults(&config);
    snprintf(config.reward.metric, sizeof config.reward.metric, "%s",
             metrics[data[0] % (sizeof metrics / sizeof *metrics)]);
    FUZZ_CHECK(slot_new(&settings, 0, &place, &s, NULL) == 0);
    give_tasks(s);
    s->state = SLOT_STARTING;
    size_t first = first_line(data + 1, size - 1);
    if (listen(s, data + 1, first))
        listen(s, data + 1 + first, size - 1 - first);
    slot_free(s);
    return 0;
}
