/* SPDX-License-Identifier: Apache-2.0 */
/* tests/golden/run-1 is a run of six trials that version 1 of the store wrote (archway
 * 0.1.0, before trials had kernels), with the fake trainer: it stays readable. */
#include <sys/stat.h>

#include "common/text.h"
#include "master/engine.h"
#include "master/kernel_uses.h"
#include "temp_folder.h"
#include "unit.h"

static struct temp_folder folder;

static void setup(void)
{
}

static void copy(const char *name)
{
    char path[1024], *text = NULL;
    size_t size = 0;
    snprintf(path, sizeof path, "%s/run-1/%s", GOLDEN, name);
    ck_assert_int_eq(text_read_file(path, 1 << 20, &text, &size, NULL), 0);
    ck_assert_int_eq(text_write_file(temp_folder_file(&folder, name), text, size, NULL),
                     0);
    free(text);
}

static void check_run(uint64_t records)
{
    struct engine *e = NULL;
    struct engine_reading reading;
    struct kernel_uses uses;
    struct error err = {0};
    int status = engine_open(folder.path, false, &e, &reading, &err);
    ck_assert_msg(status == 0, "%s", err.text);
    ck_assert_str_eq(reading.note, "");
    ck_assert_uint_eq(reading.different, 0);
    ck_assert_uint_eq(reading.records, records);
    const struct ledger *l = engine_ledger(e);
    ck_assert_uint_eq(ledger_count(l), 6);
    ck_assert_uint_eq(ledger_count_state(l, -1, TRIAL_DONE), 6);
    ck_assert_str_eq(ledger_trial(l, 0)->kernels, "");
    ck_assert_double_eq_tol(ledger_trial(l, 0)->val_accuracy, 0.2053540050983429, 1e-15);
    ck_assert_int_eq(engine_config(e)->trainer.builtin.kernels, KERNELS_AUTO);
    kernel_uses_count(l, &uses);
    ck_assert_int_eq(uses.count, 0);
    engine_free(e);
}

START_TEST(a_run_of_the_first_version_is_read)
{
    copy("config.yaml");
    copy("journal");
    check_run(28);
    copy("snapshot.h5");
    check_run(0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_run_of_the_first_version_is_read, NULL};
    return temp_folder_main("older_runs", tests, &folder, setup);
}
