# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sign-in page, a proxy's page or another service: an error of its own in one sentence, never "nothing there"."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import Account
from .test_access_and_info import public_key
from .test_errors import assert_plain

PAGES = {
    "HTML": "<!DOCTYPE html><html><head><meta charset=utf-8></head><body>Sign in<br></body></html>",
    "XHTML": '<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><body><p>Sign in</p></body></html>',
    "JSON": '{"message": "no Route matched with those values"}',
    "empty": "",
    "long": f"<html>{'x' * 4_000_000}</html>",
}


def serve(account: Account, page: str, status: int) -> None:
    """Answer everything with a page, but for what gives out tokens."""
    if account.api.cloud == "ec2":
        account.api.control("fault", action="*", page=page, status=status, times=-1)
        return
    for service in ("nova", "neutron", "glance", "cinder"):
        account.api.control("fault", service=service, page=page, status=status, times=-1, agent="^openstacksdk")


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_page_is_never_taken_for_nothing_there(account: Account, page: str, status: int) -> None:
    serve(account, PAGES[page], status)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("instance_info", {"resources": True}),
        ("project", {"state": "absent"}),
        ("instance", {"name": ["one"], **account.api.basics}),
    ]
    if page == "XHTML":
        asked += [
            ("instance", {"name": ["one"], "state": "absent"}),
            ("keypair", {"name": "k", "public_key": public_key()}),
            ("firewall", {"name": "f", "state": "absent"}),
        ]
    for module, options in asked:
        answer = account.run(module, **options)
        assert_plain(answer, "unexpected_answer", "sign-in page")
        assert answer.seconds < 20
        # A body of megabytes is shown to nobody.
        assert len(answer.stderr) < 2000


def test_what_is_removed_is_believed_gone_only_when_the_api_says_so(account: Account) -> None:
    """The page comes in the middle: what was there is still there, and that is told."""
    account.make()
    page = PAGES["XHTML"]
    if account.api.cloud == "ec2":
        account.api.control("fault", action="TerminateInstances", page=page, status=200)
    else:
        account.api.control("fault", service="nova", method="DELETE", page=page, agent="^openstacksdk")
    answer = account.run("project", state="absent")
    assert_plain(answer, "unexpected_answer")
    assert account.living() == ["one"]


@pytest.mark.only("openstack")
def test_a_page_instead_of_a_token_is_told(account: Account) -> None:
    account.api.control("fault", service="keystone", page=PAGES["HTML"], times=-1, agent="^openstacksdk")
    assert_plain(account.run("instance_info"), "unexpected_answer", "identity")


@pytest.mark.only("ec2")
def test_a_page_instead_of_a_parameter_is_told(account: Account) -> None:
    account.api.control("fault", action="GetParameter", page=PAGES["HTML"], status=200)
    answer = account.make(image={"parameter": "/aws/service/debian/release/12/latest/amd64"})
    assert_plain(answer, "unexpected_answer", "SSM")
