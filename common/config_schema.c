/* SPDX-License-Identifier: Apache-2.0 */
/* The table of every key. Order is the order of a written configuration; the keys of a
 * section stand together. Choices stand in the order of their enum. Defaults suit a first
 * search on Fashion-MNIST, as packaged by Debian (dataset-fashion-mnist); the constants
 * of the controller and of the chain space are those of Zoph & Le (ICLR 2017). */
#include "common/config.h"

#include <limits.h>
#include <string.h>

#include "common/config_internal.h"

#define KEY(name, kind, field, ...)                           \
    {                                                         \
        .path = name, .type = CONFIG_TYPE_##kind,             \
        .offset = offsetof(struct config, field), __VA_ARGS__ \
    }
#define WORDS(...)        \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }
#define RANGE(low, high) .min = low, .max = high
#define GENERATED .when = "task.data.format=generated"
#define CHAIN .when = "space.name=conv-chain"
#define DAG .when = "space.name=rnn-dag"
#define TREE .when = "space.name=rnn-tree"
#define BUILTIN .when = "trainer.command=[]"
#define TEXT .when = "task.kind=language-model"
#define SGD .when = "trainer.builtin.optimizer.name=sgd"
#define REINFORCE .when = "search.strategy=reinforce|enas|enas-random"
#define SHARED .when = "search.strategy=enas|enas-random|random-shared|darts"
#define SAMPLED .when = "search.strategy=enas|enas-random|random-shared"
#define DARTS .when = "search.strategy=darts"
#define BUDGET .initial = "unlimited", .zero = "unlimited", .may_change = true

const struct config_key config_schema[] = {
    KEY("name", TEXT, name, .initial = "archway", .may_change = true,
        .help = "Name of the run, shown in reports."),
    KEY("seed", UINT64, seed, RANGE(0, 9223372036854775807.0), .initial = "1",
        .help = "Seed of every random choice; same seed, same choices."),

    KEY("task.kind", TEXT, task.kind,
        .choices = WORDS("image-classification", "language-model"),
        .initial = "image-classification", .help = "What the child networks learn."),
    KEY("task.data.format", CHOICE, task.data.format,
        .choices =
            WORDS("idx", "cifar10", "cifar100", "generated", "text", "generated-text"),
        .initial = "idx",
        .help = "Format of the data files: IDX as of MNIST (plain or .gz), the binary "
                "version of CIFAR, images made up for machines without data, plain text "
                "(ptb.train.txt, wiki.train.tokens or train.txt and their like), or text "
                "made up by an automaton of known entropy."),
    KEY("task.data.path", PATH, task.data.path,
        .initial = "/usr/share/datasets/fashion-mnist",
        .when = "task.data.format=idx|cifar10|cifar100|text",
        .help = "Folder of the data files."),
    KEY("task.data.whiten", CHOICE, task.data.whiten,
        .when = "task.data.format=idx|cifar10|cifar100|generated",
        .choices = WORDS("none", "channel", "zca"), .initial = "channel",
        .help = "Normalise the images: each channel to mean 0 and variance 1, or ZCA."),
    KEY("task.data.vocabulary", INT, task.data.vocabulary, RANGE(0, 1 << 24),
        .initial = "all", .zero = "all", .when = "task.data.format=text|generated-text",
        .help = "Most different words, <unk> among them; rarer ones become <unk>."),
    KEY("task.data.vocabulary_file", PATH, task.data.vocabulary_file, .initial = "none",
        .zero = "none", .when = "task.data.format=text",
        .help = "A file of the words of the vocabulary, the most important first; none: "
                "those of the training text. Others are <unk>."),
    KEY("task.data.words", INT, task.data.words, RANGE(100, 100000000),
        .initial = "100000", .when = "task.data.format=generated-text",
        .help = "Words of the generated training text; the others have a tenth of it."),
    KEY("task.data.symbols", INT, task.data.symbols, RANGE(4, 100000), .initial = "50",
        .when = "task.data.format=generated-text",
        .help = "Different words of a generated text."),
    KEY("task.data.states", INT, task.data.states, RANGE(1, 1024), .initial = "20",
        .when = "task.data.format=generated-text",
        .help = "States of the automaton that writes it."),
    KEY("task.data.classes", INT, task.data.classes, RANGE(2, 256), .initial = "10",
        GENERATED, .help = "Classes of generated images."),
    KEY("task.data.height", INT, task.data.height, RANGE(1, 1024), .initial = "28",
        GENERATED, .help = "Height of generated images, in pixels."),
    KEY("task.data.width", INT, task.data.width, RANGE(1, 1024), .initial = "28",
        GENERATED, .help = "Width of generated images, in pixels."),
    KEY("task.data.channels", INT, task.data.channels, RANGE(1, 64), .initial = "1",
        GENERATED, .help = "Channels of generated images."),
    KEY("task.data.images", INT, task.data.images, RANGE(2, 10000000), .initial = "6000",
        GENERATED, .help = "Number of generated images for training and validation."),
    KEY("task.train", INT, task.train, RANGE(0, INT_MAX), .initial = "auto",
        .zero = "auto", .help = "Images to train on; auto: 5/6 of the training file."),
    KEY("task.validation", INT, task.validation, RANGE(0, INT_MAX), .initial = "auto",
        .zero = "auto",
        .help = "Images to measure the reward on; auto: 1/6 of the training file."),

    KEY("space.name", CHOICE, space.name,
        .choices = WORDS("conv-chain", "rnn-dag", "rnn-tree"), .initial = "conv-chain",
        .help =
            "The space of architectures: a chain of convolutions (Zoph & Le), or "
            "recurrent cells that are a graph of nodes (ENAS) or a tree (Zoph & Le)."),
    KEY("space.layers", INT, space.conv_chain.layers, RANGE(1, 64), .initial = "6", CHAIN,
        .help = "Layers of the first architectures."),
    KEY("space.filter_heights", INT_LIST, space.conv_chain.filter_heights, RANGE(1, 31),
        .initial = "[1, 3, 5, 7]", CHAIN, .help = "Choices of a layer's filter height."),
    KEY("space.filter_widths", INT_LIST, space.conv_chain.filter_widths, RANGE(1, 31),
        .initial = "[1, 3, 5, 7]", CHAIN, .help = "Choices of a layer's filter width."),
    KEY("space.filters", INT_LIST, space.conv_chain.filters, RANGE(1, 4096),
        .initial = "[24, 36, 48, 64]", CHAIN,
        .help = "Choices of a layer's number of filters."),
    KEY("space.strides", INT_LIST, space.conv_chain.strides, RANGE(1, 16),
        .initial = "[1, 2, 3]", CHAIN, .help = "Choices of a layer's stride."),
    KEY("space.skip", BOOL, space.conv_chain.skip, .initial = "false", CHAIN,
        .help = "Also search which earlier layers feed a layer."),
    KEY("space.grow.every", INT, space.conv_chain.grow_every, RANGE(0, INT_MAX),
        .initial = "never", CHAIN, .zero = "never",
        .help = "Proposals of the search after which architectures get deeper."),
    KEY("space.grow.by", INT, space.conv_chain.grow_by, RANGE(0, 63), .initial = "0",
        CHAIN, .help = "Layers that are added each time."),

    KEY("space.nodes", INT, space.rnn.nodes, RANGE(1, 32), .initial = "12", DAG,
        .help = "Nodes of the cell; all but the first read one earlier node."),
    KEY("space.decisions", CHOICE, space.rnn.decisions,
        .choices = WORDS("per-step", "attention"), .initial = "per-step", DAG,
        .help = "How a controller decides: with a softmax of its own for every step, or "
                "with one for all activations and attention over the earlier nodes."),
    KEY("space.base", INT, space.rnn.base, RANGE(2, 32), .initial = "8", TREE,
        .help = "Leaves of the tree; each reads the input and the last hidden state."),
    KEY("space.activations", CHOICE_LIST, space.rnn.activations,
        .choices = WORDS("tanh", "relu", "identity", "sigmoid"),
        .initial = "[tanh, relu, identity, sigmoid]",
        .when = "space.name=rnn-dag|rnn-tree", .help = "Choices of a node's activation."),
    KEY("space.combinations", CHOICE_LIST, space.rnn.combinations,
        .choices = WORDS("add", "elem_mult"), .initial = "[add, elem_mult]", TREE,
        .help = "Choices of how a node combines its two inputs."),

    KEY("trainer.command", COMMAND, trainer.command_count, .initial = "[]",
        .help = "Words of an external trainer's command; [] is the built-in trainer."),
    KEY("trainer.builtin.epochs", INT, trainer.builtin.epochs, RANGE(1, 10000),
        .initial = "10", BUILTIN, .help = "Epochs that each child network is trained."),
    KEY("trainer.builtin.batch", INT, trainer.builtin.batch, RANGE(1, 65536),
        .initial = "128", BUILTIN, .help = "Images of a training step."),
    KEY("trainer.builtin.optimizer.name", CHOICE, trainer.builtin.optimizer.name,
        .choices = WORDS("sgd", "adam"), .initial = "sgd", BUILTIN,
        .help = "Optimiser of the child networks."),
    KEY("trainer.builtin.optimizer.lr", REAL, trainer.builtin.optimizer.lr,
        RANGE(1e-9, 1000), .initial = "0.1", BUILTIN, .help = "Learning rate."),
    KEY("trainer.builtin.optimizer.momentum", REAL, trainer.builtin.optimizer.momentum,
        RANGE(0, 0.9999), .initial = "0.9", SGD, .help = "Momentum."),
    KEY("trainer.builtin.optimizer.weight_decay", REAL,
        trainer.builtin.optimizer.weight_decay, RANGE(0, 10), .initial = "0.0001",
        BUILTIN, .help = "Weight decay, added to the gradient."),
    KEY("trainer.builtin.optimizer.nesterov", BOOL, trainer.builtin.optimizer.nesterov,
        .initial = "true", SGD, .help = "Nesterov's form of the momentum."),
    KEY("trainer.builtin.schedule.name", CHOICE, trainer.builtin.schedule.name,
        .choices = WORDS("constant", "step", "cosine"), .initial = "constant", BUILTIN,
        .help = "How the learning rate changes over the epochs."),
    KEY("trainer.builtin.schedule.start", INT, trainer.builtin.schedule.start,
        RANGE(0, 10000), .initial = "0", .when = "trainer.builtin.schedule.name=step",
        .help = "Epochs at the first learning rate before those drops are counted."),
    KEY("trainer.builtin.schedule.every", INT, trainer.builtin.schedule.every,
        RANGE(1, 10000), .initial = "30", .when = "trainer.builtin.schedule.name=step",
        .help = "Epochs between two drops of the learning rate."),
    KEY("trainer.builtin.schedule.factor", REAL, trainer.builtin.schedule.factor,
        RANGE(0, 1), .initial = "0.1", .when = "trainer.builtin.schedule.name=step",
        .help = "Factor of the learning rate at each drop."),
    KEY("trainer.builtin.schedule.final", REAL, trainer.builtin.schedule.final,
        RANGE(0, 1), .initial = "0", .when = "trainer.builtin.schedule.name=cosine",
        .help = "Learning rate at the end, as a share of the first."),
    KEY("trainer.builtin.augment.pad", INT, trainer.builtin.augment.pad, RANGE(0, 64),
        .initial = "2", BUILTIN,
        .help = "Pixels of zeros around an image before a random crop; 0: no crop."),
    KEY("trainer.builtin.augment.flip", BOOL, trainer.builtin.augment.flip,
        .initial = "true", BUILTIN, .help = "Flip images left to right at random."),
    KEY("trainer.builtin.hidden", INT, trainer.builtin.hidden, RANGE(1, 16384),
        .initial = "200", .when = "space.name=rnn-dag|rnn-tree",
        .help = "Units of a recurrent child's hidden state and embedding."),
    KEY("trainer.builtin.recurrent.bptt", INT, trainer.builtin.recurrent.bptt,
        RANGE(1, 4096), .initial = "35", TEXT,
        .help = "Steps through which a recurrent child's gradient goes back."),
    KEY("trainer.builtin.recurrent.eval_batch", INT, trainer.builtin.recurrent.eval_batch,
        RANGE(1, 65536), .initial = "10", TEXT,
        .help = "Columns in which the validation text is read."),
    KEY("trainer.builtin.recurrent.init", REAL, trainer.builtin.recurrent.init,
        RANGE(0, 10), .initial = "0.025", TEXT,
        .help = "Weights start uniform between minus and plus this."),
    KEY("trainer.builtin.recurrent.clip", REAL, trainer.builtin.recurrent.clip,
        RANGE(0, 1e6), .initial = "0.25", .zero = "none", TEXT,
        .help = "Largest norm of the gradient."),
    KEY("trainer.builtin.recurrent.state_clip", REAL,
        trainer.builtin.recurrent.state_clip, RANGE(0, 1e6), .initial = "25",
        .zero = "none", TEXT,
        .help = "Largest norm of the hidden state, and of a tree's memory."),
    KEY("trainer.builtin.recurrent.norm", BOOL, trainer.builtin.recurrent.norm,
        .initial = "false", TEXT,
        .help = "Normalise the cell's output over the columns of a batch."),
    KEY("trainer.builtin.recurrent.output", CHOICE, trainer.builtin.recurrent.output,
        .choices = WORDS("leaves", "all", "all-but-first"), .initial = "leaves", TEXT,
        .help = "The output of a cell of rnn-dag is the mean of the nodes that feed no "
                "other, of all nodes, or of all but the first, as darts has it."),
    KEY("trainer.builtin.recurrent.average_after", INT,
        trainer.builtin.recurrent.average_after, RANGE(0, 1000), .initial = "never",
        .zero = "never", TEXT,
        .help = "Average the weights (NT-ASGD) once the validation loss has been no "
                "better than so many epochs before."),
    KEY("trainer.builtin.recurrent.dropout.embedding", REAL,
        trainer.builtin.recurrent.dropout.embedding, RANGE(0, 0.99), .initial = "0", TEXT,
        .help = "Share of the words that are dropped as inputs."),
    KEY("trainer.builtin.recurrent.dropout.input", REAL,
        trainer.builtin.recurrent.dropout.input, RANGE(0, 0.99), .initial = "0", TEXT,
        .help = "Share of the input's units that are dropped."),
    KEY("trainer.builtin.recurrent.dropout.state", REAL,
        trainer.builtin.recurrent.dropout.state, RANGE(0, 0.99), .initial = "0", TEXT,
        .help = "Share of the hidden state's units that are dropped."),
    KEY("trainer.builtin.recurrent.dropout.output", REAL,
        trainer.builtin.recurrent.dropout.output, RANGE(0, 0.99), .initial = "0", TEXT,
        .help = "Share of the output's units that are dropped before the softmax."),
    KEY("trainer.builtin.recurrent.dropout.weight", REAL,
        trainer.builtin.recurrent.dropout.weight, RANGE(0, 0.99), .initial = "0", TEXT,
        .help = "Share of the recurrent weights that are dropped."),
    KEY("trainer.builtin.kernels", CHOICE, trainer.builtin.kernels,
        .choices = WORDS("auto", "avx512", "avx2", "generic"), .initial = "auto", BUILTIN,
        .may_change = true,
        .help = "Instruction set that trains: the same one gives the same bits on every "
                "machine; auto: the fastest of each, see ARCHWAY_KERNELS."),

    KEY("reward.metric", TEXT, reward.metric, .initial = "val_accuracy",
        .help = "Metric of the training curve that the reward is made of."),
    KEY("reward.last_epochs", INT, reward.last_epochs, RANGE(0, 10000), .initial = "5",
        .zero = "all", .help = "How many epochs at the end count."),
    KEY("reward.reduce", CHOICE, reward.reduce, .choices = WORDS("max", "mean", "last"),
        .initial = "max", .help = "What is taken of those epochs."),
    KEY("reward.power", REAL, reward.power, RANGE(0.001, 100), .initial = "3",
        .help =
            "The reward is the metric to this power, of a loss or perplexity one over "
            "the metric."),
    KEY("reward.scale", REAL, reward.scale, RANGE(1e-9, 1e9), .initial = "1",
        .help = "Times this: 80 in the published searches of recurrent cells."),

    KEY("search.strategy", CHOICE, search.strategy,
        .choices =
            WORDS("reinforce", "random", "enas", "enas-random", "random-shared", "darts"),
        .initial = "reinforce",
        .help = "How architectures are proposed. With weights that all of them share: "
                "enas (Pham et al.), enas-random (the same training, uniform selection), "
                "random-shared (uniform throughout, Li & Talwalkar), darts (one relaxed "
                "cell whose choices are learned by gradient, Liu et al.)."),
    KEY("search.trials", INT64, search.trials, RANGE(0, 1e12), .initial = "1000",
        .zero = "unlimited", .may_change = true,
        .help = "Budget of trials, both arms together; the first budget to be used up "
                "ends the search."),
    KEY("search.hours", REAL, search.hours, RANGE(0, 1e6), BUDGET,
        .help = "Budget of wall-clock hours."),
    KEY("search.core_hours", REAL, search.core_hours, RANGE(0, 1e9), BUDGET,
        .help = "Budget of training, in hours of one core."),
    KEY("search.gpu_hours", REAL, search.gpu_hours, RANGE(0, 1e9), BUDGET,
        .help = "Budget of training, in hours of one GPU."),
    KEY("search.batch", INT, search.batch, RANGE(1, 65536), .initial = "8",
        .help = "Proposals per policy update; in mode sync also the round."),
    KEY("search.duplicates", CHOICE, search.duplicates,
        .choices = WORDS("answer", "train"), .initial = "answer",
        .help = "An architecture that was trained before: answered from the record, or "
                "trained again."),
    KEY("search.controller.layers", INT, search.controller.layers, RANGE(1, 8),
        .initial = "2", REINFORCE, .help = "LSTM layers of the controller."),
    KEY("search.controller.hidden", INT, search.controller.hidden, RANGE(1, 4096),
        .initial = "35", REINFORCE, .help = "Units of an LSTM layer."),
    KEY("search.controller.init", REAL, search.controller.init, RANGE(0, 10),
        .initial = "0.08", REINFORCE,
        .help = "Weights start uniform between minus and plus this."),
    KEY("search.controller.lr", REAL, search.controller.lr, RANGE(1e-9, 10),
        .initial = "0.0006", REINFORCE,
        .help = "Learning rate of the controller (Adam)."),
    KEY("search.controller.entropy", REAL, search.controller.entropy, RANGE(0, 100),
        .initial = "0.0001", REINFORCE, .help = "Weight of the policy's entropy."),
    KEY("search.controller.baseline_decay", REAL, search.controller.baseline_decay,
        RANGE(0, 0.999999), .initial = "0.95", REINFORCE,
        .help = "Decay of the moving average of rewards."),
    KEY("search.controller.clip", REAL, search.controller.clip, RANGE(0, 1e6),
        .initial = "none", .zero = "none", REINFORCE,
        .help = "Largest norm of the gradient."),
    KEY("search.controller.temperature", REAL, search.controller.temperature,
        RANGE(1e-3, 1e3), .initial = "1", REINFORCE,
        .help = "Logits are divided by this while searching; above 1 the policy explores "
                "more."),
    KEY("search.controller.tanh_constant", REAL, search.controller.tanh_constant,
        RANGE(0, 1e3), .initial = "none", .zero = "none", REINFORCE,
        .help = "Logits are kept within minus and plus this by a tanh while searching."),
    KEY("search.controller.entropy_estimate", CHOICE, search.controller.entropy_estimate,
        .choices = WORDS("full", "sampled"), .initial = "full", REINFORCE,
        .help = "What the entropy weight counts: the entropy of every decision, or minus "
                "the logarithm of the probability of what was sampled, as part of the "
                "reward."),

    KEY("search.shared.epochs", INT, search.shared.epochs, RANGE(1, 100000),
        .initial = "150", SHARED, .help = "Epochs of the shared weights."),
    KEY("search.shared.steps", INT, search.shared.steps, RANGE(1, 1000000),
        .initial = "400", SHARED, .help = "Training steps of an epoch."),
    KEY("search.shared.samples", INT, search.shared.samples, RANGE(1, 1024),
        .initial = "1", SAMPLED,
        .help = "Architectures of a step, whose gradients are averaged."),
    KEY("search.shared.sync_every", INT, search.shared.sync_every, RANGE(1, 100000),
        .initial = "1", SAMPLED,
        .help =
            "With 1 the gradients of a step's architectures are averaged, the same as "
            "one worker would do it. With more, each trains weights of its own for so "
            "many "
            "steps, and then the weights are averaged: less to send between ranks."),
    KEY("search.shared.save_every", INT, search.shared.save_every, RANGE(1, 1000000),
        .initial = "100", SHARED,
        .help =
            "Steps between two saved states of the shared weights; the end of an epoch "
            "is always one. After a fault, the steps since are made again."),
    KEY("search.shared.controller_steps", INT, search.shared.controller_steps,
        RANGE(0, 1000000), .initial = "2000", .when = "search.strategy=enas|enas-random",
        .help = "Updates of the policy in an epoch, of search.batch architectures each."),
    KEY("search.shared.probes", INT, search.shared.probes, RANGE(0, 100000),
        .initial = "10", SAMPLED,
        .help = "Architectures scored on the whole validation text after every epoch."),
    KEY("search.shared.candidates", INT, search.shared.candidates, RANGE(1, 1000000),
        .initial = "100", SAMPLED,
        .help = "Architectures sampled at the end and scored on one validation window."),
    KEY("search.shared.finalists", INT, search.shared.finalists, RANGE(1, 100000),
        .initial = "10", SHARED,
        .help =
            "Best of them, scored on the whole validation text; with darts: seeds with "
            "which the derived cell is trained from scratch."),
    KEY("search.shared.order", INT, search.shared.order, RANGE(1, 2), .initial = "2",
        DARTS,
        .help =
            "Order of the gradient of the relaxed cell's choices: 1 at the weights as "
            "they are, 2 at those one training step further."),
    KEY("search.shared.alpha_lr", REAL, search.shared.alpha_lr, RANGE(1e-9, 10),
        .initial = "0.003", DARTS, .help = "Learning rate of these choices (Adam)."),
    KEY("search.shared.alpha_weight_decay", REAL, search.shared.alpha_weight_decay,
        RANGE(0, 10), .initial = "0.001", DARTS,
        .help = "Weight decay of these choices."),
    KEY("search.shared.norm", BOOL, search.shared.norm, .initial = "true", DARTS,
        .help = "Normalise every node of the relaxed cell over the columns of a batch."),

    KEY("control.strategy", CHOICE, control.strategy,
        .choices =
            WORDS("reinforce", "random", "enas", "enas-random", "random-shared", "darts"),
        .initial = "random", .help = "Strategy of the control arm."),
    KEY("control.share", REAL, control.share, RANGE(0, 1), .initial = "0.1",
        .help = "Share of all trials that the control arm gets, below 1; 0: no control. "
                "With darts: of those that are trained in the end."),

    KEY("run.mode", CHOICE, run.mode, .choices = WORDS("sync", "async"),
        .initial = "async",
        .help = "sync: the same history with any number of workers; async: faster, the "
                "order of results is logged."),
    KEY("run.trial_timeout", DURATION, run.trial_timeout, RANGE(0.01, 1e8),
        .initial = "2h", .may_change = true,
        .help = "A trial that takes longer is stopped and counts as failed."),
    KEY("run.retries", INT, run.retries, RANGE(0, 1000), .initial = "2",
        .may_change = true, .help = "Further attempts after a failed one."),
    KEY("run.on_failure", CHOICE, run.on_failure, .choices = WORDS("skip", "reward-0"),
        .initial = "skip",
        .help = "A trial whose attempts all failed: left out, or told as reward 0."),
    KEY("run.max_failed", REAL, run.max_failed, RANGE(0, 1), .initial = "0.5",
        .may_change = true,
        .help =
            "When more than this share of the last 50 trials failed for good, the run "
            "stops."),
    KEY("run.quarantine_after", INT, run.quarantine_after, RANGE(0, 1000), .initial = "3",
        .zero = "never", .may_change = true,
        .help = "A node on which so many trials in a row failed that succeeded elsewhere "
                "gets no more."),
    KEY("run.slots", INT, run.slots, RANGE(0, 4096), .initial = "auto", .zero = "auto",
        .may_change = true,
        .help = "Trainers side by side on a rank; auto: as many as its cores allow."),
    KEY("run.prefetch", INT, run.prefetch, RANGE(0, 256), .initial = "128",
        .may_change = true,
        .help = "Most tasks waiting at a busy slot; none ahead of trials of a second or "
                "more."),
    KEY("run.order", CHOICE, run.order, .choices = WORDS("longest", "proposed"),
        .initial = "longest", .may_change = true,
        .help = "Which of the trials that wait is handed out first: the longest expected "
                "one, so that little is waited for at the end, or the oldest."),
    KEY("run.forecast", REAL, run.forecast, RANGE(0.5, 0.999), .initial = "0.9",
        .may_change = true,
        .help = "Near the end of a session a trial is left for the next one when with "
                "less than this probability it would end in time."),
    KEY("run.snapshot_every", DURATION, run.snapshot_every, RANGE(0.01, 1e8),
        .initial = "1m", .may_change = true, .help = "Time between two snapshots."),
    KEY("run.heartbeat", DURATION, run.heartbeat, RANGE(0.01, 3600), .initial = "1s",
        .may_change = true, .help = "Time between a rank's signs of life."),
    KEY("run.silent_after", DURATION, run.silent_after, RANGE(0.05, 1e6), .initial = "4s",
        .may_change = true,
        .help =
            "Silence (and at least three heartbeats) after which the trials of a rank "
            "are tried elsewhere as well."),
    KEY("run.lost_after", DURATION, run.lost_after, RANGE(0.05, 1e6), .initial = "30s",
        .may_change = true, .help = "Silence after which a rank is given up."),
    KEY("run.chaos", TEXT, run.chaos, .initial = "none", .may_change = true,
        .help = "Rehearse faults: shares of the attempts that meet one, as in "
                "kill=0.01,hang=0.01,garbage=0.01,kill-rank=0.001,stop-rank=0.001."),
    KEY("run.time_limit", DURATION, run.time_limit, RANGE(0, 1e8), .initial = "none",
        .zero = "none", .may_change = true,
        .help = "Wall-clock time of one session, which then stops resumably."),
    KEY("run.checkpoints", BOOL, run.checkpoints, .initial = "true", .may_change = true,
        .help =
            "Trials that a stop cuts off go on where they were, with a trainer that can "
            "save its state (the built-in one does)."),
    KEY("run.checkpoint_every", DURATION, run.checkpoint_every, RANGE(0, 1e8),
        .initial = "10m", .zero = "never", .may_change = true,
        .when = "run.checkpoints=true",
        .help =
            "Least time between two states that are saved while a trial runs, for the "
            "case of a kill without warning."),
    KEY("run.checkpoint_grace", DURATION, run.checkpoint_grace, RANGE(0, 3600),
        .initial = "10s", .zero = "none", .may_change = true,
        .when = "run.checkpoints=true",
        .help =
            "Longest wait for states when the run stops on SIGUSR1 or before its time "
            "limit; on SIGTERM at most a second."),
    KEY("run.reserve", SIZE, run.reserve, RANGE(0, 0x1p60), .initial = "128MiB",
        .zero = "none", .may_change = true,
        .help = "Hand out no trial while less is free where the run's folder is."),
    KEY("run.cache", PATH, run.cache, .initial = "auto", .zero = "auto",
        .may_change = true,
        .help = "Folder of prepared data on each node; auto: TMPDIR or /tmp."),

    KEY("resources.threads_per_trial", INT, resources.threads_per_trial, RANGE(1, 1024),
        .initial = "1", .help = "Threads of one trainer."),
    KEY("resources.gpus_per_trial", INT, resources.gpus_per_trial, RANGE(0, 64),
        .initial = "0", .may_change = true, .help = "GPUs handed to one trainer."),
    KEY("resources.memory_per_trial", SIZE, resources.memory_per_trial, RANGE(0, 0x1p60),
        .initial = "2GiB", .zero = "unlimited", .may_change = true,
        .help = "Memory that one trainer may use."),
    KEY("resources.oversubscribe", BOOL, resources.oversubscribe, .initial = "false",
        .may_change = true, .help = "Let slots share cores; they are then not pinned."),
    {.path = NULL},
};

const struct config_key *config_find(const char *path)
{
    for (const struct config_key *key = config_schema; key->path; key++) {
        if (strcmp(key->path, path) == 0)
            return key;
    }
    return NULL;
}

void config_defaults(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (const struct config_key *key = config_schema; key->path; key++)
        config_value_initial(key, config);
}
