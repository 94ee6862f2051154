/* SPDX-License-Identifier: Apache-2.0 */
/* Speaks as an agent would, with the same encoders and decoder. */
#include "trainer_talk.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/text.h"

extern char **environ;

struct config talk_config(void)
{
    struct config config;
    config_defaults(&config);
    config.seed = 5;
    config.task.data.format = DATA_GENERATED;
    config.task.data.classes = 3;
    config.task.data.height = 12;
    config.task.data.width = 10;
    config.task.data.channels = 1;
    config.task.data.images = 360;
    config.task.train = 300;
    config.task.validation = 60;
    config.trainer.builtin.epochs = 2;
    config.trainer.builtin.batch = 32;
    config.reward.last_epochs = 0;
    config.resources.memory_per_trial = 0;
    return config;
}

void talk_begin(struct talk *t, char *const *argv)
{
    char *const plain[] = {"archway-trainer", NULL};
    int to[2], from[2];
    char errors[80];
    posix_spawn_file_actions_t actions;
    memset(t, 0, sizeof *t);
    strcpy(t->folder, "/tmp/archway-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(t->folder));
    snprintf(errors, sizeof errors, "%s/stderr", t->folder);
    ck_assert_int_eq(pipe2(to, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(from, O_CLOEXEC), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, to[0], 0);
    posix_spawn_file_actions_adddup2(&actions, from[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, errors, O_WRONLY | O_CREAT, 0600);
    ck_assert_int_eq(posix_spawn(&t->pid, getenv("ARCHWAY_TRAINER"), &actions, NULL,
                                 argv ? argv : plain, environ),
                     0);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    t->to = to[1];
    t->from = from[0];
    signal(SIGPIPE, SIG_IGN);
}

void talk_say(struct talk *t, const char *line)
{
    size_t size = strlen(line);
    while (size > 0) {
        ssize_t n = write(t->to, line, size);
        if (n < 0)
            return; /* it ended: what it said of that is looked at later */
        line += n;
        size -= (size_t)n;
    }
    if (write(t->to, "\n", 1) < 0)
        return;
}

void talk_say_hello(struct talk *t, const struct config *config)
{
    char *line = trainer_encode_hello(config, 0, t->folder, NULL);
    ck_assert_ptr_nonnull(line);
    talk_say(t, line);
    free(line);
}

void talk_say_task(struct talk *t, uint64_t trial, int attempt, uint64_t seed,
                   const char *architecture, const char *hyperparameters)
{
    talk_say_task_at(t, trial, attempt, seed, architecture, hyperparameters,
                     &(struct trainer_checkpoint){0});
}

void talk_say_task_at(struct talk *t, uint64_t trial, int attempt, uint64_t seed,
                      const char *architecture, const char *hyperparameters,
                      const struct trainer_checkpoint *checkpoint)
{
    char *line =
        trainer_encode_task(&(struct trainer_task){.trial = trial,
                                                   .attempt = attempt,
                                                   .seed = seed,
                                                   .architecture = architecture,
                                                   .hyperparameters = hyperparameters,
                                                   .checkpoint = *checkpoint});
    ck_assert_ptr_nonnull(line);
    talk_say(t, line);
    free(line);
}

/* The next line; fails the test after a minute, at the end and when it is not JSON. */
struct trainer_line talk_hear(struct talk *t)
{
    struct trainer_line line;
    struct error err = {0};
    char *newline;
    while (!(newline = memchr(t->buffer, '\n', t->used))) {
        struct pollfd p = {.fd = t->from, .events = POLLIN};
        ck_assert_msg(poll(&p, 1, 60000) == 1, "the trainer is silent");
        ssize_t n = read(t->from, t->buffer + t->used, sizeof t->buffer - t->used);
        ck_assert_msg(n > 0, "the trainer ended instead of answering");
        t->used += (size_t)n;
    }
    size_t size = (size_t)(newline - t->buffer);
    int status = trainer_decode_line(t->buffer, size, "val_accuracy", &line, &err);
    ck_assert_msg(status == 0, "%s: %.*s", err.text, (int)size, t->buffer);
    t->used -= size + 1;
    memmove(t->buffer, newline + 1, t->used);
    return line;
}

static void hear_ready(struct talk *t)
{
    struct trainer_line line = talk_hear(t);
    ck_assert_int_eq(line.type, TRAINER_READY);
    ck_assert_int_ge(line.queue, 1);
    ck_assert(line.checkpoints);
}

void talk_start(struct talk *t, const struct config *config)
{
    talk_begin(t, NULL);
    talk_say_hello(t, config);
    hear_ready(t);
}

void talk_hear_failure(struct talk *t, uint64_t trial, const char *part)
{
    struct trainer_line line = talk_hear(t);
    ck_assert_int_eq(line.type, TRAINER_RESULT);
    ck_assert_uint_eq(line.trial, trial);
    ck_assert(line.failed);
    ck_assert_msg(strstr(line.reason, part), "'%s' is not in: %s", part, line.reason);
}

/* A task's progress and result; its curve goes to ret, its number of epochs is returned.
 */
int talk_hear_curve(struct talk *t, uint64_t trial, struct trial_epoch *ret, int most)
{
    for (int epochs = 0;; epochs++) {
        struct trainer_line line = talk_hear(t);
        ck_assert_uint_eq(line.trial, trial);
        if (line.type == TRAINER_RESULT) {
            ck_assert_msg(!line.failed, "%s", line.reason);
            ck_assert(line.seconds >= 0 && line.params > 0 && line.flops > 0);
            return epochs;
        }
        ck_assert_int_lt(epochs, most);
        ck_assert_uint_eq(line.epoch, (unsigned)epochs + 1);
        ret[epochs] = line.values;
    }
}

/* Exit status once it ended by itself, within ten seconds; what it said on stderr has to
 * contain `part`. */
void talk_clear(const struct talk *t)
{
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", t->folder);
    ck_assert_int_eq(system(command), 0);
}

int talk_end(struct talk *t, const char *part)
{
    char path[80], *text = NULL;
    size_t size;
    int status = -1, waited = 0;
    if (t->to >= 0)
        close(t->to);
    while (waitpid(t->pid, &status, WNOHANG) == 0 && waited++ < 1000)
        usleep(10000);
    if (waited >= 1000) {
        kill(t->pid, SIGKILL);
        waitpid(t->pid, &status, 0);
        ck_abort_msg("the trainer does not end");
    }
    close(t->from);
    snprintf(path, sizeof path, "%s/stderr", t->folder);
    ck_assert_int_eq(text_read_file(path, 1 << 20, &text, &size, NULL), 0);
    ck_assert_msg(strstr(text, part), "'%s' is not in: %s", part, text);
    ck_assert_msg(WIFEXITED(status), "wait status %d, %s", status, text);
    free(text);
    talk_clear(t);
    return WEXITSTATUS(status);
}

struct trainer_line talk_hear_until_failure(struct talk *t)
{
    struct trainer_line line;
    do
        line = talk_hear(t);
    while (line.type == TRAINER_PROGRESS);
    ck_assert_int_eq(line.type, TRAINER_RESULT);
    ck_assert(line.failed);
    return line;
}

const char *talk_state_path(const struct talk *t)
{
    static char path[96];
    snprintf(path, sizeof path, "%s/state", t->folder);
    return path;
}

struct trainer_line talk_hear_checkpoint(struct talk *t, int what)
{
    struct trainer_line line = talk_hear(t);
    ck_assert_int_eq(line.type, TRAINER_CHECKPOINT);
    ck_assert_msg(line.checkpoint == what, "%s, not %s: %s",
                  trial_checkpoint_name(line.checkpoint), trial_checkpoint_name(what),
                  line.reason);
    return line;
}

struct trainer_line talk_suspend_after(struct talk *t, int epochs)
{
    struct trainer_line line;
    for (int i = 0; i < epochs; i++)
        talk_hear(t);
    talk_say(t, "{\"type\":\"checkpoint\",\"trial\":1,\"attempt\":1}");
    do
        line = talk_hear(t);
    while (line.type == TRAINER_PROGRESS);
    ck_assert_int_eq(line.type, TRAINER_CHECKPOINT);
    ck_assert_int_eq(line.checkpoint, CHECKPOINT_SUSPENDED);
    ck_assert_int_ge((int)line.epoch, epochs);
    ck_assert(line.seconds > 0);
    return line;
}

int talk_main(Suite *suite)
{
    if (!getenv("ARCHWAY_TRAINER")) {
        fprintf(stderr, "skipped: ARCHWAY_TRAINER does not name the trainer\n");
        return 77;
    }
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
