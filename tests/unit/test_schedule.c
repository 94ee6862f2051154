/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/schedule.h"
#include "unit.h"

static struct config_builtin_trainer settings(int name)
{
    struct config_builtin_trainer s = {.epochs = 10};
    s.optimizer.lr = 0.5;
    s.schedule.name = name;
    s.schedule.every = 3;
    s.schedule.factor = 0.1;
    s.schedule.final = 0.2;
    return s;
}

START_TEST(constant_stays)
{
    struct config_builtin_trainer s = settings(SCHEDULE_CONSTANT);
    for (int epoch = 0; epoch < 10; epoch++)
        ck_assert(schedule_rate(&s, epoch) == 0.5);
}
END_TEST

START_TEST(step_drops_every_so_many_epochs)
{
    static const double want[10] = {0.5,  0.5,   0.5,   0.05,  0.05,
                                    0.05, 0.005, 0.005, 0.005, 0.0005};
    struct config_builtin_trainer s = settings(SCHEDULE_STEP);
    for (int epoch = 0; epoch < 10; epoch++)
        ck_assert_double_eq_tol(schedule_rate(&s, epoch), want[epoch], 1e-15);
}
END_TEST

START_TEST(step_of_no_length_never_drops)
{
    struct config_builtin_trainer s = settings(SCHEDULE_STEP);
    s.schedule.every = 0;
    ck_assert(schedule_rate(&s, 9) == 0.5);
}
END_TEST

/* torch.optim.lr_scheduler.CosineAnnealingLR(T_max=10, eta_min=0.1) from 0.5 */
START_TEST(cosine_matches_published_values)
{
    static const double want[10] = {0.5,
                                    0.49021130325903074,
                                    0.461803398874989,
                                    0.4175570504584947,
                                    0.3618033988749895,
                                    0.3,
                                    0.2381966011250105,
                                    0.18244294954150543,
                                    0.13819660112501057,
                                    0.10978869674096935};
    struct config_builtin_trainer s = settings(SCHEDULE_COSINE);
    for (int epoch = 0; epoch < 10; epoch++)
        ck_assert_double_eq_tol(schedule_rate(&s, epoch), want[epoch], 1e-12);
}
END_TEST

START_TEST(one_epoch_has_the_first_rate)
{
    for (int name = SCHEDULE_CONSTANT; name <= SCHEDULE_COSINE; name++) {
        struct config_builtin_trainer s = settings(name);
        s.epochs = 1;
        ck_assert(schedule_rate(&s, 0) == 0.5);
    }
}
END_TEST

UNIT_MAIN("schedule", constant_stays, step_drops_every_so_many_epochs,
          step_of_no_length_never_drops, cosine_matches_published_values,
          one_epoch_has_the_first_rate)
