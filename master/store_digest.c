/* SPDX-License-Identifier: Apache-2.0 */
/* One buffer, one write. What belongs to which snapshot is told by the checksum of the
 * snapshot's content, so it does not matter in which order the two files are replaced, or
 * that a crash may leave the one without the other. */
#include "master/store_digest.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/bytes.h"
#include "common/file_io.h"
#include "master/store_digest_format.h"

/* From 1; 0: not in the list. */
static unsigned find_kernels(const struct store_digest_kernels *list, const char *name)
{
    for (unsigned i = 0; i < list->count; i++)
        if (strcmp(list->names[i], name) == 0)
            return i + 1;
    return 0;
}

/* -1 when there are more than a list can hold. */
static int list_kernels(const struct ledger *l, struct store_digest_kernels *ret)
{
    ret->count = 0;
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const char *name = ledger_trial(l, id)->kernels;
        if (*name == '\0' || find_kernels(ret, name))
            continue;
        if (ret->count == STORE_DIGEST_KERNELS)
            return -1;
        snprintf(ret->names[ret->count++], TRIAL_KERNELS, "%s", name);
    }
    return 0;
}

static void put_trial(const struct trial *t, const struct store_digest_kernels *kernels,
                      struct bytes *out)
{
    bytes_put_u8(out, t->state);
    bytes_put_u8(out, t->arm);
    bytes_put_u8(out, (uint8_t)find_kernels(kernels, t->kernels));
    bytes_put_u8(out, t->kind);
    bytes_put_u32(out, (uint32_t)(t->same_as + 1));
    bytes_put_f64(out, t->val_accuracy);
    bytes_put_f64(out, t->seconds);
    bytes_put_f64(out, t->finished_at);
    bytes_put_u64(out, t->hash.low);
    bytes_put_u64(out, t->hash.high);
    if (t->kind != TRIAL_TRAIN_CHILD) {
        bytes_put_u64(out, t->shared.step);
        bytes_put_u32(out, (uint32_t)t->shared.part);
    }
    if (t->kind == TRIAL_EVAL_RELAX)
        architecture_encode(t->architecture, out);
    if (!store_digest_in_flight(t->state))
        return;
    bytes_put_u16(out, t->attempts);
    bytes_put_u32(out, (uint32_t)t->worker);
    bytes_put_u32(out, (uint32_t)t->slot);
    bytes_put_u32(out, t->saved_epochs);
    bytes_put_f64(out, t->saved_seconds);
}

static void put_scalars(const struct state *s, struct bytes *out)
{
    uint32_t count = 0;
    size_t at = out->size;
    bytes_put_u32(out, 0);
    for (size_t i = 0; i < s->count; i++) {
        const struct state_array *a = &s->arrays[i];
        uint64_t bits = 0;
        if (a->rank != 0 || (a->type != STATE_F64 && a->type != STATE_I64))
            continue;
        memcpy(&bits, a->data, sizeof bits);
        bytes_put_string(out, a->name);
        bytes_put_u8(out, (uint8_t)a->type);
        bytes_put_u64(out, bits);
        count++;
    }
    bytes_patch_u32(out, at, count);
}

static void put_hours(const struct ledger_hours *h, struct bytes *out)
{
    const double values[] = {h->trained, h->failed,    h->lost,
                             h->saved,   h->idle_wait, h->idle_tail};
    for (int i = 0; i < 6; i++)
        bytes_put_f64(out, values[i]);
    bytes_put_u64(out, h->duplicates);
}

static int put_head(const struct snapshot *s, struct store_file_mark mark,
                    struct bytes *out, struct error *err)
{
    char *config = config_write(&s->config, false);
    if (!config)
        return error_set(err, ERROR_SYSTEM, "out of memory");
    bytes_put(out, STORE_DIGEST_MAGIC, STORE_DIGEST_MAGIC_SIZE);
    bytes_put_u32(out, STORE_DIGEST_VERSION);
    bytes_put_u32(out, 0);
    bytes_put_u64(out, mark.low);
    bytes_put_u64(out, mark.high);
    bytes_put_u64(out, s->journal_offset);
    bytes_put_u64(out, s->told);
    bytes_put_string(out, config);
    free(config);
    put_hours(ledger_hours(s->ledger), out);
    put_scalars(&s->state, out);
    return 0;
}

static int encode(const struct snapshot *s, struct store_file_mark mark,
                  struct bytes *out, struct error *err)
{
    struct store_digest_kernels kernels;
    uint64_t count = ledger_count(s->ledger);
    if (count >= UINT32_MAX || list_kernels(s->ledger, &kernels) != 0)
        return error_set(err, ERROR_INPUT, "more trials or kernels than it has room for");
    int status = put_head(s, mark, out, err);
    if (status != 0)
        return status;
    bytes_put_u32(out, kernels.count);
    for (unsigned i = 0; i < kernels.count; i++)
        bytes_put_string(out, kernels.names[i]);
    bytes_put_u64(out, count);
    for (uint64_t id = 0; id < count; id++)
        put_trial(ledger_trial(s->ledger, id), &kernels, out);
    XXH128_hash_t sum = XXH3_128bits(out->data, out->size);
    bytes_put_u64(out, sum.low64);
    bytes_put_u64(out, sum.high64);
    return out->failed ? error_set(err, ERROR_SYSTEM, "out of memory") : 0;
}

static int write_file(int folder, const struct bytes *b)
{
    const char *name = "snapshot.digest", *new = "snapshot.digest.tmp";
    int fd = openat(folder, new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int result = fd < 0 ? -1 : file_write_full(fd, b->data, b->size);
    int saved = errno;
    if (fd >= 0)
        close(fd);
    if (result == 0)
        return renameat(folder, new, folder, name);
    unlinkat(folder, new, 0);
    errno = saved;
    return -1;
}

int store_digest_write(const char *dir, const struct snapshot *s,
                       struct store_file_mark mark, struct error *err)
{
    struct bytes b;
    int folder = -1;
    bytes_init(&b);
    int status = encode(s, mark, &b, err);
    if (status == 0)
        folder = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (status == 0 && (folder < 0 || write_file(folder, &b) != 0))
        status = error_set_errno(err, "cannot write '%s/snapshot.digest'", dir);
    if (folder >= 0)
        close(folder);
    bytes_fini(&b);
    return status;
}
