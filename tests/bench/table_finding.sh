# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# finding - what finding the dirty pages of a running guest costs, by the size
# of its memory: the same guest with the same work, given more of it.

# MB of its memory that the guest has touched since its boot.
finding_touched() {
	host_exec alpha bash -c 'cat "/proc/$(pgrep -o qemu-system)/status"' |
		awk '$1 == "RssShmem:" { printf "%.0f\n", $2 / 1024 }'
}

# finding_row MEGABYTES EPOCHS
finding_row() {
	local status
	step "$1 MB"
	pair_up "$1" 20000,16 "interval = 25"
	protect
	wait_epochs "$2"
	status=$(host_exec alpha remusctl status "$VM" --json)
	row mb="$1" touched="$(finding_touched)" \
		dirty="$(jq .dirty_pages.p50 <<<"$status")" \
		find50="$(jq .track_us.p50 <<<"$status")" \
		find99="$(jq .track_us.p99 <<<"$status")" \
		pause50="$(jq .pause_us.p50 <<<"$status")" \
		pause99="$(jq .pause_us.p99 <<<"$status")" \
		tracker="$(jq -r .tracker <<<"$status")"
	pair_down
}

table_finding() {
	local mb sizes=(128 256 512 1024 2048) count=1024
	if [ "$QUICK" = true ]; then
		sizes=(128 512) count=100
	fi
	table finding "Finding dirty pages in a running guest, microseconds" \
		"mb|MB|0" "touched|touched|0" "dirty|pages|0" \
		"find50|finding p50|0" "find99|p99|0" "pause50|pause p50|0" \
		"pause99|p99|0" "tracker|tracker|-"
	for mb in "${sizes[@]}"; do
		finding_row "$mb" "$count"
	done
	note "The same guest, which writes 20,000 pages a second in 16 MB, with" \
		"more and more memory; touched: MB that it has used since its" \
		"boot. Checkpoints measured, each: $count."
	plot '{kind: "lines", x: "mb", xlabel: "guest memory, MB", xlog: true,
		panels: [{title: "Dirty pages of a running guest", ylabel: "us",
		upper_label: "p99", ylog: true,
		y: [{key: "find50", label: "finding them", upper: "find99"},
		{key: "pause50", label: "the pause", upper: "pause99"}]}]}'
	table_end
}
