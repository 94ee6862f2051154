/* SPDX-License-Identifier: Apache-2.0 */
/* Every message carries its length, a number and bytes that follow from sender, receiver and
 * number, so a receiver knows what comes next from each peer, byte by byte. */
#include "proto/wire.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#include "common/clock.h"
#include "common/rng.h"
#include "mpi_unit.h"

enum { MAX_RANKS = 8, LIMIT = 60, LOST_ROUNDS = 200 };

struct station {
    struct mpi_unit unit;
    struct wire *wire;
    struct bytes in, out;
    uint32_t sent[MAX_RANKS], heard[MAX_RANKS]; /* messages to and from each rank */
    double started;
};

static double now(void)
{
    return clock_now(&clock_system);
}

static void nap(double seconds)
{
    struct timespec t = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&t, NULL);
}

static uint8_t pattern(int from, int to, uint32_t number, size_t at)
{
    return (uint8_t)((size_t)from * 131 + (size_t)to * 31 + number * 7 + at * 3 + (at >> 8));
}

static void say(struct station *s, int to, size_t size)
{
    struct error err = {0};
    uint32_t number = s->sent[to]++;
    bytes_clear(&s->out);
    bytes_put_u32(&s->out, (uint32_t)size);
    bytes_put_u32(&s->out, number);
    for (size_t i = 0; i < size; i++)
        bytes_put_u8(&s->out, pattern(s->wire->rank, to, number, i));
    if (!MPI_CHECK(&s->unit,
                   wire_send(s->wire, to, s->out.data, s->out.size, &err) == 0))
        fprintf(stderr, "%s\n", err.text);
}

/* Check one transfer, which may hold several messages. */
static void check_heard(struct station *s, int from)
{
    struct bytes_reader r;
    bytes_reader_init(&r, s->in.data, s->in.size);
    while (bytes_left(&r) > 0) {
        uint32_t size = bytes_get_u32(&r), number = bytes_get_u32(&r);
        const uint8_t *data = bytes_get(&r, size);
        bool good = data != NULL;
        for (uint32_t i = 0; good && i < size; i++)
            good = data[i] == pattern(from, s->wire->rank, number, i);
        MPI_CHECK(&s->unit, good);
        MPI_CHECK(&s->unit, number == s->heard[from]);
        s->heard[from]++;
        if (r.failed)
            return;
    }
}

/* Hear what is there; false when nothing was. */
static bool hear(struct station *s)
{
    struct error err = {0};
    int from = -1;
    int rc = wire_receive(s->wire, &from, &s->in, &err);
    if (!MPI_CHECK(&s->unit, rc >= 0))
        fprintf(stderr, "%s\n", err.text);
    if (rc > 0 && MPI_CHECK(&s->unit, from >= 0 && from < s->wire->size))
        check_heard(s, from);
    if (now() - s->started > LIMIT) {
        fprintf(stderr, "rank %d: gave up waiting\n", s->wire->rank);
        _exit(EXIT_FAILURE);
    }
    return rc > 0;
}

static void hear_until(struct station *s, int from, uint32_t count)
{
    while (s->heard[from] < count)
        if (!hear(s))
            nap(1e-4);
}

static void settle(struct station *s)
{
    while (!wire_idle(s->wire)) {
        if (!hear(s))
            nap(1e-4);
        MPI_CHECK(&s->unit, wire_progress(s->wire, NULL) == 0);
    }
}

/* Sizes from nothing to far beyond what travels eagerly, the same for all ranks. */
static size_t size_of(uint32_t number)
{
    uint32_t r[4];
    rng_block(17, RNG_TEST, 0, number, r);
    if (number % 500 == 250)
        return 8u << 20;
    if (number % 50 == 25)
        return r[0] % 300000;
    return r[0] % 2000;
}

/* Everybody to everybody, as fast as it goes. */
static void run_traffic(struct station *s)
{
    enum { COUNT = 1000 };
    int size = s->wire->size, rank = s->wire->rank;
    for (uint32_t i = 0; i < COUNT; i++) {
        for (int to = 0; to < size; to++)
            if (to != rank)
                say(s, to, size_of(i));
        if (i % 10 == 0)
            while (hear(s)) {
            }
    }
    for (int from = 0; from < size; from++)
        if (from != rank)
            hear_until(s, from, COUNT);
    settle(s);
}

/* Rank 1 sleeps over small and large messages; rank 0 talks to rank 2 meanwhile. */
static void run_asleep(struct station *s)
{
    enum { ROUNDS = 20, BURST = 200 };
    int rank = s->wire->rank;
    if (rank == 1) {
        hear_until(s, 0, 1);
        nap(2);
        say(s, 0, 1); /* awake */
        hear_until(s, 0, 1 + BURST);
    } else if (rank == 0) {
        say(s, 1, 1);
        settle(s);
        for (uint32_t i = 0; i < BURST; i++)
            say(s, 1, i % 50 == 0 ? 1u << 20 : 3000);
        for (uint32_t i = 0; i < ROUNDS; i++) {
            say(s, 2, 100);
            hear_until(s, 2, i + 1);
        }
        MPI_CHECK(&s->unit, s->heard[1] == 0);
        MPI_CHECK(&s->unit, !wire_idle(s->wire));
        hear_until(s, 1, 1);
    } else {
        for (uint32_t i = 0; i < ROUNDS; i++) {
            hear_until(s, 0, i + 1);
            say(s, 0, 100);
        }
    }
    settle(s);
}

/* Rank 1 dies with a large message under way to it, rank 3 is given up though it lives; both
 * are forgotten by rank 0, which goes on with rank 2. */
static void lose_master(struct station *s)
{
    hear_until(s, 1, 1);
    hear_until(s, 3, 1);
    say(s, 1, 2u << 20);
    for (int i = 0; i < 100; i++)
        say(s, 1, 1000);
    wire_progress(s->wire, NULL);
    nap(0.3);
    wire_progress(s->wire, NULL);
    MPI_CHECK(&s->unit, !wire_idle(s->wire));
    wire_forget(s->wire, 1);
    wire_forget(s->wire, 3);
    MPI_CHECK(&s->unit, wire_idle(s->wire));
    say(s, 1, 10); /* goes nowhere, is no error */
    MPI_CHECK(&s->unit, wire_idle(s->wire));
    uint32_t before = s->heard[3];
    for (uint32_t i = 0; i < LOST_ROUNDS; i++) {
        say(s, 2, i % 20 == 0 ? 100000 : 100);
        hear_until(s, 2, i + 1);
    }
    MPI_CHECK(&s->unit, s->heard[3] == before);
    say(s, 2, 0); /* the end */
    settle(s);
}

static void echo_master(struct station *s)
{
    for (uint32_t i = 0; i < LOST_ROUNDS; i++) {
        hear_until(s, 0, i + 1);
        say(s, 0, 100);
    }
    hear_until(s, 0, LOST_ROUNDS + 1);
    settle(s);
}

static void run_lost(struct station *s)
{
    int rank = s->wire->rank;
    if (rank == 0) {
        lose_master(s);
        return;
    }
    if (rank == 2) {
        echo_master(s);
        return;
    }
    say(s, 0, 10);
    settle(s);
    if (rank == 1)
        raise(SIGKILL);
    for (int i = 0; i < 20; i++) {
        nap(0.05);
        say(s, 0, 10);
        wire_progress(s->wire, NULL);
    }
}

static void check_open(struct station *s)
{
    struct wire *second = NULL;
    struct error err = {0};
    MPI_CHECK(&s->unit, wire_mpi_launched());
    MPI_CHECK(&s->unit, wire_mpi_open(&second, &err) == ERROR_SYSTEM);
    MPI_CHECK(&s->unit, second == NULL);
    MPI_CHECK(&s->unit, s->wire->size >= 2 && s->wire->size <= MAX_RANKS);
    MPI_CHECK(&s->unit, wire_send(s->wire, s->wire->rank, "x", 1, NULL) < 0);
    MPI_CHECK(&s->unit, wire_send(s->wire, s->wire->size, "x", 1, NULL) < 0);
    MPI_CHECK(&s->unit, wire_idle(s->wire));
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(struct station *s);
        bool clean;
    } modes[] = {
        {"traffic", run_traffic, true},
        {"asleep", run_asleep, true},
        {"lost", run_lost, false},
    };
    struct station s = {.started = now()};
    struct error err = {0};
    if (wire_mpi_open(&s.wire, &err) < 0) {
        fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    s.unit.rank = s.wire->rank;
    check_open(&s);
    bool clean = true, known = false;
    for (size_t i = 0; argc == 2 && i < sizeof modes / sizeof *modes; i++) {
        if (strcmp(argv[1], modes[i].name) != 0)
            continue;
        known = true;
        modes[i].run(&s);
        clean = modes[i].clean;
    }
    MPI_CHECK(&s.unit, known);
    wire_close(s.wire, clean);
    bytes_fini(&s.in);
    bytes_fini(&s.out);
    int status = mpi_unit_pass(&s.unit);
    if (!clean)
        _exit(status);
    return status;
}
