/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "handshake.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "ticket.h"

static enum handshake_verdict refuse_with(struct wire_refuse *r,
					  enum handshake_verdict v,
					  const struct wire_hello *local,
					  unsigned int code, const char *fmt,
					  ...)
	__attribute__((format(printf, 5, 6)));

static enum handshake_verdict refuse_with(struct wire_refuse *r,
					  enum handshake_verdict v,
					  const struct wire_hello *local,
					  unsigned int code, const char *fmt,
					  ...)
{
	va_list ap;

	memset(r, 0, sizeof(*r));
	r->code = (uint16_t)code;
	r->generation = local->generation;
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof(r->text), fmt, ap);
	va_end(ap);
	return v;
}

_Static_assert((int)TICKET_NONE == (int)WIRE_TICKET_NONE &&
		       (int)TICKET_PROTECTED == (int)WIRE_TICKET_PROTECTED &&
		       (int)TICKET_ALONE == (int)WIRE_TICKET_ALONE,
	       "one numbering");

/* < 0: the remote ticket is older; 0; > 0: newer */
static int remote_is_newer(const struct wire_hello *local,
			   const struct wire_hello *remote)
{
	struct ticket l = { .generation = local->generation,
			    .state = (enum ticket_state)local->ticket_state };
	struct ticket r = { .generation = remote->generation,
			    .state = (enum ticket_state)remote->ticket_state };

	return ticket_cmp(&r, &l);
}

static enum handshake_verdict judge_primaries(const struct wire_hello *local,
					      const struct wire_hello *remote,
					      struct wire_refuse *r)
{
	int newer = remote_is_newer(local, remote);

	if (newer > 0)
		return refuse_with(r, HANDSHAKE_STEP_DOWN, local,
				   WIRE_REFUSE_ROLE,
				   "%s steps down: %s has a newer ticket "
				   "(generation %llu)",
				   local->node, remote->node,
				   (unsigned long long)remote->generation);
	if (newer < 0)
		return refuse_with(r, HANDSHAKE_REFUSE, local,
				   WIRE_REFUSE_SUPERSEDED,
				   "%s runs %s under a newer ticket "
				   "(generation %llu)",
				   local->node, local->vm,
				   (unsigned long long)local->generation);
	return refuse_with(r, HANDSHAKE_REFUSE, local, WIRE_REFUSE_ROLE,
			   "both %s and %s are primary of %s in generation "
			   "%llu",
			   local->node, remote->node, local->vm,
			   (unsigned long long)local->generation);
}

static enum handshake_verdict judge_roles(const struct wire_hello *local,
					  const struct wire_hello *remote,
					  struct wire_refuse *r)
{
	int newer = remote_is_newer(local, remote);

	if (local->role == WIRE_ROLE_PRIMARY &&
	    remote->role == WIRE_ROLE_PRIMARY)
		return judge_primaries(local, remote, r);
	if (local->role == remote->role)
		return refuse_with(r, HANDSHAKE_REFUSE, local,
				   WIRE_REFUSE_ROLE,
				   "%s and %s are both backup of %s",
				   local->node, remote->node, local->vm);
	if (local->role == WIRE_ROLE_BACKUP && newer < 0 &&
	    local->ticket_state == WIRE_TICKET_NONE &&
	    remote->ticket_state == WIRE_TICKET_ALONE)
		return refuse_with(r, HANDSHAKE_REFUSE, local,
				   WIRE_REFUSE_BUSY,
				   "%s ended %s in generation %llu, of which "
				   "%s does not know: boot it anew there",
				   local->node, local->vm,
				   (unsigned long long)local->generation,
				   remote->node);
	if (local->role == WIRE_ROLE_BACKUP && newer < 0)
		return refuse_with(r, HANDSHAKE_REFUSE, local,
				   WIRE_REFUSE_STALE,
				   "%s knows a newer ticket of %s (generation "
				   "%llu)",
				   local->node, local->vm,
				   (unsigned long long)local->generation);
	if (local->role == WIRE_ROLE_PRIMARY && newer > 0)
		return refuse_with(r, HANDSHAKE_STEP_DOWN, local,
				   WIRE_REFUSE_ROLE,
				   "%s steps down: %s knows a newer ticket "
				   "(generation %llu)",
				   local->node, remote->node,
				   (unsigned long long)remote->generation);
	return HANDSHAKE_OK;
}

enum handshake_verdict handshake_judge(const struct wire_hello *local,
				       const struct wire_hello *remote,
				       const char *peer_node,
				       struct wire_refuse *r)
{
	if (remote->version_min > local->version_max ||
	    remote->version_max < local->version_min)
		return refuse_with(r, HANDSHAKE_REFUSE, local,
				   WIRE_REFUSE_VERSION,
				   "%s speaks protocol %u to %u, %s %u to %u",
				   local->node, local->version_min,
				   local->version_max, remote->node,
				   remote->version_min, remote->version_max);
	if (strcmp(local->vm, remote->vm) != 0)
		return refuse_with(r, HANDSHAKE_REFUSE, local, WIRE_REFUSE_VM,
				   "%s has VM %s here, not %s", local->node,
				   local->vm, remote->vm);
	if (local->page_bytes != remote->page_bytes ||
	    local->npages != remote->npages)
		return refuse_with(r, HANDSHAKE_REFUSE, local,
				   WIRE_REFUSE_GEOMETRY,
				   "%s has %llu pages of %u bytes, %s %llu of "
				   "%u",
				   local->node,
				   (unsigned long long)local->npages,
				   local->page_bytes, remote->node,
				   (unsigned long long)remote->npages,
				   remote->page_bytes);
	if (memcmp(local->fingerprint, remote->fingerprint,
		   sizeof(local->fingerprint)) != 0)
		return refuse_with(r, HANDSHAKE_REFUSE, local,
				   WIRE_REFUSE_GEOMETRY,
				   "%s and %s differ in emulator version or "
				   "machine",
				   local->node, remote->node);
	if (strcmp(local->node, remote->node) == 0)
		return refuse_with(r, HANDSHAKE_REFUSE, local, WIRE_REFUSE_ROLE,
				   "node %s met itself", local->node);
	if (strcmp(peer_node, remote->node) != 0)
		return refuse_with(r, HANDSHAKE_REFUSE, local, WIRE_REFUSE_ROLE,
				   "the peer of %s is %s, not %s", local->node,
				   peer_node, remote->node);
	return judge_roles(local, remote, r);
}

int handshake_refusal_is_final(const struct wire_refuse *refuse,
			       const struct wire_hello *local)
{
	return (refuse->code == WIRE_REFUSE_SUPERSEDED ||
		refuse->code == WIRE_REFUSE_STALE) &&
	       refuse->generation >= local->generation;
}
