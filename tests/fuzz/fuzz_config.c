/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration file. What is read and holds no contradiction must be written in a form
 * that reads back to the same. The part behind a NUL is an assignment as for --set. */
#include "fuzz.h"

#include <string.h>

#include "common/config.h"

static void write_again(const struct config *config)
{
    static struct config again;
    struct error err;
    char *text = config_write(config, false);
    FUZZ_CHECK(text);
    if (config_parse("written", text, strlen(text), &again, &err) != 0) {
        fprintf(stderr, "%s\n%s", err.text, text);
        FUZZ_CHECK(!"what was written is not read");
    }
    char *difference = config_difference(config, &again, false);
    FUZZ_CHECK(difference && !*difference);
    free(difference);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    struct error err;
    if (size > FUZZ_INPUT_MAX)
        return 0;
    const uint8_t *nul = size ? memchr(data, 0, size) : NULL;
    size_t length = nul ? (size_t)(nul - data) : size;
    if (config_parse("input", (const char *)data, length, &config, &err) != 0)
        return 0;
    write_again(&config);
    if (nul) {
        char *assignment = strndup((const char *)nul + 1, size - length - 1);
        FUZZ_CHECK(assignment);
        if (config_set(&config, assignment, &err) == 0 &&
            config_check(&config, "input", &err) == 0)
            write_again(&config);
        free(assignment);
    }
    return 0;
}
