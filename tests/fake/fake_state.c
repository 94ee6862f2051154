/* SPDX-License-Identifier: Apache-2.0 */
/* A line of text, with its end marked, so that a cut one is seen. */
#include "fake_state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int fake_state_read(const char *path, struct fake_state *ret)
{
    FILE *file = fopen(path, "r");
    unsigned long long trial, seed;
    char end[8] = "";
    if (!file)
        return errno == ENOENT ? 0 : -1;
    int got = fscanf(file, "fake %llu %llu %d %lf %7s", &trial, &seed, &ret->epoch,
                     &ret->seconds, end);
    fclose(file);
    ret->trial = trial;
    ret->seed = seed;
    return got == 5 && strcmp(end, "end") == 0 ? 1 : -1;
}

void fake_state_write(const char *path, const struct fake_state *s, int half)
{
    char text[256], temporary[4200];
    int size = snprintf(text, sizeof text, "fake %llu %llu %d %.6f end\n",
                        (unsigned long long)s->trial, (unsigned long long)s->seed,
                        s->epoch, s->seconds);
    snprintf(temporary, sizeof temporary, "%s.tmp.%d", path, (int)getpid());
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd < 0 || write(fd, text, (size_t)(half ? size / 2 : size)) < 0 || fsync(fd) != 0)
        return;
    if (half)
        _exit(9);
    close(fd);
    rename(temporary, path);
}
