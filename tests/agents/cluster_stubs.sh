# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cluster_stubs.sh - the tools by which an agent talks to Pacemaker, as small
# scripts that keep what they are told in files, shared by all hosts of a lab,
# and write every call down.
#
#   stubs_make DIR     DIR/bin has the tools, DIR/calls the calls; DIR/members
#                      has the nodes in sight; DIR/refuse, if it is there, makes
#                      every tool fail as without a cluster; DIR/located is
#                      what crm_resource prints, DIR/mon what crm_mon prints;
#                      DIR/lost, and the status knows no score until all that
#                      was told is written anew
#   stub_attr HOST NAME, stub_config NAME, stub_score HOST

stubs_make() {
	STUBS=$1
	mkdir -p "$STUBS/bin" "$STUBS/attr" "$STUBS/config"
	: >"$STUBS/calls"
	sed "s|@STUBS@|$STUBS|" >"$STUBS/bin/stub" <<-'END'
	#!/bin/sh
	# One script, called by several names.
	stubs=@STUBS@
	me=${0##*/}
	echo "$(uname -n) $me $*" >>"$stubs/calls"
	if [ -e "$stubs/refuse" ]; then
		echo "$me: Could not connect: Transport endpoint is not connected" >&2
		exit 102
	fi
	name='' value='' do='' type='' node='' default='' score='' quorum=''
	xpath='' all=''
	while [ $# -gt 0 ]; do
		case $1 in
		--update=*) do=update value=${1#*=} ;;
		-v | -U | -B)
			# as the real ones do
			case $2 in -*) echo "$me: no node ${2#-}" >&2; exit 105 ;; esac
			do=update value=$2
			shift
			;;
		-n | --name) name=$2; shift ;;
		--update) do=update value=$2; shift ;;
		-N | --node) node=$2; shift ;;
		-t | --type) type=$2; shift ;;
		-d | --scope) shift ;;
		--xpath) xpath=$2; shift ;;
		-R) all=y ;;
		--default) default=$2; shift ;;
		--set-name | -l) shift ;;
		-D | --delete) do=delete ;;
		-Q | --query) do=query ;;
		-p | --partition) score=y ;;
		--quorum) quorum=y ;;
		esac
		shift
	done
	case $me in
	crm_node)
		if [ -n "$quorum" ]; then
			cat "$stubs/quorum" 2>/dev/null || echo 1
		else
			cat "$stubs/members"
		fi
		exit 0
		;;
	crm_resource)	# what was asked is in the calls
		cat "$stubs/located" 2>/dev/null
		exit 0
		;;
	crm_mon)
		cat "$stubs/mon" 2>/dev/null
		exit 0
		;;
	cibadmin)
		# of "//node_state[@uname='HOST']//nvpair[...]"
		node=${xpath#*@uname=\'} node=${node%%\'*}
		[ ! -e "$stubs/lost" ] && [ -e "$stubs/attr/score@$node" ] || {
			echo "$me: No such device or address" >&2
			exit 105
		}
		echo "<nvpair id=\"x\" name=\"y\" value=\"$(cat "$stubs/attr/score@$node")\"/>"
		exit 0
		;;
	crm_master) score=y ;;
	esac
	[ "$me" != attrd_updater ] || [ -z "$all" ] || {
		rm -f "$stubs/lost"
		exit 0
	}
	if [ "$me" = attrd_updater ] && [ "$do" = query ]; then
		# -A means all nodes only where this is not set.
		for f in "$stubs/attr/$name@"${OCF_RESKEY_CRM_meta_on_node:-*}; do
			[ -e "$f" ] || exit 105
			echo "name=\"$name\" host=\"${f##*@}\" value=\"$(cat "$f")\""
		done
		exit 0
	fi
	file=$stubs/attr/$name@${node:-$(uname -n)}
	[ -z "$score" ] || file=$stubs/attr/score@$(uname -n)
	[ "$type" != crm_config ] || file=$stubs/config/$name
	case $do in
	update) echo "$value" >"$file" ;;
	delete) rm -f "$file" ;;
	*)
		if [ -e "$file" ]; then
			cat "$file"
		elif [ -n "$default" ]; then
			echo "$default"
		else
			exit 105
		fi
		;;
	esac
	END
	chmod 755 "$STUBS/bin/stub"
	local tool
	for tool in attrd_updater crm_attribute crm_master crm_node crm_resource crm_mon \
		cibadmin; do
		ln -sf stub "$STUBS/bin/$tool"
	done
}

stub_attr() { cat "$STUBS/attr/$2@$1" 2>/dev/null || :; }
stub_score() { stub_attr "$1" score; }
stub_config() { cat "$STUBS/config/$1" 2>/dev/null || :; }
