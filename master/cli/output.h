/* SPDX-License-Identifier: Apache-2.0 */
/* What commands that look at a run share: standard output, its width, options, opening. */
#ifndef ARCHWAY_MASTER_CLI_OUTPUT_H
#define ARCHWAY_MASTER_CLI_OUTPUT_H

#include <jansson.h>

#include "common/text.h"
#include "master/cli/command.h"
#include "master/engine.h"

/* Write to standard output and free the text in any case. ERROR_SYSTEM when a part could
 * not be written (a full disk) or memory was gone while it was made. */
int output_text(struct text *t, struct error *err);
/* The same for indented JSON with a newline; takes the reference, NULL is no memory. */
int output_json(json_t *json, struct error *err);
/* Columns of the terminal that standard output is; 0: it is none. */
int output_width(void);
/* A number, or null where it is not finite. New reference. */
json_t *output_number(double v);

/* Whole number of an option in [least, most]; *ret stays when the option is not given. */
int output_option_count(const struct invocation *in, const char *name, uint64_t least,
                        uint64_t most, uint64_t *ret, struct error *err);
/* The first argument as a run, for looking only. Caller frees the engine. */
int output_open_run(const struct invocation *in, struct engine **ret,
                    struct engine_reading *ret_reading, struct error *err);

#endif
