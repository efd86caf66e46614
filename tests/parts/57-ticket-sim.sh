# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
# a million random schedules of the ticket's witnesses, nodes and fences
# when: all

build_sim() (
	mkdir -p build && cd build && "$SRC/configure" --quiet &&
		make -s tests/sim/ticket_sim
)
t_run "builds ticket_sim" build_sim
t_run "1000000 schedules" build/tests/sim/ticket_sim --schedules 1000000 \
	--seed "${REMUS_SIM_SEED:-$(date +%s)}" --jobs "$(nproc)"
t_last_line
