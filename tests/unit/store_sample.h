/* SPDX-License-Identifier: Apache-2.0 */
/* A snapshot with everything in it, for the tests of the store. */
#ifndef ARCHWAY_TESTS_STORE_SAMPLE_H
#define ARCHWAY_TESTS_STORE_SAMPLE_H

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/rng.h"
#include "master/store.h"

/* A double of any bits, NaNs with payloads among them. */
static inline double sample_double(struct rng *rng)
{
    static const uint64_t special[] = {0x7ff8000000000000, 0x7ff8deadbeef0001,
                                       0xfff0000000000001, 0x7ff0000000000000,
                                       0x8000000000000000, 1};
    uint64_t bits = rng_u64(rng);
    double v;
    if (rng_below(rng, 4) == 0)
        bits = special[rng_below(rng, 6)];
    memcpy(&v, &bits, sizeof v);
    return v;
}

static inline struct trial_epoch *sample_epochs(struct rng *rng, uint32_t count)
{
    struct trial_epoch *e = calloc(count ? count : 1, sizeof *e);
    uint8_t *bytes = (uint8_t *)e;
    ck_assert_ptr_nonnull(e);
    for (size_t i = 0; i < count * sizeof *e; i++)
        bytes[i] = (uint8_t)rng_u32(rng);
    return e;
}

/* Trial `id` in a state that suits it; every field differs from trial to trial. */
static inline struct trial sample_trial(struct rng *rng, uint64_t id, uint32_t epochs)
{
    struct trial t = {.id = id,
                      .arm = (uint8_t)rng_below(rng, ARM_COUNT),
                      .state = id ? (uint8_t)rng_below(rng, TRIAL_SAVED + 1) : TRIAL_DONE,
                      .failure = (uint8_t)rng_below(rng, FAILURE_START + 1),
                      .attempts = (uint16_t)rng_below(rng, 65536),
                      .worker = (int32_t)rng_u32(rng),
                      .slot = (int32_t)rng_u32(rng),
                      .arm_index = rng_u64(rng),
                      .seed = rng_u64(rng),
                      .policy_version = rng_u32(rng),
                      .same_as = -1,
                      .hash = {rng_u64(rng), rng_u64(rng)},
                      .log_probability = sample_double(rng),
                      .val_accuracy = sample_double(rng),
                      .reward = sample_double(rng),
                      .seconds = sample_double(rng),
                      .params = sample_double(rng),
                      .flops = sample_double(rng),
                      .proposed_at = sample_double(rng),
                      .finished_at = sample_double(rng)};
    t.epoch_count = rng_below(rng, epochs + 1);
    if ((t.state == TRIAL_QUEUED || t.state == TRIAL_RUNNING) && id % 3) {
        t.saved_seconds = 1.0 / (double)id;
        t.saved_epochs = (uint32_t)id * 7 % TRIAL_MAX_EPOCHS;
    }
    t.kind = (uint8_t)(id % TRIAL_KIND_COUNT);
    if (t.kind != TRIAL_TRAIN_CHILD)
        t.shared = (struct trial_shared){id << 33, (int32_t)(id % 5) - 1};
    if (rng_below(rng, 3) > 0)
        snprintf(t.kernels, sizeof t.kernels, "kernels %u", rng_u32(rng));
    if (t.state == TRIAL_WAITING || t.state == TRIAL_SAVED)
        t.same_as = rng_below(rng, (uint32_t)id);
    t.architecture = calloc(1, sizeof *t.architecture);
    ck_assert_ptr_nonnull(t.architecture);
    t.architecture->depth = (uint16_t)rng_u32(rng);
    t.architecture->count = (uint16_t)rng_below(rng, id % 100 == 7 ? 1025 : 40);
    for (int i = 0; i < t.architecture->count; i++)
        t.architecture->tokens[i] = (uint16_t)rng_u32(rng);
    t.epochs = sample_epochs(rng, t.epoch_count);
    if (t.state == TRIAL_FAILED)
        t.reason = strdup("killed by signal 9 \xe2\x80\x94 out of memory?");
    return t;
}

static inline void sample_state(struct state *s)
{
    const size_t dims[4] = {2, 3, 4, 5}, empty[2] = {0, 3}, wide[2] = {700, 1000};
    uint8_t *data = calloc(700 * 1000, 4);
    ck_assert_ptr_nonnull(data);
    for (size_t i = 0; i < 700 * 1000 * 4; i++)
        data[i] = (uint8_t)(i * 2654435761u >> 13);
    struct error err = {0};
    int status = 0;
    status |= state_put(s, "controller/weights", STATE_F32, 2, wide, data, &err);
    status |= state_put(s, "optimizer/adam/m", STATE_F64, 4, dims, data, &err);
    status |= state_put(s, "memory/tokens", STATE_U16, 3, dims, data, &err);
    status |= state_put(s, "memory/ages", STATE_I64, 1, dims, data, &err);
    status |= state_put(s, "control/flags", STATE_U8, 2, dims, data, &err);
    status |= state_put(s, "control/none", STATE_F32, 2, empty, data, &err);
    status |= state_put_f64(s, "controller/baseline", -0.0, &err);
    status |= state_put_i64(s, "metadata", INT64_MIN, &err);
    ck_assert_msg(status == 0, "%s", err.text);
    free(data);
}

/* Caller frees with snapshot_fini. */
static inline struct snapshot sample_snapshot(uint64_t seed, uint64_t trials,
                                              uint32_t epochs)
{
    struct snapshot s = {.journal_offset = seed, .told = 1ULL << 50};
    struct rng rng;
    struct error err = {0};
    rng_init(&rng, seed, RNG_TEST, 0);
    config_defaults(&s.config);
    s.config.seed = seed | 1ULL << 62;
    strcpy(s.config.name, "sample");
    ck_assert_int_eq(ledger_new(&s.ledger, NULL), 0);
    for (uint64_t id = 0; id < trials; id++) {
        struct trial t = sample_trial(&rng, id, epochs);
        int status = ledger_add(s.ledger, &t, &err);
        if (status != 0)
            ck_abort_msg("%s", err.text);
    }
    *ledger_hours(s.ledger) = (struct ledger_hours){1, 2, 3, 4, 5, NAN, 7};
    state_init(&s.state);
    sample_state(&s.state);
    return s;
}

#endif
