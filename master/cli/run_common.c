/* SPDX-License-Identifier: Apache-2.0 */
/* Under MPI every rank runs this: rank 0 becomes the master, the others work. An error of
 * the master before the first trial reaches the others as an ordinary STOP, so that no rank
 * is left waiting and mpirun has nothing to clean up. */
#include "master/cli/run_common.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/kernel_names.h"
#include "common/text.h"
#include "master/dispatcher.h"
#include "master/stop.h"

static int apply_one(struct config *config, const char *option, const char *key,
                     const char *value, struct error *err)
{
    char assignment[CONFIG_PATH * 2];
    snprintf(assignment, sizeof assignment, "%s=%s", key, value);
    int status = config_set(config, assignment, err);
    return status == 0 ? 0 : error_prefix(err, "--%s", option);
}

int run_apply_options(const struct invocation *in, const char *name, struct config *config,
                      struct error *err)
{
    const struct {
        const char *option, *key;
    } short_cuts[] = {{"seed", "seed"},
                      {"max-trials", "search.trials"},
                      {"time-limit", "run.time_limit"},
                      {"slots", "run.slots"},
                      {"chaos", "run.chaos"}};
    for (int i = 0; i < in->value_count; i++) {
        const char *option = in->values[i].option->name, *value = in->values[i].value;
        int status = 0;
        if (strcmp(option, "set") == 0)
            status = config_set(config, value, err);
        for (unsigned k = 0; k < 5 && status == 0; k++)
            if (strcmp(option, short_cuts[k].option) == 0)
                status = apply_one(config, option, short_cuts[k].key, value, err);
        if (status != 0)
            return status;
    }
    return config_check(config, name, err);
}

static int be_master(const struct invocation *in, run_prepare prepare, struct wire *wire,
                     const struct session_local *local, int *ret_exit, bool *ret_lost,
                     struct error *err)
{
    static struct run_storage storage; /* large; one run a process */
    struct session_setup setup = {.wire = wire, .clock = &clock_system};
    if (local)
        setup.local = *local;
    setup.quiet = command_value(in, "quiet") != NULL;
    char kernels[KERNEL_NAMES];
    int status = in->services->list_kernels(kernels, sizeof kernels, err);
    if (status == 0)
        status = prepare(in, &storage, &setup, err);
    if (status == 0)
        status = in->services->inspect(&storage.config, &setup.facts, err);
    if (status != 0) {
        if (!local) /* within one process nobody waits */
            dispatcher_dismiss(wire);
        return status;
    }
    return session_run(&setup, ret_exit, ret_lost, err);
}

static int run_alone(const struct invocation *in, run_prepare prepare, int *ret_exit,
                     struct error *err)
{
    struct wire *master = NULL, *worker = NULL;
    struct session_local local = {.step = in->services->agent_step,
                                  .wait = in->services->agent_wait};
    bool lost = false;
    int status = wire_local_open(&master, &worker, err);
    if (status == 0)
        status = in->services->agent_open(worker, &clock_system, &local.context, err);
    if (status == 0)
        status = be_master(in, prepare, master, &local, ret_exit, &lost, err);
    in->services->agent_close(local.context);
    wire_close(worker, true);
    wire_close(master, true);
    return status;
}

static int run_mpi(const struct invocation *in, run_prepare prepare, int *ret_exit,
                   struct error *err)
{
    struct wire *wire = NULL;
    bool lost = false, clean = true;
    int status = wire_mpi_open(&wire, err);
    if (status != 0)
        return status;
    if (wire->rank == WIRE_MASTER) {
        status = be_master(in, prepare, wire, NULL, ret_exit, &lost, err);
        clean = !lost;
    } else {
        status = in->services->work(wire, &clock_system, stop_signalled, &clean, err);
        *ret_exit = 0;
    }
    wire_close(wire, clean);
    if (clean)
        return status;
    /* A rank was lost: leaving MPI in order could wait for it for ever. */
    if (status != 0)
        fprintf(stderr, "archway: error: %s\n", err->text);
    fflush(NULL);
    _exit(status != 0 ? error_exit_status(status) : *ret_exit);
}

int run_ranks(const struct invocation *in, run_prepare prepare, int *ret_exit,
              struct error *err)
{
    stop_install();
    return wire_mpi_launched() ? run_mpi(in, prepare, ret_exit, err)
                               : run_alone(in, prepare, ret_exit, err);
}
