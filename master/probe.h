/* SPDX-License-Identifier: Apache-2.0 */
/* Running another program for a moment, with a limit of time and of what it may say. */
#ifndef ARCHWAY_MASTER_PROBE_H
#define ARCHWAY_MASTER_PROBE_H

#include <stdbool.h>
#include <stddef.h>

enum { PROBE_OUTPUT = 16384 };

struct probe {
    bool started;              /* false: no such program */
    bool timed_out;            /* and was killed, with all of its group */
    int exit_status;           /* 128 + the signal when one killed it */
    char output[PROBE_OUTPUT]; /* standard output and error as they came, cut */
};

/* argv[0] is looked for in PATH; standard input is empty. Blocking, at most so many
 * seconds. No shell is involved. */
void probe_run(const char *const *argv, double seconds, struct probe *ret);
/* The first line that is not blank nor a rule of dashes; "" when there is none. */
void probe_first_line(const struct probe *p, char *ret, size_t size);
/* Full path of a program in PATH; false when there is none that can be run. */
bool probe_find(const char *name, char *ret, size_t size);

#endif
