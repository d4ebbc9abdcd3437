# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take a sandbox up and down."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from . import gate, images, plan, prepared_image, probe
from .errors import SandboxError
from .keeper import Running, clear
from .openstack import environment, template
from .paths import Paths, image_cache, openstack_cache, repository
from .processes import run

_UP_WITHIN_S = 600.0
# The keeper removes what the guests wrote, which may be gigabytes in many files.
_DOWN_WITHIN_S = 120.0


def up(
    paths: Paths,
    clouds: tuple[str, ...],
    say: Callable[[str], None],
    *,
    prepared: bool = False,
    profiles: Sequence[str] = (),
) -> bool:
    """Bring the sandbox up; False when it was up already. Nothing is left behind when this is interrupted.

    prepared: with the images that have the services' software. profiles: images beyond the plain ones, which a sandbox
    that is up already gets, too. SandboxError when it is up without one of the clouds.
    """
    wanted = [*profiles, *(prepared_image.IMAGES.values() if prepared else ())]
    if _is_up(paths, clouds):
        images.build_missing(image_cache(), wanted, say)
        return False
    probe.require(paths.dir, clouds)
    paths.prepare()
    with _alone(paths):
        if _is_up(paths, clouds):
            return False
        clear(paths)
        paths.prepare()
        images.build_missing(image_cache(), wanted, say)
        if "openstack" in clouds:
            environment.install_missing(openstack_cache(), say)
            template.prepare_missing(openstack_cache(), say)
        if not images.top_layer(image_cache(), gate.IMAGE).is_dir():
            say("The role jump_host has changed, or is new here: applying it takes half a minute more")
        missing = [name for name in prepared_image.IMAGES if not images.top_layer(image_cache(), name).is_dir()]
        if prepared and missing:
            say("Roles of the services have changed, or are new here: making prepared images takes two minutes more")
        say("Starting the sandbox")
        plan.make(paths.dir, clouds, prepared=prepared).write(paths.plan)
        _make_key(paths, paths.key, "researcher")
        _make_key(paths, paths.gate_host_key, "gate")
        _launch(paths)
    return True


def down(paths: Paths) -> bool:
    """End the sandbox and remove its files; False when none was up."""
    if not paths.dir.is_dir():
        return False
    with _alone(paths):
        running = Running.read(paths.process)
        if running is not None:
            _end(running)
        clear(paths)
    return running is not None


def _is_up(paths: Paths, clouds: tuple[str, ...]) -> bool:
    if not paths.env.exists() or Running.read(paths.process) is None:
        return False
    has = plan.Plan.read(paths.plan).clouds
    if missing := set(clouds).difference(has):
        without = " and ".join(sorted(missing))
        raise SandboxError(f"The sandbox is up without {without}: take it down first, with `make sandbox-down`.")
    return True


@contextmanager
def _alone(paths: Paths) -> Iterator[None]:
    with paths.lock.open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make_key(paths: Paths, key: os.PathLike[str], comment: str) -> None:
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", key)


def _launch(paths: Paths) -> None:
    read_end, write_end = os.pipe()
    with socket.create_server(("127.0.0.1", 0), backlog=128) as gate, paths.log.open("ab") as log:
        command = [sys.executable, "-m", "tests.sandbox.keeper", "--dir", str(paths.dir), "--cache", str(image_cache())]
        command += ["--gate-listener", str(gate.fileno()), "--ready", str(write_end)]
        keeper = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[gate.fileno(), write_end],
            start_new_session=True,
            cwd=repository(),
        )
    os.close(write_end)
    try:
        answer = _await_answer(read_end)
    except BaseException:  # an interrupt too must leave nothing behind
        keeper.send_signal(signal.SIGTERM)
        keeper.wait()
        raise
    if "ready" not in answer:
        keeper.wait()
        raise SandboxError(answer.get("error") or f"The supervisor ended without a word: see {paths.log}.")


def _await_answer(pipe: int) -> dict[str, str]:
    with os.fdopen(pipe, encoding="utf-8") as stream:
        if not select.select([stream], [], [], _UP_WITHIN_S)[0]:
            raise SandboxError(f"The sandbox did not come up within {_UP_WITHIN_S:.0f} s: see its supervisor.log.")
        line = stream.readline()
    answer: dict[str, str] = json.loads(line) if line else {}
    return answer


def _end(running: Running) -> None:
    # Nothing inside needs a farewell: guests are thrown away with it.
    for process, number in ((running.supervisor, signal.SIGKILL), (running.keeper, signal.SIGTERM)):
        process.kill(number)
        deadline = time.monotonic() + _DOWN_WITHIN_S
        while process.alive():
            if time.monotonic() > deadline:
                raise SandboxError(f"Process {process.pid} of the sandbox does not end: look at it with ps.")
            time.sleep(0.02)
