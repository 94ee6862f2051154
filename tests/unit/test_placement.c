/* SPDX-License-Identifier: Apache-2.0 */
#include "master/placement.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static struct config config;
static struct message_hello hellos[8];
static struct placement_worker workers[8];
static int count;

static void start(int threads, int gpus, int slots)
{
    config_defaults(&config);
    config.resources.threads_per_trial = threads;
    config.resources.gpus_per_trial = gpus;
    config.resources.memory_per_trial = 0;
    config.resources.oversubscribe = false;
    config.run.slots = slots;
    count = 0;
}

static struct message_hello *rank_on(const char *host, const char *cpus, const char *gpus)
{
    struct message_hello *h = &hellos[count];
    *h = (struct message_hello){0};
    snprintf(h->host, sizeof h->host, "%s", host);
    snprintf(h->cpus, sizeof h->cpus, "%s", cpus);
    snprintf(h->gpus, sizeof h->gpus, "%s", gpus);
    workers[count] = (struct placement_worker){.rank = count + 1, .hello = h};
    count++;
    return h;
}

static void refused(int status, const char *text)
{
    struct placement p = {0};
    struct error err = {0};
    ck_assert_int_eq(placement_make(&config, workers, count, &p, &err), status);
    ck_assert_msg(strstr(err.text, text), "'%s' lacks '%s'", err.text, text);
    ck_assert_ptr_null(p.slots);
}

/* The slots as "rank:cores/devices ...". */
static void gives(const char *wanted)
{
    struct placement p = {0};
    struct error err = {0};
    char text[2048] = "";
    ck_assert_msg(placement_make(&config, workers, count, &p, &err) == 0, "%s", err.text);
    for (int i = 0; i < p.count; i++) {
        size_t used = strlen(text);
        snprintf(text + used, sizeof text - used, "%s%d:%s/%s", i ? " " : "",
                 p.slots[i].rank, p.slots[i].where.cpus, p.slots[i].where.devices);
    }
    ck_assert_str_eq(text, wanted);
    placement_fini(&p);
}

START_TEST(what_is_no_list_of_cores_is_refused)
{
    const char *const bad[] = {"x", "0-", "3-z", "0,,,q"};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        start(1, 0, 0);
        rank_on("a", bad[i], "");
        refused(ERROR_PEER, bad[i]);
    }
}
END_TEST

START_TEST(nobody_with_a_place_is_an_error)
{
    start(4, 0, 0);
    rank_on("a", "0-1", "");
    rank_on("b", "0-2", "");
    refused(ERROR_INPUT, "threads_per_trial 4");
    start(1, 1, 0);
    rank_on("a", "0-7", "");
    refused(ERROR_INPUT, "gpus_per_trial 1");
    start(1, 0, 0);
    rank_on("a", "", "");
    refused(ERROR_INPUT, "no rank can run a trial");
    start(1, 0, 0);
    refused(ERROR_INPUT, "no rank can run a trial");
}
END_TEST

START_TEST(more_slots_than_fit_are_refused)
{
    start(2, 0, 3);
    rank_on("a", "0-3", "");
    refused(ERROR_INPUT, "run.slots 3");
    config.run.slots = 2;
    gives("1:0-1/ 1:2-3/");
    start(1, 1, 2);
    rank_on("a", "0-3", "0");
    refused(ERROR_INPUT, "devices");
}
END_TEST

START_TEST(ranks_of_a_host_share_what_both_were_given)
{
    start(2, 0, 0);
    rank_on("a", "0-3", "");
    rank_on("a", "0-3", "");
    gives("1:0-1/ 2:2-3/");
    start(2, 0, 0); /* another host has cores of its own */
    rank_on("a", "0-3", "");
    rank_on("b", "0-3", "");
    gives("1:0-1/ 1:2-3/ 2:0-1/ 2:2-3/");
    start(1, 0, 0); /* more ranks than cores: two have none */
    for (int i = 0; i < 4; i++)
        rank_on("a", "0-1", "");
    struct placement p = {0};
    ck_assert_int_eq(placement_make(&config, workers, count, &p, NULL), 0);
    ck_assert_int_eq(p.count, 2);
    placement_fini(&p);
}
END_TEST

START_TEST(cores_given_in_part_go_to_whom_they_serve)
{
    start(1, 0, 0);
    rank_on("a", "0-1", "");
    rank_on("a", "2-3", "");
    gives("1:0/ 1:1/ 2:2/ 2:3/");
    start(1, 0, 0); /* rank 2 has no other core than 0 */
    rank_on("a", "0-1", "");
    rank_on("a", "0", "");
    gives("1:1/ 2:0/");
}
END_TEST

START_TEST(a_quota_is_shared_by_the_ranks)
{
    start(1, 0, 0);
    rank_on("a", "0-7", "")->cpu_limit = 3;
    rank_on("a", "0-7", "")->cpu_limit = 3;
    struct placement p = {0};
    ck_assert_int_eq(placement_make(&config, workers, count, &p, NULL), 0);
    ck_assert_int_eq(p.count, 3);
    placement_fini(&p);
    start(1, 0, 0); /* more ranks than cores, the quota being no narrower */
    for (int i = 0; i < 4; i++)
        rank_on("a", "0-1", "")->cpu_limit = 2;
    gives("1:0/ 3:1/");
}
END_TEST

START_TEST(devices_are_dealt_out_once)
{
    start(1, 1, 0);
    rank_on("a", "0-7", "0,1,2,3");
    rank_on("a", "0-7", "0,1,2,3");
    gives("1:0/0 1:1/1 2:4/2 2:5/3");
    start(1, 2, 0);
    rank_on("a", "0-7", "0,1,2");
    gives("1:0/0,1");
    start(1, 1, 0); /* overlapping lists cannot be told apart safely */
    rank_on("a", "0-3", "0,1");
    rank_on("a", "4-7", "1,2");
    refused(ERROR_INPUT, "share devices");
}
END_TEST

START_TEST(memory_limits_the_slots)
{
    start(1, 0, 0);
    config.resources.memory_per_trial = INT64_C(2) << 30;
    rank_on("a", "0-7", "")->memory = INT64_C(5) << 30;
    gives("1:0/ 1:1/");
    config.resources.memory_per_trial = INT64_C(9) << 30;
    refused(ERROR_INPUT, "no rank can run a trial");
}
END_TEST

START_TEST(oversubscribed_slots_are_not_pinned)
{
    start(4, 0, 3);
    config.resources.oversubscribe = true;
    rank_on("a", "0-1", "");
    gives("1:/ 1:/ 1:/");
    config.run.slots = 0;
    gives("1:/");
}
END_TEST

START_TEST(a_core_in_two_slots_is_found)
{
    struct placement_slot slots[] = {
        {.rank = 1, .host = "a", .where = {.cpus = "0-3", .devices = "", .numa = -1}},
        {.rank = 2, .host = "a", .where = {.cpus = "3-5", .devices = "", .numa = -1}},
    };
    struct placement p = {.count = 2, .slots = slots};
    struct error err = {0};
    ck_assert_int_eq(placement_check(&p, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(
        strstr(err.text, "rank 1 slot 0 and rank 2 slot 0 share cores"));
    snprintf(slots[1].host, sizeof slots[1].host, "b");
    ck_assert_int_eq(placement_check(&p, &err), 0);
}
END_TEST

START_TEST(kernels_that_a_rank_lacks_are_refused)
{
    start(1, 0, 1);
    snprintf(rank_on("a", "0", "")->kernels, KERNEL_NAMES, "avx512 avx2 generic");
    snprintf(rank_on("b", "0", "")->kernels, KERNEL_NAMES, "avx2 generic");
    config.trainer.builtin.kernels = KERNELS_AVX512;
    refused(ERROR_INPUT, "rank 2 on b: trainer.builtin.kernels is avx512");
    config.trainer.command_count = 1; /* whose business it is */
    gives("1:0/ 2:0/");
}
END_TEST

START_TEST(the_kernels_of_a_slot_are_known)
{
    struct placement p;
    start(1, 0, 1);
    snprintf(rank_on("a", "0", "")->kernels, KERNEL_NAMES, "avx512 avx2 generic");
    snprintf(rank_on("b", "0", "")->kernels, KERNEL_NAMES, "avx2 generic");
    ck_assert_int_eq(placement_make(&config, workers, count, &p, NULL), 0);
    ck_assert_str_eq(p.slots[0].kernels, "avx512");
    ck_assert_str_eq(p.slots[1].kernels, "avx2");
    placement_fini(&p);
    config.trainer.builtin.kernels = KERNELS_AVX2;
    ck_assert_int_eq(placement_make(&config, workers, count, &p, NULL), 0);
    ck_assert_str_eq(p.slots[0].kernels, "avx2");
    char *json = placement_json(&p);
    ck_assert_ptr_nonnull(strstr(json, "\"kernels\": \"avx2\""));
    free(json);
    placement_fini(&p);
}
END_TEST

START_TEST(the_numa_node_of_a_slot_is_known)
{
    struct placement p = {0};
    start(2, 0, 0);
    struct message_hello *h = rank_on("a", "0-5", "");
    snprintf(h->numa, sizeof h->numa, "0:0-2;1:3-5");
    ck_assert_int_eq(placement_make(&config, workers, count, &p, NULL), 0);
    ck_assert_int_eq(p.slots[0].where.numa, 0);
    ck_assert_int_eq(p.slots[1].where.numa, -1); /* across both */
    ck_assert_int_eq(p.slots[2].where.numa, 1);
    char *table = placement_format(&p), *json = placement_json(&p);
    ck_assert_ptr_nonnull(strstr(table, "4-5"));
    ck_assert_ptr_nonnull(strstr(json, "\"cores\": \"0-1\""));
    free(table);
    free(json);
    placement_fini(&p);
}
END_TEST

UNIT_MAIN("placement", what_is_no_list_of_cores_is_refused,
          nobody_with_a_place_is_an_error, more_slots_than_fit_are_refused,
          ranks_of_a_host_share_what_both_were_given,
          cores_given_in_part_go_to_whom_they_serve, a_quota_is_shared_by_the_ranks,
          devices_are_dealt_out_once, memory_limits_the_slots,
          oversubscribed_slots_are_not_pinned, a_core_in_two_slots_is_found,
          kernels_that_a_rank_lacks_are_refused, the_kernels_of_a_slot_are_known,
          the_numa_node_of_a_slot_is_known)
