#!/usr/bin/env bash
# Makes or refreshes .venv from the lock file; a second run costs a comparison of files and a look at the bytecode.
# Usage: tools/setup.sh   (PYTHON=/path/to/python3.x chooses the interpreter)
set -euo pipefail
cd "$(dirname "$0")/.."
venv=.venv lock=requirements/dev.lock stamp=.venv/.lock

usable() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.13 ~/.pyenv/versions/3.13.*/bin/python3 python3.12 ~/.pyenv/versions/3.12.*/bin/python3 \
    python3.11 ~/.pyenv/versions/3.11.*/bin/python3 python3; do
    if command -v "$candidate" >/dev/null && usable "$candidate"; then command -v "$candidate"; return; fi
  done
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get -q update >&2 && DEBIAN_FRONTEND=noninteractive apt-get -qy install python3 python3-venv >&2
    if usable python3; then command -v python3; return; fi
  fi
  echo "No Python 3.11, 3.12 or 3.13 with venv was found. Try: apt-get install python3 python3-venv, or set PYTHON=/path/to/python3" >&2
  return 1
}

# A checkout becomes a collection by a link: ansible, pytest and molecule find it under .cache.
mkdir -p .cache/ansible_collections/haven build
ln -sfn ../../.. .cache/ansible_collections/haven/gpu

if ! cmp -s "$lock" "$stamp"; then
  python=$(find_python)
  echo "Setting up $venv with $("$python" --version) ..."
  "$python" -m venv --clear "$venv"
  uv_version=$(sed -n 's/^uv==\([0-9.]*\).*/\1/p' "$lock")
  "$venv/bin/python" -m pip install -q --disable-pip-version-check "uv==$uv_version"
  # PYTHONDONTWRITEBYTECODE may be set: without compiled bytecode every start would pay for it again.
  "$venv/bin/uv" pip sync -q --python "$venv/bin/python" --require-hashes --compile-bytecode "$lock"
  cp "$lock" "$stamp"
fi
# The collection's own, for the same reason: the controller loads its plugins at every start.
"$venv/bin/python" -m compileall -q plugins tests
