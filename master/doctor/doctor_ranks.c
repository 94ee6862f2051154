/* SPDX-License-Identifier: Apache-2.0 */
/* Workers are the ordinary ones: they say HELLO as in a search and leave at STOP. So what
 * is tested is what will run, and the cores a rank tells here are those it will use. */
#include "master/doctor/doctor_ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/text.h"
#include "master/cli/output.h"
#include "master/dispatcher.h"
#include "master/stop.h"

static const double silence = 10; /* seconds after which a rank counts as silent */

struct meeting {
    struct text out;
    int met, fewest, cores; /* fewest of a rank; cores online there */
};

static int count_list(const char *list)
{
    int count = 0;
    while (*list) {
        char *end;
        long first = strtol(list, &end, 10), last = first;
        if (end == list)
            return count;
        if (*end == '-')
            last = strtol(end + 1, &end, 10);
        count += (int)(last - first) + 1;
        list = *end == ',' ? end + 1 : end;
    }
    return count;
}

static void meet(struct meeting *m, int rank, const struct message_hello *h)
{
    char memory[32];
    int cores = count_list(h->cpus);
    text_format_size((double)h->memory, memory, sizeof memory);
    text_append(&m->out,
                "rank %d on %s: %d cores (%s), at most %d by quota, %s, devices %s\n",
                rank, h->host, cores, h->cpus, h->cpu_limit, memory,
                h->gpus[0] ? h->gpus : "none");
    cores = h->cpu_limit < cores ? h->cpu_limit : cores;
    if (m->met++ == 0 || cores < m->fewest)
        m->fewest = cores;
}

/* Messages that are there; calls meet for every HELLO, keeps the last one. Returns how
 * many HELLOs came, negative on an error or a BYE. */
static int take(struct wire *wire, struct bytes *in, struct meeting *meeting,
                struct message_hello *ret, struct error *err)
{
    int rank, got = 0, status;
    while ((status = wire_receive(wire, &rank, in, err)) == 1) {
        struct bytes_reader reader;
        struct message m;
        bytes_reader_init(&reader, in->data, in->size);
        while ((status = message_decode(&reader, &m, err)) == 1) {
            if (m.type == MESSAGE_BYE)
                status = error_set(err, ERROR_PEER, "rank %d: %s", rank, m.bye.reason);
            if (m.type == MESSAGE_HELLO) {
                got++;
                if (meeting)
                    meet(meeting, rank, &m.hello);
                if (ret)
                    *ret = m.hello;
            }
            message_fini(&m);
            if (status < 0)
                return status;
        }
        if (status < 0)
            return status;
    }
    return status < 0 ? status : got;
}

int doctor_own_hello(const struct services *services, struct message_hello *ret,
                     struct error *err)
{
    struct wire *master = NULL, *worker = NULL;
    void *agent = NULL;
    struct bytes in;
    bytes_init(&in);
    int status = wire_local_open(&master, &worker, err);
    if (status == 0)
        status = services->agent_open(worker, &clock_system, &agent, err);
    if (status == 0)
        status = services->agent_step(agent, err);
    if (status >= 0)
        status = take(master, &in, NULL, ret, err);
    if (status == 0)
        status = error_set(err, ERROR_SYSTEM, "the agent says nothing of this machine");
    services->agent_close(agent);
    wire_close(worker, true);
    wire_close(master, true);
    bytes_fini(&in);
    return status < 0 ? status : 0;
}

static int gather(struct wire *wire, struct meeting *m, struct error *err)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    double until = clock_now(&clock_system) + silence;
    struct bytes in;
    int status = 0;
    bytes_init(&in);
    while (status >= 0 && m->met < wire->size - 1 && clock_now(&clock_system) < until) {
        status = take(wire, &in, m, NULL, err);
        if (status == 0)
            nanosleep(&nap, NULL);
    }
    bytes_fini(&in);
    return status < 0 ? status : 0;
}

int doctor_meet_ranks(const struct services *services, int *ret_exit, struct error *err)
{
    struct wire *wire = NULL;
    struct meeting m = {0};
    bool clean = true;
    int status = wire_mpi_open(&wire, err);
    *ret_exit = 0;
    if (status == 0 && wire->rank != WIRE_MASTER) {
        status = services->work(wire, &clock_system, stop_signalled, &clean, err);
        wire_close(wire, clean);
        return status;
    }
    if (status != 0)
        return status;
    text_init(&m.out);
    status = gather(wire, &m, err);
    *ret_exit = m.met < wire->size - 1;
    text_append(&m.out, "%d of %d ranks answered; " DOCTOR_RANKS_WORKER "%d of %ld\n",
                m.met, wire->size - 1, m.fewest, sysconf(_SC_NPROCESSORS_ONLN));
    dispatcher_dismiss(wire);
    wire_close(wire, *ret_exit == 0);
    int said = output_text(&m.out, status == 0 ? err : NULL);
    status = status == 0 ? said : status;
    if (*ret_exit != 0) { /* MPI_Finalize could wait for the silent one for ever */
        fflush(NULL);
        _exit(1);
    }
    return status;
}
