# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fence_clientprobe and the pair.  The backup is fenced while it is protected:
# the primary learns of it, leaves the backup behind, and protects anew.  The
# primary is not fenced while clients see it serve, and is when its host is
# dead; beta has it then, and the old one steps down when it comes back.
export WITNESSED=1

fence() { # HOST NODE
	host_exec "$1" fence_clientprobe -o off -n "$2" -k /etc/remus/witness.key \
		-w "$(witness_list)"
}
generation_above() { [ "$(get "$1" .generation)" -gt "$2" ]; }

pair_up
client_begin
client_goes_on
generation=$(get alpha .generation)
fence alpha beta || die "the backup is not fenced"
wait_until 20 generation_above alpha "$generation" ||
	die "alpha does not know that its backup was fenced"
protected_soon alpha
client_goes_on

if fence beta alpha 2>"$LAB_DIR/refusal"; then
	die "alpha is fenced while it serves"
fi
grep -q "serve" "$LAB_DIR/refusal" || die "says: $(cat "$LAB_DIR/refusal")"
client_goes_on

# Frozen, it is as good as dead, and wakes up later.
host_freeze alpha
wait_until 30 fence beta alpha || die "a frozen alpha is not fenced"
must beta activate "$VM"
client_goes_on
released=$(get beta .gate.released)
host_thaw alpha
soon alpha .role backup 20
client_goes_on
[ "$(get beta .gate.released)" -gt "$released" ] || die "beta fell silent"
client_end
