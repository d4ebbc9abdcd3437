#!/usr/bin/env bash
# The checks that take seconds, of what differs from the commit before the last: edited, new, or committed just now.
# `make lint` checks everything.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '== %s\n' "$*"; "$@"; }
mapfile -t changed < <({ git diff --name-only HEAD~1 2>/dev/null || git ls-files; git ls-files --others --exclude-standard; } | sort -u)
existing=() python=() yaml=() shell=() ansible=()
for file in "${changed[@]}"; do
  [ -e "$file" ] || continue
  existing+=("$file")
  case $file in
  *.py) python+=("$file") ;;
  *.sh | .ci/run) shell+=("$file") ;;
  *.yml | *.yaml) yaml+=("$file") ;;
  esac
  case $file in
  roles/*/* | playbooks/*.yml) ansible+=("$(cut -d/ -f1-2 <<<"$file")") ;;
  molecule/*/*.yml) ansible+=("$file") ;;
  esac
done
if [ "${#python[@]}" -gt 0 ]; then
  step ruff check -q "${python[@]}"
  step ruff format -q --check "${python[@]}"
  # Types go across files; what it knows of the others it keeps.
  step mypy
  step lint-imports --no-cache
fi
[ "${#yaml[@]}" -eq 0 ] || step yamllint --strict "${yaml[@]}"
[ "${#shell[@]}" -eq 0 ] || step shellcheck "${shell[@]}"
if [ "${#ansible[@]}" -gt 0 ]; then
  mapfile -t ansible < <(printf '%s\n' "${ansible[@]}" | sort -u)
  step ansible-lint --offline -q --profile production "${ansible[@]}"
fi
step python -m tools.generated --check
step python -m tools.words
echo "lint: everything is clean in ${#existing[@]} changed files"
