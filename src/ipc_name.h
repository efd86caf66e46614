/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ipc_name.h - what both sides of ipc.h must agree on. */
#ifndef REMUS_IPC_NAME_H
#define REMUS_IPC_NAME_H

#include <qb/qbipc_common.h>
#include <stdio.h>

#include "ipc.h"

#define IPC_NAME_BYTES 128
#define IPC_BUFFER_BYTES \
	(IPC_REPLY_MAX + sizeof(struct qb_ipc_response_header))

static inline void ipc_service_name(char name[IPC_NAME_BYTES], const char *vm)
{
	snprintf(name, IPC_NAME_BYTES, "remus-%.100s", vm);
}

#endif
