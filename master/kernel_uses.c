/* SPDX-License-Identifier: Apache-2.0 */
/* Counted from the ledger when asked: a run has one or two names, and nobody asks often.
 * Trials answered from the record are left out, since nothing was trained for them. */
#include "master/kernel_uses.h"

#include <stdio.h>
#include <string.h>

static struct kernel_use *find_use(struct kernel_uses *u, const char *name)
{
    for (int i = 0; i < u->count; i++)
        if (strcmp(u->list[i].name, name) == 0)
            return &u->list[i];
    if (u->count == KERNEL_USES_MAX) {
        struct kernel_use *last = &u->list[KERNEL_USES_MAX - 1];
        snprintf(last->name, sizeof last->name, "others");
        return last;
    }
    struct kernel_use *new = &u->list[u->count++];
    snprintf(new->name, sizeof new->name, "%s", name);
    return new;
}

void kernel_uses_count(const struct ledger *l, struct kernel_uses *ret)
{
    *ret = (struct kernel_uses){0};
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        if (t->state == TRIAL_DONE && *t->kernels)
            find_use(ret, t->kernels)->trials++;
    }
}

void kernel_uses_format(const struct kernel_uses *u, struct text *out)
{
    for (int i = 0; i < u->count; i++) {
        const struct kernel_use *use = &u->list[i];
        text_append(out, "%s%s", i ? ", " : "", use->name);
        if (u->count > 1)
            text_append(out, " (%llu%s)", (unsigned long long)use->trials,
                        i == 0 ? " trials" : "");
    }
}

json_t *kernel_uses_json(const struct kernel_uses *u)
{
    json_t *o = json_object();
    for (int i = 0; o && i < u->count; i++)
        json_object_set_new(o, u->list[i].name,
                            json_integer((json_int_t)u->list[i].trials));
    return o;
}
