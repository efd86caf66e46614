/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * wire.c - see wire.h and remus-protocol(7).
 *
 * Every payload goes through a cursor that knows its end.  A getter that runs
 * past it, or a check that fails, marks the cursor bad and yields 0 from then
 * on; done() looks once, at the end, and also refuses bytes left over.
 */
#include "wire.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define HELLO_FIXED_BYTES 80
#define REFUSE_FIXED_BYTES 16

#define PAGE_BYTES_MIN 4096u
#define PAGE_BYTES_MAX 2097152u
#define NPAGES_MAX ((uint64_t)1 << 40)

/* Name and bounds of the payload of each type. */
static const struct {
	const char *name;
	uint32_t min, max;
} types[] = {
	[WIRE_HELLO] = { "HELLO", HELLO_FIXED_BYTES + 2 * 2,
			 HELLO_FIXED_BYTES + 2 * (1 + WIRE_NAME_MAX) },
	[WIRE_REFUSE] = { "REFUSE", REFUSE_FIXED_BYTES,
			  REFUSE_FIXED_BYTES + WIRE_TEXT_MAX },
	[WIRE_BEGIN] = { "BEGIN", 32, 32 },
	[WIRE_PAGES] = { "PAGES", 1, WIRE_PAYLOAD_MAX },
	[WIRE_DEVICE] = { "DEVICE", 1, WIRE_PAYLOAD_MAX },
	[WIRE_END] = { "END", 40, 40 },
	[WIRE_ACK] = { "ACK", 16, 16 },
	[WIRE_TICKET] = { "TICKET", 16, 16 },
	[WIRE_TICKET_ACK] = { "TICKET_ACK", 16, 16 },
	[WIRE_HANDOVER] = { "HANDOVER", 16, 16 },
	[WIRE_HANDOVER_ACK] = { "HANDOVER_ACK", 16, 16 },
	[WIRE_HEARTBEAT] = { "HEARTBEAT", 16, 16 },
	[WIRE_PROGRESS] = { "PROGRESS", 8, 8 },
	[WIRE_OUTPUT] = { "OUTPUT",
			  WIRE_OUTPUT_FRAME_BYTES + WIRE_OUTPUT_FRAME_MIN,
			  WIRE_PAYLOAD_MAX },
};

static bool type_is_known(unsigned int type)
{
	return type < sizeof(types) / sizeof(types[0]) &&
	       types[type].name != NULL;
}

const char *wire_type_to_str(unsigned int type)
{
	return type_is_known(type) ? types[type].name : "?";
}

const char *wire_refusal_to_str(unsigned int code)
{
	static const char *const names[] = {
		[WIRE_REFUSE_VERSION] = "version",
		[WIRE_REFUSE_VM] = "vm",
		[WIRE_REFUSE_GEOMETRY] = "geometry",
		[WIRE_REFUSE_ROLE] = "role",
		[WIRE_REFUSE_SUPERSEDED] = "superseded",
		[WIRE_REFUSE_STALE] = "stale",
		[WIRE_REFUSE_BUSY] = "busy",
		[WIRE_REFUSE_PROTOCOL] = "protocol",
		[WIRE_REFUSE_DIGEST] = "digest",
	};

	if (code >= sizeof(names) / sizeof(names[0]) || names[code] == NULL)
		return "?";
	return names[code];
}

/* ---- the rules of fields, for both directions ---- */

static bool hello_is_valid(const struct wire_hello *m)
{
	return m->version_min >= 1 && m->version_min <= m->version_max &&
	       (m->role == WIRE_ROLE_PRIMARY || m->role == WIRE_ROLE_BACKUP) &&
	       m->ticket_state <= WIRE_TICKET_ALONE &&
	       m->page_bytes >= PAGE_BYTES_MIN &&
	       m->page_bytes <= PAGE_BYTES_MAX &&
	       (m->page_bytes & (m->page_bytes - 1)) == 0 && m->npages >= 1 &&
	       m->npages <= NPAGES_MAX;
}

static bool begin_is_valid(const struct wire_begin *m)
{
	return m->stream != 0 && m->epoch >= 1 &&
	       (m->flags & ~WIRE_BEGIN_DIRECT) == 0 &&
	       ((m->flags & WIRE_BEGIN_DIRECT) == 0 || m->base_chain == 0);
}

static bool end_is_valid(const struct wire_end *m)
{
	return m->epoch >= 1 && m->device_bytes <= WIRE_DEVICE_STATE_MAX;
}

static bool heartbeat_is_valid(const struct wire_heartbeat *m)
{
	return (m->sent_ns == 0) != (m->echo_ns == 0);
}

/* ---- writing ---- */

static uint8_t *put_uint(uint8_t *p, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		p[i] = (uint8_t)(v >> (8 * i));
	return p + bytes;
}

static uint8_t *put_u8(uint8_t *p, unsigned int v)
{
	return put_uint(p, v, 1);
}

static uint8_t *put_u16(uint8_t *p, unsigned int v)
{
	return put_uint(p, v, 2);
}

static uint8_t *put_u32(uint8_t *p, uint32_t v)
{
	return put_uint(p, v, 4);
}

static uint8_t *put_u64(uint8_t *p, uint64_t v)
{
	return put_uint(p, v, 8);
}

static bool is_name_byte(uint8_t c)
{
	return c > 0x20 && c < 0x7f;
}

static bool is_text_byte(uint8_t c)
{
	return c >= 0x20 && c < 0x7f;
}

static uint8_t *put_name(uint8_t *p, const char name[WIRE_NAME_MAX + 1])
{
	size_t len = strnlen(name, WIRE_NAME_MAX + 1);

	assert(len >= 1 && len <= WIRE_NAME_MAX);
	p = put_u8(p, (unsigned int)len);
	for (size_t i = 0; i < len; i++) {
		assert(is_name_byte((uint8_t)name[i]));
		p[i] = (uint8_t)name[i];
	}
	return p + len;
}

/* The header, once the payload behind it is written. */
static size_t finish(uint8_t *buf, unsigned int type, const uint8_t *end)
{
	size_t payload = (size_t)(end - buf) - WIRE_HEADER_BYTES;

	return wire_put_header(buf, type, payload) + payload;
}

size_t wire_put_header(uint8_t buf[WIRE_HEADER_BYTES], unsigned int type,
		       size_t payload_bytes)
{
	uint8_t *p = buf;

	assert(type_is_known(type));
	assert(payload_bytes >= types[type].min &&
	       payload_bytes <= types[type].max);
	p = put_u32(p, (uint32_t)payload_bytes);
	p = put_u8(p, type);
	p = put_u8(p, 0);
	put_u16(p, 0);
	return WIRE_HEADER_BYTES;
}

size_t wire_put_hello(uint8_t *buf, const struct wire_hello *m)
{
	uint8_t *p = buf + WIRE_HEADER_BYTES;

	assert(hello_is_valid(m));
	p = put_u16(p, m->version_min);
	p = put_u16(p, m->version_max);
	p = put_u32(p, m->capabilities);
	p = put_u8(p, m->role);
	p = put_u8(p, m->ticket_state);
	p = put_u16(p, 0);
	p = put_u32(p, m->page_bytes);
	p = put_u64(p, m->npages);
	memcpy(p, m->fingerprint, sizeof(m->fingerprint));
	p += sizeof(m->fingerprint);
	p = put_u64(p, m->generation);
	p = put_u64(p, m->have_stream);
	p = put_u64(p, m->have_epoch);
	p = put_u64(p, m->have_chain);
	p = put_u64(p, m->stream);
	p = put_name(p, m->vm);
	p = put_name(p, m->node);
	return finish(buf, WIRE_HELLO, p);
}

size_t wire_put_refuse(uint8_t *buf, const struct wire_refuse *m)
{
	uint8_t *p = buf + WIRE_HEADER_BYTES;
	size_t len = strnlen(m->text, WIRE_TEXT_MAX + 1);

	assert(m->code >= 1 && len <= WIRE_TEXT_MAX);
	p = put_u16(p, m->code);
	p = put_u16(p, (unsigned int)len);
	p = put_u32(p, 0);
	p = put_u64(p, m->generation);
	for (size_t i = 0; i < len; i++) {
		uint8_t c = (uint8_t)m->text[i];

		p = put_u8(p, is_text_byte(c) ? c : '?');
	}
	return finish(buf, WIRE_REFUSE, p);
}

size_t wire_put_begin(uint8_t *buf, const struct wire_begin *m)
{
	uint8_t *p = buf + WIRE_HEADER_BYTES;

	assert(begin_is_valid(m));
	p = put_u64(p, m->stream);
	p = put_u64(p, m->epoch);
	p = put_u32(p, m->flags);
	p = put_u32(p, 0);
	p = put_u64(p, m->base_chain);
	return finish(buf, WIRE_BEGIN, p);
}

size_t wire_put_end(uint8_t *buf, const struct wire_end *m)
{
	uint8_t *p = buf + WIRE_HEADER_BYTES;

	assert(end_is_valid(m));
	p = put_u64(p, m->epoch);
	p = put_u64(p, m->page_records);
	p = put_u64(p, m->device_bytes);
	p = put_u64(p, m->digest);
	p = put_u64(p, m->chain);
	return finish(buf, WIRE_END, p);
}

size_t wire_put_ack(uint8_t *buf, const struct wire_ack *m)
{
	uint8_t *p = buf + WIRE_HEADER_BYTES;

	assert(m->epoch >= 1);
	p = put_u64(p, m->epoch);
	p = put_u64(p, m->chain);
	return finish(buf, WIRE_ACK, p);
}

size_t wire_put_ticket(uint8_t *buf, unsigned int type,
		       const struct wire_ticket *m)
{
	uint8_t *p = buf + WIRE_HEADER_BYTES;

	assert(type == WIRE_TICKET || type == WIRE_TICKET_ACK);
	assert(m->state <= WIRE_TICKET_ALONE);
	p = put_u64(p, m->generation);
	p = put_u8(p, m->state);
	memset(p, 0, 7);
	return finish(buf, type, p + 7);
}

size_t wire_put_handover(uint8_t *buf, unsigned int type,
			 const struct wire_handover *m)
{
	uint8_t *p = buf + WIRE_HEADER_BYTES;

	assert(type == WIRE_HANDOVER || type == WIRE_HANDOVER_ACK);
	assert(m->epoch >= 1);
	p = put_u64(p, m->generation);
	p = put_u64(p, m->epoch);
	return finish(buf, type, p);
}

size_t wire_put_heartbeat(uint8_t *buf, const struct wire_heartbeat *m)
{
	uint8_t *p = buf + WIRE_HEADER_BYTES;

	assert(heartbeat_is_valid(m));
	p = put_u64(p, m->sent_ns);
	p = put_u64(p, m->echo_ns);
	return finish(buf, WIRE_HEARTBEAT, p);
}

size_t wire_put_progress(uint8_t *buf, const struct wire_progress *m)
{
	uint8_t *p = put_u64(buf + WIRE_HEADER_BYTES, m->page_records);

	return finish(buf, WIRE_PROGRESS, p);
}

size_t wire_put_output_frame(uint8_t *buf, const void *frame, size_t len)
{
	assert(len >= WIRE_OUTPUT_FRAME_MIN && len <= WIRE_OUTPUT_FRAME_MAX);
	memcpy(put_u16(buf, (unsigned int)len), frame, len);
	return WIRE_OUTPUT_FRAME_BYTES + len;
}

/* ---- reading ---- */

struct cursor {
	const uint8_t *p;
	size_t left;
	bool bad;
};

/* The next `bytes` bytes, or NULL. */
static const uint8_t *take(struct cursor *c, size_t bytes)
{
	const uint8_t *p = c->p;

	if (c->bad || bytes > c->left) {
		c->bad = true;
		return NULL;
	}
	c->p += bytes;
	c->left -= bytes;
	return p;
}

static uint64_t get_uint(struct cursor *c, size_t bytes)
{
	const uint8_t *p = take(c, bytes);
	uint64_t v = 0;

	for (size_t i = 0; p != NULL && i < bytes; i++)
		v |= (uint64_t)p[i] << (8 * i);
	return v;
}

static uint8_t get_u8(struct cursor *c)
{
	return (uint8_t)get_uint(c, 1);
}

static uint16_t get_u16(struct cursor *c)
{
	return (uint16_t)get_uint(c, 2);
}

static uint32_t get_u32(struct cursor *c)
{
	return (uint32_t)get_uint(c, 4);
}

static uint64_t get_u64(struct cursor *c)
{
	return get_uint(c, 8);
}

static void get_zeros(struct cursor *c, size_t bytes)
{
	if (get_uint(c, bytes) != 0)
		c->bad = true;
}

/* `len` bytes, all of which `allowed` takes, as a string. */
static void get_string(struct cursor *c, size_t len, size_t min, size_t max,
		       bool (*allowed)(uint8_t), char *out)
{
	const uint8_t *p;

	out[0] = '\0';
	if (len < min || len > max)
		c->bad = true;
	p = take(c, len);
	if (p == NULL)
		return;
	for (size_t i = 0; i < len; i++) {
		if (!allowed(p[i]))
			c->bad = true;
		out[i] = (char)p[i];
	}
	out[len] = '\0';
}

static void get_name(struct cursor *c, char out[WIRE_NAME_MAX + 1])
{
	get_string(c, get_u8(c), 1, WIRE_NAME_MAX, is_name_byte, out);
}

static int done(const struct cursor *c, bool valid)
{
	return c->bad || c->left != 0 || !valid ? -EBADMSG : 0;
}

int wire_get_header(const uint8_t *buf, struct wire_header *out)
{
	struct cursor c = { buf, WIRE_HEADER_BYTES, false };

	out->payload_bytes = get_u32(&c);
	out->type = get_u8(&c);
	get_zeros(&c, 3);
	return done(&c, type_is_known(out->type) &&
				out->payload_bytes >= types[out->type].min &&
				out->payload_bytes <= types[out->type].max);
}

int wire_get_hello(const uint8_t *buf, size_t len, struct wire_hello *out)
{
	struct cursor c = { buf, len, false };
	const uint8_t *fingerprint;

	out->version_min = get_u16(&c);
	out->version_max = get_u16(&c);
	out->capabilities = get_u32(&c);
	out->role = get_u8(&c);
	out->ticket_state = get_u8(&c);
	get_zeros(&c, 2);
	out->page_bytes = get_u32(&c);
	out->npages = get_u64(&c);
	fingerprint = take(&c, sizeof(out->fingerprint));
	if (fingerprint != NULL)
		memcpy(out->fingerprint, fingerprint, sizeof(out->fingerprint));
	out->generation = get_u64(&c);
	out->have_stream = get_u64(&c);
	out->have_epoch = get_u64(&c);
	out->have_chain = get_u64(&c);
	out->stream = get_u64(&c);
	get_name(&c, out->vm);
	get_name(&c, out->node);
	return done(&c, hello_is_valid(out));
}

int wire_get_refuse(const uint8_t *buf, size_t len, struct wire_refuse *out)
{
	struct cursor c = { buf, len, false };
	size_t text_bytes;

	out->code = get_u16(&c);
	text_bytes = get_u16(&c);
	get_zeros(&c, 4);
	out->generation = get_u64(&c);
	get_string(&c, text_bytes, 0, WIRE_TEXT_MAX, is_text_byte, out->text);
	return done(&c, out->code >= 1);
}

int wire_get_begin(const uint8_t *buf, size_t len, struct wire_begin *out)
{
	struct cursor c = { buf, len, false };

	out->stream = get_u64(&c);
	out->epoch = get_u64(&c);
	out->flags = get_u32(&c);
	get_zeros(&c, 4);
	out->base_chain = get_u64(&c);
	return done(&c, begin_is_valid(out));
}

int wire_get_end(const uint8_t *buf, size_t len, struct wire_end *out)
{
	struct cursor c = { buf, len, false };

	out->epoch = get_u64(&c);
	out->page_records = get_u64(&c);
	out->device_bytes = get_u64(&c);
	out->digest = get_u64(&c);
	out->chain = get_u64(&c);
	return done(&c, end_is_valid(out));
}

int wire_get_ack(const uint8_t *buf, size_t len, struct wire_ack *out)
{
	struct cursor c = { buf, len, false };

	out->epoch = get_u64(&c);
	out->chain = get_u64(&c);
	return done(&c, out->epoch >= 1);
}

int wire_get_ticket(const uint8_t *buf, size_t len, struct wire_ticket *out)
{
	struct cursor c = { buf, len, false };

	out->generation = get_u64(&c);
	out->state = get_u8(&c);
	get_zeros(&c, 7);
	return done(&c, out->state <= WIRE_TICKET_ALONE);
}

int wire_get_handover(const uint8_t *buf, size_t len, struct wire_handover *out)
{
	struct cursor c = { buf, len, false };

	out->generation = get_u64(&c);
	out->epoch = get_u64(&c);
	return done(&c, out->epoch >= 1);
}

int wire_get_heartbeat(const uint8_t *buf, size_t len,
		       struct wire_heartbeat *out)
{
	struct cursor c = { buf, len, false };

	out->sent_ns = get_u64(&c);
	out->echo_ns = get_u64(&c);
	return done(&c, heartbeat_is_valid(out));
}

int wire_get_progress(const uint8_t *buf, size_t len, struct wire_progress *out)
{
	struct cursor c = { buf, len, false };

	out->page_records = get_u64(&c);
	return done(&c, true);
}

int wire_get_output_frame(const uint8_t *buf, size_t len, size_t *at,
			  const uint8_t **frame, size_t *frame_len)
{
	struct cursor c = { buf + *at, len - *at, false };
	size_t n;

	if (*at == len)
		return 0;
	n = get_u16(&c);
	if (c.bad || n < WIRE_OUTPUT_FRAME_MIN || n > WIRE_OUTPUT_FRAME_MAX ||
	    n > c.left)
		return -EBADMSG;
	*frame = c.p;
	*frame_len = n;
	*at += WIRE_OUTPUT_FRAME_BYTES + n;
	return 1;
}
