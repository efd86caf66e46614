# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# agent - what ocf:remus:vm costs: one monitor, and those of 50 machines.

AGENT_INTERVAL_S=10

# monitor_times NODE CALLS: wall, user and system time of each, seconds; the
# action's exit code must be the first word.
monitor_times() {
	# shellcheck disable=SC2016 # expands in the host
	host_exec "$1" env OCF_ROOT=/usr/lib/ocf OCF_RESOURCE_INSTANCE=vm1 \
		OCF_RESKEY_config=/etc/remus/vm1.conf \
		OCF_RESKEY_crm_feature_set=3.16.1 \
		OCF_RESKEY_CRM_meta_timeout=20000 \
		OCF_RESKEY_CRM_meta_interval=10000 \
		OCF_RESKEY_CRM_meta_on_node="$1" \
		OCF_RESKEY_CRM_meta_clone_max=2 \
		OCF_RESKEY_CRM_meta_notify=true \
		bash -c '
		TIMEFORMAT="%R %U %S"
		for ((i = 0; i < $0; i++)); do
			{ time { /usr/lib/ocf/resource.d/remus/vm monitor \
				>/dev/null 2>&1; rc=$?; }; } 2>/run/time
			echo "$rc $(cat /run/time)"
			sleep 0.1
		done' "$2"
}

# monitor_cell NODE ROLE CODE CALLS
monitor_cell() {
	local f=$LAB_DIR/times
	monitor_times "$1" "$4" >"$f"
	! grep -v "^$3 " "$f" || die "not all of them are $3"
	cell role="$2" calls="$4" \
		p50="$(cut -d ' ' -f 2 "$f" | quantile_ms 0.5)" \
		max="$(cut -d ' ' -f 2 "$f" | quantile_ms 1)" \
		cpu="$(awk '{ print $3 + $4 }' "$f" | quantile_ms 0.5)"
}

quantile_ms() { # Q: of seconds, a line each
	sort -n | awk -v q="$1" '{ v[NR] = $1 }
		END { printf "%.1f\n", v[int(q * (NR - 1)) + 1] * 1000 }'
}

monitor_cells() {
	one_vm
	look
	sleep 5 # what protection began
	monitor_cell "$P" Promoted 8 "$1"
	monitor_cell "$B" Unpromoted 0 "$1"
}

# ---- many ----

fake_name() { printf 'f%02d' "$1"; }

# No guest, no TAP: a pretended one, checkpointed as seldom as may be.
fake_define() {
	local n name dir
	dir=$(host_dir alpha etc)
	(umask 077; head -c 32 /dev/urandom >"$dir/fake.key")
	for ((n = 1; n <= $1; n++)); do
		name=$(fake_name "$n")
		cat >"$dir/$name.conf" <<-END
		name     = $name
		driver   = fake
		memory   = 2M
		interval = 10s
		node     = alpha 10.77.1.1:$((7100 + n))
		node     = beta  10.77.1.2:$((7100 + n))
		key_file = /etc/remus/fake.key
		END
	done
	cp -p "$dir"/f*.conf "$dir/fake.key" "$(host_dir beta etc)/"
}

# Before the cluster knows of them: it finds them running.  To start so many by
# Pacemaker takes it long, for every state that is told makes it think again.
fake_run() {
	local n h name
	for h in alpha beta; do
		for ((n = 1; n <= $1; n++)); do
			name=$(fake_name "$n")
			quiet "$h" remusd --node "$h" "$name"
		done
	done
	for ((n = 1; n <= $1; n++)); do
		name=$(fake_name "$n")
		wait_until 20 quiet alpha remusctl start "$name" ||
			die "$name does not start"
		quiet alpha remusctl protect "$name"
	done
}

# One by one by pcs would take minutes of python.
fake_resources() {
	local n name
	echo "<resources>"
	for ((n = 1; n <= $1; n++)); do
		name=$(fake_name "$n")
		cat <<-END
		<clone id="$name-clone">
		<meta_attributes id="$name-m">
		<nvpair id="$name-m1" name="promotable" value="true"/>
		<nvpair id="$name-m2" name="notify" value="true"/>
		</meta_attributes>
		<primitive id="$name" class="ocf" provider="remus" type="vm">
		<instance_attributes id="$name-i">
		<nvpair id="$name-i1" name="config" value="/etc/remus/$name.conf"/>
		</instance_attributes>
		<operations>
		<op id="$name-o1" name="start" interval="0s" timeout="60s"/>
		<op id="$name-o2" name="stop" interval="0s" timeout="60s"/>
		<op id="$name-o3" name="promote" interval="0s" timeout="60s"/>
		<op id="$name-o4" name="demote" interval="0s" timeout="60s"/>
		<op id="$name-o5" name="monitor" role="Promoted" interval="${AGENT_INTERVAL_S}s" timeout="20s"/>
		<op id="$name-o6" name="monitor" role="Unpromoted" interval="$((AGENT_INTERVAL_S + 1))s" timeout="20s"/>
		</operations>
		</primitive>
		</clone>
		END
	done
	echo "</resources>"
}

fakes_promoted() {
	[ "$(crm_xml | grep -c 'resource_agent="ocf:remus:vm" role="Promoted"')" \
		-eq "$1" ]
}
fakes_protected() {
	[ "$(quiet alpha crm_mon -1A | grep -c 'state.*: primary protected')" \
		-eq "$1" ]
}

# monitor_log NODE FROM_MS: what its executor wrote of monitors: "MS NAME CODE
# TOOK_MS" at the end of each.
monitor_log() {
	local day
	day=$(date +%Y-%m-%d)
	sed -n 's/^[A-Z][a-z]* *[0-9]* \([0-9:.]*\) .*(log_finished).*: \(f[0-9]*\) monitor (.*) exited with status \([0-9]*\) (execution time \([0-9]*\)ms.*/\1 \2 \3 \4/p' \
		"$(host_dir "$1" disk)/var/log/pacemaker/pacemaker.log" |
		awk -v day="$(date -d "$day" +%s)" -v from="$2" '{
			split($1, t, ":")
			ms = (day + t[1] * 3600 + t[2] * 60 + t[3]) * 1000
			if (ms >= from) printf "%d %s %s %s\n", ms, $2, $3, $4
		}'
}

# many_cell COUNT SECONDS
many_cell() {
	local from n began
	export PCMK_debug=pacemaker-execd # tells of each monitor
	began=$(now_ms)
	cluster_start alpha beta
	fake_define "$1"
	fake_run "$1"
	say "$1 run"
	fake_resources "$1" >"$LAB_DIR/fakes.xml"
	host_exec alpha cibadmin --modify --scope resources --allow-create \
		--xml-pipe <"$LAB_DIR/fakes.xml"
	wait_for 600 "$1 promoted" fakes_promoted "$1"
	wait_for 300 "$1 protected" fakes_protected "$1"
	wait_for 120 rest idle
	sleep $((AGENT_INTERVAL_S * 2))
	from=$(now_ms)
	say "$1 protected $((from - began)) ms after the beginning"
	sleep "$2"
	for n in alpha beta; do
		monitor_log "$n" "$from" >"$LAB_DIR/monitors.$n"
		monitor_judge "$n" "$1" "$2" <"$LAB_DIR/monitors.$n"
	done
}

# A monitor begins its interval after the end of the one before.  Late is one
# that ends more than a second later than that and its own time.
monitor_judge() { # NODE COUNT SECONDS
	local f=$LAB_DIR/judge
	awk -v interval=$((AGENT_INTERVAL_S * 1000)) '
		{
			took[NR] = $4
			role = $3 == 0 ? interval + 1000 : interval
			if ($2 in last) {
				over = $1 - last[$2] - $4 - role
				if (over > 1000) late++
				if (over > worst) worst = over
			}
			last[$2] = $1
			if ($3 != 8 && $3 != 0) bad++
			if ($3 == 8) promoted[$2] = 1
		}
		END {
			for (v in last) vms++
			for (v in promoted) prom++
			print NR, late + 0, worst + 0, bad + 0, vms + 0, prom + 0
		}' >"$f.sums" < <(tee >(cut -d ' ' -f 4 | sort -n >"$f.took"))
	local n late worst bad vms promoted
	read -r n late worst bad vms promoted <"$f.sums"
	cell node="$1" vms="$vms" promoted="$promoted" seconds="$3" \
		monitors="$n" late="$late" worst="$worst" bad="$bad" \
		took50="$(awk '{ v[NR] = $1 } END { print v[int((NR - 1) / 2) + 1] }' \
			"$f.took")" \
		took99="$(awk '{ v[NR] = $1 } END { print v[int((NR - 1) * 0.99) + 1] }' \
			"$f.took")" \
		load="$(cut -d ' ' -f 1 /proc/loadavg)"
}

table_agent() {
	local calls=100 many=50 seconds=60
	if [ "$QUICK" = true ]; then
		calls=10 many=5 seconds=30
	fi
	table agent "ocf:remus:vm: one monitor, milliseconds" \
		"role|role|-" "calls|calls|0" "p50|wall p50|1" "max|max|1" \
		"cpu|CPU p50|1"
	step "a cluster"
	in_cluster monitor_cells "$calls"
	rows_of_cells
	limit_note "Limit for the median:" p50 50
	load_note
	table_end
	table monitors "ocf:remus:vm: the monitors of $many machines on each of two nodes" \
		"node|node|-" "vms|machines|0" "promoted|promoted|0" \
		"seconds|seconds|0" "monitors|monitors|0" "late|late|0" \
		"worst|worst ms|0" "bad|failed|0" "took50|took p50|0" \
		"took99|p99|0" "load|load|2"
	step "$many machines"
	in_cluster many_cell "$many" "$seconds"
	rows_of_cells
	note "Driver fake, checkpoint interval 10 s; monitors every" \
		"$AGENT_INTERVAL_S s (promoted) and $((AGENT_INTERVAL_S + 1)) s." \
		"late: more than a second behind that; worst: the most that one" \
		"was behind; took: by Pacemaker's executor, milliseconds." \
		"Both nodes share this machine."
	load_note
	table_end
}
