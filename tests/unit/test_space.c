/* SPDX-License-Identifier: Apache-2.0 */
#include "common/space/space.h"
#include "unit.h"

#include <math.h>
#include <string.h>

#include "common/space/conv_chain.h"

static void fill(struct config *c, bool skip)
{
    *c = (struct config){0};
    c->space.name = SPACE_CONV_CHAIN;
    c->space.conv_chain = (struct config_conv_chain){
        .layers = 6,
        .filter_heights = {4, {1, 3, 5, 7}},
        .filter_widths = {4, {1, 3, 5, 7}},
        .filters = {4, {24, 36, 48, 64}},
        .strides = {3, {1, 2, 3}},
        .skip = skip,
    };
}

static struct space *make(bool skip)
{
    static struct config c; /* large */
    struct space *space = NULL;
    fill(&c, skip);
    ck_assert_int_eq(space_new(&c, &space, NULL), 0);
    return space;
}

static void refused(const struct config *c, const char *says)
{
    struct error err = {0};
    struct space *space = NULL;
    ck_assert_int_eq(space_new(c, &space, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, says), "says: %s", err.text);
    ck_assert_ptr_null(space);
}

START_TEST(bad_configurations_are_named)
{
    static struct config c;
    struct config_conv_chain *chain = &c.space.conv_chain;
    fill(&c, false);
    c.space.name = 77;
    refused(&c, "space.name");
    fill(&c, false);
    chain->layers = 0;
    refused(&c, "space.layers: 0 found, allowed are 1 to 64");
    chain->layers = 65;
    refused(&c, "space.layers: 65 found");
    fill(&c, true);
    chain->layers = 42; /* 4 * 42 + 42 * 41 / 2 = 1029 tokens */
    refused(&c, "allowed are 1 to 41 with skip");
    fill(&c, false);
    chain->filters.count = 0;
    refused(&c, "space.filters: the list has 0 entries");
    fill(&c, false);
    chain->filter_widths.values[2] = 32;
    refused(&c, "space.filter_widths: 32 in the list, allowed are 1 to 31");
    fill(&c, false);
    chain->strides.values[0] = 0;
    refused(&c, "space.strides: 0");
    fill(&c, false);
    chain->grow_by = -2;
    refused(&c, "space.grow");
    space_free(NULL);
}
END_TEST

START_TEST(kinds_are_told)
{
    struct space *space = make(false);
    ck_assert_str_eq(space_name(space), "conv-chain");
    ck_assert_int_eq(space_kinds(space), 4);
    ck_assert_int_eq(space_kind_choices(space, 0), 4);
    ck_assert_int_eq(space_kind_choices(space, 3), 3);
    ck_assert_str_eq(space_kind_name(space, 0), "filter height");
    ck_assert_str_eq(space_kind_name(space, 3), "stride");
    ck_assert(!space_has_anchors(space));
    ck_assert_int_eq(space_max_tokens(space, 6), 24);
    ck_assert_double_eq_tol(space_log10_size(space, 6), 6 * log10(4 * 4 * 4 * 3), 1e-12);
    space_free(space);
    space = make(true);
    ck_assert(space_has_anchors(space));
    ck_assert_int_eq(space_max_tokens(space, 6), 24 + 15);
    ck_assert_double_eq_tol(space_log10_size(space, 6), 6 * log10(192) + 15 * log10(2),
                            1e-12);
    space_free(space);
}
END_TEST

START_TEST(depth_grows_on_schedule)
{
    static struct config c;
    struct space *space = NULL;
    fill(&c, false);
    ck_assert_int_eq(space_new(&c, &space, NULL), 0);
    ck_assert_int_eq(space_depth(space, UINT64_MAX), 6);
    space_free(space);
    c.space.conv_chain.grow_every = 1600;
    c.space.conv_chain.grow_by = 2;
    ck_assert_int_eq(space_new(&c, &space, NULL), 0);
    ck_assert_int_eq(space_depth(space, 0), 6);
    ck_assert_int_eq(space_depth(space, 1599), 6);
    ck_assert_int_eq(space_depth(space, 1600), 8);
    ck_assert_int_eq(space_depth(space, 12799), 20);
    ck_assert_int_eq(space_depth(space, 1600 * 29 - 1), 62);
    ck_assert_int_eq(space_depth(space, 1600 * 29), 64);
    ck_assert_int_eq(space_depth(space, UINT64_MAX), 64);
    space_free(space);
    c.space.conv_chain.skip = true;
    ck_assert_int_eq(space_new(&c, &space, NULL), 0);
    ck_assert_int_eq(space_max_depth(space), 41);
    ck_assert_int_eq(space_depth(space, 1600 * 17), 40);
    ck_assert_int_eq(space_depth(space, 1600 * 18), 41);
    space_free(space);
}
END_TEST

START_TEST(decisions_come_in_token_order)
{
    for (int skip = 0; skip < 2; skip++) {
        struct space *space = make(skip);
        struct architecture a = {.depth = 5};
        struct decision d;
        for (int l = 0; l < 5; l++) {
            for (int k = 0; k < 4; k++, a.count++) {
                ck_assert(space_next(space, &a, &d));
                ck_assert_int_eq(d.type, DECISION_CHOICE);
                ck_assert_int_eq(d.kind, k);
                ck_assert_int_eq(d.choices, k == 3 ? 3 : 4);
                ck_assert_int_eq(d.layer, l);
            }
            if (!skip || l == 0)
                continue;
            ck_assert(space_next(space, &a, &d));
            ck_assert_int_eq(d.type, DECISION_ANCHOR);
            ck_assert_int_eq(d.choices, l);
            ck_assert_int_eq(d.layer, l);
            a.count = (uint16_t)(a.count + l);
        }
        ck_assert(!space_next(space, &a, &d));
        ck_assert_int_eq(a.count, space_max_tokens(space, 5));
        space_free(space);
    }
}
END_TEST

START_TEST(invalid_architectures_are_named)
{
    struct space *space = make(true);
    struct rng rng;
    struct error err;
    struct architecture good, a;
    rng_init(&rng, 5, RNG_TEST, 0);
    space_sample(space, 4, &rng, &good);
    ck_assert_int_eq(space_validate(space, &good, &err), 0);
    const struct {
        int depth, count, token, value;
        const char *says;
    } cases[] = {
        {0, 22, 0, 0, "depth is 0, allowed are 1 to 41"},
        {42, 22, 0, 0, "depth is 42"},
        {4, 21, 0, 0, "token 21 (layer 3, anchor) is missing"},
        {4, 0, 0, 0, "token 0 (layer 0, filter height) is missing"},
        {4, 23, 0, 0, "23 tokens, a depth of 4 takes 22"},
        {4, 65535, 0, 0, "65535 tokens, allowed are 1024"},
        {4, 22, 3, 3, "token 3 (layer 0, stride) is 3, allowed are 0 to 2"},
        {4, 22, 4, 4, "token 4 (layer 1, filter height) is 4"},
        {4, 22, 8, 2, "token 8 (layer 1, anchor) is 2, allowed are 0 to 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        a = good;
        a.depth = (uint16_t)cases[i].depth;
        a.count = (uint16_t)cases[i].count;
        a.tokens[cases[i].token] = (uint16_t)cases[i].value;
        ck_assert_int_eq(space_validate(space, &a, &err), ERROR_INPUT);
        ck_assert_msg(strstr(err.text, cases[i].says), "case %zu says: %s", i, err.text);
    }
    space_free(space);
}
END_TEST

START_TEST(samples_are_valid_and_uniform)
{
    enum { SAMPLES = 12000 };
    struct space *space = make(true);
    struct rng rng;
    int heights[4] = {0}, strides[3] = {0}, bits = 0;
    rng_init(&rng, 6, RNG_TEST, 0);
    for (int i = 0; i < SAMPLES; i++) {
        struct architecture a;
        space_sample(space, 3, &rng, &a);
        ck_assert_int_eq(space_validate(space, &a, NULL), 0);
        heights[a.tokens[4]]++;
        strides[a.tokens[3]]++;
        bits += a.tokens[8];
    }
    for (int i = 0; i < 4; i++)
        ck_assert_int_lt(abs(heights[i] - SAMPLES / 4), 200);
    for (int i = 0; i < 3; i++)
        ck_assert_int_lt(abs(strides[i] - SAMPLES / 3), 220);
    ck_assert_int_lt(abs(bits - SAMPLES / 2), 220);
    space_free(space);
}
END_TEST

/* Depth 3 with anchors: height, width, filters, stride, then the bits. */
static struct architecture three(uint16_t first, uint16_t second, uint16_t bit10,
                                 uint16_t bit20, uint16_t bit21)
{
    return (struct architecture){
        .depth = 3,
        .count = 15,
        .tokens = {first, 0, 0, 0, second, 0, 0, 0, bit10, 3, 0, 0, 0, bit20, bit21}};
}

START_TEST(hash_sees_the_network_only)
{
    struct space *space = make(true), *plain = make(false);
    struct architecture a = three(1, 2, 0, 1, 1), swapped = three(2, 1, 0, 1, 1);
    struct architecture other = three(1, 2, 0, 1, 0), chain = three(1, 2, 1, 0, 1);
    struct architecture same = {
        .depth = 3, .count = 12, .tokens = {1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0}};
    struct architecture_hash hash = space_hash(space, &a);
    ck_assert(architecture_hash_equal(hash, space_hash(space, &swapped)));
    ck_assert(!architecture_hash_equal(hash, space_hash(space, &other)));
    ck_assert(!architecture_hash_equal(hash, space_hash(space, &chain)));
    ck_assert(
        architecture_hash_equal(space_hash(space, &chain), space_hash(plain, &same)));
    same.tokens[3] = 1;
    ck_assert(
        !architecture_hash_equal(space_hash(space, &chain), space_hash(plain, &same)));
    space_free(space);
    space_free(plain);
}
END_TEST

START_TEST(json_is_readable_without_the_space)
{
    struct space *space = make(true);
    struct architecture a = three(1, 2, 0, 1, 1);
    struct conv_chain chain;
    struct error err;
    json_t *json = space_to_json(space, &a);
    ck_assert_str_eq(json_string_value(json_object_get(json, "space")), "conv-chain");
    ck_assert_int_eq(json_integer_value(json_object_get(json, "depth")), 3);
    ck_assert_uint_eq(json_array_size(json_object_get(json, "tokens")), 15);
    ck_assert_int_eq(
        json_integer_value(json_array_get(json_object_get(json, "tokens"), 9)), 3);
    ck_assert_int_eq(conv_chain_from_json(json, &chain, &err), 0);
    ck_assert_int_eq(chain.layers[0].filter_height, 3);
    ck_assert_int_eq(chain.layers[1].inputs[0], CONV_CHAIN_IMAGE);
    ck_assert_int_eq(chain.layers[2].input_count, 2);
    ck_assert_int_eq(chain.layers[2].filter_height, 7);
    json_decref(json);
    space_free(space);
}
END_TEST

START_TEST(cost_and_text_are_those_of_the_chain)
{
    struct space *space = make(false);
    struct architecture a = {.depth = 2, .count = 8, .tokens = {1, 0, 1, 1, 2, 2, 0, 0}};
    struct space_task task = {.height = 28, .width = 28, .channels = 1, .classes = 10};
    struct space_cost cost = space_cost(space, &a, &task);
    double w0 = 3 * 36, w1 = 5 * 5 * 36 * 24;
    char text[64];
    ck_assert_double_eq(cost.params, w0 + w1 + 2 * (36 + 24) + 24 * 10 + 10);
    ck_assert_double_eq(cost.flops, 2 * (14 * 14 * (w0 + w1) + 240));
    space_describe(space, &a, text, sizeof text);
    ck_assert_str_eq(text, "3x1x36/2 5x5x24/1");
    char *dot = space_to_dot(space, &a);
    ck_assert_ptr_nonnull(strstr(dot, "layer0 -> layer1;"));
    free(dot);
    space_free(space);
}
END_TEST

UNIT_MAIN("space", bad_configurations_are_named, kinds_are_told, depth_grows_on_schedule,
          decisions_come_in_token_order, invalid_architectures_are_named,
          samples_are_valid_and_uniform, hash_sees_the_network_only,
          json_is_readable_without_the_space, cost_and_text_are_those_of_the_chain)
