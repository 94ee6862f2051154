/* SPDX-License-Identifier: Apache-2.0 */
/* Lines through non-blocking pipes: as many as there are in one system call each way. */
#ifndef ARCHWAY_WORKER_LINE_PIPE_H
#define ARCHWAY_WORKER_LINE_PIPE_H

#include <stdbool.h>
#include <stddef.h>

enum { LINE_PIPE_CHUNK = 64 << 10 }; /* bytes of one read */

/* Zero is empty. */
struct line_reader {
    char *data; /* owned */
    size_t start, end, capacity;
    size_t scanned; /* no newline in [start, scanned) */
};

/* Read what is there, at most LINE_PIPE_CHUNK: 1 when something came, 0 when nothing is
 * there now, -1 at the end of file, on an error and when memory is gone. */
int line_reader_fill(struct line_reader *r, int fd);
/* Add a text as if it had been read; false when memory is gone. */
bool line_reader_put(struct line_reader *r, const char *text);
/* Take the next whole line, without its newline; borrowed until the next fill. */
bool line_reader_next(struct line_reader *r, const char **ret_line, size_t *ret_size);
/* Bytes of the unfinished line. */
size_t line_reader_partial(const struct line_reader *r);
void line_reader_fini(struct line_reader *r); /* and it is empty again */

/* Zero is empty. */
struct line_writer {
    char *data; /* owned */
    size_t start, end, capacity;
};

/* Queue a line, a newline is added; false when memory is gone. */
bool line_writer_put(struct line_writer *w, const char *line);
/* Write what the pipe takes: 1 when all left, 0 when something waits, -1 when the reader is
 * gone. SIGPIPE must be ignored. */
int line_writer_flush(struct line_writer *w, int fd);
void line_writer_fini(struct line_writer *w); /* and it is empty again */

#endif
