"""The documented permissions are enough for the whole story, and none of them is too many; test_kill.py asks EC2."""

from __future__ import annotations

import pathlib

from .finished import assert_whole_story
from .permissions import with_documented_permissions


def test_the_story_takes_exactly_the_documented_permissions_on_openstack(folder: pathlib.Path) -> None:
    with with_documented_permissions("openstack", folder) as story:
        story.run("site", "--check")
        assert_whole_story(story)
