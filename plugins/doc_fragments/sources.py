# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what the inventory lists: sources, filters, names, and machines of no cloud."""

from __future__ import annotations

from typing import ClassVar

_OPTIONS = r"""
options:
  sources:
    description:
      - Any number of clouds, accounts, projects and regions, all listed at the same time. Each is a source.
      - >-
        A source takes every option that it leaves out from the file. Without this list, the file's own options are the
        only source, which has no name.
      - A machine that several sources list is that of the first one.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - What the source is called, in letters, digits, dashes and underscores. It names the group
            C(haven_source_*), the variable C(haven_source), and the source in messages.
        type: str
        required: true
      # generated from the clouds
      cloud:
        description: Like O(cloud).
        type: str
        choices:
          - ec2
          - openstack
      ec2:
        description: Like O(ec2), which it replaces as a whole.
        type: dict
      openstack:
        description: Like O(openstack), which it replaces as a whole.
        type: dict
      # end of what is generated
      projects:
        description: As O(projects).
        type: list
        elements: str
      regions:
        description: As O(regions).
        type: list
        elements: str
      hops:
        description: As O(hops).
        type: list
        elements: dict
      api_via:
        description: As O(api_via).
        type: str
        choices: [direct, jump_host]
      login_user:
        description: As O(login_user).
        type: str
      private_key:
        description: As O(private_key).
        type: str
      host_key_authority:
        description: As O(host_key_authority).
        type: str
      host_keys:
        description: As O(host_keys).
        type: str
        choices: [verified, tofu]
      address:
        description: As O(address).
        type: str
        choices: [auto, private, public]
      states:
        description: As O(states).
        type: list
        elements: str
      filters:
        description: As O(filters).
        type: dict
      include_filters:
        description: As O(include_filters).
        type: list
        elements: dict
      exclude_filters:
        description: As O(exclude_filters).
        type: list
        elements: dict
      hourly_prices:
        description: As O(hourly_prices).
        type: dict
      on_error:
        description: As O(on_error).
        type: str
        choices: [fail, warn]
  on_error:
    description:
      - What happens when a source cannot be listed. V(fail) fails the inventory with one line that names the source.
      - >-
        V(warn) leaves out all machines of the source, with a warning, and leaves its cached listing as it is. A play on
        all machines then misses these.
    type: str
    choices: [fail, warn]
    default: fail
  machines:
    description:
      - Machines that belong to no cloud, such as a computer of your own with a GPU, listed beside the others.
      - >-
        Their C(haven_cloud) is C(static) and their C(haven_state) C(unknown). With O(machines) and no cloud, only they
        are listed.
    type: list
    elements: dict
    suboptions:
      name:
        description: The host's name, in letters, digits, dots, dashes and underscores.
        type: str
        required: true
      address:
        description: Host name or address. Either this or O(machines[].ssh_alias) is needed.
        type: str
      ssh_alias:
        description:
          - A C(Host) of your own C(~/.ssh/config), which says all that is left out here, the hops to the machine
            included.
          - >-
            Its host key must be in your own C(known_hosts), or be O(machines[].host_key). Only with the latter it is
            checked also where C(ANSIBLE_HOST_KEY_CHECKING) is off.
        type: str
      port:
        description: Port of its sshd, if it is not 22.
        type: int
      user:
        description: User to log in as. Default is O(login_user), or what your own configuration says for an alias.
        type: str
      private_key:
        description:
          - Private key file, on the controller. Default is O(private_key), or what your own configuration says for an
            alias.
        type: str
      host_key:
        description:
          - Its public host key, such as C(ssh-ed25519 AAAA...). Needed with O(machines[].address).
          - With C(@cert-authority) before it, the public key of who signs its host key for O(machines[].address), or
            for the name that stands between both, as an IPv6 address needs it. O(host_key_authority) does not count.
        type: str
      hops:
        description: As O(hops), which is the default unless there is an alias.
        type: list
        elements: dict
      gpu:
        description: Its GPUs, as C(model), C(count) and C(memory_gib) (of one).
        type: dict
      project:
        description: The project it is listed under. Default is the file's project, where that is one.
        type: str
      tags:
        description: Becomes C(haven_instance_tags).
        type: dict
      hourly_price:
        description: What it costs an hour, in whatever currency.
        type: float
  filters:
    description:
      - Only machines that pass these filters of the cloud, a dictionary of names and of the values of which one must
        match. The cloud itself sorts them out.
      - >-
        On EC2 these are the filters of DescribeInstances, such as C(tag:team), C(instance-type) or C(vpc-id), with
        wildcards. On OpenStack they are the query parameters of nova's listing, such as C(name) (a regular expression),
        C(flavor), C(image), C(ip), C(key_name) or C(tags).
      - Whatever the filters, only machines of O(projects) are listed.
    type: dict
  include_filters:
    description:
      - A list of filters as in O(filters). A machine is listed where it passes one of them, or O(filters) if given.
      - Each takes a listing of its own.
    type: list
    elements: dict
  exclude_filters:
    description:
      - A list of filters as in O(filters). A machine that passes one of them is not listed, whatever else holds.
      - Each takes a listing of its own.
    type: list
    elements: dict
  hostnames:
    description:
      - What a host is named after, in order of preference. The first one that gives a plain word is taken.
      - >-
        Each is V(name), V(id), V(private_address), V(public_address), C(tag:) and the key of a tag, or an expression
        over the host's variables, as in O(compose), such as C(haven_region ~ '-' ~ haven_name).
      - >-
        A plain word is made of letters, digits, dots, dashes and underscores and means nothing else to Ansible.
        Machines for which there is none, and machines with the same name, go by their id.
    type: list
    elements: str
    default: [name]
  hostvars:
    description:
      - V(compact) sets the variables below. V(full) also sets C(haven_details), which is everything that the cloud said
        of the machine, in its own words.
      - >-
        All of it comes from the cloud and is untrusted, such as names and tags that anybody with an account may have
        written. It is data and never a template; do not put it into a command unquoted.
      - For thousands of machines V(full) takes several times the time and memory.
    type: str
    choices: [compact, full]
    default: compact
  hourly_prices:
    description:
      - What you pay for an hour of an instance type, in whatever currency, as a dictionary. It becomes
        C(haven_hourly_price).
      - The clouds' listings hold no prices; none is guessed. A spot instance has none.
      - Default is the variable C(haven_prices).
    type: dict
"""


class ModuleDocFragment:
    """haven.gpu.sources"""

    DOCUMENTATION: ClassVar[str] = _OPTIONS
