/* SPDX-License-Identifier: Apache-2.0 */
/* The whole master in virtual time, two thousand times, with whatever may go wrong: what
 * is then on disk must account for every trial exactly once, and in mode sync the history
 * must be that of one worker without a fault. */
#include <malloc.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <string.h>
#include <sys/random.h>

#include "../unit/engine_rig.h"
#include "common/rng.h"
#include "master/run_folder.h"
#include "master/simulate/simulate.h"
#include "proto/wire_sim.h"

#ifdef __SANITIZE_ADDRESS__ /* several times slower, and each snapshot forks */
enum { SCHEDULES = 5 };
#else
enum { SCHEDULES = 20 };
#endif
enum { CONFIGURATIONS = 100, TRIALS = 40, WORKERS = 8, EVENTS = 6 };

static char *folder, dir[512];
static uint64_t test_seed;

/* ARCHWAY_TEST_SEED repeats a failure. */
static int prepare(void)
{
    const char *given = getenv("ARCHWAY_TEST_SEED");
    if ((!given || !text_parse_uint64(given, &test_seed)) &&
        getrandom(&test_seed, sizeof test_seed, 0) != sizeof test_seed)
        return -1;
    folder = simulate_folder(NULL);
    if (!folder)
        return -1;
    snprintf(dir, sizeof dir, "%s/run", folder);
    return 0;
}

static void refuses_model(const char *text)
{
    struct model m = {.a = 7};
    struct error err = {0};
    ck_assert_int_eq(model_parse(text, &m, &err), ERROR_USAGE);
    ck_assert_msg(strstr(err.text, "lognormal:MEDIAN,SIGMA"), "%s", err.text);
    ck_assert_double_eq(m.a, 7);
}

START_TEST(durations_that_make_no_sense_are_refused)
{
    const char *const texts[] = {
        "",           "60",          "constant",      "constant:",
        "constant:x", "constant:-1", "constant:1,2",  "lognormal:60",
        "uniform:5",  "uniform:9,5", "lognormal:1,x", "weibull:1,2",
        "flops:60",   "flops:60,-1"};
    for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++)
        refuses_model(texts[i]);
}
END_TEST

static double mean_of(const char *text, uint64_t count)
{
    struct model m;
    double sum = 0;
    ck_assert_int_eq(model_parse(text, &m, NULL), 0);
    for (uint64_t i = 0; i < count; i++) {
        double seconds = model_seconds(&m, i, "[]");
        ck_assert(seconds >= 0 && isfinite(seconds));
        sum += seconds;
    }
    return sum / (double)count;
}

START_TEST(durations_have_the_means_of_their_distributions)
{
    ck_assert_double_eq(mean_of("constant:1m", 10), 60);
    ck_assert_double_eq_tol(mean_of("uniform:30,90", 20000), 60, 1);
    ck_assert_double_eq_tol(mean_of("exponential:60", 20000), 60, 2);
    ck_assert_double_eq_tol(mean_of("lognormal:60,0.5", 20000), 60 * exp(0.125), 2);
}
END_TEST

static struct config plain_config(int mode, int64_t trials);

/* Seconds of random architectures, which a model with chance 0 must order as their FLOPs
 * do. */
static void check_flops(const struct config *c, const struct data_facts *facts)
{
    struct model m;
    struct space *space;
    int below = 0, rounds = 400;
    ck_assert_int_eq(model_parse("flops:60,0", &m, NULL), 0);
    ck_assert_int_eq(model_set_space(&m, c, facts, NULL), 0);
    ck_assert_int_eq(space_new(c, &space, NULL), 0);
    for (int i = 0; i < rounds; i++) {
        struct architecture a;
        struct rng rng;
        rng_init(&rng, 1, RNG_TEST, (uint64_t)i);
        space_sample(space, space_depth(space, 0), &rng, &a);
        json_t *json = space_to_json(space, &a);
        char *text = json_dumps(json, JSON_COMPACT);
        double seconds = model_seconds(&m, (uint64_t)i, text);
        double flops = space_cost(space, &a, &m.task).flops;
        ck_assert_double_eq_tol(seconds, m.scale * flops, 1e-9 * seconds);
        below += seconds < 60;
        free(text);
        json_decref(json);
    }
    ck_assert_double_eq_tol((double)below / rounds, 0.5, 0.1);
    space_free(space);
    model_fini(&m);
}

START_TEST(durations_can_follow_the_flops)
{
    struct config c = plain_config(MODE_ASYNC, 12);
    const struct data_facts known = {
        .classes = 100, .height = 28, .width = 20, .channels = 1};
    check_flops(&c, &known);
    check_flops(&c, &(struct data_facts){0});
    struct model m;
    ck_assert_int_eq(model_parse("constant:60", &m, NULL), 0);
    ck_assert_int_eq(model_set_space(&m, &c, &known, NULL), 0);
    ck_assert_ptr_null(m.space);
    ck_assert_int_eq(model_parse("flops:60,0", &m, NULL), 0);
    ck_assert_int_eq(model_set_space(&m, &c, &known, NULL), 0);
    ck_assert_double_eq(model_seconds(&m, 1, "no architecture"), 0);
    ck_assert_double_eq(model_seconds(&m, 1, "{\"depth\": 2, \"tokens\": [70000]}"), 0);
    model_fini(&m);
}
END_TEST

static void refuses_schedule(const char *text, const char *words)
{
    struct faults f = {0};
    struct error err = {0};
    char path[600];
    snprintf(path, sizeof path, "%s/schedule", folder);
    ck_assert_int_eq(text_write_file(path, text, strlen(text), NULL), 0);
    ck_assert_int_eq(faults_read_schedule(path, 4, &f, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, words), "'%s' lacks '%s'", err.text, words);
    faults_fini(&f);
}

START_TEST(faults_that_make_no_sense_are_refused)
{
    struct faults f = {0};
    struct error err = {0};
    ck_assert_int_eq(faults_parse_rates("slow=0.1,worker-lots=0.1", &f, &err),
                     ERROR_USAGE);
    ck_assert_ptr_nonnull(strstr(err.text, "did you mean 'worker-lost'?"));
    ck_assert_int_eq(faults_parse_rates("slow", &f, &err), ERROR_USAGE);
    ck_assert_int_eq(faults_parse_rates("slow=1.5", &f, &err), ERROR_USAGE);
    refuses_schedule("# fine\n10s slow 1 3\n5 slow\n", "schedule:3: a line is");
    refuses_schedule("10s sloww 1\n", "did you mean 'slow'?");
    refuses_schedule("10s slow 5\n", "no rank from 1 to 4");
    refuses_schedule("soon slow 1\n", "is no time");
    refuses_schedule("1 delayed 1 long\n", "is no number");
}
END_TEST

static int arrivals;

static void count_arrival(void *context, int rank, const void *data, size_t size)
{
    ck_assert_int_eq(*(const char *)data, 'a' + arrivals++);
}

static void no_timer(void *context, int rank, uint64_t what)
{
    ck_abort_msg("nobody set a timer");
}

START_TEST(messages_arrive_in_order_and_time_moves_only_when_it_is_moved)
{
    struct wire_sim_setup s = {.workers = 2,
                               .latency = 0.5,
                               .quantum = 0.25,
                               .arrived = count_arrival,
                               .due = no_timer};
    struct wire *w, *none = NULL;
    struct bytes in;
    int peer;
    s.workers = 0;
    ck_assert_int_eq(wire_sim_open(&s, &none, NULL), ERROR_USAGE);
    s.workers = 2;
    ck_assert_int_eq(wire_sim_open(&s, &w, NULL), 0);
    bytes_init(&in);
    char text[100] = "a";
    for (int i = 0; i < 3; i++) {
        text[0] = (char)('a' + i);
        ck_assert_int_eq(wire_send(w, 1 + i % 2, text, i == 1 ? sizeof text : 1, NULL),
                         0);
    }
    wire_sim_post(w, 1, "late", 4, 10);
    wire_sim_post(w, 1, "soon", 4, 0);
    wire_sim_post(w, 2, "never", 5, 0);
    wire_forget(w, 2);
    ck_assert_int_eq(wire_sim_advance(w, 0.1, NULL), 0);
    ck_assert_int_eq(arrivals, 0);
    ck_assert_int_eq(wire_sim_advance(w, 100, NULL), 0);
    ck_assert_double_eq(clock_now(wire_sim_clock(w)), 0.5);
    ck_assert_int_eq(arrivals, 3);
    ck_assert_int_eq(wire_receive(w, &peer, &in, NULL), 1);
    ck_assert(peer == 1 && memcmp(in.data, "soon", 4) == 0);
    ck_assert_int_eq(wire_receive(w, &peer, &in, NULL), 0);
    ck_assert_int_eq(wire_sim_advance(w, 100, NULL), 0);
    ck_assert_double_eq(clock_now(wire_sim_clock(w)), 10.5);
    bytes_fini(&in);
    wire_close(w, true);
}
END_TEST

static const struct data_facts facts = {
    .classes = 10, .height = 28, .width = 28, .channels = 1};

/* Session `number` (from 0) of a run. */
static struct simulate_figures simulate_session(const struct config *config,
                                                const char *duration,
                                                const struct faults *faults, int workers,
                                                uint64_t seed, int number)
{
    struct model model;
    struct simulate_figures f;
    struct error err = {0};
    ck_assert_int_eq(model_parse(duration, &model, NULL), 0);
    ck_assert_int_eq(model_set_space(&model, config, &facts, NULL), 0);
    struct simulate_setup s = {.config = config,
                               .model = &model,
                               .faults = faults,
                               .workers = workers,
                               .seed = seed + (uint64_t)number,
                               .facts = &facts,
                               .dir = dir,
                               .resume = number > 0,
                               .starts = 1e9 + 1e6 * number};
    if (number == 0)
        simulate_remove(dir);
    ck_assert_msg(simulate_run(&s, &f, &err) == 0, "%s", err.text);
    model_fini(&model);
    return f;
}

static struct simulate_figures simulate(const struct config *config, const char *duration,
                                        const struct faults *faults, int workers,
                                        uint64_t seed)
{
    return simulate_session(config, duration, faults, workers, seed, 0);
}

static struct config plain_config(int mode, int64_t trials)
{
    struct config c = engine_rig_config(mode, trials, 0);
    c.trainer.builtin.epochs = 2;
    c.reward.last_epochs = 1;
    c.search.duplicates = DUPLICATES_TRAIN;
    c.resources.threads_per_trial = 1;
    c.resources.memory_per_trial = 0;
    return c;
}

START_TEST(figures_are_what_a_pencil_says)
{
    struct faults none = {0};
    struct config c = plain_config(MODE_ASYNC, 12);
    struct simulate_figures f = simulate(&c, "constant:100", &none, 4, 1);
    ck_assert(f.finished && f.trials == 12 && f.done == 12);
    ck_assert_double_eq_tol(f.seconds, 300, 3);
    ck_assert_double_eq_tol(f.tail, 100, 0.1);
    ck_assert_double_eq_tol(f.useful, 1, 0.01);
    c = plain_config(MODE_ASYNC, 13); /* one worker has a fourth trial, three have none */
    f = simulate(&c, "constant:100", &none, 4, 1);
    ck_assert_double_eq_tol(f.seconds, 400, 3);
    ck_assert_double_eq_tol(f.useful, 13.0 / 16, 0.01);
    c.search.batch = 1;
    c = plain_config(MODE_SYNC, 8); /* batches of four keep half of eight workers busy */
    f = simulate(&c, "constant:100", &none, 8, 1);
    ck_assert_double_eq_tol(f.useful, 0.5, 0.01);
    ck_assert_double_eq_tol(f.stale_mean, 1.5, 0.01);
}
END_TEST

START_TEST(a_simulation_repeats_itself)
{
    struct faults f = {.rates = {0.02, 0.1, 0.1, 0.05, 0.1, 0.1}};
    struct config c = plain_config(MODE_ASYNC, 60);
    struct simulate_figures a = simulate(&c, "exponential:20", &f, 6, 5);
    struct simulate_figures b = simulate(&c, "exponential:20", &f, 6, 5);
    ck_assert_double_eq(a.seconds, b.seconds);
    ck_assert_double_eq(a.useful, b.useful);
    ck_assert_double_eq(a.stale_mean, b.stale_mean);
    ck_assert_mem_eq(&a.counts, &b.counts, sizeof a.counts);
    ck_assert_uint_eq(a.events, b.events);
    b = simulate(&c, "exponential:20", &f, 6, 6);
    ck_assert_double_ne(a.seconds, b.seconds);
}
END_TEST

START_TEST(losing_every_worker_is_an_answer)
{
    struct faults f = {.rates = {[FAULT_WORKER_LOST] = 1}};
    struct config c = plain_config(MODE_ASYNC, 20);
    struct simulate_figures a = simulate(&c, "constant:10", &f, 3, 1);
    ck_assert(!a.finished && a.counts.lost == 3 && a.done == 0);
    ck_assert_ptr_nonnull(strstr(a.reason, "no worker rank is left"));
}
END_TEST

START_TEST(a_recorded_run_is_replayed)
{
    struct faults none = {0};
    struct engine *run;
    struct model model;
    struct error err = {0};
    struct config c = plain_config(MODE_ASYNC, 30);
    struct simulate_figures a = simulate(&c, "exponential:20", &none, 5, 3), b;
    ck_assert_int_eq(engine_open(dir, true, &run, NULL, &err), 0);
    ck_assert_int_eq(model_from_run(run, &model, &err), 0);
    ck_assert_uint_eq(model.count, 30);
    engine_free(run);
    struct simulate_setup s = {
        .config = &c, .model = &model, .faults = &none, .workers = 1, .seed = 3};
    ck_assert_int_eq(simulate_run(&s, &b, &err), 0);
    ck_assert_double_eq_tol(b.core_hours, b.useful * b.seconds / 3600, 0.01);
    ck_assert(b.finished && b.seconds > a.seconds);
    model_fini(&model);
}
END_TEST

/* --- the property ------------------------------------------------------------------- */

/* Records of one trial in the journal. */
struct account {
    int proposed, started, failed, finished, told;
};

static void read_accounts(struct account *accounts)
{
    char *path = run_folder_file(dir, RUN_JOURNAL);
    struct journal_reader *reader;
    struct journal_record r;
    ck_assert_int_eq(journal_reader_open(path, 0, &reader, NULL), 0);
    while (journal_read(reader, &r, NULL) == 1) {
        struct bytes_reader in;
        bytes_reader_init(&in, r.payload, r.size);
        uint64_t id = bytes_get_u64(&in);
        bool of_trial = r.type >= RECORD_PROPOSED && r.type <= RECORD_TOLD;
        if (!of_trial)
            continue;
        ck_assert_uint_lt(id, TRIALS);
        accounts[id].proposed += r.type == RECORD_PROPOSED;
        accounts[id].started += r.type == RECORD_STARTED;
        accounts[id].failed += r.type == RECORD_ATTEMPT_FAILED;
        accounts[id].finished += r.type == RECORD_FINISHED;
        accounts[id].told += r.type == RECORD_TOLD;
    }
    ck_assert(!journal_reader_torn(reader));
    journal_reader_close(reader);
    free(path);
}

/* Exactly once when the run is over, at most once when it ended early. */
static void check_account(const struct account *a, const struct trial *t, int retries,
                          bool over)
{
    bool done = t->state == TRIAL_DONE || t->state == TRIAL_FAILED;
    ck_assert_int_eq(a->proposed, 1);
    ck_assert_int_eq(a->finished, done);
    ck_assert_int_le(a->told, 1);
    ck_assert_int_le(a->failed, retries);
    ck_assert_int_ge(a->started, a->failed + a->finished);
    if (over)
        ck_assert(a->told == 1 && (done || t->state == TRIAL_SAVED));
    if (t->state == TRIAL_FAILED) /* an attempt on a silent rank counts, unrecorded */
        ck_assert_msg(a->started > retries, "started %d times: %s", a->started,
                      t->reason);
    if (t->state == TRIAL_SAVED)
        ck_assert_int_eq(a->started, a->failed);
}

/* What a history is, whoever trained it and when. */
struct history {
    uint64_t count, over; /* over: all told */
    double longest;       /* seconds of a trial */
    struct {
        struct architecture_hash hash;
        int state, kind;
        double accuracy, reward;
    } trials[TRIALS];
};

/* From the snapshot and the journal behind it, or from the journal alone. */
static void read_history(const struct config *c, bool over, bool snapshot,
                         struct history *ret)
{
    struct account accounts[TRIALS] = {0};
    struct engine *run;
    struct error err = {0};
    *ret = (struct history){.count = 0};
    if (!over && run_folder_check(dir, NULL) != 0)
        return; /* it failed before its first trial, and so left nothing */
    read_accounts(accounts);
    for (int i = 0; i < 2 && !snapshot; i++) {
        char path[600];
        snprintf(path, sizeof path, "%s/snapshot%s.h5", dir, i ? ".prev" : "");
        unlink(path);
    }
    ck_assert_msg(engine_open(dir, true, &run, NULL, &err) == 0, "%s", err.text);
    const struct ledger *l = engine_ledger(run);
    *ret = (struct history){.count = ledger_count(l), .over = over};
    ck_assert_uint_le(ret->count, TRIALS);
    if (over)
        ck_assert(engine_told(run) == ret->count &&
                  (config_shares_weights(c) || ret->count == (uint64_t)c->search.trials));
    for (uint64_t i = 0; i < ret->count; i++) {
        const struct trial *t = ledger_trial(l, i);
        check_account(&accounts[i], t, c->run.retries, over);
        ret->trials[i].hash = t->hash;
        ret->trials[i].state = t->state;
        ret->trials[i].kind = t->kind;
        ret->trials[i].accuracy = t->val_accuracy;
        ret->trials[i].reward = t->reward;
        ret->longest = fmax(ret->longest, t->seconds);
    }
    engine_free(run);
}

static bool same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

/* All of it, or as far as a run came that lost all its ranks. */
static void check_same(const struct history *a, const struct history *b)
{
    if (b->over)
        ck_assert_uint_eq(a->count, b->count);
    for (uint64_t i = 0; i < b->count; i++) {
        bool over = b->trials[i].state >= TRIAL_DONE;
        ck_assert_int_eq(a->trials[i].kind, b->trials[i].kind);
        if (over || b->trials[i].kind != TRIAL_RELAX) /* whose cell its result brings */
            ck_assert(architecture_hash_equal(a->trials[i].hash, b->trials[i].hash));
        if (!over)
            continue;
        ck_assert_int_eq(a->trials[i].state, b->trials[i].state);
        ck_assert(same(a->trials[i].accuracy, b->trials[i].accuracy));
        ck_assert(same(a->trials[i].reward, b->trials[i].reward));
    }
}

static int between(struct rng *rng, int least, int most)
{
    return least + (int)rng_below(rng, (uint32_t)(most - least + 1));
}

/* At most TRIALS trials of all kinds. */
static void share_weights(struct rng *rng, struct config *c)
{
    c->search.strategy = between(rng, STRATEGY_ENAS, STRATEGY_DARTS);
    c->search.trials = 0;
    c->search.batch = between(rng, 1, 2);
    strcpy(c->task.kind, "language-model");
    c->task.data.format = DATA_GENERATED_TEXT;
    strcpy(c->reward.metric, "val_perplexity");
    c->trainer.command_count = 0;
    c->trainer.builtin.optimizer.momentum = 0;
    c->trainer.builtin.optimizer.nesterov = false;
    c->space.name = SPACE_RNN_DAG;
    c->space.rnn.nodes = between(rng, 1, 4);
    c->search.shared = (struct config_shared){.epochs = between(rng, 1, 2),
                                              .steps = between(rng, 1, 4),
                                              .samples = between(rng, 1, 3),
                                              .sync_every = 1,
                                              .save_every = between(rng, 1, 4),
                                              .controller_steps = between(rng, 0, 2),
                                              .probes = between(rng, 0, 2),
                                              .candidates = between(rng, 3, 5),
                                              .finalists = between(rng, 1, 3),
                                              .order = between(rng, 1, 2),
                                              .alpha_lr = 3e-3};
    if (c->search.shared.samples > 1 && c->search.shared.steps % 2 == 0)
        c->search.shared.sync_every = between(rng, 1, 2);
    if (c->search.strategy == STRATEGY_DARTS) {
        c->space.rnn.nodes = between(rng, 2, 4);
        c->search.shared.samples = c->search.shared.sync_every = 1;
        c->trainer.builtin.recurrent.output = OUTPUT_ALL_BUT_FIRST;
    }
}

static struct config random_config(struct rng *rng, int mode)
{
    struct config c = plain_config(mode, between(rng, 3, TRIALS));
    c.seed = rng_u32(rng);
    c.search.strategy = between(rng, 0, 1) ? STRATEGY_RANDOM : STRATEGY_REINFORCE;
    c.search.batch = between(rng, 1, 6);
    c.search.duplicates = between(rng, 0, 1) ? DUPLICATES_ANSWER : DUPLICATES_TRAIN;
    c.space.conv_chain.layers = between(rng, 1, 3);
    if (between(rng, 0, 2) == 0)
        engine_rig_one_choice(&c);
    if (between(rng, 0, 2) == 0)
        share_weights(rng, &c);
    c.control.share = between(rng, 0, 1) ? 0.25 : 0;
    /* In mode sync no trial may fail for good: then its reward would be another. */
    c.run.retries = mode == MODE_SYNC ? 1000 : between(rng, 0, 3);
    c.run.on_failure = between(rng, 0, 1) ? ON_FAILURE_SKIP : ON_FAILURE_REWARD_0;
    c.run.heartbeat = between(rng, 1, 5);
    c.run.lost_after = c.run.heartbeat * between(rng, 2, 8);
    c.run.snapshot_every = between(rng, 0, 7) ? 1e6 : 20;
    return c;
}

static struct faults random_faults(struct rng *rng, int workers,
                                   struct fault_event *events)
{
    const double most[FAULT_COUNT] = {0.1, 0.3, 0.3, 0.1, 0.3, 0.3};
    struct faults f = {.schedule = events, .count = (size_t)between(rng, 0, EVENTS)};
    for (int i = 0; i < FAULT_COUNT; i++)
        f.rates[i] = between(rng, 0, 1) * rng_double(rng) * most[i];
    for (size_t i = 0; i < f.count; i++)
        events[i] = (struct fault_event){.at = 60 * rng_double(rng),
                                         .fault = between(rng, 0, FAULT_COUNT - 1),
                                         .rank = between(rng, 1, workers),
                                         .value = 1 + 30 * rng_double(rng)};
    return f;
}

/* What ends a run early, and by design. */
static void check_reason(const struct simulate_figures *f)
{
    if (!f->finished)
        ck_assert_msg(strstr(f->reason, "no worker rank is left") ||
                          strstr(f->reason, "attempts all failed") ||
                          strstr(f->reason, "later steps build on it") ||
                          strstr(f->reason, "cannot be brought back"),
                      "%s", f->reason);
}

/* Trials that take as long as they have FLOPs: as recorded, for this configuration. */
static struct model model_by_work(const struct config *c)
{
    struct engine_rig g;
    struct model model;
    struct error err = {0};
    simulate_remove(dir);
    engine_rig_new(&g, dir, c);
    engine_set_facts(g.engine, &(struct data_facts){
                                   .height = 28, .width = 28, .channels = 1, .classes = 10});
    for (uint64_t id = 0; id < (uint64_t)c->search.trials; id++) {
        struct trial_epoch epoch = {.val_accuracy = 0.5F};
        struct ledger_result r = {.epoch_count = 1, .epochs = &epoch};
        ck_assert_int_eq(engine_rig_propose(&g), ENGINE_PROPOSED);
        engine_rig_start(&g, id);
        r.seconds = 1e-6 * engine_work(g.engine, engine_rig_trial(&g, id));
        ck_assert_int_eq(engine_finish(g.engine, id, 1, 0, &r, &err), 0);
    }
    ck_assert_msg(model_from_run(g.engine, &model, &err) == 0, "%s", err.text);
    engine_rig_drop(&g);
    return model;
}

static struct simulate_figures simulate_with(const struct config *c,
                                             const struct model *model, int workers)
{
    struct faults none = {0};
    struct simulate_figures f;
    struct error err = {0};
    struct simulate_setup s = {
        .config = c, .model = model, .faults = &none, .workers = workers, .dir = dir};
    simulate_remove(dir);
    ck_assert_msg(simulate_run(&s, &f, &err) == 0, "%s", err.text);
    return f;
}

/* The longest expected first, some of the last looked at together: less is waited for. */
START_TEST(longest_first_shrinks_the_tail)
{
    double seconds[2] = {0}, tail[2] = {0};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct config c = plain_config(MODE_ASYNC, 48);
        c.seed = seed;
        c.search.strategy = STRATEGY_RANDOM;
        c.space.conv_chain.filter_heights = (struct config_list){3, {3, 5, 7}};
        c.space.conv_chain.filter_widths = (struct config_list){1, {3}};
        c.space.conv_chain.filters = (struct config_list){3, {24, 36, 48}};
        c.space.conv_chain.strides = (struct config_list){1, {1}};
        struct model model = model_by_work(&c);
        for (int order = 0; order < 2; order++) {
            c.run.order = order;
            struct simulate_figures f = simulate_with(&c, &model, 6);
            ck_assert(f.finished && f.done == 48);
            seconds[order] += f.seconds;
            tail[order] += f.tail;
        }
        model_fini(&model);
    }
    printf("makespan: longest first %.3f of proposed, tail %.3f\n",
           seconds[ORDER_LONGEST] / seconds[ORDER_PROPOSED],
           tail[ORDER_LONGEST] / tail[ORDER_PROPOSED]);
    ck_assert_double_lt(seconds[ORDER_LONGEST], 0.97 * seconds[ORDER_PROPOSED]);
    ck_assert_double_lt(tail[ORDER_LONGEST], 0.7 * tail[ORDER_PROPOSED]);
}
END_TEST

/* The longest trial takes some six times as long as the shortest. */
static void narrow_space(struct config *c)
{
    struct config_conv_chain *s = &c->space.conv_chain;
    s->filter_heights = (struct config_list){3, {3, 5, 7}};
    s->filter_widths = s->strides = (struct config_list){1, {1}};
    s->filters = (struct config_list){3, {24, 36, 48}};
}

/* More workers than anybody would look through one by one: the choice is among all. */
START_TEST(longest_first_helps_many_workers_too)
{
    struct faults none = {0};
    double seconds[2] = {0}, tail[2] = {0};
    for (uint64_t seed = 1; seed <= 4; seed++)
        for (int order = 0; order < 2; order++) {
            struct config c = plain_config(MODE_ASYNC, 1024);
            c.search.strategy = STRATEGY_RANDOM;
            c.space.conv_chain.layers = 6;
            c.seed = seed;
            c.run.order = order;
            narrow_space(&c);
            struct simulate_figures f = simulate(&c, "flops:60,0.3", &none, 128, seed);
            ck_assert(f.finished && f.done == 1024);
            seconds[order] += f.seconds;
            tail[order] += f.tail;
        }
    printf("makespan of 128 workers: longest first %.3f of proposed, tail %.3f\n",
           seconds[ORDER_LONGEST] / seconds[ORDER_PROPOSED],
           tail[ORDER_LONGEST] / tail[ORDER_PROPOSED]);
    ck_assert_double_lt(seconds[ORDER_LONGEST], 0.93 * seconds[ORDER_PROPOSED]);
    ck_assert_double_lt(tail[ORDER_LONGEST], 0.5 * tail[ORDER_PROPOSED]);
}
END_TEST

static double hours_lost(void)
{
    struct engine *e;
    struct error err = {0};
    ck_assert_msg(engine_open(dir, true, &e, NULL, &err) == 0, "%s", err.text);
    double lost = ledger_hours(engine_ledger(e))->lost;
    engine_free(e);
    return lost;
}

/* 250 s for trials of 100 s: nothing is begun after the second round, and the session ends
 * with it; without the forecast the third would be cut off. */
START_TEST(a_session_ends_when_nothing_more_fits)
{
    struct faults none = {0};
    struct config c = plain_config(MODE_ASYNC, 1000);
    c.search.strategy = STRATEGY_RANDOM;
    engine_rig_one_choice(&c);
    c.run.time_limit = 250;
    struct simulate_figures f = simulate(&c, "constant:100", &none, 8, 1);
    ck_assert(!f.finished);
    ck_assert_msg(strstr(f.reason, "left for the next session"), "%s", f.reason);
    ck_assert_uint_eq(f.done, 16);
    ck_assert_double_eq_tol(f.seconds, 200, 3);
    ck_assert_double_eq(hours_lost(), 0);
    c.run.time_limit = 350; /* the forecast is no pessimist */
    f = simulate(&c, "constant:100", &none, 8, 1);
    ck_assert_uint_eq(f.done, 24);
    ck_assert_double_eq_tol(f.seconds, 300, 3);
}
END_TEST

/* Budgets end a run for good: what would not end in time is not begun at all. */
START_TEST(a_budget_of_hours_is_not_spent_on_what_would_be_cut_off)
{
    struct faults none = {0};
    struct config c = plain_config(MODE_ASYNC, 0);
    c.search.strategy = STRATEGY_RANDOM;
    engine_rig_one_choice(&c);
    c.search.hours = 250.0 / 3600;
    struct simulate_figures f = simulate(&c, "constant:100", &none, 8, 1);
    ck_assert_msg(f.finished, "%s", f.reason);
    ck_assert_uint_eq(f.done, 16);
    ck_assert_double_eq_tol(f.seconds, 200, 3);
    ck_assert_double_eq(hours_lost(), 0);
}
END_TEST

/* Sessions of 50 s for trials of 100 s: each trial is given a whole session run.retries + 1
 * times, then it failed, and the run comes to an end. */
START_TEST(what_never_fits_fails_in_the_end)
{
    struct faults none = {0};
    struct config c = plain_config(MODE_ASYNC, 4);
    struct engine *e;
    struct simulate_figures f;
    int sessions = 0;
    c.search.strategy = STRATEGY_RANDOM;
    c.run.retries = 1;
    c.run.time_limit = 50;
    do
        f = simulate_session(&c, "constant:100", &none, 2, 1, sessions++);
    while (!f.finished && sessions < 20);
    ck_assert(f.finished && f.done == 0 && f.failed == 4);
    ck_assert_int_eq(sessions, 5);
    ck_assert_int_eq(engine_open(dir, true, &e, NULL, NULL), 0);
    for (uint64_t id = 0; id < 4; id++) {
        const struct trial *t = ledger_trial(engine_ledger(e), id);
        ck_assert(t->state == TRIAL_FAILED && t->failure == FAILURE_TIMEOUT);
        ck_assert_uint_eq(t->attempts, 2);
        ck_assert_msg(strstr(t->reason, "cut off by the end of the session"), "%s",
                      t->reason);
    }
    engine_free(e);
}
END_TEST

/* Ranks take up to a second until they are ready, so a session of 101 s has less than 101 s
 * for trials of 100.5 s. */
START_TEST(sessions_that_are_hardly_long_enough_make_progress)
{
    struct faults none = {0};
    struct config c = plain_config(MODE_ASYNC, 30);
    struct simulate_figures f;
    int sessions = 0;
    c.search.strategy = STRATEGY_RANDOM;
    c.run.time_limit = 102;
    do
        f = simulate_session(&c, "constant:100.5", &none, 3, 1, sessions++);
    while (!f.finished && sessions < 20);
    ck_assert(f.finished && f.done == 30);
    ck_assert_int_eq(sessions, 10);
}
END_TEST

/* Lines of log.jsonl of this event whose text holds the words. */
static int count_events(const char *event, const char *words)
{
    char *path = run_folder_file(dir, RUN_LOG), *line = NULL, needle[64];
    size_t capacity = 0;
    int count = 0;
    FILE *file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    snprintf(needle, sizeof needle, "\"event\":\"%s\"", event);
    while (getline(&line, &capacity, file) > 0)
        count += strstr(line, needle) && strstr(line, words);
    fclose(file);
    free(line);
    free(path);
    return count;
}

/* Rank 2 becomes a hundred times slower: its trial is named, once, and in mode sync that
 * the others wait for it; in the end only that little is left to do. */
static void slow_down(int mode, struct simulate_figures *ret)
{
    struct fault_event slow = {.at = 150, .fault = FAULT_SLOW, .rank = 2, .value = 100};
    struct faults faults = {.schedule = &slow, .count = 1};
    struct config c = plain_config(mode, 64);
    c.search.batch = 8;
    *ret = simulate(&c, "constant:20", &faults, 4, 1);
    ck_assert(ret->finished);
}

START_TEST(what_a_run_waits_for_is_named)
{
    struct faults none = {0};
    struct simulate_figures f;
    slow_down(MODE_SYNC, &f);
    ck_assert_int_ge(count_events("stall", ", runs for 6"), 1);
    ck_assert_int_le(count_events("stall", ", runs for "), 8);
    ck_assert_int_ge(count_events("stall", "slots idle, the search waits for trial "), 1);
    ck_assert_int_ge(count_events("stall", ", which runs on rank 2 slot 0, for 1"), 1);
    slow_down(MODE_ASYNC, &f);
    ck_assert_int_eq(count_events("stall", "the search waits for trial "), 0);
    ck_assert_int_eq(count_events("stall", ", runs for "), 1);
    ck_assert_int_ge(
        count_events("stall", "3 of 4 slots idle, all trials of the search are handed "
                              "out, 1 still run, for "),
        1);
    /* A run without a fault has nothing to tell but its end. */
    struct config c = plain_config(MODE_ASYNC, 64);
    f = simulate(&c, "uniform:10,20", &none, 4, 1);
    ck_assert(f.finished);
    ck_assert_int_eq(count_events("stall", ""), count_events("stall", "still run"));
}
END_TEST

static int over_count;

static void try_faults(struct rng *rng, const struct config *c,
                       const struct history *plain)
{
    const char *const durations[] = {"constant:5", "lognormal:5,1", "uniform:0,10",
                                     "exponential:5", "exponential:0.5"};
    struct fault_event events[EVENTS];
    struct history h;
    int workers = between(rng, 1, WORKERS);
    struct faults faults = random_faults(rng, workers, events);
    struct simulate_figures f =
        simulate(c, durations[between(rng, 0, 4)], &faults, workers, rng_u32(rng));
    check_reason(&f);
    read_history(c, f.finished, between(rng, 0, 3) == 0, &h);
    if (plain)
        check_same(plain, &h);
    over_count += f.finished;
}

/* Sessions of so many seconds until the run is over; returns how many. */
static int run_sessions(struct config c, const char *duration, int workers, double limit,
                        struct history *ret)
{
    struct faults none = {0};
    bool finished = false;
    int number = 0;
    c.run.time_limit = limit;
    for (; !finished && number < 200; number++) {
        struct simulate_figures f =
            simulate_session(&c, duration, &none, workers, c.seed, number);
        finished = f.finished;
    }
    ck_assert(finished);
    read_history(&c, true, true, ret);
    return number;
}

START_TEST(in_mode_sync_time_limits_change_no_history)
{
    struct faults none = {0};
    struct rng rng;
    int sessions = 0;
    rng_init(&rng, test_seed, RNG_TEST, UINT64_MAX);
    for (int i = 0; i < 60; i++) {
        struct config c = random_config(&rng, MODE_SYNC);
        struct history plain, cut;
        narrow_space(&c);
        if (config_shares_weights(&c))
            continue; /* a session of the simulation finds no states of an earlier one */
        c.search.trials = between(&rng, 20, TRIALS);
        struct simulate_figures f = simulate(&c, "flops:5,0.2", &none, 1, 0);
        ck_assert(f.finished);
        read_history(&c, true, true, &plain);
        sessions += run_sessions(c, "flops:5,0.2", between(&rng, 1, 4),
                                 2 + plain.longest * (1 + rng_double(&rng)), &cut);
        check_same(&plain, &cut);
    }
    fprintf(stderr, "seed %llu: %d sessions for some 40 runs\n",
            (unsigned long long)test_seed, sessions);
    ck_assert_int_gt(sessions, 80);
}
END_TEST

static void try_many(int mode)
{
    struct faults none = {0};
    struct history plain;
    over_count = 0;
    for (int i = 0; i < CONFIGURATIONS / 2; i++) {
        struct rng rng;
        rng_init(&rng, test_seed, RNG_TEST, (uint64_t)(2 * i + mode));
        fprintf(stderr, "\rseed %llu, configuration %d ", (unsigned long long)test_seed,
                i);
        struct config c = random_config(&rng, mode);
        if (mode == MODE_SYNC) {
            struct simulate_figures f = simulate(&c, "constant:5", &none, 1, 0);
            ck_assert(f.finished);
            read_history(&c, true, true, &plain);
        }
        for (int k = 0; k < SCHEDULES; k++)
            try_faults(&rng, &c, mode == MODE_SYNC ? &plain : NULL);
    }
    fprintf(stderr, "\rseed %llu: %d of %d runs came to their end\n",
            (unsigned long long)test_seed, over_count, CONFIGURATIONS / 2 * SCHEDULES);
    ck_assert_int_ge(over_count, CONFIGURATIONS / 2 * SCHEDULES / 4);
}

START_TEST(every_trial_is_accounted_for_once_whatever_happens)
{
    try_many(MODE_ASYNC);
}
END_TEST

START_TEST(in_mode_sync_the_history_is_that_of_one_worker_without_a_fault)
{
    try_many(MODE_SYNC);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        durations_that_make_no_sense_are_refused,
        durations_have_the_means_of_their_distributions,
        durations_can_follow_the_flops,
        faults_that_make_no_sense_are_refused,
        messages_arrive_in_order_and_time_moves_only_when_it_is_moved,
        figures_are_what_a_pencil_says,
        a_simulation_repeats_itself,
        losing_every_worker_is_an_answer,
        a_recorded_run_is_replayed,
        longest_first_shrinks_the_tail,
        longest_first_helps_many_workers_too,
        a_session_ends_when_nothing_more_fits,
        what_a_run_waits_for_is_named,
        a_budget_of_hours_is_not_spent_on_what_would_be_cut_off,
        what_never_fits_fails_in_the_end,
        sessions_that_are_hardly_long_enough_make_progress,
        every_trial_is_accounted_for_once_whatever_happens,
        in_mode_sync_the_history_is_that_of_one_worker_without_a_fault,
        in_mode_sync_time_limits_change_no_history,
        NULL};
    mallopt(M_TRIM_THRESHOLD, 1 << 28); /* or the pages of each run are faulted in anew */
    mallopt(M_MMAP_THRESHOLD, 1 << 28);
    if (prepare() != 0)
        return EXIT_FAILURE;
    Suite *suite = suite_create("simulate");
    TCase *tc = tcase_create("simulate");
    tcase_set_timeout(tc, 400);
    for (const TTest *const *t = tests; *t; t++)
        tcase_add_test(tc, *t);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    simulate_remove(folder);
    free(folder);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
