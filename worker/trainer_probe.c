/* SPDX-License-Identifier: Apache-2.0 */
/* One process and three pipes, polled until the first line: none of a slot's patience
 * with restarts and tasks is wanted here, but the same start, environment and greeting.
 */
#include "worker/trainer_probe.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/clock.h"
#include "worker/line_pipe.h"
#include "worker/process.h"
#include "worker/trainer_log.h"

struct trial_start {
    const char *argv[CONFIG_ARGS + 1];
    char **environment;
    struct process process;
    struct line_reader from;
    struct line_writer to;
    struct trainer_log log;
};

static int start(struct trial_start *t, const struct config *config, const char *builtin,
                 struct error *err)
{
    const struct process_settings about = {config->resources.threads_per_trial, "",
                                           false, NULL};
    const char *folder = config->run.cache[0] ? config->run.cache : getenv("TMPDIR");
    t->argv[0] = builtin;
    for (int i = 0; i < config->trainer.command_count && i < CONFIG_ARGS; i++)
        t->argv[i] = config->trainer.command[i];
    t->environment = process_environment((const char *const *)environ, &about);
    char *hello =
        trainer_encode_hello(config, 0, folder && *folder ? folder : "/tmp", NULL);
    const struct process_spec spec = {.argv = t->argv,
                                      .environment = (const char *const *)t->environment,
                                      .cpus = "",
                                      .memory = config->resources.memory_per_trial};
    int status = 0;
    if (!t->environment || !hello || !line_writer_put(&t->to, hello))
        status = error_set(err, ERROR_SYSTEM, "no memory to start a trainer");
    free(hello);
    return status == 0 ? process_start(&spec, &t->process, err) : status;
}

/* 1 when a line was decoded, 0 when none is there yet. */
static int take_line(struct trial_start *t, const char *metric, struct trainer_line *ret,
                     struct error *err)
{
    const char *line;
    size_t size;
    if (!line_reader_next(&t->from, &line, &size))
        return line_reader_partial(&t->from) > TRAINER_LINE_MAX
                   ? error_set(err, ERROR_PEER, "the trainer wrote an endless line")
                   : 0;
    int status = trainer_decode_line(line, size, metric, ret, err);
    if (status != 0)
        error_prefix(err, "the trainer '%.200s'", t->argv[0]);
    if (status == 0 && ret->type != TRAINER_READY)
        status = error_set(err, ERROR_PEER, "the trainer's first line is not \"ready\"");
    return status == 0 ? 1 : status;
}

static int explain_end(struct trial_start *t, int how, struct error *err)
{
    char text[128], line[256];
    process_describe(how, text, sizeof text);
    while (trainer_log_read(&t->log, t->process.err) > 0)
        ;
    trainer_log_last_line(&t->log, line, sizeof line);
    return error_set(err, ERROR_PEER,
                     "the trainer '%.200s' ended (%s) before it was ready%s%s",
                     t->argv[0], text, line[0] ? ": " : "", line);
}

static int wait_for_ready(struct trial_start *t, const char *metric, double seconds,
                          struct trainer_line *ret, struct error *err)
{
    double until = clock_now(&clock_system) + seconds;
    int status = 0, how = 0;
    while (status == 0 && clock_now(&clock_system) < until) {
        struct pollfd fds[] = {{.fd = t->process.out, .events = POLLIN},
                               {.fd = t->process.err, .events = POLLIN}};
        poll(fds, 2, 20);
        line_writer_flush(&t->to, t->process.in);
        trainer_log_read(&t->log, t->process.err);
        line_reader_fill(&t->from, t->process.out);
        status = take_line(t, metric, ret, err);
        if (status == 0 && process_reap(&t->process, &how))
            status = explain_end(t, how, err);
    }
    if (status == 0)
        return error_set(err, ERROR_PEER,
                         "the trainer '%.200s' was not ready within %.0f s", t->argv[0],
                         seconds);
    return status > 0 ? 0 : status;
}

int trainer_probe(const struct config *config, const char *builtin, double seconds,
                  struct trainer_line *ret, struct error *err)
{
    struct trial_start t = {.process = {0, -1, -1, -1}};
    trainer_log_init(&t.log, NULL, 0, 0);
    int status = start(&t, config, builtin, err);
    if (status == 0)
        status = wait_for_ready(&t, config->reward.metric, seconds, ret, err);
    process_destroy(&t.process);
    process_close(&t.process);
    line_reader_fini(&t.from);
    line_writer_fini(&t.to);
    trainer_log_fini(&t.log);
    process_environment_free(t.environment);
    return status;
}
