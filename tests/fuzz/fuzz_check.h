/* SPDX-License-Identifier: GPL-2.0-or-later */
/* fuzz_check.h - what must be so whatever the bytes are. */
#ifndef REMUS_FUZZ_CHECK_H
#define REMUS_FUZZ_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define CHECK(x)                                                              \
	do {                                                                  \
		if (!(x))                                                     \
			abort();                                              \
	} while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
