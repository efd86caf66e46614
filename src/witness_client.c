/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "witness_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "util.h"

#ifdef HAVE_LIBCURL

#include "curl_loop.h"
#include "key_file.h"
#include "witness_auth.h"
#include "witness_message.h"

#define WAITING_MAX 16 /* requests to one witness */

struct post {
	struct witness_client *client;
	struct post *next;
	unsigned int witness;
	CURL *easy;
	struct curl_slist *headers;
	struct witness_auth auth;
	char *body; /* the request's */
	char answer_auth[WITNESS_AUTH_MAX];
	char *answer;
	size_t answer_bytes;
	char error[CURL_ERROR_SIZE];
	witness_done done;
	void *ctx;
};

struct witness_client {
	struct curl_loop *curl;
	char self[VM_NAME_MAX + 1];
	struct witness_address witness[WITNESSES_MAX];
	unsigned int witnesses, waiting[WITNESSES_MAX];
	char *ca_file;
	uint32_t timeout_ms;
	struct witness_key key;
	struct post *posts;
};

/* ---- one request ---- */

static void post_free(struct post *p)
{
	struct post **at = &p->client->posts;

	while (*at != NULL && *at != p)
		at = &(*at)->next;
	if (*at != NULL) {
		*at = p->next;
		p->client->waiting[p->witness]--;
	}
	if (p->easy != NULL) {
		curl_loop_remove(p->client->curl, p->easy);
		curl_easy_cleanup(p->easy);
	}
	curl_slist_free_all(p->headers);
	free(p->body);
	free(p->answer);
	free(p);
}

static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
	static const char name[] = WITNESS_AUTH_HEADER ":";
	size_t len = size * n, skip = sizeof(name) - 1;
	struct post *p = ctx;

	if (len <= skip || strncasecmp(data, name, skip) != 0)
		return len;
	while (skip < len && data[skip] == ' ')
		skip++;
	while (len > skip && (data[len - 1] == '\r' || data[len - 1] == '\n'))
		len--;
	if (len - skip < sizeof(p->answer_auth)) {
		memcpy(p->answer_auth, data + skip, len - skip);
		p->answer_auth[len - skip] = '\0';
	}
	return size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct post *p = ctx;
	size_t len = size * n;
	char *more;

	if (len > WITNESS_ANSWER_MAX - p->answer_bytes)
		return 0; /* curl: CURLE_WRITE_ERROR */
	more = realloc(p->answer, p->answer_bytes + len + 1);
	if (more == NULL)
		return 0;
	p->answer = more;
	memcpy(more + p->answer_bytes, data, len);
	p->answer_bytes += len;
	return len;
}

static int add_header(struct post *p, const char *text)
{
	struct curl_slist *l = curl_slist_append(p->headers, text);

	if (l == NULL)
		return -ENOMEM;
	p->headers = l;
	return 0;
}

static int sign(struct post *p, const char *path)
{
	char value[WITNESS_AUTH_MAX], line[WITNESS_AUTH_MAX + 32];
	struct witness_client *c = p->client;
	int rc;

	rc = witness_auth_new(&p->auth, c->self, c->witness[p->witness].name);
	if (rc == 0)
		rc = witness_auth_sign(&p->auth, &c->key, "POST", path,
				       p->body, strlen(p->body));
	if (rc < 0)
		return rc;
	witness_auth_to_header(&p->auth, value);
	snprintf(line, sizeof(line), WITNESS_AUTH_HEADER ": %s", value);
	rc = add_header(p, line);
	if (rc == 0)
		rc = add_header(p, "Content-Type: application/json");
	if (rc == 0)
		rc = add_header(p, "Expect:"); /* no round trip to ask */
	return rc;
}

/* No proxy, no redirection, no file: the witness or nobody. */
static int set_options(struct post *p, const char *path)
{
	struct witness_client *c = p->client;
	char url[512];
	CURLcode r = CURLE_OK;
	CURL *e = p->easy;

	snprintf(url, sizeof(url), "%s%s", c->witness[p->witness].url, path);
	r |= curl_easy_setopt(e, CURLOPT_URL, url);
	r |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	r |= curl_easy_setopt(e, CURLOPT_PROXY, "");
	r |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
			      (long)CURL_HTTP_VERSION_1_1);
	r |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	r |= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)c->timeout_ms);
	r |= curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
	if (c->ca_file != NULL)
		r |= curl_easy_setopt(e, CURLOPT_CAINFO, c->ca_file);
	r |= curl_easy_setopt(e, CURLOPT_POSTFIELDS, p->body);
	r |= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE,
			      (long)strlen(p->body));
	r |= curl_easy_setopt(e, CURLOPT_HTTPHEADER, p->headers);
	r |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	r |= curl_easy_setopt(e, CURLOPT_HEADERDATA, p);
	r |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	r |= curl_easy_setopt(e, CURLOPT_WRITEDATA, p);
	r |= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, p->error);
	r |= curl_easy_setopt(e, CURLOPT_PRIVATE, p);
	return r == CURLE_OK ? 0 : -EIO;
}

int witness_client_post(struct witness_client *c, unsigned int witness,
			const char *path, const json_t *body, witness_done done,
			void *ctx)
{
	struct post *p;
	int rc = 0;

	if (witness >= c->witnesses)
		return -EINVAL;
	if (c->waiting[witness] >= WAITING_MAX)
		return -ENOBUFS;
	p = calloc(1, sizeof(*p));
	if (p == NULL)
		return -ENOMEM;
	p->client = c;
	p->witness = witness;
	p->done = done;
	p->ctx = ctx;
	p->next = c->posts;
	c->posts = p;
	c->waiting[witness]++;
	p->body = json_dumps(body, JSON_COMPACT);
	if (p->body == NULL || strlen(p->body) > WITNESS_BODY_MAX)
		rc = p->body == NULL ? -ENOMEM : -EMSGSIZE;
	if (rc == 0)
		rc = sign(p, path);
	if (rc == 0 && (p->easy = curl_easy_init()) == NULL)
		rc = -ENOMEM;
	if (rc == 0)
		rc = set_options(p, path);
	if (rc == 0)
		rc = curl_loop_add(c->curl, p->easy);
	if (rc < 0)
		post_free(p);
	return rc;
}

/* ---- its end ---- */

static int curl_to_errno(CURLcode r)
{
	switch (r) {
	case CURLE_OPERATION_TIMEDOUT: return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT: return -ECONNREFUSED;
	case CURLE_OUT_OF_MEMORY: return -ENOMEM;
	case CURLE_WRITE_ERROR: /* longer than allowed */
	case CURLE_WEIRD_SERVER_REPLY: return -EBADMSG;
	default: return -EIO;
	}
}

static int status_to_errno(long status)
{
	switch (status) {
	case 401:
	case 403: return -EACCES;
	case 429:
	case 503: return -EBUSY;
	default: return -EIO;
	}
}

/* Anything but 200 may come unsigned: it never means more than silence. */
static int refused(const struct post *p, long status, char *why,
		   size_t why_bytes)
{
	char text[200] = "";
	json_t *o;

	o = witness_json_parse(p->answer == NULL ? "" : p->answer,
			       p->answer_bytes, NULL, 0);
	if (o == NULL || member_text(o, "error", text, sizeof(text), NULL, 0) < 0)
		snprintf(text, sizeof(text), "no reason given");
	for (char *ch = text; *ch != '\0'; ch++) { /* it goes into logs */
		if ((unsigned char)*ch < ' ' || *ch == 0x7f)
			*ch = '?';
	}
	json_decref(o);
	return set_err(why, why_bytes, status_to_errno(status),
		       "HTTP status %ld: %s", status, text);
}

static int read_answer(const struct post *p, CURLcode r, json_t **body,
		       char *why, size_t why_bytes)
{
	char text[200] = "";
	long status = 0;

	*body = NULL;
	if (r != CURLE_OK)
		return set_err(why, why_bytes, curl_to_errno(r), "%s",
			       p->error[0] != '\0' ? p->error
						   : curl_easy_strerror(r));
	curl_easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200)
		return refused(p, status, why, why_bytes);
	if (witness_auth_check_answer(&p->auth, &p->client->key, 200, p->answer,
				      p->answer_bytes, p->answer_auth) < 0)
		return set_err(why, why_bytes, -EBADMSG,
			       "the answer's signature is wrong");
	*body = witness_json_parse(p->answer == NULL ? "" : p->answer,
				   p->answer_bytes, text, sizeof(text));
	if (*body == NULL)
		return set_err(why, why_bytes, -EBADMSG, "the answer is %s",
			       text);
	return 0;
}

/* `done` may post, or free the client. */
static void on_done(void *ctx __attribute__((unused)), CURL *easy, CURLcode r)
{
	char why[TICKET_WHY_MAX] = "";
	struct post *p = NULL;
	unsigned int witness;
	witness_done done;
	json_t *body;
	void *done_ctx;
	int rc;

	curl_easy_getinfo(easy, CURLINFO_PRIVATE, &p);
	rc = read_answer(p, r, &body, why, sizeof(why));
	done = p->done;
	done_ctx = p->ctx;
	witness = p->witness;
	post_free(p);
	done(done_ctx, witness, rc, body, why);
	json_decref(body);
}

/* ---- the client ---- */

static int set_up(struct witness_client *c,
		  const struct witness_client_config *cfg, char *err,
		  size_t err_bytes)
{
	if (cfg->ca_file != NULL && (c->ca_file = strdup(cfg->ca_file)) == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	return key_file_read(cfg->key_file, c->key.bytes, &c->key.count, err,
			     err_bytes);
}

static int check_url(const char *url, char *err, size_t err_bytes)
{
	if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
		return set_err(err, err_bytes, -EINVAL,
			       "witness '%s': expected http://HOST:PORT or "
			       "https://HOST:PORT",
			       url);
	return 0;
}

int witness_client_new(struct witness_client **out,
		       const struct witness_client_config *cfg, qb_loop_t *loop,
		       char *err, size_t err_bytes)
{
	struct witness_client *c = calloc(1, sizeof(*c));
	int rc = 0;

	*out = NULL;
	if (c == NULL || (c->curl = curl_loop_new(loop, on_done, c)) == NULL) {
		free(c);
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	}
	c->timeout_ms = cfg->timeout_ms;
	c->witnesses = cfg->witnesses;
	snprintf(c->self, sizeof(c->self), "%s", cfg->self);
	for (unsigned int i = 0; i < cfg->witnesses && rc == 0; i++) {
		c->witness[i] = cfg->witness[i];
		rc = check_url(cfg->witness[i].url, err, err_bytes);
	}
	if (rc == 0)
		rc = set_up(c, cfg, err, err_bytes);
	if (rc < 0)
		witness_client_free(c);
	else
		*out = c;
	return rc;
}

void witness_client_free(struct witness_client *c)
{
	if (c == NULL)
		return;
	while (c->posts != NULL)
		post_free(c->posts);
	curl_loop_free(c->curl);
	free(c->ca_file);
	explicit_bzero(c, sizeof(*c));
	free(c);
}

#else /* !HAVE_LIBCURL */

int witness_client_new(struct witness_client **out,
		       const struct witness_client_config *cfg
		       __attribute__((unused)),
		       qb_loop_t *loop __attribute__((unused)), char *err,
		       size_t err_bytes)
{
	*out = NULL;
	return set_err(err, err_bytes, -ENOSYS,
		       "built without libcurl: no witnesses");
}

void witness_client_free(struct witness_client *c __attribute__((unused)))
{
}

int witness_client_post(struct witness_client *c __attribute__((unused)),
			unsigned int witness __attribute__((unused)),
			const char *path __attribute__((unused)),
			const json_t *body __attribute__((unused)),
			witness_done done __attribute__((unused)),
			void *ctx __attribute__((unused)))
{
	return -ENOSYS;
}

#endif
