/* SPDX-License-Identifier: Apache-2.0 */
/* A trainer that trains nothing: it speaks the protocol of proto/trainer_protocol.h and
 * makes up accuracies, at once or after a while, and misbehaves where it is told to. It
 * shares no code with the agent's end, so that both cannot be wrong in the same way.
 *
 * Accuracy = 0.1 + 0.8 x (share of tokens equal to 1) + noise of the seed within +-0.01:
 * a search can learn it, and the same trial gives the same value anywhere. Without tokens
 * the share is a hash of the architecture's text. */
#include "fake_options.h"
#include "fake_state.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { INPUT = 4 << 20, OUTPUT = 1 << 16, CANCELS = 256 };

struct attempt {
    uint64_t trial;
    long number;
};

struct fake {
    struct fake_options options;
    char *input; /* INPUT bytes */
    size_t start, end;
    char output[OUTPUT];
    size_t size;
    struct attempt cancelled[CANCELS]; /* a ring */
    unsigned cancels;
    struct attempt suspended; /* asked for its state; number 0: none */
};

static void flush(struct fake *f)
{
    for (size_t done = 0; done < f->size;) {
        ssize_t n = write(STDOUT_FILENO, f->output + done, f->size - done);
        if (n < 0 && errno != EINTR)
            exit(0); /* nobody listens any more */
        done += n > 0 ? (size_t)n : 0;
    }
    f->size = 0;
}

__attribute__((format(printf, 2, 3))) static void say(struct fake *f, const char *format,
                                                      ...)
{
    va_list args;
    if (f->size > OUTPUT - 1024)
        flush(f);
    va_start(args, format);
    f->size += (size_t)vsnprintf(f->output + f->size, OUTPUT - f->size, format, args);
    va_end(args);
}

/* Behind "KEY": in the line; NULL when it is not there. */
static const char *find(const char *line, const char *key)
{
    const char *p = strstr(line, key);
    if (!p)
        return NULL;
    p += strlen(key);
    return p + strspn(p, " :");
}

static uint64_t number(const char *line, const char *key)
{
    const char *p = find(line, key);
    return p ? strtoull(p, NULL, 10) : 0;
}

static uint64_t mix(uint64_t z) /* SplitMix64 */
{
    z += 0x9e3779b97f4a7c15ULL;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

static double unit(uint64_t z)
{
    return (double)(mix(z) >> 11) * 0x1p-53;
}

static double token_share(const char *line)
{
    const char *p = find(line, "\"tokens\"");
    int count = 0, ones = 0;
    uint64_t hash = 0;
    for (; p && *p && *p != ']'; p += p[0] != ']') {
        p += strcspn(p, "0123456789]");
        if (*p == ']' || !*p)
            break;
        ones += strtoul(p, (char **)&p, 10) == 1;
        count++;
        if (*p == ']')
            break;
    }
    if (count)
        return (double)ones / count;
    for (p = find(line, "\"architecture\""); p && *p; p++)
        hash = mix(hash ^ (unsigned char)*p);
    return unit(hash);
}

static double accuracy_of(const char *line)
{
    return 0.1 + 0.8 * token_share(line) + 0.02 * (unit(number(line, "\"seed\"")) - 0.5);
}

static int due(const struct fake *f, int every, struct attempt a)
{
    return every > 0 && (a.trial + 1) % (unsigned)every == 0 &&
           (!f->options.once || a.number <= 1);
}

static int is_cancelled(const struct fake *f, struct attempt a)
{
    for (unsigned i = 0; i < CANCELS && i < f->cancels; i++)
        if (f->cancelled[i].trial == a.trial && f->cancelled[i].number == a.number)
            return !f->options.late;
    return 0;
}

/* A line of the input that names an attempt to cancel. */
static void note_cancel(struct fake *f, const char *line)
{
    struct attempt a = {number(line, "\"trial\""), (long)number(line, "\"attempt\"")};
    f->cancelled[f->cancels++ % CANCELS] = a;
}

static int is_suspended(const struct fake *f, struct attempt a)
{
    return f->suspended.trial == a.trial && f->suspended.number == a.number &&
           !f->options.save_never;
}

/* Read once more; 0 at the end of the input. Cancels are noticed as they come in. */
static int fill(struct fake *f)
{
    memmove(f->input, f->input + f->start, f->end - f->start);
    f->end -= f->start;
    f->start = 0;
    ssize_t n = read(STDIN_FILENO, f->input + f->end, INPUT - 1 - f->end);
    if (n <= 0)
        return 0;
    size_t old = f->end;
    f->end += (size_t)n;
    f->input[f->end] = '\0';
    while (old && f->input[old - 1] != '\n')
        old--;
    for (char *p = f->input + old; (p = strstr(p, "{\"type\":\"cancel\"")); p++)
        if (strchr(p, '\n'))
            note_cancel(f, p);
    const char *ask = strstr(f->input + old, "{\"type\":\"checkpoint\"");
    if (ask && strchr(ask, '\n'))
        f->suspended =
            (struct attempt){number(ask, "\"trial\""), (long)number(ask, "\"attempt\"")};
    return 1;
}

/* Sleep, but hear of cancels and of the end; returns at once when cancelled. */
static void work(struct fake *f, int ms, struct attempt a)
{
    struct timespec t;
    flush(f);
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t end = t.tv_sec * 1000LL + t.tv_nsec / 1000000 + ms;
    while (!is_cancelled(f, a) && !is_suspended(f, a)) {
        struct pollfd in = {STDIN_FILENO, POLLIN, 0};
        clock_gettime(CLOCK_MONOTONIC, &t);
        int64_t left = end - (t.tv_sec * 1000LL + t.tv_nsec / 1000000);
        if (left <= 0)
            return;
        if (poll(&in, 1, (int)left) > 0 && !fill(f))
            exit(0);
    }
}

static void hang(struct fake *f)
{
    flush(f);
    for (;;)
        pause();
}

static void complain(const struct fake *f)
{
    if (f->options.complaint)
        fprintf(stderr, "%s\n", f->options.complaint);
}

static void big_line(struct fake *f)
{
    for (int i = 0; i < 40; i++) {
        flush(f);
        memset(f->output, 'x', OUTPUT);
        f->size = OUTPUT;
    }
    flush(f);
    hang(f);
}

static void flood(void)
{
    char text[1 << 16];
    memset(text, 'e', sizeof text);
    for (size_t i = 63; i < sizeof text; i += 64)
        text[i] = '\n';
    for (int i = 0; i < 640; i++)
        fwrite(text, 1, sizeof text, stderr);
    fputs("\nfirst\nsecond\nlast words\n", stderr);
    _exit(5);
}

static void eat(void)
{
    for (int i = 0; i < 3; i++)
        if (fork() == 0) {
            volatile char *p = malloc(40 << 20);
            for (size_t k = 0; p && k < 40 << 20; k += 512)
                p[k] = 1;
            for (;;)
                pause();
        }
}

/* Those misdeeds after which there is no result. */
static void misbehave(struct fake *f, struct attempt a)
{
    const struct fake_options *o = &f->options;
    if (due(f, o->hang_every, a))
        hang(f);
    if (due(f, o->big_line_every, a))
        big_line(f);
    if (due(f, o->flood_every, a))
        flood();
    if (due(f, o->eat_every, a)) {
        eat();
        hang(f);
    }
    if (due(f, o->abort_every, a)) {
        signal(SIGABRT, SIG_DFL);
        abort();
    }
    if (due(f, o->half_every, a)) {
        say(f, "{\"type\":\"result\",\"trial\":%llu,\"att", (unsigned long long)a.trial);
        flush(f);
        _exit(0);
    }
    if (due(f, o->overtime_every, a)) {
        signal(SIGTERM, SIG_IGN);
        usleep(1000000);
    }
    if (due(f, o->crash_every, a) || due(f, o->exit_every, a)) {
        flush(f);
        complain(f);
        if (due(f, o->exit_every, a))
            _exit(3);
        signal(SIGSEGV, SIG_DFL); /* sanitizers have their own idea */
        raise(SIGSEGV);
    }
    if (due(f, o->garbage_every, a))
        say(f, "Epoch 1/10, this is no JSON\n");
}

/* --- states ------------------------------------------------------------------------- */

/* Where the state of a task is kept, as JSON without escapes says; "" for nowhere. */
static void state_path(const struct fake *f, const char *line, char path[4096])
{
    const char *p = f->options.checkpoints ? find(line, "\"checkpoint\"") : NULL;
    path[0] = '\0';
    if (p && *p == '"')
        snprintf(path, 4096, "%.*s", (int)strcspn(p + 1, "\""), p + 1);
}

static void say_state(struct fake *f, struct attempt a, const char *status,
                      const struct fake_state *s)
{
    say(f,
        "{\"type\":\"checkpoint\",\"trial\":%llu,\"attempt\":%ld,\"status\":\"%s\","
        "\"epoch\":%d,\"seconds\":%.6f,\"reason\":\"it is no state of this trial\"}\n",
        (unsigned long long)a.trial, a.number, status, s->epoch, s->seconds);
}

static void save(struct fake *f, struct attempt a, const char *path, const char *status,
                 const struct fake_state *s)
{
    usleep((useconds_t)f->options.save_ms * 1000);
    if (f->options.save_die)
        flush(f);
    struct fake_state kept = *s;
    if (f->options.save_garbage)
        kept.seed++;
    fake_state_write(path, &kept, f->options.save_die);
    say_state(f, a, status, s);
}

static void note_epoch(const struct fake *f, struct attempt a, int epoch)
{
    FILE *file = f->options.epochs_to ? fopen(f->options.epochs_to, "a") : NULL;
    if (!file)
        return;
    fprintf(file, "%llu %d\n", (unsigned long long)a.trial, epoch);
    fclose(file);
}

static void say_epoch(struct fake *f, unsigned long long id, struct attempt a, int e,
                      double accuracy, const char *value)
{
    say(f,
        "{\"type\":\"progress\",\"trial\":%llu,\"attempt\":%ld,\"epoch\":%d,"
        "\"metrics\":{\"val_accuracy\":",
        id, a.number, e);
    if (e == f->options.epochs)
        say(f, "%s},\"seconds\":0.001}\n", value);
    else
        say(f, "%.6f},\"seconds\":0.001}\n", accuracy * e / f->options.epochs);
}

static void train(struct fake *f, const char *line)
{
    const struct fake_options *o = &f->options;
    struct attempt a = {number(line, "\"trial\""), (long)number(line, "\"attempt\"")};
    unsigned long long id = a.trial + (due(f, o->wrong_every, a) ? 1000 : 0);
    double accuracy = accuracy_of(line);
    char value[32];

    snprintf(value, sizeof value, "%.6f", accuracy);
    if (due(f, o->nan_every, a))
        strcpy(value, "NaN");
    struct fake_state state = {a.trial, number(line, "\"seed\""), 0, 0}, found;
    char path[4096];
    state_path(f, line, path);
    if (o->say_state)
        say_state(f, a, o->say_state, &state);
    int got = *path ? fake_state_read(path, &found) : 0;
    if (got == 1 && found.trial == state.trial && found.seed == state.seed) {
        state = found;
        say_state(f, a, "continued", &state);
        for (int e = 1; e <= state.epoch; e++)
            say_epoch(f, id, a, e, accuracy, value);
    } else if (got != 0) {
        say_state(f, a, "refused", &state);
    }
    for (int e = state.epoch + 1; e <= o->epochs && !o->null && !is_cancelled(f, a);
         e++) {
        work(f, o->sleep_ms / o->epochs, a);
        if (*path && is_suspended(f, a)) {
            save(f, a, path, "suspended", &state);
            return;
        }
        if (is_cancelled(f, a))
            break;
        say_epoch(f, id, a, e, accuracy, value);
        note_epoch(f, a, e);
        state.epoch = e;
        state.seconds += o->sleep_ms / 1000.0 / o->epochs;
        if (*path && number(line, "\"checkpoint_every\"") > 0 && e < o->epochs)
            save(f, a, path, "saved", &state);
    }
    misbehave(f, a);
    if (is_cancelled(f, a) || due(f, o->fail_every, a))
        say(f,
            "{\"type\":\"result\",\"trial\":%llu,\"attempt\":%ld,\"status\":\"failed\","
            "\"reason\":\"%s\"}\n",
            id, a.number, is_cancelled(f, a) ? "cancelled" : "told to fail");
    else
        for (int i = due(f, o->twice_every, a) ? 2 : 1; i > 0; i--)
            say(f,
                "{\"type\":\"result\",\"trial\":%llu,\"attempt\":%ld,\"status\":\"ok\","
                "\"metrics\":{\"val_accuracy\":%s},\"params\":1000,\"flops\":2000,"
                "\"seconds\":%.3f}\n",
                id, a.number, value, o->sleep_ms / 1000.0);
}

static void write_pid(const char *path, pid_t pid)
{
    FILE *file = fopen(path, "w");
    if (!file)
        return;
    fprintf(file, "%d\n", (int)pid);
    fclose(file);
}

static _Noreturn void sleep_for_ever(void)
{
    signal(SIGTERM, SIG_IGN);
    for (int fd = 0; fd < 2; fd++)
        close(fd);
    for (;;)
        pause();
}

/* A child that outlives everything but the kill of its group. */
static void make_child(const struct fake *f)
{
    if (!f->options.child)
        return;
    pid_t pid = fork();
    if (pid == 0)
        sleep_for_ever();
    write_pid(f->options.child, pid);
}

/* One that outlives that as well. */
static void make_daemon(const struct fake *f)
{
    if (!f->options.daemon)
        return;
    pid_t pid = fork();
    if (pid != 0) {
        waitpid(pid, NULL, 0);
        return;
    }
    setsid();
    pid = fork();
    if (pid == 0)
        sleep_for_ever();
    write_pid(f->options.daemon, pid);
    _exit(0);
}

static void get_ready(struct fake *f)
{
    const struct fake_options *o = &f->options;
    if (o->stubborn || o->checkpoints)
        signal(SIGTERM, SIG_IGN);
    make_child(f);
    make_daemon(f);
    usleep((useconds_t)o->start_ms * 1000);
    if (o->start_exit) {
        complain(f);
        exit(o->start_exit);
    }
    if (o->no_ready)
        hang(f);
    if (o->start_text)
        say(f, "%s\n", o->start_text);
    const char *kernels = o->kernels ? getenv(o->kernels) : NULL;
    say(f,
        "{\"type\":\"ready\",\"protocol\":1,\"name\":\"fake\",\"version\":\"1\","
        "%s%s%s%s\"queue\":%d}\n",
        kernels ? "\"kernels\":\"" : "", kernels ? kernels : "", kernels ? "\"," : "",
        o->checkpoints ? "\"checkpoints\":true," : "", o->queue);
}

int main(int argc, char **argv)
{
    static struct fake f;
    fake_options_parse(argc, argv, &f.options);
    f.input = malloc(INPUT);
    if (!f.input)
        return 1;
    get_ready(&f);
    for (;;) {
        char *newline = memchr(f.input + f.start, '\n', f.end - f.start);
        if (!newline) {
            flush(&f);
            if (!fill(&f))
                return 0;
            continue;
        }
        /* The task is copied: more input may come in while it is worked on. */
        char *line = strndup(f.input + f.start, (size_t)(newline - f.input) - f.start);
        f.start = (size_t)(newline - f.input) + 1;
        if (strstr(line, "\"type\":\"task\""))
            train(&f, line);
        else if (strstr(line, "\"type\":\"stop\""))
            return flush(&f), 0;
        free(line);
    }
}
