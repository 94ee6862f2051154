/* SPDX-License-Identifier: Apache-2.0 */
/* write() until all is out: a pipe may take a part, a signal may come between. */
#include "worker/trainer_output.h"

#include <errno.h>
#include <unistd.h>

void trainer_output_init(struct trainer_output *o, int fd)
{
    o->fd = fd;
    bytes_init(&o->lines);
}

void trainer_output_fini(struct trainer_output *o)
{
    if (o)
        bytes_fini(&o->lines);
}

int trainer_output_flush(struct trainer_output *o, struct error *err)
{
    if (o->lines.failed)
        return error_set(err, ERROR_SYSTEM, "no memory for a line to the agent");
    for (size_t at = 0; at < o->lines.size;) {
        ssize_t n = write(o->fd, o->lines.data + at, o->lines.size - at);
        if (n < 0 && errno != EINTR)
            return error_set_errno(err, "cannot write to the agent");
        if (n > 0)
            at += (size_t)n;
    }
    bytes_clear(&o->lines);
    return 0;
}
