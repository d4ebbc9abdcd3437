# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The control endpoint of the OpenStack side. Tests use it to make things go wrong.

POST, JSON in, JSON out; a service is a name of layout.SERVICES:
  /_control/fault       one fault, see faults.Fault; service "*" gives each service one of its own
  /_control/latency     {"ms": 150, "service": "glance"}: added to every request of that service, or of all without it
  /_control/service     {"name": "nova", "do": "kill" | "start" | "restart"}: kill ends the process at once, and its
                        port refuses connections; start and restart return when it answers. Its faults end with it.
  /_control/tokens      {"seconds": 40}: how long tokens issued from now on live; {"revoke": true}: those issued so
                        far are refused (by services that have seen them, within five seconds)
  /_control/policy      {"service": "nova", "rules": {"os_compute_api:os-flavor-extra-specs:index": "role:admin"}}: who
                        may do what, from the next request on, in the words of oslo.policy; {} as rules: as shipped
  /_control/volumes     {"hold": true}: volumes stay in `creating` from now on; {"hold": false}: they go on
  /_control/reset       {}: no faults, no latency, tokens live as long as ever, all services run, policies as shipped
GET:
  /_control/state       {service: {"port", "pid"}}; pid is null while it does not run
  /_control/log?since=T the access log from that moment (seconds since the epoch) on, see front.AccessLog
"""

from __future__ import annotations

import json
from typing import Any

from ..control import ControlEndpoint
from .fleet import Fleet
from .layout import HOLD_VOLUMES, SERVICES


class Control(ControlEndpoint):
    """Answers requests under /_control/."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        super().__init__(
            {
                ("POST", "fault"): lambda asked: self._tell("fault", asked.get("service", "*"), asked),
                ("POST", "latency"): lambda asked: self._tell("latency", asked.pop("service", "*"), asked),
                ("POST", "tokens"): lambda asked: self._tell("tokens", "keystone", asked),
                ("POST", "service"): self._service,
                ("POST", "volumes"): lambda asked: self._hold(bool(asked["hold"])),
                ("POST", "policy"): lambda asked: self._policy(asked["service"], asked["rules"]),
                ("POST", "reset"): self._reset,
                ("GET", "state"): lambda _asked: fleet.states(),
                ("GET", "log"): lambda asked: self._log(float(asked.get("since", 0))),
            }
        )

    def _tell(self, verb: str, service: str, asked: dict[str, Any]) -> None:
        for name in SERVICES if service == "*" else [service]:
            self._fleet.ask(name, verb, asked)

    def _service(self, asked: dict[str, Any]) -> None:
        name, verb = asked["name"], asked["do"]
        if name not in SERVICES or verb not in {"kill", "start", "restart"}:
            raise ValueError(f"cannot {verb} {name}")
        if verb != "start":
            self._fleet.kill(name)
        if verb != "kill":
            self._fleet.start(name)
            self._fleet.await_ready([name])

    def _hold(self, on: bool) -> None:
        file = self._fleet.layout.dir / HOLD_VOLUMES
        if on:
            file.touch()
        else:
            file.unlink(missing_ok=True)

    def _policy(self, service: str, rules: dict[str, str]) -> None:
        """The services look at the file before each request."""
        if service not in SERVICES:
            raise ValueError(f"no service {service}")
        self._fleet.layout.policy(service).write_text(json.dumps(rules), encoding="utf-8")

    def _reset(self, _asked: dict[str, Any]) -> None:
        self._hold(False)
        for service in SERVICES:
            self._fleet.start(service)
            self._policy(service, {})
        self._fleet.await_ready(SERVICES)
        self._tell("reset", "*", {})

    def _log(self, since: float) -> list[dict[str, Any]]:
        with self._fleet.layout.access_log.open(encoding="utf-8") as log:
            entries = (json.loads(line) for line in log)
            return [entry for entry in entries if entry["t"] >= since]
