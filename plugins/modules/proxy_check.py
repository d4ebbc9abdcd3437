#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: proxy_check
short_description: Check an egress proxy before anything depends on it
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Asks an egress proxy for what the package managers of the host will ask for, and says in one sentence what is wrong
    with the proxy. Otherwise, each package manager fails in its own words, often in the middle of an installation.
  - Fails if the proxy does not answer, wants a user and a password or refuses them, answers with a web page to sign in,
    or shows certificates that the host does not trust.
  - Warns if the proxy refuses a package source, because what is already installed may be enough.
  - The package sources are those of apt, and the index of pip.
attributes:
  check_mode: {support: full, description: Nothing is ever changed.}
  diff_mode: {support: none, description: There is nothing to show.}
  idempotent: {support: full, description: Nothing is ever changed.}
options:
  url:
    description: C(http://host:port) or C(http://user:password@host:port), with user and password percent-encoded.
    type: str
    required: true
  ca:
    description: The certificate (PEM) of an authority to trust besides those of the host.
    type: str
    default: ''
  no_proxy:
    description: Hosts and domains that are reached without the proxy. They are not asked for.
    type: list
    elements: str
    default: []
  timeout:
    description: How many seconds the proxy may be silent.
    type: int
    default: 30
"""

EXAMPLES = r"""
- name: Check the proxy
  haven.gpu.proxy_check:
    url: http://proxy.internal:3128
    ca: "{{ lookup('ansible.builtin.file', 'files/proxy-ca.pem') }}"
"""

RETURN = r"""
available:
  description: The hosts of package sources that the proxy lets this host have.
  returned: success
  type: list
  elements: str
  sample: [deb.debian.org, pypi.org]
refused:
  description: The hosts of package sources that it does not.
  returned: success
  type: list
  elements: str
  sample: []
"""

import configparser
import os
from typing import Any

from ..module_utils._ansible_module import HavenModule
from ..module_utils._errors import HavenError
from ..module_utils._proxy_check import Proxy, Source, apt_source, check, index_source, is_direct

SPEC: dict[str, Any] = {
    "url": {"type": "str", "required": True, "no_log": True},
    "ca": {"type": "str", "default": ""},
    "no_proxy": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "int", "default": 30},
}
PIP_CONF = "/etc/pip.conf"
PIPS_OWN_INDEX = "https://pypi.org/simple"


def apt_sources(module: HavenModule) -> list[Source]:
    """The first of apt's sources; none on a host without apt."""
    apt = module.get_bin_path("apt-get")
    if not apt:
        return []
    listed = module.run_command([apt, "indextargets", "--format", "$(REPO_URI)|$(RELEASE)", "Created-By: Packages"])[1]
    found = [line.split("|") for line in listed.splitlines() if line.startswith(("http://", "https://"))]
    # A release that ends with a slash is a folder without dists/.
    return [apt_source(uri, release) for uri, release in found if not release.endswith("/")][:1]


def python_index() -> Source:
    """The index that pip uses on this host."""
    settings = configparser.RawConfigParser(strict=False)
    try:
        settings.read(PIP_CONF)
    except (configparser.Error, UnicodeDecodeError):  # pip will say so
        return index_source(PIPS_OWN_INDEX)
    found = settings.get("global", "index-url", fallback="") or os.environ.get("PIP_INDEX_URL", "")
    return index_source(found if found.startswith(("http://", "https://")) else PIPS_OWN_INDEX)


def main() -> None:
    module = HavenModule(argument_spec=SPEC, supports_check_mode=True)
    wanted = module.params
    proxy = Proxy.of(wanted["url"])
    answers: dict[bool, list[str]] = {True: [], False: []}
    failure = None
    try:
        for source in [*apt_sources(module), python_index()]:
            if not is_direct(source.host, wanted["no_proxy"]):
                answers[check(proxy, source, wanted["ca"], wanted["timeout"])].append(source.host)
    except HavenError as error:
        failure = str(error)
    if failure:
        module.fail_json(msg=failure)
    for host in answers[False]:
        module.warn(
            f"The egress proxy {proxy.name} does not let this machine have packages of {host}. What is not installed "
            "yet cannot be installed: have that host added to its list."
        )
    module.exit_json(changed=False, available=answers[True], refused=answers[False])


if __name__ == "__main__":
    main()
