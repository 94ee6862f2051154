/* SPDX-License-Identifier: Apache-2.0 */
/* Errors: a status and one sentence, filled once, where the name of the thing is known.
 *
 * A fallible function returns 0 or one of the negative statuses below and takes a
 * `struct error *` last. Passing NULL is allowed when only the status matters. The text
 * is a whole sentence fit for a user ("trial 17: cannot open 'x': No such file"). */
#ifndef ARCHWAY_COMMON_ERROR_H
#define ARCHWAY_COMMON_ERROR_H

#include <stddef.h>

enum error_status {
    ERROR_NONE = 0,
    ERROR_USAGE = -1,   /* wrong argument on the command line; exit status 2 */
    ERROR_INPUT = -2,   /* bad file, key, dataset or run folder; exit status 2 */
    ERROR_SYSTEM = -3,  /* the operating system refused (I/O, memory, processes); exit 1 */
    ERROR_CORRUPT = -4, /* stored data or a message fails its checks; exit 1 */
    ERROR_PEER = -5,    /* a worker rank or trainer misbehaved; exit 1 */
    ERROR_FAILED = -6   /* the run itself failed; exit 1 */
};

enum { ERROR_TEXT_SIZE = 1024 };

struct error {
    int status;                 /* enum error_status */
    char text[ERROR_TEXT_SIZE]; /* NUL-terminated, truncated when too long */
};

/* Store status and formatted text in err (may be NULL); returns status. */
int error_set(struct error *err, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* As error_set with ERROR_SYSTEM, appending ": " and the text of errno. */
int error_set_errno(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Put "text: " before what err holds; returns err->status (0 when err is NULL). */
int error_prefix(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The exit status of the program for a status: 0, 1 or 2. */
int error_exit_status(int status);

#endif
