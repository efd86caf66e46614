/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ticket_world.h - witnesses, two nodes and who fences them, in one process and
 * in virtual time, around the code of ticket_acceptor.h and ticket_proposer.h.
 *
 *   ticket_sim.c      options, the loop over schedules, the last line
 *   ticket_world.c    random numbers, clocks, messages, the next event
 *   ticket_witness.c  a witness: its disk, its crashes, what it sees
 *   ticket_node.c     a model of remusd: guest, epochs, acknowledgements, gate
 *   ticket_asker.c    what nodes and fencers share: a proposer and its messages
 *   ticket_cluster.c  faults, commands, who fences; and how it all heals
 *   ticket_outside.c  what clients see, and what must be true of it
 *   ticket_break.c    the rules that can be broken on purpose (--break)
 *
 * Nothing in here has a wall clock to jump: the code under test is given one
 * clock only, that counts since its host booted.
 */
#ifndef TICKET_WORLD_H
#define TICKET_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ticket_acceptor.h"
#include "ticket_proposer.h"

#define MS ((uint64_t)1000) /* all times of the world are in µs */
#define NEVER UINT64_MAX

/* ---- parties: 0 and 1 nodes, 2 who fences, then the witnesses ---- */

#define NODES 2
#define FENCER 2
#define WITNESS0 3
#define SIM_WITNESSES_MAX 5
#define PARTIES (WITNESS0 + SIM_WITNESSES_MAX)

struct sim_clock {
	uint64_t since_us, start_us;
	uint32_t rate_ppm; /* 1000000: true */
};

struct party {
	bool up;
	unsigned int life; /* grows with each start */
	uint64_t frozen_until;
	struct sim_clock clock;
};

/* What a schedule is made of, drawn from its seed. */
struct knobs {
	unsigned int witnesses;
	uint32_t lease_ms, lease_max_ms, answer_ms;
	uint64_t tick_us, ack_timeout_us, delay_us, faults_us, chaos_us;
	unsigned int loss, doubled, late; /* per mille */
	unsigned int null_answers, blind; /* per cent */
};

struct counts {
	uint64_t schedules, events, frames, late_frames, boots, takeovers;
	uint64_t alone, protects, fences, crashes, freezes, healed_us;
};

struct world {
	uint64_t seed, now, rng;
	struct knobs k;
	bool faults; /* not healed yet */
	bool verbose;
	char violation[256]; /* "" while all is well */
	struct party party[PARTIES];
	bool cut[PARTIES][PARTIES];
	uint32_t sessions;
	uint64_t running_ms; /* the clock of the proposer that runs */
	struct counts *n;
};
extern struct world world;

void world_reset(uint64_t seed, struct counts *n);
/* The next event, if any is before `until`. */
bool world_step(uint64_t until);

uint64_t rnd(uint64_t n);		    /* 0..n-1 */
uint64_t rnd_in(uint64_t low, uint64_t high); /* low..high */
bool permille(unsigned int n);

void violate(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void say_(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define say(...) do { if (world.verbose) say_(__VA_ARGS__); } while (0)
const char *party_name(unsigned int p);
const char *ticket_str(const struct ticket *t); /* one of four buffers */

void clock_boot(struct sim_clock *c);
void clock_rate(struct sim_clock *c); /* a new one */
uint64_t clock_ms(const struct sim_clock *c);
/* When it will show `ms`. */
uint64_t clock_when(const struct sim_clock *c, uint64_t ms);

bool party_runs(unsigned int p);
void party_freeze(unsigned int p, uint64_t us);

/* ---- messages ---- */

enum kind { TO_WITNESS, FROM_WITNESS, EPOCH, ACK, WITNESS_RESTART };

struct epoch_message {
	uint32_t session, branch, seq;
	struct ticket ticket; /* EPOCH: what the primary runs by */
	uint64_t generation;  /* ACK: what the backup was told */
};

struct message {
	enum kind kind;
	uint8_t from, to;
	unsigned int life; /* of whom an answer is for */
	uint64_t id;
	bool null; /* FROM_WITNESS: it was not reached */
	union {
		struct ticket_message question;
		struct ticket_answer answer;
		struct epoch_message epoch;
	} u;
};

/* A message to be filled and sent; may come to nothing. */
struct message *message_new(enum kind kind, unsigned int from,
			    unsigned int to);
void message_send(struct message *m);
void message_at(struct message *m, uint64_t at);

/* ---- ticket_asker.c ---- */

struct asker {
	unsigned int party;
	char name[VM_NAME_MAX + 1];
	struct ticket_proposer *proposer;
	bool busy;
	enum ticket_purpose purpose;
	uint64_t wake; /* NEVER, or when to tick */
};

void asker_open(struct asker *a, unsigned int party, const char *name);
void asker_close(struct asker *a);
void asker_start(struct asker *a, const struct ticket_request *r);
/* True: a round ended. */
bool asker_answer(struct asker *a, const struct message *m,
		  struct ticket_outcome *o);
bool asker_tick(struct asker *a, struct ticket_outcome *o);

/* ---- ticket_witness.c ---- */

void witnesses_reset(void);
void witness_on(const struct message *m);
void witness_crash(unsigned int w);
void witness_start(unsigned int w);

/* ---- ticket_node.c ---- */

enum role { IDLE, BACKUP, TAKING, PRIMARY, ENDING };
enum sim_gate { GATE_CLOSED, GATE_ACK, GATE_ALONE };

struct node {
	unsigned int id;
	struct asker asker;
	enum role role;
	struct ticket disk; /* what it knows, durable before it acts by it */
	uint64_t tick_at, retry_at, restart_at;
	struct ticket last; /* what the last round said */

	/* the guest here */
	uint32_t branch, seq;
	enum sim_gate gate;
	uint64_t generation; /* of the ticket that it runs by */
	uint32_t released, acked;
	uint64_t permit_end_ms; /* the lease, as the gate knows it */
	bool bursting;		/* frozen in the middle of a burst */
	uint64_t burst_permit_ms;
	uint32_t burst_to;
	uint32_t session; /* 0: no backup is fed */
	uint64_t heard_at;

	/* the backup's copy here */
	uint32_t from_session, have_branch, have_seq;
	uint64_t told_generation;
};
extern struct node nodes[NODES];

void nodes_reset(void);
void nodes_free(void);
void node_on(struct node *n, const struct message *m);
uint64_t node_timer(const struct node *n);
void node_run(struct node *n);
void node_crash(struct node *n, uint64_t for_us);
void node_start(struct node *n);
bool node_permitted(const struct node *n); /* the lease lets output out, now */
/* The cluster's commands; refused silently where they make no sense. */
void node_boot(struct node *n);
void node_takeover(struct node *n);
void node_end(struct node *n);
void node_read(struct node *n);
void node_drop(struct node *n); /* forget the guest, or the backup's copy */

/* ---- ticket_cluster.c ---- */

void cluster_reset(void);
void cluster_free(void);
uint64_t cluster_timer(void);
void cluster_run(void);
uint64_t fencer_timer(void);
void fencer_run(void);
void fencer_on(const struct message *m);
void cluster_heal(void);

/* ---- ticket_outside.c ---- */

void outside_reset(void);
/* A guest begins to run, by alone() of that generation: the branch that it is.
 * That may be learned so late that it is over. */
uint32_t outside_boot(const struct node *n, uint64_t generation);
uint32_t outside_resume(const struct node *n, uint64_t generation);
/* The node relies on its ticket being of that generation. */
void outside_generation(const struct node *n, uint64_t generation, bool alone);
void outside_frame(const struct node *n, uint32_t seq, bool lease);
bool outside_saw_lately(unsigned int node);
void outside_accepted(unsigned int w, const struct ballot *b,
		      const struct ticket *t);
void outside_fenced(unsigned int node, uint64_t generation);
void outside_check(void); /* after each event */
/* Count from that time on; how many frames of the guest that counts were seen. */
void outside_count_from(uint64_t at);
unsigned int outside_counted(void);

/* ---- ticket_break.c ---- */

enum rule {
	KEEP_ALL = 0,
	ANSWER_BEFORE_STORE,
	FORGET_PROMISES,
	IGNORE_LEASES,
	RESTART_GRANTS,
	LEASE_FROM_RECEIPT,
	NO_DRIFT_MARGIN,
	GATE_NO_CLOCK,
	ANY_VALUE,
	MINORITY,
	FENCE_NO_WAIT,
	TAKEOVER_ANY,
	READER_GIVES_BACK,
	RENEW_ANYTHING,
	ACK_WHILE_TAKING,
	RULES,
};
extern enum rule broken;
int break_rule(const char *name); /* 0, or -EINVAL */
const char *break_name(enum rule r);

#endif
