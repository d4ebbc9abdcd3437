# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian trees for guests, built once with mmdebstrap and kept between runs, and thin layers that lie on them."""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import gate, gate_image, gpu_image, prepared_image, profiles
from .errors import SandboxError
from .layers import Files, Layer, Packages, Wheels, digest, fresh
from .registries import debian_mirrors

# What Debian's own cloud images have of this too, and what a test of the collection must find on a fresh machine.
_PACKAGES = (
    "ca-certificates,cloud-init,curl,dbus,e2fsprogs,git,iproute2,iputils-ping,netbase,nftables,"
    "openssh-server,procps,python3,python3-apt,python3-venv,sudo,systemd,systemd-sysv"
)

_MASKED = (
    # These wait for a network that is set from outside.
    "systemd-networkd-wait-online.service",
    # This asks questions.
    "systemd-firstboot.service",
    # These are for somebody at a keyboard, and each takes an inotify instance, of which all guests together have 128.
    "console-getty.service",
    "systemd-ask-password-console.path",
    "systemd-ask-password-wall.path",
)

# These hold apt's lock whenever they please, or listen on ports.
_HABITS = ("apt-daily.timer", "apt-daily-upgrade.timer", "systemd-resolved.service")

_CLOUD_CONFIG = """\
datasource_list: [NoCloud, None]
network: {config: disabled}
locale: false
growpart: {mode: 'off'}
resize_rootfs: false
ssh_genkeytypes: [ed25519, ecdsa]
"""

# In a container systemd leaves out the disks of fstab, because udev, which would announce them, does not run there.
_MOUNT_DISKS = """\
[Unit]
Description=Mount the disks of /etc/fstab
DefaultDependencies=no
After=local-fs-pre.target systemd-remount-fs.service
Before=local-fs.target

[Service]
Type=oneshot
ExecStart=-/usr/bin/mount --all
"""


def _masks(units: tuple[str, ...]) -> dict[str, str]:
    return {f"etc/systemd/system/{unit}": "/dev/null" for unit in units}


_SETTINGS = Files(
    {
        "etc/cloud/cloud.cfg.d/99-sandbox.cfg": _CLOUD_CONFIG,
        "etc/systemd/system/sandbox-disks.service": _MOUNT_DISKS,
    },
    {
        "etc/systemd/system/local-fs.target.wants/sandbox-disks.service": "../sandbox-disks.service",
        **_masks(_MASKED),
    },
)
# A layer of its own, for the jump host has them run: what one layer masks none above can bring back everywhere.
_TIDY = Files({}, _masks(_HABITS))
_CUDA = Files({"etc/haven-sandbox-cuda": "This guest stands for an image with a GPU driver.\n"}, {})


@dataclass(frozen=True)
class _Recipe:
    """A suite's tree and the layers on it, topmost first. early: 'up' builds it without being asked."""

    suite: str
    layers: tuple[Layer, ...]
    early: bool = True


_RECIPES = {
    "bookworm": _Recipe("bookworm", (_TIDY, _SETTINGS)),
    "trixie": _Recipe("trixie", (_TIDY, _SETTINGS)),
    gate_image.BASE: _Recipe("bookworm", (_SETTINGS,)),
    "ubuntu-gpu": _Recipe("trixie", (*gpu_image.LAYERS, _TIDY, _SETTINGS), early=False),
    "bookworm-cuda": _Recipe("bookworm", (_CUDA, _TIDY, _SETTINGS)),
    **{
        name: _Recipe(profile.suite, (*profile.layers, _SETTINGS), early=False)
        for name, profile in profiles.PROFILES.items()
    },
}


# The layers of the first, topmost, lie on the second, too.
_PREPARED_GPU = {"ubuntu-gpu-prepared": ("ubuntu-gpu", "trixie-prepared")}


def locate(cache: Path, name: str) -> tuple[Path, ...]:
    """The folders of an image, topmost first; SandboxError when it is unknown or not built."""
    if name == gate.IMAGE:
        return top_layer(cache, name), *locate(cache, gate_image.BASE)
    if name in _PREPARED_GPU:
        gpu, prepared = _PREPARED_GPU[name]
        return *locate(cache, gpu)[: len(gpu_image.LAYERS)], *locate(cache, prepared)
    if name in prepared_image.IMAGES:
        if not top_layer(cache, name).is_dir():
            raise SandboxError(f"The image {name} is not built: take the sandbox down, then run 'up --prepared'.")
        return top_layer(cache, name), *locate(cache, prepared_image.IMAGES[name])
    recipe = _RECIPES.get(name)
    if recipe is None:
        raise SandboxError(f"There is no image {name}: there are {', '.join(_RECIPES)}.")
    folders = tuple(folder for folder, _layer in _folders(cache, recipe))
    if not all(folder.is_dir() for folder in folders):
        option = "" if recipe.early else f" --image {name}"
        raise SandboxError(f"The image {name} is not built: run 'up{option}', which builds what is missing.")
    return folders


@functools.cache
def top_layer(cache: Path, name: str) -> Path:
    """Where the layer of an image lies that our own roles make; it need not be there yet.

    Asked once: who edits a role while a sandbox is up still gets guests from the images it came up with.
    """
    if name == gate.IMAGE:
        return gate_image.folder(cache, locate(cache, gate_image.BASE))
    return prepared_image.folder(cache, name, locate(cache, prepared_image.IMAGES[name]))


def build_missing(cache: Path, names: Iterable[str], say: Callable[[str], None]) -> None:
    """Build what the cache lacks of these images and of the plain ones (minutes the first time, nothing afterwards)."""
    unknown = sorted(set(names) - set(_RECIPES))
    if unknown:
        raise SandboxError(f"There is no image {unknown[0]}: there are {', '.join(_RECIPES)}.")
    cache.mkdir(parents=True, exist_ok=True)
    recipes = {name: recipe for name, recipe in _RECIPES.items() if recipe.early or name in names}
    with only_one_builder(cache):
        suites = sorted({recipe.suite for recipe in recipes.values()})
        missing = [suite for suite in suites if not _tree(cache, suite).is_dir()]
        if missing:
            say(f"Building images of Debian {' and '.join(missing)} in {cache}, which takes about a minute")
            with ThreadPoolExecutor(len(missing)) as pool:
                list(pool.map(lambda suite: _build(suite, _tree(cache, suite)), missing))
        for name, recipe in recipes.items():
            _add_layers(cache, name, recipe, say)


def _add_layers(cache: Path, name: str, recipe: _Recipe, say: Callable[[str], None]) -> None:
    folders = _folders(cache, recipe)
    # From the bottom, because packages are installed on what is below them.
    for at in reversed(range(len(folders))):
        folder, layer = folders[at]
        if layer is not None and not folder.is_dir():
            if isinstance(layer, (Packages, Wheels)):
                say(f"Installing the packages of the image {name}, which takes about half a minute")
            layer.make([below for below, _layer in folders[at + 1 :]], folder)


def _folders(cache: Path, recipe: _Recipe) -> list[tuple[Path, Layer | None]]:
    """The folders of an image, topmost first, each with its layer; the last is the suite's tree."""
    found: list[tuple[Path, Layer | None]] = [(_tree(cache, recipe.suite), None)]
    for layer in reversed(recipe.layers):
        found.insert(0, (cache / layer.name([folder for folder, _layer in found]), layer))
    return found


def _tree(cache: Path, suite: str) -> Path:
    """Where a suite's tree lies; the name changes with the recipe, so that a changed recipe is built anew."""
    return cache / f"{suite}-{digest(_PACKAGES)}"


def _log(tree: Path) -> Path:
    return tree.with_name(f"{tree.name}.log")


@contextmanager
def only_one_builder(cache: Path) -> Iterator[None]:
    """Wait until nobody else writes into the cache."""
    with (cache / "lock").open("w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(suite: str, tree: Path) -> None:
    draft = fresh(tree)
    # In namespaces of its own, so that no interrupt can leave mmdebstrap's mounts or children behind.
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "mmdebstrap", "--mode=root"]
    command += ["--variant=minbase", f"--include={_PACKAGES}", '--aptopt=Acquire::Languages "none"', suite, str(draft)]
    command += debian_mirrors().sources(suite)
    with _log(tree).open("wb") as output:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode != 0:
        raise SandboxError(f"Building the {suite} image failed: the reason is at the end of {_log(tree)}.")
    for host_key in (draft / "etc/ssh").glob("ssh_host_*"):
        host_key.unlink()
    # Every guest gets an identity of its own at its first boot.
    (draft / "etc/machine-id").write_text("", encoding="ascii")
    # mmdebstrap copies this machine's: in here names are the proxy's business.
    (draft / "etc/resolv.conf").write_text("", encoding="ascii")
    # The lists are empty: a fresh date on them would tell Ansible's apt that they need no update.
    os.utime(draft / "var/lib/apt/lists", (0, 0))
    draft.rename(tree)
