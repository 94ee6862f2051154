/* SPDX-License-Identifier: Apache-2.0 */
/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011) from Random123.
 *
 * The key is the run's seed; the counter is (purpose, trial, step). There is no state to
 * save or to share: the same key and counter give the same number on any rank, in any
 * order, before and after a resume. A stream walks the last counter word. */
#ifndef ARCHWAY_COMMON_RNG_H
#define ARCHWAY_COMMON_RNG_H

#include <stdint.h>

/* What a stream of numbers is for. The values are part of the file format: append only. */
enum rng_purpose {
    RNG_TEST = 0,
    RNG_CONTROLLER_INIT = 1, /* initial weights of a controller */
    RNG_CONTROLLER_SAMPLE = 2, /* tokens that a controller samples; trial = trial id */
    RNG_RANDOM_ARM = 3, /* uniform architectures of random search */
    RNG_TRIAL_SEED = 4, /* seed handed to a trainer */
    RNG_CHILD_INIT = 5, /* initial weights of a child network (key: the trial's seed) */
    RNG_CHILD_SHUFFLE = 6, /* order of the training images; trial = epoch */
    RNG_CHILD_AUGMENT = 7, /* crops and flips; trial = epoch */
    RNG_DATA_SPLIT = 8, /* which images are for training, which for validation */
    RNG_DATA_GENERATE = 9, /* generated data sets */
    RNG_BOOTSTRAP = 10, /* resampling in statistics */
    RNG_MEMORY = 11, /* choices of the memory buffer */
    RNG_SEARCH = 12, /* other choices of a search strategy */
    RNG_SIMULATION = 13, /* simulated durations, rewards and faults */
    RNG_CHAOS = 14, /* rehearsed faults; step = attempt */
    RNG_DROPOUT = 15 /* masks of a recurrent child; trial = window */
};

struct rng {
    uint32_t key[2];
    uint32_t counter[4]; /* {step, purpose, trial low, trial high} */
    uint32_t block[4];   /* numbers of the current step */
    uint32_t used;       /* how many of block are spent */
};

/* A stream for (seed, purpose, trial), starting at step 0. */
void rng_init(struct rng *rng, uint64_t seed, enum rng_purpose purpose, uint64_t trial);
/* Four numbers at one counter, without a stream. */
void rng_block(uint64_t seed, enum rng_purpose purpose, uint64_t trial, uint32_t step,
               uint32_t ret[4]);
uint32_t rng_u32(struct rng *rng);
uint64_t rng_u64(struct rng *rng);
float rng_float(struct rng *rng);   /* uniform in [0, 1), 24 bits */
double rng_double(struct rng *rng); /* uniform in [0, 1), 53 bits */
/* Uniform in {0, ..., n-1}, without modulo bias; n > 0. */
uint32_t rng_below(struct rng *rng, uint32_t n);
double rng_normal(struct rng *rng); /* mean 0, variance 1 (Box-Muller, one of the pair) */

#endif
