/* SPDX-License-Identifier: Apache-2.0 */
/* A run's folder whose journal holds whole frames with valid checksums, but any content:
 * what replay and the record decoders make of it. The first byte says who looks (odd:
 * only an observer, without strategies); then come records of u8 type, u16 size, payload.
 */
#include "fuzz.h"

#include <string.h>
#include <zlib.h>

#include "master/engine.h"

static void put_u32(uint8_t *at, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}

static void put_frame(struct bytes *out, uint32_t type, const uint8_t *payload,
                      size_t size)
{
    uint8_t head[12];
    put_u32(head, (uint32_t)size);
    put_u32(head + 4, type);
    uLong crc = crc32(0, head, 8);
    put_u32(head + 8, (uint32_t)(size ? crc32(crc, payload, (uInt)size) : crc));
    bytes_put(out, head, sizeof head);
    bytes_put(out, payload, size);
}

static void write_journal(const uint8_t *data, size_t size)
{
    struct bytes out;
    uint8_t head[16] = "ARCHWAYJ\1";
    bytes_init(&out);
    put_u32(head + 12, (uint32_t)crc32(0, head, 12));
    bytes_put(&out, head, sizeof head);
    while (size >= 3) {
        size_t n = data[1] | (size_t)data[2] << 8;
        n = n < size - 3 ? n : size - 3;
        put_frame(&out, data[0], data + 3, n);
        data += 3 + n;
        size -= 3 + n;
    }
    FUZZ_CHECK(!out.failed);
    fuzz_file_put("journal", out.data, out.size);
    bytes_fini(&out);
}

/* What a command that only looks at the run would walk through. */
static void look(struct engine *e)
{
    struct ledger *l = engine_ledger(e);
    uint64_t epochs = 0;
    for (uint64_t id = 0; id < ledger_count(l); id++) {
        const struct trial *t = ledger_trial(l, id);
        FUZZ_CHECK(space_validate(engine_space(e), t->architecture, NULL) == 0);
        FUZZ_CHECK(!t->reason || strlen(t->reason) < TRIAL_REASON);
        epochs += t->epoch_count;
    }
    FUZZ_CHECK(epochs <= ledger_count(l) * TRIAL_MAX_EPOCHS);
    FUZZ_CHECK(engine_told(e) <= ledger_count(l));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char config[] = "task: {data: {format: generated}}\n"
                                 "space: {name: conv-chain, layers: 2}\n"
                                 "search: {trials: 40, batch: 2}\n";
    struct engine *e = NULL;
    struct engine_reading reading;
    struct error err;
    if (size < 1 || size > FUZZ_INPUT_MAX)
        return 0;
    fuzz_file_put("config.yaml", config, strlen(config));
    write_journal(data + 1, size - 1);
    if (engine_open(fuzz_folder(), data[0] & 1, &e, &reading, &err) == 0)
        look(e);
    engine_free(e);
    fuzz_file_remove("journal");
    fuzz_file_remove("config.yaml");
    return 0;
}
