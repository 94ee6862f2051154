/* SPDX-License-Identifier: Apache-2.0 */
/* What a file of a pool holds, and whose it is; the files themselves are step_files.c's.
 */
#include "worker/pool_file.h"

#include <string.h>

#include "worker/step_files.h"

enum { CHUNK = 1 << 16 /* floats */ };

static void add_facts(const struct pool *p, struct step_contents *c)
{
    const struct language_settings *s = &p->settings.language;
    const struct step_fact facts[] = {
        {"version", POOL_FILE_VERSION},
        {"seed", p->language.seed},
        {"vocabulary", (uint64_t)p->language.corpus->vocabulary},
        {"words", p->language.corpus->parts[CORPUS_TRAIN].count},
        {"hidden", (uint64_t)s->hidden},
        {"nodes", (uint64_t)p->settings.nodes},
        {"batch", (uint64_t)s->batch},
        {"samples", (uint64_t)p->settings.samples},
        {"sync", (uint64_t)p->settings.sync},
    };
    memcpy(c->facts, facts, sizeof facts);
    c->fact_count = sizeof facts / sizeof *facts;
}

static struct step_contents contents_of(const struct pool *p)
{
    const struct language_settings *s = &p->settings.language;
    struct step_contents c = {.array_count = 2};
    add_facts(p, &c);
    c.arrays[0] = (struct step_array){.name = "parameters",
                                      .rank = 1,
                                      .size = {recurrent_count(p->language.model)},
                                      .chunk = CHUNK,
                                      .values = p->language.parameters};
    c.arrays[1] = (struct step_array){
        .name = "states",
        .rank = 3,
        .size = {(size_t)p->settings.samples, (size_t)s->batch, (size_t)s->hidden},
        .chunk = 1,
        .values = p->states};
    return c;
}

int pool_file_write(const char *folder, const struct pool *p, struct error *err)
{
    struct step_contents c = contents_of(p);
    return step_files_write(folder, p->step, &c, err);
}

int pool_file_read(const char *folder, uint64_t least, uint64_t step, struct pool *p,
                   void (*warn)(const char *text))
{
    struct step_contents c = contents_of(p);
    uint64_t found = 0;
    bool changed = false;
    if (step_files_read(folder, least, step, &c, warn, &found, &changed)) {
        p->step = found;
        pool_begin(p);
        return 1;
    }
    if (changed)
        pool_restart(p);
    return 0;
}
