/* SPDX-License-Identifier: Apache-2.0 */
/* Memory without a name (memfd): whoever may look at the trainer's descriptors can map
 * it, nobody else, and it is gone with the last process that has it. */
#include "worker/lanes.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ALIGN = 4096 };

static size_t aligned(size_t size)
{
    return (size + ALIGN - 1) / ALIGN * ALIGN;
}

/* Bytes before the hidden state. */
static size_t head_bytes(const struct lanes_shape *s)
{
    size_t size = sizeof(struct lane) + s->ranges * sizeof(struct recurrent_range);
    return (size + 63) / 64 * 64;
}

static size_t lane_bytes(const struct lanes_shape *s, uint64_t values)
{
    return head_bytes(s) + (s->state + (size_t)values) * sizeof(float);
}

size_t lanes_stride(const struct lanes_shape *s)
{
    return aligned(lane_bytes(s, s->values));
}

size_t lanes_bytes(const struct lanes_shape *s)
{
    return 2 * (size_t)s->samples * lanes_stride(s);
}

int lanes_init(struct lanes *l, const struct lanes_shape *shape, struct error *err)
{
    size_t size = lanes_bytes(shape);
    *l = (struct lanes){.shape = *shape, .fd = -1, .stride = lanes_stride(shape)};
    l->fd = memfd_create("archway-lanes", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    /* A file that cannot shrink is safe to look at from both sides. */
    if (l->fd >= 0 && ftruncate(l->fd, (off_t)size) == 0 &&
        fcntl(l->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == 0)
        l->memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, l->fd, 0);
    if (l->memory && l->memory != MAP_FAILED)
        return 0;
    l->memory = NULL;
    error_set_errno(err, "no shared memory of %zu bytes for the lanes of a step", size);
    lanes_fini(l);
    return ERROR_SYSTEM;
}

void lanes_fini(struct lanes *l)
{
    if (l->memory) {
        munmap(l->memory, lanes_bytes(&l->shape));
        close(l->fd);
    } else if (l->stride > 0 && l->fd >= 0) {
        close(l->fd);
    }
    *l = (struct lanes){.fd = -1};
}

size_t lanes_offset(size_t stride, int samples, uint64_t round, int part)
{
    return ((size_t)(round % 2) * (size_t)samples + (size_t)part) * stride;
}

struct lane *lanes_at(const struct lanes *l, uint64_t round, int part)
{
    return (struct lane *)(l->memory +
                           lanes_offset(l->stride, l->shape.samples, round, part));
}

float *lane_state(const struct lanes *l, struct lane *lane)
{
    return (float *)((unsigned char *)lane + head_bytes(&l->shape));
}

float *lane_values(const struct lanes *l, struct lane *lane)
{
    return lane_state(l, lane) + l->shape.state;
}

void lane_open(struct lane *lane, int part)
{
    lane->mark = 0;
    lane->values = lane->spoiled = 0;
    lane->part = (uint32_t)part;
    lane->range_count = 0;
}

void lane_copy(const struct lanes *l, struct lane *to, const struct lane *from)
{
    to->mark = 0;
    memcpy((unsigned char *)to + sizeof to->mark,
           (const unsigned char *)from + sizeof from->mark,
           lane_bytes(&l->shape, 0) - sizeof to->mark);
}

void lane_close(const struct lanes *l, struct lane *lane, uint64_t round)
{
    lane->bytes = lane_bytes(&l->shape, l->shape.values > 0 ? lane->values : 0);
    lane->mark = round + 1;
}

bool lane_is_whole(const struct lane *lane, uint64_t round)
{
    return lane->mark == round + 1;
}

static bool is_part_of(struct recurrent_range r, size_t input, size_t pair, size_t count)
{
    if (r.first == 0)
        return r.count == input;
    return r.count == pair && r.first >= input && (r.first - input) % pair == 0 &&
           r.first < count && count - r.first >= pair;
}

bool lane_fits(const struct lanes *l, const struct lane *lane, uint64_t round, int part,
               size_t input, size_t pair, size_t count)
{
    uint64_t values = 0;
    size_t after = 0;
    if (!lane_is_whole(lane, round) || lane->part != (uint32_t)part ||
        lane->range_count > l->shape.ranges || lane->spoiled > 1)
        return false;
    for (uint32_t i = 0; i < lane->range_count; i++) {
        struct recurrent_range r = lane->ranges[i];
        if (!is_part_of(r, input, pair, count) || (i > 0 && r.first < after))
            return false;
        after = r.first + r.count;
        values += r.count;
    }
    return values == lane->values && values <= l->shape.values &&
           lane->bytes == lane_bytes(&l->shape, values);
}
