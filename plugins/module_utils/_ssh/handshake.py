# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks with ssh that instances can be reached through the hops and show the right host key.

ssh itself does the work, so that agents, passphrases, FIDO keys, and the user's own configuration are used.
"""

from __future__ import annotations

import dataclasses
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Optional

from .._errors import InvalidRequest, TimedOut, Untrusted
from .._models import Instance
from .._retry import Deadline, Pace, together
from . import files as _files
from .config import Machine, Paths
from .hops import HopLookup, WantedHop, found
from .proxy_helper import REFUSED, told

# Seconds for one attempt. The ConnectTimeout in the configuration applies to each hop.
ONE_TRY = 30.0


@dataclasses.dataclass(frozen=True)
class Route:
    """How to connect to the instances: the hops, outermost first, the user, and the key.

    ``listed`` returns the existing instances. Hops may be among them, even among those that are waited for.
    """

    wanted: tuple[WantedHop, ...] = ()
    listed: Callable[[], Sequence[Instance]] = tuple
    login_user: Optional[str] = None
    private_key: Optional[str] = None

    def boots(self, instances: Sequence[Instance]) -> dict[str, str]:
        """The boot id of each instance that answers. A restart is complete when it has changed."""
        known = [each for each in instances if each.host_key]
        with tempfile.TemporaryDirectory(prefix="haven-") as folder:
            config = self._write_configuration(folder, known)
            answers = together(lambda each: _attempt(_command(config, each), ONE_TRY), known)
        return {each.id: answer.said for each, answer in zip(known, answers) if answer.succeeded}

    def wait(self, instances: Sequence[Instance], deadline: Deadline, before: Mapping[str, str]) -> None:
        """Wait until every instance has answered a verified handshake, with another boot id than in ``before``.

        Raises Untrusted at once, or TimedOut with the last message from ssh.
        """
        keyless = [each.name for each in instances if not each.host_key]
        if keyless:
            raise InvalidRequest(
                f"The host key of {', '.join(keyless)} is not known, so ssh cannot verify who answers: "
                "let record_host_key be true and run again, or use wait: running."
            )
        with tempfile.TemporaryDirectory(prefix="haven-") as folder:
            config = self._write_configuration(folder, instances)
            together(lambda each: _wait_for_one(config, each, deadline, before.get(each.id)), list(instances))

    def _write_configuration(self, folder: str, instances: Sequence[Instance]) -> str:
        looked_up = any(isinstance(each, HopLookup) for each in self.wanted)
        hops = found(self.wanted, self.listed() if looked_up else ())
        machines = [self._machine(each, len(hops.to(each.id).hops)) for each in instances]
        paths = Paths.of_this_run(folder, own_jump=bool(hops.hops) and _files.has_own_jump())
        return _files.write({hops.hops: machines}, paths)

    def _machine(self, instance: Instance, depth: int) -> Machine:
        # Behind hops, instances are reached at their private address, from outside only at the public one.
        addresses = (instance.private_address, instance.public_address)
        first, second = addresses if depth else addresses[::-1]
        return Machine(
            alias=instance.id,
            name=instance.name,
            depth=depth,
            address=first or second,
            user=self.login_user or instance.login_user,
            host_key=instance.host_key,
            key=self.private_key,
        )


@dataclasses.dataclass(frozen=True)
class _Answer:
    succeeded: bool
    said: str
    refused: bool = False


def _command(config: str, instance: Instance) -> list[str]:
    options = ["-F", config, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
    return ["ssh", *options, instance.id, "cat /proc/sys/kernel/random/boot_id"]


def _wait_for_one(config: str, instance: Instance, deadline: Deadline, before: Optional[str]) -> None:
    pace = Pace()
    while True:
        answer = _attempt(_command(config, instance), min(ONE_TRY, max(deadline.left, 1.0)))
        if answer.succeeded and answer.said != before:
            return
        if answer.refused:
            # Waiting would not help.
            raise Untrusted(
                f"{answer.said}. If it was, make sure which of them is right before you change the tag haven:host-key,"
                " or the host_key of a hop."
            )
        if deadline.over:
            reason = "it has not restarted" if answer.succeeded else answer.said
            raise TimedOut(
                f"Instance {instance.name} does not answer ssh after {deadline.seconds:.0f} s ({reason}): check the "
                "hops, the firewall, the login user and the private key."
            )
        pace.sleep()


def _attempt(command: Sequence[str], seconds: float) -> _Answer:
    """Make one handshake. Return the instance's output, or the last message from ssh."""
    try:
        # run_command belongs to AnsibleModule and has no timeout.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return _Answer(False, "no answer")
    except FileNotFoundError as error:
        raise InvalidRequest("wait: ssh needs the program ssh: install the OpenSSH client.") from error
    if done.returncode == 0:
        return _Answer(True, done.stdout.strip())
    said = told(done.stderr) or f"ssh ended with {done.returncode}"
    return _Answer(False, said.rstrip("."), refused=said.startswith(REFUSED))
