/* SPDX-License-Identifier: Apache-2.0 */
/* archway-trainer as people call it: arguments and --time. */
#include "trainer_talk.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <jansson.h>

START_TEST(wrong_arguments_are_usage)
{
    static char *const argv[][5] = {{"archway-trainer", "--dance", NULL},
                                    {"archway-trainer", "--time", NULL},
                                    {"archway-trainer", "--time", "x.yaml", "-1", NULL},
                                    {"archway-trainer", "--time", "/nowhere.yaml", NULL}};
    static const char *const parts[] = {"usage", "usage", "-1", "/nowhere.yaml"};
    struct talk t;
    talk_begin(&t, argv[_i]);
    ck_assert_int_eq(talk_end(&t, parts[_i]), 2);
}
END_TEST

/* Run --time on the small configuration; its standard output is in t->buffer. */
static void time_it(struct talk *t, const char *architecture)
{
    char path[] = "/tmp/archway-test-XXXXXX";
    struct config config = talk_config();
    char *text = config_write(&config, false);
    char *argv[] = {"archway-trainer", "--time", path, "0.2", NULL};
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq((int)write(fd, text, strlen(text)), (int)strlen(text));
    close(fd);
    free(text);
    talk_begin(t, argv);
    talk_say(t, architecture);
    close(t->to);
    t->to = -1;
    ssize_t n;
    while ((n = read(t->from, t->buffer + t->used, sizeof t->buffer - t->used)) > 0)
        t->used += (size_t)n;
    unlink(path);
}

START_TEST(time_measures)
{
    struct talk t;
    time_it(&t, TALK_TWO_LAYERS);
    json_t *json = json_loadb(t.buffer, t.used, 0, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert(json_number_value(json_object_get(json, "images_per_second")) > 0);
    double rate =
        json_number_value(json_object_get(json, "validation_images_per_second"));
    ck_assert(rate > 0);
    ck_assert(json_number_value(json_object_get(json, "seconds_per_trial")) > 0);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "batch")), 32);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "threads")), 1);
    ck_assert_ptr_nonnull(json_string_value(json_object_get(json, "kernels")));
    ck_assert(json_number_value(json_object_get(json, "params")) ==
              36 + 12 + 504 + 16 + 27);
    json_decref(json);
    ck_assert_int_eq(talk_end(&t, ""), 0);
}
END_TEST

START_TEST(time_refuses_what_is_no_architecture)
{
    static const char *const bad[] = {"", "[", "{}"};
    struct talk t;
    time_it(&t, bad[_i]);
    ck_assert_int_eq((int)t.used, 0);
    ck_assert_int_eq(talk_end(&t, _i == 2 ? "layers" : "standard input"), 2);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainer_time");
    TCase *tc = tcase_create("trainer_time");
    tcase_set_timeout(tc, 120);
    tcase_add_loop_test(tc, wrong_arguments_are_usage, 0, 4);
    tcase_add_test(tc, time_measures);
    tcase_add_loop_test(tc, time_refuses_what_is_no_architecture, 0, 3);
    suite_add_tcase(suite, tc);
    return talk_main(suite);
}
