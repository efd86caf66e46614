# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# narrow - how long a memory-heavy guest's checkpoints take to be committed over
# links that get narrower, without and with compression: the first result of
# "Optimised hot standby on Remus".

# shellcheck source=tests/bench/table_path.sh
. "$BENCH_DIR/table_path.sh"

table_narrow() {
	local seconds=20 links=(1000 500 200 100 50 20) mbit mode
	local modes=(off fast tight auto)
	if [ "$QUICK" = true ]; then
		seconds=6 links=(1000 100) modes=(off fast)
	fi
	table narrow "A memory-heavy guest over narrow links" \
		"link|Mbit/s|0" "mode|compression|-" "ack50|ack p50 ms|1" \
		"ack99|p99|1" "p50|pause p50 ms|1" "epochs|epochs/s|1" \
		"dirty|pages|0" "kb|kB/epoch|1" "mbit|sent Mbit/s|1" \
		"n|checkpoints|0" "used|codec|-"
	for mode in "${modes[@]}"; do
		for mbit in "${links[@]}"; do
			link_cell "$mode" 25 "$mbit" "$seconds" 20000,8 0
			row "${CELL[@]}"
		done
	done
	note "128 MB guest that writes 20,000 pages a second in 8 MB; interval" \
		"25 ms; tbf. ack: from the end of the pause until the backup" \
		"has all of the checkpoint, which is how much longer than its" \
		"interval the guest's output waits."
	load_note
	plot '{kind: "lines", x: "link", xlabel: "link, Mbit/s", xlog: true,
		panels: [{title: "Until a checkpoint is committed", ylabel: "ms",
		ylog: true, by: "mode", y: [{key: "ack50", upper: "ack99"}],
		upper_label: "p99", limits: [{at: 25, label: "the interval"}]},
		{title: "Checkpoints a second", ylabel: "1/s", ylog: true,
		by: "mode", y: [{key: "epochs"}],
		limits: [{at: 40, label: "asked for"}]},
		{title: "Sent for a checkpoint", ylabel: "kB", ylog: true,
		by: "mode", y: [{key: "kb"}]}]}'
	table_end
}
