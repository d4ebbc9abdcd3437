# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the module asks a proxy for; what it says of the answers is in module_utils/test_proxy_check.py."""

from __future__ import annotations

import json
import pathlib
import types
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.haven.gpu.plugins.module_utils._proxy_check import ProxyError, apt_source, index_source
from ansible_collections.haven.gpu.plugins.modules import proxy_check

APT = apt_source("http://deb.example.org/debian", "bookworm")
INDEX = index_source("https://pypi.example.org/simple")
URL = "http://haven:p%4055@proxy.example.org:3128"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The sources that were asked for; only Debian's is let through."""
    seen: list[str] = []

    def check(proxy: Any, source: Any, ca: str, timeout: float) -> bool:
        seen.append(source.url)
        if proxy.host == "broken.example.org":
            raise ProxyError("It is broken.")
        return source is APT

    monkeypatch.setattr(proxy_check, "apt_sources", lambda module: [APT])
    monkeypatch.setattr(proxy_check, "python_index", lambda: INDEX)
    monkeypatch.setattr(proxy_check, "check", check)
    return seen


def run(capfd: pytest.CaptureFixture[str], url: str = URL, **options: Any) -> dict[str, Any]:
    with patch_module_args({"url": url, **options}), pytest.raises(SystemExit):
        proxy_check.main()
    answer: dict[str, Any] = json.loads(capfd.readouterr().out)
    return answer


def test_what_is_refused_is_a_warning(
    asked: list[str], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []  # ansible-core keeps warnings for the whole process
    monkeypatch.setattr(proxy_check.HavenModule, "warn", lambda self, text: told.append(text))
    answer = run(capfd)
    assert (answer["available"], answer["refused"]) == (["deb.example.org"], ["pypi.example.org"])
    assert not answer["changed"]
    assert len(told) == 1
    assert "proxy.example.org:3128 does not let this machine have packages of pypi.example.org" in told[0]
    assert "p%4055" not in f"{answer} {told}"


def test_a_broken_proxy_ends_the_run_in_one_sentence(asked: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    answer = run(capfd, "http://broken.example.org:3128")
    assert answer["failed"]
    assert answer["msg"] == "It is broken."
    assert asked == [APT.url]


def test_what_needs_no_proxy_is_not_asked_for(asked: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert run(capfd, no_proxy=[".example.org"])["available"] == []
    assert asked == []


def test_apts_first_repository_is_asked_for() -> None:
    lines = "file:/srv/|x\nhttp://deb.example.org/flat/|./\nhttp://deb.example.org/debian/|bookworm\nhttps://other/|x\n"
    module = types.SimpleNamespace(get_bin_path=lambda name: name, run_command=lambda argv: (0, lines, ""))
    assert [source.url for source in proxy_check.apt_sources(module)] == [APT.url]
    assert proxy_check.apt_sources(types.SimpleNamespace(get_bin_path=lambda name: None)) == []


@pytest.mark.parametrize(
    ("text", "host"),
    [
        ("", "pypi.org"),
        ("[global]\nindex-url = https://mirror.example.org/simple/\n", "mirror.example.org"),
        ("[global]\nindex-url = file:///srv/simple\n", "pypi.org"),
        ("no section\n", "pypi.org"),
    ],
)
def test_the_index_is_the_one_that_pip_uses(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path, text: str, host: str
) -> None:
    (tmp_path / "pip.conf").write_text(text)
    monkeypatch.setattr(proxy_check, "PIP_CONF", str(tmp_path / "pip.conf"))
    monkeypatch.delenv("PIP_INDEX_URL", raising=False)
    assert proxy_check.python_index().host == host
