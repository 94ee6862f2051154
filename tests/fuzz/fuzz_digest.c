/* SPDX-License-Identifier: Apache-2.0 */
/* A digest of a snapshot, from its bytes (first byte even) or from its content with the
 * right mark before and the right checksum behind it (odd). */
#include "fuzz.h"

#include <string.h>
#include <xxhash.h>

#include "common/bytes.h"
#include "master/store_digest.h"
#include "master/store_digest_format.h"

static void sign(const uint8_t *content, size_t size, struct bytes *out)
{
    bytes_put(out, STORE_DIGEST_MAGIC, STORE_DIGEST_MAGIC_SIZE);
    bytes_put_u32(out, STORE_DIGEST_VERSION);
    bytes_put_u32(out, 0);
    bytes_put_u64(out, 0);
    bytes_put_u64(out, 0);
    bytes_put(out, content, size);
    XXH128_hash_t sum = XXH3_128bits(out->data, out->size);
    bytes_put_u64(out, sum.low64);
    bytes_put_u64(out, sum.high64);
    FUZZ_CHECK(!out->failed);
}

static void look(struct snapshot *s, size_t size)
{
    uint64_t count = ledger_count(s->ledger);
    FUZZ_CHECK(s->told <= count && count <= size / STORE_DIGEST_ROW);
    for (uint64_t id = 0; id < count; id++) {
        const struct trial *t = ledger_trial(s->ledger, id);
        FUZZ_CHECK(t->id == id && t->same_as < (int64_t)id);
        FUZZ_CHECK(t->architecture->count == 0 || t->kind == TRIAL_EVAL_RELAX);
        FUZZ_CHECK(t->epoch_count == 0);
        FUZZ_CHECK(strnlen(t->kernels, TRIAL_KERNELS) < TRIAL_KERNELS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes b;
    struct snapshot s;
    struct error err;
    if (size < 1 || size > FUZZ_INPUT_MAX)
        return 0;
    bytes_init(&b);
    if (data[0] & 1)
        sign(data + 1, size - 1, &b);
    else
        bytes_put(&b, data + 1, size - 1);
    if (store_digest_decode(b.data, b.size, (struct store_file_mark){0}, &s, &err) == 0) {
        look(&s, b.size);
        snapshot_fini(&s);
    }
    bytes_fini(&b);
    return 0;
}
