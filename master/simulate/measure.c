/* SPDX-License-Identifier: Apache-2.0 */
/* What a run was like, read from its record alone: the journal for the order of things,
 * the ledger for the trials and the hours. */
#include "master/simulate/simulate.h"

#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "common/stats.h"
#include "master/journal.h"
#include "master/record.h"
#include "master/run_folder.h"

struct walk {
    uint64_t proposed, told, done, failed;
    struct ledger_hours hours;
    double *stale; /* owned; by proposal */
    size_t capacity;
    double opened, last_fresh, ended; /* Unix time; 0: not yet */
};

static int note_proposal(struct walk *w, struct error *err)
{
    if (w->proposed == w->capacity) {
        size_t capacity = w->capacity ? 2 * w->capacity : 1024;
        double *stale = realloc(w->stale, capacity * sizeof *stale);
        if (!stale)
            return error_set(err, ERROR_SYSTEM, "no memory for the record of a run");
        w->stale = stale;
        w->capacity = capacity;
    }
    w->stale[w->proposed] = (double)(w->proposed - w->told);
    w->proposed++;
    return 0;
}

static int note_started(struct walk *w, struct bytes_reader *in, struct error *err)
{
    struct record_started r;
    int status = record_decode_started(in, &r, err);
    if (status == 0 && r.attempt == 1)
        w->last_fresh = r.time;
    return status;
}

static int note_finished(struct walk *w, struct bytes_reader *in, struct error *err)
{
    struct record_finished r;
    int status = record_decode_finished(in, &r, err);
    if (status != 0)
        return status;
    w->ended = r.result.finished_at;
    w->done += r.result.failure == FAILURE_NONE;
    w->failed += r.result.failure != FAILURE_NONE;
    record_finished_fini(&r);
    return 0;
}

static int note(struct walk *w, const struct journal_record *record, struct error *err)
{
    struct bytes_reader in;
    struct record_session session;
    int status;
    bytes_reader_init(&in, record->payload, record->size);
    switch (record->type) {
    case RECORD_SESSION:
        status = record_decode_session(&in, &session, err);
        w->opened = status == 0 && w->opened == 0 ? session.time : w->opened;
        return status;
    case RECORD_PROPOSED:
        return note_proposal(w, err);
    case RECORD_STARTED:
        return note_started(w, &in, err);
    case RECORD_FINISHED:
        return note_finished(w, &in, err);
    case RECORD_TOLD:
        w->told++;
        return 0;
    case RECORD_HOURS:
        return record_decode_hours(&in, &w->hours, err);
    default:
        return 0;
    }
}

static int read_journal(const char *dir, struct walk *w, struct error *err)
{
    char *path = run_folder_file(dir, RUN_JOURNAL);
    struct journal_reader *reader = NULL;
    struct journal_record record;
    int more = 0, status = path ? journal_reader_open(path, 0, &reader, err)
                                : error_set(err, ERROR_SYSTEM, "no memory for a path");
    while (status == 0 && (more = journal_read(reader, &record, err)) == 1)
        status = note(w, &record, err);
    journal_reader_close(reader);
    free(path);
    return status == 0 && more < 0 ? more : status;
}

static void fill_trials(const struct walk *w, struct simulate_figures *f)
{
    const struct ledger_hours *h = &w->hours;
    double used = h->trained + h->failed + h->lost;
    double all = used + h->idle_wait + h->idle_tail;
    f->trials = w->proposed;
    f->done = w->done;
    f->failed = w->failed;
    f->saved = w->told > w->done + w->failed ? w->told - w->done - w->failed : 0;
    f->busy = all > 0 ? used / all : NAN;
    f->useful = all > 0 ? h->trained / all : NAN;
    f->core_hours = used / 3600;
}

int simulate_measure(const char *dir, struct simulate_figures *f, struct error *err)
{
    struct walk w = {0};
    int status = read_journal(dir, &w, err);
    if (status == 0) {
        fill_trials(&w, f);
        f->seconds = w.ended > w.opened ? w.ended - w.opened : 0;
        f->tail = w.ended > w.last_fresh ? w.ended - w.last_fresh : 0;
        f->stale_mean = stats_mean(w.stale, w.proposed);
        f->stale_p95 = w.proposed ? stats_quantile(w.stale, w.proposed, 0.95) : NAN;
    }
    free(w.stale);
    return status;
}

/* Memory disks of containers are often tiny, and a run pauses when its disk is full. */
static bool has_room(const char *path)
{
    struct statvfs st;
    return statvfs(path, &st) == 0 &&
           (double)st.f_bavail * (double)st.f_frsize >= 1 << 30;
}

char *simulate_folder(struct error *err)
{
    const char *given = getenv("TMPDIR");
    const char *const places[] = {"/dev/shm", given && *given ? given : "/tmp"};
    for (int i = 0; i < 2; i++) {
        char *path = NULL;
        if (i == 0 && !has_room(places[i]))
            continue;
        if (asprintf(&path, "%s/archway-simulate-XXXXXX", places[i]) < 0)
            break;
        if (mkdtemp(path))
            return path;
        free(path);
    }
    error_set_errno(err, "cannot make a temporary folder in /dev/shm or '%s'", places[1]);
    return NULL;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    return remove(path);
}

void simulate_remove(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}
