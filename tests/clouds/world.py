# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A cloud as the contract's tests see it, with what others do to it behind our back."""

from __future__ import annotations

import abc
import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible_collections.haven.gpu.plugins.module_utils._cloud import Cloud, CloudPackage
from ansible_collections.haven.gpu.plugins.module_utils._converge import Converged, Patience, converge
from ansible_collections.haven.gpu.plugins.module_utils._models import Image, ImageChoice, Instance, Spec
from ansible_collections.haven.gpu.plugins.module_utils._retry import Deadline
from ansible_collections.haven.gpu.plugins.module_utils._ssh.handshake import Route
from ansible_collections.haven.gpu.plugins.module_utils._teardown import tear_down
from ansible_collections.haven.gpu.plugins.module_utils._wait import until_state

from . import memory_cloud

PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ/+K5c7Wxxm5lYcOSr4fe1rH2bRVh0PEdtpSx4s1Lqz"
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAr2m4Tn0f8P0mB4W7i6bq2y1lJt9o3m5Zk7h0s8Qx1d"
# Seconds: all that is waited for.
PATIENCE = 120.0


class World(abc.ABC):
    """One cloud, and an account there."""

    package: CloudPackage
    image: ImageChoice
    instance_type: str
    other_type: str
    # An id that no instance has.
    unknown_id: str

    def __init__(self) -> None:
        self.projects: list[str] = []

    @abc.abstractmethod
    def cloud(self) -> Cloud:
        """Another controller's adapter, which has seen nothing so far."""

    @abc.abstractmethod
    def unreachable(self) -> Cloud:
        """One whose API does not answer. It may say so when it connects."""

    @abc.abstractmethod
    def lose_an_answer(self) -> None:
        """The next machine is made, and nobody is told."""

    @abc.abstractmethod
    def written(self, since: float) -> list[str]:
        """The calls since then that changed something."""

    @abc.abstractmethod
    def unbounded(self, since: float) -> list[str]:
        """The calls since then that listed machines without saying which, by ids or names."""

    @abc.abstractmethod
    def stranger(self, kind: str, project: str, name: str) -> str:
        """Somebody makes a machine, a firewall or a key_pair by the name that ours would have, without our mark;
        returns its id. It goes when the world ends."""

    @abc.abstractmethod
    def has(self, kind: str, item_id: str) -> bool:
        """Whether that thing of a stranger's is still there."""

    # -- what is the same everywhere

    def now(self) -> float:
        """A moment, for ``written`` and ``unbounded``."""
        return time.time()

    def project(self) -> str:
        """A new one, which goes when the world ends."""
        self.projects.append(f"contract-{secrets.token_hex(4)}")
        return self.projects[-1]

    def spec(self, project: str, name: str = "one", **fields: Any) -> Spec:
        own = {"image": self.image, "instance_type": self.instance_type, "options": self.options, **fields}
        return Spec(project, name, **own)

    @property
    def options(self) -> dict[str, Any]:
        """Those that only this cloud has, as they are when nobody says anything."""
        defaults = {name: option.get("default") for name, option in self.package.INSTANCE.items()}
        nothing = {"public_address": None, "subnet": None, "private_address": None, "key_pair": None}
        chosen = self.package.instance_options(defaults, nothing, ["one"])
        return {name: value for name, value in chosen.items() if name != "former_name"}

    def converge(self, *specs: Spec, cloud: Cloud | None = None, check: bool = False) -> Converged:
        """What the module instance does."""
        patience = Patience("running", PATIENCE, Route)
        return converge(cloud or self.cloud(), specs, self.package.TRAITS, patience, check)

    def made(self, spec: Spec, cloud: Cloud | None = None) -> Instance:
        (instance,) = self.converge(spec, cloud=cloud).instances
        return instance

    def found(self, spec: Spec) -> Image:
        assert spec.image
        return self.cloud().image(spec.image)

    def living(self, project: str, *names: str) -> list[Instance]:
        """What a controller that has seen nothing so far finds."""
        return [each for each in self.cloud().instances(project, names) if not each.gone]

    def until(self, state: str, *instances: Instance) -> list[Instance]:
        return until_state(self.cloud(), instances, state, Deadline(PATIENCE))

    def end(self) -> None:
        """All projects go, and leave nothing."""
        for project in self.projects:
            tear_down(self.cloud(), project, PATIENCE, False)


class MemoryWorld(World):
    image = ImageChoice(name="memory-*")
    instance_type = "small"
    other_type = "medium"
    unknown_id = "m-999999"

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.package = memory_cloud()
        self._file = folder / "memory.json"
        self._folder = folder
        # Nothing is there yet, but the file is.
        self.cloud().instances("nobody")

    def cloud(self) -> Cloud:
        return self.package.connect({"file": str(self._file)})

    def unreachable(self) -> Cloud:
        return self.package.connect({"file": str(self._folder / "nowhere" / "memory.json")})

    @contextlib.contextmanager
    def _state(self) -> Iterator[dict[str, Any]]:
        state = json.loads(self._file.read_text())
        yield state
        self._file.write_text(json.dumps(state))

    def lose_an_answer(self) -> None:
        with self._state() as state:
            state["faults"].append({"call": "create", "when": "after"})

    def hostile(self, slow_ends: int = 0, **faults: str) -> None:
        """``slow_ends``: how many questions a machine takes to end. ``faults``: when the next call of that name fails
        with an error of the service's own, before or after it was carried out."""
        with self._state() as state:
            state["slow_ends"] = slow_ends
            state["faults"] += [{"call": call, "when": when, "code": "internal"} for call, when in faults.items()]

    def _calls(self, since: float) -> list[dict[str, Any]]:
        calls: list[dict[str, Any]] = json.loads(self._file.read_text())["calls"]
        return [each for each in calls if each["at"] >= since]

    def calls(self) -> int:
        """How many there have been."""
        return len(self._calls(0))

    def written(self, since: float) -> list[str]:
        harmless = ("machines", "refresh", "listed", "console")
        return [each["call"] for each in self._calls(since) if each["call"] not in harmless]

    def unbounded(self, since: float) -> list[str]:
        listings = [each for each in self._calls(since) if each["call"] == "machines"]
        return [str(each) for each in listings if "Name" not in each["tags"]]

    def stranger(self, kind: str, project: str, name: str) -> str:
        item: dict[str, Any] = {"id": f"{kind}-{secrets.token_hex(4)}", "region": "here", "tags": {"Name": name}}
        with self._state() as state:
            if kind == "machine":
                machine: dict[str, Any] = {
                    "state": "running",
                    "type": "small",
                    "image": "image-1",
                    "key_pair": None,
                    "firewalls": [],
                }
                machine |= {"private_address": "10.0.0.9", "launched_at": None, "disks": [], "rack": None, "token": ""}
                state["machines"][item["id"]] = {**item, **machine, "protected": False, "user_data": ""}
            else:
                own = {"name": f"{project}/{name}", "public_key": OTHER_KEY, "description": "", "rules": []}
                state[f"{kind}s"][item["id"]] = {**item, **own}
        return str(item["id"])

    def has(self, kind: str, item_id: str) -> bool:
        state = json.loads(self._file.read_text())
        return item_id in state[f"{kind}s"] and state[f"{kind}s"][item_id].get("state") in (None, "running")
