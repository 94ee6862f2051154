/* SPDX-License-Identifier: Apache-2.0 */
/* What commands need of the worker side, handed in by main.c, which alone knows both. */
#ifndef ARCHWAY_MASTER_SERVICES_H
#define ARCHWAY_MASTER_SERVICES_H

#include <jansson.h>

#include "common/clock.h"
#include "common/config.h"
#include "common/data_facts.h"
#include "common/error.h"
#include "common/trial.h"
#include "master/session.h"
#include "proto/wire.h"

/* A trainer that got ready, as it said it. */
struct services_trainer {
    char name[256];              /* and version; "": not said */
    char kernels[TRIAL_KERNELS]; /* "": not said */
    double seconds;              /* from its start */
};

struct services {
    /* Look at the data of a configuration (worker/data). */
    int (*inspect)(const struct config *config, struct data_facts *ret, struct error *err);
    /* Which format does a folder hold? Fills task.data. */
    int (*detect)(const char *folder, struct config *ret, struct error *err);
    /* Train the child of an architecture (space_to_json) on random images for about so many
     * seconds: what a trial takes, without reading data. Blocking. */
    int (*time_child)(const struct config *config, const struct data_facts *facts,
                      const json_t *architecture, double seconds,
                      double *ret_seconds_per_trial, double *ret_images_per_second,
                      struct error *err);
    /* Cores of this machine that the process may use. */
    int (*count_cores)(int *ret, struct error *err);
    /* Compute kernels that this machine may train with, see common/kernel_names.h.
     * ERROR_INPUT when ARCHWAY_KERNELS is none of them. */
    int (*list_kernels)(char *ret, size_t size, struct error *err);
    /* Start the trainer of a configuration and wait until it is ready, at most so many
     * seconds; then end it. Blocking. */
    int (*try_trainer)(const struct config *config, double seconds,
                       struct services_trainer *ret, struct error *err);
    /* The agent of this process over `wire`, for runs without mpirun. */
    int (*agent_open)(struct wire *wire, const struct clock *clock, void **ret,
                      struct error *err);
    int (*agent_step)(void *agent, struct error *err);
    bool (*agent_wait)(void *agent, int extra_fd, int timeout_ms);
    void (*agent_close)(void *agent);
    /* Be a worker rank until the master says stop. Blocking. *ret_clean: no rank was lost. */
    int (*work)(struct wire *wire, const struct clock *clock, bool (*interrupted)(void),
                bool *ret_clean, struct error *err);
};

#endif
