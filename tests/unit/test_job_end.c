/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a batch job: wrong words first, then a squeue of our own. */
#include "master/job_end.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "temp_folder.h"

static struct temp_folder folder;
static double left;
static const char *source;

static void clear(void)
{
    unsetenv("SLURM_JOB_END_TIME");
    unsetenv("SLURM_JOB_ID");
    setenv("PATH", folder.path, 1);
    unlink(temp_folder_file(&folder, "squeue"));
    left = -1;
    source = NULL;
}

static void say(const char *text)
{
    const char *path = temp_folder_file(&folder, "squeue");
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fprintf(file, "#!/bin/sh\n[ \"$*\" = '-h -j 17 -o %%L' ] || exit 1\n%s\n", text);
    fclose(file);
    ck_assert_int_eq(chmod(path, 0700), 0);
    setenv("SLURM_JOB_ID", "17", 1);
}

START_TEST(wrong_words)
{
    const char *const words[] = {"",
                                 "\n",
                                 "UNLIMITED",
                                 "NOT_SET",
                                 "INVALID",
                                 "12",
                                 "-1:00",
                                 "1:2:3:4",
                                 "a:b",
                                 "1:",
                                 ":1",
                                 "1:00x",
                                 "1-",
                                 "99999999999999999999"
                                 "99999999999999999999999999999999999999999999999:00"};
    double v = 7;
    for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
        ck_assert_msg(!job_end_parse(words[i], &v), "'%s' gave %g", words[i], v);
    ck_assert_double_eq(v, 7);
}
END_TEST

START_TEST(times_as_squeue_writes_them)
{
    const struct {
        const char *text;
        double seconds;
    } cases[] = {{"0:00", 0},         {"9:32\n", 572},       {"59:59", 3599},
                 {"1:02:03\n", 3723}, {"1-02:03:04", 93784}, {"10-00:00:00 ", 864000}};
    double v;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        ck_assert_msg(job_end_parse(cases[i].text, &v), "'%s'", cases[i].text);
        ck_assert_double_eq(v, cases[i].seconds);
    }
}
END_TEST

START_TEST(nobody_tells)
{
    ck_assert(!job_end_find(1000, &left, &source)); /* no job */
    setenv("SLURM_JOB_ID", "17", 1);
    ck_assert(!job_end_find(1000, &left, &source)); /* no squeue */
    say("echo UNLIMITED");
    ck_assert(!job_end_find(1000, &left, &source));
    say("echo 1:00; exit 1");
    ck_assert(!job_end_find(1000, &left, &source));
    setenv("SLURM_JOB_END_TIME", "soon", 1);
    ck_assert(!job_end_find(1000, &left, &source));
    ck_assert_ptr_null(source);
}
END_TEST

START_TEST(the_environment_or_squeue_tells)
{
    say("echo 2:00");
    ck_assert(job_end_find(1000, &left, &source));
    ck_assert_double_eq(left, 120);
    ck_assert_str_eq(source, "squeue");
    setenv("SLURM_JOB_END_TIME", "1060", 1);
    ck_assert(job_end_find(1000, &left, &source));
    ck_assert_double_eq(left, 60);
    ck_assert_str_eq(source, "SLURM_JOB_END_TIME");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {wrong_words, times_as_squeue_writes_them, nobody_tells,
                                  the_environment_or_squeue_tells, NULL};
    return temp_folder_main("job_end", tests, &folder, clear);
}
