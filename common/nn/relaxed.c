/* SPDX-License-Identifier: Apache-2.0 */
/* Making a relaxed model around its core, and alpha's way into the shares and back: with
 * q = softmax(alpha) of an edge and d_o the gradient of q_o (0 for none, which adds
 * nothing),
 *
 *     dL/dalpha_o = q_o (d_o - sum over k of q_k d_k).
 *
 * d_o is summed over the steps for each column on its own, by the thread that has it, and
 * then over the columns in their order. */
#include "common/nn/relaxed_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct recurrent_options core_options(const struct relaxed_options *o,
                                             const struct recurrent_cell *chain)
{
    return (struct recurrent_options){.vocabulary = o->vocabulary,
                                      .hidden = o->hidden,
                                      .steps = o->steps,
                                      .batch = o->batch,
                                      .nodes = chain->nodes,
                                      .only = chain,
                                      .output = RECURRENT_ALL_BUT_FIRST,
                                      .norm = o->norm,
                                      .threads = o->threads,
                                      .kernels = o->kernels};
}

static void begin(struct relaxed *r, const struct relaxed_options *options)
{
    *r = (struct relaxed){.options = *options,
                          .chain = {.nodes = options->nodes + 1},
                          .edges = relaxed_edges(options->nodes)};
    for (int j = 0; j <= options->nodes; j++) {
        r->chain.activation[j] = RECURRENT_TANH;
        r->chain.previous[j] = (uint8_t)(j > 0 ? j - 1 : 0);
    }
}

/* Floats of the parameters and of a state; doubles of all columns' sums. */
static size_t count_of(const struct relaxed_options *o)
{
    size_t hidden = (size_t)o->hidden;
    return (size_t)o->vocabulary * hidden + 2 * hidden * hidden * (size_t)(o->nodes + 2);
}

static size_t state_of(const struct relaxed_options *o)
{
    return (size_t)o->batch * (size_t)o->hidden;
}

static size_t sums_of(const struct relaxed_options *o)
{
    return (size_t)o->batch * relaxed_edges(o->nodes) * RECURRENT_ACTIVATIONS;
}

size_t relaxed_bytes(const struct relaxed_options *options)
{
    struct relaxed r;
    begin(&r, options);
    struct recurrent_options core = core_options(options, &r.chain);
    size_t floats = r.edges * RELAXED_OPERATIONS;
    size_t doubles = sums_of(options) + 2 * r.edges * RELAXED_OPERATIONS;
    if (options->unrolled)
        floats += 2 * count_of(options) + state_of(options);
    return recurrent_size(&core, &r) + floats * sizeof(float) + doubles * sizeof(double) +
           sizeof r;
}

/* Everything but the core. */
static bool allocate(struct relaxed *r)
{
    const struct relaxed_options *o = &r->options;
    r->shares = malloc(r->edges * RELAXED_OPERATIONS * sizeof *r->shares);
    r->steps = malloc(2 * r->edges * RELAXED_OPERATIONS * sizeof *r->steps);
    r->sums = malloc(sums_of(o) * sizeof *r->sums);
    if (!o->unrolled)
        return r->shares && r->steps && r->sums;
    r->ahead = malloc(count_of(o) * sizeof *r->ahead);
    r->direction = malloc(count_of(o) * sizeof *r->direction);
    r->state = malloc(state_of(o) * sizeof *r->state);
    return r->shares && r->steps && r->sums && r->ahead && r->direction && r->state;
}

int relaxed_new(const struct relaxed_options *options, struct relaxed **ret,
                struct error *err)
{
    if (options->nodes < 1 || options->nodes > RELAXED_MAX_NODES)
        return error_set(err, ERROR_INPUT,
                         "relaxed model: nodes is %d, allowed are 1 to %d",
                         options->nodes, RELAXED_MAX_NODES);
    struct relaxed *r = malloc(sizeof *r);
    if (!r)
        return error_set(err, ERROR_SYSTEM, "relaxed model: no memory");
    begin(r, options);
    struct recurrent_options core = core_options(options, &r->chain);
    int status = recurrent_make(&core, r, &r->core, err);
    if (status == 0 && !allocate(r))
        status = error_set(err, ERROR_SYSTEM, "relaxed model: no memory");
    if (status != 0)
        relaxed_free(r);
    else
        *ret = r;
    return status;
}

void relaxed_free(struct relaxed *r)
{
    if (!r)
        return;
    recurrent_free(r->core);
    free(r->shares);
    free(r->sums);
    free(r->steps);
    free(r->ahead);
    free(r->direction);
    free(r->state);
    free(r);
}

size_t relaxed_count(const struct relaxed *r)
{
    return recurrent_count(r->core);
}

size_t relaxed_matrix(const struct relaxed *r, int j)
{
    return j < 0 ? recurrent_input(r->core) : recurrent_edge(r->core, j - 1, j);
}

void relaxed_shares(const float *alpha, size_t edges, float *ret_shares)
{
    for (size_t e = 0; e < edges; e++, alpha += RELAXED_OPERATIONS) {
        double power[RELAXED_OPERATIONS], top = (double)alpha[0], sum = 0;
        for (int o = 1; o < RELAXED_OPERATIONS; o++)
            top = fmax(top, (double)alpha[o]);
        for (int o = 0; o < RELAXED_OPERATIONS; o++)
            sum += power[o] = exp((double)alpha[o] - top);
        for (int o = 0; o < RELAXED_OPERATIONS; o++)
            *ret_shares++ = (float)(power[o] / sum);
    }
}

enum recurrent_activation relaxed_activation(enum relaxed_operation o)
{
    static const enum recurrent_activation activations[RELAXED_OPERATIONS] = {
        [RELAXED_TANH] = RECURRENT_TANH,
        [RELAXED_RELU] = RECURRENT_RELU,
        [RELAXED_SIGMOID] = RECURRENT_SIGMOID,
        [RELAXED_IDENTITY] = RECURRENT_IDENTITY};
    return activations[o];
}

void relaxed_edge_shares(const struct relaxed *r, size_t edge,
                         float ret[RECURRENT_ACTIVATIONS])
{
    const float *q = r->shares + edge * RELAXED_OPERATIONS;
    for (int o = RELAXED_TANH; o < RELAXED_OPERATIONS; o++)
        ret[relaxed_activation((enum relaxed_operation)o)] = q[o];
}

/* The gradient of one share, from all columns. */
static double share_back(const struct relaxed *r, int batch, size_t edge, int operation)
{
    const double *sums = r->sums + edge * RECURRENT_ACTIVATIONS +
                         relaxed_activation((enum relaxed_operation)operation);
    double sum = 0;
    for (int b = 0; b < batch; b++)
        sum += sums[(size_t)b * r->edges * RECURRENT_ACTIVATIONS];
    return sum;
}

static void edge_back(const struct relaxed *r, int batch, size_t edge, double *ret)
{
    const float *q = r->shares + edge * RELAXED_OPERATIONS;
    double d[RELAXED_OPERATIONS] = {0}, mean = 0;
    for (int o = RELAXED_TANH; o < RELAXED_OPERATIONS; o++) {
        d[o] = share_back(r, batch, edge, o);
        mean += (double)q[o] * d[o];
    }
    for (int o = 0; o < RELAXED_OPERATIONS; o++)
        ret[o] = (double)q[o] * (d[o] - mean);
}

double relaxed_run(struct relaxed *r, const float *parameters, const float *alpha,
                   const struct recurrent_window *window, float weight, float *gradient,
                   double *alpha_gradient)
{
    relaxed_shares(alpha, r->edges, r->shares);
    r->wanted = weight > 0 && alpha_gradient;
    if (r->wanted)
        memset(r->sums, 0, sums_of(&r->options) * sizeof *r->sums);
    double loss = recurrent_run(r->core, parameters, r->core->options.only, window,
                                weight, gradient);
    for (size_t e = 0; r->wanted && e < r->edges; e++)
        edge_back(r, window->batch, e, alpha_gradient + e * RELAXED_OPERATIONS);
    return loss;
}

double relaxed_loss(struct relaxed *r, const float *parameters, const float *alpha,
                    const struct recurrent_window *window)
{
    return relaxed_run(r, parameters, alpha, window, 0, NULL, NULL);
}

double relaxed_gradient(struct relaxed *r, const float *parameters, const float *alpha,
                        const struct recurrent_window *window, float weight,
                        float *gradient, float *alpha_gradient)
{
    double *step = alpha_gradient ? r->steps : NULL;
    double loss = relaxed_run(r, parameters, alpha, window, weight, gradient, step);
    for (size_t i = 0; alpha_gradient && i < r->edges * RELAXED_OPERATIONS; i++)
        alpha_gradient[i] += (float)step[i];
    return loss;
}

static struct recurrent_range all_of(const struct relaxed *r)
{
    return (struct recurrent_range){0, relaxed_count(r)};
}

double relaxed_descend(const struct relaxed *r, const struct recurrent_descent *d,
                       const float *gradient, float *parameters)
{
    struct recurrent_range all = all_of(r);
    return recurrent_descend(r->core, d, &all, 1, gradient, parameters);
}

void relaxed_clear(const struct relaxed *r, float *vector)
{
    struct recurrent_range all = all_of(r);
    recurrent_clear(r->core, &all, 1, vector);
}
