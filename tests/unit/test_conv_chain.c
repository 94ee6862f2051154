/* SPDX-License-Identifier: Apache-2.0 */
#include "common/space/conv_chain.h"
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"

static int read_text(const char *text, struct conv_chain *ret, struct error *err)
{
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    ck_assert_ptr_nonnull(json);
    int status = conv_chain_from_json(json, ret, err);
    json_decref(json);
    return status;
}

#define LAYER(h, w, k, s, inputs)                                            \
    "{\"filter_height\": " #h ", \"filter_width\": " #w ", \"filters\": " #k \
    ", \"stride\": " #s ", \"inputs\": " inputs "}"

START_TEST(bad_json_is_named)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"3", "no list 'layers'"},
        {"{}", "no list 'layers'"},
        {"{\"layers\": 3}", "no list 'layers'"},
        {"{\"layers\": []}", "0 entries, allowed are 1 to 64"},
        {"{\"layers\": [7]}", "layer 0 is not an object"},
        {"{\"layers\": [{}]}", "layer 0 has no 'filter_height'"},
        {"{\"layers\": [" LAYER(0, 1, 1, 1, "[-1]") "]}",
         "'filter_height' is 0, allowed"},
        {"{\"layers\": [" LAYER(1, 32, 1, 1, "[-1]") "]}", "allowed are 1 to 31"},
        {"{\"layers\": [" LAYER(1, 1, 4097, 1, "[-1]") "]}", "allowed are 1 to 4096"},
        {"{\"layers\": [" LAYER(1, 1, 1, 17, "[-1]") "]}", "allowed are 1 to 16"},
        {"{\"layers\": [" LAYER(1, 1, 4294967297, 1, "[-1]") "]}", "is 4294967297"},
        {"{\"layers\": [" LAYER(1, 1, 1.5, 1, "[-1]") "]}",
         "'filters' is not an integer"},
        {"{\"layers\": [" LAYER(1, 1, 1, 1, "[]") "]}", "list of 1 to 1 layers"},
        {"{\"layers\": [" LAYER(1, 1, 1, 1, "3") "]}", "list of 1 to 1 layers"},
        {"{\"layers\": [" LAYER(1, 1, 1, 1, "[0]") "]}", "entry 0 of 'inputs'"},
        {"{\"layers\": [" LAYER(1, 1, 1, 1, "[-2]") "]}", "entry 0 of 'inputs'"},
        {"{\"layers\": [" LAYER(1, 1, 1, 1, "[-1, -1]") "]}", "list of 1 to 1"},
        {"{\"layers\": [" LAYER(1, 1, 1, 1, "[-1]") ", " LAYER(1, 1, 1, 1, "[0, 0]") "]}",
         "layer 1: entry 1"},
        {"{\"layers\": [" LAYER(1, 1, 1, 1, "[-1]") ", " LAYER(1, 1, 1, 1,
                                                               "[0, -1]") "]}",
         "layer 1: entry 1"},
        {"{\"layers\": [" LAYER(1, 1, 1, 1, "[\"a\"]") "]}", "entry 0 of 'inputs'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct conv_chain chain = {.layer_count = -7};
        struct error err = {0};
        ck_assert_int_eq(read_text(cases[i].json, &chain, &err), ERROR_INPUT);
        ck_assert_msg(strstr(err.text, cases[i].says), "case %zu says: %s", i, err.text);
        ck_assert_int_eq(chain.layer_count, -7);
    }
}
END_TEST

START_TEST(too_many_layers_are_refused)
{
    json_t *layer = json_loads(LAYER(1, 1, 1, 1, "[-1]"), 0, NULL);
    json_t *layers = json_array(), *object = json_object();
    struct conv_chain chain;
    struct error err;
    json_object_set_new(object, "layers", layers);
    for (int i = 0; i < CONV_CHAIN_MAX_LAYERS; i++)
        json_array_append(layers, layer);
    ck_assert_int_eq(conv_chain_from_json(object, &chain, &err), 0);
    ck_assert_int_eq(chain.output_count, CONV_CHAIN_MAX_LAYERS);
    json_array_append(layers, layer);
    ck_assert_int_eq(conv_chain_from_json(object, &chain, &err), ERROR_INPUT);
    json_decref(layer);
    json_decref(object);
}
END_TEST

/* Layer 2 reads 0 and 1; layer 3 the image alone; so 2 and 3 are outputs. */
static const char branched[] = "{\"layers\": [" LAYER(3, 1, 24, 2, "[-1]") ", " //
    LAYER(5, 3, 36, 1, "[-1]") ", " LAYER(1, 7, 8, 3, "[0, 1]") ", "            //
    LAYER(1, 1, 5, 1, "[-1]") "]}";

START_TEST(json_comes_back)
{
    struct conv_chain chain, again;
    ck_assert_int_eq(read_text(branched, &chain, NULL), 0);
    ck_assert_int_eq(chain.layer_count, 4);
    ck_assert_int_eq(chain.layers[2].input_count, 2);
    ck_assert_int_eq(chain.layers[2].inputs[1], 1);
    ck_assert_int_eq(chain.output_count, 2);
    ck_assert_int_eq(chain.outputs[0], 2);
    ck_assert_int_eq(chain.outputs[1], 3);
    json_t *object = json_object();
    json_object_set_new(object, "layers", conv_chain_to_json(&chain));
    ck_assert_int_eq(conv_chain_from_json(object, &again, NULL), 0);
    json_t *expected = json_loads(branched, 0, NULL);
    ck_assert(json_equal(object, expected));
    json_decref(expected);
    json_decref(object);
}
END_TEST

START_TEST(cost_is_counted_by_hand)
{
    struct conv_chain chain;
    double params, flops;
    ck_assert_int_eq(read_text(branched, &chain, NULL), 0);
    conv_chain_cost(&chain, 28, 27, 3, 10, &params, &flops);
    double w0 = 3 * 1 * 3 * 24, w1 = 5 * 3 * 3 * 36, w2 = 1 * 7 * (24 + 36) * 8,
           w3 = 3 * 5;
    double norms = 2 * (24 + 36 + 8 + 5), features = 8 + 5;
    ck_assert_double_eq(params, w0 + w1 + w2 + w3 + norms + features * 10 + 10);
    /* layer 0 gives 14 x 14, layer 1 28 x 27, so layer 2 reads 28 x 27 and gives 10 x 9
     */
    ck_assert_double_eq(flops, 2 * (w0 * 14 * 14 + w1 * 28 * 27 + w2 * 10 * 9 +
                                    w3 * 28 * 27 + features * 10));
}
END_TEST

START_TEST(text_shows_the_network)
{
    struct conv_chain chain;
    char text[128], small[16], tiny[3];
    ck_assert_int_eq(read_text(branched, &chain, NULL), 0);
    conv_chain_describe(&chain, text, sizeof text);
    ck_assert_str_eq(text, "3x1x24/2 5x3x36/1[image] 1x7x8/3[0,1] 1x1x5/1[image]");
    conv_chain_describe(&chain, small, sizeof small);
    ck_assert_str_eq(small, "3x1x24/2...");
    conv_chain_describe(&chain, tiny, sizeof tiny);
    ck_assert_uint_lt(strlen(tiny), sizeof tiny);
    conv_chain_describe(&chain, tiny, 0);
    struct diagram d;
    struct text out;
    text_init(&out);
    diagram_init(&d, "child");
    conv_chain_draw(&chain, &d);
    diagram_to_dot(&d, &out);
    diagram_fini(&d);
    char *dot = text_take(&out);
    ck_assert_ptr_nonnull(strstr(dot, "layer2 [label=\"layer 2: 1 x 7 x 8, stride 3\"]"));
    ck_assert_ptr_nonnull(strstr(dot, "    layer1 -> layer2;\n"));
    ck_assert_ptr_nonnull(strstr(dot, "    image -> layer3;\n"));
    ck_assert_ptr_nonnull(strstr(dot, "    layer3 -> classifier;\n"));
    ck_assert_ptr_null(strstr(dot, "    layer0 -> classifier;\n"));
    free(dot);
}
END_TEST

/* Chains of n layers with few kinds of layers, so that many are isomorphic. */
static void random_chain(struct rng *rng, int n, uint32_t kinds, struct conv_chain *ret)
{
    *ret = (struct conv_chain){.layer_count = n};
    for (int l = 0; l < n; l++) {
        struct conv_chain_layer *layer = &ret->layers[l];
        layer->filter_height = layer->filter_width = 1 + 2 * (int)rng_below(rng, kinds);
        layer->filters = 8;
        layer->stride = 1;
        for (int j = 0; j < l; j++)
            if (rng_below(rng, 3) == 0)
                layer->inputs[layer->input_count++] = j;
        if (layer->input_count == 0)
            layer->inputs[layer->input_count++] = CONV_CHAIN_IMAGE;
    }
    conv_chain_find_outputs(ret);
}

/* Number the layers anew, at random, inputs before their readers. */
static void renumber(struct rng *rng, const struct conv_chain *from,
                     struct conv_chain *ret)
{
    int at[CONV_CHAIN_MAX_LAYERS], done = 0;
    for (int l = 0; l < from->layer_count; l++)
        at[l] = -1;
    *ret = (struct conv_chain){.layer_count = from->layer_count};
    while (done < from->layer_count) {
        int l = (int)rng_below(rng, (uint32_t)from->layer_count);
        const struct conv_chain_layer *layer = &from->layers[l];
        bool ready = at[l] < 0;
        uint64_t inputs = 0;
        for (int i = 0; ready && i < layer->input_count; i++)
            if (layer->inputs[i] != CONV_CHAIN_IMAGE) {
                ready = at[layer->inputs[i]] >= 0;
                inputs |= UINT64_C(1) << (at[layer->inputs[i]] & 63);
            }
        if (!ready)
            continue;
        struct conv_chain_layer *to = &ret->layers[done];
        *to = *layer;
        to->input_count = layer->inputs[0] == CONV_CHAIN_IMAGE;
        for (int j = 0; j < done; j++)
            if (inputs >> j & 1)
                to->inputs[to->input_count++] = j;
        at[l] = done++;
    }
    conv_chain_find_outputs(ret);
}

static bool same_form(const struct conv_chain *a, const struct conv_chain *b)
{
    struct bytes x, y;
    bytes_init(&x);
    bytes_init(&y);
    conv_chain_canonical(a, &x);
    conv_chain_canonical(b, &y);
    ck_assert_uint_le(x.size, CONV_CHAIN_CANONICAL_SIZE);
    bool same = x.size == y.size && memcmp(x.data, y.data, x.size) == 0;
    bytes_fini(&x);
    bytes_fini(&y);
    return same;
}

static bool reads(const struct conv_chain *c, int layer, int input)
{
    for (int i = 0; i < c->layers[layer].input_count; i++)
        if (c->layers[layer].inputs[i] == input)
            return true;
    return false;
}

/* Is there any way to lay b's layers over a's? Tries them all, layer by layer. */
static bool isomorphic(const struct conv_chain *a, const struct conv_chain *b, int l,
                       int *at, unsigned used)
{
    if (l == a->layer_count)
        return true;
    for (int m = 0; m < b->layer_count; m++) {
        bool fits = !(used >> m & 1) &&
                    a->layers[l].filter_height == b->layers[m].filter_height &&
                    reads(a, l, CONV_CHAIN_IMAGE) == reads(b, m, CONV_CHAIN_IMAGE);
        for (int j = 0; fits && j < l; j++)
            fits = reads(a, l, j) == reads(b, m, at[j]) && !reads(b, at[j], m);
        at[l] = m;
        if (fits && isomorphic(a, b, l + 1, at, used | 1u << m))
            return true;
    }
    return false;
}

START_TEST(form_is_equal_exactly_for_isomorphic_chains)
{
    struct rng rng;
    uint64_t seed = (uint64_t)time(NULL);
    int at[8], same = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 1);
    for (int i = 0; i < 20000; i++) {
        struct conv_chain a, b;
        int n = 3 + (int)rng_below(&rng, 4);
        random_chain(&rng, n, 1 + (uint32_t)(i % 2), &a);
        random_chain(&rng, n, 1 + (uint32_t)(i % 2), &b);
        bool expected = isomorphic(&a, &b, 0, at, 0);
        same += expected;
        ck_assert_msg(same_form(&a, &b) == expected, "pair %d", i);
    }
    ck_assert_int_gt(same, 200);
}
END_TEST

START_TEST(form_survives_renumbering)
{
    struct rng rng;
    uint64_t seed = (uint64_t)time(NULL);
    printf("seed %llu\n", (unsigned long long)seed);
    rng_init(&rng, seed, RNG_TEST, 2);
    for (int i = 0; i < 2000; i++) {
        struct conv_chain a, b;
        random_chain(&rng, 1 + (int)rng_below(&rng, 41), 1 + (uint32_t)(i % 3), &a);
        renumber(&rng, &a, &b);
        ck_assert_msg(same_form(&a, &b), "chain %d", i);
    }
}
END_TEST

/* `count` copies of one block side by side: k! ways to number them. */
static void side_by_side(int count, int length, struct conv_chain *ret)
{
    *ret = (struct conv_chain){.layer_count = count * length};
    for (int l = 0; l < count * length; l++) {
        ret->layers[l] = (struct conv_chain_layer){3, 3, 8, 1, 1, {l - 1}};
        if (l % length == 0)
            ret->layers[l].inputs[0] = CONV_CHAIN_IMAGE;
    }
    conv_chain_find_outputs(ret);
}

START_TEST(symmetric_chains_take_no_factorial_time)
{
    static const int shapes[][2] = {{64, 1}, {32, 2}, {21, 3}, {2, 32}};
    struct rng rng;
    rng_init(&rng, 3, RNG_TEST, 3);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct conv_chain a, b;
        side_by_side(shapes[i][0], shapes[i][1], &a);
        renumber(&rng, &a, &b);
        ck_assert(same_form(&a, &b));
        b.layers[b.layer_count - 1].filters = 9;
        ck_assert(!same_form(&a, &b));
    }
}
END_TEST

/* Same tree of reads seen from every output, yet two layers in one and one in the other.
 */
START_TEST(shared_and_separate_layers_differ)
{
    struct conv_chain shared, separate;
    side_by_side(2, 2, &shared); /* 0 <- 1, 2 <- 3 */
    separate = shared;
    shared.layers[3].inputs[0] = 0; /* 1 and 3 read 0; nobody reads 2 */
    conv_chain_find_outputs(&shared);
    ck_assert_int_eq(shared.output_count, 3);
    ck_assert(!same_form(&shared, &separate));
}
END_TEST

UNIT_MAIN("conv_chain", bad_json_is_named, too_many_layers_are_refused, json_comes_back,
          cost_is_counted_by_hand, text_shows_the_network,
          form_is_equal_exactly_for_isomorphic_chains, form_survives_renumbering,
          symmetric_chains_take_no_factorial_time, shared_and_separate_layers_differ)
