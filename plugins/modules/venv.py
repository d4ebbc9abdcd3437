#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: venv
short_description: Manage Python environments and Jupyter kernels of users
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Creates, updates, and removes any number of named virtual environments in one call.
  - The role P(haven.gpu.venv#role) installs what this module needs, and calls it.
  - All work on an environment is done as its user. Root only creates the folders above it.
  - An environment for root needs O(environments[].require_hashes=true), O(environments[].only_binary=true), and a lock
    file in O(environments[].requirements), so that no code from a package runs as root during the installation.
  - Every run asks the installer itself what would change. Packages that cannot be found or resolved are reported before
    anything is changed.
  - An environment that has to be created again for another Python replaces the old one. If that fails, the old one is
    restored.
  - Proxy and CA are those of the host (C(/etc/environment), C(/etc/haven/egress.env), C(/etc/pip.conf),
    C(/etc/uv/uv.toml)).
requirements:
  - uv at C(/opt/haven/uv/bin/uv) for O(environments[].installer=uv)
  - the C(venv) module of the chosen Python and pip 22.2 or later for O(environments[].installer=pip)
  - git for O(environments[].repository)
attributes:
  check_mode: {support: full, description: Uses the dry run of installers and git.}
  diff_mode: {support: full, description: "Packages with versions, the reason for a new environment, and the kernel."}
  idempotent: {support: full, description: Packages without a version are installed once and not upgraded.}
options:
  environments:
    description: The environments, in the order in which they are processed.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the environment, unique for its user, and also the name of its kernel.
        type: str
        required: true
      user:
        description: The existing user who owns it.
        type: str
        required: true
      state:
        description: V(absent) removes the environment, its kernel, and its checkout.
        type: str
        choices: [present, absent]
        default: present
      python:
        description:
          - A version such as V(3.12), or the absolute path of a Python. The default is C(/usr/bin/python3).
          - If it differs from the environment's Python, the environment is created again.
        type: str
      installer:
        description: V(uv) is many times faster than V(pip).
        type: str
        choices: [uv, pip]
        default: uv
      packages:
        description: Requirement specifiers, as in the lines of a requirements file.
        type: list
        elements: str
        default: []
      requirements:
        description: The content of a requirements file.
        type: str
      repository:
        description: A git repository with a file that lists the requirements.
        type: dict
        suboptions:
          url:
            description: URL without a password. The user's own git credentials and SSH keys are used.
            type: str
            required: true
          version:
            description: Branch, tag, or full commit. A branch is followed on every run. The default is HEAD.
            type: str
          file:
            description:
              - Path of the requirements file in the repository. V(pyproject.toml) works with uv.
              - It can be UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it.
              - Paths in it, such as V(-e .), begin at its own folder if they lead to a project there, otherwise at the
                top of the repository.
            type: str
            default: requirements.txt
          dest:
            description:
              - Folder of the checkout. It contains the whole history, and is kept on removal.
              - By default, the module chooses a folder.
            type: str
      require_hashes:
        description: Whether every package must have a hash. By default, all must have one if any does.
        type: bool
      only_binary:
        description:
          - Whether to install wheels only. Building a package from source runs its code; installing a wheel does not.
        type: bool
        default: false
      exact:
        description: Whether to remove packages that are not requested, such as those added by hand. Requires uv.
        type: bool
        default: false
      kernel:
        description:
          - V(true), or a display name, makes the environment a Jupyter kernel of the user.
          - This also installs ipykernel.
        type: raw
        default: false
      kernel_env:
        description: Environment variables of the kernel, in addition to the host's CA settings. Values are never shown.
        type: dict
        default: {}
      path:
        description: Path of the environment, absolute or below C(~/). The default is C(<root>/<user>/<name>).
        type: str
  root:
    description: Folder of the environments. Each user's environments are in a folder that only this user can enter.
    type: path
    default: /opt/haven/venvs
  python_downloads:
    description:
      - Whether uv may download a Python version that the host does not have.
      - By default, uv downloads it from GitHub.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Give alice an environment with a kernel
  haven.gpu.venv:
    environments:
      - name: torch
        user: alice
        packages: [torch, torchvision]
        kernel: PyTorch

- name: Create an environment with exactly the locked requirements
  haven.gpu.venv:
    environments:
      - name: paper
        user: alice
        requirements: "{{ lookup('ansible.builtin.file', 'paper.txt') }}"
        exact: true

- name: Install an environment for a service, which root owns and everyone can run
  haven.gpu.venv:
    environments:
      - name: service
        user: root
        path: /opt/service
        requirements: "{{ lookup('ansible.builtin.file', 'service.txt') }}"
        require_hashes: true
        only_binary: true
        exact: true
  become: true
"""

RETURN = r"""
environments:
  description: The environments, in the order given.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Its name., type: str, returned: success, sample: torch}
    user: {description: Its owner., type: str, returned: success, sample: alice}
    path: {description: Where it is., type: str, returned: success, sample: /opt/haven/venvs/alice/torch}
    state: {description: V(present) or V(absent)., type: str, returned: success, sample: present}
    changed: {description: Whether it was changed., type: bool, returned: success, sample: true}
    python_version: {description: "Its Python version, or empty.", type: str, returned: success, sample: 3.11.2}
    packages:
      description: Packages that were installed (+), removed (-), or reinstalled (~).
      type: list
      elements: str
      returned: success
      sample: [+ torch==2.9.0]
    kernel: {description: Name of its kernel., type: str, returned: success, sample: torch}
"""

from ..module_utils._ansible_module import HavenModule
from ..module_utils._errors import HavenError
from ..module_utils._venvs.fleet import bring_all

REPOSITORY = {
    "url": {"type": "str", "required": True},
    "version": {"type": "str"},
    "file": {"type": "str", "default": "requirements.txt"},
    "dest": {"type": "str"},
}
ENVIRONMENT = {
    "name": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "python": {"type": "str"},
    "installer": {"type": "str", "choices": ["uv", "pip"], "default": "uv"},
    "packages": {"type": "list", "elements": "str", "default": []},
    "requirements": {"type": "str"},
    "repository": {"type": "dict", "options": REPOSITORY},
    "require_hashes": {"type": "bool"},
    "only_binary": {"type": "bool", "default": False},
    "exact": {"type": "bool", "default": False},
    "kernel": {"type": "raw", "default": False},
    "kernel_env": {"type": "dict", "default": {}},
    "path": {"type": "str"},
}
SPEC = {
    "environments": {"type": "list", "elements": "dict", "options": ENVIRONMENT, "required": True},
    "root": {"type": "path", "default": "/opt/haven/venvs"},
    "python_downloads": {"type": "bool", "default": False},
}


class VenvModule(HavenModule):
    # People keep tokens in both.
    hidden = frozenset({"kernel_env", "requirements"})


def main() -> None:
    module = VenvModule(argument_spec=SPEC, supports_check_mode=True)
    p = module.params
    try:
        result = bring_all(p["environments"], p["root"], p["python_downloads"], module.check_mode)
    except HavenError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename} cannot be written: {error.strerror}. Check that this runs as root and has space."
        )
    module.exit_json(**result)


if __name__ == "__main__":
    main()
