# shellcheck shell=bash
# Sourced from the root of the checkout: the collection, its environment and, when one is up, the sandbox.
if [ ! -x .venv/bin/python ]; then
  echo "There is no .venv here. In the root of the checkout, run: tools/setup.sh" >&2
  return 1
fi
PATH="$PWD/.venv/bin:$PATH"
ANSIBLE_COLLECTIONS_PATH="$PWD/.cache"
ANSIBLE_CONFIG="$PWD/ansible.cfg"
PYTHONPATH="$PWD/.cache:$PWD"
MOLECULE_GLOB='molecule/*/molecule.yml'
export PATH ANSIBLE_COLLECTIONS_PATH ANSIBLE_CONFIG PYTHONPATH MOLECULE_GLOB
# Molecule, pytest and mypy keep their state beside everything else that can be thrown away.
export ANSIBLE_HOME="${ANSIBLE_HOME:-$PWD/build/ansible}" MYPY_CACHE_DIR="$PWD/build/mypy" RUFF_CACHE_DIR="$PWD/build/ruff"
HAVEN_SANDBOX_DIR="${HAVEN_SANDBOX_DIR:-$PWD/build/sandbox}"
export HAVEN_SANDBOX_DIR
# shellcheck disable=SC1091
if [ -r "$HAVEN_SANDBOX_DIR/env" ]; then . "$HAVEN_SANDBOX_DIR/env"; fi
