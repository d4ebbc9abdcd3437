# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of the sandbox's OpenStack share: a connection as a user of the cloud, and servers reached by ssh."""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openstack
import requests
from openstack.connection import Connection

from tests.integration.sandbox_guests import Sandbox, wait_until

WITHIN_S = 90.0
HOST_KEY = re.compile(r"^(ssh-ed25519 [A-Za-z0-9+/=]+) root@", re.MULTILINE)


class Project:
    """One user's project: what there is to choose from, and a key pair and a security group that let the gate in."""

    def __init__(self, sandbox: Sandbox, name: str) -> None:
        self.sandbox = sandbox
        self.cloud: Connection = openstack.connect(cloud=name)
        self.tag = f"t-{secrets.token_hex(4)}"
        images = sorted(self.cloud.image.images(status="active"), key=lambda image: image.name)
        self.image = next(image for image in images if image.name.startswith("haven-debian-12-2"))
        flavors = sorted(self.cloud.compute.flavors(get_extra_specs=True), key=lambda flavor: flavor.ram)
        self.flavor, self.larger_flavor = [flavor for flavor in flavors if not flavor.extra_specs][:2]
        self.gpu_flavor = next(flavor for flavor in flavors if "resources:VGPU" in flavor.extra_specs)
        self.network = next(self.cloud.network.networks(is_router_external=False))
        self.public_network = next(self.cloud.network.networks(is_router_external=True))
        public_key = Path(sandbox.env["HAVEN_SANDBOX_KEY"] + ".pub").read_text().strip()
        self.cloud.compute.create_keypair(name=self.tag, public_key=public_key)
        self.group = self.new_group("ssh")
        self.allow(self.group, "tcp", 22, remote_ip_prefix=f"{sandbox.gate}/32")

    def new_group(self, name: str) -> Any:
        """A security group that lets nothing in and everything out."""
        return self.cloud.network.create_security_group(name=f"{self.tag}-{name}")

    def allow(self, group: Any, protocol: str | None, port: int | None, **more: Any) -> Any:
        """Let something in; returns the rule."""
        return self.cloud.network.create_security_group_rule(
            security_group_id=group.id,
            ethertype="IPv4",
            protocol=protocol,
            port_range_min=port,
            port_range_max=port,
            **{"direction": "ingress", **more},
        )

    def control(self, verb: str, **asked: Any) -> None:
        """Ask the control endpoint of the services for something, see tests/sandbox/openstack/control.py."""
        answer = requests.post(
            f"{self.sandbox.env['HAVEN_SANDBOX_OPENSTACK_CONTROL_URL']}/{verb}", json=asked, timeout=120
        )
        assert answer.ok, answer.text

    @contextmanager
    def server(self, **options: Any) -> Iterator[Server]:
        """A server that is ACTIVE and answers; deleted at the end."""
        server = Server(self, **options)
        try:
            server.await_status("ACTIVE")
            server.await_guest()
            yield server
        finally:
            server.delete()

    def close(self) -> None:
        """Remove what the project made for itself."""
        for group in self.cloud.network.security_groups():
            if group.name.startswith(self.tag):
                self.cloud.network.delete_security_group(group)
        self.cloud.compute.delete_keypair(self.tag)


class Server:
    """A server made for a test; options are those of create_server, and override what is chosen here."""

    def __init__(self, project: Project, **options: Any) -> None:
        self.project = project
        self.compute = project.cloud.compute
        if "user_data" in options:
            options["user_data"] = base64.b64encode(options["user_data"]).decode("ascii")
        chosen: dict[str, Any] = {
            "name": f"{project.tag}-{secrets.token_hex(3)}",
            "image_id": project.image.id,
            "flavor_id": project.flavor.id,
            "networks": [{"uuid": project.network.id}],
            "security_groups": [{"name": project.group.id}],
            "key_name": project.tag,
            **options,
        }
        server = self.compute.create_server(**chosen)
        self.id: str = server.id
        self.name: str = chosen["name"]
        self._host_key = ""

    def now(self) -> Any:
        """The server as the API shows it."""
        return self.compute.get_server(self.id)

    def await_status(self, status: str) -> None:
        """Wait until the server is there and nothing is under way."""
        deadline = time.monotonic() + WITHIN_S
        while True:
            now = self.now()
            if now.status == status and not now.task_state:
                return
            assert now.status != "ERROR", now.fault
            assert time.monotonic() < deadline, f"{now.status}, {now.task_state}, not {status}"
            time.sleep(0.1)

    def await_guest(self) -> None:
        """Wait until the guest's sshd answers."""
        assert wait_until(lambda: self.state() == "ready", WITHIN_S), self.console()

    def act(self, action: str, *arguments: Any, status: str) -> None:
        """Do something by its name in the SDK, and see it through."""
        getattr(self.compute, action)(self.id, *arguments)
        self.await_status(status)

    def state(self) -> str:
        """What the guest does, as the supervisor sees it."""
        return self.project.sandbox.machines.state(self.id)

    @property
    def port(self) -> Any:
        return next(self.project.cloud.network.ports(device_id=self.id))

    @property
    def address(self) -> str:
        """The fixed one."""
        return str(self.port.fixed_ips[0]["ip_address"])

    def console(self) -> str:
        return str(self.compute.get_server_console_output(self.id)["output"])

    def host_key(self) -> str:
        """The key that the guest printed at its first boot."""
        if not self._host_key:
            assert wait_until(lambda: bool(HOST_KEY.search(self.console())), WITHIN_S)
            found = HOST_KEY.search(self.console())
            assert found is not None
            self._host_key = found.group(1)
        return self._host_key

    def forget_host_key(self) -> str:
        """After a new disk: the key that was."""
        before, self._host_key = self._host_key, ""
        return before

    def ssh(self, script: str, address: str = "") -> tuple[int, str]:
        """Run a script as the login user through the gate, the host key checked: exit status and output."""
        done = self.project.sandbox.ssh("debian", address or self.address, script, self.host_key())
        return done.returncode, done.stdout.strip() or done.stderr.strip()

    def run(self, script: str, address: str = "") -> str:
        """The output of a script that must succeed."""
        code, output = self.ssh(script, address)
        assert code == 0, output
        return output

    def answers(self, address: str = "") -> bool:
        """Can it be reached by ssh?"""
        return self.ssh("true", address)[0] == 0

    def reaches(self, address: str, port: int = 8000) -> bool:
        """Does an HTTP request from this server get an answer?"""
        return self.ssh(f"curl -sf -m 3 -o /dev/null http://{address}:{port}/")[0] == 0

    def serve(self, port: int = 8000) -> None:
        """Answer HTTP on a port."""
        self.run(f"sudo systemd-run --quiet --unit=serve-{port} python3 -m http.server --directory /etc/ssh {port}")
        assert wait_until(lambda: self.reaches("127.0.0.1", port))

    def delete(self) -> None:
        """Delete it, and wait until it is gone."""
        self.compute.delete_server(self.id, ignore_missing=True)
        assert wait_until(lambda: self.compute.find_server(self.id, ignore_missing=True) is None, WITHIN_S)
