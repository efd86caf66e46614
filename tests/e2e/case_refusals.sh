# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What must be refused, with which exit code and in which one line; and that
# none of it does a protected guest any harm.
pair_begin
conf=$(host_dir alpha etc)/$VM.conf

# ---- before anything runs ----
refused alpha 1 'protect is possible only as primary' remusctl protect "$VM"
refused alpha 1 'checkpoint is possible only as primary' \
	remusctl checkpoint "$VM"
refused alpha 1 'alone is possible only as primary' \
	remusctl alone "$VM" --peer-is-dead
refused alpha 1 'no committed epoch' remusctl activate "$VM"
refused alpha 1 'a remusd of vm1 runs here already' remusd -f "$VM"
refused client 3 '.' remusctl status "$VM"
refused alpha 3 '.' remusctl status other
refused alpha 2 "unknown command 'fly'" remusctl fly "$VM"
refused alpha 2 'does not take --peer-is-dead' \
	remusctl protect "$VM" --peer-is-dead
refused alpha 2 'interval is a time' remusctl set "$VM" interval=1ms
refused alpha 2 "'colour=red' cannot be set" remusctl set "$VM" colour=red

# ---- definitions and keys ----
wrong=$(host_dir alpha etc)/wrong.conf
sed "s/^name .*/name = wrong/; s/7070/7071/" "$conf" >"$wrong"
must alpha check wrong
echo 'colour = red' >>"$wrong"
line=$(wc -l <"$wrong")
refused alpha 2 "wrong.conf:$line: .*colour" remusd -f wrong
refused alpha 2 "wrong.conf:$line: .*colour" remusctl check wrong
sed -i '$d' "$wrong"
sed -i 's/^memory .*/memory = 1M/' "$wrong"
refused alpha 2 "wrong.conf:[0-9]+: .*memory" remusd -f wrong
refused alpha 2 'none.conf: No such file' remusd -f none
cp "$conf" "$wrong"
refused alpha 2 'vm1' remusd -f wrong
sed 's/^name .*/name = wrong/; s/vm1.key/loose.key/' "$conf" >"$wrong"
refused alpha 2 "wrong.conf:[0-9]+: .*loose.key': No such file" remusd -f wrong
install -m 644 "$(host_dir alpha etc)/$VM.key" "$(host_dir alpha etc)/loose.key"
refused alpha 2 "wrong.conf:[0-9]+: .*loose.key.*(group|others|mode)" remusd -f wrong
rm "$wrong"

# ---- a node with another key, then one with less memory ----
must alpha start "$VM"
wait_until 60 vm_answers || die "the guest does not answer"
restart_beta() {
	host_signal beta remusd TERM
	wait_until 5 remusd_ended beta || die "beta's remusd does not stop"
	remusd_begin beta
}
beta_etc=$(host_dir beta etc)
cp -p "$beta_etc/$VM.key" "$LAB_DIR/good.key"
(umask 077; head -c 32 /dev/urandom >"$beta_etc/$VM.key")
restart_beta
must alpha protect "$VM"
says() { [[ $(vm_get "$1" .reason) =~ $2 ]]; }
wait_until 10 says alpha 'key|PSK|decrypt|handshake' ||
	die "alpha does not say that the key is wrong: $(vm_get alpha .reason)"
fact "wrong key: $(get alpha .reason)"
grep -Eiq 'key|TLS' "$LAB_DIR/beta-remusd.log" || die "beta does not log it"
get_is alpha .state alone || die "alpha is $(get alpha .state)"
vm_answers || die "the guest suffers from a backup with a wrong key"

cp -p "$LAB_DIR/good.key" "$beta_etc/$VM.key"
sed -i 's/^memory .*/memory = 130M/' "$beta_etc/$VM.conf"
restart_beta
wait_until 10 says alpha 'pages' || die "alpha: $(vm_get alpha .reason)"
fact "other memory: $(get alpha .reason)"
get_is alpha .state alone || die "alpha is $(get alpha .state)"
vm_answers || die "the guest suffers from a backup of another size"
refused alpha 1 'not protected' remusctl demote "$VM"

cp -p "$conf" "$beta_etc/$VM.conf"
restart_beta
protected_soon alpha
client_begin
client_goes_on

# ---- while it is protected ----
refused beta 1 'the primary alpha is connected' remusctl activate "$VM"
refused beta 1 'this node holds epoch' remusctl start "$VM"
refused beta 1 'protect is possible only as primary' remusctl protect "$VM"
refused alpha 1 'the backup beta is connected' \
	remusctl alone "$VM" --peer-is-dead
refused alpha 1 'a remusd of vm1 runs here already' remusd -f "$VM"
must alpha start "$VM" # it runs: nothing to do

# ---- strangers at the port of replication: no key, no answer ----
released=$(gate_released alpha)
strangers() {
	local cmd
	for cmd in 'exec 3<>/dev/tcp/10.77.1.2/7070
			head -c 4096 /dev/urandom >&3; timeout 1 cat <&3' \
		'exec 3<>/dev/tcp/10.77.1.2/7070; timeout 1 cat <&3' \
		'timeout 1 openssl s_client -tls1_3 -quiet -psk 00 \
			-psk_identity vm1 -connect 10.77.1.2:7070 </dev/null' \
		'timeout 1 openssl s_client -tls1_2 -quiet \
			-connect 10.77.1.2:7070 </dev/null'; do
		host_exec alpha bash -c "$cmd" 2>/dev/null || :
	done
}
strangers >"$LAB_DIR/learnt"
! grep -aq -e vm1 -e alpha -e beta "$LAB_DIR/learnt" ||
	die "a stranger learns something"
fact "strangers were sent $(wc -c <"$LAB_DIR/learnt") bytes"
get_is alpha .resyncs 0 || die "a stranger broke the connection"
get_is alpha .state protected || die "no longer protected"
[ "$(gate_released alpha)" -gt "$released" ] || die "nothing is released"

client_goes_on
host_kill alpha
must beta activate "$VM" --peer-is-dead
client_goes_on
client_end
