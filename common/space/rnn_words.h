/* SPDX-License-Identifier: Apache-2.0 */
/* What the nodes of recurrent cells compute, and what it is called in configurations,
 * JSON and drawings. The numbers are the positions in the lists of the configuration's
 * schema. */
#ifndef ARCHWAY_COMMON_SPACE_RNN_WORDS_H
#define ARCHWAY_COMMON_SPACE_RNN_WORDS_H

#include <stdbool.h>
#include <jansson.h>

#include "common/config.h"
#include "common/error.h"

enum rnn_activation { RNN_TANH, RNN_RELU, RNN_IDENTITY, RNN_SIGMOID, RNN_ACTIVATIONS };
enum rnn_combination { RNN_ADD, RNN_ELEM_MULT, RNN_COMBINATIONS };

const char *rnn_activation_name(int activation);   /* "tanh" */
const char *rnn_combination_name(int combination); /* "add" */

/* Read object[key], which must be one of these names (an integer of [min, max]). `where`
 * begins the error: "architecture: node 3". ERROR_INPUT naming key and what is allowed.
 */
int rnn_read_activation(const json_t *object, const char *key, const char *where,
                        int *ret, struct error *err);
int rnn_read_combination(const json_t *object, const char *key, const char *where,
                         int *ret, struct error *err);
int rnn_read_number(const json_t *object, const char *key, const char *where, int min,
                    int max, int *ret, struct error *err);

/* Check a list of the configuration: 1 to `words` different entries in {0..words-1}.
 * ERROR_INPUT naming the key. */
int rnn_check_list(const struct config_list *list, const char *key, int words,
                   struct error *err);

#endif
