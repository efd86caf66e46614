#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# The manual pages are well-formed, and they and the programs name the same
# keys, commands and members.
set -eu
src=${top_srcdir:-$(dirname "$0")/../..}
build=${top_builddir:-.}
man=$src/man
failed=0

complain() {
	echo "test_docs: $*"
	failed=1
}

# Words after `.It Ic` in a page, one a line.
documented() {
	sed -n "s/^\.It Ic //p" "$1" |
		tr -s ', ' '\n' | sort -u
}

if command -v mandoc >/dev/null; then
	for page in "$man"/*.[1-9]; do
		mandoc -T lint -W warning "$page" || complain "$page: see above"
	done
else
	echo "test_docs: no mandoc: the pages' form is not looked at"
fi

keys=$(sed -n '/^static const struct key keys/,/^};/s/^\t{ "\([a-z_]*\)".*/\1/p' \
	"$src/src/vm_config_keys.c")
[ -n "$keys" ] || complain "no keys found in vm_config_keys.c"
for key in $keys; do
	documented "$man/remus.conf.5" | grep -qxF -- "$key" ||
		complain "remus.conf(5) does not explain '$key'"
done
for key in $(documented "$man/remus.conf.5"); do
	grep -qxF -- "$key" <<<"$keys" ||
		complain "remus.conf(5) explains '$key', which does not exist"
done

keys=$(sed -n '/^static const struct key keys/,/^};/s/^\t{ "\([a-z_]*\)".*/\1/p' \
	"$src/fence/witness_config_keys.c")
[ -n "$keys" ] || complain "no keys found in witness_config_keys.c"
[ "$(sort <<<"$keys")" = "$(documented "$man/remus-witness.conf.5")" ] ||
	complain "remus-witness.conf(5) and the program have other keys"

for member in $(grep -o '"[a-z0-9_]*", *$\|"[a-z0-9_]*", \(number\|text\|json\|quantiles\)' \
	"$src/src/status.c" | grep -o '"[a-z0-9_]*"' | tr -d '"' | sort -u); do
	grep -qw -- "$member" "$man/remusctl.8" ||
		complain "remusctl(8) does not explain '$member'"
done

commands=$("$build/src/remusctl" help | sed -n 's/^  \([a-z]\{2,\}\) .*/\1/p')
[ -n "$commands" ] || complain "remusctl help names no commands"
for command in $commands; do
	grep -q "^\.It Cm .*\b$command\b" "$man/remusctl.8" ||
		complain "remusctl(8) does not explain '$command'"
done

commands=$("$build/src/remus-stream" help | sed -n 's/^  \([a-z]\{2,\}\) .*/\1/p')
[ -n "$commands" ] || complain "remus-stream help names no commands"
for command in $commands; do
	grep -q "^\.It Cm $command\b" "$man/remus-stream.1" ||
		complain "remus-stream(1) does not explain '$command'"
done
exit "$failed"
