/* SPDX-License-Identifier: GPL-2.0-or-later */
/* gate.c - the gates of this build, by name. */
#include "gate.h"

#include <string.h>

#include "util.h"

static const struct gate_ops *const gates[] = {
	&gate_relay_ops,
#ifdef HAVE_LIBNL_ROUTE
	&gate_plug_ops,
#endif
	&gate_fake_ops,
};

const struct gate_ops *gate_find(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_LEN(gates); i++)
		if (strcmp(gates[i]->name, name) == 0)
			return gates[i];
	return NULL;
}

const char *gate_state_to_str(enum gate_state s)
{
	switch (s) {
	case GATE_CLOSED:
		return "closed";
	case GATE_HOLDING:
		return "holding";
	case GATE_OPEN:
		return "open";
	}
	return "?";
}
