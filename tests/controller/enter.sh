#!/bin/sh
# enter.sh HOME UMASK CHECKOUT COMMAND...: run the command where HOME is root's home, for ssh, too, which does not ask
# the environment. Unless CHECKOUT is empty, no program can be run from /tmp, except from the checkout if that is there.
# Only in a mount namespace of its own.
set -eu
home=$1 umask=$2 checkout=$3 path=$PATH
shift 3
PATH=/usr/sbin:/usr/bin:/sbin:/bin
awk -F: -v OFS=: -v home="$home" '$3 == 0 { $6 = home } { print }' /etc/passwd >"$home/.passwd.$$"
chmod 644 "$home/.passwd.$$"
mount --bind "$home/.passwd.$$" /etc/passwd
rm "$home/.passwd.$$"
if [ -n "$checkout" ]; then
  mount --bind /tmp /tmp
  mount -o remount,bind,noexec,nosuid,nodev /tmp
  case $checkout in
  /tmp/*)
    mount --bind "$checkout" "$checkout"
    mount -o remount,bind,exec,suid,dev "$checkout"
    ;;
  esac
  # The current folder is still one of the mount below.
  cd "$PWD"
fi
umask "$umask"
PATH=$path
exec "$@"
