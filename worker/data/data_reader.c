/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a data set: looking at them, and reading them through zlib, which passes
 * uncompressed files through. Every way in which a file can be wrong is one sentence. */
#include "worker/data/data_format.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

static int join(const char *folder, const char *name, char *ret)
{
    int n = snprintf(ret, DATA_FILE_PATH, "%s/%s", folder, name);
    return n >= 0 && n < DATA_FILE_PATH ? 0 : -1;
}

bool data_file_exists(const char *folder, const char *name)
{
    char path[DATA_FILE_PATH];
    struct stat st;
    return join(folder, name, path) == 0 && stat(path, &st) == 0;
}

int data_file_find(const char *folder, const char *name, struct data_file *ret,
                   struct error *err)
{
    struct stat st;
    if (join(folder, name, ret->path))
        return error_set(err, ERROR_INPUT, "task.data.path is too long: '%.200s...'",
                         folder);
    if (stat(ret->path, &st))
        return error_set(err, ERROR_INPUT, "cannot open '%.800s': %s", ret->path,
                         strerror(errno));
    if (!S_ISREG(st.st_mode))
        return error_set(err, ERROR_INPUT, "'%s' is not a file", ret->path);
    ret->size = st.st_size;
    ret->changed = st.st_mtim;
    return 0;
}

int data_check_shape(const char *path, int64_t height, int64_t width, int64_t channels,
                     struct error *err)
{
    if (height >= 1 && height <= DATA_MAX_SIDE && width >= 1 && width <= DATA_MAX_SIDE &&
        channels >= 1 && channels <= DATA_MAX_CHANNELS &&
        height * width * channels <= DATA_MAX_VALUES)
        return 0;
    return error_set(
        err, ERROR_INPUT,
        "'%s': images of %lld x %lld x %lld; allowed are sides of 1 to %d, 1 "
        "to %d channels and %d values in all",
        path, (long long)height, (long long)width, (long long)channels, DATA_MAX_SIDE,
        DATA_MAX_CHANNELS, DATA_MAX_VALUES);
}

int data_reader_open(struct data_reader *r, const struct data_file *file,
                     struct error *err)
{
    gzFile gz = gzopen(file->path, "rbe");
    if (!gz)
        return error_set(err, ERROR_INPUT, "cannot open '%s': %s", file->path,
                         strerror(errno));
    gzbuffer(gz, 1 << 17);
    *r = (struct data_reader){.gz = gz, .file = file};
    return 0;
}

/* Up to `size` bytes; *ret_got is less only where the file ends. */
static int read_some(struct data_reader *r, char *data, size_t size, size_t *ret_got,
                     struct error *err)
{
    size_t got = 0;
    while (got < size) {
        unsigned chunk = size - got < 1 << 24 ? (unsigned)(size - got) : 1 << 24;
        int n = gzread(r->gz, data + got, chunk);
        int code;
        const char *text = gzerror(r->gz, &code);
        if (n < 0 && code != Z_BUF_ERROR)
            return error_set(err, ERROR_INPUT, "'%s' cannot be read: %s", r->file->path,
                             code == Z_ERRNO ? strerror(errno) : text);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    r->done += got;
    *ret_got = got;
    return 0;
}

int data_reader_read(struct data_reader *r, void *ret, size_t size, struct error *err)
{
    size_t got;
    int status = read_some(r, ret, size, &got, err);
    if (!status && got < size)
        return error_set(err, ERROR_INPUT,
                         "'%s' is cut short: %llu bytes found, at least %llu expected",
                         r->file->path, (unsigned long long)r->done,
                         (unsigned long long)(r->done - got + size));
    return status;
}

int data_reader_end(struct data_reader *r, struct error *err)
{
    char one;
    size_t got;
    int status = read_some(r, &one, 1, &got, err), code;
    if (status)
        return status;
    if (got)
        return error_set(err, ERROR_INPUT, "'%s' goes on after the %llu bytes expected",
                         r->file->path, (unsigned long long)(r->done - 1));
    /* the checksum at the end of a compressed file is read by now */
    gzerror(r->gz, &code);
    if (code != Z_OK)
        return error_set(err, ERROR_INPUT,
                         "'%s' is cut short: its end with the checksum is missing",
                         r->file->path);
    return 0;
}

void data_reader_close(struct data_reader *r)
{
    if (r->gz)
        gzclose(r->gz);
    r->gz = NULL;
}
