#!/bin/sh
# Managed by the role haven.gpu.sshd. Puts a configuration into force for the time being, and keeps it or takes it back.
#   status     succeeds when what was asked for is in force and confirmed
#   activate   next/ comes into force; the timer of haven-jump-host-rollback is armed
#   confirm    disarms it; fails where it was too late
#   rollback   what was in force before comes back; nothing happens where the present configuration is confirmed
# The name that it is installed under says whose: haven-sshd, or haven-jump-host, whose rules of nftables change with sshd.
set -eu
NAME=${0##*/}
FOLDER=/etc/haven/$(echo "${NAME#haven-}" | tr - _)
TABLE=haven_${FOLDER##*/}
SSHD=/etc/ssh/sshd_config.d/00-$NAME.conf
RULES=$FOLDER/rules.nft
cd "$FOLDER"

has_rules() {
	[ -e next/rules.nft ]
}

loaded() {
	digest=$(sed -n 's/^\tcomment "\(.*\)"$/\1/p' next/rules.nft)
	nft list table inet "$TABLE" 2>/dev/null | grep -qF "comment \"$digest\""
}

# copy FROM TO: an absent file is copied as one.
copy() {
	if [ -e "$1" ]; then
		cp -p "$1" "$2.draft" && mv "$2.draft" "$2"
	else
		rm -f "$2"
	fi
}

load() {
	if [ -e "$RULES" ]; then
		nft -f "$RULES"
	elif has_rules; then
		nft delete table inet "$TABLE" 2>/dev/null || true
		# Without waiting: where this runs in a unit that comes before that one, both would wait for each other.
		systemctl --no-block stop "$NAME.service"
	fi
	reread --no-block
}

# Reloaded, the sshd of Debian 13 asks for the port that systemd already holds as ssh.socket, and ends. Sessions outlive
# a restart (KillMode=process).
reread() {
	if systemctl --quiet is-active ssh.socket; then
		systemctl "$@" try-restart ssh.service
	else
		systemctl "$@" try-reload-or-restart ssh.service
	fi
}

rollback() {
	[ -d previous ] || return 0
	copy previous/sshd.conf "$SSHD"
	copy previous/rules.nft "$RULES"
	load
	rm -rf previous
	echo "The configuration from before is in force." >&2
}

check() {
	sshd -t
	! has_rules || nft -c -f "$RULES"
	# What other files of sshd say may not take back what is promised for these users: one stands for all.
	user=$(head -n 1 next/users)
	[ -n "$user" ] || return 0
	sshd -T -C "user=$user,host=gate,addr=192.0.2.1,laddr=192.0.2.2,lport=22" >effective
	lost=$(grep -vixFf effective next/expected || true)
	rm effective
	[ -z "$lost" ] || {
		echo "sshd would not do this for $user, because another file says otherwise: $lost" >&2
		return 1
	}
}

activate() {
	# One that was never confirmed is none to go back to.
	rollback
	rm -rf previous.draft
	mkdir -m 0700 previous.draft
	began $$ >previous.draft/began
	copy "$SSHD" previous.draft/sshd.conf
	copy "$RULES" previous.draft/rules.nft
	mv previous.draft previous
	trap 'rollback; systemctl stop "$NAME-rollback.timer"' EXIT
	systemctl restart "$NAME-rollback.timer"
	copy next/sshd.conf "$SSHD"
	copy next/rules.nft "$RULES"
	check
	! has_rules || systemctl reload-or-restart "$NAME.service"
	reread
	trap - EXIT
}

# When a process began, in hundredths of a second since the machine did; see proc(5) for the fields.
began() {
	sed 's/.*) //' "/proc/$1/stat" | cut -d ' ' -f 20
}

# The connection that this is typed over must be younger than what it confirms. On the machine itself there is none to look at.
over_a_new_connection() {
	process=$$
	while [ "$process" -gt 1 ]; do
		case $(cat "/proc/$process/comm") in
		sshd*) [ "$(began "$process")" -gt "$(cat previous/began)" ] && return 0 || return 1 ;;
		esac
		process=$(sed 's/.*) //' "/proc/$process/stat" | cut -d ' ' -f 2)
	done
}

confirm() {
	[ -d previous ] || {
		echo "The confirmation came too late: the configuration from before is in force again." >&2
		exit 1
	}
	over_a_new_connection || {
		echo "This connection is older than the configuration, and proves nothing." >&2
		exit 1
	}
	systemctl stop "$NAME-rollback.timer"
	rm -rf previous
}

status() {
	[ ! -d previous ] && cmp -s next/sshd.conf "$SSHD" || return 1
	! has_rules || { cmp -s next/rules.nft "$RULES" && loaded; }
}

# One at a time: the timer may elapse in the middle of a confirmation.
exec 9>lock
flock 9
case "${1:-}" in
status | activate | confirm | rollback) "$1" ;;
*) sed -n '2,6s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
