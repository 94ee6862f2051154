/* SPDX-License-Identifier: Apache-2.0 */
/* After its first step a training takes no memory: not in later steps, not in the
 * validation, not in later epochs. The linker sends what the project's own code asks for
 * (see meson.build) to the functions here, which count between two points in time. */
#include "data_files.h"
#include "unit.h"

#include <stdatomic.h>
#include <sys/mman.h>

#include "worker/threads.h"
#include "worker/training.h"

static atomic_bool counting;
static atomic_int requests;

static void note(void)
{
    if (atomic_load(&counting))
        atomic_fetch_add(&requests, 1);
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_malloc(size_t size)
{
    note();
    return __real_malloc(size);
}

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size)
{
    note();
    return __real_calloc(count, size);
}

void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size)
{
    note();
    return __real_realloc(old, size);
}

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    note();
    return __real_aligned_alloc(alignment, size);
}

int __real_posix_memalign(void **ret, size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret, size_t alignment, size_t size);
int __wrap_posix_memalign(void **ret, size_t alignment, size_t size)
{
    note();
    return __real_posix_memalign(ret, alignment, size);
}

void *__real_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset);
void *__wrap_mmap(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    note();
    return __real_mmap(at, size, protection, flags, fd, offset);
}

static struct temp_folder temp;
static struct config config;
static struct dataset *data;

enum { BATCH = 32 };

static void setup(void)
{
    struct error err;
    atomic_store(&counting, false);
    atomic_store(&requests, 0);
    config_defaults(&config);
    config.task.data.format = DATA_GENERATED;
    config.task.data.classes = 3;
    config.task.data.height = 12;
    config.task.data.width = 10;
    config.task.data.channels = 3;
    config.task.data.images = 400;
    config.task.train = 5 * BATCH + 7; /* the last batch is smaller */
    config.task.validation = 2 * BATCH + 1;
    config.trainer.builtin.batch = BATCH;
    config.trainer.builtin.epochs = 3;
    config.trainer.builtin.augment.pad = 2;
    config.trainer.builtin.augment.flip = true;
    ck_assert_msg(data_open(&config, temp.path, &data, &err) == 0, "%s", err.text);
}

/* Every kind of node: two layers read the image, of different size, and are joined. */
static void make_chain(struct conv_chain *chain)
{
    *chain = (struct conv_chain){
        .layer_count = 3,
        .layers = {{3, 3, 8, 1, 1, {CONV_CHAIN_IMAGE}},
                   {5, 3, 7, 2, 2, {CONV_CHAIN_IMAGE, 0}},
                   {1, 4, 9, 1, 2, {0, 1}}},
    };
    conv_chain_find_outputs(chain);
}

struct progress {
    int batches;
};

/* Asked before every batch: the second one is where counting begins. */
static bool begin_after_first(void *context)
{
    struct progress *p = context;
    if (p->batches++ == 1)
        atomic_store(&counting, true);
    return false;
}

static int count_requests(int threads, int optimizer)
{
    struct training t;
    struct conv_chain chain;
    struct trial_epoch values;
    struct error err;
    struct progress progress = {0};
    struct training_watch watch = {begin_after_first, &progress};
    config.resources.threads_per_trial = threads;
    config.trainer.builtin.optimizer.name = optimizer;
    threads_set(threads);
    make_chain(&chain);
    ck_assert_msg(training_init(&t, &config, data, &chain, 1, &err) == 0, "%s", err.text);
    bool done = true; /* a check in the loop would take memory itself */
    for (int epoch = 0; epoch < 3; epoch++)
        done &= training_epoch(&t, epoch, &watch, &values) == TRAINING_DONE;
    atomic_store(&counting, false);
    ck_assert(done);
    ck_assert_int_eq(progress.batches, 3 * (6 + 3));
    training_fini(&t);
    return atomic_load(&requests);
}

/* What is looked for is seen: a network's memory is taken by calls that are counted. */
START_TEST(requests_are_counted)
{
    struct training t;
    struct conv_chain chain;
    make_chain(&chain);
    atomic_store(&counting, true);
    ck_assert_int_eq(training_init(&t, &config, data, &chain, 1, NULL), 0);
    atomic_store(&counting, false);
    ck_assert_int_gt(atomic_load(&requests), 5);
    training_fini(&t);
    void *(*volatile take)(size_t) = malloc;
    free(take(1));
    int before = atomic_load(&requests);
    atomic_store(&counting, true);
    free(take(1));
    atomic_store(&counting, false);
    ck_assert_int_eq(atomic_load(&requests), before + 1);
}
END_TEST

START_TEST(steps_take_no_memory)
{
    for (int threads = 1; threads <= 2; threads++) {
        ck_assert_int_eq(count_requests(threads, OPTIMIZER_SGD), 0);
        ck_assert_int_eq(count_requests(threads, OPTIMIZER_ADAM), 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {requests_are_counted, steps_take_no_memory, NULL};
    return temp_folder_main("training_memory", tests, &temp, setup);
}
