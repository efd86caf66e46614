# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Three witnesses decide.  The replication cable is cut while clients reach
# alpha: alpha goes on by itself, and beta may not take over.  The cable heals:
# protected, in the next generation.  alpha loses its power: beta takes over,
# and nobody has to vouch for alpha's end.
export WITNESSED=1
pair_up
client_begin
client_goes_on

generation=$(get alpha .generation)
link_cut alpha repl
soon alpha .state alone 5
client_goes_on
[ "$(get alpha .gate.state)" = open ] || die "alone, and the gate is not open"
refused beta 1 'alpha.s remusd served|ticket is alone\(alpha\)' remusctl activate "$VM"
client_goes_on

link_heal alpha repl
protected_soon alpha
[ "$(get alpha .generation)" -eq $((generation + 1)) ] ||
	die "generation $(get alpha .generation) after $generation"
client_goes_on

host_kill alpha
wait_until 30 ctl beta activate "$VM" ||
	die "beta does not take over: $(ctl beta activate "$VM" 2>&1)"
client_goes_on

# Fewer than a majority: the lease runs out, and nothing passes.
soon beta .state active
witness_crash w1
witness_crash w2
wait_until 20 get_is beta .gate.state holding ||
	die "no majority, and the gate is $(get beta .gate.state)"
stays 2 "$(gate_released beta)" gate_released beta
witness_start w1
client_goes_on
client_end
