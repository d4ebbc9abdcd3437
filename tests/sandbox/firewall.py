# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security groups as nftables rules: pure, text in and text out.

The rules live in the router's namespace, on the outer end of each guest's leg, where no guest's root can change them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, collapse_addresses

from .machines import Rule

METADATA_ADDRESS = "169.254.169.254"
# The first is the proxy as it should be: see ways_out.py.
PROXY_PORTS = (3128, 3133)
# The router's link to those outside of the clouds.
INTERNET_LINK = "internet"

ALLOW_ALL_OUT = Rule("out", "all", 0, 0, ("0.0.0.0/0",))


@dataclass(frozen=True)
class Leg:
    """One guest's link to the router: the link's outer name, the guest's addresses and its rules.

    halted: nothing passes, either way, until it no longer is.
    """

    link: str
    address: str
    public_address: str
    rules: tuple[Rule, ...]
    halted: bool = False


def render(legs: Sequence[Leg], proxy_address: str, api: tuple[str, str] | None = None) -> str:
    """The whole rule set as one `nft -f` transaction that replaces the one before.

    api: the address of the clouds' APIs, and of the only guest that may reach it.
    """
    return "\n".join(
        [
            "table ip haven",
            "delete table ip haven",
            "table ip haven {",
            *(line for leg in legs for line in _guest_chains(leg)),
            *_no_forged_sources(legs),
            *_public_addresses(legs),
            *_forward(legs),
            *_to_the_router(legs, proxy_address, api),
            "}",
            "",
        ]
    )


def _guest_chains(leg: Leg) -> list[str]:
    lines = []
    for direction in ("in", "out"):
        lines += [f"  chain {direction}_{leg.link} {{"]
        lines += [
            f"    {match} return" for rule in leg.rules if rule.direction == direction for match in _matches(rule)
        ]
        lines += ["    drop", "  }"]
    return lines


def _matches(rule: Rule) -> Iterable[str]:
    if not rule.cidrs:
        return
    # nft refuses a set whose elements overlap.
    cidrs = ", ".join(map(str, collapse_addresses(map(IPv4Network, rule.cidrs))))
    other = f"ip {'saddr' if rule.direction == 'in' else 'daddr'} {{ {cidrs} }}"
    if rule.protocol in {"tcp", "udp"}:
        yield f"{rule.protocol} dport {rule.from_port}-{rule.to_port} {other}"
    elif rule.protocol == "icmp":
        yield f"ip protocol icmp {other}"
    else:
        yield other


def _no_forged_sources(legs: Sequence[Leg]) -> list[str]:
    lines = ["  chain source {", "    type filter hook prerouting priority raw; policy accept;"]
    lines += [f'    iifname "{leg.link}" ip saddr != {leg.address} drop' for leg in legs]
    lines += [f'    iifname "{leg.link}" drop' for leg in legs if leg.halted]
    return [*lines, "  }"]


def _public_addresses(legs: Sequence[Leg]) -> list[str]:
    public = [leg for leg in legs if leg.public_address]
    lines = ["  chain public_in {", "    type nat hook prerouting priority dstnat; policy accept;"]
    lines += [f"    ip daddr {leg.public_address} dnat to {leg.address}" for leg in public]
    lines += ["  }", "  chain public_out {", "    type nat hook postrouting priority srcnat; policy accept;"]
    lines += [f'    oifname "{INTERNET_LINK}" ip saddr {leg.address} snat to {leg.public_address}' for leg in public]
    return [*lines, "  }"]


def _forward(legs: Sequence[Leg]) -> list[str]:
    lines = ["  chain forward {", "    type filter hook forward priority filter; policy drop;"]
    lines += [f'    oifname "{leg.link}" drop' for leg in legs if leg.halted]
    lines += ["    ct state established,related accept"]
    lines += [f'    iifname "{leg.link}" jump out_{leg.link}' for leg in legs]
    lines += [f'    oifname "{leg.link}" jump in_{leg.link}' for leg in legs]
    # Private addresses are known to nobody outside, and who has no public one has no way there.
    lines += [f'    iifname "{INTERNET_LINK}" ct status dnat accept']
    lines += [f'    iifname "{leg.link}" oifname "{INTERNET_LINK}" drop' for leg in legs if not leg.public_address]
    lines += [f'    iifname "{leg.link}" accept' for leg in legs]
    return [*lines, "  }"]


def _to_the_router(legs: Sequence[Leg], proxy_address: str, api: tuple[str, str] | None) -> list[str]:
    lines = ["  chain input {", "    type filter hook input priority filter; policy drop;"]
    lines += ['    iifname "lo" accept', "    ct state established,related accept"]
    lines += [f'    iifname "{INTERNET_LINK}" drop']
    # As on AWS, no security group stands between a machine and its metadata.
    lines += [f"    ip daddr {METADATA_ADDRESS} tcp dport 80 accept"]
    lines += [f'    iifname "{leg.link}" jump out_{leg.link}' for leg in legs]
    lines += [f"    ip daddr {proxy_address} tcp dport {PROXY_PORTS[0]}-{PROXY_PORTS[1]} accept"]
    if api:
        lines += [f"    ip saddr {api[1]} ip daddr {api[0]} meta l4proto tcp accept"]
    return [*lines, "  }"]
