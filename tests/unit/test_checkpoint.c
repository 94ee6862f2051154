/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/checkpoint.h"
#include "checkpoint_rig.h"
#include "temp_folder.h"

#include <string.h>
#include <sys/stat.h>

#include "common/rng.h"
#include "common/text.h"
#include "worker/threads.h"

static struct temp_folder temp;
static struct checkpoint_rig rig;

static void setup(void)
{
    rig_open(&rig, temp.path);
}

static void save(const char *path, const struct checkpoint_trial *t)
{
    struct error err = {0};
    ck_assert_msg(checkpoint_write(path, &t->training, &t->c, &err) == 0, "%s", err.text);
}

static void refused(const char *path, struct checkpoint_trial *t, const char *part)
{
    struct error err = {0};
    struct training_position before = t->training.position;
    ck_assert_int_lt(checkpoint_read(path, &t->training, &t->c, &err), 0);
    ck_assert_msg(strstr(err.text, part), "'%s' is not in: %s", part, err.text);
    ck_assert_msg(strstr(err.text, path), "%s", err.text);
    ck_assert_mem_eq(&before, &t->training.position, sizeof before);
}

START_TEST(bad_arguments)
{
    struct checkpoint_trial t;
    struct error err = {0};
    rig_begin(&rig, &t);
    ck_assert_int_eq(checkpoint_read("/nowhere/x", &t.training, &t.c, &err), 0);
    ck_assert_int_eq(checkpoint_write("/nowhere/x", &t.training, &t.c, &err),
                     ERROR_SYSTEM);
    ck_assert_msg(strstr(err.text, "/nowhere/x"), "%s", err.text);
    refused(temp.path, &t, "Is a directory");
    rig_end(&t);
}
END_TEST

static void same_bits(struct checkpoint_trial *a, struct checkpoint_trial *b)
{
    size_t count = nn_graph_parameter_count(a->training.graph);
    ck_assert_mem_eq(nn_graph_parameters(a->training.graph),
                     nn_graph_parameters(b->training.graph), count * sizeof(float));
    for (int i = 0; i < RIG_EPOCHS; i++) {
        const struct trial_epoch *x = &a->c.curve[i], *y = &b->c.curve[i];
        ck_assert(x->train_loss == y->train_loss && x->val_loss == y->val_loss);
        ck_assert(x->train_accuracy == y->train_accuracy);
        ck_assert(x->val_accuracy == y->val_accuracy && x->lr == y->lr);
    }
}

/* Stopped at every batch of training and validation there is, with either optimiser and
 * with one thread and two, and gone on with from the file by a fresh training. */
START_TEST(any_stop_gives_the_same_bits)
{
    const char *path = temp_folder_file(&temp, "any");
    int stops = 0;
    for (int kind = 0; kind < 4; kind++) {
        struct checkpoint_trial calm, first, second;
        rig.config.trainer.builtin.optimizer.name = kind % 2;
        rig.config.resources.threads_per_trial = 1 + kind / 2;
        threads_set(1 + kind / 2);
        rig_begin(&rig, &calm);
        ck_assert(rig_train(&calm, 10000));
        for (int steps = 0;; steps++, stops++) {
            rig_begin(&rig, &first);
            bool over = rig_train(&first, steps);
            save(path, &first);
            rig_end(&first);
            rig_begin(&rig, &second);
            ck_assert_int_eq(checkpoint_read(path, &second.training, &second.c, NULL), 1);
            ck_assert(rig_train(&second, 10000));
            same_bits(&calm, &second);
            rig_end(&second);
            if (over)
                break;
        }
        rig_end(&calm);
    }
    ck_assert_int_eq(stops, 4 * RIG_EPOCHS * (7 + 2));
}
END_TEST

START_TEST(seconds_are_kept)
{
    struct checkpoint_trial t;
    const char *path = temp_folder_file(&temp, "seconds");
    rig_begin(&rig, &t);
    rig_train(&t, 10);
    t.c.seconds = 12.5;
    save(path, &t);
    rig_end(&t);
    rig_begin(&rig, &t);
    ck_assert_int_eq(checkpoint_read(path, &t.training, &t.c, NULL), 1);
    ck_assert(t.c.seconds == 12.5 && t.training.position.seconds > 0);
    rig_end(&t);
}
END_TEST

START_TEST(states_of_other_trainings_are_refused)
{
    struct checkpoint_trial t, other;
    char path[512];
    snprintf(path, sizeof path, "%s", temp_folder_file(&temp, "other"));
    rig_begin(&rig, &t);
    rig_train(&t, 12);
    save(path, &t);
    rig_end(&t);
    rig.order.seed++;
    rig_begin(&rig, &other);
    refused(path, &other, "\"trial seed: 4\" there, \"trial seed: 5\" here");
    rig_end(&other);
    rig.order.seed--;
    rig.config.trainer.builtin.optimizer.lr *= 2;
    rig_begin(&rig, &other);
    refused(path, &other, "\"lr: 0.1\" there, \"lr: 0.2\" here");
    rig_end(&other);
    rig.config.trainer.builtin.optimizer.lr /= 2;
    rig.config.resources.threads_per_trial = 2;
    rig_begin(&rig, &other);
    refused(path, &other, "threads_per_trial");
    rig_end(&other);
    rig.config.resources.threads_per_trial = 1;
    rig.config.resources.memory_per_trial *= 2; /* decides about nothing */
    rig_begin(&rig, &other);
    ck_assert_int_eq(checkpoint_read(path, &other.training, &other.c, NULL), 1);
    rig_end(&other);
}
END_TEST

/* Cut off anywhere, or with any bit turned: refused, never taken. */
START_TEST(damage_is_found)
{
    struct checkpoint_trial t;
    char path[512], *text, *copy;
    size_t size;
    snprintf(path, sizeof path, "%s", temp_folder_file(&temp, "damaged"));
    rig_begin(&rig, &t);
    rig_train(&t, 12);
    save(path, &t);
    rig_end(&t);
    rig_begin(&rig, &t);
    ck_assert_int_eq(text_read_file(path, 1 << 20, &text, &size, NULL), 0);
    copy = malloc(size);
    for (size_t cut = 0; cut < size; cut += cut < 100 ? 1 : 37) {
        int got = checkpoint_decode("x", text, cut, &t.training, &t.c, NULL);
        ck_assert_int_lt(got, 0);
    }
    for (size_t at = 0; at < size; at += at < 100 ? 1 : 11) {
        memcpy(copy, text, size);
        copy[at] ^= (char)(1 << at % 8);
        int got = checkpoint_decode("x", copy, size, &t.training, &t.c, NULL);
        ck_assert_int_lt(got, 0);
    }
    ck_assert_int_eq(t.training.position.at, 0);
    text[8] = 9;
    ck_assert_int_eq(text_write_file(path, text, size, NULL), 0);
    refused(path, &t, "is of version 9, this program reads 1");
    text[8] = 1;
    ck_assert_int_eq(text_write_file(path, text, size - 1, NULL), 0);
    refused(path, &t, "is cut off");
    ck_assert_int_eq(truncate(path, 1 << 30), 0);
    refused(path, &t, "is larger than");
    free(text);
    free(copy);
    rig_end(&t);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {bad_arguments,    any_stop_gives_the_same_bits,
                                  seconds_are_kept, states_of_other_trainings_are_refused,
                                  damage_is_found,  NULL};
    return temp_folder_main("checkpoint", tests, &temp, setup);
}
