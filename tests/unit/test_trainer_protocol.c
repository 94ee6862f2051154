/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/trainer_protocol.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/bytes.h"
#include "common/rng.h"
#include "proto/trainer_side.h"
#include "unit.h"

static int decode(const char *text, struct trainer_line *ret, struct error *err)
{
    return trainer_decode_line(text, strlen(text), "val_accuracy", ret, err);
}

#define P "{\"type\":\"progress\",\"trial\":1,\"attempt\":1,"
#define C "{\"type\":\"checkpoint\",\"trial\":1,\"attempt\":1"
#define R "{\"type\":\"result\",\"trial\":1,\"attempt\":1,"

START_TEST(bad_lines_have_one_clear_error)
{
    static const struct {
        const char *line, *text;
    } bad[] = {
        {"", "not a JSON object: an object expected at byte 1 of \"\""},
        {"Epoch 1: loss 0.3",
         "not a JSON object: an object expected at byte 1 of \"Epoch 1: loss 0.3\" (only "
         "protocol lines may be written to standard output)"},
        {"[1]", "an object expected at byte 1"},
        {"{\"type\":\"stop\"", "',' or '}' expected at byte 15"},
        {"{\"type\":\"ready\",\"protocol\":1} x",
         "the end of the line expected at byte 31"},
        {"{\"type\":\"re\x01y\"}",
         "no control character in a string expected at byte 12"},
        {"{\"type\":\"re\xffy\"}", "UTF-8 in a string expected at byte 12"},
        {"{}", "line: \"type\" is missing"},
        {"{\"type\":7}", "line: \"type\" is a number, a string is needed"},
        {"{\"type\":\"metrics\"}",
         "the line's type is \"metrics\", allowed are ready, progress, result, "
         "checkpoint, behind, lanes and missing"},
        {"{\"type\":\"lanes\",\"fd\":3,\"samples\":0,\"stride\":4096}",
         "lanes: \"samples\" is 0, allowed are 1 to 1024"},
        {"{\"type\":\"lanes\",\"fd\":3,\"samples\":2}", "lanes: \"stride\" is missing"},
        {"{\"type\":\"missing\",\"round\":-1}", "missing: \"round\" is -1"},
        {"{\"type\":\"ready\"}", "ready: \"protocol\" is missing"},
        {"{\"type\":\"ready\",\"protocol\":2}",
         "ready: the trainer speaks protocol 2, this program 1"},
        {"{\"type\":\"ready\",\"protocol\":\"1\"}",
         "ready: \"protocol\" is a string, an integer is needed"},
        {"{\"type\":\"ready\",\"protocol\":1,\"name\":{}}",
         "ready: \"name\" is an object, a string is needed"},
        {"{\"type\":\"ready\",\"protocol\":1,\"kernels\":2}",
         "ready: \"kernels\" is a number, a string is needed"},
        {"{\"type\":\"ready\",\"protocol\":1,\"queue\":-1}",
         "ready: \"queue\" is -1, allowed are 0 to 1024"},
        {"{\"type\":\"progress\"}", "progress: \"trial\" is missing"},
        {"{\"type\":\"progress\",\"trial\":1}", "progress: \"attempt\" is missing"},
        {"{\"type\":\"progress\",\"trial\":1.0,\"attempt\":1}",
         "progress: \"trial\" must be an integer, without fraction or exponent"},
        {"{\"type\":\"progress\",\"trial\":-1,\"attempt\":1}",
         "progress: \"trial\" is -1, allowed are 0 to 9223372036854775807"},
        {"{\"type\":\"progress\",\"trial\":99999999999999999999,\"attempt\":1}",
         "progress: \"trial\" is 99999999999999999999, allowed are 0 to"},
        {"{\"type\":\"progress\",\"trial\":1,\"attempt\":null}",
         "progress: \"attempt\" is null, an integer is needed"},
        {P "\"metrics\":{}}", "progress: \"epoch\" is missing"},
        {P "\"epoch\":0,\"metrics\":{}}",
         "progress: \"epoch\" is 0, allowed are 1 to 10000"},
        {P "\"epoch\":10001,\"metrics\":{}}", "\"epoch\" is 10001"},
        {P "\"epoch\":1}", "progress: \"metrics\" is missing"},
        {P "\"epoch\":1,\"metrics\":[]}",
         "progress: \"metrics\" is a list, an object is needed"},
        {P "\"epoch\":1,\"metrics\":{\"val_accuracy\":\"0.5\"}}",
         "progress: \"val_accuracy\" is a string, a number is needed"},
        {P "\"epoch\":1,\"metrics\":{},\"seconds\":-2}",
         "progress: \"seconds\" is -2, allowed is 0 and more"},
        {P "\"epoch\":1,\"metrics\":{},\"seconds\":true}",
         "progress: \"seconds\" is true or false, a number is needed"},
        {R "\"metrics\":{}}", "result: \"status\" is missing"},
        {R "\"status\":\"done\"}",
         "result: \"status\" is \"done\", allowed are \"ok\" and \"failed\""},
        {R "\"status\":\"ok\",\"params\":\"many\"}",
         "result: \"params\" is a string, a number is needed"},
        {R "\"status\":\"failed\",\"reason\":5}",
         "result: \"reason\" is a number, a string is needed"},
        {"{\"type\":\"ready\",\"protocol\":1,\"checkpoints\":1}",
         "ready: \"checkpoints\" is a number, true or false is needed"},
        {C "}", "checkpoint: \"status\" is missing"},
        {C ",\"status\":\"lost\"}", "checkpoint: \"status\" is \"lost\", allowed are"},
        {C ",\"status\":\"saved\"}", "checkpoint: \"epoch\" is missing"},
        {C ",\"status\":\"saved\",\"epoch\":10001}", "checkpoint: \"epoch\" is 10001"},
        {C ",\"status\":\"suspended\",\"epoch\":1,\"seconds\":-1}",
         "checkpoint: \"seconds\" is -1, allowed is 0 and more"},
        {C ",\"status\":\"refused\",\"reason\":1}",
         "checkpoint: \"reason\" is a number, a string is needed"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct trainer_line line = {.epoch = 4711};
        struct error err = {0};
        ck_assert_msg(decode(bad[i].line, &line, &err) == ERROR_PEER, "%s", bad[i].line);
        ck_assert_msg(strstr(err.text, bad[i].text), "'%s' is not in '%s'", bad[i].text,
                      err.text);
        ck_assert_uint_eq(line.epoch, 4711);
        ck_assert_int_eq(decode(bad[i].line, &line, NULL), ERROR_PEER);
    }
}
END_TEST

START_TEST(a_line_beyond_the_limit_is_refused)
{
    struct trainer_line line;
    struct error err = {0};
    char *text = malloc(TRAINER_LINE_MAX + 1);
    memset(text, ' ', TRAINER_LINE_MAX + 1);
    ck_assert_int_eq(trainer_decode_line(text, TRAINER_LINE_MAX + 1, "x", &line, &err),
                     ERROR_PEER);
    ck_assert_str_eq(err.text, "a line of 1048577 bytes, at most 1048576 are allowed");
    free(text);
}
END_TEST

START_TEST(ready_is_read)
{
    struct trainer_line line;
    ck_assert_int_eq(decode("{\"type\":\"ready\",\"protocol\":1}\r\n", &line, NULL), 0);
    ck_assert_int_eq(line.type, TRAINER_READY);
    ck_assert_int_eq(line.queue, 0);
    ck_assert_str_eq(line.name, "");
    ck_assert_str_eq(line.kernels, "");
    ck_assert(!line.checkpoints);
    ck_assert_int_eq(decode("{\"queue\":3,\"version\":\"2.1\",\"name\":\"mine\","
                            "\"extra\":[{}],\"protocol\":1,\"type\":\"ready\"}",
                            &line, NULL),
                     0);
    ck_assert_int_eq(line.queue, 3);
    ck_assert_str_eq(line.name, "mine 2.1");
    ck_assert_int_eq(decode("{\"type\":\"ready\",\"protocol\":1,\"kernels\":\""
                            "0123456789012345678901234567890123456789\"}",
                            &line, NULL),
                     0);
    ck_assert_str_eq(line.kernels, "0123456789012345678901234567890");
}
END_TEST

START_TEST(progress_is_read)
{
    struct trainer_line line;
    ck_assert_int_eq(decode(P "\"epoch\":3,\"metrics\":{\"train_loss\":1.5,"
                              "\"val_accuracy\":0.25,\"lr\":1e-1,\"other\":\"x\"},"
                              "\"seconds\":2,\"name\":7}",
                            &line, NULL),
                     0);
    ck_assert_int_eq(line.type, TRAINER_PROGRESS);
    ck_assert_uint_eq(line.trial, 1);
    ck_assert_int_eq(line.attempt, 1);
    ck_assert_uint_eq(line.epoch, 3);
    ck_assert_float_eq(line.values.train_loss, 1.5f);
    ck_assert_float_eq(line.values.val_accuracy, 0.25f);
    ck_assert_float_eq(line.values.lr, 0.1f);
    ck_assert_float_eq(line.values.seconds, 2);
    ck_assert(isnan(line.values.val_loss));
    ck_assert(line.has_metrics);
    ck_assert(!line.not_finite);
    ck_assert_int_eq(decode(P "\"epoch\":3,\"metrics\":{\"other\":1}}", &line, NULL), 0);
    ck_assert(!line.has_metrics);
    ck_assert(!line.not_finite);
}
END_TEST

START_TEST(a_reward_metric_that_is_no_number_is_told)
{
    static const char *const values[] = {"NaN", "Infinity", "-Infinity", "null", "1e999",
                                         "1e39"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[256];
        struct trainer_line line;
        struct error err = {0};
        snprintf(text, sizeof text, R "\"status\":\"ok\",\"metrics\":{\"val_accuracy\":%s}}",
                 values[i]);
        ck_assert_msg(decode(text, &line, &err) == 0, "%s: %s", text, err.text);
        ck_assert(line.has_metrics);
        ck_assert_msg(line.not_finite, "%s", text);
        snprintf(text, sizeof text,
                 P "\"epoch\":1,\"metrics\":{\"train_loss\":%s,\"val_accuracy\":0.5}}",
                 values[i]);
        ck_assert_int_eq(decode(text, &line, NULL), 0);
        ck_assert(!line.not_finite); /* not what the reward is made of */
        ck_assert_float_eq(line.values.val_accuracy, 0.5f);
    }
}
END_TEST

START_TEST(a_metric_of_another_name_is_the_accuracy)
{
    const char *text =
        R "\"status\":\"ok\",\"metrics\":{\"f1\":0.75,\"val_accuracy\":\"x\",\"val_loss\":2}}";
    struct trainer_line line;
    ck_assert_int_eq(trainer_decode_line(text, strlen(text), "f1", &line, NULL), 0);
    ck_assert_float_eq(line.values.val_accuracy, 0.75f);
    ck_assert_float_eq(line.values.val_loss, 2);
    text = R "\"status\":\"ok\",\"metrics\":{\"f1\":null}}";
    ck_assert_int_eq(trainer_decode_line(text, strlen(text), "f1", &line, NULL), 0);
    ck_assert(line.not_finite);
    text = R "\"status\":\"ok\",\"metrics\":{\"val_loss\":NaN,\"val_accuracy\":0.5}}";
    ck_assert_int_eq(trainer_decode_line(text, strlen(text), "val_loss", &line, NULL), 0);
    ck_assert(line.not_finite);
    ck_assert_float_eq(line.values.val_accuracy, 0.5f);
}
END_TEST

START_TEST(results_are_read)
{
    struct trainer_line line;
    ck_assert_int_eq(decode(R "\"status\":\"ok\",\"metrics\":{\"val_accuracy\":0.5},"
                              "\"params\":1.5e6,\"flops\":9,\"seconds\":2.5}",
                            &line, NULL),
                     0);
    ck_assert_int_eq(line.type, TRAINER_RESULT);
    ck_assert(!line.failed);
    ck_assert_double_eq(line.params, 1.5e6);
    ck_assert_double_eq(line.flops, 9);
    ck_assert_double_eq(line.seconds, 2.5);
    ck_assert_int_eq(decode(R "\"status\":\"ok\"}", &line, NULL), 0);
    ck_assert(!line.has_metrics);
    ck_assert(isnan(line.params) && isnan(line.flops) && isnan(line.seconds));
    ck_assert_int_eq(decode(R "\"status\":\"failed\",\"reason\":\"out of\\nmemory\"}", &line,
                            NULL),
                     0);
    ck_assert(line.failed);
    ck_assert_str_eq(line.reason, "out of memory");
    ck_assert_int_eq(decode(R "\"status\":\"failed\"}", &line, NULL), 0);
    ck_assert_str_eq(line.reason, "the trainer gave no reason");
}
END_TEST

START_TEST(an_architecture_is_borrowed_from_its_line)
{
    const char *text = R "\"status\":\"ok\",\"architecture\": {\"nodes\":[1,{}]} ,"
                         "\"log_probability\":-2.5,"
                         "\"metrics\":{\"train_loss\":2}}";
    struct trainer_line line;
    struct error err = {0};
    ck_assert_int_eq(decode(text, &line, NULL), 0);
    ck_assert_uint_eq(line.architecture_size, strlen("{\"nodes\":[1,{}]}"));
    ck_assert(line.architecture == strstr(text, "{\"nodes"));
    ck_assert_double_eq(line.log_probability, -2.5);
    ck_assert_int_eq(decode(R "\"status\":\"ok\"}", &line, NULL), 0);
    ck_assert(!line.architecture && isnan(line.log_probability));
    ck_assert_int_eq(decode(R "\"status\":\"ok\",\"architecture\":[]}", &line, &err),
                     ERROR_PEER);
    ck_assert_str_eq(err.text, "result: \"architecture\" is a list, an object is needed");
}
END_TEST

START_TEST(a_long_reason_is_cut)
{
    char text[2048], reason[1500];
    struct trainer_line line;
    memset(reason, 'r', sizeof reason - 1);
    reason[sizeof reason - 1] = '\0';
    snprintf(text, sizeof text, R "\"status\":\"failed\",\"reason\":\"%s\"}", reason);
    ck_assert_int_eq(decode(text, &line, NULL), 0);
    ck_assert_uint_eq(strlen(line.reason), TRIAL_REASON - 1);
}
END_TEST

START_TEST(what_the_trainer_writes_is_what_is_read)
{
    struct trial_epoch e = {1.25f, 0.1f, NAN, 0.87345678f, 1e-7f, 0.003f};
    struct trainer_line line;
    struct bytes b;
    bytes_init(&b);
    trainer_side_encode_ready("builtin", "0.1.0", "avx2", 2, true, &b);
    ck_assert_int_eq(b.data[b.size - 1], '\n');
    ck_assert_int_eq(trainer_decode_line((char *)b.data, b.size - 1, "val_accuracy", &line,
                                         NULL),
                     0);
    ck_assert_str_eq(line.name, "builtin 0.1.0");
    ck_assert(line.checkpoints);
    ck_assert_str_eq(line.kernels, "avx2");
    ck_assert_int_eq(line.queue, 2);
    bytes_clear(&b);
    trainer_side_encode_ready("builtin", "0.1.0", "avx2", 2, false, &b);
    ck_assert_int_eq(trainer_decode_line((char *)b.data, b.size - 1, "val_accuracy", &line,
                                         NULL),
                     0);
    ck_assert(!line.checkpoints);
    bytes_clear(&b);
    /* Of a text: no accuracies, and the perplexity belongs to the loss. */
    struct trial_epoch words = {2.5f, NAN, 1.5f, NAN, 20.f, 1.f};
    trainer_side_encode_progress(7, 1, 1, &words, &b);
    ck_assert_int_eq(trainer_decode_line((char *)b.data, b.size - 1, "val_perplexity", &line,
                                         NULL),
                     0);
    ck_assert_float_eq_tol(line.values.val_accuracy, 4.48169f, 1e-4f);
    ck_assert_float_eq(line.values.val_loss, 1.5f);
    bytes_clear(&b);
    trainer_side_encode_progress(INT64_MAX, 3, 10000, &e, &b);
    ck_assert_int_eq(trainer_decode_line((char *)b.data, b.size, "val_accuracy", &line, NULL),
                     0);
    ck_assert_uint_eq(line.trial, INT64_MAX);
    ck_assert_uint_eq(line.epoch, 10000);
    ck_assert_float_eq(line.values.val_accuracy, e.val_accuracy);
    ck_assert_float_eq(line.values.lr, e.lr);
    ck_assert_float_eq(line.values.seconds, e.seconds);
    ck_assert(isnan(line.values.val_loss));
    ck_assert(!line.not_finite);
    bytes_clear(&b);
    e.val_accuracy = NAN;
    trainer_side_encode_result(7, 1, &e, 1.5, 12345678, NAN, &b);
    ck_assert_int_eq(trainer_decode_line((char *)b.data, b.size, "val_accuracy", &line, NULL),
                     0);
    ck_assert(line.not_finite);
    ck_assert_double_eq(line.seconds, 1.5);
    ck_assert_double_eq(line.params, 12345678);
    ck_assert(isnan(line.flops));
    bytes_clear(&b);
    trainer_side_encode_failure(7, 1, "no \"memory\"", &b);
    ck_assert_int_eq(trainer_decode_line((char *)b.data, b.size, "val_accuracy", &line, NULL),
                     0);
    ck_assert_str_eq(line.reason, "no \"memory\"");
    bytes_clear(&b);
    trainer_side_encode_checkpoint(7, 2, CHECKPOINT_SUSPENDED, 3, 2.5, NULL, &b);
    ck_assert_int_eq(
        trainer_decode_line((char *)b.data, b.size, "val_accuracy", &line, NULL), 0);
    ck_assert_int_eq(line.type, TRAINER_CHECKPOINT);
    ck_assert_int_eq(line.checkpoint, CHECKPOINT_SUSPENDED);
    ck_assert(line.trial == 7 && line.attempt == 2 && line.epoch == 3 &&
              line.seconds == 2.5);
    bytes_clear(&b);
    trainer_side_encode_checkpoint(7, 2, CHECKPOINT_REFUSED, 0, NAN, "torn", &b);
    ck_assert_int_eq(
        trainer_decode_line((char *)b.data, b.size, "val_accuracy", &line, NULL), 0);
    ck_assert_int_eq(line.checkpoint, CHECKPOINT_REFUSED);
    ck_assert_str_eq(line.reason, "torn");
    bytes_fini(&b);
}
END_TEST

START_TEST(orders_are_on_one_line)
{
    char *text = trainer_encode_task(&(struct trainer_task){
        .trial = 5, .attempt = 2, .seed = UINT64_MAX, .architecture = "{\"layers\":[]}"});
    ck_assert_str_eq(text, "{\"type\":\"task\",\"trial\":5,\"attempt\":2,"
                           "\"seed\":9223372036854775807,"
                           "\"architecture\":{\"layers\":[]},\"hyperparameters\":{}}");
    free(text);
    text = trainer_encode_cancel(5, 2);
    ck_assert_str_eq(text, "{\"type\":\"cancel\",\"trial\":5,\"attempt\":2}");
    free(text);
    text = trainer_encode_task(&(struct trainer_task){
        .trial = 5, .attempt = 2, .seed = 1, .checkpoint = {"/a \"b", 60}});
    ck_assert_str_eq(text, "{\"type\":\"task\",\"trial\":5,\"attempt\":2,\"seed\":1,"
                           "\"architecture\":{},\"hyperparameters\":{},"
                           "\"checkpoint\":\"/a \\\"b\",\"checkpoint_every\":60}");
    free(text);
    text = trainer_encode_task(&(struct trainer_task){.trial = 5,
                                                      .attempt = 2,
                                                      .seed = 1,
                                                      .kind = TRIAL_EVAL_SHARED,
                                                      .shared = {700, -1}});
    ck_assert_str_eq(text, "{\"type\":\"task\",\"trial\":5,\"attempt\":2,\"seed\":1,"
                           "\"architecture\":{},\"hyperparameters\":{},"
                           "\"kind\":\"eval_shared\",\"step\":700,\"part\":-1}");
    free(text);
    text = trainer_encode_checkpoint(5, 2);
    ck_assert_str_eq(text, "{\"type\":\"checkpoint\",\"trial\":5,\"attempt\":2}");
    free(text);
    text = trainer_encode_stop();
    ck_assert_str_eq(text, "{\"type\":\"stop\"}");
    free(text);
}
END_TEST

START_TEST(damaged_lines_are_survived)
{
    static const char *const lines[] = {
        P "\"epoch\":3,\"metrics\":{\"train_loss\":1.5,\"val_accuracy\":0.25},\"seconds\":2}",
        R "\"status\":\"ok\",\"metrics\":{\"val_accuracy\":0.5},\"params\":1e6,\"flops\":9}",
        R "\"status\":\"failed\",\"reason\":\"out of memory\"}",
        "{\"type\":\"ready\",\"protocol\":1,\"name\":\"a\",\"version\":\"b\",\"queue\":2}",
    };
    uint64_t seed = (uint64_t)time(NULL);
    const char *given = getenv("ARCHWAY_TEST_SEED");
    if (given)
        seed = strtoull(given, NULL, 10);
    printf("damaged_lines_are_survived: ARCHWAY_TEST_SEED=%llu\n",
           (unsigned long long)seed);
    for (uint64_t round = 0; round < 50000; round++) {
        struct rng rng;
        struct trainer_line line;
        struct error err = {0};
        rng_init(&rng, seed, RNG_TEST, round);
        const char *good = lines[round % 4];
        size_t size = strlen(good);
        char *text = malloc(size); /* exact, so that a checker sees a read past the end */
        memcpy(text, good, size);
        for (uint32_t n = rng_below(&rng, 4); n > 0; n--)
            text[rng_below(&rng, (uint32_t)size)] =
                rng_below(&rng, 2) ? (char)rng_u32(&rng) : "{}[]:,\"\\09.-e"[rng_below(&rng, 13)];
        if (rng_below(&rng, 4) == 0)
            size = rng_below(&rng, (uint32_t)size);
        char *exact = malloc(size ? size : 1);
        memcpy(exact, text, size);
        int rc = trainer_decode_line(exact, size, "val_accuracy", &line, &err);
        ck_assert(rc == 0 || (rc == ERROR_PEER && err.text[0]));
        free(exact);
        free(text);
    }
}
END_TEST

UNIT_MAIN("trainer_protocol", bad_lines_have_one_clear_error,
          a_line_beyond_the_limit_is_refused, ready_is_read, progress_is_read,
          a_reward_metric_that_is_no_number_is_told,
          a_metric_of_another_name_is_the_accuracy, results_are_read,
          an_architecture_is_borrowed_from_its_line, a_long_reason_is_cut,
          what_the_trainer_writes_is_what_is_read, orders_are_on_one_line,
          damaged_lines_are_survived)
