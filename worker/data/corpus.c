/* SPDX-License-Identifier: Apache-2.0 */
/* Texts of a folder to numbers, in two passes over the same bytes in memory: the first
 * counts words and the vocabulary, so that the second knows how large the prepared file
 * is. The first is made by everybody, as its numbers are part of the file's key: a text
 * that is changed while a search runs is then not the one that was prepared.
 *
 * Prepared file, behind the header that data_cache.c writes: the words of each part,
 * int32 in the machine's order (the file is made and read on one node), from a new page
 * each. */
#include "worker/data/corpus.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/text.h"
#include "worker/data/data_private.h"
#include "worker/data/text_generated.h"
#include "worker/data/text_scan.h"
#include "worker/data/vocabulary.h"

enum { CONTENT_VERSION = 1, PAGE = 4096 };

static const struct names {
    const char *files[CORPUS_PARTS];
} known[] = {
    {{"ptb.train.txt", "ptb.valid.txt", "ptb.test.txt"}},
    {{"wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"}},
    {{"train.txt", "valid.txt", "test.txt"}},
};
enum { KNOWN = sizeof known / sizeof known[0] };

/* The files, read whole, and what they hold. */
struct texts {
    struct data_file files[CORPUS_PARTS];
    char *bytes[CORPUS_PARTS]; /* owned */
    size_t sizes[CORPUS_PARTS];
    size_t words[CORPUS_PARTS];
    struct vocabulary *vocabulary;
    const char *list_name; /* file of its words, when given; borrowed */
    char *list_bytes;      /* owned; NULL: the words of the training text */
    size_t list_size;
};

struct corpus_file {
    struct corpus corpus;
    uint8_t *map;
    size_t size;
};

static const struct names *find_names(const char *folder)
{
    for (int i = 0; i < KNOWN; i++)
        if (data_file_exists(folder, known[i].files[CORPUS_TRAIN]))
            return &known[i];
    return NULL;
}

bool corpus_present(const char *folder)
{
    return find_names(folder) != NULL;
}

static int find_files(const char *folder, struct texts *t, struct error *err)
{
    const struct names *names = find_names(folder);
    int status = 0;
    if (!names)
        return error_set(err, ERROR_INPUT,
                         "task.data.path: '%s' holds no text; looked for ptb.train.txt, "
                         "wiki.train.tokens and train.txt",
                         folder);
    for (int p = 0; p < CORPUS_PARTS && !status; p++)
        status = data_file_find(folder, names->files[p], &t->files[p], err);
    return status;
}

static int read_files(struct texts *t, struct error *err)
{
    int status = 0;
    for (int p = 0; p < CORPUS_PARTS && !status; p++)
        status = text_read_file(t->files[p].path, CORPUS_FILE_MAX, &t->bytes[p],
                                &t->sizes[p], err);
    return status;
}

static struct text_generated automaton(const struct config *config)
{
    const struct config_data *d = &config->task.data;
    return (struct text_generated){config->seed, d->states, d->symbols};
}

static int get_texts(const struct config *config, struct texts *t, struct error *err)
{
    const struct config_data *data = &config->task.data;
    struct text_generated g = automaton(config);
    int status = 0;
    if (data->format != DATA_GENERATED_TEXT) {
        status = find_files(data->path, t, err);
        return status ? status : read_files(t, err);
    }
    for (int p = 0; p < CORPUS_PARTS && !status; p++) {
        size_t words = (size_t)(p == CORPUS_TRAIN ? data->words : data->words / 10);
        snprintf(t->files[p].path, sizeof t->files[p].path, "generated text %d", p);
        status = text_generated_write(&g, p, words, &t->bytes[p], &t->sizes[p], err);
    }
    return status;
}

static struct text_scan scan_of(const struct texts *t, int part)
{
    struct text_scan s;
    text_scan_init(&s, t->files[part].path, t->bytes[part], t->sizes[part]);
    return s;
}

static const uint8_t eos[] = "<eos>";

/* The next word or <eos>; TEXT_END, or a negative status. */
static int next_word(struct text_scan *s, const uint8_t **word, size_t *size,
                     struct error *err)
{
    int token = text_scan_next(s, word, size, err);
    if (token == TEXT_EOS) {
        *word = eos;
        *size = sizeof eos - 1;
    }
    return token;
}

/* Words of a part; those of the training text are added to the vocabulary unless that is
 * given, and of the others *unknown says whether one is not in it. */
static int count_words(struct texts *t, int part, int *unknown, struct error *err)
{
    struct text_scan s = scan_of(t, part);
    const uint8_t *word;
    size_t size, real = 0;
    int token, status = 0;
    while (!status && (token = next_word(&s, &word, &size, err)) != TEXT_END) {
        if (token < 0)
            return token;
        t->words[part]++;
        real += token == TEXT_WORD;
        if (part == CORPUS_TRAIN && !t->list_bytes)
            status = vocabulary_add(t->vocabulary, word, size, err);
        else if (!vocabulary_has(t->vocabulary, word, size))
            *unknown = 1;
    }
    if (!status && real == 0)
        return error_set(err, ERROR_INPUT, "'%s' holds no words", t->files[part].path);
    return status;
}

static int read_list(struct texts *t, const char *path, struct error *err)
{
    t->list_name = path;
    int status =
        text_read_file(path, CORPUS_FILE_MAX, &t->list_bytes, &t->list_size, err);
    if (status != 0)
        return error_set(err, ERROR_INPUT, "task.data.vocabulary_file: cannot read '%s'",
                         path);
    return 0;
}

/* The words of the list, each of which stands once. */
static int add_list(struct texts *t, struct error *err)
{
    struct text_scan s;
    const uint8_t *word;
    size_t size;
    int token, status = 0;
    text_scan_init(&s, t->list_name, t->list_bytes, t->list_size);
    while (!status && (token = text_scan_next(&s, &word, &size, err)) != TEXT_END) {
        if (token < 0)
            return token;
        if (token != TEXT_WORD)
            continue;
        if (vocabulary_has(t->vocabulary, word, size))
            return error_set(err, ERROR_INPUT, "'%s', line %llu: '%.*s' stands twice",
                             t->list_name, (unsigned long long)s.line,
                             (int)(size < 80 ? size : 80), (const char *)word);
        status = vocabulary_add(t->vocabulary, word, size, err);
    }
    if (!status && !vocabulary_has(t->vocabulary, eos, sizeof eos - 1))
        status = vocabulary_add(t->vocabulary, eos, sizeof eos - 1, err);
    return status;
}

static int get_list(const struct config *config, struct texts *t, struct error *err)
{
    const char *path = config->task.data.vocabulary_file;
    int status = *path ? read_list(t, path, err) : 0;
    return status == 0 && *path ? add_list(t, err) : status;
}

static void texts_fini(struct texts *t)
{
    free(t->list_bytes);
    for (int p = 0; p < CORPUS_PARTS; p++)
        free(t->bytes[p]);
    vocabulary_free(t->vocabulary);
}

/* Fills a zeroed *t; free with texts_fini, after a failure as well. */
static int texts_init(struct texts *t, const struct config *config, struct error *err)
{
    const struct config_data *data = &config->task.data;
    int unknown = 0, status = get_texts(config, t, err);
    if (!status && !(t->vocabulary = vocabulary_new()))
        status = error_set(err, ERROR_SYSTEM, "task.data: out of memory for words");
    if (!status)
        status = get_list(config, t, err);
    for (int p = 0; p < CORPUS_PARTS && !status; p++)
        status = count_words(t, p, &unknown, err);
    return status ? status
                  : vocabulary_close(t->vocabulary, data->vocabulary, unknown, err);
}

int corpus_inspect(const struct config *config, struct data_facts *ret, struct error *err)
{
    struct texts t = {0};
    int status = texts_init(&t, config, err);
    if (!status)
        *ret = (struct data_facts){.train = (int)t.words[CORPUS_TRAIN],
                                   .validation = (int)t.words[CORPUS_VALIDATION],
                                   .test_images = (int)t.words[CORPUS_TEST],
                                   .vocabulary = vocabulary_size(t.vocabulary)};
    if (!status && config->task.data.format == DATA_GENERATED_TEXT) {
        struct text_generated g = automaton(config);
        ret->entropy = text_generated_entropy(&g);
    }
    texts_fini(&t);
    return status;
}

/* Where the parts begin, and the size of all. */
static size_t lay_out(const size_t *words, size_t *ret_begin)
{
    size_t at = DATA_HEADER;
    for (int p = 0; p < CORPUS_PARTS; p++) {
        ret_begin[p] = at;
        at += (words[p] * sizeof(int32_t) + PAGE - 1) / PAGE * PAGE;
    }
    return at;
}

static int encode(const struct texts *t, int part, int32_t *to, struct error *err)
{
    struct text_scan s = scan_of(t, part);
    const uint8_t *word;
    size_t size;
    int token;
    while ((token = next_word(&s, &word, &size, err)) > TEXT_END)
        *to++ = vocabulary_number(t->vocabulary, word, size);
    return token;
}

static int fill(struct dataset *d, void *context, struct error *err)
{
    struct texts *t = context;
    size_t begin[CORPUS_PARTS];
    int status = 0;
    lay_out(t->words, begin);
    for (int p = 0; p < CORPUS_PARTS && !status; p++)
        status = encode(t, p, (int32_t *)(void *)(d->map + begin[p]), err);
    return status;
}

/* Everything that the prepared file depends on. */
static void write_key(const struct config *config, const struct texts *t,
                      struct bytes *key)
{
    bytes_put(key, "text", 4);
    bytes_put_u32(key, CONTENT_VERSION);
    bytes_put_u32(key, (uint32_t)config->task.data.vocabulary);
    bytes_put_u32(key, (uint32_t)geteuid());
    if (t->list_bytes)
        bytes_put_u64(key, XXH3_64bits(t->list_bytes, t->list_size));
    for (int p = 0; p < CORPUS_PARTS; p++) {
        char *real = realpath(t->files[p].path, NULL);
        bytes_put_string(key, real ? real : t->files[p].path);
        bytes_put_u64(key, (uint64_t)t->files[p].size);
        bytes_put_u64(key, (uint64_t)t->files[p].changed.tv_sec);
        bytes_put_u64(key, (uint64_t)t->files[p].changed.tv_nsec);
        bytes_put_u64(key, t->words[p]);
        bytes_put_u64(key, XXH3_64bits(t->bytes[p], t->sizes[p]));
        free(real);
    }
}

static int map_texts(const struct config *config, const char *cache, struct texts *t,
                     struct corpus_file *f, struct error *err)
{
    size_t begin[CORPUS_PARTS];
    struct dataset d = {.size = lay_out(t->words, begin)};
    struct bytes key;
    bytes_init(&key);
    write_key(config, t, &key);
    int status = key.failed ? error_set(err, ERROR_SYSTEM, "task.data: out of memory")
                            : data_cache_get(cache, &key, &d, fill, t, err);
    bytes_fini(&key);
    if (status)
        return status;
    f->map = d.map;
    f->size = d.size;
    f->corpus.vocabulary = vocabulary_size(t->vocabulary);
    for (int p = 0; p < CORPUS_PARTS; p++)
        f->corpus.parts[p] = (struct corpus_part){
            (const int32_t *)(const void *)(d.map + begin[p]), t->words[p]};
    return 0;
}

int corpus_open(const struct config *config, const char *cache, struct corpus_file **ret,
                struct error *err)
{
    struct texts t = {0};
    struct corpus_file *f = calloc(1, sizeof *f);
    int status = f ? texts_init(&t, config, err)
                   : error_set(err, ERROR_SYSTEM, "task.data: out of memory");
    if (!status)
        status = map_texts(config, cache, &t, f, err);
    texts_fini(&t);
    if (status)
        corpus_close(f);
    else
        *ret = f;
    return status;
}

const struct corpus *corpus_of(const struct corpus_file *file)
{
    return &file->corpus;
}

void corpus_close(struct corpus_file *file)
{
    if (!file)
        return;
    if (file->map)
        munmap(file->map, file->size);
    free(file);
}
