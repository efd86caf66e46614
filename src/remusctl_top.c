/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * remusctl_top.c - `remusctl top`: a status every second, on a screen or, when
 * stdout is not a terminal, a line each.
 *
 * Signal handlers set a flag; the terminal is put back on every way out.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "remusctl.h"
#include "util.h"

#define PERIOD_MS 1000
#define BAR_CELLS 40
#define ASK_MS_MAX 2000 /* one that hangs must not swallow the keys for long */

struct sample {
	uint64_t at_ns;
	long long epochs, sent;
};

struct top {
	const struct ctl *ctl;
	bool screen;	 /* stdout is a terminal */
	bool keys;	 /* stdin is one, and raw */
	struct termios saved;
	struct sample last;
};

static volatile sig_atomic_t ended;

static void on_signal(int sig)
{
	(void)sig;
	ended = 1;
}

static void enter(struct top *t)
{
	struct sigaction sa = { .sa_handler = on_signal };
	struct termios raw;

	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
	t->screen = isatty(STDOUT_FILENO) && !t->ctl->json;
	if (!t->screen)
		return;
	t->keys = tcgetattr(STDIN_FILENO, &t->saved) == 0;
	if (t->keys) {
		raw = t->saved;
		raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
		tcsetattr(STDIN_FILENO, TCSANOW, &raw);
	}
	/* the other screen, without a cursor */
	fputs("\033[?1049h\033[?25l", stdout);
}

static void leave(struct top *t)
{
	if (t->screen)
		fputs("\033[?25h\033[?1049l", stdout);
	fflush(stdout);
	if (t->keys)
		tcsetattr(STDIN_FILENO, TCSANOW, &t->saved);
}

/* Wait for the next period.  False: the user wants to go. */
static bool wait_period(const struct top *t)
{
	uint64_t end = now_mono_ns() + (uint64_t)PERIOD_MS * 1000000u, now;
	struct pollfd p = { .fd = t->keys ? STDIN_FILENO : -1,
			    .events = POLLIN };
	char key;

	while (!ended && (now = now_mono_ns()) < end) {
		int r = poll(&p, 1, (int)((end - now) / 1000000u) + 1);

		if (r <= 0 || (p.revents & (POLLIN | POLLHUP)) == 0)
			continue;
		if (read(STDIN_FILENO, &key, 1) != 1)
			p.fd = -1;
		else if (key == 'q' || key == 'Q')
			return false;
	}
	return !ended;
}

struct rates {
	double epochs, sent; /* per second */
};

static struct rates take_sample(struct top *t, const json_t *s)
{
	struct sample now = { now_mono_ns(), show_num(s, "epochs"),
			      show_num(s, "bytes_sent") };
	double dt = (double)(now.at_ns - t->last.at_ns) / 1e9;
	struct rates r = { 0, 0 };

	/* A remusd that was started anew counts from zero. */
	if (t->last.at_ns != 0 && dt > 0 && now.epochs >= t->last.epochs &&
	    now.sent >= t->last.sent) {
		r.epochs = (double)(now.epochs - t->last.epochs) / dt;
		r.sent = (double)(now.sent - t->last.sent) / dt;
	}
	t->last = now;
	return r;
}

static void draw_bar(const json_t *s)
{
	long long total = show_num(s, "sync_total_pages");
	long long done = show_num(s, "sync_done_pages");
	int cells = total > 0 && done >= 0
			    ? (int)((done > total ? total : done) * BAR_CELLS /
				    total)
			    : 0;

	fputs("  sync       [", stdout);
	for (int i = 0; i < BAR_CELLS; i++)
		putchar(i < cells ? '#' : '.');
	printf("] %lld of %lld pages\n\n", done, total);
}

static void draw_screen(struct top *t, const json_t *s)
{
	struct rates r = take_sample(t, s);
	char sent[32];

	fputs("\033[H\033[2J", stdout);
	show_status(stdout, s);
	printf("  %-10s %.1f epochs/s, %s/s sent, %lld bytes held\n\n", "now",
	       r.epochs, show_bytes(r.sent, sent, sizeof(sent)),
	       show_num2(s, "gate", "held_bytes"));
	if (strcmp(show_str(s, "state"), "syncing") == 0)
		draw_bar(s);
	fputs("q ends this screen, not the machine\n", stdout);
}

static void print_line(struct top *t, const json_t *s)
{
	struct rates r = take_sample(t, s);
	char summary[256];

	show_summary(s, summary, sizeof(summary));
	printf("%s: %s; epoch %lld; pause_us p50 %lld p99 %lld; dirty_pages "
	       "p50 %lld p99 %lld; ratio %.2f; lag_ms %lld; held %lld; "
	       "epochs/s %.1f\n", show_str(s, "vm"), summary,
	       show_num(s, "epoch_committed"), show_num2(s, "pause_us", "p50"),
	       show_num2(s, "pause_us", "p99"),
	       show_num2(s, "dirty_pages", "p50"),
	       show_num2(s, "dirty_pages", "p99"),
	       json_number_value(json_object_get(s, "ratio")),
	       show_num(s, "lag_ms"), show_num2(s, "gate", "held"), r.epochs);
}

static void show_silence(const struct top *t, const char *err)
{
	if (t->screen)
		fputs("\033[H\033[2J", stdout);
	printf("%s: unknown: %s\n", t->ctl->vm, err);
}

static enum ctl_exit one(struct top *t, char *err, size_t err_bytes)
{
	json_t *req = json_pack("{s:s}", "cmd", "status"), *reply = NULL;
	int ms = t->ctl->timeout_ms < ASK_MS_MAX ? t->ctl->timeout_ms
						 : ASK_MS_MAX;
	enum ctl_exit x = ctl_ask(t->ctl->vm, req, ms, &reply, err, err_bytes);

	json_decref(req);
	if (x == CTL_DONE && !json_is_true(json_object_get(reply, "ok"))) {
		set_err(err, err_bytes, -EIO, "%s", show_str(reply, "error"));
		x = CTL_REFUSED;
	}
	if (x != CTL_DONE)
		show_silence(t, err);
	else if (t->ctl->json)
		json_dumpf(reply, stdout, JSON_COMPACT), putchar('\n');
	else if (t->screen)
		draw_screen(t, reply);
	else
		print_line(t, reply);
	fflush(stdout);
	json_decref(reply);
	return x;
}

/* Nothing there at the first look ends it; a remusd that goes away later is
 * what somebody at a screen wants to see, and to see come back. */
enum ctl_exit ctl_top(const struct ctl *ctl, char *err, size_t err_bytes)
{
	struct top t = { .ctl = ctl };
	json_t *req = json_pack("{s:s}", "cmd", "status"), *reply = NULL;
	enum ctl_exit x = ctl_ask(ctl->vm, req, ctl->timeout_ms, &reply, err,
				  err_bytes);

	json_decref(req);
	json_decref(reply);
	if (x != CTL_DONE)
		return x;
	enter(&t);
	for (unsigned int n = 1;; n++) {
		x = one(&t, err, err_bytes);
		if (ferror(stdout) || (ctl->count != 0 && n >= ctl->count) ||
		    !wait_period(&t))
			break;
	}
	leave(&t);
	return ended ? CTL_DONE : x;
}
