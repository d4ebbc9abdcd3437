#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: first_boot
short_description: Wait until cloud-init and updates of packages have finished
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - >-
    The sshd of a new machine answers while cloud-init still works and while the timers of apt install updates. A task
    that installs something then fails, because C(apt) and C(dpkg) can be used by one process only.
  - >-
    Waits until nobody holds the locks of C(apt) and C(dpkg), and until cloud-init has finished. Says what it waits for,
    and fails after O(timeout) with the name of the process. A machine without C(apt) or cloud-init is ready at once.
  - >-
    Somebody else may take the locks right afterwards. So the task that installs should wait for them as well, with its
    own option, such as C(lock_timeout) of M(ansible.builtin.apt).
requirements: [root]
attributes:
  check_mode: {support: full, description: "This module changes nothing. In check mode, it does not wait."}
  diff_mode: {support: none, description: This module changes nothing.}
options:
  timeout:
    description: How long to wait, in seconds.
    type: int
    default: 1800
"""

EXAMPLES = r"""
- name: Wait until the first boot has finished
  haven.gpu.first_boot:
  become: true

- name: Install a package
  ansible.builtin.apt:
    name: nftables
    lock_timeout: 1800
  become: true
"""

RETURN = r"""
waited_for:
  description: What was waited for, in order.
  returned: success
  type: list
  elements: str
  sample: ["the lock of apt and dpkg, held by unattended-upgrade (process 812, apt-daily-upgrade.service)"]
reason:
  description: V(timeout) if the machine was not ready in time.
  returned: failure
  type: str
  sample: timeout
"""

import os
from functools import partial
from pathlib import Path

from ..module_utils._ansible_module import HavenModule
from ..module_utils._errors import TimedOut
from ..module_utils._first_boot import cloud_init_errors, look, until_ready

_ROOT = Path("/")


def unit_state(module: HavenModule, unit: str) -> tuple[str, str]:
    """Ask systemd for a unit's ActiveState and its job; ('', '') where there is no systemd."""
    systemctl = module.get_bin_path("systemctl")
    if systemctl is None:
        return "", ""
    _code, out, _err = module.run_command([systemctl, "show", "--property=ActiveState,Job", unit])
    found = dict(line.partition("=")[::2] for line in out.splitlines())
    return found.get("ActiveState", ""), found.get("Job", "")


def main() -> None:
    module = HavenModule(argument_spec={"timeout": {"type": "int", "default": 1800}}, supports_check_mode=True)
    if module.check_mode:
        module.exit_json(changed=False, waited_for=[])
    if os.geteuid() != 0:
        module.fail_json(
            msg="Only root can see who holds the locks of apt: add become: true.", reason="invalid_request"
        )
    try:
        waited = until_ready(partial(look, _ROOT, partial(unit_state, module)), module.params["timeout"])
    except TimedOut as error:
        module.fail_json(msg=str(error), reason=error.reason)
    if any(text.startswith("cloud-init") for text in waited) and cloud_init_errors(_ROOT):
        module.warn(
            "cloud-init has finished with errors, so the machine may lack what its user data asked for. "
            "Run 'cloud-init status --long' there to see them."
        )
    module.exit_json(changed=False, waited_for=waited)


if __name__ == "__main__":
    main()
