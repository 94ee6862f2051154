/* SPDX-License-Identifier: Apache-2.0 */
/* Group commit: the caller copies frames into a buffer under a lock that nobody holds for
 * long; a thread swaps that buffer with an empty one, writes it with pwrite and makes it
 * durable with one fdatasync, however many records came meanwhile. So the master never
 * waits for a disk, and a slow disk makes larger commits instead of a longer queue.
 *
 * After a failed write or sync nothing is tried again, because a kernel may drop dirty
 * pages and then report success: the error stays, and the run ends resumable. */
#include "master/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "master/journal_format.h"

struct journal {
    int fd, event_fd;
    char *path; /* owned */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, done; /* for the thread; for journal_sync */

    /* under the lock */
    struct bytes pending;        /* appended, not yet taken by the thread */
    uint64_t end;                /* offset after pending */
    uint64_t requested, durable; /* offsets */
    bool stop, signalled;        /* signalled: the event is readable */
    struct error error;          /* the first failure; status 0: none */

    /* of the thread alone */
    struct bytes writing;
};

static int write_at(int fd, const uint8_t *data, size_t size, uint64_t offset)
{
    while (size > 0) {
        ssize_t n = pwrite(fd, data, size, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            if (n == 0)
                errno = EIO;
            return -1;
        }
        data += n;
        size -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* Write and sync `writing`, which starts at `offset`, without the lock. */
static int thread_write(struct journal *j, uint64_t offset, struct error *err)
{
    if (write_at(j->fd, j->writing.data, j->writing.size, offset) != 0)
        return error_set_errno(err, "cannot write journal '%s'", j->path);
    if (fdatasync(j->fd) != 0)
        return error_set_errno(err, "cannot sync journal '%s'", j->path);
    return 0;
}

/* Called with the lock. */
static void thread_signal(struct journal *j)
{
    uint64_t one = 1;
    pthread_cond_broadcast(&j->done);
    if (!j->signalled)
        j->signalled = write(j->event_fd, &one, sizeof one) == (ssize_t)sizeof one;
}

/* One commit; called with the lock, which it gives back for the duration of the I/O. */
static void thread_commit(struct journal *j)
{
    struct error err = {0};
    struct bytes taken = j->pending;
    j->pending = j->writing;
    j->writing = taken;
    uint64_t from = j->durable, to = j->end;
    pthread_mutex_unlock(&j->lock);
    int status = thread_write(j, from, &err);
    bytes_clear(&j->writing);
    pthread_mutex_lock(&j->lock);
    if (status == 0)
        j->durable = to;
    else
        j->error = err;
    thread_signal(j);
}

static void *thread_main(void *argument)
{
    struct journal *j = argument;
    pthread_mutex_lock(&j->lock);
    while (j->error.status == 0) {
        if (j->durable < j->requested)
            thread_commit(j);
        else if (j->stop)
            break;
        else
            pthread_cond_wait(&j->work, &j->lock);
    }
    pthread_mutex_unlock(&j->lock);
    return NULL;
}

/* Signals are the business of the main thread. SIGXFSZ must not end the process either:
 * blocked, a file beyond its limit is an error of write. */
static int start_thread(struct journal *j)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int error = pthread_create(&j->thread, NULL, thread_main, j);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    errno = error;
    return error ? -1 : 0;
}

static void journal_free(struct journal *j)
{
    if (j->fd >= 0)
        close(j->fd);
    if (j->event_fd >= 0)
        close(j->event_fd);
    pthread_mutex_destroy(&j->lock);
    pthread_cond_destroy(&j->work);
    pthread_cond_destroy(&j->done);
    bytes_fini(&j->pending);
    bytes_fini(&j->writing);
    free(j->path);
    free(j);
}

/* A journal over an open descriptor, which it owns on success, from `offset` on. */
static int journal_start(int fd, const char *path, uint64_t offset, struct journal **ret,
                         struct error *err)
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j)
        return error_set(err, ERROR_SYSTEM, "journal '%s': out of memory", path);
    j->fd = fd;
    j->path = strdup(path);
    j->end = j->requested = j->durable = offset;
    bytes_init(&j->pending);
    bytes_init(&j->writing);
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->work, NULL);
    pthread_cond_init(&j->done, NULL);
    j->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!j->path || j->event_fd < 0 || start_thread(j) != 0) {
        error_set_errno(err, "cannot start the journal '%s'", path);
        j->fd = -1;
        journal_free(j);
        return ERROR_SYSTEM;
    }
    *ret = j;
    return 0;
}

/* Make the name of a new file durable. */
static int sync_folder(const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    if (!folder)
        return error_set(err, ERROR_SYSTEM, "journal '%s': out of memory", path);
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = 0;
    /* Some network file systems cannot sync a folder; their names are durable. */
    if (fd < 0 || (fsync(fd) != 0 && errno != EINVAL && errno != ENOTSUP))
        status = error_set_errno(err, "cannot sync the folder '%s'", folder);
    if (fd >= 0)
        close(fd);
    free(folder);
    return status;
}

/* Under its own name a journal always has its header, even after a kill. */
static int create_header(int fd, const char *temporary, const char *path,
                         struct error *err)
{
    uint8_t head[JOURNAL_HEADER];
    journal_format_header(head);
    if (write_at(fd, head, sizeof head, 0) != 0 || fsync(fd) != 0 ||
        rename(temporary, path) != 0)
        return error_set_errno(err, "cannot write journal '%s'", path);
    return sync_folder(path, err);
}

int journal_create(const char *path, struct journal **ret, struct error *err)
{
    char temporary[PATH_MAX];
    int fd = -1, n = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    bool fits = n > 0 && (size_t)n < sizeof temporary;
    errno = fits ? EEXIST : ENAMETOOLONG;
    if (fits && access(path, F_OK) != 0)
        fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0)
        return error_set_errno(err, "cannot create journal '%s'", path);
    int status = create_header(fd, temporary, path, err);
    if (status == 0)
        status = journal_start(fd, path, JOURNAL_HEADER, ret, err);
    if (status != 0) {
        close(fd);
        unlink(temporary);
        unlink(path);
    }
    return status;
}

/* Check the header and cut off what follows `offset`. */
static int open_cut(int fd, const char *path, uint64_t offset, struct error *err)
{
    struct stat st;
    int status = journal_format_check(fd, path, err);
    if (status != 0)
        return status;
    if (fstat(fd, &st) != 0)
        return error_set_errno(err, "cannot read journal '%s'", path);
    if (offset < JOURNAL_HEADER || offset > (uint64_t)st.st_size)
        return error_set(
            err, ERROR_CORRUPT,
            "journal '%s' has %llu bytes, but its valid part shall have %llu", path,
            (unsigned long long)st.st_size, (unsigned long long)offset);
    if (offset == (uint64_t)st.st_size)
        return 0;
    if (ftruncate(fd, (off_t)offset) != 0 || fsync(fd) != 0)
        return error_set_errno(err, "cannot cut off the torn end of journal '%s'", path);
    return 0;
}

int journal_open(const char *path, uint64_t offset, struct journal **ret,
                 struct error *err)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return error_set_errno(err, "cannot open journal '%s'", path);
    int status = open_cut(fd, path, offset, err);
    if (status == 0)
        status = journal_start(fd, path, offset, ret, err);
    if (status != 0)
        close(fd);
    return status;
}

/* With the lock: the sticky error, copied out. */
static int journal_status(const struct journal *j, struct error *err)
{
    if (j->error.status != 0 && err)
        *err = j->error;
    return j->error.status;
}

int journal_close(struct journal *j, struct error *err)
{
    if (!j)
        return 0;
    pthread_mutex_lock(&j->lock);
    j->requested = j->end;
    j->stop = true;
    pthread_cond_signal(&j->work);
    pthread_mutex_unlock(&j->lock);
    pthread_join(j->thread, NULL);
    int status = journal_status(j, err);
    journal_free(j);
    return status;
}

/* With the lock: frame and payload to the end of pending. */
static int append_frame(struct journal *j, uint32_t type, const struct bytes *payload,
                        struct error *err)
{
    uint8_t head[JOURNAL_FRAME];
    uint32_t size = (uint32_t)payload->size;
    size_t before = j->pending.size;
    journal_format_put(head, size);
    journal_format_put(head + 4, type);
    journal_format_put(head + 8, journal_format_crc(head, payload->data, size));
    bytes_put(&j->pending, head, sizeof head);
    bytes_put(&j->pending, payload->data, size);
    if (j->pending.failed) {
        j->pending.size = before;
        j->pending.failed = false;
        return error_set(err, ERROR_SYSTEM, "journal '%s': out of memory", j->path);
    }
    j->end += JOURNAL_FRAME + (uint64_t)size;
    return 0;
}

int journal_append(struct journal *j, uint32_t type, const struct bytes *payload,
                   uint64_t *ret_end, struct error *err)
{
    if (payload->failed)
        return error_set(err, ERROR_SYSTEM, "journal '%s': out of memory", j->path);
    if (payload->size > JOURNAL_MAX_RECORD)
        return error_set(err, ERROR_SYSTEM,
                         "journal '%s': a record of %zu bytes, at most %d are allowed",
                         j->path, payload->size, JOURNAL_MAX_RECORD);
    pthread_mutex_lock(&j->lock);
    int status = journal_status(j, err);
    if (status == 0)
        status = append_frame(j, type, payload, err);
    if (status == 0 && ret_end)
        *ret_end = j->end;
    pthread_mutex_unlock(&j->lock);
    return status;
}

/* With the lock. */
static void commit_request(struct journal *j)
{
    if (j->requested == j->end)
        return;
    j->requested = j->end;
    pthread_cond_signal(&j->work);
}

int journal_commit(struct journal *j, struct error *err)
{
    pthread_mutex_lock(&j->lock);
    int status = journal_status(j, err);
    if (status == 0)
        commit_request(j);
    pthread_mutex_unlock(&j->lock);
    return status;
}

int journal_sync(struct journal *j, struct error *err)
{
    pthread_mutex_lock(&j->lock);
    commit_request(j);
    while (j->error.status == 0 && j->durable < j->end)
        pthread_cond_wait(&j->done, &j->lock);
    int status = journal_status(j, err);
    pthread_mutex_unlock(&j->lock);
    return status;
}

int journal_durable(struct journal *j, uint64_t *ret_offset, struct error *err)
{
    uint64_t count;
    pthread_mutex_lock(&j->lock);
    if (j->signalled && read(j->event_fd, &count, sizeof count) > 0)
        j->signalled = false;
    int status = journal_status(j, err);
    if (status == 0)
        *ret_offset = j->durable;
    pthread_mutex_unlock(&j->lock);
    return status;
}

uint64_t journal_backlog(struct journal *j)
{
    pthread_mutex_lock(&j->lock);
    uint64_t bytes = j->end - j->durable;
    pthread_mutex_unlock(&j->lock);
    return bytes;
}

uint64_t journal_end(const struct journal *j)
{
    return j->end;
}

int journal_event_fd(const struct journal *j)
{
    return j->event_fd;
}
