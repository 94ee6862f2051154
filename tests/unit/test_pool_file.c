/* SPDX-License-Identifier: Apache-2.0 */
/* States of shared weights on disk: damaged, of other runs, old ones, and whole ones. */
#include "worker/pool_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pool_rig.h"
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
    struct pool_settings settings;
    struct pool pool, other;
    struct temp_folder folder;
};

static void rig_init(struct rig *r)
{
    r->corpus = text_corpus();
    r->settings = pool_rig_settings(2);
    pool_rig_init(&r->pool, &r->settings, &r->corpus);
    pool_rig_init(&r->other, &r->settings, &r->corpus);
    temp_folder_init(&r->folder);
    warnings = 0;
}

static void rig_fini(struct rig *r)
{
    pool_fini(&r->pool);
    pool_fini(&r->other);
    temp_folder_fini(&r->folder);
}

static const char *folder_of(struct rig *r)
{
    return temp_folder_file(&r->folder, "pool");
}

static void write_state(struct rig *r)
{
    struct error err = {0};
    ck_assert_msg(pool_file_write(folder_of(r), &r->pool, &err) == 0, "%s", err.text);
}

START_TEST(what_is_not_there_is_not_read)
{
    struct rig r;
    rig_init(&r);
    ck_assert_int_eq(pool_file_read("/no/such/folder", 0, 10, &r.other, warn), 0);
    ck_assert_int_eq(pool_file_read(folder_of(&r), 0, 10, &r.other, warn), 0);
    ck_assert_int_eq(warnings, 0);
    rig_fini(&r);
}
END_TEST

START_TEST(what_cannot_be_written_is_said)
{
    struct rig r;
    struct error err = {0};
    rig_init(&r);
    ck_assert_int_eq(pool_file_write("/proc/no/pool", &r.pool, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "'/proc/no/pool': cannot make the folder"));
    ck_assert_int_eq(pool_file_write("/proc", &r.pool, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot write the shared weights"));
    rig_fini(&r);
}
END_TEST

START_TEST(a_state_comes_back_and_training_goes_on)
{
    struct rig r;
    rig_init(&r);
    pool_rig_train(&r.pool, 20, 1);
    write_state(&r);
    pool_rig_train(&r.other, 3, 1); /* in the middle of a step */
    ck_assert_int_eq(pool_file_read(folder_of(&r), 0, 12, &r.other, warn), 1);
    ck_assert(pool_rig_equal(&r.pool, &r.other));
    pool_rig_train(&r.pool, 14, 1);
    pool_rig_train(&r.other, 14, 1);
    ck_assert(pool_rig_equal(&r.pool, &r.other));
    ck_assert_int_eq(warnings, 0);
    rig_fini(&r);
}
END_TEST

static bool exists(struct rig *r, const char *name)
{
    return access(temp_folder_file(&r->folder, name), F_OK) == 0;
}

START_TEST(the_newest_that_fits_is_taken_and_old_ones_go)
{
    struct rig r;
    rig_init(&r);
    for (int i = 0; i < 4; i++) { /* after 5, 10, 15 and 20 steps */
        pool_rig_train(&r.pool, 10, 1);
        write_state(&r);
    }
    ck_assert(!exists(&r, "pool/step-000000000005.h5"));
    ck_assert(exists(&r, "pool/step-000000000010.h5"));
    ck_assert(exists(&r, "pool/step-000000000015.h5"));
    ck_assert_int_eq(pool_file_read(folder_of(&r), 0, 19, &r.other, warn), 1);
    ck_assert_uint_eq(r.other.step, 15);
    ck_assert_int_eq(pool_file_read(folder_of(&r), 16, 19, &r.other, warn), 0);
    ck_assert_uint_eq(r.other.step, 15);
    ck_assert_int_eq(pool_file_read(folder_of(&r), 0, 100, &r.other, warn), 1);
    ck_assert(pool_rig_equal(&r.pool, &r.other));
    rig_fini(&r);
}
END_TEST

START_TEST(states_of_other_runs_are_refused)
{
    struct rig r;
    struct pool_settings larger;
    struct pool stranger;
    rig_init(&r);
    pool_rig_train(&r.pool, 10, 1);
    write_state(&r);
    larger = r.settings;
    larger.language.hidden = 9;
    pool_rig_init(&stranger, &larger, &r.corpus);
    ck_assert_int_eq(pool_file_read(folder_of(&r), 0, 5, &stranger, warn), 0);
    ck_assert_ptr_nonnull(strstr(warned, "its hidden is 8, that of the run is 9"));
    pool_fini(&stranger);
    ck_assert_int_eq(pool_init(&stranger, &r.settings, &r.corpus, 4, NULL), 0);
    ck_assert_int_eq(pool_file_read(folder_of(&r), 0, 5, &stranger, warn), 0);
    ck_assert_ptr_nonnull(strstr(warned, "its seed is 3, that of the run is 4"));
    pool_fini(&stranger);
    char renamed[600];
    snprintf(renamed, sizeof renamed, "%s/step-000000000004.h5", folder_of(&r));
    ck_assert_int_eq(
        rename(temp_folder_file(&r.folder, "pool/step-000000000005.h5"), renamed), 0);
    ck_assert_int_eq(pool_file_read(folder_of(&r), 0, 5, &r.other, warn), 0);
    ck_assert_ptr_nonnull(strstr(warned, "not of the step that its name says"));
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
    rig_init(&r);
    pool_rig_train(&r.pool, 10, 1);
    write_state(&r);
    struct pool older;
    pool_rig_init(&older, &r.settings, &r.corpus);
    pool_rig_train(&older, 10, 1);
    pool_rig_train(&r.pool, 10, 1);
    write_state(&r);
    char path[600];
    snprintf(path, sizeof path, "%s/step-000000000010.h5", folder_of(&r));
    ck_assert_int_eq(stat(path, &st), 0);
    int noticed = 0, tried = 0;
    struct rng rng;
    rng_init(&rng, 1, RNG_TEST, 0);
    for (int i = 0; i < 300; i++, tried++) {
        off_t at = i < 100 ? i * 8 : (off_t)rng_below(&rng, (uint32_t)st.st_size);
        flip(path, at);
        int found = pool_file_read(folder_of(&r), 0, 10, &r.other, warn);
        ck_assert_msg(found == 1, "byte %lld", (long long)at);
        ck_assert_msg(pool_rig_equal(&r.other, &older), "byte %lld", (long long)at);
        noticed += r.other.step == 5;
        flip(path, at);
    }
    ck_assert_int_eq(noticed, tried);
    ck_assert_int_eq(truncate(path, st.st_size / 2), 0);
    ck_assert_int_eq(pool_file_read(folder_of(&r), 6, 10, &r.other, warn), 0);
    pool_fini(&older);
    rig_fini(&r);
}
END_TEST

UNIT_MAIN("pool_file", what_is_not_there_is_not_read, what_cannot_be_written_is_said,
          a_state_comes_back_and_training_goes_on,
          the_newest_that_fits_is_taken_and_old_ones_go, states_of_other_runs_are_refused,
          damage_is_noticed)
