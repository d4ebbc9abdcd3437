# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of both sides: the same wish as tasks of haven.gpu and of amazon.aws."""

from __future__ import annotations

from pathlib import Path
from typing import Any

Tasks = list[dict[str, Any]]

IMAGE_NAME = "haven-debian-12-2026*"
IMAGE_ID = "ami-0debf12a20260101a"
TYPE = "t3.micro"
OURS = {"cloud": "ec2", "project": "bench"}
TWENTY = [f"node-{number:02}" for number in range(20)]


def our_instance(names: list[str], **options: Any) -> dict[str, Any]:
    wish = {**OURS, "name": names, "image": {"name": IMAGE_NAME}, "instance_type": TYPE, **options}
    return {"haven.gpu.instance": wish, "register": "made"}


def peer_instance(name: str, **options: Any) -> dict[str, Any]:
    wish = {"name": name, "image_id": IMAGE_ID, "instance_type": TYPE, "tags": {"haven:project": "bench"}, **options}
    return {"amazon.aws.ec2_instance": wish, "register": "made"}


def our_one() -> Tasks:
    return [our_instance(["one"])]


def peer_one() -> Tasks:
    return [peer_instance("one", state="running", wait=True)]


def our_twenty() -> Tasks:
    return [our_instance(TWENTY)]


def peer_twenty() -> Tasks:
    return [{**peer_instance("{{ item }}", state="running", wait=True), "loop": TWENTY}]


def peer_twenty_counted() -> Tasks:
    return [peer_instance("node", exact_count=20, wait=True)]


def our_stack(key: Path) -> Tasks:
    rules = [{"ports": "22", "from": ["10.0.0.1/32"]}]
    return [
        {"haven.gpu.keypair": {**OURS, "name": "key", "public_key": key.read_text()}},
        {"haven.gpu.firewall": {**OURS, "name": "gate", "rules": rules}, "register": "firewall"},
        our_instance(["one"], key_pair="key", firewalls=["{{ firewall.firewall.id }}"]),
        _add_host("made.instances[0].private_address"),
    ]


def peer_stack(key: Path) -> Tasks:
    rules = [{"proto": "tcp", "from_port": 22, "to_port": 22, "cidr_ip": "10.0.0.1/32"}]
    return [
        {"amazon.aws.ec2_ami_info": {"owners": ["self"], "filters": {"name": IMAGE_NAME}}, "register": "found"},
        {"amazon.aws.ec2_key": {"name": "key", "key_material": key.read_text()}},
        {"amazon.aws.ec2_security_group": {"name": "gate", "description": "gate", "rules": rules}, "register": "group"},
        peer_instance(
            "one",
            image_id="{{ found.images[-1].image_id }}",
            key_name="key",
            security_groups=["{{ group.group_id }}"],
            state="running",
            wait=True,
        ),
        _add_host("made.instances[0].private_ip_address"),
    ]


def _add_host(address: str) -> dict[str, Any]:
    return {"ansible.builtin.add_host": {"name": f"{{{{ {address} }}}}"}, "changed_when": False}
