# shellcheck shell=sh
# SPDX-License-Identifier: GPL-2.0-or-later
# vm-metadata.sh - the meta-data of ocf:remus:vm.

meta_data() {
	cat <<'END'
<?xml version="1.0"?>
<!DOCTYPE resource-agent SYSTEM "ra-api-1.dtd" [
<!ATTLIST parameter reloadable (1|0) "0" unique-group CDATA #IMPLIED>
<!ATTLIST action name CDATA #REQUIRED>
]>
<resource-agent name="vm" version="1.0">
<version>1.1</version>
<longdesc lang="en">
A virtual machine that survives the loss of its host without noticing: its
memory and devices are replicated to a second node by remusd, and its output is
held until that node has all that led to it. Promoted is the node where the
guest runs, Unpromoted the node that holds the last committed epoch. Create it
as a promotable clone with notify=true:

pcs resource create vm1 ocf:remus:vm config=/etc/remus/vm1.conf promotable notify=true

See ocf_remus_vm(7).
</longdesc>
<shortdesc lang="en">Replicated virtual machine (Remus)</shortdesc>
<parameters>

<parameter name="config" required="1" unique="1" unique-group="config">
<longdesc lang="en">
Absolute path of the machine's definition, remus.conf(5): NAME.conf, the same
file on both nodes. NAME is the machine's name. The names in its two "node"
lines must be the cluster's names of the two nodes.
</longdesc>
<shortdesc lang="en">Definition of the machine</shortdesc>
<content type="string"/>
</parameter>

<parameter name="interval" reloadable="1">
<longdesc lang="en">
Time from one checkpoint to the next: a number of milliseconds, or with "ms" or
"s" behind it, from 5ms to 10s. Overrides "interval" of the definition, whose
default is 25ms. Can be changed while the machine runs.
</longdesc>
<shortdesc lang="en">Checkpoint interval</shortdesc>
<content type="string"/>
</parameter>

<parameter name="compression" reloadable="1">
<longdesc lang="en">
How pages are made smaller: "off", "fast", "tight", or "auto", which is also "on".
Overrides "compression" of the definition, whose default is "auto". Can be
changed while the machine runs.
</longdesc>
<shortdesc lang="en">Compression of checkpoints</shortdesc>
<content type="string"/>
</parameter>

<parameter name="peers">
<longdesc lang="en">
Where each of the two nodes listens for the other: two words NODE=ADDRESS or
NODE=ADDRESS:PORT, such as "alpha=192.0.2.1 beta=192.0.2.2". Overrides the
"node" lines of the definition.
</longdesc>
<shortdesc lang="en">Nodes and their replication addresses</shortdesc>
<content type="string"/>
</parameter>

<parameter name="port">
<longdesc lang="en">
TCP port at which the machine's remusd listens on both nodes. Each machine needs
one of its own. Overrides the ports in "peers" and in the definition; 7070 where
none is named.
</longdesc>
<shortdesc lang="en">Replication port</shortdesc>
<content type="integer"/>
</parameter>

<parameter name="authkey">
<longdesc lang="en">
Absolute path of the key that proves one node to the other. Overrides "key_file"
of the definition.
</longdesc>
<shortdesc lang="en">Replication key file</shortdesc>
<content type="string"/>
</parameter>

<parameter name="gate">
<longdesc lang="en">
Where the guest's output waits for the acknowledgement: "relay" or "plug".
Overrides "gate" of the definition, whose default is "relay".
</longdesc>
<shortdesc lang="en">Output gate</shortdesc>
<content type="string"/>
</parameter>

<parameter name="cold_boot">
<longdesc lang="en">
When promote may boot the guest anew, because there is no epoch to go on from:
"never"; "when-no-state": when it is known that no node runs the guest or holds
an epoch of it, and no other node had it more recently than this one; "always":
also on a node that is known not to have had it last. No value boots a
guest while another one may run. Default: when-no-state.
</longdesc>
<shortdesc lang="en">When to boot the guest anew</shortdesc>
<content type="string" default="when-no-state"/>
</parameter>

<parameter name="alone" reloadable="1">
<longdesc lang="en">
What the guest does when its backup is lost. "run": as soon as the cluster has
stopped or fenced the backup, output goes out without acknowledgements, and the
machine is not protected until the backup is back. "freeze": output waits until
a backup has caught up, whatever that takes. Default: run.
</longdesc>
<shortdesc lang="en">Without a backup: run or freeze</shortdesc>
<content type="string" default="run"/>
</parameter>

<parameter name="witnesses">
<longdesc lang="en">
The service's clients that decide which copy may be seen, each with a
remus-witness: NAME=URL, separated by blanks, such as
"w1=http://192.0.2.11:7071 w2=http://192.0.2.12:7071 w3=http://192.0.2.13:7071".
Overrides "arbiter" and the "witness" lines of the definition. Default: as the
definition has it; none: the cluster decides.
</longdesc>
<shortdesc lang="en">Witnesses and their URLs</shortdesc>
<content type="string"/>
</parameter>

<parameter name="witness_key">
<longdesc lang="en">
Absolute path of the key that nodes and witnesses share. Overrides "witness_key"
of the definition.
</longdesc>
<shortdesc lang="en">Witnesses' key file</shortdesc>
<content type="string"/>
</parameter>

<parameter name="reconnect_wait" reloadable="1">
<longdesc lang="en">
How many seconds output waits for a backup that cannot be reached although its
node is in the cluster, such as when the replication cable alone is cut. Then the
cluster is asked to restart the backup's instance, which is the proof that lets
the guest go on without it. Only with alone=run. Default: 5.
</longdesc>
<shortdesc lang="en">Seconds to wait for a backup out of reach</shortdesc>
<content type="integer" default="5"/>
</parameter>

</parameters>
<actions>
<action name="start" timeout="60s"/>
<action name="stop" timeout="60s"/>
<action name="monitor" timeout="20s" interval="10s" depth="0" role="Promoted"/>
<action name="monitor" timeout="20s" interval="11s" depth="0" role="Unpromoted"/>
<action name="promote" timeout="60s"/>
<action name="demote" timeout="60s"/>
<action name="notify" timeout="30s"/>
<action name="reload-agent" timeout="20s"/>
<action name="validate-all" timeout="20s"/>
<action name="meta-data" timeout="5s"/>
</actions>
</resource-agent>
END
}
