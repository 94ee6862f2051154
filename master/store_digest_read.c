/* SPDX-License-Identifier: Apache-2.0 */
/* From a digest to the part of a snapshot that a status needs. The checksum tells that
 * the bytes are those that were written; sizes and numbers are checked all the same. */
#include "master/store_digest.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "common/bytes.h"
#include "common/text.h"
#include "master/store_digest_format.h"

static int damaged(struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "the digest is damaged");
}

/* The bytes between mark and checksum; what they are is checked here. */
static int open_digest(const uint8_t *data, size_t size, struct store_file_mark mark,
                       struct bytes_reader *ret, struct error *err)
{
    struct bytes_reader end;
    if (size < STORE_DIGEST_SUM)
        return damaged(err);
    bytes_reader_init(&end, data + size - STORE_DIGEST_SUM, STORE_DIGEST_SUM);
    XXH128_hash_t sum = XXH3_128bits(data, size - STORE_DIGEST_SUM);
    if (bytes_get_u64(&end) != sum.low64 || bytes_get_u64(&end) != sum.high64)
        return damaged(err);
    bytes_reader_init(ret, data, size - STORE_DIGEST_SUM);
    const uint8_t *magic = bytes_get(ret, STORE_DIGEST_MAGIC_SIZE);
    uint32_t version = bytes_get_u32(ret);
    bytes_get_u32(ret);
    uint64_t low = bytes_get_u64(ret), high = bytes_get_u64(ret);
    if (ret->failed || memcmp(magic, STORE_DIGEST_MAGIC, STORE_DIGEST_MAGIC_SIZE) != 0 ||
        version != STORE_DIGEST_VERSION)
        return error_set(err, ERROR_INPUT, "the digest is of another version");
    if (low != mark.low || high != mark.high)
        return error_set(err, ERROR_INPUT, "the digest is of another snapshot");
    return 0;
}

static void get_hours(struct bytes_reader *in, struct ledger_hours *ret)
{
    double *const values[] = {&ret->trained, &ret->failed,    &ret->lost,
                              &ret->saved,   &ret->idle_wait, &ret->idle_tail};
    for (int i = 0; i < 6; i++)
        *values[i] = bytes_get_f64(in);
    ret->duplicates = bytes_get_u64(in);
}

static int get_scalars(struct bytes_reader *in, struct state *ret, struct error *err)
{
    int status = 0;
    for (uint32_t n = bytes_get_u32(in); n > 0 && status == 0 && !in->failed; n--) {
        char name[STATE_NAME];
        bytes_get_string(in, name, sizeof name);
        unsigned type = bytes_get_u8(in);
        uint64_t bits = bytes_get_u64(in);
        if (in->failed || (type != STATE_F64 && type != STATE_I64))
            return damaged(err);
        status = state_put(ret, name, (enum state_type)type, 0, NULL, &bits, err);
    }
    return status;
}

static int get_kernels(struct bytes_reader *in, struct store_digest_kernels *ret,
                       struct error *err)
{
    uint32_t count = bytes_get_u32(in);
    ret->count = 0;
    if (count > STORE_DIGEST_KERNELS)
        return damaged(err);
    for (; ret->count < count; ret->count++)
        bytes_get_string(in, ret->names[ret->count], TRIAL_KERNELS);
    return 0;
}

static int get_trial(struct bytes_reader *in, const struct store_digest_kernels *kernels,
                     struct ledger *l, struct error *err)
{
    struct architecture a = {.depth = 0};
    struct trial t = {.id = ledger_count(l),
                      .worker = -1,
                      .slot = -1,
                      .log_probability = NAN,
                      .reward = NAN,
                      .params = NAN,
                      .flops = NAN};
    t.state = bytes_get_u8(in);
    t.arm = bytes_get_u8(in);
    unsigned number = bytes_get_u8(in);
    t.kind = bytes_get_u8(in);
    t.same_as = (int64_t)bytes_get_u32(in) - 1;
    t.val_accuracy = bytes_get_f64(in);
    t.seconds = bytes_get_f64(in);
    t.finished_at = bytes_get_f64(in);
    t.hash.low = bytes_get_u64(in);
    t.hash.high = bytes_get_u64(in);
    if (t.kind != TRIAL_TRAIN_CHILD) {
        t.shared.step = bytes_get_u64(in);
        t.shared.part = (int32_t)bytes_get_u32(in);
    }
    if (t.kind == TRIAL_EVAL_RELAX)
        architecture_decode(in, &a);
    if (store_digest_in_flight(t.state)) {
        t.attempts = bytes_get_u16(in);
        t.worker = (int32_t)bytes_get_u32(in);
        t.slot = (int32_t)bytes_get_u32(in);
        t.saved_epochs = bytes_get_u32(in);
        t.saved_seconds = fmax(0, bytes_get_f64(in));
    }
    if (in->failed || number > kernels->count || t.kind >= TRIAL_KIND_COUNT)
        return damaged(err);
    if (number > 0)
        memcpy(t.kernels, kernels->names[number - 1], sizeof t.kernels);
    t.architecture = architecture_pack(&a);
    if (!t.architecture)
        return error_set(err, ERROR_SYSTEM, "out of memory");
    int status = ledger_add(l, &t, err);
    if (status != 0)
        free(t.architecture);
    return status;
}

static int get_trials(struct bytes_reader *in, struct ledger *l, struct error *err)
{
    struct store_digest_kernels kernels;
    int status = get_kernels(in, &kernels, err);
    uint64_t count = bytes_get_u64(in);
    if (status == 0 && (in->failed || count > bytes_left(in) / STORE_DIGEST_ROW))
        status = damaged(err);
    for (uint64_t i = 0; i < count && status == 0; i++)
        status = get_trial(in, &kernels, l, err);
    return status == 0 && bytes_left(in) > 0 ? damaged(err) : status;
}

static int decode(struct bytes_reader *in, struct snapshot *s, struct error *err)
{
    s->journal_offset = bytes_get_u64(in);
    s->told = bytes_get_u64(in);
    char *text = bytes_get_string_dup(in, STORE_DIGEST_CONFIG);
    int status =
        text ? config_parse("digest", text, strlen(text), &s->config, err) : damaged(err);
    free(text);
    if (status == 0)
        status = ledger_new(&s->ledger, err);
    if (status == 0) {
        get_hours(in, ledger_hours(s->ledger));
        status = get_scalars(in, &s->state, err);
    }
    if (status == 0)
        status = get_trials(in, s->ledger, err);
    return status == 0 && s->told > ledger_count(s->ledger) ? damaged(err) : status;
}

int store_digest_decode(const uint8_t *data, size_t size, struct store_file_mark mark,
                        struct snapshot *ret, struct error *err)
{
    struct snapshot s = {0};
    struct bytes_reader in;
    int status = open_digest(data, size, mark, &in, err);
    if (status != 0)
        return status;
    state_init(&s.state);
    status = decode(&in, &s, err);
    if (status != 0)
        snapshot_fini(&s);
    else
        *ret = s;
    return status;
}

static int read_file(const char *dir, const char *name, size_t limit, char **ret,
                     size_t *ret_size, struct error *err)
{
    char *path = NULL;
    if (asprintf(&path, "%s/%s", dir, name) < 0)
        return error_set(err, ERROR_SYSTEM, "'%s': out of memory", dir);
    int status = text_read_file(path, limit, ret, ret_size, err);
    free(path);
    return status;
}

int store_read_digest(const char *dir, struct snapshot *ret, struct error *err)
{
    struct store_file_mark mark;
    char *data = NULL;
    size_t size = 0;
    int status = store_file_check(dir, "snapshot.h5", &mark, err);
    if (status == 0)
        status = read_file(dir, "snapshot.digest", SIZE_MAX / 4, &data, &size, err);
    if (status == 0)
        status = store_digest_decode((const uint8_t *)data, size, mark, ret, err);
    free(data);
    return status;
}
