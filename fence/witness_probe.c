/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <config.h>

#include "witness_probe.h"

#include <errno.h>
#include <qb/qbdefs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "util.h"
#include "witness_probe_priv.h"

static void begin(void *data);

static void set_timer(struct probe *p, uint64_t ms, void (*fn)(void *data))
{
	if (p->timer_armed)
		qb_loop_timer_del(p->prober->loop, p->timer);
	p->timer_armed = qb_loop_timer_add(p->prober->loop, QB_LOOP_MED,
					   ms * QB_TIME_NS_IN_MSEC, p, fn,
					   &p->timer) == 0;
}

void probe_finish(struct probe *p, bool up, const char *why)
{
	uint64_t now = now_boot_ms(), next = p->asked_ms +
					p->prober->c->probe_interval_ms;

	if (!p->busy)
		return;
	p->busy = false;
	probe_ops[p->c->kind].end(p);
	evidence_probed(p->evidence, p->index, up, p->asked_ms, now, why);
	set_timer(p, next > now ? next - now : 0, begin);
}

static void on_timeout(void *data)
{
	struct probe *p = data;

	p->timer_armed = false;
	probe_finish(p, false, "no answer in time");
}

static void begin(void *data)
{
	struct probe *p = data;
	int rc;

	p->timer_armed = false;
	p->busy = true;
	p->asked_ms = now_boot_ms();
	rc = probe_ops[p->c->kind].begin(p);
	if (rc < 0)
		probe_finish(p, false, strerror(-rc));
	else if (p->busy)
		set_timer(p, p->prober->c->probe_timeout_ms, on_timeout);
}

static void add_probes(struct prober *pr, struct witness *w)
{
	for (unsigned int i = 0; i < pr->c->vms; i++) {
		const struct witness_vm *vm = &pr->c->vm[i];

		for (unsigned int j = 0; j < vm->probes; j++) {
			struct probe *p = &pr->probe[pr->probes++];

			p->prober = pr;
			p->c = &vm->probe[j];
			p->evidence = witness_evidence(w, i);
			p->index = j;
			p->fd = -1;
			set_timer(p, 0, begin);
		}
	}
}

int prober_new(struct prober **out, const struct witness_config *c,
	       struct witness *w, qb_loop_t *loop, char *err, size_t err_bytes)
{
	struct prober *pr = calloc(1, sizeof(*pr));

	*out = NULL;
	if (pr == NULL)
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	pr->c = c;
	pr->loop = loop;
	pr->probe = calloc((size_t)c->vms * EVIDENCE_PROBES_MAX + 1,
			   sizeof(*pr->probe));
#ifdef HAVE_LIBCURL
	pr->curl = curl_loop_new(loop, probe_http_done, pr);
	if (pr->curl == NULL) {
		prober_free(pr);
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	}
#endif
	if (pr->probe == NULL) {
		prober_free(pr);
		return set_err(err, err_bytes, -ENOMEM, "out of memory");
	}
	add_probes(pr, w);
	*out = pr;
	return 0;
}

void prober_free(struct prober *pr)
{
	if (pr == NULL)
		return;
	for (unsigned int i = 0; i < pr->probes; i++) {
		struct probe *p = &pr->probe[i];

		if (p->busy)
			probe_ops[p->c->kind].end(p);
		if (p->fd >= 0) { /* a command that was killed */
			qb_loop_poll_del(pr->loop, p->fd);
			close(p->fd);
		}
		if (p->timer_armed)
			qb_loop_timer_del(pr->loop, p->timer);
	}
#ifdef HAVE_LIBCURL
	curl_loop_free(pr->curl);
#endif
	free(pr->probe);
	free(pr);
}
