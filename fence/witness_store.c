/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "witness_store.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/crypto.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"
#include "witness_message.h"

#define FILE_BYTES_MAX 4096
#define FORMAT 1

static int path_of(char path[PATH_MAX], const char *dir, const char *name,
		   const char *suffix)
{
	int n = snprintf(path, PATH_MAX, "%s/%s%s", dir, name, suffix);

	return n >= PATH_MAX - 8 ? -ENAMETOOLONG : 0;
}

/* ---- JSON files ---- */

static int read_json(const char *path, json_t **out, char *err,
		     size_t err_bytes)
{
	char text[FILE_BYTES_MAX + 1], why[128] = "";
	ssize_t n;
	int fd, rc;

	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		rc = -errno;
		return set_err(err, err_bytes, rc, "%s: %s", path,
			       strerror(-rc));
	}
	n = read(fd, text, sizeof(text));
	rc = n < 0 ? -errno : 0;
	close(fd);
	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s: %s", path,
			       strerror(-rc));
	if (n > FILE_BYTES_MAX)
		return set_err(err, err_bytes, -EBADMSG,
			       "%s: longer than anything that belongs here",
			       path);
	*out = witness_json_parse(text, (size_t)n, why, sizeof(why));
	if (*out == NULL)
		return set_err(err, err_bytes, -EBADMSG, "%s: damaged: %s",
			       path, why);
	return 0;
}

/* root makes files for the user that the directory belongs to. */
static void hand_over(const char *dir, const char *path)
{
	struct stat st;

	if (geteuid() == 0 && stat(dir, &st) == 0 && st.st_uid != 0 &&
	    chown(path, st.st_uid, st.st_gid) < 0)
		fprintf(stderr, "%s: cannot give it to user %u\n", path,
			(unsigned int)st.st_uid);
}

static int write_json(const char *path, json_t *o, char *err, size_t err_bytes)
{
	char *text = o == NULL ? NULL : json_dumps(o, JSON_COMPACT);
	int rc;

	rc = text == NULL ? -ENOMEM
			  : write_file_durably(path, text, strlen(text));
	free(text);
	json_decref(o);
	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s: cannot store: %s",
			       path, strerror(-rc));
	return 0;
}

/* ---- registers ---- */

static json_t *register_to_json(const char *id, const char *vm,
				const struct ticket_acceptor *a)
{
	return json_pack("{s:i, s:s, s:s, s:o, s:o, s:o}", "format", FORMAT,
			 "id", id, "vm", vm, "promised",
			 ballot_to_json(&a->stored.promised), "accepted",
			 ballot_to_json(&a->stored.accepted), "value",
			 ticket_to_json(&a->stored.value));
}

static int register_from_json(const char *id, const char *vm,
			      struct ticket_acceptor *a, const json_t *o,
			      char *err, size_t err_bytes)
{
	char text[VM_NAME_MAX + 1];
	uint64_t format;
	int rc;

	rc = member_uint(o, "format", FORMAT, FORMAT, &format, err, err_bytes);
	if (rc == 0)
		rc = member_text(o, "id", text, sizeof(text), err, err_bytes);
	if (rc == 0 && strcmp(text, id) != 0)
		return set_err(err, err_bytes, -EBADMSG,
			       "id: of another witness than identity");
	if (rc == 0)
		rc = member_text(o, "vm", text, sizeof(text), err, err_bytes);
	if (rc == 0 && strcmp(text, vm) != 0)
		return set_err(err, err_bytes, -EBADMSG, "vm: it is %s's",
			       text);
	if (rc == 0)
		rc = member_ballot(o, "promised", &a->stored.promised, err,
				   err_bytes);
	if (rc == 0)
		rc = member_ballot(o, "accepted", &a->stored.accepted, err,
				   err_bytes);
	if (rc == 0)
		rc = member_ticket(o, "value", &a->stored.value, err,
				   err_bytes);
	if (rc == 0 &&
	    ballot_cmp(&a->stored.accepted, &a->stored.promised) > 0)
		return set_err(err, err_bytes, -EBADMSG,
			       "accepted: greater than promised");
	return rc;
}

int store_load(const struct store *s, const char *vm,
	       struct ticket_acceptor *a, char *err, size_t err_bytes)
{
	char path[PATH_MAX], why[256] = "";
	json_t *o = NULL;
	int rc = path_of(path, s->dir, vm, ".register");

	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s: too long a path",
			       s->dir);
	rc = read_json(path, &o, err, err_bytes);
	if (rc == -ENOENT)
		return set_err(err, err_bytes, rc,
			       "%s: missing; remus-witness --add-vm %s makes "
			       "one, but only for a machine that this witness "
			       "never kept",
			       path, vm);
	if (rc < 0)
		return rc;
	rc = register_from_json(s->id, vm, a, o, why, sizeof(why));
	json_decref(o);
	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s: damaged: %s", path,
			       why);
	return 0;
}

int store_save(const struct store *s, const char *vm,
	       const struct ticket_acceptor *a, char *err, size_t err_bytes)
{
	char path[PATH_MAX];
	int rc = path_of(path, s->dir, vm, ".register");

	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s: too long a path",
			       s->dir);
	return write_json(path, register_to_json(s->id, vm, a), err, err_bytes);
}

/* ---- identity ---- */

static int read_identity(struct store *s, const struct witness_config *c,
			 char *err, size_t err_bytes)
{
	char path[PATH_MAX], why[128] = "", name[VM_NAME_MAX + 1] = "";
	uint64_t format;
	json_t *o = NULL;
	int rc;

	rc = path_of(path, s->dir, "identity", "");
	if (rc == 0)
		rc = read_json(path, &o, err, err_bytes);
	if (rc == -ENOENT)
		return set_err(err, err_bytes, rc,
			       "%s: missing; a new witness begins with "
			       "remus-witness --init, one that lost its state "
			       "as remus-witness(8) says",
			       path);
	if (rc < 0)
		return rc;
	rc = member_uint(o, "format", FORMAT, FORMAT, &format, why,
			 sizeof(why));
	if (rc == 0)
		rc = member_name(o, "witness", false, name, why, sizeof(why));
	if (rc == 0)
		rc = member_text(o, "id", s->id, sizeof(s->id), why,
				 sizeof(why));
	json_decref(o);
	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s: damaged: %s", path,
			       why);
	if (strcmp(name, c->name) != 0)
		return set_err(err, err_bytes, -EINVAL,
			       "%s: this is the state of witness %s, not of %s",
			       path, name, c->name);
	return 0;
}

static int take_lock(struct store *s, char *err, size_t err_bytes)
{
	char path[PATH_MAX];
	int rc = path_of(path, s->dir, "lock", "");

	s->lock_fd = -1;
	if (rc == 0) {
		s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		rc = s->lock_fd < 0 ? -errno : 0;
	}
	if (rc == -ENOENT)
		return set_err(err, err_bytes, rc,
			       "%s: missing; a new witness begins with "
			       "remus-witness --init, one that lost its state "
			       "as remus-witness(8) says",
			       s->dir);
	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s: %s", path,
			       strerror(-rc));
	hand_over(s->dir, path);
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) < 0) {
		close(s->lock_fd);
		s->lock_fd = -1;
		return set_err(err, err_bytes, -EADDRINUSE,
			       "%s: a remus-witness runs here already", path);
	}
	return 0;
}

int store_open(struct store *s, const struct witness_config *c, char *err,
	       size_t err_bytes)
{
	int rc;

	memset(s, 0, sizeof(*s));
	s->dir = c->state_dir;
	rc = take_lock(s, err, err_bytes);
	if (rc == 0)
		rc = read_identity(s, c, err, err_bytes);
	if (rc < 0)
		store_close(s);
	return rc;
}

void store_close(struct store *s)
{
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	s->lock_fd = -1;
}

/* ---- making it ---- */

/* A file that an --init left that did not come to its end is empty, whatever
 * its id; any other one may hold a promise. */
static int check_unused(const char *path, char *err, size_t err_bytes)
{
	struct ballot promised, accepted;
	json_t *o = NULL;
	bool empty;

	if (access(path, F_OK) < 0 && errno == ENOENT)
		return 0;
	if (read_json(path, &o, err, err_bytes) < 0)
		return -EEXIST;
	empty = member_ballot(o, "promised", &promised, NULL, 0) == 0 &&
		member_ballot(o, "accepted", &accepted, NULL, 0) == 0 &&
		promised.n == 0 && accepted.n == 0;
	json_decref(o);
	if (!empty)
		return set_err(err, err_bytes, -EEXIST,
			       "%s: holds a promise already", path);
	return 0;
}

static int make_register(struct store *s, const char *vm, char *err,
			 size_t err_bytes)
{
	struct ticket_acceptor a = { 0 };
	char path[PATH_MAX];
	int rc = path_of(path, s->dir, vm, ".register");

	if (rc < 0)
		return set_err(err, err_bytes, rc, "%s: too long a path",
			       s->dir);
	rc = check_unused(path, err, err_bytes);
	if (rc == 0)
		rc = store_save(s, vm, &a, err, err_bytes);
	if (rc == 0)
		hand_over(s->dir, path);
	return rc;
}

static int write_identity(const struct store *s, const struct witness_config *c,
			  char *err, size_t err_bytes)
{
	char path[PATH_MAX];
	int rc = path_of(path, s->dir, "identity", "");

	if (rc == 0)
		rc = write_json(path,
				json_pack("{s:i, s:s, s:s}", "format", FORMAT,
					  "witness", c->name, "id", s->id),
				err, err_bytes);
	if (rc == 0)
		hand_over(s->dir, path);
	return rc;
}

static int init_locked(struct store *s, const struct witness_config *c,
		       char *err, size_t err_bytes)
{
	char path[PATH_MAX];
	uint8_t id[16];
	int rc = path_of(path, s->dir, "identity", "");

	if (rc == 0 && access(path, F_OK) == 0)
		return set_err(err, err_bytes, -EEXIST,
			       "%s: there already; this is done once", path);
	if (gnutls_rnd(GNUTLS_RND_RANDOM, id, sizeof(id)) < 0)
		return set_err(err, err_bytes, -EIO, "no random numbers");
	for (size_t i = 0; i < sizeof(id); i++)
		snprintf(s->id + 2 * i, 3, "%02x", id[i]);
	for (unsigned int i = 0; i < c->vms && rc == 0; i++)
		rc = make_register(s, c->vm[i].name, err, err_bytes);
	return rc < 0 ? rc : write_identity(s, c, err, err_bytes);
}

int store_init(const struct witness_config *c, char *err, size_t err_bytes)
{
	struct store s = { .dir = c->state_dir, .lock_fd = -1 };
	int rc;

	if (mkdir(c->state_dir, 0700) < 0 && errno != EEXIST) {
		rc = -errno;
		return set_err(err, err_bytes, rc, "%s: %s", c->state_dir,
			       strerror(-rc));
	}
	rc = take_lock(&s, err, err_bytes);
	if (rc == 0)
		rc = init_locked(&s, c, err, err_bytes);
	store_close(&s);
	return rc;
}

int store_add(const struct witness_config *c, const char *vm, char *err,
	      size_t err_bytes)
{
	char path[PATH_MAX];
	bool known = false;
	struct store s;
	int rc;

	for (unsigned int i = 0; i < c->vms; i++)
		known |= strcmp(c->vm[i].name, vm) == 0;
	if (!known)
		return set_err(err, err_bytes, -ENOENT,
			       "%s: has no vm '%s'", c->path, vm);
	rc = store_open(&s, c, err, err_bytes);
	if (rc < 0)
		return rc;
	rc = path_of(path, s.dir, vm, ".register");
	if (rc == 0 && access(path, F_OK) == 0)
		rc = set_err(err, err_bytes, -EEXIST, "%s: there already",
			     path);
	if (rc == 0)
		rc = make_register(&s, vm, err, err_bytes);
	store_close(&s);
	return rc;
}
