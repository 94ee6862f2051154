/* SPDX-License-Identifier: Apache-2.0 */
/* Measurements in processes of their own: fresh memory and thread pools every time. */
#ifndef ARCHWAY_TESTS_BENCH_BENCH_COMMAND_H
#define ARCHWAY_TESTS_BENCH_BENCH_COMMAND_H

#include <stdbool.h>

enum { COMMAND_SIZE = 4096, COMMAND_COPIES = 8 };

/* Start `copies` of a shell command at the same time (at most COMMAND_COPIES) and call
 * `line` for every line "NAME NUMBER" that they print. False when one of them failed. */
bool command_run(const char *command, int copies,
                 void (*line)(void *context, const char *name, double value),
                 void *context);

#endif
