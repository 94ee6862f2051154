/* SPDX-License-Identifier: Apache-2.0 */
#include "data_files.h"
#include "unit.h"

#include <dlfcn.h>
#include <math.h>

#include "common/nn/zca.h"

static struct temp_folder temp;
static char cache[700];
static struct config config;

enum { H = 6, W = 7 };

static void setup(void)
{
    char name[32];
    snprintf(name, sizeof name, "cache%d", (int)getpid());
    snprintf(cache, sizeof cache, "%s", data_files_folder(&temp, name));
    data_files_config(&config, DATA_GENERATED, "");
    config.task.data.classes = 3;
    config.task.data.height = H;
    config.task.data.width = W;
    config.task.data.channels = 3;
    config.task.data.images = 600;
    config.task.train = 400;
    config.task.validation = 200;
}

static struct dataset *open_data(int whiten)
{
    struct dataset *d = NULL;
    struct error err = {0};
    config.task.data.whiten = whiten;
    ck_assert_msg(data_open(&config, cache, &d, &err) == 0, "%s", err.text);
    return d;
}

/* All training images; caller frees. */
static float *all_images(const struct dataset *d, int n, int values)
{
    float *images = malloc((size_t)n * (size_t)values * sizeof *images);
    uint8_t label;
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        data_batch(d, DATA_TRAIN, &i, 1, NULL, NULL, images + i * (size_t)values, &label);
        ck_assert_int_eq(label, data_labels(d, DATA_TRAIN)[i]);
    }
    return images;
}

static bool openblas_is_loaded(void)
{
    return dlopen("libopenblas.so.0", RTLD_NOW | RTLD_NOLOAD) != NULL;
}

START_TEST(a_blas_that_is_missing_is_named)
{
    static const char *const names[] = {"libnone.so", "/none/libopenblas.so", NULL};
    static const char *const others[] = {"libc.so.6", NULL};
    struct blas blas = {0};
    struct error err;
    ck_assert_int_eq(blas_load_from(names, &blas, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "cannot load OpenBLAS: /none/libopenblas.so"));
    ck_assert_int_eq(blas_load_from(others, &blas, &err), ERROR_SYSTEM);
    ck_assert_ptr_nonnull(strstr(err.text, "no function sgemm_"));
    ck_assert(!blas.sgemm);
}
END_TEST

/* Its threads and tables are most of what the start of a program costs. */
START_TEST(openblas_is_loaded_for_zca_alone)
{
    data_close(open_data(WHITEN_CHANNEL));
    ck_assert(!openblas_is_loaded());
    data_close(open_data(WHITEN_ZCA));
    ck_assert(openblas_is_loaded());
}
END_TEST

#ifdef __x86_64__
/* What OpenBLAS says that it computes for. */
static const char *core_of_openblas(void)
{
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_NOLOAD);
    const char *(*name)(void);
    ck_assert_ptr_nonnull(library);
    *(void **)&name = dlsym(library, "openblas_get_corename");
    ck_assert_ptr_nonnull(*(void **)&name);
    return name();
}

START_TEST(zca_computes_with_the_kernels_of_the_run)
{
    unsetenv("OPENBLAS_CORETYPE");
    config.trainer.builtin.kernels = KERNELS_GENERIC;
    data_close(open_data(WHITEN_ZCA));
    ck_assert_str_eq(core_of_openblas(), "Prescott");
}
END_TEST

START_TEST(the_environment_of_openblas_prevails)
{
    setenv("OPENBLAS_CORETYPE", "Nehalem", 1);
    config.trainer.builtin.kernels = KERNELS_GENERIC;
    data_close(open_data(WHITEN_ZCA));
    ck_assert_str_eq(getenv("OPENBLAS_CORETYPE"), "Nehalem");
}
END_TEST
#endif

START_TEST(channels_get_mean_0_and_deviation_1)
{
    struct dataset *d = open_data(WHITEN_CHANNEL);
    float *images = all_images(d, 400, H * W * 3);
    for (int k = 0; k < 3; k++) {
        double sum = 0, square = 0;
        for (int i = k; i < 400 * H * W * 3; i += 3) {
            sum += (double)images[i];
            square += (double)images[i] * (double)images[i];
        }
        ck_assert_double_eq_tol(sum / (400 * H * W), 0, 1e-5);
        ck_assert_double_eq_tol(square / (400 * H * W), 1, 1e-5);
    }
    free(images);
    data_close(d);
}
END_TEST

/* W = (C + e I)^(-1/2): with C the covariance, W (C + e I) W is the identity. */
START_TEST(zca_inverts_the_covariance)
{
    enum { D = 5, N = 1000 };
    static float rows[N][D], out[N][D];
    float w[D * D] = {0}, c[D * D] = {0};
    struct rng rng;
    struct blas blas;
    ck_assert_int_eq(blas_load(&blas, NULL), 0);
    rng_init(&rng, 11, RNG_TEST, 0);
    for (int i = 0; i < N; i++) {
        float common = (float)rng_normal(&rng);
        for (int j = 0; j < D; j++)
            rows[i][j] = common * (float)j + (float)rng_normal(&rng);
    }
    zca_add(&blas, w, D, rows[0], N / 2);
    zca_add(&blas, w, D, rows[N / 2], N / 2);
    for (int i = 0; i < D; i++)
        for (int j = 0; j < D; j++)
            c[i * D + j] = i <= j ? w[i * D + j] / N : w[j * D + i] / N;
    ck_assert_int_eq(zca_finish(&blas, w, D, N, 1e-9, NULL), 0);
    float wc[D * D], identity[D * D];
    zca_apply(&blas, c, D, w, D, wc);
    zca_apply(&blas, w, D, wc, D, identity);
    for (int i = 0; i < D * D; i++) {
        ck_assert_float_eq_tol(identity[i], i % (D + 1) == 0, 1e-3);
        ck_assert_float_eq_tol(w[i], w[i % D * D + i / D], 1e-6);
    }
    zca_apply(&blas, w, D, rows[0], N, out[0]);
    double product = 0;
    for (int i = 0; i < N; i++)
        product += (double)out[i][3] * (double)out[i][4] / N;
    ck_assert_double_eq_tol(product, 0, 1e-3);
}
END_TEST

START_TEST(zca_refuses_what_has_no_covariance)
{
    float w[4] = {0}, bad[4] = {NAN, 0, 0, 1};
    struct error err;
    struct blas blas;
    ck_assert_int_eq(blas_load(&blas, NULL), 0);
    ck_assert_int_eq(zca_finish(&blas, w, 2, 5, 0.1, &err), ERROR_INPUT);
    ck_assert_ptr_nonnull(strstr(err.text, "do not differ"));
    ck_assert_int_eq(zca_finish(&blas, bad, 2, 5, 0.1, &err), ERROR_INPUT);
    config.task.data.height = config.task.data.width = 37; /* 37 * 37 * 3 > 4096 */
    config.task.data.whiten = WHITEN_ZCA;
    data_files_refused(&config, cache, "at most 4096 values", "have 4107");
}
END_TEST

START_TEST(zca_whitens_the_training_images)
{
    enum { V = H * W * 3 };
    struct dataset *plain = open_data(WHITEN_NONE), *d = open_data(WHITEN_ZCA);
    float *before = all_images(plain, 400, V), *after = all_images(d, 400, V);
    double off[2] = {0}, on[2] = {0}, sum = 0;
    for (int which = 0; which < 2; which++) {
        const float *x = which ? after : before;
        double mean[V] = {0};
        for (int i = 0; i < 400 * V; i++)
            mean[i % V] += (double)x[i] / 400;
        for (int a = 0; a < V; a++)
            for (int b = 0; b < V; b++) {
                double c = 0;
                for (int i = 0; i < 400; i++)
                    c += ((double)x[i * V + a] - mean[a]) *
                         ((double)x[i * V + b] - mean[b]);
                *(a == b ? &on[which] : &off[which]) += c * c;
            }
        sum = fabs(mean[5]);
    }
    ck_assert_double_lt(sum, 1e-4);
    ck_assert_double_lt(off[1] / on[1], 0.1 * off[0] / on[0]);
    free(before);
    free(after);
    data_close(plain);
    data_close(d);
}
END_TEST

/* What a window of the padded image should be, from the plain image. */
static void expect(const float *image, int c, int dy, int dx, bool flip, float *ret)
{
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int k = 0; k < c; k++) {
                int iy = y + dy, ix = (flip ? W - 1 - x : x) + dx;
                bool inside = iy >= 0 && iy < H && ix >= 0 && ix < W;
                ret[(y * W + x) * c + k] = inside ? image[(iy * W + ix) * c + k] : 0;
            }
}

/* Every crop and flip occurs and is exact, in bytes and in floats, for 1 and 3 channels.
 */
START_TEST(crops_and_flips_are_windows)
{
    static float plain[H * W * 3], got[H * W * 3], want[H * W * 3];
    for (int c = 1; c <= 3; c += 2)
        for (int whiten = WHITEN_NONE; whiten <= WHITEN_ZCA; whiten++)
            for (int pad = 0; pad <= 8; pad += 4) {
                config.task.data.channels = c;
                struct dataset *d = open_data(whiten);
                struct data_augment augment = {.pad = pad, .flip = pad != 4};
                struct rng rng;
                uint8_t label;
                int flips = 0, moved = 0;
                size_t size = (size_t)(H * W * c) * sizeof *got;
                rng_init(&rng, 5, RNG_CHILD_AUGMENT, (uint64_t)pad);
                for (uint32_t i = 0; i < 400; i++) {
                    bool found = false;
                    data_batch(d, DATA_TRAIN, &i, 1, NULL, NULL, plain, &label);
                    data_batch(d, DATA_TRAIN, &i, 1, &augment, &rng, got, &label);
                    for (int at = 0; !found && at < 2 * 17 * 17; at++) {
                        int dy = at / 2 / 17 - 8, dx = at / 2 % 17 - 8;
                        if (abs(dy) > pad || abs(dx) > pad || (at % 2 && !augment.flip))
                            continue;
                        expect(plain, c, dy, dx, at % 2, want);
                        found = memcmp(want, got, size) == 0;
                        flips += found && at % 2;
                        moved += found && (dy || dx);
                    }
                    ck_assert_msg(found, "channels %d, whiten %d, pad %d", c, whiten,
                                  pad);
                }
                ck_assert(!augment.flip || flips > 100);
                ck_assert(pad == 0 ? moved == 0 : moved > 250);
                data_close(d);
            }
}
END_TEST

START_TEST(draws_are_the_same_number_for_every_image)
{
    static float images[2][H * W * 3];
    struct dataset *d = open_data(WHITEN_NONE);
    struct rng rng, counted;
    uint8_t labels[2];
    for (int pad = 0; pad < 4; pad++)
        for (int flip = 0; flip < 2; flip++) {
            struct data_augment augment = {pad, flip};
            rng_init(&rng, 5, RNG_CHILD_AUGMENT, 0);
            rng_init(&counted, 5, RNG_CHILD_AUGMENT, 0);
            data_batch(d, DATA_VALIDATION, (const uint32_t[]){7, 3}, 2, &augment, &rng,
                       images[0], labels);
            for (int i = 0; i < 6; i++)
                rng_u32(&counted);
            ck_assert_uint_eq(rng_u32(&rng), rng_u32(&counted));
        }
    ck_assert_int_eq(labels[0], data_labels(d, DATA_VALIDATION)[7]);
    ck_assert_int_eq(labels[1], data_labels(d, DATA_VALIDATION)[3]);
    data_close(d);
    data_close(NULL);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {a_blas_that_is_missing_is_named,
                                  openblas_is_loaded_for_zca_alone,
#ifdef __x86_64__
                                  zca_computes_with_the_kernels_of_the_run,
                                  the_environment_of_openblas_prevails,
#endif
                                  channels_get_mean_0_and_deviation_1,
                                  zca_inverts_the_covariance,
                                  zca_refuses_what_has_no_covariance,
                                  zca_whitens_the_training_images,
                                  crops_and_flips_are_windows,
                                  draws_are_the_same_number_for_every_image,
                                  NULL};
    return temp_folder_main("data_batch", tests, &temp, setup);
}
