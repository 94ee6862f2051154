/* SPDX-License-Identifier: Apache-2.0 */
/* The agent reads a trainer's standard error itself instead of handing it a file: so the
 * size is bounded however much a broken program prints, the reason of a crash is known
 * without reading back over a network file system, and a missing run folder on this node
 * costs nothing but the file. */
#include "worker/trainer_log.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char cut_note[] = "\n[archway: the log is full, what follows is not kept]\n";

void trainer_log_init(struct trainer_log *log, const char *folder, int rank, int slot)
{
    memset(log, 0, sizeof *log);
    log->fd = -1;
    if (folder && asprintf(&log->path, "%s/rank-%d-slot-%d.log", folder, rank, slot) < 0)
        log->path = NULL;
}

static void forget_file(struct trainer_log *log)
{
    if (log->fd >= 0)
        close(log->fd);
    free(log->path);
    log->fd = -1;
    log->path = NULL;
}

void trainer_log_fini(struct trainer_log *log)
{
    forget_file(log);
}

static void write_all(struct trainer_log *log, const char *data, size_t size)
{
    while (size) {
        ssize_t n = write(log->fd, data, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            forget_file(log);
            return;
        }
        data += n;
        size -= (size_t)n;
        log->size += n;
    }
}

static void keep(struct trainer_log *log, const char *data, size_t size)
{
    struct stat st;
    if (!log->path)
        return;
    if (log->fd < 0) {
        log->fd = open(log->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
        if (log->fd < 0 || fstat(log->fd, &st)) {
            forget_file(log);
            return;
        }
        log->size = st.st_size;
    }
    if (log->size >= TRAINER_LOG_LIMIT)
        return;
    write_all(log, data, size);
    if (log->path && log->size >= TRAINER_LOG_LIMIT)
        write_all(log, cut_note, sizeof cut_note - 1);
}

static void remember(struct trainer_log *log, const char *data, size_t size)
{
    if (size >= sizeof log->tail) {
        data += size - sizeof log->tail;
        size = sizeof log->tail;
        log->tail_size = 0;
    }
    size_t room = sizeof log->tail - size;
    if (log->tail_size > room) {
        memmove(log->tail, log->tail + log->tail_size - room, room);
        log->tail_size = room;
    }
    memcpy(log->tail + log->tail_size, data, size);
    log->tail_size += size;
}

int trainer_log_read(struct trainer_log *log, int fd)
{
    char data[16384];
    ssize_t n = read(fd, data, sizeof data);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n == 0)
        return -1;
    keep(log, data, (size_t)n);
    remember(log, data, (size_t)n);
    return 1;
}

void trainer_log_restart(struct trainer_log *log)
{
    log->tail_size = 0;
}

/* The line that ends before *end, without blanks around it, and *end in front of it. */
static bool line_before(const struct trainer_log *log, size_t *end, size_t *ret_start,
                        size_t *ret_end)
{
    while (*end && isspace((unsigned char)log->tail[*end - 1]))
        --*end;
    size_t start = *ret_end = *end;
    while (start && log->tail[start - 1] != '\n')
        start--;
    *end = start;
    while (start < *ret_end && isspace((unsigned char)log->tail[start]))
        start++;
    *ret_start = start;
    return start < *ret_end;
}

/* Control characters as blanks; at most size - 1 bytes. Returns how many. */
static size_t copy_line(const struct trainer_log *log, size_t start, size_t end,
                        char *text, size_t size)
{
    size_t used = 0;
    for (; start < end && used + 1 < size; start++) {
        unsigned char c = (unsigned char)log->tail[start];
        text[used++] = c < 32 || c == 127 ? ' ' : (char)c;
    }
    text[used] = '\0';
    return used;
}

void trainer_log_last_line(const struct trainer_log *log, char *text, size_t size)
{
    size_t before = log->tail_size, start, end;
    line_before(log, &before, &start, &end);
    copy_line(log, start, end, text, size);
}

int trainer_log_last_lines(const struct trainer_log *log, int most, char *text,
                           size_t size)
{
    size_t starts[16], ends[16], before = log->tail_size, used = 0;
    int count = 0;
    most = most < 16 ? most : 16;
    while (count < most && line_before(log, &before, &starts[count], &ends[count]))
        count++;
    text[0] = '\0';
    for (int i = count; i-- > 0 && used + 2 < size;) {
        size_t room = size - used - 1;
        text[used++] = '\n';
        used += copy_line(log, starts[i], ends[i], text + used,
                          room < TRAINER_LOG_LINE ? room : TRAINER_LOG_LINE);
    }
    return count;
}
