# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy of this computer that is in the way of an API, as both SDKs tell it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils import _retry
from ansible_collections.haven.gpu.plugins.module_utils._clouds.ec2.client import Connection as Ec2
from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack.client import Connection as OpenStack
from ansible_collections.haven.gpu.plugins.module_utils._errors import HavenError, Obstructed, Unreachable
from ansible_collections.haven.gpu.plugins.module_utils._own_proxy import obstructed

LOGIN = "haven:p%4055"


class Proxy:
    """It answers each CONNECT with the same status."""

    def __init__(self) -> None:
        self.status = 407
        self.asked = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:  # the test is over
                return
            with link:
                self.asked += 1
                link.recv(4096)
                link.sendall(f"HTTP/1.1 {self.status} No\r\nContent-Length: 0\r\n\r\n".encode())


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    made = Proxy()
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://{LOGIN}@{made.address}")
    for name in ("no_proxy", "NO_PROXY", "AWS_ENDPOINT_URL", "AWS_PROFILE", "OS_CLOUD", "OS_CLIENT_CONFIG_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_retry.time, "sleep", lambda seconds: None)
    yield made
    made.listener.close()


def ask_ec2() -> Any:
    options = {"region": "eu-north-1", "access_key": "AKIAEXAMPLE", "secret_key": "example"}
    return Ec2(options).call("DescribeRegions")


def ask_openstack() -> Any:
    login = {"auth_url": "https://cloud.example.org/v3", "username": "u", "password": "p", "project_name": "p"}
    domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
    return OpenStack({"auth": {**login, **domains}}).get("compute", "/servers")


@pytest.mark.parametrize("ask", [ask_ec2, ask_openstack])
@pytest.mark.parametrize(
    ("status", "said"),
    [(407, "wants a user and a password"), (403, "does not let this computer connect to")],
)
def test_it_is_named_with_what_to_do_and_without_its_password(
    proxy: Proxy, ask: Callable[[], Any], status: int, said: str
) -> None:
    proxy.status = status
    with pytest.raises(HavenError) as raised:
        ask()
    message = str(raised.value)
    assert message.startswith(f"The proxy {proxy.address} in https_proxy {said}")
    assert "p%40" not in message
    assert raised.value.reason == "proxy_refused"
    # It would be refused again.
    assert isinstance(raised.value, Obstructed)
    assert proxy.asked == 1


@pytest.mark.parametrize("ask", [ask_ec2, ask_openstack])
def test_one_that_is_not_there_is_tried_again_and_then_named(
    proxy: Proxy, ask: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[float] = []
    monkeypatch.setattr(_retry.time, "sleep", tries.append)
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        address = f"127.0.0.1:{nobody.getsockname()[1]}"
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, f"http://{LOGIN}@{address}")
    with pytest.raises(Unreachable) as raised:
        ask()
    assert str(raised.value).startswith(f"The proxy {address} in https_proxy does not answer: correct https_proxy")
    assert tries


def test_what_is_not_the_proxys_fault_is_not_blamed_on_it() -> None:
    assert obstructed("Name or service not known", "https://cloud.example.org") is None


def test_a_proxy_for_everything_is_named_by_its_own_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("all_proxy", "proxy.example.org:3128")
    failure = obstructed("Tunnel connection failed: 503 Busy", "https://cloud.example.org")
    assert "The proxy proxy.example.org:3128 in all_proxy" in str(failure)
    assert not isinstance(failure, Obstructed)
