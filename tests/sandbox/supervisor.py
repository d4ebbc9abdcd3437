# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one process behind a sandbox: PID 1 of its own PID, mount and network namespaces, whose end ends everything.

PID 1 only reaps. Its child makes the network, the proxy, the jump host and the API, writes <dir>/env, says so on the
pipe it was given, and serves. When the child ends, PID 1 ends, and the kernel takes the rest away.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from . import (
    certificates,
    cgroups,
    egress_proxy,
    gate,
    gate_image,
    images,
    inside_api,
    internet,
    metadata,
    netns,
    prepared_image,
    private,
    role_image,
    rpc,
    unprivileged,
    wire,
)
from .egress_proxy import ProxySettings
from .errors import SandboxError
from .firewall import METADATA_ADDRESS
from .guests import Guests
from .network import ROUTER, Network
from .openstack import environment, template
from .paths import Paths, openstack_cache, repository, write_env
from .plan import Plan
from .stand_ins import content, names
from .volumes import Volumes
from .ways_out import SQUID_PORTS, WAYS

_WITHIN_S = 40.0
_OPENSTACK_WITHIN_S = 240.0  # six seconds where nothing else runs
_EVERY_S = 0.05
# The APIs' addresses on this machine, and the variables that say where the jump host finds them; those without one are
# in OpenStack's catalogue.
_APIS = {
    "AWS_ENDPOINT_URL": "HAVEN_SANDBOX_INSIDE_EC2_URL",
    "HAVEN_SANDBOX_KEYSTONE_URL": "HAVEN_SANDBOX_INSIDE_KEYSTONE_URL",
    **{f"HAVEN_SANDBOX_{service}_URL": "" for service in ("GLANCE", "PLACEMENT", "NEUTRON", "NOVA", "CINDER")},
}


class Supervisor:
    """Brings a sandbox up in the namespaces it runs in. machine_net: descriptor of the machine's network namespace."""

    def __init__(self, paths: Paths, cache: Path, machine_net: int) -> None:
        self._paths = paths
        self._plan = Plan.read(paths.plan)
        self._machine_net = machine_net
        self._cache = cache
        folder = private.make_run(paths)
        self._network = Network(self._plan.ranges)
        self._guests = Guests(
            folder,
            cache,
            self._network,
            Volumes(paths.volumes, private.FOLDER / "disk-links"),
            cgroups.folders(paths.dir),
        )
        self._names = [*names.internet(), *names.aws()]
        self._stand_ins_address = names.loopback_address(paths.dir)
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def up(self, gate_listener: int) -> dict[str, str]:
        """Bring everything up; returns the variables of <dir>/env. gate_listener: where this machine finds the gate."""
        self._network.up()
        internet.up(self._plan.ranges)
        machines = wire.listen(self._paths.socket)
        clouds = self._plan.clouds
        if "openstack" in clouds:  # first, because it takes longest
            unprivileged.give(self._paths.socket)
            self._start_openstack()
        # Before the images, which may take minutes: nova asks at its start.
        threading.Thread(target=rpc.serve, args=(machines, self._guests), daemon=True).start()
        self._start_stand_ins()
        proxy = self._start_proxy()
        self._make_images(proxy)
        self._start_gate(gate_listener)
        metadata.serve(netns.listen_inside(ROUTER, METADATA_ADDRESS, 80), self._guests.facts)
        facts = {**proxy, **self._gate_facts(gate_listener)}
        if "ec2" in clouds:
            facts |= self._start_ec2()
        try:
            self._await("the jump host", lambda: self._guests.state(gate.NAME) == "ready")
        except SandboxError:
            print(self._guests.console(gate.NAME)[-3000:], flush=True)  # to the log: the console goes with the sandbox
            raise
        if "openstack" in clouds:
            facts |= self._await_openstack()
        # Part of the name of an image: "haven-debian-12-${HAVEN_SANDBOX_PREPARED}2*".
        facts["HAVEN_SANDBOX_PREPARED"] = "prepared-" if self._plan.prepared else ""
        facts |= self._start_inside_api(facts)
        self._equip_laptop(facts)
        return facts

    def watch(self) -> str:
        """Wait until one of the processes the sandbox cannot be without ends; returns which."""
        while True:
            for name, child in self._children.items():
                if child.poll() is not None:
                    return f"{name} ended with {child.returncode}."
            time.sleep(0.5)

    def _make_images(self, proxy: dict[str, str]) -> None:
        """Those that our own roles make, where the cache lacks them."""
        ranges = self._plan.ranges
        access = role_image.Access(
            str(ranges.gate), str(ranges.gate_outside), self._paths.key, self._paths.gate_host_key,
            proxy["HAVEN_SANDBOX_PROXY_URL"], self._paths.proxy_ca, self._network.add_outside_leg,
        )  # fmt: skip
        for name in (gate.IMAGE, *(prepared_image.IMAGES if self._plan.prepared else ())):
            layer = images.top_layer(self._cache, name)
            if layer.is_dir():
                continue
            with images.only_one_builder(self._cache):
                if layer.is_dir():  # somebody else has made it meanwhile
                    continue
                work = private.FOLDER / "ansible"
                if name == gate.IMAGE:
                    gate_image.make(self._guests, access, layer, work)
                else:
                    prepared_image.make(self._guests, access, name, layer, work)

    def _start_gate(self, listener: int) -> None:
        addresses = self._plan.ranges
        hosts = f"{addresses.api} {inside_api.NAME}\n"
        user_data = gate.user_data(self._paths.gate_host_key.read_text(encoding="ascii"), hosts)
        self._guests.create(gate.NAME, gate.IMAGE, str(addresses.gate), user_data, [], gate.NAME, [])
        public_key = self._paths.public(self._paths.key).read_text(encoding="ascii").strip()
        gate.admit(self._guests.root(gate.NAME), public_key, addresses.subnet)
        self._network.add_outside_leg(gate.NAME)
        self._guests.start(gate.NAME, "")
        self._start("gate relay", _relay("--forward", f"{listener}={addresses.gate_outside}:22"), listener)

    def _start_proxy(self) -> dict[str, str]:
        folder = private.FOLDER / "proxy"
        egress_proxy.make_authority(self._paths.proxy_ca, folder / "ca.pem")
        ports = netns.free_ports(self._machine_net, len(SQUID_PORTS))
        plan = self._plan
        settings = ProxySettings(
            dict(zip(SQUID_PORTS, ports, strict=True)), folder, plan.allowed_hosts,
            (plan.authorities, str(self._paths.internet_ca)), plan.parent_proxy,
            (names.SIGN_IN, *self._names), self._stand_ins_address,
        )  # fmt: skip
        self._start("egress proxy", self._outside(egress_proxy.prepare(settings)), self._machine_net)
        relay: list[str] = []
        with ExitStack() as listeners:
            descriptors = []
            for way in WAYS:
                near = netns.listen_inside(ROUTER, str(plan.ranges.proxy), way.port)
                far = socket.create_server((str(plan.ranges.hosts), way.port), backlog=128)
                for listener in (near, far):
                    descriptors.append(listeners.enter_context(listener).fileno())
                    relay += ["--forward", f"{descriptors[-1]}=127.0.0.1:{settings.ports[way.squid]},{way.wire}"]
            self._start("egress relay", self._outside(_relay(*relay)), self._machine_net, *descriptors)
        urls = {way.variable: way.url(str(plan.ranges.proxy)) for way in WAYS}
        return {**urls, "HAVEN_SANDBOX_PROXY_CA": str(self._paths.proxy_ca)}

    def _start_stand_ins(self) -> None:
        """Answer for hosts of the internet: for the laptop at an address there, for the proxy on this machine."""
        ranges, paths = self._plan.ranges, self._paths
        served, certificate = paths.internet / "content", paths.internet / "hosts.pem"
        content.build(served)
        certificates.make(paths.internet_ca, certificate, "internet authority", [*self._names, names.SIGN_IN])
        command = [sys.executable, "-m", "tests.sandbox.stand_ins.server", "--proxy-address", str(ranges.egress)]
        command += ["--content", str(served), "--certificate", str(certificate), "--ec2-port", str(paths.ec2 / "port")]
        with ExitStack() as listeners:
            descriptors = []
            for option, port in (("--plain", 80), ("--tls", 443)):
                far = socket.create_server((str(ranges.hosts), port), backlog=128)
                near = netns.listen_inside(self._machine_net, self._stand_ins_address, port)
                for listener in (far, near):
                    descriptors.append(listeners.enter_context(listener).fileno())
                    command += [option, str(descriptors[-1])]
            self._start("stand-in hosts", self._outside(command), self._machine_net, *descriptors)

    def _start_ec2(self) -> dict[str, str]:
        folder = self._paths.ec2
        port, facts = folder / "port", folder / "facts.json"
        addresses = self._plan.ranges
        shared = len(self._plan.clouds) > 1
        options = {
            "--dir": folder,
            "--port-file": port,
            "--facts": facts,
            "--log": folder / "log.jsonl",
            "--machines-socket": self._paths.socket,
            "--subnet-cidr": addresses.ec2_subnet if shared else addresses.subnet,
            "--public-cidr": addresses.ec2_public if shared else addresses.public,
        }
        arguments = [str(part) for option in options.items() for part in option]
        command = [sys.executable, "-m", "tests.sandbox.ec2.server", *arguments]
        self._start("EC2 API", self._outside(command), self._machine_net)
        self._await("the EC2 API", port.exists)
        found: dict[str, str] = json.loads(facts.read_text(encoding="utf-8"))
        return {**found, "AWS_EC2_METADATA_DISABLED": "true"}

    def _start_openstack(self) -> None:
        folder, clouds = private.OPENSTACK, self._paths.clouds
        clouds.touch(mode=0o600)
        for path in (folder, clouds):
            unprivileged.give(path)
        options = {
            "--dir": folder,
            "--template": template.folder(openstack_cache()),
            "--environment": environment.folder(openstack_cache()),
            "--machines-socket": self._paths.socket,
            "--subnet-cidr": self._plan.ranges.subnet,
            "--clouds-file": clouds,
            "--facts": folder / "facts.json",
        }
        arguments = [str(part) for option in options.items() for part in option]
        command = unprivileged.command(sys.executable, "-m", "tests.sandbox.openstack.server", *arguments)
        self._start("OpenStack", self._outside(command), self._machine_net)

    def _await_openstack(self) -> dict[str, str]:
        facts = private.OPENSTACK / "facts.json"
        self._await("OpenStack", facts.exists, _OPENSTACK_WITHIN_S)
        found: dict[str, str] = json.loads(facts.read_text(encoding="utf-8"))
        log = found["HAVEN_SANDBOX_OPENSTACK_LOG"]
        seen_from_outside = str(self._paths.openstack / Path(log).relative_to(private.OPENSTACK))
        return {**found, "HAVEN_SANDBOX_OPENSTACK_LOG": seen_from_outside}

    def _start_inside_api(self, facts: dict[str, str]) -> dict[str, str]:
        """Let the jump host and those outside of the clouds reach every API, at its own port; returns where."""
        known = {name: url for name, url in facts.items() if name in _APIS}
        ports = [int(url.rpartition(":")[2]) for url in known.values()]
        certificates.make(self._paths.inside_ca, self._paths.inside, "API authority", [inside_api.NAME])
        command = [sys.executable, "-m", "tests.sandbox.inside_api", "--certificate", str(self._paths.inside)]
        with ExitStack() as listeners:
            descriptors = []
            for port in ports:
                near = netns.listen_inside(ROUTER, str(self._plan.ranges.api), port)
                far = socket.create_server((str(self._plan.ranges.hosts), port), backlog=128)
                for listener in (near, far):
                    descriptors.append(listeners.enter_context(listener).fileno())
                    command += ["--forward", f"{descriptors[-1]}=127.0.0.1:{port}"]
            self._start("inside API", self._outside(command), self._machine_net, *descriptors)
        inside = {_APIS[name]: inside_api.url(port) for name, port in zip(known, ports, strict=True) if _APIS[name]}
        return {**inside, "HAVEN_SANDBOX_INSIDE_CA": str(self._paths.inside_ca)}

    def _equip_laptop(self, facts: dict[str, str]) -> None:
        """Write what the laptop knows: names, and the variables of <dir>/env as they are there."""
        ranges, folder = self._plan.ranges, self._paths.laptop
        hosts = dict.fromkeys([inside_api.NAME, internet.PROXY, *self._names], ranges.hosts)
        authorities = [Path(self._plan.authorities), self._paths.internet_ca, self._paths.inside_ca]
        internet.write_files(folder, {internet.GATE: ranges.gate_outside, **hosts}, authorities)
        write_env(folder / "env", internet.variables(facts, folder))

    def _gate_facts(self, listener: int) -> dict[str, str]:
        kind, key = self._paths.public(self._paths.gate_host_key).read_text(encoding="ascii").split()[:2]
        return {
            "HAVEN_SANDBOX_DIR": str(self._paths.dir),
            "HAVEN_SANDBOX_CLOUDS": ",".join(self._plan.clouds),
            "HAVEN_SANDBOX_GATE_HOST": "127.0.0.1",
            "HAVEN_SANDBOX_GATE_PORT": str(_port_of(listener)),
            "HAVEN_SANDBOX_GATE_USER": gate.USER,
            "HAVEN_SANDBOX_GATE_HOST_KEY": f"{kind} {key}",
            "HAVEN_SANDBOX_GATE_ADDRESS": str(self._plan.ranges.gate),
            "HAVEN_SANDBOX_KEY": str(self._paths.key),
            "HAVEN_SANDBOX_SUBNET_CIDR": str(self._plan.ranges.subnet),
        }

    def _outside(self, command: list[str]) -> list[str]:
        return netns.within(self._machine_net, command)

    def _start(self, name: str, command: list[str], *descriptors: int) -> None:
        self._children[name] = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, pass_fds=descriptors, cwd=repository()
        )

    def _await(self, what: str, is_there: Callable[[], bool], within_s: float = _WITHIN_S) -> None:
        deadline = time.monotonic() + within_s
        while not is_there():
            ended = [name for name, child in self._children.items() if child.poll() is not None]
            if ended:
                raise SandboxError(f"{ended[0]} ended while the sandbox came up: the reason is in {self._paths.log}.")
            if time.monotonic() > deadline:
                raise SandboxError(f"No answer from {what} within {within_s:.0f} s: see {self._paths.log}.")
            time.sleep(_EVERY_S)


def _relay(*forwards: str) -> list[str]:
    return [sys.executable, "-m", "tests.sandbox.relay", *forwards]


def _port_of(listener: int) -> int:
    with socket.socket(fileno=os.dup(listener)) as copy:
        port: int = copy.getsockname()[1]
        return port


def _reap_until(child: int) -> int:
    """What PID 1 is for: collect every orphan; returns the exit status once that one child has ended."""
    while True:
        ended, status = os.wait()
        if ended == child:
            return os.waitstatus_to_exitcode(status)


def _tell(pipe: int, message: dict[str, str]) -> None:
    with os.fdopen(pipe, "w", encoding="utf-8") as stream:
        stream.write(json.dumps(message) + "\n")


def _work(options: argparse.Namespace) -> str:
    """Bring the sandbox up, say so, and stay; returns why it ended."""
    paths = Paths(options.dir)
    try:
        supervisor = Supervisor(paths, options.cache, options.machine_net)
        write_env(paths.env, supervisor.up(options.gate_listener))
    except (SandboxError, OSError, ValueError) as error:
        _tell(options.ready, {"error": str(error)})
        return str(error)
    _tell(options.ready, {"ready": str(paths.env)})
    return supervisor.watch()


def main() -> int:
    """Entry point, as PID 1; keeper.py makes the namespaces."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dir", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--machine-net", type=int, required=True)
    parser.add_argument("--gate-listener", type=int, required=True)
    parser.add_argument("--ready", type=int, required=True)
    options = parser.parse_args()
    if os.getpid() != 1:
        parser.error("this is started by 'python -m tests.sandbox up'")
    # The kernel keeps from PID 1 every signal it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        sys.exit(_work(options))
    os.close(options.ready)
    return _reap_until(child)


if __name__ == "__main__":
    sys.exit(main())
