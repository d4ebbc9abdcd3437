"""What the module that proves a notebook says of ours, and of one that is not as it should be."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from testinfra.host import Host

MODULE = "ansible_collections.haven.gpu.plugins.modules.notebook_check"
PASSWORD = "the first password"


def check(host: Host, **options: Any) -> dict[str, Any]:
    """The answer of haven.gpu.notebook_check, run on this machine as Ansible runs it."""
    facts = host.ansible.get_variables()
    arguments = {"ssh_config": facts["haven_ssh_config"], "host": facts["ansible_host"], "user": "alice", **options}
    done = subprocess.run(
        [sys.executable, "-m", MODULE], input=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}),
        stdout=subprocess.PIPE, check=False, text=True,
    )  # fmt: skip
    return dict(json.loads(done.stdout))


def test_the_check_proves_a_notebook_that_opens_with_the_password(host: Host) -> None:
    answer = check(host, password=PASSWORD)
    assert not answer.get("failed"), answer["msg"]
    assert (answer["output"].strip(), answer["changed"]) == ("42", False)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"password": "a password of carol"}, "refused the password"),
        ({"password": PASSWORD, "expect": "43"}, "instead of '43'"),
        ({"password": PASSWORD, "user": "nobody-here", "timeout": 5}, "nobody-here"),
    ],
)
def test_the_check_says_in_a_sentence_what_is_not_as_it_should_be(
    host: Host, options: dict[str, Any], complaint: str
) -> None:
    answer = check(host, **options)
    assert answer["failed"]
    assert complaint in answer["msg"]
    assert "Traceback" not in answer["msg"]
