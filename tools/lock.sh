#!/usr/bin/env bash
# Resolves every lock file anew: the controller's environment and what the roles install on targets.
set -euo pipefail
cd "$(dirname "$0")/.."
compile() {  # compile PYTHON IN OUT
  .venv/bin/uv pip compile -q --universal --python-version "$1" --generate-hashes --no-header \
    --no-emit-index-url --no-emit-find-links --upgrade "$2" -o "$3"
}
compile 3.11 requirements/dev.in requirements/dev.lock
compile 3.11 requirements/openstack-sandbox.in requirements/openstack-sandbox.lock
for source in roles/*/files/*.in; do
  compile 3.10 "$source" "${source%.in}.txt"
done
