/* SPDX-License-Identifier: Apache-2.0 */
/* The spaces there are, and what is the same for all of them: dispatch through the table,
 * walking the decisions to sample and to validate, the frame of the JSON. */
#include "common/space/space.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/space/space_ops.h"

static const struct space_ops *const spaces[] = {
    [SPACE_CONV_CHAIN] = &conv_chain_space_ops,
    [SPACE_RNN_DAG] = &rnn_dag_space_ops,
    [SPACE_RNN_TREE] = &rnn_tree_space_ops,
};
enum { SPACES = sizeof spaces / sizeof spaces[0] };

int space_new(const struct config *config, struct space **ret, struct error *err)
{
    int name = config->space.name;
    if (name < 0 || name >= SPACES)
        return error_set(err, ERROR_INPUT, "space.name: there is no space number %d",
                         name);
    return spaces[name]->new (config, ret, err);
}

void space_free(struct space *space)
{
    if (space)
        space->ops->free(space);
}

const char *space_name(const struct space *space)
{
    return space->ops->name;
}

const char *space_units(const struct space *space)
{
    return space->ops->units;
}

enum space_input space_reads(const struct space *space)
{
    return space->ops->input;
}

enum space_input space_reads_of(int name)
{
    assert(name >= 0 && name < SPACES);
    return spaces[name]->input;
}

int space_kinds(const struct space *space)
{
    return space->ops->kinds(space);
}

int space_kind_choices(const struct space *space, int kind)
{
    assert(kind >= 0 && kind < space_kinds(space));
    return space->ops->kind_choices(space, kind);
}

const char *space_kind_name(const struct space *space, int kind)
{
    assert(kind >= 0 && kind < space_kinds(space));
    return space->ops->kind_name(space, kind);
}

bool space_has_anchors(const struct space *space)
{
    return space->ops->has_anchors(space);
}

int space_min_depth(const struct space *space)
{
    return space->ops->min_depth(space);
}

int space_max_depth(const struct space *space)
{
    return space->ops->max_depth(space);
}

int space_depth(const struct space *space, uint64_t id)
{
    return space->ops->depth(space, id);
}

int space_max_tokens(const struct space *space, int depth)
{
    assert(depth >= space_min_depth(space) && depth <= space_max_depth(space));
    return space->ops->max_tokens(space, depth);
}

bool space_next(const struct space *space, const struct architecture *a,
                struct decision *ret)
{
    return space->ops->next(space, a, ret);
}

/* Tokens that a decision takes. */
static int decision_tokens(const struct decision *d)
{
    return d->type == DECISION_ANCHOR ? d->choices : 1;
}

static int check_tokens(const struct space *space, const struct architecture *a,
                        const struct decision *d, int first, struct error *err)
{
    int values = d->type == DECISION_ANCHOR ? 2 : d->choices;
    const char *what = d->type == DECISION_ANCHOR    ? "anchor"
                       : d->type == DECISION_POINTER ? "previous node"
                                                     : space_kind_name(space, d->kind);
    for (int i = first; i < first + decision_tokens(d); i++)
        if (i >= a->count)
            return error_set(
                err, ERROR_INPUT,
                "architecture: %d tokens, but token %d (%s %d, %s) is missing", a->count,
                i, space->ops->unit, d->layer, what);
        else if (a->tokens[i] >= values)
            return error_set(
                err, ERROR_INPUT,
                "architecture: token %d (%s %d, %s) is %d, allowed are 0 to %d", i,
                space->ops->unit, d->layer, what, a->tokens[i], values - 1);
    return 0;
}

int space_validate(const struct space *space, const struct architecture *a,
                   struct error *err)
{
    struct decision d;
    int flattest = space_min_depth(space), deepest = space_max_depth(space);
    if (a->depth < flattest || a->depth > deepest)
        return error_set(err, ERROR_INPUT,
                         "architecture: depth is %d, allowed are %d to %d", a->depth,
                         flattest, deepest);
    if (a->count > ARCHITECTURE_MAX_TOKENS)
        return error_set(err, ERROR_INPUT, "architecture: %d tokens, allowed are %d",
                         a->count, ARCHITECTURE_MAX_TOKENS);
    struct architecture walked;
    architecture_copy(a, &walked);
    walked.count = 0;
    while (space->ops->next(space, &walked, &d)) {
        int status = check_tokens(space, a, &d, walked.count, err);
        if (status)
            return status;
        walked.count = (uint16_t)(walked.count + decision_tokens(&d));
    }
    if (a->count != walked.count)
        return error_set(err, ERROR_INPUT,
                         "architecture: %d tokens, a depth of %d takes %d", a->count,
                         a->depth, walked.count);
    return 0;
}

void space_sample(const struct space *space, int depth, struct rng *rng,
                  struct architecture *ret)
{
    struct decision d;
    assert(depth >= space_min_depth(space) && depth <= space_max_depth(space));
    *ret = (struct architecture){.depth = (uint16_t)depth};
    while (space->ops->next(space, ret, &d)) {
        uint32_t values = d.type == DECISION_ANCHOR ? 2 : (uint32_t)d.choices;
        for (int i = decision_tokens(&d); i > 0; i--)
            ret->tokens[ret->count++] = (uint16_t)rng_below(rng, values);
    }
}

struct architecture_hash space_hash(const struct space *space,
                                    const struct architecture *a)
{
    uint8_t memory[SPACE_CANONICAL_SIZE]; /* never grows, so it cannot fail */
    struct bytes canonical = {.data = memory, .capacity = sizeof memory};
    space->ops->canonical(space, a, &canonical);
    assert(canonical.data == memory);
    return architecture_hash_bytes(&canonical);
}

double space_log10_size(const struct space *space, int depth)
{
    assert(depth >= space_min_depth(space) && depth <= space_max_depth(space));
    return space->ops->log10_size(space, depth);
}

struct space_cost space_cost(const struct space *space, const struct architecture *a,
                             const struct space_task *task)
{
    return space->ops->cost(space, a, task);
}

struct space_task space_task_of(const struct config *config,
                                const struct data_facts *facts)
{
    return (struct space_task){.height = facts->height,
                               .width = facts->width,
                               .channels = facts->channels,
                               .classes = facts->classes,
                               .vocabulary = facts->vocabulary,
                               .hidden = config->trainer.builtin.hidden};
}

bool space_knows_cost(const struct space *space, const struct space_task *task)
{
    return space_reads(space) == SPACE_INPUT_TEXT ? task->vocabulary > 0
                                                  : task->height > 0;
}

struct space_task space_task_to_compare(const struct space *space,
                                        const struct config *config,
                                        const struct data_facts *facts)
{
    struct space_task task = space_task_of(config, facts);
    if (space_knows_cost(space, &task))
        return task;
    task.height = task.width = 32;
    task.channels = 3;
    task.classes = 10;
    task.vocabulary = 10000;
    return task;
}

struct space_cost space_cost_of_cell(int matrices, const struct space_task *task)
{
    double h = task->hidden, v = task->vocabulary;
    return (struct space_cost){.params = matrices * h * h + v * h,
                               .flops = 2 * (matrices * h * h + v * h)};
}

json_t *space_to_json(const struct space *space, const struct architecture *a)
{
    json_t *tokens = json_array();
    json_t *object = json_pack("{s:s, s:O, s:i}", "space", space->ops->name, "tokens",
                               tokens, "depth", (int)a->depth);
    bool ok = tokens && object;
    for (int i = 0; ok && i < a->count; i++)
        ok = json_array_append_new(tokens, json_integer(a->tokens[i])) == 0;
    ok = ok && space->ops->to_json(space, a, object);
    json_decref(tokens);
    if (ok)
        return object;
    json_decref(object);
    return NULL;
}

int space_from_json(const struct space *space, const json_t *json,
                    struct architecture *ret, struct error *err)
{
    struct architecture a = {0};
    if (!space->ops->from_json)
        return error_set(err, ERROR_INPUT, "architecture: those of %s are not read back",
                         space->ops->name);
    int status = space->ops->from_json(space, json, &a, err);
    if (status == 0)
        status = space_validate(space, &a, err);
    if (status == 0)
        architecture_copy(&a, ret);
    return status;
}

static char *drawn(const struct space *space, const struct architecture *a,
                   void (*write)(const struct diagram *d, struct text *out))
{
    struct diagram d;
    struct text out;
    diagram_init(&d, space_reads(space) == SPACE_INPUT_TEXT ? "cell" : "child");
    space->ops->draw(space, a, &d);
    text_init(&out);
    write(&d, &out);
    diagram_fini(&d);
    return text_take(&out);
}

char *space_to_dot(const struct space *space, const struct architecture *a)
{
    return drawn(space, a, diagram_to_dot);
}

char *space_to_svg(const struct space *space, const struct architecture *a)
{
    return drawn(space, a, diagram_to_svg);
}

bool space_has_equations(const struct space *space)
{
    return space->ops->to_equations != NULL;
}

char *space_to_equations(const struct space *space, const struct architecture *a)
{
    return space_has_equations(space) ? space->ops->to_equations(space, a) : NULL;
}

void space_cut_text(struct text *from, char *text, unsigned size)
{
    char *made = text_take(from);
    if (size > 0 && snprintf(text, size, "%s", made ? made : "...") >= (int)size &&
        size > 4)
        memcpy(text + size - 4, "...", 4);
    free(made);
}

void space_describe(const struct space *space, const struct architecture *a, char *text,
                    unsigned size)
{
    space->ops->describe(space, a, text, size);
}
