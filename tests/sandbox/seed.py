# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a guest finds on its disk at its first boot: its NoCloud seed, its name, and no host keys."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Seed:
    """What cloud-init is told."""

    instance_id: str
    hostname: str
    public_keys: tuple[str, ...]
    user_data: bytes

    def meta_data(self) -> str:
        """The meta-data document; JSON, which is YAML too, so that no value needs quoting of its own."""
        document = {
            "instance-id": self.instance_id,
            "local-hostname": self.hostname,
            "public-keys": list(self.public_keys),
        }
        return json.dumps(document) + "\n"


def plant(root: Path, seed: Seed) -> None:
    """Write the seed into a guest's root folder."""
    folder = root / "var/lib/cloud/seed/nocloud"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "meta-data").write_text(seed.meta_data(), encoding="utf-8")
    user_data = folder / "user-data"
    user_data.touch(mode=0o600)
    user_data.write_bytes(seed.user_data)
    (root / "etc/hostname").write_text(f"{seed.hostname}\n", encoding="ascii")
    # There is no name server in here, and sudo looks its own host up at every call.
    (root / "etc/hosts").write_text(
        f"127.0.0.1 localhost\n127.0.1.1 {seed.hostname}\n::1 localhost\n", encoding="ascii"
    )
