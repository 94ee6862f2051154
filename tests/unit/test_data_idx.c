/* SPDX-License-Identifier: Apache-2.0 */
#include "data_files.h"
#include "unit.h"

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
}

static void remove_file(const char *name)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(unlink(path), 0);
}

static void inspect_refused(const char *says, const char *also)
{
    struct data_facts facts = {.classes = -7};
    struct error err = {0};
    ck_assert_int_eq(data_inspect(&config, &facts, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, says) && strstr(err.text, also),
                  "expected '%s' and '%s' in: %s", says, also, err.text);
    ck_assert_int_eq(facts.classes, -7);
    data_files_refused(&config, cache, says, also);
}

START_TEST(missing_files_are_named)
{
    inspect_refused("cannot open", "train-images-idx3-ubyte'");
    snprintf(config.task.data.path, sizeof config.task.data.path, "%s/none", folder);
    inspect_refused("/none/train-images", "No such file");
    memset(config.task.data.path, 'x', sizeof config.task.data.path - 1);
    inspect_refused("cannot open", "File name too long");
}
END_TEST

START_TEST(half_a_set_is_refused)
{
    data_files_idx_set(folder, 0, "");
    data_files_idx_set(folder, 1, "");
    remove_file("t10k-images-idx3-ubyte");
    inspect_refused("cannot open", "t10k-images");
    data_files_idx_set(folder, 1, "");
    remove_file("t10k-labels-idx1-ubyte");
    inspect_refused("cannot open", "t10k-labels");
    data_files_idx_set(folder, 1, "");
    remove_file("train-labels-idx1-ubyte");
    inspect_refused("cannot open", "train-labels");
}
END_TEST

START_TEST(wrong_magic_is_refused)
{
    uint32_t n = FILES_TRAIN;
    uint8_t labels[FILES_TRAIN] = {0};
    data_files_idx_set(folder, 0, "");
    data_files_idx(folder, "train-images-idx3-ubyte", 1, &n, labels, n);
    inspect_refused("train-images", "begins with 0x00000801, expected 0x00000803");
    data_files_write(folder, "train-images-idx3-ubyte", "hello world, this is text", 25);
    inspect_refused("train-images", "begins with 0x68656c6c");
    data_files_write(folder, "train-images-idx3-ubyte", "", 0);
    inspect_refused("train-images", "cut short: 0 bytes found, at least 4 expected");
    data_files_write(folder, "train-images-idx3-ubyte", "\0\0\x08\x03\0\0", 6);
    inspect_refused("train-images", "cut short: 6 bytes found, at least 16 expected");
}
END_TEST

START_TEST(absurd_dimensions_are_refused_before_allocating)
{
    static const uint32_t dims[][4] = {{0xffffffff, 28, 28}, {0, 28, 28},
                                       {60, 0, 28},          {60, 28, 0xffffffff},
                                       {60, 4097, 1},        {60, 4096, 4096}};
    uint8_t none[1] = {0};
    data_files_idx_set(folder, 0, "");
    for (size_t i = 0; i < sizeof dims / sizeof *dims; i++) {
        data_files_idx(folder, "train-images-idx3-ubyte", 3, dims[i], none, 0);
        inspect_refused("train-images", "allowed are");
    }
}
END_TEST

START_TEST(wrong_sizes_are_refused)
{
    data_files_idx_set(folder, 0, "");
    data_files_truncate(folder, "train-images-idx3-ubyte", 1);
    inspect_refused("train-images", "holds 1215 bytes, expected 1216 for 60 entries");
    data_files_idx_set(folder, 0, "");
    data_files_truncate(folder, "train-labels-idx1-ubyte", -1);
    inspect_refused("train-labels", "holds 69 bytes, expected 68");
}
END_TEST

START_TEST(different_counts_are_refused)
{
    uint32_t n = FILES_TRAIN - 1;
    uint8_t labels[FILES_TRAIN] = {0};
    data_files_idx_set(folder, 0, "");
    data_files_idx(folder, "train-labels-idx1-ubyte", 1, &n, labels, n);
    inspect_refused("train-labels-idx1-ubyte' holds 59 labels", "60 images");
}
END_TEST

START_TEST(different_image_sizes_are_refused)
{
    uint8_t images[2 * 4 * 4] = {0}, labels[2] = {0};
    uint32_t n = 2;
    data_files_idx_set(folder, 0, "");
    data_files_idx(folder, "t10k-images-idx3-ubyte", 3, (const uint32_t[]){2, 4, 4},
                   images, sizeof images);
    data_files_idx(folder, "t10k-labels-idx1-ubyte", 1, &n, labels, n);
    inspect_refused("t10k-images", "of another size than");
}
END_TEST

START_TEST(a_split_that_does_not_fit_is_refused)
{
    data_files_idx_set(folder, 0, "");
    config.task.train = 50;
    config.task.validation = 11;
    inspect_refused("train-images-idx3-ubyte'",
                    "task.train (50) and task.validation (11)");
}
END_TEST

START_TEST(test_labels_out_of_range_are_refused)
{
    uint32_t n = FILES_TEST;
    uint8_t labels[FILES_TEST] = {0, 1, 2, 0, FILES_CLASSES};
    data_files_idx_set(folder, 0, "");
    data_files_idx_set(folder, 1, "");
    data_files_idx(folder, "t10k-labels-idx1-ubyte", 1, &n, labels, n);
    data_files_refused(&config, cache, "t10k-labels-idx1-ubyte': label 4 is 3",
                       "allow 0 to 2");
}
END_TEST

/* Put bytes in place of a file, whatever its name says about them. */
static void replace(const char *name, const uint8_t *data, size_t size)
{
    char from[1024], to[1024];
    data_files_write(folder, "raw", data, size);
    snprintf(from, sizeof from, "%s/raw", folder);
    snprintf(to, sizeof to, "%s/%s", folder, name);
    ck_assert_int_eq(rename(from, to), 0);
}

START_TEST(damaged_gzip_is_refused)
{
    static const char name[] = "train-images-idx3-ubyte.gz";
    uint8_t rubbish[600] = {0x1f, 0x8b, 8};
    data_files_idx_set(folder, 0, ".gz");
    for (off_t less = 1; less < 600; less = less * 2 + 1) {
        data_files_idx_set(folder, 0, ".gz");
        data_files_truncate(folder, name, less);
        inspect_refused(name, "cut short");
    }
    replace(name, rubbish, sizeof rubbish);
    inspect_refused(name, "cannot be read: ");
}
END_TEST

/* Its header says 2^44 bytes, and so does its end (modulo 2^32). */
START_TEST(more_than_gzip_can_hold_is_refused)
{
    static const char name[] = "train-images-idx3-ubyte.gz";
    const uint32_t dims[] = {1 << 24, 1024, 1024};
    const uint8_t size[4] = {16, 0, 0, 0};
    char path[1024];
    data_files_idx_set(folder, 0, ".gz");
    data_files_idx(folder, name, 3, dims, size, 0);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "r+b");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, -4, SEEK_END), 0);
    ck_assert_uint_eq(fwrite(size, 1, 4, f), 4);
    fclose(f);
    inspect_refused(name, "the compressed form of");
}
END_TEST

/* Flip a bit of each byte of a small compressed file: the checksum finds them all. */
START_TEST(no_flipped_byte_passes)
{
    static const char name[] = "train-labels-idx1-ubyte.gz";
    char path[1024];
    uint8_t data[2048];
    data_files_idx_set(folder, 0, ".gz");
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "rb");
    ck_assert_ptr_nonnull(f);
    size_t size = fread(data, 1, sizeof data, f);
    fclose(f);
    for (size_t i = 10; i < size; i++) { /* the ten bytes before: method, time, system */
        struct dataset *d = NULL;
        struct error err = {0};
        data[i] ^= 0x10;
        replace(name, data, size);
        data[i] ^= 0x10;
        if (i == size - 9) /* the last byte of the stream ends in bits without meaning */
            continue;
        ck_assert_msg(data_open(&config, cache, &d, &err) == ERROR_INPUT,
                      "byte %zu of %zu", i, size);
        ck_assert_ptr_nonnull(strstr(err.text, "train-labels"));
    }
}
END_TEST

static void check_content(void)
{
    struct dataset *d = NULL;
    struct error err = {0};
    int seen[FILES_TRAIN] = {0};
    ck_assert_msg(data_open(&config, cache, &d, &err) == 0, "%s", err.text);
    const struct data_facts *facts = data_facts(d);
    ck_assert_int_eq(facts->classes, FILES_CLASSES);
    ck_assert_int_eq(facts->height, FILES_H);
    ck_assert_int_eq(facts->width, FILES_W);
    ck_assert_int_eq(facts->channels, 1);
    ck_assert_int_eq(facts->train_images, FILES_TRAIN);
    ck_assert_int_eq(facts->test_images, FILES_TEST);
    ck_assert_int_eq(data_count(d, DATA_TRAIN), 50);
    ck_assert_int_eq(data_count(d, DATA_VALIDATION), 10);
    ck_assert_int_eq(data_count(d, DATA_TEST), FILES_TEST);
    for (int part = 0; part < DATA_PARTS; part++)
        for (uint32_t i = 0; i < (uint32_t)data_count(d, (enum data_part)part); i++) {
            float image[FILES_H * FILES_W];
            uint8_t label, bytes[FILES_H * FILES_W];
            int set = part == DATA_TEST, found = -1;
            data_batch(d, (enum data_part)part, &i, 1, NULL, NULL, image, &label);
            for (int v = 0; v < FILES_H * FILES_W; v++)
                bytes[v] = (uint8_t)(image[v] * 255 + 0.5f);
            for (int n = 0; found < 0 && n < (set ? FILES_TEST : FILES_TRAIN); n++) {
                bool same = n % FILES_CLASSES == label;
                for (int v = 0; same && v < FILES_H * FILES_W; v++)
                    same = bytes[v] == data_files_value(set, n, v);
                if (same)
                    found = n;
            }
            ck_assert_int_ge(found, 0);
            if (set)
                ck_assert_int_eq(found, (int)i);
            else
                ck_assert_int_eq(seen[found]++, 0);
        }
    data_close(d);
}

START_TEST(content_comes_through_plain_and_compressed)
{
    struct config found = config;
    struct error err;
    ck_assert_int_eq(data_detect(folder, &found, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "train-images-idx3-ubyte[.gz] (idx), "));
    data_files_idx_set(folder, 0, "");
    data_files_idx_set(folder, 1, "");
    found.task.data.format = -1;
    ck_assert_int_eq(data_detect(folder, &found, &err), 0);
    ck_assert_int_eq(found.task.data.format, DATA_IDX);
    ck_assert_str_eq(found.task.data.path, folder);
    check_content();
    remove_file("train-images-idx3-ubyte");
    remove_file("train-labels-idx1-ubyte");
    remove_file("t10k-images-idx3-ubyte");
    remove_file("t10k-labels-idx1-ubyte");
    data_files_idx_set(folder, 0, ".gz");
    data_files_idx_set(folder, 1, ".gz");
    check_content();
}
END_TEST

START_TEST(no_test_files_are_no_error)
{
    struct data_facts facts;
    data_files_idx_set(folder, 0, "");
    ck_assert_int_eq(data_inspect(&config, &facts, NULL), 0);
    ck_assert_int_eq(facts.test_images, 0);
    ck_assert_int_eq(facts.train, 50);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {missing_files_are_named,
                                  half_a_set_is_refused,
                                  wrong_magic_is_refused,
                                  absurd_dimensions_are_refused_before_allocating,
                                  wrong_sizes_are_refused,
                                  different_counts_are_refused,
                                  different_image_sizes_are_refused,
                                  a_split_that_does_not_fit_is_refused,
                                  test_labels_out_of_range_are_refused,
                                  damaged_gzip_is_refused,
                                  more_than_gzip_can_hold_is_refused,
                                  no_flipped_byte_passes,
                                  content_comes_through_plain_and_compressed,
                                  no_test_files_are_no_error,
                                  NULL};
    return temp_folder_main("data_idx", tests, &temp, setup);
}
