# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether machines can be reached and are who they should be: a real ssh, through the hops, strictly checked.

ssh itself does the work, so that agents, passphrases, FIDO keys and the user's own configuration keep working.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import tempfile
from collections.abc import Sequence
from typing import Optional

from . import _ssh_config
from ._errors import InvalidRequest, TimedOut
from ._models import Hop, Instance
from ._wait import Deadline, Pace, together

# Seconds for one try; the configuration's own ConnectTimeout counts for each hop.
ONE_TRY = 30.0


@dataclasses.dataclass(frozen=True)
class Route:
    """How to get to the machines: the hops, outermost first, and as whom."""

    hops: tuple[Hop, ...] = ()
    login_user: Optional[str] = None
    private_key: Optional[str] = None

    def wait(self, instances: Sequence[Instance], deadline: Deadline) -> None:
        """Return when every machine has answered a verified handshake. Raises TimedOut with what ssh said last."""
        keyless = [each.name for each in instances if not each.host_key]
        if keyless:
            raise InvalidRequest(
                f"The host key of {', '.join(keyless)} is not known, so ssh cannot verify who answers: "
                "let record_host_key be true and run again, or use wait: running."
            )
        with tempfile.TemporaryDirectory(prefix="haven-") as folder:
            config = self._write_configuration(folder, instances)
            together(lambda each: self._wait_for_one(config, each, deadline), list(instances))

    def _write_configuration(self, folder: str, instances: Sequence[Instance]) -> str:
        machines = [self._machine(each) for each in instances]
        known_hosts, config = os.path.join(folder, "known_hosts"), os.path.join(folder, "ssh_config")
        _write_private(known_hosts, _ssh_config.known_hosts(machines, self.hops))
        _write_private(config, _ssh_config.render(machines, self.hops, known_hosts=known_hosts))
        return config

    def _machine(self, instance: Instance) -> _ssh_config.Machine:
        # Behind hops a machine is known by its private address; from outside only the public one leads there.
        addresses = (instance.private_address, instance.public_address)
        first, second = addresses if self.hops else addresses[::-1]
        return _ssh_config.Machine(
            alias=instance.id,
            address=first or second,
            user=self.login_user or instance.login_user,
            host_key=instance.host_key,
            key=self.private_key,
        )

    @staticmethod
    def _wait_for_one(config: str, instance: Instance, deadline: Deadline) -> None:
        command = ["ssh", "-F", config, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR", instance.id, "true"]
        pace = Pace()
        while True:
            said = _attempt(command, min(ONE_TRY, max(deadline.left, 1.0)))
            if said is None:
                return
            if deadline.over:
                raise TimedOut(
                    f"Machine {instance.name} does not answer ssh after {deadline.seconds:.0f} s ({said}): check the "
                    "hops, the firewall, the login user and the private key."
                )
            pace.sleep()


def _attempt(command: Sequence[str], seconds: float) -> Optional[str]:
    """None when the handshake succeeded, else the last thing ssh said."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return "no answer"
    except FileNotFoundError as error:
        raise InvalidRequest("wait: ssh needs the program ssh: install the OpenSSH client.") from error
    if done.returncode == 0:
        return None
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    return "".join(filter(str.isprintable, lines[-1]))[:200] if lines else f"ssh ended with {done.returncode}"


def _write_private(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
