# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host key made on the controller, for an instance that gets it with its user data."""

from __future__ import annotations

import os
import subprocess
import tempfile

from ._errors import InvalidRequest
from ._models import HostKey


def make() -> HostKey:
    """A new ed25519 key. Nothing of it stays here but what is returned. Raises InvalidRequest without ssh-keygen."""
    # Both are the user's alone: the folder is made with mode 0700, the private file with 0600.
    with tempfile.TemporaryDirectory(prefix="haven-") as folder:
        path = os.path.join(folder, "key")
        # No passphrase is no secret. run_command belongs to AnsibleModule.
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path]
        try:
            subprocess.run(  # pylint: disable=ansible-bad-function
                command, stdin=subprocess.DEVNULL, capture_output=True, check=True
            )
        except (OSError, subprocess.CalledProcessError) as error:
            raise InvalidRequest(
                f"host_key_source: injected needs ssh-keygen, which failed ({error}): install the OpenSSH client."
            ) from error
        return HostKey(public=_read(f"{path}.pub").strip(), private=_read(path))


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()
