/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/state_file.h"
#include "temp_folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "common/text.h"

enum { FLOATS = 50000, LIMIT = 1 << 20 };

static struct temp_folder temp;
static float values[FLOATS];
static char path[512];

static void setup(void)
{
    snprintf(path, sizeof path, "%s", temp_folder_file(&temp, "state"));
    for (int i = 0; i < FLOATS; i++)
        values[i] = (float)sin(i);
}

static void write_it(uint64_t first)
{
    struct state_writer w;
    struct error err = {0};
    ck_assert_msg(state_writer_open(&w, path, &err) == 0, "%s", err.text);
    bytes_put_u64(&w.small, first);
    state_writer_put_floats(&w, values, FLOATS);
    bytes_put_f64(&w.small, -2.5);
    bytes_put_u32(&w.small, 7);
    state_writer_put_floats(&w, NULL, 0);
    ck_assert_msg(state_writer_close(&w, &err) == 0, "%s", err.text);
}

static void open_it(struct state_reader *r)
{
    struct error err = {0};
    ck_assert_msg(state_reader_open(r, path, LIMIT, &err) == 1, "%s", err.text);
    ck_assert_msg(state_reader_check(r, path, &err) == 0, "%s", err.text);
}

static void cannot_open(const char *file, uint64_t limit, int status, const char *part)
{
    struct state_reader r;
    struct error err = {0};
    ck_assert_int_eq(state_reader_open(&r, file, limit, &err), status);
    ck_assert_msg(strstr(err.text, part) && strstr(err.text, file), "%s", err.text);
}

START_TEST(bad_arguments)
{
    struct state_writer w;
    struct state_reader r;
    struct error err = {0};
    char longer[PATH_MAX + 8];
    memset(longer, 'x', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    ck_assert_int_eq(state_writer_open(&w, "/nowhere/x", &err), ERROR_SYSTEM);
    ck_assert_msg(strstr(err.text, "'/nowhere/x'"), "%s", err.text);
    ck_assert_int_eq(state_writer_open(&w, longer, &err), ERROR_SYSTEM);
    ck_assert_int_eq(state_reader_open(&r, "/nowhere/x", LIMIT, &err), 0);
    cannot_open(temp.path, LIMIT, ERROR_SYSTEM, "is no file");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    cannot_open(path, LIMIT, ERROR_SYSTEM, "is no file");
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(symlink(path, path), 0);
    cannot_open(path, LIMIT, ERROR_SYSTEM, "symbolic links");
    ck_assert_int_eq(unlink(path), 0);
    write_it(1);
    cannot_open(path, 1000, ERROR_INPUT, "is larger than 1000 bytes");
}
END_TEST

static void read_it(struct state_reader *r, uint64_t first)
{
    static float found[FLOATS];
    memset(found, 0, sizeof found);
    ck_assert_uint_eq(state_reader_u64(r), first);
    state_reader_get_floats(r, FLOATS, found);
    ck_assert_mem_eq(found, values, sizeof found);
    ck_assert(state_reader_f64(r) == -2.5);
    ck_assert_uint_eq(state_reader_u32(r), 7);
    state_reader_get_floats(r, 0, NULL);
    ck_assert(!r->failed && state_reader_left(r) == 0);
}

/* From the file and from memory, twice; nothing is left beside it. */
START_TEST(what_was_written_is_read)
{
    struct state_reader r;
    struct error err = {0};
    char *text;
    size_t size, entries = 0;
    write_it(5);
    write_it(6); /* takes its place */
    open_it(&r);
    uint64_t start = state_reader_place(&r);
    ck_assert_uint_eq(start, STATE_FILE_HEADER);
    read_it(&r, 6);
    state_reader_go(&r, start);
    read_it(&r, 6);
    state_reader_close(&r);
    state_reader_close(&r);
    ck_assert_int_eq(text_read_file(path, LIMIT, &text, &size, &err), 0);
    state_reader_init(&r, text, size);
    ck_assert_int_eq(state_reader_check(&r, "x", &err), 0);
    read_it(&r, 6);
    free(text);
    DIR *folder = opendir(temp.path);
    for (const struct dirent *e; (e = readdir(folder));)
        entries += e->d_name[0] != '.';
    closedir(folder);
    ck_assert_uint_eq(entries, 1);
}
END_TEST

START_TEST(reading_beyond_yields_zeros)
{
    struct state_reader r;
    float some[4] = {1, 1, 1, 1};
    write_it(5);
    for (int how = 0; how < 5; how++) {
        open_it(&r);
        if (how == 0)
            state_reader_skip(&r, LIMIT);
        else if (how == 1)
            state_reader_go(&r, LIMIT);
        else if (how == 2)
            state_reader_get_floats(&r, 4, some); /* 5 there */
        else if (how == 3)
            state_reader_get_floats(&r, 5, NULL), state_reader_get_floats(&r, 4, some);
        else
            state_reader_skip(&r, state_reader_left(&r) - 3), state_reader_u32(&r);
        ck_assert_msg(r.failed, "%d", how);
        ck_assert(state_reader_u64(&r) == 0 && state_reader_f64(&r) == 0);
        ck_assert(some[0] == 1);
        state_reader_close(&r);
    }
}
END_TEST

/* The file becomes shorter between two passes. */
START_TEST(a_file_that_shrinks_fails)
{
    struct state_reader r;
    static float found[FLOATS];
    write_it(5);
    open_it(&r);
    ck_assert_int_eq(truncate(path, 1000), 0);
    ck_assert_uint_eq(state_reader_u64(&r), 5);
    state_reader_get_floats(&r, FLOATS, found);
    ck_assert(r.failed);
    state_reader_close(&r);
}
END_TEST

/* A disk that is full: the file of before stays. */
START_TEST(what_cannot_be_written_leaves_the_old_one)
{
    struct state_writer w;
    struct state_reader r;
    struct error err = {0};
    write_it(5);
    ck_assert_int_eq(state_writer_open(&w, path, &err), 0);
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
    ck_assert_int_ge(full, 0);
    ck_assert_int_eq(dup2(full, w.fd), w.fd);
    close(full);
    state_writer_put_floats(&w, values, FLOATS);
    ck_assert_int_eq(state_writer_close(&w, &err), ERROR_SYSTEM);
    ck_assert_msg(strstr(err.text, "No space left") && strstr(err.text, path), "%s",
                  err.text);
    ck_assert_int_ne(access(w.temporary, F_OK), 0);
    open_it(&r);
    read_it(&r, 5);
    state_reader_close(&r);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {bad_arguments,
                                  what_was_written_is_read,
                                  reading_beyond_yields_zeros,
                                  a_file_that_shrinks_fails,
                                  what_cannot_be_written_leaves_the_old_one,
                                  NULL};
    return temp_folder_main("state_file", tests, &temp, setup);
}
