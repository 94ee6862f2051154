/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of a rank, one behind the other: as they come (first byte even), or from u8
 * type, u16 size, payload each, with headers that are right for this version (odd). What
 * decodes must encode, and decode again. */
#include "fuzz.h"

#include "proto/message.h"
#include "proto/message_frame.h"

static void encode_again(const struct message *m)
{
    struct bytes out;
    struct bytes_reader in;
    struct message again;
    bytes_init(&out);
    message_encode(m, &out);
    FUZZ_CHECK(!out.failed);
    bytes_reader_init(&in, out.data, out.size);
    FUZZ_CHECK(message_decode(&in, &again, NULL) == 1);
    FUZZ_CHECK(again.type == m->type && bytes_left(&in) == 0);
    message_fini(&again);
    bytes_fini(&out);
}

static void decode_all(const uint8_t *data, size_t size)
{
    struct bytes_reader in;
    struct message m;
    struct error err;
    bytes_reader_init(&in, data, size);
    while (message_decode(&in, &m, &err) == 1) {
        encode_again(&m);
        message_fini(&m);
    }
}

static void put_frames(const uint8_t *data, size_t size, struct bytes *out)
{
    while (size >= 3) {
        size_t n = data[1] | (size_t)data[2] << 8;
        n = n < size - 3 ? n : size - 3;
        bytes_put_u32(out, MESSAGE_MAGIC);
        bytes_put_u16(out, MESSAGE_VERSION);
        bytes_put_u16(out, data[0]);
        bytes_put_u32(out, (uint32_t)n);
        bytes_put(out, data + 3, n);
        data += 3 + n;
        size -= 3 + n;
    }
    FUZZ_CHECK(!out->failed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes frames;
    if (size < 1 || size > FUZZ_INPUT_MAX)
        return 0;
    if (!(data[0] & 1)) {
        decode_all(data + 1, size - 1);
        return 0;
    }
    bytes_init(&frames);
    put_frames(data + 1, size - 1, &frames);
    decode_all(frames.data, frames.size);
    bytes_fini(&frames);
    return 0;
}
