/* SPDX-License-Identifier: Apache-2.0 */
/* The recurrent language model of bench_recurrent: the cell of Pham et al. (ICML 2018,
 * figure 6), 12 nodes, 64 columns of 35 steps over 10,000 words. Each measurement takes
 * about `seconds`, warm-up apart, and counts the tokens of a window over the median time;
 * all end the program when a model cannot be built. */
#ifndef ARCHWAY_TESTS_BENCH_BENCH_LANGUAGE_H
#define ARCHWAY_TESTS_BENCH_BENCH_LANGUAGE_H

/* A training step: gradient, clipping to a norm, SGD, all of the parts that the cell uses
 * of a pool of all edges. */
double language_train(int hidden, int threads, double seconds);
/* A training step of a child that is a tree of 13 leaves (Zoph & Le, ICLR 2017), whose
 * matrices are as many as those of the cell of 12 nodes. */
double language_train_tree(int hidden, int threads, double seconds);
/* Random cells of 12 nodes scored over one window with a pool's weights. */
double language_score(int hidden, int threads, double seconds);
/* Only the matrix products of a training step, of a scoring, over OpenBLAS: both halves
 * of a pair of weights as one matrix, inputs and gradients of weights over all steps at
 * once, as are the logits. */
double language_train_products(int hidden, int threads, double seconds);
double language_score_products(int hidden, int threads, double seconds);

/* Operations a token, 2 a multiply-add. */
double language_train_flops(int hidden);
double language_score_flops(int hidden);

#endif
