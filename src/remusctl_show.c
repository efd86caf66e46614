/* SPDX-License-Identifier: GPL-2.0-or-later */
/* remusctl_show.c - a status, as its JSON came from remusd, for people. */
#include <string.h>

#include "remusctl.h"

long long show_num(const json_t *j, const char *key)
{
	return json_integer_value(json_object_get(j, key));
}

long long show_num2(const json_t *j, const char *outer, const char *key)
{
	return show_num(json_object_get(j, outer), key);
}

const char *show_str(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s == NULL ? "" : s;
}

const char *show_us(long long us, char *buf, size_t bytes)
{
	if (us < 1000)
		snprintf(buf, bytes, "%lld us", us);
	else if (us < 1000000)
		snprintf(buf, bytes, "%.1f ms", (double)us / 1e3);
	else
		snprintf(buf, bytes, "%.1f s", (double)us / 1e6);
	return buf;
}

const char *show_bytes(double n, char *buf, size_t bytes)
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB" };
	unsigned int u = 0;

	for (; n >= 1000.0 && u < 4; u++)
		n /= 1000.0;
	snprintf(buf, bytes, u == 0 ? "%.0f %s" : "%.1f %s", n, units[u]);
	return buf;
}

void show_summary(const json_t *s, char *buf, size_t bytes)
{
	long long total = show_num(s, "sync_total_pages");
	const char *reason = show_str(s, "reason");
	int n = snprintf(buf, bytes, "%s, %s", show_str(s, "role"),
			 show_str(s, "state"));

	if (n < 0 || (size_t)n >= bytes)
		return;
	if (strcmp(show_str(s, "state"), "syncing") == 0 && total > 0)
		snprintf(buf + n, bytes - (size_t)n, " %lld %%",
			 show_num(s, "sync_done_pages") * 100 / total);
	else if (*reason != '\0')
		snprintf(buf + n, bytes - (size_t)n, " (%s)", reason);
}

static void row_us(FILE *f, const json_t *s, const char *title,
		   const char *key)
{
	char a[32], b[32], c[32];

	fprintf(f, "  %-10s p50 %s, p99 %s, max %s\n", title,
		show_us(show_num2(s, key, "p50"), a, sizeof(a)),
		show_us(show_num2(s, key, "p99"), b, sizeof(b)),
		show_us(show_num2(s, key, "max"), c, sizeof(c)));
}

static void rows_peer(FILE *f, const json_t *s)
{
	bool up = json_is_true(json_object_get(s, "link_up"));
	char rtt[32];

	fprintf(f, "  %-10s %s %s, %s", "peer", show_str(s, "peer"),
		show_str(s, "peer_address"),
		up ? "connected" : "not connected");
	if (up && show_num(s, "rtt_us") > 0)
		fprintf(f, ", round trip %s",
			show_us(show_num(s, "rtt_us"), rtt, sizeof(rtt)));
	fprintf(f, "\n  %-10s %s, generation %lld%s\n", "ticket",
		show_str(s, "ticket"), show_num(s, "generation"),
		strcmp(show_str(s, "witnesses"), "lost") == 0
			? "; no majority of the witnesses answers"
			: "");
}

static void rows_epochs(FILE *f, const json_t *s)
{
	long long total = show_num(s, "sync_total_pages");

	fprintf(f, "  %-10s %lld committed; %lld checkpoints, one every "
		"%lld ms; lag %lld ms\n", "epoch",
		show_num(s, "epoch_committed"), show_num(s, "epochs"),
		show_num(s, "interval_ms"), show_num(s, "lag_ms"));
	if (strcmp(show_str(s, "state"), "syncing") == 0)
		fprintf(f, "  %-10s %lld of %lld pages\n", "sync",
			show_num(s, "sync_done_pages"), total);
	row_us(f, s, "pause", "pause_us");
	fprintf(f, "  %-10s p50 %lld, p99 %lld, max %lld pages\n", "dirty",
		show_num2(s, "dirty_pages", "p50"),
		show_num2(s, "dirty_pages", "p99"),
		show_num2(s, "dirty_pages", "max"));
	row_us(f, s, "ack", "ack_us");
}

static void rows_traffic(FILE *f, const json_t *s)
{
	char raw[32], sent[32], rss[32], threads[32] = "";

	if (show_num(s, "encode_threads") > 1)
		snprintf(threads, sizeof(threads), ", %lld threads",
			 show_num(s, "encode_threads"));
	fprintf(f, "  %-10s %s sent for %s of pages: ratio %.2f, compression "
		"%s, now %s%s\n", "traffic",
		show_bytes((double)show_num(s, "bytes_sent"), sent,
			   sizeof(sent)),
		show_bytes((double)show_num(s, "bytes_raw"), raw, sizeof(raw)),
		json_number_value(json_object_get(s, "ratio")),
		show_str(s, "compression_mode"), show_str(s, "codec"),
		threads);
	fprintf(f, "  %-10s %s, %s: held %lld, released %lld, dropped %lld\n",
		"gate", show_str(json_object_get(s, "gate"), "name"),
		show_str(json_object_get(s, "gate"), "state"),
		show_num2(s, "gate", "held"), show_num2(s, "gate", "released"),
		show_num2(s, "gate", "dropped"));
	fprintf(f, "  %-10s %lld, of these %lld of the whole memory\n",
		"resyncs", show_num(s, "resyncs"),
		show_num(s, "resyncs_full"));
	fprintf(f, "  %-10s driver %s, tracker %s, remusd takes %s of "
		"memory\n", "how", show_str(s, "driver"),
		show_str(s, "tracker"),
		show_bytes((double)show_num(s, "rss_bytes"), rss,
			   sizeof(rss)));
}

void show_status(FILE *f, const json_t *s)
{
	char summary[256];

	show_summary(s, summary, sizeof(summary));
	fprintf(f, "%s on %s: %s\n", show_str(s, "vm"), show_str(s, "node"),
		summary);
	rows_peer(f, s);
	rows_epochs(f, s);
	rows_traffic(f, s);
}
