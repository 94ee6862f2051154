/* SPDX-License-Identifier: Apache-2.0 */
/* A file is read in two passes: the first checks every field against the training that
 * wants to go on, the second copies the numbers. So a file that is refused has changed
 * nothing, and the trial begins as if there were none. */
#include "worker/trainer_state.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"

enum {
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

int trainer_state_write(const char *path, const struct trainer_state *s,
                        struct error *err)
{
    struct state_writer out;
    int epoch = s->kind->epoch(s->training);
    int status = state_writer_open(&out, path, err);
    if (status)
        return status;
    bytes_put_string(&out.small, s->identity);
    bytes_put_u32(&out.small, (uint32_t)epoch);
    bytes_put_f64(&out.small, s->seconds);
    bytes_put(&out.small, s->curve, (size_t)epoch * EPOCH_BYTES);
    s->kind->put(s->training, &out);
    return state_writer_close(&out, err);
}

/* --- reading ------------------------------------------------------------------------ */

static int refuse(const char *name, const char *what, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "'%s' %s", name, what);
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

/* Caller frees; NULL when there is none. */
static char *get_text(struct state_reader *in)
{
    uint32_t size = state_reader_u32(in);
    char *text = in->failed || size > IDENTITY_MOST ? NULL : malloc((size_t)size + 1);
    if (!text)
        return NULL;
    state_reader_get(in, text, size);
    text[size] = '\0';
    return text;
}

static int check_identity(const char *name, struct state_reader *in, const char *wanted,
                          struct error *err)
{
    char *identity = get_text(in);
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
    uint64_t curve; /* its place in the file */
};

static bool get_progress(struct state_reader *in, int epochs, struct progress *ret)
{
    uint32_t epoch = state_reader_u32(in);
    *ret = (struct progress){.epoch = (int)epoch, .seconds = state_reader_f64(in)};
    if (epoch > (uint32_t)epochs || !isfinite(ret->seconds) || ret->seconds < 0)
        return false;
    ret->curve = state_reader_place(in);
    state_reader_skip(in, (uint64_t)epoch * EPOCH_BYTES);
    return !in->failed;
}

/* The second pass. */
static int take(const char *name, struct state_reader *in, const struct progress *p,
                struct trainer_state *s, struct error *err)
{
    size_t size = (size_t)p->epoch * EPOCH_BYTES;
    state_reader_go(in, p->curve);
    state_reader_get(in, s->curve, size);
    s->kind->get(s->training, p->epoch, s->epochs, in, true);
    if (in->failed) {
        s->kind->restart(s->training);
        return error_set(err, ERROR_SYSTEM, "'%s' cannot be read", name);
    }
    s->seconds = p->seconds;
    return 1;
}

static int decode(const char *name, struct state_reader *in, struct trainer_state *s,
                  struct error *err)
{
    struct progress p;
    int status = state_reader_check(in, name, err);
    if (!status)
        status = check_identity(name, in, s->identity, err);
    if (status)
        return status;
    if (!get_progress(in, s->epochs, &p))
        return refuse(name, "stands at a place that this training does not pass", err);
    const char *wrong = s->kind->get(s->training, p.epoch, s->epochs, in, false);
    if (!wrong && (in->failed || state_reader_left(in) > 0))
        wrong = "does not fit the network";
    return wrong ? refuse(name, wrong, err) : take(name, in, &p, s, err);
}

int trainer_state_decode(const char *name, const void *data, size_t size,
                         struct trainer_state *s, struct error *err)
{
    struct state_reader in;
    state_reader_init(&in, data, size);
    return decode(name, &in, s, err);
}

/* The most that a file of this training can take. */
static uint64_t largest(const struct trainer_state *s)
{
    return STATE_FILE_HEADER + 4 + IDENTITY_MOST + 12 +
           (uint64_t)s->epochs * EPOCH_BYTES + s->kind->most(s->training);
}

int trainer_state_read(const char *path, struct trainer_state *s, struct error *err)
{
    struct state_reader in;
    int status = state_reader_open(&in, path, largest(s), err);
    if (status <= 0)
        return status;
    status = decode(path, &in, s, err);
    state_reader_close(&in);
    return status;
}
