/* SPDX-License-Identifier: Apache-2.0 */
/* The saved state of a training, on images (second bit of the first byte clear) or on a
 * text (set): a file as it stands on disk (first bit clear), or a sound one (set) whose
 * bytes are changed as the input says, three a change, and which is signed again, so that
 * what is behind the checksum is met too. A place counts from behind the identity, with
 * its uppermost bit set from the beginning. */
#include "fuzz.h"
#include "tests/unit/state_rig.h"

#include <dirent.h>
#include <string.h>
#include <zlib.h>

#include "common/text.h"

static struct sample {
    struct state_rig rig;
    struct state_trial trial, fresh;
    char *sound;
    size_t size;
} samples[RIG_KINDS];

/* The prepared data: mapped, it need not stay. */
static void clean_folder(void)
{
    DIR *folder = opendir(fuzz_folder());
    FUZZ_CHECK(folder);
    for (const struct dirent *e; (e = readdir(folder));)
        if (e->d_name[0] != '.')
            fuzz_file_remove(e->d_name);
    closedir(folder);
}

/* The text's averaging has begun. */
static void make_sound(struct sample *s, enum state_rig_kind kind)
{
    struct state_trial t;
    struct error err = {0};
    rig_open(&s->rig, kind, fuzz_folder());
    clean_folder();
    rig_begin(&s->rig, &t);
    rig_train(&t, kind == RIG_IMAGES ? 12 : 66);
    FUZZ_CHECK(kind != RIG_TEXT || t.language.position.averaged > 0);
    const char *path = fuzz_file_put("state", "", 0);
    FUZZ_CHECK(trainer_state_write(path, &t.state, &err) == 0);
    FUZZ_CHECK(text_read_file(path, 1 << 20, &s->sound, &s->size, &err) == 0);
    fuzz_file_remove("state");
    rig_end(&t);
    rig_begin(&s->rig, &s->trial);
    rig_begin(&s->rig, &s->fresh);
}

static bool is_untouched(const struct sample *s)
{
    size_t count, bytes;
    const float *now = rig_parameters(&s->trial, &count);
    const float *before = rig_parameters(&s->fresh, &count);
    bytes = count * sizeof *now;
    return rig_is_fresh(&s->trial) && memcmp(now, before, bytes) == 0;
}

/* A refused file has changed nothing; what one that is taken leads to can be trained. */
static void decode(struct sample *s, const void *data, size_t size)
{
    struct error err = {0};
    int got = trainer_state_decode("x", data, size, &s->trial.state, &err);
    FUZZ_CHECK(got == 1 || (got < 0 && *err.text));
    if (got < 0) {
        FUZZ_CHECK(is_untouched(s));
        return;
    }
    FUZZ_CHECK(rig_epoch(&s->trial) <= s->trial.state.epochs);
    rig_train(&s->trial, 2);
    rig_end(&s->trial);
    rig_begin(&s->rig, &s->trial);
}

static size_t place_of(const struct sample *s, const uint8_t change[3])
{
    size_t at = change[0] | (size_t)(change[1] & 0x7f) << 8;
    if (!(change[1] & 0x80))
        at += STATE_FILE_HEADER + 4 + strlen(s->trial.state.identity);
    return at % s->size;
}

static void decode_changed(struct sample *s, const uint8_t *data, size_t size)
{
    char *copy = malloc(s->size);
    FUZZ_CHECK(copy);
    memcpy(copy, s->sound, s->size);
    for (; size >= 3; data += 3, size -= 3)
        copy[place_of(s, data)] = (char)data[2];
    uint32_t check = (uint32_t)crc32_z(0, (uint8_t *)copy + STATE_FILE_HEADER,
                                       s->size - STATE_FILE_HEADER);
    memcpy(copy + 12, &check, sizeof check);
    decode(s, copy, s->size);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > FUZZ_INPUT_MAX)
        return 0;
    enum state_rig_kind kind = data[0] & 2 ? RIG_TEXT : RIG_IMAGES;
    struct sample *s = &samples[kind];
    if (!s->sound)
        make_sound(s, kind);
    if (data[0] % 2 == 0)
        decode(s, data + 1, size - 1);
    else
        decode_changed(s, data + 1, size - 1);
    return 0;
}
