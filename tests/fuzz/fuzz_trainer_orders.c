/* SPDX-License-Identifier: Apache-2.0 */
/* What the built-in trainer reads from its standard input: lines of an agent, their
 * architectures and hyperparameters. */
#include "fuzz.h"

#include <string.h>

#include "common/space/conv_chain.h"
#include "proto/trainer_side.h"

static void take_task(const struct config *config, const struct trainer_order *order)
{
    struct config own = *config;
    struct conv_chain chain;
    struct error err;
    trainer_side_override(&own, order->hyperparameters, &err);
    if (conv_chain_from_json(order->architecture, &chain, &err) == 0)
        FUZZ_CHECK(chain.layer_count >= 1 && chain.layer_count <= CONV_CHAIN_MAX_LAYERS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config config;
    const uint8_t *end = data + size;
    if (size > FUZZ_INPUT_MAX)
        return 0;
    config_defaults(&config);
    while (data < end) {
        const uint8_t *newline = memchr(data, '\n', (size_t)(end - data));
        size_t length = (size_t)((newline ? newline : end) - data);
        struct trainer_order order;
        struct error err;
        if (trainer_side_decode((const char *)data, length, &config, &order, &err) == 0) {
            if (order.type == ORDER_TASK)
                take_task(&config, &order);
            trainer_order_fini(&order);
        }
        data += length + (newline != NULL);
    }
    return 0;
}
