"""The documented permissions are enough for the whole story of the shipped example, and none of them is too many.

test_kill.py asks EC2.
"""

from __future__ import annotations

import pathlib
from typing import Any

import openstack

from .conftest import Story
from .finished import assert_whole_story
from .permissions import with_documented_permissions


def test_the_story_takes_exactly_the_documented_permissions_on_openstack(folder: pathlib.Path) -> None:
    with with_documented_permissions("openstack", folder) as story:
        story.run("site", "--check")
        assert_whole_story(story)
        assert_closes_what_was_opened_by_hand(story)


def assert_closes_what_was_opened_by_hand(story: Story) -> None:
    network: Any = openstack.connect(cloud="haven").network
    (group,) = [each for each in network.security_groups() if each.name == f"{story.project}/{story.project}"]
    opened = network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", ethertype="IPv4", protocol="tcp"
    )
    story.run("provision")
    assert opened.id not in [each["id"] for each in network.get_security_group(group.id).security_group_rules]
