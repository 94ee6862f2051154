/* SPDX-License-Identifier: Apache-2.0 */
#include "master/journal_repair.h"

#include <string.h>
#include <sys/stat.h>

#include "temp_folder.h"
#include "unit.h"

enum { RECORDS = 20, RECORD = 12 + 8, GAP = 10 };

static struct temp_folder folder;
static char path[600];

/* RECORDS records of 8 bytes; the journal ends at 16 + RECORDS * RECORD. */
static void setup(void)
{
    struct journal *j = NULL;
    struct bytes payload;
    snprintf(path, sizeof path, "%s", temp_folder_file(&folder, "journal"));
    unlink(path);
    ck_assert_int_eq(journal_create(path, &j, NULL), 0);
    bytes_init(&payload);
    bytes_put_u64(&payload, 0x1122334455667788);
    for (int i = 0; i < RECORDS; i++)
        ck_assert_int_eq(journal_append(j, 3, &payload, NULL, NULL), 0);
    bytes_fini(&payload);
    ck_assert_int_eq(journal_close(j, NULL), 0);
}

static void damage(long offset)
{
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, offset, SEEK_SET), 0);
    ck_assert_int_eq(fputc(0x5a, f), 0x5a);
    fclose(f);
}

START_TEST(a_missing_file_is_named)
{
    uint64_t a, b;
    char aside[700];
    struct error err;
    unlink(path);
    ck_assert_int_eq(journal_examine(path, 16, &a, &b, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, path));
    ck_assert_int_eq(journal_set_aside(path, 16, aside, sizeof aside, &err),
                     ERROR_SYSTEM);
    ck_assert_int_eq(journal_fill_start(path, 100, &a, &err), ERROR_SYSTEM);
}
END_TEST

START_TEST(a_path_too_long_is_refused)
{
    char aside[8];
    struct error err;
    ck_assert_int_eq(journal_set_aside(path, 16, aside, sizeof aside, &err),
                     ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "too long"));
}
END_TEST

START_TEST(records_behind_damage_are_counted)
{
    uint64_t bytes = 1, records = 1, end = 16 + RECORDS * RECORD;
    ck_assert_int_eq(journal_examine(path, end, &bytes, &records, NULL), 0);
    ck_assert_uint_eq(bytes + records, 0);
    ck_assert_int_eq(truncate(path, (off_t)end - 3), 0);
    ck_assert_int_eq(journal_examine(path, end - RECORD, &bytes, &records, NULL), 0);
    ck_assert_uint_eq(bytes, RECORD - 3);
    ck_assert_uint_eq(records, 0);
    for (int i = 0; i < RECORDS - 1; i++) {
        setup();
        damage(16 + i * RECORD + 13);
        ck_assert_int_eq(
            journal_examine(path, 16 + (uint64_t)i * RECORD, &bytes, &records, NULL), 0);
        ck_assert_uint_eq(records, (uint64_t)(RECORDS - 1 - i));
    }
}
END_TEST

/* Every byte looks like the start of a frame as long as the rest. */
START_TEST(a_file_made_to_be_slow_is_given_up)
{
    static uint32_t words[1 << 20];
    uint64_t bytes, records;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        words[i] = i % 2 ? 1 : 1 << 20;
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(words, 1, sizeof words, f), sizeof words);
    fclose(f);
    ck_assert_int_eq(journal_examine(path, 0, &bytes, &records, NULL), 0);
    ck_assert_uint_eq(records, 0);
}
END_TEST

START_TEST(what_is_set_aside_is_whole)
{
    char aside[700];
    struct stat st;
    ck_assert_int_eq(journal_set_aside(path, 36, aside, sizeof aside, NULL), 0);
    ck_assert_ptr_nonnull(strstr(aside, "journal.cut-36"));
    ck_assert_int_eq(stat(aside, &st), 0);
    ck_assert_int_eq(st.st_size, (RECORDS - 1) * RECORD);
    ck_assert_int_eq(journal_set_aside(path, 36, aside, sizeof aside, NULL), 0);
    unlink(aside);
}
END_TEST

/* Cut anywhere, fill up to anywhere: afterwards it is whole and has that length. */
static void check_fill(uint64_t cut, uint64_t until)
{
    struct journal *j = NULL;
    struct journal_reader *r = NULL;
    struct journal_record record;
    uint64_t start = 0;
    int more;
    setup();
    ck_assert_int_eq(truncate(path, (off_t)cut), 0);
    ck_assert_int_eq(journal_fill_start(path, until, &start, NULL), 0);
    ck_assert_uint_ge(start, 16);
    ck_assert_int_eq(journal_open(path, start, &j, NULL), 0);
    ck_assert_int_eq(journal_fill(j, GAP, until, NULL), 0);
    ck_assert_int_eq(journal_close(j, NULL), 0);
    ck_assert_int_eq(journal_reader_open(path, 0, &r, NULL), 0);
    while ((more = journal_read(r, &record, NULL)) == 1)
        ck_assert_uint_eq(record.type, record.offset < start ? 3 : GAP);
    ck_assert_int_eq(more, 0);
    ck_assert_uint_eq(journal_reader_end(r), until);
    ck_assert(!journal_reader_torn(r));
    journal_reader_close(r);
}

START_TEST(a_gap_of_any_size_is_filled_to_the_byte)
{
    for (uint64_t cut = 16 + RECORD; cut < 16 + 3 * RECORD; cut++)
        for (uint64_t until = cut + 1; until < cut + 30; until++)
            check_fill(cut, until);
    const uint64_t large[] = {1 << 20, (1 << 20) + 16 + RECORD + 5, 5000001};
    for (int i = 0; i < 3; i++)
        check_fill(16 + RECORD, large[i]);
    for (uint64_t near = (1 << 20) - 30; near < (1 << 20) + 60; near++)
        check_fill(16 + RECORD, 16 + RECORD + near);
}
END_TEST

START_TEST(less_than_a_record_cannot_be_filled)
{
    struct journal *j = NULL;
    struct error err;
    ck_assert_int_eq(journal_open(path, 16, &j, NULL), 0);
    ck_assert_int_eq(journal_fill(j, GAP, 16 + 11, &err), ERROR_CORRUPT);
    ck_assert_int_eq(journal_fill(j, GAP, 16, &err), 0);
    ck_assert_int_eq(journal_close(j, NULL), 0);
}
END_TEST

START_TEST(without_a_header_filling_begins_at_nothing)
{
    uint64_t start = 1;
    damage(9);
    ck_assert_int_eq(journal_fill_start(path, 100, &start, NULL), 0);
    ck_assert_uint_eq(start, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_missing_file_is_named,
                                  a_path_too_long_is_refused,
                                  records_behind_damage_are_counted,
                                  a_file_made_to_be_slow_is_given_up,
                                  what_is_set_aside_is_whole,
                                  a_gap_of_any_size_is_filled_to_the_byte,
                                  less_than_a_record_cannot_be_filled,
                                  without_a_header_filling_begins_at_nothing,
                                  NULL};
    return temp_folder_main("journal_repair", tests, &folder, setup);
}
