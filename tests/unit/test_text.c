/* SPDX-License-Identifier: Apache-2.0 */
#include "common/text.h"
#include "common/error.h"
#include "unit.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/rng.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

START_TEST(numbers_with_anything_else_are_refused)
{
    static const char *const bad[] = {"",      " 1",  "1 ",  "x",   "1x",   "0x10", "--1",
                                      "+-1",   "inf", "nan", "1,5", "1e",   "e5",   "-",
                                      "1e999", ".",   "1-2", "+",   "1.2.3"};
    for (int i = 0; i < COUNT(bad); i++) {
        int64_t s = 77;
        uint64_t u = 77;
        double d = 77;
        ck_assert_msg(!text_parse_int64(bad[i], &s), "int64 took '%s'", bad[i]);
        ck_assert_msg(!text_parse_uint64(bad[i], &u), "uint64 took '%s'", bad[i]);
        ck_assert_msg(!text_parse_double(bad[i], &d), "double took '%s'", bad[i]);
        ck_assert(s == 77 && u == 77 && d == 77);
    }
}
END_TEST

START_TEST(integers_keep_to_their_range)
{
    int64_t s;
    uint64_t u;
    ck_assert(text_parse_int64("-9223372036854775808", &s) && s == INT64_MIN);
    ck_assert(text_parse_int64("9223372036854775807", &s) && s == INT64_MAX);
    ck_assert(!text_parse_int64("9223372036854775808", &s));
    ck_assert(!text_parse_int64("1.0", &s));
    ck_assert(text_parse_uint64("18446744073709551615", &u) && u == UINT64_MAX);
    ck_assert(!text_parse_uint64("18446744073709551616", &u));
    ck_assert(!text_parse_uint64("-1", &u));
}
END_TEST

START_TEST(durations_read_as_written)
{
    static const struct {
        const char *text;
        double seconds;
    } good[] = {{"90", 90},
                {"90s", 90},
                {"5m", 300},
                {"2h", 7200},
                {"1d", 86400},
                {"1.5h", 5400},
                {"0", 0},
                {"0.25s", 0.25},
                {"01:02:03", 3723},
                {"100:00:00", 36e4},
                {"1-02:03:04", 93784}};
    static const char *const bad[] = {
        "",         "h",       "-1s",        "1 h",      "1w",     "1:02",
        "00:60:00", "0:00:60", "1-24:00:00", "a:b:c",    "1:2:3x", "::",
        "1-",       "5mm",     "1:2:3:4",    "-0:00:01", "1e400"};
    for (int i = 0; i < COUNT(good); i++) {
        double v = -1;
        ck_assert_msg(text_parse_duration(good[i].text, &v), "%s", good[i].text);
        ck_assert_double_eq(v, good[i].seconds);
    }
    for (int i = 0; i < COUNT(bad); i++) {
        double v = -1;
        ck_assert_msg(!text_parse_duration(bad[i], &v), "%s", bad[i]);
        ck_assert_double_eq(v, -1);
    }
}
END_TEST

START_TEST(sizes_read_as_written)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {{"1048576", 1048576},
                {"512MiB", 536870912},
                {"2GiB", 2147483648},
                {"1.5KiB", 1536},
                {"0", 0},
                {"12B", 12},
                {"1TiB", 1099511627776LL}};
    static const char *const bad[] = {"",    "2GB",     "2 GiB", "-1GiB",
                                      "GiB", "8192PiB", "2gib",  "99999999999999999999",
                                      "1.5"};
    for (int i = 0; i < COUNT(good); i++) {
        int64_t v = -1;
        ck_assert_msg(text_parse_size(good[i].text, &v), "%s", good[i].text);
        ck_assert_int_eq(v, good[i].bytes);
    }
    for (int i = 0; i < COUNT(bad); i++) {
        int64_t v = -1;
        ck_assert_msg(!text_parse_size(bad[i], &v), "%s", bad[i]);
        ck_assert_int_eq(v, -1);
    }
}
END_TEST

START_TEST(doubles_are_short_and_exact)
{
    static const struct {
        double v;
        const char *text;
    } cases[] = {{0.1, "0.1"},           {12800, "12800"},   {1e-5, "1e-5"},
                 {6e-4, "0.0006"},       {1e20, "1e20"},     {-2.5, "-2.5"},
                 {1.25e-10, "1.25e-10"}, {100000, "100000"}, {0, "0"},
                 {1e300, "1e300"}};
    char text[32];
    struct rng rng;
    for (int i = 0; i < COUNT(cases); i++) {
        text_format_double(cases[i].v, text, sizeof text);
        ck_assert_str_eq(text, cases[i].text);
    }
    rng_init(&rng, 5, RNG_TEST, 0);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rng_u64(&rng);
        double v, back;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        text_format_double(v, text, sizeof text);
        ck_assert_msg(text_parse_double(text, &back), "%s", text);
        ck_assert_msg(memcmp(&v, &back, sizeof v) == 0, "%s is not %.17g", text, v);
    }
    text_format_double((double)NAN, text, sizeof text);
    ck_assert_str_eq(text, "nan");
}
END_TEST

static void check_formats(void (*format)(double, char *, size_t), const double *values,
                          const char *const *texts, int count)
{
    char text[32];
    for (int i = 0; i < count; i++) {
        format(values[i], text, sizeof text);
        ck_assert_str_eq(text, texts[i]);
    }
}

START_TEST(units_for_people)
{
    static const double durations[] = {0,    12.34, 59.97, 185, 3599.6,
                                       3840, 90000, -1,    NAN};
    static const char *const duration_texts[] = {
        "0.0s", "12.3s", "1m 00s", "3m 05s", "1h 00m", "1h 04m", "1d 01h", "?", "?"};
    static const double sizes[] = {0, 512, 2147483648.0, 1536, 1023.9 * 1024, 1048575};
    static const char *const size_texts[] = {"0 B",     "512 B",      "2.0 GiB",
                                             "1.5 KiB", "1023.9 KiB", "1.0 MiB"};
    static const double counts[] = {0, 950, 3.75, 12800, 999960, 3.1e6, 2e9, 1e22};
    static const char *const count_texts[] = {"0",    "950",  "3.8",  "12.8k",
                                              "1.0M", "3.1M", "2.0G", "10000.0E"};
    check_formats(text_format_duration, durations, duration_texts, COUNT(durations));
    check_formats(text_format_size, sizes, size_texts, COUNT(sizes));
    check_formats(text_format_count, counts, count_texts, COUNT(counts));
}
END_TEST

START_TEST(nearest_name)
{
    static const char *const names[] = {"trials", "batch", "strategy", "lr",
                                        "last_epochs"};
    static const struct {
        const char *word;
        int index;
    } cases[] = {{"trails", 0}, {"trial", 0}, {"TRIALS", 0},      {"btach", 1},
                 {"strat", 2},  {"l", 3},     {"last-epochs", 4}, {"xyzzy", -1},
                 {"", -1},      {"q", -1},    {"learning", -1},   {"startegy", 2}};
    char huge[5000];
    for (int i = 0; i < COUNT(cases); i++)
        ck_assert_msg(text_nearest(cases[i].word, names, COUNT(names)) == cases[i].index,
                      "%s", cases[i].word);
    memset(huge, 't', sizeof huge);
    huge[sizeof huge - 1] = '\0';
    ck_assert_int_eq(text_nearest(huge, names, COUNT(names)), -1);
    ck_assert_int_eq(text_nearest("trials", names, 0), -1);
}
END_TEST

START_TEST(text_grows)
{
    struct text t;
    text_init(&t);
    for (int i = 0; i < 1000; i++)
        text_append(&t, "%d,", i);
    ck_assert_uint_eq(t.size, 3890);
    char *data = text_take(&t);
    ck_assert_uint_eq(strlen(data), 3890);
    ck_assert(strncmp(data, "0,1,2,", 6) == 0);
    free(data);
    data = text_take(&t);
    ck_assert_str_eq(data, "");
    free(data);
    t.failed = true;
    text_append(&t, "more");
    ck_assert_ptr_null(text_take(&t));
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
    struct error err;
    char *data = NULL;
    size_t size;
    ck_assert_int_eq(text_read_file("/nonexistent/x", 10, &data, &size, &err),
                     ERROR_SYSTEM);
    ck_assert_str_eq(err.text, "cannot open '/nonexistent/x': No such file or directory");
    ck_assert_int_eq(text_read_file("/", 10, &data, &size, &err), ERROR_SYSTEM);
    ck_assert_str_eq(err.text, "cannot read '/': Is a directory");
    ck_assert_int_eq(text_read_file("/dev/zero", 100000, &data, &size, &err),
                     ERROR_INPUT);
    ck_assert_str_eq(err.text, "'/dev/zero' is larger than 100000 bytes");
    ck_assert_ptr_null(data);
    ck_assert_int_eq(text_write_file("/nonexistent/x", "a", 1, &err), ERROR_SYSTEM);
    ck_assert(strstr(err.text, "cannot write '/nonexistent/x': No such file"));
}
END_TEST

static int count_files(const char *folder)
{
    int count = 0;
    DIR *dir = opendir(folder);
    ck_assert_ptr_nonnull(dir);
    for (struct dirent *e; (e = readdir(dir));)
        count += e->d_name[0] != '.';
    closedir(dir);
    return count;
}

START_TEST(files_come_back_and_leave_nothing_behind)
{
    char folder[] = "/tmp/archway-test-text-XXXXXX", path[128], blocked[128];
    char big[10000], *data;
    size_t size;
    struct error err;
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(blocked, sizeof blocked, "%s/folder", folder);
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)i;
    ck_assert_int_eq(text_write_file(path, "old", 3, &err), 0);
    ck_assert_int_eq(text_write_file(path, big, sizeof big, &err), 0);
    ck_assert_int_eq(text_read_file(path, sizeof big, &data, &size, &err), 0);
    ck_assert_uint_eq(size, sizeof big);
    ck_assert_mem_eq(data, big, sizeof big);
    ck_assert_int_eq(data[size], '\0');
    free(data);
    ck_assert_int_eq(text_read_file(path, sizeof big - 1, &data, &size, &err),
                     ERROR_INPUT);
    ck_assert_int_eq(mkdir(blocked, 0700), 0);
    ck_assert_int_eq(text_write_file(blocked, "x", 1, &err), ERROR_SYSTEM);
    ck_assert_int_eq(count_files(folder), 2);
    rmdir(blocked);
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(bytes_that_are_no_text_are_repaired)
{
    static const struct {
        const char *broken, *repaired;
    } cases[] = {{"", ""},
                 {"plain\n", "plain\n"},
                 {"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
                  "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
                 {"\xff\x80z", "??z"},
                 {"cut \xe2\x82", "cut ??"},
                 {"\xc0\xaf \xed\xa0\x80 \xf5\x80\x80\x80", "?? ??? ????"}};
    char text[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "%s", cases[i].broken);
        text_repair_utf8(text);
        ck_assert_str_eq(text, cases[i].repaired);
    }
}
END_TEST

UNIT_MAIN("text", numbers_with_anything_else_are_refused, integers_keep_to_their_range,
          durations_read_as_written, sizes_read_as_written, doubles_are_short_and_exact,
          units_for_people, nearest_name, text_grows, files_that_cannot_be_read,
          files_come_back_and_leave_nothing_behind,
          bytes_that_are_no_text_are_repaired)
