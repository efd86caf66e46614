/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * qemu_files.h - what remusd and QEMU share: the RAM file and the state file.
 *
 * Neither has a name, so that nothing stays behind, however the two end.
 */
#ifndef REMUS_QEMU_FILES_H
#define REMUS_QEMU_FILES_H

#include <stddef.h>
#include <stdint.h>

#define QEMU_STATE_MAX ((size_t)64 << 20) /* of device state */

struct qemu_files {
	int ram_fd, state_fd; /* -1: none */
	uint8_t *ram;	      /* mapped shared; its pages are reserved by
				 qemu_process_start(): do not touch before */
	size_t ram_bytes;
	void *state; /* what qemu_state_read() read last */
	size_t state_cap;
};

/* 0, or -errno with a line in `err`; then nothing is left. */
int qemu_files_create(struct qemu_files *f, const char *ram_dir,
		      const char *name, uint64_t ram_bytes, char *err,
		      size_t err_bytes);
void qemu_files_free(struct qemu_files *f);

/* The state file's content into f->state.  Bytes, or -errno: -EMSGSIZE beyond
 * QEMU_STATE_MAX, -ENODATA when it is empty. */
int64_t qemu_state_read(struct qemu_files *f);
/* `data` becomes the content, and the descriptor's offset 0. */
int qemu_state_write(struct qemu_files *f, const void *data, size_t bytes);

#endif
