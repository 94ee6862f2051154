/* SPDX-License-Identifier: Apache-2.0 */
/* A file is read in two passes: the first checks every field against the training that
 * wants to go on and remembers where the numbers lie, the second copies them. So a file
 * that is refused has changed nothing, and the trial begins as if there were none.
 * Numbers are copied as they lie in memory, which is why this is for little-endian
 * machines only. */
#include "worker/checkpoint.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "common/bytes.h"
#include "common/text.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "states of trainings are written as they lie in memory");

static const char magic[8] = "ARCHWAYS";
enum {
    HEADER = 24,
    RNG_WORDS = sizeof(struct rng) / 4,
    EPOCH_BYTES = sizeof(struct trial_epoch),
    IDENTITY_MOST = 1 << 20,
    SHOWN = 60 /* of a line of the identity, in an error */
};
_Static_assert(sizeof(struct rng) == 11 * 4 && EPOCH_BYTES == 6 * 4, "no padding");

/* --- identity ----------------------------------------------------------------------- */

/* The sections that decide about the numbers, the others as they are by default. */
static char *describe_settings(const struct config *config)
{
    struct config *plain = malloc(sizeof *plain);
    if (!plain)
        return NULL;
    config_defaults(plain);
    plain->seed = config->seed;
    plain->task = config->task;
    plain->trainer = config->trainer;
    plain->resources.threads_per_trial = config->resources.threads_per_trial;
    char *text = config_write(plain, false);
    free(plain);
    return text;
}

char *checkpoint_identity(const struct config *config, const struct training *t,
                          const struct trainer_order *order)
{
    struct text out;
    char *settings = describe_settings(config);
    char *architecture = json_dumps(order->architecture, JSON_COMPACT | JSON_SORT_KEYS);
    const struct data_facts *facts = data_facts(t->data);
    text_init(&out);
    if (settings && architecture)
        text_append(&out,
                    "%sarchitecture: %s\ntrial seed: %llu\nkernels: %s\nimages: %d %d of "
                    "%dx%dx%d in %d classes\n",
                    settings, architecture, (unsigned long long)order->seed,
                    nn_graph_kernels(t->graph), data_count(t->data, DATA_TRAIN),
                    data_count(t->data, DATA_VALIDATION), facts->height, facts->width,
                    facts->channels, facts->classes);
    free(settings);
    free(architecture);
    char *text = text_take(&out);
    if (text && strlen(text) < IDENTITY_MOST)
        return text;
    free(text);
    return NULL;
}

void checkpoint_fini(struct checkpoint *c)
{
    free(c->identity);
    free(c->curve);
    *c = (struct checkpoint){0};
}

/* --- writing ------------------------------------------------------------------------ */

static void put_floats(struct bytes *b, const float *values, size_t count)
{
    bytes_put_u64(b, count);
    bytes_put(b, values, values ? count * sizeof *values : 0);
}

static void put_position(struct bytes *b, const struct training_position *p)
{
    bytes_put_u32(b, (uint32_t)p->epoch);
    bytes_put_u32(b, (uint32_t)p->at);
    bytes_put(b, &p->augment, sizeof p->augment);
    bytes_put_f64(b, p->loss);
    bytes_put_u64(b, (uint64_t)p->correct);
    bytes_put_u64(b, (uint64_t)p->images);
    bytes_put_f64(b, p->seconds);
}

static void put_payload(struct bytes *b, const struct training *t,
                        const struct checkpoint *c)
{
    const struct optimizer *o = &t->descent.optimizer;
    size_t count, parameters = nn_graph_parameter_count(t->graph);
    const float *statistics = nn_graph_statistics(t->graph, &count);
    bytes_put_string(b, c->identity);
    put_position(b, &t->position);
    bytes_put_f64(b, c->seconds);
    bytes_put(b, c->curve, (size_t)t->position.epoch * EPOCH_BYTES);
    put_floats(b, nn_graph_parameters(t->graph), parameters);
    put_floats(b, statistics, count);
    put_floats(b, o->m, o->m ? o->count : 0);
    put_floats(b, o->v, o->v ? o->count : 0);
    bytes_put_u64(b, o->step);
}

int checkpoint_write(const char *path, const struct training *t,
                     const struct checkpoint *c, struct error *err)
{
    struct bytes b;
    bytes_init(&b);
    bytes_put(&b, magic, sizeof magic);
    bytes_put_u32(&b, CHECKPOINT_VERSION);
    bytes_put_u32(&b, 0);
    bytes_put_u64(&b, 0);
    put_payload(&b, t, c);
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

/* What a file says, checked, its arrays borrowed from it. */
struct contents {
    struct training_position position;
    double seconds;
    const uint8_t *curve, *parameters, *statistics, *m, *v;
    uint64_t step;
};

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
    if (version != CHECKPOINT_VERSION)
        return error_set(err, ERROR_INPUT, "'%s' is of version %u, this program reads %d",
                         name, version, CHECKPOINT_VERSION);
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

/* In the middle of an epoch the generator stands in the stream of that epoch. */
static bool is_stream(const struct training *t, const struct training_position *p)
{
    struct rng start;
    rng_init(&start, t->seed, RNG_CHILD_AUGMENT, (uint64_t)p->epoch);
    return memcmp(start.key, p->augment.key, sizeof start.key) == 0 &&
           memcmp(start.counter + 1, p->augment.counter + 1, 3 * sizeof *start.counter) ==
               0 &&
           p->augment.used <= 4;
}

static bool position_fits(const struct training *t, const struct training_position *p)
{
    int count = data_count(t->data, DATA_TRAIN);
    bool between = p->at == 0 && p->images == 0 && p->correct == 0 && p->loss == 0;
    bool within = p->at > 0 && p->at <= count &&
                  (p->at % t->batch == 0 || p->at == count) && p->images == p->at &&
                  p->correct >= 0 && p->correct <= p->images && isfinite(p->loss) &&
                  p->epoch < t->settings->epochs && is_stream(t, p);
    return p->epoch >= 0 && p->epoch <= t->settings->epochs && (between || within) &&
           p->seconds >= 0 && isfinite(p->seconds);
}

static void get_position(struct bytes_reader *in, struct training_position *p)
{
    p->epoch = (int)bytes_get_u32(in);
    p->at = (int)bytes_get_u32(in);
    const uint8_t *rng = bytes_get(in, sizeof p->augment);
    if (rng)
        memcpy(&p->augment, rng, sizeof p->augment);
    p->loss = bytes_get_f64(in);
    p->correct = (int64_t)bytes_get_u64(in);
    p->images = (int64_t)bytes_get_u64(in);
    p->seconds = bytes_get_f64(in);
}

/* An array of exactly so many floats; NULL otherwise. */
static const uint8_t *get_floats(struct bytes_reader *in, size_t count)
{
    if (bytes_get_u64(in) != count)
        in->failed = true;
    return in->failed ? NULL : bytes_get(in, count * sizeof(float));
}

static int get_contents(const char *name, struct bytes_reader *in,
                        const struct training *t, struct contents *c, struct error *err)
{
    const struct optimizer *o = &t->descent.optimizer;
    size_t statistics;
    nn_graph_statistics(t->graph, &statistics);
    get_position(in, &c->position);
    c->seconds = bytes_get_f64(in);
    if (in->failed || !position_fits(t, &c->position) ||
        !(c->seconds >= 0 && isfinite(c->seconds)))
        return refuse(name, "stands at a place that this training does not pass", err);
    c->curve = bytes_get(in, (size_t)c->position.epoch * EPOCH_BYTES);
    c->parameters = get_floats(in, nn_graph_parameter_count(t->graph));
    c->statistics = get_floats(in, statistics);
    c->m = get_floats(in, o->m ? o->count : 0);
    c->v = get_floats(in, o->v ? o->count : 0);
    c->step = bytes_get_u64(in);
    if (in->failed || bytes_left(in) > 0)
        return refuse(name, "does not fit the network", err);
    return 0;
}

static void copy_floats(float *to, const uint8_t *from, size_t count)
{
    if (to && count > 0)
        memcpy(to, from, count * sizeof *to);
}

static void restore(const struct contents *from, struct training *t, struct checkpoint *c)
{
    struct optimizer *o = &t->descent.optimizer;
    size_t count;
    float *statistics = nn_graph_statistics(t->graph, &count);
    copy_floats(nn_graph_parameters(t->graph), from->parameters,
                nn_graph_parameter_count(t->graph));
    copy_floats(statistics, from->statistics, count);
    copy_floats(o->m, from->m, o->count);
    copy_floats(o->v, from->v, o->count);
    o->step = from->step;
    t->position = from->position;
    c->seconds = from->seconds;
    if (from->position.epoch > 0)
        memcpy(c->curve, from->curve, (size_t)from->position.epoch * EPOCH_BYTES);
}

int checkpoint_decode(const char *name, const void *data, size_t size, struct training *t,
                      struct checkpoint *c, struct error *err)
{
    struct contents contents;
    struct bytes_reader in;
    int status = check_header(name, data, size, err);
    if (status)
        return status;
    bytes_reader_init(&in, (const uint8_t *)data + HEADER, size - HEADER);
    status = check_identity(name, &in, c->identity, err);
    if (!status)
        status = get_contents(name, &in, t, &contents, err);
    if (status)
        return status;
    restore(&contents, t, c);
    return 1;
}

/* The most that a file of this training can take. */
static size_t largest(const struct training *t)
{
    size_t statistics;
    nn_graph_statistics(t->graph, &statistics);
    return HEADER + IDENTITY_MOST + 1024 + (size_t)t->settings->epochs * EPOCH_BYTES +
           (3 * nn_graph_parameter_count(t->graph) + statistics) * sizeof(float);
}

int checkpoint_read(const char *path, struct training *t, struct checkpoint *c,
                    struct error *err)
{
    char *data = NULL;
    size_t size;
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return 0;
    int status = text_read_file(path, largest(t), &data, &size, err);
    if (!status)
        status = checkpoint_decode(path, data, size, t, c, err);
    free(data);
    return status;
}
