# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Thin layers that lie on a tree of Debian: files, and packages with what is run after them.

Each is made in a draft beside its folder, which then gets its name in one step.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

from .errors import SandboxError
from .processes import run

# apt runs outside, with this machine's own settings of proxies and trust, as mmdebstrap runs it; dpkg runs inside.
# Nothing that it mounts outlives its namespaces.
_INSTALL = """\
set -eu
root=$1 names=$2 after=$3
for mount in proc:/proc sysfs:/sys tmpfs:/run tmpfs:/tmp; do
  mount -t "${mount%%:*}" "${mount%%:*}" "$root${mount#*:}"
done
mount --rbind /dev "$root/dev"
printf '#!/bin/sh\\nexit 101\\n' >"$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt="apt-get -q -o Dir=$root -o Dir::State::status=$root/var/lib/dpkg/status -o DPkg::Chroot-Directory=$root"
apt="$apt -o APT::Sandbox::User=root -o Acquire::Languages=none -o DPkg::Use-Pty=0"
$apt update
$apt install --yes --no-install-recommends $names
printf '%s' "$after" | chroot "$root" /bin/sh -eu
rm "$root/usr/sbin/policy-rc.d"
"""
# What differs from the layers below for no reason but that apt ran.
_LEFT_OUT = ("var/lib/apt", "var/cache/apt", "var/log", "run", "tmp", "dev", "proc", "sys", "etc/machine-id")


@dataclass(frozen=True)
class Files:
    """Files and symbolic links by path. What begins with #! can be run."""

    files: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)

    def name(self, below: Sequence[Path]) -> str:
        """What its folder is called: another content is another name."""
        return f"layer-{digest(repr((sorted(self.files.items()), sorted(self.links.items()))))}"

    def make(self, below: Sequence[Path], folder: Path) -> None:
        """Write it."""
        draft = fresh(folder)
        for name, content in self.files.items():
            path = _place(draft / name)
            path.write_text(content, encoding="utf-8")
            path.chmod(0o755 if content.startswith("#!") else 0o644)
        for name, target in self.links.items():
            _place(draft / name).symlink_to(target)
        draft.rename(folder)


@dataclass(frozen=True)
class Packages:
    """Debian packages without those that they recommend, and shell commands run in the tree after them."""

    packages: tuple[str, ...]
    after: str = ""

    def name(self, below: Sequence[Path]) -> str:
        """What its folder is called: other packages, commands or layers below are another name."""
        return f"layer-{digest(repr((self.packages, self.after, _INSTALL, [each.name for each in below])))}"

    def make(self, below: Sequence[Path], folder: Path) -> None:
        """Install them on the layers below, topmost first, and keep what that changed; SandboxError names the log."""
        draft = fresh(folder)
        parts = {name: draft.with_name(f"{draft.name}.{name}") for name in ("work", "root")}
        for part in (draft, *parts.values()):
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
        lower = ":".join(str(each) for each in below)
        options = f"lowerdir={lower},upperdir={draft},workdir={parts['work']}"
        script = 'mount -t overlay overlay -o "$1" "$2" && shift && exec sh -c "$4" sh "$@"\n'
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "sh", "-euc", script, "sh"]
        command += [options, str(parts["root"]), " ".join(self.packages), self.after, _INSTALL]
        log = folder.with_name(f"{folder.name}.log")
        with log.open("wb") as output:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False
            )
        for part in parts.values():
            shutil.rmtree(part, ignore_errors=True)
        if done.returncode != 0:
            raise SandboxError(f"Installing {self.packages[0]} and more failed: the reason is at the end of {log}.")
        for name in _LEFT_OUT:
            shutil.rmtree(draft / name, ignore_errors=True)
            (draft / name).unlink(missing_ok=True)
        draft.rename(folder)


@dataclass(frozen=True)
class Wheels:
    """A virtual environment of the image's own Python with packages from this machine's index, put there by uv."""

    path: str
    python: str
    requirements: tuple[str, ...]

    def name(self, below: Sequence[Path]) -> str:
        """What its folder is called: another content is another name."""
        return f"layer-{digest(repr((self.path, self.python, self.requirements)))}"

    def make(self, below: Sequence[Path], folder: Path) -> None:
        """Install them; SandboxError says what uv said last."""
        draft = fresh(folder)
        environment = draft / self.path
        site = environment / "lib" / f"python{self.python}" / "site-packages"
        site.mkdir(parents=True)
        command = ["uv", "pip", "install", "--quiet", "--no-progress", "--only-binary=:all:", "--target", str(site)]
        command += [f"--python-version={self.python}", "--python-platform=x86_64-manylinux_2_28", *self.requirements]
        run(*command, timeout=600)
        (environment / "pyvenv.cfg").write_text("home = /usr/bin\ninclude-system-site-packages = false\n", "ascii")
        (environment / "bin").mkdir()
        for name in ("python", "python3", f"python{self.python}"):
            (environment / "bin" / name).symlink_to(f"/usr/bin/python{self.python}")
        draft.rename(folder)


@dataclass(frozen=True)
class Libraries:
    """Shared libraries that this machine's C compiler makes: the source of each by its path and soname."""

    sources: Mapping[str, Path]

    def name(self, below: Sequence[Path]) -> str:
        """What its folder is called: another source is another name."""
        sources = sorted((path, source.read_text(encoding="utf-8")) for path, source in self.sources.items())
        return f"layer-{digest(repr(sources))}"

    def make(self, below: Sequence[Path], folder: Path) -> None:
        """Compile them."""
        draft = fresh(folder)
        for name, source in self.sources.items():
            library = _place(draft / name)
            run("cc", "-shared", "-fPIC", f"-Wl,-soname,{library.name}", "-o", library, source)
        draft.rename(folder)


Layer = Union[Files, Libraries, Packages, Wheels]


def digest(text: str) -> str:
    """A short name for a content."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def fresh(folder: Path) -> Path:
    """Where a folder is made before it gets its name; nothing is there."""
    draft = folder.with_name(f"{folder.name}.draft")
    if draft.exists():
        shutil.rmtree(draft)
    return draft


def _place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
