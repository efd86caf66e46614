/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * curl_loop.h - libcurl's multi interface on a qb_loop: which descriptors and
 * which time curl waits for become entries of the loop.
 */
#ifndef REMUS_CURL_LOOP_H
#define REMUS_CURL_LOOP_H

#include <curl/curl.h>
#include <qb/qbloop.h>

struct curl_loop;

/* A transfer has ended; called from the loop, never from within a function of
 * curl.  `easy` is not in the loop any more.  May free the curl_loop. */
typedef void (*curl_loop_done)(void *ctx, CURL *easy, CURLcode result);

/* NULL: out of memory. */
struct curl_loop *curl_loop_new(qb_loop_t *loop, curl_loop_done done,
				void *ctx);
/* Every transfer has to be removed before. */
void curl_loop_free(struct curl_loop *c);

/* Begin a transfer: 0 or -EIO. */
int curl_loop_add(struct curl_loop *c, CURL *easy);
/* Give it up; harmless when it has ended. */
void curl_loop_remove(struct curl_loop *c, CURL *easy);

#endif
