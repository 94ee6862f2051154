/* SPDX-License-Identifier: Apache-2.0 */
/* Which hosts are dead? Not what a scheduler believes (it takes minutes to notice), but
 * what the run saw: a host all of whose ranks fell silent, or on which nothing can be
 * started now. One that lost only some of its ranks is kept. Works by hand and under
 * every scheduler, since mpirun --host only ever narrows what it was given. */
#include "master/launch/launch.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "master/probe.h"

enum { PROBES = 32 }; /* at a time */

/* A trial that takes longer than a session is brought on by its saved state. One that
 * began anew, as it would again and again when states cannot be used, is not. */
static bool came_further(const char *line)
{
    const char *at = strstr(line, ",\"seconds\":");
    double seconds, before;
    return strstr(line, ",\"event\":\"checkpoint\"") &&
           strstr(line, ",\"status\":\"suspended\"") && at &&
           sscanf(at, ",\"seconds\":%lf,\"before\":%lf", &seconds, &before) == 2 &&
           before > 0 && seconds > before;
}

/* A line of log.jsonl. */
static void take_line(const char *line, struct launch_log *log)
{
    const char *rank = strstr(line, ",\"rank\":");
    int number;
    log->trials += strstr(line, ",\"event\":\"trial\"") || came_further(line);
    if (!strstr(line, ",\"event\":\"rank_lost\"") || !rank ||
        sscanf(rank, ",\"rank\":%d", &number) != 1)
        return;
    if (log->lost < (int)(sizeof log->ranks / sizeof *log->ranks))
        log->ranks[log->lost++] = number;
}

void launch_log_read(const char *path, struct launch_log *log)
{
    char line[65536];
    FILE *file = fopen(path, "re");
    if (!file)
        return;
    if (fseek(file, log->offset, SEEK_SET) == 0)
        while (fgets(line, sizeof line, file)) {
            size_t size = strlen(line);
            if (line[size - 1] != '\n' && size < sizeof line - 1)
                break; /* the rest is still to come */
            take_line(line, log);
            log->offset += (long)size;
        }
    fclose(file);
}

static bool is_lost(const struct launch_log *log, int rank)
{
    for (int i = 0; i < log->lost; i++)
        if (log->ranks[i] == rank)
            return true;
    return false;
}

static struct launch_host *find_host(struct launch_hosts *hosts, const char *name)
{
    for (int i = 0; i < hosts->count; i++)
        if (strcmp(hosts->list[i].name, name) == 0)
            return &hosts->list[i];
    if (hosts->count == (int)(sizeof hosts->list / sizeof *hosts->list))
        return NULL;
    struct launch_host *h = &hosts->list[hosts->count++];
    *h = (struct launch_host){0};
    snprintf(h->name, sizeof h->name, "%s", name);
    return h;
}

/* Names that mpirun's --host could take for something else are none of a host. */
static bool is_host_name(const char *name)
{
    return name && *name && name[0] != '-' && strlen(name) < 256 &&
           name[strcspn(name, ",: \t\n")] == '\0';
}

bool launch_hosts_read(const char *path, const struct launch_log *log,
                       struct launch_hosts *ret)
{
    json_t *list = json_load_file(path, 0, NULL), *slot;
    size_t i;
    int last = -1;
    ret->count = ret->workers = 0;
    json_array_foreach(list, i, slot)
    {
        const char *name = json_string_value(json_object_get(slot, "host"));
        int rank = (int)json_integer_value(json_object_get(slot, "rank"));
        struct launch_host *h = is_host_name(name) ? find_host(ret, name) : NULL;
        if (!h || rank == last) /* ordered by rank, then by slot */
            continue;
        last = rank;
        h->ranks++;
        h->lost += is_lost(log, rank);
        ret->workers++;
    }
    json_decref(list);
    return ret->workers > 0;
}

/* In a process of its own; its status tells. */
static pid_t start_probe(const char *host, double seconds)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct probe p;
    probe_run((const char *const[]){"mpirun", "--oversubscribe", "--host", host, "-n",
                                    "1", "true", NULL},
              seconds, &p);
    _exit(p.started && !p.timed_out && p.exit_status == 0 ? 0 : 1);
}

void launch_hosts_probe(struct launch_hosts *hosts, const char *here, double seconds)
{
    pid_t pids[PROBES];
    for (int first = 0; first < hosts->count; first += PROBES) {
        int last = first + PROBES < hosts->count ? first + PROBES : hosts->count;
        for (int i = first; i < last; i++) {
            const struct launch_host *h = &hosts->list[i];
            bool needless = strcmp(h->name, here) == 0 || h->lost >= h->ranks;
            pids[i - first] = needless ? 0 : start_probe(h->name, seconds);
        }
        for (int i = first; i < last; i++) {
            int status = 1;
            pid_t pid = pids[i - first];
            if (pid > 0 && (waitpid(pid, &status, 0) != pid || status != 0))
                hosts->list[i].lost = hosts->list[i].ranks;
        }
    }
}

static int add_host(char *text, int used, int size, const char *name, int ranks)
{
    int n = snprintf(text + used, (size_t)(size - used), "%s%s:%d", used ? "," : "", name,
                     ranks);
    return n < 0 || n >= size - used ? size : used + n;
}

bool launch_hosts_format(const struct launch_hosts *hosts, const char *here, char *ret,
                         int size, int *ret_ranks)
{
    int used = 0, total = 1, mine = 0, gone = 0;
    for (int i = 0; i < hosts->count; i++) {
        const struct launch_host *h = &hosts->list[i];
        bool dead = h->lost >= h->ranks;
        gone += dead;
        total += dead ? 0 : h->ranks;
        if (!dead && strcmp(h->name, here) == 0)
            mine = h->ranks;
    }
    used = add_host(ret, 0, size, here, mine + 1);
    for (int i = 0; i < hosts->count && used < size; i++) {
        const struct launch_host *h = &hosts->list[i];
        if (h->lost < h->ranks && strcmp(h->name, here) != 0)
            used = add_host(ret, used, size, h->name, h->ranks);
    }
    *ret_ranks = total;
    return gone > 0 && total > 1 && used < size;
}
