# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the stand-in hosts serve: made from the folder `content`, where a host has a folder, and its paths are below.

Files are served as they lie, but for these:
- github.com/OWNER/REPO is a repository with one commit on main, tagged v1.
- NAME.tar.gz.d and NAME.tar.bz2.d are archives; a .tar.bz2 is also a package of the conda channel it lies in.
- NAME.b64 is a binary file in base64.
"""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import tarfile
from pathlib import Path

from ..processes import run

SOURCE = Path(__file__).with_name("content")
REPOSITORIES = "github.com"
_NOBODY = {
    "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Nobody", "GIT_AUTHOR_EMAIL": "nobody@example.org", "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Nobody", "GIT_COMMITTER_EMAIL": "nobody@example.org",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}  # fmt: skip


def hosts(source: Path = SOURCE) -> list[str]:
    """The hosts that have content."""
    return sorted(folder.name for folder in source.iterdir() if folder.is_dir())


def build(target: Path, source: Path = SOURCE) -> None:
    """Make everything below a folder that does not exist yet."""
    shutil.copytree(source, target)
    for packed in sorted(target.rglob("*.b64")):
        packed.with_suffix("").write_bytes(base64.b64decode(packed.read_bytes()))
        packed.unlink()
    for folder in sorted(target.rglob("*.tar.*.d")):
        _pack(folder, folder.with_suffix(""))
    for channel in sorted((target / "conda.anaconda.org").glob("*")):
        _index(channel)
    for tree in sorted((target / REPOSITORIES).glob("*/*")):
        _repository(tree)


def _pack(folder: Path, archive: Path) -> None:
    kind = "gz" if archive.suffix == ".gz" else "bz2"
    with tarfile.open(archive, f"w:{kind}") as packed:  # type: ignore[call-overload]
        for path in sorted(folder.rglob("*")):
            packed.add(path, str(path.relative_to(folder)), recursive=False, filter=_as_of_nobody)
    shutil.rmtree(folder)


def _as_of_nobody(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """The same each time."""
    member.uid = member.gid = member.mtime = 0
    member.uname = member.gname = ""
    return member


def _index(channel: Path) -> None:
    """Write repodata.json of each platform, as `conda index` does."""
    for platform in ("linux-64", "noarch"):
        (channel / platform).mkdir(exist_ok=True)
        packages = {path.name: _record(path) for path in sorted((channel / platform).glob("*.tar.bz2"))}
        index = {"info": {"subdir": platform}, "packages": packages, "packages.conda": {}, "repodata_version": 1}
        (channel / platform / "repodata.json").write_text(json.dumps(index, indent=1), encoding="utf-8")


def _record(package: Path) -> dict[str, object]:
    with tarfile.open(package) as packed:
        member = packed.extractfile("info/index.json")
        facts: dict[str, object] = json.load(member) if member else {}
    content = package.read_bytes()
    checks = {"sha256": hashlib.sha256(content).hexdigest(), "md5": hashlib.md5(content).hexdigest()}  # noqa: S324
    return {**facts, **checks, "size": len(content)}


def _repository(tree: Path) -> None:
    """Put a bare repository in place of a folder."""
    bare = tree.with_name(tree.name + ".git")
    command = ["env", *(f"{name}={value}" for name, value in _NOBODY.items()), "git", f"--git-dir={bare}"]
    run(*command, "init", "--quiet", "--bare", "--initial-branch=main")
    run(*command, f"--work-tree={tree}", "add", "--all", cwd=tree)
    run(*command, f"--work-tree={tree}", "commit", "--quiet", "-m", "All of it", cwd=tree)
    run(*command, "tag", "v1")
    shutil.rmtree(tree)
