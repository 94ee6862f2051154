/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer as an operating-system process: its own process group, three pipes, fixed to its
 * cores, bounded in memory, first to be killed when the machine runs out, and never older
 * than the thread that started it. Nothing here blocks but process_start, for as long as an
 * exec takes. */
#ifndef ARCHWAY_WORKER_PROCESS_H
#define ARCHWAY_WORKER_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/error.h"

struct process {
    pid_t pid;        /* also the id of its group; 0: there is none */
    int in, out, err; /* our ends of its standard streams, non-blocking; -1: closed */
};

struct process_spec {
    const char *const *argv;       /* argv[0] is looked for in PATH; ends with NULL */
    const char *const *environment; /* "NAME=value", ends with NULL */
    const char *cpus;              /* "0-3,8"; "": not pinned */
    int64_t memory;                /* bytes of private memory; 0: no limit */
    int group; /* descriptor, above 2, of the cgroup.procs that it enters; 0, -1: none */
};

/* Start it. ERROR_SYSTEM naming the program and the step that failed; then nothing runs and
 * nothing is open. The thread that calls must live as long as the process may: the kernel
 * kills the process when that thread ends. */
int process_start(const struct process_spec *spec, struct process *ret, struct error *err);
/* Send a signal to the whole group. */
void process_signal(const struct process *p, int signal);
/* Has it ended? Then whatever is left of its group is killed, *ret_status is filled as by
 * waitpid, pid becomes 0 and the answer is true. */
bool process_reap(struct process *p, int *ret_status);
/* Close our ends. */
void process_close(struct process *p);
/* Kill the group and wait until the process is gone (SIGKILL: a few milliseconds). */
void process_destroy(struct process *p);

/* "exit status 3", "signal 9 (Killed), likely out of memory". */
void process_describe(int status, char *text, size_t size);

struct process_settings {
    int threads;         /* for every numerical library */
    const char *devices; /* accelerators it may use: "0,1"; "": none */
    bool rocm;           /* they are AMD's */
    const char *mark;    /* "NAME=value" that comes first and replaces NAME; or NULL */
};
/* A copy of `base` (such as environ) for a trainer: with the thread counts of all common
 * libraries and its devices set; without what an MPI launcher or SLURM told this rank about
 * itself, so that a trainer that uses MPI starts as a program of its own. Caller frees with
 * process_environment_free; NULL when memory is gone. */
char **process_environment(const char *const *base, const struct process_settings *settings);
void process_environment_free(char **environment);

#endif
