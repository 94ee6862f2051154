/* SPDX-License-Identifier: Apache-2.0 */
/* The automaton is drawn from part 0 of the stream, the text of part p from p + 1. How
 * often the states come is found by iterating; line ends make that converge as 0.9^n. */
#include "worker/data/text_generated.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "common/text.h"

enum { BRANCHES = 4, ROUNDS = 1000 };
static const double line_end = 0.1;

struct state {
    uint32_t word[BRANCHES], next[BRANCHES];
    double p[BRANCHES]; /* without the line end: sum 0.9 */
};

static bool is_sound(const struct text_generated *g)
{
    return g->states >= 1 && g->states <= TEXT_GENERATED_STATES &&
           g->symbols >= BRANCHES && g->symbols <= TEXT_GENERATED_SYMBOLS;
}

/* Different words for the branches of a state. */
static uint32_t draw_word(struct rng *rng, const struct state *s, int branch, int symbols)
{
    for (;;) {
        uint32_t word = rng_below(rng, (uint32_t)symbols);
        int i = 0;
        while (i < branch && s->word[i] != word)
            i++;
        if (i == branch)
            return word;
    }
}

/* Caller frees; NULL when memory is gone. */
static struct state *draw(const struct text_generated *g)
{
    struct state *states = calloc((size_t)g->states, sizeof *states);
    struct rng rng;
    rng_init(&rng, g->seed, RNG_DATA_GENERATE, 0);
    for (int s = 0; states && s < g->states; s++) {
        double sum = 0;
        for (int b = 0; b < BRANCHES; b++) {
            states[s].word[b] = draw_word(&rng, &states[s], b, g->symbols);
            states[s].next[b] = rng_below(&rng, (uint32_t)g->states);
            sum += states[s].p[b] = 1 + rng_below(&rng, 16);
        }
        for (int b = 0; b < BRANCHES; b++)
            states[s].p[b] *= (1 - line_end) / sum;
    }
    return states;
}

static void write_word(const struct state *states, struct rng *rng, size_t *at,
                       struct text *out)
{
    const struct state *s = &states[*at];
    double u = rng_double(rng) - line_end;
    int b = 0;
    if (u < 0) {
        text_append(out, "\n");
        *at = 0;
        return;
    }
    while (b < BRANCHES - 1 && u >= s->p[b])
        u -= s->p[b++];
    text_append(out, "w%u ", s->word[b]);
    *at = s->next[b];
}

int text_generated_write(const struct text_generated *g, int part, size_t words,
                         char **ret, size_t *ret_size, struct error *err)
{
    struct text out;
    struct rng rng;
    size_t at = 0;
    if (!is_sound(g))
        return error_set(
            err, ERROR_INPUT,
            "task.data: %d states and %d words; allowed are 1 to %d and %d to "
            "%d",
            g->states, g->symbols, TEXT_GENERATED_STATES, BRANCHES,
            TEXT_GENERATED_SYMBOLS);
    struct state *states = draw(g);
    text_init(&out);
    rng_init(&rng, g->seed, RNG_DATA_GENERATE, (uint64_t)part + 1);
    for (size_t i = 0; states && i + 1 < words; i++)
        write_word(states, &rng, &at, &out);
    text_append(&out, "\n");
    size_t size = out.size;
    char *text = text_take(&out);
    bool ok = states && text;
    free(states);
    if (!ok) {
        free(text);
        return error_set(err, ERROR_SYSTEM, "task.data: out of memory for a text");
    }
    *ret = text;
    *ret_size = size;
    return 0;
}

double text_generated_entropy(const struct text_generated *g)
{
    struct state *states = is_sound(g) ? draw(g) : NULL;
    double pi[TEXT_GENERATED_STATES] = {1}, entropy = 0;
    if (!states)
        return NAN;
    for (int round = 0; round < ROUNDS; round++) {
        double next[TEXT_GENERATED_STATES] = {line_end};
        for (int s = 0; s < g->states; s++)
            for (int b = 0; b < BRANCHES; b++)
                next[states[s].next[b]] += pi[s] * states[s].p[b];
        memcpy(pi, next, sizeof pi);
    }
    for (int s = 0; s < g->states; s++)
        for (int b = 0; b < BRANCHES; b++)
            entropy -= pi[s] * states[s].p[b] * log(states[s].p[b]);
    free(states);
    return entropy - line_end * log(line_end);
}
