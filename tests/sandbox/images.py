# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian trees for guests, built once with mmdebstrap and kept between runs."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import SandboxError
from .registries import debian_mirrors

# What Debian's own cloud images have of this too, and what a test of the collection must find on a fresh machine.
PACKAGES = [
    "ca-certificates",
    "cloud-init",
    "curl",
    "dbus",
    "e2fsprogs",
    "git",
    "iproute2",
    "iputils-ping",
    "libpam-systemd",
    "netbase",
    "nftables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "python3-venv",
    "sudo",
    "systemd",
    "systemd-sysv",
]

# Masked: what waits for a network that is set from outside, what grows a disk that is a folder, and timers that would hold
# apt's lock whenever they please.
_MASKED = (
    "systemd-networkd-wait-online.service",
    "systemd-firstboot.service",
    "systemd-resolved.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
)

_CLOUD_CONFIG = """\
datasource_list: [NoCloud, None]
network: {config: disabled}
locale: false
growpart: {mode: 'off'}
resize_rootfs: false
ssh_genkeytypes: [ed25519, ecdsa]
"""

_CUDA_MARKER = "etc/haven-sandbox-cuda"


@dataclass(frozen=True)
class Image:
    """A guest's lower layers, topmost first."""

    name: str
    layers: tuple[Path, ...]


@dataclass(frozen=True)
class _Recipe:
    suite: str
    cuda: bool = False


_RECIPES = {
    "bookworm": _Recipe("bookworm"),
    "trixie": _Recipe("trixie"),
    "bookworm-cuda": _Recipe("bookworm", cuda=True),
}
# What the cloud's API calls them.
_RECIPES.update(
    {
        "haven-debian-12-20260101": _RECIPES["bookworm"],
        "haven-debian-13-20260101": _RECIPES["trixie"],
        "haven-debian-12-cuda-20260101": _RECIPES["bookworm-cuda"],
    }
)
NAMES = tuple(_RECIPES)


def locate(cache: Path, name: str) -> Image:
    """The image of that name under the cache folder; SandboxError when it is unknown or not built."""
    recipe = _recipe(name)
    layers = [_tree(cache, recipe.suite)]
    if recipe.cuda:
        layers.insert(0, _cuda_layer(cache))
    missing = [layer for layer in layers if not layer.is_dir()]
    if missing:
        raise SandboxError(f"The image {name} is not built: run 'up', which builds what is missing.")
    return Image(name, tuple(layers))


def build_missing(cache: Path, say: Callable[[str], None]) -> None:
    """Build every image that the cache lacks (minutes the first time, nothing afterwards)."""
    cache.mkdir(parents=True, exist_ok=True)
    with _only_one_builder(cache):
        for suite in sorted({recipe.suite for recipe in _RECIPES.values()}):
            tree = _tree(cache, suite)
            if not tree.is_dir():
                say(f"Building the {suite} image")
                _build(suite, tree)
        _make_cuda_layer(_cuda_layer(cache))


def _recipe(name: str) -> _Recipe:
    try:
        return _RECIPES[name]
    except KeyError:
        raise SandboxError(f"There is no image {name}: there are {', '.join(NAMES)}.") from None


def _tree(cache: Path, suite: str) -> Path:
    """Where a suite's tree lies; the name changes with the recipe, so that a changed recipe is built anew."""
    recipe = "\n".join([suite, *PACKAGES, *_MASKED, _CLOUD_CONFIG])
    return cache / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:10]}"


def _cuda_layer(cache: Path) -> Path:
    return cache / "cuda-layer"


@contextmanager
def _only_one_builder(cache: Path) -> Iterator[None]:
    with (cache / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(suite: str, tree: Path) -> None:
    draft = tree.with_name(tree.name + ".draft")
    shutil.rmtree(draft, ignore_errors=True)
    log = tree.with_name(tree.name + ".log")
    # In namespaces of its own, so that no interrupt can leave mmdebstrap's mounts or children behind.
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "mmdebstrap", "--mode=root"]
    command += [
        "--variant=minbase",
        f"--include={','.join(PACKAGES)}",
        '--aptopt=Acquire::Languages "none"',
        suite,
        str(draft),
    ]
    command += debian_mirrors().sources(suite)
    with log.open("wb") as output:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise SandboxError(f"Building the {suite} image failed: the reason is at the end of {log}.")
    _adapt(draft)
    draft.rename(tree)


def _adapt(tree: Path) -> None:
    units = tree / "etc/systemd/system"
    for unit in _MASKED:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (tree / "etc/cloud/cloud.cfg.d/99-sandbox.cfg").write_text(_CLOUD_CONFIG, encoding="ascii")
    for secret in (tree / "etc/ssh").glob("ssh_host_*"):
        secret.unlink()
    # Every guest gets its own at creation.
    (tree / "etc/machine-id").write_text("", encoding="ascii")
    # mmdebstrap copies this machine's own: names are the proxy's business in here.
    (tree / "etc/resolv.conf").write_text("", encoding="ascii")


def _make_cuda_layer(layer: Path) -> None:
    """The layer that makes a Deep Learning image of a plain one; the tests put a driver stub on top."""
    (layer / _CUDA_MARKER).parent.mkdir(parents=True, exist_ok=True)
    (layer / _CUDA_MARKER).write_text("This guest stands for an image with a GPU driver.\n", encoding="ascii")
