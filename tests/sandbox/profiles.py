# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Images with the manners of the world: what Ubuntu's images and clouds do to whoever comes right after the boot.

`ubuntu-like` and `ubuntu-next` hold apt's and dpkg's locks for 5 s after sshd answers, and so does cloud-init's last
stage after them; the images whose names end in `-slow` do for 75 s, as real ones do.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from . import machine_traits
from .layers import Files, Layer, Libraries, Packages, Wheels
from .paths import repository

_HELD_S = "etc/haven-sandbox/held-s"
_PROGRAMS = Path(__file__).with_name("profile_files")

_PACKAGES = ("chrony", "locales", "needrestart", "systemd-resolved", "unattended-upgrades")

DEFAULT_USER = """\
system_info:
  default_user:
    name: ubuntu
    gecos: Ubuntu
    groups: [adm, sudo]
    sudo: ["ALL=(ALL) NOPASSWD:ALL"]
    shell: /bin/bash
    lock_passwd: true
"""
# Started with the machine, as on the first boot of an image that is some days old; the stand-in says by its name and
# its locks who it is. Stopping the machine does not wait for it.
_AT_BOOT = """\
[Timer]
OnStartupSec=0
AccuracySec=1us
RandomizedDelaySec=0
"""
_STAND_IN = """\
[Service]
ExecStartPre=
ExecStart=
ExecStart=/usr/lib/haven-sandbox/unattended-upgrade
TimeoutStopSec=2
"""
# Nothing can set a clock in a guest; that its questions find an answer is what counts.
_CHRONY = """\
[Unit]
ConditionCapability=
"""
_AGENT = """\
[Unit]
Description=A daemon on a loopback port, as images have

[Socket]
ListenStream=127.0.0.1:46123

[Install]
WantedBy=sockets.target
"""
_AGENT_SERVICE = """\
[Unit]
Description=A daemon on a loopback port, as images have

[Service]
ExecStart=/bin/sleep infinity
"""


def _program(name: str) -> str:
    return (_PROGRAMS / name).read_text(encoding="utf-8")


def _held(seconds: int) -> Files:
    """A layer that says for how long apt's locks are held at the first boot."""
    return Files({_HELD_S: f"{seconds}\n"})


def _manners(locale: str, time_zone: str) -> Files:
    files = {
        "etc/cloud/cloud.cfg.d/90-ubuntu.cfg": DEFAULT_USER,
        "etc/ssh/sshd_config.d/60-cloudimg-settings.conf": "PasswordAuthentication no\n",
        "etc/default/chrony": 'DAEMON_OPTS="-x -F 1"\n',
        "etc/default/locale": f"LANG={locale}\n",
        "etc/timezone": f"{time_zone}\n",
        "etc/systemd/resolved.conf.d/50-sandbox.conf": "[Resolve]\nFallbackDNS=\n",
        "etc/systemd/system/apt-daily-upgrade.timer.d/50-sandbox.conf": _AT_BOOT,
        "etc/systemd/system/apt-daily-upgrade.service.d/50-sandbox.conf": _STAND_IN,
        "etc/systemd/system/chrony.service.d/50-sandbox.conf": _CHRONY,
        "etc/systemd/system/sandbox-agent.socket": _AGENT,
        "etc/systemd/system/sandbox-agent.service": _AGENT_SERVICE,
        "usr/lib/haven-sandbox/unattended-upgrade": _program("unattended-upgrade"),
        "var/lib/cloud/scripts/per-instance/10-install-packages": _program("install-packages"),
        machine_traits.PATH: '{"ipv6": false}\n',
    }
    links = {
        "etc/localtime": f"/usr/share/zoneinfo/{time_zone}",
        "etc/systemd/system/sockets.target.wants/sandbox-agent.socket": "../sandbox-agent.socket",
    }
    return Files(files, links)


_SOCKET_ACTIVATION = "systemctl disable ssh.service\nsystemctl enable ssh.socket\n"
_LOCALES = "for name in en_US sv_SE; do echo $name.UTF-8 UTF-8; done >/etc/locale.gen\nlocale-gen\n"

_LIKE = Packages(_PACKAGES, _LOCALES + _SOCKET_ACTIVATION)
_NEXT = Packages((*_PACKAGES, "sudo-rs"), _LOCALES + _SOCKET_ACTIVATION + _program("sudo-rs.sh"))
_LIKE_MANNERS = _manners("C.UTF-8", "Asia/Kolkata")
_NEXT_MANNERS = _manners("sv_SE.UTF-8", "Europe/Stockholm")
_SOON, _LATE = _held(5), _held(75)

# What images for machine learning bring: environments, a Jupyter in PATH, Docker's network, a long greeting.
_JAX = Wheels("opt/jax", "3.11", ("jax==0.4.30", "jaxlib==0.4.30", "keras==3.3.3", "numpy<2", "packaging"))
_DOCKER = """\
[Unit]
Description=The network that Docker leaves on a machine

[Service]
Type=oneshot
RemainAfterExit=true
ExecStart=/usr/sbin/ip link add docker0 type bridge
ExecStart=/usr/sbin/ip addr add 172.17.0.1/16 dev docker0
ExecStart=/usr/sbin/nft -f /usr/lib/haven-sandbox/docker.nft
"""
_DOCKER_RULES = """\
table ip nat {
  chain POSTROUTING {
    type nat hook postrouting priority srcnat; policy accept;
    ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
  }
}
table ip filter {
  chain FORWARD {
    type filter hook forward priority filter; policy drop;
    oifname "docker0" ct state related,established accept
    iifname "docker0" oifname != "docker0" accept
  }
}
"""
_DEEP_LEARNING = Files(
    {
        "etc/motd": "".join(f"* Line {line} of what this image has to say\n" for line in range(1, 41)),
        "etc/environment": 'PATH="/opt/conda/bin:/usr/local/bin:/usr/bin:/bin"\nKERAS_BACKEND="jax"\n',
        "usr/local/bin/jupyter": "#!/bin/sh\necho 'This is the Jupyter of the image.' >&2\nexit 1\n",
        "opt/conda/bin/jupyter": "#!/bin/sh\necho 'This is the Jupyter of the image.' >&2\nexit 1\n",
        "opt/conda/conda-meta/history": "==> 2026-01-01 00:00:00 <==\n# cmd: conda create jax\n",
        "opt/conda/lib/python3.11/site-packages/image.pth": "/opt/jax/lib/python3.11/site-packages\n",
        "opt/conda/pyvenv.cfg": "home = /usr/bin\ninclude-system-site-packages = false\n",
        "usr/lib/haven-sandbox/docker.nft": _DOCKER_RULES,
        "etc/systemd/system/sandbox-docker.service": _DOCKER,
    },
    {
        "opt/conda/bin/python": "/usr/bin/python3.11",
        "opt/conda/bin/python3": "/usr/bin/python3.11",
        "etc/systemd/system/multi-user.target.wants/sandbox-docker.service": "../sandbox-docker.service",
    },
)
# The driver: the libraries that answer for it, and its packages, which some images hold.
DRIVER_VERSION = "535.104.05"
_STAND_INS = repository() / "molecule/cuda/files"
DRIVER_LIBRARIES = Libraries(
    {
        "usr/lib/x86_64-linux-gnu/libcuda.so.1": _STAND_INS / "cuda_stub.c",
        "usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": _STAND_INS / "nvml_stub.c",
    }
)
_PACKAGED = f"version={DRIVER_VERSION}-1\n{_program('nvidia-packages.sh')}"
_FREE = Packages(("pciutils",), _PACKAGED)
_HELD = Packages(("pciutils",), f"{_PACKAGED}apt-mark hold $names\n")


def _learning(driver: Packages) -> tuple[Layer, ...]:
    return (_DEEP_LEARNING, _JAX, _LIKE_MANNERS, DRIVER_LIBRARIES, driver, _LIKE)


@dataclass(frozen=True)
class Profile:
    """A suite of Debian, and the layers on it and on the sandbox's own settings, topmost first."""

    suite: str
    layers: tuple[Layer, ...]


# Disks as EC2's Nitro machines show them, one of the host's among them.
_NITRO = Files({machine_traits.PATH: '{"ipv6": false, "nitro": true}\n'})

PROFILES = {
    "ubuntu-like": Profile("bookworm", (_SOON, _LIKE_MANNERS, _LIKE)),
    "ubuntu-like-slow": Profile("bookworm", (_LATE, _LIKE_MANNERS, _LIKE)),
    "deep-learning-image": Profile("bookworm", (_SOON, *_learning(_HELD))),
    "deep-learning-image-free": Profile("bookworm", (_SOON, *_learning(_FREE))),
    "deep-learning-image-slow": Profile("bookworm", (_LATE, *_learning(_HELD))),
    "ubuntu-nitro": Profile("trixie", (_NITRO, _SOON, _NEXT_MANNERS, _NEXT)),
    "ubuntu-next": Profile("trixie", (_SOON, _NEXT_MANNERS, _NEXT)),
    "ubuntu-next-slow": Profile("trixie", (_LATE, _NEXT_MANNERS, _NEXT)),
}
