/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "driver.h"

#include <string.h>

#include "util.h"

static const struct driver_ops *const drivers[] = {
	&driver_qemu_ops,
	&driver_fake_ops,
#ifdef HAVE_XENLIGHT
	&driver_xen_ops,
#endif
};

const struct driver_ops *driver_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(drivers); i++)
		if (strcmp(drivers[i]->name, name) == 0)
			return drivers[i];
	return NULL;
}

int driver_mapped_settled(struct driver *d, char *err, size_t err_bytes)
{
	(void)d;
	(void)err;
	(void)err_bytes;
	return 1;
}

void driver_mapped_committed(struct driver *d, struct page_bitmap *changed,
			     const void *device_state, size_t bytes)
{
	(void)d;
	(void)changed;
	(void)device_state;
	(void)bytes;
}
