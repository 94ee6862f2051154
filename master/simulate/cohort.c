/* SPDX-License-Identifier: Apache-2.0 */
/* Events of one rank: messages of the master, and timers of its own (a heartbeat, an
 * epoch, the end of the attempt, a scheduled fault). A timer that belongs to an attempt
 * carries the rank's count of attempts and means nothing once another one runs. */
#include "master/simulate/cohort_private.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kernel_names.h"
#include "proto/wire_sim.h"

static const double latency = 100e-6,
                    nap = 1e-3; /* seconds: network; the master's loop */
static const double start_wall = 1e9;

double cohort_now(const struct cohort *c)
{
    return clock_now(wire_sim_clock(c->wire));
}

bool cohort_strikes(struct cohort *c, enum fault fault)
{
    double rate = c->setup.faults->rates[fault];
    if (rate <= 0 || rng_double(&c->rng) >= rate)
        return false;
    c->counts.faults[fault]++;
    return true;
}

void cohort_arm(struct cohort *c, int rank, double at, enum timer timer, uint64_t number)
{
    wire_sim_timer(c->wire, rank, at, (uint64_t)timer | number << TIMER_BITS);
}

/* On the way to the master, with what may befall a message there. */
static void post_frame(struct cohort *c, int rank, const struct bytes *frame)
{
    struct member *w = &c->members[rank];
    double now = cohort_now(c), delay = 0;
    if (cohort_strikes(c, FAULT_DELAYED))
        w->clear_at = fmax(w->clear_at, now + FAULT_DELAY * rng_double(&c->rng));
    if (w->clear_at > now)
        delay = w->clear_at - now;
    if (cohort_strikes(c, FAULT_DUPLICATED))
        wire_sim_post(c->wire, rank, frame->data, frame->size,
                      delay + FAULT_DELAY * rng_double(&c->rng));
    if (cohort_strikes(c, FAULT_REORDERED))
        delay += FAULT_DELAY * rng_double(&c->rng);
    wire_sim_post(c->wire, rank, frame->data, frame->size, delay);
}

void cohort_post(struct cohort *c, int rank, const struct message *m)
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
    cohort_post(c, rank, &m);
}

static void beat(struct cohort *c, int rank)
{
    post_frame(c, rank, &c->beats[c->members[rank].count > 0]);
    cohort_arm(c, rank, cohort_now(c) + c->setup.config->run.heartbeat, TIMER_BEAT, 0);
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
        w->ends = cohort_now(c);
        cohort_end(c, rank);
        break;
    case FAULT_DELAYED:
        w->clear_at = cohort_now(c) + f->value;
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
            cohort_epoch(c, rank);
        break;
    case TIMER_END:
        if (!stale)
            cohort_end(c, rank);
        break;
    case TIMER_DEATH:
        if (!stale)
            die(c, rank);
        break;
    case TIMER_LANE:
        cohort_take_lane(c, rank, number);
        break;
    case TIMER_VAIN:
        if (!stale && w->waits != WAITS_NOT)
            cohort_wait_vainly(c, rank);
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
    cohort_post(c, rank, &ready);
    cohort_arm(c, rank,
               cohort_now(c) + rng_double(&c->rng) * c->setup.config->run.heartbeat,
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
        cohort_begin(c, rank);
}

static void take_cancel(struct cohort *c, int rank, uint64_t trial, int attempt)
{
    struct member *w = &c->members[rank];
    for (int i = 0; i < w->count; i++) {
        if (w->orders[i].trial != trial || w->orders[i].attempt != attempt)
            continue;
        if (i == 0) {
            cohort_drop_first(c, rank);
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
    cohort_post(c, rank, &bye);
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
        cohort_post(c, rank,
                    &(struct message){.type = MESSAGE_SUSPENDED}); /* nothing is saved */
        break;
    case MESSAGE_GANG:
        cohort_take_gang(c, rank, &m->gang);
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
        cohort_arm(c, rank, rng_double(&c->rng), TIMER_HELLO, 0);
    }
    for (size_t i = 0; i < f->count; i++)
        if (f->schedule[i].rank >= 1 && f->schedule[i].rank <= c->setup.workers)
            cohort_arm(c, f->schedule[i].rank, f->schedule[i].at, TIMER_FAULT, i);
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
    for (int rank = 1; c->members && rank <= c->setup.workers; rank++) {
        free(c->members[rank].orders);
        free(c->members[rank].gang);
        sim_pool_fini(&c->members[rank].pool);
    }
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
