/* SPDX-License-Identifier: Apache-2.0 */
/* A file is read in two passes: the first checks every field against the training that
 * wants to go on, the second copies the numbers. So a file that is refused has changed
 * nothing, and the trial begins as if there were none. Numbers are copied as they lie in
 * memory, which is why this is for little-endian machines only. */
#include "worker/trainer_state.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "common/text.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "states of trainings are written as they lie in memory");

static const char magic[8] = "ARCHWAYS";
enum {
    HEADER = 24,
    EPOCH_BYTES = sizeof(struct trial_epoch),
    IDENTITY_MOST = 1 << 20,
    SHOWN = 60 /* of a line of the identity, in an error */
};
_Static_assert(EPOCH_BYTES == 6 * 4, "no padding");

/* --- identity ----------------------------------------------------------------------- */

/* The sections that decide about the numbers, the others as they are by default. */
static char *describe_settings(const struct config *config, bool threads)
{
    struct config *plain = malloc(sizeof *plain);
    if (!plain)
        return NULL;
    config_defaults(plain);
    plain->seed = config->seed;
    plain->task = config->task;
    plain->trainer = config->trainer;
    if (threads)
        plain->resources.threads_per_trial = config->resources.threads_per_trial;
    char *text = config_write(plain, false);
    free(plain);
    return text;
}

static char *make_identity(const struct trainer_state_kind *kind,
                           const struct config *config, const struct trainer_order *order,
                           const char *facts)
{
    struct text out;
    char *settings = describe_settings(config, kind->threads_decide);
    char *architecture = json_dumps(order->architecture, JSON_COMPACT | JSON_SORT_KEYS);
    text_init(&out);
    if (settings && architecture)
        text_append(&out, "%sarchitecture: %s\ntrial seed: %llu\n%s", settings,
                    architecture, (unsigned long long)order->seed, facts);
    free(settings);
    free(architecture);
    char *text = text_take(&out);
    if (text && strlen(text) < IDENTITY_MOST)
        return text;
    free(text);
    return NULL;
}

int trainer_state_init(struct trainer_state *ret, const struct trainer_state_kind *kind,
                       void *training, const struct config *config,
                       const struct trainer_order *order, const char *facts,
                       struct error *err)
{
    struct trainer_state s = {.kind = kind,
                              .training = training,
                              .epochs = config->trainer.builtin.epochs,
                              .identity = make_identity(kind, config, order, facts)};
    s.curve = calloc((size_t)s.epochs, sizeof *s.curve);
    if (!s.curve || !s.identity) {
        trainer_state_fini(&s);
        return error_set(err, ERROR_SYSTEM, "no memory for the state of a trial");
    }
    *ret = s;
    return 0;
}

void trainer_state_fini(struct trainer_state *s)
{
    if (!s)
        return;
    free(s->identity);
    free(s->curve);
    *s = (struct trainer_state){0};
}

/* --- writing ------------------------------------------------------------------------ */

void trainer_state_put_floats(struct bytes *out, const float *values, size_t count)
{
    bytes_put_u64(out, count);
    bytes_put(out, values, values ? count * sizeof *values : 0);
}

static void put_payload(struct bytes *b, const struct trainer_state *s)
{
    int epoch = s->kind->epoch(s->training);
    bytes_put_string(b, s->identity);
    bytes_put_u32(b, (uint32_t)epoch);
    bytes_put_f64(b, s->seconds);
    bytes_put(b, s->curve, (size_t)epoch * EPOCH_BYTES);
    s->kind->put(s->training, b);
}

int trainer_state_write(const char *path, const struct trainer_state *s,
                        struct error *err)
{
    struct bytes b;
    bytes_init(&b);
    bytes_put(&b, magic, sizeof magic);
    bytes_put_u32(&b, TRAINER_STATE_VERSION);
    bytes_put_u32(&b, 0);
    bytes_put_u64(&b, 0);
    put_payload(&b, s);
    int status;
    if (b.failed) {
        status = error_set(err, ERROR_SYSTEM, "'%s': no memory for it", path);
    } else {
        uint64_t size = b.size - HEADER;
        bytes_patch_u32(&b, 12, (uint32_t)crc32_z(0, b.data + HEADER, size));
        memcpy(b.data + 16, &size, sizeof size);
        status = text_write_file(path, (const char *)b.data, b.size, err);
    }
    bytes_fini(&b);
    return status;
}

/* --- reading ------------------------------------------------------------------------ */

void trainer_state_get_floats(struct bytes_reader *in, size_t count, float *ret)
{
    if (bytes_get_u64(in) != count)
        in->failed = true;
    const uint8_t *from = in->failed ? NULL : bytes_get(in, count * sizeof *ret);
    if (from && ret && count > 0)
        memcpy(ret, from, count * sizeof *ret);
}

static int refuse(const char *name, const char *what, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "'%s' %s", name, what);
}

static int check_header(const char *name, const uint8_t *data, size_t size,
                        struct error *err)
{
    struct bytes_reader in;
    bytes_reader_init(&in, data, size);
    const uint8_t *start = bytes_get(&in, sizeof magic);
    uint32_t version = bytes_get_u32(&in), check = bytes_get_u32(&in);
    uint64_t payload = bytes_get_u64(&in);
    if (in.failed || memcmp(start, magic, sizeof magic) != 0)
        return refuse(name, "holds no state of a training", err);
    if (version != TRAINER_STATE_VERSION)
        return error_set(err, ERROR_INPUT, "'%s' is of version %u, this program reads %d",
                         name, version, TRAINER_STATE_VERSION);
    if (payload != size - HEADER)
        return error_set(err, ERROR_CORRUPT, "'%s' is cut off: %zu bytes, not %llu", name,
                         size - HEADER, (unsigned long long)payload);
    if (crc32_z(0, data + HEADER, size - HEADER) != check)
        return refuse(name, "is damaged: its checksum is wrong", err);
    return 0;
}

/* Bytes of a line that are shown. */
static int shown(const char *line)
{
    size_t length = strcspn(line, "\n");
    return (int)(length < SHOWN ? length : SHOWN);
}

/* Name the first line that differs. */
static int fail_identity(const char *name, const char *is, const char *wanted,
                         struct error *err)
{
    size_t same = 0;
    while (is[same] && is[same] == wanted[same])
        same++;
    while (same > 0 && is[same - 1] != '\n')
        same--;
    is += same + strspn(is + same, " ");
    wanted += same + strspn(wanted + same, " ");
    return error_set(err, ERROR_CORRUPT,
                     "'%s' is of another training: \"%.*s\" there, \"%.*s\" here", name,
                     shown(is), is, shown(wanted), wanted);
}

static int check_identity(const char *name, struct bytes_reader *in, const char *wanted,
                          struct error *err)
{
    char *identity = bytes_get_string_dup(in, IDENTITY_MOST);
    int status = 0;
    if (!identity)
        status = refuse(name, "does not say what it is of", err);
    else if (strcmp(identity, wanted) != 0)
        status = fail_identity(name, identity, wanted, err);
    free(identity);
    return status;
}

/* What does not depend on the kind of training. */
struct progress {
    int epoch;
    double seconds;
    const uint8_t *curve; /* of epochs that are over, borrowed from the file */
};

static bool get_progress(struct bytes_reader *in, int epochs, struct progress *ret)
{
    uint32_t epoch = bytes_get_u32(in);
    ret->seconds = bytes_get_f64(in);
    if (in->failed || epoch > (uint32_t)epochs || !isfinite(ret->seconds) ||
        ret->seconds < 0)
        return false;
    ret->epoch = (int)epoch;
    ret->curve = bytes_get(in, epoch * EPOCH_BYTES);
    return !in->failed;
}

/* in: behind the identity. */
static int get_training(const char *name, struct bytes_reader in, struct trainer_state *s,
                        struct error *err)
{
    struct progress p;
    if (!get_progress(&in, s->epochs, &p))
        return refuse(name, "stands at a place that this training does not pass", err);
    struct bytes_reader again = in;
    const char *wrong = s->kind->get(s->training, p.epoch, s->epochs, &in, false);
    if (!wrong && (in.failed || bytes_left(&in) > 0))
        wrong = "does not fit the network";
    if (wrong)
        return refuse(name, wrong, err);
    s->kind->get(s->training, p.epoch, s->epochs, &again, true);
    s->seconds = p.seconds;
    if (p.epoch > 0)
        memcpy(s->curve, p.curve, (size_t)p.epoch * EPOCH_BYTES);
    return 1;
}

int trainer_state_decode(const char *name, const void *data, size_t size,
                         struct trainer_state *s, struct error *err)
{
    struct bytes_reader in;
    int status = check_header(name, data, size, err);
    if (status)
        return status;
    bytes_reader_init(&in, (const uint8_t *)data + HEADER, size - HEADER);
    status = check_identity(name, &in, s->identity, err);
    return status ? status : get_training(name, in, s, err);
}

/* The most that a file of this training can take. */
static size_t largest(const struct trainer_state *s)
{
    return HEADER + 4 + IDENTITY_MOST + 12 + (size_t)s->epochs * EPOCH_BYTES +
           s->kind->most(s->training);
}

int trainer_state_read(const char *path, struct trainer_state *s, struct error *err)
{
    char *data = NULL;
    size_t size;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    int status = text_read_file(path, largest(s), &data, &size, err);
    if (!status)
        status = trainer_state_decode(path, data, size, s, err);
    free(data);
    return status;
}
