/* SPDX-License-Identifier: Apache-2.0 */
#include "master/store.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <xxhash.h>

#include "common/text.h"
#include "master/store_file.h"
#include "store_sample.h"
#include "temp_folder.h"
#include "unit.h"

static struct temp_folder folder;

static void setup(void)
{
    temp_folder_fini(&folder);
    ck_assert_int_eq(mkdir(folder.path, 0777), 0);
}

static bool exists(const char *name)
{
    struct stat st;
    return stat(temp_folder_file(&folder, name), &st) == 0;
}

static void write_snapshot(const struct snapshot *s)
{
    struct error err = {0};
    int status = store_write(folder.path, s, &err);
    ck_assert_msg(status == 0, "%s", err.text);
}

static void write_sample(uint64_t seed)
{
    struct snapshot s = sample_snapshot(seed, 20, 3);
    write_snapshot(&s);
    snapshot_fini(&s);
}

static struct snapshot read_snapshot(char **ret_note)
{
    struct snapshot s = {0};
    struct error err = {0};
    int status = store_read(folder.path, &s, ret_note, &err);
    ck_assert_msg(status == 0, "%s", err.text);
    return s;
}

static void assert_read_fails(int status, const char *text)
{
    struct snapshot s = {0};
    struct error err = {0};
    char *note = NULL;
    ck_assert_int_eq(store_read(folder.path, &s, &note, &err), status);
    ck_assert_msg(strstr(err.text, text), "'%s' lacks '%s'", err.text, text);
    ck_assert_ptr_null(note);
    ck_assert_ptr_null(s.ledger);
}

/* Flip a bit of a file. */
static void damage(const char *name, uint64_t at)
{
    uint8_t byte;
    int fd = open(temp_folder_file(&folder, name), O_RDWR);
    ck_assert_int_eq(pread(fd, &byte, 1, (off_t)at), 1);
    byte ^= 4;
    ck_assert_int_eq(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

static bool text_equal(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* Bit for bit, so that NaNs count. */
static bool trial_equal(const struct trial *a, const struct trial *b)
{
    struct trial x = *a, y = *b;
    bool same = architecture_equal(a->architecture, b->architecture) &&
                a->architecture->depth == b->architecture->depth &&
                text_equal(a->reason, b->reason) && a->epoch_count == b->epoch_count &&
                (a->epoch_count == 0 ||
                 memcmp(a->epochs, b->epochs, a->epoch_count * sizeof *a->epochs) == 0);
    x.architecture = y.architecture = NULL;
    x.epochs = y.epochs = NULL;
    x.reason = y.reason = NULL;
    return same && memcmp(&x, &y, offsetof(struct trial, reason)) == 0;
}

static bool array_equal(const struct state_array *a, const struct state_array *b)
{
    size_t size = state_array_count(a) * state_type_size(a->type);
    return strcmp(a->name, b->name) == 0 && a->type == b->type && a->rank == b->rank &&
           memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) == 0 &&
           (size == 0 || memcmp(a->data, b->data, size) == 0);
}

static bool config_equal(const struct config *a, const struct config *b)
{
    char *difference = config_difference(a, b, false);
    bool same = difference && difference[0] == '\0';
    free(difference);
    return same;
}

static bool snapshot_equal(const struct snapshot *a, const struct snapshot *b)
{
    bool same = a->journal_offset == b->journal_offset && a->told == b->told &&
                config_equal(&a->config, &b->config) &&
                ledger_count(a->ledger) == ledger_count(b->ledger) &&
                memcmp(ledger_hours(a->ledger), ledger_hours(b->ledger),
                       sizeof(struct ledger_hours)) == 0 &&
                a->state.count == b->state.count;
    for (uint64_t id = 0; same && id < ledger_count(a->ledger); id++)
        same = trial_equal(ledger_trial(a->ledger, id), ledger_trial(b->ledger, id));
    for (size_t i = 0; same && i < a->state.count; i++)
        same = array_equal(&a->state.arrays[i], &b->state.arrays[i]);
    return same;
}

START_TEST(a_folder_without_snapshots_is_said_to_be_so)
{
    assert_read_fails(ERROR_INPUT, "holds no snapshot");
    snapshot_fini(NULL);
    struct snapshot s = sample_snapshot(1, 3, 2);
    struct error err = {0};
    ck_assert_int_eq(store_write("/no/such/folder", &s, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "/no/such/folder"));
    snapshot_fini(&s);
}
END_TEST

START_TEST(names_of_arrays_that_would_clash_are_refused)
{
    static const char *const bad[] = {
        "trials", "meta/x", "rng", "/x",   "x//y",  "x/",
        "",       "./x",    "a/.", "a\nb", "hours", "controller/weights/x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct snapshot s = sample_snapshot(1, 2, 2);
        struct error err = {0};
        if (state_put_f64(&s.state, bad[i], 1, NULL) == 0) {
            ck_assert_int_eq(store_write(folder.path, &s, &err), ERROR_SYSTEM);
            ck_assert_msg(strstr(err.text, bad[i]), "'%s'", err.text);
        }
        snapshot_fini(&s);
    }
    ck_assert(!exists("snapshot.h5"));
    ck_assert(!exists("snapshot.h5.tmp"));
}
END_TEST

START_TEST(everything_comes_back)
{
    uint64_t seed = (uint64_t)time(NULL);
    printf("store: seed %llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 6; round++) {
        struct snapshot s = sample_snapshot(seed + round, 400, 6);
        write_snapshot(&s);
        struct snapshot back = read_snapshot(NULL);
        ck_assert(snapshot_equal(&s, &back));
        snapshot_fini(&s);
        snapshot_fini(&back);
    }
}
END_TEST

START_TEST(an_empty_run_comes_back)
{
    struct snapshot s = {0};
    config_defaults(&s.config);
    ck_assert_int_eq(ledger_new(&s.ledger, NULL), 0);
    write_snapshot(&s);
    struct snapshot back = read_snapshot(NULL);
    ck_assert(snapshot_equal(&s, &back));
    ck_assert_uint_eq(ledger_count(back.ledger), 0);
    snapshot_fini(&s);
    snapshot_fini(&back);
}
END_TEST

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

START_TEST(many_trials_come_back)
{
    struct stat st;
    struct snapshot s = sample_snapshot(5, 20000, 20);
    double start = now();
    write_snapshot(&s);
    double written = now() - start;
    struct snapshot back = read_snapshot(NULL);
    double read = now() - start - written;
    ck_assert_int_eq(stat(temp_folder_file(&folder, "snapshot.h5"), &st), 0);
    printf("store: 20000 trials, %.1f MB: %.0f ms to write, %.0f ms to read\n",
           (double)st.st_size / 1e6, 1e3 * written, 1e3 * read);
    ck_assert(snapshot_equal(&s, &back));
    snapshot_fini(&s);
    snapshot_fini(&back);
}
END_TEST

START_TEST(the_last_two_are_kept)
{
    for (uint64_t seed = 1; seed <= 3; seed++)
        write_sample(seed);
    struct snapshot s = read_snapshot(NULL);
    ck_assert_uint_eq(s.journal_offset, 3);
    snapshot_fini(&s);
    ck_assert(!exists("snapshot.h5.tmp"));
    ck_assert(!exists("snapshot.h5.old"));
    char *note = NULL;
    damage("snapshot.h5", 5000);
    s = read_snapshot(&note);
    ck_assert_uint_eq(s.journal_offset, 2);
    ck_assert_ptr_nonnull(strstr(note, "snapshot.h5' is damaged"));
    snapshot_fini(&s);
    free(note);
    ck_assert_int_eq(unlink(temp_folder_file(&folder, "snapshot.h5")), 0);
    s = read_snapshot(&note);
    ck_assert_uint_eq(s.journal_offset, 2);
    snapshot_fini(&s);
    free(note);
    damage("snapshot.prev.h5", 5000);
    assert_read_fails(ERROR_CORRUPT, "snapshot.prev.h5' is damaged");
    write_sample(4);
    damage("snapshot.h5", 5000);
    assert_read_fails(ERROR_CORRUPT, "the one before");
    ck_assert_int_eq(unlink(temp_folder_file(&folder, "snapshot.prev.h5")), 0);
    assert_read_fails(ERROR_CORRUPT, "no earlier one");
}
END_TEST

START_TEST(a_newer_version_names_both)
{
    uint8_t head[40], *image = NULL;
    size_t size = 0;
    write_sample(1);
    write_sample(2);
    ck_assert_int_eq(text_read_file(temp_folder_file(&folder, "snapshot.h5"), 1 << 30,
                                    (char **)&image, &size, NULL),
                     0);
    image[8] = 9;
    XXH64_hash_t hash = XXH3_64bits(image, sizeof head);
    for (int i = 0; i < 8; i++)
        image[40 + i] = (uint8_t)(hash >> (8 * i));
    ck_assert_int_eq(text_write_file(temp_folder_file(&folder, "snapshot.h5"),
                                     (char *)image, size, NULL),
                     0);
    assert_read_fails(ERROR_INPUT, "version 9, this program reads up to 5");
    free(image);
}
END_TEST

/* Either the file is refused, or what is read equals what was written. */
START_TEST(random_damage_is_never_believed)
{
    uint64_t seed = (uint64_t)time(NULL);
    size_t size = 0;
    char *image = NULL;
    struct rng rng;
    printf("store: damage seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 0);
    struct snapshot s = sample_snapshot(seed, 50, 3);
    write_snapshot(&s);
    char *path = strdup(temp_folder_file(&folder, "snapshot.h5"));
    ck_assert_int_eq(text_read_file(path, 1 << 30, &image, &size, NULL), 0);
    int refused = 0, fd = open(path, O_RDWR);
    for (int round = 0; round < 200; round++) {
        struct snapshot back = {0};
        uint32_t limit = round % 4 == 0 ? 1024 : (uint32_t)size;
        off_t at = rng_below(&rng, limit);
        char byte = (char)(image[at] ^ (char)(1 + rng_below(&rng, 255)));
        if (round % 4 == 1)
            ck_assert_int_eq(ftruncate(fd, at), 0);
        else
            ck_assert_int_eq(pwrite(fd, &byte, 1, at), 1);
        if (store_read(folder.path, &back, NULL, NULL) != 0)
            refused++;
        else
            ck_assert(snapshot_equal(&s, &back));
        snapshot_fini(&back);
        if (round % 4 == 1)
            ck_assert_int_eq(pwrite(fd, image, size, 0), (ssize_t)size);
        else
            ck_assert_int_eq(pwrite(fd, image + at, 1, at), 1);
    }
    ck_assert_int_gt(refused, 150);
    close(fd);
    free(path);
    free(image);
    snapshot_fini(&s);
}
END_TEST

/* A hole of a terabyte behind it costs nobody memory. */
START_TEST(a_file_blown_up_is_refused_before_it_is_read)
{
    struct snapshot back = {0};
    struct error err = {0};
    char path[600];
    write_sample(1);
    snprintf(path, sizeof path, "%s", temp_folder_file(&folder, "snapshot.h5"));
    ck_assert_int_eq(truncate(path, (off_t)1 << 40), 0);
    ck_assert_int_eq(store_read(folder.path, &back, NULL, &err), ERROR_CORRUPT);
    ck_assert_msg(strstr(err.text, "1099511627776 bytes instead of"), "%s", err.text);
    ck_assert_int_eq(truncate(path, 100), 0);
    ck_assert_int_eq(store_read(folder.path, &back, NULL, &err), ERROR_CORRUPT);
    ck_assert_msg(strstr(err.text, "100 bytes"), "%s", err.text);
}
END_TEST

START_TEST(a_full_disk_leaves_the_last_snapshot)
{
    struct rlimit old, small = {1 << 20, 0};
    struct error err = {0};
    write_sample(1);
    struct snapshot s = sample_snapshot(2, 20, 3);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    signal(SIGXFSZ, SIG_IGN);
    small.rlim_max = old.rlim_max;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &small), 0);
    ck_assert_int_eq(store_write(folder.path, &s, &err), ERROR_SYSTEM);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &old), 0);
    ck_assert_msg(strstr(err.text, "File too large"), "%s", err.text);
    ck_assert(!exists("snapshot.h5.tmp"));
    struct snapshot back = read_snapshot(NULL);
    ck_assert_uint_eq(back.journal_offset, 1);
    snapshot_fini(&s);
    snapshot_fini(&back);
}
END_TEST

/* Writes ascending snapshots until it is killed; tells when the first is there. */
static void write_for_ever(uint64_t last, int pipe_fd)
{
    struct snapshot s = sample_snapshot(last, 20, 3);
    for (;;) {
        s.journal_offset++;
        if (store_write(folder.path, &s, NULL) != 0 ||
            (s.journal_offset == last + 1 &&
             write(pipe_fd, &s.journal_offset, sizeof s.journal_offset) < 0))
            _exit(1);
    }
}

START_TEST(a_kill_leaves_a_valid_snapshot)
{
    uint64_t seed = (uint64_t)time(NULL), last = 0;
    struct rng rng;
    printf("store: kill seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 2);
    write_sample(0);
    for (int round = 0; round < 10; round++) {
        int status, fds[2];
        uint64_t first = 0;
        ck_assert_int_eq(pipe(fds), 0);
        pid_t pid = fork();
        ck_assert_int_ge(pid, 0);
        if (pid == 0)
            write_for_ever(last, fds[1]);
        ck_assert_int_eq(read(fds[0], &first, sizeof first), sizeof first);
        ck_assert_uint_eq(first, last + 1);
        usleep(rng_below(&rng, 60000));
        ck_assert_int_eq(kill(pid, SIGKILL), 0);
        ck_assert_int_eq(waitpid(pid, &status, 0), pid);
        ck_assert(WIFSIGNALED(status));
        char *note = NULL;
        struct snapshot s = read_snapshot(&note);
        ck_assert_ptr_null(note);
        ck_assert_uint_ge(s.journal_offset, first);
        last = s.journal_offset;
        snapshot_fini(&s);
        close(fds[0]);
        close(fds[1]);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_folder_without_snapshots_is_said_to_be_so,
                                  names_of_arrays_that_would_clash_are_refused,
                                  everything_comes_back,
                                  an_empty_run_comes_back,
                                  many_trials_come_back,
                                  the_last_two_are_kept,
                                  a_newer_version_names_both,
                                  a_file_blown_up_is_refused_before_it_is_read,
                                  random_damage_is_never_believed,
                                  a_full_disk_leaves_the_last_snapshot,
                                  a_kill_leaves_a_valid_snapshot,
                                  NULL};
    return temp_folder_main("store", tests, &folder, setup);
}
