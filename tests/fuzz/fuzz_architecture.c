/* SPDX-License-Identifier: Apache-2.0 */
/* An architecture from outside: as JSON (a task's, an exported file) or, when the first
 * byte is odd, as the tokens of a record. */
#include "fuzz.h"

#include <string.h>

#include "common/space/conv_chain.h"
#include "common/space/space.h"

static void use_chain(const struct conv_chain *chain)
{
    struct bytes canonical;
    double params, flops;
    char line[200];
    bytes_init(&canonical);
    if (chain->layer_count <=
        12) /* more would take seconds where all branches are equal */
        conv_chain_canonical(chain, &canonical);
    FUZZ_CHECK(!canonical.failed && canonical.size <= CONV_CHAIN_CANONICAL_SIZE);
    conv_chain_cost(chain, 28, 28, 1, 10, &params, &flops);
    FUZZ_CHECK(params > 0 && flops > 0);
    conv_chain_describe(chain, line, sizeof line);
    json_t *json = conv_chain_to_json(chain);
    FUZZ_CHECK(json);
    json_decref(json);
    bytes_fini(&canonical);
}

static void from_json(const uint8_t *data, size_t size)
{
    static struct conv_chain chain;
    struct error err;
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (json && conv_chain_from_json(json, &chain, &err) == 0)
        use_chain(&chain);
    json_decref(json);
}

static void from_tokens(bool skip, const uint8_t *data, size_t size)
{
    static struct config config;
    static struct architecture a;
    struct bytes_reader in;
    struct space *space;
    config_defaults(&config);
    config.space.conv_chain.skip = skip;
    FUZZ_CHECK(space_new(&config, &space, NULL) == 0);
    bytes_reader_init(&in, data, size);
    architecture_decode(&in, &a);
    if (!in.failed && space_validate(space, &a, NULL) == 0) {
        json_t *json = space_to_json(space, &a);
        static struct conv_chain chain;
        FUZZ_CHECK(json && conv_chain_from_json(json, &chain, NULL) == 0);
        use_chain(&chain);
        space_hash(space, &a);
        json_decref(json);
    }
    space_free(space);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > FUZZ_INPUT_MAX)
        return 0;
    if (data[0] & 1)
        from_tokens(data[0] & 2, data + 1, size - 1);
    else
        from_json(data + 1, size - 1);
    return 0;
}
