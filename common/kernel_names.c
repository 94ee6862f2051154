/* SPDX-License-Identifier: Apache-2.0 */
/* Lists are short texts, so they are searched as such. A key that asks for what is not
 * there is refused and not overruled: a run whose kernels are pinned is never trained by
 * others. */
#include "common/kernel_names.h"

#include <stdio.h>
#include <string.h>

const char *kernel_names_wanted(const struct config *config)
{
    int kernels = config->trainer.builtin.kernels;
    return kernels == KERNELS_AUTO
               ? NULL
               : config_choice_name("trainer.builtin.kernels", kernels);
}

bool kernel_names_contain(const char *list, const char *name)
{
    size_t size = strlen(name);
    for (const char *at = list; size > 0 && *at; at += strspn(at, " ")) {
        size_t length = strcspn(at, " ");
        if (length == size && memcmp(at, name, size) == 0)
            return true;
        at += length;
    }
    return false;
}

void kernel_names_add(char *list, size_t size, const char *name)
{
    size_t used = strlen(list);
    snprintf(list + used, size - used, "%s%s", used ? " " : "", name);
}

int kernel_names_pick(const struct config *config, const char *list,
                      char ret[TRIAL_KERNELS], struct error *err)
{
    const char *wanted = kernel_names_wanted(config);
    if (wanted && !kernel_names_contain(list, wanted))
        return error_set(
            err, ERROR_INPUT,
            "trainer.builtin.kernels is %s, but what can be used is: %s (the "
            "processor lacks the others, or ARCHWAY_KERNELS forces them off)",
            wanted, *list ? list : "nothing");
    if (wanted)
        snprintf(ret, TRIAL_KERNELS, "%s", wanted);
    else
        snprintf(ret, TRIAL_KERNELS, "%.*s", (int)strcspn(list, " "), list);
    return 0;
}
