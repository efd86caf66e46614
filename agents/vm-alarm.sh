# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# vm-alarm.sh - what reaches the cluster without waiting for a monitor.
#
#   NAME.hook changed   remusd runs it when anything changed (on_change)
#   NAME.hook watch     is left behind by start, and waits for the end of remusd
#                       by its lock; stop ends it
#   NAME.hook cut       runs while a primary waits for a backup out of reach
#   NAME.hook taken     a guest was taken away from here: Pacemaker is to look
#   NAME.hook forgive   takes back, in Pacemaker's list of failures, what is over
#
# The hook is a script that start writes: it has the resource's parameters, gets
# into the queue of the actions (one at a time acts on this node's machine), and
# becomes the agent.  The agent's own actions go on when they cannot get the lock
# of that queue: a lock must not be why a machine cannot be stopped.
# shellcheck disable=SC2034,SC2154 # set by who sources this, or by eval

HOOK=$STATE_DIR/$NAME.hook
QUEUE=$STATE_DIR/$NAME.queue
WATCHER=$STATE_DIR/$NAME.watcher # its process id
CUT=$STATE_DIR/$NAME.cut	 # and of who watches the latest cut
MOVING=$STATE_DIR/$NAME.moving	 # when a hand-over began

# A hand-over that takes longer than this is told of.
MOVING_S=15
# How often a backup that stays out of reach is given up anew.
CUT_AGAIN_S=30
# How long it is seen to that Pacemaker knows of a guest that was taken away: at
# most, and once it seems to know.
TAKEN_S=60
KNOWN_S=8

queue_up() { # SECONDS
	[ -d "$STATE_DIR" ] || mkdir -p "$STATE_DIR" || return
	command exec 9>"$QUEUE" && flock -w "$1" 9
} 2>/dev/null

quoted() { printf "'%s'" "$(printf '%s' "$1" | sed "s/'/'\\\\''/g")"; }

# The agent's path, wherever it was called from.
agent_path() {
	case $0 in
	/*) echo "$0" ;;
	*) echo "$PWD/$0" ;;
	esac
}

make_hook() {
	mkdir -p "$STATE_DIR" && {
		echo "# made by ocf:remus:vm; see vm-alarm.sh"
		echo "STATE=$(quoted "$STATE_DIR/$NAME") LOCK=$(quoted "$(lock_file)")"
		hook_variables
		echo "agent() { $(quoted "$(agent_path)") \"\$@\"; }"
		hook_body
	} >"$HOOK.new" && mv -f "$HOOK.new" "$HOOK"
}

hook_variables() {
	env | sed -n 's/^\(\(OCF\|HA\|PCMK\|REMUS\)_[A-Za-z0-9_]*\)=.*/\1/p' |
		sort -u | while read -r variable; do
		case $variable in
		OCF_RESKEY_CRM_meta_notify_* | OCF_RESKEY_CRM_meta_timeout | \
			OCF_RESKEY_CRM_meta_interval | OCF_TRACE_*) continue ;;
		esac
		eval "value=\$$variable"
		echo "export $variable=$(quoted "$value")"
	done
	echo "export PATH=$(quoted "$PATH")"
}

hook_body() {
	cat <<-'END'
	queue() { exec 9>"$STATE.queue" && flock -w 30 9; }
	case $1 in
	watch) flock -s "$LOCK" true && queue && agent died ;;
	changed) queue && agent changed ;;
	cut)
		# The latest cut counts: who saw an earlier one may be in a long
		# pause, or about to act as if this one were as old.
		echo $$ >"$STATE.cut"
		latest() { [ "$(cat "$STATE.cut")" = $$ ]; }
		pause=$2
		while sleep "$pause"; do
			# Who cannot get into the queue knows nothing yet.
			(queue || exit 2; latest && agent cut)
			case $? in
			0) pause=$3 ;;
			2) pause=$2 ;;
			*) break ;;
			esac
		done
		;;
	taken)
		# Who is at it already may be about to end.
		exec 8>"$STATE.taken"
		flock -w 10 8 || exit 0
		agent taken
		;;
	forgive) sleep 1 && agent forgive ;;
	esac
	END
}

# In the background, in a session of its own, with nothing of ours open.
run_hook() {
	setsid sh "$HOOK" "$@" </dev/null >/dev/null 2>&1 8>&- 9>&- &
}

# ---- the end of remusd ----

# As good as known, and without a fork: each monitor asks.
watcher_lives() {
	[ -r "$WATCHER" ] && read -r watcher <"$WATCHER" &&
		read -r comm <"/proc/$watcher/comm" && [ "$comm" = sh ]
} 2>/dev/null

watch_remusd() {
	watcher_lives && return 0
	[ -e "$HOOK" ] || return 0
	run_hook watch
	echo $! >"$WATCHER"
}

end_watcher() {
	! watcher_lives ||
		! grep -qF "$HOOK" "/proc/$watcher/cmdline" 2>/dev/null ||
		kill -s TERM -- "-$watcher" 2>/dev/null
	rm -f "$WATCHER"
}

vm_died() {
	rm -f "$WATCHER"
	if ask_status; then
		watch_remusd # somebody has started another
		return
	fi
	notes_read
	[ "$told_state" != gone ] || return 0 # a monitor was faster
	ocf_log err "$NAME: remusd has ended"
	publish_gone tell_failure
}

# ---- changes ----

vm_changed() {
	is_moving && return
	ask_status || return "$OCF_SUCCESS" # the watcher knows why
	notes_read
	before=$told_state
	publish
	[ "$seen" != "$before" ] || return 0
	case $seen in
	failed) tell_failure "$SELF" ;;
	"primary protected") forgive_later ;;
	esac
}

# During a hand-over each moment is one without the guest, and the promotion
# tells everything.
is_moving() {
	[ -r "$MOVING" ] && read -r since <"$MOVING" &&
		[ $(($(now_s) - since)) -lt "$MOVING_S" ]
} 2>/dev/null

resource() { echo "${OCF_RESOURCE_INSTANCE%%:*}"; }

tell_failure() { # NODE
	out=$(crm_resource --fail --resource "$(resource)" --node "$1" 2>&1) ||
		ocf_log warn "$NAME: the cluster is not told of the failure" \
			"on $1: $out"
}

# ---- a guest that was taken away ----

# The witnesses have the peer go on, and this node was not asked: it was frozen,
# or cut off.  Its Pacemaker, back among the others, still reports a promoted
# instance, and of two that one would be demoted.  By a new probe it learns the
# truth; a monitor that was faster has a failure in the list, which is over.
was_taken_away() {
	[ ! -e "$HOOK" ] || run_hook taken
}

# Not in the queue.  The cluster may be long in coming together.
vm_taken() {
	known=0
	end=$(($(now_s) + TAKEN_S))
	while [ "$known" -lt "$KNOWN_S" ] && [ "$(now_s)" -lt "$end" ]; do
		sleep 1
		# It may have been promoted meanwhile, and the failure is there.
		! ask_status || [ "$remus_role" != primary ] || break
		known=$((known + 1))
		believed_promoted "$SELF" || continue
		known=0
		ocf_log warn "$NAME: the cluster takes $SELF for promoted:" \
			"it is to look"
		out=$(timeout 10 crm_resource --refresh --node "$SELF" \
			--resource "$(resource)" 2>&1) ||
			ocf_log warn "$NAME: no refresh on $SELF: $out"
	done
	forgive "$SELF" monitor
}

believed_promoted() { # NODE
	out=$(crm_resource --locate --resource "$(resource)" 2>/dev/null)
	case "$out
" in
	*" on: $1 Promoted
"* | *" on: $1 Master
"*) return 0 ;;
	esac
	return 1
}

# ---- a backup out of reach, whose node is alive ----

notice_cut() {
	[ "$OCF_RESKEY_alone" != run ] || [ ! -e "$HOOK" ] ||
		run_hook cut "$OCF_RESKEY_reconnect_wait" "$CUT_AGAIN_S"
}

# Pacemaker restarts the peer's instance.  That it was stopped in between is the
# proof by which the output may go (post-stop in vm_notify); what is started
# again holds nothing, and gets everything when the connection is back.
# 0: still so; 2: the peer's node is away, or nothing is known, so look again
# soon; else it is over.
vm_cut() {
	ask_status || return 2
	look
	[ "$seen" = "primary waiting" ] || return 1
	if [ -e "$PEER_GONE" ] || ! is_member "$remus_peer"; then
		look_for_peer # fencing decides
		return 2
	fi
	ocf_log warn "$NAME: $remus_peer is in the cluster, but cannot be" \
		"reached for replication: its instance is restarted"
	notes_read
	cut_told=$remus_peer
	notes_write
	tell_failure "$remus_peer"
	return 0
}

# ---- what is over ----

# In the background: the cleanup makes Pacemaker look again, with a monitor.
forgive_later() {
	[ -n "$degraded_ms$cut_told" ] && [ -e "$HOOK" ] || return 0
	run_hook forgive
}

# Of the operations named here alone: a failure of another kind stays in the
# list until somebody has seen it.
vm_forgive() {
	ask_status && look && [ "$seen" = "primary protected" ] || return 0
	notes_read
	[ -z "$degraded_ms" ] ||
		forgive "$SELF" monitor "${degraded_ms}ms" || return 0
	[ -z "$cut_told" ] || forgive "$cut_told" asyncmon 0 || return 0
	# The probe after a cleanup may have removed the notes; those that are
	# there now are not ours.
	queue_up 5
	notes_read
	degraded_ms='' cut_told=''
	notes_write
}

forgive() { # NODE OPERATION [INTERVAL]
	out=$(crm_resource --cleanup --resource "$(resource)" --node "$1" \
		--operation "$2" ${3:+--interval "$3"} 2>&1) || {
		ocf_log warn "$NAME: no cleanup of $2 on $1: $out"
		return 1
	}
}
