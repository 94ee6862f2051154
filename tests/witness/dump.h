/* SPDX-License-Identifier: Apache-2.0 */
/* What programs that let a witness see a language model from inside have in common:
 *
 *   PROGRAM FOLDER < SPEC.json
 *
 * Writes FOLDER/weights.f32 (flat) and start.f32 (the state), both as they are at first,
 * text.i32 (windows * steps + 1, batch), gradients.f32 (of every window, flat) and
 * states.f32 (after every window); of a model with alpha also alpha.f32 and alphas.f32
 * (its gradients). Prints the number of weights, what the model itself has to say, the
 * loss of every window, each followed by a step of plain SGD, and that of the first
 * window, without a step, when all is done. Raw little-endian numbers. */
#ifndef ARCHWAY_TESTS_WITNESS_DUMP_H
#define ARCHWAY_TESTS_WITNESS_DUMP_H

#include <stddef.h>
#include <stdint.h>
#include <jansson.h>

#include "common/error.h"
#include "common/nn/recurrent.h"

/* What every specification has; kernels may be missing: the fastest. */
struct dump_spec {
    int vocabulary, hidden, steps, batch, threads, windows;
    bool norm;
    const char *kernels; /* NULL: the fastest; lives as long as the JSON */
    uint64_t seed;
    double rate; /* of SGD */
};

struct dump {
    struct dump_spec spec;
    size_t weight_count, state_count, alpha_count; /* set by `open` */
    float *weights, *state, *alpha;
    int32_t *text;
    float *gradients, *states, *alphas; /* a window after the other */
    void *model;                        /* of the program */
};

/* One kind of model. */
struct dump_model {
    const char *name; /* of the program */
    /* Read what the specification has beyond dump_spec, make d->model and set the counts.
     */
    int (*open)(const json_t *json, struct dump *d, struct error *err);
    void (*close)(struct dump *d); /* after an `open` that failed as well */
    double (*loss)(struct dump *d, const struct recurrent_window *w);
    /* alpha: its gradient, where there is one. */
    double (*gradient)(struct dump *d, const struct recurrent_window *w, float *gradient,
                       float *alpha);
    /* Before the first window: set keys of `out`, write further files. */
    int (*describe)(struct dump *d, const char *folder, json_t *out, struct error *err);
};

/* Exit status of the program. */
int dump_main(int argc, char **argv, const struct dump_model *model);

/* The i-th window of the text. */
struct recurrent_window dump_window(const struct dump *d, int i, float *state);
/* FOLDER/NAME: these numbers. */
int dump_write(const char *folder, const char *name, const void *data, size_t count,
               struct error *err);

#endif
