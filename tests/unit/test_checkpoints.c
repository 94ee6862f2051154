/* SPDX-License-Identifier: Apache-2.0 */
#include "master/checkpoints.h"
#include "temp_folder.h"

#include <math.h>
#include <sys/stat.h>

#include "common/text.h"

static struct temp_folder temp;
static struct ledger *ledger;

/* Trials 0 to 3: queued, running, done, failed. */
static void setup(void)
{
    const uint8_t states[] = {TRIAL_QUEUED, TRIAL_RUNNING, TRIAL_DONE, TRIAL_FAILED};
    ck_assert_int_eq(ledger_new(&ledger, NULL), 0);
    for (uint64_t id = 0; id < 4; id++) {
        struct trial t = {.id = id, .state = states[id], .same_as = -1, .hash = {id, 1}};
        t.architecture = calloc(1, sizeof *t.architecture);
        ck_assert_int_eq(ledger_add(ledger, &t, NULL), 0);
    }
}

static void put(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "checkpoints/%s", name);
    ck_assert_int_eq(text_write_file(temp_folder_file(&temp, path), "x", 1, NULL), 0);
}

static bool there(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "checkpoints/%s", name);
    return access(temp_folder_file(&temp, path), F_OK) == 0;
}

START_TEST(a_folder_that_cannot_be_made_is_named)
{
    struct error err = {0};
    ck_assert_int_eq(checkpoints_open("/nowhere/x", ledger, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "'/nowhere/x/checkpoints'"));
    checkpoints_clear("/nowhere/x", ledger);
    checkpoints_remove("/nowhere/x", 1);
}
END_TEST

START_TEST(only_states_of_trials_that_go_on_stay)
{
    const char *const names[] = {"0", "1", "2", "3", "4", "0.tmp.77", "x", "-1", "00x"};
    ck_assert_int_eq(checkpoints_open(temp.path, ledger, NULL), 0);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        put(names[i]);
    ck_assert_int_eq(checkpoints_open(temp.path, ledger, NULL), 0);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        ck_assert_msg(there(names[i]) == (i < 2), "%s", names[i]);
    checkpoints_clear(temp.path, ledger);
    ck_assert(there("0") && there("1"));
    checkpoints_remove(temp.path, 0);
    ck_assert(!there("0") && there("1"));
    checkpoints_remove(temp.path, 1);
    checkpoints_clear(temp.path, ledger);
    ck_assert(!there("."));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_folder_that_cannot_be_made_is_named,
                                  only_states_of_trials_that_go_on_stay, NULL};
    return temp_folder_main("checkpoints", tests, &temp, setup);
}
