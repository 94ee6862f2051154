/* SPDX-License-Identifier: Apache-2.0 */
/* The controller learns: on a synthetic reward its mean reaches 0.9 of the optimum within
 * a fixed number of samples for each of five seeds, and uniform sampling does not. */
#include "search_rig.h"

enum { SEEDS = 5, SAMPLES = 3200, WINDOW = 400 };

/* Mean reward of the last WINDOW of SAMPLES trials, with the published constants. */
static double final_mean(int strategy, uint64_t seed, int mode)
{
    static struct proposal p[8];
    struct config config = rig_config(6, false);
    struct search_rig g;
    double sum = 0;
    config.seed = seed;
    config.run.mode = mode;
    search_rig_init(&g, &config, strategy);
    for (uint64_t id = 0; id < SAMPLES; id += 8) {
        for (uint64_t k = 0; k < 8; k++)
            ck_assert_int_eq(search_rig_ask(&g, id + k, &p[k]), SEARCH_TASK);
        for (uint64_t k = 0; k < 8; k++) {
            double reward = search_reward(&p[k].architecture);
            search_rig_tell(&g, id + k, &p[k], reward);
            sum += id >= SAMPLES - WINDOW ? reward : 0;
        }
    }
    search_rig_fini(&g);
    return sum / WINDOW;
}

START_TEST(controller_reaches_the_optimum)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        double mean = final_mean(STRATEGY_REINFORCE, seed, MODE_SYNC);
        ck_assert_msg(mean > 0.9, "seed %d: mean %g", (int)seed, mean);
    }
    ck_assert_double_gt(final_mean(STRATEGY_REINFORCE, 1, MODE_ASYNC), 0.9);
}
END_TEST

START_TEST(uniform_sampling_does_not)
{
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        ck_assert_double_eq_tol(final_mean(STRATEGY_RANDOM, seed, MODE_SYNC), 0.271,
                                0.03);
}
END_TEST

UNIT_MAIN("learning", controller_reaches_the_optimum, uniform_sampling_does_not)
