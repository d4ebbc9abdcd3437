#!/usr/bin/env bash
# Makes sure that Debian packages are there: tools/packages.sh FILE...  (one package a line, # starts a comment)
# As root it installs what is missing; else it prints the one command that would, and fails.
set -euo pipefail
mapfile -t wanted < <(sed 's/#.*//' "$@" | tr -d ' \t' | grep -v '^$')
missing=()
for package in "${wanted[@]}"; do
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
[ "${#missing[@]}" -gt 0 ] || exit 0
if [ "$(id -u)" != 0 ]; then
  echo "These Debian packages are missing. Install them with: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 2
fi
if ! command -v apt-get >/dev/null; then
  echo "These programs' packages are missing and there is no apt-get here: ${missing[*]}" >&2
  exit 2
fi
echo "Installing Debian packages: ${missing[*]}"
# policy-rc.d would be the other way to keep squid from starting; the sandbox starts its own.
export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
apt-get -q update >/dev/null
apt-get -qy install --no-install-recommends "${missing[@]}" >/dev/null
