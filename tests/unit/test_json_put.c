/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/json_put.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

#include "common/rng.h"
#include "proto/json_scan.h"
#include "unit.h"

static struct bytes out;

static const char *taken(void)
{
    bytes_put_u8(&out, 0);
    ck_assert(!out.failed);
    const char *text = (const char *)out.data;
    bytes_clear(&out);
    return text;
}

START_TEST(not_finite_is_null)
{
    bytes_init(&out);
    json_put_double(&out, NAN);
    ck_assert_str_eq(taken(), "null");
    json_put_float(&out, -INFINITY);
    ck_assert_str_eq(taken(), "null");
    bytes_fini(&out);
}
END_TEST

START_TEST(numbers_are_short)
{
    static const struct {
        float v;
        const char *text;
    } floats[] = {{0, "0"},           {1, "1"},       {-2.5f, "-2.5"}, {0.1f, "0.1"},
                  {0.9173f, "0.9173"}, {1e-4f, "0.0001"}, {1024, "1024"},  {-0.0f, "-0"}};
    bytes_init(&out);
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++) {
        json_put_float(&out, floats[i].v);
        ck_assert_str_eq(taken(), floats[i].text);
    }
    json_put_double(&out, 123456.789);
    ck_assert_str_eq(taken(), "123456.789");
    json_put_integer(&out, INT64_MIN);
    ck_assert_str_eq(taken(), "-9223372036854775808");
    json_put_integer(&out, 0);
    ck_assert_str_eq(taken(), "0");
    bytes_fini(&out);
}
END_TEST

static double read_back(const char *text)
{
    double v;
    struct json_scan s;
    json_scan_init(&s, text, strlen(text));
    ck_assert_msg(json_scan_number(&s, &v) && json_scan_end(&s), "'%s'", text);
    ck_assert_double_eq(v, strtod(text, NULL));
    return v;
}

START_TEST(numbers_come_back_exactly)
{
    struct rng rng;
    rng_init(&rng, 11, RNG_TEST, 0);
    bytes_init(&out);
    for (int i = 0; i < 50000; i++) {
        uint64_t bits = rng_u64(&rng);
        double d;
        float f;
        memcpy(&d, &bits, sizeof d);
        memcpy(&f, &bits, sizeof f);
        if (i % 3 == 1) {
            f = rng_float(&rng);
            d = rng_double(&rng);
        } else if (i % 3 == 2) {
            f = roundf(rng_float(&rng) * 1e5f) / 1e3f;
            d = round(rng_double(&rng) * 1e9) / 1e4;
        }
        if (isfinite(d)) {
            json_put_double(&out, d);
            ck_assert_double_eq(read_back(taken()), d);
        }
        if (isfinite(f)) {
            json_put_float(&out, f);
            ck_assert_float_eq((float)read_back(taken()), f);
        }
    }
    bytes_fini(&out);
}
END_TEST

START_TEST(strings_are_escaped)
{
    const char *const text = "a \"quote\" \\ back\n\t\x01 \xc3\xa9";
    bytes_init(&out);
    json_put_string(&out, text);
    json_t *value = json_loads(taken(), JSON_DECODE_ANY, NULL);
    ck_assert_str_eq(json_string_value(value), text);
    json_decref(value);
    json_put_string(&out, "");
    ck_assert_str_eq(taken(), "\"\"");
    bytes_fini(&out);
}
END_TEST

UNIT_MAIN("json_put", not_finite_is_null, numbers_are_short, numbers_come_back_exactly,
          strings_are_escaped)
