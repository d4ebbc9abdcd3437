"""What README says, typed as it stands on a computer that is as laptops are, with the permissions that it names."""

from __future__ import annotations

import pathlib

import pytest

from tests import documented
from tests.controller.hostile import hostile

from .conftest import changes
from .finished import assert_finished
from .permissions import following
from .reader import Reader

# Both install what the examples name on a machine each.
pytestmark = pytest.mark.long


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
