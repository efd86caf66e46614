#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ocf:remus:vm without a cluster: the real agent, the real remusd (driver fake)
# on two hosts in namespaces, and stubs for the tools that talk to Pacemaker.
# This script plays the cluster: it calls the actions in the order, and with the
# environment, that Pacemaker would.
set -eu
top=${top_srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
# shellcheck source=tests/lib/common.sh
. "$top/tests/lib/common.sh"
# shellcheck source=tests/lib/hosts.sh
. "$top/tests/lib/hosts.sh"
# shellcheck source=tests/agents/cluster_stubs.sh
. "$top/tests/agents/cluster_stubs.sh"

[ "$(id -u)" -eq 0 ] || skip "needs root, for namespaces"
[ -r /usr/lib/ocf/lib/heartbeat/ocf-shellfuncs ] ||
	skip "needs ocf-shellfuncs (package resource-agents)"
programs=${top_builddir:-$top}/src
[ -x "$programs/remusd" ] || skip "remusd is not built"

OK=0 ERROR=1 INSTALLED=5 CONFIGURED=6 NOT_RUNNING=7 PROMOTED=8 FAILED=9
DEGRADED=191
VM=vm1

# ---- the stage ----

define() {
	local h
	head -c 32 /dev/urandom >"$LAB_DIR/key"
	for h in alpha beta; do
		install -m 600 "$LAB_DIR/key" "$(host_dir "$h" etc)/$VM.key"
		cat >"$(host_dir "$h" etc)/$VM.conf" <<-END
		name = $VM
		driver = fake
		memory = 8M
		node = alpha 10.77.1.1:7070
		node = beta 10.77.1.2:7070
		key_file = /etc/remus/$VM.key
		link_timeout = 2000
		shutdown_timeout = 2s
		END
	done
}

# ra HOST ACTION [NAME=VALUE...]: the agent; its exit code, and what it said in
# $LAB_DIR/said.
ra() {
	local host=$1 action=$2
	shift 2
	host_exec "$host" env -i PATH="$STUBS/bin:$programs:$PATH" \
		HA_SBIN_DIR="$STUBS/bin" OCF_ROOT=/usr/lib/ocf \
		REMUS_OCF_LIB="$top/agents" OCF_RA_VERSION_MAJOR=1 \
		OCF_RA_VERSION_MINOR=1 OCF_RESOURCE_INSTANCE=$VM \
		OCF_RESOURCE_TYPE=vm OCF_RESOURCE_PROVIDER=remus \
		OCF_RESKEY_crm_feature_set=3.16.1 \
		OCF_RESKEY_config=/etc/remus/$VM.conf \
		OCF_RESKEY_CRM_meta_timeout=20000 \
		OCF_RESKEY_CRM_meta_interval=10000 \
		HA_LOGFACILITY=none HA_LOGFILE="$LAB_DIR/ha-log" \
		"$@" "$top/agents/vm" "$action" </dev/null >"$LAB_DIR/said" 2>&1
}

# Let the time pass in which a machine without protection is no failure yet.
# In the queue, as whoever else writes the notes.
grace_is_over() {
	host_exec "$1" flock /run/remus/$VM.queue \
		sed -i 's/^\(bare_since\)=[1-9].*/\1=1/' /run/remus/$VM.agent
}

# expect CODE HOST ACTION [NAME=VALUE...]
expect() {
	local want=$1 rc=0
	shift
	ra "$@" || rc=$?
	[ "$rc" -eq "$want" ] ||
		wrong "$*: exit code $rc, expected $want: $(cat "$LAB_DIR/said")"
}

wrong() {
	tail -n 30 "$LAB_DIR/ha-log" >&2 || :
	die "$*"
}

said() { grep -qF -- "$1" "$LAB_DIR/said" ||
	wrong "it should say '$1', but says: $(cat "$LAB_DIR/said")"; }
is() { [ "$2" = "$3" ] || wrong "$1 is '$2', not '$3'"; }
probe() { expect "$1" "$2" monitor OCF_RESKEY_CRM_meta_interval=0 "${@:3}"; }
notify() { # HOST TYPE OPERATION NODE
	expect $OK "$1" notify OCF_RESKEY_CRM_meta_notify_type="$2" \
		OCF_RESKEY_CRM_meta_notify_operation="$3" \
		"OCF_RESKEY_CRM_meta_notify_${3}_uname=$4"
}
ctl() { host_exec "$1" "$programs/remusctl" "${@:2}"; }
status() { ctl "$1" status $VM --shell | sed -n "s/^remus_$2='\(.*\)'$/\1/p"; }
state_is() { [ "$(status "$1" state)" = "$2" ]; }
wait_state() { wait_until 20 state_is "$1" "$2" ||
	wrong "$1 is $(status "$1" state), not $2"; }
pid_of() { host_exec "$1" cat /run/remus/$VM.lock; }
restart_host() { host_start "$1" "10.77.1.$([ "$1" = alpha ] && echo 1 || echo 2)" -; }
both_see_each_other() { echo alpha beta >"$STUBS/members"; }
forget_node() { rm -f "$STUBS"/attr/*@"$1"; }

called() { grep -qxF "$1" "$STUBS/calls"; }
wait_call() { wait_until 20 called "$1" ||
	wrong "no '$1' among: $(cat "$STUBS/calls")"; }
attr_is() { [ "$(stub_attr "$1" "$2")" = "$3" ]; }
wait_told() { wait_until 20 attr_is "$1" "remus-$VM-state" "$2" ||
	wrong "$1's state is '$(stub_attr "$1" "remus-$VM-state")', not '$2'"; }

begin() { log "-- $*"; }

lab_start
stubs_make "$LAB_DIR/stubs"
host_start alpha 10.77.1.1 -
host_start beta 10.77.1.2 -
define
both_see_each_other

# ---- the cases ----

begin "meta-data is well-formed and names every action"
expect $OK alpha meta-data
cp "$LAB_DIR/said" "$LAB_DIR/meta.xml"
if command -v xmllint >/dev/null; then
	(cd /usr/share/resource-agents && xmllint --noout --valid - \
		<"$LAB_DIR/meta.xml") || wrong "meta-data is not valid"
fi
for action in start stop monitor promote demote notify reload-agent \
	validate-all meta-data; do
	grep -q "<action name=\"$action\" timeout=" "$LAB_DIR/meta.xml" ||
		wrong "meta-data lacks $action"
done
# shellcheck disable=SC2013 # names
for parameter in $(sed -n 's/^<parameter name="\([a-z_]*\)".*/\1/p' \
	"$LAB_DIR/meta.xml"); do
	grep -Eq "^\.It Ic (.* , )?$parameter( |$)" "$top/man/ocf_remus_vm.7" ||
		wrong "ocf_remus_vm(7) does not explain $parameter"
done
expect 3 alpha dance

begin "parameters that cannot be are refused"
expect $OK alpha validate-all
for bad in reconnect_wait=0 reconnect_wait=5s config=vm1.conf config=/etc/remus/vm1 cold_boot=maybe alone=walk \
	port=x compression=yes; do
	expect $CONFIGURED alpha validate-all "OCF_RESKEY_$bad"
done
expect $CONFIGURED alpha start OCF_RESKEY_CRM_meta_clone_max=2
said notify=true
expect $INSTALLED alpha validate-all OCF_RESKEY_config=/etc/remus/no.conf
expect $INSTALLED alpha validate-all OCF_RESKEY_interval=1ms
said "interval"
expect $INSTALLED alpha start OCF_RESKEY_CRM_meta_on_node=gamma
said "gamma is not one of the two nodes"

begin "nothing here is 7, to a probe and to a stop, without any program too"
probe $NOT_RUNNING alpha
expect $NOT_RUNNING alpha monitor
expect $OK alpha stop
expect $NOT_RUNNING alpha monitor PATH="$STUBS/bin:/usr/bin:/bin"
expect $NOT_RUNNING alpha monitor OCF_RESKEY_config=/etc/remus/none.conf

begin "a node that is none of the machine's two says so to a probe"
probe $INSTALLED alpha OCF_RESKEY_config=/etc/remus/none.conf
probe $INSTALLED alpha OCF_RESKEY_CRM_meta_on_node=gamma
probe $INSTALLED alpha OCF_RESKEY_peers="beta=10.77.1.2 gamma=10.77.1.3"
probe $NOT_RUNNING alpha OCF_RESKEY_peers="beta=10.77.1.2 alpha=10.77.1.1"

begin "start, twice; the first in the list is the first choice"
expect $OK alpha start
expect $OK alpha start
expect $OK beta start
expect $OK alpha monitor
probe $OK beta
is "alpha's state" "$(stub_attr alpha remus-$VM-state)" "backup empty"
is "alpha's score" "$(stub_score alpha)" 6
is "beta's score" "$(stub_score beta)" 5

begin "a remusd that is there but cannot be asked is never 'not running'"
expect $ERROR alpha monitor PATH="$STUBS/bin:/usr/bin:/bin"
expect $ERROR alpha monitor PATH="$STUBS/bin:/usr/bin:/bin" \
	OCF_RESKEY_config=/etc/remus/$VM.conf
mv "$(host_dir alpha etc)/$VM.conf" "$LAB_DIR/aside"
expect $OK alpha monitor
probe $ERROR alpha PATH="$STUBS/bin:/usr/bin:/bin"
expect $ERROR alpha monitor PATH="$STUBS/bin:/usr/bin:/bin"
mv "$LAB_DIR/aside" "$(host_dir alpha etc)/$VM.conf"
host_exec alpha kill -s STOP "$(pid_of alpha)"
expect $ERROR alpha monitor
said "not gone"
host_exec alpha kill -s CONT "$(pid_of alpha)"
expect $OK alpha monitor

begin "cold_boot=never boots nothing, nor does anybody without the cluster's word"
expect $ERROR alpha promote OCF_RESKEY_cold_boot=never
said cold_boot=never
is "alpha's score after a refusal" "$(stub_score alpha)" -INFINITY
: >"$STUBS/refuse"
expect $ERROR alpha promote
rm "$STUBS/refuse"
mv "$STUBS/attr/remus-$VM-state@beta" "$LAB_DIR/aside"
expect $ERROR alpha promote OCF_RESKEY_CRM_meta_notify_active_uname="alpha beta"
said "has not said yet"
echo alpha >"$STUBS/members"
echo false >"$STUBS/config/stonith-enabled"
expect $ERROR alpha promote
said "no fencing"
rm "$STUBS/config/stonith-enabled"
both_see_each_other
mv "$LAB_DIR/aside" "$STUBS/attr/remus-$VM-state@beta"
for word in "primary alone" "backup standby"; do
	echo "$word" >"$STUBS/attr/remus-$VM-state@beta"
	expect $ERROR alpha promote OCF_RESKEY_cold_boot=always
done
echo "backup empty" >"$STUBS/attr/remus-$VM-state@beta"
state_is alpha syncing || wrong "alpha runs"

begin "the first boot, and protection"
expect $OK alpha promote
expect $OK alpha promote
notify alpha post promote alpha
notify beta post promote alpha
is "alpha's state" "$(stub_attr alpha remus-$VM-state)" "primary protected"
is "alpha's score" "$(stub_score alpha)" 2000
is "the ticket" "$(stub_config remus-$VM-ticket)" "2 protected(alpha,beta)"
grep -q "protected by beta" "$LAB_DIR/ha-log" ||
	wrong "no line about protection"
is "beta's state" "$(stub_attr beta remus-$VM-state)" "backup standby"
is "beta's score" "$(stub_score beta)" 1000
expect $OK beta monitor
host_exec alpha sed -i s/^numbers=.*/numbers=0/ /run/remus/$VM.agent
expect $PROMOTED alpha monitor
for a in peer epoch lag_ms ratio pause_p99_us; do
	[ -n "$(stub_attr alpha remus-$VM-$a)" ] || wrong "no attribute $a"
done

begin "a monitor that finds nothing new tells the cluster nothing"
: >"$STUBS/calls"
expect $PROMOTED alpha monitor
expect $OK beta monitor
is "calls" "$(cat "$STUBS/calls")" ""

begin "interval and compression change without a restart"
expect $OK alpha reload-agent OCF_RESKEY_interval=40ms OCF_RESKEY_compression=off
is interval "$(status alpha interval_ms)" 40
is compression "$(status alpha compression)" false
expect $OK alpha reload-agent
is interval "$(status alpha interval_ms)" 25

begin "the planned way over and back"
expect $OK alpha demote OCF_RESKEY_CRM_meta_notify_promote_uname=beta
expect $OK alpha demote OCF_RESKEY_CRM_meta_notify_promote_uname=beta
is "alpha's role" "$(status alpha role)" backup
epoch=$(status beta epoch_committed)
expect $OK beta promote
notify alpha post promote beta
[ "$(status beta epoch_committed)" -ge "$epoch" ] || wrong "it began anew"
wait_state beta protected
wait_state alpha standby
expect $OK beta demote OCF_RESKEY_CRM_meta_notify_promote_uname=alpha
expect $OK alpha promote
wait_state alpha protected
wait_state beta standby

begin "promote refuses an epoch that the cluster knows to be stale"
expect $OK beta monitor
is "beta's score" "$(stub_score beta)" 1000
cp "$STUBS/config/remus-$VM-ticket" "$LAB_DIR/aside"
echo "$(status beta generation) alone(alpha)" >"$STUBS/config/remus-$VM-ticket"
expect $ERROR beta promote
said "stale"
is "beta's score" "$(stub_score beta)" -INFINITY
is "beta's role" "$(status beta role)" backup
cp "$LAB_DIR/aside" "$STUBS/config/remus-$VM-ticket"
expect $OK beta monitor
is "beta's score" "$(stub_score beta)" 1000

begin "a primary's host dies, the backup takes over, the host comes back"
host_kill alpha
forget_node alpha
echo beta >"$STUBS/members"
expect $OK beta promote
expect $PROMOTED beta monitor
grace_is_over beta
expect $DEGRADED beta monitor
probe $PROMOTED beta
is "beta's score" "$(stub_score beta)" 3000
restart_host alpha
both_see_each_other
probe $NOT_RUNNING alpha
expect $OK alpha start
notify beta post start alpha
wait_state beta protected
expect $PROMOTED beta monitor
expect $OK alpha monitor
is "alpha's score" "$(stub_score alpha)" 1000

begin "a backup is lost: held, until the cluster says that it is gone for sure"
host_kill alpha
forget_node alpha
link_down() { [ "$(status beta link_up)" = false ]; }
wait_until 10 link_down || wrong "beta does not notice"
expect $PROMOTED beta monitor
grace_is_over beta
expect $DEGRADED beta monitor
is "beta's state" "$(stub_attr beta remus-$VM-state)" "primary waiting"
is "beta's gate" "$(status beta gate_state)" holding
echo beta >"$STUBS/members"
echo false >"$STUBS/config/stonith-enabled"
notify beta post stop alpha
is "beta's gate without fencing" "$(status beta gate_state)" holding
rm "$STUBS/config/stonith-enabled"
echo 0 >"$STUBS/quorum"
notify beta post stop alpha
is "beta's gate without quorum" "$(status beta gate_state)" holding
rm "$STUBS/quorum"
expect $OK beta notify OCF_RESKEY_alone=freeze \
	OCF_RESKEY_CRM_meta_notify_type=post \
	OCF_RESKEY_CRM_meta_notify_operation=stop \
	OCF_RESKEY_CRM_meta_notify_stop_uname=alpha
is "beta's gate with alone=freeze" "$(status beta gate_state)" holding
notify beta post stop alpha
is "beta's gate" "$(status beta gate_state)" open
expect $DEGRADED beta monitor
is "the ticket" "$(stub_config remus-$VM-ticket)" \
	"$(status beta generation) alone(beta)"

begin "power fails everywhere; only who had it last may boot it"
host_kill beta
forget_node beta
both_see_each_other
restart_host alpha
restart_host beta
expect $OK alpha start
expect $OK beta start
expect $OK alpha monitor
is "alpha's score" "$(stub_score alpha)" -INFINITY
is "beta's score" "$(stub_score beta)" 10
expect $ERROR alpha promote
said "another node had $VM last"
generation=$(status beta generation)
expect $OK beta promote
[ "$(status beta generation)" -gt "$generation" ] || wrong "same generation"
wait_state beta protected
expect $OK alpha monitor

begin "an older node boots only when told to, and above all that was"
expect $PROMOTED beta monitor
generation=$(status beta generation)
host_kill beta
host_kill alpha
forget_node alpha
forget_node beta
rm -f "$(host_dir alpha lib)/$VM.ticket"
restart_host alpha
echo alpha >"$STUBS/members"
expect $OK alpha start
expect $ERROR alpha promote
expect $OK alpha promote OCF_RESKEY_cold_boot=always
[ "$(status alpha generation)" -gt "$generation" ] ||
	wrong "generation $(status alpha generation), not above $generation"

begin "demote with nobody to follow ends the guest"
expect $OK alpha demote
is "alpha's role" "$(status alpha role)" backup
is "alpha's ticket" "$(status alpha ticket)" none
expect $OK alpha demote
is "alpha's score" "$(stub_score alpha)" 6
expect $OK alpha promote

begin "a remusd that died is 7, and its node is no choice"
restart_host beta
both_see_each_other
expect $OK beta start
notify alpha post start beta
wait_state alpha protected
wait_state beta standby
expect $OK beta monitor
pid=$(pid_of alpha)
host_exec alpha kill -s KILL "$pid"
expect $NOT_RUNNING alpha monitor
is "alpha's score" "$(stub_score alpha)" -INFINITY
expect $OK alpha stop
expect $OK alpha start
expect $OK beta promote
wait_state beta protected

begin "what changes is told without a monitor"
wait_told beta "primary protected"
wait_told alpha "backup standby"
: >"$STUBS/calls"
host_exec alpha kill -s KILL "$(pid_of alpha)"
wait_call "alpha crm_resource --fail --resource $VM --node alpha"
wait_told alpha failed
is "alpha's score" "$(stub_score alpha)" -INFINITY
wait_told beta "primary waiting"
expect $OK alpha stop
: >"$STUBS/calls"
expect $OK alpha start
notify beta post start alpha
wait_told beta "primary protected"
wait_told alpha "backup standby"

begin "a planned end is no failure, and leaves nobody behind"
: >"$STUBS/calls"
watcher=$(host_exec alpha cat /run/remus/$VM.watcher)
host_exec alpha kill -s 0 "$watcher"
expect $OK alpha stop
! host_exec alpha kill -s 0 "$watcher" 2>/dev/null || wrong "a watcher stays"
wait_told beta "primary waiting"
! grep -q -- "--fail .*--node alpha" "$STUBS/calls" ||
	wrong "$(cat "$STUBS/calls")"
notify beta post stop alpha
wait_told beta "primary active"

begin "fenced, and no notification: what Pacemaker shows is proof as well"
expect $OK alpha start
notify beta post start alpha
wait_told beta "primary protected"
host_kill alpha
forget_node alpha
wait_told beta "primary waiting"
monitored() { ra beta monitor || :; } # promoted, maybe degraded
still_held() {
	monitored
	is "beta's gate $1" "$(status beta gate_state)" holding
}
shown_as() { # ONLINE UNCLEAN
	cat >"$STUBS/mon" <<-END
	<nodes>
	  <node name="beta" id="2" online="true" standby="false" unclean="false"/>
	  <node name="alpha" id="1" online="$1" standby="false" unclean="$2"/>
	</nodes>
	END
}
echo beta >"$STUBS/members"
still_held "when nothing is shown"
shown_as false true
still_held "before the fencing"
shown_as true false
still_held "while it is shown as online"
shown_as false false
echo 0 >"$STUBS/quorum"
still_held "without quorum"
rm "$STUBS/quorum"
echo false >"$STUBS/config/stonith-enabled"
still_held "without fencing"
rm "$STUBS/config/stonith-enabled"
monitored
is "beta's gate" "$(status beta gate_state)" open
is "the ticket" "$(stub_config remus-$VM-ticket)" \
	"$(status beta generation) alone(beta)"
rm "$STUBS/mon"
restart_host alpha
both_see_each_other
probe $NOT_RUNNING alpha

begin "a backup out of reach is restarted, for proof; what is over is forgiven"
expect $OK beta reload-agent OCF_RESKEY_reconnect_wait=1
expect $OK alpha start
notify beta post start alpha
wait_told beta "primary protected"
: >"$STUBS/calls"
link_cut alpha repl
wait_call "beta crm_resource --fail --resource $VM --node alpha"
is "beta's gate" "$(status beta gate_state)" holding
# Who watches the cut may have been faster than who publishes it.
wait_told beta "primary waiting"
grace_is_over beta
expect $DEGRADED beta monitor
expect $OK alpha stop
notify beta post stop alpha
is "beta's gate" "$(status beta gate_state)" open
notify beta pre start alpha
expect $OK alpha start
notify beta post start alpha
wait_told beta "primary active"
: >"$STUBS/calls"
link_heal alpha repl
wait_told beta "primary protected"
wait_call "beta crm_resource --cleanup --resource $VM --node beta --operation monitor --interval 10000ms"
wait_call "beta crm_resource --cleanup --resource $VM --node alpha --operation asyncmon --interval 0"
forgiven() { ! host_exec beta grep -Eq "^(cut_told|degraded_ms)=." /run/remus/$VM.agent; }
wait_until 20 forgiven || wrong "it forgives again and again"
link_is_down() { [ "$(status beta link_up)" = false ]; }
# A cut soon after the last one is another one, and who saw that in a long pause.
: >"$STUBS/calls"
link_cut alpha repl
wait_call "beta crm_resource --fail --resource $VM --node alpha"
link_heal alpha repl
wait_told beta "primary protected"
# So it is when a monitor was faster than what remusd runs.
: >"$STUBS/calls"
: >"$LAB_DIR/busy"
host_exec beta flock /run/remus/$VM.queue \
	sh -c "while [ -e $LAB_DIR/busy ]; do sleep 0.1; done" &
link_cut alpha repl
wait_until 20 link_is_down || wrong "beta's link is up"
monitored
attr_is beta "remus-$VM-state" "primary waiting" || wrong "nobody published"
rm "$LAB_DIR/busy"
wait_call "beta crm_resource --fail --resource $VM --node alpha"
link_heal alpha repl
wait_told beta "primary protected"

begin "every state has its exit code and its score"
mkdir "$LAB_DIR/canned"
cat >"$LAB_DIR/canned/remusctl" <<END
#!/bin/sh
echo "\$@" >>"$LAB_DIR/canned/calls"
case \$1 in
demote) [ ! -e "$LAB_DIR/canned/refuse" ] || { echo not protected >&2; exit 1; } ;;
esac
cat "$LAB_DIR/canned/status"
END
chmod 755 "$LAB_DIR/canned/remusctl"
# canned ROLE STATE LINK TICKET CODE SCORE SEEN
canned() {
	cat >"$LAB_DIR/canned/status" <<-END
	remus_role='$1'
	remus_state='$2'
	remus_link_up='$3'
	remus_ticket='$4'
	remus_generation='99'
	remus_peer='beta'
	remus_reason='because'
	remus_witnesses='${WITNESSES:-none}'
	END
	rm -f "$STUBS/config/remus-$VM-ticket"
	[ "$5" -ne $DEGRADED ] || ra alpha monitor \
		PATH="$LAB_DIR/canned:$STUBS/bin:$PATH" || :
	grace_is_over alpha
	expect "$5" alpha monitor PATH="$LAB_DIR/canned:$STUBS/bin:$PATH" \
		OCF_RESKEY_alone=freeze
	is "score of $*" "$(stub_score alpha)" "$6"
	is "state of $*" "$(stub_attr alpha remus-$VM-state)" "$7"
}
mv "$STUBS/attr/remus-$VM-state@beta" "$LAB_DIR/aside"
never=-INFINITY
canned primary failed true 'protected(alpha,beta)' $FAILED $never failed
said because
canned primary protected true 'protected(alpha,beta)' $PROMOTED 2000 \
	"primary protected"
canned primary syncing true 'alone(alpha)' $DEGRADED 3000 "primary syncing"
canned primary syncing false 'protected(alpha,beta)' $DEGRADED 2000 \
	"primary waiting"
canned primary alone false 'alone(alpha)' $DEGRADED 3000 "primary alone"
canned primary active true 'alone(alpha)' $DEGRADED 3000 "primary active"
# The node that was fenced has not said yet that it lost it.
echo "primary protected" >"$STUBS/attr/remus-$VM-state@beta"
canned primary protected true 'protected(alpha,beta)' $PROMOTED 3000 \
	"primary protected"
rm "$STUBS/attr/remus-$VM-state@beta"
canned primary protected true 'protected(alpha,beta)' $PROMOTED 2000 \
	"primary protected"
canned backup failed true none $ERROR $never failed
canned backup standby true 'protected(beta,alpha)' $OK 1000 "backup standby"
canned backup standby false 'protected(beta,alpha)' $OK 1000 "backup standby"
canned backup standby true 'alone(beta)' $OK $never "backup stale"
canned backup standby true 'protected(alpha,beta)' $OK $never "backup stale"
canned backup syncing true 'alone(beta)' $OK $never "backup syncing"
canned backup syncing false 'alone(beta)' $OK 6 "backup empty"
canned backup syncing false 'alone(alpha)' $OK 10 "backup empty"
mv "$LAB_DIR/aside" "$STUBS/attr/remus-$VM-state@beta"
canned backup syncing false 'alone(alpha)' $OK $never "backup empty"

begin "a guest that was taken away by the witnesses"
mv "$STUBS/attr/remus-$VM-state@beta" "$LAB_DIR/aside"
canned primary protected true 'protected(alpha,beta)' $PROMOTED 2000 \
	"primary protected"
: >"$STUBS/calls"
echo "resource $VM is running on: alpha Promoted" >"$STUBS/located"
canned backup syncing true 'alone(beta)' $OK $never "backup syncing"
wait_call "alpha crm_resource --refresh --node alpha --resource $VM"
rm "$STUBS/located"
: >"$STUBS/calls"
wait_call "alpha crm_resource --cleanup --resource $VM --node alpha --operation monitor"
! called "alpha crm_resource --refresh --node alpha --resource $VM" ||
	wrong "it refreshes what is known"
# Promoted again at once: the failure of a monitor that was faster is over, too.
host_exec alpha sed -i "s|^export PATH='|&$LAB_DIR/canned:|" \
	"/run/remus/$VM.hook"
: >"$STUBS/calls"
canned primary protected true 'protected(alpha,beta)' $PROMOTED 2000 \
	"primary protected"
canned backup syncing true 'alone(beta)' $OK $never "backup syncing"
canned primary protected true 'protected(alpha,beta)' $PROMOTED 2000 \
	"primary protected"
wait_call "alpha crm_resource --cleanup --resource $VM --node alpha --operation monitor"

begin "clients that reach the other node alone"
tell_beta() { echo "$2" >"$STUBS/attr/remus-$VM-$1@beta"; }
tell_beta state "backup standby"
for case in lost/reached/500 reached/reached/2000 lost/lost/2000 lost//2000; do
	IFS=/ read -r WITNESSES there score <<<"$case"
	tell_beta witnesses "$there"
	canned primary protected true 'protected(alpha,beta)' $PROMOTED \
		"$score" "primary protected"
	is "alpha's witnesses" "$(stub_attr alpha remus-$VM-witnesses)" \
		"$WITNESSES"
done
# A backup that has nothing, or went away, is no better place.
WITNESSES=lost
tell_beta witnesses reached
canned primary syncing true 'alone(alpha)' $DEGRADED 3000 "primary syncing"
for state in "backup syncing" "backup stale" failed; do
	tell_beta state "$state"
	canned primary protected true 'protected(alpha,beta)' $PROMOTED 2000 \
		"primary protected"
done
rm "$STUBS/attr/remus-$VM-state@beta"
canned primary protected true 'protected(alpha,beta)' $PROMOTED 2000 \
	"primary protected"
canned backup standby true 'protected(beta,alpha)' $OK 1000 "backup standby"
WITNESSES=none

begin "demoted, because the cluster takes the other node for promoted too"
canned primary alone false 'alone(alpha)' $DEGRADED 3000 "primary alone"
both=(OCF_RESKEY_witnesses=w1=http://192.0.2.1:7071
	"OCF_RESKEY_CRM_meta_notify_promoted_uname=alpha beta"
	"OCF_RESKEY_CRM_meta_notify_active_uname=alpha beta"
	OCF_RESKEY_CRM_meta_notify_demote_uname=alpha)
stand_in=PATH=$LAB_DIR/canned:$STUBS/bin:$PATH
: >"$LAB_DIR/canned/calls"
asked() { grep -q "^demote" "$LAB_DIR/canned/calls"; }
expect $OK alpha demote "$stand_in" "${both[@]}"
! asked || wrong "it ends the only copy"
# Until the cluster promotes the other node, which has a copy now.
to_beta=(OCF_RESKEY_CRM_meta_notify_type=pre
	OCF_RESKEY_CRM_meta_notify_operation=promote
	OCF_RESKEY_CRM_meta_notify_promote_uname=beta)
expect $OK alpha notify "$stand_in" "${to_beta[@]/%beta/alpha}"
! asked || wrong "it hands over to itself"
expect $OK alpha notify "$stand_in" "${to_beta[@]}"
asked || wrong "it does not hand over what was kept"
: >"$LAB_DIR/canned/calls"
expect $OK alpha notify "$stand_in" "${to_beta[@]}"
! asked || wrong "it hands over what was not kept"
canned primary alone false 'alone(alpha)' $DEGRADED 3000 "primary alone"
expect $OK alpha demote "$stand_in" "${both[@]}"
expect $OK alpha monitor "$stand_in"
probe $PROMOTED alpha "$stand_in"
expect $OK alpha promote "$stand_in"
expect $PROMOTED alpha monitor "$stand_in"
# As it was: an arbiter that judges nothing; a peer that is to be demoted; a
# stop; a ticket that is not sure.
expect $OK alpha demote "$stand_in" "${both[@]:1}"
asked || wrong "it keeps the guest without a witness"
: >"$LAB_DIR/canned/calls"
expect $OK alpha demote "$stand_in" "${both[@]}" \
	"OCF_RESKEY_CRM_meta_notify_demote_uname=alpha beta"
asked || wrong "it keeps the guest although both are demoted"
: >"$LAB_DIR/canned/calls"
expect $OK alpha demote "$stand_in" "${both[@]}" \
	OCF_RESKEY_CRM_meta_notify_stop_uname=alpha
asked || wrong "it keeps the guest although it is stopped"
canned primary syncing false 'protected(alpha,beta)' $DEGRADED 2000 \
	"primary waiting"
: >"$LAB_DIR/canned/calls"
expect $OK alpha demote "$stand_in" "${both[@]}"
asked || wrong "it keeps a guest that waits"

begin "demoted for a node that has no whole copy"
canned primary alone false 'alone(alpha)' $DEGRADED 3000 "primary alone"
: >"$LAB_DIR/canned/refuse"
for_beta=(OCF_RESKEY_witnesses=w1=http://192.0.2.1:7071
	OCF_RESKEY_CRM_meta_notify_promoted_uname=alpha
	"OCF_RESKEY_CRM_meta_notify_active_uname=alpha beta"
	OCF_RESKEY_CRM_meta_notify_demote_uname=alpha
	OCF_RESKEY_CRM_meta_notify_promote_uname=beta)
: >"$LAB_DIR/canned/calls"
expect $OK alpha demote "$stand_in" "${for_beta[@]}"
asked || wrong "it does not try to hand over"
is "alpha's score" "$(stub_score alpha)" 3000
expect $OK alpha monitor "$stand_in"
expect $OK alpha promote "$stand_in"
expect $DEGRADED alpha monitor "$stand_in"
# Nobody judges who may be seen; it is to be stopped anyway; the peer has a copy.
expect $ERROR alpha demote "$stand_in" "${for_beta[@]:1}"
said "not protected"
expect $ERROR alpha demote "$stand_in" "${for_beta[@]}" \
	OCF_RESKEY_CRM_meta_notify_stop_uname=alpha
canned primary syncing false 'protected(alpha,beta)' $DEGRADED 2000 \
	"primary waiting"
expect $ERROR alpha demote "$stand_in" "${for_beta[@]}"
rm "$LAB_DIR/canned/refuse"
mv "$LAB_DIR/aside" "$STUBS/attr/remus-$VM-state@beta"

begin "a score that the cluster has lost is told anew, before a demotion for want of it"
canned primary protected true 'protected(alpha,beta)' $PROMOTED 2000 \
	"primary protected"
pre_demote() {
	expect $OK alpha notify "$stand_in" OCF_RESKEY_CRM_meta_notify_type=pre \
		OCF_RESKEY_CRM_meta_notify_operation=demote "$@"
}
told_anew() { [ ! -e "$STUBS/lost" ]; }
: >"$STUBS/lost"
pre_demote OCF_RESKEY_CRM_meta_notify_demote_uname=beta
pre_demote OCF_RESKEY_CRM_meta_notify_demote_uname=alpha \
	OCF_RESKEY_CRM_meta_notify_stop_uname=alpha
! told_anew || wrong "it tells what nobody asks for"
pre_demote OCF_RESKEY_CRM_meta_notify_demote_uname=alpha
told_anew || wrong "the cluster does not know the score"
# Another one than was told.
echo 7 >"$STUBS/attr/score@alpha"
pre_demote OCF_RESKEY_CRM_meta_notify_demote_uname=alpha
is "alpha's score" "$(stub_score alpha)" 2000
# Without a demotion it takes a minute.
: >"$STUBS/lost"
minute_is_over() {
	host_exec alpha flock /run/remus/$VM.queue \
		sed -i 's/^assured=.*/assured=1/' /run/remus/$VM.agent
}
minute_is_over
expect $PROMOTED alpha monitor "$stand_in"
told_anew || wrong "a monitor does not tell the score anew"
: >"$STUBS/lost"
expect $PROMOTED alpha monitor "$stand_in"
! told_anew || wrong "each monitor asks for the score"
# Of a cluster that does not answer nothing is known.
: >"$STUBS/refuse"
pre_demote OCF_RESKEY_CRM_meta_notify_demote_uname=alpha
rm "$STUBS/refuse" "$STUBS/lost"

begin "demote ends what hangs"
: >"$STUBS/calls"
host_exec beta kill -s STOP "$(pid_of beta)"
expect $NOT_RUNNING beta demote
probe $NOT_RUNNING beta
! called "beta crm_resource --fail --resource $VM --node beta" ||
	wrong "it tells of a failure that the cluster knows"
expect $OK beta stop
expect $OK beta start

begin "stop ends what hangs, and proves it"
host_exec beta kill -s STOP "$(pid_of beta)"
expect $OK beta stop
is "beta's state" "$(stub_attr beta remus-$VM-state)" ""
is "beta's score" "$(stub_score beta)" ""
probe $NOT_RUNNING beta
notify alpha post stop beta
expect $OK alpha stop
expect $OK alpha stop
probe $NOT_RUNNING alpha

begin "parameters instead of the definition's lines"
params=("OCF_RESKEY_peers=alpha=10.77.1.1 beta=10.77.1.2:9"
	OCF_RESKEY_port=7171 OCF_RESKEY_interval=30ms
	"OCF_RESKEY_authkey=/etc/remus/$VM.key" OCF_RESKEY_gate=fake)
expect $OK alpha start "${params[@]}"
is peer "$(status alpha peer_address)" 10.77.1.2:7171
is interval "$(status alpha interval_ms)" 30
expect $OK alpha stop "${params[@]}"
expect $OK alpha start OCF_RESKEY_port=7272
is peer "$(status alpha peer_address)" 10.77.1.2:7272
expect $OK alpha stop
params=("OCF_RESKEY_witnesses=w1=http://192.0.2.1:7071 w2=http://192.0.2.2:1"
	"OCF_RESKEY_witness_key=/etc/remus/$VM.key" OCF_RESKEY_alone=freeze)
expect $OK alpha start "${params[@]}"
is witnesses "$(host_exec alpha grep -E '^(arbiter|witness|alone)' /run/remus/$VM.conf)" \
"alone = freeze
arbiter = witness
witness = w1 http://192.0.2.1:7071
witness = w2 http://192.0.2.2:1
witness_key = /etc/remus/$VM.key"
expect $OK alpha stop "${params[@]}"

if command -v ocf-tester >/dev/null; then
	begin "ocf-tester"
	echo alpha >"$STUBS/members"
	rm -f "$STUBS"/config/* "$(host_dir alpha lib)/$VM.ticket"
	# Where nobody, as whom it asks for the metadata, can read it too.
	host_exec alpha mkdir -p /run/agents
	host_exec alpha cp -rp "$top/agents/." /run/agents
	host_exec alpha chmod -R a+rX /run/agents
	host_exec alpha env PATH="$STUBS/bin:$programs:$PATH" \
		HA_SBIN_DIR="$STUBS/bin" REMUS_OCF_LIB=/run/agents \
		OCF_RESKEY_crm_feature_set=3.16.1 \
		ocf-tester -n $VM -o config=/etc/remus/$VM.conf \
		/run/agents/vm >"$LAB_DIR/said" 2>&1 ||
		wrong "$(cat "$LAB_DIR/said")"
	grep -q "passed all tests" "$LAB_DIR/said" ||
		wrong "$(cat "$LAB_DIR/said")"
else
	warn "no ocf-tester: not run"
fi
log "ok"
