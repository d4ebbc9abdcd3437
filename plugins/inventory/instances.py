# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
# Longer than 500 lines, because half of it is documentation, which Ansible reads from this file.
from __future__ import annotations

DOCUMENTATION = r"""
name: instances
short_description: List instances with jump hosts and verified host keys
version_added: "0.1.0"
author:
  - The haven.gpu contributors (@haven-gpu)
description:
  - Lists the instances that carry the project's tag, with one query per project and region, of one cloud or of any
    number of O(sources) in parallel, together with machines outside the cloud (O(machines)).
  - >-
    Writes an SSH configuration with every hop and every known host key, and sets C(ansible_ssh_common_args) to use it.
    Host keys come from the tag C(haven:host-key), which M(haven.gpu.instance) records from the instance's own console.
    Connections to machines and hops without a known key are refused. Anyone who can write tags decides which machine
    you trust. If a machine shows another key than the recorded one, the message names it and both fingerprints.
  - >-
    All connections through the same hops share one connection to each hop. The first connection opens it, and it closes
    a minute after the last one, so that a play on many machines does not flood the jump host with logins.
  - >-
    Options that the file leaves out come from variables in C(group_vars/all) next to the file, or from extra variables,
    so that the file needs nothing but C(plugin). These variables can be templates and can be encrypted with a vault.
  - Names, tags, and everything else that comes from a cloud are passed on as data and never treated as templates.
  - >-
    C(ansible-core) turns an inventory failure into a warning. Set C(any_unparsed_is_failed = True) in the section
    C([inventory]) of your C(ansible.cfg), or a cloud that does not answer looks like an empty one.
extends_documentation_fragment:
  - haven.gpu.clouds.inventory
  - haven.gpu.sources
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: The name of this plugin, which marks the file as its configuration.
    type: str
    required: true
    choices: [haven.gpu.instances]
  projects:
    description:
      - The projects to list. V(*) lists every instance with a project's tag.
      - The default is the variable C(haven_project).
    type: list
    elements: str
  regions:
    description:
      - The regions to list, in parallel. V(all) means every region that the account can use. On EC2, this takes another
        call; on OpenStack, these are the regions in the catalog, or those that C(clouds.yaml) lists for the cloud.
      - The default is the region in the cloud's own options.
    type: list
    elements: str
  api_via:
    description:
      - >-
        How to reach the cloud's API. V(jump_host) is for an API that only the jump host can reach. The calls go through
        one SSH connection to the last of the O(hops), as described in M(haven.gpu.instance_info). Host keys of the hops
        are then checked strictly, whatever O(host_keys) says.
      - The default is the variable C(haven_api_via), or V(direct).
    type: str
    choices: [direct, jump_host]
  hops:
    description:
      - The jump hosts between the controller and the machines, outermost first. An empty list means direct access.
      - >-
        Each has a C(host), or an C(instance) or C(tag) that selects one of the running instances listed here. Its
        address is then looked up at each listing, and its recorded host key is used.
      - The default is the variable C(haven_hops).
    type: list
    elements: dict
    suboptions:
      host:
        description: Host name or address.
        type: str
      instance:
        description: >-
          The name of an instance in this inventory. The first hop is reached at its public address, further hops at
          their private addresses.
        type: str
      tag:
        description: Tags and values that the instance must have. If several have them, the first by name is used.
        type: dict
      port:
        description: Port of its sshd.
        type: int
        default: 22
      user:
        description: User on this hop. The default is the one in your SSH configuration, or the instance's login user.
        type: str
      key:
        description:
          - Private key file for this hop, on the controller.
          - >-
            By default, O(public_keys) decides. Keys with a passphrase in an agent and keys on a FIDO token work in all
            cases.
        type: str
      host_key:
        description:
          - Its public host key, such as C(ssh-ed25519 AAAA...). By default, it must be in your own known_hosts.
          - After C(@cert-authority), give the public key of the authority that signs the hop's host key for
            O(hops[].host). If the certificate is for another name, put it in between, as in
            C(@cert-authority gate.pathology ssh-ed25519 AAAA...).
        type: str
      inside_address:
        description:
          - The address that the machines behind it see it by. It is not used for connections. The playbook
            C(provision) opens SSH on instances only to this address of the last hop.
        type: str
  login_user:
    description:
      - User on machines without the tag C(haven:login-user).
      - The default is the variable C(haven_login_user).
    type: str
  private_key:
    description:
      - Private key file for the machines, on the controller. A relative path is relative to the inventory file.
      - The default is the variable C(haven_private_key). Without both, O(public_keys) decides.
    type: str
  public_keys:
    description:
      - Your public keys, such as C(ssh-ed25519 AAAA...). Those of them that are in C(~/.ssh), or that your agent has,
        are the only ones that are tried on hops and instances without a key of their own. Otherwise, ssh would offer
        all keys of the agent, and many servers lock out an address that offers too many.
      - The default is the variable C(haven_public_key), or the C(ssh_keys) of all C(haven_users). If none of them is on
        this computer, ssh tries all keys.
    type: list
    elements: str
  host_key_authority:
    description:
      - The public key of your SSH certificate authority, such as C(ssh-ed25519 AAAA...). Each instance must then show a
        certificate by this authority for C(NAME.PROJECT), which M(haven.gpu.instance) creates with
        O(haven.gpu.instance#module:host_key_signer). Tags no longer decide which machine you trust.
      - The default is the variable C(haven_host_key_authority).
    type: str
  host_keys:
    description:
      - V(verified) connects only if the host key is already known.
      - >-
        V(tofu) accepts and stores an unknown key of a machine or hop on first use. Anyone between you and the machine
        can then impersonate it.
    type: str
    choices: [verified, tofu]
    default: verified
  address:
    description:
      - >-
        The address to connect to. V(auto) means the private address behind hops and the public address without hops,
        or the other one if that does not exist.
    type: str
    choices: [auto, private, public]
    default: auto
  states:
    description: List instances in these states. A filter on the state takes precedence.
    type: list
    elements: str
    choices: [pending, running, stopping, stopped, shelved, failed, terminating, terminated]
    default: [running]
  reachable:
    description:
      - >-
        V(probe) connects to the sshd of each running machine through the hops, and sorts all machines into the groups
        C(haven_reachable) and C(haven_unreachable), with the host variable C(haven_reachable). This happens at each
        listing, even a cached one. Machines with an C(ssh_alias) are not probed.
      - >-
        The last hop sees one login, and opens one connection for each machine. Up to 200 machines are probed at a time,
        for 5 seconds each, so that a thousand that answer take a second or two. If a jump host does not answer, the
        machines behind it are unreachable, and a warning says why. Host keys of hops are checked strictly, those of
        machines not at all.
    type: str
    choices: [untested, probe]
    default: untested
  ssh_folder:
    description:
      - The folder for the SSH configurations, one for each different inventory.
      - The default is C(haven) in ansible-core's own folder (C(ANSIBLE_HOME), which is C(~/.ansible) unless set).
    type: path
  cache_plugin:
    description: Cache plugin for the listing. Only you can read the files of V(ansible.builtin.jsonfile).
    default: ansible.builtin.jsonfile
  cache_connection:
    description:
      - The cache plugin's folder or connection.
      - The default is C(haven/cache) in ansible-core's own folder.
notes:
  - >-
    Host variables are C(haven_id), C(haven_name), C(haven_project), C(haven_cloud), C(haven_source) (if it has a name),
    C(haven_region), C(haven_availability_zone), C(haven_state), C(haven_instance_type), C(haven_image),
    C(haven_private_address), C(haven_public_address), C(haven_address), C(haven_gpu) (C(model), C(count),
    C(memory_gib), or null; C(count) is 0 if the cloud does not say how many there are), C(haven_launched_at) (in UTC),
    C(haven_price_class) (C(on_demand), C(spot), and others on EC2, empty on OpenStack),
    C(haven_hourly_price) (from O(hourly_prices), or null), C(haven_instance_tags), C(haven_is_jump_host),
    C(haven_host_key) (empty if it is not known), C(haven_login_user), C(haven_hops), and C(haven_ssh_config); and
    C(ansible_host) (the instance's id, which the SSH configuration knows), C(ansible_user), and
    C(ansible_ssh_common_args).
  - >-
    Groups are C(haven), C(haven_project_*), C(haven_cloud_*), C(haven_state_*), C(haven_type_*), C(haven_gpu_*), and
    C(haven_source_*) (if it has a name), with everything but letters, digits, and underscores replaced by an
    underscore. With O(reachable=probe), there are also C(haven_reachable) and C(haven_unreachable).
  - >-
    A cached listing is used only for the same query with the same account, endpoint, and version of this plugin. It is
    refreshed by C(--flush-cache), by the task C(meta: refresh_inventory), and by the next run after a jump host or a
    machine could not be reached or did not show its recorded host key, because it may have moved.
  - >-
    M(ansible.posix.synchronize) checks host keys through this configuration only with
    O(ansible.posix.synchronize#module:use_ssh_args=true) and O(ansible.posix.synchronize#module:verify_host=true).
requirements:
  - OpenSSH 8.5 or later on the controller
"""

EXAMPLES = r"""
# haven.yml, with haven_project, haven_cloud, and haven_hops in group_vars/all.yml next to it
plugin: haven.gpu.instances

---
# gpus.haven.yml, which needs no variables
plugin: haven.gpu.instances
cloud: ec2
ec2: {profile: research}
regions: [eu-north-1, eu-central-1]
projects: [pathology, radiology]
hops:
  - host: gate.example.org
    port: 2222
    user: sshuser
    host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBoZ3Y5vM0W0vY0mC4bW1k0V5mC0wV4H3nJ5r7C8dXyZ
states: [running, stopped]
cache: true
keyed_groups:
  - key: haven_instance_tags['team']
    prefix: team
compose:
  gpu_count: (haven_gpu or {}).count | default(0)

---
# everything.haven.yml, two clouds and machines outside the cloud
plugin: haven.gpu.instances
projects: [pathology]
sources:
  - name: campus
    cloud: openstack
    openstack: {cloud: campus}
    hops: [{host: gate.example.org, user: sshuser}]
  - name: aws
    cloud: ec2
    ec2: {profile: research}
    regions: [all]
    filters:
      instance-type: ["g5.*", "g6.*"]
    exclude_filters:
      - tag:team: [visitors]
    hourly_prices: {g6.xlarge: 0.80, g5.xlarge: 1.01}
    on_error: warn
machines:
  # "gamer" is a Host in your ~/.ssh/config
  - name: gamer-pc
    ssh_alias: gamer
    gpu: {model: RTX3090, count: 1, memory_gib: 24}
  - name: lab-pc
    address: 10.1.2.3
    user: alice
    host_key: ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBoZ3Y5vM0W0vY0mC4bW1k0V5mC0wV4H3nJ5r7C8dXyZ
    hops: [{host: lab-gate.example.org}]
# the tag, if a machine has it
hostnames:
  - tag:hostname
  - haven_region ~ '-' ~ haven_name
  - name
"""

import atexit
import dataclasses
import os
import re
from collections.abc import Mapping
from typing import Any, Optional

from ansible import constants
from ansible.errors import AnsibleError, AnsibleParserError
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable
from ansible.utils.vars import combine_vars

from ..module_utils import _collector
from ..module_utils._errors import HavenError, InvalidRequest
from ..module_utils._models import Hop, Instance
from ..module_utils._ssh.checks import TOFU
from ..module_utils._ssh.config import Machine
from ..module_utils._ssh.files import private_folder
from ..module_utils._ssh.hops import NotRunning
from ..plugin_utils._expressions.constructed import Constructed
from ..plugin_utils._hosts import variables as _hosts
from ..plugin_utils._hosts.populate import Entry, add_source, populate
from ..plugin_utils._hosts.readable import plain
from ..plugin_utils._settings import (
    FALLBACKS,
    FILE_OPTIONS,
    STATIC,
    WARN,
    Settings,
    hostnames_from,
    sources_from,
)
from ..plugin_utils._sources import listings as _sources
from ..plugin_utils._sources.cache import Cache
from ..plugin_utils._sources.machines import Static, machines_from
from ..plugin_utils._ssh import inventory_files as _ssh_files

_FILE = re.compile(r"(.*[._-])?haven\.ya?ml")


class InventoryModule(BaseInventoryPlugin, Constructed, Cacheable):  # type: ignore[misc]  # core has no types
    """options -> sources -> listings (or cache) -> ssh configurations -> hosts."""

    NAME = "haven.gpu.instances"

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path)) and _FILE.fullmatch(os.path.basename(path)) is not None

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        try:
            with _collector.paused(keep=True):
                self._parse(self._read_config_data(path), path, use_cache=cache)
        except AnsibleError as error:
            self._repeat_at_the_end(str(error))
            raise

    def _parse(self, config: dict[str, Any], path: str, use_cache: bool) -> None:
        try:
            wanted = self._wanted(config, path)
            sources, machines = sources_from(wanted), machines_from(wanted)
            hostnames = hostnames_from(config)
            failures = [self._last_failure(path, source) for source in sources]
            answers = self._answers(sources, failures if use_cache else None)
            # Any of them may be a jump host for others.
            known = [instance for answer in answers if isinstance(answer, list) for instance in answer]
            for told in _hosts.ignored_tags(known):
                self.display.warning(f"{self.NAME}: {told}")
            entries = [*self._static(path, machines, known), *self._listed(path, sources, answers, known)]
            # If several sources list a machine, the first one counts.
            first = {entry.instance.id: entry for entry in reversed(entries)}
            ordered = self._asked([entry for entry in entries if first[entry.instance.id] is entry])
        except HavenError as error:
            # The message is complete; the chain of causes would only repeat it.
            raise AnsibleParserError(f"{self.NAME}: {error}") from None
        populate(self.inventory, ordered, hostnames, self.constructing(), self._evaluate)

    def _repeat_at_the_end(self, message: str) -> None:
        """Print the message again when ansible-core has ended the run.

        With any_unparsed_is_failed, a source that no plugin can parse ends the run. The last lines are then complaints
        of plugins that the file is not meant for, and a sentence that only names the file. A plugin cannot change them.
        """
        if constants.config.get_config_value("INVENTORY_ANY_UNPARSED_IS_FAILED"):
            atexit.register(self.display.error, message)

    # -- options

    def set_options(self, task_keys: Any = None, var_options: Any = None, direct: Any = None) -> None:
        super().set_options(task_keys=task_keys, var_options=var_options, direct=direct)
        # ansible-core does not template a plugin's defaults, so DOCUMENTATION cannot contain its folder.
        for option, folder in (("ssh_folder", _folder()), ("cache_connection", _cache_folder())):
            if not self.get_option(option):
                self.set_option(option, folder)

    def _wanted(self, config: Mapping[str, Any], path: str) -> dict[str, Any]:
        """The options in the file, with templates rendered. Missing ones come from the variables next to it."""
        variables = self._variables_beside(path)
        self.templar.available_variables = variables
        # From the file itself, because ansible-core would split a template for a list at its commas.
        wanted = {name: self._filled_in(name, config.get(name, self.get_option(name))) for name in FILE_OPTIONS}
        for option, variable in FALLBACKS.items():
            if wanted[option] is None and variable in variables:
                wanted[option] = self._filled_in(variable, variables[variable])
        if wanted["public_keys"] is None:
            wanted["public_keys"] = self._keys_of_users(variables.get("haven_users"))
        for owner in (wanted, *(wanted["sources"] or []), *(wanted["machines"] or [])):
            if isinstance(owner, dict) and owner.get("private_key"):
                owner["private_key"] = _beside(path, str(owner["private_key"]))
        return wanted

    def _keys_of_users(self, users: Any) -> list[str]:
        """The public keys of a list of users. Nothing else is evaluated, because the vault may be closed."""
        keys: list[str] = []
        for user in users if isinstance(users, list) else ():
            listed = user.get("ssh_keys") if isinstance(user, Mapping) else None
            try:
                found = plain(self.templar.template(listed))
            except AnsibleError:
                # The play says what is wrong with it. Here, it only means that ssh tries all keys.
                continue
            keys += [str(key) for key in found] if isinstance(found, list) else []
        return keys

    def _variables_beside(self, path: str) -> dict[str, Any]:
        folder = os.path.dirname(os.path.abspath(path))
        variables: dict[str, Any] = {"inventory_dir": folder, "inventory_file": path}
        for file in sorted(self.loader.find_vars_files(os.path.join(folder, "group_vars"), "all")):
            found = self.loader.load_from_file(file, cache="none", trusted_as_template=True)
            if isinstance(found, Mapping):
                variables = combine_vars(variables, found)
        return dict(combine_vars(variables, self._vars or {}))

    def _filled_in(self, name: str, value: Any) -> Any:
        try:
            return plain(self.templar.template(value))
        except AnsibleError as error:
            raise AnsibleParserError(f"{self.NAME}: {name} cannot be evaluated: {error}") from None

    # -- listing

    def _static(self, path: str, machines: list[Static], known: list[Instance]) -> list[Entry]:
        """The entries of the file's own machines. Those with the same hops share an SSH configuration."""
        machines = [dataclasses.replace(each, settings=each.settings.behind(known)) for each in machines]
        by_hops: dict[tuple[Hop, ...], list[Static]] = {}
        for each in machines:
            by_hops.setdefault(each.settings.hops, []).append(each)
        written = {
            hops: self._write_ssh_config(path, [each.machine for each in group], group[0].settings)
            for hops, group in by_hops.items()
        }
        return [
            Entry(each.instance, each.settings, config, each.variables(config))
            for each in machines
            for config in [written[each.settings.hops]]
        ]

    def _listed(
        self, path: str, sources: list[Settings], answers: list[_sources.Answer], known: list[Instance]
    ) -> list[Entry]:
        """The entries of all sources, in order. Raises HavenError."""
        entries: list[Entry] = []
        for wanted, answer in zip(sources, answers):
            try:
                if isinstance(answer, HavenError):
                    raise answer
                source = self._behind(wanted, known, answer)
            except HavenError as error:
                self._leave_out(wanted, error)
                continue
            behind = [source.to(instance.id) for instance in answer]
            machines = [_hosts.machine(instance, settings) for instance, settings in zip(answer, behind)]
            ssh_config = self._write_ssh_config(path, machines, source)
            add_source(self.inventory, source, ssh_config)
            # Set on each host if it can differ from group_vars, which take precedence over the variables of its group.
            own = [_hosts.hops_variable(settings) if source.looked_up or source.name else {} for settings in behind]
            entries.extend(map(Entry, answer, behind, [ssh_config] * len(behind), own))
        return entries

    def _behind(self, source: Settings, known: list[Instance], listed: list[Instance]) -> Settings:
        try:
            return source.behind(known)
        except NotRunning as error:
            # The run that creates it or starts it reads the inventory first.
            if listed:
                self.display.warning(f"{self.NAME}: {error} Until then, instances behind it cannot be reached.")
            return source.behind_nothing()

    def _leave_out(self, source: Settings, error: HavenError) -> None:
        said = f"Source {source.name}: {error}" if source.name else str(error)
        if source.on_error != WARN:
            raise InvalidRequest(said) from error
        self.display.warning(f"{self.NAME}: {said} Its machines are left out.")

    def _last_failure(self, path: str, source: Settings) -> float:
        return _ssh_files.last_failure(_ssh_files.folder_of(self.get_option("ssh_folder"), path, source))

    def _answers(self, sources: list[Settings], failures: Optional[list[float]]) -> list[_sources.Answer]:
        """The listing of each source, from the cache if it is newer than the last failed connection."""
        if not self.get_option("cache"):
            return _sources.listings(sources)
        folder = self.get_option("cache_connection")
        if folder == _cache_folder():
            private_folder(folder)
        return Cache(self._cache, self.update_cache_if_changed, folder).answers(sources, failures)

    # -- results

    def _write_ssh_config(self, path: str, machines: list[Machine], settings: Settings) -> str:
        """Write the SSH configuration for these machines, on cache hits too, and return its path."""
        if settings.host_keys == TOFU:
            self.display.warning(
                "host_keys is tofu: the first host key that a machine or hop shows is accepted without a check."
            )
        folder, cached = self.get_option("ssh_folder"), bool(self.get_option("cache"))
        return _ssh_files.write(folder, path, machines, settings, note_failures=cached and settings.cloud != STATIC)

    def _asked(self, entries: list[Entry]) -> list[Entry]:
        """Return the entries after probing those that should be probed. Raises HavenError."""
        if not any(entry.settings.is_probed for entry in entries):
            return entries
        # Imported late, because it is rarely needed and loading it takes a while.
        from ..plugin_utils._sources.probe import with_answers

        found, troubles = with_answers(entries)
        for trouble in troubles:
            self.display.warning(f"{self.NAME}: {trouble}")
        return found

    def _evaluate(self, expression: str, variables: dict[str, Any]) -> Any:
        """The value of one of the hostnames, or None if this host lacks what it needs."""
        try:
            return self._compose(expression, variables)
        except AnsibleError as error:
            if self.get_option("strict"):
                raise AnsibleParserError(
                    f"{self.NAME}: hostnames: {expression} cannot be evaluated for {variables['haven_id']}: {error}"
                ) from error
            return None


def _folder() -> str:
    """The folder of our files, next to those of ansible-core, so that ANSIBLE_HOME moves all of them."""
    return os.path.join(constants.config.get_config_value("ANSIBLE_HOME"), "haven")


def _cache_folder() -> str:
    return os.path.join(_folder(), "cache")


def _beside(inventory: str, path: str) -> str:
    """Return the path. A relative path is relative to the inventory file."""
    return os.path.join(os.path.dirname(os.path.abspath(inventory)), os.path.expanduser(path))
