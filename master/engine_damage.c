/* SPDX-License-Identifier: Apache-2.0 */
/* Journals that are not as a crash leaves them. The newest valid state is still found:
 * what a snapshot holds counts although the journal is shorter, and records before damage
 * count although those behind it cannot be used. Whatever is left out is said, with the
 * byte where it stands. */
#include "master/engine_internal.h"

#include <stdio.h>
#include <string.h>

#include "master/journal_repair.h"

/* Behind what the note says already. */
static void add_note(struct engine_reading *r, const char *text)
{
    size_t used = strlen(r->note);
    snprintf(r->note + used, sizeof r->note - used, "%s%s", used ? "; " : "", text);
}

int engine_find_gap(const char *journal, uint64_t from, struct engine_reading *reading,
                    struct error *err)
{
    struct journal_reader *r;
    struct error why;
    char text[700];
    int status = journal_reader_open(journal, from, &r, &why);
    if (status == 0) {
        journal_reader_close(r);
        return 0;
    }
    if (status != ERROR_CORRUPT)
        return error_set(err, status, "%s", why.text);
    status = journal_fill_start(journal, from, &reading->journal_end, err);
    if (status != 0)
        return status;
    reading->gap_end = from;
    snprintf(text, sizeof text,
             "%.400s; what the snapshot holds counts, results after it are lost and will "
             "be trained again",
             why.text);
    add_note(reading, text);
    return 0;
}

int engine_find_damage(const char *journal, struct engine_reading *reading,
                       struct error *err)
{
    char text[700];
    int status = journal_examine(journal, reading->journal_end, &reading->torn_bytes,
                                 &reading->lost_records, err);
    if (status != 0 || reading->lost_records == 0)
        return status;
    snprintf(
        text, sizeof text,
        "journal '%.400s' is damaged at byte %llu: %llu whole records behind it cannot "
        "be used, their results are lost and will be trained again",
        journal, (unsigned long long)reading->journal_end,
        (unsigned long long)reading->lost_records);
    add_note(reading, text);
    return 0;
}
