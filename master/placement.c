/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of cores are hwloc bitmaps, which read and write the lists ("0-3,8") that agents
 * report. Hosts are handled one after the other: first the cores are divided among the
 * ranks of the host, then each rank's part is cut into slots. */
#include "master/placement.h"

#include <hwloc.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/kernel_names.h"
#include "common/text.h"

enum { PLACEMENT_MAX_DEVICES = 64 };

/* What one rank may use after the host was divided. */
struct share {
    int rank;
    const struct message_hello *hello;
    hwloc_bitmap_t given, own; /* as reported; after dividing */
    char devices[PLACEMENT_MAX_DEVICES][64];
    int device_count;
    int peers, position; /* ranks of this host; which of them this is */
    int slots;
    char kernels[TRIAL_KERNELS];
};

static int list_devices(const char *text, char ret[][64])
{
    int count = 0;
    while (*text && count < PLACEMENT_MAX_DEVICES) {
        size_t size = strcspn(text, ",");
        if (size > 0 && size < 64) {
            memcpy(ret[count], text, size);
            ret[count++][size] = '\0';
        }
        text += size + (text[size] == ',');
    }
    return count;
}

static void shares_fini(struct share *s, int count)
{
    for (int i = 0; s && i < count; i++) {
        hwloc_bitmap_free(s[i].given);
        hwloc_bitmap_free(s[i].own);
    }
    free(s);
}

static int shares_init(const struct placement_worker *w, int count, struct share **ret,
                       struct error *err)
{
    struct share *s = calloc((size_t)count + 1, sizeof *s);
    if (!s)
        return error_set(err, ERROR_SYSTEM, "no memory for %d ranks", count);
    for (int i = 0; i < count; i++) {
        s[i].rank = w[i].rank;
        s[i].hello = w[i].hello;
        s[i].given = hwloc_bitmap_alloc();
        s[i].own = hwloc_bitmap_alloc();
        if (!s[i].given || !s[i].own ||
            hwloc_bitmap_list_sscanf(s[i].given, w[i].hello->cpus) != 0 ||
            hwloc_bitmap_weight(s[i].given) < 0) {
            shares_fini(s, count);
            return error_set(err, ERROR_PEER, "rank %d: '%.100s' is no list of cores",
                             w[i].rank, w[i].hello->cpus);
        }
    }
    *ret = s;
    return 0;
}

static int by_host(const void *a, const void *b)
{
    const struct share *x = a, *y = b;
    int order = strcmp(x->hello->host, y->hello->host);
    return order != 0 ? order : (x->rank > y->rank) - (x->rank < y->rank);
}

static int by_rank(const void *a, const void *b)
{
    const struct share *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

/* Of two that have equally many cores, the one that was given fewer has fewer to come. */
static bool lacks_more(const struct share *a, const struct share *b)
{
    int own = hwloc_bitmap_weight(a->own) - hwloc_bitmap_weight(b->own);
    return own < 0 ||
           (own == 0 && hwloc_bitmap_weight(a->given) < hwloc_bitmap_weight(b->given));
}

/* Give core `cpu` to the rank that may use it and lacks it most. Ranks that were given
 * the same cores get blocks that hang together: the fill order follows the ranks. */
static void divide_cores(struct share *s, int count)
{
    hwloc_bitmap_t all = hwloc_bitmap_alloc();
    unsigned cpu;
    bool alike = true;
    for (int i = 0; i < count; i++) {
        alike = alike && hwloc_bitmap_isequal(s->given, s[i].given);
        hwloc_bitmap_or(all, all, s[i].given);
    }
    int total = hwloc_bitmap_weight(all), index = 0;
    hwloc_bitmap_foreach_begin(cpu, all)
    {
        struct share *best = NULL;
        for (int i = 0; i < count; i++) {
            if (!hwloc_bitmap_isset(s[i].given, cpu))
                continue;
            bool turn = index * s[i].peers / total == s[i].position;
            if (alike ? turn : !best || lacks_more(&s[i], best))
                best = &s[i];
        }
        if (best)
            hwloc_bitmap_set(best->own, cpu);
        index++;
    }
    hwloc_bitmap_foreach_end();
    hwloc_bitmap_free(all);
}

/* Devices that several ranks report are dealt out in turn. */
static void divide_devices(struct share *s, int count)
{
    for (int i = 0; i < count; i++) {
        char all[PLACEMENT_MAX_DEVICES][64];
        int n, sharers = 0, position = 0;
        for (int j = 0; j < count; j++) {
            bool same = strcmp(s[i].hello->gpus, s[j].hello->gpus) == 0;
            sharers += same;
            position += same && j < i;
        }
        n = list_devices(s[i].hello->gpus, all);
        for (int k = 0; k < n; k++)
            if (k * sharers / n == position)
                memcpy(s[i].devices[s[i].device_count++], all[k], 64);
    }
}

/* Host after host, so that the work grows with the ranks of one host and not with all. */
static void divide_hosts(struct share *s, int count)
{
    qsort(s, (size_t)count, sizeof *s, by_host);
    for (int first = 0, end; first < count; first = end) {
        for (end = first; end < count; end++)
            if (strcmp(s[end].hello->host, s[first].hello->host) != 0)
                break;
        for (int i = first; i < end; i++) {
            s[i].peers = end - first;
            s[i].position = i - first;
        }
        divide_cores(s + first, end - first);
        divide_devices(s + first, end - first);
    }
    qsort(s, (size_t)count, sizeof *s, by_rank);
}

static int minimum(int a, int b)
{
    return a < b ? a : b;
}

/* Cores after the quota of the control group, which all ranks of a host share. Rounded as
 * divide_cores does, so that of few cores the same ranks get both core and quota. */
static int usable_cores(const struct share *s)
{
    int cores = hwloc_bitmap_weight(s->own), limit = s->hello->cpu_limit;
    if (limit <= 0)
        return cores;
    int up_to = (limit * (s->position + 1) + s->peers - 1) / s->peers;
    int before = (limit * s->position + s->peers - 1) / s->peers;
    return minimum(cores, up_to - before);
}

static int count_slots(const struct config *c, struct share *s, struct error *err)
{
    const struct config_resources *r = &c->resources;
    int cores = usable_cores(s), wanted = c->run.slots;
    int fit = cores / r->threads_per_trial;
    if (r->oversubscribe && wanted == 0)
        fit = fit > 0 ? fit : 1;
    else if (r->oversubscribe)
        fit = wanted;
    if (r->gpus_per_trial > 0)
        fit = minimum(fit, s->device_count / r->gpus_per_trial);
    if (wanted == 0 && r->memory_per_trial > 0 && s->hello->memory > 0) {
        int64_t room = s->hello->memory / s->peers / r->memory_per_trial;
        fit = room < fit ? (int)room : fit;
    }
    fit = minimum(fit, MESSAGE_MAX_SLOTS);
    if (wanted > fit)
        return error_set(
            err, ERROR_INPUT,
            "rank %d on %s: run.slots %d x (threads_per_trial %d, gpus_per_trial %d) "
            "need %d "
            "cores and %d devices, but it may use %d and %d; lower run.slots, let the "
            "launcher give more, or set resources.oversubscribe: true",
            s->rank, s->hello->host, wanted, r->threads_per_trial, r->gpus_per_trial,
            wanted * r->threads_per_trial, wanted * r->gpus_per_trial, cores,
            s->device_count);
    s->slots = wanted > 0 ? wanted : fit;
    return 0;
}

/* NUMA node that holds all of `cpus`, from "0:0-3;1:4-7"; -1: none. */
static int numa_of(const char *numa, hwloc_const_bitmap_t cpus)
{
    char copy[sizeof((struct message_hello *)0)->numa], *save = NULL;
    hwloc_bitmap_t node = hwloc_bitmap_alloc();
    int found = -1;
    snprintf(copy, sizeof copy, "%s", numa);
    for (char *part = strtok_r(copy, ";", &save); part && node && found < 0;
         part = strtok_r(NULL, ";", &save)) {
        char *colon = strchr(part, ':');
        if (colon && hwloc_bitmap_list_sscanf(node, colon + 1) == 0 &&
            hwloc_bitmap_isincluded(cpus, node))
            found = atoi(part);
    }
    hwloc_bitmap_free(node);
    return found;
}

/* An external trainer computes with what it likes, and says so itself. */
static int pick_kernels(const struct config *c, struct share *s, struct error *err)
{
    if (c->trainer.command_count > 0)
        return 0;
    int status = kernel_names_pick(c, s->hello->kernels, s->kernels, err);
    return status ? error_prefix(err, "rank %d on %s", s->rank, s->hello->host) : 0;
}

static void fill_slot(const struct config *c, const struct share *s, int slot,
                      struct placement_slot *ret)
{
    int threads = c->resources.threads_per_trial, gpus = c->resources.gpus_per_trial;
    hwloc_bitmap_t cpus = hwloc_bitmap_alloc();
    *ret = (struct placement_slot){.rank = s->rank, .slot = slot, .where.numa = -1};
    snprintf(ret->host, sizeof ret->host, "%s", s->hello->host);
    snprintf(ret->kernels, sizeof ret->kernels, "%s", s->kernels);
    if (!c->resources.oversubscribe && cpus) {
        unsigned cpu;
        int index = 0;
        hwloc_bitmap_foreach_begin(cpu, s->own)
        {
            if (index++ / threads == slot)
                hwloc_bitmap_set(cpus, cpu);
        }
        hwloc_bitmap_foreach_end();
        hwloc_bitmap_list_snprintf(ret->where.cpus, sizeof ret->where.cpus, cpus);
        ret->where.numa = numa_of(s->hello->numa, cpus);
    }
    hwloc_bitmap_free(cpus);
    for (int i = 0; i < gpus; i++) {
        size_t used = strlen(ret->where.devices);
        snprintf(ret->where.devices + used, sizeof ret->where.devices - used, "%s%s",
                 used ? "," : "", s->devices[slot * gpus + i]);
    }
}

static int fill_table(const struct config *c, const struct share *s, int count,
                      struct placement *ret, struct error *err)
{
    int total = 0, cores = 0;
    for (int i = 0; i < count; i++) {
        total += s[i].slots;
        cores += usable_cores(&s[i]);
    }
    if (total == 0)
        return error_set(
            err, ERROR_INPUT,
            "no rank can run a trial: each needs resources.threads_per_trial %d "
            "cores and gpus_per_trial %d devices of one rank, and %d rank(s) "
            "have %d cores in all; resources.oversubscribe: true lets trials "
            "share cores",
            c->resources.threads_per_trial, c->resources.gpus_per_trial, count, cores);
    ret->slots = calloc((size_t)total, sizeof *ret->slots);
    if (!ret->slots)
        return error_set(err, ERROR_SYSTEM, "no memory for %d slots", total);
    ret->count = 0;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < s[i].slots; k++)
            fill_slot(c, &s[i], k, &ret->slots[ret->count++]);
    return 0;
}

int placement_make(const struct config *config, const struct placement_worker *workers,
                   int count, struct placement *ret, struct error *err)
{
    struct share *s = NULL;
    struct placement made = {0};
    int status = shares_init(workers, count, &s, err);
    if (status != 0)
        return status;
    divide_hosts(s, count);
    for (int i = 0; i < count && status == 0; i++)
        status = pick_kernels(config, &s[i], err);
    for (int i = 0; i < count && status == 0; i++)
        status = count_slots(config, &s[i], err);
    if (status == 0)
        status = fill_table(config, s, count, &made, err);
    if (status == 0)
        status = placement_check(&made, err);
    shares_fini(s, count);
    if (status != 0) {
        placement_fini(&made);
        return status;
    }
    *ret = made;
    return 0;
}

void placement_fini(struct placement *p)
{
    free(p->slots);
    *p = (struct placement){0};
}

static bool lists_overlap(const char *a, const char *b)
{
    hwloc_bitmap_t x = hwloc_bitmap_alloc(), y = hwloc_bitmap_alloc();
    bool overlap = *a && *b && x && y && hwloc_bitmap_list_sscanf(x, a) == 0 &&
                   hwloc_bitmap_list_sscanf(y, b) == 0 && hwloc_bitmap_intersects(x, y);
    hwloc_bitmap_free(x);
    hwloc_bitmap_free(y);
    return overlap;
}

static bool devices_overlap(const char *a, const char *b)
{
    char x[PLACEMENT_MAX_DEVICES][64], y[PLACEMENT_MAX_DEVICES][64];
    int nx = list_devices(a, x), ny = list_devices(b, y);
    for (int i = 0; i < nx; i++)
        for (int j = 0; j < ny; j++)
            if (strcmp(x[i], y[j]) == 0)
                return true;
    return false;
}

static int check_pair(const struct placement_slot *a, const struct placement_slot *b,
                      struct error *err)
{
    bool cores = lists_overlap(a->where.cpus, b->where.cpus);
    if (!cores && !devices_overlap(a->where.devices, b->where.devices))
        return 0;
    return error_set(err, ERROR_INPUT,
                     "%s: rank %d slot %d and rank %d slot %d share %s (%s, %s)", a->host,
                     a->rank, a->slot, b->rank, b->slot, cores ? "cores" : "devices",
                     cores ? a->where.cpus : a->where.devices,
                     cores ? b->where.cpus : b->where.devices);
}

/* Slots are compared within a host only; they stand in the table by rank. */
static int slot_order(const void *a, const void *b)
{
    const struct placement_slot *x = *(const struct placement_slot *const *)a;
    const struct placement_slot *y = *(const struct placement_slot *const *)b;
    int order = strcmp(x->host, y->host);
    return order != 0 ? order : (x > y) - (x < y);
}

int placement_check(const struct placement *p, struct error *err)
{
    const struct placement_slot **s = calloc((size_t)p->count + 1, sizeof *s);
    int status = 0;
    if (!s)
        return error_set(err, ERROR_SYSTEM, "no memory for %d slots", p->count);
    for (int i = 0; i < p->count; i++)
        s[i] = &p->slots[i];
    qsort(s, (size_t)p->count, sizeof *s, slot_order);
    for (int i = 0; i < p->count && status == 0; i++)
        for (int j = i - 1; j >= 0 && strcmp(s[j]->host, s[i]->host) == 0; j--)
            if ((status = check_pair(s[j], s[i], err)) != 0)
                break;
    free(s);
    return status;
}

char *placement_format(const struct placement *p)
{
    struct text t;
    text_init(&t);
    text_append(&t, "%-20s %4s %4s  %-12s %4s  %-8s %s\n", "host", "rank", "slot",
                "cores", "numa", "kernels", "devices");
    for (int i = 0; i < p->count; i++) {
        const struct placement_slot *s = &p->slots[i];
        char numa[16] = "-";
        if (s->where.numa >= 0)
            snprintf(numa, sizeof numa, "%d", s->where.numa);
        text_append(&t, "%-20s %4d %4d  %-12s %4s  %-8s %s\n", s->host, s->rank, s->slot,
                    *s->where.cpus ? s->where.cpus : "shared", numa,
                    *s->kernels ? s->kernels : "-",
                    *s->where.devices ? s->where.devices : "-");
    }
    return text_take(&t);
}

char *placement_json(const struct placement *p)
{
    json_t *list = json_array();
    for (int i = 0; list && i < p->count; i++) {
        const struct placement_slot *s = &p->slots[i];
        json_array_append_new(list, json_pack("{s:s, s:i, s:i, s:s, s:i, s:s, s:s}",
                                              "host", s->host, "rank", s->rank, "slot",
                                              s->slot, "cores", s->where.cpus, "numa",
                                              s->where.numa, "devices", s->where.devices,
                                              "kernels", s->kernels));
    }
    char *text = list ? json_dumps(list, JSON_INDENT(1)) : NULL;
    json_decref(list);
    return text;
}
