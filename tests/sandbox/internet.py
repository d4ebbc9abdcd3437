# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outside of the clouds: a researcher's laptop and a stranger's, each a network namespace behind the supervisor's.

From there the public addresses of guests are reached as far as their security groups allow, the jump host at its
outside address, and what /etc/hosts of the laptop names; nothing else, and no name is resolved. Programs in them run on
this machine's files, and end with the sandbox.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from . import netns
from .errors import SandboxError
from .keeper import Running
from .openstack.layout import INSIDE
from .paths import Paths, read_env
from .plan import Plan
from .processes import run
from .ranges import Ranges

LAPTOP = "laptop"
STRANGER = "stranger"
# The jump host's name on the internet.
GATE = "gate.haven.test"
# The egress proxy's, for who is outside and goes through one.
PROXY = "proxy.haven.test"
# Variables by which programs find whom to trust; some of them do not look at the machine's own file.
_TRUST = (
    *("AWS_CA_BUNDLE", "CURL_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS", "PIP_CERT", "REQUESTS_CA_BUNDLE"),
    "SSL_CERT_FILE",
)
_MACHINES_OWN = "/etc/ssl/certs/ca-certificates.crt"

# Files of the laptop's own lie over this machine's. A program there ends when whoever started it does.
_ENTER = """
set -e
mount --bind "$1/hosts" /etc/hosts
mount --bind "$1/resolv.conf" /etc/resolv.conf
[ ! -e "$2" ] || mount --bind "$1/authorities.pem" "$2"
shift
cd "$2"
shift 2
exec setpriv --pdeathsig TERM -- "$@"
"""


def up(ranges: Ranges) -> None:
    """Make the two namespaces; the caller's own is the wire between them, the jump host and the clouds."""
    netns.write_sysctls({"ipv4/ip_forward": "1"})
    run("ip", "addr", "add", f"{ranges.hosts}/32", "dev", "lo")
    for name, addresses in ((LAPTOP, ranges.laptop), (STRANGER, (ranges.stranger,))):
        commands = [f"netns add {name}", f"link add {name} type veth peer name eth0 netns {name}"]
        commands += [f"link set {name} up", *(f"route add {address}/32 dev {name}" for address in addresses)]
        run("ip", "-batch", "-", stdin="\n".join(commands) + "\n")
        netns.answer_for_others(None, name)
        run("ip", "-n", name, "-batch", "-", stdin=f"link set lo up\nlink set eth0 up\n{_address(addresses[0])}")


def _address(address: IPv4Address) -> str:
    return f"addr flush dev eth0\naddr add {address}/32 dev eth0\nroute replace default dev eth0\n"


def write_files(folder: Path, names: Mapping[str, IPv4Address], authorities: Sequence[Path]) -> None:
    """What lies over this machine's own files in the laptop.

    names: whom it finds by name, and where. authorities: files of certificates that it trusts.
    """
    folder.mkdir(exist_ok=True)
    lines = ["127.0.0.1 localhost", "::1 localhost", *(f"{address} {name}" for name, address in names.items())]
    (folder / "hosts").write_text("\n".join(lines) + "\n", encoding="ascii")
    trusted = [path.read_text(encoding="utf-8") for path in authorities]
    (folder / "authorities.pem").write_text("\n".join(trusted), encoding="utf-8")
    (folder / "resolv.conf").write_text("# Nobody answers here.\n", encoding="ascii")


def variables(facts: Mapping[str, str], folder: Path) -> dict[str, str]:
    """The variables of <dir>/env as they are in the laptop; writes its own clouds.yaml into its folder."""
    own = {**facts, "HAVEN_SANDBOX_GATE_HOST": GATE, "HAVEN_SANDBOX_GATE_PORT": "22"}
    own |= dict.fromkeys(_TRUST, str(folder / "authorities.pem"))
    own.pop("AWS_ENDPOINT_URL", None)  # EC2 is found under its own name
    if "OS_CLIENT_CONFIG_FILE" in facts:
        own["OS_CLIENT_CONFIG_FILE"] = str(folder / "clouds.yaml")
        _write_clouds(facts, folder / "clouds.yaml")
    return own


def _write_clouds(facts: Mapping[str, str], path: Path) -> None:
    clouds = json.loads(Path(facts["OS_CLIENT_CONFIG_FILE"]).read_text(encoding="utf-8"))["clouds"]
    for cloud in clouds.values():
        cloud |= {"region_name": INSIDE, "cacert": facts["HAVEN_SANDBOX_INSIDE_CA"]}
        cloud["auth"]["auth_url"] = f"{facts['HAVEN_SANDBOX_INSIDE_KEYSTONE_URL']}/v3"
    path.touch(mode=0o600)
    path.write_text(json.dumps({"clouds": clouds}, indent=2) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Outside:
    """The laptop and the stranger of a sandbox that is up."""

    paths: Paths

    def command(self, who: str, words: Sequence[str]) -> list[str]:
        """The command that runs another one there, in this folder and with this process's environment."""
        sandbox = [f"--target={self._supervisor()}", "--mount", "--pid"]
        shell = ["unshare", "--mount", "--", "/bin/sh", "-c", _ENTER, "sh", str(self.paths.laptop)]
        shell += [_MACHINES_OWN, os.getcwd()]
        return ["nsenter", *sandbox, f"--net={self._namespace(who)}", "--", *shell, *words]

    def environment(self, before: Mapping[str, str]) -> dict[str, str]:
        """The environment of a command there, begun in another one: no proxy, and what the laptop knows."""
        left = {"AWS_ENDPOINT_URL", "SSL_CERT_DIR"}
        kept = {name: value for name, value in before.items() if not name.lower().endswith("_proxy")}
        kept = {name: value for name, value in kept.items() if name not in left}
        return {**kept, **read_env(self.paths.laptop / "env")}

    def move(self, place: int) -> None:
        """Give the laptop its first (0) or its second (1) address; what was connected stays so, and gets no answer."""
        address = Plan.read(self.paths.plan).ranges.laptop[place]
        inside = ["nsenter", f"--net={self._namespace(LAPTOP)}", "--"]
        run(*inside, "ip", "-batch", "-", stdin=_address(address))

    def _namespace(self, who: str) -> str:
        return f"/proc/{self._supervisor()}/root/run/netns/{who}"

    def _supervisor(self) -> int:
        running = Running.read(self.paths.process)
        if running is None or not self.paths.env.exists():
            raise SandboxError("The sandbox is not up.")
        return running.supervisor.pid
