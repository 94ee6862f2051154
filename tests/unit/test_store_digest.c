/* SPDX-License-Identifier: Apache-2.0 */
#include "master/store_digest.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/rng.h"
#include "engine_rig.h"
#include "master/cli/run_status.h"
#include "master/run_folder.h"
#include "store_sample.h"

static struct temp_folder folder;
static char dir[600];

static void setup(void)
{
    static int number;
    char name[32];
    snprintf(name, sizeof name, "run%d-%d", getpid(), number++);
    snprintf(dir, sizeof dir, "%s", temp_folder_file(&folder, name));
}

static const char *file(const char *name)
{
    static char path[700];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static void refused(int status)
{
    struct snapshot s;
    struct error err = {0};
    ck_assert_int_eq(store_read_digest(dir, &s, &err), status);
    ck_assert_int_ne(err.text[0], 0);
}

static struct snapshot write_sample(uint64_t seed)
{
    struct snapshot s = sample_snapshot(seed, 300, 2);
    s.told = 300;
    if (access(dir, F_OK) != 0)
        ck_assert_int_eq(mkdir(dir, 0777), 0);
    ck_assert_int_eq(store_write(dir, &s, NULL), 0);
    return s;
}

START_TEST(without_its_snapshot_it_is_not_taken)
{
    struct snapshot s;
    struct error err = {0};
    refused(ERROR_SYSTEM); /* no folder */
    s = write_sample(1);
    ck_assert_int_eq(unlink(file("snapshot.digest")), 0);
    refused(ERROR_SYSTEM); /* no digest */
    ck_assert_int_eq(
        store_digest_write("/tmp/archway-none", &s, (struct store_file_mark){0}, &err),
        ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "/tmp/archway-none/snapshot.digest"));
    ck_assert_int_eq(store_digest_write(dir, &s, (struct store_file_mark){1, 2}, &err),
                     0);
    refused(ERROR_INPUT); /* of another snapshot */
    snapshot_fini(&s);
    s = write_sample(2);
    ck_assert_int_eq(unlink(file("snapshot.h5")), 0);
    refused(ERROR_SYSTEM); /* no snapshot */
    snapshot_fini(&s);
}
END_TEST

/* What stands at byte `at` changes to another value for the time of a reading. */
static void damage(const char *name, long at, int status)
{
    char path[700];
    snprintf(path, sizeof path, "%s", file(name));
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, at, at < 0 ? SEEK_END : SEEK_SET), 0);
    long place = ftell(f);
    int old = fgetc(f);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(fseek(f, place, SEEK_SET), 0);
        fputc(i ? old : old ^ 0x10, f);
        fflush(f);
        if (i == 0)
            refused(status);
    }
    fclose(f);
}

START_TEST(damage_anywhere_is_noticed)
{
    static const long places[] = {0, 8, 16, 40, 48, 200, 2000, -400, -20, -1};
    struct snapshot s = write_sample(3), again;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        damage("snapshot.digest", places[i], ERROR_CORRUPT);
    damage("snapshot.h5", 40, ERROR_CORRUPT);
    damage("snapshot.h5", -1, ERROR_CORRUPT);
    ck_assert_int_eq(store_read_digest(dir, &again, NULL), 0);
    snapshot_fini(&again);
    ck_assert_int_eq(truncate(file("snapshot.digest"), 7), 0);
    refused(ERROR_CORRUPT);
    snapshot_fini(&s);
}
END_TEST

static bool same_double(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

START_TEST(what_a_status_counts_comes_back)
{
    struct snapshot s = write_sample(4), d;
    double baseline = 1;
    struct error err = {0};
    ck_assert_msg(store_read_digest(dir, &d, &err) == 0, "%s", err.text);
    ck_assert_uint_eq(d.journal_offset, s.journal_offset);
    ck_assert_uint_eq(d.told, s.told);
    ck_assert_str_eq(d.config.name, "sample");
    ck_assert_int_eq(state_get_f64(&d.state, "controller/baseline", &baseline, NULL), 0);
    ck_assert(same_double(baseline, -0.0));
    ck_assert_ptr_null(state_find(&d.state, "controller/weights"));
    ck_assert_mem_eq(ledger_hours(d.ledger), ledger_hours(s.ledger),
                     sizeof(struct ledger_hours));
    ck_assert_uint_eq(ledger_count(d.ledger), 300);
    for (uint64_t id = 0; id < 300; id++) {
        const struct trial *a = ledger_trial(s.ledger, id);
        const struct trial *b = ledger_trial(d.ledger, id);
        ck_assert_int_eq(a->state, b->state);
        ck_assert_int_eq(a->arm, b->arm);
        ck_assert(a->kind == b->kind && a->shared.step == b->shared.step &&
                  a->shared.part == b->shared.part);
        ck_assert(a->kind == TRIAL_EVAL_RELAX
                      ? architecture_equal(a->architecture, b->architecture)
                      : b->architecture->count == 0);
        ck_assert_int_eq(a->same_as, b->same_as);
        ck_assert(architecture_hash_equal(a->hash, b->hash));
        ck_assert(same_double(a->val_accuracy, b->val_accuracy));
        ck_assert(same_double(a->seconds, b->seconds));
        ck_assert(same_double(a->finished_at, b->finished_at));
        ck_assert_str_eq(a->kernels, b->kernels);
        ck_assert_uint_eq(b->epoch_count, 0);
        if (a->state == TRIAL_RUNNING)
            ck_assert(a->attempts == b->attempts && a->worker == b->worker &&
                      a->slot == b->slot && a->saved_epochs == b->saved_epochs &&
                      a->saved_seconds == b->saved_seconds);
    }
    snapshot_fini(&d);
    snapshot_fini(&s);
}
END_TEST

START_TEST(more_kernels_than_it_can_name_leave_it_out)
{
    struct snapshot s = sample_snapshot(5, 600, 0); /* 400 names */
    ck_assert_int_eq(mkdir(dir, 0777), 0);
    ck_assert_int_eq(store_write(dir, &s, NULL), 0);
    ck_assert_int_ne(access(file("snapshot.digest"), F_OK), 0);
    ck_assert_int_eq(access(file("snapshot.h5"), F_OK), 0);
    snapshot_fini(&s);
}
END_TEST

/* All that `archway status` says, in both formats; caller frees. */
static char *status_text(bool overview, double now, bool *ret_short)
{
    struct run_status s;
    struct engine *e;
    struct text t;
    struct error err = {0};
    ck_assert_msg(run_status_read(dir, overview, now, &s, &e, &err) == 0, "%s", err.text);
    text_init(&t);
    run_status_format(&s, e, dir, &t);
    json_t *o = run_status_json(&s, e, dir);
    char *dump = json_dumps(o, JSON_INDENT(1));
    text_append(&t, "%s", dump);
    const struct trial *first = ledger_trial(engine_ledger(e), 0);
    *ret_short = first && first->architecture->count == 0;
    free(dump);
    json_decref(o);
    engine_free(e);
    run_status_fini(&s);
    return text_take(&t);
}

static void compare_readings(double now, bool digest)
{
    bool is_short, is_long;
    char *quick = status_text(true, now, &is_short);
    char *full = status_text(false, now, &is_long);
    ck_assert_str_eq(quick, full);
    ck_assert_int_eq(is_short, digest);
    ck_assert(!is_long);
    free(quick);
    free(full);
}

/* Any step that a run can make, by chance. */
static void step(struct engine_rig *g, struct rng *rng)
{
    struct ledger *l = engine_ledger(g->engine);
    uint64_t id = ledger_count(l) ? rng_below(rng, (uint32_t)ledger_count(l)) : 0;
    const struct trial *t = ledger_trial(l, id);
    switch (rng_below(rng, 6)) {
    case 0:
    case 1:
        engine_rig_propose(g);
        return;
    case 2:
    case 3:
        if (ledger_next(l, &id))
            engine_rig_start(g, id);
        return;
    case 4:
        if (t && t->state == TRIAL_RUNNING && rng_below(rng, 9) == 0)
            engine_doubt(g->engine, id);
        else if (t && t->state == TRIAL_RUNNING)
            engine_rig_end(g, id, rng_below(rng, 4) ? FAILURE_NONE : FAILURE_EXIT);
        return;
    default:
        engine_rig_tell(g);
    }
}

/* `live`: the folder is locked, as while a master runs. */
static void walk(int mode, uint64_t seed, bool live)
{
    struct engine_rig g;
    struct rng rng;
    struct run_folder *lock = NULL;
    struct config c = engine_rig_config(mode, 100000, 0.3);
    bool digest = false;
    c.space.conv_chain.filters = c.space.conv_chain.strides =
        (struct config_list){1, {1}};
    c.space.conv_chain.filter_heights = (struct config_list){2, {1, 3}};
    rng_init(&rng, seed, RNG_TEST, 9);
    engine_rig_new(&g, dir, &c);
    if (live)
        ck_assert_int_eq(run_folder_open(dir, &lock, NULL), 0);
    for (int i = 0; i < 1200; i++) {
        step(&g, &rng);
        if (rng_below(&rng, 150) == 0) {
            engine_rig_snapshot(&g);
            digest = ledger_count(engine_ledger(g.engine)) > 0;
        }
        if (rng_below(&rng, 40) > 0)
            continue;
        ck_assert_int_eq(journal_sync(g.journal, NULL), 0);
        compare_readings(g.now + 5, digest);
    }
    run_folder_close(lock);
    engine_rig_drop(&g);
    ck_assert(digest);
    compare_readings(g.now + 50, true);
    ck_assert_int_eq(truncate(file("snapshot.digest"), 100), 0);
    compare_readings(g.now + 50, false);
}

START_TEST(a_status_is_the_same_as_that_of_the_full_reading)
{
    for (uint64_t seed = 1; seed <= 3; seed++) {
        walk(MODE_ASYNC, seed, seed == 2);
        setup();
        walk(MODE_SYNC, seed, seed == 3);
        setup();
    }
}
END_TEST

START_TEST(a_snapshot_before_it_is_read_when_the_newest_is_damaged)
{
    struct engine_rig g;
    struct config c = engine_rig_config(MODE_ASYNC, 1000, 0.25);
    engine_rig_new(&g, dir, &c);
    for (uint64_t told = 4; told <= 8; told += 4) {
        engine_rig_run(&g, told);
        engine_rig_snapshot(&g);
    }
    engine_rig_drop(&g);
    ck_assert_int_eq(truncate(file("snapshot.h5"), 3000), 0);
    compare_readings(g.now, false);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {without_its_snapshot_it_is_not_taken,
                                  damage_anywhere_is_noticed,
                                  what_a_status_counts_comes_back,
                                  more_kernels_than_it_can_name_leave_it_out,
                                  a_status_is_the_same_as_that_of_the_full_reading,
                                  a_snapshot_before_it_is_read_when_the_newest_is_damaged,
                                  NULL};
    return temp_folder_main("store_digest", tests, &folder, setup);
}
