/* SPDX-License-Identifier: Apache-2.0 */
/* statvfs tells what an ordinary user may still take (f_bavail). Quotas it does not know:
 * these end a run by the error of the write that met them. */
#include "master/disk_watch.h"

#include <sys/statvfs.h>

static const double look_often = 1, look_seldom = 2; /* seconds */
static const double margin = 1.1;

enum disk_change disk_watch_step(struct disk_watch *w, const char *folder,
                                 int64_t reserve, double now)
{
    struct statvfs fs;
    bool was_low = w->low;
    if (now < w->look_at)
        return DISK_SAME;
    w->look_at = now + (w->low ? look_often : look_seldom);
    if (statvfs(folder, &fs) == 0) {
        w->room = (double)fs.f_bavail * (double)fs.f_frsize;
        w->low = w->room < (double)reserve * (was_low ? margin : 1);
    } else {
        w->low = false;
    }
    if (w->low == was_low)
        return DISK_SAME;
    w->look_at = now + look_often;
    return w->low ? DISK_LOW : DISK_ROOM;
}
