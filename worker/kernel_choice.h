/* SPDX-License-Identifier: Apache-2.0 */
/* Which compute kernels train children here: what the processor can run, less what
 * ARCHWAY_KERNELS forces off, and of that what trainer.builtin.kernels asks for. */
#ifndef ARCHWAY_WORKER_KERNEL_CHOICE_H
#define ARCHWAY_WORKER_KERNEL_CHOICE_H

#include <stddef.h>

#include "common/config.h"
#include "common/error.h"

/* The environment variable whose value is a `cap`: the name of kernels; all that are
 * faster count as if the processor lacked them. NULL and "" cap nothing. Only main()
 * functions read it. */
#define KERNEL_CHOICE_VARIABLE "ARCHWAY_KERNELS"

/* Names of the kernels that may train here, the fastest first, with a space between:
 * "avx2 generic". ERROR_INPUT when the cap is no name of kernels; ret is then untouched.
 */
int kernel_choice_list(const char *cap, char *ret, size_t size, struct error *err);
/* Make config's trainer.builtin.kernels the kernels that will train, where it says auto.
 * ERROR_INPUT when what it asks for may not train here; config is then untouched. */
int kernel_choice_settle(struct config *config, const char *cap, struct error *err);

#endif
