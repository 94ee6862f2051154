/* SPDX-License-Identifier: Apache-2.0 */
/* States of a relaxed cell on disk; what files of steps are in general, test_pool_file.c
 * tells. */
#include "worker/relaxed_pool_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "relaxed_rig.h"
#include "temp_folder.h"

static char warned[1024];
static int warnings;

static void warn(const char *text)
{
    snprintf(warned, sizeof warned, "%s", text);
    warnings++;
}

struct rig {
    struct corpus corpus;
    struct relaxed_pool_settings settings;
    struct relaxed_pool pool, other;
    struct temp_folder folder;
};

static void rig_init(struct rig *r, int order)
{
    r->corpus = text_corpus();
    r->settings = relaxed_rig_settings(order);
    relaxed_rig_init(&r->pool, &r->settings, &r->corpus);
    relaxed_rig_init(&r->other, &r->settings, &r->corpus);
    temp_folder_init(&r->folder);
    warnings = 0;
}

static void rig_fini(struct rig *r)
{
    relaxed_pool_fini(&r->pool);
    relaxed_pool_fini(&r->other);
    temp_folder_fini(&r->folder);
}

static const char *folder_of(struct rig *r)
{
    return temp_folder_file(&r->folder, "pool");
}

static void write_state(struct rig *r)
{
    struct error err = {0};
    ck_assert_msg(relaxed_pool_file_write(folder_of(r), &r->pool, &err) == 0, "%s",
                  err.text);
}

static int read_state(struct rig *r, uint64_t step, struct relaxed_pool *p)
{
    return relaxed_pool_file_read(folder_of(r), 0, step, p, warn);
}

START_TEST(what_is_not_there_is_not_read)
{
    struct rig r;
    struct error err = {0};
    rig_init(&r, 1);
    ck_assert_int_eq(read_state(&r, 10, &r.other), 0);
    ck_assert_int_eq(warnings, 0);
    ck_assert_int_eq(relaxed_pool_file_write("/proc/no/pool", &r.pool, &err),
                     ERROR_SYSTEM);
    rig_fini(&r);
}
END_TEST

static void check_return(int order)
{
    struct rig r;
    double valid;
    rig_init(&r, order);
    relaxed_rig_train(&r.pool, 12, 1);
    r.pool.train_state[0] = NAN; /* a step that is left out: updates are fewer */
    relaxed_pool_step(&r.pool, 1, &valid);
    ck_assert_uint_eq(r.pool.step, 13);
    ck_assert_uint_eq(r.pool.adam.step, 12);
    write_state(&r);
    relaxed_rig_train(&r.other, 3, 1);
    ck_assert_int_eq(read_state(&r, 13, &r.other), 1);
    ck_assert(relaxed_rig_equal(&r.pool, &r.other));
    relaxed_rig_train(&r.pool, 7, 1);
    relaxed_rig_train(&r.other, 7, 1);
    ck_assert(relaxed_rig_equal(&r.pool, &r.other));
    ck_assert_int_eq(warnings, 0);
    rig_fini(&r);
}

START_TEST(a_state_comes_back_and_training_goes_on)
{
    check_return(1);
    check_return(2);
}
END_TEST

/* Every fact that the bits depend on is compared. */
START_TEST(states_of_other_runs_are_refused)
{
    struct rig r;
    struct relaxed_pool stranger;
    rig_init(&r, 1);
    relaxed_rig_train(&r.pool, 5, 1);
    write_state(&r);
    struct relaxed_pool_settings other = r.settings;
    other.order = 2;
    relaxed_rig_init(&stranger, &other, &r.corpus);
    ck_assert_int_eq(read_state(&r, 5, &stranger), 0);
    ck_assert_ptr_nonnull(strstr(warned, "its order is 1, that of the run is 2"));
    relaxed_pool_fini(&stranger);
    ck_assert_int_eq(relaxed_pool_init(&stranger, &r.settings, &r.corpus, 4, NULL), 0);
    ck_assert_int_eq(read_state(&r, 5, &stranger), 0);
    ck_assert_ptr_nonnull(strstr(warned, "its seed is 3, that of the run is 4"));
    relaxed_pool_fini(&stranger);
    struct corpus shorter = r.corpus;
    shorter.parts[CORPUS_VALIDATION].count--;
    relaxed_rig_init(&stranger, &r.settings, &shorter);
    ck_assert_int_eq(read_state(&r, 5, &stranger), 0);
    ck_assert_ptr_nonnull(strstr(warned, "its validation_words is 1500"));
    relaxed_pool_fini(&stranger);
    other = r.settings;
    other.nodes = 2;
    relaxed_rig_init(&stranger, &other, &r.corpus);
    ck_assert_int_eq(read_state(&r, 5, &stranger), 0);
    ck_assert_ptr_nonnull(strstr(warned, "its relaxed_nodes is 3"));
    relaxed_pool_fini(&stranger);
    other = r.settings;
    other.language.hidden = 9;
    relaxed_rig_init(&stranger, &other, &r.corpus);
    ck_assert_int_eq(read_state(&r, 5, &stranger), 0);
    ck_assert_ptr_nonnull(strstr(warned, "its hidden is 8, that of the run is 9"));
    relaxed_pool_fini(&stranger);
    rig_fini(&r);
}
END_TEST

static void flip(const char *path, off_t at)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    uint8_t byte;
    ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
    close(fd);
}

/* Wherever a bit is wrong: the older state is taken. */
START_TEST(damage_is_noticed)
{
    struct rig r;
    struct stat st;
    struct relaxed_pool older;
    char path[600];
    rig_init(&r, 1);
    relaxed_rig_init(&older, &r.settings, &r.corpus);
    relaxed_rig_train(&older, 5, 1);
    relaxed_rig_train(&r.pool, 5, 1);
    write_state(&r);
    relaxed_rig_train(&r.pool, 5, 1);
    write_state(&r);
    snprintf(path, sizeof path, "%s/step-000000000010.h5", folder_of(&r));
    ck_assert_int_eq(stat(path, &st), 0);
    for (int i = 0; i < 100; i++) {
        off_t at = st.st_size * i / 100;
        flip(path, at);
        ck_assert_msg(read_state(&r, 10, &r.other) == 1, "byte %lld", (long long)at);
        ck_assert_msg(relaxed_rig_equal(&r.other, &older), "byte %lld", (long long)at);
        flip(path, at);
    }
    ck_assert_int_eq(warnings, 100);
    rig_fini(&r);
    relaxed_pool_fini(&older);
}
END_TEST

UNIT_MAIN("relaxed_pool_file", what_is_not_there_is_not_read,
          a_state_comes_back_and_training_goes_on, states_of_other_runs_are_refused,
          damage_is_noticed)
