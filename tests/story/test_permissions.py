"""The documented permissions are enough for the whole story on each cloud, and none of them is too many."""

from __future__ import annotations

import pathlib
import secrets

import pytest

from .conftest import changes, machines, make_story, prepared
from .finished import assert_finished
from .permissions import USERS


@pytest.mark.parametrize(("cloud", "release"), [("ec2", "12"), ("openstack", "13")])
def test_the_story_takes_exactly_the_documented_permissions(cloud: str, release: str, folder: pathlib.Path) -> None:
    own = folder / cloud[0]  # short: ssh puts a socket below it
    own.mkdir()
    name = f"least-{secrets.token_hex(3)}"
    user = USERS[cloud](name, own)
    assert user.refused(), "the sandbox lets this user do more, so the story would prove nothing"
    # Notebooks alone, without the environments: those ask nothing of the cloud.
    variables = {"haven_environments": [], "haven_instances": [prepared(cloud, release)]}
    story = make_story(own, name, variables, cloud=cloud, identity=user.environment)
    try:
        story.run("site", "--check")
        story.run("site")
        assert set(changes(story.run("site")).values()) == {0}
        assert machines(story.run("status")) == [("jupyter-demo", "running")]
        story.run("stop")
        story.run("start")
        story.run("verify")
        assert_finished(story)
    finally:
        story.run("destroy", "-e", f"haven_destroy={story.project}")
    assert user.used() == user.allowed()
