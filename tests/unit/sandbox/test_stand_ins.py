# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in hosts answer, without a network; that clients get it is test_sandbox_internet.py's business."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tests.sandbox.http_server import Answer
from tests.sandbox.stand_ins import content, names
from tests.sandbox.stand_ins.server import Hosts

GUIDE = "/eryl/aida-transformers-workshop-code"


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Hosts:
    folder = tmp_path_factory.mktemp("internet")
    content.build(folder / "content")
    (folder / "content" / "secret").write_text("not a host's")
    return Hosts(folder / "content", folder / "no-port", "198.51.100.133")


def get(
    hosts: Hosts, host: str, path: str, *, seen: str = "198.51.100.130", query: str = "", method: str = "GET"
) -> Answer:
    environ: dict[str, Any] = {"HTTP_HOST": host, "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": method}
    return hosts({**environ, "REMOTE_ADDR": seen}, b"")


def test_a_repository_is_what_git_itself_serves(hosts: Hosts) -> None:
    for name in (GUIDE, f"{GUIDE}.git"):
        status, headers, body = get(hosts, "github.com", f"{name}/info/refs", query="service=git-upload-pack")
        assert status == 200
        assert ("Content-Type", "application/x-git-upload-pack-advertisement") in headers
        assert b"refs/heads/main" in body
        assert b"refs/tags/v1" in body


def test_nobody_writes_into_a_repository(hosts: Hosts) -> None:
    assert get(hosts, "github.com", f"{GUIDE}/info/refs", query="service=git-receive-pack")[0] == 403
    assert get(hosts, "github.com", f"{GUIDE}/git-receive-pack", method="POST")[0] == 404


def test_an_archive_of_a_tag_is_where_github_has_it(hosts: Hosts) -> None:
    status, headers, _ = get(hosts, "github.com", f"{GUIDE}/archive/refs/tags/v1.tar.gz")
    where = dict(headers)["Location"]
    assert (status, where) == (302, f"https://codeload.github.com{GUIDE}/tar.gz/refs/tags/v1")
    body = get(hosts, names.ARCHIVES, where.removeprefix("https://codeload.github.com"))[2]
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        assert "aida-transformers-workshop-code-1/requirements.txt" in archive.getnames()


def test_a_file_of_a_repository_is_where_github_has_it(hosts: Hosts) -> None:
    assert b"tqdm" in get(hosts, names.RAW, f"{GUIDE}/main/requirements.txt")[2]
    assert get(hosts, names.RAW, f"{GUIDE}/main/nothing")[0] == 404


def test_a_channels_index_fits_its_packages(hosts: Hosts) -> None:
    index = json.loads(get(hosts, "conda.anaconda.org", "/conda-forge/noarch/repodata.json")[2])
    [(name, record)] = index["packages"].items()
    package = get(hosts, "conda.anaconda.org", f"/conda-forge/noarch/{name}")[2]
    assert (record["size"], record["sha256"]) == (len(package), hashlib.sha256(package).hexdigest())
    assert get(hosts, "conda.anaconda.org", "/conda-forge/linux-64/repodata.json")[0] == 200


def test_a_data_set_is_an_archive_of_files(hosts: Hosts) -> None:
    body = get(hosts, "www.robots.ox.ac.uk", "/~vgg/data/pets/data/images.tar.gz")[2]
    with tarfile.open(fileobj=io.BytesIO(body)) as archive:
        picture = archive.extractfile("images/beagle_1.jpg")
        assert picture is not None
        assert picture.read(3) == b"\xff\xd8\xff"


def test_content_is_the_same_each_time(tmp_path: Path) -> None:
    for name in ("one", "two"):
        content.build(tmp_path / name)
    archives = [path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.tar.bz2")]
    assert archives
    assert all((tmp_path / "one" / path).read_bytes() == (tmp_path / "two" / path).read_bytes() for path in archives)


def test_who_asks_is_told_the_address_it_is_seen_from(hosts: Hosts) -> None:
    for host in names.TELL_ADDRESS:
        assert get(hosts, host, "/")[2] == b"198.51.100.130\n"
        assert json.loads(get(hosts, host, "/", query="format=json")[2]) == {"ip": "198.51.100.130"}
        # The proxy asks from this machine's loopback addresses.
        assert get(hosts, host, "/", seen="127.0.0.1")[2] == b"198.51.100.133\n"


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("github.com", "/../secret"),
        ("www.robots.ox.ac.uk", "/../secret"),
        ("..", "/secret"),
        ("", "/secret"),
        ("github.com", "/nobody/nothing/info/refs"),
        ("example.org", "/"),
    ],
)
def test_what_is_not_there_is_not_found(hosts: Hosts, host: str, path: str) -> None:
    assert get(hosts, host, path)[0] == 404


def test_without_ec2_its_names_say_so(hosts: Hosts) -> None:
    assert [get(hosts, name, "/")[0] for name in names.aws()] == [503, 503, 503]
    assert not names.aws_service("checkip.amazonaws.com")


def test_each_sandbox_has_a_loopback_address_of_its_own() -> None:
    first, second = (names.loopback_address(Path(folder)) for folder in ("/one", "/two"))
    assert first != second
    assert first.startswith("127.")
    assert not first.startswith("127.0.")
