/* SPDX-License-Identifier: Apache-2.0 */
/* The options of the fake trainer, one table. */
#include "fake_options.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { NUMBER, FLAG, TEXT };

static const struct option {
    const char *name;
    enum kind kind;
    size_t offset;
} options[] = {
    {"--sleep", NUMBER, offsetof(struct fake_options, sleep_ms)},
    {"--start-sleep", NUMBER, offsetof(struct fake_options, start_ms)},
    {"--epochs", NUMBER, offsetof(struct fake_options, epochs)},
    {"--queue", NUMBER, offsetof(struct fake_options, queue)},
    {"--fail-every", NUMBER, offsetof(struct fake_options, fail_every)},
    {"--crash-every", NUMBER, offsetof(struct fake_options, crash_every)},
    {"--exit-every", NUMBER, offsetof(struct fake_options, exit_every)},
    {"--hang-every", NUMBER, offsetof(struct fake_options, hang_every)},
    {"--nan-every", NUMBER, offsetof(struct fake_options, nan_every)},
    {"--garbage-every", NUMBER, offsetof(struct fake_options, garbage_every)},
    {"--wrong-every", NUMBER, offsetof(struct fake_options, wrong_every)},
    {"--big-line-every", NUMBER, offsetof(struct fake_options, big_line_every)},
    {"--abort-every", NUMBER, offsetof(struct fake_options, abort_every)},
    {"--half-every", NUMBER, offsetof(struct fake_options, half_every)},
    {"--twice-every", NUMBER, offsetof(struct fake_options, twice_every)},
    {"--overtime-every", NUMBER, offsetof(struct fake_options, overtime_every)},
    {"--flood-every", NUMBER, offsetof(struct fake_options, flood_every)},
    {"--eat-every", NUMBER, offsetof(struct fake_options, eat_every)},
    {"--start-exit", NUMBER, offsetof(struct fake_options, start_exit)},
    {"--once", FLAG, offsetof(struct fake_options, once)},
    {"--late", FLAG, offsetof(struct fake_options, late)},
    {"--null", FLAG, offsetof(struct fake_options, null)},
    {"--stubborn", FLAG, offsetof(struct fake_options, stubborn)},
    {"--no-ready", FLAG, offsetof(struct fake_options, no_ready)},
    {"--checkpoints", FLAG, offsetof(struct fake_options, checkpoints)},
    {"--save-sleep", NUMBER, offsetof(struct fake_options, save_ms)},
    {"--save-never", FLAG, offsetof(struct fake_options, save_never)},
    {"--save-garbage", FLAG, offsetof(struct fake_options, save_garbage)},
    {"--save-die", FLAG, offsetof(struct fake_options, save_die)},
    {"--say-state", TEXT, offsetof(struct fake_options, say_state)},
    {"--epochs-to", TEXT, offsetof(struct fake_options, epochs_to)},
    {"--start-text", TEXT, offsetof(struct fake_options, start_text)},
    {"--child", TEXT, offsetof(struct fake_options, child)},
    {"--daemon", TEXT, offsetof(struct fake_options, daemon)},
    {"--kernels", TEXT, offsetof(struct fake_options, kernels)},
    {"--complaint", TEXT, offsetof(struct fake_options, complaint)},
};

static const struct option *find(const char *name)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

static void usage(const char *word)
{
    fprintf(stderr, "fake-trainer: '%s' is wrong or lacks its value; there are", word);
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        fprintf(stderr, " %s%s", options[i].name,
                options[i].kind == FLAG ? "" : " VALUE");
    fputc('\n', stderr);
    exit(2);
}

void fake_options_parse(int argc, char **argv, struct fake_options *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->epochs = 1;
    for (int i = 1; i < argc; i++) {
        const struct option *o = find(argv[i]);
        if (!o || (o->kind != FLAG && i + 1 == argc))
            usage(argv[i]);
        char *field = (char *)ret + o->offset;
        if (o->kind == FLAG)
            *(bool *)field = true;
        else if (o->kind == NUMBER)
            *(int *)field = atoi(argv[++i]);
        else
            *(const char **)field = argv[++i];
    }
    if (ret->null && !ret->queue)
        ret->queue = 64;
}
