/* SPDX-License-Identifier: Apache-2.0 */
#include "worker/kernel_choice.h"

#include <string.h>

#include "common/kernel_names.h"
#include "common/nn/kernels.h"
#include "unit.h"

START_TEST(a_cap_that_is_no_name_is_refused)
{
    char list[KERNEL_NAMES] = "as before";
    struct error err = {0};
    struct config c;
    config_defaults(&c);
    struct config before = c;
    ck_assert_int_eq(kernel_choice_list("sse", list, sizeof list, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "ARCHWAY_KERNELS is 'sse'"));
    for (int i = 0; nn_kernels_all[i]; i++)
        ck_assert_ptr_nonnull(strstr(err.text, nn_kernels_all[i]->name));
    ck_assert_str_eq(list, "as before");
    ck_assert_int_eq(kernel_choice_settle(&c, "auto", &err), ERROR_INPUT);
    ck_assert_mem_eq(&c, &before, sizeof c);
}
END_TEST

START_TEST(every_table_is_a_choice_of_the_key)
{
    const char *const *choices = config_find("trainer.builtin.kernels")->choices;
    for (int i = 0; nn_kernels_all[i]; i++) {
        int k = KERNELS_AUTO + 1;
        while (choices[k] && strcmp(choices[k], nn_kernels_all[i]->name) != 0)
            k++;
        ck_assert_msg(choices[k], "%s is no choice", nn_kernels_all[i]->name);
    }
}
END_TEST

START_TEST(a_cap_forces_faster_ones_off)
{
    for (int cap = 0; nn_kernels_all[cap]; cap++) {
        char list[KERNEL_NAMES], want[KERNEL_NAMES] = "";
        for (int i = cap; nn_kernels_all[i]; i++)
            if (nn_kernels_all[i]->runs_here())
                kernel_names_add(want, sizeof want, nn_kernels_all[i]->name);
        ck_assert_int_eq(
            kernel_choice_list(nn_kernels_all[cap]->name, list, sizeof list, NULL), 0);
        ck_assert_str_eq(list, want);
        ck_assert_ptr_nonnull(strstr(list, "generic")); /* which runs everywhere */
    }
}
END_TEST

START_TEST(no_cap_leaves_all_that_run_here)
{
    static const char *const caps[] = {NULL, ""};
    const struct nn_kernels *first = NULL;
    ck_assert_int_eq(nn_kernels_find(NULL, &first, NULL), 0);
    for (int i = 0; i < 2; i++) {
        struct config c;
        config_defaults(&c);
        ck_assert_int_eq(kernel_choice_settle(&c, caps[i], NULL), 0);
        ck_assert_str_eq(kernel_names_wanted(&c), first->name);
    }
}
END_TEST

START_TEST(the_key_chooses_below_the_cap_and_not_above)
{
    struct config c;
    struct error err = {0};
    config_defaults(&c);
    c.trainer.builtin.kernels = KERNELS_GENERIC;
    ck_assert_int_eq(kernel_choice_settle(&c, nn_kernels_all[0]->name, NULL), 0);
    ck_assert_int_eq(c.trainer.builtin.kernels, KERNELS_GENERIC);
    c.trainer.builtin.kernels = KERNELS_AUTO;
    ck_assert_int_eq(kernel_choice_settle(&c, "generic", NULL), 0);
    ck_assert_int_eq(c.trainer.builtin.kernels, KERNELS_GENERIC);
    c.trainer.builtin.kernels = KERNELS_AVX2;
    ck_assert_int_eq(kernel_choice_settle(&c, "generic", &err), ERROR_INPUT);
    ck_assert_int_eq(c.trainer.builtin.kernels, KERNELS_AVX2);
    ck_assert_ptr_nonnull(strstr(err.text, "trainer.builtin.kernels is avx2"));
}
END_TEST

UNIT_MAIN("kernel_choice", a_cap_that_is_no_name_is_refused,
          every_table_is_a_choice_of_the_key, a_cap_forces_faster_ones_off,
          no_cap_leaves_all_that_run_here, the_key_chooses_below_the_cap_and_not_above)
