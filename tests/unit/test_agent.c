/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/agent.h"
#include "unit.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "common/config.h"
#include "common/text.h"
#include "proto/message.h"
#include "temp_folder.h"
#include "worker/machine.h"

enum { MAX_RESULTS = 4096 };

struct seen {
    uint64_t trial;
    int attempt, failure;
    uint32_t epochs;
    double seconds, params;
    char kernels[TRIAL_KERNELS];
    float accuracy; /* of the last epoch; NAN without */
    char reason[600];
};

/* A master with nothing but a wire, and the agent on the other end. */
struct rig {
    struct wire *master, *wire;
    struct agent *agent;
    struct clock clock;
    double skip; /* seconds that the clock is ahead */
    bool mute;   /* send no heartbeats */
    struct bytes in, out;
    struct seen results[MAX_RESULTS];
    int result_count, progress_count, heartbeat_count, ready, bye;
    struct message_checkpoint states[64]; /* what was said of them */
    int state_count, suspended;
    struct message_hello hello;
    char bye_reason[MESSAGE_TEXT];
    int status; /* of the last step */
    struct error err;
};

static double skipping_now(void *context)
{
    const struct rig *rig = context;
    return clock_now(&clock_system) + rig->skip;
}

static struct rig *rig_new(double start_timeout)
{
    struct rig *rig = calloc(1, sizeof *rig);
    ck_assert_ptr_nonnull(rig);
    rig->clock = (struct clock){skipping_now, clock_system.wall, rig};
    bytes_init(&rig->in);
    bytes_init(&rig->out);
    ck_assert_int_eq(wire_local_open(&rig->master, &rig->wire, &rig->err), 0);
    struct agent_options options = {"/nonexistent/archway-trainer", &rig->clock,
                                    start_timeout, NULL};
    ck_assert_msg(agent_new(rig->wire, &options, &rig->agent, &rig->err) == 0, "%s",
                  rig->err.text);
    rig->status = 1;
    return rig;
}

static void rig_free(struct rig *rig)
{
    agent_free(rig->agent);
    wire_close(rig->wire, true);
    wire_close(rig->master, true);
    bytes_fini(&rig->in);
    bytes_fini(&rig->out);
    free(rig);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}

static void rig_send(struct rig *rig, const struct message *m)
{
    bytes_clear(&rig->out);
    message_encode(m, &rig->out);
    ck_assert_int_eq(wire_send(rig->master, 1, rig->out.data, rig->out.size, &rig->err),
                     0);
}

static void note_result(struct rig *rig, const struct message_result *r)
{
    ck_assert_int_lt(rig->result_count, MAX_RESULTS);
    struct seen *s = &rig->results[rig->result_count++];
    s->trial = r->trial;
    s->attempt = r->attempt;
    s->failure = r->failure;
    s->epochs = r->epoch_count;
    s->seconds = r->seconds;
    s->params = r->params;
    memcpy(s->kernels, r->kernels, sizeof s->kernels);
    s->accuracy = r->epoch_count ? r->epochs[r->epoch_count - 1].val_accuracy : NAN;
    snprintf(s->reason, sizeof s->reason, "%s", r->reason);
}

static void note(struct rig *rig, const struct message *m)
{
    if (m->type == MESSAGE_RESULT)
        note_result(rig, &m->result);
    else if (m->type == MESSAGE_HELLO)
        rig->hello = m->hello;
    else if (m->type == MESSAGE_BYE)
        snprintf(rig->bye_reason, sizeof rig->bye_reason, "%s", m->bye.reason);
    if (m->type == MESSAGE_CHECKPOINT && rig->state_count < 64)
        rig->states[rig->state_count++] = m->checkpoint;
    rig->suspended += m->type == MESSAGE_SUSPENDED;
    rig->progress_count += m->type == MESSAGE_PROGRESS;
    rig->heartbeat_count += m->type == MESSAGE_HEARTBEAT;
    rig->ready += m->type == MESSAGE_READY;
    rig->bye += m->type == MESSAGE_BYE;
}

static void rig_receive(struct rig *rig)
{
    int peer;
    while (wire_receive(rig->master, &peer, &rig->in, &rig->err) > 0) {
        struct bytes_reader reader;
        struct message m;
        bytes_reader_init(&reader, rig->in.data, rig->in.size);
        while (message_decode(&reader, &m, &rig->err) > 0) {
            note(rig, &m);
            message_fini(&m);
        }
    }
}

/* Let both run for a moment. */
static void rig_step(struct rig *rig)
{
    struct message beat = {.type = MESSAGE_HEARTBEAT};
    if (!rig->mute)
        rig_send(rig, &beat);
    wire_progress(rig->master, &rig->err);
    if (rig->status == 1)
        rig->status = agent_step(rig->agent, &rig->err);
    rig_receive(rig);
    if (rig->status == 1)
        agent_wait(rig->agent, -1, 5);
}

#define RIG_UNTIL(rig, seconds, condition)                                            \
    do {                                                                              \
        double end_ = clock_now(&clock_system) + (seconds);                           \
        while (!(condition)) {                                                        \
            ck_assert_msg(clock_now(&clock_system) < end_, "waited for " #condition); \
            rig_step(rig);                                                            \
        }                                                                             \
    } while (0)

/* A configuration with a fake trainer of these options, blank-separated. */
static char *configuration(const char *trainer, const char *more)
{
    struct text t;
    text_init(&t);
    text_append(&t, "task: {data: {format: generated}}\ntrainer: {command: [");
    char *words = strdup(trainer), *rest = words;
    for (char *word, *comma = ""; (word = strsep(&rest, " ")); comma = ", ")
        if (*word)
            text_append(&t, "%s\"%s\"", comma, word);
    free(words);
    text_append(&t, "]}\n%s\n", more);
    char *yaml = text_take(&t);
    ck_assert_ptr_nonnull(yaml);
    return yaml;
}

/* The agent gets the effective configuration of `trainer` and `more`. */
static void rig_welcome(struct rig *rig, const char *trainer, const char *more, int slots,
                        const char *run_folder)
{
    struct config config;
    struct message_slot places[8];
    char *yaml = configuration(trainer, more);
    memset(places, 0, sizeof places);
    for (int i = 0; i < slots; i++)
        places[i].numa = -1;
    ck_assert_msg(config_parse("test", yaml, strlen(yaml), &config, &rig->err) == 0, "%s",
                  rig->err.text);
    free(yaml);
    struct message m = {.type = MESSAGE_WELCOME};
    m.welcome = (struct message_welcome){config_write(&config, false), (char *)run_folder,
                                         slots, places};
    rig_send(rig, &m);
    free(m.welcome.config);
}

static struct rig *rig_start(const char *options, int slots)
{
    char command[2048];
    struct rig *rig = rig_new(0);
    snprintf(command, sizeof command, "%s %s", FAKE_TRAINER, options);
    rig_welcome(rig, command, "", slots, "");
    return rig;
}

static void rig_task(struct rig *rig, uint64_t trial, int slot, double timeout)
{
    struct message m = {.type = MESSAGE_TASK};
    m.task = (struct message_task){
        .trial = trial,
        .seed = 100 + trial,
        .attempt = 1,
        .slot = slot,
        .timeout = timeout,
        .architecture = trial % 2 ? "{\"tokens\":[1,1,1,0],\"depth\":4}"
                                  : "{\"tokens\": [0, 11, 1, 10], \"depth\": 4}",
        .hyperparameters = "{}",
    };
    rig_send(rig, &m);
}

static void rig_cancel(struct rig *rig, uint64_t trial)
{
    struct message m = {.type = MESSAGE_CANCEL};
    m.cancel.trial = trial;
    m.cancel.attempt = 1;
    rig_send(rig, &m);
}

/* STOP, and everything ends in good order. */
static void rig_finish(struct rig *rig)
{
    struct message m = {.type = MESSAGE_STOP};
    m.stop.clean = 1;
    rig_send(rig, &m);
    RIG_UNTIL(rig, 20, rig->status <= 0 && rig->bye);
    ck_assert_msg(rig->status == 0, "%s", rig->err.text);
    ck_assert_str_eq(rig->bye_reason, "");
    ck_assert(agent_clean(rig->agent));
    rig_free(rig);
}

static void check_ok(const struct seen *s)
{
    ck_assert_msg(s->failure == FAILURE_NONE, "trial %d: %s", (int)s->trial, s->reason);
    ck_assert_double_eq_tol(s->accuracy, s->trial % 2 ? 0.7 : 0.3, 0.011);
}

static bool gone(pid_t pid)
{
    const struct timespec pause = {0, 2000000};
    char path[64], state = 'Z';
    for (int i = 0; i < 1500; i++) {
        snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
        FILE *f = fopen(path, "r");
        if (!f)
            return true;
        if (fscanf(f, "%*d %*s %c", &state) != 1)
            state = '?';
        fclose(f);
        if (state == 'Z')
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static pid_t read_pid(const char *path)
{
    int pid = 0;
    for (int i = 0; i < 1000 && pid == 0; i++) {
        FILE *f = fopen(path, "r");
        ck_assert_ptr_nonnull(f);
        if (fscanf(f, "%d", &pid) != 1)
            usleep(1000); /* it is just being written */
        fclose(f);
    }
    ck_assert_int_gt(pid, 0);
    return pid;
}

static void expect_give_up(const struct message *m, const char *part)
{
    struct rig *rig = rig_new(0);
    rig_send(rig, m);
    RIG_UNTIL(rig, 10, rig->status < 0 && rig->bye);
    ck_assert_msg(strstr(rig->err.text, part) != NULL, "%s", rig->err.text);
    ck_assert_msg(strstr(rig->bye_reason, part) != NULL, "%s", rig->bye_reason);
    ck_assert_int_eq(agent_step(rig->agent, &rig->err), 0);
    rig_free(rig);
}

START_TEST(nonsense_of_the_master_ends_the_rank)
{
    struct message m = {.type = MESSAGE_WELCOME};
    m.welcome.config = "serach: {}\n";
    expect_give_up(&m, "serach");
    struct message hello = {.type = MESSAGE_READY};
    expect_give_up(&hello, "READY");
    struct rig *rig = rig_new(0);
    ck_assert_int_eq(wire_send(rig->master, 1, "not a message at all", 20, &rig->err), 0);
    RIG_UNTIL(rig, 10, rig->status < 0);
    ck_assert_int_eq(rig->status, ERROR_PEER);
    rig_free(rig);
    agent_free(NULL);
}
END_TEST

START_TEST(a_cap_that_is_no_kernels_is_said_and_ends_it)
{
    struct rig *rig = calloc(1, sizeof *rig);
    struct agent_options options = {.clock = &clock_system, .kernels_cap = "sse"};
    ck_assert_ptr_nonnull(rig);
    bytes_init(&rig->in);
    ck_assert_int_eq(wire_local_open(&rig->master, &rig->wire, &rig->err), 0);
    ck_assert_int_eq(agent_new(rig->wire, &options, &rig->agent, &rig->err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(rig->err.text, "'sse'"));
    ck_assert_ptr_null(rig->agent);
    rig_receive(rig);
    ck_assert_int_eq(rig->bye, 1);
    ck_assert_ptr_nonnull(strstr(rig->bye_reason, "'sse'"));
    rig_free(rig);
}
END_TEST

START_TEST(it_says_what_trains)
{
    struct rig *rig = rig_start("--null --kernels FAKE_KERNELS", 1);
    ck_assert_int_eq(setenv("FAKE_KERNELS", "abacus", 1), 0);
    rig_task(rig, 0, 0, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 1);
    unsetenv("FAKE_KERNELS");
    ck_assert_str_eq(rig->results[0].kernels, "abacus");
    ck_assert(kernel_names_contain(rig->hello.kernels, "generic"));
    rig_finish(rig);
}
END_TEST

START_TEST(it_introduces_itself)
{
    struct machine machine;
    struct rig *rig = rig_start("", 1);
    RIG_UNTIL(rig, 10, rig->ready);
    ck_assert_int_eq(machine_detect(&machine, NULL), 0);
    ck_assert_str_eq(rig->hello.host, machine.host);
    ck_assert_str_eq(rig->hello.cpus, machine.cpus);
    ck_assert_int_eq(rig->hello.pid, getpid());
    ck_assert(rig->hello.version[0]);
    RIG_UNTIL(rig, 10, rig->heartbeat_count >= 1);
    rig_finish(rig);
}
END_TEST

START_TEST(tasks_come_back_as_results)
{
    struct rig *rig = rig_start("--null", 2);
    bool seen[600] = {false};
    for (int i = 0; i < 600; i++)
        rig_task(rig, (uint64_t)i, i % 2, 60);
    RIG_UNTIL(rig, 30, rig->result_count == 600);
    for (int i = 0; i < 600; i++) {
        check_ok(&rig->results[i]);
        ck_assert(!seen[rig->results[i].trial]);
        seen[rig->results[i].trial] = true;
        ck_assert_int_eq((int)rig->results[i].epochs, 1);
        ck_assert_double_eq(rig->results[i].params, 1000);
    }
    rig_finish(rig);
}
END_TEST

START_TEST(curves_arrive_epoch_by_epoch)
{
    struct rig *rig = rig_start("--epochs 5", 1);
    rig_task(rig, 1, 0, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 1);
    check_ok(&rig->results[0]);
    ck_assert_int_eq(rig->progress_count, 5);
    ck_assert_int_eq((int)rig->results[0].epochs, 5);
    rig_finish(rig);
}
END_TEST

/* Trial 1 goes wrong; those before and behind it do not suffer, whatever was sent ahead.
 */
static void expect_one_failure(const char *options, int failure, const char *part)
{
    char command[1024];
    struct rig *rig = rig_new(0);
    snprintf(command, sizeof command, "%s %s", FAKE_TRAINER, options);
    rig_welcome(rig, command, "resources: {memory_per_trial: 100MiB}", 1, "");
    for (uint64_t i = 0; i < 3; i++)
        rig_task(rig, i, 0, strstr(options, "hang") || strstr(options, "over") ? 0.4 : 30);
    RIG_UNTIL(rig, 20, rig->result_count == 3);
    for (int i = 0; i < 3; i++) {
        const struct seen *s = &rig->results[i];
        ck_assert_int_eq((int)s->trial, i);
        if (i != 1) {
            check_ok(s);
            continue;
        }
        ck_assert_msg(s->failure == failure, "%s: %d %s", options, s->failure, s->reason);
        ck_assert_msg(strstr(s->reason, part) != NULL, "%s: %s", options, s->reason);
    }
    rig_finish(rig);
}

START_TEST(every_failure_costs_one_attempt)
{
    static const struct {
        const char *options;
        int failure;
        const char *part;
    } cases[] = {
        {"--fail-every 2", FAILURE_TRAINER, "told to fail"},
        {"--crash-every 2", FAILURE_EXIT, "killed by signal 11 (Segmentation fault)"},
        {"--crash-every 2 --complaint bad_alloc", FAILURE_EXIT, ": bad_alloc"},
        {"--exit-every 2 --complaint ValueError", FAILURE_EXIT,
         "exit status 3: ValueError"},
        {"--hang-every 2", FAILURE_TIMEOUT, "run.trial_timeout"},
        {"--nan-every 2", FAILURE_NAN, "val_accuracy is not a number"},
        {"--garbage-every 2", FAILURE_PROTOCOL, "this is no JSON"},
        {"--wrong-every 2", FAILURE_PROTOCOL, "trial 1001"},
        {"--big-line-every 2", FAILURE_PROTOCOL, "allowed: 1048576"},
        {"--abort-every 2", FAILURE_EXIT, "killed by signal 6 (Aborted)"},
        {"--half-every 2", FAILURE_EXIT, "ended with exit status 0"},
        {"--overtime-every 2", FAILURE_TIMEOUT, "run.trial_timeout"},
        {"--flood-every 2", FAILURE_EXIT,
         "exit status 5: last words\neeee"},
        {"--flood-every 2", FAILURE_EXIT, "e\nfirst\nsecond\nlast words"},
        {"--eat-every 2", FAILURE_EXIT, "resources.memory_per_trial allows 100.0 MiB"},
    };
    char options[256];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        for (int queue = 0; queue <= 2; queue += 2) {
            snprintf(options, sizeof options, "%s --queue %d", cases[i].options, queue);
            expect_one_failure(options, cases[i].failure, cases[i].part);
        }
    }
}
END_TEST

/* The first result of trial 1 counts, the second costs whoever runs then its attempt. */
START_TEST(two_results_are_not_counted_twice)
{
    for (int queue = 0; queue <= 2; queue += 2) {
        char options[64];
        int failed = 0;
        snprintf(options, sizeof options, "--twice-every 2 --queue %d", queue);
        struct rig *rig = rig_start(options, 1);
        for (uint64_t i = 0; i < 3; i++)
            rig_task(rig, i, 0, 30);
        RIG_UNTIL(rig, 20, rig->result_count == 3);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq((int)rig->results[i].trial, i);
        check_ok(&rig->results[0]);
        check_ok(&rig->results[1]);
        failed = rig->results[2].failure;
        ck_assert_msg(failed == FAILURE_NONE || failed == FAILURE_PROTOCOL, "%d", failed);
        rig_finish(rig);
    }
}
END_TEST

/* A child in a session of its own goes with its trainer, not before. */
START_TEST(a_daemon_goes_with_its_trainer)
{
    struct temp_folder folder;
    char options[700];
    temp_folder_init(&folder);
    const char *file = temp_folder_file(&folder, "daemon");
    snprintf(options, sizeof options, "--hang-every 2 --once --daemon %s", file);
    struct rig *rig = rig_start(options, 1);
    rig_task(rig, 0, 0, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 1);
    pid_t first = read_pid(file);
    double until = clock_now(&clock_system) + 1.2;
    RIG_UNTIL(rig, 10, clock_now(&clock_system) > until);
    ck_assert_int_eq(kill(first, 0), 0);
    rig_task(rig, 1, 0, 0.2);
    RIG_UNTIL(rig, 10, read_pid(file) != first);
    RIG_UNTIL(rig, 10, kill(first, 0) != 0);
    pid_t second = read_pid(file);
    rig_finish(rig);
    ck_assert_int_ne(kill(second, 0), 0);
    temp_folder_fini(&folder);
}
END_TEST

/* In a process that is master as well, whose snapshots are written by children. */
START_TEST(children_of_others_are_left_alone)
{
    struct rig *rig = rig_start("--exit-every 2", 1);
    RIG_UNTIL(rig, 10, rig->ready);
    pid_t dead = fork();
    if (dead == 0)
        _exit(7);
    pid_t living = fork();
    if (living == 0)
        for (;;)
            pause();
    for (uint64_t i = 0; i < 4; i++)
        rig_task(rig, i, 0, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 4);
    double until = clock_now(&clock_system) + 1.2;
    RIG_UNTIL(rig, 10, clock_now(&clock_system) > until);
    int status = 0;
    ck_assert_int_eq(waitpid(dead, &status, WNOHANG), dead);
    ck_assert_int_eq(WEXITSTATUS(status), 7);
    ck_assert_int_eq(kill(living, 0), 0);
    kill(living, SIGKILL);
    ck_assert_int_eq(waitpid(living, &status, 0), living);
    rig_finish(rig);
}
END_TEST

/* The agent is killed like a rank whose node runs out of memory. */
START_TEST(nothing_outlives_a_killed_agent)
{
    struct temp_folder folder;
    char options[1400];
    temp_folder_init(&folder);
    const char *child = temp_folder_file(&folder, "child");
    char *path = strdup(child);
    const char *daemon = temp_folder_file(&folder, "daemon");
    snprintf(options, sizeof options, "--sleep 60000 --child %s --daemon %s", path, daemon);
    pid_t pid = fork();
    if (pid == 0) {
        struct rig *rig = rig_start(options, 1);
        rig_task(rig, 0, 0, 60);
        RIG_UNTIL(rig, 10, rig->ready);
        while (access(daemon, R_OK) != 0)
            rig_step(rig);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
    ck_assert(gone(read_pid(path)));
    ck_assert(gone(read_pid(daemon)));
    free(path);
    temp_folder_fini(&folder);
}
END_TEST

START_TEST(a_timeout_ends_the_whole_group)
{
    struct temp_folder folder;
    char options[700];
    temp_folder_init(&folder);
    const char *file = temp_folder_file(&folder, "child");
    snprintf(options, sizeof options, "--hang-every 1 --stubborn --child %s", file);
    struct rig *rig = rig_start(options, 1);
    rig_task(rig, 0, 0, 0.2);
    RIG_UNTIL(rig, 10, rig->result_count == 1);
    ck_assert_int_eq(rig->results[0].failure, FAILURE_TIMEOUT);
    ck_assert_double_ge(rig->results[0].seconds, 0.2);
    pid_t child = read_pid(file);
    ck_assert_int_eq(kill(child, 0), 0);
    RIG_UNTIL(rig, 10, read_pid(file) != child); /* the next trainer has started */
    ck_assert(gone(child));
    child = read_pid(file);
    rig_finish(rig);
    ck_assert(gone(child));
    temp_folder_fini(&folder);
}
END_TEST

START_TEST(waiting_does_not_count_as_running)
{
    struct rig *rig = rig_start("--sleep 150 --queue 2", 1);
    for (uint64_t i = 0; i < 6; i++)
        rig_task(rig, i, 0, 0.6);
    RIG_UNTIL(rig, 20, rig->result_count == 6);
    for (int i = 0; i < 6; i++)
        check_ok(&rig->results[i]);
    rig_finish(rig);
}
END_TEST

/* 0 runs, 1 was sent ahead, 3 is not sent yet: all three are cancelled. */
static void expect_cancelled(const char *options, double seconds)
{
    struct rig *rig = rig_start(options, 1);
    rig_task(rig, 0, 0, 60);
    rig_task(rig, 1, 0, 60);
    rig_task(rig, 2, 0, 60);
    rig_task(rig, 3, 0, 60);
    RIG_UNTIL(rig, 10, rig->progress_count == 1);
    double start = clock_now(&clock_system);
    rig_cancel(rig, 0);
    rig_cancel(rig, 1);
    rig_cancel(rig, 3);
    rig_cancel(rig, 99);
    RIG_UNTIL(rig, 20, rig->result_count == 1);
    ck_assert_double_lt(clock_now(&clock_system) - start, seconds);
    ck_assert_int_eq((int)rig->results[0].trial, 2);
    rig_task(rig, 4, 0, 60);
    RIG_UNTIL(rig, 20, rig->result_count == 2);
    ck_assert_int_eq((int)rig->results[1].trial, 4);
    rig_finish(rig);
}

START_TEST(cancelled_attempts_have_no_result)
{
    expect_cancelled("--sleep 800 --epochs 4 --queue 1", 1.5);
    expect_cancelled("--sleep 800 --epochs 4 --queue 1 --late", 4);
}
END_TEST

START_TEST(who_ignores_a_cancel_is_ended)
{
    struct rig *rig = rig_start("--hang-every 2 --once --stubborn", 1);
    rig_task(rig, 1, 0, 60);
    for (int i = 0; i < 30; i++)
        rig_step(rig);
    rig_cancel(rig, 1);
    rig_task(rig, 2, 0, 60);
    RIG_UNTIL(rig, 15, rig->result_count == 1);
    ck_assert_int_eq((int)rig->results[0].trial, 2);
    check_ok(&rig->results[0]);
    rig_finish(rig);
}
END_TEST

static void expect_no_start(const char *command, int failure, const char *part)
{
    struct rig *rig = rig_new(0.3);
    rig_welcome(rig, command, "", 1, "");
    rig_task(rig, 0, 0, 60);
    rig_task(rig, 1, 0, 60);
    RIG_UNTIL(rig, 20, rig->result_count == 2);
    for (int i = 0; i < 2; i++) {
        const struct seen *s = &rig->results[i];
        ck_assert_msg(s->failure == failure, "%s: %d %s", command, s->failure, s->reason);
        ck_assert_msg(strstr(s->reason, part) != NULL, "%s: %s", command, s->reason);
    }
    rig_finish(rig);
}

START_TEST(what_cannot_start_is_said)
{
    expect_no_start("", FAILURE_START, "'/nonexistent/archway-trainer'");
    expect_no_start("no-such-trainer", FAILURE_START, "'no-such-trainer'");
    expect_no_start(FAKE_TRAINER " --start-exit 4 --complaint ImportError", FAILURE_START,
                    "exit status 4 before it was ready: ImportError");
    expect_no_start(FAKE_TRAINER " --no-ready", FAILURE_START, "not ready within");
    expect_no_start(FAKE_TRAINER " --start-text Welcome!", FAILURE_PROTOCOL, "Welcome!");
    expect_no_start("true", FAILURE_START, "exit status 0 before it was ready");
}
END_TEST

START_TEST(starts_are_spaced_out)
{
    struct rig *rig = rig_start("--start-exit 1", 1);
    double start = clock_now(&clock_system);
    for (uint64_t i = 0; i < 5; i++)
        rig_task(rig, i, 0, 60);
    RIG_UNTIL(rig, 20, rig->result_count == 5);
    /* pauses of 0, 0.1, 0.2 and 0.4 seconds */
    ck_assert_double_ge(clock_now(&clock_system) - start, 0.7);
    rig_finish(rig);
}
END_TEST

START_TEST(stop_is_quick_and_complete)
{
    struct temp_folder folder;
    char options[700];
    temp_folder_init(&folder);
    const char *file = temp_folder_file(&folder, "child");
    snprintf(options, sizeof options, "--sleep 60000 --epochs 600 --stubborn --child %s",
             file);
    struct rig *rig = rig_start(options, 3);
    for (int i = 0; i < 6; i++)
        rig_task(rig, (uint64_t)i, i % 3, 600);
    RIG_UNTIL(rig, 10, rig->progress_count >= 3);
    pid_t child = read_pid(file);
    double start = clock_now(&clock_system);
    rig_finish(rig);
    ck_assert_double_lt(clock_now(&clock_system) - start, 2);
    ck_assert(gone(child));
    temp_folder_fini(&folder);
}
END_TEST

START_TEST(free_ends_what_runs)
{
    struct rig *rig = rig_start("--sleep 60000 --epochs 600 --stubborn", 2);
    rig_task(rig, 0, 0, 600);
    RIG_UNTIL(rig, 10, rig->progress_count >= 1);
    rig_free(rig);
}
END_TEST

START_TEST(silence_of_the_master_ends_it)
{
    struct rig *rig = rig_new(0);
    rig_welcome(rig, FAKE_TRAINER " --sleep 60000",
                "run: {heartbeat: 0.05s, lost_after: 0.4s}", 1, "");
    rig_task(rig, 0, 0, 600);
    for (int i = 0; i < 60; i++)
        rig_step(rig);
    ck_assert_int_eq(rig->status, 1);
    /* A jump of the clock is this process' own sleep, not the master's silence. */
    rig->skip = 1000;
    rig->mute = true;
    rig_step(rig);
    rig_step(rig);
    ck_assert_int_eq(rig->status, 1);
    RIG_UNTIL(rig, 10, rig->status <= 0);
    ck_assert_int_eq(rig->status, 0);
    rig_free(rig);
}
END_TEST

START_TEST(interrupted_it_waits_for_stop_and_then_goes)
{
    struct rig *rig = rig_start("--sleep 60000", 1);
    RIG_UNTIL(rig, 10, rig->ready);
    agent_interrupt(rig->agent);
    for (int i = 0; i < 20; i++)
        rig_step(rig);
    ck_assert_int_eq(rig->status, 1);
    rig->skip = 5;
    RIG_UNTIL(rig, 10, rig->status <= 0 && rig->bye);
    ck_assert_int_eq(rig->status, 0);
    ck_assert(!agent_clean(rig->agent));
    rig_free(rig);
}
END_TEST

START_TEST(a_task_for_no_slot_is_refused)
{
    struct rig *rig = rig_start("--null", 1);
    rig_task(rig, 7, 5, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 1);
    ck_assert_int_eq(rig->results[0].failure, FAILURE_START);
    ck_assert_ptr_nonnull(strstr(rig->results[0].reason, "no slot 5"));
    rig_finish(rig);
}
END_TEST

START_TEST(an_idle_crash_is_mended)
{
    struct temp_folder folder;
    char options[700];
    temp_folder_init(&folder);
    const char *file = temp_folder_file(&folder, "child");
    snprintf(options, sizeof options, "--child %s", file);
    struct rig *rig = rig_start(options, 1);
    rig_task(rig, 0, 0, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 1);
    pid_t child = read_pid(file);
    ck_assert_int_eq(kill(getpgid(child), SIGKILL), 0);
    RIG_UNTIL(rig, 10, read_pid(file) != child);
    rig_task(rig, 1, 0, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 2);
    check_ok(&rig->results[1]);
    ck_assert(gone(child));
    rig_finish(rig);
    temp_folder_fini(&folder);
}
END_TEST

START_TEST(standard_error_is_kept)
{
    struct temp_folder folder;
    char *text = NULL;
    size_t size;
    temp_folder_init(&folder);
    struct rig *rig = rig_new(0);
    rig_welcome(rig, FAKE_TRAINER " --exit-every 1 --complaint disk-on-fire", "", 1,
                folder.path);
    rig_task(rig, 0, 0, 60);
    rig_task(rig, 1, 0, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 2);
    rig_finish(rig);
    const char *file = temp_folder_file(&folder, "logs/rank-1-slot-0.log");
    ck_assert_int_eq(text_read_file(file, 1000, &text, &size, NULL), 0);
    ck_assert_str_eq(text, "disk-on-fire\ndisk-on-fire\n");
    free(text);
    temp_folder_fini(&folder);
}
END_TEST

/* --- states ------------------------------------------------------------------------- */

static struct temp_folder run;

/* With a run's folder that has a place for states. */
static struct rig *rig_keeping(const char *options, const char *more, int slots)
{
    char command[2048];
    struct rig *rig = rig_new(0);
    temp_folder_init(&run);
    ck_assert_int_eq(mkdir(temp_folder_file(&run, "checkpoints"), 0777), 0);
    snprintf(command, sizeof command, "%s %s", FAKE_TRAINER, options);
    rig_welcome(rig, command, more, slots, run.path);
    return rig;
}

static void rig_suspend(struct rig *rig)
{
    struct message m = {.type = MESSAGE_SUSPEND};
    rig_send(rig, &m);
}

static void rig_finish_keeping(struct rig *rig)
{
    rig_finish(rig);
    temp_folder_fini(&run);
}

/* Suspended in its middle, a trial goes on in the next agent: all epochs are in its
 * curve, its seconds are those of both, and the time limit counts both. */
START_TEST(a_suspended_trial_goes_on)
{
    static const char options[] = "--sleep 1000 --epochs 10 --checkpoints";
    struct rig *rig = rig_keeping(options, "run: {checkpoint_every: never}", 2);
    rig_task(rig, 3, 0, 60);
    rig_task(rig, 4, 0, 60); /* behind it: has nothing to save */
    RIG_UNTIL(rig, 10, rig->progress_count >= 3);
    rig_suspend(rig);
    RIG_UNTIL(rig, 10, rig->suspended);
    ck_assert_int_eq(rig->state_count, 1);
    struct message_checkpoint c = rig->states[0];
    ck_assert(c.trial == 3 && c.attempt == 1 && c.what == CHECKPOINT_SUSPENDED);
    ck_assert(c.epoch >= 3 && c.epoch < 10 && c.seconds > 0);
    rig_task(rig, 5, 1, 60); /* too late: nothing is started any more */
    for (int i = 0; i < 50; i++)
        rig_step(rig);
    ck_assert(rig->suspended == 1 && rig->result_count == 0);
    rig_finish(rig);
    char command[2048];
    rig = rig_new(0);
    snprintf(command, sizeof command, "%s %s", FAKE_TRAINER, options);
    rig_welcome(rig, command, "run: {checkpoint_every: never}", 1, run.path);
    rig_task(rig, 3, 0, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 1);
    check_ok(&rig->results[0]);
    ck_assert_uint_eq(rig->results[0].epochs, 10);
    ck_assert_int_eq(rig->progress_count, 10);
    ck_assert(rig->state_count == 1 && rig->states[0].what == CHECKPOINT_CONTINUED);
    ck_assert_uint_eq(rig->states[0].epoch, c.epoch);
    rig_finish_keeping(rig);
}
END_TEST

/* Of trainers that cannot, that do not answer, that die over it, nothing is waited for,
 * and no attempt fails. */
START_TEST(what_cannot_be_saved_is_no_failure)
{
    static const struct {
        const char *options;
        bool answers;
    } kinds[] = {{"--sleep 60000", true},
                 {"--sleep 60000 --checkpoints --save-die", true},
                 {"--sleep 60000 --checkpoints --save-never", false}};
    for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct rig *rig = rig_keeping(kinds[i].options, "", 1);
        rig_task(rig, 3, 0, 60);
        for (int step = 0; step < 100; step++)
            rig_step(rig);
        rig_suspend(rig);
        if (kinds[i].answers)
            RIG_UNTIL(rig, 10, rig->suspended);
        for (int step = 0; step < 100; step++)
            rig_step(rig);
        ck_assert_int_eq(rig->suspended, kinds[i].answers);
        ck_assert(rig->result_count == 0 && rig->state_count == 0);
        rig_finish_keeping(rig);
    }
}
END_TEST

static void kill_trainer(struct rig *rig, const char *pid_file)
{
    char command[256];
    pid_t pid = read_pid(pid_file);
    snprintf(command, sizeof command, "kill -TERM $(cut -d' ' -f4 /proc/%d/stat)", pid);
    for (int step = 0; step < 50; step++)
        rig_step(rig);
    ck_assert_int_eq(system(command), 0);
}

/* The scheduler's SIGTERM to a trainer is no failure when a stop follows, and one when
 * none does. */
START_TEST(a_trainer_that_is_terminated_waits_for_a_stop)
{
    char options[700];
    for (int stop = 0; stop < 2; stop++) {
        struct temp_folder folder;
        temp_folder_init(&folder);
        snprintf(options, sizeof options, "--sleep 60000 --child %s",
                 temp_folder_file(&folder, "pid"));
        struct rig *rig = rig_start(options, 1);
        rig_task(rig, 3, 0, 60);
        RIG_UNTIL(rig, 10, access(folder.file, F_OK) == 0);
        kill_trainer(rig, folder.file);
        for (int step = 0; step < 100; step++)
            rig_step(rig);
        ck_assert_int_eq(rig->result_count, 0);
        if (stop) {
            rig_suspend(rig);
            RIG_UNTIL(rig, 10, rig->suspended);
            rig->skip = 5;
            for (int step = 0; step < 50; step++)
                rig_step(rig);
            ck_assert_int_eq(rig->result_count, 0);
        } else {
            RIG_UNTIL(rig, 10, rig->result_count == 1);
            ck_assert_int_eq(rig->results[0].failure, FAILURE_EXIT);
            ck_assert_ptr_nonnull(strstr(rig->results[0].reason, "killed by"));
        }
        rig_finish(rig);
        temp_folder_fini(&folder);
    }
}
END_TEST

/* Where the folder is not seen, and where the file is not, trials begin anew; the master
 * is told of what it believed. */
START_TEST(states_that_are_not_there_are_told)
{
    struct message m = {.type = MESSAGE_TASK};
    m.task = (struct message_task){.trial = 3,
                                   .attempt = 1,
                                   .timeout = 60,
                                   .spent = 100,
                                   .architecture = "{\"tokens\":[1,1,1,0]}",
                                   .hyperparameters = "{}"};
    for (int seen = 0; seen < 2; seen++) {
        struct rig *rig =
            seen ? rig_keeping("--checkpoints", "", 1) : rig_start("--checkpoints", 1);
        rig_send(rig, &m);
        RIG_UNTIL(rig, 10, rig->result_count == 1);
        check_ok(&rig->results[0]);
        ck_assert(rig->state_count == 1 && rig->states[0].what == CHECKPOINT_REFUSED);
        ck_assert_ptr_nonnull(strstr(rig->states[0].reason, "no state"));
        if (seen)
            rig_finish_keeping(rig);
        else
            rig_finish(rig);
    }
}
END_TEST

/* A state of another trial under the name of this one. */
START_TEST(a_refused_state_is_told)
{
    struct rig *rig = rig_keeping("--checkpoints", "", 1);
    const char *file = temp_folder_file(&run, "checkpoints/3");
    ck_assert_int_eq(text_write_file(file, "garbage", 7, NULL), 0);
    rig_task(rig, 3, 0, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 1);
    check_ok(&rig->results[0]);
    ck_assert(rig->state_count == 1 && rig->states[0].what == CHECKPOINT_REFUSED);
    ck_assert_str_eq(rig->states[0].reason, "it is no state of this trial");
    rig_finish_keeping(rig);
}
END_TEST

/* Time that earlier attempts took counts against run.trial_timeout. */
START_TEST(a_time_limit_counts_all_pieces)
{
    struct rig *rig = rig_keeping("--sleep 20000 --epochs 20 --checkpoints", "", 1);
    const char *file = temp_folder_file(&run, "checkpoints/3"),
               *text = "fake 3 103 2 59.9 end\n";
    ck_assert_int_eq(text_write_file(file, text, strlen(text), NULL), 0);
    rig_task(rig, 3, 0, 60);
    RIG_UNTIL(rig, 10, rig->result_count == 1);
    ck_assert_int_eq(rig->results[0].failure, FAILURE_TIMEOUT);
    ck_assert_double_ge(rig->results[0].seconds, 59.9);
    rig_finish_keeping(rig);
}
END_TEST

/* What only may be said of a state that has a place, and at its time. */
START_TEST(unasked_words_of_states_break_the_protocol)
{
    static const char *const words[] = {"suspended", "saved", "continued"};
    char options[256];
    for (int i = 0; i < 3; i++) {
        /* Before "ready" it speaks of no task at all; behind, of one without a place. */
        snprintf(options, sizeof options, "--sleep 10 --say-state %s%s", words[i],
                 i == 0 ? " --checkpoints" : "");
        struct rig *rig = i == 0 ? rig_keeping(options, "", 1) : rig_start(options, 1);
        rig_task(rig, 3, 0, 60);
        RIG_UNTIL(rig, 10, rig->result_count == 1);
        ck_assert_int_eq(rig->results[0].failure, FAILURE_PROTOCOL);
        if (i == 0)
            rig_finish_keeping(rig);
        else
            rig_finish(rig);
    }
}
END_TEST

UNIT_MAIN("agent", nonsense_of_the_master_ends_the_rank,
          a_cap_that_is_no_kernels_is_said_and_ends_it, it_says_what_trains,
          it_introduces_itself, tasks_come_back_as_results, curves_arrive_epoch_by_epoch,
          every_failure_costs_one_attempt, two_results_are_not_counted_twice,
          a_daemon_goes_with_its_trainer, children_of_others_are_left_alone,
          nothing_outlives_a_killed_agent, a_timeout_ends_the_whole_group,
          waiting_does_not_count_as_running, cancelled_attempts_have_no_result,
          who_ignores_a_cancel_is_ended, what_cannot_start_is_said, starts_are_spaced_out,
          stop_is_quick_and_complete, free_ends_what_runs, silence_of_the_master_ends_it,
          interrupted_it_waits_for_stop_and_then_goes, a_task_for_no_slot_is_refused,
          an_idle_crash_is_mended, standard_error_is_kept, a_suspended_trial_goes_on,
          what_cannot_be_saved_is_no_failure,
          a_trainer_that_is_terminated_waits_for_a_stop,
          states_that_are_not_there_are_told, a_refused_state_is_told,
          a_time_limit_counts_all_pieces, unasked_words_of_states_break_the_protocol)
