/* SPDX-License-Identifier: Apache-2.0 */
/* Sending everybody home before there is a dispatcher: a configuration or a folder that is
 * refused must not leave ranks waiting for a master that has given up. It needs the wire
 * alone, and waits a few seconds at most for the farewells. */
#include "master/dispatcher.h"

#include <time.h>

#include "proto/message.h"

void dispatcher_dismiss(struct wire *wire)
{
    struct message m = {.type = MESSAGE_STOP, .stop.clean = 1};
    struct bytes frame, in;
    int left = wire->size - 1, rank;
    const struct timespec nap = {.tv_nsec = 1000000};
    bytes_init(&frame);
    bytes_init(&in);
    message_encode(&m, &frame);
    for (rank = 1; rank < wire->size; rank++)
        wire_send(wire, rank, frame.data, frame.size, NULL);
    for (int i = 0; i < 5000 && left > 0; i++) {
        struct bytes_reader reader;
        wire_progress(wire, NULL);
        while (wire_receive(wire, &rank, &in, NULL) == 1) {
            bytes_reader_init(&reader, in.data, in.size);
            while (message_decode(&reader, &m, NULL) == 1) {
                left -= m.type == MESSAGE_BYE;
                message_fini(&m);
            }
        }
        nanosleep(&nap, NULL);
    }
    bytes_fini(&frame);
    bytes_fini(&in);
}
