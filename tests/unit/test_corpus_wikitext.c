/* SPDX-License-Identifier: Apache-2.0 */
/* WikiText-2, where it lies beside the source tree: the counts that are published. */
#include "unit.h"

#include <stdio.h>

#include "worker/data/corpus.h"

enum { SKIPPED = 77 };

#define WIKITEXT SOURCE_ROOT "/../shared/data/wikitext-2"

START_TEST(wikitext_has_the_published_counts)
{
    static struct config config;
    struct data_facts facts;
    struct error err = {0};
    config_defaults(&config);
    config.task.data.format = DATA_TEXT;
    snprintf(config.task.data.path, sizeof config.task.data.path, "%s", WIKITEXT);
    ck_assert_msg(corpus_inspect(&config, &facts, &err) == 0, "%s", err.text);
    ck_assert_int_eq(facts.train, 2088628);
    ck_assert_int_eq(facts.validation, 217646);
    ck_assert_int_eq(facts.test_images, 245569);
    ck_assert_int_eq(facts.vocabulary, 33278);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {wikitext_has_the_published_counts, NULL};
    if (corpus_present(WIKITEXT))
        return unit_main("corpus_wikitext", tests);
    printf("skipped: there is no %s\n", WIKITEXT);
    return SKIPPED;
}
