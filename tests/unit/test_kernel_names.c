/* SPDX-License-Identifier: Apache-2.0 */
#include "common/kernel_names.h"

#include <string.h>

#include "unit.h"

static struct config with(int kernels)
{
    struct config c;
    config_defaults(&c);
    c.trainer.builtin.kernels = kernels;
    return c;
}

START_TEST(what_is_not_there_is_refused)
{
    char picked[TRIAL_KERNELS] = "as before";
    struct config c = with(KERNELS_AVX512);
    struct error err = {0};
    ck_assert_int_eq(kernel_names_pick(&c, "avx2 generic", picked, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "trainer.builtin.kernels is avx512"));
    ck_assert_ptr_nonnull(strstr(err.text, "avx2 generic"));
    ck_assert_ptr_nonnull(strstr(err.text, "ARCHWAY_KERNELS"));
    c = with(KERNELS_GENERIC);
    ck_assert_int_eq(kernel_names_pick(&c, "", picked, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "nothing"));
    ck_assert_str_eq(picked, "as before");
}
END_TEST

START_TEST(the_key_chooses_or_else_the_fastest)
{
    static const struct {
        int kernels;
        const char *list, *picked;
    } cases[] = {{KERNELS_AUTO, "avx512 avx2 generic", "avx512"},
                 {KERNELS_AUTO, "generic", "generic"},
                 {KERNELS_AUTO, "", ""},
                 {KERNELS_AVX2, "avx512 avx2 generic", "avx2"},
                 {KERNELS_GENERIC, "avx2 generic", "generic"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char picked[TRIAL_KERNELS];
        struct config c = with(cases[i].kernels);
        ck_assert_int_eq(kernel_names_pick(&c, cases[i].list, picked, NULL), 0);
        ck_assert_str_eq(picked, cases[i].picked);
    }
}
END_TEST

START_TEST(only_whole_names_are_contained)
{
    ck_assert(!kernel_names_contain("", "avx2"));
    ck_assert(!kernel_names_contain("avx2 generic", ""));
    ck_assert(!kernel_names_contain("avx2 generic", "avx"));
    ck_assert(!kernel_names_contain("avx2 generic", "avx2 generic"));
    ck_assert(!kernel_names_contain("avx512", "avx5120"));
    ck_assert(kernel_names_contain("avx2 generic", "avx2"));
    ck_assert(kernel_names_contain("avx2 generic", "generic"));
}
END_TEST

START_TEST(a_full_list_stays_a_text)
{
    char list[12] = "";
    kernel_names_add(list, sizeof list, "avx2");
    ck_assert_str_eq(list, "avx2");
    kernel_names_add(list, sizeof list, "generic");
    ck_assert_str_eq(list, "avx2 generi");
    kernel_names_add(list, sizeof list, "more");
    ck_assert_str_eq(list, "avx2 generi");
}
END_TEST

UNIT_MAIN("kernel_names", what_is_not_there_is_refused,
          the_key_chooses_or_else_the_fastest, only_whole_names_are_contained,
          a_full_list_stays_a_text)
