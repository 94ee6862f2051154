/* SPDX-License-Identifier: Apache-2.0 */
/* compare-runs A B...: do these run folders hold the same history, bit for bit? Tokens,
 * seeds, curves, kernels, rewards and duplicates of every trial, and every array of the
 * strategies. Times, places and attempts may differ. With --verify DIR: does replaying the
 * record of DIR re-make every decision and the strategies' state? Prints the first
 * difference. */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "master/engine.h"

static int differ(const char *dir, const char *what, const char *name)
{
    printf("%s: %s differs: %s\n", dir, what, name);
    return 1;
}

static bool curve_equal(const struct trial *a, const struct trial *b)
{
    size_t size = offsetof(struct trial_epoch, seconds); /* the last of an epoch */
    bool same = a->epoch_count == b->epoch_count;
    for (uint32_t i = 0; same && i < a->epoch_count; i++)
        same = memcmp(&a->epochs[i], &b->epochs[i], size) == 0;
    return same;
}

static int compare_trials(const char *dir, const struct ledger *a, const struct ledger *b)
{
    char name[32];
    if (ledger_count(a) != ledger_count(b))
        return differ(dir, "the number of trials", "");
    for (uint64_t id = 0; id < ledger_count(a); id++) {
        const struct trial *x = ledger_trial(a, id), *y = ledger_trial(b, id);
        snprintf(name, sizeof name, "trial %llu", (unsigned long long)id);
        if (!architecture_equal(x->architecture, y->architecture) || x->seed != y->seed)
            return differ(dir, "proposal", name);
        if (x->state != y->state || x->arm != y->arm || x->same_as != y->same_as ||
            x->policy_version != y->policy_version)
            return differ(dir, "state", name);
        if (memcmp(&x->val_accuracy, &y->val_accuracy, sizeof x->val_accuracy) != 0 ||
            memcmp(&x->reward, &y->reward, sizeof x->reward) != 0)
            return differ(dir, "reward", name);
        if (!curve_equal(x, y))
            return differ(dir, "curve", name);
        if (strcmp(x->kernels, y->kernels) != 0)
            return differ(dir, "kernels", name);
    }
    return 0;
}

static int compare_states(const char *dir, const struct state *a, const struct state *b)
{
    if (a->count != b->count || a->count == 0)
        return differ(dir, "the number of arrays", "");
    for (size_t i = 0; i < a->count; i++) {
        const struct state_array *x = &a->arrays[i], *y = state_find(b, x->name);
        size_t n = state_array_count(x);
        if (strncmp(x->name, "session/", 8) == 0)
            continue;
        if (!y || state_array_count(y) != n ||
            memcmp(x->data, y->data, n * state_type_size(x->type)) != 0)
            return differ(dir, "array", x->name);
    }
    return 0;
}

static int compare(const char *first, const char *dir)
{
    struct snapshot a, b;
    struct error err = {0};
    if (store_read(first, &a, NULL, &err) != 0) {
        printf("%s\n", err.text);
        return 1;
    }
    if (store_read(dir, &b, NULL, &err) != 0) {
        snapshot_fini(&a);
        printf("%s\n", err.text);
        return 1;
    }
    int status = compare_trials(dir, a.ledger, b.ledger);
    status = status ? status : compare_states(dir, &a.state, &b.state);
    snapshot_fini(&a);
    snapshot_fini(&b);
    return status;
}

static int verify(const char *dir)
{
    struct engine_check check;
    struct error err = {0};
    if (engine_verify(dir, &check, &err) != 0) {
        printf("%s\n", err.text);
        return 1;
    }
    printf("%s: %llu decisions, %s %s\n", dir, (unsigned long long)check.reading.proposals,
           check.has_snapshot && check.state_equal ? "state equal" : "state not equal",
           check.difference);
    return check.has_snapshot && check.state_equal && !*check.difference ? 0 : 1;
}

int main(int argc, char **argv)
{
    int status = 0;
    if (argc == 3 && strcmp(argv[1], "--verify") == 0)
        return verify(argv[2]);
    for (int i = 2; i < argc && status == 0; i++)
        status = compare(argv[1], argv[i]);
    return argc < 3 ? 2 : status;
}
