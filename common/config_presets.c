/* SPDX-License-Identifier: Apache-2.0 */
/* The published searches, each as the keys that differ from the defaults; whatever a
 * configuration says itself lies above them. */
#include "common/config.h"

#include <string.h>

#include "common/config_internal.h"

const struct config_preset config_presets[] = {
    {"nas-2017",
     "Zoph & Le, Neural Architecture Search with Reinforcement Learning (ICLR 2017), "
     "convolutional search on CIFAR-10; task.data.path is for you to set.",
     "task: {data: {format: cifar10, whiten: zca}, train: 45000, validation: 5000}\n"
     "space: {name: conv-chain, layers: 6, filter_heights: [1, 3, 5, 7],\n"
     "        filter_widths: [1, 3, 5, 7], filters: [24, 36, 48, 64],\n"
     "        strides: [1, 2, 3], skip: false, grow: {every: 1600, by: 2}}\n"
     "trainer: {builtin: {epochs: 50, batch: 128, augment: {pad: 4, flip: true},\n"
     "          optimizer: {name: sgd, lr: 0.1, momentum: 0.9, nesterov: true,\n"
     "                      weight_decay: 1e-4},\n"
     "          schedule: {name: constant}}}\n"
     "reward: {metric: val_accuracy, last_epochs: 5, reduce: max, power: 3}\n"
     "search: {strategy: reinforce, trials: 12800, batch: 8,\n"
     "         controller: {layers: 2, hidden: 35, init: 0.08, lr: 6e-4}}\n"},
    {"rnn-scratch",
     "Recurrent cells of the ENAS space (Pham et al., ICML 2018), every one trained from "
     "scratch, rewarded with 80 / perplexity^2 as in Zoph & Le (ICLR 2017, section 4.2); "
     "task.data.path is for you to set.",
     "task: {kind: language-model, data: {format: text}}\n"
     "space: {name: rnn-dag, nodes: 12, activations: [tanh, relu, identity, sigmoid]}\n"
     "trainer: {builtin: {epochs: 35, batch: 64, hidden: 200,\n"
     "          optimizer: {name: sgd, lr: 20, momentum: 0, nesterov: false,\n"
     "                      weight_decay: 0},\n"
     "          recurrent: {bptt: 35, clip: 0.25, state_clip: 25, average_after: 5,\n"
     "                      dropout: {embedding: 0.1, input: 0.65, output: 0.4,\n"
     "                                weight: 0.5}}}}\n"
     "reward: {metric: val_perplexity, last_epochs: 5, reduce: max, power: 2, scale: "
     "80}\n"
     "search: {strategy: reinforce, batch: 8, controller: {layers: 2, hidden: 35,\n"
     "         init: 0.08, lr: 5e-4}}\n"},
    {"enas-rnn",
     "Recurrent cells with shared weights on PTB: Pham et al., Efficient Neural "
     "Architecture Search (ICML 2018), constants of the authors' corrected code; 207 "
     "steps "
     "are one pass over PTB; task.data.path is for you to set.",
     "task: {kind: language-model, data: {format: text}}\n"
     "space: {name: rnn-dag, nodes: 8, decisions: attention,\n"
     "        activations: [tanh, relu, identity, sigmoid]}\n"
     "trainer: {builtin: {epochs: 150, batch: 128, hidden: 200,\n"
     "          optimizer: {name: sgd, lr: 20, momentum: 0, nesterov: false,\n"
     "                      weight_decay: 8e-7},\n"
     "          recurrent: {bptt: 35, clip: 0.1, state_clip: none, output: all,\n"
     "                      init: 0.04, dropout: {embedding: 0.1, input: 0.2,\n"
     "                                            state: 0.25, output: 0.75}}}}\n"
     "reward: {metric: val_perplexity, last_epochs: 1, reduce: last, power: 1, scale: "
     "80}\n"
     "search: {strategy: enas, trials: unlimited, batch: 10,\n"
     "         controller: {layers: 1, hidden: 64, init: 0.01, lr: 5e-5, entropy: 1e-5,\n"
     "                      baseline_decay: 0.999, temperature: 5, tanh_constant: "
     "2.25},\n"
     "         shared: {epochs: 150, steps: 207, controller_steps: 25, candidates: "
     "1000}}\n"},
    {"enas-article",
     "The search that arXiv 1904.00438 studies, ENAS with cells of 12 nodes and a mean "
     "reward of 80 / perplexity; task.data.path is for you to set.",
     "task: {kind: language-model, data: {format: text}}\n"
     "space: {name: rnn-dag, nodes: 12, activations: [tanh, sigmoid, relu]}\n"
     "trainer: {builtin: {epochs: 150, batch: 64, hidden: 1000,\n"
     "          optimizer: {name: sgd, lr: 20, momentum: 0, nesterov: false,\n"
     "                      weight_decay: 0},\n"
     "          schedule: {name: step, start: 14, every: 1, factor: 0.96},\n"
     "          recurrent: {bptt: 35, clip: 0.25, state_clip: 25, norm: true,\n"
     "                      dropout: {embedding: 0.1, input: 0.65, output: 0.4,\n"
     "                                weight: 0.5}}}}\n"
     "reward: {metric: val_perplexity, last_epochs: 1, reduce: last, power: 1, scale: "
     "80}\n"
     "search: {strategy: enas, trials: unlimited, batch: 1,\n"
     "         controller: {layers: 1, hidden: 100, init: 0.1, lr: 3.5e-4, entropy: "
     "1e-4,\n"
     "                      baseline_decay: 0.95, temperature: 5, tanh_constant: 2.5},\n"
     "         shared: {epochs: 150, steps: 400, controller_steps: 2000, candidates: "
     "1000}}\n"
     "resources: {memory_per_trial: 6GiB}\n"},
    {"darts-rnn",
     "Recurrent cells by gradient on PTB: Liu et al., DARTS (ICLR 2019), second order, "
     "constants of the search; the last word is the derived cell against as many random "
     "ones, each trained from scratch for the epochs of the search; 104 steps are one "
     "pass "
     "over PTB; task.data.path is for you to set.",
     "task: {kind: language-model, data: {format: text}}\n"
     "space: {name: rnn-dag, nodes: 9, activations: [tanh, relu, identity, sigmoid]}\n"
     "trainer: {builtin: {epochs: 50, batch: 256, hidden: 300,\n"
     "          optimizer: {name: sgd, lr: 20, momentum: 0, nesterov: false,\n"
     "                      weight_decay: 5e-7},\n"
     "          recurrent: {bptt: 35, clip: 0.25, state_clip: none, norm: false,\n"
     "                      output: all-but-first, init: 0.04,\n"
     "                      dropout: {input: 0.8, state: 0.25, output: 0.75}}}}\n"
     "reward: {metric: val_perplexity, last_epochs: 5, reduce: max, power: 1, scale: "
     "80}\n"
     "search: {strategy: darts, trials: unlimited,\n"
     "         shared: {epochs: 50, steps: 104, finalists: 4, order: 2, alpha_lr: 3e-3,\n"
     "                  alpha_weight_decay: 1e-3, norm: true}}\n"
     "control: {share: 0.5}\n"},
    {"random",
     "Random search: uniform architectures, every one trained on its own, no control arm "
     "(it would be the same).",
     "search: {strategy: random}\n"
     "control: {share: 0}\n"},
    {NULL, NULL, NULL},
};

const struct config_preset *config_find_preset(const char *name)
{
    for (const struct config_preset *p = config_presets; p->name; p++) {
        if (strcmp(p->name, name) == 0)
            return p;
    }
    return NULL;
}
