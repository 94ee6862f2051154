/* SPDX-License-Identifier: Apache-2.0 */
#include "common/config.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/rng.h"
#include "common/text.h"

#define COUNT(a) ((int)(sizeof(a) / sizeof *(a)))

static int parse(const char *text, struct config *config, struct error *err)
{
    err->text[0] = '\0';
    return config_parse("file.yaml", text, strlen(text), config, err);
}

static const struct {
    const char *text, *error;
} bad_yaml[] = {
    {"5", "file.yaml:1: expected 'key: value' lines, found a plain value"},
    {"[1, 2]", "file.yaml:1: expected 'key: value' lines, found a list"},
    {"name: a\n---\nname: b\n", "file.yaml:2: a second document begins here"},
    {"name: a\nseed: 1\nname: b\n",
     "file.yaml:3: name: stands here again, first in line 1"},
    {"run: {slots: 1}\nname: x\nrun: {retries: 1}\n",
     "file.yaml:3: run: stands here again, first in line 1"},
    {"name: &a x\n", "file.yaml:1: found an anchor (&name); write the value out"},
    {"seed: 1\nname: *a\n", "file.yaml:2: found an alias (*name); write the value out"},
    {"search: &s {batch: 1}\n",
     "file.yaml:1: found an anchor (&name); write the value out"},
    {"space: {strides: &s [1]}\n",
     "file.yaml:1: found an anchor (&name); write the value out"},
    {"seed: !!int 5\n", "file.yaml:1: found a tag (!name); write the value out"},
    {"? [a, b]\n: c\n", "file.yaml:1: a key must be a plain word"},
    {"'': 1\n", "file.yaml:1: '' cannot be a key"},
    {"\"a\\0b\": 1\n", "file.yaml:1: 'a' cannot be a key"},
    {"name: \"a\\0b\"\n", "file.yaml:1: name: a value must not hold a NUL"},
    {"space: {strides: [1, [2]]}\n",
     "file.yaml:1: space.strides: a list holds plain values only, found a list"},
    {"space: {strides: [{a: 2}]}\n",
     "file.yaml:1: space.strides: a list holds plain values only, found keys"},
    {"a: {b: {c: {d: {e: {f: {g: {h: {i: 1}}}}}}}}\n",
     "file.yaml:1: a.b.c.d.e.f.g.h.i: nested deeper than any key"},
    {"name: [a\nseed: 1", "file.yaml:2: not valid YAML: did not find expected ',' or ']' "
                          "while parsing a flow sequence"},
    {"name: a\n\tseed: 1\n",
     "file.yaml:2: not valid YAML: found a tab character that violates indentation while "
     "scanning a plain scalar"},
    {"name: \"a\n", "file.yaml:2: not valid YAML: found unexpected end of stream while "
                    "scanning a quoted scalar"},
    {"name: a\nseed: \x01\n", "file.yaml:2: not valid YAML: control characters are not "
                              "allowed"},
    {"name: \xff\n", "file.yaml:1: not valid YAML: invalid leading UTF-8 octet"},
    {"name: a\n  seed: 1\n",
     "file.yaml:2: not valid YAML: mapping values are not allowed in this context"},
};

static const struct {
    const char *text, *error;
} bad_values[] = {
    {"search:\n  trails: 5\n",
     "file.yaml:2: search.trails: unknown key; did you mean 'trials'?"},
    {"seach: {trials: 5}\n", "file.yaml:1: seach: unknown key; did you mean 'search'?"},
    {"epochs: 5\n", "file.yaml:1: epochs: unknown key; did you mean "
                    "'trainer.builtin.epochs' or 'search.shared.epochs'?"},
    {"lr: 5\n", "file.yaml:1: lr: unknown key; did you mean "
                "'trainer.builtin.optimizer.lr' or 'search.controller.lr'?"},
    {"control: {xyzzy: 1}\n",
     "file.yaml:1: control.xyzzy: unknown key; allowed here: strategy, share"},
    {"name:\n", "file.yaml:1: name: expected a text of at most 255 bytes, found nothing"},
    {"seed: -1\n",
     "file.yaml:1: seed: expected a whole number of at least 0, found '-1'"},
    {"seed: 9223372036854775808\n",
     "file.yaml:1: seed: expected a whole number of at least "
     "0, found '9223372036854775808'"},
    {"search: 5\n",
     "file.yaml:1: search: expected the keys strategy, trials, hours, "
     "core_hours, gpu_hours, batch, duplicates, controller, shared, found '5'"},
    {"control: [1]\n",
     "file.yaml:1: control: expected the keys strategy, share, found [1]"},
    {"search:\n  batch: {a: 1}\n",
     "file.yaml:2: search.batch: expected a whole number from 1 to 65536, found keys"},
    {"search: {batch: 0}\n",
     "file.yaml:1: search.batch: expected a whole number from 1 to 65536, found '0'"},
    {"search: {batch: 1.5}\n",
     "file.yaml:1: search.batch: expected a whole number from 1 to 65536, found '1.5'"},
    {"search: {batch: \"8\"}\n",
     "file.yaml:1: search.batch: expected a whole number from 1 to 65536, found the text "
     "\"8\""},
    {"search: {batch: [8]}\n",
     "file.yaml:1: search.batch: expected a whole number from 1 to 65536, found [8]"},
    {"run: {slots: automatic}\n",
     "file.yaml:1: run.slots: expected a whole number from 0 to "
     "4096, or auto, found 'automatic'"},
    {"run: {mode: snyc}\n",
     "file.yaml:1: run.mode: expected sync or async, found 'snyc'; "
     "did you mean 'sync'?"},
    {"task: {kind: image-clasification}\n",
     "file.yaml:1: task.kind: expected image-classification or "
     "language-model, found "
     "'image-clasification'; "
     "did you mean 'image-classification'?"},
    {"run: {trial_timeout: 2w}\n",
     "file.yaml:1: run.trial_timeout: expected a duration (90s, 5m, 2h, 1d) from 0.01 to "
     "100000000 seconds, found '2w'"},
    {"resources: {memory_per_trial: 2GB}\n",
     "file.yaml:1: resources.memory_per_trial: expected a size in bytes (1048576, "
     "512MiB, "
     "2GiB) of at least 0, or unlimited, found '2GB'"},
    {"space: {skip: 1}\n", "file.yaml:1: space.skip: expected true or false, found '1'"},
    {"space: {strides: 1}\n",
     "file.yaml:1: space.strides: expected a list of 1 to 64 whole "
     "numbers from 1 to 16, found '1'"},
    {"space: {strides: []}\n",
     "file.yaml:1: space.strides: expected a list of 1 to 64 whole "
     "numbers from 1 to 16, found []"},
    {"space: {strides: [1, x]}\n",
     "file.yaml:1: space.strides: expected a list of 1 to 64 "
     "whole numbers from 1 to 16, found [1, x]"},
    {"trainer: {command: ./train}\n",
     "file.yaml:1: trainer.command: expected a list of at most 32 words of at most 255 "
     "bytes, as in [python3, train.py], found './train'"},
    {"reward: {power: nan}\n",
     "file.yaml:1: reward.power: expected a number from 0.001 to 100, found 'nan'"},
    {"preset: enas-cnn\n", "file.yaml:1: preset: expected nas-2017, rnn-scratch, "
                           "enas-rnn, enas-article, darts-rnn or random, "
                           "found 'enas-cnn'"},
    {"preset: [random]\n", "file.yaml:1: preset: expected nas-2017, rnn-scratch, "
                           "enas-rnn, enas-article, darts-rnn or random, "
                           "found [random]"},
};

static const struct {
    const char *text, *error;
} contradictions[] = {
    {"name: \"\"\n", "file.yaml:1: name: empty; a run needs a name"},
    {"reward: {metric: ''}\n", "file.yaml:1: reward.metric: empty; must name a metric"},
    {"task:\n  data:\n    path: ''\n",
     "file.yaml:3: task.data.path: empty; format idx needs the folder of its files"},
    {"task: {data: {format: cifar10}}\n",
     "file.yaml: task.data.path: still '/usr/share/datasets/fashion-mnist'; must be the "
     "folder of the cifar10 files"},
    {"task: {data: {format: generated, images: 5}}\n",
     "file.yaml:1: task.data.images: 5 images cannot show task.data.classes = 10 "
     "classes"},
    {"task: {train: 90, validation: 11, data: {format: generated, images: 100}}\n",
     "file.yaml:1: task.data.images: 100 images are fewer than task.train + "
     "task.validation = 90 + 11"},
    {"space: {filters: [8, 16, 8]}\n",
     "file.yaml:1: space.filters: 8 stands twice; every choice once"},
    {"space: {grow: {every: 100}}\n",
     "file.yaml:1: space.grow.every: 100 without space.grow.by, the layers to add"},
    {"space:\n  grow:\n    by: 2\n", "file.yaml:3: space.grow.by: 2 without "
                                     "space.grow.every, the proposals between two steps"},
    {"space: {layers: 60, grow: {every: 100, by: 2}}\nsearch: {trials: 301}\n",
     "file.yaml:1: space.grow.by: from space.layers = 60 the architectures grow to 66 "
     "layers in search.trials = 301; at most 64"},
    {"space: {layers: 42, skip: true}\n", "file.yaml:1: space.skip: 42 layers with skip "
                                          "connections are 1029 decisions; at most "
                                          "1024 (41 layers)"},
    {"task: {train: 100}\n",
     "file.yaml: trainer.builtin.batch: 128 is more than task.train = 100 images"},
    {"trainer: {builtin: {optimizer: {momentum: 0}}}\n",
     "file.yaml: trainer.builtin.optimizer.nesterov: true with momentum 0; needs a "
     "momentum "
     "above 0"},
    {"reward: {last_epochs: 11}\n",
     "file.yaml:1: reward.last_epochs: 11 is more than trainer.builtin.epochs = 10"},
    {"reward: {metric: f1}\n",
     "file.yaml:1: reward.metric: 'f1' is unknown to the built-in "
     "trainer; it reports val_accuracy"},
    {"search: {trials: unlimited}\n",
     "file.yaml:1: search.trials: unlimited, and so are hours, core_hours and gpu_hours; "
     "one of them must end the search"},
    {"search: {gpu_hours: 5}\n",
     "file.yaml:1: search.gpu_hours: a budget that is never used "
     "up, for resources.gpus_per_trial is 0"},
    {"control: {strategy: reinforce}\n",
     "file.yaml:1: control.strategy: reinforce; only random can be the control"},
    {"control: {share: 1}\n",
     "file.yaml:1: control.share: 1 leaves nothing to the search; "
     "must be below 1"},
    {"run: {lost_after: 1.5}\n", "file.yaml:1: run.lost_after: 1.5 s is less than twice "
                                 "run.heartbeat = 1 s; one late "
                                 "sign of life would lose a rank"},
};

static void refuse(const char *text, const char *expected)
{
    struct config config;
    struct error err;
    memset(&config, 0x5a, sizeof config);
    ck_assert_msg(parse(text, &config, &err) == ERROR_INPUT, "accepted:\n%s", text);
    ck_assert_str_eq(err.text, expected);
    for (size_t i = 0; i < sizeof config; i++)
        ck_assert_msg(((char *)&config)[i] == 0x5a, "changed by:\n%s", text);
}

START_TEST(bad_yaml_is_refused_with_its_line)
{
    for (int i = 0; i < COUNT(bad_yaml); i++)
        refuse(bad_yaml[i].text, bad_yaml[i].error);
}
END_TEST

START_TEST(bad_values_are_refused_with_what_is_allowed)
{
    for (int i = 0; i < COUNT(bad_values); i++)
        refuse(bad_values[i].text, bad_values[i].error);
}
END_TEST

START_TEST(contradictions_are_refused)
{
    for (int i = 0; i < COUNT(contradictions); i++)
        refuse(contradictions[i].text, contradictions[i].error);
}
END_TEST

START_TEST(sizes_are_bounded)
{
    struct config config;
    struct error err;
    size_t size = CONFIG_FILE_MAX + 1;
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    memset(text, '[', size);
    ck_assert_int_eq(config_parse("f", text, size, &config, &err), ERROR_INPUT);
    ck_assert_str_eq(err.text, "f: larger than 262144 bytes");
    ck_assert_int_eq(config_parse("f", text, size - 1, &config, &err), ERROR_INPUT);
    strcpy(text, "space: {strides: [");
    size_t used = strlen(text);
    for (int i = 0; i < 300; i++)
        used += (size_t)sprintf(text + used, "1,");
    strcpy(text + used, "]}");
    ck_assert_int_eq(parse(text, &config, &err), ERROR_INPUT);
    ck_assert_str_eq(err.text,
                     "file.yaml:1: space.strides: more than 256 values in a list");
    used = 0;
    for (int i = 0; i < 1001; i++)
        used += (size_t)sprintf(text + used, "k%d: 1\n", i);
    ck_assert_int_eq(parse(text, &config, &err), ERROR_INPUT);
    ck_assert_str_eq(err.text, "file.yaml:1001: more than 1000 keys");
    memset(text, 'k', 2000);
    strcpy(text + 2000, ": 1\n");
    ck_assert_int_eq(parse(text, &config, &err), ERROR_INPUT);
    memset(text, 'n', 1000);
    memcpy(text, "name: ", 6);
    text[1000] = '\0';
    ck_assert_int_eq(parse(text, &config, &err), ERROR_INPUT);
    ck_assert(strstr(err.text, "name: expected a text of at most 255 bytes, found 'nnn"));
    free(text);
}
END_TEST

START_TEST(files)
{
    struct config config;
    struct error err;
    ck_assert_int_eq(config_read("/nonexistent.yaml", &config, &err), ERROR_INPUT);
    ck_assert_str_eq(err.text,
                     "cannot open '/nonexistent.yaml': No such file or directory");
    ck_assert_int_eq(err.status, ERROR_INPUT);
    ck_assert_int_eq(config_read("/nonexistent.yaml", &config, NULL), ERROR_INPUT);
    char path[] = "/tmp/archway-test-config-XXXXXX";
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    FILE *file = fdopen(fd, "w");
    fputs("name: from-file\n", file);
    fclose(file);
    ck_assert_int_eq(config_read(path, &config, &err), 0);
    ck_assert_str_eq(config.name, "from-file");
    remove(path);
}
END_TEST

START_TEST(defaults_are_sound)
{
    struct config config, empty;
    struct error err;
    config_defaults(&config);
    ck_assert_int_eq(config_check(&config, "defaults", &err), 0);
    ck_assert_int_eq(parse("", &empty, &err), 0);
    ck_assert_mem_eq(&config, &empty, sizeof config);
    ck_assert_int_eq(parse("---\n# nothing\n", &empty, &err), 0);
    ck_assert_int_eq(parse("search:\nrun: ~\n", &empty, &err), 0);
    ck_assert_mem_eq(&config, &empty, sizeof config);
    ck_assert_str_eq(config.task.data.path, "/usr/share/datasets/fashion-mnist");
    ck_assert_int_eq(config.search.trials, 1000);
    ck_assert_int_eq(config.space.conv_chain.filters.values[3], 64);
    ck_assert_double_eq(config.run.trial_timeout, 7200);
    ck_assert_int_eq(config.resources.memory_per_trial, 2147483648);
}
END_TEST

/* Each default, written as in the table, is accepted from a file for its key. */
START_TEST(every_key_has_help_and_a_default)
{
    for (const struct config_key *key = config_schema; key->path; key++) {
        struct config config, defaults;
        struct error err;
        char text[400];
        config_defaults(&config);
        config_defaults(&defaults);
        snprintf(text, sizeof text, "%s=%s", key->path, key->initial);
        ck_assert_msg(config_set(&config, text, &err) == 0, "%s: %s", text, err.text);
        ck_assert_mem_eq(&config, &defaults, sizeof config);
        size_t length = strlen(key->help);
        ck_assert_msg(length > 5 && key->help[length - 1] == '.', "%s", key->path);
        ck_assert_ptr_eq(config_find(key->path), key);
        struct text written;
        text_init(&written);
        config_format(&defaults, key, &written);
        ck_assert_uint_gt(written.size, 0);
        text_fini(&written);
    }
    ck_assert_ptr_null(config_find("search"));
    ck_assert_ptr_null(config_find(""));
}
END_TEST

START_TEST(choices_match_their_enums)
{
    ck_assert_str_eq(config_choice_name("task.data.format", DATA_GENERATED), "generated");
    ck_assert_str_eq(config_choice_name("task.data.whiten", WHITEN_ZCA), "zca");
    ck_assert_str_eq(config_choice_name("space.name", SPACE_CONV_CHAIN), "conv-chain");
    ck_assert_str_eq(config_choice_name("trainer.builtin.optimizer.name", OPTIMIZER_ADAM),
                     "adam");
    ck_assert_str_eq(config_choice_name("trainer.builtin.schedule.name", SCHEDULE_COSINE),
                     "cosine");
    ck_assert_str_eq(config_choice_name("reward.reduce", REDUCE_LAST), "last");
    ck_assert_str_eq(config_choice_name("search.strategy", STRATEGY_RANDOM), "random");
    ck_assert_str_eq(config_choice_name("control.strategy", STRATEGY_RANDOM), "random");
    ck_assert_str_eq(config_choice_name("run.mode", MODE_SYNC), "sync");
    ck_assert_str_eq(config_choice_name("run.on_failure", ON_FAILURE_REWARD_0),
                     "reward-0");
    ck_assert_str_eq(config_choice_name("search.duplicates", DUPLICATES_TRAIN), "train");
    ck_assert_str_eq(config_choice_name("run.mode", 2), "unknown");
    ck_assert_str_eq(config_choice_name("run.mode", -1), "unknown");
    ck_assert_str_eq(config_choice_name("run.slots", 0), "unknown");
    ck_assert_str_eq(config_choice_name("nothing", 0), "unknown");
}
END_TEST

static const char example[] =
    "name: fashion-nas\n"
    "seed: 7\n"
    "task:     {kind: image-classification, data: {format: idx, path: /data/x}, train: "
    "54000, validation: 6000}\n"
    "space:    {name: conv-chain, layers: 6, filter_heights: [1, 3, 5, 7], "
    "filter_widths: "
    "[1, 3, 5, 7], filters: [24, 36, 48, 64], strides: [1],\n"
    "           skip: true, grow: {every: 1600, by: 2}}\n"
    "trainer:  {builtin: {epochs: 50, batch: 64, optimizer: {name: sgd, lr: 0.1, "
    "momentum: "
    "0.9, nesterov: true, weight_decay: 1e-4}}}\n"
    "reward:   {metric: val_accuracy, last_epochs: 5, reduce: max, power: 3}\n"
    "search:   {strategy: reinforce, trials: 12800, batch: 8, controller: {layers: 2, "
    "hidden: 35, lr: 6e-4, entropy: 1e-4, baseline_decay: 0.95}}\n"
    "control:  {strategy: random, share: 0.1}\n"
    "run:      {mode: async, trial_timeout: 90m, retries: 2, on_failure: skip, slots: "
    "auto}\n"
    "resources: {threads_per_trial: 1, gpus_per_trial: 0, memory_per_trial: 2GiB}\n";

START_TEST(the_documented_shape_is_read)
{
    struct config config;
    struct error err;
    ck_assert_msg(parse(example, &config, &err) == 0, "%s", err.text);
    ck_assert_str_eq(config.name, "fashion-nas");
    ck_assert_uint_eq(config.seed, 7);
    ck_assert_str_eq(config.task.data.path, "/data/x");
    ck_assert_int_eq(config.task.train, 54000);
    ck_assert_int_eq(config.space.conv_chain.strides.count, 1);
    ck_assert(config.space.conv_chain.skip);
    ck_assert_int_eq(config.space.conv_chain.grow_every, 1600);
    ck_assert_int_eq(config.trainer.builtin.batch, 64);
    ck_assert_double_eq(config.trainer.builtin.optimizer.weight_decay, 1e-4);
    ck_assert_int_eq(config.search.trials, 12800);
    ck_assert_double_eq(config.search.controller.lr, 6e-4);
    ck_assert_double_eq(config.run.trial_timeout, 5400);
    ck_assert_int_eq(config.run.slots, 0);
    ck_assert_int_eq(
        parse("trainer:\n  command:\n    - python3\n    - \"a b\"\n    - 5\n", &config,
              &err),
        0);
    ck_assert_int_eq(config.trainer.command_count, 3);
    ck_assert_str_eq(config.trainer.command[1], "a b");
    ck_assert_str_eq(config.trainer.command[2], "5");
}
END_TEST

START_TEST(a_preset_lies_below_the_keys_of_the_file)
{
    struct config config;
    struct error err;
    const char *text = "trainer: {builtin: {epochs: 20}}\n"
                       "task: {data: {path: /data/cifar}}\npreset: nas-2017\n";
    ck_assert_msg(parse(text, &config, &err) == 0, "%s", err.text);
    ck_assert_int_eq(config.trainer.builtin.epochs, 20);
    ck_assert_int_eq(config.task.data.format, DATA_CIFAR10);
    ck_assert_int_eq(config.task.train, 45000);
    ck_assert_int_eq(config.search.trials, 12800);
    ck_assert_int_eq(config.space.conv_chain.grow_by, 2);
    ck_assert_int_eq(parse("preset: random\n", &config, &err), 0);
    ck_assert_int_eq(config.search.strategy, STRATEGY_RANDOM);
    ck_assert_double_eq(config.control.share, 0);
}
END_TEST

START_TEST(set_refuses_what_does_not_fit)
{
    static const struct {
        const char *text, *error;
    } bad[] = {
        {"", "--set : expected key=value"},
        {"name", "--set name: expected key=value"},
        {"=5", "--set =5: expected key=value"},
        {"search.trails=5", "--set search.trails: unknown key; did you mean 'trials'?"},
        {"xyzzy.epochs=5", "--set xyzzy.epochs: unknown key; did you mean "
                           "'trainer.builtin.epochs' or 'search.shared.epochs'?"},
        {"search.batch=", "--set search.batch: expected a whole number from 1 to 65536, "
                          "found nothing"},
        {"search.batch=a", "--set search.batch: expected a whole number from 1 to 65536, "
                           "found 'a'"},
        {"preset=random", "--set preset: a preset can only be chosen in the file"},
        {"search={batch: 2, batch: 3}",
         "--set:1: search.batch: stands here again, first in line 1"},
    };
    struct config config, before;
    struct error err;
    config_defaults(&config);
    config_defaults(&before);
    for (int i = 0; i < COUNT(bad); i++) {
        ck_assert_int_eq(config_set(&config, bad[i].text, &err), ERROR_USAGE);
        ck_assert_str_eq(err.text, bad[i].error);
        ck_assert_int_eq(err.status, ERROR_USAGE);
        ck_assert_mem_eq(&config, &before, sizeof config);
    }
    ck_assert_int_eq(config_set(&config, "search={batch: 3, trials: x}", &err),
                     ERROR_USAGE);
    ck_assert_int_eq(config.search.batch, 8);
}
END_TEST

START_TEST(set_takes_yaml)
{
    struct config config;
    struct error err;
    config_defaults(&config);
    ck_assert_int_eq(config_set(&config, "search.trials=500", &err), 0);
    ck_assert_int_eq(config_set(&config, "space.strides=[1, 2]", &err), 0);
    ck_assert_int_eq(config_set(&config, "run={slots: 3, mode: sync}", &err), 0);
    ck_assert_int_eq(config_set(&config, "name=a=b", &err), 0);
    ck_assert_int_eq(config_set(&config, "trainer.command=[./t, -x]", &err), 0);
    ck_assert_int_eq(config.search.trials, 500);
    ck_assert_int_eq(config.space.conv_chain.strides.count, 2);
    ck_assert_int_eq(config.run.slots, 3);
    ck_assert_int_eq(config.run.mode, MODE_SYNC);
    ck_assert_str_eq(config.name, "a=b");
    ck_assert_int_eq(config.trainer.command_count, 2);
    ck_assert_int_eq(config_set(&config, "trainer.command=[]", &err), 0);
    ck_assert_int_eq(config.trainer.command_count, 0);
}
END_TEST

static double random_real(struct rng *rng, double min, double max)
{
    double u = rng_double(rng);
    switch (rng_below(rng, 4)) {
    case 0:
        return min;
    case 1:
        return max;
    case 2: /* small numbers need exponents */
        return fmax(min, fmin(max, min + (max - min) * pow(10, -20 * u)));
    default:
        return fmax(min, fmin(max, min + (max - min) * u));
    }
}

static void random_text(struct rng *rng, char *to, size_t size)
{
    static const char *const pieces[] = {"a",
                                         "auto",
                                         "null",
                                         "5",
                                         "\"",
                                         "\\",
                                         ": ",
                                         "#",
                                         "\n",
                                         "\t",
                                         "é",
                                         "日",
                                         "true",
                                         " ",
                                         "-",
                                         "'",
                                         "[",
                                         "}",
                                         "\x01",
                                         "~",
                                         "1e5",
                                         "%",
                                         "\xc2\x85",
                                         "\xe2\x80\xa8",
                                         "\xf0\x9f\x90\x8d",
                                         "\x7f"};
    int count = 1 + (int)rng_below(rng, 8);
    memset(to, 0, size);
    for (int i = 0; i < count; i++)
        strcat(to, pieces[rng_below(rng, COUNT(pieces))]);
}

static void random_value(struct rng *rng, const struct config_key *key, struct config *c)
{
    void *at = (char *)c + key->offset;
    struct config_list *list = at;
    int choices = 0;
    double v = random_real(rng, key->min, key->max);
    while (key->choices && key->choices[choices])
        choices++;
    switch (key->type) {
    case CONFIG_TYPE_TEXT:
    case CONFIG_TYPE_PATH:
        if (!key->choices)
            random_text(rng, at,
                        key->type == CONFIG_TYPE_PATH ? CONFIG_PATH : CONFIG_TEXT);
        break;
    case CONFIG_TYPE_INT:
        *(int *)at = (int)v;
        break;
    case CONFIG_TYPE_CHOICE:
        *(int *)at = (int)rng_below(rng, (uint32_t)choices);
        break;
    case CONFIG_TYPE_INT64:
    case CONFIG_TYPE_SIZE:
        *(int64_t *)at = (int64_t)v & ~(rng_below(rng, 2) ? 0xfffffLL : 0);
        break;
    case CONFIG_TYPE_UINT64:
        *(uint64_t *)at = rng_u64(rng) >> 1;
        break;
    case CONFIG_TYPE_REAL:
        *(double *)at = v;
        break;
    case CONFIG_TYPE_DURATION:
        *(double *)at = rng_below(rng, 2) ? v : fmax(1, floor(v));
        break;
    case CONFIG_TYPE_BOOL:
        *(bool *)at = rng_below(rng, 2);
        break;
    case CONFIG_TYPE_INT_LIST:
        memset(list, 0, sizeof *list);
        list->count = 1 + (int)rng_below(rng, CONFIG_LIST);
        for (int i = 0; i < list->count; i++)
            list->values[i] = (int)random_real(rng, key->min, key->max);
        break;
    case CONFIG_TYPE_CHOICE_LIST:
        memset(list, 0, sizeof *list);
        list->count = 1 + (int)rng_below(rng, (uint32_t)choices);
        for (int i = 0; i < list->count; i++)
            list->values[i] = (int)rng_below(rng, (uint32_t)choices);
        break;
    case CONFIG_TYPE_COMMAND:
        memset(c->trainer.command, 0, sizeof c->trainer.command);
        c->trainer.command_count = (int)rng_below(rng, CONFIG_ARGS + 1);
        for (int i = 0; i < c->trainer.command_count; i++)
            random_text(rng, c->trainer.command[i], CONFIG_TEXT);
        break;
    }
}

/* Random values may contradict each other, so they are read back key by key with --set,
 * and as a file when they do not. */
START_TEST(written_configurations_read_back)
{
    uint64_t seed = (uint64_t)time(NULL);
    int whole = 0;
    printf("seed %llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 500; round++) {
        struct rng rng;
        struct config config, back, file;
        struct error err;
        rng_init(&rng, seed, RNG_TEST, round);
        config_defaults(&config);
        config_defaults(&back);
        for (const struct config_key *key = config_schema; key->path; key++) {
            if (rng_below(&rng, 1 + (uint32_t)round % 40) == 0)
                random_value(&rng, key, &config);
            struct text t;
            text_init(&t);
            text_append(&t, "%s=", key->path);
            config_format(&config, key, &t);
            ck_assert_msg(config_set(&back, t.data, &err) == 0, "%s: %s", t.data,
                          err.text);
            text_fini(&t);
        }
        char *text = config_write(&config, rng_below(&rng, 2));
        ck_assert_ptr_nonnull(text);
        ck_assert_msg(memcmp(&config, &back, sizeof config) == 0, "differs:\n%s", text);
        bool sound = config_check(&config, "f", NULL) == 0;
        int status = config_parse("f", text, strlen(text), &file, &err);
        ck_assert_msg((status == 0) == sound, "%s:\n%s", err.text, text);
        if (status == 0) {
            whole++;
            ck_assert_msg(memcmp(&config, &file, sizeof config) == 0, "differs:\n%s",
                          text);
            char *difference = config_difference(&config, &file, false);
            ck_assert_str_eq(difference, "");
            free(difference);
        }
        free(text);
    }
    ck_assert_int_gt(whole, 20);
}
END_TEST

START_TEST(keys_that_do_not_apply_are_left_out)
{
    struct config config;
    struct error err;
    ck_assert_int_eq(parse(example, &config, &err), 0);
    char *text = config_write(&config, false);
    ck_assert_ptr_nonnull(strstr(text, "\nsearch:\n    strategy: reinforce\n"));
    ck_assert_ptr_nonnull(strstr(text, "    grow:\n        every: 1600\n"));
    ck_assert_ptr_nonnull(strstr(text, "trial_timeout: 90m\n"));
    ck_assert_ptr_null(strstr(text, "classes"));
    ck_assert_ptr_null(strstr(text, "factor"));
    ck_assert_ptr_null(strstr(text, "#"));
    free(text);
    ck_assert_int_eq(config_set(&config, "trainer.builtin.schedule.name=step", &err), 0);
    text = config_write(&config, true);
    ck_assert_ptr_nonnull(strstr(text, "            factor: 0.1\n"));
    ck_assert_ptr_nonnull(
        strstr(text, "    # Allowed: sync or async.\n    mode: async\n"));
    for (char *line = text; *line; line += strcspn(line, "\n") + 1)
        ck_assert_uint_le(strcspn(line, "\n"), 80);
    ck_assert_ptr_nonnull(strstr(text, "(plain or .gz), the binary\n"
                                       "        # version of CIFAR, images made up"));
    free(text);
    ck_assert_int_eq(config_set(&config, "trainer.command=[./t]", &err), 0);
    ck_assert(!config_applies(&config, config_find("trainer.builtin.epochs")));
    ck_assert(!config_applies(&config, config_find("trainer.builtin.schedule.every")));
    ck_assert(config_applies(&config, config_find("trainer.command")));
}
END_TEST

START_TEST(differences)
{
    struct config a, b;
    config_defaults(&a);
    config_defaults(&b);
    config_set(&b, "search.batch=16", NULL);
    config_set(&b, "search.trials=2000", NULL);
    config_set(&b, "space.strides=[1]", NULL);
    config_set(&b, "task.data.classes=20", NULL); /* does not apply to idx */
    char *text = config_difference(&a, &b, false);
    ck_assert_str_eq(text,
                     "space.strides: [1, 2, 3] -> [1]\nsearch.trials: 1000 -> 2000\n"
                     "search.batch: 8 -> 16\n");
    free(text);
    text = config_difference(&a, &b, true);
    ck_assert_str_eq(text, "space.strides: [1, 2, 3] -> [1]\nsearch.batch: 8 -> 16\n");
    free(text);
}
END_TEST

/* No mutation of a valid file may do more than fail with one line of text. */
START_TEST(mutations_never_do_harm)
{
    uint64_t seed = (uint64_t)time(NULL);
    static const char bytes[] = "{}[]:,#&*!|>'\"%@`-? \n\t\\0a~\xff\xc2";
    printf("seed %llu\n", (unsigned long long)seed);
    for (uint64_t round = 0; round < 5000; round++) {
        struct rng rng;
        struct config config;
        struct error err = {0};
        char text[sizeof example];
        size_t size = sizeof example - 1;
        rng_init(&rng, seed, RNG_TEST, round);
        memcpy(text, example, sizeof example);
        for (uint32_t i = rng_below(&rng, 6); i < 7; i++) {
            size_t at = rng_below(&rng, (uint32_t)size);
            size_t from = rng_below(&rng, (uint32_t)size);
            size_t n = rng_below(&rng, 20);
            if (rng_below(&rng, 3) == 0 && from + n < size && at + n < size)
                memmove(text + at, text + from, n);
            else
                text[at] = bytes[rng_below(&rng, sizeof bytes)];
        }
        if (rng_below(&rng, 4) == 0)
            size = rng_below(&rng, (uint32_t)size);
        int status = config_parse("f", text, size, &config, &err);
        if (status == 0)
            continue;
        ck_assert_int_eq(status, ERROR_INPUT);
        ck_assert_msg(strncmp(err.text, "f:", 2) == 0, "%s", err.text);
        ck_assert_msg(!strchr(err.text, '\n'), "%s", err.text);
    }
}
END_TEST

UNIT_MAIN("config", bad_yaml_is_refused_with_its_line,
          bad_values_are_refused_with_what_is_allowed, contradictions_are_refused,
          sizes_are_bounded, files, defaults_are_sound, every_key_has_help_and_a_default,
          choices_match_their_enums, the_documented_shape_is_read,
          a_preset_lies_below_the_keys_of_the_file, set_refuses_what_does_not_fit,
          set_takes_yaml, written_configurations_read_back,
          keys_that_do_not_apply_are_left_out, differences, mutations_never_do_harm)
