# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The host dies, its backup goes on; the host comes back, is made the backup,
# and the other one dies.  Two failovers, one TCP connection.
pair_up
client_begin
client_goes_on

host_kill alpha
must beta activate "$VM" --peer-is-dead
soon beta .state active
get_is beta .ticket 'alone(beta)' || die "beta: $(get beta .ticket)"
client_goes_on

host_back alpha
soon alpha .state syncing
refused alpha 1 'no committed epoch' remusctl activate "$VM" --peer-is-dead
protect_from beta
get_is beta .generation 3 || die "generation $(get beta .generation)"
client_goes_on

host_kill beta
must alpha activate "$VM" --peer-is-dead
soon alpha .state active
client_goes_on
client_end
