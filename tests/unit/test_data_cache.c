/* SPDX-License-Identifier: Apache-2.0 */
#include "data_files.h"
#include "unit.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static struct temp_folder temp;
static char folder[700], cache[700];
static struct config config;

static void setup(void)
{
    char name[32];
    snprintf(name, sizeof name, "case%d", (int)getpid());
    snprintf(folder, sizeof folder, "%s", data_files_folder(&temp, name));
    snprintf(name, sizeof name, "cache%d", (int)getpid());
    snprintf(cache, sizeof cache, "%s", data_files_folder(&temp, name));
    data_files_config(&config, DATA_IDX, folder);
    data_files_idx_set(folder, 0, "");
    data_files_idx_set(folder, 1, "");
}

static void open_close(void)
{
    struct dataset *d = NULL;
    struct error err = {0};
    ck_assert_msg(data_open(&config, cache, &d, &err) == 0, "%s", err.text);
    data_close(d);
}

/* Path of the one prepared file; also its inode, which changes when it is made anew. */
static ino_t prepared(char *ret_path, size_t size)
{
    DIR *dir = opendir(cache);
    struct dirent *entry;
    struct stat st = {0};
    while ((entry = readdir(dir)))
        if (strstr(entry->d_name, ".bin"))
            snprintf(ret_path, size, "%s/%s", cache, entry->d_name);
    closedir(dir);
    ck_assert_int_eq(stat(ret_path, &st), 0);
    return st.st_ino;
}

static void unusable(const char *where, const char *says)
{
    struct dataset *d = NULL;
    struct error err = {0};
    ck_assert_int_eq(data_open(&config, where, &d, &err), ERROR_SYSTEM);
    ck_assert_ptr_null(d);
    ck_assert_msg(strstr(err.text, says) && strstr(err.text, "run.cache"), "says: %s",
                  err.text);
}

START_TEST(unusable_folders_are_named)
{
    char path[1024];
    snprintf(path, sizeof path, "%.700s/a/b", cache);
    unusable(path, "/a/b' (run.cache): No such file");
    snprintf(path, sizeof path, "%.700s/train-labels-idx1-ubyte", folder);
    unusable(path, "Not a directory");
    unusable("/proc/self", "/proc/self/archway-data-");
}
END_TEST

START_TEST(a_full_folder_is_named_and_left_clean)
{
    const struct rlimit limit = {5000, 5000}; /* stands for a full disk */
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    unusable(cache, "cannot reserve");
    ck_assert_int_eq(data_files_count(cache, ".bin"), 0);
    ck_assert_int_eq(data_files_count(cache, ".tmp"), 0);
}
END_TEST

START_TEST(a_whole_file_is_used_again)
{
    char path[1024];
    open_close();
    ino_t made = prepared(path, sizeof path);
    open_close();
    ck_assert_uint_eq(prepared(path, sizeof path), made);
    ck_assert_int_eq(data_files_count(cache, ".bin"), 1);
    ck_assert_int_eq(data_files_count(cache, ".tmp"), 0);
}
END_TEST

/* Whatever the file depends on has a file of its own. */
START_TEST(what_matters_is_in_the_name)
{
    open_close();
    config.seed++;
    open_close();
    ck_assert_int_eq(data_files_count(cache, ".bin"), 2);
    config.task.train = 40;
    open_close();
    ck_assert_int_eq(data_files_count(cache, ".bin"), 3);
    config.task.validation = 5;
    open_close();
    ck_assert_int_eq(data_files_count(cache, ".bin"), 4);
    config.task.data.whiten = WHITEN_CHANNEL;
    open_close();
    ck_assert_int_eq(data_files_count(cache, ".bin"), 5);
    config.trainer.builtin.batch = 77; /* does not matter */
    config.trainer.builtin.kernels = KERNELS_GENERIC; /* only to ZCA */
    open_close();
    ck_assert_int_eq(data_files_count(cache, ".bin"), 5);
    usleep(20000);
    data_files_idx_set(folder, 0, ""); /* another time of change */
    open_close();
    ck_assert_int_eq(data_files_count(cache, ".bin"), 6);
    config.task.data.whiten = WHITEN_ZCA;
    open_close();
    ck_assert_int_eq(data_files_count(cache, ".bin"), 7);
    config.trainer.builtin.kernels = KERNELS_AUTO;
    open_close();
    ck_assert_int_eq(data_files_count(cache, ".bin"), 8);
}
END_TEST

START_TEST(damaged_files_are_made_anew)
{
    char path[1024];
    struct stat st;
    open_close();
    ino_t made = prepared(path, sizeof path);
    for (off_t at = 0; at < 304; at += 8) { /* header and checksum */
        char byte;
        int fd = open(path, O_RDWR);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
        ck_assert_int_eq(fstat(fd, &st), 0);
        open_close();
        ck_assert_uint_ne(prepared(path, sizeof path), made);
        made = prepared(path, sizeof path);
        close(fd); /* only now may its inode be used again */
    }
    ck_assert_int_eq(truncate(path, st.st_size - 1), 0);
    open_close();
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_size % 4096, 0);
    ck_assert_int_eq(truncate(path, 0), 0);
    open_close();
    ck_assert_int_eq(data_files_count(cache, ".bin"), 1);
}
END_TEST

START_TEST(left_overs_of_a_killed_process_do_no_harm)
{
    char path[1024], left[1100];
    open_close();
    prepared(path, sizeof path);
    ck_assert_int_eq(unlink(path), 0);
    snprintf(left, sizeof left, "%.*s.tmp", (int)strlen(path) - 4, path);
    FILE *f = fopen(left, "w");
    ck_assert_ptr_nonnull(f);
    fputs("half", f);
    fclose(f);
    open_close();
    ck_assert_int_eq(data_files_count(cache, ".tmp"), 0);
    ck_assert_int_eq(data_files_count(cache, ".bin"), 1);
}
END_TEST

/* Four processes at once: all see the same content, and the file is made once, as the
 * first finished process's inode stays. */
START_TEST(four_processes_make_it_once)
{
    char path[1024];
    pid_t children[4];
    int pipes[2];
    config.task.data.format = DATA_GENERATED; /* takes a while */
    config.task.data.classes = 10;
    config.task.data.height = config.task.data.width = 28;
    config.task.data.channels = 1;
    config.task.data.images = 3000;
    ck_assert_int_eq(pipe(pipes), 0);
    for (int i = 0; i < 4; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            struct dataset *d = NULL;
            int status = data_open(&config, cache, &d, NULL);
            ino_t made = status ? 0 : prepared(path, sizeof path);
            bool told = write(pipes[1], &made, sizeof made) == sizeof made;
            data_close(d);
            _exit(status || !told);
        }
        ck_assert_int_gt(children[i], 0);
    }
    ino_t first = 0;
    for (int i = 0; i < 4; i++) {
        int status;
        ino_t made;
        ck_assert_int_eq(read(pipes[0], &made, sizeof made), sizeof made);
        first = i == 0 ? made : first;
        ck_assert_uint_ne(made, 0);
        ck_assert_uint_eq(made, first);
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    ck_assert_int_eq(data_files_count(cache, ".bin"), 1);
    ck_assert_int_eq(data_files_count(cache, ".tmp"), 0);
    close(pipes[0]);
    close(pipes[1]);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        unusable_folders_are_named,  a_full_folder_is_named_and_left_clean,
        a_whole_file_is_used_again,  what_matters_is_in_the_name,
        damaged_files_are_made_anew, left_overs_of_a_killed_process_do_no_harm,
        four_processes_make_it_once, NULL};
    return temp_folder_main("data_cache", tests, &temp, setup);
}
