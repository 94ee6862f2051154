/* SPDX-License-Identifier: Apache-2.0 */
/* What every unit test program shares: one suite of one case list, run, exit status. */
#ifndef ARCHWAY_TESTS_UNIT_H
#define ARCHWAY_TESTS_UNIT_H

#include <check.h>
#include <stdlib.h>

/* Run the given tests as one suite; returns main's exit status. `tests` ends with NULL. */
static inline int unit_main(const char *name, const TTest *const *tests)
{
    Suite *suite = suite_create(name);
    TCase *tc = tcase_create(name);
    tcase_set_timeout(tc, 120);
    for (; *tests; tests++)
        tcase_add_test(tc, *tests);
    suite_add_tcase(suite, tc);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define UNIT_MAIN(name, ...)                                                             \
    int main(void)                                                                       \
    {                                                                                    \
        const TTest *const tests[] = {__VA_ARGS__, NULL};                                \
        return unit_main(name, tests);                                                   \
    }

#endif
