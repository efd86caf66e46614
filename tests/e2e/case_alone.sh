# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The backup dies: output waits until somebody says `alone --peer-is-dead`.
# A backup that comes back with an epoch that was overtaken so must not be
# activated, is synced again, and protects under the next generation.
export VM_LOAD=500,16
pair_up
client_begin
client_goes_on

link_cut beta repl
link_soon alpha false
released=$(gate_released alpha)
stays 1 "$released" gate_released alpha
refused alpha 1 'protected\(alpha,beta\)' remusctl alone "$VM"
must alpha alone "$VM" --peer-is-dead
soon alpha .state alone
client_goes_on
sleep 2 # the guest has gone on without beta: much has to be sent

# They meet on a slow line: beta learns that it was overtaken, and the line is
# cut again before it is in step.
[ "$(get beta .ticket)" = 'protected(alpha,beta)' ] || die "who told beta?"
[ "$(get beta .state)" = standby ] || die "beta lost its epoch"
link_throttle alpha 1
link_heal beta repl
soon beta .ticket 'alone(alpha)'
link_cut beta repl
link_soon beta false
get_is beta .ticket 'alone(alpha)' || die "too fast: $(get beta .ticket)"
refused beta 1 '(alone\(alpha\) of generation|no committed epoch)' \
	remusctl activate "$VM" --peer-is-dead
refused beta 1 '.' remusctl start "$VM"
client_goes_on

link_throttle alpha 0
link_heal beta repl
protected_soon alpha
[ "$(get alpha .generation)" -eq 3 ] || die "generation $(get alpha .generation)"
[ "$(get beta .ticket)" = 'protected(alpha,beta)' ] || die "beta's ticket"
client_goes_on

# And a backup that lost its host, and everything with it.
host_kill beta
link_soon alpha false
must alpha alone "$VM" --peer-is-dead
client_goes_on
host_back beta
refused beta 1 'no committed epoch' remusctl activate "$VM" --peer-is-dead
protected_soon alpha
[ "$(get alpha .generation)" -eq 4 ] || die "generation $(get alpha .generation)"
host_kill alpha
must beta activate "$VM" --peer-is-dead
client_goes_on
client_end
