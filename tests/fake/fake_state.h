/* SPDX-License-Identifier: Apache-2.0 */
/* The file in which the fake trainer keeps how far a trial has come. */
#ifndef ARCHWAY_TESTS_FAKE_STATE_H
#define ARCHWAY_TESTS_FAKE_STATE_H

#include <stdint.h>

struct fake_state {
    uint64_t trial, seed;
    int epoch;      /* that are over */
    double seconds; /* so far */
};

/* 1 read, 0 no file, -1 it cannot be read as one. */
int fake_state_read(const char *path, struct fake_state *ret);
/* Whole, under its name at last. With `half`, a half of it, and the process ends. */
void fake_state_write(const char *path, const struct fake_state *s, int half);

#endif
