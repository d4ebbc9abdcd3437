# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security rules as text; that they hold on the wire is tests/integration/test_sandbox_network.py's business."""

from __future__ import annotations

import pytest

from tests.sandbox.firewall import ALLOW_ALL_OUT, Leg, render
from tests.sandbox.machines import Rule

PROXY = "10.0.0.2"


def chain(text: str, name: str) -> list[str]:
    """The lines of one chain."""
    body = text.split(f"  chain {name} {{\n", 1)[1].split("  }\n", 1)[0]
    return [line.strip() for line in body.splitlines()]


def leg(*rules: Rule, link: str = "ga", address: str = "10.0.0.9", public: str = "") -> Leg:
    return Leg(link, address, public, rules)


def test_a_leg_without_rules_lets_nothing_through() -> None:
    text = render([leg()], PROXY)
    assert chain(text, "in_ga") == ["drop"]
    assert chain(text, "out_ga") == ["drop"]


def test_a_rule_stands_in_the_chain_of_its_direction_before_the_drop() -> None:
    text = render([leg(Rule("in", "tcp", 8000, 8010, ("10.1.0.0/16",)), ALLOW_ALL_OUT)], PROXY)
    assert chain(text, "in_ga") == ["tcp dport 8000-8010 ip saddr { 10.1.0.0/16 } return", "drop"]
    assert chain(text, "out_ga") == ["ip daddr { 0.0.0.0/0 } return", "drop"]


def test_a_rule_for_nobody_matches_nothing() -> None:
    assert chain(render([leg(Rule("in", "all", 0, 0, ()))], PROXY), "in_ga") == ["drop"]


def test_overlapping_ranges_are_merged() -> None:
    rule = Rule("in", "udp", 53, 53, ("10.0.0.9/32", "10.0.0.0/24", "10.0.1.0/24"))
    assert chain(render([leg(rule)], PROXY), "in_ga")[0] == "udp dport 53-53 ip saddr { 10.0.0.0/23 } return"


def test_only_answers_to_what_was_let_through_pass_without_a_rule() -> None:
    lines = chain(render([leg()], PROXY), "forward")
    assert "policy drop" in lines[0]
    assert lines[1:] == [
        "ct state established,related accept",
        'iifname "ga" jump out_ga',
        'oifname "ga" jump in_ga',
        'iifname "internet" ct status dnat accept',
        'iifname "ga" oifname "internet" drop',
        'iifname "ga" accept',
    ]


def test_a_machine_with_a_public_address_reaches_the_outside_from_it() -> None:
    text = render([leg(public="198.51.100.4")], PROXY)
    assert 'iifname "ga" oifname "internet" drop' not in chain(text, "forward")
    assert chain(text, "public_out")[1:] == ['oifname "internet" ip saddr 10.0.0.9 snat to 198.51.100.4']


def test_nobody_outside_reaches_the_router_itself() -> None:
    assert 'iifname "internet" drop' in chain(render([leg()], PROXY), "input")[:4]


def test_the_router_itself_offers_the_proxy_and_the_metadata_address_only() -> None:
    lines = chain(render([leg()], PROXY), "input")
    accepted = [line for line in lines if line.endswith("accept") and "established" not in line and '"lo"' not in line]
    assert accepted == ["ip daddr 169.254.169.254 tcp dport 80 accept", "ip daddr 10.0.0.2 tcp dport 3128-3133 accept"]
    assert "policy drop" in lines[0]


def test_a_source_address_that_is_not_the_guests_own_is_dropped() -> None:
    assert 'iifname "ga" ip saddr != 10.0.0.9 drop' in chain(render([leg()], PROXY), "source")


def test_a_public_address_leads_to_its_machine_and_to_no_other() -> None:
    legs = [leg(public="198.51.100.4"), leg(link="gb", address="10.0.0.10")]
    assert chain(render(legs, PROXY), "public_in")[1:] == ["ip daddr 198.51.100.4 dnat to 10.0.0.9"]


def test_a_new_rule_set_replaces_the_one_before_in_one_transaction() -> None:
    assert render([], PROXY).splitlines()[:3] == ["table ip haven", "delete table ip haven", "table ip haven {"]


@pytest.mark.parametrize(
    "data",
    [
        {"direction": "in", "protocol": "tcp", "from_port": 22, "to_port": 22},
        {"direction": "up", "protocol": "tcp", "from_port": 22, "to_port": 22, "cidrs": []},
        {"direction": "in", "protocol": "sctp", "from_port": 22, "to_port": 22, "cidrs": []},
        {"direction": "in", "protocol": "tcp", "from_port": 23, "to_port": 22, "cidrs": []},
        {"direction": "in", "protocol": "tcp", "from_port": 0, "to_port": 65536, "cidrs": []},
        {"direction": "in", "protocol": "all", "cidrs": ["10.0.0.1/32; drop"]},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"rule|Expected|Only|Unexpected|permitted|valid"):
        Rule.from_dict(data)


def test_a_rule_survives_its_json_form() -> None:
    rule = Rule("out", "tcp", 1, 65535, ("10.0.0.0/8", "192.168.0.0/16"))
    assert Rule.from_dict(rule.to_dict()) == rule


def test_ports_that_a_protocol_has_not_may_be_null() -> None:
    data = {"direction": "in", "protocol": "all", "from_port": None, "to_port": None, "cidrs": ["10.0.0.1/8"]}
    assert Rule.from_dict(data) == Rule("in", "all", 0, 0, ("10.0.0.0/8",))


def test_the_apis_are_for_the_jump_host_only() -> None:
    lines = chain(render([leg()], PROXY, ("10.0.0.1", "10.0.0.3")), "input")
    assert [line for line in lines if "10.0.0.1" in line] == [
        "ip saddr 10.0.0.3 ip daddr 10.0.0.1 meta l4proto tcp accept"
    ]
