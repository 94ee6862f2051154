/* SPDX-License-Identifier: Apache-2.0 */
/* archway explain DIR [TRIAL | rank-N]: which question, and whom to ask (explain.c). */
#include "master/cli/commands.h"

#include <stdlib.h>
#include <string.h>

#include "master/cli/explain.h"
#include "master/cli/output.h"

/* "412", "rank-7" or nothing. */
struct subject {
    bool trial, rank;
    int64_t number;
};

static int choose_subject(const struct invocation *in, struct subject *ret,
                          struct error *err)
{
    const char *word = in->positional_count > 1 ? in->positional[1] : NULL;
    *ret = (struct subject){0};
    if (!word)
        return 0;
    ret->rank = strncmp(word, "rank-", 5) == 0;
    ret->trial = !ret->rank;
    if (text_parse_int64(ret->rank ? word + 5 : word, &ret->number) && ret->number >= 0 &&
        (ret->trial || ret->number <= INT32_MAX))
        return 0;
    return error_set(
        err, ERROR_USAGE,
        "archway explain: '%s' is neither the number of a trial nor a rank such "
        "as rank-3",
        word);
}

static int explain(const struct invocation *in, int *ret_exit, struct error *err)
{
    struct run_status s;
    struct explain x = {.dir = in->positional[0], .status = &s};
    struct subject subject;
    struct text out;
    int status = choose_subject(in, &subject, err);
    if (status == 0)
        status = run_status_read(x.dir, false, clock_wall(&clock_system), &s, &x.engine, err);
    if (status != 0)
        return status;
    text_init(&out);
    if (subject.trial)
        status = explain_trial(&x, (uint64_t)subject.number, &out, err);
    else if (subject.rank)
        status = explain_rank(&x, (int)subject.number, &out, err);
    else
        status = explain_run(&x, &out, err);
    if (status == 0)
        status = output_text(&out, err);
    else
        text_fini(&out);
    engine_free(x.engine);
    run_status_fini(&s);
    *ret_exit = 0;
    return status;
}

static const struct command_option options[] = {{0}};

const struct command command_explain = {
    .name = "explain",
    .synopsis = "DIR [TRIAL | rank-N]",
    .summary = "say why a trial, a rank or the run is where it is",
    .description = "Of a trial: why it was proposed, what it has been through, what it "
                   "waits for or why "
                   "it failed. Of a rank: what it has done, what happened to it, why it "
                   "is idle. Of the "
                   "run: what holds it up, and a line a rank. From the files of the run "
                   "alone; ranks are "
                   "those of its last session.",
    .example = "archway explain runs/first\n"
               "archway explain runs/first 412\n"
               "archway explain runs/first rank-7",
    .least = 1,
    .most = 2,
    .options = options,
    .run = explain};
