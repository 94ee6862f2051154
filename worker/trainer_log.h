/* SPDX-License-Identifier: Apache-2.0 */
/* What a trainer writes to its standard error: kept in a file of bounded size, and its last
 * line at hand to say why the trainer died. */
#ifndef ARCHWAY_WORKER_TRAINER_LOG_H
#define ARCHWAY_WORKER_TRAINER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TRAINER_LOG_LINE = 160, TRAINER_LOG_TAIL = 2048, TRAINER_LOG_LIMIT = 16 << 20 };

struct trainer_log {
    char *path; /* owned; NULL: no file is kept */
    int fd;     /* -1: not opened yet */
    int64_t size;
    char tail[TRAINER_LOG_TAIL];
    size_t tail_size;
};

/* The file is FOLDER/rank-R-slot-S.log, made when the first byte comes, appended to when it
 * exists. folder NULL: only the tail is kept, as when the file cannot be written. */
void trainer_log_init(struct trainer_log *log, const char *folder, int rank, int slot);
void trainer_log_fini(struct trainer_log *log);
/* Take what is there: 1 when something came, 0 when nothing is there now, -1 at the end. */
int trainer_log_read(struct trainer_log *log, int fd);
/* A new process writes: forget the tail. */
void trainer_log_restart(struct trainer_log *log);
/* The last line that is not blank, control characters as blanks; "" when there is none. */
void trainer_log_last_line(const struct trainer_log *log, char *text, size_t size);
/* The last `most` lines that are not blank, oldest first, each behind a newline and cut to
 * TRAINER_LOG_LINE bytes; "" when there are none. Returns how many. */
int trainer_log_last_lines(const struct trainer_log *log, int most, char *text, size_t size);

#endif
