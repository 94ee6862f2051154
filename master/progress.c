/* SPDX-License-Identifier: Apache-2.0 */
/* Only sums and a ring: noting a trial is O(1), so the line costs nothing at any rate. */
#include "master/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "master/reward.h"

void progress_init(struct progress *p, const struct config *config, double now)
{
    *p = (struct progress){
        .total = (uint64_t)config_trials(config), .started = now, .until = INFINITY};
    p->lower_is_better = reward_lower_is_better(&config->reward);
    for (int arm = 0; arm < ARM_COUNT; arm++)
        p->arms[arm].best = NAN;
}

void progress_note(struct progress *p, const struct trial *t)
{
    struct progress_arm *arm = &p->arms[t->arm];
    double v = t->val_accuracy;
    p->over++;
    if (t->state == TRIAL_FAILED || !isfinite(v) || !trial_is_evaluation(t))
        return;
    arm->recent[arm->results++ % PROGRESS_RECENT] = v;
    bool better = p->lower_is_better ? v < arm->best : v > arm->best;
    if (isnan(arm->best) || better) {
        arm->best = v;
        arm->best_id = t->id;
    }
}

double progress_recent_mean(const struct progress *p, enum trial_arm arm)
{
    const struct progress_arm *a = &p->arms[arm];
    uint64_t n = a->results < PROGRESS_RECENT ? a->results : PROGRESS_RECENT;
    double sum = 0;
    for (uint64_t i = 0; i < n; i++)
        sum += a->recent[i];
    return n ? sum / (double)n : NAN;
}

double progress_rate(const struct progress *p, double now)
{
    double seconds = now - p->started;
    return seconds > 0 ? (double)(p->over - p->over_before) / seconds : 0;
}

double progress_left(const struct progress *p, double now)
{
    double rate = progress_rate(p, now), budget = fmax(p->until - now, 0);
    if (p->total > 0 && p->total <= p->over)
        return 0;
    if (rate > 0 && p->total > 0)
        return fmin((double)(p->total - p->over) / rate, budget);
    return isfinite(budget) ? budget : NAN;
}

static void format_metric(double v, char *text, size_t size)
{
    if (isnan(v))
        snprintf(text, size, "-");
    else
        snprintf(text, size, "%.4f", v);
}

static void format_bar(const struct progress *p, char *text, size_t size)
{
    enum { WIDTH = 20 };
    uint64_t full = p->total ? p->over * WIDTH / p->total : 0;
    size_t used = 0;
    text[used++] = '[';
    for (uint64_t i = 0; i < WIDTH && used + 3 < size; i++)
        text[used++] = i < full ? '#' : '.';
    text[used++] = ']';
    text[used++] = ' ';
    text[used] = '\0';
}

static void format_rate(double rate, char *text, size_t size)
{
    if (rate <= 0)
        snprintf(text, size, "-");
    else if (rate >= 1)
        snprintf(text, size, "%.1f/s", rate);
    else if (rate * 60 >= 1)
        snprintf(text, size, "%.1f/min", rate * 60);
    else
        snprintf(text, size, "%.1f/h", rate * 3600);
}

void progress_format(const struct progress *p, double now, int busy, int slots, bool bar,
                     char *text, unsigned size)
{
    const struct progress_arm *s = &p->arms[ARM_SEARCH], *c = &p->arms[ARM_CONTROL];
    bool control_leads = isnan(s->best) || (p->lower_is_better ? c->best < s->best
                                                               : c->best > s->best);
    char best[24], search[24], control[24], rate[24], left[32] = "?", total[24] = "", b[32] = "";
    format_metric(control_leads ? c->best : s->best, best, sizeof best);
    format_metric(progress_recent_mean(p, ARM_SEARCH), search, sizeof search);
    format_metric(progress_recent_mean(p, ARM_CONTROL), control, sizeof control);
    format_rate(progress_rate(p, now), rate, sizeof rate);
    if (isfinite(progress_left(p, now)))
        text_format_duration(progress_left(p, now), left, sizeof left);
    if (p->total)
        snprintf(total, sizeof total, "/%llu", (unsigned long long)p->total);
    if (bar && p->total)
        format_bar(p, b, sizeof b);
    snprintf(text, size,
             "%s%llu%s trials  best %s  last 50: search %s random %s  slots %d/%d  %s  "
             "%s left",
             b, (unsigned long long)p->over, total, best, search, control, busy, slots, rate,
             left);
}
