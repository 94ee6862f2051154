/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict needs both: an interval that leaves zero out and a rank test below 0.05. With
 * less it says that it cannot tell, which early in a run is the usual and right answer.
 *
 * The bootstrap takes the newest trials of both arms, which in a long run are sample
 * enough, come from the same spaces where these grow, and keep its cost bounded. All else
 * is over all trials, whose order no longer counts then: they are sorted once. */
#include "master/analysis/comparison.h"

#include <math.h>
#include <stdlib.h>

#include "common/sort.h"
#include "master/analysis/evaluations.h"
#include "master/reward.h"

enum { COMPARISON_ROUNDS = 2000 };

struct sample {
    double *values; /* owned; sign turned when lower is better */
    size_t count;
};

static void note_best(struct comparison_arm *arm, const struct trial *t, bool lower)
{
    double v = t->val_accuracy;
    if (arm->best_id >= 0 && (lower ? v >= arm->best : v <= arm->best))
        return;
    arm->best = v;
    arm->best_id = (int64_t)t->id;
}

static void collect(const struct ledger *l, const struct config *config,
                    struct comparison *ret, struct sample *samples)
{
    struct evaluations evaluations = evaluations_find(l, config);
    bool lower = ret->lower_is_better;
    double sums[ARM_COUNT] = {0};
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        struct comparison_arm *arm = &ret->arms[t->arm];
        if (!evaluations_is_sample(&evaluations, t))
            continue;
        arm->failed += t->state == TRIAL_FAILED;
        arm->saved += t->state == TRIAL_SAVED;
        if (t->state != TRIAL_DONE || !isfinite(t->val_accuracy))
            continue;
        arm->trained++;
        sums[t->arm] += t->val_accuracy;
        note_best(arm, t, lower);
        samples[t->arm].values[samples[t->arm].count++] =
            lower ? -t->val_accuracy : t->val_accuracy;
    }
    for (int arm = 0; arm < ARM_COUNT; arm++)
        if (ret->arms[arm].trained > 0)
            ret->arms[arm].mean = sums[arm] / (double)ret->arms[arm].trained;
}

static size_t newest(const struct sample *s, const double **ret)
{
    size_t n = s->count < COMPARISON_SAMPLE ? s->count : COMPARISON_SAMPLE;
    *ret = s->values + (s->count - n);
    return n;
}

static void compare_means(const struct config *config, const struct sample *s,
                          struct comparison *ret)
{
    const double *a, *b;
    size_t na = newest(&s[ARM_SEARCH], &a), nb = newest(&s[ARM_CONTROL], &b);
    ret->has_difference =
        stats_bootstrap_difference(a, na, b, nb, 0.95, COMPARISON_ROUNDS, config->seed,
                                   &ret->difference);
}

static int compare(const struct config *config, struct sample *s, struct comparison *ret)
{
    const struct sample *a = &s[ARM_SEARCH], *b = &s[ARM_CONTROL];
    double sign = ret->lower_is_better ? -1 : 1;
    compare_means(config, s, ret);
    if (sort_doubles(a->values, a->count) != 0 || sort_doubles(b->values, b->count) != 0)
        return -1;
    ret->equal = a->count < b->count ? a->count : b->count;
    for (int arm = 0; arm < ARM_COUNT && ret->equal > 0; arm++)
        ret->best_of[arm] =
            sign * stats_expected_best(s[arm].values, s[arm].count, ret->equal);
    ret->has_test =
        stats_mann_whitney(a->values, a->count, b->values, b->count, &ret->test);
    if (ret->equal < COMPARISON_LEAST || !ret->has_difference || !ret->has_test ||
        ret->test.p >= 0.05)
        return 0;
    if (ret->difference.low > 0)
        ret->verdict = COMPARISON_BETTER;
    else if (ret->difference.high < 0)
        ret->verdict = COMPARISON_WORSE;
    return 0;
}

int comparison_make(const struct ledger *l, const struct config *config,
                    struct comparison *ret, struct error *err)
{
    struct sample samples[ARM_COUNT] = {{0}};
    size_t count = (size_t)ledger_count(l) + 1;
    *ret =
        (struct comparison){.verdict = COMPARISON_CANNOT_TELL,
                            .shared = evaluations_find(l, config).shared,
                            .best_of = {NAN, NAN},
                            .lower_is_better = reward_lower_is_better(&config->reward)};
    for (int arm = 0; arm < ARM_COUNT; arm++) {
        ret->arms[arm] = (struct comparison_arm){.best = NAN, .mean = NAN, .best_id = -1};
        samples[arm].values = malloc(count * sizeof *samples[arm].values);
    }
    int status = samples[0].values && samples[1].values ? 0 : -1;
    if (status == 0)
        collect(l, config, ret, samples);
    if (config->control.share <= 0)
        ret->verdict = COMPARISON_NO_CONTROL;
    else if (status == 0)
        status = compare(config, samples, ret);
    if (status != 0)
        status = error_set(err, ERROR_SYSTEM, "no memory for %zu trials", count);
    for (int arm = 0; arm < ARM_COUNT; arm++)
        free(samples[arm].values);
    return status;
}

static void format_verdict(const struct comparison *c, struct text *out)
{
    double p = c->test.p;
    switch (c->verdict) {
    case COMPARISON_NO_CONTROL:
        text_append(out, "Was it worth it? No random control arm ran (control.share is 0), so "
                         "nothing can be said.\n");
        return;
    case COMPARISON_BETTER:
        text_append(out, "Was it worth it? Yes: the search proposes better architectures than "
                         "random sampling (p = %.2g).\n", p);
        return;
    case COMPARISON_WORSE:
        text_append(out, "Was it worth it? No: random sampling proposes better architectures "
                         "than the search (p = %.2g).\n", p);
        return;
    default:
        break;
    }
    if (c->equal < COMPARISON_LEAST)
        text_append(
            out,
            "Was it worth it? Cannot tell yet: %llu %s in the smaller arm, at least "
            "%d are needed.\n",
            (unsigned long long)c->equal,
            c->shared ? "trials scored with the newest weights" : "trained trials",
            COMPARISON_LEAST);
    else if (c->has_test)
        text_append(out,
                    "Was it worth it? Cannot tell yet: the difference to random sampling may "
                    "be chance (p = %.2g).\n", p);
    else
        text_append(out, "Was it worth it? Cannot tell: all trials gave the same value.\n");
}

static void format_arm(const struct comparison *c, int arm, struct text *out)
{
    const struct comparison_arm *a = &c->arms[arm];
    text_append(out, "  %-7s %6llu %s %5llu saved %5llu failed",
                arm ? "random" : "search", (unsigned long long)a->trained,
                c->shared ? "scored" : "trained", (unsigned long long)a->saved,
                (unsigned long long)a->failed);
    if (a->best_id >= 0)
        text_append(out, "   mean %.4f   best %.4f (trial %lld)", a->mean, a->best,
                    (long long)a->best_id);
    text_append(out, "\n");
}

void comparison_format(const struct comparison *c, struct text *out)
{
    format_verdict(c, out);
    format_arm(c, ARM_SEARCH, out);
    if (c->verdict == COMPARISON_NO_CONTROL)
        return;
    format_arm(c, ARM_CONTROL, out);
    if (c->equal > 0)
        text_append(out, "  best of %llu trials each, on average: search %.4f, random %.4f\n",
                    (unsigned long long)c->equal, c->best_of[ARM_SEARCH],
                    c->best_of[ARM_CONTROL]);
    double sign = c->lower_is_better ? -1 : 1;
    if (c->has_difference)
        text_append(out,
                    "  difference of means %+.4f, 95 %% interval [%+.4f, %+.4f] (bootstrap)\n",
                    sign * c->difference.estimate,
                    c->lower_is_better ? -c->difference.high : c->difference.low,
                    c->lower_is_better ? -c->difference.low : c->difference.high);
    if (c->has_test)
        text_append(out,
                    "  Mann-Whitney: p = %.3g, a search trial beats a random one with "
                    "probability %.2f\n",
                    c->test.p, c->test.effect);
}
