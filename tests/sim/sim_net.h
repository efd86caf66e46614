/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sim_net.h - shared by sim_net.c (the way of a packet) and sim_conn.c (calls
 * of conn.h). */
#ifndef REMUS_SIM_NET_H
#define REMUS_SIM_NET_H

#include "conn.h"
#include "sim.h"

struct packet {
	struct packet *next;
	uint64_t arrives;
	size_t bytes; /* 0: the end of the connection */
	int rc;
	uint8_t data[];
};

struct fifo {
	struct packet *head, **tail;
};

enum end_state { END_NEW = 0, END_UP, END_CLOSED };

struct conn {
	struct link *link;
	struct conn *peer;
	struct node *node;
	unsigned int life;
	enum end_state state;
	struct conn_params p;
	struct fifo queue;  /* in our memory and the kernel's */
	struct fifo flying; /* from us, not arrived yet */
	size_t queued;
	bool sending, landing; /* an event is under way for it */
	bool wants_room, farewell;
	uint64_t heard_at, awake_at, last_arrival;
	uint8_t *reserved;
	size_t reserved_bytes;
};

/* Kept until the schedule ends, so that a call on a closed conn is found. */
struct link {
	struct link *next;
	struct conn end[2]; /* client, server */
	bool begun;
};

struct conn_listener {
	struct node *node;
	struct conn_params p;
};

void fifo_init(struct fifo *f);
void fifo_put(struct fifo *f, struct packet *p);
struct packet *fifo_take(struct fifo *f);
struct packet *packet_new(const void *data, size_t bytes, int rc);

/* Let go what may go now. */
void pump_queue(struct conn *c);
/* room(), if it is wanted and there is some. */
void offer_room(struct conn *c);

#endif
