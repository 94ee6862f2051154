/* SPDX-License-Identifier: Apache-2.0 */
#include "master/run_folder.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "common/text.h"
#include "temp_folder.h"
#include "unit.h"

static struct temp_folder folder;
static char dir[512];

static void setup(void)
{
    temp_folder_fini(&folder);
    ck_assert_int_eq(mkdir(folder.path, 0777), 0);
    snprintf(dir, sizeof dir, "%s/run", folder.path);
}

static void touch(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fclose(f);
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static struct run_folder *create(void)
{
    struct run_folder *f = NULL;
    struct error err = {0};
    ck_assert_msg(run_folder_create(dir, &f, &err) == 0, "%s", err.text);
    return f;
}

static void make_run(void)
{
    run_folder_close(create());
    touch("config.yaml");
    touch("journal");
}

static void assert_fails(int (*call)(const char *, struct run_folder **, struct error *),
                         const char *name, int status, const char *text)
{
    struct run_folder *f = NULL;
    struct error err = {0};
    ck_assert_int_eq(call(name, &f, &err), status);
    ck_assert_msg(strstr(err.text, text), "'%s' lacks '%s'", err.text, text);
    ck_assert_ptr_null(f);
}

START_TEST(names_that_cannot_be_leave_nothing_behind)
{
    char path[1024], text[300];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_fails(run_folder_create, "", ERROR_INPUT, "empty");
    snprintf(path, sizeof path, "%s/a//b/%s/c", folder.path, text);
    assert_fails(run_folder_create, path, ERROR_SYSTEM, "name too long");
    ck_assert(!exists(temp_folder_file(&folder, "a")));
    ck_assert(exists(folder.path));
    ck_assert_int_eq(mkdir(dir, 0777), 0);
    touch("file");
    snprintf(path, sizeof path, "%s/file", dir);
    assert_fails(run_folder_create, path, ERROR_INPUT, "is not a folder");
    snprintf(path, sizeof path, "%s/file/x", dir);
    assert_fails(run_folder_create, path, ERROR_SYSTEM, "Not a directory");
    run_folder_close(NULL);
    run_folder_discard(NULL);
    ck_assert_ptr_null(run_folder_file(dir, (enum run_folder_file)99));
}
END_TEST

START_TEST(what_is_no_run_is_not_opened)
{
    assert_fails(run_folder_open, dir, ERROR_INPUT, "does not exist");
    ck_assert_int_eq(mkdir(dir, 0777), 0);
    assert_fails(run_folder_open, dir, ERROR_INPUT, "no config.yaml");
    touch("config.yaml");
    assert_fails(run_folder_open, dir, ERROR_INPUT, "no journal");
    char path[1024];
    snprintf(path, sizeof path, "%s/config.yaml", dir);
    assert_fails(run_folder_open, path, ERROR_INPUT, "not a folder");
    snprintf(path, sizeof path, "%s/lock", dir);
    ck_assert(!exists(path));
}
END_TEST

START_TEST(an_existing_folder_is_refused_untouched)
{
    char path[1024], resume[1024];
    ck_assert_int_eq(mkdir(dir, 0777), 0);
    touch("thesis.tex");
    assert_fails(run_folder_create, dir, ERROR_INPUT, "'thesis.tex'");
    snprintf(path, sizeof path, "%s/lock", dir);
    ck_assert(!exists(path));
    touch("config.yaml");
    touch("journal");
    snprintf(resume, sizeof resume, "`archway resume %s`", dir);
    assert_fails(run_folder_create, dir, ERROR_INPUT, resume);
    ck_assert(!exists(path));
}
END_TEST

START_TEST(a_new_folder_is_made_with_its_parents)
{
    struct run_folder *f = NULL;
    char path[1024];
    snprintf(path, sizeof path, "%s/p/q/run/", folder.path);
    ck_assert_int_eq(run_folder_create(path, &f, NULL), 0);
    ck_assert_str_eq(run_folder_path(f), path);
    ck_assert(exists(temp_folder_file(&folder, "p/q/run/lock")));
    run_folder_discard(f);
    ck_assert(!exists(temp_folder_file(&folder, "p")));
    ck_assert(exists(folder.path));
    /* With something in it, discarding takes the lock alone. */
    f = create();
    touch("log.jsonl");
    run_folder_discard(f);
    snprintf(path, sizeof path, "%s/log.jsonl", dir);
    ck_assert(exists(path));
    snprintf(path, sizeof path, "%s/lock", dir);
    ck_assert(!exists(path));
}
END_TEST

static void write_config(const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/config.yaml", dir);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

/* Of a master killed before its journal was there; a user's own files are none. */
START_TEST(what_a_killed_beginning_left_will_do)
{
    char path[1024];
    ck_assert_int_eq(mkdir(dir, 0777), 0);
    touch("config.yaml.tmp.123");
    assert_fails(run_folder_create, dir, ERROR_INPUT, "config.yaml.tmp.123");
    touch("lock");
    write_config("name: mine\n");
    assert_fails(run_folder_create, dir, ERROR_INPUT, "'config.yaml'");
    write_config("# The effective configuration of this run, written by archway 0.1.0.\n");
    touch("journal.tmp");
    run_folder_close(create());
    snprintf(path, sizeof path, "%s/config.yaml.tmp.123", dir);
    ck_assert(!exists(path));
    snprintf(path, sizeof path, "%s/journal.tmp", dir);
    ck_assert(!exists(path));
}
END_TEST

START_TEST(an_empty_folder_and_a_stale_lock_will_do)
{
    ck_assert_int_eq(mkdir(dir, 0777), 0);
    run_folder_close(create());
    run_folder_close(create());
    struct run_folder *f = create();
    run_folder_discard(f); /* did not make the folder: leaves it */
    ck_assert(exists(dir));
}
END_TEST

START_TEST(a_live_master_keeps_others_out)
{
    char holder[256], pid[64];
    struct run_folder *f = NULL;
    make_run();
    ck_assert_int_eq(run_folder_is_live(dir, holder, sizeof holder), 0);
    ck_assert_int_eq(run_folder_open(dir, &f, NULL), 0);
    snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
    ck_assert_int_eq(run_folder_is_live(dir, holder, sizeof holder), 1);
    ck_assert_ptr_nonnull(strstr(holder, pid));
    ck_assert_ptr_null(strstr(holder, "since"));
    assert_fails(run_folder_open, dir, ERROR_INPUT, pid);
    assert_fails(run_folder_open, dir, ERROR_INPUT, "archway status");
    ck_assert_int_eq(run_folder_is_live(dir, holder, sizeof holder), 1);
    ck_assert_int_eq(run_folder_check(dir, NULL), 0);
    run_folder_close(f);
    ck_assert_int_eq(run_folder_is_live(dir, holder, sizeof holder), 0);
    ck_assert_int_eq(run_folder_is_live("/no/such/run", holder, sizeof holder), 0);
    ck_assert_int_eq(run_folder_open(dir, &f, NULL), 0);
    run_folder_close(f);
}
END_TEST

START_TEST(of_two_creators_one_gets_the_folder)
{
    struct run_folder *f = create();
    assert_fails(run_folder_create, dir, ERROR_INPUT, "live master");
    run_folder_close(f);
}
END_TEST

START_TEST(the_lock_of_a_killed_master_is_free)
{
    int fds[2], status;
    char byte, holder[256], pid_text[64];
    struct run_folder *f = NULL;
    make_run();
    ck_assert_int_eq(pipe(fds), 0);
    pid_t pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (run_folder_open(dir, &f, NULL) != 0 || write(fds[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(fds[0], &byte, 1), 1);
    snprintf(pid_text, sizeof pid_text, "pid %ld", (long)pid);
    ck_assert_int_eq(run_folder_is_live(dir, holder, sizeof holder), 1);
    ck_assert_ptr_nonnull(strstr(holder, pid_text));
    assert_fails(run_folder_open, dir, ERROR_INPUT, pid_text);
    ck_assert_int_eq(kill(pid, SIGKILL), 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(run_folder_is_live(dir, holder, sizeof holder), 0);
    ck_assert_int_eq(run_folder_open(dir, &f, NULL), 0);
    run_folder_close(f);
    close(fds[0]);
    close(fds[1]);
}
END_TEST

START_TEST(exit_json_says_how_it_ended)
{
    struct error err;
    ck_assert_int_eq(run_folder_write_exit(dir, 0, "", 1, 1, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "exit.json"));
    run_folder_close(create());
    ck_assert_int_eq(run_folder_clear_exit(dir, NULL), 0);
    ck_assert_int_eq(
        run_folder_write_exit(dir, 75, "stopped \"early\" \xff", 0, 1ULL << 40, &err), 0);
    char *path = run_folder_file(dir, RUN_EXIT);
    json_t *json = json_load_file(path, 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "status")), 75);
    ck_assert_str_eq(json_string_value(json_object_get(json, "reason")),
                     "stopped \"early\" ?");
    ck_assert(json_is_false(json_object_get(json, "finished")));
    ck_assert_int_eq(json_integer_value(json_object_get(json, "trials")), 1LL << 40);
    ck_assert_uint_eq(strlen(json_string_value(json_object_get(json, "time"))), 20);
    ck_assert_ptr_nonnull(json_string_value(json_object_get(json, "version")));
    json_decref(json);
    ck_assert_int_eq(run_folder_clear_exit(dir, NULL), 0);
    ck_assert(!exists(path));
    free(path);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {names_that_cannot_be_leave_nothing_behind,
                                  what_is_no_run_is_not_opened,
                                  an_existing_folder_is_refused_untouched,
                                  a_new_folder_is_made_with_its_parents,
                                  what_a_killed_beginning_left_will_do,
                                  an_empty_folder_and_a_stale_lock_will_do,
                                  a_live_master_keeps_others_out,
                                  of_two_creators_one_gets_the_folder,
                                  the_lock_of_a_killed_master_is_free,
                                  exit_json_says_how_it_ended,
                                  NULL};
    return temp_folder_main("run_folder", tests, &folder, setup);
}
