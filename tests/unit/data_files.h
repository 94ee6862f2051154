/* SPDX-License-Identifier: Apache-2.0 */
/* Small data sets that the tests of worker/data write themselves. */
#ifndef ARCHWAY_TESTS_DATA_FILES_H
#define ARCHWAY_TESTS_DATA_FILES_H

#include <dirent.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "temp_folder.h"
#include "worker/data/data.h"

/* A folder below the temporary one, new for each test. Borrowed until the next call. */
static inline const char *data_files_folder(struct temp_folder *t, const char *name)
{
    static char path[700];
    snprintf(path, sizeof path, "%s", temp_folder_file(t, name));
    ck_assert_int_eq(mkdir(path, 0700), 0);
    return path;
}

static inline void data_files_write(const char *folder, const char *name,
                                    const void *data, size_t size)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    size_t n = strlen(path);
    if (n > 3 && strcmp(path + n - 3, ".gz") == 0) {
        gzFile gz = gzopen(path, "wb1");
        ck_assert_ptr_nonnull(gz);
        ck_assert_int_eq(gzwrite(gz, data, (unsigned)size), (int)size);
        ck_assert_int_eq(gzclose(gz), Z_OK);
        return;
    }
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_uint_eq(fwrite(data, 1, size, f), size);
    ck_assert_int_eq(fclose(f), 0);
}

static inline void data_files_truncate(const char *folder, const char *name, off_t less)
{
    char path[1024];
    struct stat st;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(truncate(path, st.st_size - less), 0);
}

/* An IDX file; `content` has `size` bytes, which may differ from what dims say. */
static inline void data_files_idx(const char *folder, const char *name, int rank,
                                  const uint32_t *dims, const uint8_t *content,
                                  size_t size)
{
    uint8_t *data = malloc(20 + size);
    size_t at = 0;
    ck_assert_ptr_nonnull(data);
    for (int i = -1; i < rank; i++) {
        uint32_t v = i < 0 ? 0x800 + (uint32_t)rank : dims[i];
        for (int shift = 24; shift >= 0; shift -= 8)
            data[at++] = (uint8_t)(v >> shift);
    }
    memcpy(data + at, content, size);
    data_files_write(folder, name, data, at + size);
    free(data);
}

enum { FILES_TRAIN = 60, FILES_TEST = 12, FILES_H = 5, FILES_W = 4, FILES_CLASSES = 3 };

/* Value i of image n of a set. */
static inline uint8_t data_files_value(int set, int n, int i)
{
    return (uint8_t)(set * 131 + n * 37 + i * i * 11 + n * i);
}

/* Images and labels (n % classes) of one set; end: "" or ".gz". */
static inline void data_files_idx_set(const char *folder, int set, const char *end)
{
    uint32_t n = set ? FILES_TEST : FILES_TRAIN;
    uint8_t images[FILES_TRAIN * FILES_H * FILES_W], labels[FILES_TRAIN];
    char name[64];
    for (uint32_t k = 0; k < n; k++) {
        labels[k] = (uint8_t)(k % FILES_CLASSES);
        for (int i = 0; i < FILES_H * FILES_W; i++)
            images[k * FILES_H * FILES_W + (uint32_t)i] =
                data_files_value(set, (int)k, i);
    }
    snprintf(name, sizeof name, "%s-images-idx3-ubyte%s", set ? "t10k" : "train", end);
    data_files_idx(folder, name, 3, (const uint32_t[]){n, FILES_H, FILES_W}, images,
                   n * FILES_H * FILES_W);
    snprintf(name, sizeof name, "%s-labels-idx1-ubyte%s", set ? "t10k" : "train", end);
    data_files_idx(folder, name, 1, &n, labels, n);
}

static inline void data_files_config(struct config *c, int format, const char *folder)
{
    *c = (struct config){.seed = 3};
    c->task.data.format = format;
    snprintf(c->task.data.path, sizeof c->task.data.path, "%s", folder);
}

/* Files in a folder whose name contains `part`. */
static inline int data_files_count(const char *folder, const char *part)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int count = 0;
    ck_assert_ptr_nonnull(dir);
    while ((entry = readdir(dir)))
        count += entry->d_name[0] != '.' && strstr(entry->d_name, part);
    closedir(dir);
    return count;
}

/* data_open fails with one sentence that has both words in it, and leaves no file. */
static inline void data_files_refused(const struct config *c, const char *cache,
                                      const char *says, const char *also)
{
    struct dataset *d = NULL;
    struct error err = {0};
    ck_assert_int_eq(data_open(c, cache, &d, &err), ERROR_INPUT);
    ck_assert_ptr_null(d);
    ck_assert_msg(strstr(err.text, says) && strstr(err.text, also),
                  "expected '%s' and '%s' in: %s", says, also, err.text);
    ck_assert_int_eq(data_files_count(cache, ".bin") + data_files_count(cache, ".tmp"),
                     0);
}

#endif
