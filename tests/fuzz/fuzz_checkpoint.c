/* SPDX-License-Identifier: Apache-2.0 */
/* The saved state of a training: a file as it stands on disk (first byte even), or a
 * sound one (odd) whose bytes are changed as the input says, three a change, and which is
 * signed again, so that what is behind the checksum is met too. */
#include "fuzz.h"
#include "tests/unit/checkpoint_rig.h"

#include <dirent.h>
#include <string.h>
#include <zlib.h>

#include "common/text.h"

enum { HEADER = 24 };

static struct checkpoint_rig rig;
static char *sound;
static size_t sound_size;

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

static void make_sound(void)
{
    struct checkpoint_trial t;
    struct error err = {0};
    rig_open(&rig, fuzz_folder());
    clean_folder();
    rig_begin(&rig, &t);
    rig_train(&t, 12);
    const char *path = fuzz_file_put("state", "", 0);
    FUZZ_CHECK(checkpoint_write(path, &t.training, &t.c, &err) == 0);
    FUZZ_CHECK(text_read_file(path, 1 << 20, &sound, &sound_size, &err) == 0);
    fuzz_file_remove("state");
    rig_end(&t);
}

/* A refused file has changed nothing; what one that is taken leads to can be trained. */
static void decode(const void *data, size_t size)
{
    static struct checkpoint_trial t, fresh;
    if (!t.c.identity) {
        rig_begin(&rig, &t);
        rig_begin(&rig, &fresh);
    }
    struct error err = {0};
    size_t bytes = nn_graph_parameter_count(t.training.graph) * sizeof(float);
    int got = checkpoint_decode("x", data, size, &t.training, &t.c, &err);
    FUZZ_CHECK(got == 1 || (got < 0 && *err.text));
    if (got == 1) {
        FUZZ_CHECK(t.training.position.epoch <= RIG_EPOCHS);
        rig_train(&t, 2);
        rig_end(&t);
        rig_begin(&rig, &t);
        return;
    }
    FUZZ_CHECK(memcmp(nn_graph_parameters(t.training.graph),
                      nn_graph_parameters(fresh.training.graph), bytes) == 0);
    FUZZ_CHECK(t.training.position.at == 0 && t.training.position.epoch == 0);
}

static void decode_changed(const uint8_t *data, size_t size)
{
    char *copy = malloc(sound_size);
    FUZZ_CHECK(copy);
    memcpy(copy, sound, sound_size);
    for (; size >= 3; data += 3, size -= 3)
        copy[(data[0] | (size_t)data[1] << 8) % sound_size] = (char)data[2];
    uint32_t check = (uint32_t)crc32_z(0, (uint8_t *)copy + HEADER, sound_size - HEADER);
    memcpy(copy + 12, &check, sizeof check);
    decode(copy, sound_size);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > FUZZ_INPUT_MAX)
        return 0;
    if (!sound)
        make_sound();
    if (data[0] % 2 == 0)
        decode(data + 1, size - 1);
    else
        decode_changed(data + 1, size - 1);
    return 0;
}
