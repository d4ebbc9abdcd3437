# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control endpoint: what tests ask of the sandbox and no cloud offers.

POST, JSON in, JSON out:
  /_control/fault       one fault, see faults.Fault
  /_control/latency     {"ms": 150}: added to every call
  /_control/pending     {"seconds": 4 | [2, 8]}: how long instances stay pending at least, or a random
                        time between two; {"state": "stopping" | "shutting-down", ...}: the same for these
  /_control/networks    {"default": "own" | "other" | "none"}: which network is the default one, see networks.py;
                        with "key": for who calls with this access key alone;
                        returns {name: {"vpc": id, "subnets": [one id a zone]}}
  /_control/deny        {"action": "RunInstances", "policy": "service control policy", "explicit": true}: from now on
                        a policy of this kind denies that action to everybody, or without "explicit" does not allow it
  /_control/accept      {"image": "ami-..."}: the account accepts the terms of a Marketplace image
  /_control/interrupt   {"id": "i-..."}: the spot market takes the instance back
  /_control/parameter   {"name": "/aws/service/...", "image": PATTERN}: a vendor publishes another image, of that name
  /_control/forget      {}: terminated instances leave the listing, as after an hour; their client tokens stay known
  /_control/reset       {}: no faults, denials, latency or delays, no terms accepted, the plain account's
                        default network; {"cloud": true}: also nothing the account did not start with
GET:
  /_control/state       {"latency_ms", "instances": {state: number}}
  /_control/instances   each instance with its state, its machine and its rules
  /_control/log?since=T the access log from that moment (seconds since the epoch) on
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..control import ControlEndpoint
from . import environment
from .models import SandboxInstance
from .refusals import denial
from .reset import forget_terminated, reset_cloud
from .seed import publish

if TYPE_CHECKING:
    from .access_log import AccessLog
    from .cloud import Cloud

INTERRUPTED = (
    "Server.SpotInstanceTermination",
    "Server.SpotInstanceTermination: Spot instance termination",
)


class Control(ControlEndpoint):
    """Answers requests under /_control/."""

    def __init__(self, cloud: Cloud, log: AccessLog) -> None:
        self._cloud = cloud
        self._log = log
        verbs: dict[tuple[str, str], Callable[[dict[str, Any]], Any]] = {
            ("POST", "fault"): self._cloud.faults.add,
            ("POST", "latency"): self._latency,
            ("POST", "pending"): self._pending,
            ("POST", "networks"): self._networks,
            ("POST", "deny"): self._deny,
            ("POST", "accept"): lambda asked: self._cloud.accepted.add(asked["image"]),
            ("POST", "interrupt"): self._interrupt,
            ("POST", "parameter"): self._parameter,
            ("POST", "forget"): lambda _asked: forget_terminated(self._cloud),
            ("POST", "reset"): self._reset,
            ("GET", "state"): self._state,
            ("GET", "instances"): self._instances,
            ("GET", "log"): lambda asked: self._log.since(float(asked.get("since", 0))),
        }
        super().__init__(verbs)

    def _latency(self, asked: dict[str, Any]) -> None:
        self._cloud.faults.latency_ms = float(asked["ms"])

    def _pending(self, asked: dict[str, Any]) -> None:
        self._cloud.lifecycle.delay(asked.get("state", "pending"), asked["seconds"])

    def _networks(self, asked: dict[str, Any]) -> Any:
        with self._cloud.lock:
            return self._cloud.networks.choose(**asked) if self._cloud.networks else None

    def _deny(self, asked: dict[str, Any]) -> None:
        action, explicit = asked["action"], bool(asked.get("explicit"))
        message = denial(f"ec2:{action}", asked["policy"], explicit=explicit)
        refusal = {"code": "UnauthorizedOperation", "status": 403, "message": message}
        self._cloud.faults.add({"action": action, "times": -1, **refusal})

    def _interrupt(self, asked: dict[str, Any]) -> None:
        with self._cloud.lock:
            instance = SandboxInstance.by_id[asked["id"]]
            instance.terminate()
            instance.say_why(INTERRUPTED)
            self._cloud.lifecycle.terminate(instance)
            self._cloud.fragments.pop(instance.id, None)

    def _parameter(self, asked: dict[str, Any]) -> None:
        publish(environment.REGION, asked["name"], asked["image"])

    def _reset(self, asked: dict[str, Any]) -> None:
        self._cloud.faults.clear()
        self._cloud.lifecycle.clear_delays()
        self._cloud.accepted.clear()
        self._networks({"default": "own"})
        if asked.get("cloud"):
            reset_cloud(self._cloud)

    def _state(self, _asked: dict[str, Any]) -> dict[str, Any]:
        with self._cloud.lock:
            states = Counter(one.state_name for one in SandboxInstance.by_id.values())
        return {"latency_ms": self._cloud.faults.latency_ms, "instances": dict(states)}

    def _instances(self, _asked: dict[str, Any]) -> list[dict[str, Any]]:
        with self._cloud.lock:
            everybody = list(SandboxInstance.by_id.values())
        return [
            {
                "id": one.id,
                "state": one.state_name,
                "private_address": one.private_ip,
                "public_address": one.public_ip,
                "machine": self._cloud.machines.state(one.id),
                "rules": self._cloud.rules(one.id),
                "asked": self._cloud.asked(one.id),
            }
            for one in everybody
        ]
