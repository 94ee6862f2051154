/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_scan.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"
#include "unit.h"

static struct json_scan scan_of(const char *text)
{
    struct json_scan s;
    json_scan_init(&s, text, strlen(text));
    return s;
}

static bool valid(const char *text, size_t size)
{
    struct json_scan s;
    json_scan_init(&s, text, size);
    return json_scan_skip(&s) && json_scan_end(&s);
}

START_TEST(what_is_not_json_is_refused)
{
    static const char *const texts[] = {
        "", " ", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{,}", "{1:2}",
        "[1,]", "[,]", "[1 2]", "[", "1 2", "01", "-", "1.", ".5", "1e", "1e+", "+1", "0x1",
        "tru", "nul", "nan", "inf", "-NaN", "\"", "\"\\x\"", "\"\\u12\"", "\"\\ud800\"",
        "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"\t\"", "\"\xff\"", "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe2\x82\"", "\"\\",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json_scan s = scan_of(texts[i]);
        ck_assert_msg(!(json_scan_skip(&s) && json_scan_end(&s)), "'%s'", texts[i]);
        ck_assert_ptr_nonnull(s.wrong);
        ck_assert(!json_scan_skip(&s)); /* stays wrong */
    }
}
END_TEST

START_TEST(too_deep_nesting_is_refused)
{
    char text[4 * JSON_SCAN_DEPTH];
    int n = JSON_SCAN_DEPTH + 1;
    memset(text, '[', (size_t)n);
    memset(text + n, ']', (size_t)n);
    ck_assert(!valid(text, 2 * (size_t)n));
    ck_assert(valid(text + 1, 2 * (size_t)(n - 1)));
}
END_TEST

static double number(const char *text)
{
    double v = -77;
    struct json_scan s = scan_of(text);
    ck_assert_msg(json_scan_number(&s, &v) && json_scan_end(&s), "'%s'", text);
    return v;
}

START_TEST(numbers_are_exact)
{
    static const char *const texts[] = {
        "0", "-0", "1", "0.1", "-12.5e-3", "123456789012345678", "12345678901234567890123",
        "9007199254740993", "1e22", "1e23", "1.7976931348623157e308", "5e-324",
        "2.2250738585072011e-308", "0.30000000000000004", "1e-400", "0.000000000000000000001",
        "100000000000000000000000000000000000000.5", "3.14159265358979323846264338327950288",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        ck_assert_msg(number(texts[i]) == strtod(texts[i], NULL), "%s: %.17g", texts[i],
                      number(texts[i]));
    ck_assert(signbit(number("-0")));
    ck_assert(isnan(number("NaN")));
    ck_assert(isnan(number("null")));
    ck_assert(number("Infinity") == INFINITY);
    ck_assert(number(" -Infinity ") == -INFINITY);
    ck_assert(number("1e999") == INFINITY);
}
END_TEST

START_TEST(random_numbers_are_exact)
{
    struct rng rng;
    rng_init(&rng, 5, RNG_TEST, 0);
    for (int i = 0; i < 20000; i++) {
        char text[64];
        double v;
        uint64_t bits = rng_u64(&rng);
        memcpy(&v, &bits, sizeof v);
        if (i % 2)
            v = (rng_double(&rng) - 0.5) * pow(10, (int)rng_below(&rng, 12) - 6);
        if (!isfinite(v))
            continue;
        snprintf(text, sizeof text, "%.*g", 1 + (int)rng_below(&rng, 19), v);
        ck_assert_msg(number(text) == strtod(text, NULL), "%s", text);
    }
}
END_TEST

START_TEST(strings_are_decoded_and_cut)
{
    char text[16];
    struct json_scan s = scan_of("\"a\\\"\\\\\\/\\n\\u00e9\\ud83d\\ude00\"");
    ck_assert_int_eq(json_scan_string(&s, text, sizeof text), 11);
    ck_assert_str_eq(text, "a\"\\/ \xc3\xa9\xf0\x9f\x98\x80");
    s = scan_of("\"abc\xe2\x82\xac\"");
    ck_assert_int_eq(json_scan_string(&s, text, 6), 6);
    ck_assert_str_eq(text, "abc"); /* not half a character */
    s = scan_of("\"a\\u0000b\"");
    ck_assert_int_eq(json_scan_string(&s, text, sizeof text), 3);
    ck_assert_str_eq(text, "a b");
}
END_TEST

START_TEST(objects_are_walked)
{
    char key[4];
    bool first = true;
    double v;
    struct json_scan s = scan_of(" { \"a\" : 1 , \"long key\":[{}], \"b\":2 } ");
    ck_assert(json_scan_key(&s, &first, key, sizeof key));
    ck_assert_str_eq(key, "a");
    ck_assert(json_scan_number(&s, &v));
    ck_assert(json_scan_key(&s, &first, key, sizeof key));
    ck_assert_str_eq(key, "");
    ck_assert_str_eq(json_scan_kind(&s), "a list");
    ck_assert(json_scan_skip(&s));
    ck_assert(json_scan_key(&s, &first, key, sizeof key));
    ck_assert_str_eq(key, "b");
    ck_assert(json_scan_number(&s, &v));
    ck_assert(!json_scan_key(&s, &first, key, sizeof key));
    ck_assert(json_scan_end(&s));
}
END_TEST

/* Damage good lines at random; the verdict must be that of another parser. */
START_TEST(agrees_with_jansson_on_damaged_texts)
{
    static const char *const lines[] = {
        "{\"type\":\"progress\",\"trial\":1,\"metrics\":{\"a\":0.5,\"b\":-1e-3},\"x\":[1,2]}",
        "[true,false,null,\"\\u00e9\\ud83d\\ude00\\n\",{\"k\":\"\xc3\xa9\xe2\x82\xac\"},0,-0.5]",
    };
    static const char bytes[] = "{}[]:,\"\\u0123456789.eE+-tfn \xc3\xe2\x82\x80\t";
    uint64_t seed = (uint64_t)time(NULL);
    const char *given = getenv("ARCHWAY_TEST_SEED");
    if (given)
        seed = strtoull(given, NULL, 10);
    printf("agrees_with_jansson_on_damaged_texts: ARCHWAY_TEST_SEED=%llu\n",
           (unsigned long long)seed);
    int good = 0;
    for (uint64_t round = 0; round < 100000; round++) {
        struct rng rng;
        rng_init(&rng, seed, RNG_TEST, round);
        const char *line = lines[round % 2];
        size_t size = strlen(line);
        char *text = malloc(size);
        memcpy(text, line, size);
        for (uint32_t n = rng_below(&rng, 3); n > 0; n--)
            text[rng_below(&rng, (uint32_t)size)] =
                bytes[rng_below(&rng, sizeof bytes - 1)];
        if (rng_below(&rng, 8) == 0)
            size = rng_below(&rng, (uint32_t)size);
        json_error_t err;
        json_t *tree = json_loadb(text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &err);
        bool overflow = !tree && json_error_code(&err) == json_error_numeric_overflow;
        ck_assert_msg(overflow || valid(text, size) == (tree != NULL), "'%.*s': %s",
                      (int)size, text, tree ? "valid" : err.text);
        good += tree != NULL;
        json_decref(tree);
        free(text);
    }
    ck_assert_int_gt(good, 10000);
}
END_TEST

UNIT_MAIN("json_scan", what_is_not_json_is_refused, too_deep_nesting_is_refused,
          numbers_are_exact, random_numbers_are_exact, strings_are_decoded_and_cut,
          objects_are_walked, agrees_with_jansson_on_damaged_texts)
