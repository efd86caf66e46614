# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# vm-node.sh - what ocf:remus:vm knows of this node: parameters, the definition
# that comes of them, remusd, and whether anything of the machine is here.
# shellcheck disable=SC2034,SC2154 # set by who sources this, by eval, or for it

# ---- parameters ----

# fail CODE WORDS...
fail() {
	code=$1
	shift
	ocf_exit_reason "$*"
	return "$code"
}

# one_of WORD "WORD WORD..."
one_of() {
	[ -n "$1" ] || return 1
	case " $2 " in
	*" $1 "*) return 0 ;;
	esac
	return 1
}

check_choice() { # PARAMETER VALUE CHOICES
	[ -z "$2" ] || one_of "$2" "$3" ||
		fail "$OCF_ERR_CONFIGURED" "$1=$2: one of: $3"
}

check_name() {
	case $OCF_RESKEY_config in
	/*.conf) ;;
	*)
		fail "$OCF_ERR_CONFIGURED" "config=$OCF_RESKEY_config:" \
			"expected an absolute path NAME.conf"
		return
		;;
	esac
	case $NAME in
	'' | [!A-Za-z0-9]* | *[!A-Za-z0-9._-]*)
		fail "$OCF_ERR_CONFIGURED" "config=$OCF_RESKEY_config:" \
			"'$NAME' is not a machine's name"
		;;
	esac
}

check_parameters() {
	check_name || return
	check_choice cold_boot "$OCF_RESKEY_cold_boot" \
		"never when-no-state always" || return
	check_choice alone "$OCF_RESKEY_alone" "run freeze" || return
	check_choice compression "$OCF_RESKEY_compression" \
		"on off fast tight auto" || return
	case $OCF_RESKEY_port in
	*[!0-9]*)
		fail "$OCF_ERR_CONFIGURED" "port=$OCF_RESKEY_port: a number"
		return
		;;
	esac
	case $OCF_RESKEY_reconnect_wait in
	'' | *[!0-9]* | 0* | ?????*)
		fail "$OCF_ERR_CONFIGURED" "reconnect_wait=$OCF_RESKEY_reconnect_wait:" \
			"a number of seconds, 1 to 9999"
		return
		;;
	esac
	if [ -n "$OCF_RESKEY_CRM_meta_clone_max" ] &&
		! ocf_is_true "$OCF_RESKEY_CRM_meta_notify"; then
		fail "$OCF_ERR_CONFIGURED" "the clone needs notify=true:" \
			"without it nobody tells $NAME what became of its peer"
	fi
}

# conf_get KEY: its value in the definition.
conf_get() {
	sed -n "s/^[[:blank:]]*$1[[:blank:]]*=[[:blank:]]*//p" \
		"$OCF_RESKEY_config" 2>/dev/null |
		sed -n '1s/[[:blank:]]*$//p'
}

# The lines that the parameters put in the place of the definition's own.
override_lines() {
	echo "on_change = /bin/sh $HOOK changed"
	[ -z "$OCF_RESKEY_interval" ] || echo "interval = $OCF_RESKEY_interval"
	[ -z "$OCF_RESKEY_compression" ] ||
		echo "compression = $OCF_RESKEY_compression"
	[ -z "$OCF_RESKEY_authkey" ] || echo "key_file = $OCF_RESKEY_authkey"
	[ -z "$OCF_RESKEY_gate" ] || echo "gate = $OCF_RESKEY_gate"
	[ "$OCF_RESKEY_alone" = run ] || echo "alone = freeze"
	if [ -n "$OCF_RESKEY_witnesses" ]; then
		echo "arbiter = witness"
		for w in $OCF_RESKEY_witnesses; do
			echo "witness = ${w%%=*} ${w#*=}"
		done
	fi
	[ -z "$OCF_RESKEY_witness_key" ] ||
		echo "witness_key = $OCF_RESKEY_witness_key"
	[ -n "$OCF_RESKEY_peers$OCF_RESKEY_port" ] || return 0
	if [ -n "$OCF_RESKEY_peers" ]; then
		for peer in $OCF_RESKEY_peers; do
			echo "node = ${peer%%=*} ${peer#*=}"
		done
	else
		sed -n 's/^[[:blank:]]*node[[:blank:]]*=/node =/p' \
			"$OCF_RESKEY_config"
	fi | if [ -n "$OCF_RESKEY_port" ]; then
		sed -e 's/[[:blank:]]*$//' -e 's/\]:[0-9]*$/]/' \
			-e 's/\([[:blank:]][^]:[[:blank:]]*\):[0-9]*$/\1/' \
			-e "s/\$/:$OCF_RESKEY_port/"
	else
		cat
	fi
}

# The definition that remusd is to read, in directory DIR, into $effective.  What
# is overridden stays as a comment, so that a message names the right line.
make_effective() { # DIR
	lines=$(override_lines) || return
	keys=$(printf '%s\n' "$lines" | sed 's/ *=.*//' | sort -u |
		tr '\n' '|')
	effective=$1/$NAME.conf
	mkdir -p "$1" &&
		{
			sed -E "s/^[[:blank:]]*(${keys%|})[[:blank:]]*=/# &/" \
				"$OCF_RESKEY_config"
			echo "# by the resource's parameters, and of the agent"
			printf '%s\n' "$lines"
		} >"$effective.new" && mv -f "$effective.new" "$effective"
}

# 0: this node is one of the machine's two.
belongs_here() {
	if [ -n "$OCF_RESKEY_peers" ]; then
		case " $OCF_RESKEY_peers " in
		*" $SELF="*) [ -r "$OCF_RESKEY_config" ] ;;
		*) return 1 ;;
		esac
	else
		grep -Eq "^[[:blank:]]*node[[:blank:]]*=[[:blank:]]*${SELF}[[:blank:]]" \
			"$OCF_RESKEY_config" 2>/dev/null
	fi
}

validate() { # DIR, for the definition
	check_parameters || return
	for program in remusd remusctl flock; do
		command -v "$program" >/dev/null 2>&1 || {
			fail "$OCF_ERR_INSTALLED" "$program is not installed"
			return
		}
	done
	[ -r "$OCF_RESKEY_config" ] || {
		fail "$OCF_ERR_INSTALLED" "$OCF_RESKEY_config: not on $SELF"
		return
	}
	make_effective "$1" || {
		fail "$OCF_ERR_GENERIC" "cannot make a definition of $OCF_RESKEY_config and the parameters"
		return
	}
	out=$(remusctl check "$effective" 2>&1) || {
		fail "$OCF_ERR_INSTALLED" "${out#remusctl: }"
		return
	}
	belongs_here ||
		fail "$OCF_ERR_INSTALLED" "$effective: $SELF is not one of" \
			"the two nodes of $NAME"
}

# 0: witnesses decide which copy may be seen.
judged() {
	[ -n "$OCF_RESKEY_witnesses" ] || [ "$(conf_get arbiter)" = witness ]
}

# ---- what is here ----

timeout_s() { echo $((${OCF_RESKEY_CRM_meta_timeout:-20000} / 1000)); }
now_s() { date +%s; }

# Into remus_role, remus_state, ...; else remusctl's exit code.
ask_status() { # [SECONDS]
	answer=$(remusctl --timeout "${1:-5}" --shell status "$NAME" 2>/dev/null) &&
		eval "$answer"
}

# ctl COMMAND WORD...: 0, or remusctl's exit code with a line in $out.
ctl() {
	command=$1
	shift
	out=$(remusctl "$command" "$NAME" "$@" 2>&1)
	code=$?
	out=${out#remusctl: }
	return "$code"
}

lock_file() {
	dir=$(conf_get run_dir)
	echo "${dir:-/run/remus}/$NAME.lock"
}

# Process ids of a remusd or an emulator of this machine.
processes() {
	word=$(printf '%s' "$NAME" | sed 's/[.]/[.]/g')
	# not "guest=", or grep would find itself
	emulator="debug-threads=on,gues[t]=$word"
	grep -lzx -e "$emulator" -e "$word" /proc/[0-9]*/cmdline 2>/dev/null |
		while IFS= read -r file; do
			file=${file%/cmdline}
			if is_remusd "${file#/proc/}" ||
				grep -qzx -e "$emulator" "$file/cmdline" \
					2>/dev/null; then
				echo "${file#/proc/}"
			fi
		done
}

# A word that is the name may also be another machine's node: only the last one
# counts.
is_remusd() { # PID
	[ "$(cat "/proc/$1/comm" 2>/dev/null)" = remusd ] &&
		[ "$(tr '\0' '\n' <"/proc/$1/cmdline" | tail -n 1)" = "$NAME" ]
} 2>/dev/null

# 0: it is proven that nothing of this machine is here.  1: $found.
nothing_here() {
	lock=$(lock_file)
	if [ -e "$lock" ]; then
		# shared, as the watcher's: only remusd's is in the way
		flock -sn "$lock" true 2>/dev/null || {
			found="$lock is locked by process $(cat "$lock")"
			return 1
		}
	fi
	found=$(processes | tr '\n' ' ')
	[ -n "$found" ] || return 0
	found="process $found"
	return 1
}

# In place of an answer: 7 when proven, else an error.
no_answer() { # WHAT-WAS-WANTED
	if nothing_here; then
		return "$OCF_NOT_RUNNING"
	fi
	fail "$OCF_ERR_GENERIC" "$1: remusd of $NAME does not answer, but is" \
		"not gone: ${found% }"
}

# What the cluster is told, in words, into $seen: role and state, where a backup
# that has nothing is told from one that gets it now, and one that is left behind
# from one that may take over.  (Variables instead of output: a monitor should
# not fork for each word.)
look() {
	case $remus_role,$remus_state,$remus_link_up in
	*,failed,*) seen=failed ;;
	primary,syncing,false) seen="primary waiting" ;;
	primary,*) seen="primary $remus_state" ;;
	*,standby,*)
		seen="backup stale"
		! is_current || seen="backup standby"
		;;
	*,true) seen="backup syncing" ;;
	*) seen="backup empty" ;;
	esac
}

# The primary releases nothing that this node does not hold, and cannot begin
# to without a ticket of its own: while this node's ticket says that it protects
# the peer, its epoch is current, however old the last message.
is_current() {
	[ "$remus_ticket" = "protected($remus_peer,$SELF)" ]
}
