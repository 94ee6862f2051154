/* SPDX-License-Identifier: Apache-2.0 */
#include "master/journal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <zlib.h>

#include "common/rng.h"
#include "temp_folder.h"
#include "unit.h"

static struct temp_folder folder;

static const char *path(void)
{
    return temp_folder_file(&folder, "journal");
}

static void setup(void)
{
    unlink(path());
}

static uint64_t append(struct journal *j, uint32_t type, const char *text)
{
    struct bytes b;
    uint64_t end = 0;
    bytes_init(&b);
    bytes_put(&b, text, strlen(text));
    ck_assert_int_eq(journal_append(j, type, &b, &end, NULL), 0);
    ck_assert_uint_eq(end, journal_end(j));
    bytes_fini(&b);
    return end;
}

static struct journal *create(void)
{
    struct journal *j = NULL;
    struct error err;
    int status = journal_create(path(), &j, &err);
    ck_assert_msg(status == 0, "%s", err.text);
    return j;
}

static uint64_t file_size(void)
{
    struct stat st;
    ck_assert_int_eq(stat(path(), &st), 0);
    return (uint64_t)st.st_size;
}

static void poke(uint64_t offset, const void *data, size_t size)
{
    int fd = open(path(), O_WRONLY);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(pwrite(fd, data, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

/* Read all; returns how many records were valid. */
static uint64_t read_all(uint64_t offset, uint64_t *ret_end, bool *ret_torn)
{
    struct journal_reader *r = NULL;
    struct journal_record record;
    uint64_t count = 0, end = offset;
    ck_assert_int_eq(journal_reader_open(path(), offset, &r, NULL), 0);
    int found;
    while ((found = journal_read(r, &record, NULL)) > 0) {
        if (end)
            ck_assert_uint_eq(record.offset, end);
        end = record.end;
        count++;
    }
    ck_assert_int_eq(found, 0);
    ck_assert_uint_eq(record.end, journal_reader_end(r));
    if (ret_end)
        *ret_end = journal_reader_end(r);
    if (ret_torn)
        *ret_torn = journal_reader_torn(r);
    journal_reader_close(r);
    return count;
}

static void assert_open_fails(int status, const char *text)
{
    struct journal *j = NULL;
    struct journal_reader *r = NULL;
    struct error err = {0};
    ck_assert_int_eq(journal_reader_open(path(), 0, &r, &err), status);
    ck_assert_msg(strstr(err.text, text), "'%s' lacks '%s'", err.text, text);
    ck_assert_int_eq(journal_open(path(), 16, &j, &err), status);
    ck_assert_msg(strstr(err.text, text), "'%s' lacks '%s'", err.text, text);
    ck_assert_ptr_null(j);
    ck_assert_ptr_null(r);
}

START_TEST(bad_files_are_refused)
{
    assert_open_fails(ERROR_SYSTEM, "No such file");
    ck_assert_int_eq(journal_close(create(), NULL), 0);
    poke(14, "\1", 1);
    assert_open_fails(ERROR_CORRUPT, "header is damaged");
    poke(0, "ARCHWAYX", 8);
    assert_open_fails(ERROR_INPUT, "not a journal");
    ck_assert_int_eq(truncate(path(), 7), 0);
    poke(0, "ARCHWAY", 7);
    assert_open_fails(ERROR_CORRUPT, "ends within its header");
    ck_assert_int_eq(truncate(path(), 0), 0);
    assert_open_fails(ERROR_CORRUPT, "ends within its header");
}
END_TEST

START_TEST(a_newer_version_names_both)
{
    uint8_t head[16] = "ARCHWAYJ\7";
    ck_assert_int_eq(journal_close(create(), NULL), 0);
    uLong crc = crc32(0, head, 12);
    for (int i = 0; i < 4; i++)
        head[12 + i] = (uint8_t)(crc >> (8 * i));
    poke(0, head, sizeof head);
    assert_open_fails(ERROR_INPUT, "version 7, this program reads up to 1");
}
END_TEST

START_TEST(a_journal_is_not_overwritten)
{
    struct journal *j = NULL;
    struct error err;
    ck_assert_int_eq(journal_close(create(), NULL), 0);
    ck_assert_int_eq(journal_create(path(), &j, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "File exists"));
    ck_assert_int_eq(journal_create("/no/such/folder/journal", &j, &err), ERROR_SYSTEM);
    ck_assert_int_eq(journal_close(NULL, NULL), 0);
    journal_reader_close(NULL);
}
END_TEST

START_TEST(offsets_outside_are_refused)
{
    struct journal *j = NULL;
    struct journal_reader *r = NULL;
    ck_assert_int_eq(journal_close(create(), NULL), 0);
    uint64_t bad[] = {1, 15, 17, UINT64_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        ck_assert_int_eq(journal_open(path(), bad[i], &j, NULL), ERROR_CORRUPT);
        ck_assert_int_eq(journal_reader_open(path(), bad[i], &r, NULL), ERROR_CORRUPT);
    }
    ck_assert_int_eq(journal_open(path(), 0, &j, NULL), ERROR_CORRUPT);
    ck_assert_uint_eq(file_size(), 16);
}
END_TEST

START_TEST(records_too_large_or_incomplete_are_refused)
{
    struct journal *j = create();
    struct bytes b = {.failed = true};
    ck_assert_int_eq(journal_append(j, 1, &b, NULL, NULL), ERROR_SYSTEM);
    b = (struct bytes){.size = (size_t)JOURNAL_MAX_RECORD + 1};
    ck_assert_int_eq(journal_append(j, 1, &b, NULL, NULL), ERROR_SYSTEM);
    ck_assert_uint_eq(journal_end(j), 16);
    ck_assert_int_eq(journal_close(j, NULL), 0);
}
END_TEST

START_TEST(records_come_back)
{
    struct journal *j = create();
    struct journal_reader *r = NULL;
    struct journal_record record;
    struct bytes large;
    bytes_init(&large);
    for (int i = 0; i < 300000; i++)
        bytes_put_u32(&large, (uint32_t)i);
    uint64_t first = append(j, 1, "alpha");
    append(j, UINT32_MAX, "");
    ck_assert_int_eq(journal_append(j, 3, &large, NULL, NULL), 0);
    append(j, 4, "omega");
    ck_assert_int_eq(journal_close(j, NULL), 0);
    ck_assert_int_eq(journal_reader_open(path(), 0, &r, NULL), 0);
    ck_assert_int_eq(journal_read(r, &record, NULL), 1);
    ck_assert_uint_eq(record.offset, 16);
    ck_assert_uint_eq(record.end, first);
    ck_assert_uint_eq(record.size, 5);
    ck_assert_mem_eq(record.payload, "alpha", 5);
    ck_assert_int_eq(journal_read(r, &record, NULL), 1);
    ck_assert_uint_eq(record.type, UINT32_MAX);
    ck_assert_uint_eq(record.size, 0);
    ck_assert_int_eq(journal_read(r, &record, NULL), 1);
    ck_assert_uint_eq(record.size, large.size);
    ck_assert_mem_eq(record.payload, large.data, large.size);
    ck_assert_int_eq(journal_read(r, &record, NULL), 1);
    ck_assert_mem_eq(record.payload, "omega", 5);
    ck_assert_int_eq(journal_read(r, &record, NULL), 0);
    ck_assert_int_eq(journal_read(r, &record, NULL), 0);
    ck_assert(!journal_reader_torn(r));
    journal_reader_close(r);
    ck_assert_uint_eq(read_all(first, NULL, NULL), 3);
    bytes_fini(&large);
}
END_TEST

START_TEST(appending_goes_on_where_a_journal_ended)
{
    struct journal *j = create();
    append(j, 1, "one");
    uint64_t end = append(j, 2, "two");
    ck_assert_int_eq(journal_close(j, NULL), 0);
    poke(end, "\5\0\0\0torn", 8);
    bool torn;
    uint64_t valid;
    ck_assert_uint_eq(read_all(0, &valid, &torn), 2);
    ck_assert_uint_eq(valid, end);
    ck_assert(torn);
    ck_assert_int_eq(journal_open(path(), valid, &j, NULL), 0);
    ck_assert_uint_eq(file_size(), end);
    ck_assert_uint_eq(journal_end(j), end);
    append(j, 3, "three");
    ck_assert_int_eq(journal_close(j, NULL), 0);
    ck_assert_uint_eq(read_all(0, NULL, &torn), 3);
    ck_assert(!torn);
}
END_TEST

START_TEST(a_commit_is_announced)
{
    struct journal *j = create();
    struct pollfd p = {.fd = journal_event_fd(j), .events = POLLIN};
    uint64_t durable = 0, end = append(j, 1, "one");
    ck_assert_int_eq(journal_durable(j, &durable, NULL), 0);
    ck_assert_uint_eq(durable, 16);
    ck_assert_int_eq(poll(&p, 1, 50), 0); /* nothing is written before a commit */
    ck_assert_uint_eq(file_size(), 16);
    ck_assert_int_eq(journal_commit(j, NULL), 0);
    while (durable < end) {
        ck_assert_int_eq(poll(&p, 1, 10000), 1);
        ck_assert_int_eq(journal_durable(j, &durable, NULL), 0);
    }
    ck_assert_int_eq(poll(&p, 1, 0), 0); /* and the event is reset */
    ck_assert_uint_eq(durable, end);
    ck_assert_uint_eq(read_all(0, NULL, NULL), 1);
    /* A commit asked for while one is under way follows it without another call. */
    for (int i = 0; i < 200; i++) {
        end = append(j, 2, "two");
        ck_assert_int_eq(journal_commit(j, NULL), 0);
    }
    while (durable < end) {
        ck_assert_int_eq(poll(&p, 1, 10000), 1);
        ck_assert_int_eq(journal_durable(j, &durable, NULL), 0);
    }
    ck_assert_int_eq(journal_sync(j, NULL), 0);
    ck_assert_uint_eq(journal_backlog(j), 0);
    end = append(j, 2, "three");
    ck_assert_uint_eq(journal_backlog(j), end - durable);
    ck_assert_int_eq(journal_sync(j, NULL), 0);
    ck_assert_uint_eq(journal_backlog(j), 0);
    ck_assert_int_eq(journal_durable(j, &durable, NULL), 0);
    ck_assert_uint_eq(durable, end);
    ck_assert_int_eq(journal_close(j, NULL), 0);
}
END_TEST

START_TEST(a_full_disk_is_a_lasting_error)
{
    struct error err = {0};
    struct journal *j = create();
    struct bytes b = {0};
    uint64_t durable = 0, safe;
    for (int i = 0; i < 1 << 18; i++) /* Check's own file must stay below the limit */
        bytes_put_u32(&b, (uint32_t)i);
    ck_assert_int_eq(journal_append(j, 1, &b, &safe, NULL), 0);
    ck_assert_int_eq(journal_sync(j, NULL), 0);
    struct rlimit old, small;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){safe + 20, old.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    append(j, 2, "a record that does not fit into what is left");
    struct pollfd p = {.fd = journal_event_fd(j), .events = POLLIN};
    ck_assert_int_eq(journal_durable(j, &durable, NULL), 0);
    ck_assert_int_eq(journal_commit(j, NULL), 0);
    ck_assert_int_eq(poll(&p, 1, 10000), 1); /* a failure is announced as well */
    ck_assert_int_eq(journal_durable(j, &durable, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "File too large"));
    ck_assert_ptr_nonnull(strstr(err.text, path()));
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    ck_assert_int_eq(journal_append(j, 1, &b, NULL, NULL), ERROR_SYSTEM);
    ck_assert_int_eq(journal_commit(j, NULL), ERROR_SYSTEM);
    ck_assert_int_eq(journal_sync(j, NULL), ERROR_SYSTEM);
    ck_assert_int_eq(journal_durable(j, &durable, NULL), ERROR_SYSTEM);
    memset(&err, 0, sizeof err);
    ck_assert_int_eq(journal_close(j, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "File too large"));
    bool torn;
    uint64_t end;
    ck_assert_uint_eq(read_all(0, &end, &torn), 1);
    ck_assert_uint_eq(end, safe);
    ck_assert(torn);
    bytes_fini(&b);
}
END_TEST

START_TEST(hostile_sizes_allocate_nothing)
{
    uint8_t frame[12] = {0};
    ck_assert_int_eq(journal_close(create(), NULL), 0);
    for (int i = 0; i < 4; i++) {
        memset(frame, 0xff, (size_t)i + 1);
        poke(16, frame, sizeof frame);
        bool torn;
        ck_assert_uint_eq(read_all(0, NULL, &torn), 0);
        ck_assert(torn);
    }
    memset(frame, 0, sizeof frame);
    poke(16, frame, sizeof frame); /* zeros are no frame either */
    ck_assert_uint_eq(read_all(0, NULL, NULL), 0);
}
END_TEST

/* Record i has i % 97 payload bytes of value i; checked on reading. */
static void append_numbered(struct journal *j, uint32_t i)
{
    uint8_t payload[97];
    memset(payload, (int)(i & 255), sizeof payload);
    struct bytes b = {.data = payload, .size = i % 97};
    if (journal_append(j, i, &b, NULL, NULL) != 0)
        ck_abort_msg("record %u: not appended", i);
}

static uint64_t read_numbered(const char *file, uint64_t *ret_end)
{
    struct journal_reader *r = NULL;
    struct journal_record record;
    uint64_t count = 0;
    ck_assert_int_eq(journal_reader_open(file, 0, &r, NULL), 0);
    while (journal_read(r, &record, NULL) > 0) {
        bool good = record.type == count && record.size == count % 97;
        for (size_t i = 0; i < record.size; i++)
            good = good && record.payload[i] == (count & 255);
        if (!good)
            ck_abort_msg("record %llu is damaged", (unsigned long long)count);
        count++;
    }
    *ret_end = journal_reader_end(r);
    journal_reader_close(r);
    return count;
}

START_TEST(random_damage_leaves_a_valid_prefix)
{
    enum { RECORDS = 300 };
    uint64_t seed = (uint64_t)time(NULL), ends[RECORDS + 1] = {16}, size;
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 0);
    printf("journal: seed %llu\n", (unsigned long long)seed);
    struct journal *j = create();
    for (uint32_t i = 0; i < RECORDS; i++) {
        append_numbered(j, i);
        ends[i + 1] = journal_end(j);
    }
    ck_assert_int_eq(journal_close(j, NULL), 0);
    size = file_size();
    uint8_t *all = malloc(size);
    int fd = open(path(), O_RDWR);
    ck_assert_int_eq(pread(fd, all, size, 0), (ssize_t)size);
    for (int round = 0; round < 600; round++) {
        uint64_t end, at = 16 + rng_below(&rng, (uint32_t)size - 16);
        uint8_t bit = (uint8_t)(1u << rng_below(&rng, 8)), changed = all[at] ^ bit;
        if (round % 2)
            ck_assert_int_eq(ftruncate(fd, (off_t)at), 0);
        else
            ck_assert_int_eq(pwrite(fd, &changed, 1, (off_t)at), 1);
        uint64_t count = read_numbered(path(), &end);
        ck_assert_uint_eq(end, ends[count]); /* all that lies before the damage */
        ck_assert_uint_le(ends[count], at);
        ck_assert(count == RECORDS || ends[count + 1] > at);
        ck_assert_int_eq(pwrite(fd, all, size, 0), (ssize_t)size);
    }
    close(fd);
    free(all);
}
END_TEST

/* Appends until it is killed, and tells through the pipe how far the disk has it. */
static void child_main(int pipe_fd)
{
    struct journal *j = create();
    uint64_t durable = 0, told = 0;
    for (uint32_t i = 0;; i++) {
        append_numbered(j, i);
        if (journal_commit(j, NULL) != 0 || journal_durable(j, &durable, NULL) != 0)
            _exit(1);
        if (durable != told && write(pipe_fd, &durable, sizeof durable) < 0)
            _exit(1);
        told = durable;
        if (journal_end(j) - durable > 1 << 20 && journal_sync(j, NULL) != 0)
            _exit(1);
    }
}

START_TEST(what_was_durable_survives_a_kill)
{
    uint64_t seed = (uint64_t)time(NULL);
    struct rng rng;
    rng_init(&rng, seed, RNG_TEST, 1);
    printf("journal: kill seed %llu\n", (unsigned long long)seed);
    for (int round = 0; round < 8; round++) {
        int fds[2], status;
        uint64_t durable = 0, last, end;
        ck_assert_int_eq(pipe(fds), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            child_main(fds[1]);
        close(fds[1]);
        do /* the first commit may take as long as the disk pleases */
            ck_assert_int_eq(read(fds[0], &durable, sizeof durable), sizeof durable);
        while (durable <= 16);
        usleep(rng_below(&rng, 60000));
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        while (read(fds[0], &last, sizeof last) == sizeof last)
            durable = last;
        close(fds[0]);
        read_numbered(path(), &end);
        ck_assert_uint_gt(durable, 16);
        ck_assert_uint_ge(end, durable);
        struct journal *j = NULL;
        ck_assert_int_eq(journal_open(path(), end, &j, NULL), 0);
        ck_assert_int_eq(journal_close(j, NULL), 0);
        ck_assert_int_eq(unlink(path()), 0);
    }
}
END_TEST

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* The bound is loose: it finds a caller that waits for the disk (milliseconds a record).
 */
START_TEST(appending_does_not_wait_for_the_disk)
{
    enum { RECORDS = 100000 };
    struct journal *j = create();
    double start = now();
    for (uint32_t i = 0; i < RECORDS; i++) {
        append_numbered(j, i);
        if (i % 10 == 0 && journal_commit(j, NULL) != 0)
            ck_abort_msg("record %u: not committed", i);
    }
    double appended = now() - start;
    ck_assert_int_eq(journal_sync(j, NULL), 0);
    double durable = now() - start;
    printf("journal: %.2f us to append, %.0f durable records/s\n",
           1e6 * appended / RECORDS, RECORDS / durable);
    ck_assert_double_lt(appended / RECORDS, 100e-6);
    ck_assert_int_eq(journal_close(j, NULL), 0);
    ck_assert_uint_eq(read_all(0, NULL, NULL), RECORDS);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {bad_files_are_refused,
                                  a_newer_version_names_both,
                                  a_journal_is_not_overwritten,
                                  offsets_outside_are_refused,
                                  records_too_large_or_incomplete_are_refused,
                                  records_come_back,
                                  appending_goes_on_where_a_journal_ended,
                                  a_commit_is_announced,
                                  a_full_disk_is_a_lasting_error,
                                  hostile_sizes_allocate_nothing,
                                  random_damage_leaves_a_valid_prefix,
                                  what_was_durable_survives_a_kill,
                                  appending_does_not_wait_for_the_disk,
                                  NULL};
    return temp_folder_main("journal", tests, &folder, setup);
}
