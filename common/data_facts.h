/* SPDX-License-Identifier: Apache-2.0 */
/* What a data set holds, as far as a search needs to know it. Found by worker/data, used by
 * the master for costs, checks and the commented configuration. Plain data. */
#ifndef ARCHWAY_COMMON_DATA_FACTS_H
#define ARCHWAY_COMMON_DATA_FACTS_H

struct data_facts {
    int classes; /* this and the next two lines: of images, 0 for text */
    int height, width, channels;
    int train_images; /* in the training files: training and validation come from these */
    int test_images;  /* in the test files; 0: there are none. Of text: words */
    int train, validation; /* the split in force after task.train/task.validation; of
                              text: words of the files */
    int vocabulary;        /* text: different words; 0 for images */
    double entropy;        /* generated text: nats a word; 0: not known */
};

#endif
