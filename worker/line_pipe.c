/* SPDX-License-Identifier: Apache-2.0 */
/* Buffers on both ends of a trainer's pipes. Fast trainers answer thousands of tasks a
 * second, so a system call moves whatever there is and lines are cut out in memory; what
 * is left of an unfinished line moves to the front before the next read. */
#include "worker/line_pipe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room for `more` bytes behind *end, moving [*start, *end) to the front. */
static bool make_room(char **data, size_t *start, size_t *end, size_t *capacity,
                      size_t more)
{
    size_t used = *end - *start;
    if (*start) {
        memmove(*data, *data + *start, used);
        *start = 0;
        *end = used;
    }
    if (used + more <= *capacity)
        return true;
    size_t size = *capacity * 2 > used + more ? *capacity * 2 : used + more;
    char *grown = realloc(*data, size);
    if (!grown)
        return false;
    *data = grown;
    *capacity = size;
    return true;
}

int line_reader_fill(struct line_reader *r, int fd)
{
    ssize_t n;
    r->scanned -= r->start;
    if (!make_room(&r->data, &r->start, &r->end, &r->capacity, LINE_PIPE_CHUNK))
        return -1;
    do
        n = read(fd, r->data + r->end, LINE_PIPE_CHUNK);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno == EAGAIN ? 0 : -1;
    r->end += (size_t)n;
    return n > 0 ? 1 : -1;
}

bool line_reader_put(struct line_reader *r, const char *text)
{
    size_t size = strlen(text);
    r->scanned -= r->start;
    if (!make_room(&r->data, &r->start, &r->end, &r->capacity, size))
        return false;
    memcpy(r->data + r->end, text, size);
    r->end += size;
    return true;
}

bool line_reader_next(struct line_reader *r, const char **ret_line, size_t *ret_size)
{
    if (r->scanned == r->end)
        return false;
    char *newline = memchr(r->data + r->scanned, '\n', r->end - r->scanned);
    if (!newline) {
        r->scanned = r->end;
        return false;
    }
    *ret_line = r->data + r->start;
    *ret_size = (size_t)(newline - *ret_line);
    r->start = r->scanned = (size_t)(newline - r->data) + 1;
    return true;
}

size_t line_reader_partial(const struct line_reader *r)
{
    return r->end - r->start;
}

void line_reader_fini(struct line_reader *r)
{
    free(r->data);
    memset(r, 0, sizeof *r);
}

bool line_writer_put(struct line_writer *w, const char *line)
{
    size_t size = strlen(line);
    if (w->end + size + 1 > w->capacity &&
        !make_room(&w->data, &w->start, &w->end, &w->capacity, size + 1))
        return false;
    memcpy(w->data + w->end, line, size);
    w->data[w->end + size] = '\n';
    w->end += size + 1;
    return true;
}

int line_writer_flush(struct line_writer *w, int fd)
{
    while (w->start < w->end) {
        ssize_t n = write(fd, w->data + w->start, w->end - w->start);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        w->start += (size_t)n;
    }
    w->start = w->end = 0;
    return 1;
}

void line_writer_fini(struct line_writer *w)
{
    free(w->data);
    memset(w, 0, sizeof *w);
}
