/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/trainer_side.h"

#include <stdio.h>
#include <string.h>

#include "proto/trainer_protocol.h"
#include "unit.h"

static struct config config;

static int decode(const char *text, struct trainer_order *ret, struct error *err)
{
    return trainer_side_decode(text, strlen(text), &config, ret, err);
}

#define HELLO "{\"type\":\"hello\",\"protocol\":1,\"run\":\"r\",\"seed\":7,\"slot\":0,"
#define LIMITS "\"threads\":2,\"memory\":0,\"cache\":\"/c\",\"reward\":{}"

#define TASK "{\"type\":\"task\",\"trial\":1,\"attempt\":1,\"seed\":1,\"architecture\":{}"

START_TEST(bad_lines_have_one_clear_error)
{
    static const struct {
        const char *line, *text;
    } bad[] = {
        {"", "not JSON"},
        {"{\"type\":\"task\"", "not JSON"},
        {"[]", "\"type\" is missing"},
        {"{}", "\"type\" is missing"},
        {"{\"type\":\"dance\"}", "unknown type \"dance\""},
        {"{\"type\":\"task\"}", "\"trial\" is missing"},
        {"{\"type\":\"cancel\",\"trial\":\"1\"}", "\"trial\" must be an integer from 0"},
        {"{\"type\":\"cancel\",\"trial\":1,\"attempt\":-1}", "\"attempt\" must be"},
        {"{\"type\":\"task\",\"trial\":1,\"attempt\":1}", "\"seed\" is missing"},
        {"{\"type\":\"task\",\"trial\":1,\"attempt\":1,\"seed\":1}",
         "\"architecture\" must be an object"},
        {"{\"type\":\"task\",\"trial\":1,\"attempt\":1,\"seed\":1,\"architecture\":{},"
         "\"hyperparameters\":[]}",
         "\"hyperparameters\" must be an object"},
        {TASK ",\"checkpoint\":7}", "\"checkpoint\" must be a path of 1 to"},
        {TASK ",\"checkpoint\":\"\"}", "\"checkpoint\" must be a path of 1 to"},
        {TASK ",\"checkpoint\":\"x\",\"checkpoint_every\":-1}",
         "\"checkpoint_every\" must be a number of seconds"},
        {"{\"type\":\"checkpoint\",\"trial\":1}", "\"attempt\" is missing"},
        {"{\"type\":\"hello\",\"protocol\":9}",
         "the agent speaks protocol 9, this trainer 1"},
        {HELLO LIMITS "}", "\"task\" must be an object"},
        {HELLO LIMITS ",\"task\":{},\"trainer\":5}", "\"trainer\" must be an object"},
        {HELLO LIMITS ",\"task\":{},\"trainer\":{\"builtin\":{\"epochs\":0}}}",
         "trainer.builtin.epochs"},
        {HELLO LIMITS ",\"task\":{\"data\":{\"format\":\"png\"}},\"trainer\":{}}",
         "task.data.format"},
        {HELLO "\"threads\":0,\"task\":{},\"trainer\":{},\"reward\":{}}",
         "\"threads\" must be an integer from 1"},
    };
    config_defaults(&config);
    struct config before = config;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trainer_order order = {.slot = 4711};
        struct error err = {0};
        ck_assert_msg(decode(bad[i].line, &order, &err) == ERROR_PEER, "%s", bad[i].line);
        ck_assert_int_eq(err.status, ERROR_PEER);
        ck_assert_msg(strstr(err.text, bad[i].text), "'%s' is not in '%s'", bad[i].text,
                      err.text);
        ck_assert_int_eq(order.slot, 4711);
        ck_assert_mem_eq(&config, &before, sizeof config);
        ck_assert_int_eq(decode(bad[i].line, &order, NULL), ERROR_PEER);
    }
    trainer_order_fini(NULL);
}
END_TEST

/* A configuration in which nothing the trainer needs is the default. */
static void fill(struct config *c)
{
    static const char *const settings[] = {
        "name=fashion \"2\"", "seed=99", "task.data.format=generated",
        "task.data.classes=7", "task.data.height=9", "task.data.images=600",
        "task.data.whiten=none", "task.train=100", "task.validation=50",
        "trainer.builtin.epochs=3", "trainer.builtin.batch=17",
        "trainer.builtin.optimizer.lr=0.0123456789",
        "trainer.builtin.optimizer.nesterov=false",
        "trainer.builtin.schedule.name=cosine", "trainer.builtin.schedule.final=0.25",
        "trainer.builtin.augment.pad=4", "reward.last_epochs=2", "reward.power=1",
        "resources.threads_per_trial=3", "resources.memory_per_trial=2GiB",
    };
    config_defaults(c);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        struct error err = {0};
        ck_assert_msg(config_set(c, settings[i], &err) == 0, "%s", err.text);
    }
}

START_TEST(a_greeting_carries_what_the_trainer_needs)
{
    struct config sent;
    struct trainer_order order;
    struct error err = {0};
    fill(&sent);
    char *text = trainer_encode_hello(&sent, 5, "/cache", NULL);
    ck_assert_ptr_nonnull(text);
    ck_assert_ptr_null(strchr(text, '\n'));
    config_defaults(&config);
    config.search.batch = 4711;
    ck_assert_msg(decode(text, &order, &err) == 0, "%s", err.text);
    ck_assert_int_eq(order.type, ORDER_HELLO);
    ck_assert_int_eq(order.slot, 5);
    ck_assert_str_eq(config.name, "fashion \"2\"");
    ck_assert_uint_eq(config.seed, 99);
    ck_assert_mem_eq(&config.task.data, &sent.task.data, sizeof sent.task.data);
    ck_assert_int_eq(config.task.train, 100);
    ck_assert_int_eq(config.task.validation, 50);
    ck_assert_mem_eq(&config.trainer.builtin, &sent.trainer.builtin,
                     sizeof sent.trainer.builtin);
    ck_assert_int_eq(config.reward.last_epochs, 2);
    ck_assert_int_eq(config.resources.threads_per_trial, 3);
    ck_assert_int_eq(config.resources.memory_per_trial, 2LL << 30);
    ck_assert_str_eq(config.run.cache, "/cache");
    ck_assert_int_ne(config.search.batch, 4711); /* the default */
    trainer_order_fini(&order);
    free(text);
}
END_TEST

START_TEST(of_the_trainers_only_the_chosen_is_described)
{
    struct config sent;
    config_defaults(&sent);
    ck_assert_int_eq(config_set(&sent, "trainer.command=[python3, \"my train.py\"]", NULL),
                     0);
    char *text = trainer_encode_hello(&sent, 0, NULL, NULL);
    json_t *hello = json_loads(text, 0, NULL);
    json_t *trainer = json_object_get(hello, "trainer");
    ck_assert_uint_eq(json_object_size(trainer), 1);
    json_t *command = json_object_get(trainer, "command");
    ck_assert_uint_eq(json_array_size(command), 2);
    ck_assert_str_eq(json_string_value(json_array_get(command, 1)), "my train.py");
    ck_assert_str_eq(json_string_value(json_object_get(hello, "cache")), "");
    json_decref(hello);
    free(text);
    ck_assert_int_eq(config_set(&sent, "trainer.command=[]", NULL), 0);
    text = trainer_encode_hello(&sent, 0, NULL, NULL);
    ck_assert_ptr_null(strstr(text, "command"));
    ck_assert_ptr_nonnull(strstr(text, "\"builtin\":{\"epochs\":"));
    free(text);
}
END_TEST

START_TEST(tasks_are_read)
{
    struct trainer_order order;
    struct error err = {0};
    char *text =
        trainer_encode_task(&(struct trainer_task){.trial = 12,
                                                   .attempt = 2,
                                                   .seed = 34,
                                                   .architecture = "{\"layers\":[1]}",
                                                   .hyperparameters = "{\"epochs\":4}"});
    ck_assert_msg(decode(text, &order, &err) == 0, "%s", err.text);
    ck_assert_int_eq(order.type, ORDER_TASK);
    ck_assert_uint_eq(order.trial, 12);
    ck_assert_int_eq(order.attempt, 2);
    ck_assert_uint_eq(order.seed, 34);
    ck_assert_uint_eq(json_array_size(json_object_get(order.architecture, "layers")), 1);
    ck_assert_uint_eq(json_object_size(order.hyperparameters), 1);
    trainer_order_fini(&order);
    free(text);
    ck_assert_int_eq(decode("{\"type\":\"task\",\"trial\":1,\"attempt\":1,\"seed\":1,"
                            "\"architecture\":{}}",
                            &order, NULL),
                     0);
    ck_assert_uint_eq(json_object_size(order.hyperparameters), 0);
    ck_assert_ptr_null(order.checkpoint);
    trainer_order_fini(&order);
    text = trainer_encode_task(&(struct trainer_task){
        .trial = 1, .attempt = 1, .seed = 1, .checkpoint = {"/a b", 90}});
    ck_assert_int_eq(decode(text, &order, NULL), 0);
    ck_assert_str_eq(order.checkpoint, "/a b");
    ck_assert(order.checkpoint_every == 90);
    trainer_order_fini(&order);
    free(text);
    text = trainer_encode_checkpoint(12, 2);
    ck_assert_int_eq(decode(text, &order, NULL), 0);
    ck_assert_int_eq(order.type, ORDER_CHECKPOINT);
    ck_assert(order.trial == 12 && order.attempt == 2);
    free(text);
}
END_TEST

START_TEST(cancel_and_stop_are_read)
{
    struct trainer_order order;
    char *text = trainer_encode_cancel(12, 2);
    ck_assert_int_eq(decode(text, &order, NULL), 0);
    ck_assert_int_eq(order.type, ORDER_CANCEL);
    ck_assert_uint_eq(order.trial, 12);
    ck_assert_int_eq(order.attempt, 2);
    free(text);
    text = trainer_encode_stop();
    ck_assert_int_eq(decode(text, &order, NULL), 0);
    ck_assert_int_eq(order.type, ORDER_STOP);
    free(text);
}
END_TEST

static int override(const char *text, struct error *err)
{
    json_t *object = json_loads(text, 0, NULL);
    ck_assert_ptr_nonnull(object);
    int rc = trainer_side_override(&config, object, err);
    json_decref(object);
    return rc;
}

START_TEST(bad_hyperparameters_change_nothing)
{
    static const struct {
        const char *object, *text;
    } bad[] = {
        {"{\"epoch\":3}", "trainer.builtin.epoch"},
        {"{\"epochs\":3,\"batch\":0}", "trainer.builtin.batch"},
        {"{\"optimizer\":{\"lr\":\"fast\"}}", "trainer.builtin.optimizer.lr"},
        {"{\"optimizer\":{\"name\":\"lbfgs\"}}", "trainer.builtin.optimizer.name"},
        {"{\"optimizer\":{\"momentum\":0}}", "hyperparameters: trainer.builtin.optimizer"},
        {"{\"kernels\":\"generic\"}", "\"kernels\" cannot differ from trial to trial"},
        {"{\"a=b\":1}", "unknown key below trainer.builtin"},
        {"{\"a\":{\"b\":{\"c\":{\"d\":{\"e\":{\"f\":{\"g\":{\"h\":{\"i\":1}}}}}}}}}",
         "unknown key below"},
    };
    config_defaults(&config);
    struct config before = config;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct error err = {0};
        ck_assert_int_eq(override(bad[i].object, &err), ERROR_PEER);
        ck_assert_msg(strstr(err.text, bad[i].text), "'%s' is not in '%s'", bad[i].text,
                      err.text);
        ck_assert_mem_eq(&config, &before, sizeof config);
    }
}
END_TEST

START_TEST(hyperparameters_override_the_builtin_trainer)
{
    struct error err = {0};
    config_defaults(&config);
    struct config before = config;
    ck_assert_int_eq(override("{}", &err), 0);
    ck_assert_mem_eq(&config, &before, sizeof config);
    ck_assert_msg(override("{\"epochs\":4,\"optimizer\":{\"lr\":0.05,\"nesterov\":false},"
                           "\"schedule.name\":\"cosine\"}",
                           &err) == 0,
                  "%s", err.text);
    ck_assert_int_eq(config.trainer.builtin.epochs, 4);
    ck_assert_double_eq(config.trainer.builtin.optimizer.lr, 0.05);
    ck_assert(!config.trainer.builtin.optimizer.nesterov);
    ck_assert_int_eq(config.trainer.builtin.schedule.name, SCHEDULE_COSINE);
    ck_assert_int_eq(config.trainer.builtin.batch, before.trainer.builtin.batch);
}
END_TEST

/* Of a text, whose hello does not tell the space. */
START_TEST(hyperparameters_of_a_text)
{
    static const char *const keys[] = {"task.kind=language-model",
                                       "task.data.format=generated-text",
                                       "trainer.builtin.optimizer.momentum=0",
                                       "trainer.builtin.optimizer.nesterov=false",
                                       "reward.metric=val_loss",
                                       "trainer.builtin.epochs=9"};
    struct error err = {0};
    config_defaults(&config);
    config.task.train = config.task.validation = 0;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        ck_assert_msg(config_set(&config, keys[i], &err) == 0, "%s", err.text);
    int space = config.space.name;
    ck_assert_msg(override("{\"epochs\":4,\"recurrent\":{\"bptt\":7}}", &err) == 0, "%s",
                  err.text);
    ck_assert_int_eq(config.trainer.builtin.epochs, 4);
    ck_assert_int_eq(config.trainer.builtin.recurrent.bptt, 7);
    ck_assert_int_eq(config.space.name, space);
    ck_assert_int_eq(override("{\"optimizer.momentum\":0.9}", &err), ERROR_PEER);
}
END_TEST

UNIT_MAIN("trainer_side", bad_lines_have_one_clear_error,
          a_greeting_carries_what_the_trainer_needs,
          of_the_trainers_only_the_chosen_is_described, tasks_are_read,
          cancel_and_stop_are_read, bad_hyperparameters_change_nothing,
          hyperparameters_override_the_builtin_trainer, hyperparameters_of_a_text)
