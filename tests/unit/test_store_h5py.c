/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots in the hands of other HDF5 programs: h5py and h5dump read every table, and a
 * file that h5py changed and that was signed again is refused with the reason.
 * Usage: test_store_h5py store_h5py.py. Exits 77 (skipped) without h5py. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <zlib.h>

#include "common/text.h"
#include "master/store.h"
#include "master/store_file.h"
#include "store_sample.h"
#include "temp_folder.h"
#include "unit.h"

static struct temp_folder folder;
static const char *script;

static void setup(void)
{
    temp_folder_fini(&folder);
    ck_assert_int_eq(mkdir(folder.path, 0777), 0);
}

/* Run a shell command; what it prints goes to *ret_text (caller frees), its exit status
 * is returned. */
static int run(const char *command, char **ret_text)
{
    struct text out;
    char block[4096];
    size_t n;
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    text_init(&out);
    text_append(&out, "%s", "");
    while ((n = fread(block, 1, sizeof block - 1, pipe)) > 0) {
        block[n] = '\0';
        text_append(&out, "%s", block);
    }
    int status = pclose(pipe);
    *ret_text = text_take(&out);
    ck_assert_ptr_nonnull(*ret_text);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void write_sample(struct snapshot *ret)
{
    struct error err = {0};
    *ret = sample_snapshot(3, 60, 4);
    int status = store_write(folder.path, ret, &err);
    ck_assert_msg(status == 0, "%s", err.text);
}

static void expect_f64(struct text *t, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    text_append(t, " %016llx", (unsigned long long)bits);
}

static void expect_f32(struct text *t, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    text_append(t, " %08x", bits);
}

static void expect_trial(struct text *out, const struct trial *t)
{
    const double values[] = {t->val_accuracy, t->reward,     t->seconds,
                             t->params,       t->flops,      t->log_probability,
                             t->proposed_at,  t->finished_at};
    text_append(out, "trial %llu %s %s %s %s %u %u %d %d %u", (unsigned long long)t->id,
                trial_state_name(t->state), trial_arm_name(t->arm),
                trial_failure_name(t->failure), trial_kind_name(t->kind),
                t->architecture->depth, t->attempts, t->worker, t->slot,
                t->policy_version);
    text_append(out, " %llu %llu %lld %llu %llu %u", (unsigned long long)t->arm_index,
                (unsigned long long)t->seed, (long long)t->same_as,
                (unsigned long long)t->hash.low, (unsigned long long)t->hash.high,
                t->epoch_count);
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        expect_f64(out, values[i]);
    expect_f64(out, t->saved_seconds);
    text_append(out, " %u %llu %d ", t->saved_epochs, (unsigned long long)t->shared.step,
                t->shared.part);
    for (int i = 0; i < t->architecture->count; i++)
        text_append(out, "%s%u", i ? "," : "", t->architecture->tokens[i]);
    text_append(out, " %s|%s\n", t->kernels, t->reason ? t->reason : "");
}

static void expect_curve(struct text *out, const struct trial *t)
{
    for (uint32_t i = 0; i < t->epoch_count; i++) {
        const struct trial_epoch *e = &t->epochs[i];
        text_append(out, "epoch %llu %u", (unsigned long long)t->id, i + 1);
        expect_f32(out, e->train_loss);
        expect_f32(out, e->train_accuracy);
        expect_f32(out, e->val_loss);
        expect_f32(out, e->val_accuracy);
        expect_f32(out, e->lr);
        expect_f32(out, e->seconds);
        text_append(out, "%s", "\n");
    }
}

static void expect_array(struct text *out, const struct state_array *a)
{
    static const char *const types[] = {"float32", "float64", "int64", "uint16", "uint8"};
    size_t size = state_array_count(a) * state_type_size(a->type);
    text_append(out, "array %s %s", a->name, types[a->type]);
    for (int i = 0; i < a->rank; i++)
        text_append(out, " %zu", a->dims[i]);
    text_append(out, " %lu\n", size ? crc32(0, a->data, (uInt)size) : 0);
}

static char *expect_dump(const struct snapshot *s)
{
    struct text out;
    const struct ledger_hours *h = ledger_hours(s->ledger);
    const double hours[] = {h->trained, h->failed,    h->lost,
                            h->saved,   h->idle_wait, h->idle_tail};
    unsigned long long seed = s->config.seed;
    uint64_t count = ledger_count(s->ledger);
    text_init(&out);
    text_append(&out, "meta %d %llu %s %llu %llu %llu 1\nhours", STORE_VERSION, seed,
                s->config.name, (unsigned long long)count, (unsigned long long)s->told,
                (unsigned long long)s->journal_offset);
    for (int i = 0; i < 6; i++)
        expect_f64(&out, hours[i]);
    text_append(&out, " %llu\nrng Philox4x32-10 %llu\nin_flight",
                (unsigned long long)h->duplicates, seed);
    for (uint64_t id = 0; id < count; id++)
        if (ledger_trial(s->ledger, id)->state <= TRIAL_WAITING)
            text_append(&out, " %llu", (unsigned long long)id);
    text_append(&out, "%s", "\n");
    for (uint64_t id = 0; id < count; id++)
        expect_trial(&out, ledger_trial(s->ledger, id));
    for (uint64_t id = 0; id < count; id++)
        expect_curve(&out, ledger_trial(s->ledger, id));
    for (size_t i = 0; i < s->state.count; i++)
        expect_array(&out, &s->state.arrays[i]);
    return text_take(&out);
}

START_TEST(h5py_reads_everything)
{
    struct snapshot s;
    char command[1024], *found = NULL;
    write_sample(&s);
    char *expected = expect_dump(&s);
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' dump '%s/snapshot.h5'",
             script, folder.path);
    ck_assert_int_eq(run(command, &found), 0);
    ck_assert_ptr_nonnull(expected);
    for (char *a = expected, *b = found;
         *a || *b;) { /* name the first line that differs */
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (n != m || memcmp(a, b, n) != 0)
            ck_abort_msg("expected '%.*s', found '%.*s'", (int)n, a, (int)m, b);
        a += n + (a[n] == '\n');
        b += m + (b[m] == '\n');
    }
    free(expected);
    free(found);
    snapshot_fini(&s);
}
END_TEST

START_TEST(h5dump_reads_everything)
{
    static const char *const words[] = {
        "DATASET \"trials\"",    "DATASET \"curves\"",
        "GROUP \"meta\"",        "GROUP \"hours\"",
        "DATASET \"in_flight\"", "GROUP \"rng\"",
        "DATASET \"weights\"",   "H5T_ENUM",
        "\"val_accuracy\"",      "ATTRIBUTE \"complete\""};
    struct snapshot s;
    char command[1024], *text = NULL;
    write_sample(&s);
    snapshot_fini(&s);
    snprintf(command, sizeof command,
             "command -v h5dump >/dev/null || exit 77; h5dump '%s/snapshot.h5' 2>&1",
             folder.path);
    int status = run(command, &text);
    if (status == 77) {
        printf("store_h5py: no h5dump here (package hdf5-tools)\n");
    } else {
        ck_assert_int_eq(status, 0);
        for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
            ck_assert_msg(strstr(text, words[i]) != NULL, "no %s", words[i]);
        ck_assert_ptr_null(strstr(text, "h5dump error"));
    }
    free(text);
}
END_TEST

static void sign_again(const char *path)
{
    char *image = NULL;
    size_t size = 0;
    ck_assert_int_eq(text_read_file(path, 1 << 30, &image, &size, NULL), 0);
    store_file_sign((uint8_t *)image, size);
    ck_assert_int_eq(text_write_file(path, image, size, NULL), 0);
    free(image);
}

START_TEST(what_h5py_changed_is_refused)
{
    char command[1024], name[64], *complaints = NULL, *rest = NULL;
    struct snapshot s, back = {0};
    struct error err;
    int n = 0;
    write_sample(&s);
    snapshot_fini(&s);
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' break '%s/snapshot.h5'",
             script, folder.path);
    ck_assert_int_eq(run(command, &complaints), 0);
    for (char *complaint = strtok_r(complaints, "\n", &rest); complaint;
         complaint = strtok_r(NULL, "\n", &rest), n++) {
        char *path = strdup(temp_folder_file(&folder, "snapshot.h5"));
        snprintf(name, sizeof name, "snapshot.h5.%d", n);
        ck_assert_int_eq(rename(temp_folder_file(&folder, name), path), 0);
        ck_assert_int_eq(store_read(folder.path, &back, NULL, &err), ERROR_CORRUPT);
        sign_again(path);
        int status = store_read(folder.path, &back, NULL, &err);
        ck_assert_msg(status == ERROR_CORRUPT, "change %d (%s): status %d", n, complaint,
                      status);
        ck_assert_msg(strstr(err.text, complaint) != NULL, "change %d: '%s' lacks '%s'",
                      n, err.text, complaint);
        free(path);
    }
    free(complaints);
    ck_assert_int_gt(n, 25);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {h5py_reads_everything, h5dump_reads_everything,
                                  what_h5py_changed_is_refused, NULL};
    if (argc != 2) {
        fprintf(stderr, "usage: test_store_h5py store_h5py.py\n");
        return 2;
    }
    script = argv[1];
    if (system("/usr/bin/python3 -c 'import h5py' 2>/dev/null") != 0) {
        printf("skipped: /usr/bin/python3 has no h5py (package python3-h5py)\n");
        return 77;
    }
    return temp_folder_main("store_h5py", tests, &folder, setup);
}
