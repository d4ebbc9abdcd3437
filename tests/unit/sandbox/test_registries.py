# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which registries the machine uses, read from what its package managers say."""

from __future__ import annotations

import json

import pytest

from tests.sandbox import registries
from tests.sandbox.errors import SandboxError
from tests.sandbox.registries import DebianMirrors

HELP = """
Package Index Options:
  -i, --index-url <url>       Base URL of the Python Package Index (default
                              https://index.example/simple). This should point to a
                              repository
  --extra-index-url <url>     Extra URLs of package indexes (default nothing).
"""


def test_debians_mirrors_are_those_of_the_machines_own_suite() -> None:
    text = (
        "Translations|http://wrong.example/debian/|bookworm\n"
        "Packages|https://other.example/apt/|stable\n"
        "Packages|http://deb.example/debian/|bookworm-updates\n"
        "Packages|http://deb.example/debian/|bookworm\n"
        "Packages|http://deb.example/security/|bookworm-security\n"
        "Packages|http://second.example/debian/|bookworm\n"
    )
    found = registries.parse_index_targets(text, "bookworm")
    assert found == DebianMirrors("http://deb.example/debian/", "http://deb.example/security/")
    assert registries.parse_index_targets(text, "noble") is None


def test_the_mirrors_serve_any_suite_and_security_only_where_there_is_a_mirror_for_it() -> None:
    assert DebianMirrors("http://m/d/", "http://m/s/").sources("trixie") == [
        "deb http://m/d/ trixie main",
        "deb http://m/d/ trixie-updates main",
        "deb http://m/s/ trixie-security main",
    ]
    assert len(DebianMirrors("http://m/d/", None).sources("trixie")) == 2


def test_pips_configured_indexes_are_found_wherever_they_were_set() -> None:
    text = (
        "global.cert='/etc/ssl/ca.pem'\n"
        "global.extra-index-url='file:///opt/simple https://more.example/simple'\n"
        ":env:.index-url='https://main.example/simple'\n"
        "install.find-links='/opt/wheels'\n"
    )
    assert registries.parse_pip_config(text) == [
        ("extra-index-url", "file:///opt/simple"),
        ("extra-index-url", "https://more.example/simple"),
        ("index-url", "https://main.example/simple"),
    ]


def test_several_indexes_on_lines_of_their_own_are_several() -> None:
    text = "global.extra-index-url='\\nhttps://a.example/simple\\nhttps://b.example/simple'\n"
    assert [url for _, url in registries.parse_pip_config(text)] == [
        "https://a.example/simple",
        "https://b.example/simple",
    ]


def test_pips_own_default_is_read_from_its_help_though_the_line_is_wrapped() -> None:
    assert registries.parse_pip_default(HELP) == "https://index.example/simple"
    with pytest.raises(SandboxError, match="PIP_INDEX_URL"):
        registries.parse_pip_default("Usage: pip")


def test_file_hosts_are_found_in_both_kinds_of_index_page() -> None:
    page = "<a href=\"https://files.example/a.whl#sha256=1\">a</a> <a href='../../packages/b.whl'>b</a>"
    assert registries.file_urls(page, "text/html", "https://index.example/simple/pip/") == [
        "https://files.example/a.whl",
        "https://index.example/packages/b.whl",
    ]
    document = json.dumps({"files": [{"url": "https://files.example/a.whl"}, {"url": "/b.whl"}]})
    kind = "application/vnd.pypi.simple.v1+json"
    assert registries.file_urls(document, kind, "https://index.example/simple/pip/") == [
        "https://files.example/a.whl",
        "https://index.example/b.whl",
    ]


def test_hosts_are_named_once_and_only_where_there_is_one() -> None:
    urls = [
        "https://B.example:8443/x",
        "http://a.example/",
        "file:///opt/simple",
        "https://b.example/y",
        "relative/path",
    ]
    assert registries.hosts_of(urls) == ["a.example", "b.example"]


def test_a_parent_proxy_is_taken_from_the_environment() -> None:
    assert registries.parent_proxy({}) is None
    assert registries.parent_proxy({"http_proxy": "http://proxy.example:8080/"}) == ("proxy.example", 8080)
    assert registries.parent_proxy({"HTTPS_PROXY": "proxy.example", "http_proxy": "http://o:1"}) == (
        "proxy.example",
        3128,
    )


@pytest.mark.parametrize("value", ["http://user:secret@proxy.example:8080", "socks5://proxy.example:1080"])
def test_a_parent_proxy_that_cannot_be_used_is_named_without_its_password(value: str) -> None:
    with pytest.raises(SandboxError, match="https_proxy") as caught:
        registries.parent_proxy({"https_proxy": value})
    assert "secret" not in str(caught.value)
