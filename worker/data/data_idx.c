/* SPDX-License-Identifier: Apache-2.0 */
/* IDX, the format of MNIST and its successors: big-endian, a magic number (0, 0, 8 for
 * bytes, rank), the dimensions, the bytes. Images have rank 3 (N, H, W) or 4 (N, H, W,
 * C); files may be compressed with gzip. The number of classes is the largest training
 * label plus one, so the training labels are read when the files are looked at. */
#include "worker/data/data_format.h"

#include <stdlib.h>
#include <string.h>

#include <stdio.h>

static const char *const images_names[SETS] = {"train-images", "t10k-images"};
static const char *const labels_names[SETS] = {"train-labels", "t10k-labels"};
static const char *const images_ends[] = {
    "-idx3-ubyte", "-idx3-ubyte.gz", ".idx3-ubyte", ".idx3-ubyte.gz",
    "-idx4-ubyte", "-idx4-ubyte.gz", NULL};
static const char *const labels_ends[] = {"-idx1-ubyte", "-idx1-ubyte.gz", ".idx1-ubyte",
                                          ".idx1-ubyte.gz", NULL};

enum { DEFLATE_RATIO = 1100 }; /* no zlib stream shrinks its content further */

struct idx {
    int rank;
    int64_t dims[4];
    int64_t header, bytes; /* of the header, of the whole file once decompressed */
};

/* Name of the file that is there; where none is, the usual one, for the error. */
static bool find_name(const char *folder, const char *begin, const char *const *ends,
                      char *ret, size_t size)
{
    for (const char *const *end = ends; *end; end++) {
        snprintf(ret, size, "%s%s", begin, *end);
        if (data_file_exists(folder, ret))
            return true;
    }
    snprintf(ret, size, "%s%s", begin, *ends);
    return false;
}

static bool idx_present(const char *folder)
{
    char name[64];
    return find_name(folder, images_names[SET_TRAIN], images_ends, name, sizeof name);
}

static int64_t big_endian(const uint8_t *p)
{
    return (int64_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

/* Read the header; `most` is the largest rank allowed, `least` the smallest. */
static int read_header(struct data_reader *r, int least, int most, struct idx *ret,
                       struct error *err)
{
    uint8_t b[16];
    const char *path = r->file->path;
    int status = data_reader_read(r, b, 4, err);
    if (status)
        return status;
    if (b[0] || b[1] || b[2] != 8 || b[3] < least || b[3] > most)
        return error_set(err, ERROR_INPUT,
                         "'%s' begins with 0x%02x%02x%02x%02x, expected 0x0000080%d%s",
                         path, b[0], b[1], b[2], b[3], least,
                         most > least ? " or 0x00000804" : "");
    *ret = (struct idx){.rank = b[3], .header = 4 + 4 * b[3]};
    status = data_reader_read(r, b, 4 * (size_t)ret->rank, err);
    if (status)
        return status;
    for (int i = 0; i < ret->rank; i++)
        ret->dims[i] = big_endian(b + 4 * i);
    if (ret->dims[0] < 1 || ret->dims[0] > DATA_MAX_IMAGES)
        return error_set(err, ERROR_INPUT,
                         "'%s' says that it holds %lld %s, allowed are 1 "
                         "to %d",
                         path, (long long)ret->dims[0], most > 1 ? "images" : "labels",
                         DATA_MAX_IMAGES);
    if (most > 1) {
        int64_t channels = ret->rank == 4 ? ret->dims[3] : 1;
        status = data_check_shape(path, ret->dims[1], ret->dims[2], channels, err);
        if (status)
            return status;
    }
    ret->bytes = 1;
    for (int i = 0; i < ret->rank; i++)
        ret->bytes *= ret->dims[i];
    ret->bytes += ret->header;
    return 0;
}

static bool is_compressed(const struct data_file *file)
{
    size_t n = strlen(file->path);
    return n > 3 && strcmp(file->path + n - 3, ".gz") == 0;
}

/* The last four bytes of a gzip file are its size before compression, modulo 2^32. A file
 * of several members says less, so a difference alone proves nothing. */
static bool trailer_agrees(const struct data_file *file, int64_t bytes)
{
    uint8_t b[4] = {0};
    FILE *f = fopen(file->path, "rbe");
    bool read = f && fseek(f, -4, SEEK_END) == 0 && fread(b, 1, 4, f) == 4;
    if (f)
        fclose(f);
    uint32_t said = (uint32_t)b[0] | (uint32_t)b[1] << 8 | (uint32_t)b[2] << 16 |
                    (uint32_t)b[3] << 24;
    return read && said == (uint32_t)bytes;
}

/* Read on to the expected end. */
static int check_by_reading(struct data_reader *r, int64_t bytes, struct error *err)
{
    uint8_t block[1 << 15];
    while ((int64_t)r->done < bytes) {
        int64_t left = bytes - (int64_t)r->done;
        size_t n = left < (int64_t)sizeof block ? (size_t)left : sizeof block;
        int status = data_reader_read(r, block, n, err);
        if (status)
            return error_set(
                err, ERROR_INPUT,
                "'%s' is cut short or damaged after %llu bytes, expected %lld",
                r->file->path, (unsigned long long)r->done, (long long)bytes);
    }
    return data_reader_end(r, err);
}

static int check_size(struct data_reader *r, const struct idx *idx, struct error *err)
{
    if (is_compressed(r->file)) {
        if (idx->bytes / DEFLATE_RATIO > r->file->size)
            return error_set(
                err, ERROR_INPUT,
                "'%s' says that it holds %lld bytes, more than %lld bytes can "
                "be the compressed form of",
                r->file->path, (long long)idx->bytes, (long long)r->file->size);
        if (trailer_agrees(r->file, idx->bytes))
            return 0;
        return check_by_reading(r, idx->bytes, err);
    }
    if (r->file->size == idx->bytes)
        return 0;
    return error_set(err, ERROR_INPUT,
                     "'%s' holds %lld bytes, expected %lld for %lld entries",
                     r->file->path, (long long)r->file->size, (long long)idx->bytes,
                     (long long)idx->dims[0]);
}

static int inspect_file(const struct data_file *file, int least, int most,
                        struct idx *ret, struct error *err)
{
    struct data_reader r = {0};
    int status = data_reader_open(&r, file, err);
    if (!status)
        status = read_header(&r, least, most, ret, err);
    if (!status)
        status = check_size(&r, ret, err);
    data_reader_close(&r);
    return status;
}

static int inspect_set(const char *folder, enum data_set set, struct data_source *s,
                       struct idx *ret_images, struct error *err)
{
    char name[64];
    struct idx labels;
    struct data_file *files = &s->files[2 * set];
    find_name(folder, images_names[set], images_ends, name, sizeof name);
    int status = data_file_find(folder, name, &files[0], err);
    if (!status)
        status = inspect_file(&files[0], 3, 4, ret_images, err);
    find_name(folder, labels_names[set], labels_ends, name, sizeof name);
    if (!status)
        status = data_file_find(folder, name, &files[1], err);
    if (!status)
        status = inspect_file(&files[1], 1, 1, &labels, err);
    if (!status && labels.dims[0] != ret_images->dims[0])
        return error_set(err, ERROR_INPUT, "'%s' holds %lld labels, but '%s' %lld images",
                         files[1].path, (long long)labels.dims[0], files[0].path,
                         (long long)ret_images->dims[0]);
    if (!status) {
        s->images[set] = (int)ret_images->dims[0];
        s->file_count += 2;
    }
    return status;
}

/* The bytes after the header. */
static int read_content(const struct data_file *file, int least, int most, size_t size,
                        uint8_t *ret, struct error *err)
{
    struct data_reader r = {0};
    struct idx idx;
    int status = data_reader_open(&r, file, err);
    if (!status)
        status = read_header(&r, least, most, &idx, err);
    if (!status && (size_t)(idx.bytes - idx.header) != size)
        status =
            error_set(err, ERROR_INPUT, "'%s' changed while it was read", file->path);
    if (!status)
        status = data_reader_read(&r, ret, size, err);
    if (!status)
        status = data_reader_end(&r, err);
    data_reader_close(&r);
    return status;
}

static int find_classes(struct data_source *s, struct error *err)
{
    size_t count = (size_t)s->images[SET_TRAIN];
    uint8_t *labels = malloc(count), most = 0;
    if (!labels)
        return error_set(err, ERROR_SYSTEM, "'%s': out of memory", s->files[1].path);
    int status = read_content(&s->files[1], 1, 1, count, labels, err);
    for (size_t i = 0; !status && i < count; i++)
        if (labels[i] > most)
            most = labels[i];
    free(labels);
    s->classes = most + 1;
    return status;
}

static bool same_shape(const struct idx *a, const struct idx *b)
{
    return a->rank == b->rank &&
           memcmp(a->dims + 1, b->dims + 1, sizeof a->dims - 8) == 0;
}

static int idx_inspect(const struct config *config, struct data_source *ret,
                       struct error *err)
{
    const char *folder = config->task.data.path;
    char name[64];
    struct idx train, test;
    int status = inspect_set(folder, SET_TRAIN, ret, &train, err);
    if (status)
        return status;
    ret->height = (int)train.dims[1];
    ret->width = (int)train.dims[2];
    ret->channels = train.rank == 4 ? (int)train.dims[3] : 1;
    if (find_name(folder, images_names[SET_TEST], images_ends, name, sizeof name) ||
        find_name(folder, labels_names[SET_TEST], labels_ends, name, sizeof name)) {
        status = inspect_set(folder, SET_TEST, ret, &test, err);
        if (!status && !same_shape(&train, &test))
            status =
                error_set(err, ERROR_INPUT, "'%s' holds images of another size than '%s'",
                          ret->files[2].path, ret->files[0].path);
    }
    return status ? status : find_classes(ret, err);
}

static int idx_load(const struct config *config, const struct data_source *s,
                    enum data_set set, uint8_t *images, uint8_t *labels,
                    struct error *err)
{
    const struct data_file *files = &s->files[2 * set];
    size_t count = (size_t)s->images[set];
    int status = read_content(&files[0], 3, 4, count * data_values(s), images, err);
    if (!status)
        status = read_content(&files[1], 1, 1, count, labels, err);
    for (size_t i = 0; !status && i < count; i++)
        if (labels[i] >= s->classes)
            return error_set(err, ERROR_INPUT,
                             "'%s': label %zu is %d, the training labels allow 0 to %d",
                             files[1].path, i, labels[i], s->classes - 1);
    return status;
}

const struct data_format data_idx = {
    .name = "idx",
    .looked_for = "train-images-idx3-ubyte[.gz]",
    .present = idx_present,
    .inspect = idx_inspect,
    .load = idx_load,
};
