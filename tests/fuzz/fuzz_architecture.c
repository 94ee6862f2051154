/* SPDX-License-Identifier: Apache-2.0 */
/* An architecture from outside: as JSON (a task's, an exported file) or, when the first
 * byte is odd, as the tokens of a record. */
#include "fuzz.h"

#include <string.h>

#include "common/space/conv_chain.h"
#include "common/space/rnn_dag.h"
#include "common/space/rnn_tree.h"
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

static void use_text(struct text *text)
{
    FUZZ_CHECK(!text->failed && text->size > 0);
    text_fini(text);
    text_init(text);
}

static void use_diagram(struct diagram *d)
{
    struct text text;
    text_init(&text);
    diagram_to_dot(d, &text);
    use_text(&text);
    diagram_to_svg(d, &text);
    use_text(&text);
    diagram_fini(d);
}

static void use_dag(const struct rnn_dag *dag)
{
    uint8_t memory[RNN_DAG_CANONICAL_SIZE];
    struct bytes canonical = {.data = memory, .capacity = sizeof memory};
    struct text text;
    rnn_dag_canonical(dag, &canonical);
    FUZZ_CHECK(canonical.data == memory && dag->leaf_count >= 1);
    text_init(&text);
    struct diagram d;
    diagram_init(&d, "cell");
    rnn_dag_draw(dag, &d);
    use_diagram(&d);
    rnn_dag_equations(dag, &text);
    use_text(&text);
}

static void use_tree(const struct rnn_tree *tree)
{
    uint8_t memory[RNN_TREE_CANONICAL_SIZE];
    struct bytes canonical = {.data = memory, .capacity = sizeof memory};
    struct text text;
    rnn_tree_canonical(tree, &canonical);
    FUZZ_CHECK(canonical.data == memory);
    text_init(&text);
    struct diagram d;
    diagram_init(&d, "cell");
    rnn_tree_draw(tree, &d);
    use_diagram(&d);
    rnn_tree_equations(tree, &text);
    use_text(&text);
}

/* Returns how many spaces it is an architecture of. */
static int use_json(const json_t *json)
{
    static struct conv_chain chain;
    struct rnn_dag dag;
    struct rnn_tree tree;
    struct error err;
    bool is_chain = conv_chain_from_json(json, &chain, &err) == 0;
    bool is_dag = rnn_dag_from_json(json, &dag, &err) == 0;
    bool is_tree = rnn_tree_from_json(json, &tree, &err) == 0;
    if (is_chain)
        use_chain(&chain);
    if (is_dag)
        use_dag(&dag);
    if (is_tree)
        use_tree(&tree);
    return is_chain + is_dag + is_tree;
}

static void from_json(const uint8_t *data, size_t size)
{
    json_t *json = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, NULL);
    if (json)
        use_json(json);
    json_decref(json);
}

/* variant: bit 0 skip connections or attention, above it the space. */
static void from_tokens(int variant, const uint8_t *data, size_t size)
{
    static struct config config;
    static struct architecture a;
    struct bytes_reader in;
    struct space *space;
    config_defaults(&config);
    config.space.conv_chain.skip = variant & 1;
    config.space.rnn.decisions = variant & 1;
    config.space.name = variant / 2 % 3;
    FUZZ_CHECK(space_new(&config, &space, NULL) == 0);
    bytes_reader_init(&in, data, size);
    architecture_decode(&in, &a);
    if (!in.failed && space_validate(space, &a, NULL) == 0) {
        json_t *json = space_to_json(space, &a);
        FUZZ_CHECK(json && use_json(json) == 1);
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
        from_tokens(data[0] >> 1, data + 1, size - 1);
    else
        from_json(data + 1, size - 1);
    return 0;
}
