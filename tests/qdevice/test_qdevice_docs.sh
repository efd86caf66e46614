#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
# remus-qdevice(8) and the programs name the same keys and members; the tool
# fails in one line where no daemon runs.
set -eu
src=${top_srcdir:-$(dirname "$0")/../..}
build=${top_builddir:-.}
page=$src/man/remus-qdevice.8
failed=0

complain() {
	echo "test_qdevice_docs: $*"
	failed=1
}

keys=$(sed -n 's/.*strcmp(key, "\([a-z_]*\)") == 0.*/\1/p' \
	"$src/fence/qdevice_config.c")
[ -n "$keys" ] || complain "no keys found in qdevice_config.c"
for key in $keys; do
	grep -qxF -- ".It Ic $key" "$page" ||
		complain "remus-qdevice(8) does not explain '$key'"
done
# Beside these: corosync's own, which stand before ours.
ours=$(sed -n '/^known to/,/^Changes/s/^\.It Ic \([a-z_]*\)$/\1/p' "$page")
[ -n "$ours" ] || complain "no keys found in remus-qdevice(8)"
for key in $ours; do
	grep -qxF -- "$key" <<<"$keys" ||
		complain "remus-qdevice(8) explains '$key', which does not exist"
done

members=$(sed -n '/^static json_t \*witness_json/,/for the log/p' \
	"$src/fence/qdevice_status.c" | grep -o '"[a-z_]*"' | tr -d '"' |
	sort -u)
[ -n "$members" ] || complain "no members found in qdevice_status.c"
for member in $members; do
	grep -qF -- "\"$member\"" "$page" ||
		complain "remus-qdevice(8) does not show '$member'"
done

tool=$build/fence/remus-qdevice-tool
if [ -x "$tool" ]; then
	rc=0
	said=$("$tool" --json 2>&1 >/dev/null) || rc=$?
	# Where one does run, there is nothing to see here.
	[ "$rc" -eq 0 ] || {
		[ "$rc" -eq 1 ] || complain "exit code $rc without a daemon"
		[ "$(wc -l <<<"$said")" -eq 1 ] || complain "more than a line: $said"
	}
	rc=0
	"$tool" nonsense >/dev/null 2>&1 || rc=$?
	[ "$rc" -eq 2 ] || complain "exit code $rc for a bad command"
fi
exit "$failed"
