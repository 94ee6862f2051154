/* SPDX-License-Identifier: Apache-2.0 */
#include "temp_folder.h"
#include "unit.h"

#include <dirent.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

#include "worker/data/corpus.h"
#include "worker/data/data.h"
#include "worker/data/text_generated.h"
#include "worker/data/text_scan.h"
#include "worker/data/vocabulary.h"
#include "worker/text_columns.h"

static struct temp_folder temp;
static struct config config;

static void put(const char *name, const char *text, size_t size)
{
    FILE *file = fopen(temp_folder_file(&temp, name), "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static void remove_all(void)
{
    DIR *folder = opendir(temp.path);
    for (struct dirent *e; folder && (e = readdir(folder));)
        remove(temp_folder_file(&temp, e->d_name));
    if (folder)
        closedir(folder);
}

static void setup(void)
{
    remove_all();
    config_defaults(&config);
    snprintf(config.task.kind, sizeof config.task.kind, "language-model");
    snprintf(config.task.data.path, sizeof config.task.data.path, "%s", temp.path);
    config.task.data.format = DATA_TEXT;
    put_text("train.txt", "a b a\n\nc a b");
    put_text("valid.txt", "b c\n");
    put_text("test.txt", "a\n");
}

static void refused(const char *says)
{
    struct error err = {0};
    struct corpus_file *file = NULL;
    struct data_facts facts = {.vocabulary = -7};
    ck_assert_int_eq(corpus_open(&config, temp.path, &file, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, says), "says: %s", err.text);
    ck_assert_ptr_null(file);
    ck_assert_int_eq(data_inspect(&config, &facts, &err), ERROR_INPUT);
    ck_assert_msg(strstr(err.text, says), "says: %s", err.text);
    ck_assert_int_eq(facts.vocabulary, -7);
}

START_TEST(wrong_folders_are_named)
{
    remove(temp_folder_file(&temp, "train.txt"));
    ck_assert(!corpus_present(temp.path));
    refused("holds no text; looked for ptb.train.txt, wiki.train.tokens and train.txt");
    put_text("wiki.train.tokens", "x\n");
    ck_assert(corpus_present(temp.path));
    refused("wiki.valid.tokens'");
}
END_TEST

START_TEST(wrong_texts_are_named)
{
    char word[TEXT_WORD_MAX + 2];
    put_text("train.txt", "");
    refused("train.txt' holds no words");
    put_text("train.txt", " \n\n\t\n");
    refused("train.txt' holds no words");
    put_text("train.txt", "a b\nc d\xff\n");
    refused("train.txt': line 2, byte 4: no UTF-8 text");
    put_text("train.txt", "a b\nc \xc3");
    refused("train.txt': line 2, byte 3: no UTF-8 text");
    put_text("train.txt", "\xc0\x80");
    refused("line 1, byte 1: no UTF-8 text");
    put("train.txt", "a\r\nb\r\nx\0y", 9);
    refused("train.txt': line 3, byte 2: a control character");
    memset(word, 'w', sizeof word);
    put("train.txt", word, TEXT_WORD_MAX + 1);
    refused("line 1, byte 1025: a word of more than 1024 bytes");
    setup();
    put("train.txt", word, TEXT_WORD_MAX);
    put_text("valid.txt", "a\n\x01");
    refused("valid.txt': line 2, byte 1: a control character");
}
END_TEST

static struct corpus_file *open_corpus(void)
{
    struct corpus_file *file = NULL;
    struct error err = {0};
    ck_assert_msg(corpus_open(&config, temp.path, &file, &err) == 0, "%s", err.text);
    return file;
}

static void check_part(const struct corpus *c, int part, const int32_t *words, size_t n)
{
    ck_assert_uint_eq(c->parts[part].count, n);
    ck_assert_mem_eq(c->parts[part].words, words, n * sizeof *words);
}

/* a 0, b 1, <eos> 2, c 3; an empty line is an <eos>, and so is the end of the last line.
 */
START_TEST(words_are_numbered_as_they_appear)
{
    static const int32_t train[] = {0, 1, 0, 2, 2, 3, 0, 1, 2}, valid[] = {1, 3, 2};
    static const int32_t test[] = {0, 2};
    struct data_facts facts;
    struct corpus_file *file = open_corpus();
    const struct corpus *c = corpus_of(file);
    ck_assert_int_eq(c->vocabulary, 4);
    check_part(c, CORPUS_TRAIN, train, 9);
    check_part(c, CORPUS_VALIDATION, valid, 3);
    check_part(c, CORPUS_TEST, test, 2);
    corpus_close(file);
    ck_assert_int_eq(data_inspect(&config, &facts, NULL), 0);
    ck_assert_int_eq(facts.vocabulary, 4);
    ck_assert_int_eq(facts.train, 9);
    ck_assert_int_eq(facts.validation, 3);
    ck_assert_int_eq(facts.test_images, 2);
    ck_assert_int_eq(facts.height, 0);
}
END_TEST

START_TEST(unknown_words_are_unk)
{
    static const int32_t valid[] = {1, 4, 2};
    struct corpus_file *file;
    put_text("valid.txt", "b z\n");
    file = open_corpus();
    ck_assert_int_eq(corpus_of(file)->vocabulary, 5); /* <unk> comes last */
    check_part(corpus_of(file), CORPUS_VALIDATION, valid, 3);
    corpus_close(file);
    put_text("train.txt", "a <unk> c\n");
    put_text("valid.txt", "c z <unk>\n");
    static const int32_t known[] = {2, 1, 1, 3};
    file = open_corpus();
    ck_assert_int_eq(corpus_of(file)->vocabulary, 4);
    check_part(corpus_of(file), CORPUS_VALIDATION, known, 4);
    corpus_close(file);
}
END_TEST

/* a and <eos> 3 times, b twice, c once: the limit counts <unk>, and order stays. */
START_TEST(vocabulary_keeps_the_most_frequent)
{
    static const int32_t three[] = {0, 2, 0, 1, 1, 2, 0, 2, 1};
    static const int32_t four[] = {0, 1, 0, 2, 2, 3, 0, 1, 2};
    struct corpus_file *file;
    config.task.data.vocabulary = 3;
    file = open_corpus();
    ck_assert_int_eq(corpus_of(file)->vocabulary, 3);
    check_part(corpus_of(file), CORPUS_TRAIN, three, 9);
    corpus_close(file);
    config.task.data.vocabulary = 4; /* all four fit, without <unk> */
    file = open_corpus();
    ck_assert_int_eq(corpus_of(file)->vocabulary, 4);
    check_part(corpus_of(file), CORPUS_TRAIN, four, 9);
    corpus_close(file);
    put_text("test.txt", "z\n"); /* now <unk> takes the place of c */
    file = open_corpus();
    ck_assert_int_eq(corpus_of(file)->vocabulary, 4);
    ck_assert_int_eq(corpus_of(file)->parts[CORPUS_TEST].words[0], 3);
    check_part(corpus_of(file), CORPUS_TRAIN, four, 9); /* c is 3 as well: <unk> */
    corpus_close(file);
}
END_TEST

static const char *words_of(const char *text, size_t size)
{
    static char out[200];
    struct text_scan s;
    const uint8_t *word;
    size_t length, used = 0;
    int token;
    text_scan_init(&s, "t", text, size);
    out[0] = '\0';
    while ((token = text_scan_next(&s, &word, &length, NULL)) > TEXT_END)
        used += (size_t)snprintf(out + used, sizeof out - used, "%.*s|",
                                 token == TEXT_EOS ? 1 : (int)length,
                                 token == TEXT_EOS ? "$" : (const char *)word);
    ck_assert_int_eq(token, TEXT_END);
    return out;
}
#define WORDS_OF(text) words_of(text, sizeof text - 1)

static void put_list(const char *words)
{
    put_text("list", words);
    snprintf(config.task.data.vocabulary_file, sizeof config.task.data.vocabulary_file,
             "%s", temp_folder_file(&temp, "list"));
}

/* train: a b a <eos> <eos> c a b <eos>; in the order of the list, what is not in it
 * <unk>. */
START_TEST(a_vocabulary_may_be_given)
{
    static const int32_t all[] = {1, 0, 1, 3, 3, 4, 1, 0, 3};
    static const int32_t two[] = {2, 0, 2, 1, 1, 2, 2, 0, 1};
    struct corpus_file *file;
    struct error err = {0};
    put_list("b\na zebra\n");
    ck_assert_msg(corpus_open(&config, temp.path, &file, &err) == 0, "%s", err.text);
    ck_assert_int_eq(corpus_of(file)->vocabulary, 5); /* b a zebra <eos> <unk> */
    ck_assert_mem_eq(corpus_of(file)->parts[CORPUS_TRAIN].words, all, sizeof all);
    corpus_close(file);
    put_list("b <eos> a zebra");
    config.task.data.vocabulary = 3;
    ck_assert_msg(corpus_open(&config, temp.path, &file, &err) == 0, "%s", err.text);
    ck_assert_int_eq(corpus_of(file)->vocabulary, 3);
    ck_assert_mem_eq(corpus_of(file)->parts[CORPUS_TRAIN].words, two, sizeof two);
    corpus_close(file);
    put_list("a\nb\na\n");
    refused("list', line 3: 'a' stands twice");
    put("list", "a\xff", 2);
    refused("list");
    remove(temp_folder_file(&temp, "list"));
    refused("task.data.vocabulary_file: cannot read");
}
END_TEST

START_TEST(lines_and_white_space)
{
    ck_assert_str_eq(WORDS_OF(""), "");
    ck_assert_str_eq(WORDS_OF("\n"), "$|");
    ck_assert_str_eq(WORDS_OF(" "), "$|");
    ck_assert_str_eq(WORDS_OF("a"), "a|$|");
    ck_assert_str_eq(WORDS_OF("a\r\nb\rc\n\nd \t e\n"), "a|$|b|$|c|$|$|d|e|$|");
    ck_assert_str_eq(WORDS_OF("\xef\xbb\xbf"
                              "a\xc2\xa0"
                              "b\xe3\x80\x80"
                              "c\xc2\x85"),
                     "a|b|c|$|");
    ck_assert_str_eq(WORDS_OF("\xc3\xa9t\xc3\xa9 \xf0\x9f\x98\x80"),
                     "\xc3\xa9t\xc3\xa9|\xf0\x9f\x98\x80|$|");
}
END_TEST

/* Many words, so that the table grows several times. */
START_TEST(large_vocabularies)
{
    enum { N = 30000 };
    static char words[N][8];
    struct vocabulary *v = vocabulary_new();
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) {
            int n = snprintf(words[i], sizeof words[i], "w%d", i);
            ck_assert_int_eq(vocabulary_add(v, (uint8_t *)words[i], (size_t)n, NULL), 0);
        }
    ck_assert_int_eq(vocabulary_close(v, 0, 0, NULL), 0);
    ck_assert_int_eq(vocabulary_size(v), N);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(vocabulary_number(v, (uint8_t *)words[i], strlen(words[i])), i);
    ck_assert_int_eq(vocabulary_number(v, (uint8_t *)"other", 5), -1);
    vocabulary_free(v);
    vocabulary_free(NULL);
}
END_TEST

static int prepared(ino_t *ret)
{
    DIR *folder = opendir(temp.path);
    int count = 0;
    for (struct dirent *e; (e = readdir(folder));)
        if (strstr(e->d_name, "archway-data-") && strstr(e->d_name, ".bin")) {
            count++;
            *ret = e->d_ino;
        }
    closedir(folder);
    return count;
}

START_TEST(prepared_once_and_again_when_it_changes)
{
    ino_t first = 0, second = 0;
    struct corpus_file *a = open_corpus(), *b = open_corpus();
    ck_assert_int_eq(prepared(&first), 1);
    ck_assert_mem_eq(corpus_of(a)->parts[0].words, corpus_of(b)->parts[0].words, 36);
    corpus_close(a);
    corpus_close(b);
    corpus_close(NULL);
    put_text("valid.txt", "c c\n");
    a = open_corpus();
    ck_assert_int_eq(prepared(&second), 2);
    ck_assert_int_eq(corpus_of(a)->parts[CORPUS_VALIDATION].words[0], 3);
    corpus_close(a);
}
END_TEST

/* Nine words in two columns of four, 0 1 0 2 and 2 3 0 1; the ninth is left over. */
START_TEST(columns_of_a_small_text)
{
    struct corpus_file *file = open_corpus();
    struct text_columns c = text_columns_make(&corpus_of(file)->parts[CORPUS_TRAIN], 2);
    static const int32_t in[] = {0, 2, 1, 3}, out[] = {1, 3, 0, 0};
    static const int32_t last_in[] = {0, 0}, last_out[] = {2, 1};
    int32_t inputs[4], targets[4];
    ck_assert_uint_eq(c.rows, 3);
    ck_assert_uint_eq(text_columns_windows(&c, 2), 2);
    ck_assert_int_eq(text_columns_window(&c, 2, 0, inputs, targets), 2);
    ck_assert_mem_eq(inputs, in, sizeof in);
    ck_assert_mem_eq(targets, out, sizeof out);
    ck_assert_int_eq(text_columns_window(&c, 2, 1, inputs, targets), 1);
    ck_assert_mem_eq(inputs, last_in, sizeof last_in);
    ck_assert_mem_eq(targets, last_out, sizeof last_out);
    corpus_close(file);
}
END_TEST

START_TEST(bad_automata_are_refused)
{
    static const struct text_generated bad[] = {{1, 0, 9}, {1, 1025, 9}, {1, 2, 3}};
    for (int i = 0; i < 3; i++) {
        char *text = NULL;
        size_t size;
        struct error err = {0};
        ck_assert_int_eq(text_generated_write(&bad[i], 0, 99, &text, &size, &err),
                         ERROR_INPUT);
        ck_assert_ptr_null(text);
        ck_assert(isnan(text_generated_entropy(&bad[i])));
    }
}
END_TEST

/* With one state the words are independent, so counting them gives the entropy; with more
 * states counting misses what the state tells, and finds more. */
START_TEST(entropy_of_generated_text)
{
    for (int states = 1; states < 20; states += 18) {
        size_t counts[64] = {0};
        double counted = 0;
        struct data_facts facts;
        config.seed = 5;
        config.task.data.format = DATA_GENERATED_TEXT;
        config.task.data.states = states;
        config.task.data.symbols = 8;
        config.task.data.words = 300000;
        ck_assert_int_eq(corpus_inspect(&config, &facts, NULL), 0);
        struct corpus_file *file = open_corpus();
        const struct corpus_part *part = &corpus_of(file)->parts[CORPUS_TRAIN];
        ck_assert_uint_eq(part->count, 300000);
        ck_assert_int_eq(facts.validation, 30000);
        for (size_t i = 0; i < part->count; i++)
            counts[part->words[i]]++;
        for (int w = 0; w < facts.vocabulary; w++) {
            double p = (double)counts[w] / (double)part->count;
            counted -= p > 0 ? p * log(p) : 0;
        }
        if (states == 1)
            ck_assert_double_eq_tol(counted, facts.entropy, 0.005);
        else
            ck_assert_double_gt(counted, facts.entropy + 0.2);
        ck_assert_double_lt(facts.entropy, log(5) + 1e-9);
        corpus_close(file);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {wrong_folders_are_named,
                                  wrong_texts_are_named,
                                  words_are_numbered_as_they_appear,
                                  unknown_words_are_unk,
                                  vocabulary_keeps_the_most_frequent,
                                  a_vocabulary_may_be_given,
                                  lines_and_white_space,
                                  large_vocabularies,
                                  prepared_once_and_again_when_it_changes,
                                  columns_of_a_small_text,
                                  bad_automata_are_refused,
                                  entropy_of_generated_text,
                                  NULL};
    return temp_folder_main("corpus", tests, &temp, setup);
}
