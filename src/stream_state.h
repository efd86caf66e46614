/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * stream_state.h - what a stream has beside pages, as its difference from the
 * epoch before; the frame 'S' of remus-stream(5).
 *
 * A checkpoint of a guest is its pages and, record for record as in the one
 * before, the state of its processors and devices.  Of that little changes, and
 * of an idle guest it is most of a checkpoint.  So it goes through page records
 * as pages do: in blocks of REMUS_PAGE_SIZE, against what was at the same place
 * behind the pages of the last epoch.
 *
 * Packer and unpacker tell it all such bytes, in order, where pages are, and each
 * checkpoint.
 */
#ifndef REMUS_STREAM_STATE_H
#define REMUS_STREAM_STATE_H

#include <stddef.h>
#include <stdint.h>

#include "page_pack.h"

/* So many bytes behind the pages of an epoch are remembered. */
#define STREAM_STATE_MAX ((size_t)1 << 20)
#define STREAM_STATE_HEAD 2 /* of a body: bytes - 1 */
/* At once: what the two bytes can say. */
#define STREAM_STATE_BYTES ((size_t)64 << 10)
#define STREAM_STATE_BLOCKS (STREAM_STATE_BYTES / REMUS_PAGE_SIZE)
#define STREAM_STATE_BODY_MAX                                                  \
	(STREAM_STATE_HEAD + PAGE_COLUMNS_HEADER_MAX +                         \
	 STREAM_STATE_BLOCKS * PAGE_RECORD_MAX)
#define STREAM_STATE_SCRATCH (2 * STREAM_STATE_BODY_MAX)

struct stream_state;

struct stream_state *stream_state_new(void); /* NULL: no memory */
void stream_state_free(struct stream_state *s); /* NULL is allowed */

/* data[0..bytes) come next, as they are: no more than to remember them.  0, or
 * -ENOMEM. */
int stream_state_add(struct stream_state *s, const uint8_t *data, size_t bytes);
/* Pages come next: what was before them in this epoch is forgotten. */
void stream_state_pages(struct stream_state *s);
/* All so far was an epoch. */
void stream_state_checkpoint(struct stream_state *s);

/*
 * data[0..bytes), 1 to STREAM_STATE_BYTES, come next.  p: to pack them once more
 * (mode tight), or NULL.
 *
 *   > 0   bytes of the body, in dst[0..STREAM_STATE_BODY_MAX); what was given is
 *         remembered.  scratch[0..STREAM_STATE_SCRATCH) is for this alone.
 *   0     this would be no gain, or there is no memory; nothing happened
 */
size_t stream_state_pack(struct stream_state *s, struct page_packer *p,
			 uint8_t *dst, uint8_t *scratch, const uint8_t *data,
			 size_t bytes);

/*
 * The bytes that body[0..len), which is any bytes, makes.  They are remembered,
 * and *data is valid until the next checkpoint.
 *
 *   0          *data and *bytes
 *   -EBADMSG   it breaks a rule of remus-stream(5); s is of no more use
 *   -ENOMEM
 */
int stream_state_unpack(struct stream_state *s, struct page_unpacker *u,
			const uint8_t *body, size_t len, const uint8_t **data,
			size_t *bytes);

#endif
