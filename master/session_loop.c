/* SPDX-License-Identifier: Apache-2.0 */
/* The one loop. Each turn: take what has arrived, tell what is durable, propose what
 * could be handed out, hand it out, commit the journal, and sleep only when none of it
 * moved. */
#include "master/session_internal.h"

#include <math.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/text.h"

enum { NAP_SHORTEST_US = 20, NAP_US = 1000, NAP_LONGEST_US = 10000 };
enum { LOOK_AHEAD = 16 /* trials a slot */, AHEAD_A_TURN = 256 };

/* Near the end of the budget, proposals that no result can change are made ahead, so that
 * there are some to choose from (dispatcher_choice.c). */
static bool may_look_ahead(const struct session *s)
{
    const struct config *c = engine_config(s->engine);
    uint64_t made = ledger_count(engine_ledger(s->engine));
    uint64_t slots = (uint64_t)dispatcher_count(s->dispatcher).slots;
    return c->run.order == ORDER_LONGEST && c->search.trials > 0 &&
           made + LOOK_AHEAD * slots >= (uint64_t)c->search.trials &&
           made < (uint64_t)c->search.trials && engine_next_is_oblivious(s->engine);
}

static int propose(struct session *s, struct error *err)
{
    struct ledger *l = engine_ledger(s->engine);
    int places = dispatcher_free_places(s->dispatcher), made = 0;
    int most = places + engine_config(s->engine)->search.batch + AHEAD_A_TURN;
    enum engine_answer answer = ENGINE_PROPOSED;
    while (!s->exhausted && made < most && places > 0 &&
           (ledger_count_state(l, -1, TRIAL_QUEUED) <
                (uint64_t)places + dispatcher_deferred(s->dispatcher) ||
            may_look_ahead(s))) {
        int status = engine_propose(s->engine, session_wall(s), &answer, err);
        if (status != 0)
            return status;
        if (answer != ENGINE_PROPOSED)
            break;
        made++;
    }
    if (answer == ENGINE_DONE) {
        s->exhausted = true;
        dispatcher_set_tail(s->dispatcher, true);
    }
    return made;
}

static int commit(struct session *s, struct error *err)
{
    uint64_t end = journal_end(s->journal);
    if (end == s->committed)
        return 0;
    s->committed = end;
    return s->setup->lockstep ? journal_sync(s->journal, err)
                              : journal_commit(s->journal, err);
}

/* Is there room for what a new trial would write? Says so when that changes. */
static bool has_room(struct session *s)
{
    char room[32], reserve[32];
    int64_t bytes = engine_config(s->engine)->run.reserve;
    enum disk_change change =
        disk_watch_step(&s->disk, s->setup->dir, bytes, session_now(s));
    if (change == DISK_SAME)
        return !s->disk.low;
    text_format_size(s->disk.room, room, sizeof room);
    text_format_size((double)bytes, reserve, sizeof reserve);
    event_log_text(s->log, session_wall(s), s->disk.low ? "disk_low" : "disk_room", -1,
                   room);
    event_log_flush(s->log);
    if (s->disk.low)
        session_say(
            s,
            "warning: %s are free in %s, less than run.reserve (%s): no trial is handed "
            "out until there is room",
            room, s->setup->dir, reserve);
    else
        session_say(s, "%s are free again: going on", room);
    return !s->disk.low;
}

/* May new trials be handed out? Not while the disk is nearly full, nor while it is so slow
 * that what it still owes would fill the memory. */
static bool may_go_on(struct session *s)
{
    return has_room(s) && journal_backlog(s->journal) < SESSION_BACKLOG_MOST;
}

static int turn(struct session *s, struct error *err)
{
    int status = 0;
    /* First, so that what it has to say is heard before the loop sleeps. */
    if (s->setup->local.step)
        status = s->setup->local.step(s->setup->local.context, err);
    int moved = status < 0 ? status : dispatcher_step(s->dispatcher, err);
    if (moved < 0)
        return moved;
    status = engine_tell(s->engine, err);
    if (status < 0)
        return status;
    moved += status;
    bool room = may_go_on(s);
    status = room ? propose(s, err) : 0;
    if (status < 0)
        return status;
    moved += status;
    status = room ? dispatcher_hand_out(s->dispatcher, err) : 0;
    if (status < 0)
        return status;
    moved += status;
    status = commit(s, err);
    return status < 0 ? status : moved;
}

/* MPI has no descriptor to wait on. Naps double up to NAP_US, and are then a hundredth of
 * the time in which nothing has happened: short trials do not wait for the master, and
 * beside long ones it takes next to nothing of the processor that its node trains with.
 */
static double next_nap(const struct session *s)
{
    double idle = (session_now(s) - s->moved_at) * 1e6 / 100;
    double nap = fmin(2.0 * s->nap_us, NAP_US);
    return fmin(fmax(nap, idle), NAP_LONGEST_US);
}

/* Until something moves; at most a tenth of a second when alone. */
static void sleep_a_while(struct session *s)
{
    int fd = journal_event_fd(s->journal);
    if (s->setup->local.wait) {
        s->setup->local.wait(s->setup->local.context, fd, 100);
        return;
    }
    struct pollfd p = {.fd = fd, .events = POLLIN};
    struct timespec t = {.tv_nsec = s->nap_us * 1000L};
    ppoll(&p, 1, &t, NULL);
    s->nap_us = (int)next_nap(s);
}

/* Budgets of time: nothing runs on once they are used up. */
static const char *budget_reached(const struct session *s)
{
    const struct config *c = engine_config(s->engine);
    const struct ledger_hours *h = ledger_hours(engine_ledger(s->engine));
    double wall = engine_elapsed(s->engine) + session_now(s) - s->started;
    if (c->search.hours > 0 && wall >= c->search.hours * 3600)
        return "the budget search.hours is used up";
    if (c->search.core_hours <= 0 && c->search.gpu_hours <= 0)
        return NULL;
    double spent =
        (h->trained + h->failed + h->lost + dispatcher_running_cost(s->dispatcher)) /
        3600;
    if (c->search.core_hours > 0 && spent >= c->search.core_hours)
        return "the budget search.core_hours is used up";
    return c->search.gpu_hours > 0 && spent >= c->search.gpu_hours
               ? "the budget search.gpu_hours is used up"
               : NULL;
}

/* Waiting for the end of the session, or of the budget, would only burn the allocation. */
static bool nothing_fits(struct session *s)
{
    struct dispatcher_held held;
    char seconds[32], left[32];
    if (!dispatcher_is_held(s->dispatcher, &held) || engine_owes_tell(s->engine))
        return false;
    text_format_duration(held.seconds, seconds, sizeof seconds);
    text_format_duration(held.left, left, sizeof left);
    snprintf(s->reason, sizeof s->reason,
             "trial %llu is expected to take up to %s, %s are left%s, and nothing that waits "
             "is shorter%s",
             (unsigned long long)held.trial, seconds, left,
             held.final ? " of the budget search.hours" : "",
             held.final ? "" : ": left for the next session");
    s->finished = held.final;
    return true;
}

static bool is_over(struct session *s)
{
    const char *why = stop_reason(&s->stop, s->setup->clock);
    if (!why)
        why = dispatcher_alone(s->dispatcher);
    if (why) {
        snprintf(s->reason, sizeof s->reason, "%s", why);
        return true;
    }
    if (nothing_fits(s))
        return true;
    why = budget_reached(s);
    if (!why && engine_settled(s->engine))
        why = "all trials are done";
    if (!why && s->exhausted &&
        engine_told(s->engine) == ledger_count(engine_ledger(s->engine)))
        why = "the search has nothing left to propose";
    if (why) {
        s->finished = true;
        snprintf(s->reason, sizeof s->reason, "%s", why);
    }
    return s->finished;
}

/* A snapshot waits for the disk. One that takes nothing would stop the loop, and the ranks
 * would miss the master: it must first have taken what there is of the journal. */
static bool disk_works(struct session *s)
{
    uint64_t end = journal_end(s->journal);
    if (s->due_end == 0)
        s->due_end = end;
    if (end - journal_backlog(s->journal) < s->due_end)
        return false;
    s->due_end = 0;
    return true;
}

static int keep_house(struct session *s, struct error *err)
{
    double now = session_now(s);
    if (now >= s->flush_at) {
        event_log_flush(s->log);
        s->flush_at = now + 1;
    }
    session_display(s);
    session_watch(s);
    int status = engine_snapshot_poll(s->engine, s->setup->dir, err);
    /* While room is short, the journal alone grows: it needs the least. */
    if (status != 0 || now < s->snapshot_at || !s->started_trials || s->disk.low)
        return status < 0 ? status : 0;
    if (!disk_works(s))
        return 0;
    status = engine_snapshot_begin(s->engine, s->setup->dir, err);
    s->snapshot_at = session_now(s) + engine_config(s->engine)->run.snapshot_every;
    s->committed = journal_end(s->journal);
    return status;
}

/* Whatever is wrong, more trials would only show it again. */
static int check_failures(const struct session *s, struct error *err)
{
    double most = engine_config(s->engine)->run.max_failed;
    const char *why = s->last_failed ? s->last_failed->reason : NULL;
    if (!failures_exceed(&s->failures, most))
        return 0;
    return error_set(err, ERROR_FAILED,
                     "%d of the last %d trials failed (run.max_failed: %g), so the run stops; "
                     "trial %llu: %.*s. archway trials %s --failed shows them, archway resume "
                     "goes on",
                     s->failures.sum, FAILURES_WINDOW, most,
                     s->last_failed ? (unsigned long long)s->last_failed->id : 0,
                     why ? (int)strcspn(why, "\n") : 9, why ? why : "no reason",
                     s->setup->dir);
}

int session_loop(struct session *s, struct error *err)
{
    unsigned turns = 0;
    s->snapshot_at = session_now(s) + engine_config(s->engine)->run.snapshot_every;
    s->nap_us = NAP_SHORTEST_US;
    s->moved_at = session_now(s);
    session_watch_start(s);
    while (!is_over(s)) {
        int moved = turn(s, err);
        if (moved >= 0 && check_failures(s, err) != 0)
            moved = ERROR_FAILED;
        if (moved < 0)
            return moved;
        if (moved > 0) {
            s->nap_us = NAP_SHORTEST_US;
            s->moved_at = session_now(s);
        } else {
            sleep_a_while(s);
        }
        if (moved > 0 && ++turns % 64 != 0)
            continue;
        int status = keep_house(s, err);
        if (status != 0)
            return status;
    }
    return 0;
}
