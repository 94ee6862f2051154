/* SPDX-License-Identifier: Apache-2.0 */
/* Sections of the configuration as JSON and back, by walking the schema. Private to proto/.
 * Values are plain: seconds and bytes are numbers, choices are their names. */
#ifndef ARCHWAY_PROTO_CONFIG_JSON_H
#define ARCHWAY_PROTO_CONFIG_JSON_H

#include <stdbool.h>
#include <jansson.h>

#include "common/config.h"
#include "common/error.h"

/* The keys below `section` ("task", "trainer.builtin") as nested objects; of trainer only
 * what applies. New reference; NULL when memory is gone. */
json_t *config_json_section(const struct config *config, const char *section);

/* Put an object's values over the keys below section; keys may be nested or dotted. An
 * unknown key is skipped, or with `strict` an error that names the nearest. ERROR_PEER with
 * the full key, what was found and what is allowed; config may then be changed in part. */
int config_json_apply(struct config *config, const char *section, const json_t *object,
                      bool strict, struct error *err);

#endif
