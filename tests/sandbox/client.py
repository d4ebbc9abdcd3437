# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines over the supervisor's unix socket: one JSON line to ask, one to answer, one connection a call."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any, cast

from . import wire
from .errors import NoSuchMachineError, SandboxError
from .machines import State

_ANSWER_WITHIN_S = 60.0


class MachinesClient:
    """Fulfils the Machines protocol from another process; safe to use from many threads at once."""

    def __init__(self, socket_path: str | Path) -> None:
        self._path = Path(socket_path)

    def create(  # noqa: PLR0917 - a machine is that much
        self,
        id: str,
        image: str,
        address: str,
        user_data: bytes,
        public_keys: list[str],
        hostname: str,
        volumes: list[dict[str, Any]],
        root_volume: str = "",
    ) -> None:
        """See Machines.create."""
        self.call(
            "create",
            id=id,
            image=image,
            address=address,
            user_data=base64.b64encode(user_data).decode("ascii"),
            public_keys=public_keys,
            hostname=hostname,
            volumes=volumes,
            root_volume=root_volume,
        )

    def start(self, id: str, public_address: str) -> None:
        """See Machines.start."""
        self.call("start", id=id, public_address=public_address)

    def stop(self, id: str, by_force: bool = False) -> None:
        """See Machines.stop."""
        self.call("stop", id=id, by_force=by_force)

    def suspend(self, id: str) -> None:
        """See Machines.suspend."""
        self.call("suspend", id=id)

    def resume(self, id: str) -> None:
        """See Machines.resume."""
        self.call("resume", id=id)

    def destroy(self, id: str, keep_volumes: bool = False) -> None:
        """See Machines.destroy."""
        self.call("destroy", id=id, keep_volumes=keep_volumes)

    def console(self, id: str) -> str:
        """See Machines.console."""
        return cast(str, self.call("console", id=id))

    def state(self, id: str) -> State:
        """See Machines.state."""
        return cast(State, self.call("state", id=id))

    def set_rules(self, id: str, rules: list[dict[str, Any]]) -> None:
        """See Machines.set_rules."""
        self.call("set_rules", id=id, rules=rules)

    def set_public_address(self, id: str, public_address: str) -> None:
        """See Machines.set_public_address."""
        self.call("set_public_address", id=id, public_address=public_address)

    def set_ports(self, ports: dict[str, dict[str, Any] | None]) -> None:
        """See Machines.set_ports."""
        self.call("set_ports", ports=ports)

    def attach(self, id: str, volume: dict[str, Any]) -> None:
        """See Machines.attach."""
        self.call("attach", id=id, volume=volume)

    def detach(self, id: str, volume_name: str) -> None:
        """See Machines.detach."""
        self.call("detach", id=id, volume_name=volume_name)

    def delete_volume(self, volume_name: str) -> None:
        """See Machines.delete_volume."""
        self.call("delete_volume", volume_name=volume_name)

    def create_volume(self, volume_name: str, image: str) -> None:
        """See Machines.create_volume."""
        self.call("create_volume", volume_name=volume_name, image=image)

    def copy_volume(self, volume_name: str, copy_name: str) -> None:
        """See Machines.copy_volume."""
        self.call("copy_volume", volume_name=volume_name, copy_name=copy_name)

    def snapshot(self, id: str, name: str) -> None:
        """See Machines.snapshot."""
        self.call("snapshot", id=id, name=name)

    def call(self, verb: str, **arguments: Any) -> Any:
        """Ask the supervisor; SandboxError when it refuses or is not there."""
        try:
            with wire.connect(self._path, _ANSWER_WITHIN_S) as link, link.makefile("rwb") as stream:
                stream.write(json.dumps({"verb": verb, **arguments}).encode() + b"\n")
                stream.flush()
                line = stream.readline()
        except OSError as error:
            raise SandboxError(f"The sandbox's supervisor does not answer ({error}): see 'status'.") from error
        if not line:
            raise SandboxError(f"The sandbox's supervisor ended while it was asked to {verb}.")
        answer = json.loads(line)
        if "error" in answer:
            kind = NoSuchMachineError if answer.get("kind") == "NoSuchMachineError" else SandboxError
            raise kind(answer["error"])
        return answer["result"]
