/* SPDX-License-Identifier: Apache-2.0 */
/* How the real archway-trainer converses: greetings, bad lines, cancel, stop, ends. */
#include "worker/trainer_loop.h"
#include "trainer_talk.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"

static const struct {
    const char *line, *part;
} bad_lines[] = {
    {"", "not JSON"},
    {"hello", "not JSON"},
    {"[1, 2]", "type"},
    {"{}", "type"},
    {"{\"type\": 7}", "type"},
    {"{\"type\": \"dance\"}", "dance"},
    {"{\"type\": \"hello\"}", "protocol"},
    {"{\"type\": \"hello\", \"protocol\": 99}", "99"},
    {"{\"type\": \"cancel\", \"trial\": 1, \"attempt\": 1}", "hello first"},
    {"{\"type\": \"task\", \"trial\": 1, \"attempt\": 1, \"seed\": 1, \"architecture\": "
     "{}}",
     "hello first"},
};

START_TEST(bad_first_line_ends_it)
{
    struct talk t;
    talk_begin(&t, NULL);
    talk_say(&t, bad_lines[_i].line);
    ck_assert_int_eq(talk_end(&t, bad_lines[_i].part), 1);
}
END_TEST

START_TEST(overlong_line_ends_it)
{
    struct talk t;
    char *line = malloc(TRAINER_LINE_MAX + 100000);
    memset(line, 'x', TRAINER_LINE_MAX + 99999);
    line[TRAINER_LINE_MAX + 99999] = '\0';
    talk_begin(&t, NULL);
    talk_say(&t, line);
    free(line);
    ck_assert_int_eq(talk_end(&t, "bytes"), 1);
}
END_TEST

START_TEST(missing_data_is_named)
{
    struct talk t;
    struct config config = talk_config();
    config.task.data.format = DATA_IDX;
    strcpy(config.task.data.path, "/nowhere/at/all");
    talk_begin(&t, NULL);
    talk_say_hello(&t, &config);
    int to = t.to;
    t.to = -1; /* stays open: the end of the input would end it without an error */
    ck_assert_int_eq(talk_end(&t, "/nowhere/at/all"), 2);
    close(to);
}
END_TEST

START_TEST(second_hello_ends_it)
{
    struct talk t;
    struct config config = talk_config();
    talk_start(&t, &config);
    talk_say_hello(&t, &config);
    ck_assert_int_eq(talk_end(&t, "hello twice"), 1);
}
END_TEST

START_TEST(bad_line_during_training_ends_it)
{
    struct talk t;
    struct config config = talk_config();
    talk_start(&t, &config);
    talk_say_task(&t, 1, 1, 1, TALK_ONE_LAYER, "{\"epochs\":10000}");
    talk_hear(&t);
    talk_say(&t, "{\"type\": \"dance\"}");
    ck_assert_int_eq(talk_end(&t, "dance"), 1);
}
END_TEST

START_TEST(too_many_tasks_end_it)
{
    struct talk t;
    struct config config = talk_config();
    talk_start(&t, &config);
    talk_say_task(&t, 1, 1, 1, TALK_ONE_LAYER, "{\"epochs\":10000}");
    talk_hear(&t);
    for (int i = 0; i <= TRAINER_LOOP_QUEUE; i++)
        talk_say_task(&t, 2 + (uint64_t)i, 1, 1, TALK_ONE_LAYER, "{}");
    ck_assert_int_eq(talk_end(&t, "wait already"), 1);
}
END_TEST

START_TEST(end_of_input_before_hello_is_no_error)
{
    struct talk t;
    talk_begin(&t, NULL);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

START_TEST(stop_is_heeded)
{
    struct talk t;
    struct config config = talk_config();
    talk_start(&t, &config);
    if (_i) {
        talk_say_task(&t, 1, 1, 1, TALK_ONE_LAYER, "{\"epochs\":10000}");
        talk_hear(&t);
    }
    talk_say(&t, "{\"type\":\"stop\"}");
    int to = t.to;
    t.to = -1; /* stay open: it must not be the end of the input that ends it */
    ck_assert_int_eq(talk_end(&t, ""), 0);
    close(to);
}
END_TEST

START_TEST(end_of_input_ends_a_training)
{
    struct talk t;
    struct config config = talk_config();
    talk_start(&t, &config);
    talk_say_task(&t, 1, 1, 1, TALK_ONE_LAYER, "{\"epochs\":10000}");
    talk_hear(&t);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

START_TEST(reader_that_is_gone_ends_it)
{
    struct talk t;
    struct config config = talk_config();
    talk_start(&t, &config);
    talk_say_task(&t, 1, 1, 1, TALK_ONE_LAYER, "{\"epochs\":10000}");
    talk_hear(&t);
    close(t.from);
    t.from = open("/dev/null", O_RDONLY);
    int to = t.to;
    t.to = -1;
    ck_assert_int_eq(talk_end(&t, "agent"), 1);
    close(to);
}
END_TEST

START_TEST(cancel_ends_the_running_task)
{
    struct talk t;
    struct config config = talk_config();
    struct trial_epoch curve[2];
    talk_start(&t, &config);
    talk_say(&t,
             "{\"type\":\"cancel\",\"trial\":77,\"attempt\":1}"); /* unknown: ignored */
    talk_say_task(&t, 1, 2, 1, TALK_ONE_LAYER, "{\"epochs\":10000}");
    talk_say_task(&t, 2, 1, 1, TALK_ONE_LAYER, "{}");
    talk_hear(&t);
    talk_say(&t, "{\"type\":\"cancel\",\"trial\":1,\"attempt\":1}"); /* another attempt */
    talk_hear(&t);
    talk_say(&t, "{\"type\":\"cancel\",\"trial\":1,\"attempt\":2}");
    double start_at = clock_now(&clock_system);
    struct trainer_line line = talk_hear_until_failure(&t);
    ck_assert_uint_eq(line.trial, 1);
    ck_assert_msg(strstr(line.reason, "cancelled after"), "%s", line.reason);
    ck_assert_double_lt(clock_now(&clock_system) - start_at, 2);
    ck_assert_int_eq(talk_hear_curve(&t, 2, curve, 2), 2);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

/* An answer never overtakes: the cancelled one that waits is answered in its turn. */
START_TEST(cancel_of_a_waiting_task_is_answered_in_order)
{
    struct talk t;
    struct config config = talk_config();
    struct trial_epoch curve[50];
    talk_start(&t, &config);
    talk_say_task(&t, 1, 1, 1, TALK_ONE_LAYER, "{\"epochs\":50}");
    talk_say_task(&t, 2, 1, 1, TALK_ONE_LAYER, "{}");
    talk_say_task(&t, 3, 1, 1, TALK_ONE_LAYER, "{}");
    talk_say(&t, "{\"type\":\"cancel\",\"trial\":2,\"attempt\":1}");
    ck_assert_int_eq(talk_hear_curve(&t, 1, curve, 50), 50);
    talk_hear_failure(&t, 2, "cancelled after 0 epochs");
    ck_assert_int_eq(talk_hear_curve(&t, 3, curve, 50), 2);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainer_loop");
    TCase *tc = tcase_create("trainer_loop");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, bad_first_line_ends_it, 0,
                        sizeof bad_lines / sizeof *bad_lines);
    tcase_add_test(tc, overlong_line_ends_it);
    tcase_add_test(tc, missing_data_is_named);
    tcase_add_test(tc, second_hello_ends_it);
    tcase_add_test(tc, bad_line_during_training_ends_it);
    tcase_add_test(tc, too_many_tasks_end_it);
    tcase_add_test(tc, end_of_input_before_hello_is_no_error);
    tcase_add_loop_test(tc, stop_is_heeded, 0, 2);
    tcase_add_test(tc, end_of_input_ends_a_training);
    tcase_add_test(tc, reader_that_is_gone_ends_it);
    tcase_add_test(tc, cancel_ends_the_running_task);
    tcase_add_test(tc, cancel_of_a_waiting_task_is_answered_in_order);
    suite_add_tcase(suite, tc);
    return talk_main(suite);
}
