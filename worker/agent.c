/* SPDX-License-Identifier: Apache-2.0 */
/* The rank's side of the conversation: messages of the master become tasks of slots, news
 * of slots become messages. One step does whatever is due and never waits, so that the
 * same agent runs in a rank of its own and beside the master. Outgoing frames are
 * collected and leave together at the end of a step.
 *
 * It ends when told to (STOP), when a signal asked for it and no STOP followed, when the
 * master has been silent for run.lost_after, and on a message that makes no sense. */
#include "worker/agent_private.h"
#include "worker/cgroup.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"
#include "worker/kernel_choice.h"

static const double default_start_timeout = 300;
static const double silence_before_welcome = 300;
static const double interrupt_grace = 5; /* seconds for STOP to come after a signal */
static const double bye_grace = 2;       /* seconds for BYE to leave */
static const double sweep_interval = 1, sweep_soon = .005;

enum { EVENTS = 256 };

static double now_of(const struct agent *a)
{
    return clock_now(a->options.clock);
}

/* --- set-up ------------------------------------------------------------------------- */

static void ignore_sigpipe(struct agent *a)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    if (sigaction(SIGPIPE, NULL, &a->old_sigpipe) || a->old_sigpipe.sa_handler != SIG_DFL)
        return;
    a->sigpipe_set = sigaction(SIGPIPE, &ignore, NULL) == 0;
}

/* Or say why not, so that the master need not wait for this rank. */
static int introduce(struct agent *a, struct error *err)
{
    char kernels[KERNEL_NAMES];
    struct error why = {0};
    int status =
        kernel_choice_list(a->options.kernels_cap, kernels, sizeof kernels, &why);
    if (!status)
        status = machine_detect(&a->machine, &why);
    if (!status)
        agent_post_hello(a, kernels);
    else
        agent_post_bye(a, why.text);
    int sent = agent_flush(a, err);
    return status ? error_set(err, status, "%s", why.text) : sent;
}

int agent_new(struct wire *wire, const struct agent_options *options, struct agent **ret,
              struct error *err)
{
    struct agent *a = calloc(1, sizeof *a);
    int status = 0;
    if (!a)
        return error_set(err, ERROR_SYSTEM, "rank %d: out of memory", wire->rank);
    a->wire = wire;
    a->options = *options;
    a->interrupted_at = NAN;
    a->last_step = now_of(a);
    bytes_init(&a->in);
    bytes_init(&a->out);
    ignore_sigpipe(a);
    a->orphans = orphans_new();
    status = agent_exchange_init(a, err);
    if (status)
        goto out;
    a->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (!a->orphans || a->epoll < 0) {
        status = error_set_errno(err, "rank %d: no memory or descriptor", wire->rank);
        goto out;
    }
    status = introduce(a, err);
    if (status)
        goto out;
    *ret = a;
    a = NULL;
out:
    agent_free(a);
    return status;
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    /* All of them first, so that their ends overlap. */
    for (int i = 0; i < a->slot_count; i++)
        slot_stop(a->slots[i]);
    for (int i = 0; i < a->slot_count; i++)
        slot_free(a->slots[i]);
    orphans_free(a->orphans);
    free(a->slots);
    agent_folders_fini(a);
    agent_exchange_fini(a);
    if (a->epoll >= 0)
        close(a->epoll);
    if (a->sigpipe_set)
        sigaction(SIGPIPE, &a->old_sigpipe, NULL);
    bytes_fini(&a->in);
    bytes_fini(&a->out);
    free(a);
}

static void choose_command(struct agent *a)
{
    const struct config_trainer *trainer = &a->config.trainer;
    a->argv[0] = a->options.trainer_path;
    for (int i = 0; i < trainer->command_count && i < CONFIG_ARGS; i++)
        a->argv[i] = trainer->command[i];
}

static void choose_cache(struct agent *a)
{
    const char *folder = a->config.run.cache;
    if (!folder[0])
        folder = getenv("TMPDIR");
    snprintf(a->cache, sizeof a->cache, "%s", folder && folder[0] ? folder : "/tmp");
}

static void settle(struct agent *a)
{
    double patience = a->options.start_timeout;
    choose_command(a);
    choose_cache(a);
    if (cgroup_find("", a->groups, sizeof a->groups))
        cgroup_sweep(a->groups);
    else
        a->groups[0] = '\0';
    a->settings = (struct slot_settings){
        .config = &a->config,
        .clock = a->options.clock,
        .argv = a->argv,
        .log_folder = a->log_folder,
        .checkpoint_folder = a->checkpoint_folder,
        .pool_folder = a->pool_folder,
        .cache = a->cache,
        .groups = a->groups[0] ? a->groups : NULL,
        .rank = a->wire->rank,
        .epoll = a->epoll,
        .rocm = a->machine.rocm,
        .start_timeout = patience > 0 ? patience : default_start_timeout,
        .alone = strcmp(a->wire->ops->name, "local") == 0,
        .sink = {agent_sink_progress, agent_sink_result, agent_sink_checkpoint,
                 agent_sink_behind, agent_sink_lanes, agent_sink_made, agent_sink_missing,
                 a},
    };
    chaos_parse(a->config.run.chaos, &a->settings.chaos, NULL);
}

/* --- messages of the master --------------------------------------------------------- */

static int take_welcome(struct agent *a, const struct message_welcome *w,
                        struct error *err)
{
    struct message ready = {.type = MESSAGE_READY};
    if (a->state != AGENT_HELLO)
        return error_set(err, ERROR_PEER, "the master said WELCOME twice");
    int status = config_parse("the master's configuration", w->config, strlen(w->config),
                              &a->config, err);
    if (status)
        return status;
    agent_folders_find(a, w->run_folder);
    settle(a);
    a->slots = calloc((size_t)w->slot_count + 1, sizeof *a->slots);
    if (!a->slots)
        return error_set(err, ERROR_SYSTEM, "out of memory");
    for (int i = 0; i < w->slot_count; i++) {
        status = slot_new(&a->settings, i, &w->slots[i], &a->slots[i], err);
        if (status)
            return status;
        a->slot_count++;
    }
    a->state = AGENT_WORKING;
    a->next_heartbeat = now_of(a) + a->config.run.heartbeat;
    agent_post(a, &ready);
    return 0;
}

static void refuse_task(struct agent *a, const struct message_task *task)
{
    char reason[128];
    struct message_result result = {.trial = task->trial,
                                    .attempt = task->attempt,
                                    .slot = task->slot,
                                    .failure = FAILURE_START,
                                    .params = NAN,
                                    .flops = NAN,
                                    .reason = reason};
    snprintf(reason, sizeof reason, "rank %d has no slot %d (it has %d)", a->wire->rank,
             task->slot, a->slot_count);
    agent_sink_result(a, &result);
}

static void stop(struct agent *a)
{
    if (a->state >= AGENT_STOPPING)
        return;
    a->state = AGENT_STOPPING;
    for (int i = 0; i < a->slot_count; i++)
        slot_stop(a->slots[i]);
}

static void suspend(struct agent *a)
{
    if (a->state != AGENT_WORKING)
        return;
    a->suspending = true;
    for (int i = 0; i < a->slot_count; i++)
        slot_suspend(a->slots[i]);
}

/* Tell once that nothing is being saved any more. */
static void report_suspended(struct agent *a)
{
    struct message m = {.type = MESSAGE_SUSPENDED};
    if (!a->suspending || a->suspended || a->state != AGENT_WORKING)
        return;
    for (int i = 0; i < a->slot_count; i++)
        if (slot_saves(a->slots[i]))
            return;
    a->suspended = true;
    agent_post(a, &m);
}

static int take_message(struct agent *a, struct message *m, struct error *err)
{
    switch (m->type) {
    case MESSAGE_WELCOME:
        return take_welcome(a, &m->welcome, err);
    case MESSAGE_TASK:
        if (a->state >= AGENT_STOPPING || a->suspending)
            return 0;
        if (m->task.slot < 0 || m->task.slot >= a->slot_count)
            refuse_task(a, &m->task);
        else
            slot_give(a->slots[m->task.slot], &m->task);
        return 0;
    case MESSAGE_CANCEL:
        for (int i = 0; i < a->slot_count; i++)
            slot_cancel(a->slots[i], m->cancel.trial, m->cancel.attempt);
        return 0;
    case MESSAGE_HEARTBEAT:
        return 0;
    case MESSAGE_GANG:
        agent_take_gang(a, &m->gang);
        return 0;
    case MESSAGE_SUSPEND:
        suspend(a);
        return 0;
    case MESSAGE_STOP:
        a->clean = m->stop.clean;
        stop(a);
        return 0;
    default:
        return error_set(err, ERROR_PEER, "the master sent %s, which only agents send",
                         message_name(m->type));
    }
}

/* All frames of what has arrived in one piece. */
static int take_frames(struct agent *a, int peer, struct error *err)
{
    struct bytes_reader reader;
    struct message m;
    int status;
    bytes_reader_init(&reader, a->in.data, a->in.size);
    while ((status = message_decode(&reader, &m, err)) > 0) {
        status =
            peer == WIRE_MASTER ? take_message(a, &m, err) : agent_take_peer(a, peer, &m);
        message_fini(&m);
        if (status)
            return status;
    }
    return status;
}

static int receive(struct agent *a, struct error *err)
{
    int peer, status;
    while ((status = wire_receive(a->wire, &peer, &a->in, err)) > 0) {
        a->moved = true;
        if (peer == WIRE_MASTER)
            a->silence = 0;
        status = take_frames(a, peer, err);
        if (status && peer == WIRE_MASTER)
            return status;
    }
    return status;
}

/* --- a step ------------------------------------------------------------------------- */

static void handle_events(struct agent *a)
{
    struct epoll_event events[EVENTS];
    int n = epoll_wait(a->epoll, events, EVENTS, 0);
    for (int i = 0; i < n; i++)
        slot_handle(a->slots[SLOT_EVENT_INDEX(events[i].data.u64)],
                    SLOT_EVENT_STREAM(events[i].data.u64));
}

/* A step that comes late, since this process was suspended, says nothing about the
 * master: it counts as one heartbeat at most. */
static void watch_master(struct agent *a, double now)
{
    bool welcome = a->state > AGENT_HELLO;
    double limit = welcome ? a->config.run.lost_after : silence_before_welcome;
    double longest = welcome ? a->config.run.heartbeat : 1;
    double passed = now - a->last_step;
    a->last_step = now;
    a->silence += passed < longest ? passed : longest;
    if (a->silence < limit || a->state >= AGENT_STOPPING)
        return;
    log_message(LOG_ERROR,
                "rank %d: the master has been silent for %.3g seconds: stopping",
                a->wire->rank, a->silence);
    wire_forget(a->wire, WIRE_MASTER);
    stop(a);
}

static void beat(struct agent *a, double now)
{
    if (a->state != AGENT_WORKING || now < a->next_heartbeat)
        return;
    agent_post_heartbeat(a);
    a->next_heartbeat = now + a->config.run.heartbeat;
}

static bool is_trainer(void *context, pid_t pid)
{
    const struct agent *a = context;
    for (int i = 0; i < a->slot_count; i++)
        if (slot_has_process(a->slots[i], pid))
            return true;
    return false;
}

static bool is_current(void *context, int slot, unsigned start)
{
    const struct agent *a = context;
    return slot >= 0 && slot < a->slot_count && slot_is_current(a->slots[slot], start);
}

/* Whenever a trainer has ended, and once in a while. */
static void sweep(struct agent *a, double now)
{
    const struct orphans_family family = {is_trainer, is_current, a};
    unsigned ends = 0;
    for (int i = 0; i < a->slot_count; i++)
        ends += slot_ends(a->slots[i]);
    if (now < a->next_sweep && ends == a->ends_seen)
        return;
    a->ends_seen = ends;
    a->next_sweep =
        now + (orphans_sweep(a->orphans, &family) ? sweep_soon : sweep_interval);
}

/* STOPPING -> LEAVING -> OVER as trainers and BYE go. */
static void take_leave(struct agent *a, double now)
{
    double grace = a->suspending ? a->config.run.checkpoint_grace : 0;
    if (now - a->interrupted_at >= interrupt_grace + grace)
        stop(a);
    if (a->state == AGENT_STOPPING) {
        for (int i = 0; i < a->slot_count; i++)
            if (!slot_gone(a->slots[i]))
                return;
        agent_post_bye(a, "");
        a->state = AGENT_LEAVING;
        a->leave_by = now + bye_grace;
    } else if (a->state == AGENT_LEAVING && (wire_idle(a->wire) || now >= a->leave_by)) {
        a->state = AGENT_OVER;
    }
}

/* Say why before the error ends this rank; whether it arrives is the transport's luck. */
static int give_up(struct agent *a, int status, const struct error *err)
{
    a->state = AGENT_OVER;
    agent_post_bye(a, err->text);
    agent_flush(a, NULL);
    wire_progress(a->wire, NULL);
    return status;
}

int agent_step(struct agent *a, struct error *err)
{
    struct error local = {0};
    int status;
    if (!err)
        err = &local;
    if (a->state == AGENT_OVER)
        return 0;
    status = wire_progress(a->wire, err);
    if (!status)
        status = receive(a, err);
    if (status)
        return give_up(a, status, err);
    handle_events(a);
    for (int i = 0; i < a->slot_count; i++)
        slot_step(a->slots[i]);
    agent_exchange_step(a);
    double now = now_of(a);
    sweep(a, now);
    watch_master(a, now);
    beat(a, now);
    report_suspended(a);
    take_leave(a, now);
    if (a->send_status) {
        *err = a->send_error;
        return give_up(a, a->send_status, err);
    }
    status = agent_flush(a, err);
    if (!status)
        status = wire_progress(a->wire, err);
    if (status)
        return give_up(a, status, err);
    return a->state != AGENT_OVER;
}

static double next_due(const struct agent *a)
{
    double due = a->state == AGENT_WORKING ? a->next_heartbeat : INFINITY;
    due = a->next_sweep < due ? a->next_sweep : due;
    for (int i = 0; i < a->slot_count; i++) {
        double slot = slot_due(a->slots[i]);
        due = slot < due ? slot : due;
    }
    return due;
}

bool agent_travels(const struct agent *a)
{
    return wire_arriving(a->wire) || !wire_idle(a->wire) || exchange_is_busy(a->exchange);
}

bool agent_moved(struct agent *a)
{
    bool moved = a->moved;
    a->moved = false;
    return moved;
}

bool agent_wait(struct agent *a, int extra_fd, int timeout_ms)
{
    struct pollfd fds[] = {{a->epoll, POLLIN, 0}, {extra_fd, POLLIN, 0}};
    double left = ceil((next_due(a) - now_of(a)) * 1000);
    if (left < 0)
        left = 0;
    if (timeout_ms < 0 || left < timeout_ms)
        timeout_ms = left < 60000 ? (int)left : 60000;
    return poll(fds, extra_fd >= 0 ? 2 : 1, timeout_ms) > 0;
}

void agent_interrupt(struct agent *a)
{
    if (isnan(a->interrupted_at))
        a->interrupted_at = now_of(a);
}

bool agent_clean(const struct agent *a)
{
    return a->clean;
}
