/* SPDX-License-Identifier: Apache-2.0 */
#include "master/kernel_watch.h"

#include <string.h>

#include "unit.h"

static struct config config;
static struct ledger *ledger;
static struct kernel_watch watch;

/* A trained trial of an earlier session. */
static void earlier(const char *kernels, int state)
{
    struct trial t = {.id = ledger_count(ledger),
                      .state = (uint8_t)state,
                      .same_as = state == TRIAL_SAVED ? 0 : -1,
                      .hash = {ledger_count(ledger), 1}};
    t.architecture = calloc(1, sizeof *t.architecture);
    snprintf(t.kernels, sizeof t.kernels, "%s", kernels);
    ck_assert_int_eq(ledger_add(ledger, &t, NULL), 0);
}

static void start(void)
{
    config_defaults(&config);
    ck_assert_int_eq(ledger_new(&ledger, NULL), 0);
}

static void begin(int ranks)
{
    ck_assert_int_eq(kernel_watch_init(&watch, ledger, ranks, NULL), 0);
}

static void finish(void)
{
    kernel_watch_fini(&watch);
    kernel_watch_fini(&watch);
    ledger_free(ledger);
}

static void says(const struct placement *p, const char *wanted)
{
    struct text t;
    text_init(&t);
    kernel_watch_format(&watch, p, &config, &t);
    ck_assert_str_eq(t.data, wanted);
    text_fini(&t);
}

#define DIFFER "kernels differ, and with them the last bits of results: "

START_TEST(ranks_that_do_not_exist_are_passed_over)
{
    start();
    begin(2);
    ck_assert(!kernel_watch_note(&watch, 1, "avx2"));
    ck_assert(!kernel_watch_note(&watch, -1, "generic"));
    ck_assert(!kernel_watch_note(&watch, 2, "generic"));
    ck_assert_int_eq(watch.count, 1);
    finish();
}
END_TEST

START_TEST(one_kind_is_no_news)
{
    start();
    earlier("avx2", TRIAL_DONE);
    begin(5);
    for (int round = 0; round < 2; round++)
        for (int rank = 1; rank < 5; rank++)
            ck_assert(!kernel_watch_note(&watch, rank, "avx2"));
    finish();
}
END_TEST

START_TEST(each_new_kind_is_told_once)
{
    struct placement_slot slots[] = {{.rank = 1, .host = "n1"},
                                     {.rank = 2, .host = "n2"}};
    struct placement p = {.count = 2, .slots = slots};
    start();
    begin(8);
    ck_assert(!kernel_watch_note(&watch, 1, "avx512"));
    ck_assert(kernel_watch_note(&watch, 2, "avx2"));
    ck_assert(!kernel_watch_note(&watch, 2, "avx2"));
    ck_assert(!kernel_watch_note(&watch, 3, "avx2"));
    says(&p, DIFFER "avx512 on rank 1 (n1); avx2 on rank 2 (n2), rank 3; "
                    "trainer.builtin.kernels: avx2 makes them the same");
    ck_assert(kernel_watch_note(&watch, 4, "generic"));
    for (int rank = 5; rank < 8; rank++)
        ck_assert(!kernel_watch_note(&watch, rank, "avx512"));
    says(NULL,
         DIFFER "avx512 on rank 1, rank 5, rank 6, rank 7; avx2 on rank 2, rank 3; "
                "generic on rank 4; trainer.builtin.kernels: generic makes them the "
                "same");
    ck_assert(!kernel_watch_note(&watch, 2, "avx512"));
    says(NULL,
         DIFFER "avx512 on rank 1, rank 2, rank 5, rank 6 and 1 more; avx2 on rank 3; "
                "generic on rank 4; trainer.builtin.kernels: generic makes them the "
                "same");
    finish();
}
END_TEST

START_TEST(earlier_sessions_count)
{
    start();
    earlier("avx2", TRIAL_DONE);
    earlier("avx2", TRIAL_DONE);
    earlier("generic", TRIAL_FAILED); /* has no result */
    earlier("generic", TRIAL_SAVED);  /* was not trained */
    earlier("", TRIAL_DONE);          /* not known */
    begin(3);
    ck_assert_int_eq(watch.earlier.count, 1);
    ck_assert_uint_eq(watch.earlier.list[0].trials, 2);
    ck_assert(kernel_watch_note(&watch, 1, "avx512"));
    says(NULL, DIFFER "avx512 on rank 1; earlier sessions avx2; "
                      "trainer.builtin.kernels: avx2 makes them the same");
    config.trainer.builtin.kernels = KERNELS_AVX2; /* advice that is followed already */
    says(NULL, DIFFER "avx512 on rank 1; earlier sessions avx2");
    finish();
}
END_TEST

START_TEST(what_earlier_sessions_did_not_record_is_no_difference)
{
    start();
    earlier("", TRIAL_DONE);
    begin(2);
    ck_assert(!kernel_watch_note(&watch, 1, "avx512"));
    finish();
}
END_TEST

START_TEST(trainers_of_the_user_are_told_without_a_key)
{
    start();
    config.trainer.command_count = 1;
    begin(4);
    ck_assert(!kernel_watch_note(&watch, 1, ""));
    ck_assert(!kernel_watch_note(&watch, 2, ""));
    ck_assert(kernel_watch_note(&watch, 3, "mkl avx2"));
    says(NULL, DIFFER "not told on rank 1, rank 2; mkl avx2 on rank 3");
    finish();
}
END_TEST

START_TEST(more_kinds_than_there_is_room_for_do_no_harm)
{
    char name[TRIAL_KERNELS];
    start();
    for (int i = 0; i < 2 * KERNEL_USES_MAX; i++) {
        snprintf(name, sizeof name, "mine %d", i);
        earlier(name, TRIAL_DONE);
    }
    begin(2);
    ck_assert_int_eq(watch.earlier.count, KERNEL_USES_MAX);
    ck_assert_str_eq(watch.earlier.list[KERNEL_USES_MAX - 1].name, "others");
    ck_assert_uint_eq(watch.earlier.list[KERNEL_USES_MAX - 1].trials,
                      KERNEL_USES_MAX + 1);
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof name, "yours %d", i);
        ck_assert_int_eq(kernel_watch_note(&watch, 1, name), i < KERNEL_USES_MAX);
    }
    finish();
}
END_TEST

UNIT_MAIN("kernel_watch", ranks_that_do_not_exist_are_passed_over, one_kind_is_no_news,
          each_new_kind_is_told_once, earlier_sessions_count,
          what_earlier_sessions_did_not_record_is_no_difference,
          trainers_of_the_user_are_told_without_a_key,
          more_kinds_than_there_is_room_for_do_no_harm)
