/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of a run: plain data, read from YAML, checked against one schema.
 *
 * The schema (config_schema) is a table of every key with type, default, range, choices
 * and help: the reader, the writer, --set, `archway check`, `archway init` and the
 * reference documentation all walk the same table. Sizes are bounded, so the struct can be
 * copied by assignment and holds no pointers. */
#ifndef ARCHWAY_COMMON_CONFIG_H
#define ARCHWAY_COMMON_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/error.h"

enum {
    CONFIG_TEXT = 256,  /* bytes of a short text value, NUL included */
    CONFIG_PATH = 1024, /* bytes of a path */
    CONFIG_LIST = 64,   /* entries of a list of numbers */
    CONFIG_ARGS = 32,   /* words of an external trainer's command */
    CONFIG_FILE_MAX = 256 * 1024 /* bytes of a configuration file */
};

struct config_list {
    int count;
    int values[CONFIG_LIST];
};

enum config_data_format {
    DATA_IDX,
    DATA_CIFAR10,
    DATA_CIFAR100,
    DATA_GENERATED,
    DATA_TEXT,
    DATA_GENERATED_TEXT
};
enum config_whiten { WHITEN_NONE, WHITEN_CHANNEL, WHITEN_ZCA };
enum config_space { SPACE_CONV_CHAIN, SPACE_RNN_DAG, SPACE_RNN_TREE };
/* Those of common/space/rnn_words.h. */
enum config_decisions { DECISIONS_PER_STEP, DECISIONS_ATTENTION };
enum config_optimizer { OPTIMIZER_SGD, OPTIMIZER_ADAM };
enum config_schedule { SCHEDULE_CONSTANT, SCHEDULE_STEP, SCHEDULE_COSINE };
/* "generic" runs everywhere; the names are those of common/nn/kernels.h. */
enum config_kernels { KERNELS_AUTO, KERNELS_AVX512, KERNELS_AVX2, KERNELS_GENERIC };
enum config_reduce { REDUCE_MAX, REDUCE_MEAN, REDUCE_LAST };
enum config_output { OUTPUT_LEAVES, OUTPUT_ALL, OUTPUT_ALL_BUT_FIRST };
enum config_strategy {
    STRATEGY_REINFORCE,
    STRATEGY_RANDOM,
    STRATEGY_ENAS,
    STRATEGY_ENAS_RANDOM,
    STRATEGY_RANDOM_SHARED,
    STRATEGY_DARTS
};
enum config_mode { MODE_SYNC, MODE_ASYNC };
enum config_order { ORDER_LONGEST, ORDER_PROPOSED };
enum config_on_failure { ON_FAILURE_SKIP, ON_FAILURE_REWARD_0 };
enum config_duplicates { DUPLICATES_ANSWER, DUPLICATES_TRAIN };
enum config_entropy { ENTROPY_FULL, ENTROPY_SAMPLED };

struct config_data {
    int format;             /* enum config_data_format */
    char path[CONFIG_PATH]; /* folder; empty for generated */
    int whiten;             /* enum config_whiten */
    int vocabulary;         /* text: most different words; 0: all of the training text */
    char vocabulary_file[CONFIG_PATH]; /* text: its words; empty: those of the training
                                          text */
    /* generated text only */
    int words, symbols, states;
    /* generated images only */
    int classes, height, width, channels, images;
};

struct config_task {
    char kind[CONFIG_TEXT]; /* "image-classification", "language-model" */
    struct config_data data;
    int train, validation; /* images; 0: decided from the file (5/6 and 1/6) */
};

struct config_conv_chain {
    int layers; /* depth of the first architectures */
    struct config_list filter_heights, filter_widths, filters, strides;
    bool skip;                  /* anchor points: every earlier layer may be an input */
    int grow_every, grow_by;    /* depth += grow_by every grow_every trials; 0: never */
};

/* Recurrent cells: rnn-dag has nodes and decisions, rnn-tree base and combinations. */
struct config_rnn {
    int nodes;
    int decisions;                   /* enum config_decisions */
    int base;                        /* leaves of the tree */
    struct config_list activations;  /* enum rnn_activation */
    struct config_list combinations; /* enum rnn_combination */
};

struct config_builtin_trainer {
    int epochs, batch;
    struct {
        int name; /* enum config_optimizer */
        double lr, momentum, weight_decay;
        bool nesterov;
    } optimizer;
    struct {
        int name;     /* enum config_schedule */
        int start;    /* step: epochs at the first rate before drops are counted */
        int every;    /* step: epochs between drops */
        double factor; /* step: lr *= factor at each drop */
        double final; /* cosine: lr at the end, as a share of the first */
    } schedule;
    struct {
        int pad;   /* pixels of zero padding before a random crop; 0: no crop */
        bool flip; /* random horizontal flip */
    } augment;
    int hidden;  /* recurrent children: units of embedding and hidden state */
    struct {     /* recurrent children on a text, see worker/language.h */
        int bptt, eval_batch;
        int average_after; /* epochs; 0: never */
        double init, clip, state_clip;
        bool norm;
        int output; /* enum config_output */
        struct {
            double embedding, input, state, output, weight;
        } dropout;
    } recurrent;
    int kernels; /* enum config_kernels; auto: the fastest that run there */
};

struct config_trainer {
    int command_count; /* 0: the built-in trainer */
    char command[CONFIG_ARGS][CONFIG_TEXT];
    struct config_builtin_trainer builtin;
};

struct config_reward {
    char metric[CONFIG_TEXT]; /* a metric of the curve, "val_accuracy" */
    int last_epochs;          /* how many epochs at the end count; 0: all */
    int reduce;               /* enum config_reduce */
    double power, scale;
};

struct config_controller {
    int layers, hidden;
    double init; /* weights uniform in [-init, init] */
    double lr, entropy, baseline_decay;
    double clip; /* gradient norm; 0: none */
    /* Logits while searching: tanh_constant tanh(z / temperature); tanh_constant 0: no
     * tanh. */
    double temperature, tanh_constant;
    int entropy_estimate; /* enum config_entropy */
};

/* Searches with shared weights. */
struct config_shared {
    int epochs, steps;    /* steps of the shared weights in an epoch */
    int samples;          /* architectures a step */
    int sync_every;       /* steps between two exchanges of what they gave */
    int save_every;       /* steps between two saved states */
    int controller_steps; /* updates of the policy in an epoch */
    int probes;           /* architectures on the whole validation set, an epoch */
    int candidates, finalists;
    /* Of darts alone. */
    int order;                           /* of alpha's gradient: 1 or 2 */
    double alpha_lr, alpha_weight_decay; /* of alpha (Adam) */
    bool norm;                           /* batch norm of the relaxed cell's nodes */
};

struct config_search {
    int strategy;     /* enum config_strategy */
    int64_t trials;   /* budget, both arms together; 0: no limit */
    double hours;     /* wall-clock budget of all sessions; 0: no limit */
    double core_hours, gpu_hours; /* budget of training; 0: no limit */
    int batch;        /* proposals per policy update; in mode sync also the round */
    int duplicates;   /* enum config_duplicates */
    struct config_controller controller;
    struct config_shared shared;
};

struct config_control {
    int strategy; /* enum config_strategy: random only */
    double share; /* of all trials, [0, 1) */
};

struct config_run {
    int mode;              /* enum config_mode */
    double trial_timeout;  /* seconds */
    int retries;           /* further attempts after a failed one */
    int on_failure;        /* enum config_on_failure */
    int slots;             /* trainers a rank; 0: auto */
    int prefetch;          /* most tasks waiting at a busy slot */
    int order;             /* enum config_order */
    double forecast;       /* quantile of durations by which a trial has to end in time */
    double snapshot_every; /* seconds */
    double heartbeat;      /* seconds between signs of life */
    double silent_after;   /* seconds of silence before a rank is doubted */
    double lost_after;     /* seconds of silence before a rank is given up */
    int quarantine_after;  /* trials that speak against a node; 0: never */
    double max_failed;     /* share of the last trials that may fail, 0 to 1 */
    int64_t reserve;       /* bytes free below which no trial is handed out; 0: none */
    char chaos[CONFIG_TEXT]; /* rehearsed faults, see chaos.h */
    double time_limit;     /* seconds of wall clock of this session; 0: none */
    bool checkpoints;      /* keep the state of running trials where trainers can */
    double checkpoint_every; /* seconds between two states of a running trial; 0: never */
    double checkpoint_grace; /* seconds that a stopping run waits for states, at most */
    char cache[CONFIG_PATH]; /* folder of prepared data on each node; empty: TMPDIR */
};

struct config_resources {
    int threads_per_trial, gpus_per_trial;
    int64_t memory_per_trial; /* bytes; 0: no limit */
    bool oversubscribe;       /* slots may share cores and are then not pinned */
};

struct config {
    char name[CONFIG_TEXT];
    uint64_t seed;
    struct config_task task;
    struct {
        int name; /* enum config_space */
        struct config_conv_chain conv_chain;
        struct config_rnn rnn;
    } space;
    struct config_trainer trainer;
    struct config_reward reward;
    struct config_search search;
    struct config_control control;
    struct config_run run;
    struct config_resources resources;
};

enum config_type {
    CONFIG_TYPE_TEXT, /* one of choices, where there are some */
    CONFIG_TYPE_PATH,
    CONFIG_TYPE_INT, /* int, [min, max] */
    CONFIG_TYPE_INT64,
    CONFIG_TYPE_UINT64,
    CONFIG_TYPE_REAL, /* double, [min, max] */
    CONFIG_TYPE_BOOL,
    CONFIG_TYPE_CHOICE,      /* int: index into choices */
    CONFIG_TYPE_DURATION,    /* double, seconds; written 90, 90s, 5m, 2h, 1d, HH:MM:SS */
    CONFIG_TYPE_SIZE,        /* int64, bytes; written 1048576, 512MiB, 2GiB */
    CONFIG_TYPE_INT_LIST,    /* struct config_list, each entry in [min, max] */
    CONFIG_TYPE_CHOICE_LIST, /* struct config_list of indices into choices */
    CONFIG_TYPE_COMMAND      /* words of trainer.command */
};

/* One key of the configuration. */
struct config_key {
    const char *path; /* "search.controller.lr" */
    enum config_type type;
    size_t offset;      /* in struct config */
    double min, max;    /* of numbers and list entries */
    const char *const *choices; /* {"idx", "cifar10", ..., NULL}, or NULL */
    const char *initial; /* default, as it would be written in YAML */
    const char *zero;    /* word for 0 or for empty text ("auto" for run.slots), or NULL */
    const char *when;    /* "task.data.format=idx|cifar10": applies only then; or NULL */
    bool may_change;     /* a resumed run may change it without --allow-change */
    const char *help;    /* one sentence */
};

extern const struct config_key config_schema[]; /* ends with path == NULL */

/* A named set of published constants, chosen by `preset: NAME` in the file. */
struct config_preset {
    const char *name;
    const char *help;     /* one sentence with the source */
    const char *settings; /* YAML, read over the defaults */
};

extern const struct config_preset config_presets[]; /* ends with name == NULL */

void config_defaults(struct config *config);

/* Read a YAML file over the defaults (and over `preset:` where one is named). Every key is
 * checked for name, type and range, then the whole for contradictions. Errors name
 * file:line, the key, what was found and what is allowed; unknown keys name the nearest.
 * Returns 0 or ERROR_INPUT/ERROR_SYSTEM; ret is untouched on failure. */
int config_read(const char *path, struct config *ret, struct error *err);
/* The same from memory; `name` stands for the file in errors. */
int config_parse(const char *name, const char *text, size_t size, struct config *ret,
                 struct error *err);
/* Put the keys of a preset over a configuration. ERROR_INPUT when there is none of that
 * name. */
int config_apply_preset(struct config *config, const char *name, struct error *err);
/* Apply one "key=value" of --set; the value is YAML. ERROR_USAGE when it does not fit;
 * config is untouched on failure. Call config_check after the last. */
int config_set(struct config *config, const char *assignment, struct error *err);
/* Contradictions between keys; `name` stands for the file in errors. */
int config_check(const struct config *config, const char *name, struct error *err);

/* The effective configuration as YAML, every key with its value, in schema order; keys
 * that do not apply are left out where they have their defaults. With `comments`, each key is explained by its help. The
 * text reads back to the same struct. Caller frees; NULL when memory is gone. */
char *config_write(const struct config *config, bool comments);
/* The differences, one "key: old -> new" line each; "" when there is none. Only keys that
 * a resume may not change when `strict`. Caller frees; NULL when memory is gone. */
char *config_difference(const struct config *old, const struct config *new, bool strict);

const struct config_key *config_find(const char *path); /* NULL when unknown */
/* Does its strategy share weights between architectures (enas, ...)? */
bool config_shares_weights(const struct config *config);
/* Are the shared weights those of one relaxed cell (darts)? */
bool config_relaxes(const struct config *config);
/* Trials of the control arm at the end of darts: so many that `finalists` and these are
 * shared as control.share says. */
int64_t config_relaxed_control(const struct config *config);
/* Is the state of shared weights after so many steps kept? */
bool config_keeps_state(const struct config_shared *shared, uint64_t step);
/* Trials of the whole search, as far as the configuration says; 0: no limit. */
int64_t config_trials(const struct config *config);
/* Is the data a text, generated or not? */
bool config_reads_text(const struct config *config);
/* Does the key matter under these settings (its `when`)? */
bool config_applies(const struct config *config, const struct config_key *key);
/* Append the key's value as it stands in YAML: "[1, 3]", "2h", "auto", "\"a b\"". */
struct text;
void config_format(const struct config *config, const struct config_key *key,
                   struct text *out);
/* Append what a value of this key may be: "a whole number from 1 to 64". */
void config_format_allowed(const struct config_key *key, struct text *out);
/* Name of a choice value, e.g. config_choice_name("run.mode", MODE_SYNC) = "sync". */
const char *config_choice_name(const char *path, int value);

#endif
