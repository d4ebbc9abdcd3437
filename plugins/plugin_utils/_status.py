# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of a project as a table for a terminal. Pure.

The text comes from a cloud: a name may contain characters that move the cursor, change the direction of writing, or
break the line. Anything but a plain visible character is written as its escape. So is a space: Ansible may wrap its
output at single spaces.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Optional

COLUMNS = ("MACHINE", "STATE", "REGION", "GPU", "ADDRESS", "HOPS", "SERVICES", "TUNNEL", "SINCE", "HOURLY", "SPENT")
NOTHING = "-"
_WIDEST = 48
_HOUR_S = 3600.0


def status_table(  # noqa: PLR0913 -- all that a row is made of
    instances: Iterable[Mapping[str, Any]],
    hosts: Iterable[Mapping[str, Any]],
    hops: Sequence[Mapping[str, Any]],
    prices: Mapping[str, Any],
    *,
    now: datetime,
    tunnels: Iterable[Mapping[str, Any]] = (),
) -> list[str]:
    """Return the lines of the table. instances: as instance_info returns them; hosts: variables of inventory hosts.

    prices: the price per hour of each instance type, in the user's currency. now: with a time zone. tunnels: as
    tunnel_info returns them.
    """
    open_tunnels = {str(tunnel["name"]): tunnel for tunnel in tunnels}
    known = {str(host.get("haven_id")): host for host in hosts}
    instances = list(instances)
    names = Counter(str(instance["name"]) for instance in instances)
    rows: list[Sequence[object]] = [COLUMNS]
    for instance in instances:
        host = known.get(str(instance["id"]), {})
        running = instance["state"] == "running"
        rows.append(
            (
                _named(instance, alone=names[str(instance["name"])] == 1),
                instance["state"],
                instance.get("region"),
                _gpu(instance.get("gpu")),
                host.get("haven_address") or instance["private_address"] or instance["public_address"],
                ">".join(_hop(hop) for hop in host.get("haven_hops", hops)),
                _services(host.get("__haven_units")) if running else "",
                _tunnel(open_tunnels.get(str(instance["name"]))),
                instance["launched_at"] if running else "",
                *_costs(prices.get(instance["instance_type"]) if running else None, instance["launched_at"], now),
            )
        )
    return table(rows)


def _named(thing: Mapping[str, Any], *, alone: bool) -> str:
    """The name, followed by the id if several have the same name."""
    if not thing["name"]:
        return str(thing["id"])
    return str(thing["name"]) if alone else f"{thing['name']}({thing['id']})"


def resource_lines(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return a line for each resource that instance_info returned: kind, name, id, state, and whether it is used."""
    lines = []
    for each in resources:
        known = [plain(each["state"])] if each.get("state") else []
        known += ["not used by anything"] if each.get("used") is False else []
        name = f"{plain(each['name'])} " if each.get("name") else ""
        lines.append(f"{plain(each['kind'])} {name}({plain(each['id'])})" + (f": {', '.join(known)}" if known else ""))
    return lines


def region_lines(elsewhere: Mapping[str, Any], where: str) -> list[str]:
    """Return lines about the regions that were asked. elsewhere: as instance_info returns it. where: what the user
    changes to work in another region."""
    own, others = elsewhere["regions"][0], len(elsewhere["regions"]) - 1
    more = f" and {others} other region{'s' if others > 1 else ''}" if others else ""
    lines = [f"Looked for the project in {plain(own) or 'the default region'}{more}."]
    found: dict[str, list[Mapping[str, Any]]] = {}
    for each in elsewhere["resources"]:
        found.setdefault(str(each["region"]), []).append(each)
    for region, resources in found.items():
        told = "; ".join(resource_lines(resources))
        lines.append(f"In {plain(region)}: {told}. To work on it, change {where}.")
    # Often all others are denied for the same reason.
    reasons: dict[str, list[str]] = {}
    for region, why in elsewhere["not_asked"].items():
        reasons.setdefault(str(why), []).append(plain(region) or "Other regions")
    lines += [f"{', '.join(regions)} could not be asked: {why}" for why, regions in reasons.items()]
    return lines


def _hop(hop: Mapping[str, Any]) -> str:
    """How the user named a jump host."""
    tags = ",".join(f"{key}={value}" for key, value in (hop.get("tag") or {}).items())
    return str(hop.get("host") or hop.get("instance") or tags)


def table(rows: Iterable[Sequence[object]]) -> list[str]:
    """Return rows of equal length as lines with aligned columns. An empty cell is a dash."""
    cells = [[plain(cell) or NOTHING for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def plain(value: object) -> str:
    """Return the value as short text in which every character is one column wide, from left to right."""
    text = "" if value is None else str(value)
    shown = "".join(each if _is_plain(each) else _escape(each) for each in text[:_WIDEST])
    return shown if len(shown) <= _WIDEST and len(text) <= _WIDEST else f"{shown[: _WIDEST - 3]}..."


def _escape(character: str) -> str:
    return r"\x20" if character == " " else character.encode("unicode_escape").decode()


def _is_plain(character: str) -> bool:
    if character.isascii():
        return character.isprintable() and character != " "
    return (
        character.isalnum()
        and unicodedata.bidirectional(character) in {"L", "EN"}
        and unicodedata.east_asian_width(character) not in {"W", "F"}
    )


def _gpu(gpu: Optional[Mapping[str, Any]]) -> str:
    """As 2xA100; with ? if the cloud does not say how many there are."""
    return f"{gpu['count'] or '?'}x{str(gpu['model']).replace(' ', '-')}" if gpu else ""


def _services(listed: Optional[Mapping[str, Any]]) -> str:
    """The running services, from lines of `systemctl list-units --plain` such as 'haven-jupyter@alice.service ...'."""
    lines = (listed or {}).get("stdout_lines") or []
    found = [line.split()[0] for line in lines if line.split()]
    names = {unit.partition("@")[0].replace("haven-", "", 1) for unit in found if unit.startswith("haven-")}
    return ",".join(sorted(names))


def _tunnel(tunnel: Optional[Mapping[str, Any]]) -> str:
    """The local ports of an open tunnel, marked as lost while it is not connected."""
    if not tunnel:
        return ""
    ports = ",".join(str(forward["local_port"]) for forward in tunnel["forwards"])
    return f"localhost:{ports}" if tunnel["connected"] else f"lost:{ports}"


def what_runs(instances: Iterable[Mapping[str, Any]], prices: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each instance: that it exists, its state, and what it costs if the price is known.

    instances: as instance_info returns them, or entries of haven_instances with the state "planned", which do not
    exist yet. A spot instance has no known price.
    """
    sentences = []
    for each in instances:
        price = None if each.get("spot") else prices.get(str(each.get("instance_type")))
        cost = "costs money (its price is not known; set haven_prices)" if price is None else f"costs {price} an hour"
        if each["state"] == "planned":
            sentences.append(f"{_names(each)} would be created ({each['instance_type']}), which {cost}.")
            continue
        if each["state"] not in ("running", "pending"):
            cost = "its disks may cost money"
        label = f"{plain(each['name'])} ({plain(each['id'])})" if each["name"] else plain(each["id"])
        sentences.append(f"{label} exists, is {each['state']} and {cost}.")
    return sentences


def _names(wanted: Mapping[str, Any]) -> str:
    """The name or names of an entry of haven_instances."""
    return ", ".join(map(plain, wanted["name"] if isinstance(wanted["name"], list) else [wanted["name"]]))


def _costs(price: Any, since: Optional[str], now: datetime) -> tuple[str, str]:
    """The price per hour, and the cost since the start."""
    if price is None:
        return "", ""
    hourly = float(price)
    try:
        hours = (now - datetime.fromisoformat((since or "").replace("Z", "+00:00"))).total_seconds() / _HOUR_S
    except (TypeError, ValueError):  # the cloud gave no start time, or another format
        return f"{hourly:.2f}", ""
    return f"{hourly:.2f}", f"{hourly * max(hours, 0):.2f}"
