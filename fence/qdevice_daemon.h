/* SPDX-License-Identifier: GPL-2.0-or-later */
/* qdevice_daemon.h - what the files of remus-qdevice share. */
#ifndef REMUS_QDEVICE_DAEMON_H
#define REMUS_QDEVICE_DAEMON_H

#include <qb/qbloop.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipc.h"
#include "loop.h"
#include "qdevice_cluster.h"
#include "qdevice_config.h"
#include "qdevice_core.h"
#include "util.h"
#include "witness_client.h"

struct asked; /* one question on its way */

struct daemon {
	qb_loop_t *loop;
	struct qdevice_cluster *cluster;
	struct qdevice_config cfg;
	struct qdevice_core core;
	struct witness_client *client;
	struct ipc_server *ipc;
	struct asked *asked;
	struct loop_soon reload;
	qb_loop_timer_handle timer;
	bool timer_armed;
	bool said, said_cast; /* what the log knows of the vote */
	int exit_code;
};

/* Do what the core wants by now, and come back when it wants more. */
void qdevice_pump(struct daemon *d);

/* Carry out QDEVICE_ASK; the core gets an answer in any case, perhaps at
 * once. */
void qdevice_ask(struct daemon *d, const struct qdevice_action *a);
/* The client was freed, and its questions with it. */
void qdevice_ask_forget(struct daemon *d);

#endif
