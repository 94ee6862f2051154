/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks a second through one agent with trainers that answer at once: messages over the
 * local wire, agent, protocol, processes; without a search, a journal or MPI. The peer in
 * the same run is the bare exchange that any trainer costs: the same lines through the
 * same two pipes with one process that answers each, one at a time. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/config.h"
#include "proto/message.h"
#include "worker/agent.h"
#include "worker/process.h"

enum { SLOTS = 2, TASKS = 100000, AHEAD = 128, SINGLE = 20000 };

static const char architecture[] =
    "{\"space\":\"conv-chain\",\"tokens\":[1,0,2,1,3,1,1,0,2,1,3,1],\"depth\":3,"
    "\"layers\":["
    "{\"filter_height\":3,\"filter_width\":1,\"filters\":36,\"stride\":1,\"inputs\":[-1]}"
    ","
    "{\"filter_height\":5,\"filter_width\":5,\"filters\":48,\"stride\":2,\"inputs\":[0]},"
    "{\"filter_height\":7,\"filter_width\":1,\"filters\":64,\"stride\":1,\"inputs\":[0,1]"
    "}]}";

static void die(const struct error *err)
{
    fprintf(stderr, "bench_agent: %s\n", err->text);
    exit(1);
}

static double cpu_seconds(int who)
{
    struct rusage use;
    getrusage(who, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           1e-6 * (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec);
}

static void send_message(struct wire *master, const struct message *m)
{
    struct bytes out;
    struct error err = {0};
    bytes_init(&out);
    message_encode(m, &out);
    if (out.failed || wire_send(master, 1, out.data, out.size, &err))
        die(&err);
    bytes_fini(&out);
}

static void welcome(struct wire *master)
{
    static struct config config;
    struct message_slot slots[SLOTS];
    struct message m = {.type = MESSAGE_WELCOME};
    struct error err = {0};
    config_defaults(&config);
    config.task.data.format = DATA_GENERATED;
    config.trainer.command_count = 2;
    snprintf(config.trainer.command[0], CONFIG_TEXT, "%s", FAKE_TRAINER);
    snprintf(config.trainer.command[1], CONFIG_TEXT, "--null");
    if (config_check(&config, "bench", &err))
        die(&err);
    memset(slots, 0, sizeof slots);
    m.welcome = (struct message_welcome){config_write(&config, false), "", SLOTS, slots};
    send_message(master, &m);
    free(m.welcome.config);
}

static void send_task(struct wire *master, uint64_t trial)
{
    struct message m = {.type = MESSAGE_TASK};
    m.task = (struct message_task){.trial = trial,
                                   .seed = trial,
                                   .attempt = 1,
                                   .slot = (int)(trial % SLOTS),
                                   .timeout = 60,
                                   .architecture = (char *)architecture,
                                   .hyperparameters = "{}"};
    send_message(master, &m);
}

/* Results that have come in. */
static int receive(struct wire *master, struct bytes *in)
{
    int peer, count = 0;
    struct error err = {0};
    while (wire_receive(master, &peer, in, &err) > 0) {
        struct bytes_reader reader;
        struct message m;
        bytes_reader_init(&reader, in->data, in->size);
        while (message_decode(&reader, &m, &err) > 0) {
            if (m.type == MESSAGE_RESULT && m.result.failure != FAILURE_NONE) {
                fprintf(stderr, "bench_agent: %s\n", m.result.reason);
                exit(1);
            }
            count += m.type == MESSAGE_RESULT;
            message_fini(&m);
        }
    }
    return count;
}

/* Until `target` results are in, with `ahead` tasks a slot under way. */
static void run(struct wire *master, struct agent *agent, struct bytes *in,
                uint64_t *given, uint64_t *done, uint64_t target, uint64_t ahead)
{
    struct error err = {0};
    while (*done < target) {
        for (; *given < target && *given - *done < ahead * SLOTS; (*given)++)
            send_task(master, *given);
        wire_progress(master, &err);
        if (agent_step(agent, &err) != 1)
            die(&err);
        int count = receive(master, in);
        *done += (uint64_t)count;
        if (!count)
            agent_wait(agent, -1, 100);
    }
}

/* The peer: a line there and a line back, SINGLE times; seconds. */
static double exchange(void)
{
    static const char *const argv[] = {FAKE_TRAINER, "--null", NULL};
    static const char *const environment[] = {NULL};
    struct process_spec spec = {argv, environment, "", 0, 0};
    struct process p;
    struct error err = {0};
    char line[2048], answer[4096];
    if (process_start(&spec, &p, &err))
        die(&err);
    fcntl(p.in, F_SETFL, 0);
    fcntl(p.out, F_SETFL, 0);
    int n = snprintf(line, sizeof line,
                     "{\"type\":\"task\",\"trial\":1,\"attempt\":1,\"seed\":1,"
                     "\"architecture\":%s,\"hyperparameters\":{}}\n",
                     architecture);
    if (read(p.out, answer, sizeof answer) <= 0)
        exit(1);
    double start = clock_now(&clock_system);
    for (int i = 0; i < SINGLE; i++)
        if (write(p.in, line, (size_t)n) != n || read(p.out, answer, sizeof answer) <= 0)
            exit(1);
    double seconds = clock_now(&clock_system) - start;
    process_destroy(&p);
    return seconds;
}

int main(void)
{
    struct agent_options options = {.trainer_path = "", .clock = &clock_system};
    struct wire *master, *wire;
    struct agent *agent;
    struct bytes in;
    struct error err = {0};
    uint64_t given = 0, done = 0;
    bytes_init(&in);
    if (wire_local_open(&master, &wire, &err) || agent_new(wire, &options, &agent, &err))
        die(&err);
    welcome(master);
    run(master, agent, &in, &given, &done, 1000, AHEAD);
    double start = clock_now(&clock_system), cpu = cpu_seconds(RUSAGE_SELF);
    run(master, agent, &in, &given, &done, 1000 + TASKS, AHEAD);
    double seconds = clock_now(&clock_system) - start;
    cpu = cpu_seconds(RUSAGE_SELF) - cpu;
    start = clock_now(&clock_system);
    run(master, agent, &in, &given, &done, 1000 + TASKS + SINGLE, 1);
    double single = clock_now(&clock_system) - start;
    agent_free(agent);
    wire_close(wire, true);
    wire_close(master, true);
    bytes_fini(&in);
    double peer = SINGLE / exchange();
    printf(
        "%d slots, %d tasks ahead: %.0f tasks/s, %.1f us of CPU a task in agent and "
        "messages\n%d slots, none ahead: %.0f tasks/s\none bare pipe pair, line by line: "
        "%.0f lines/s\nratios to it: %.2f and %.2f\n",
        SLOTS, AHEAD, TASKS / seconds, cpu / TASKS * 1e6, SLOTS, SINGLE / single, peer,
        TASKS / seconds / peer, SINGLE / single / peer);
    return 0;
}
