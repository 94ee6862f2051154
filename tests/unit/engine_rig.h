/* SPDX-License-Identifier: Apache-2.0 */
/* An engine with its journal in a folder, driven step by step without workers. */
#ifndef ARCHWAY_TESTS_ENGINE_RIG_H
#define ARCHWAY_TESTS_ENGINE_RIG_H

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "common/text.h"
#include "master/engine.h"
#include "temp_folder.h"
#include "unit.h"

struct engine_rig {
    char dir[600], path[700];
    struct engine *engine;
    struct journal *journal;
    double now;
};

static inline struct config engine_rig_config(int mode, int64_t trials, double share)
{
    struct config c;
    config_defaults(&c);
    c.task.data.format = DATA_GENERATED;
    c.space.conv_chain.layers = 2;
    c.search.trials = trials;
    c.search.batch = 4;
    c.search.controller.hidden = 8;
    c.search.controller.layers = 1;
    c.control.share = share;
    c.run.mode = mode;
    c.run.retries = 1;
    return c;
}

/* A space of one architecture: every trial repeats the first. */
static inline void engine_rig_one_choice(struct config *c)
{
    struct config_conv_chain *s = &c->space.conv_chain;
    s->layers = 1;
    s->filter_heights = s->filter_widths = s->filters = (struct config_list){1, {3}};
    s->strides = (struct config_list){1, {1}};
}

static inline void engine_rig_write_config(const char *dir, const struct config *c)
{
    char path[700], *text = config_write(c, false);
    snprintf(path, sizeof path, "%s/config.yaml", dir);
    ck_assert_int_eq(text_write_file(path, text, strlen(text), NULL), 0);
    free(text);
}

static inline void engine_rig_session(struct engine_rig *g)
{
    struct record_session s = {.pid = 1, .time = g->now += 1, .workers = 1};
    ck_assert_int_eq(engine_open_session(g->engine, &s, NULL), 0);
}

static inline void engine_rig_new(struct engine_rig *g, const char *dir,
                                  const struct config *c)
{
    struct error err = {0};
    *g = (struct engine_rig){.now = 1000};
    snprintf(g->dir, sizeof g->dir, "%s", dir);
    ck_assert_int_eq(mkdir(dir, 0777), 0);
    engine_rig_write_config(dir, c);
    snprintf(g->path, sizeof g->path, "%s/journal", dir);
    ck_assert_msg(engine_new(c, false, &g->engine, &err) == 0, "%s", err.text);
    ck_assert_msg(journal_create(g->path, &g->journal, &err) == 0, "%s", err.text);
    engine_set_journal(g->engine, g->journal);
    ck_assert_int_eq(engine_change_config(g->engine, c, NULL), 0);
    engine_rig_session(g);
}

/* As after SIGKILL, with all that was appended on disk. */
static inline void engine_rig_drop(struct engine_rig *g)
{
    ck_assert_int_eq(journal_close(g->journal, NULL), 0);
    engine_free(g->engine);
    g->engine = NULL;
    g->journal = NULL;
}

static inline void engine_rig_open(struct engine_rig *g, struct engine_reading *ret)
{
    struct error err = {0};
    ck_assert_msg(engine_open(g->dir, false, &g->engine, ret, &err) == 0, "%s", err.text);
    ck_assert_int_eq(journal_open(g->path, ret->journal_end, &g->journal, NULL), 0);
    engine_set_journal(g->engine, g->journal);
    engine_rig_session(g);
}

static inline const struct trial *engine_rig_trial(struct engine_rig *g, uint64_t id)
{
    return ledger_trial(engine_ledger(g->engine), id);
}

static inline enum engine_answer engine_rig_propose(struct engine_rig *g)
{
    struct error err = {0};
    enum engine_answer answer;
    ck_assert_msg(engine_propose(g->engine, g->now += 0.5, &answer, &err) == 0, "%s",
                  err.text);
    return answer;
}

static inline int engine_rig_start(struct engine_rig *g, uint64_t id)
{
    int attempt = 0;
    ck_assert_int_eq(engine_start(g->engine, id, 1, 0, g->now += 0.5, &attempt, NULL), 0);
    return attempt;
}

/* Accuracy of a trial, a function of its tokens alone. */
static inline float engine_rig_accuracy(const struct trial *t)
{
    unsigned sum = 0;
    for (int i = 0; i < t->architecture->count; i++)
        sum = sum * 5 + t->architecture->tokens[i];
    return (float)(0.1 + (sum % 97) / 120.0);
}

static inline void engine_rig_end(struct engine_rig *g, uint64_t id, int failure)
{
    struct error err = {0};
    struct trial_epoch epoch = {.val_accuracy =
                                    engine_rig_accuracy(engine_rig_trial(g, id))};
    struct ledger_result r = {.failure = (uint8_t)failure,
                              .val_accuracy = NAN,
                              .seconds = 2,
                              .params = NAN,
                              .flops = NAN,
                              .finished_at = g->now += 1,
                              .epoch_count = failure ? 0 : 1,
                              .epochs = &epoch,
                              .reason = failure ? "planted" : NULL};
    ck_assert_msg(engine_finish(g->engine, id, 1, 0, &r, &err) == 0, "%s", err.text);
}

static inline int engine_rig_tell(struct engine_rig *g)
{
    struct error err = {0};
    ck_assert_int_eq(journal_sync(g->journal, NULL), 0);
    int told = engine_tell(g->engine, &err);
    ck_assert_msg(told >= 0, "%s", err.text);
    return told;
}

static inline void engine_rig_train(struct engine_rig *g, uint64_t id)
{
    engine_rig_start(g, id);
    engine_rig_end(g, id, FAILURE_NONE);
}

static inline void engine_rig_snapshot(struct engine_rig *g)
{
    struct error err = {0};
    ck_assert_msg(engine_snapshot(g->engine, g->dir, &err) == 0, "%s", err.text);
}

/* Propose, train and tell until there are `until` trials told, or it is over. */
static inline void engine_rig_run(struct engine_rig *g, uint64_t until)
{
    for (int i = 0; i < 100000 && engine_told(g->engine) < until; i++) {
        uint64_t id;
        if (engine_rig_propose(g) == ENGINE_DONE &&
            !ledger_next(engine_ledger(g->engine), &id))
            return;
        if (ledger_next(engine_ledger(g->engine), &id))
            engine_rig_train(g, id);
        engine_rig_tell(g);
    }
}

#endif
