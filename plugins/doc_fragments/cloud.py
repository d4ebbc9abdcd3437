# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the modules share."""

from __future__ import annotations

from typing import ClassVar

_CONNECTION = r"""
options:
  project:
    description:
      - What everything made here belongs to. It becomes the tag C(haven:project), and together with the name it says
        what is meant; nothing without the tag is ever changed or removed.
      - On OpenStack it is one word inside the cloud's own project, which C(openstack) settles. Tags are the metadata
        of servers and volumes; security groups, ports and floating IPs carry it at the end of their description, key
        pairs in the comment of their public key.
      - 1 to 63 letters, digits, dots, dashes or underscores.
      - Taken from the environment variable E(HAVEN_PROJECT) when it is not given.
    type: str
    required: true
  api_via:
    description:
      - How the calls reach the cloud's API. V(jump_host) is for an API that can be reached from the inside only. The
        calls go through one SSH connection to the last of the O(hops), which lasts as long as the task.
      - The SDK gets a proxy on this computer's loopback address for that, with a credential of its own for each task.
        TLS is between the SDK and the API, whose certificate has to be right for its real name, and an address without
        TLS is refused. The jump host has to permit connections to the API, all of the SDK's services included.
    type: str
    choices: [direct, jump_host]
    default: direct
    version_added: "0.1.0"
  hops:
    description:
      - The jump hosts between the controller and the cloud's private network, outermost first. They are used for
        O(api_via=jump_host), and by M(haven.gpu.instance) to reach the machines, by their private addresses then.
    type: list
    elements: dict
    version_added: "0.1.0"
    suboptions:
      host:
        description: The name or address.
        type: str
      instance:
        description:
          - Instead of O(hops[].host), the name of an instance of the project that runs. Its address is looked up and
            its host key is the recorded one. Not for O(api_via=jump_host).
        type: str
      tag:
        description:
          - Instead of O(hops[].host), tags and their values, all of which such an instance carries. Of several the
            first by name is taken.
        type: dict
      port:
        description: The port.
        type: int
        default: 22
      user:
        description: The user.
        type: str
      key:
        description: The file of the private key. Without it, ssh asks the agent and tries the usual files.
        type: path
      host_key:
        description: The host key, such as C(ssh-ed25519 AAAA...). Without it, the user's own known_hosts decides.
        type: str
      inside_address:
        description:
          - The address that the machines behind it see. It is not used to reach them; M(haven.gpu.firewall) may let in
            no other.
        type: str
"""

_NOTES = r"""
notes:
  - The common options can be set once, with C(module_defaults) for the action group C(group/haven.gpu.cloud). A task
    that gives a cloud's own options itself replaces the default's dictionary as a whole.
  - Failures carry C(reason), a stable word to test in a playbook, which is one of C(invalid_request), C(not_found),
    C(refused), C(bad_credentials), C(denied), C(quota), C(no_capacity), C(throttled), C(unreachable),
    C(unexpected_answer), C(timeout), C(unsupported), C(untrusted), C(incomplete), C(missing_library) and
    C(cloud_failure).
"""

# Ends where modules that change nothing go on differently.
_ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and tell what a real run would do, without changing anything.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
  diff_mode:
    description: Returns what changed, or would change in check mode.
"""


class ModuleDocFragment:
    """haven.gpu.cloud; what each cloud has is in haven.gpu.clouds."""

    DOCUMENTATION: ClassVar[str] = _CONNECTION + _NOTES
    ATTRIBUTES: ClassVar[str] = _ATTRIBUTES + "    support: full\n"
    ATTRIBUTES_INFO: ClassVar[str] = _ATTRIBUTES + "    support: N/A\n    details: This module changes nothing.\n"
