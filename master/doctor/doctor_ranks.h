/* SPDX-License-Identifier: Apache-2.0 */
/* What ranks say of themselves: `archway doctor` under mpirun, and one rank alone. */
#ifndef ARCHWAY_MASTER_DOCTOR_DOCTOR_RANKS_H
#define ARCHWAY_MASTER_DOCTOR_DOCTOR_RANKS_H

#include "master/services.h"
#include "proto/message.h"

/* Before "N of M": cores of the worker with the fewest, cores of its machine online. */
#define DOCTOR_RANKS_WORKER "fewest cores of a worker: "

/* What this process would tell a master as its only worker. */
int doctor_own_hello(const struct services *services, struct message_hello *ret,
                     struct error *err);
/* The whole of `archway doctor` under a launcher: every worker rank says hello, rank 0
 * prints a line for each. Collective. *ret_exit: 1 when a rank was silent. */
int doctor_meet_ranks(const struct services *services, int *ret_exit, struct error *err);

#endif
