/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * make_stream - write a stream of stream_make.h to standard output, for tests
 * in shell.
 *
 *	make_stream xl,libxl,v3,hvm,end,strange CHECKPOINTS SEED
 *
 * The words are in any order; v2 is the default, and words may be missing.
 */
#include <stdio.h>

#include "stream_make.h"

static struct made m; /* too large for a stack */

int main(int argc, char **argv)
{
	struct recipe r = { .version = 2 };

	if (argc != 4)
		return 2;
	r.xl = strstr(argv[1], "xl,") == argv[1];
	r.libxl = strstr(argv[1], "libxl") != NULL;
	r.hvm = strstr(argv[1], "hvm") != NULL;
	r.strange = strstr(argv[1], "strange") != NULL;
	r.end = strstr(argv[1], "end") != NULL;
	if (strstr(argv[1], "v3") != NULL)
		r.version = 3;
	r.checkpoints = (unsigned int)strtoul(argv[2], NULL, 10);
	r.seed = strtoull(argv[3], NULL, 10);
	make_stream(&m, &r);
	return fwrite(m.data, 1, m.bytes, stdout) == m.bytes ? 0 : 1;
}
