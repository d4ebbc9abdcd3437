#!/usr/bin/env bash
# Every static check. Run by `make lint`; `tools/lint.sh --no-sanity` leaves the slow ansible-test out.
set -euo pipefail
cd "$(dirname "$0")/.."
step() { printf '== %s\n' "$*"; "$@"; }

step ruff check .
step ruff format --check .
step mypy
step lint-imports --no-cache
step python -m tools.words
step yamllint --strict .
step ansible-lint --offline -q --profile production
step antsibull-changelog lint
step shellcheck tools/*.sh roles/*/files/*.sh .ci/run
step python -m tools.generated --check
# An option without documentation, which ansible-test would find later.
step pytest -q tests/unit/test_documentation.py
step antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck .cache/ansible_collections/haven/gpu
[ "${1:-}" = --no-sanity ] || step tools/sanity.sh
echo "lint: everything is clean"
