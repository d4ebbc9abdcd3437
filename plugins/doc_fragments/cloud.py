# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation shared by the modules."""

from __future__ import annotations

from typing import ClassVar

_CONNECTION = r"""
options:
  project:
    description:
      - The project that everything created here belongs to. It becomes the tag C(haven:project). The project and the
        name together identify a resource. Nothing without the tag is ever changed or deleted.
      - This is not an OpenStack project, which the option C(openstack) selects. On OpenStack, servers and volumes carry
        the tag as metadata; security groups, ports, and floating IPs at the end of their description; key pairs in the
        comment of their public key.
      - 1 to 63 letters, digits, dots, dashes, or underscores.
      - The default is the environment variable E(HAVEN_PROJECT).
    type: str
    required: true
  api_via:
    description:
      - How to reach the cloud's API. V(jump_host) is for an API that only the jump host can reach. The calls go through
        one SSH connection to the last of the O(hops), which lasts as long as the task.
      - The SDK then uses a proxy on this computer's loopback address, with a new password for each task. TLS runs
        between the SDK and the API, whose certificate must match its real name; an endpoint without TLS is refused. The
        jump host must allow connections to the API, including all services that the SDK uses.
    type: str
    choices: [direct, jump_host]
    default: direct
    version_added: "0.1.0"
  public_keys:
    description:
      - Your public keys, such as C(ssh-ed25519 AAAA...). Those of them that are in C(~/.ssh), or that your agent has,
        are the only ones that are tried on jump hosts without O(hops[].key), and by M(haven.gpu.instance) on instances
        without O(haven.gpu.instance#module:private_key). Otherwise, ssh would offer all keys of the agent, and many
        servers lock out an address that offers too many.
      - If none of them is on this computer, ssh tries all keys.
    type: list
    elements: str
    default: []
    version_added: "0.1.0"
  hops:
    description:
      - The jump hosts between the controller and the cloud's private network, outermost first. They are used for
        O(api_via=jump_host), and by M(haven.gpu.instance) to reach the instances at their private addresses.
    type: list
    elements: dict
    version_added: "0.1.0"
    suboptions:
      host:
        description: Its host name or address.
        type: str
      instance:
        description:
          - Instead of O(hops[].host), the name of a running instance in the project. Its address is looked up, and its
            recorded host key is used. Not for O(api_via=jump_host).
        type: str
      tag:
        description:
          - Instead of O(hops[].host), tags and values that such an instance must have. If several have them, the first
            by name is used.
        type: dict
      port:
        description: The port.
        type: int
        default: 22
      user:
        description: The user.
        type: str
      key:
        description: The file of the private key. By default, ssh uses the agent and the default files.
        type: path
      host_key:
        description: The host key, such as C(ssh-ed25519 AAAA...). By default, it must be in your own known_hosts.
        type: str
      inside_address:
        description:
          - The address that the instances see it by. It is not used for connections, but M(haven.gpu.firewall) can
            restrict access to it.
        type: str
"""

_NOTES = r"""
notes:
  - Set the common options once with C(module_defaults) for the action group C(group/haven.gpu.cloud). If a task sets
    the cloud's own options, its dictionary replaces the default one as a whole.
  - Failures return C(reason), a stable word that a playbook can test. It is one of C(invalid_request), C(not_found),
    C(refused), C(bad_credentials), C(denied), C(quota), C(no_capacity), C(throttled), C(unreachable),
    C(proxy_refused), C(login_refused), C(unexpected_answer), C(timeout), C(unsupported), C(untrusted), C(incomplete),
    C(missing_library), and C(cloud_failure).
  - Every 10 seconds, a task shows what it is waiting for. The variable C(haven_progress=false) turns that off.
"""

# The rest differs between modules that change something and others.
_ATTRIBUTES = r"""
options: {}
attributes:
  check_mode:
    description: Can run in check mode and report what a real run would do, without changing anything.
    support: full
  idempotent:
    description: A second run with the same options changes nothing.
    support: full
  diff_mode:
    description: Returns what changed, or in check mode would change.
"""


class ModuleDocFragment:
    """haven.gpu.cloud. The options of each cloud are in haven.gpu.clouds."""

    DOCUMENTATION: ClassVar[str] = _CONNECTION + _NOTES
    ATTRIBUTES: ClassVar[str] = _ATTRIBUTES + "    support: full\n"
    ATTRIBUTES_INFO: ClassVar[str] = _ATTRIBUTES + "    support: N/A\n    details: This module changes nothing.\n"
