# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: up, down, status, console, shell, laptop, stranger."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from . import internet, lifecycle
from .client import MachinesClient
from .errors import SandboxError, UnsuitableMachineError
from .keeper import Running
from .paths import Paths, read_env, sandbox_dir

_PLACES = ("first", "second")
_CLOUDS = {"ec2": ("ec2",), "openstack": ("openstack",), "all": ("ec2", "openstack")}


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status: 0 done, 1 failed, 2 this machine is unsuitable, 3 (status) not up."""
    options = _parser().parse_args(arguments)
    # Not everybody's root has them on its path, and all this starts needs programs from there.
    os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    paths = Paths(sandbox_dir(options.dir))
    try:
        status: int = options.function(paths, options)
    except UnsuitableMachineError as error:
        print(error, file=sys.stderr)
        return 2
    except SandboxError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted: nothing is left running.", file=sys.stderr)
        return 130
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.sandbox", description="A data centre in a box.")
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--dir", help="the sandbox's folder (default: HAVEN_SANDBOX_DIR, else build/sandbox)")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    up = verbs.add_parser("up", parents=[shared], help="start it; does nothing when it is up")
    up.add_argument("--cloud", choices=_CLOUDS, default="ec2", help="which cloud's API it has")
    up.add_argument("--prepared", action="store_true", help="with images that have the services' software, for tests")
    help = "build this image, too, if it is not there: ubuntu-like, for instance; may be repeated"
    up.add_argument("--image", action="append", default=[], metavar="NAME", help=help)
    up.set_defaults(function=_up)
    verbs.add_parser("down", parents=[shared], help="end it and remove all it left").set_defaults(function=_down)
    verbs.add_parser("status", parents=[shared], help="say whether it is up, and which guests it has").set_defaults(
        function=_status
    )
    console = verbs.add_parser("console", parents=[shared], help="print what a guest wrote to its console")
    console.add_argument("name", help="a guest's name, id, host name or address")
    console.set_defaults(function=_console)
    shell = verbs.add_parser("shell", parents=[shared], help="open a root shell in a guest, past its sshd")
    shell.add_argument("name", help="a guest's name, id, host name or address")
    shell.add_argument("command", nargs=argparse.REMAINDER, help="a command to run instead of a shell")
    shell.set_defaults(function=_shell)
    laptop = verbs.add_parser("laptop", parents=[shared], help="run a command, or a shell, on the researcher's laptop")
    laptop.add_argument("--address", choices=_PLACES, help="first change the address of the laptop to this one")
    stranger = verbs.add_parser("stranger", parents=[shared], help="run a command, or a shell, on a stranger's laptop")
    for who in (laptop, stranger):
        who.add_argument("command", nargs=argparse.REMAINDER, help="the command, after --")
    laptop.set_defaults(function=_outside, who=internet.LAPTOP)
    stranger.set_defaults(function=_outside, who=internet.STRANGER, address=None)
    return parser


def _up(paths: Paths, options: argparse.Namespace) -> int:
    started = time.monotonic()
    if lifecycle.up(paths, _CLOUDS[options.cloud], print, prepared=options.prepared, profiles=options.image):
        print(f"The sandbox is up after {time.monotonic() - started:.1f} s. Next: . {_shown(paths.env)}")
    else:
        print(f"The sandbox is already up. Next: . {_shown(paths.env)}")
    return 0


def _down(paths: Paths, options: argparse.Namespace) -> int:
    print("The sandbox is down." if lifecycle.down(paths) else "No sandbox was up.")
    return 0


def _status(paths: Paths, options: argparse.Namespace) -> int:
    running = Running.read(paths.process)
    if running is None or not paths.env.exists():
        print("The sandbox is not up.")
        return 3
    print(f"The sandbox is up in {_shown(paths.dir)}, supervisor {running.supervisor.pid}.")
    for guest in _guests(paths):
        print("{id:20} {name:20} {address:15} {public_address:15} {state}".format(**guest))
    return 0


def _console(paths: Paths, options: argparse.Namespace) -> int:
    guest = _find(paths, options.name)
    sys.stdout.write(MachinesClient(paths.socket).console(guest["id"]))
    return 0


def _shell(paths: Paths, options: argparse.Namespace) -> int:
    running = Running.read(paths.process)
    guest = _find(paths, options.name)
    if running is None or not guest["leader"]:
        raise SandboxError(f"{options.name} is not powered on: see 'status'.")
    sandbox = ["nsenter", f"--target={running.supervisor.pid}", "--mount", "--pid", "--"]
    inside = ["nsenter", f"--target={guest['leader']}", "--all", "--root", "--wd", "--"]
    command = [*sandbox, *inside, *(options.command or ["/bin/bash", "-l"])]
    os.execvpe(  # noqa: S606 - a list of arguments, as everywhere
        command[0], command, {"PATH": os.environ["PATH"], "TERM": os.environ.get("TERM", "dumb"), "HOME": "/root"}
    )


def _outside(paths: Paths, options: argparse.Namespace) -> int:
    outside = internet.Outside(paths)
    if options.address:
        outside.move(_PLACES.index(options.address))
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    command = outside.command(options.who, words or [os.environ.get("SHELL", "/bin/bash")])
    os.execvpe(command[0], command, outside.environment(os.environ))  # noqa: S606 - a list of arguments, as everywhere


def _guests(paths: Paths) -> list[dict[str, str]]:
    """The guests, each with the name it has in the cloud ('' for none)."""
    from .names import instance_names  # its SDK takes longer to load than all else here

    guests: list[dict[str, str]] = MachinesClient(paths.socket).call("list")
    names = instance_names(read_env(paths.env)) if len(guests) > 1 else {}
    return [{**guest, "name": names.get(guest["id"], "")} for guest in guests]


def _find(paths: Paths, name: str) -> dict[str, str]:
    if not paths.env.exists():
        raise SandboxError("The sandbox is not up.")
    for guest in _guests(paths):
        if name in {guest[key] for key in ("name", "id", "hostname", "address", "public_address")}:
            return guest
    raise SandboxError(f"There is no guest {name}: see 'status'.")


def _shown(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
