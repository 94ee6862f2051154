/* SPDX-License-Identifier: Apache-2.0 */
/* The program archway: composes master and worker (the only file that knows both), finds
 * the command, and turns an error into one line and an exit status. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/text.h"
#include "master/cli/command.h"
#include "master/cli/help.h"
#include "master/services.h"
#include "version.h"
#include "worker/agent.h"
#include "worker/data/data.h"
#include "worker/kernel_choice.h"
#include "worker/machine.h"
#include "worker/rank.h"
#include "worker/trainer_probe.h"
#include "worker/trainer_time.h"

/* The built-in trainer: beside this program, or where the build leaves it. */
static const char *trainer_path(void)
{
    static char path[PATH_MAX + 64];
    char self[PATH_MAX];
    const char *given = getenv("ARCHWAY_TRAINER");
    const char *const places[] = {"archway-trainer", "../worker/archway-trainer"};
    ssize_t size = readlink("/proc/self/exe", self, sizeof self - 1);
    if (given && *given)
        return given;
    if (size < 0)
        return "archway-trainer";
    self[size] = '\0';
    char *slash = strrchr(self, '/');
    if (slash)
        slash[1] = '\0';
    for (unsigned i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s%s", self, places[i]);
        if (access(path, X_OK) == 0)
            return path;
    }
    return "archway-trainer";
}

static struct agent_options agent_options(const struct clock *clock)
{
    return (struct agent_options){.trainer_path = trainer_path(),
                                  .clock = clock,
                                  .kernels_cap = getenv(KERNEL_CHOICE_VARIABLE)};
}

static int open_agent(struct wire *wire, const struct clock *clock, void **ret,
                      struct error *err)
{
    struct agent_options options = agent_options(clock);
    struct agent *a = NULL;
    int status = agent_new(wire, &options, &a, err);
    *ret = a;
    return status;
}

static int step_agent(void *agent, struct error *err)
{
    return agent_step(agent, err);
}

static bool wait_agent(void *agent, int extra_fd, int timeout_ms)
{
    return agent_wait(agent, extra_fd, timeout_ms);
}

static void close_agent(void *agent)
{
    agent_free(agent);
}

static int work(struct wire *wire, const struct clock *clock, bool (*interrupted)(void),
                bool *ret_clean, struct error *err)
{
    struct agent_options options = agent_options(clock);
    return rank_run(wire, &options, interrupted, ret_clean, err);
}

/* With an external trainer the data is its own business. */
static int inspect(const struct config *config, struct data_facts *ret, struct error *err)
{
    if (config->trainer.command_count == 0)
        return data_inspect(config, ret, err);
    if (data_inspect(config, ret, NULL) != 0)
        *ret = (struct data_facts){0};
    return 0;
}

static int time_child(const struct config *config, const struct data_facts *facts,
                      const json_t *architecture, double seconds,
                      double *ret_seconds_per_trial, double *ret_images_per_second,
                      struct error *err)
{
    struct config settled = *config;
    struct trainer_time time;
    int status = kernel_choice_settle(&settled, getenv(KERNEL_CHOICE_VARIABLE), err);
    if (status == 0)
        status = trainer_time(&settled, facts, architecture, seconds, &time, err);
    if (status != 0)
        return status;
    *ret_seconds_per_trial = time.seconds_per_trial;
    *ret_images_per_second = time.images_per_second;
    return 0;
}

static int list_kernels(char *ret, size_t size, struct error *err)
{
    return kernel_choice_list(getenv(KERNEL_CHOICE_VARIABLE), ret, size, err);
}

static int count_cores(int *ret, struct error *err)
{
    struct machine *m = malloc(sizeof *m);
    int status = m ? machine_detect(m, err)
                   : error_set(err, ERROR_SYSTEM, "no memory to look at the machine");
    if (status == 0)
        *ret = m->cpu_limit < m->cpu_count ? m->cpu_limit : m->cpu_count;
    free(m);
    return status;
}

static int try_trainer(const struct config *config, double seconds,
                       struct services_trainer *ret, struct error *err)
{
    struct trainer_line ready;
    double started = clock_now(&clock_system);
    int status = trainer_probe(config, trainer_path(), seconds, &ready, err);
    if (status != 0)
        return status;
    ret->seconds = clock_now(&clock_system) - started;
    memcpy(ret->name, ready.name, sizeof ret->name);
    memcpy(ret->kernels, ready.kernels, sizeof ret->kernels);
    return 0;
}

static const struct services services = {.inspect = inspect,
                                         .detect = data_detect,
                                         .time_child = time_child,
                                         .count_cores = count_cores,
                                         .list_kernels = list_kernels,
                                         .try_trainer = try_trainer,
                                         .agent_open = open_agent,
                                         .agent_step = step_agent,
                                         .agent_wait = wait_agent,
                                         .agent_close = close_agent,
                                         .work = work};

/* Under a launcher every rank reads the same command line; one of them complains. */
static bool is_first_rank(void)
{
    const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"};
    for (unsigned i = 0; i < 3; i++) {
        const char *rank = getenv(names[i]);
        if (rank)
            return strcmp(rank, "0") == 0;
    }
    return true;
}

static int complain(const struct error *err)
{
    if (is_first_rank())
        fprintf(stderr, "archway: error: %s\n", err->text);
    return error_exit_status(err->status);
}

static int say(struct text *t)
{
    int failed = t->failed || fputs(t->data, stdout) == EOF || fflush(stdout) != 0;
    text_fini(t);
    return failed ? 1 : 0;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static int run_command(int argc, char **argv)
{
    struct error err = {0};
    struct invocation in = {.services = &services};
    struct text t;
    int exit_status = 0;
    const struct command *c = command_find(argv[0], &err);
    if (!c)
        return complain(&err);
    text_init(&t);
    if (asks_for_help(argc - 1, argv + 1)) {
        help_command(c, &t);
        return say(&t);
    }
    in.command = c;
    int status = command_parse(c, argc - 1, argv + 1, &in, &err);
    in.services = &services;
    if (status == 0)
        status = c->run(&in, &exit_status, &err);
    return status != 0 ? complain(&err) : exit_status;
}

/* Pages that packagers and the build make from the tables. */
static void (*find_page(const char *option))(struct text *)
{
    static const struct {
        const char *option;
        void (*write)(struct text *out);
    } pages[] = {{"--man", help_manual},
                 {"--completion", help_completion},
                 {"--commands", help_commands},
                 {"--configuration", help_configuration}};
    for (unsigned i = 0; i < sizeof pages / sizeof *pages; i++)
        if (strcmp(option, pages[i].option) == 0)
            return pages[i].write;
    return NULL;
}

int main(int argc, char **argv)
{
    struct text t;
    text_init(&t);
    void (*page)(struct text *out) = argc == 2 ? find_page(argv[1]) : NULL;
    if (page) {
        page(&t);
        return say(&t);
    }
    if (argc < 2 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        help_program(&t);
        int status = say(&t);
        return argc < 2 ? 2 : status;
    }
    if (strcmp(argv[1], "--version") == 0) {
        text_append(&t, "archway %s\n", ARCHWAY_VERSION);
        return say(&t);
    }
    return run_command(argc - 1, argv + 1);
}
