"""What the module that makes and locks accounts does to one, step by step, on a real machine."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
from testinfra.host import Host

# Both releases where time does not matter; else the one whose programs are newer.
testinfra_hosts = ["jupyter13", *([] if os.environ.get("HAVEN_SANDBOX_PREPARED") else ["jupyter12"])]
HOME = "/home/temp"


def bring(host: Host, check: bool = False, protected: list[str] | None = None, **entry: Any) -> dict[str, Any]:
    """The answer of haven.gpu.accounts about the account temp."""
    arguments = {"accounts": [{"name": "temp", **entry}], "folders": ["/srv"], "protected": protected or []}
    answer: dict[str, Any] = host.ansible("haven.gpu.accounts", json.dumps(arguments), check=check, become=True)
    assert not answer.get("failed"), answer["msg"]
    return answer


def expires(host: Host) -> str:
    return str(host.check_output("getent shadow temp").split(":")[7])


@pytest.fixture
def temp(host: Host) -> Iterator[None]:
    with host.sudo():
        bring(host, ssh_keys=[])
        yield
        host.run("userdel --force --remove temp")


def test_a_check_run_tells_what_a_run_then_does(host: Host) -> None:
    with host.sudo():
        try:
            for wanted in ({}, {"state": "absent"}, {"state": "present"}, {"state": "absent", "remove_files": True}):
                foreseen, before = bring(host, check=True, **wanted), host.run("getent passwd temp; getent shadow temp")
                done = bring(host, **wanted)
                assert (foreseen["changed"], done["changed"]) == (True, True)
                (before_it, after_it) = (dict(answer["accounts"][0], group=None) for answer in (foreseen, done))
                assert before_it == after_it
                assert host.run("getent passwd temp; getent shadow temp").stdout != before.stdout or "remove" in str(
                    wanted
                )
                assert not bring(host, **wanted)["changed"]
        finally:
            host.run("userdel --force --remove temp")


def test_files_go_only_when_that_was_asked_for_and_the_number_stays_taken(host: Host, temp: None) -> None:
    host.check_output("install -d -o temp /srv/temp")
    uid = host.user("temp").uid
    kept = bring(host, state="absent")["accounts"][0]
    assert (kept["files"], kept["locked"]) == ([HOME, "/srv/temp"], True)
    assert bring(host, state="absent", remove_files=True)["accounts"][0]["files"] == []
    assert not host.file(HOME).exists
    assert not host.file("/srv/temp").exists
    assert host.user("temp").uid == uid
    assert bring(host)["changed"]
    assert (host.file(HOME).user, host.file(HOME).mode) == ("temp", 0o700)


def test_a_file_system_in_a_home_is_kept(host: Host, temp: None) -> None:
    host.check_output(f"install -d -o temp {HOME}/data && mount -t tmpfs none {HOME}/data && touch {HOME}/data/thesis")
    try:
        answer = bring(host, state="absent", remove_files=True)
        assert HOME in str(answer["accounts"][0]["warnings"])
        assert host.file(f"{HOME}/data/thesis").exists
        assert expires(host) == "1"
    finally:
        host.check_output(f"umount {HOME}/data")


def test_an_account_of_that_name_that_somebody_made_anew_is_not_ours(host: Host, temp: None) -> None:
    uid = host.user("temp").uid
    host.check_output(f"userdel --force --remove temp && useradd --create-home --uid {uid} temp")
    account = bring(host, state="absent", remove_files=True)["accounts"][0]
    assert "before" in account["left"]
    assert expires(host) == ""
    assert host.file(HOME).exists


def test_whom_ansible_connects_as_is_left(host: Host, temp: None) -> None:
    assert "connects" in bring(host, protected=["temp"], state="absent")["accounts"][0]["left"]
    assert expires(host) == ""


def test_what_somebody_else_set_is_given_back(host: Host, temp: None) -> None:
    host.check_output("usermod --expiredate 2100-01-01 --password '$6$x$y' temp")
    bring(host, state="absent")
    assert host.check_output("getent shadow temp").split(":")[1].startswith("!")
    bring(host)
    assert host.check_output("getent shadow temp").split(":")[1] == "$6$x$y"
    assert expires(host) == "47482"
    host.check_output("usermod --expiredate 2001-01-01 temp")
    assert "chage" in str(bring(host)["accounts"][0]["warnings"])


def test_a_key_that_is_taken_off_the_list_is_taken_off_the_account(host: Host, temp: None) -> None:
    key = host.check_output("cat /home/alice/.ssh/authorized_keys").splitlines()[1]
    bring(host, ssh_keys=[key])
    assert key in host.file(f"{HOME}/.ssh/authorized_keys").content_string
    assert (host.file(f"{HOME}/.ssh").mode, host.file(f"{HOME}/.ssh/authorized_keys").mode) == (0o700, 0o600)
    assert host.file(f"{HOME}/.ssh/authorized_keys").user == "temp"
    bring(host, ssh_keys=[])
    assert key not in host.file(f"{HOME}/.ssh/authorized_keys").content_string
    # Somebody who leaves may have put a key into another account meanwhile.
    bring(host, ssh_keys=[key])
    assert "alice" in str(bring(host, state="absent")["accounts"][0]["warnings"])
