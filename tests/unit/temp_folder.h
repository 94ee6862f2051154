/* SPDX-License-Identifier: Apache-2.0 */
/* A temporary folder for a test, removed with all that is in it. */
#ifndef ARCHWAY_TESTS_TEMP_FOLDER_H
#define ARCHWAY_TESTS_TEMP_FOLDER_H

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct temp_folder {
    char path[128];
    char file[512]; /* of the last temp_folder_file */
};

static inline void temp_folder_init(struct temp_folder *t)
{
    const char *base = getenv("TMPDIR");
    snprintf(t->path, sizeof t->path, "%.80s/archway-test-XXXXXX", base ? base : "/tmp");
    if (!mkdtemp(t->path)) {
        perror(t->path);
        exit(EXIT_FAILURE);
    }
}

/* Borrowed until the next call. */
static inline const char *temp_folder_file(struct temp_folder *t, const char *name)
{
    snprintf(t->file, sizeof t->file, "%s/%s", t->path, name);
    return t->file;
}

static inline int temp_folder_remove_one(const char *path, const struct stat *st,
                                         int type, struct FTW *at)
{
    return remove(path);
}

static inline void temp_folder_fini(struct temp_folder *t)
{
    nftw(t->path, temp_folder_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* As unit_main, with a folder that outlives a test that fails; `setup` runs before each
 * test. Returns main's exit status. */
static inline int temp_folder_main(const char *name, const TTest *const *tests,
                                   struct temp_folder *t, SFun setup)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create(name);
    temp_folder_init(t);
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, NULL);
    for (; *tests; tests++)
        tcase_add_test(tc, *tests);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    temp_folder_fini(t);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
