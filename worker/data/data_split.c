/* SPDX-License-Identifier: Apache-2.0 */
/* Which images are for training, which for validation: a permutation drawn from the run's
 * seed alone, so that every node and every resumed run has the same split. */
#include "worker/data/data_format.h"

#include "common/rng.h"

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

int data_split_sizes(const struct config_task *task, int available, int *ret_train,
                     int *ret_validation, struct error *err)
{
    int sixth = available / 6, train = task->train, validation = task->validation;
    if (train < 0 || validation < 0)
        return error_set(err, ERROR_INPUT,
                         "task.train is %d and task.validation is %d: neither may be "
                         "negative",
                         train, validation);
    if (train == 0)
        train = smaller(available - sixth, available - validation);
    if (validation == 0)
        validation = smaller(sixth, available - train);
    if (train < 1 || validation < 1 || (int64_t)train + validation > available)
        return error_set(err, ERROR_INPUT,
                         "task.train (%d) and task.validation (%d) do not fit: the "
                         "training files hold %d images, and each part needs one or more",
                         task->train, task->validation, available);
    *ret_train = train;
    *ret_validation = validation;
    return 0;
}

void data_split_order(uint64_t seed, int available, uint32_t *ret)
{
    struct rng rng;
    rng_init(&rng, seed, RNG_DATA_SPLIT, 0);
    for (uint32_t i = 0; i < (uint32_t)available; i++) {
        uint32_t j = rng_below(&rng, i + 1); /* Fisher-Yates, inside out */
        if (j != i)
            ret[i] = ret[j];
        ret[j] = i;
    }
}
