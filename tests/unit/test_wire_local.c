/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/wire.h"

#include <stdio.h>
#include <string.h>

#include "unit.h"

static struct wire *master, *agent;

static void open_pair(void)
{
    ck_assert_int_eq(wire_local_open(&master, &agent, NULL), 0);
}

static void close_pair(void)
{
    wire_close(master, true);
    wire_close(agent, true);
}

START_TEST(bad_peers_and_sizes_are_refused)
{
    struct error err = {0};
    open_pair();
    ck_assert_int_eq(wire_send(master, 2, "x", 1, &err), ERROR_SYSTEM);
    ck_assert_str_eq(err.text, "wire local: rank 0 cannot send to rank 2 of 2");
    ck_assert_int_eq(wire_send(master, -1, "x", 1, NULL), ERROR_SYSTEM);
    ck_assert_int_eq(wire_send(master, 0, "x", 1, NULL), ERROR_SYSTEM);
    ck_assert_int_eq(wire_send(agent, 0, "x", 0, NULL), ERROR_SYSTEM);
    ck_assert_int_eq(wire_send(agent, 0, "x", (size_t)WIRE_MAX_MESSAGE + 1, &err),
                     ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "allowed are 1 to 67108864"));
    wire_forget(master, 5); /* nothing happens */
    close_pair();
    wire_close(NULL, true);
}
END_TEST

START_TEST(ranks_are_as_promised)
{
    open_pair();
    ck_assert_int_eq(master->rank, WIRE_MASTER);
    ck_assert_int_eq(agent->rank, 1);
    ck_assert_int_eq(master->size, 2);
    ck_assert_int_eq(agent->size, 2);
    ck_assert_str_eq(master->ops->name, "local");
    close_pair();
}
END_TEST

START_TEST(messages_arrive_in_order_both_ways)
{
    struct bytes got;
    int peer = -1;
    bytes_init(&got);
    open_pair();
    ck_assert_int_eq(wire_receive(master, &peer, &got, NULL), 0);
    for (int round = 0; round < 100; round++) {
        ck_assert_int_eq(wire_send(master, 1, "to ", 3, NULL), 0);
        ck_assert_int_eq(wire_send(master, 1, "agent", 5, NULL), 0);
        ck_assert_int_eq(wire_send(agent, 0, "to master", 9, NULL), 0);
        ck_assert_int_eq(wire_progress(master, NULL), 0);
        ck_assert(wire_idle(master));
        ck_assert_int_eq(wire_receive(agent, &peer, &got, NULL), 1);
        ck_assert_int_eq(peer, 0);
        ck_assert_uint_eq(got.size, 8);
        ck_assert_mem_eq(got.data, "to agent", 8);
        ck_assert_int_eq(wire_receive(agent, &peer, &got, NULL), 0);
        ck_assert_int_eq(wire_receive(master, &peer, &got, NULL), 1);
        ck_assert_int_eq(peer, 1);
        ck_assert_mem_eq(got.data, "to master", 9);
    }
    bytes_fini(&got);
    close_pair();
}
END_TEST

START_TEST(a_forgotten_peer_is_not_heard)
{
    struct bytes got;
    int peer;
    bytes_init(&got);
    open_pair();
    ck_assert_int_eq(wire_send(agent, 0, "before", 6, NULL), 0);
    wire_forget(master, 1);
    ck_assert_int_eq(wire_send(agent, 0, "after", 5, NULL), 0);
    ck_assert_int_eq(wire_send(master, 1, "gone", 4, NULL), 0);
    ck_assert_int_eq(wire_receive(master, &peer, &got, NULL), 0);
    ck_assert_int_eq(wire_receive(agent, &peer, &got, NULL), 0);
    bytes_fini(&got);
    close_pair();
}
END_TEST

START_TEST(an_end_outlives_the_other)
{
    struct bytes got;
    int peer;
    bytes_init(&got);
    open_pair();
    ck_assert_int_eq(wire_send(agent, 0, "bye", 3, NULL), 0);
    wire_close(agent, true);
    ck_assert_int_eq(wire_receive(master, &peer, &got, NULL), 1);
    ck_assert_mem_eq(got.data, "bye", 3);
    ck_assert_int_eq(wire_send(master, 1, "late", 4, NULL), 0);
    wire_close(master, true);
    bytes_fini(&got);
}
END_TEST

START_TEST(an_end_that_never_reads_is_an_error)
{
    struct error err = {0};
    size_t size = 32 << 20;
    char *large = calloc(1, size);
    open_pair();
    for (int i = 0; i < 8; i++)
        ck_assert_int_eq(wire_send(master, 1, large, size, NULL), 0);
    ck_assert_int_eq(wire_send(master, 1, large, 1, &err), ERROR_PEER);
    ck_assert_ptr_nonnull(strstr(err.text, "rank 1 does not take its messages"));
    close_pair();
    free(large);
}
END_TEST

UNIT_MAIN("wire_local", bad_peers_and_sizes_are_refused, ranks_are_as_promised,
          messages_arrive_in_order_both_ways, a_forgotten_peer_is_not_heard,
          an_end_outlives_the_other, an_end_that_never_reads_is_an_error)
