/* SPDX-License-Identifier: Apache-2.0 */
/* The table of kernels is ordered from fast to slow, and each runs wherever a faster one
 * does, so the variable is a cap: it stands in for an older processor, in tests and where
 * a processor says that it can do what it cannot. */
#include "worker/kernel_choice.h"

#include <string.h>

#include "common/kernel_names.h"
#include "common/nn/kernels.h"

/* First entry of the table that the cap allows; -1: it is no name. */
static int first_allowed(const char *cap)
{
    if (!cap || !*cap)
        return 0;
    for (int i = 0; nn_kernels_all[i]; i++)
        if (strcmp(nn_kernels_all[i]->name, cap) == 0)
            return i;
    return -1;
}

static int refuse_cap(const char *cap, struct error *err)
{
    char names[KERNEL_NAMES] = "";
    for (int i = 0; nn_kernels_all[i]; i++)
        kernel_names_add(names, sizeof names, nn_kernels_all[i]->name);
    return error_set(err, ERROR_INPUT,
                     "the environment variable %s is '%.40s'; allowed: one of %s",
                     KERNEL_CHOICE_VARIABLE, cap, names);
}

int kernel_choice_list(const char *cap, char *ret, size_t size, struct error *err)
{
    int first = first_allowed(cap);
    if (first < 0)
        return refuse_cap(cap, err);
    ret[0] = '\0';
    for (int i = first; nn_kernels_all[i]; i++)
        if (nn_kernels_all[i]->runs_here())
            kernel_names_add(ret, size, nn_kernels_all[i]->name);
    return 0;
}

int kernel_choice_settle(struct config *config, const char *cap, struct error *err)
{
    char names[KERNEL_NAMES], picked[TRIAL_KERNELS];
    int status = kernel_choice_list(cap, names, sizeof names, err);
    if (status == 0)
        status = kernel_names_pick(config, names, picked, err);
    for (int i = KERNELS_AUTO + 1; status == 0 && i <= KERNELS_GENERIC; i++)
        if (strcmp(config_choice_name("trainer.builtin.kernels", i), picked) == 0)
            config->trainer.builtin.kernels = i;
    return status;
}
