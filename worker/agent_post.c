/* SPDX-License-Identifier: Apache-2.0 */
/* What an agent says to the master. Frames are collected, and leave at the end of a step
 * or when there are many; a failure to send within a callback is kept for the step. */
#include "worker/agent_private.h"

#include <stdio.h>
#include <unistd.h>

#include "version.h"

enum { SEND_CHUNK = 1 << 20 };

int agent_flush(struct agent *a, struct error *err)
{
    if (a->out.failed)
        return error_set(err, ERROR_SYSTEM, "rank %d: out of memory", a->wire->rank);
    if (!a->out.size)
        return 0;
    int status = wire_send(a->wire, WIRE_MASTER, a->out.data, a->out.size, err);
    bytes_clear(&a->out);
    return status;
}

void agent_post(struct agent *a, const struct message *m)
{
    message_encode(m, &a->out);
    if (a->out.size >= SEND_CHUNK && !a->send_status)
        a->send_status = agent_flush(a, &a->send_error);
}

void agent_post_hello(struct agent *a, const char *kernels)
{
    struct message m = {.type = MESSAGE_HELLO};
    struct message_hello *h = &m.hello;
    snprintf(h->host, sizeof h->host, "%s", a->machine.host);
    snprintf(h->version, sizeof h->version, "%s", ARCHWAY_VERSION);
    snprintf(h->kernels, sizeof h->kernels, "%s", kernels);
    h->pid = getpid();
    snprintf(h->cpus, sizeof h->cpus, "%s", a->machine.cpus);
    h->cpu_limit = a->machine.cpu_limit;
    snprintf(h->numa, sizeof h->numa, "%s", a->machine.numa);
    snprintf(h->gpus, sizeof h->gpus, "%s", a->machine.gpus);
    h->memory = a->machine.memory;
    agent_post(a, &m);
}

void agent_post_heartbeat(struct agent *a)
{
    struct message m = {.type = MESSAGE_HEARTBEAT};
    m.heartbeat.slot_count = a->slot_count;
    for (int i = 0; i < a->slot_count; i++)
        m.heartbeat.busy_slots += slot_busy(a->slots[i]);
    agent_post(a, &m);
}

void agent_post_bye(struct agent *a, const char *reason)
{
    struct message m = {.type = MESSAGE_BYE};
    snprintf(m.bye.reason, sizeof m.bye.reason, "%.*s", MESSAGE_TEXT - 1, reason);
    agent_post(a, &m);
}

void agent_sink_progress(void *context, const struct message_progress *progress)
{
    struct message m = {.type = MESSAGE_PROGRESS, .progress = *progress};
    agent_post(context, &m);
}

void agent_sink_checkpoint(void *context, const struct message_checkpoint *checkpoint)
{
    struct message m = {.type = MESSAGE_CHECKPOINT, .checkpoint = *checkpoint};
    agent_post(context, &m);
}

void agent_sink_behind(void *context, const struct message_behind *behind)
{
    struct message m = {.type = MESSAGE_BEHIND, .behind = *behind};
    agent_exchange_behind(context, behind);
    agent_post(context, &m);
}

void agent_sink_result(void *context, const struct message_result *result)
{
    struct message m = {.type = MESSAGE_RESULT, .result = *result};
    agent_post(context, &m);
}
