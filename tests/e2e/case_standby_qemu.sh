# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The standby's QEMU dies: its remusd starts another, and is a standby again
# after a resync, without a word from anybody.
pair_up
client_begin
client_goes_on

pid=$(qemu_pid beta)
host_exec beta kill -KILL "$pid"
wait_until 10 get_above alpha .resyncs 0 || die "no resync"
protected_soon alpha
fact "resyncs $(get alpha .resyncs), of all memory $(get alpha .resyncs_full)"
[ "$(qemu_pid beta)" != "$pid" ] || die "the same QEMU?"
client_goes_on

host_kill alpha
must beta activate "$VM" --peer-is-dead
client_goes_on
client_end
