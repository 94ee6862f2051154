/* SPDX-License-Identifier: Apache-2.0 */
/* Plays the files of a corpus folder through a target, and of each some copies with
 * random damage, so that a build without libFuzzer looks around as well, if only a
 * little. The name is printed before a file is played: when it crashes, it stands in the
 * last line.
 *
 *   replay_TARGET FOLDER       the seed of the damage is 1 or ARCHWAY_TEST_SEED */
#include "fuzz.h"

#include <dirent.h>
#include <string.h>

#include "common/rng.h"

enum { COPIES = 60 };

/* Change, drop, repeat or overwrite some bytes. Returns the new size. */
static size_t damage(struct rng *rng, uint8_t *data, size_t size)
{
    static const uint8_t odd[] = {0, 1, 0x7f, 0x80, 0xff, '"', '{', '\n', '9', '-'};
    int changes = 1 + (int)rng_below(rng, 4);
    while (changes-- > 0 && size > 0) {
        size_t at = rng_below(rng, (uint32_t)size), n = 1 + rng_below(rng, 8);
        n = n < size - at ? n : size - at;
        switch (rng_below(rng, 5)) {
        case 0:
            data[at] ^= (uint8_t)(1U << rng_below(rng, 8));
            break;
        case 1:
            memset(data + at, odd[rng_below(rng, sizeof odd)], n);
            break;
        case 2:
            size = at;
            break;
        case 3:
            memmove(data + at, data + at + n, size - at - n);
            size -= n;
            break;
        default:
            if (size + n > FUZZ_INPUT_MAX)
                break;
            memmove(data + at + n, data + at, size - at);
            size += n;
        }
    }
    return size;
}

/* In memory of its own size, so that a sanitizer sees the first byte behind it. */
static void play(const uint8_t *data, size_t size)
{
    uint8_t *exact = malloc(size ? size : 1);
    FUZZ_CHECK(exact);
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static int play_file(const char *folder, const char *name, struct rng *rng)
{
    static uint8_t data[FUZZ_INPUT_MAX], copy[FUZZ_INPUT_MAX];
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    printf("%s\n", path);
    fflush(stdout);
    FILE *f = fopen(path, "rbe");
    if (!f)
        return -1;
    size_t size = fread(data, 1, sizeof data, f);
    fclose(f);
    play(data, size);
    for (int i = 0; i < COPIES; i++) {
        memcpy(copy, data, size);
        play(copy, damage(rng, copy, size));
    }
    return 0;
}

static int visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    struct dirent **entries;
    const char *text = getenv("ARCHWAY_TEST_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 1;
    struct rng rng;
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    int count = scandir(argv[1], &entries, visible, alphasort), bad = count <= 0;
    if (bad)
        fprintf(stderr, "'%s' holds no inputs\n", argv[1]);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, 0, 0);
    for (int i = 0; i < count; i++) {
        bad |= play_file(argv[1], entries[i]->d_name, &rng) != 0;
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return bad;
}
