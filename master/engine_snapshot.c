/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing the state of a run to disk. Told results must be durable, and so must the
 * records that say they were told: a snapshot never points beyond the end of its journal.
 * A child process writes the file, so that dispatch does not wait for it and the master's
 * memory does not grow by it. */
#include "master/engine_internal.h"

/* All that the snapshot stands for is in the journal, on disk. */
static int sync_all(struct engine *e, struct error *err)
{
    int status = journal_sync(e->journal, err);
    while (status == 0 && (status = engine_tell(e, err)) > 0)
        status = journal_sync(e->journal, err);
    if (status == 0)
        status = engine_record_hours(e, err);
    return status == 0 ? journal_sync(e->journal, err) : status;
}

/* Borrows the ledger, which is no part of what state_fini frees. */
static int take(struct engine *e, struct snapshot *ret, struct error *err)
{
    int status = sync_all(e, err);
    *ret = (struct snapshot){.config = e->config,
                             .ledger = e->ledger,
                             .told = e->told,
                             .journal_offset = journal_end(e->journal)};
    state_init(&ret->state);
    return status == 0 ? engine_save_state(e, &ret->state, err) : status;
}

/* Here, because there is no child to do it. */
static int write_here(struct engine *e, const char *dir, struct error *err)
{
    struct snapshot s;
    int status = take(e, &s, err);
    if (status == 0)
        status = store_write(dir, &s, err);
    state_fini(&s.state);
    return status;
}

void engine_write_snapshots_here(struct engine *e)
{
    e->childless = true;
}

int engine_snapshot_begin(struct engine *e, const char *dir, struct error *err)
{
    struct snapshot s;
    snapshot_child_poll(&e->child, true, NULL); /* two would write one file */
    int status = take(e, &s, err);
    if (status == 0 &&
        (e->childless || snapshot_child_start(&e->child, dir, &s, e->lock, NULL) != 0))
        status = store_write(dir, &s, err);
    state_fini(&s.state);
    return status;
}

int engine_snapshot_poll(struct engine *e, const char *dir, struct error *err)
{
    int status = snapshot_child_poll(&e->child, false, err);
    return status == ERROR_FAILED ? write_here(e, dir, err) : status;
}

int engine_snapshot(struct engine *e, const char *dir, struct error *err)
{
    int status = engine_snapshot_begin(e, dir, err);
    if (status == 0)
        status = snapshot_child_poll(&e->child, true, err);
    return status == ERROR_FAILED ? write_here(e, dir, err) : status;
}
