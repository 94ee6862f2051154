/* SPDX-License-Identifier: Apache-2.0 */
/* Can the run's file system do what durability rests on? Locks between processes, rename,
 * fsync, a snapshot that reads back, and room for all of it. All happens in a hidden
 * folder beside the run's place, which is removed. */
#include "master/doctor/doctor.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/store.h"

enum { ROUNDS = 15, RECORD = 16384 };
static const double slow = 0.05; /* seconds of a durable write that are worth a word */

static const char elsewhere[] = "choose another place for the run with --run DIR";

struct scratch {
    char folder[CONFIG_PATH + 32], file[CONFIG_PATH + 64], other[CONFIG_PATH + 64];
};

static bool scratch_make(const struct doctor_setup *s, struct scratch *t,
                         struct doctor_finding *ret)
{
    snprintf(t->folder, sizeof t->folder, "%s/.archway-doctor-XXXXXX", s->folder);
    if (!mkdtemp(t->folder)) {
        doctor_say(ret, DOCTOR_PROBLEM, elsewhere, "cannot make a folder in %.300s: %s",
                   s->folder, strerror(errno));
        return false;
    }
    snprintf(t->file, sizeof t->file, "%s/file", t->folder);
    snprintf(t->other, sizeof t->other, "%s/other", t->folder);
    return true;
}

static void scratch_remove(struct scratch *t)
{
    static const char *const names[] = {"snapshot.h5", "snapshot.prev.h5",
                                        "snapshot.h5.tmp", "snapshot.digest",
                                        "snapshot.digest.tmp"};
    char path[CONFIG_PATH + 96];
    unlink(t->file);
    unlink(t->other);
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", t->folder, names[i]);
        unlink(path);
    }
    rmdir(t->folder);
}

/* --- locks -------------------------------------------------------------------------- */

/* 0: got it; 1: somebody else has it; 2: the file system cannot. */
static int try_locks(const char *file, int *ret_fd)
{
    struct flock record = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return 2;
    int failed = fcntl(fd, F_OFD_SETLK, &record);
    if (failed != 0 && errno == EINVAL)
        failed = fcntl(fd, F_SETLK, &record);
    int result = failed == 0 ? 0 : errno == EAGAIN || errno == EACCES ? 1 : 2;
    if (result == 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno != EWOULDBLOCK &&
        errno != EBADF) /* some network systems map flock to the record lock above */
        result = 2;
    *ret_fd = fd;
    return result;
}

/* The same from another process, whose locks end with it. */
static int try_from_child(const char *file)
{
    int status = 0, fd;
    pid_t child = fork();
    if (child == 0)
        _exit(try_locks(file, &fd));
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return 2;
    return WEXITSTATUS(status);
}

void doctor_locks(const struct doctor_setup *s, struct doctor_finding *ret)
{
    struct scratch t;
    int fd = -1;
    if (!scratch_make(s, &t, ret))
        return;
    int mine = try_locks(t.file, &fd), theirs = try_from_child(t.file);
    if (fd >= 0)
        close(fd);
    int after = try_from_child(t.file);
    if (mine != 0 || theirs == 2 || after == 2)
        doctor_say(
            ret, DOCTOR_PROBLEM,
            "mount it with locks (NFS: without nolock, with lockd; Lustre: -o flock), "
            "or choose another place with --run DIR",
            "%.300s cannot lock files", s->folder);
    else if (theirs != 1 || after != 0)
        doctor_say(ret, DOCTOR_PROBLEM, elsewhere,
                   "locks in %.300s do not keep other processes out: two masters could "
                   "write one run",
                   s->folder);
    else
        doctor_say(ret, DOCTOR_OK, NULL, "locks of %.300s hold between processes",
                   s->folder);
    scratch_remove(&t);
}

/* --- durable writes ----------------------------------------------------------------- */

/* 0 or the errno of the step that failed. */
static int write_file(const char *path)
{
    static const char zeros[RECORD];
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return errno;
    int error = 0;
    ssize_t n;
    for (ssize_t done = 0; done < RECORD && error == 0; done += n)
        if ((n = write(fd, zeros, (size_t)(RECORD - done))) <= 0)
            error = n < 0 ? errno : ENOSPC;
    if (error == 0 && fsync(fd) != 0)
        error = errno;
    close(fd);
    return error;
}

static int write_once(const struct scratch *t)
{
    int error = write_file(t->file);
    if (error == 0 && rename(t->file, t->other) != 0)
        error = errno;
    int folder = error == 0 ? open(t->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (error == 0 && (folder < 0 || fsync(folder) != 0))
        error = errno;
    if (folder >= 0)
        close(folder);
    return error;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void doctor_writes(const struct doctor_setup *s, struct doctor_finding *ret)
{
    struct scratch t;
    double times[ROUNDS];
    if (!scratch_make(s, &t, ret))
        return;
    for (int i = 0; i < ROUNDS; i++) {
        double started = clock_now(s->clock);
        int error = write_once(&t);
        if (error != 0) {
            doctor_say(ret, DOCTOR_PROBLEM, elsewhere,
                       "writing, fsync or rename in %.300s fails: %s", s->folder,
                       strerror(error));
            scratch_remove(&t);
            return;
        }
        times[i] = clock_now(s->clock) - started;
    }
    scratch_remove(&t);
    qsort(times, ROUNDS, sizeof *times, compare);
    double median = times[ROUNDS / 2];
    bool late = median > slow;
    doctor_say(
        ret, late ? DOCTOR_WARNING : DOCTOR_OK,
        late ? "each result waits for that; a local or parallel file system is faster"
             : NULL,
        "write, fsync and rename take %.1f ms (slowest of %d: %.1f ms)", 1e3 * median,
        ROUNDS, 1e3 * times[ROUNDS - 1]);
}

/* --- room --------------------------------------------------------------------------- */

/* What a run writes, roughly and rather too much: the journal and two snapshots of every
 * trial with its curve, log.jsonl, and logs of trainers. */
static double expected_bytes(const struct config *c)
{
    const struct config_controller *k = &c->search.controller;
    double trials = c->search.trials > 0 ? (double)c->search.trials : 100000;
    double epochs = c->trainer.command_count ? 100 : c->trainer.builtin.epochs;
    double weights = 8.0 * k->layers * k->hidden * (k->hidden + 1) + 1e5;
    return trials * (3 * (600 + 40 * epochs) + 600) + 3 * 3 * 4 * weights + (16 << 20) +
           (double)c->run.reserve;
}

static bool exceeds_limit(double bytes, struct doctor_finding *ret)
{
    struct rlimit limit;
    char text[32];
    if (getrlimit(RLIMIT_FSIZE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY ||
        (double)limit.rlim_cur >= bytes / 2)
        return false;
    text_format_size((double)limit.rlim_cur, text, sizeof text);
    doctor_say(ret, DOCTOR_PROBLEM, "raise it: ulimit -f unlimited",
               "files may have %s only (ulimit -f)", text);
    return true;
}

void doctor_room(const struct doctor_setup *s, struct doctor_finding *ret)
{
    struct statvfs fs;
    char has[32], needs[32];
    double bytes = expected_bytes(s->config);
    if (statvfs(s->folder, &fs) != 0) {
        doctor_say(ret, DOCTOR_WARNING, elsewhere,
                   "cannot ask for the room in %.300s: %s", s->folder, strerror(errno));
        return;
    }
    double room = (double)fs.f_bavail * (double)fs.f_frsize;
    bool crowded = fs.f_files > 0 && fs.f_favail < 1000;
    text_format_size(room, has, sizeof has);
    text_format_size(bytes, needs, sizeof needs);
    if (exceeds_limit(bytes, ret))
        return;
    if (room < bytes || crowded)
        doctor_say(ret,
                   room < bytes / 4 || fs.f_favail < 20 ? DOCTOR_PROBLEM : DOCTOR_WARNING,
                   "make room, or choose another place with --run DIR",
                   "%.200s has %s and %llu files left; the run needs about %s", s->folder,
                   has, (unsigned long long)fs.f_favail, needs);
    else
        doctor_say(ret, DOCTOR_OK, NULL, "%s free, the run needs about %s%s", has, needs,
                   s->has_config ? "" : " (defaults)");
}

/* --- snapshots ---------------------------------------------------------------------- */

static int write_and_read(const struct doctor_setup *s, const char *folder,
                          struct error *err)
{
    struct snapshot written = {.config = *s->config}, found = {0};
    state_init(&written.state);
    int status = ledger_new(&written.ledger, err);
    if (status == 0)
        status = store_write(folder, &written, err);
    if (status == 0)
        status = store_read(folder, &found, NULL, err);
    snapshot_fini(&found);
    snapshot_fini(&written);
    return status;
}

void doctor_snapshot(const struct doctor_setup *s, struct doctor_finding *ret)
{
    struct scratch t;
    struct error err = {0};
    if (!scratch_make(s, &t, ret))
        return;
    if (write_and_read(s, t.folder, &err) != 0)
        doctor_say(
            ret, DOCTOR_PROBLEM,
            "a full disk, a limit of file sizes, or an HDF5 that does not fit this file "
            "system (try HDF5_USE_FILE_LOCKING=FALSE)",
            "%.480s", err.text);
    else
        doctor_say(ret, DOCTOR_OK, NULL, "an HDF5 snapshot was written and read back");
    scratch_remove(&t);
}
