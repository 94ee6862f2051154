/* SPDX-License-Identifier: Apache-2.0 */
/* Reading a run back: the newest valid snapshot, then the records of the journal behind it.
 * A snapshot only saves time: without one, or with both damaged, the whole journal gives
 * the same state. The record is the truth; a strategy that would propose something else
 * now (another machine rounds differently) is counted, not obeyed. */
#include "master/engine_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "master/run_folder.h"

struct replay {
    struct engine *e;
    struct engine_reading *reading;
};

static bool proposal_equal(const struct trial *a, const struct trial *b)
{
    bool same_probability = a->log_probability == b->log_probability ||
                            (isnan(a->log_probability) && isnan(b->log_probability));
    return architecture_equal(a->architecture, b->architecture) && a->seed == b->seed &&
           a->arm == b->arm && a->policy_version == b->policy_version && same_probability;
}

/* Let the strategy make the proposal again, so that its own state advances with it. */
static int replay_ask(struct replay *r, const struct trial *recorded, struct error *err)
{
    struct engine *e = r->e;
    struct trial again;
    enum engine_answer answer;
    if (e->observe)
        return 0;
    int status = engine_make_proposal(e, recorded->id, &again, &answer, err);
    if (status != 0)
        return status;
    bool equal = answer == ENGINE_PROPOSED && proposal_equal(&again, recorded);
    if (answer == ENGINE_PROPOSED)
        free(again.architecture);
    if (!equal && r->reading->different++ == 0)
        r->reading->first_different = recorded->id;
    return 0;
}

static int replay_proposed(struct replay *r, struct bytes_reader *in, struct error *err)
{
    struct trial t;
    int status = record_decode_proposed(in, &t, err);
    if (status != 0)
        return status;
    if (t.id != ledger_count(r->e->ledger) || t.arm >= ARM_COUNT)
        status = error_set(err, ERROR_CORRUPT, "trial %llu follows trial %lld",
                           (unsigned long long)t.id,
                           (long long)ledger_count(r->e->ledger) - 1);
    if (status == 0)
        status = space_validate(r->e->space, t.architecture, err);
    if (status == 0)
        status = replay_ask(r, &t, err);
    if (status == 0)
        status = engine_apply_proposed(r->e, &t, err);
    if (status != 0)
        free(t.architecture);
    else
        r->reading->proposals++;
    return status;
}

/* The state that a record needs its trial to be in; running ones were requeued when their
 * session ended, so a result may find its trial in the queue. */
static int replay_check(struct engine *e, uint64_t id, unsigned allowed, struct error *err)
{
    const struct trial *t = ledger_trial(e->ledger, id);
    if (t && (allowed & (1U << t->state)))
        return 0;
    return error_set(err, ERROR_CORRUPT, "trial %llu: a record of it cannot follow (it %s)",
                     (unsigned long long)id, t ? trial_state_name(t->state) : "is unknown");
}

static int replay_started(struct replay *r, struct bytes_reader *in, struct error *err)
{
    struct record_started s;
    int status = record_decode_started(in, &s, err);
    if (status == 0)
        status = replay_check(r->e, s.id, 1U << TRIAL_QUEUED | 1U << TRIAL_RUNNING, err);
    if (status != 0)
        return status;
    /* Giving up an attempt is no record: starting the next one says it. */
    const struct trial *t = ledger_trial(r->e->ledger, s.id);
    if (t->state == TRIAL_RUNNING)
        ledger_requeue(r->e->ledger, s.id, s.attempt <= (int)t->attempts);
    ledger_start(r->e->ledger, s.id, s.worker, s.slot);
    r->e->last_time = s.time;
    return 0;
}

static int replay_finished(struct replay *r, uint32_t type, struct bytes_reader *in,
                           struct error *err)
{
    struct record_finished f;
    int status = record_decode_finished(in, &f, err);
    if (status != 0)
        return status;
    /* A doubted attempt may bring its result while the trial waits for the next one. */
    unsigned allowed = 1U << TRIAL_RUNNING;
    const struct trial *t = ledger_trial(r->e->ledger, f.id);
    if (type == RECORD_FINISHED && t && t->attempts > 0)
        allowed |= 1U << TRIAL_QUEUED;
    status = replay_check(r->e, f.id, allowed, err);
    if (status == 0 && type == RECORD_FINISHED)
        status = engine_apply_finished(r->e, &f, err);
    else if (status == 0)
        status = engine_apply_failed_attempt(r->e, &f, err);
    record_finished_fini(&f);
    return status;
}

static int replay_checkpoint(struct replay *r, struct bytes_reader *in, struct error *err)
{
    struct record_checkpoint c;
    int status = record_decode_checkpoint(in, &c, err);
    return status == 0 ? engine_apply_checkpoint(r->e, &c, err) : status;
}

static int replay_told(struct replay *r, struct bytes_reader *in, struct error *err)
{
    uint64_t id;
    int status = record_decode_told(in, &id, err);
    if (status == 0)
        status = replay_check(r->e, id,
                              1U << TRIAL_DONE | 1U << TRIAL_FAILED | 1U << TRIAL_SAVED, err);
    if (status == 0 && ledger_trial(r->e->ledger, id)->told)
        status = error_set(err, ERROR_CORRUPT, "trial %llu is told twice",
                           (unsigned long long)id);
    return status == 0 ? engine_apply_told(r->e, id, err) : status;
}

static int replay_config(struct replay *r, struct bytes_reader *in, struct error *err)
{
    struct config config;
    char *text = bytes_get_string_dup(in, 1 << 20);
    if (!text)
        return error_set(err, ERROR_CORRUPT, "a configuration of the journal is cut off");
    int status = config_parse("journal", text, strlen(text), &config, err);
    free(text);
    if (status == 0)
        r->e->config = config;
    return status;
}

static int replay_session(struct replay *r, struct bytes_reader *in, struct error *err)
{
    struct record_session s;
    int status = record_decode_session(in, &s, err);
    if (status == 0)
        engine_apply_session(r->e, s.time);
    return status;
}

static int replay_closed(struct replay *r, struct bytes_reader *in, struct error *err)
{
    double time = bytes_get_f64(in);
    if (in->failed)
        return error_set(err, ERROR_CORRUPT, "the end of a session has no time");
    engine_apply_closed(r->e, time);
    return 0;
}

static int replay_record(struct replay *r, const struct journal_record *record,
                         struct error *err)
{
    struct bytes_reader in;
    bytes_reader_init(&in, record->payload, record->size);
    switch (record->type) {
    case RECORD_SESSION:
        return replay_session(r, &in, err);
    case RECORD_PROPOSED:
        return replay_proposed(r, &in, err);
    case RECORD_STARTED:
        return replay_started(r, &in, err);
    case RECORD_ATTEMPT_FAILED:
    case RECORD_FINISHED:
        return replay_finished(r, record->type, &in, err);
    case RECORD_TOLD:
        return replay_told(r, &in, err);
    case RECORD_EXTENDED:
        return replay_config(r, &in, err);
    case RECORD_CLOSED:
        return replay_closed(r, &in, err);
    case RECORD_HOURS:
        return record_decode_hours(&in, ledger_hours(r->e->ledger), err);
    case RECORD_CHECKPOINT:
        return replay_checkpoint(r, &in, err);
    case RECORD_GAP:
        return error_set(err, ERROR_CORRUPT,
                         "records were lost here, and what they said is in later snapshots "
                         "only: the run cannot be replayed from its start");
    default:
        return error_set(err, ERROR_CORRUPT, "record of unknown type %u", record->type);
    }
}

/* Replay from `from` on; stops after the record that ends at `until` (UINT64_MAX: all). */
static int engine_replay(struct engine *e, const char *journal, uint64_t from,
                         uint64_t until, struct engine_reading *reading, struct error *err)
{
    struct replay r = {.e = e, .reading = reading};
    struct journal_reader *reader = NULL;
    struct journal_record record;
    int status = journal_reader_open(journal, from, &reader, err);
    int more = 0;
    if (status != 0)
        return status;
    reading->journal_end = from;
    while (reading->journal_end < until &&
           (more = journal_read(reader, &record, err)) == 1) {
        reading->records++;
        status = replay_record(&r, &record, err);
        if (status != 0) {
            error_prefix(err, "%s: byte %llu", journal, (unsigned long long)record.offset);
            break;
        }
        reading->journal_end = record.end;
    }
    if (status == 0 && more < 0)
        status = more;
    if (more == 0 && status == 0) {
        reading->torn = journal_reader_torn(reader);
        reading->journal_end = journal_reader_end(reader);
    }
    journal_reader_close(reader);
    return status;
}

/* Trials that a snapshot holds finished: told ones by mode, the others are still owed. */
static int engine_restore_told(struct engine *e, const struct snapshot *s,
                               struct error *err)
{
    uint64_t count = ledger_count(e->ledger);
    e->told = s->told;
    for (uint64_t id = 0; id < count; id++) {
        int state = ledger_trial(e->ledger, id)->state;
        bool over = state == TRIAL_DONE || state == TRIAL_FAILED || state == TRIAL_SAVED;
        bool told = over && (e->config.run.mode == MODE_ASYNC || id < s->told);
        if (told)
            ledger_set_told(e->ledger, id);
        if (over && !told && engine_push_pending(e, id, 0, err) != 0)
            return ERROR_SYSTEM;
    }
    return 0;
}

static int engine_from_snapshot(struct snapshot *s, bool observe, struct engine **ret,
                                struct error *err)
{
    struct engine *e;
    int status = engine_new(&s->config, observe, &e, err);
    if (status != 0)
        return status;
    ledger_free(e->ledger);
    e->ledger = s->ledger;
    s->ledger = NULL;
    status = engine_load_state(e, &s->state, err);
    if (status == 0)
        status = engine_restore_told(e, s, err);
    if (status != 0) {
        engine_free(e);
        return status;
    }
    *ret = e;
    return 0;
}

static bool file_exists(const char *dir, const char *name)
{
    char path[CONFIG_PATH * 2];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

/* The engine at the start of the journal: the first record that carries a configuration is
 * the one that the run began with. */
static int engine_from_start(const char *dir, const char *journal, bool observe,
                             struct engine **ret, struct error *err)
{
    struct journal_reader *reader = NULL;
    struct journal_record record;
    struct config config;
    int status = journal_reader_open(journal, 0, &reader, err);
    if (status != 0)
        return status;
    int more = journal_read(reader, &record, err);
    if (more == 1 && record.type == RECORD_EXTENDED) {
        struct bytes_reader in;
        bytes_reader_init(&in, record.payload, record.size);
        char *text = bytes_get_string_dup(&in, 1 << 20);
        status = text ? config_parse("journal", text, strlen(text), &config, err)
                      : error_set(err, ERROR_CORRUPT, "%s: no configuration", journal);
        free(text);
    } else {
        char *path = run_folder_file(dir, RUN_CONFIG);
        status = path ? config_read(path, &config, err)
                      : error_set(err, ERROR_SYSTEM, "no memory for a path");
        free(path);
    }
    journal_reader_close(reader);
    return status == 0 ? engine_new(&config, observe, ret, err) : status;
}

/* How much of a run shall be read. */
enum depth {
    DEPTH_ALL,     /* with strategies, to go on */
    DEPTH_OBSERVE, /* without */
    DEPTH_OVERVIEW /* what the digest says, where there is one */
};

/* Snapshot if one can be read, else nothing: *ret stays NULL and `from` 0. */
static int engine_try_snapshot(const char *dir, enum depth depth, struct engine **ret,
                               uint64_t *ret_from, struct engine_reading *reading,
                               struct error *err)
{
    struct snapshot s;
    struct error why = {0};
    char *note = NULL;
    int status = -1;
    if (!file_exists(dir, "snapshot.h5") && !file_exists(dir, "snapshot.prev.h5"))
        return 0;
    if (depth == DEPTH_OVERVIEW)
        status = store_read_digest(dir, &s, NULL);
    if (status != 0)
        status = store_read(dir, &s, &note, &why);
    if (status == ERROR_INPUT)
        return error_set(err, status, "%s", why.text);
    if (status != 0) {
        snprintf(reading->note, sizeof reading->note,
                 "%.600s; the whole journal is replayed instead", why.text);
        return 0;
    }
    if (note)
        snprintf(reading->note, sizeof reading->note, "%s", note);
    free(note);
    *ret_from = s.journal_offset;
    status = engine_from_snapshot(&s, depth != DEPTH_ALL, ret, err);
    snapshot_fini(&s);
    return status;
}

static int open_run(const char *dir, enum depth depth, struct engine **ret,
                    struct engine_reading *ret_reading, struct error *err)
{
    struct engine_reading reading = {0};
    struct engine *e = NULL;
    uint64_t from = 0;
    char *journal = NULL;
    int status = run_folder_check(dir, err);
    if (status != 0)
        return status;
    journal = run_folder_file(dir, RUN_JOURNAL);
    if (!journal)
        return error_set(err, ERROR_SYSTEM, "no memory for a path");
    status = engine_try_snapshot(dir, depth, &e, &from, &reading, err);
    if (status == 0 && !e)
        status = engine_from_start(dir, journal, depth != DEPTH_ALL, &e, err);
    if (status == 0 && from > 0)
        status = engine_find_gap(journal, from, &reading, err);
    if (status == 0 && reading.gap_end == 0)
        status = engine_replay(e, journal, from, UINT64_MAX, &reading, err);
    if (status == 0 && reading.torn)
        status = engine_find_damage(journal, &reading, err);
    free(journal);
    if (status != 0) {
        engine_free(e);
        return status;
    }
    reading.sessions = e->sessions;
    reading.closed = !e->session_open;
    reading.session_started = e->session_started;
    reading.last_time = e->last_time;
    *ret = e;
    if (ret_reading)
        *ret_reading = reading;
    return 0;
}

int engine_open(const char *dir, bool observe, struct engine **ret,
                struct engine_reading *ret_reading, struct error *err)
{
    return open_run(dir, observe ? DEPTH_OBSERVE : DEPTH_ALL, ret, ret_reading, err);
}

int engine_open_overview(const char *dir, struct engine **ret,
                         struct engine_reading *ret_reading, struct error *err)
{
    return open_run(dir, DEPTH_OVERVIEW, ret, ret_reading, err);
}

static void compare_states(const struct state *made, const struct state *stored,
                           struct engine_check *ret)
{
    ret->state_equal = made->count == stored->count;
    if (!ret->state_equal)
        snprintf(ret->difference, sizeof ret->difference,
                 "the snapshot holds %zu arrays, replaying gives %zu", stored->count,
                 made->count);
    for (size_t i = 0; i < made->count && ret->state_equal; i++) {
        const struct state_array *a = &made->arrays[i], *b = state_find(stored, a->name);
        size_t n = state_array_count(a);
        bool equal = b && b->type == a->type && state_array_count(b) == n &&
                     memcmp(a->data, b->data, n * state_type_size(a->type)) == 0;
        if (equal)
            continue;
        ret->state_equal = false;
        snprintf(ret->difference, sizeof ret->difference,
                 "/%s differs from the snapshot's", a->name);
    }
}

static int verify_against_snapshot(const char *dir, struct engine *e, const char *journal,
                                   uint64_t *ret_from, struct engine_check *ret,
                                   struct error *err)
{
    struct snapshot s;
    struct state made;
    state_init(&made);
    if (store_read(dir, &s, NULL, NULL) != 0)
        return 0;
    int status = engine_replay(e, journal, 0, s.journal_offset, &ret->reading, err);
    if (status == 0)
        status = engine_save_state(e, &made, err);
    if (status == 0) {
        ret->has_snapshot = true;
        compare_states(&made, &s.state, ret);
    }
    *ret_from = ret->reading.journal_end;
    state_fini(&made);
    snapshot_fini(&s);
    return status;
}

int engine_verify(const char *dir, struct engine_check *ret, struct error *err)
{
    struct engine *e = NULL;
    uint64_t from = 0;
    char *journal = NULL;
    int status = run_folder_check(dir, err);
    if (status != 0)
        return status;
    *ret = (struct engine_check){0};
    journal = run_folder_file(dir, RUN_JOURNAL);
    if (!journal)
        return error_set(err, ERROR_SYSTEM, "no memory for a path");
    status = engine_from_start(dir, journal, false, &e, err);
    if (status == 0)
        status = verify_against_snapshot(dir, e, journal, &from, ret, err);
    if (status == 0)
        status = engine_replay(e, journal, from, UINT64_MAX, &ret->reading, err);
    if (status == 0 && ret->reading.different > 0)
        snprintf(ret->difference, sizeof ret->difference,
                 "trial %llu is proposed differently",
                 (unsigned long long)ret->reading.first_different);
    if (status == 0)
        ret->reading.sessions = e->sessions;
    engine_free(e);
    free(journal);
    return status;
}
