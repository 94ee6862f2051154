/* SPDX-License-Identifier: Apache-2.0 */
/* What is tested here holds for both kinds of training: _i is the kind. */
#include "worker/trainer_state.h"
#include "state_rig.h"
#include "temp_folder.h"

#include <math.h>
#include <stddef.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "common/rng.h"
#include "common/text.h"
#include "worker/threads.h"

enum { FOREVER = 1 << 20 }; /* steps */

static struct temp_folder temp;
static struct state_rig rig;
static char path[512]; /* of a state */

static void setup(void)
{
    snprintf(path, sizeof path, "%s", temp_folder_file(&temp, "state"));
}

static void save(const struct state_trial *t)
{
    struct error err = {0};
    ck_assert_msg(trainer_state_write(path, &t->state, &err) == 0, "%s", err.text);
}

static void go_on(struct state_trial *t)
{
    struct error err = {0};
    ck_assert_msg(trainer_state_read(path, &t->state, &err) == 1, "%s", err.text);
}

/* t is fresh, and stays it. */
static void refused_at(const char *file, struct state_trial *t, const char *part)
{
    struct error err = {0};
    size_t count;
    const float *parameters = rig_parameters(t, &count);
    float *before = malloc(count * sizeof *before);
    memcpy(before, parameters, count * sizeof *before);
    ck_assert_int_lt(trainer_state_read(file, &t->state, &err), 0);
    ck_assert_msg(strstr(err.text, part), "'%s' is not in: %s", part, err.text);
    ck_assert_msg(strstr(err.text, file), "%s", err.text);
    ck_assert(rig_is_fresh(t) && t->state.seconds == 0);
    ck_assert_mem_eq(before, parameters, count * sizeof *before);
    free(before);
}

static void refused(struct state_trial *t, const char *part)
{
    refused_at(path, t, part);
}

START_TEST(bad_arguments)
{
    struct state_trial t;
    struct error err = {0};
    rig_open(&rig, _i, temp.path);
    rig_begin(&rig, &t);
    ck_assert_int_eq(trainer_state_read("/nowhere/x", &t.state, &err), 0);
    ck_assert_int_eq(trainer_state_write("/nowhere/x", &t.state, &err), ERROR_SYSTEM);
    ck_assert_msg(strstr(err.text, "/nowhere/x"), "%s", err.text);
    refused_at(temp.path, &t, "is no file");
    rig_end(&t);
    trainer_state_fini(&t.state);
    trainer_state_fini(NULL);
    rig_close(&rig);
}
END_TEST

static void same_language(const struct language *a, const struct language *b)
{
    const struct language_position *p = &a->position, *q = &b->position;
    size_t bytes = recurrent_count(a->model) * sizeof(float);
    ck_assert_uint_eq(p->averaged, q->averaged);
    ck_assert_uint_eq(p->updates, q->updates);
    if (p->averaged > 0)
        ck_assert_mem_eq(a->average, b->average, bytes);
    ck_assert_int_eq(a->loss_count, b->loss_count);
    for (int i = 0; i < a->loss_count; i++)
        ck_assert(a->losses[i] == b->losses[i]);
}

static void same_bits(const struct state_trial *a, const struct state_trial *b)
{
    size_t count, other;
    const float *p = rig_parameters(a, &count), *q = rig_parameters(b, &other);
    ck_assert_uint_eq(count, other);
    ck_assert_mem_eq(p, q, count * sizeof *p);
    for (int i = 0; i < a->state.epochs; i++) {
        const struct trial_epoch *x = &a->state.curve[i], *y = &b->state.curve[i];
        size_t size = offsetof(struct trial_epoch, seconds); /* the last of an epoch */
        ck_assert_msg(memcmp(x, y, size) == 0, "epoch %d", i);
    }
    if (a->kind != RIG_IMAGES)
        same_language(&a->language, &b->language);
}

/* Stopped after every step of training and validation there is, and gone on with from the
 * file by a fresh training; the count of stops. */
static int stop_everywhere(const struct state_trial *calm)
{
    struct state_trial first, second;
    bool over = false;
    int stops = 0;
    for (; !over; stops++) {
        rig_begin(&rig, &first);
        over = rig_train(&first, stops);
        save(&first);
        rig_end(&first);
        rig_begin(&rig, &second);
        go_on(&second);
        ck_assert(rig_train(&second, FOREVER));
        same_bits(calm, &second);
        rig_end(&second);
    }
    return stops - 1;
}

/* With either optimiser and with one thread and two. */
START_TEST(images_stopped_anywhere_give_the_same_bits)
{
    rig_open(&rig, RIG_IMAGES, temp.path);
    for (int kind = 0; kind < 4; kind++) {
        struct state_trial calm;
        rig.config.trainer.builtin.optimizer.name = kind % 2;
        rig.config.resources.threads_per_trial = 1 + kind / 2;
        threads_set(1 + kind / 2);
        rig_begin(&rig, &calm);
        ck_assert(rig_train(&calm, FOREVER));
        ck_assert_int_eq(stop_everywhere(&calm), calm.state.epochs * (7 + 2));
        rig_end(&calm);
    }
    rig_close(&rig);
}
END_TEST

/* The first epoch that trains with the average; 0: none. */
static int averages_from(struct state_trial *t)
{
    while (t->language.position.averaged == 0 && rig_epoch(t) < t->state.epochs) {
        int epoch = rig_epoch(t);
        for (int steps = 1; rig_epoch(t) == epoch; steps++)
            rig_train(t, steps);
    }
    return t->language.position.averaged > 0 ? rig_epoch(t) : 0;
}

/* In the middle of epochs, in validation, before averaging begins and after. */
START_TEST(a_text_stopped_anywhere_gives_the_same_bits)
{
    struct state_trial calm;
    rig_open(&rig, RIG_TEXT, temp.path);
    rig_begin(&rig, &calm);
    int from = averages_from(&calm);
    ck_assert_int_ge(from, 4);
    ck_assert_int_lt(from, calm.state.epochs - 1);
    ck_assert(rig_train(&calm, FOREVER));
    ck_assert_int_eq(stop_everywhere(&calm), calm.state.epochs * (6 + 3));
    rig_end(&calm);
    rig_close(&rig);
}
END_TEST

/* One training in pieces of random length, each by a training that is fresh; a text
 * that was begun by one thread goes on with two. */
START_TEST(many_random_stops_give_the_same_bits)
{
    struct state_trial calm, t;
    struct rng rng;
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 0);
    rig_open(&rig, _i, temp.path);
    rig_begin(&rig, &calm);
    rig_train(&calm, FOREVER);
    for (int round = 0; round < 12; round++) {
        bool over = false;
        rig_begin(&rig, &t);
        while (!over) {
            over = rig_train(&t, (int)rng_below(&rng, 14));
            save(&t);
            rig_end(&t);
            rig.config.resources.threads_per_trial = 1 + (_i == RIG_TEXT && round == 0);
            rig_begin(&rig, &t);
            go_on(&t);
        }
        same_bits(&calm, &t);
        rig_end(&t);
    }
    rig_end(&calm);
    rig_close(&rig);
}
END_TEST

START_TEST(seconds_are_kept)
{
    struct state_trial t;
    rig_open(&rig, _i, temp.path);
    rig_begin(&rig, &t);
    rig_train(&t, 10);
    t.state.seconds = 12.5;
    double epoch = t.training.position.seconds + t.language.position.seconds;
    float first = t.state.curve[0].seconds;
    ck_assert(epoch > 0 && first > 0);
    save(&t);
    rig_end(&t);
    rig_begin(&rig, &t);
    go_on(&t);
    ck_assert(t.state.seconds == 12.5 && t.state.curve[0].seconds == first);
    ck_assert(t.training.position.seconds + t.language.position.seconds == epoch);
    rig_end(&t);
    rig_close(&rig);
}
END_TEST

static void refused_here(const char *part)
{
    struct state_trial t;
    rig_begin(&rig, &t);
    refused(&t, part);
    rig_end(&t);
}

static void save_some_steps(void)
{
    struct state_trial t;
    rig_begin(&rig, &t);
    rig_train(&t, 12);
    save(&t);
    rig_end(&t);
}

START_TEST(states_of_other_trainings_are_refused)
{
    struct state_trial t;
    struct config_builtin_trainer *b = &rig.config.trainer.builtin;
    rig_open(&rig, _i, temp.path);
    save_some_steps();
    rig.order.seed++;
    refused_here("\"trial seed: 4\" there, \"trial seed: 5\" here");
    rig.order.seed--;
    double lr = b->optimizer.lr;
    b->optimizer.lr = 0.25;
    refused_here("\"lr: 0.25\" here");
    b->optimizer.lr = lr;
    b->epochs++;
    refused_here("epochs");
    b->epochs--;
    rig.config.resources.memory_per_trial *= 2; /* decides about nothing */
    rig_begin(&rig, &t);
    go_on(&t);
    rig_end(&t);
    rig_close(&rig);
}
END_TEST

START_TEST(what_decides_about_one_kind_only)
{
    rig_open(&rig, RIG_IMAGES, temp.path);
    save_some_steps();
    rig.config.resources.threads_per_trial = 2;
    refused_here("threads_per_trial");
    rig_close(&rig);
    rig_open(&rig, RIG_TEXT, temp.path);
    refused_here("is of another training"); /* of images */
    save_some_steps();
    rig.corpus.parts[CORPUS_VALIDATION].count--;
    refused_here("\"words: 240 90, 11 different\" there, \"words: 240 89,");
    rig.corpus.parts[CORPUS_VALIDATION].count++;
    rig.config.trainer.builtin.kernels = KERNELS_GENERIC;
    refused_here("generic");
    rig.config.trainer.builtin.kernels = KERNELS_AUTO;
    rig.config.trainer.builtin.recurrent.average_after = 3;
    refused_here("average_after");
    rig_close(&rig);
}
END_TEST

static void never_taken(struct state_trial *t, const void *data, size_t size)
{
    struct error err = {0};
    ck_assert_int_lt(trainer_state_decode("x", data, size, &t->state, &err), 0);
    ck_assert(err.text[0] && rig_is_fresh(t));
}

static void write_file(const char *data, size_t size)
{
    ck_assert_int_eq(text_write_file(path, data, size, NULL), 0);
}

/* Cut off anywhere, or with any bit turned: refused, never taken. */
START_TEST(damage_is_found)
{
    struct state_trial t;
    char *text;
    size_t size;
    rig_open(&rig, _i, temp.path);
    save_some_steps();
    rig_begin(&rig, &t);
    ck_assert_int_eq(text_read_file(path, 1 << 20, &text, &size, NULL), 0);
    for (size_t cut = 0; cut < size; cut += cut < 100 ? 1 : 37)
        never_taken(&t, text, cut);
    for (size_t at = 0; at < size; at += at < 100 ? 1 : 11) {
        text[at] ^= (char)(1 << at % 8);
        never_taken(&t, text, size);
        text[at] ^= (char)(1 << at % 8);
    }
    text[8] = 9;
    write_file(text, size);
    refused(&t, "is of version 9, this program reads 2");
    text[8] = STATE_FILE_VERSION;
    write_file(text, size - 1);
    refused(&t, "is cut off");
    write_file("no state at all, but longer than a header", 41);
    refused(&t, "holds no state of a training");
    ck_assert_int_eq(truncate(path, 1 << 30), 0);
    refused(&t, "is larger than");
    free(text);
    rig_end(&t);
    rig_close(&rig);
}
END_TEST

/* A field of a text's position, changed while the training stands between two steps: what
 * contradicts the rest is refused although the checksum is right. */
START_TEST(places_that_a_text_does_not_pass)
{
    struct state_trial t, fresh;
    rig_open(&rig, RIG_TEXT, temp.path);
    rig_begin(&rig, &fresh);
    for (int field = 0; field < 10; field++) {
        rig_begin(&rig, &t);
        rig_train(&t, 3 * (6 + 3) + 4);
        struct language_position *p = &t.language.position;
        ck_assert_int_eq(p->epoch, 3);
        p->window += field == 0 ? 7 : field == 1;
        p->updates += field == 2;
        p->averaged += field == 3 ? 4 : field == 4 ? 1000 : 0;
        p->tokens += field == 5;
        p->loss = field == 6 ? NAN : p->loss;
        p->seconds = field == 7 ? -1 : p->seconds;
        p->epoch += field == 8;
        if (field == 9)
            t.language.losses[0] = INFINITY;
        save(&t);
        refused(&fresh, "stands at a place that this training does not pass");
        rig_end(&t);
    }
    rig_end(&fresh);
    rig_close(&rig);
}
END_TEST

/* What a reader does that fails when it has begun to copy. */
START_TEST(a_restarted_training_has_not_begun)
{
    struct state_trial t, fresh;
    rig_open(&rig, _i, temp.path);
    rig_begin(&rig, &fresh);
    rig_begin(&rig, &t);
    rig_train(&t, 66);
    t.state.kind->restart(t.state.training);
    ck_assert(rig_is_fresh(&t));
    ck_assert(rig_train(&t, FOREVER) && rig_train(&fresh, FOREVER));
    same_bits(&fresh, &t);
    rig_end(&t);
    rig_end(&fresh);
    rig_close(&rig);
}
END_TEST

#ifndef __SANITIZE_ADDRESS__ /* whose own memory counts */
/* Bytes of private writable memory that this process has. */
static size_t data_memory(void)
{
    char line[256];
    size_t kilobytes = 0;
    FILE *file = fopen("/proc/self/status", "r");
    ck_assert_ptr_nonnull(file);
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmData: %zu kB", &kilobytes) == 1)
            break;
    fclose(file);
    ck_assert_uint_gt(kilobytes, 0);
    return kilobytes << 10;
}

/* A megabyte is all that is left, as resources.memory_per_trial has it: a state of five
 * is written and read. */
START_TEST(a_training_may_have_used_its_memory)
{
    struct state_trial t, next;
    struct rlimit before, tight;
    struct stat about;
    rig_open(&rig, RIG_TEXT, temp.path);
    rig.config.trainer.builtin.hidden = 450;
    rig_begin(&rig, &t);
    rig_begin(&rig, &next);
    rig_train(&t, 4);
    ck_assert_int_eq(getrlimit(RLIMIT_DATA, &before), 0);
    tight = (struct rlimit){data_memory() + (1 << 20), before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_DATA, &tight), 0);
    void *volatile large = malloc(4 << 20);
    ck_assert_ptr_null(large);
    save(&t);
    go_on(&next);
    ck_assert_int_eq(setrlimit(RLIMIT_DATA, &before), 0);
    ck_assert_int_eq(stat(path, &about), 0);
    ck_assert_int_gt(about.st_size, 4 << 20);
    ck_assert(rig_train(&t, 20) == rig_train(&next, 20));
    same_bits(&t, &next);
    rig_end(&t);
    rig_end(&next);
    rig_close(&rig);
}
END_TEST
#endif

int main(void)
{
    const TTest *const both[] = {bad_arguments,
                                 many_random_stops_give_the_same_bits,
                                 seconds_are_kept,
                                 a_restarted_training_has_not_begun,
                                 states_of_other_trainings_are_refused,
                                 damage_is_found,
                                 NULL};
    Suite *suite = suite_create("trainer_state");
    TCase *tc = tcase_create("trainer_state");
    temp_folder_init(&temp);
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, NULL);
    for (int i = 0; both[i]; i++)
        tcase_add_loop_test(tc, both[i], 0, RIG_KINDS);
    tcase_add_test(tc, images_stopped_anywhere_give_the_same_bits);
    tcase_add_test(tc, a_text_stopped_anywhere_gives_the_same_bits);
    tcase_add_test(tc, what_decides_about_one_kind_only);
    tcase_add_test(tc, places_that_a_text_does_not_pass);
#ifndef __SANITIZE_ADDRESS__
    tcase_add_test(tc, a_training_may_have_used_its_memory);
#endif
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    temp_folder_fini(&temp);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
