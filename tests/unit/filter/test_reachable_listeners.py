# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What counts is who can connect from outside, not which port numbers exist."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.reachable_listeners import reachable_listeners


def listener(address: str, port: int, **fields: Any) -> dict[str, Any]:
    """As community.general.listen_ports_facts describes one."""
    known = {"address": address, "port": port, "name": "python3", "pid": 812, "user": "alice", "protocol": "tcp"}
    return {**known, **fields}


@pytest.mark.parametrize(
    "one",
    [
        listener("127.0.0.53%lo", 53, name="systemd-resolve", user="systemd+"),
        listener("127.0.0.54", 53, name="systemd-resolve", user="systemd+"),
        listener("0.0.0.0", 5355, name="systemd-resolve", user="systemd+"),
        listener("[::]", 5355, name="systemd-resolved", user="systemd-resolve"),
        listener("127.0.0.1", 36709),
        listener("::1", 36795),
        listener("[::1]", 6010, name="sshd"),
        listener("::ffff:127.0.0.1", 46123, name="snapd"),
        listener("*%lo", 9000),
        listener("0.0.0.0", 22, name="systemd", pid=1, user="root"),
        listener("::", 22, name="sshd", user="root"),
    ],
)
def test_what_only_the_machine_itself_can_reach_is_no_finding(one: dict[str, Any]) -> None:
    assert reachable_listeners([one]) == []


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (listener("0.0.0.0", 8000), "python3 (process 812 of alice) on 0.0.0.0 port 8000"),
        (listener("*", 8080, name="java"), "java (process 812 of alice) on * port 8080"),
        (listener("::", 8888), "python3 (process 812 of alice) on :: port 8888"),
        (listener("10.1.2.3", 53, name="dnsmasq"), "dnsmasq (process 812 of alice) on 10.1.2.3 port 53"),
        (listener("0.0.0.0%eth0", 68), "python3 (process 812 of alice) on 0.0.0.0%eth0 port 68"),
        (listener("fe80::1%eth0", 546), "python3 (process 812 of alice) on fe80::1%eth0 port 546"),
        # A forwarded port that GatewayPorts opened to everybody.
        (listener("0.0.0.0", 9000, name="sshd"), "sshd (process 812 of alice) on 0.0.0.0 port 9000"),
        # Anybody may call a program so; only the account is the service's own.
        (listener("::", 5355, name="systemd-resolve"), "systemd-resolve (process 812 of alice) on :: port 5355"),
        (listener("0.0.0.0", 111, name="", pid=0, user=""), "a program of unknown name on 0.0.0.0 port 111"),
        (listener("0.0.0.0", 7, name="a\x1b[2J\u202eb"), "a\\x1b[2J\\u202eb (process 812 of alice) on 0.0.0.0 port 7"),
    ],
)
def test_a_finding_names_program_process_user_and_address(one: dict[str, Any], said: str) -> None:
    assert reachable_listeners([one]) == [said]


def test_ports_that_may_be_open_are_given_and_findings_come_once_in_order() -> None:
    listeners = [listener("0.0.0.0", 9000), listener("0.0.0.0", 9000), listener("0.0.0.0", 443), listener("::", 22)]
    assert reachable_listeners(listeners, ports=[443]) == [
        "python3 (process 812 of alice) on :: port 22",
        "python3 (process 812 of alice) on 0.0.0.0 port 9000",
    ]


@pytest.mark.parametrize("wrong", [[{"port": 1}], ["22"], [{**listener("::", 1), "port": "many"}]])
def test_what_is_no_such_fact_is_refused_with_its_name(wrong: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="tcp_listen"):
        reachable_listeners(wrong)
