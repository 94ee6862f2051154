/* SPDX-License-Identifier: Apache-2.0 */
/* Is there still room where the run's folder is? Below the reserve no trial is handed
 * out, so that what is running can still be recorded; with a tenth more than the reserve
 * it goes on, so that the two do not alternate. */
#ifndef ARCHWAY_MASTER_DISK_WATCH_H
#define ARCHWAY_MASTER_DISK_WATCH_H

#include <stdbool.h>
#include <stdint.h>

struct disk_watch { /* zero: nothing was looked at yet */
    bool low;
    double look_at; /* monotonic time of the next look */
    double room;    /* bytes that were free at the last one */
};

enum disk_change { DISK_SAME, DISK_LOW, DISK_ROOM };

/* Look again when it is time (every second while low, else every two). `reserve`: bytes,
 * 0 never pauses. A file system that does not tell has room. */
enum disk_change disk_watch_step(struct disk_watch *w, const char *folder,
                                 int64_t reserve, double now);

#endif
