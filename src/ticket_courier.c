/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ticket_courier.c - see ticket_courier.h. */
#include "ticket_courier.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "util.h"

struct ticket_courier {
	struct ticket_proposer *proposer;
	struct witness_client *client;
	const struct ticket_courier_events *events;
	void *ctx;
	struct sent *sent;
};

/* One message on its way. */
struct sent {
	struct ticket_courier *courier;
	uint64_t id;
	struct sent *next, **back;
};

static struct sent *sent_new(struct ticket_courier *c, uint64_t id)
{
	struct sent *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return NULL;
	s->courier = c;
	s->id = id;
	s->next = c->sent;
	s->back = &c->sent;
	if (s->next != NULL)
		s->next->back = &s->next;
	c->sent = s;
	return s;
}

static void sent_free(struct sent *s)
{
	*s->back = s->next;
	if (s->next != NULL)
		s->next->back = s->back;
	free(s);
}

static void hand_in(struct ticket_courier *c, unsigned int witness, uint64_t id,
		    const struct ticket_answer *answer, const char *why)
{
	ticket_proposer_answer(c->proposer, witness, id, answer, now_boot_ms());
	if (c->events->heard != NULL)
		c->events->heard(c->ctx, witness, answer, why);
}

static void on_answer(void *ctx, unsigned int witness, int rc,
		      const json_t *body, const char *why)
{
	struct sent *s = ctx;
	struct ticket_courier *c = s->courier;
	uint64_t id = s->id;
	struct ticket_answer answer;
	char err[TICKET_WHY_MAX];

	sent_free(s);
	if (rc == 0) {
		rc = ticket_answer_from_json(&answer, body, err, sizeof(err));
		why = err;
	}
	hand_in(c, witness, id, rc == 0 ? &answer : NULL, why);
	c->events->answered(c->ctx);
}

static void send_one(struct ticket_courier *c, const struct ticket_send *send)
{
	json_t *body = ticket_message_to_json(&send->message);
	struct sent *s = sent_new(c, send->id);
	int rc = -ENOMEM;

	if (s != NULL && body != NULL)
		rc = witness_client_post(c->client, send->to, "/v1/ticket",
					 body, on_answer, s);
	json_decref(body);
	if (rc == 0)
		return;
	if (s != NULL)
		sent_free(s);
	hand_in(c, send->to, send->id, NULL, strerror(-rc));
}

bool ticket_courier_send(struct ticket_courier *c)
{
	struct ticket_send send;
	bool any = false;

	while (ticket_proposer_next_send(c->proposer, &send)) {
		send_one(c, &send);
		any = true;
	}
	return any;
}

struct ticket_proposer *ticket_courier_proposer(const struct ticket_courier *c)
{
	return c->proposer;
}

static int draw(struct ticket_proposer_config *c)
{
	uint64_t random[2] = { 0, 0 };

	while (random[0] == 0) {
		if (getrandom(random, sizeof(random), 0) < 0 && errno != EINTR)
			return -errno;
	}
	c->proposer = random[0];
	c->seed = random[1];
	return 0;
}

int ticket_courier_new(struct ticket_courier **out,
		       const struct ticket_proposer_config *config,
		       struct witness_client *client,
		       const struct ticket_courier_events *events, void *ctx,
		       char *err, size_t err_bytes)
{
	struct ticket_proposer_config pc = *config;
	struct ticket_courier *c;
	int rc = draw(&pc);

	*out = NULL;
	if (rc < 0)
		return set_err(err, err_bytes, rc, "getrandom: %s",
			       strerror(-rc));
	c = calloc(1, sizeof(*c));
	if (c != NULL)
		c->proposer = ticket_proposer_new(&pc);
	if (c == NULL || c->proposer == NULL) {
		free(c);
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	}
	c->client = client;
	c->events = events;
	c->ctx = ctx;
	*out = c;
	return 0;
}

void ticket_courier_free(struct ticket_courier *c)
{
	if (c == NULL)
		return;
	while (c->sent != NULL)
		sent_free(c->sent);
	ticket_proposer_free(c->proposer);
	free(c);
}
