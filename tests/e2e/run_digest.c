/* SPDX-License-Identifier: Apache-2.0 */
/* Prints what a run decided and learned, one line a trial and an array, so that two runs can
 * be compared as text; with --verify, replays the run and says whether it is the same. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/architecture.h"
#include "master/engine.h"

static int verify(const char *dir)
{
    struct engine_check check;
    struct error err = {0};
    if (engine_verify(dir, &check, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("%s\n", *check.difference ? check.difference : "same");
    return check.reading.different > 0 || !check.has_snapshot || !check.state_equal;
}

static void print_trials(const struct ledger *l)
{
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        char text[4096];
        architecture_format(t->architecture, text, sizeof text);
        printf("%" PRIu64 " %s %a %u %u\n", id, text, t->reward, t->policy_version, t->arm);
    }
}

static void print_state(const struct state *s)
{
    for (size_t i = 0; i < s->count; i++) {
        const struct state_array *a = &s->arrays[i];
        const uint8_t *data = a->data;
        uint64_t sum = UINT64_C(1469598103934665603); /* FNV-1a */
        if (strncmp(a->name, "session/", 8) == 0)
            continue;
        for (size_t k = 0; k < state_array_count(a) * state_type_size(a->type); k++)
            sum = (sum ^ data[k]) * UINT64_C(1099511628211);
        printf("%s %016" PRIx64 "\n", a->name, sum);
    }
}

int main(int argc, char **argv)
{
    struct snapshot s;
    struct error err = {0};
    if (argc == 3 && strcmp(argv[1], "--verify") == 0)
        return verify(argv[2]);
    if (argc != 2)
        return 2;
    if (store_read(argv[1], &s, NULL, &err) != 0) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    print_trials(s.ledger);
    print_state(&s.state);
    snapshot_fini(&s);
    return 0;
}
