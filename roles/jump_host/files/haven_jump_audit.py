#!/usr/bin/python3
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who went where: one line for each login at this jump host and each connection through it, from the journal.

Needs root. The arguments are journalctl's, such as `--since today` or `--follow`. Standard library only, Python 3.9.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

# What sshd writes at LogLevel VERBOSE, and for LogVerbose of server_request_direct_tcpip.
_ACCEPTED = re.compile(r"Accepted publickey for (\S+) from (\S+) port (\d+) ssh2: (\S+ \S+)")
_CHILD = re.compile(r"User child is on pid (\d+)$")
_FORWARD = re.compile(r"(?s)originator \S+ port \d+, target (.+) port (\d+)$")
_FAILED = re.compile(r"(?:error: )?connect_to (.+) port (\d+): failed")


def lines(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """The report, from the journal's entries in order (`journalctl -o json`)."""
    logins: dict[str, str] = {}
    for entry in entries:
        message, process = entry.get("MESSAGE"), str(entry.get("_PID", ""))
        if not isinstance(message, str):  # journald gives bytes that are no text as a list of numbers
            continue
        who = logins.get(process, "member=? from=?")
        accepted, child = _ACCEPTED.match(message), _CHILD.match(message)
        forward, failed = _FORWARD.search(message), _FAILED.match(message)
        if accepted:
            name, address, port, key = accepted.groups()
            logins[process] = f"member={name} from={address}:{port}"
            yield f"{_time(entry)} {logins[process]} login key={key.replace(' ', ':')}"
        elif child:  # sshd's part without privileges writes under a number of its own
            logins[child[1]] = who
        elif forward:
            yield f"{_time(entry)} {who} to={_place(forward)}"
        elif failed:
            yield f"{_time(entry)} {who} refused={_place(failed)}"


def _place(found: re.Match[str]) -> str:
    # The name is the member's own words: one word of ASCII in a line of ours.
    return f"{ascii(found[1])[1:-1].replace(' ', '_')}:{found[2]}"


def _time(entry: Mapping[str, Any]) -> str:
    seconds = int(entry["__REALTIME_TIMESTAMP"]) / 1e6
    return datetime.fromtimestamp(seconds, timezone.utc).isoformat(timespec="seconds")


def main() -> int:
    """Entry point."""
    command = ["journalctl", "-o", "json", "-t", "sshd", "-t", "sshd-session", *sys.argv[1:]]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as journal:
        for line in lines(map(json.loads, journal.stdout or ())):
            print(line, flush=True)
    return journal.returncode


if __name__ == "__main__":
    sys.exit(main())
