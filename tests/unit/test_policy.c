/* SPDX-License-Identifier: Apache-2.0 */
/* The controller against its definition (controller.h), written out in double precision
 * from the named blocks of parameters alone: one architecture, no tables, no batches. */
#include "master/controller.h"
#include "tests/search/space_rig.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>

enum { MAX = 64, STEPS = 64, LAYERS = 2 };

struct policy {
    const struct controller *c;
    size_t units, step;
    double h[LAYERS][MAX], state[LAYERS][MAX], x[MAX]; /* x: the next input */
    double top[STEPS][MAX];    /* h of the top layer after a step */
    size_t anchor_step[STEPS]; /* last step of a layer */
    double log_probability, entropy;
};

static const float *block(const struct policy *p, const char *format, int number)
{
    const struct controller_block *blocks;
    char name[64];
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(name, sizeof name, format, number);
#pragma GCC diagnostic pop
    size_t n = controller_blocks(p->c, &blocks);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(blocks[i].name, name))
            return controller_parameters(p->c) + blocks[i].offset;
    ck_abort_msg("no block %s", name);
    return NULL;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static void advance(struct policy *p)
{
    size_t n = p->units;
    for (int l = 0; l < LAYERS; l++) {
        const float *wx = block(p, "lstm.%d.input", l), *b = block(p, "lstm.%d.bias", l);
        const float *wh = block(p, "lstm.%d.hidden", l);
        const double *x = l ? p->h[l - 1] : p->x;
        double z[4 * MAX];
        for (size_t j = 0; j < 4 * n; j++) {
            z[j] = (double)b[j];
            for (size_t i = 0; i < n; i++)
                z[j] += x[i] * (double)wx[i * 4 * n + j] +
                        p->h[l][i] * (double)wh[i * 4 * n + j];
        }
        for (size_t i = 0; i < n; i++) {
            p->state[l][i] =
                sigmoid(z[n + i]) * p->state[l][i] + sigmoid(z[i]) * tanh(z[2 * n + i]);
            p->h[l][i] = sigmoid(z[3 * n + i]) * tanh(p->state[l][i]);
        }
    }
    memcpy(p->top[p->step++], p->h[LAYERS - 1], sizeof p->top[0]);
}

static void choose(struct policy *p, const struct decision *d, unsigned token)
{
    const float *w = block(p, "head.%d.weight", d->kind);
    const float *b = block(p, "head.%d.bias", d->kind);
    const float *e = block(p, "embedding.%d", d->kind);
    size_t n = (size_t)d->choices;
    double z[MAX] = {0}, sum = 0;
    for (size_t j = 0; j < n; j++) {
        z[j] = (double)b[j];
        for (size_t i = 0; i < p->units; i++)
            z[j] += p->h[LAYERS - 1][i] * (double)w[i * n + j];
        sum += exp(z[j]);
    }
    p->log_probability += z[token] - log(sum);
    for (size_t j = 0; j < n; j++)
        p->entropy -= exp(z[j]) / sum * (z[j] - log(sum));
    for (size_t i = 0; i < p->units; i++)
        p->x[i] = (double)e[token * p->units + i];
}

/* v' tanh(W_prev h_j + W_curr h_i) */
static double attend(const struct policy *p, const double *hj, const double *hi)
{
    const float *v = block(p, "anchor.v", 0), *prev = block(p, "anchor.previous", 0);
    const float *curr = block(p, "anchor.current", 0);
    double s = 0;
    for (size_t i = 0; i < p->units; i++) {
        double u = 0;
        for (size_t k = 0; k < p->units; k++)
            u += hj[k] * (double)prev[k * p->units + i] +
                 hi[k] * (double)curr[k * p->units + i];
        s += (double)v[i] * tanh(u);
    }
    return s;
}

static void anchor(struct policy *p, const struct decision *d, const uint16_t *bits)
{
    double chosen = 0;
    memset(p->x, 0, sizeof p->x);
    for (int j = 0; j < d->choices; j++) {
        const double *hj = p->top[p->anchor_step[j]];
        double on = sigmoid(attend(p, hj, p->h[LAYERS - 1]));
        p->log_probability += log(bits[j] ? on : 1 - on);
        p->entropy -= on * log(on) + (1 - on) * log(1 - on);
        chosen += bits[j];
        for (size_t i = 0; bits[j] && i < p->units; i++)
            p->x[i] += hj[i];
    }
    for (size_t i = 0; i < p->units; i++)
        p->x[i] /= 1 + chosen;
}

static void evaluate(struct policy *p, const struct space *space,
                     const struct architecture *a)
{
    static struct architecture walk;
    struct decision d;
    walk.depth = a->depth;
    walk.count = 0;
    while (space_next(space, &walk, &d)) {
        size_t tokens = d.type == DECISION_CHOICE ? 1 : (size_t)d.choices;
        memcpy(walk.tokens + walk.count, a->tokens + walk.count,
               tokens * sizeof *a->tokens);
        advance(p);
        p->anchor_step[d.layer] = p->step - 1;
        if (d.type == DECISION_CHOICE)
            choose(p, &d, a->tokens[walk.count]);
        else
            anchor(p, &d, a->tokens + walk.count);
        walk.count = (uint16_t)(walk.count + tokens);
    }
}

static void check(bool skip, int hidden)
{
    enum { N = 20, DEPTH = 5 };
    static struct architecture a[N];
    static struct policy p;
    struct config config = rig_config(DEPTH, skip);
    struct controller *c;
    struct space *space;
    struct controller_score score;
    float h[MAX];
    config.search.controller.init = 0.5;
    config.search.controller.hidden = hidden;
    ck_assert_int_eq(space_new(&config, &space, NULL), 0);
    ck_assert_int_eq(controller_new(&config.search.controller, space, 3, &c, NULL), 0);
    for (uint64_t id = 0; id < N; id++) {
        const struct architecture *list[] = {&a[id]};
        ck_assert_int_eq(controller_sample(c, DEPTH, &id, 1, &a[id], NULL, NULL), 0);
        ck_assert_int_eq(controller_score(c, list, 1, &score, h, NULL), 0);
        p = (struct policy){.c = c, .units = (size_t)hidden};
        evaluate(&p, space, &a[id]);
        ck_assert_double_eq_tol(score.log_probability, p.log_probability, 2e-5);
        ck_assert_double_eq_tol(score.entropy, p.entropy, 2e-5);
        for (int i = 0; i < hidden; i++)
            ck_assert_double_eq_tol((double)h[i], p.h[LAYERS - 1][i], 2e-6);
    }
    controller_free(c);
    space_free(space);
}

START_TEST(policy_is_as_defined)
{
    check(false, 35);
    check(true, 35);
    check(true, 6);
}
END_TEST

UNIT_MAIN("policy", policy_is_as_defined)
