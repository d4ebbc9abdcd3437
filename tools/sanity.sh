#!/usr/bin/env bash
# ansible-test refuses a linked collection: it gets a copy of the tracked files in a tree of its own.
# Programs that only test the collection stay out: they are no plugins, and ruff and mypy --strict hold them to more.
set -euo pipefail
cd "$(dirname "$0")/.."
top=$(mktemp -d)
trap 'rm -rf "$top"' EXIT
copy=$top/ansible_collections/haven/gpu
mkdir -p "$copy"
{ git ls-files -z -- . ':!tests' && git ls-files -z -- tests/config.yml tests/sanity; } | while IFS= read -r -d '' f; do [ ! -e "$f" ] || printf '%s\0' "$f"; done |
  tar --null -cf - -T - | tar -C "$copy" -xf -

# ansible-test keeps the tools' environments under its HOME: ours, so that a second run finds them again.
# It would download get-pip.py; Python brings a pip of its own, which serves where only package indexes are in reach.
home=$PWD/build/sanity
mkdir -p "$home/.ansible/test/cache" "$home/.config"
[ ! -d ~/.config/pip ] || ln -sfn ~/.config/pip "$home/.config/pip"
source=$(python -c 'import ansible_test, os; print(os.path.dirname(ansible_test.__file__))')/_internal/python_requirements.py
version=$(sed -n "s/^ *pip='\([0-9.]*\)'.*/\1/p" "$source" | head -n 1)
printf 'import ensurepip\n\nensurepip.bootstrap(default_pip=True)\n' >"$home/.ansible/test/cache/get_pip_${version//./_}.py"

# The interpreter of our environment: others on the PATH may be shims without a Python behind them.
python=$(python -c 'import sys; print("%d.%d" % sys.version_info[:2])')
cd "$copy"
git init -q . && git add -A
if ! HOME=$home ANSIBLE_COLLECTIONS_PATH=$top ansible-test sanity --local --color no --python "$python" "$@" >"$home/log" 2>&1; then
  grep -v -e '^Collecting' -e '^ *Downloading' -e '^WARNING' "$home/log" | tail -n 60
  exit 1
fi
echo "ansible-test sanity: $(grep -c '^Running sanity test' "$home/log") tests found nothing"
