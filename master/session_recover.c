/* SPDX-License-Identifier: Apache-2.0 */
/* Opening the journal of a run that goes on. After an ordinary end, or a crash, that is
 * cutting off an incomplete record. When more is wrong, everything that will not be part
 * of the journal any more is kept beside it first, so that nothing is thrown away; where
 * the journal is shorter than the snapshot says, records without meaning fill it up, so
 * that the offsets of both snapshots stay what they are. */
#include "master/session_internal.h"

#include <stdio.h>
#include <unistd.h>

#include "common/log.h"
#include "master/journal_repair.h"

static int set_aside(struct session *s, const char *journal, uint64_t from,
                     struct error *err)
{
    char path[CONFIG_PATH * 2];
    int status = journal_set_aside(journal, from, path, sizeof path, err);
    if (status == 0)
        session_say(s, "note: what is cut off is kept in %s", path);
    return status;
}

/* A header that cannot be read: nothing of the file can. */
static int begin_anew(struct session *s, const char *journal, struct error *err)
{
    char path[CONFIG_PATH * 2];
    int status = set_aside(s, journal, 0, err);
    if (status != 0)
        return status;
    snprintf(path, sizeof path, "%s.new", journal); /* a run is never without a journal */
    unlink(path);
    status = journal_create(path, &s->journal, err);
    if (status == 0 && rename(path, journal) != 0)
        status = error_set_errno(err, "cannot replace '%s'", journal);
    return status;
}

static int fill_gap(struct session *s, const char *journal,
                    const struct engine_reading *reading, struct error *err)
{
    uint64_t bytes = 0, records;
    int status = 0;
    if (reading->journal_end == 0)
        status = begin_anew(s, journal, err);
    else
        status = journal_examine(journal, reading->journal_end, &bytes, &records, err);
    if (status == 0 && bytes > 0)
        status = set_aside(s, journal, reading->journal_end, err);
    if (status == 0 && !s->journal)
        status = journal_open(journal, reading->journal_end, &s->journal, err);
    return status == 0 ? journal_fill(s->journal, RECORD_GAP, reading->gap_end, err)
                       : status;
}

int session_open_journal(struct session *s, const char *journal,
                         const struct engine_reading *reading, struct error *err)
{
    int status = 0;
    bool loss = reading->gap_end > 0 || reading->lost_records > 0;
    if (loss)
        log_message(LOG_WARNING, "%s", reading->note); /* however quiet */
    else if (*reading->note)
        session_say(s, "note: %s", reading->note);
    snprintf(s->recovered, sizeof s->recovered, "%s", reading->note);
    if (reading->gap_end > 0)
        return fill_gap(s, journal, reading, err);
    if (reading->lost_records > 0)
        status = set_aside(s, journal, reading->journal_end, err);
    else if (reading->torn)
        session_say(s,
                    "note: %s: byte %llu: an incomplete record (%llu bytes), as a crash "
                    "leaves it, is cut off",
                    journal, (unsigned long long)reading->journal_end,
                    (unsigned long long)reading->torn_bytes);
    return status == 0 ? journal_open(journal, reading->journal_end, &s->journal, err)
                       : status;
}
