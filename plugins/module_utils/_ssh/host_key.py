# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates a host key on the controller, for an instance that gets it with its user data."""

from __future__ import annotations

import os
import subprocess
import tempfile
from typing import Optional

from .._errors import InvalidRequest
from .._models import HostKey
from .proxy_helper import told


def make(signer: Optional[str] = None, principal: str = "") -> HostKey:
    """Return a new ed25519 key, and a certificate for the principal by the signer, whose private key is in that file,
    or in the agent if the file contains the public key. Nothing else of it is kept. Raises InvalidRequest.
    """
    # Both are private: the folder has mode 0700, the private file 0600.
    with tempfile.TemporaryDirectory(prefix="haven-") as folder:
        path = os.path.join(folder, "key")
        # An empty passphrase is not a secret.
        _ssh_keygen("-t", "ed25519", "-N", "", "-C", "", "-f", path)
        if signer:
            where = ["-U"] if signer.endswith(".pub") else []
            who = ["-I", f"haven.gpu {principal}", "-n", principal]
            _ssh_keygen(*where, "-s", signer, "-h", *who, f"{path}.pub")
        certificate = _read(f"{path}-cert.pub").strip() if signer else ""
        return HostKey(public=_read(f"{path}.pub").strip(), private=_read(path), certificate=certificate)


def _ssh_keygen(*arguments: str) -> None:
    try:
        # run_command belongs to AnsibleModule. Without a terminal, ssh-keygen cannot ask for a passphrase.
        done = subprocess.run(  # pylint: disable=ansible-bad-function
            ["ssh-keygen", "-q", *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise InvalidRequest("A host key needs the program ssh-keygen: install the OpenSSH client.") from error
    if done.returncode != 0:
        raise InvalidRequest(
            f"ssh-keygen could not create the host key ({told(done.stderr)}): host_key_signer must be the private key "
            "of your authority, without a passphrase, or its public key, ending in .pub, if an agent has the other."
        )


def _read(path: str) -> str:
    with open(path, encoding="ascii") as file:
        return file.read()
