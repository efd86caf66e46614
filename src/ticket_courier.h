/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_courier.h - carries what a ticket_proposer says to the witnesses, and
 * what they answer back to it.  Used by arbiter_witness and fence_clientprobe.
 *
 * The proposer stays the caller's to start, to tick and to ask for its outcome;
 * after each of these, and when answered() comes, the caller has what is due
 * sent by ticket_courier_send().
 */
#ifndef REMUS_TICKET_COURIER_H
#define REMUS_TICKET_COURIER_H

#include "ticket_proposer.h"
#include "witness_client.h"

struct ticket_courier;

struct ticket_courier_events {
	/* What a witness said; NULL and `why`: it could not be asked, or it
	 * answered nonsense.  The proposer knows it already.  May come from
	 * within ticket_courier_send().  NULL: nobody wants to know. */
	void (*heard)(void *ctx, unsigned int witness,
		      const struct ticket_answer *answer, const char *why);
	/* After heard(), from the loop: the proposer has moved on. */
	void (*answered)(void *ctx);
};

/* Makes the proposer of `c` too, whose `proposer` and `seed` are drawn here.
 * `client` and `events` outlive the courier.  0, or -errno with a line. */
int ticket_courier_new(struct ticket_courier **out,
		       const struct ticket_proposer_config *c,
		       struct witness_client *client,
		       const struct ticket_courier_events *events, void *ctx,
		       char *err, size_t err_bytes);
/* To be freed after the client, which still has its messages. */
void ticket_courier_free(struct ticket_courier *c);

struct ticket_proposer *ticket_courier_proposer(const struct ticket_courier *c);

/* Send whatever the proposer has to be sent.  True when it had anything. */
bool ticket_courier_send(struct ticket_courier *c);

#endif
