/* SPDX-License-Identifier: Apache-2.0 */
/* The table of checks and what it says. Checks that need a program of their own to fail
 * are met in tests/e2e/doctor.py; here are those that need a wrong setup. */
#include "master/doctor/doctor.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

static struct config config;
static struct doctor_finding finding;

static struct doctor_setup make_setup(const char *folder, const char *program)
{
    config_defaults(&config);
    finding = (struct doctor_finding){0};
    return (struct doctor_setup){
        .config = &config, .folder = folder, .program = program, .clock = &clock_system};
}

static void finds(enum doctor_verdict verdict, const char *part)
{
    ck_assert_int_eq(finding.verdict, verdict);
    ck_assert_msg(strstr(finding.text, part), "'%s' lacks '%s'", finding.text, part);
    ck_assert_int_eq(finding.advice[0] != '\0', verdict >= DOCTOR_WARNING);
}

START_TEST(a_program_that_fails)
{
    struct doctor_setup s = make_setup(".", "false");
    doctor_start(&s, &finding);
    finds(DOCTOR_PROBLEM, "false --version ends with status 1");
    s.program = "true";
    doctor_start(&s, &finding);
    finds(DOCTOR_OK, "the program starts in");
}
END_TEST

START_TEST(a_folder_that_is_gone)
{
    struct doctor_setup s = make_setup("/no/such/folder", "true");
    doctor_locks(&s, &finding);
    finds(DOCTOR_PROBLEM, "cannot make a folder in /no/such/folder: No such file");
    doctor_writes(&s, &finding);
    finds(DOCTOR_PROBLEM, "cannot make a folder");
    doctor_snapshot(&s, &finding);
    finds(DOCTOR_PROBLEM, "cannot make a folder");
    doctor_room(&s, &finding);
    finds(DOCTOR_WARNING, "cannot ask for the room");
}
END_TEST

START_TEST(the_worst_counts)
{
    struct doctor_finding *all = calloc((size_t)doctor_count(), sizeof *all);
    struct text out;
    ck_assert_int_eq(doctor_worst(all), DOCTOR_OK);
    doctor_say(&all[2], DOCTOR_WARNING, "do this", "two is %d", 2);
    ck_assert_int_eq(doctor_worst(all), DOCTOR_WARNING);
    doctor_say(&all[0], DOCTOR_PROBLEM, "do that", "bad");
    doctor_say(&all[1], DOCTOR_SKIPPED, NULL, "none");
    ck_assert_int_eq(doctor_worst(all), DOCTOR_PROBLEM);
    text_init(&out);
    doctor_format(all, &out);
    ck_assert_ptr_nonnull(strstr(out.data, "PROBLEM  mpirun          bad\n"));
    ck_assert_ptr_nonnull(strstr(out.data, " -> do that\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "two is 2\n"));
    ck_assert_ptr_nonnull(strstr(out.data, "\n1 problem, 1 warning\n"));
    text_fini(&out);
    json_t *json = doctor_json(all);
    ck_assert_str_eq(json_string_value(json_object_get(json, "verdict")), "problem");
    ck_assert_uint_eq(json_array_size(json_object_get(json, "checks")),
                      (size_t)doctor_count());
    json_decref(json);
    free(all);
}
END_TEST

UNIT_MAIN("doctor", a_program_that_fails, a_folder_that_is_gone, the_worst_counts)
