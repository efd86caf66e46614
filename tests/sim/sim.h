/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * sim.h - two nodes, a network and an operator, all in one process and in
 * virtual time, around the daemon's own code.
 *
 *   failover_sim.c  options, the loop over schedules, the last line
 *   sim_world.c     random numbers, virtual clock, event queue, qb_loop
 *   sim_net.c       conn.h as a network in memory, with sim_conn.c
 *   sim_guest.c     a guest whose memory can be checked
 *   sim_driver.c    driver.h around it
 *   sim_gate.c      gate_fake behind the effects, and who looks from outside
 *   sim_node.c      a node's life: disk, start, crash, commands
 *   sim_operator.c  faults, and the person who types remusctl
 *   sim_break.c     the rules that can be broken on purpose (--break)
 *
 * Everything that a node does to its surroundings is an effect().  A node that
 * is to crash does so at an effect: that one and all later ones do not happen
 * any more, whatever the code goes on to do until it returns to the loop.
 * Then its memory is given back; what is left is its disk.
 */
#ifndef REMUS_SIM_H
#define REMUS_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gate.h"
#include "ticket.h"
#include "vm_internal.h"

#define MS ((uint64_t)1000000)
#define SEC (1000 * MS)
#define NEVER UINT64_MAX

/* ---- sim_world.c ---- */

typedef void (*world_fn)(void *data, uint64_t arg);

/* What a schedule is made of, drawn from its seed. */
struct knobs {
	uint64_t npages;
	uint32_t interval_ms, max_in_flight;
	uint64_t capture_bytes, cache_bytes, gate_queue_bytes;
	enum compression compression;
	uint32_t link_timeout_ms;
	uint64_t latency_ns, job_ns, driver_ns, burst_ns;
	uint64_t bytes_per_sec; /* 0: no limit */
	size_t conn_queue;
	unsigned int pages_per_burst, false_dirty;
	unsigned int driver_fails, disk_fails; /* one in so many; 0: never */
};

struct counts {
	uint64_t schedules, crashes, failovers, handovers, boots, frames;
	uint64_t partial, full, epochs, events;
};

struct world {
	uint64_t seed, now, rng;
	struct knobs k;
	bool faults; /* hiccups of drivers and disks may happen */
	bool verbose;
	char violation[512]; /* "" while all is well */
	struct counts *n;
};
extern struct world world;

void world_reset(uint64_t seed, struct counts *n);
/* Run the next event.  False: there is none. */
bool world_step(void);
void world_clear(void);

uint64_t rnd(uint64_t n);			 /* 0..n-1 */
uint64_t rnd_in(uint64_t low, uint64_t high);	 /* low..high */
bool one_in(uint64_t n);			 /* n 0: never */
uint64_t rnd_delay(uint64_t mean_ns); /* now and then much longer */
uint64_t mix64(uint64_t x);

struct node;
/* Call fn once.  With a node: only while it is in the life that it is in now,
 * and later when it is frozen. */
uint64_t world_at(uint64_t delay_ns, struct node *n, world_fn fn, void *data,
		  uint64_t arg);

void violate(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- sim_node.c ---- */

struct ipc_request {
	struct ipc_request *next;
	struct node *node;
	unsigned int life;
	char cmd[16];
	bool answered, ok;
	char error[256];
};

struct node {
	int id;
	const char *name;
	struct vm *vm;	    /* NULL: not running */
	unsigned int life;  /* grows with each start */
	bool crashed;	    /* effects are over; to be reaped */
	bool host_crash;    /* the kernel goes too: no farewell to the peer */
	bool stopped;	    /* qb_loop_stop() */
	uint64_t crash_in;  /* effects until the crash; 0: none planned */
	uint64_t frozen_until;
	uint64_t restart_at;
	struct ticket disk;
	struct driver *driver;
	struct gate *gate;
	struct ipc_request *last; /* the operator's newest command */
	uint64_t last_job_at;
	unsigned int jobs; /* timers and jobs that vm_free() must take back */
};
extern struct node nodes[2];

static inline struct node *other(const struct node *n)
{
	return &nodes[!n->id];
}

/* May this effect happen? */
bool effect(struct node *n);
bool frozen(const struct node *n);

void nodes_reset(void);
void node_start(struct node *n);
/* Who has crashed or stopped inside the last event is taken away. */
void nodes_reap(void);
/* As remusctl would.  `args` (NULL: none) is taken over. */
void command(struct node *n, const char *cmd, json_t *args);
/* Commands that nobody answered. */
void requests_check(void);
void requests_clear(void);
struct node *node_of_loop(qb_loop_t *loop);

/* ---- sim_net.c ---- */

void net_reset(void);
void net_cut(bool from_a, bool from_b);
bool net_is_cut(void);
void net_node_gone(struct node *n);
void net_clear(void);
unsigned int net_open_ends(const struct node *n);

/* ---- sim_guest.c ---- */

extern const struct driver_ops sim_driver_ops;
bool guest_runs(const struct node *n);
void guest_crash(struct node *n);
void guests_free(void);

/* ---- sim_gate.c ---- */

extern const struct gate_ops sim_gate_ops;
/* States of guests form a tree: each burst of instructions is a child. */
uint64_t state_new(uint64_t parent);
/* The guest's frame, before the gate. */
void guest_sends(struct node *n, uint64_t state);
void outside_reset(void);
/* A guest begins to run: booted anew, or from a state. */
void outside_boot(uint64_t state);
void outside_resume(struct node *n, uint64_t state);
uint64_t outside_frames(void);

/* ---- sim_operator.c ---- */

void operator_reset(void);
/* The schedule is over, and all was well at its end. */
bool operator_done(void);
/* Has the operator decided against the guest on this node, or asked it to go? */
bool operator_gave_up(const struct node *n);

/* ---- sim_break.c ---- */

/* 0, or -EINVAL for a rule that there is not. */
int break_rule(const char *name);
const char *break_names(void);
/* The epoch whose output is to be told; a later one when that is broken. */
uint64_t break_output(uint64_t epoch);

#endif
