/* SPDX-License-Identifier: Apache-2.0 */
/* One number decides whether and which, a second one when. Half of the faults come at
 * once, so that trainers that answer within microseconds meet them too. */
#include "common/chaos.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/rng.h"
#include "common/text.h"

static const char *const names[CHAOS_COUNT] = {"kill", "hang", "garbage", "kill-rank",
                                               "stop-rank"};

const char *chaos_name(int kind)
{
    return kind >= 0 && kind < CHAOS_COUNT ? names[kind] : "none";
}

/* One "NAME=SHARE"; changes the text. */
static int parse_one(char *word, struct chaos *c, struct error *err)
{
    char *equal = strchr(word, '=');
    double share;
    if (equal)
        *equal = '\0';
    for (int kind = 0; kind < CHAOS_COUNT; kind++) {
        if (strcmp(word, names[kind]) != 0)
            continue;
        if (!equal || !text_parse_double(equal + 1, &share) ||
            !(share >= 0 && share <= 1))
            return error_set(
                err, ERROR_INPUT,
                "'%s' needs a share of the attempts from 0 to 1, as in %s=0.01", word,
                word);
        c->share[kind] = share;
        return 0;
    }
    return error_set(err, ERROR_INPUT,
                     "'%s' is no fault; there are kill, hang, garbage, kill-rank and "
                     "stop-rank, as in kill=0.01,stop-rank=0.002",
                     word);
}

int chaos_parse(const char *text, struct chaos *ret, struct error *err)
{
    char copy[256], *rest = copy;
    struct chaos c = {{0}};
    double sum = 0;
    int status = 0;
    if (snprintf(copy, sizeof copy, "%s", text) >= (int)sizeof copy)
        return error_set(err, ERROR_INPUT, "the text is too long");
    for (char *word;
         strcmp(text, "none") != 0 && status == 0 && (word = strsep(&rest, ","));)
        if (*word)
            status = parse_one(word, &c, err);
    for (int kind = 0; kind < CHAOS_COUNT; kind++)
        sum += c.share[kind];
    if (status == 0 && sum > 1)
        status = error_set(err, ERROR_INPUT, "the shares sum to %g, more than 1", sum);
    if (status == 0)
        *ret = c;
    return status;
}

struct chaos_fate chaos_draw(const struct chaos *c, uint64_t seed, uint64_t trial,
                             int attempt)
{
    uint32_t random[4];
    struct chaos_fate fate = {CHAOS_COUNT, 0};
    rng_block(seed, RNG_CHAOS, trial, (uint32_t)attempt, random);
    double u = random[0] * 0x1p-32, sum = 0;
    for (int kind = 0; kind < CHAOS_COUNT && fate.kind == CHAOS_COUNT; kind++)
        if (u < (sum += c->share[kind]))
            fate.kind = kind;
    fate.after = fmax(0, random[1] * 0x1p-32 - 0.5);
    return fate;
}
