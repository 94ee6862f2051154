/* SPDX-License-Identifier: Apache-2.0 */
/* Trials live in chunks of nodes that never move, what they consist of in an arena: a
 * million of them take little more than their bytes, and none is ever copied. Everything
 * else is chained through the nodes by id: the queue (two FIFO lists, retries before fresh
 * trials, doubly linked because replay finishes trials out of order) and the trials that
 * share a hash (ledger_index.c). Trials that wait for another stand in a small sorted
 * array at that one.
 *
 * The ledger decides nothing: who retries, what a reward is and what an hour costs is the
 * caller's business. */
#include "master/ledger.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "master/ledger_index.h"
#include "master/ledger_internal.h"

enum { CHUNKS = 256, QUEUE_RETRY = 0, QUEUE_FRESH = 1 };

int ledger_new(struct ledger **ret, struct error *err)
{
    struct ledger *l = calloc(1, sizeof *l);
    if (!l)
        return error_set(err, ERROR_SYSTEM, "ledger: out of memory");
    for (int i = 0; i < 2; i++)
        l->queues[i] = (struct ledger_list){LEDGER_NONE, LEDGER_NONE, 0};
    *ret = l;
    return 0;
}

void ledger_free(struct ledger *l)
{
    if (!l)
        return;
    for (uint64_t id = 0; id < l->count; id++) {
        free(ledger_node(l, id)->trial.reason);
        free(ledger_node(l, id)->wait);
    }
    for (size_t i = 0; i < l->chunk_count; i++)
        free(l->chunks[i]);
    free(l->chunks);
    ledger_index_fini(&l->index);
    arena_fini(&l->arena);
    free(l);
}

/* Room for one more node; the pointers to chunks may move, the chunks do not. */
static int ledger_reserve(struct ledger *l)
{
    if (l->count < l->chunk_count * LEDGER_CHUNK)
        return 0;
    if (l->chunk_count % CHUNKS == 0) {
        struct ledger_node **chunks =
            realloc(l->chunks, (l->chunk_count + CHUNKS) * sizeof *chunks);
        if (!chunks)
            return -1;
        l->chunks = chunks;
    }
    struct ledger_node *chunk = malloc(ARENA_BLOCK);
    if (!chunk)
        return -1;
    l->chunks[l->chunk_count++] = chunk;
    return 0;
}

static void queue_push(struct ledger *l, struct ledger_node *n, int which)
{
    struct ledger_list *q = &l->queues[which];
    n->list = (uint8_t)which;
    n->queue = (struct ledger_link){(uint32_t)q->last, LEDGER_NONE};
    if (q->last != LEDGER_NONE)
        ledger_node(l, q->last)->queue.next = (uint32_t)n->trial.id;
    else
        q->first = n->trial.id;
    q->last = n->trial.id;
    q->count++;
}

static void queue_remove(struct ledger *l, struct ledger_node *n)
{
    struct ledger_list *q = &l->queues[n->list];
    if (n->queue.previous != LEDGER_NONE)
        ledger_node(l, n->queue.previous)->queue.next = n->queue.next;
    else
        q->first = n->queue.next;
    if (n->queue.next != LEDGER_NONE)
        ledger_node(l, n->queue.next)->queue.previous = n->queue.previous;
    else
        q->last = n->queue.previous;
    q->count--;
}

/* Take the trial out of what its state kept it in, and count it in the new one. */
static void trial_leave(struct ledger *l, struct ledger_node *n, int state)
{
    struct trial *t = &n->trial;
    if (t->state == TRIAL_QUEUED)
        queue_remove(l, n);
    if (t->state == TRIAL_WAITING)
        ledger_waiters_remove(&ledger_node(l, (uint64_t)t->same_as)->wait, t->id);
    if (state == TRIAL_FAILED)
        ledger_index_remove(l, n);
    l->states[t->arm][t->state]--;
    l->states[t->arm][state]++;
    t->state = (uint8_t)state;
}

static int add_check(const struct ledger *l, const struct trial *t, struct error *err)
{
    unsigned long long id = t->id;
    if (t->id == LEDGER_NONE)
        return error_set(err, ERROR_INPUT, "a run can have %llu trials at most", id);
    if (t->id != l->count)
        return error_set(err, ERROR_CORRUPT, "trial %llu: the next id is %llu", id,
                         (unsigned long long)l->count);
    if (t->arm >= ARM_COUNT)
        return error_set(err, ERROR_CORRUPT, "trial %llu: unknown arm %u", id, t->arm);
    if (t->state >= LEDGER_STATES)
        return error_set(err, ERROR_CORRUPT, "trial %llu: unknown state %u", id,
                         t->state);
    if (!t->architecture)
        return error_set(err, ERROR_CORRUPT, "trial %llu: has no architecture", id);
    if (t->epoch_count > TRIAL_MAX_EPOCHS || (t->epoch_count > 0 && !t->epochs))
        return error_set(err, ERROR_CORRUPT, "trial %llu: a curve of %u epochs", id,
                         t->epoch_count);
    bool duplicate = t->state == TRIAL_WAITING || t->state == TRIAL_SAVED;
    if (t->same_as < -1 || (t->same_as >= 0 && (uint64_t)t->same_as >= t->id) ||
        (duplicate && t->same_as < 0))
        return error_set(err, ERROR_CORRUPT,
                         "trial %llu: answered by trial %lld, which is no earlier one",
                         id, (long long)t->same_as);
    return 0;
}

/* The trial's own copies of what it points to, in the arena. */
static int own(struct ledger *l, struct trial *t)
{
    struct architecture *architecture =
        arena_take(&l->arena, architecture_bytes(t->architecture));
    struct trial_epoch *epochs = NULL;
    if (architecture && t->epoch_count > 0)
        epochs = arena_take(&l->arena, t->epoch_count * sizeof *epochs);
    if (!architecture || (t->epoch_count > 0 && !epochs))
        return -1;
    architecture_copy(t->architecture, architecture);
    if (t->epoch_count > 0)
        memcpy(epochs, t->epochs, t->epoch_count * sizeof *epochs);
    t->architecture = architecture;
    t->epochs = epochs;
    return 0;
}

int ledger_add(struct ledger *l, const struct trial *t, struct error *err)
{
    struct trial mine = *t;
    int status = add_check(l, t, err);
    if (status != 0)
        return status;
    if (l->index.failed || ledger_reserve(l) != 0 || own(l, &mine) != 0 ||
        (t->state == TRIAL_WAITING &&
         ledger_waiters_add(&ledger_node(l, (uint64_t)t->same_as)->wait, t->id) != 0))
        return error_set(err, ERROR_SYSTEM, "trial %llu: out of memory",
                         (unsigned long long)t->id);
    free(t->architecture);
    free(t->epochs);
    l->count++;
    struct ledger_node *n = ledger_node(l, t->id);
    *n = (struct ledger_node){.trial = mine};
    n->trial.told = false;
    l->reason_bytes += t->reason ? strlen(t->reason) + 1 : 0;
    if (t->state == TRIAL_QUEUED)
        queue_push(l, n,
                   t->attempts > 0 || t->saved_seconds > 0 ? QUEUE_RETRY : QUEUE_FRESH);
    l->states[t->arm][t->state]++;
    return 0;
}

uint64_t ledger_count(const struct ledger *l)
{
    return l->count;
}

const struct trial *ledger_trial(const struct ledger *l, uint64_t id)
{
    const struct ledger_node *n = ledger_node(l, id);
    return n ? &n->trial : NULL;
}

uint64_t ledger_count_state(const struct ledger *l, int arm, int state)
{
    uint64_t count = 0;
    if (state < 0 || state >= LEDGER_STATES)
        return 0;
    for (int i = 0; i < ARM_COUNT; i++)
        if (arm == -1 || arm == i)
            count += l->states[i][state];
    return count;
}

const struct trial *ledger_find(struct ledger *l, enum trial_arm arm,
                                struct architecture_hash hash)
{
    const struct ledger_node *n = ledger_index_find(l, (uint8_t)arm, hash);
    return n ? &n->trial : NULL;
}

bool ledger_next(const struct ledger *l, uint64_t *ret_id)
{
    for (int i = 0; i < 2; i++) {
        if (l->queues[i].first == LEDGER_NONE)
            continue;
        *ret_id = l->queues[i].first;
        return true;
    }
    return false;
}

bool ledger_next_fresh(const struct ledger *l, uint64_t *ret_id)
{
    if (l->queues[QUEUE_FRESH].first == LEDGER_NONE)
        return false;
    *ret_id = l->queues[QUEUE_FRESH].first;
    return true;
}

bool ledger_next_after(const struct ledger *l, uint64_t id, uint64_t *ret_id)
{
    const struct ledger_node *n = ledger_node(l, id);
    uint64_t next = n && n->trial.state == TRIAL_QUEUED ? n->queue.next : LEDGER_NONE;
    if (n && next == LEDGER_NONE && n->list == QUEUE_RETRY)
        next = l->queues[QUEUE_FRESH].first;
    if (next == LEDGER_NONE)
        return false;
    *ret_id = next;
    return true;
}

uint64_t ledger_count_retries(const struct ledger *l)
{
    return l->queues[QUEUE_RETRY].count;
}

int ledger_start(struct ledger *l, uint64_t id, int worker, int slot)
{
    struct ledger_node *n = ledger_node(l, id);
    if (!n || n->trial.state != TRIAL_QUEUED || n->trial.attempts == UINT16_MAX)
        return ERROR_CORRUPT;
    trial_leave(l, n, TRIAL_RUNNING);
    n->trial.worker = worker;
    n->trial.slot = slot;
    return ++n->trial.attempts;
}

void ledger_requeue(struct ledger *l, uint64_t id, bool forget)
{
    struct ledger_node *n = ledger_node(l, id);
    if (!n || n->trial.state != TRIAL_RUNNING)
        return;
    trial_leave(l, n, TRIAL_QUEUED);
    queue_push(l, n, QUEUE_RETRY);
    if (forget && n->trial.attempts > 0)
        n->trial.attempts--;
}

void ledger_keep_state(struct ledger *l, uint64_t id, uint32_t epochs, double seconds)
{
    struct ledger_node *n = ledger_node(l, id);
    if (!n || (n->trial.state != TRIAL_QUEUED && n->trial.state != TRIAL_RUNNING))
        return;
    n->trial.saved_epochs = seconds > 0 ? epochs : 0;
    n->trial.saved_seconds = seconds > 0 ? seconds : 0;
}

static int out_of_memory(uint64_t id, struct error *err)
{
    return error_set(err, ERROR_SYSTEM, "trial %llu: out of memory",
                     (unsigned long long)id);
}

/* Replace the curve of a trial; a shorter one takes the place of the last. */
static int take_epochs(struct ledger *l, struct trial *t, const struct ledger_result *r,
                       struct error *err)
{
    size_t bytes = r->epoch_count * sizeof *r->epochs;
    if (r->epoch_count > TRIAL_MAX_EPOCHS)
        return error_set(err, ERROR_CORRUPT, "trial %llu: a curve of %u epochs",
                         (unsigned long long)t->id, r->epoch_count);
    struct trial_epoch *epochs = t->epochs;
    if (r->epoch_count > t->epoch_count && !(epochs = arena_take(&l->arena, bytes)))
        return out_of_memory(t->id, err);
    if (bytes > 0)
        memmove(epochs, r->epochs, bytes);
    t->epochs = epochs;
    t->epoch_count = r->epoch_count;
    return 0;
}

/* Replace the results of a trial by copies of those of an attempt. */
static int trial_take(struct ledger *l, struct trial *t, const struct ledger_result *r,
                      struct error *err)
{
    char *reason = r->reason ? strndup(r->reason, TRIAL_REASON - 1) : NULL;
    if (r->reason && !reason)
        return out_of_memory(t->id, err);
    int status = take_epochs(l, t, r, err);
    if (status != 0) {
        free(reason);
        return status;
    }
    l->reason_bytes -= t->reason ? strlen(t->reason) + 1 : 0;
    l->reason_bytes += reason ? strlen(reason) + 1 : 0;
    free(t->reason);
    t->reason = reason;
    t->failure = r->failure;
    t->val_accuracy = r->val_accuracy;
    t->seconds = r->seconds;
    t->params = r->params;
    t->flops = r->flops;
    memcpy(t->kernels, r->kernels, sizeof t->kernels);
    t->finished_at = r->finished_at;
    return 0;
}

/* Move a trial whose state is one of `allowed` (bits) to `state`, with results. */
static int trial_finish(struct ledger *l, uint64_t id, unsigned allowed, int state,
                        const struct ledger_result *r, struct error *err)
{
    struct ledger_node *n = ledger_node(l, id);
    if (!n)
        return error_set(err, ERROR_CORRUPT, "trial %llu: there is none",
                         (unsigned long long)id);
    if (!(allowed >> n->trial.state & 1))
        return error_set(err, ERROR_CORRUPT, "trial %llu: cannot become %s, it is %s",
                         (unsigned long long)id, trial_state_name(state),
                         trial_state_name(n->trial.state));
    int status = trial_take(l, &n->trial, r, err);
    if (status != 0)
        return status;
    trial_leave(l, n, state);
    if (state != TRIAL_QUEUED || r->failure != FAILURE_LOST) {
        n->trial.saved_seconds = 0;
        n->trial.saved_epochs = 0;
    }
    return 0;
}

int ledger_attempt_failed(struct ledger *l, uint64_t id, const struct ledger_result *r,
                          struct error *err)
{
    int status = trial_finish(l, id, 1u << TRIAL_RUNNING, TRIAL_QUEUED, r, err);
    if (status == 0)
        queue_push(l, ledger_node(l, id), QUEUE_RETRY);
    return status;
}

/* Another architecture in the place of the trial's, which the index does not know. */
static int replace_architecture(struct ledger *l, uint64_t id,
                                const struct ledger_result *r, struct error *err)
{
    struct ledger_node *n = ledger_node(l, id);
    struct architecture *a = arena_take(&l->arena, architecture_bytes(r->derived));
    if (!a)
        return out_of_memory(id, err);
    architecture_copy(r->derived, a);
    n->trial.architecture = a;
    n->trial.hash = r->derived_hash;
    n->trial.log_probability = r->log_probability;
    return 0;
}

int ledger_done(struct ledger *l, uint64_t id, const struct ledger_result *r,
                double reward, struct error *err)
{
    int status =
        trial_finish(l, id, 1u << TRIAL_RUNNING | 1u << TRIAL_QUEUED, TRIAL_DONE, r, err);
    if (status == 0 && r->derived)
        status = replace_architecture(l, id, r, err);
    if (status == 0)
        ledger_node(l, id)->trial.reward = reward;
    return status;
}

int ledger_failed(struct ledger *l, uint64_t id, const struct ledger_result *r,
                  double reward, struct error *err)
{
    unsigned allowed = 1u << TRIAL_RUNNING | 1u << TRIAL_QUEUED | 1u << TRIAL_WAITING;
    int status = trial_finish(l, id, allowed, TRIAL_FAILED, r, err);
    if (status == 0)
        ledger_node(l, id)->trial.reward = reward;
    return status;
}

int ledger_saved(struct ledger *l, uint64_t id, double finished_at, struct error *err)
{
    const struct ledger_node *n = ledger_node(l, id);
    const struct trial *from = n && n->trial.state == TRIAL_WAITING
                                   ? ledger_trial(l, (uint64_t)n->trial.same_as)
                                   : NULL;
    if (from && from->state != TRIAL_DONE && from->state != TRIAL_SAVED)
        return error_set(err, ERROR_CORRUPT,
                         "trial %llu: trial %llu has no result to copy",
                         (unsigned long long)id, (unsigned long long)from->id);
    struct ledger_result r = {0};
    if (from)
        r = (struct ledger_result){.val_accuracy = from->val_accuracy,
                                   .seconds = from->seconds,
                                   .params = from->params,
                                   .flops = from->flops,
                                   .finished_at = finished_at,
                                   .epoch_count = from->epoch_count,
                                   .epochs = from->epochs};
    if (from)
        memcpy(r.kernels, from->kernels, sizeof r.kernels);
    int status = trial_finish(l, id, 1u << TRIAL_WAITING, TRIAL_SAVED, &r, err);
    if (status == 0)
        ledger_node(l, id)->trial.reward = from->reward;
    return status;
}

void ledger_release(struct ledger *l, uint64_t id)
{
    struct ledger_node *n = ledger_node(l, id);
    if (!n || n->trial.state != TRIAL_WAITING)
        return;
    trial_leave(l, n, TRIAL_QUEUED);
    n->trial.same_as = -1;
    queue_push(l, n, QUEUE_RETRY);
}

int ledger_wait_on(struct ledger *l, uint64_t id, uint64_t other)
{
    struct ledger_node *n = ledger_node(l, id);
    struct ledger_node *to = ledger_node(l, other);
    if (!n || !to || n->trial.state != TRIAL_WAITING || other >= id ||
        to->trial.state == TRIAL_FAILED)
        return ERROR_CORRUPT;
    if ((uint64_t)n->trial.same_as == other)
        return 0;
    if (ledger_waiters_add(&to->wait, id) != 0)
        return ERROR_SYSTEM;
    ledger_waiters_remove(&ledger_node(l, (uint64_t)n->trial.same_as)->wait, id);
    n->trial.same_as = (int64_t)other;
    return 0;
}

int ledger_waiting(const struct ledger *l, uint64_t id, const uint64_t **ret)
{
    const struct ledger_node *n = ledger_node(l, id);
    if (!n || !n->wait)
        return 0;
    *ret = n->wait->ids + n->wait->first;
    return (int)n->wait->count;
}

struct ledger_hours *ledger_hours(struct ledger *l)
{
    return &l->hours;
}

void ledger_set_told(struct ledger *l, uint64_t id)
{
    struct ledger_node *n = ledger_node(l, id);
    if (n)
        n->trial.told = true;
}

uint64_t ledger_bytes(const struct ledger *l)
{
    return l->count * sizeof(struct ledger_node) + l->arena.bytes + l->reason_bytes +
           l->index.buckets * sizeof(uint32_t);
}
