# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# memory - remusd's resident memory, beside what the sources say it may be.
#
# With P guest pages, C = capture, K = cache, F = max_in_flight, G = gate_queue,
# T = encode_threads of the definition, D the device state (bounded by 1 MiB here), all in bytes:
#
#  both     BASE        program, libraries' data, TLS, loop      src/main.c
#           1 MiB       a frame being received                   src/conn.c
#           G + 298320  frames that are held                     src/frame_queue.h
#           6 D         device state, in every form              src/sender.c,
#                                                 receiver.c, qemu_files.c
#  primary  min(C, 4096 P) + 4 P   the copy and its list         src/capture.h
#           K (1 + 65 / 32768), or 4096 P + P / 8                src/page_cache.h
#           (K or 4096 P) (1 / 32 + 1 / 32768)  sums of these    src/page_cache.h
#           (F + 3) P / 8          bitmaps                       src/inflight.h
#           128 KiB                the tracker pagemap (compare: 4096 P)
#           640 KiB + 1 MiB        records to be packed, zstd    src/record_frame.c
#           or, with T > 1,
#           T (2.5 MiB + 1 MiB)    two payloads a thread, before
#                                  and after, and zstd           src/pack_queue.c
#           (T - 1) 64 KiB         stacks, as far as used        src/thread_pool.c
#  backup   4096 E + 8 P           E pages of the largest epoch  src/stage.h
#                                  (after an epoch at most 16 MiB stay)
#           1 MiB + 256 KiB        what is unpacked, zstd        src/page_pack.c
#  shared   4096 P      the guest's RAM file, mapped: the guest's own memory
#           2 * 4 MiB   the send queue, mapped twice in a row    src/ring.h
#           IPC         libqb's ring buffers
BASE_BYTES=$((4 << 20))
IPC_BYTES=$((4 << 20))

# memory_bound ROLE MEGABYTES EPOCH_PAGES anon|shared
memory_bound() {
	awk -v role="$1" -v mb="$2" -v e="$3" -v kind="$4" \
		-v base="$BASE_BYTES" -v ipc="$IPC_BYTES" '
	function min(a, b) { return a < b ? a : b }
	BEGIN {
		P = mb * 256; M = 1048576
		C = 64 * M; K = 64 * M; F = '"$MEM_IN_FLIGHT"'
		G = '"$MEM_GATE_QUEUE"'; D = M; T = '"$MEM_THREADS"'
		if (kind == "shared")
			sum = 4096 * P + 8 * M + ipc
		else {
			sum = base + M + G + 298320 + 6 * D
			if (role == "primary" && T > 1)
				sum += 3.5 * T * M + (T - 1) * 65536
			else
				sum += (role == "primary" ? 1.625 : 1.25) * M
			if (role == "primary") {
				sum += min(C, 4096 * P) + 4 * P
				sum += K < 4096 * P ? K * (1 + 65 / 32768) \
					: 4096 * P + P / 8
				sum += min(K, 4096 * P) * 1025 / 32768
				sum += (F + 3) * P / 8 + 131072
			} else
				sum += 4096 * e + 8 * P
		}
		printf "%.1f\n", sum / M
	}'
}

# memory_of HOST FIELD: MB of remusd there.
memory_of() {
	host_exec "$1" bash -c 'cat "/proc/$(cat /run/lab/remusd.pid)/status"' |
		awk -v f="$2:" '$1 == f { printf "%.1f\n", $2 / 1024 }'
}

# memory_rows MEGABYTES WHEN
memory_rows() {
	local h role pages anon shared anon_max shared_max
	pages=$(status_of alpha .dirty_pages.max)
	for h in alpha beta; do
		role=primary
		[ "$h" = alpha ] || role=backup
		anon=$(memory_of "$h" RssAnon)
		shared=$(memory_of "$h" RssShmem)
		anon_max=$(memory_bound "$role" "$1" "$pages" anon)
		shared_max=$(memory_bound "$role" "$1" "$pages" shared)
		row mb="$1" role="$role" when="$2" anon="$anon" \
			anon_max="$anon_max" shared="$shared" \
			shared_max="$shared_max" \
			total="$(memory_of "$h" VmRSS)" \
			peak="$(memory_of "$h" VmHWM)" \
			within="$(awk -v a="$anon" -v b="$anon_max" \
				-v c="$shared" -v d="$shared_max" 'BEGIN {
				print a <= b && c <= d ? "yes" : "NO" }')"
	done
}

table_memory() {
	local mb sizes=(128 256 512)
	[ "$QUICK" = false ] || sizes=(128)
	MEM_IN_FLIGHT=4 MEM_GATE_QUEUE=$((8 << 20)) MEM_THREADS=1
	table memory "Resident memory of remusd, MB" "mb|guest|0" "role|side|-" \
		"when|after|-" "anon|own|1" "anon_max|at most|1" \
		"shared|shared|1" "shared_max|at most|1" "total|total|1" \
		"peak|peak|1" "within|within|-"
	for mb in "${sizes[@]}"; do
		step "$mb MB"
		pair_up "$mb" "" "max_in_flight = $MEM_IN_FLIGHT" \
			"gate_queue = $((MEM_GATE_QUEUE >> 20))M" \
			"capture = 64M" "cache = 64M"
		protect
		wait_epochs 80
		memory_rows "$mb" "first copy"
		pair_down
		step "$mb MB, burst"
		pair_up "$mb" 40000,16 "max_in_flight = $MEM_IN_FLIGHT" \
			"gate_queue = $((MEM_GATE_QUEUE >> 20))M" \
			"capture = 64M" "cache = 64M"
		protect
		wait_epochs 20
		host_exec alpha remusctl set "$VM" interval=2s >/dev/null
		wait_epochs 3
		host_exec alpha remusctl set "$VM" interval=25 >/dev/null
		wait_epochs 80
		[ "$(status_of alpha .dirty_pages.max)" -gt 2000 ] ||
			give_up "there was no burst"
		memory_rows "$mb" "a burst"
		pair_down
	done
	note "own: private memory; its bound on the primary is capture + cache" \
		"+ lists and buffers, on the backup the pages of the largest" \
		"epoch + lists and buffers (the formula, term by term, is in" \
		"tests/bench/table_memory.sh). shared: the guest's RAM, which" \
		"is there anyway, and the send queue, mapped twice. A burst:" \
		"some epochs of 2 s of a guest that writes 16 MB."
	plot '{kind: "bars", x: "mb", xlabel: "guest, MB", panels: [
		"primary", "backup" | {title: "\(.), after a burst",
		ylabel: "MB", where: {role: ., when: "a burst"},
		y: [{key: "anon", label: "own"}, {key: "anon_max",
		label: "at most"}, {key: "shared"}]}]}'
	table_end
}
