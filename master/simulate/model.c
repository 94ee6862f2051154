/* SPDX-License-Identifier: Apache-2.0 */
/* The made-up accuracy has a smooth part, the mean size of the numbers in the
 * architecture (filters, their heights and widths), which a search can climb, and a part
 * that looks like chance but hangs on the architecture. The sizes say nothing about real
 * networks. */
#include "master/simulate/model.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"

enum { SAMPLES = 1001 };

static const struct {
    const char *name, *arguments;
    int count;
    bool second_is_number; /* and not a time */
} kinds[] = {{"constant", "TIME", 1, false},
             {"lognormal", "MEDIAN,SIGMA", 2, true},
             {"uniform", "LEAST,MOST", 2, false},
             {"exponential", "MEAN", 1, false},
             {"flops", "MEDIAN,SIGMA", 2, true}};

static int bad_duration(const char *text, struct error *err)
{
    return error_set(
        err, ERROR_USAGE,
        "--duration is '%.60s'; allowed: constant:TIME, lognormal:MEDIAN,SIGMA, "
        "uniform:LEAST,MOST, exponential:MEAN or flops:MEDIAN,SIGMA, with times such as "
        "90, "
        "5m or 2h",
        text);
}

static bool parse_arguments(const char *text, int kind, struct model *ret)
{
    char copy[128];
    snprintf(copy, sizeof copy, "%s", text);
    char *comma = strchr(copy, ',');
    if ((comma != NULL) != (kinds[kind].count == 2))
        return false;
    if (comma)
        *comma++ = '\0';
    if (!text_parse_duration(copy, &ret->a) || !(ret->a >= 0))
        return false;
    if (!comma)
        return true;
    return (kinds[kind].second_is_number ? text_parse_double(comma, &ret->b)
                                         : text_parse_duration(comma, &ret->b)) &&
           ret->b >= 0;
}

int model_parse(const char *text, struct model *ret, struct error *err)
{
    struct model m = {0};
    for (int kind = MODEL_CONSTANT; kind <= MODEL_FLOPS; kind++) {
        size_t size = strlen(kinds[kind].name);
        if (strncmp(text, kinds[kind].name, size) != 0 || text[size] != ':')
            continue;
        m.kind = (enum model_kind)kind;
        if (!parse_arguments(text + size + 1, kind, &m))
            return bad_duration(text, err);
        if (kind == MODEL_UNIFORM && m.b < m.a)
            return bad_duration(text, err);
        *ret = m;
        return 0;
    }
    return bad_duration(text, err);
}

/* FNV-1a. */
static uint64_t key_of(const char *text)
{
    uint64_t key = 0xcbf29ce484222325u;
    for (; *text; text++)
        key = (key ^ (uint8_t)*text) * 0x100000001b3u;
    return key;
}

static int by_key(const void *a, const void *b)
{
    const struct model_entry *x = a, *y = b;
    return (x->key > y->key) - (x->key < y->key);
}

static int add_trial(struct model *m, const struct space *space, const struct trial *t,
                     struct error *err)
{
    if (t->state != TRIAL_DONE || !isfinite(t->seconds) || !isfinite(t->val_accuracy))
        return 0;
    json_t *json = space_to_json(space, t->architecture);
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    json_decref(json);
    if (!text)
        return error_set(err, ERROR_SYSTEM, "no memory for the trials of a run");
    m->entries[m->count++] = (struct model_entry){
        .key = key_of(text), .seconds = t->seconds, .accuracy = t->val_accuracy};
    free(text);
    return 0;
}

int model_from_run(struct engine *run, struct model *ret, struct error *err)
{
    const struct ledger *l = engine_ledger(run);
    uint64_t count = ledger_count(l);
    struct model m = {.kind = MODEL_RECORDED,
                      .entries = calloc(count + 1, sizeof *m.entries)};
    int status = m.entries ? 0 : error_set(err, ERROR_SYSTEM, "no memory for a run");
    for (uint64_t id = 0; id < count && status == 0; id++)
        status = add_trial(&m, engine_space(run), ledger_trial(l, id), err);
    if (status == 0 && m.count == 0)
        status = error_set(err, ERROR_INPUT,
                           "no trial of the run has a result, so there are "
                           "no durations to replay; give --duration");
    if (status != 0) {
        model_fini(&m);
        return status;
    }
    qsort(m.entries, m.count, sizeof *m.entries, by_key);
    *ret = m;
    return 0;
}

void model_fini(struct model *m)
{
    free(m->entries);
    space_free(m->space);
    *m = (struct model){0};
}

void model_format(const struct model *m, struct text *out)
{
    char a[32], b[32];
    text_format_duration(m->a, a, sizeof a);
    text_format_duration(m->b, b, sizeof b);
    switch (m->kind) {
    case MODEL_CONSTANT:
        text_append(out, "%s each", a);
        return;
    case MODEL_LOGNORMAL:
        text_append(out, "lognormal, median %s, sigma %g", a, m->b);
        return;
    case MODEL_UNIFORM:
        text_append(out, "uniform, %s to %s", a, b);
        return;
    case MODEL_EXPONENTIAL:
        text_append(out, "exponential, mean %s", a);
        return;
    case MODEL_FLOPS:
        text_append(out, "by FLOPs, median %s, sigma %g", a, m->b);
        return;
    case MODEL_RECORDED:
        text_append(out, "as recorded, %zu trials", m->count);
    }
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double count_flops(const struct model *m, const struct architecture *a)
{
    return space_cost(m->space, a, &m->task).flops;
}

/* FLOPs of the median of many random architectures, spread over so many trials. */
static double median_flops(const struct model *m, int64_t trials)
{
    double flops[SAMPLES];
    for (uint64_t i = 0; i < SAMPLES; i++) {
        struct architecture a;
        struct rng rng;
        uint64_t id = trials > 0 ? i * (uint64_t)trials / SAMPLES : 0;
        rng_init(&rng, 0, RNG_SIMULATION, i);
        space_sample(m->space, space_depth(m->space, id), &rng, &a);
        flops[i] = count_flops(m, &a);
    }
    qsort(flops, SAMPLES, sizeof *flops, compare);
    return flops[SAMPLES / 2];
}

int model_set_space(struct model *m, const struct config *config,
                    const struct data_facts *facts, struct error *err)
{
    if (m->kind != MODEL_FLOPS)
        return 0;
    int status = space_new(config, &m->space, err);
    if (status != 0)
        return status;
    m->task = space_task_to_compare(m->space, config, facts);
    m->scale = m->a / median_flops(m, config->search.trials);
    if (isfinite(m->scale))
        return 0;
    return error_set(err, ERROR_INPUT,
                     "--duration flops: nobody counts the FLOPs of the space %s; give "
                     "another distribution",
                     space_name(m->space));
}

/* From the tokens in what a task says; 0 for what is no architecture of the space. */
static double flops_of(const struct model *m, const char *text)
{
    json_t *json = json_loads(text, 0, NULL), *token;
    struct architecture a = {
        .depth = (uint16_t)json_integer_value(json_object_get(json, "depth"))};
    size_t i;
    json_array_foreach(json_object_get(json, "tokens"), i, token)
    {
        if (a.count < ARCHITECTURE_MAX_TOKENS)
            a.tokens[a.count++] = (uint16_t)json_integer_value(token);
    }
    json_decref(json);
    return space_validate(m->space, &a, NULL) == 0 ? count_flops(m, &a) : 0;
}

static const struct model_entry *find(const struct model *m, const char *architecture)
{
    struct model_entry wanted = {.key = key_of(architecture)};
    return m->count == 0 ? NULL
                         : bsearch(&wanted, m->entries, m->count, sizeof wanted, by_key);
}

double model_seconds(const struct model *m, uint64_t trial, const char *architecture)
{
    const struct model_entry *known = find(m, architecture);
    struct rng rng;
    if (known)
        return known->seconds;
    rng_init(&rng, m->seed, RNG_SIMULATION, trial);
    switch (m->kind) {
    case MODEL_LOGNORMAL:
        return m->a * exp(m->b * rng_normal(&rng));
    case MODEL_UNIFORM:
        return m->a + (m->b - m->a) * rng_double(&rng);
    case MODEL_EXPONENTIAL:
        return -m->a * log(1 - rng_double(&rng));
    case MODEL_FLOPS:
        return m->scale * flops_of(m, architecture) * exp(m->b * rng_normal(&rng));
    case MODEL_RECORDED:
        return m->entries[rng_below(&rng, (uint32_t)m->count)].seconds;
    default:
        return m->a;
    }
}

/* Mean of n / (n + 8) over the numbers in the text. */
static double smooth_part(const char *text)
{
    double sum = 0;
    int count = 0;
    while (*text) {
        if (!isdigit((unsigned char)*text)) {
            text++;
            continue;
        }
        char *end;
        double n = strtod(text, &end);
        sum += n / (n + 8);
        count++;
        text = end;
    }
    return count > 0 ? sum / count : 0.5;
}

double model_accuracy(const struct model *m, const char *architecture)
{
    const struct model_entry *known = find(m, architecture);
    uint32_t random[4];
    if (known)
        return known->accuracy;
    rng_block(m->seed, RNG_SIMULATION, key_of(architecture), UINT32_MAX, random);
    double chance = random[0] / 4294967296.0;
    return 0.1 + 0.6 * smooth_part(architecture) + 0.2 * chance;
}
