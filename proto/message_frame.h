/* SPDX-License-Identifier: Apache-2.0 */
/* Constants of the frame that message.c and message_decode.c share. Private to proto/. */
#ifndef ARCHWAY_PROTO_MESSAGE_FRAME_H
#define ARCHWAY_PROTO_MESSAGE_FRAME_H

enum {
    MESSAGE_MAGIC = 0x314d5741, /* "AWM1" */
    MESSAGE_EPOCH_SIZE = 24,    /* six float32 of a struct trial_epoch */
    MESSAGE_SLOT_SIZE = 12,     /* the least a struct message_slot takes */
    MESSAGE_MAX_PATH = 4096
};

#endif
