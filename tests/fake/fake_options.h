/* SPDX-License-Identifier: Apache-2.0 */
/* How the fake trainer shall misbehave. "every N" means trials whose id + 1 is divisible
 * by N; 0: never. */
#ifndef ARCHWAY_TESTS_FAKE_OPTIONS_H
#define ARCHWAY_TESTS_FAKE_OPTIONS_H

#include <stdbool.h>

struct fake_options {
    int sleep_ms, start_ms; /* a task takes; getting ready takes */
    int epochs;             /* progress lines a task */
    int queue;              /* announced in "ready" */
    int fail_every, crash_every, exit_every, hang_every, nan_every, garbage_every;
    int wrong_every;        /* answers with the id of another trial */
    int abort_every;        /* aborts */
    int half_every;         /* ends in the middle of its result's line */
    int twice_every;        /* gives its result twice */
    int overtime_every;     /* gives its result a second after it was due, SIGTERM or not */
    int flood_every;        /* writes 40 MB to standard error, a last line and exits */
    int eat_every;          /* has three children that take 40 MB each, and waits */
    int big_line_every;     /* writes a line longer than the protocol allows */
    bool once;              /* all these at an attempt of 1 only */
    bool late;              /* ignores cancels: their results come all the same */
    bool null;              /* no sleep, no progress, queue 64 */
    bool stubborn;          /* ignores SIGTERM */
    bool no_ready;          /* never says "ready" */
    int start_exit;         /* exits with this status instead of getting ready */
    bool checkpoints;       /* keeps states of trials */
    int save_ms;            /* saving takes so long */
    bool save_never;        /* does not answer when it is asked for a state */
    bool save_garbage;      /* its states are none */
    bool save_die;          /* ends in the middle of saving */
    const char *say_state;  /* says this of a trial's state, whoever asked */
    const char *epochs_to;  /* file to which every epoch that is really run is appended */
    const char *start_text; /* writes this line before "ready" */
    const char *child;      /* file for the pid of a child process that sleeps */
    const char *daemon;     /* likewise of one in a session of its own, without parent */
    const char *kernels;    /* variable whose value it says it computes with, if set */
    const char *complaint;  /* last line on standard error before a crash or exit */
};

/* Exits with status 2 and a message when the arguments are wrong. */
void fake_options_parse(int argc, char **argv, struct fake_options *ret);

#endif
