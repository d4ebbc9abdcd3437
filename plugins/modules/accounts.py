#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: accounts
short_description: Create and lock user accounts with SSH keys
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Creates accounts with their SSH keys, for any number of users in one call, and remembers which ones it created.
  - Locks an account that it created when its user is removed, and unlocks it when the user returns. The files stay.
  - Never locks an account that existed before. It only removes the keys that it added there.
  - The accounts it created are members of the group C(haven-accounts). What it changed to lock an account is in
    C(/var/lib/haven/accounts).
  - Stops at the first failure. What was done until then is kept, and the next run continues.
requirements: [useradd and usermod as on Debian]
attributes:
  check_mode: {support: full, description: Nothing is changed.}
  diff_mode: {support: full, description: "What is done to each account, in words."}
  idempotent: {support: full, description: An account that is already as requested is left alone.}
options:
  accounts:
    description: The accounts.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the account.
        type: str
        required: true
      state:
        description:
          - V(present) creates the account if it does not exist, and unlocks one that this module locked.
          - V(exists) also creates it, but does not touch an existing one.
          - V(absent) expires the account, locks its password, disables its keys, and ends its processes, sessions,
            tunnels, and lingering. The account itself is kept, so that nobody else gets its user ID and its files.
        type: str
        choices: [present, exists, absent]
        default: present
      shell:
        description: Login shell. By default C(/bin/bash) for a new account; an existing account keeps its own.
        type: str
      ssh_keys:
        description:
          - Public keys that can log in to the account. They are kept in a block of C(~/.ssh/authorized_keys) that is
            updated to this list. Other lines in the file are left alone.
          - If this is not given, no keys are changed.
        type: list
        elements: str
      remove_files:
        description:
          - Whether to delete the files of an account that is V(absent) and was created by this module.
          - Folders that contain someone else's home or a mounted file system are kept, with a warning.
        type: bool
        default: false
  folders:
    description:
      - Folders, besides the home, in which each user has a folder of the user's name. It is listed in the
        RV(accounts[].files) of a removed user.
    type: list
    elements: path
    default: []
  protected:
    description: Accounts that are never locked, such as the one that Ansible connects as. Root never is.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Create alice's account and lock bob's
  haven.gpu.accounts:
    accounts:
      - name: alice
        ssh_keys: ["ssh-ed25519 AAAA... alice"]
      - name: bob
        state: absent
    protected: ["{{ ansible_user }}"]
  become: true
"""

RETURN = r"""
accounts:
  description: The accounts, in the order given.
  returned: success
  type: list
  elements: dict
  contains:
    name: {description: Its name., type: str, returned: success, sample: bob}
    state: {description: V(present) or V(absent)., type: str, returned: success, sample: absent}
    changed: {description: Whether it was changed., type: bool, returned: success, sample: true}
    exists: {description: "Whether the account exists, or would.", type: bool, returned: success, sample: true}
    home: {description: "Its home, or where it would be created.", type: str, returned: success, sample: /home/bob}
    group:
      description: ID of its primary group, or V(none) if there is no account.
      type: int
      returned: success
      sample: 1001
    locked: {description: Whether it is locked., type: bool, returned: success, sample: true}
    left:
      description: Why it was not locked although it should be absent; otherwise empty.
      type: str
      returned: success
      sample: it was there before haven.gpu
    warnings:
      description: What you still have to do yourself.
      type: list
      elements: str
      returned: success
      sample: ["A key of bob also opens the account debian: remove it from the authorized_keys there."]
    files:
      description: The remaining files of an absent account.
      type: list
      elements: str
      returned: success
      sample: [/home/bob, /srv/notebooks/bob]
"""

import os
import time
from collections.abc import Sequence
from typing import Any, Optional

from ..module_utils._accounts.apply import apply
from ..module_utils._accounts.found import look
from ..module_utils._accounts.models import Found, Plan, Wanted, wanted_accounts
from ..module_utils._accounts.plan import plan
from ..module_utils._ansible_module import HavenModule
from ..module_utils._errors import HavenError

SPEC: dict[str, Any] = {
    "accounts": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "exists", "absent"], "default": "present"},
            "shell": {"type": "str"},
            "ssh_keys": {"type": "list", "elements": "str", "no_log": False},
            "remove_files": {"type": "bool", "default": False},
        },
    },
    "folders": {"type": "list", "elements": "path", "default": []},
    "protected": {"type": "list", "elements": "str", "default": []},
}
_DAY_S = 24 * 60 * 60


def result(wanted: Wanted, found: Optional[Found], planned: Plan) -> dict[str, Any]:
    """Return one account as it is now, in check mode as it would be."""
    absent = wanted.state == "absent"
    return {
        "name": wanted.name,
        "state": "absent" if absent else "present",
        "changed": planned.changed,
        "exists": found is not None or planned.create,
        "home": found.home if found else f"/home/{wanted.name}",
        "group": found.gid if found else None,
        "locked": absent and found is not None and not planned.left,
        "left": planned.left,
        "warnings": list(planned.warnings),
        "files": [path for path in found.files if path not in planned.remove] if found and not planned.left else [],
    }


def difference(name: str, planned: Plan) -> dict[str, str]:
    after = "".join(f"{step}\n" for step in planned.steps)
    return {"before_header": f"account {name}", "after_header": f"account {name}", "before": "", "after": after}


def bring_all(module: HavenModule) -> dict[str, Any]:
    """Process every account in the order given, after all of them have been validated."""

    def run(argv: Sequence[str]) -> tuple[int, str]:
        code, out, err = module.run_command(list(argv))
        return int(code), str(err or out)

    answer: dict[str, Any] = {"changed": False, "accounts": [], "diff": []}
    for wanted in wanted_accounts(module.params["accounts"], module.params["folders"]):
        found = look(wanted)
        planned = plan(wanted, found, module.params["protected"], int(time.time()) // _DAY_S)
        for warning in planned.warnings:
            module.warn(warning)
        if planned.changed:
            answer["changed"] = True
            answer["diff"].append(difference(wanted.name, planned))
            if not module.check_mode:
                apply(planned, wanted, run)
                found = look(wanted) if planned.create else found
        answer["accounts"].append(result(wanted, found, planned))
    return answer


def main() -> None:
    module = HavenModule(argument_spec=SPEC, supports_check_mode=True)
    if os.geteuid() != 0:
        module.fail_json(msg="Only root can create and lock accounts: add become: true.")
    failure = None
    try:
        answer = bring_all(module)
    except HavenError as error:
        failure = str(error)
    except OSError as error:
        failure = (
            f"{error.filename} cannot be changed: {error.strerror}. What was done until then is kept; run this again."
        )
    if failure:
        module.fail_json(msg=failure)
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
