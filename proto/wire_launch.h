/* SPDX-License-Identifier: Apache-2.0 */
/* What started this process, as far as the environment tells. Private to proto/. */
#ifndef ARCHWAY_PROTO_WIRE_LAUNCH_H
#define ARCHWAY_PROTO_WIRE_LAUNCH_H

#include <stdbool.h>

struct wire_launch {
    int ranks;            /* 1: alone; 0: a launcher is there but does not say how many */
    const char *variable; /* the environment variable that told, NULL when none did */
    bool managed;         /* a process manager that MPI_Init can talk to is there */
};

struct wire_launch wire_launch_detect(void);

#endif
