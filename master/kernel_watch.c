/* SPDX-License-Identifier: Apache-2.0 */
/* With the built-in trainer everything is known once the ranks are placed; a trainer of
 * the user's own says what it computes with at its first result. Both come through the
 * same call, which costs one comparison a trial. What to pin follows from the order of
 * the choices: a processor that can use one can use all that come after it. */
#include "master/kernel_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kernel_names.h"

enum { RANKS_NAMED = 4 };

int kernel_watch_init(struct kernel_watch *w, const struct ledger *l, int ranks,
                      struct error *err)
{
    *w = (struct kernel_watch){.ranks = ranks};
    kernel_uses_count(l, &w->earlier);
    w->of_rank = calloc((size_t)ranks + 1, 1);
    return w->of_rank ? 0 : error_set(err, ERROR_SYSTEM, "no memory for %d ranks", ranks);
}

void kernel_watch_fini(struct kernel_watch *w)
{
    free(w->of_rank);
    w->of_rank = NULL;
}

/* Index of a name; -1 when it is not known or there is no room for another. */
static int find_name(const struct kernel_watch *w, const char *kernels)
{
    for (int i = 0; i < w->count; i++)
        if (strcmp(w->names[i], kernels) == 0)
            return i;
    return -1;
}

static bool others_are_known(const struct kernel_watch *w, const char *kernels)
{
    for (int i = 0; i < w->earlier.count; i++)
        if (strcmp(w->earlier.list[i].name, kernels) != 0)
            return true;
    return w->count > 1;
}

bool kernel_watch_note(struct kernel_watch *w, int rank, const char *kernels)
{
    if (rank < 0 || rank >= w->ranks)
        return false;
    if (w->of_rank[rank] > 0 && strcmp(w->names[w->of_rank[rank] - 1], kernels) == 0)
        return false;
    int index = find_name(w, kernels);
    bool fresh = index < 0 && w->count < KERNEL_USES_MAX;
    if (fresh) {
        index = w->count++;
        snprintf(w->names[index], sizeof w->names[index], "%s", kernels);
    }
    w->of_rank[rank] = (uint8_t)(index + 1);
    return fresh && others_are_known(w, kernels);
}

static const char *host_of(const struct placement *p, int rank)
{
    for (int i = 0; p && i < p->count; i++)
        if (p->slots[i].rank == rank)
            return p->slots[i].host;
    return NULL;
}

static void format_ranks(const struct kernel_watch *w, int index,
                         const struct placement *p, struct text *out)
{
    int named = 0, more = 0;
    for (int rank = 0; rank < w->ranks; rank++) {
        if (w->of_rank[rank] != index + 1)
            continue;
        const char *host = host_of(p, rank);
        if (named == RANKS_NAMED)
            more++;
        else
            text_append(out, "%srank %d%s%s%s", named++ ? ", " : " on ", rank,
                        host ? " (" : "", host ? host : "", host ? ")" : "");
    }
    if (more > 0)
        text_append(out, " and %d more", more);
}

/* Place among the choices of the key; -1: it is none of them. */
static int choice_of(const char *name)
{
    for (int i = KERNELS_AUTO + 1; i <= KERNELS_GENERIC; i++)
        if (strcmp(config_choice_name("trainer.builtin.kernels", i), name) == 0)
            return i;
    return -1;
}

/* The choice that everybody in question can use; KERNELS_AUTO when there is none. */
static int common_choice(const struct kernel_watch *w)
{
    int slowest = KERNELS_AUTO;
    for (int i = 0; i < w->count + w->earlier.count; i++) {
        int choice =
            choice_of(i < w->count ? w->names[i] : w->earlier.list[i - w->count].name);
        if (choice < 0)
            return KERNELS_AUTO;
        slowest = choice > slowest ? choice : slowest;
    }
    return slowest;
}

static void format_key(const struct kernel_watch *w, const struct config *config,
                       struct text *out)
{
    int choice = common_choice(w);
    if (config->trainer.command_count > 0 || choice == KERNELS_AUTO ||
        choice == config->trainer.builtin.kernels)
        return;
    text_append(out, "; trainer.builtin.kernels: %s makes them the same",
                config_choice_name("trainer.builtin.kernels", choice));
}

void kernel_watch_format(const struct kernel_watch *w, const struct placement *p,
                         const struct config *config, struct text *out)
{
    text_append(out, "kernels differ, and with them the last bits of results: ");
    for (int i = 0; i < w->count; i++) {
        text_append(out, "%s%s", i ? "; " : "", *w->names[i] ? w->names[i] : "not told");
        format_ranks(w, i, p, out);
    }
    if (w->earlier.count > 0) {
        text_append(out, "; earlier sessions ");
        kernel_uses_format(&w->earlier, out);
    }
    format_key(w, config, out);
}
