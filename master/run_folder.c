/* SPDX-License-Identifier: Apache-2.0 */
/* The lock belongs to the open file (OFD) where the kernel has such locks: closing
 * another descriptor of the file, as `status` in the same process does, does not drop it.
 * Else it is a plain fcntl lock, which any NFS knows.
 *
 * Making a folder changes nothing in one that holds anything: what is there is looked at
 * before the lock file is made, and again under the lock. */
#include "master/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

struct run_folder {
    char *path;  /* as given; owned */
    size_t made; /* length of the shortest part of path that create made; 0: none */
    int lock_fd;
};

static const char *const names[] = {
    [RUN_CONFIG] = "config.yaml", [RUN_JOURNAL] = "journal",
    [RUN_LOG] = "log.jsonl",      [RUN_PLACEMENT] = "placement.json",
    [RUN_EXIT] = "exit.json",     [RUN_LOCK] = "lock",
    [RUN_BEST] = "best",          [RUN_WATCH] = "watch.json"};

char *run_folder_file(const char *dir, enum run_folder_file file)
{
    char *path = NULL;
    if ((unsigned)file >= sizeof names / sizeof names[0] ||
        asprintf(&path, "%s/%s", dir, names[file]) < 0)
        return NULL;
    return path;
}

static bool has_file(const char *dir, enum run_folder_file file)
{
    struct stat st;
    char *path = run_folder_file(dir, file);
    bool found = path && stat(path, &st) == 0 && S_ISREG(st.st_mode);
    free(path);
    return found;
}

int run_folder_check(const char *dir, struct error *err)
{
    struct stat st;
    if (stat(dir, &st) != 0 && errno == ENOENT)
        return error_set(err, ERROR_INPUT,
                         "run folder '%s' does not exist; `archway search CONFIG.yaml "
                         "--run %s` starts a run there",
                         dir, dir);
    if (stat(dir, &st) != 0)
        return error_set_errno(err, "cannot look at run folder '%s'", dir);
    if (!S_ISDIR(st.st_mode))
        return error_set(err, ERROR_INPUT, "'%s' is not a run: it is not a folder", dir);
    if (!has_file(dir, RUN_CONFIG))
        return error_set(err, ERROR_INPUT, "'%s' is not a run: it holds no config.yaml",
                         dir);
    if (!has_file(dir, RUN_JOURNAL))
        return error_set(err, ERROR_INPUT,
                         "'%s' is not a run: it holds no journal, so its search never "
                         "began; remove it and search again",
                         dir);
    return 0;
}

/* Host and pid out of the lock's text "n3 pid 4711 since ..."; "" when there is none. */
static void read_holder(int fd, char *ret, unsigned size)
{
    char text[512];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    char *end = strstr(text, " since ");
    if (end)
        *end = '\0';
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
    size_t length = strnlen(text, size - 1);
    memcpy(ret, text, length);
    ret[length] = '\0';
}

/* 0: locked; 1: somebody else holds it; -1 with errno. */
static int take_lock(int fd)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int result = fcntl(fd, F_OFD_SETLK, &lock);
    if (result != 0 && errno == EINVAL)
        result = fcntl(fd, F_SETLK, &lock);
    return result != 0 && (errno == EAGAIN || errno == EACCES) ? 1 : result;
}

int run_folder_is_live(const char *dir, char *ret_holder, unsigned size)
{
    char *path = run_folder_file(dir, RUN_LOCK);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    bool missing = path && fd < 0 && (errno == ENOENT || errno == ENOTDIR);
    free(path);
    if (fd < 0)
        return missing ? 0 : ERROR_SYSTEM;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int result = fcntl(fd, F_OFD_GETLK, &lock);
    if (result != 0 && errno == EINVAL)
        result = fcntl(fd, F_GETLK, &lock);
    if (result == 0 && lock.l_type != F_UNLCK) {
        read_holder(fd, ret_holder, size);
        result = 1;
    }
    close(fd);
    return result < 0 ? ERROR_SYSTEM : result;
}

static void format_time(char *text, size_t size)
{
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(text, size, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static int write_holder(int fd, const char *path, struct error *err)
{
    char host[256], when[32], text[512];
    if (gethostname(host, sizeof host) != 0)
        snprintf(host, sizeof host, "unknown");
    host[sizeof host - 1] = '\0';
    format_time(when, sizeof when);
    int n =
        snprintf(text, sizeof text, "%s pid %ld since %s\n", host, (long)getpid(), when);
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)n, 0) != n)
        return error_set_errno(err, "cannot write '%s'", path);
    return 0;
}

/* Lock DIR/lock and say in it who has it. */
static int folder_lock(const char *dir, int *ret_fd, struct error *err)
{
    char holder[256];
    char *path = run_folder_file(dir, RUN_LOCK);
    if (!path)
        return error_set(err, ERROR_SYSTEM, "run folder '%s': out of memory", dir);
    int status = 0, held, fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0) {
        status = error_set_errno(err, "cannot open '%s'", path);
    } else if ((held = take_lock(fd)) < 0) {
        status = error_set_errno(err, "cannot lock '%s'", path);
    } else if (held) {
        read_holder(fd, holder, sizeof holder);
        status =
            error_set(err, ERROR_INPUT,
                      "run folder '%s' is held by a live master (%s); `archway status "
                      "%s` shows what it does",
                      dir, holder[0] ? holder : "just starting", dir);
    } else {
        status = write_holder(fd, path, err);
    }
    if (status == 0)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    free(path);
    return status;
}

static struct run_folder *folder_new(const char *dir)
{
    struct run_folder *f = calloc(1, sizeof *f);
    if (!f)
        return NULL;
    f->lock_fd = -1;
    f->path = strdup(dir);
    if (!f->path) {
        free(f);
        return NULL;
    }
    return f;
}

int run_folder_open(const char *dir, struct run_folder **ret, struct error *err)
{
    int status = run_folder_check(dir, err);
    if (status != 0)
        return status;
    struct run_folder *f = folder_new(dir);
    if (!f)
        return error_set(err, ERROR_SYSTEM, "run folder '%s': out of memory", dir);
    status = folder_lock(dir, &f->lock_fd, err);
    if (status != 0) {
        run_folder_close(f);
        return status;
    }
    *ret = f;
    return 0;
}

/* Make the folder and its parents; notes where that began. Existing ones are fine. */
static int make_folders(struct run_folder *f, struct error *err)
{
    char *path = f->path;
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        size--;
    for (size_t at = 1; at <= size; at++) {
        if (at < size && path[at] != '/')
            continue;
        char saved = path[at];
        path[at] = '\0';
        int result = mkdir(path, 0777);
        int error = errno;
        path[at] = saved;
        if (result == 0 && f->made == 0)
            f->made = at;
        if (result != 0 && error != EEXIST) {
            errno = error;
            return error_set_errno(err, "cannot create run folder '%s'", path);
        }
    }
    return 0;
}

/* Remove what make_folders made, the deepest first, as far as it is empty. */
static void unmake_folders(struct run_folder *f)
{
    size_t size = strlen(f->path);
    while (f->made > 0 && size >= f->made) {
        f->path[size] = '\0';
        if (rmdir(f->path) != 0 && errno != ENOENT && errno != ENAMETOOLONG)
            return;
        while (size > 0 && f->path[size - 1] == '/')
            size--;
        while (size > 0 && f->path[size - 1] != '/')
            size--;
        while (size > 0 && f->path[size - 1] == '/')
            size--;
    }
}

static bool begins_as_ours(const char *dir, const char *name)
{
    static const char first[] = "# The effective configuration of this run";
    char path[PATH_MAX], text[sizeof first] = "";
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    if (f)
        fclose(f);
    return n == sizeof first - 1 && memcmp(text, first, n) == 0;
}

/* What a master leaves that was killed before its run began: files half written, or the
 * configuration without a journal. `locked`: a master was there. */
static bool is_remains(const char *dir, const char *name, bool locked)
{
    static const char *const halves[] = {"config.yaml.tmp.", "journal.tmp"};
    for (int i = 0; locked && i < 2; i++)
        if (strncmp(name, halves[i], strlen(halves[i])) == 0)
            return true;
    return locked && strcmp(name, names[RUN_CONFIG]) == 0 &&
           !has_file(dir, RUN_JOURNAL) && begins_as_ours(dir, name);
}

static void remove_remains(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    while (d && (e = readdir(d)))
        if (is_remains(dir, e->d_name, true))
            unlinkat(dirfd(d), e->d_name, 0);
    if (d)
        closedir(d);
}

/* The folder holds nothing but, perhaps, a lock and what belongs to it; *ret_lock tells.
 */
static int check_empty(const char *dir, bool *ret_lock, struct error *err)
{
    DIR *d = opendir(dir);
    if (!d && errno == ENOTDIR)
        return error_set(err, ERROR_INPUT, "'%s' exists and is not a folder", dir);
    if (!d)
        return error_set_errno(err, "cannot read the folder '%s'", dir);
    int status = 0;
    struct dirent *e;
    *ret_lock = has_file(dir, RUN_LOCK);
    while (status == 0 && (e = readdir(d))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0 ||
            strcmp(e->d_name, names[RUN_LOCK]) == 0 ||
            is_remains(dir, e->d_name, *ret_lock))
            continue;
        if (run_folder_check(dir, NULL) == 0)
            status = error_set(err, ERROR_INPUT,
                               "'%s' exists and is a run already: `archway resume %s` "
                               "continues it; for a new one choose another folder",
                               dir, dir);
        else
            status = error_set(err, ERROR_INPUT,
                               "'%s' exists and is not empty (it holds '%.200s'), but is "
                               "no run either: choose another folder",
                               dir, e->d_name);
    }
    closedir(d);
    return status;
}

static int create_locked(struct run_folder *f, struct error *err)
{
    bool had_lock = false, has_lock;
    int status = make_folders(f, err);
    if (status == 0)
        status = check_empty(f->path, &had_lock, err);
    if (status == 0)
        status = folder_lock(f->path, &f->lock_fd, err);
    if (status == 0)
        status = check_empty(f->path, &has_lock, err);
    if (status == 0)
        remove_remains(f->path);
    if (status != 0 && f->lock_fd >= 0 && !had_lock) {
        char *path = run_folder_file(f->path, RUN_LOCK);
        if (path)
            unlink(path);
        free(path);
    }
    return status;
}

int run_folder_create(const char *dir, struct run_folder **ret, struct error *err)
{
    if (dir[0] == '\0')
        return error_set(err, ERROR_INPUT, "the name of the run folder is empty");
    struct run_folder *f = folder_new(dir);
    if (!f)
        return error_set(err, ERROR_SYSTEM, "run folder '%s': out of memory", dir);
    int status = create_locked(f, err);
    if (status != 0) {
        unmake_folders(f);
        run_folder_close(f);
        return status;
    }
    *ret = f;
    return 0;
}

void run_folder_close(struct run_folder *f)
{
    if (!f)
        return;
    if (f->lock_fd >= 0)
        close(f->lock_fd);
    free(f->path);
    free(f);
}

void run_folder_discard(struct run_folder *f)
{
    if (!f)
        return;
    char *path = f->made ? run_folder_file(f->path, RUN_LOCK) : NULL;
    if (path)
        unlink(path);
    free(path);
    unmake_folders(f);
    run_folder_close(f);
}

int run_folder_lock_descriptor(const struct run_folder *f)
{
    return f->lock_fd;
}

const char *run_folder_path(const struct run_folder *f)
{
    return f->path;
}
