# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# vm-cluster.sh - what ocf:remus:vm tells the cluster and knows from it: states,
# the newest ticket, promotion scores, attributes, and going on alone.
# shellcheck disable=SC2034,SC2154 # set by who sources this, or by eval

SCORE_ONLY=3000
SCORE_PRIMARY=2000
SCORE_STANDBY=1000
SCORE_UNSEEN=500
SCORE_BOOT_HOLDER=10
SCORE_BOOT_FIRST=6
SCORE_BOOT=5
SCORE_NEVER=-INFINITY

# How often it is seen to that the cluster has not lost what it was told.
ASSURE_EVERY_S=60

# How long a demotion waits until the cluster knows the score again.
SCORE_S=10

# Numbers go to the cluster this seldom: each makes it think.
NUMBERS_EVERY_S=60

# A machine that gets its protection is not yet a failure.  Pacemaker keeps a
# degraded result in its list of failures until a cleanup.
GRACE_S=20

# ---- what the cluster knows ----

attr() { echo "remus-$NAME-$1"; }

# Everyone's word, as lines "NODE VALUE" (the value may have blanks).
states() { words state; }

words() { # ATTRIBUTE
	# With these set, -A means the node that they name.
	(
		unset OCF_RESKEY_CRM_meta_on_node \
			OCF_RESKEY_CRM_meta_physical_host \
			OCF_RESKEY_CRM_meta_container_attribute_target
		exec attrd_updater -Q -A -n "$(attr "$1")" 2>/dev/null
	) | sed -n 's/.*host="\([^"]*\)" value="\([^"]*\)".*/\1 \2/p'
}

# The newest ticket that any primary had: "GENERATION TICKET", kept in the
# cluster's configuration, where a loss of power does not lose it.  Into
# cluster_generation and cluster_ticket; 1: cannot be told.
cluster_ticket() {
	cluster_generation=0
	cluster_ticket=none
	value=$(crm_attribute -q --type crm_config --set-name remus \
		--name "$(attr ticket)" --query 2>/dev/null)
	case $? in
	0) ;;
	105 | 6) return 0 ;; # there is none
	*) return 1 ;;
	esac
	[ -n "$value" ] || return 0
	cluster_generation=${value%% *}
	cluster_ticket=${value#* }
	case $cluster_generation in
	'' | *[!0-9]*) return 1 ;;
	esac
}

# Within a generation: protected, then none (it ended), then alone.
ticket_rank() {
	case $1 in
	protected*) echo 1 ;;
	none) echo 2 ;;
	*) echo 3 ;;
	esac
}

# 0: another node had the guest more recently than this one knows of.
is_left_behind() {
	[ "$remus_generation" -ge "$cluster_generation" ] || return 0
	[ "$remus_generation" -eq "$cluster_generation" ] || return 1
	# alone here, and ended here: nobody else can have gone on from that
	[ "$cluster_ticket" != "alone($SELF)" ] || return 1
	[ "$(ticket_rank "$remus_ticket")" -lt \
		"$(ticket_rank "$cluster_ticket")" ]
}

# remember_ticket GENERATION TICKET
remember_ticket() {
	notes_read
	[ "$1 $2" != "$told_ticket" ] || return 0
	out=$(crm_attribute --type crm_config --set-name remus \
		--name "$(attr ticket)" --update "$1 $2" 2>&1) || {
		ocf_log warn "$NAME: the cluster does not keep the ticket: $out"
		return 1
	}
	told_ticket="$1 $2"
	notes_write
}

can_fence() {
	value=$(crm_attribute -q --type crm_config --name stonith-enabled \
		--query --default true 2>/dev/null) && ocf_is_true "$value"
}

is_member() {
	members=$(crm_node --partition 2>/dev/null) && one_of "$1" "$members"
}

# 0: the cluster has made sure that nothing of the machine is left on the peer.
# To be asked only where Pacemaker holds the peer's instance for stopped: it
# probed or stopped it, or fenced the node; a node that is just out of sight was
# fenced only if there is fencing, and by a partition with quorum.  (With
# no-quorum-policy=freeze the others tell of stops, too, that nobody made.)
is_gone_for_sure() {
	is_member "$1" || { can_fence && has_quorum; }
}

# A node that left is unclean, until it is fenced.
is_offline_and_clean() { # NODE
	crm_mon --one-shot --output-as=xml 2>/dev/null |
		grep -F "<node name=\"$1\" " | grep -F ' online="false"' |
		grep -qF ' unclean="false"'
}

has_quorum() { [ "$(crm_node --quorum 2>/dev/null)" = 1 ]; }

# 0: promote may boot the guest anew; 1: $why not.  With "for-sure": with proof, not
# only as far as is known.
may_cold_boot() {
	if [ "$OCF_RESKEY_cold_boot" = never ]; then
		why="no epoch is here to go on from, and cold_boot=never"
		return 1
	fi
	if ! cluster_ticket; then
		why="no epoch is here to go on from, and the cluster does not tell who had the last"
		return 1
	fi
	if [ "$OCF_RESKEY_cold_boot" != always ] && is_left_behind; then
		why="no epoch is here to go on from, and another node had $NAME last: the cluster knows $cluster_ticket of generation $cluster_generation, $SELF $remus_ticket of $remus_generation (cold_boot=always boots it here all the same)"
		return 1
	fi
	said=
	others=$(states)
	while read -r node value; do
		case $node in
		'' | "$SELF") continue ;;
		esac
		case $value in
		primary*)
			why="$NAME runs on $node"
			return 1
			;;
		"backup standby")
			why="$node holds an epoch of $NAME"
			return 1
			;;
		esac
		[ "$node" != "$remus_peer" ] || said=$value
	done <<-END
	$others
	END
	[ "$1" = for-sure ] && [ -z "$said" ] || return 0
	if one_of "$remus_peer" "$OCF_RESKEY_CRM_meta_notify_active_uname $OCF_RESKEY_CRM_meta_notify_start_uname"; then
		why="$remus_peer has not said yet what it holds of $NAME"
		return 1
	fi
	is_gone_for_sure "$remus_peer" && return 0
	why="$remus_peer is out of sight, and there is no fencing or no quorum: $NAME may run there"
	return 1
}

# ---- the agent's notes: what was told to the cluster, and when ----

notes_read() {
	told_state='' told_score='' told_ticket='' told_numbers=0 bare_since=0
	degraded_ms='' cut_told='' told_witnesses='' assured=0
	[ -e "$NOTES" ] || return 0
	while IFS='=' read -r key value; do
		case $key in
		state) told_state=$value ;;
		score) told_score=$value ;;
		ticket) told_ticket=$value ;;
		numbers) told_numbers=$value ;;
		bare_since) bare_since=$value ;;
		degraded_ms) degraded_ms=$value ;;
		cut_told) cut_told=$value ;;
		witnesses) told_witnesses=$value ;;
		assured) assured=$value ;;
		esac
	done <"$NOTES"
}

notes_write() {
	mkdir -p "$STATE_DIR" &&
		printf '%s=%s\n' state "$told_state" score "$told_score" \
			ticket "$told_ticket" numbers "$told_numbers" \
			bare_since "$bare_since" degraded_ms "$degraded_ms" \
			cut_told "$cut_told" witnesses "$told_witnesses" \
			assured "$assured" \
			>"$NOTES.new" &&
		mv -f "$NOTES.new" "$NOTES"
}

forget_notes() { rm -f "$NOTES"; }

# ---- scores and attributes ----

# The score of $seen, into $wanted.
rate() {
	wanted=$SCORE_NEVER
	case $seen in
	primary*)
		wanted=$SCORE_PRIMARY
		if has_the_only_copy; then
			wanted=$SCORE_ONLY
		elif [ "$seen" = "primary protected" ] && is_better_there; then
			wanted=$SCORE_UNSEEN
		fi
		;;
	"backup standby") wanted=$SCORE_STANDBY ;;
	"backup empty")
		may_cold_boot as-known || return 0
		case $remus_ticket in
		*"($SELF)" | *"($SELF,"*) wanted=$SCORE_BOOT_HOLDER ;;
		*)
			wanted=$SCORE_BOOT
			[ "$(printf '%s\n' "$SELF" "$remus_peer" | sort |
				head -n 1)" != "$SELF" ] ||
				wanted=$SCORE_BOOT_FIRST
			;;
		esac
		;;
	esac
}

# A node that was fenced by its witnesses, and does not know it yet, comes back
# with the score of what it was: protected.  Whoever took over from it must have
# a higher one, until the cluster has heard from it.
has_the_only_copy() {
	[ "$remus_ticket" != "alone($SELF)" ] || return 0
	notes_read
	[ "$told_score" = "$SCORE_ONLY" ] && seems_primary "$remus_peer"
}

# Clients do not reach this node, and reach the other, which can go on with the
# guest as it is.  Who cannot be told to be reached is not.
is_better_there() {
	[ "$remus_witnesses" = lost ] && says "$remus_peer" witnesses reached &&
		says "$remus_peer" state "backup standby"
}

seems_primary() { says "$1" state primary; } # NODE

# By its own word, as the cluster knows it.
says() { # NODE ATTRIBUTE BEGIN
	all=$(words "$2")
	case "
$all" in
	*"
$1 $3"*) return 0 ;;
	esac
	return 1
}

set_score() {
	notes_read
	[ "$1" != "$told_score" ] || return 0
	# Not -v: of "-v -INFINITY" crm_attribute makes the node FINITY.
	out=$(ocf_promotion_score --update="$1" 2>&1) || {
		ocf_log warn "$NAME: promotion score $1 is not set: $out"
		return 1
	}
	told_score=$1
	notes_write
}

# Two halves of a cluster that meet again go on with the newer one of their two
# configurations, which may be that of a node that thawed: there ours is lost, its
# score too, for a second or more.  Nobody is promoted then.  All that was told is
# written anew.
remind() { attrd_updater -R >/dev/null 2>&1; }

# The score of this node that Pacemaker decides by, into $known; empty: there is
# none.  1: cannot be told.
ask_score() {
	known=$(cibadmin --query --scope status --xpath \
		"//node_state[@uname='$SELF']//nvpair[@name='master-${OCF_RESOURCE_INSTANCE%%:*}']" \
		2>/dev/null)
	case $? in
	0)
		known=${known#* value=\"}
		known=${known%%\"*}
		;;
	105 | 6) known= ;;
	*) return 1 ;;
	esac
}

# 0: a score was told that makes this node a choice.
has_told_score() {
	notes_read
	case $told_score in
	'' | *[!0-9]*) return 1 ;;
	esac
}

# 1: Pacemaker has another one than was told, or none.
score_is_known() {
	! has_told_score || ! ask_score || [ "$known" = "$told_score" ]
}

# Pacemaker's attribute manager may have it still, or not.
tell_score_anew() {
	ocf_promotion_score --update="$told_score" >/dev/null 2>&1
	remind
}

# Whoever is to be demoted for want of a score tells it anew.  Pacemaker hears of
# it before the answer to this notification, drops what it was about, and thinks
# again.
await_score() {
	score_is_known && return 0
	ocf_log warn "$NAME: the cluster has lost the score of $SELF, and would" \
		"demote it: telling it anew"
	end=$(($(now_s) + SCORE_S))
	until tell_score_anew; score_is_known; do
		[ "$(now_s)" -lt "$end" ] || return 0
		sleep 0.2
	done
	sleep 0.5
}

# Nothing but a change is told, so that what gets lost stays lost.
assure_score() {
	has_told_score || return 0
	time=$(now_s)
	[ $((time - assured)) -ge "$ASSURE_EVERY_S" ] || return 0
	assured=$time
	notes_write
	ask_score && [ -z "$known" ] || return 0
	ocf_log warn "$NAME: the cluster has lost the score of $SELF:" \
		"telling it anew"
	tell_score_anew
}

tell() { # ATTRIBUTE VALUE [DELAY]
	attrd_updater -n "$(attr "$1")" -B "$2" -d "${3:-0}" >/dev/null 2>&1
}

tell_witnesses() {
	notes_read
	[ "$remus_witnesses" != "$told_witnesses" ] || return 0
	case $remus_witnesses in
	lost) ocf_log warn "$NAME: no majority of the witnesses answers" ;;
	reached) ;;
	*) return 0 ;;
	esac
	tell witnesses "$remus_witnesses" || return 0
	told_witnesses=$remus_witnesses
	notes_write
}

tell_numbers() {
	tell peer "$remus_peer" 5
	tell epoch "$remus_epoch_committed" 5
	tell lag_ms "$remus_lag_ms" 5
	tell ratio "${remus_ratio%?}" 5
	tell pause_p99_us "$remus_pause_us_p99" 5
}

untell() {
	for a in "$@"; do
		attrd_updater -n "$(attr "$a")" -D >/dev/null 2>&1
	done
}

# One line for people, when protection comes or goes.
log_change() { # BEFORE NOW
	case $1,$2 in
	"primary protected,primary "*)
		ocf_log warn "$NAME: protection lost:" \
			"${remus_reason:-$remus_state}"
		;;
	*",primary protected")
		ocf_log info "$NAME: protected by $remus_peer," \
			"generation $remus_generation"
		;;
	*,failed) ocf_log err "$NAME: failed: $remus_reason" ;;
	*) ocf_log info "$NAME: $2" ;;
	esac
}

# Tell the cluster what ask_status() found, as far as it is news.
publish() {
	look
	# Here it is: whatever was proven is no more so.
	[ "$remus_link_up" != true ] || [ ! -e "$PEER_GONE" ] ||
		rm -f "$PEER_GONE"
	tell_witnesses
	rate
	set_score "$wanted" # reads the notes
	if [ "$seen" != "$told_state" ]; then
		log_change "$told_state" "$seen"
		case $told_state,$seen in
		"primary "*,"backup "*) was_taken_away ;;
		esac
		# Not at once: at first there is little to tell.
		told_numbers=$(($(now_s) - NUMBERS_EVERY_S + 10))
		tell state "$seen" && told_state=$seen
		notes_write
		case $seen in
		"primary syncing") remind ;;
		"primary waiting") notice_cut ;;
		esac
		case $seen in
		primary*) ;;
		*) untell peer epoch lag_ms ratio pause_p99_us ;;
		esac
	fi
	case $seen in
	primary*) ;;
	*) return 0 ;;
	esac
	remember_ticket "$remus_generation" "$remus_ticket"
	time=$(now_s)
	note_protection
	if [ $((time - told_numbers)) -ge "$NUMBERS_EVERY_S" ]; then
		tell_numbers
		told_numbers=$time
		notes_write
	fi
}

# Since when it runs without protection; 0: it has it.
note_protection() {
	if [ "$seen" = "primary protected" ]; then
		[ "$bare_since" -eq 0 ] && return 0
		bare_since=0
	else
		[ "$bare_since" -ne 0 ] && return 0
		bare_since=$time
	fi
	notes_write
}

# It is gone, and not because we stopped it: what this node was good for, it is
# not any more.  TELL, if it is given, between what decides and what is shown.
publish_gone() { # [TELL]
	forget_notes
	set_score "$SCORE_NEVER"
	told_state=gone
	notes_write
	[ -z "$1" ] || "$1" "$SELF"
	tell state failed
	untell witnesses peer epoch lag_ms ratio pause_p99_us
}

# Pacemaker gets, and keeps, the degraded result of a monitor of that interval.
note_degraded() { # MILLISECONDS
	[ "$degraded_ms" != "$1" ] || return 0
	degraded_ms=$1
	notes_write
}

# ---- the backup is lost ----

# The cluster has stopped or fenced the peer.  Let the output go, once remusd
# has noticed too.
go_alone() { # SECONDS
	[ "$OCF_RESKEY_alone" = run ] || return 0
	end=$(($(now_s) + $1))
	while :; do
		case $remus_state in
		alone | active) return 0 ;;
		esac
		[ "$remus_role" = primary ] || return 0
		if [ "$remus_link_up" != true ]; then
			# First the cluster, then the output: whoever looks for
			# the newest state after this must know of it.
			remember_ticket "$remus_generation" "alone($SELF)" &&
				ctl alone --peer-is-dead && break
			ocf_log warn "$NAME: cannot go on alone: $out"
		fi
		[ "$(now_s)" -lt "$end" ] || return 0
		sleep 0.2
		ask_status || return 0
	done
	ocf_log warn "$NAME: goes on without a backup: $remus_peer is gone"
	ask_status
}

# The notification of that is lost when what Pacemaker was about is cut short, by
# the end of the fencing, say.  Then it can still be seen.
look_for_peer() {
	case $remus_state in
	alone | active) return 0 ;;
	esac
	if [ -e "$PEER_GONE" ]; then
		go_alone 0
	elif ! is_member "$remus_peer" && is_gone_for_sure "$remus_peer" &&
		is_offline_and_clean "$remus_peer"; then
		peer_is_gone
	fi
}

peer_is_gone() {
	[ "$remus_role" = primary ] || return 0
	if ! is_gone_for_sure "$remus_peer"; then
		ocf_log warn "$NAME: $remus_peer is out of sight, and there is" \
			"no fencing or no quorum: the output waits"
		return 0
	fi
	: >"$PEER_GONE"
	go_alone 15
}
