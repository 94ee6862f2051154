/* SPDX-License-Identifier: Apache-2.0 */
/* Events of one rank: messages of the master, and timers of its own (a heartbeat, an
 * epoch, the end of the attempt, a scheduled fault). A timer that belongs to an attempt
 * carries the rank's count of attempts and means nothing once another one runs. */
#include "master/simulate/cohort.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kernel_names.h"
#include "common/rng.h"
#include "proto/message.h"
#include "proto/wire_sim.h"
#include "master/simulate/sim_pool.h"

enum timer { TIMER_HELLO, TIMER_BEAT, TIMER_EPOCH, TIMER_END, TIMER_DEATH, TIMER_FAULT };
enum { TIMER_BITS = 3, EPOCHS_MOST = 1000 };

static const double latency = 100e-6,
                    nap = 1e-3; /* seconds: network; the master's loop */
static const double start_wall = 1e9;

struct order { /* a task that waits or runs */
    uint64_t trial;
    int32_t attempt;
    uint8_t kind;
    struct trial_shared shared;
    float accuracy;
    double seconds, timeout;
};

struct member {
    struct order *orders; /* owned; the first runs */
    uint16_t count, capacity;
    bool working, over;
    uint8_t failure; /* of the running attempt, enum trial_failure */
    uint32_t epoch;  /* of the running attempt, from 0 */
    uint64_t runs;   /* attempts begun */
    float slowness;
    double ends, began;
    double clear_at; /* no message arrives before */
    struct trial_shared pool; /* how far its shared weights have come */
};

struct cohort {
    struct cohort_setup setup;
    struct wire *wire;
    struct member *members; /* by rank; 0 is not used */
    struct rng rng;
    struct bytes out, beats[2]; /* beats: heartbeats of an idle and of a busy rank */
    struct trial_epoch *curve;  /* `epochs` entries */
    struct sim_pool_states states;
    struct space *space; /* owned */
    int epochs;
    struct cohort_counts counts;
    char kernels[TRIAL_KERNELS]; /* that seem to train */
};

static double now_of(const struct cohort *c)
{
    return clock_now(wire_sim_clock(c->wire));
}

static bool strikes(struct cohort *c, enum fault fault)
{
    double rate = c->setup.faults->rates[fault];
    if (rate <= 0 || rng_double(&c->rng) >= rate)
        return false;
    c->counts.faults[fault]++;
    return true;
}

static void arm(struct cohort *c, int rank, double at, enum timer timer, uint64_t number)
{
    wire_sim_timer(c->wire, rank, at, (uint64_t)timer | number << TIMER_BITS);
}

/* On the way to the master, with what may befall a message there. */
static void post_frame(struct cohort *c, int rank, const struct bytes *frame)
{
    struct member *w = &c->members[rank];
    double now = now_of(c), delay = 0;
    if (strikes(c, FAULT_DELAYED))
        w->clear_at = fmax(w->clear_at, now + FAULT_DELAY * rng_double(&c->rng));
    if (w->clear_at > now)
        delay = w->clear_at - now;
    if (strikes(c, FAULT_DUPLICATED))
        wire_sim_post(c->wire, rank, frame->data, frame->size,
                      delay + FAULT_DELAY * rng_double(&c->rng));
    if (strikes(c, FAULT_REORDERED))
        delay += FAULT_DELAY * rng_double(&c->rng);
    wire_sim_post(c->wire, rank, frame->data, frame->size, delay);
}

static void post(struct cohort *c, int rank, const struct message *m)
{
    bytes_clear(&c->out);
    message_encode(m, &c->out);
    post_frame(c, rank, &c->out);
}

static void hello(struct cohort *c, int rank)
{
    const struct config_resources *r = &c->setup.config->resources;
    struct message m = {.type = MESSAGE_HELLO};
    snprintf(m.hello.host, sizeof m.hello.host, "node%06d", rank);
    snprintf(m.hello.version, sizeof m.hello.version, "simulated");
    snprintf(m.hello.kernels, sizeof m.hello.kernels, "%s",
             *c->kernels ? c->kernels : "plain");
    snprintf(m.hello.cpus, sizeof m.hello.cpus, "0-%d", r->threads_per_trial - 1);
    m.hello.pid = rank;
    for (int i = 0, used = 0; i < r->gpus_per_trial; i++)
        used += snprintf(m.hello.gpus + used, sizeof m.hello.gpus - (size_t)used, "%s%d",
                         i ? "," : "", i);
    post(c, rank, &m);
}

static void beat(struct cohort *c, int rank)
{
    post_frame(c, rank, &c->beats[c->members[rank].count > 0]);
    arm(c, rank, now_of(c) + c->setup.config->run.heartbeat, TIMER_BEAT, 0);
}

/* Of its curve: what shares weights is over with one. */
static int epochs_of(const struct cohort *c, const struct order *o)
{
    return o->kind == TRIAL_TRAIN_CHILD ? c->epochs : 1;
}

/* Its first order cannot be worked on: true, and the master knows. */
static bool is_behind(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    const struct order *o = &w->orders[0];
    if (o->kind == TRIAL_TRAIN_CHILD ||
        sim_pool_reach(&w->pool, &c->states, o->kind, &o->shared))
        return false;
    post(c, rank,
         &(struct message){
             .type = MESSAGE_BEHIND,
             .behind = {.trial = o->trial, .attempt = o->attempt, .at = w->pool}});
    return true;
}

static void drop_first(struct cohort *c, int rank);

/* What will become of an attempt is drawn when it begins. */
static void begin(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    struct order *o = &w->orders[0];
    if (is_behind(c, rank)) {
        drop_first(c, rank);
        return;
    }
    double now = now_of(c), seconds = o->seconds * w->slowness;
    w->runs++;
    w->epoch = 0;
    w->failure = FAILURE_NONE;
    c->counts.attempts++;
    if (strikes(c, FAULT_SLOW))
        seconds *= FAULT_SLOWNESS;
    double planned = seconds;
    if (strikes(c, FAULT_TRIAL_FAILED)) {
        w->failure = FAILURE_EXIT;
        seconds *= rng_double(&c->rng);
    }
    if (seconds > o->timeout) {
        w->failure = FAILURE_TIMEOUT;
        seconds = o->timeout;
    }
    w->began = now;
    w->ends = now + seconds;
    if (strikes(c, FAULT_WORKER_LOST))
        arm(c, rank, now + seconds * rng_double(&c->rng), TIMER_DEATH, w->runs);
    if (epochs_of(c, o) > 1)
        arm(c, rank, now + planned / c->epochs, TIMER_EPOCH, w->runs);
    arm(c, rank, w->ends, TIMER_END, w->runs);
}

/* Towards the accuracy of the architecture, which the last epoch reaches. */
static float accuracy_at(const struct cohort *c, const struct order *o, int epoch)
{
    int epochs = epochs_of(c, o);
    double left = (double)(epochs - epoch) / epochs;
    return (float)(o->accuracy * (1 - 0.5 * left * left));
}

static void epoch(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    const struct order *o = &w->orders[0];
    double now = now_of(c);
    struct message m = {
        .type = MESSAGE_PROGRESS,
        .progress = {.trial = o->trial,
                     .attempt = o->attempt,
                     .epoch = ++w->epoch,
                     .values = {.val_accuracy = accuracy_at(c, o, (int)w->epoch)}}};
    post(c, rank, &m);
    double next = now + (now - w->began) / w->epoch;
    if ((int)w->epoch < c->epochs - 1)
        arm(c, rank, next, TIMER_EPOCH, w->runs);
}

static void post_result(struct cohort *c, int rank)
{
    const struct member *w = &c->members[rank];
    const struct order *o = &w->orders[0];
    bool failed = w->failure != FAILURE_NONE, step = trial_kind_is_step(o->kind);
    int epochs = epochs_of(c, o);
    struct message m = {.type = MESSAGE_RESULT,
                        .result = {.trial = o->trial,
                                   .attempt = o->attempt,
                                   .failure = w->failure,
                                   .seconds = w->ends - w->began,
                                   .params = NAN,
                                   .flops = NAN,
                                   .epoch_count = failed ? 0 : (uint32_t)epochs,
                                   .epochs = c->curve,
                                   .reason = (char *)(w->failure == FAILURE_TIMEOUT
                                                          ? "time limit of a trial"
                                                      : failed ? "a simulated fault"
                                                               : "")}};
    memcpy(m.result.kernels, c->kernels, sizeof m.result.kernels);
    for (int i = 0; i < epochs && !failed; i++)
        c->curve[i].val_accuracy = step ? NAN : accuracy_at(c, o, i + 1);
    c->curve[0].train_loss = step ? 1 - o->accuracy : NAN;
    m.result.log_probability = NAN;
    if (o->kind == TRIAL_RELAX)
        m.result.architecture =
            sim_pool_derive(c->space, c->setup.config->seed, o->shared.step);
    post(c, rank, &m);
    free(m.result.architecture);
}

static void drop_first(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    w->runs++; /* timers of what ran are void */
    memmove(w->orders, w->orders + 1, (size_t)--w->count * sizeof *w->orders);
    if (w->count > 0)
        begin(c, rank);
}

static void end(struct cohort *c, int rank)
{
    struct member *w = &c->members[rank];
    c->counts.failed += w->failure != FAILURE_NONE;
    if (w->failure != FAILURE_NONE)
        w->pool = (struct trial_shared){0}; /* its trainer is started anew */
    else if (trial_kind_is_step(w->orders[0].kind))
        sim_pool_train(&w->pool, &c->states, &c->setup.config->search.shared);
    post_result(c, rank);
    drop_first(c, rank);
}

static void die(struct cohort *c, int rank)
{
    c->members[rank].over = true;
    c->counts.lost++;
}

static void fault(struct cohort *c, int rank, const struct fault_event *f)
{
    struct member *w = &c->members[rank];
    c->counts.faults[f->fault]++;
    switch (f->fault) {
    case FAULT_WORKER_LOST:
        die(c, rank);
        break;
    case FAULT_SLOW:
        w->slowness = (float)f->value;
        break;
    case FAULT_TRIAL_FAILED:
        if (w->count == 0)
            break;
        w->failure = FAILURE_EXIT;
        w->ends = now_of(c);
        end(c, rank);
        break;
    case FAULT_DELAYED:
        w->clear_at = now_of(c) + f->value;
        break;
    default: { /* of messages: a heartbeat */
        const struct bytes *frame = &c->beats[w->count > 0];
        wire_sim_post(c->wire, rank, frame->data, frame->size, f->value);
        if (f->fault == FAULT_DUPLICATED)
            wire_sim_post(c->wire, rank, frame->data, frame->size, 0);
    }
    }
}

static void due(void *context, int rank, uint64_t what)
{
    struct cohort *c = context;
    struct member *w = &c->members[rank];
    uint64_t number = what >> TIMER_BITS;
    enum timer timer = (enum timer)(what & ((1u << TIMER_BITS) - 1));
    bool stale = number != w->runs || w->count == 0;
    if (w->over || wire_sim_forgotten(c->wire, rank))
        return;
    switch (timer) {
    case TIMER_HELLO:
        hello(c, rank);
        break;
    case TIMER_BEAT:
        beat(c, rank);
        break;
    case TIMER_EPOCH:
        if (!stale)
            epoch(c, rank);
        break;
    case TIMER_END:
        if (!stale)
            end(c, rank);
        break;
    case TIMER_DEATH:
        if (!stale)
            die(c, rank);
        break;
    case TIMER_FAULT:
        fault(c, rank, &c->setup.faults->schedule[number]);
    }
}

static void take_welcome(struct cohort *c, int rank)
{
    struct message ready = {.type = MESSAGE_READY};
    struct member *w = &c->members[rank];
    if (w->working)
        return;
    w->working = true;
    post(c, rank, &ready);
    arm(c, rank, now_of(c) + rng_double(&c->rng) * c->setup.config->run.heartbeat,
        TIMER_BEAT, 0);
}

static void take_task(struct cohort *c, int rank, const struct message_task *t)
{
    struct member *w = &c->members[rank];
    if (w->count == w->capacity) {
        uint16_t capacity = (uint16_t)(w->capacity ? 2 * w->capacity : 1);
        struct order *orders = realloc(w->orders, capacity * sizeof *orders);
        if (!orders)
            return; /* as if the message were lost: the time limit of the run remains */
        w->orders = orders;
        w->capacity = capacity;
    }
    w->orders[w->count++] = (struct order){
        .trial = t->trial,
        .attempt = t->attempt,
        .kind = t->kind,
        .shared = t->shared,
        .accuracy = (float)model_accuracy(c->setup.model, t->architecture),
        .seconds = model_seconds(c->setup.model, t->trial, t->architecture),
        .timeout = t->timeout};
    if (w->count == 1)
        begin(c, rank);
}

static void take_cancel(struct cohort *c, int rank, uint64_t trial, int attempt)
{
    struct member *w = &c->members[rank];
    for (int i = 0; i < w->count; i++) {
        if (w->orders[i].trial != trial || w->orders[i].attempt != attempt)
            continue;
        if (i == 0) {
            drop_first(c, rank);
            return;
        }
        memmove(&w->orders[i], &w->orders[i + 1],
                (size_t)(--w->count - i) * sizeof *w->orders);
        return;
    }
}

static void take_stop(struct cohort *c, int rank)
{
    struct message bye = {.type = MESSAGE_BYE};
    post(c, rank, &bye);
    c->members[rank].over = true;
}

static void take_message(struct cohort *c, int rank, const struct message *m)
{
    switch (m->type) {
    case MESSAGE_WELCOME:
        take_welcome(c, rank);
        break;
    case MESSAGE_TASK:
        take_task(c, rank, &m->task);
        break;
    case MESSAGE_CANCEL:
        take_cancel(c, rank, m->cancel.trial, m->cancel.attempt);
        break;
    case MESSAGE_SUSPEND:
        post(c, rank,
             &(struct message){.type = MESSAGE_SUSPENDED}); /* nothing is saved */
        break;
    case MESSAGE_STOP:
        take_stop(c, rank);
        break;
    default:
        break;
    }
}

static void arrived(void *context, int rank, const void *data, size_t size)
{
    struct cohort *c = context;
    struct bytes_reader in;
    struct message m;
    bytes_reader_init(&in, data, size);
    while (!c->members[rank].over && message_decode(&in, &m, NULL) == 1) {
        take_message(c, rank, &m);
        message_fini(&m);
    }
}

static int allocate(struct cohort *c, struct error *err)
{
    for (int busy = 0; busy < 2; busy++) {
        struct message m = {.type = MESSAGE_HEARTBEAT, .heartbeat = {busy, 1}};
        message_encode(&m, &c->beats[busy]);
        if (c->beats[busy].failed)
            return error_set(err, ERROR_SYSTEM, "no memory for a simulation");
    }
    c->members = calloc((size_t)c->setup.workers + 1, sizeof *c->members);
    c->curve = calloc((size_t)c->epochs, sizeof *c->curve);
    if (!c->members || !c->curve)
        return error_set(err, ERROR_SYSTEM, "no memory for %d workers", c->setup.workers);
    for (int i = 0; i < c->epochs; i++)
        c->curve[i] = (struct trial_epoch){
            .train_loss = NAN, .train_accuracy = NAN, .val_loss = NAN, .seconds = NAN};
    return 0;
}

static void start(struct cohort *c)
{
    const struct faults *f = c->setup.faults;
    rng_init(&c->rng, c->setup.seed, RNG_SIMULATION, UINT64_MAX);
    for (int rank = 1; rank <= c->setup.workers; rank++) {
        c->members[rank].slowness = 1;
        arm(c, rank, rng_double(&c->rng), TIMER_HELLO, 0);
    }
    for (size_t i = 0; i < f->count; i++)
        if (f->schedule[i].rank >= 1 && f->schedule[i].rank <= c->setup.workers)
            arm(c, f->schedule[i].rank, f->schedule[i].at, TIMER_FAULT, i);
}

int cohort_new(const struct cohort_setup *setup, struct cohort **ret, struct error *err)
{
    struct cohort *c = calloc(1, sizeof *c);
    if (!c)
        return error_set(err, ERROR_SYSTEM, "no memory for a simulation");
    c->setup = *setup;
    c->epochs = setup->config->trainer.command_count > 0
                    ? 1
                    : setup->config->trainer.builtin.epochs;
    if (setup->config->trainer.command_count == 0) {
        const char *wanted = kernel_names_wanted(setup->config);
        snprintf(c->kernels, sizeof c->kernels, "%s", wanted ? wanted : "plain");
    }
    c->epochs = c->epochs < 1 ? 1 : c->epochs > EPOCHS_MOST ? EPOCHS_MOST : c->epochs;
    bytes_init(&c->out);
    bytes_init(&c->beats[0]);
    bytes_init(&c->beats[1]);
    struct wire_sim_setup wire = {.workers = setup->workers,
                                  .latency = latency,
                                  .quantum = nap,
                                  .wall = setup->starts > 0 ? setup->starts : start_wall,
                                  .arrived = arrived,
                                  .due = due,
                                  .context = c};
    int status = wire_sim_open(&wire, &c->wire, err);
    if (status == 0)
        status = allocate(c, err);
    if (status == 0)
        status = space_new(setup->config, &c->space, err);
    if (status != 0) {
        cohort_free(c);
        return status;
    }
    start(c);
    *ret = c;
    return 0;
}

void cohort_free(struct cohort *c)
{
    if (!c)
        return;
    for (int rank = 1; c->members && rank <= c->setup.workers; rank++)
        free(c->members[rank].orders);
    free(c->members);
    free(c->curve);
    space_free(c->space);
    bytes_fini(&c->out);
    bytes_fini(&c->beats[0]);
    bytes_fini(&c->beats[1]);
    wire_close(c->wire, true);
    free(c);
}

struct wire *cohort_wire(struct cohort *c)
{
    return c->wire;
}

struct cohort_counts cohort_count(const struct cohort *c)
{
    return c->counts;
}
