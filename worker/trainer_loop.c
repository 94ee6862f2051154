/* SPDX-License-Identifier: Apache-2.0 */
/* One thread does it all: training polls for orders between batches, so there is nothing
 * to lock and a cancelled task's memory is gone before the next one starts. Orders are
 * taken as they come into a short queue; its first entry is the running task. An answer
 * never overtakes: a task cancelled while it waits is answered when its turn comes. */
#include "worker/trainer_loop.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kernel_names.h"
#include "proto/trainer_protocol.h"
#include "proto/trainer_side.h"
#include "version.h"
#include "worker/data/corpus.h"
#include "worker/data/data.h"
#include "worker/kernel_choice.h"
#include "worker/line_pipe.h"
#include "worker/threads.h"
#include "worker/trainer_images.h"
#include "worker/trainer_language.h"
#include "worker/trainer_output.h"
#include "worker/trainer_relaxed.h"
#include "worker/trainer_shared.h"

struct task {
    struct trainer_order order;
    bool cancelled;
    bool suspend; /* save the state and end without a result */
};

struct trainer_loop {
    int in;
    const char *kernels_cap;
    struct trainer_output output;
    struct line_reader lines;
    struct config config; /* from the hello */
    struct dataset *data;       /* of images */
    struct corpus_file *corpus; /* a text; one of the two is NULL */
    char *pool;                 /* folder of shared weights, or NULL; owned */
    struct trainer_shared *shared; /* NULL without */
    struct trainer_relaxed *relaxed; /* likewise */
    bool greeted, stop;
    struct task tasks[1 + TRAINER_LOOP_QUEUE]; /* the first one runs */
    int task_count;
    int status; /* of orders read during training */
    struct error error;
};

static int take_task(struct trainer_loop *loop, struct trainer_order *order,
                     struct error *err)
{
    if (loop->task_count > TRAINER_LOOP_QUEUE)
        return error_set(err, ERROR_PEER,
                         "the agent sent trial %llu, but %d tasks wait already",
                         (unsigned long long)order->trial, TRAINER_LOOP_QUEUE);
    loop->tasks[loop->task_count++] = (struct task){.order = *order};
    *order = (struct trainer_order){0}; /* taken over */
    return 0;
}

/* NULL: its result has just been sent. */
static struct task *find_task(struct trainer_loop *loop,
                              const struct trainer_order *order)
{
    for (int i = 0; i < loop->task_count; i++)
        if (loop->tasks[i].order.trial == order->trial &&
            loop->tasks[i].order.attempt == order->attempt)
            return &loop->tasks[i];
    return NULL;
}

static void mark_task(struct trainer_loop *loop, const struct trainer_order *order)
{
    struct task *task = find_task(loop, order);
    if (task && order->type == ORDER_CANCEL)
        task->cancelled = true;
    else if (task && task->order.checkpoint)
        task->suspend = true;
}

static void drop_first(struct trainer_loop *loop)
{
    trainer_order_fini(&loop->tasks[0].order);
    loop->task_count--;
    memmove(loop->tasks, loop->tasks + 1,
            (size_t)loop->task_count * sizeof loop->tasks[0]);
}

static int handle(struct trainer_loop *loop, struct trainer_order *order,
                  struct error *err)
{
    if (order->type == ORDER_STOP) {
        loop->stop = true;
        return 0;
    }
    if (loop->greeted == (order->type == ORDER_HELLO))
        return error_set(err, ERROR_PEER,
                         loop->greeted ? "the agent said hello twice"
                                       : "the agent has to say hello first");
    if (order->type == ORDER_HELLO) {
        loop->greeted = true;
        loop->pool = order->pool;
        order->pool = NULL;
    }
    if (order->type == ORDER_TASK)
        return take_task(loop, order, err);
    if (order->type == ORDER_CANCEL || order->type == ORDER_CHECKPOINT)
        mark_task(loop, order);
    if (order->type == ORDER_GANG && loop->shared)
        trainer_shared_gang(loop->shared, order->ranks);
    if (order->type == ORDER_LANE && loop->shared)
        trainer_shared_arrived(loop->shared, order->round, order->part);
    return 0;
}

static int handle_line(struct trainer_loop *loop, const char *line, size_t size,
                       struct error *err)
{
    struct trainer_order order = {0};
    int status = trainer_side_decode(line, size, &loop->config, &order, err);
    if (status)
        return status;
    status = handle(loop, &order, err);
    trainer_order_fini(&order);
    return status;
}

/* Is there something to read within timeout_ms (-1: for ever)? */
static bool readable(int fd, int timeout_ms)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;
    do
        n = poll(&p, 1, timeout_ms);
    while (n < 0 && errno == EINTR);
    return n > 0;
}

/* Handle all orders there are; with `wait`, until there is at least one. */
static int read_orders(struct trainer_loop *loop, bool wait, struct error *err)
{
    const char *line;
    size_t size;
    int status = 0;
    while (!status && !loop->stop) {
        if (line_reader_next(&loop->lines, &line, &size)) {
            status = handle_line(loop, line, size, err);
            wait = false;
            continue;
        }
        if (line_reader_partial(&loop->lines) > TRAINER_LINE_MAX)
            return error_set(err, ERROR_PEER, "a line of the agent exceeds %d bytes",
                             TRAINER_LINE_MAX);
        if (!readable(loop->in, wait ? -1 : 0))
            break;
        if (line_reader_fill(&loop->lines, loop->in) < 0)
            loop->stop = true;
    }
    return status;
}

static bool watch_orders(void *context)
{
    struct trainer_loop *loop = context;
    loop->status = read_orders(loop, false, &loop->error);
    return loop->status || loop->stop || loop->tasks[0].cancelled ||
           loop->tasks[0].suspend;
}

/* What the folder of shared weights is for. */
static int open_pool(struct trainer_loop *loop, struct error *err)
{
    const struct corpus *corpus = corpus_of(loop->corpus);
    return config_relaxes(&loop->config)
               ? trainer_relaxed_new(&loop->config, corpus, loop->pool, &loop->relaxed,
                                     err)
               : trainer_shared_new(&loop->config, corpus, loop->pool, &loop->shared,
                                    err);
}

/* For trainer_shared_run. */
static bool wait_orders(void *context, double seconds)
{
    struct trainer_loop *loop = context;
    readable(loop->in, (int)ceil(seconds * 1000));
    return watch_orders(loop);
}

static int start(struct trainer_loop *loop, struct error *err)
{
    int status = 0;
    while (!status && !loop->greeted && !loop->stop)
        status = read_orders(loop, true, err);
    if (status || loop->stop)
        return status;
    status = kernel_choice_settle(&loop->config, loop->kernels_cap, err);
    if (status)
        return status;
    threads_set(loop->config.resources.threads_per_trial);
    bool text = config_reads_text(&loop->config);
    const char *cache = loop->config.run.cache;
    status = text ? corpus_open(&loop->config, cache, &loop->corpus, err)
                  : data_open(&loop->config, cache, &loop->data, err);
    if (!status && loop->pool && loop->corpus)
        status = open_pool(loop, err);
    if (status)
        return status;
    trainer_side_encode_ready("archway-trainer", ARCHWAY_VERSION,
                              kernel_names_wanted(&loop->config), TRAINER_LOOP_QUEUE,
                              true, &loop->output.lines);
    return trainer_output_flush(&loop->output, err);
}

static int answer_cancelled(struct trainer_loop *loop, int epochs, struct error *err)
{
    const struct trainer_order *order = &loop->tasks[0].order;
    char reason[64];
    snprintf(reason, sizeof reason, "cancelled after %d epoch%s", epochs,
             epochs == 1 ? "" : "s");
    trainer_side_encode_failure(order->trial, order->attempt, reason,
                                &loop->output.lines);
    return trainer_output_flush(&loop->output, err);
}

static int refuse(const struct trainer_trial_setup *setup, const char *what,
                  struct error *err)
{
    char reason[80];
    snprintf(reason, sizeof reason, "this trainer was greeted without %s", what);
    trainer_side_encode_failure(setup->order->trial, setup->order->attempt, reason,
                                &setup->output->lines);
    return trainer_output_flush(setup->output, err);
}

static int run_task(struct trainer_loop *loop, const struct trainer_trial_setup *setup,
                    int *ret_epochs, struct error *err)
{
    const struct trainer_patience patience = {wait_orders, loop};
    int kind = setup->order->kind;
    if (kind == TRIAL_RELAX || kind == TRIAL_EVAL_RELAX)
        return loop->relaxed ? trainer_relaxed_run(loop->relaxed, setup, err)
                             : refuse(setup, "a relaxed cell", err);
    if (kind != TRIAL_TRAIN_CHILD)
        return loop->shared ? trainer_shared_run(loop->shared, setup, &patience, err)
                            : refuse(setup, "shared weights", err);
    if (loop->relaxed)
        trainer_relaxed_rest(loop->relaxed);
    if (loop->corpus)
        return trainer_language_run(setup, corpus_of(loop->corpus), ret_epochs, err);
    return trainer_images_run(setup, loop->data, ret_epochs, err);
}

static int run_first(struct trainer_loop *loop, struct error *err)
{
    struct task *task = &loop->tasks[0];
    const struct trainer_trial_setup setup = {.config = &loop->config,
                                              .order = &task->order,
                                              .watch = {watch_orders, loop},
                                              .suspend = &task->suspend,
                                              .output = &loop->output};
    int epochs = 0, status = 1;
    if (!task->cancelled)
        status = run_task(loop, &setup, &epochs, err);
    if (loop->status)
        status = error_set(err, loop->status, "%s", loop->error.text);
    else if (loop->stop)
        status = 0;
    else if (status == 1)
        status = answer_cancelled(loop, epochs, err);
    drop_first(loop);
    return status;
}

/* Until there is something to do. */
static int rest(struct trainer_loop *loop, struct error *err)
{
    int status = read_orders(loop, true, err);
    if (!status && loop->shared && !loop->task_count && !loop->stop)
        trainer_shared_idle(loop->shared);
    return status;
}

int trainer_loop_run(int in, int out, const char *kernels_cap, struct error *err)
{
    struct trainer_loop loop = {.in = in, .kernels_cap = kernels_cap};
    trainer_output_init(&loop.output, out);
    int status = start(&loop, err);
    while (!status && !loop.stop)
        status = loop.task_count ? run_first(&loop, err) : rest(&loop, err);
    while (loop.task_count)
        drop_first(&loop);
    trainer_shared_free(loop.shared);
    trainer_relaxed_free(loop.relaxed);
    free(loop.pool);
    data_close(loop.data);
    corpus_close(loop.corpus);
    line_reader_fini(&loop.lines);
    trainer_output_fini(&loop.output);
    return status;
}
