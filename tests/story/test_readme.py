"""What README says, typed as it stands on a computer that is as laptops are, with the permissions that it names."""

from __future__ import annotations

import os
import pathlib
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests import documented
from tests.controller import Controller
from tests.controller.hostile import hostile

from .conftest import changes
from .finished import assert_finished
from .permissions import USERS
from .reader import Reader, reader

# Both install what the examples name on a machine each.
pytestmark = pytest.mark.long


@contextmanager
def following(cloud: str, folder: pathlib.Path, controller: Controller | None = None) -> Iterator[Reader]:
    """A reader of README who may do what it says and no more; once all is destroyed, nothing of that was too much."""
    own = folder / cloud[0]  # short: ssh puts a socket below it
    own.mkdir()
    name = f"reader-{secrets.token_hex(3)}"
    story = reader(own, cloud, "13", name, controller)
    user = USERS[cloud](name, own)
    assert user.refused(), "the sandbox lets this user do more, so the story would prove nothing"
    write_access(cloud, story.home, user.environment)
    try:
        yield story
    finally:
        story.run("destroy", "-e", f"haven_destroy={story.project}")
    assert user.used() <= user.allowed()


def write_access(cloud: str, home: pathlib.Path, given: Mapping[str, str]) -> None:
    """Put the credentials where README and the examples look for them."""
    if cloud == "openstack":
        folder = home / ".config/openstack"
        folder.mkdir(parents=True)
        shutil.copy(given["OS_CLIENT_CONFIG_FILE"], folder / "clouds.yaml")
        return
    aws = home / ".aws"
    aws.mkdir(mode=0o700)
    lines = [f"{name.lower()} = {value}" for name, value in given.items()]
    (aws / "credentials").write_text("\n".join(["[default]", *lines, ""]))
    # AWS has a name that every SDK knows.
    (aws / "config").write_text(f"[default]\nendpoint_url = {os.environ['AWS_ENDPOINT_URL']}\n")


def assert_every_day(story: Reader) -> None:
    """A second run changes nothing, and what README says for every day works in its order."""
    assert set(changes(story.run("site")).values()) == {0}
    for playbook in story.type_what_is_for_every_day():
        if playbook == "destroy":
            story.run("verify")
            assert_finished(story)
    assert story.inventory_hosts() == {}


def test_the_commands_for_aws(folder: pathlib.Path) -> None:
    with following("ec2", folder) as story:
        story.follow(documented.commands("README.md", "On AWS"))
        jupyter = documented.commands("roles/jupyter/README.md", "haven.gpu.jupyter")
        story.forward_by_hand(jupyter, "http://localhost:8888/login", b"password")
        tensorboard = documented.commands("roles/tensorboard/README.md", "haven.gpu.tensorboard")
        story.forward_by_hand(tensorboard, "http://localhost:6006/", b"TensorBoard")
        assert_every_day(story)


def test_the_commands_for_openstack(folder: pathlib.Path) -> None:
    with hostile(folder) as computer, following("openstack", folder, computer) as story:
        story.follow(documented.commands("README.md", "On OpenStack"))
        # In the folder that the notebook shows first.
        story.ssh("sudo test -s /home/alice/aida-transformers-workshop-code/notebooks/workshop.ipynb")
        assert_every_day(story)
