/* SPDX-License-Identifier: Apache-2.0 */
/* What a file of a relaxed cell holds, and whose it is. */
#include "worker/relaxed_pool_file.h"

#include <string.h>

#include "worker/step_files.h"

enum { CHUNK = 1 << 16 /* floats */ };

static void add_facts(const struct relaxed_pool *p, struct step_contents *c)
{
    const struct language_settings *s = &p->settings.language;
    const struct step_fact facts[] = {
        {"version", RELAXED_POOL_FILE_VERSION},
        {"seed", p->seed},
        {"vocabulary", (uint64_t)p->corpus->vocabulary},
        {"words", p->corpus->parts[CORPUS_TRAIN].count},
        {"validation_words", p->corpus->parts[CORPUS_VALIDATION].count},
        {"hidden", (uint64_t)s->hidden},
        {"relaxed_nodes", (uint64_t)p->settings.nodes},
        {"batch", (uint64_t)s->batch},
        {"order", (uint64_t)p->settings.order},
    };
    memcpy(c->facts, facts, sizeof facts);
    c->fact_count = sizeof facts / sizeof *facts;
}

static void add(struct step_contents *c, const char *name, size_t rows, size_t columns,
                float *values)
{
    c->arrays[c->array_count++] = (struct step_array){.name = name,
                                                      .rank = columns ? 2 : 1,
                                                      .size = {rows, columns},
                                                      .chunk = CHUNK,
                                                      .values = values};
}

/* updates: where that number is read from or written to. */
static struct step_contents contents_of(const struct relaxed_pool *p, uint64_t *updates)
{
    const struct language_settings *s = &p->settings.language;
    size_t edges = relaxed_edges(p->settings.nodes);
    size_t batch = (size_t)s->batch, hidden = (size_t)s->hidden;
    struct step_contents c = {.numbers = {{"updates", updates}}, .number_count = 1};
    add_facts(p, &c);
    add(&c, "parameters", relaxed_count(p->model), 0, p->parameters);
    add(&c, "alpha", edges, RELAXED_OPERATIONS, p->alpha);
    add(&c, "alpha_first", edges, RELAXED_OPERATIONS, p->adam.m);
    add(&c, "alpha_second", edges, RELAXED_OPERATIONS, p->adam.v);
    add(&c, "train_state", batch, hidden, p->train_state);
    add(&c, "valid_state", batch, hidden, p->valid_state);
    return c;
}

int relaxed_pool_file_write(const char *folder, const struct relaxed_pool *p,
                            struct error *err)
{
    uint64_t updates = p->adam.step;
    struct step_contents c = contents_of(p, &updates);
    return step_files_write(folder, p->step, &c, err);
}

int relaxed_pool_file_read(const char *folder, uint64_t least, uint64_t step,
                           struct relaxed_pool *p, void (*warn)(const char *text))
{
    uint64_t updates = 0, found = 0;
    struct step_contents c = contents_of(p, &updates);
    bool changed = false;
    if (step_files_read(folder, least, step, &c, warn, &found, &changed)) {
        p->step = found;
        p->adam.step = updates;
        return 1;
    }
    if (changed)
        relaxed_pool_restart(p);
    return 0;
}
