/* SPDX-License-Identifier: Apache-2.0 */
/* Compute kernels by name, as ranks tell them and configurations ask for them: a list is
 * "avx2 generic", the fastest first, with a space between. */
#ifndef ARCHWAY_COMMON_KERNEL_NAMES_H
#define ARCHWAY_COMMON_KERNEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include "common/config.h"
#include "common/error.h"
#include "common/trial.h"

enum { KERNEL_NAMES = 64 }; /* bytes of a list, NUL included */

/* What trains under this configuration where `list` may train: the first of it, or the
 * one that trainer.builtin.kernels asks for. ERROR_INPUT when that is not in the list,
 * naming what is; ret is then untouched. */
int kernel_names_pick(const struct config *config, const char *list,
                      char ret[TRIAL_KERNELS], struct error *err);
bool kernel_names_contain(const char *list, const char *name);
/* Append a name, cut when the list is full. */
void kernel_names_add(char *list, size_t size, const char *name);
/* The name that trainer.builtin.kernels gives; NULL for auto. */
const char *kernel_names_wanted(const struct config *config);

#endif
