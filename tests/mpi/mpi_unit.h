/* SPDX-License-Identifier: Apache-2.0 */
/* Checks for programs that run as several ranks. A failed check is printed and counted, and
 * the rank goes on: jumping out, as Check does, would leave the other ranks waiting. */
#ifndef ARCHWAY_TESTS_MPI_UNIT_H
#define ARCHWAY_TESTS_MPI_UNIT_H

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct mpi_unit {
    int rank, failures;
};

static inline bool mpi_unit_check(struct mpi_unit *u, bool good, const char *file, int line,
                                  const char *what)
{
    if (good)
        return true;
    u->failures++;
    if (u->failures <= 10)
        fprintf(stderr, "rank %d: %s:%d: %s\n", u->rank, file, line, what);
    return false;
}

#define MPI_CHECK(unit, condition)                                                       \
    mpi_unit_check(unit, condition, __FILE__, __LINE__, #condition)

/* Tell run_mpi.sh that this rank came to its end without a failure. Returns the exit
 * status. */
static inline int mpi_unit_pass(const struct mpi_unit *u)
{
    char path[4096];
    const char *folder = getenv("ARCHWAY_MPI_RESULTS");
    if (u->failures > 0)
        return EXIT_FAILURE;
    if (folder) {
        snprintf(path, sizeof path, "%s/rank.%d", folder, u->rank);
        FILE *f = fopen(path, "w");
        if (!f || fclose(f) != 0)
            return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}

#endif
