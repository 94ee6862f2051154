/* SPDX-License-Identifier: Apache-2.0 */
/* HDF5 writes to the file itself: weights may be large, and are never copied. Handles are
 * closed where they are used: an open one would keep the file open. */
#include "worker/pool_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "worker/file_seal.h"

enum { CHUNK = 1 << 16 /* floats */, PATH = 4352, MOST_FILES = 4096 };

/* --- what a state belongs to -------------------------------------------------------- */

struct fact {
    const char *name;
    uint64_t value;
};
enum { FACTS = 9 };

static void facts_of(const struct pool *p, struct fact ret[FACTS])
{
    const struct language_settings *s = &p->settings.language;
    const struct fact facts[FACTS] = {
        {"version", POOL_FILE_VERSION},
        {"seed", p->language.seed},
        {"vocabulary", (uint64_t)p->language.corpus->vocabulary},
        {"words", p->language.corpus->parts[CORPUS_TRAIN].count},
        {"hidden", (uint64_t)s->hidden},
        {"nodes", (uint64_t)p->settings.nodes},
        {"batch", (uint64_t)s->batch},
        {"samples", (uint64_t)p->settings.samples},
        {"sync", (uint64_t)p->settings.sync},
    };
    memcpy(ret, facts, sizeof facts);
}

static size_t state_count(const struct pool *p)
{
    return (size_t)p->settings.samples * (size_t)p->settings.language.batch *
           (size_t)p->settings.language.hidden;
}

/* --- HDF5 --------------------------------------------------------------------------- */

static int put_number(hid_t file, const char *name, uint64_t value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t at = H5Acreate2(file, name, H5T_STD_U64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    int result = at < 0 ? -1 : H5Awrite(at, H5T_NATIVE_UINT64, &value);
    if (at >= 0)
        H5Aclose(at);
    H5Sclose(space);
    return result;
}

static int get_number(hid_t file, const char *name, uint64_t *ret)
{
    hid_t at = H5Aopen(file, name, H5P_DEFAULT), space = at < 0 ? -1 : H5Aget_space(at);
    bool scalar = space >= 0 && H5Sget_simple_extent_npoints(space) == 1;
    int result = scalar ? H5Aread(at, H5T_NATIVE_UINT64, ret) : -1;
    if (space >= 0)
        H5Sclose(space);
    if (at >= 0)
        H5Aclose(at);
    return result;
}

static int put_floats(hid_t file, const char *name, int rank, const hsize_t *size,
                      const hsize_t *chunk, const float *values)
{
    hid_t space = H5Screate_simple(rank, size, NULL),
          list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t set = -1;
    if (space >= 0 && list >= 0 && H5Pset_chunk(list, rank, chunk) >= 0 &&
        H5Pset_fletcher32(list) >= 0)
        set =
            H5Dcreate2(file, name, H5T_IEEE_F32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    int result =
        set < 0 ? -1
                : H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    if (set >= 0)
        H5Dclose(set);
    H5Pclose(list);
    H5Sclose(space);
    return result;
}

/* Exactly `count` floats. */
static int get_floats(hid_t file, const char *name, size_t count, float *ret)
{
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT),
          space = set < 0 ? -1 : H5Dget_space(set);
    bool fits = space >= 0 && H5Sget_simple_extent_npoints(space) == (hssize_t)count;
    int result =
        fits ? H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, ret) : -1;
    if (space >= 0)
        H5Sclose(space);
    if (set >= 0)
        H5Dclose(set);
    return result;
}

static int put_all(hid_t file, const struct pool *p)
{
    struct fact facts[FACTS];
    const struct language_settings *s = &p->settings.language;
    hsize_t count = recurrent_count(p->language.model),
            chunk = count < CHUNK ? count : CHUNK;
    hsize_t lanes[3] = {(hsize_t)p->settings.samples, (hsize_t)s->batch,
                        (hsize_t)s->hidden};
    hsize_t lane[3] = {1, lanes[1], lanes[2]};
    facts_of(p, facts);
    int result = put_number(file, "step", p->step);
    for (int i = 0; i < FACTS && result >= 0; i++)
        result = put_number(file, facts[i].name, facts[i].value);
    if (result >= 0)
        result =
            put_floats(file, "parameters", 1, &count, &chunk, p->language.parameters);
    return result < 0 ? result : put_floats(file, "states", 3, lanes, lane, p->states);
}

/* --- writing ------------------------------------------------------------------------ */

static int failed(struct error *err, const char *path, const char *what)
{
    return error_set(err, ERROR_SYSTEM, "'%s': cannot %s the shared weights: %s", path,
                     what, errno ? strerror(errno) : "HDF5 reports an error");
}

static int sync_folder(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd < 0 ? -1 : fsync(fd);
    int why = errno;
    if (fd >= 0)
        close(fd);
    errno = why;
    return result;
}

static int write_file(const char *path, const struct pool *p, struct error *err)
{
    hid_t creation = H5Pcreate(H5P_FILE_CREATE), file = -1;
    errno = 0;
    if (creation >= 0 && H5Pset_userblock(creation, FILE_SEAL) >= 0)
        file = H5Fcreate(path, H5F_ACC_TRUNC, creation, H5P_DEFAULT);
    int result = file < 0 ? -1 : put_all(file, p);
    if (file >= 0 && H5Fclose(file) < 0)
        result = -1;
    H5Pclose(creation);
    return result < 0 ? failed(err, path, "write") : file_seal(path, err);
}

static void file_of(const char *folder, uint64_t step, char *ret, size_t size)
{
    snprintf(ret, size, "%s/step-%012" PRIu64 ".h5", folder, step);
}

/* Steps of the states in the folder, ascending; the count. */
static int compare_steps(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static int list_steps(const char *folder, uint64_t *ret, int most)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    int count = 0;
    while (dir && count < most && (entry = readdir(dir))) {
        uint64_t step;
        int end = 0;
        if (sscanf(entry->d_name, "step-%12" SCNu64 ".h5%n", &step, &end) == 1 &&
            end > 0 && entry->d_name[end] == '\0')
            ret[count++] = step;
    }
    if (dir)
        closedir(dir);
    qsort(ret, (size_t)count, sizeof *ret, compare_steps);
    return count;
}

/* Older ones than the newest few before this step. */
static void remove_old(const char *folder, uint64_t step)
{
    uint64_t *steps = malloc(MOST_FILES * sizeof *steps);
    char path[PATH];
    int count = steps ? list_steps(folder, steps, MOST_FILES) : 0;
    while (count > 0 && steps[count - 1] >= step)
        count--;
    for (int i = 0; i + POOL_FILES_KEPT < count; i++) {
        file_of(folder, steps[i], path, sizeof path);
        unlink(path);
    }
    free(steps);
}

int pool_file_write(const char *folder, const struct pool *p, struct error *err)
{
    char path[PATH], temporary[PATH];
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* what is wrong is said here */
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return failed(err, folder, "make the folder of");
    file_of(folder, p->step, path, sizeof path);
    if (access(path, F_OK) == 0)
        return 0;
    snprintf(temporary, sizeof temporary, "%s/.step-%" PRIu64 ".%ld.tmp", folder, p->step,
             (long)getpid());
    int status = write_file(temporary, p, err);
    if (status == 0 && rename(temporary, path) != 0)
        status = failed(err, path, "rename to");
    if (status == 0 && sync_folder(folder) != 0)
        status = failed(err, folder, "sync the folder of");
    if (status != 0) {
        unlink(temporary);
        return status;
    }
    remove_old(folder, p->step);
    return 0;
}

/* --- reading ------------------------------------------------------------------------ */

static int check_facts(hid_t file, const char *path, const struct pool *p, uint64_t step,
                       struct error *err)
{
    struct fact facts[FACTS];
    uint64_t found;
    facts_of(p, facts);
    if (get_number(file, "step", &found) < 0 || found != step)
        return error_set(err, ERROR_CORRUPT, "'%s': not of the step that its name says",
                         path);
    for (int i = 0; i < FACTS; i++) {
        if (get_number(file, facts[i].name, &found) < 0)
            return error_set(err, ERROR_CORRUPT, "'%s': '%s' is missing", path,
                             facts[i].name);
        if (found != facts[i].value)
            return error_set(err, ERROR_CORRUPT,
                             "'%s': its %s is %" PRIu64 ", that of the run is %" PRIu64,
                             path, facts[i].name, found, facts[i].value);
    }
    return 0;
}

/* *ret_changed: the pool is not what it was. */
static int read_file(const char *path, uint64_t step, struct pool *p, bool *ret_changed,
                     struct error *err)
{
    int status = file_seal_check(path, err);
    if (status != 0)
        return status;
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0)
        return error_set(err, ERROR_CORRUPT, "'%s': no HDF5 file", path);
    status = check_facts(file, path, p, step, err);
    if (status == 0) {
        *ret_changed = true;
        size_t count = recurrent_count(p->language.model);
        if (get_floats(file, "parameters", count, p->language.parameters) < 0 ||
            get_floats(file, "states", state_count(p), p->states) < 0)
            status = error_set(err, ERROR_CORRUPT, "'%s': damaged", path);
    }
    H5Fclose(file);
    return status;
}

static bool try_step(const char *folder, uint64_t step, struct pool *p, bool *ret_changed,
                     void (*warn)(const char *text))
{
    char path[PATH];
    struct error err = {0};
    file_of(folder, step, path, sizeof path);
    if (read_file(path, step, p, ret_changed, &err) != 0) {
        warn(err.text);
        return false;
    }
    p->step = step;
    pool_begin(p);
    return true;
}

int pool_file_read(const char *folder, uint64_t least, uint64_t step, struct pool *p,
                   void (*warn)(const char *text))
{
    uint64_t *steps = malloc(MOST_FILES * sizeof *steps);
    int count = steps ? list_steps(folder, steps, MOST_FILES) : 0;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    bool found = false, changed = false;
    while (count > 0 && !found) {
        uint64_t candidate = steps[--count];
        if (candidate >= least && candidate <= step)
            found = try_step(folder, candidate, p, &changed, warn);
    }
    free(steps);
    if (!found && changed)
        pool_restart(p);
    return found;
}
