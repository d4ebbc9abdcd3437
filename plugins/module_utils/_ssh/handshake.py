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
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Optional

from .. import _cloud_init
from .._errors import HavenError, InvalidRequest, LoginRefused, TimedOut, Untrusted
from .._models import Instance
from .._progress import progress
from .._retry import Deadline, Pace, together
from . import files as _files
from .config import Machine, Paths
from .hops import HopLookup, WantedHop, found
from .proxy_helper import HOP_FAILED, REFUSED, is_no_login, told

# Seconds for one attempt. The ConnectTimeout in the configuration applies to each hop.
ONE_TRY = 30.0
# Seconds for which a login is tried again after its first refusal, and between two attempts: sshd adds up penalties for
# an address that is refused more often than every 5 seconds (PerSourcePenalties in sshd_config(5)).
REFUSED_FOR = 30.0
REFUSED_PAUSE = 10.0
# Seconds until the last attempt, if the boot is complete.
BOOTED_PAUSE = 1.0


def _no_console(_instance: Instance) -> str:
    return ""


@dataclasses.dataclass(frozen=True)
class Route:
    """How to connect to the instances: the hops, outermost first, the user, and the key.

    ``listed`` returns the existing instances. Hops may be among them, even among those that are waited for.
    ``console`` returns an instance's console output, which says when its boot is complete.
    """

    wanted: tuple[WantedHop, ...] = ()
    listed: Callable[[], Sequence[Instance]] = tuple
    login_user: Optional[str] = None
    private_key: Optional[str] = None
    console: Callable[[Instance], str] = _no_console

    def boots(self, instances: Sequence[Instance]) -> dict[str, str]:
        """The boot id of each instance that answers. A restart is complete when it has changed."""
        known = [each for each in instances if each.host_key]
        with tempfile.TemporaryDirectory(prefix="haven-") as folder:
            config = self._write_configuration(folder, known)
            answers = together(lambda each: _attempt(_command(config, each), ONE_TRY), known)
        return {each.id: answer.said for each, answer in zip(known, answers) if answer.succeeded}

    def wait(self, instances: Sequence[Instance], deadline: Deadline, before: Mapping[str, str]) -> None:
        """Wait until every instance has answered a verified handshake, with another boot id than in ``before``.

        Raises Untrusted at once, LoginRefused if a refusal is final, or TimedOut with the last message from ssh.
        """
        keyless = [each.name for each in instances if not each.host_key]
        if keyless:
            raise InvalidRequest(
                f"The host key of {', '.join(keyless)} is not known, so ssh cannot verify who answers: "
                "let record_host_key be true and run again, or use wait: running."
            )
        with tempfile.TemporaryDirectory(prefix="haven-") as folder:
            config = self._write_configuration(folder, instances)
            together(
                lambda each: _wait_for_one(config, each, deadline, before.get(each.id), lambda: self._is_booted(each)),
                list(instances),
            )

    def _is_booted(self, instance: Instance) -> bool:
        try:
            return _cloud_init.finished(self.console(instance))
        except HavenError:
            # Reading the console may not be allowed. Then the time decides.
            return False

    def _write_configuration(self, folder: str, instances: Sequence[Instance]) -> str:
        looked_up = any(isinstance(each, HopLookup) for each in self.wanted)
        hops = found(self.wanted, self.listed() if looked_up else ())
        machines = [self._machine(each, len(hops.to(each.id).hops)) for each in instances]
        paths = Paths.of_this_run(folder, ssh=_files.own_ssh())
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

    @property
    def is_untrusted(self) -> bool:
        return not self.succeeded and self.said.startswith(REFUSED)

    @property
    def is_no_login(self) -> bool:
        return not self.succeeded and is_no_login(self.said)

    @property
    def is_of_a_hop(self) -> bool:
        return self.said.startswith(HOP_FAILED)


def _command(config: str, instance: Instance) -> list[str]:
    options = ["-F", config, "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"]
    return ["ssh", *options, instance.id, "cat /proc/sys/kernel/random/boot_id"]


class _Refusals:
    """Counts the refused logins of one instance and decides when they are final.

    Until its boot is complete, an instance may not know its users and keys yet. So a refusal is final if it comes after
    that, or REFUSED_FOR seconds after the first one. ``is_booted`` asks the cloud.
    """

    def __init__(self, is_booted: Callable[[], bool]) -> None:
        self.count = 0
        self._is_booted = is_booted
        self._booted = False
        self._first = 0.0

    def are_final(self, answer: _Answer) -> bool:
        """Count one more, and return whether it is final."""
        now = time.monotonic()
        self._first = self._first or now
        self.count += 1
        if self._booted or now - self._first >= REFUSED_FOR:
            return True
        # The boot may have been completed between the refusal and this question, so there is another attempt. That of
        # the instance says nothing about its jump hosts.
        self._booted = not answer.is_of_a_hop and self._is_booted()
        return False

    def pause(self) -> None:
        """Wait for the next attempt."""
        time.sleep(BOOTED_PAUSE if self._booted else REFUSED_PAUSE)


def _wait_for_one(
    config: str, instance: Instance, deadline: Deadline, before: Optional[str], is_booted: Callable[[], bool]
) -> None:
    pace = Pace()
    refusals = _Refusals(is_booted)
    progress.begins("waits for the first answer of ssh", about=instance.name)
    while True:
        answer = _attempt(_command(config, instance), min(ONE_TRY, max(deadline.left, 1.0)))
        if answer.succeeded and answer.said != before:
            progress.ends(about=instance.name)
            return
        if answer.is_untrusted:
            # Waiting would not help.
            raise Untrusted(
                f"{answer.said}. If it was, make sure which of them is right before you change the tag haven:host-key,"
                " or the host_key of a hop."
            )
        if answer.is_no_login and (refusals.are_final(answer) or deadline.over):
            raise _no_login(instance, answer, refusals.count)
        if deadline.over:
            reason = "it has not restarted" if answer.succeeded else answer.said
            raise TimedOut(
                f"Instance {instance.name} does not answer ssh after {deadline.seconds:.0f} s ({reason}): check the "
                "hops, the firewall, the login user and the private key."
            )
        _report(instance.name, answer, refusals.count)
        if answer.is_no_login:
            refusals.pause()
        else:
            pace.sleep()


def _report(name: str, answer: _Answer, count: int) -> None:
    if answer.is_no_login:
        # Said from the first one on, because somebody who reads it can end the run.
        report = progress.begins if count == 1 else progress.known
        times = "once" if count == 1 else f"{count} times"
        report(f"first ssh: refused {times} ({answer.said}); tried for {REFUSED_FOR:.0f} s in all", about=name)
    elif answer.succeeded:
        progress.known("first ssh: it has not restarted yet", about=name)
    else:
        progress.known(f"first ssh: {answer.said}", about=name)


def _no_login(instance: Instance, answer: _Answer, count: int) -> LoginRefused:
    times = "once" if count == 1 else f"{count} times"
    if answer.is_of_a_hop:
        return LoginRefused(
            f"A jump host of {instance.name} refused the login {times} ({answer.said.removeprefix(HOP_FAILED)}): check "
            "the hop's user and key, and whether the agent has the key. If it needs another key than the instances, "
            "give that as the hop's key."
        )
    pair = f" of the key pair {instance.key_pair}" if instance.key_pair else ""
    return LoginRefused(
        f"Instance {instance.name} refused the login {times} ({answer.said}): check login_user, which is the image's, "
        f"and that private_key or the agent has the key{pair}."
    )


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
    return _Answer(False, said.rstrip("."))
