# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation of what the inventory lists: sources, filters, names, and machines outside the cloud."""

from __future__ import annotations

from typing import ClassVar

_OPTIONS = r"""
options:
  sources:
    description:
      - Any number of clouds, accounts, projects, and regions, listed in parallel. Each is a source.
      - >-
        Options that a source leaves out come from the rest of the file. Without this list, the file's own options are
        the only source, which has no name.
      - If several sources list the same instance, the first one counts.
    type: list
    elements: dict
    suboptions:
      name:
        description:
          - The name of the source, consisting of letters, digits, dashes, and underscores. It appears in the group
            C(haven_source_*), in the variable C(haven_source), and in messages.
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
        description: Like O(projects).
        type: list
        elements: str
      regions:
        description: Like O(regions).
        type: list
        elements: str
      hops:
        description: Like O(hops).
        type: list
        elements: dict
      api_via:
        description: Like O(api_via).
        type: str
        choices: [direct, jump_host]
      login_user:
        description: Like O(login_user).
        type: str
      private_key:
        description: Like O(private_key).
        type: str
      public_keys:
        description: Like O(public_keys).
        type: list
        elements: str
      host_key_authority:
        description: Like O(host_key_authority).
        type: str
      host_keys:
        description: Like O(host_keys).
        type: str
        choices: [verified, tofu]
      address:
        description: Like O(address).
        type: str
        choices: [auto, private, public]
      states:
        description: Like O(states).
        type: list
        elements: str
      filters:
        description: Like O(filters).
        type: dict
      include_filters:
        description: Like O(include_filters).
        type: list
        elements: dict
      exclude_filters:
        description: Like O(exclude_filters).
        type: list
        elements: dict
      hourly_prices:
        description: Like O(hourly_prices).
        type: dict
      on_error:
        description: Like O(on_error).
        type: str
        choices: [fail, warn]
      timeout:
        description: Like O(timeout).
        type: float
  on_error:
    description:
      - What happens if a source cannot be listed. V(fail) fails the inventory with one line that names the source.
      - >-
        V(warn) leaves out all machines of the source with a warning, and keeps its cached listing. A play on all
        machines then misses these.
    type: str
    choices: [fail, warn]
    default: fail
  timeout:
    description:
      - How many seconds listing a source may take, with all its regions and projects. A source that takes longer cannot
        be listed, see O(on_error). All sources are listed at the same time, so that none of them delays the others.
    type: float
    default: 30
  machines:
    description:
      - Machines outside the cloud, such as your own computer with a GPU, which are listed with the others.
      - >-
        Their C(haven_cloud) is C(static), and their C(haven_state) is C(unknown). With O(machines) and no cloud, only
        they are listed.
    type: list
    elements: dict
    suboptions:
      name:
        description: The host's name, consisting of letters, digits, dots, dashes, and underscores.
        type: str
        required: true
      address:
        description: Host name or address. Either this or O(machines[].ssh_alias) is required.
        type: str
      ssh_alias:
        description:
          - A C(Host) in your own C(~/.ssh/config), which provides everything that is left out here, including the hops.
          - >-
            Its host key must be in your own C(known_hosts), or be given as O(machines[].host_key). Only in the latter
            case is it also checked if C(ANSIBLE_HOST_KEY_CHECKING) is off.
        type: str
      port:
        description: Port of its sshd, by default 22.
        type: int
      user:
        description: User to log in as. The default is O(login_user), for an alias what your own configuration says.
        type: str
      private_key:
        description:
          - Private key file, on the controller. The default is O(private_key), or for an alias, the key in your own
            configuration.
        type: str
      host_key:
        description:
          - Its public host key, such as C(ssh-ed25519 AAAA...). Required with O(machines[].address).
          - After C(@cert-authority), give the public key of the authority that signs its host key for
            O(machines[].address). If the certificate is for another name, put it in between, which an IPv6 address
            requires. O(host_key_authority) does not apply.
        type: str
      hops:
        description: Like O(hops), which is the default except for an alias.
        type: list
        elements: dict
      gpu:
        description: Its GPUs, as C(model), C(count), and C(memory_gib) (of each).
        type: dict
      project:
        description: The project that it is listed under. The default is the file's project, if there is only one.
        type: str
      tags:
        description: Tags, which become C(haven_instance_tags).
        type: dict
      hourly_price:
        description: The price per hour, in any currency.
        type: float
  filters:
    description:
      - List only instances that match these filters, a dictionary of filter names and values. One of the values must
        match. The cloud applies the filters.
      - >-
        On EC2, these are the filters of DescribeInstances, such as C(tag:team), C(instance-type), or C(vpc-id), with
        wildcards. On OpenStack, they are the query parameters of nova's server list, such as C(name) (a regular
        expression), C(flavor), C(image), C(ip), C(key_name), or C(tags).
      - Only instances of O(projects) are listed, whatever the filters are.
    type: dict
  include_filters:
    description:
      - A list of filters like O(filters). An instance is listed if it matches one of them, or O(filters) if given.
      - Each takes another query.
    type: list
    elements: dict
  exclude_filters:
    description:
      - A list of filters like O(filters). An instance that matches one of them is never listed.
      - Each takes another query.
    type: list
    elements: dict
  hostnames:
    description:
      - The sources of a host's name, in order of preference. The first one that gives a usable name is taken.
      - >-
        Each is V(name), V(id), V(private_address), V(public_address), C(tag:) followed by the key of a tag, or an
        expression over the host's variables, as in O(compose), such as C(haven_region ~ '-' ~ haven_name).
      - >-
        A usable name consists of letters, digits, dots, dashes, and underscores, and has no other meaning to Ansible.
        Machines without one, and machines with the same name, are listed by their id.
    type: list
    elements: str
    default: [name]
  hostvars:
    description:
      - V(compact) sets the variables below. V(full) also sets C(haven_details), which is everything that the cloud
        returned for the instance, in the cloud's own words.
      - >-
        All of it comes from the cloud and is untrusted, such as names and tags that anyone with an account may have
        written. It is data and never a template. Do not put it into a command unquoted.
      - For thousands of instances, V(full) takes several times the time and memory.
    type: str
    choices: [compact, full]
    default: compact
  hourly_prices:
    description:
      - The price per hour of each instance type, in any currency, as a dictionary. It becomes C(haven_hourly_price).
      - The clouds return no prices, and none is guessed. A spot instance has none.
      - The default is the variable C(haven_prices).
    type: dict
"""


class ModuleDocFragment:
    """haven.gpu.sources"""

    DOCUMENTATION: ClassVar[str] = _OPTIONS
