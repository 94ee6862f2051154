/* SPDX-License-Identifier: Apache-2.0 */
/* Looking at data: which formats there are, what a folder holds, what the split will be.
 * Apart from data_open.c, so that a program that only looks needs no linear algebra. */
#include "worker/data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "worker/data/corpus.h"
#include "worker/data/data_private.h"

static const struct data_format *const formats[] = {
    [DATA_IDX] = &data_idx,
    [DATA_CIFAR10] = &data_cifar10,
    [DATA_CIFAR100] = &data_cifar100,
    [DATA_GENERATED] = &data_generated,
}; /* of images; corpus.h has texts */
enum { FORMATS = sizeof formats / sizeof formats[0] };

const struct data_format *data_format_of(const struct config *config)
{
    return formats[config->task.data.format];
}

int data_inspect_source(const struct config *config, struct data_source *source,
                        struct data_facts *facts, struct error *err)
{
    int format = config->task.data.format;
    if (format < 0 || format >= FORMATS)
        return error_set(err, ERROR_INPUT,
                         "task.data.format: there is no format number %d", format);
    *source = (struct data_source){0};
    int status = formats[format]->inspect(config, source, err);
    if (status)
        return status;
    *facts = (struct data_facts){
        .classes = source->classes,
        .height = source->height,
        .width = source->width,
        .channels = source->channels,
        .train_images = source->images[SET_TRAIN],
        .test_images = source->images[SET_TEST],
    };
    status = data_split_sizes(&config->task, facts->train_images, &facts->train,
                              &facts->validation, err);
    if (status && source->file_count)
        return error_prefix(err, "'%s'", source->files[0].path);
    return status;
}

int data_inspect(const struct config *config, struct data_facts *ret, struct error *err)
{
    struct data_source *source = malloc(sizeof *source);
    struct data_facts facts;
    if (config_reads_text(config)) {
        free(source);
        return corpus_inspect(config, ret, err);
    }
    if (!source)
        return error_set(err, ERROR_SYSTEM, "task.data: out of memory");
    int status = data_inspect_source(config, source, &facts, err);
    free(source);
    if (!status)
        *ret = facts;
    return status;
}

int data_detect(const char *folder, struct config *ret, struct error *err)
{
    struct text looked_for;
    struct config_data *data = &ret->task.data;
    if (strlen(folder) >= sizeof data->path)
        return error_set(err, ERROR_INPUT, "the folder's path is too long: '%.200s...'",
                         folder);
    for (int i = 0; i < FORMATS; i++)
        if (formats[i]->present && formats[i]->present(folder)) {
            data->format = i;
            memcpy(data->path, folder, strlen(folder) + 1);
            return 0;
        }
    if (corpus_present(folder)) {
        data->format = DATA_TEXT;
        snprintf(ret->task.kind, sizeof ret->task.kind, "language-model");
        memcpy(data->path, folder, strlen(folder) + 1);
        return 0;
    }
    text_init(&looked_for);
    for (int i = 0; i < FORMATS; i++)
        if (formats[i]->looked_for)
            text_append(&looked_for, "%s%s (%s)", looked_for.size ? ", " : "",
                        formats[i]->looked_for, formats[i]->name);
    text_append(&looked_for, ", ptb.train.txt, wiki.train.tokens or train.txt (text)");
    int status =
        error_set(err, ERROR_INPUT, "'%s' holds no data that is known; looked for %s",
                  folder, looked_for.failed ? "its files" : looked_for.data);
    text_fini(&looked_for);
    return status;
}
