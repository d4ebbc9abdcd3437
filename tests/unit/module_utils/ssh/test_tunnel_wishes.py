# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A tunnel that ssh could misread is refused before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._errors import InvalidRequest
from ansible_collections.haven.gpu.plugins.module_utils._ssh.config import Forward
from ansible_collections.haven.gpu.plugins.module_utils._ssh.tunnels import Tunnels, Wish, project_folder

PLAIN: dict[str, Any] = {
    "ssh_config": "/k/config",
    "host": "box",
    "user": "alice",
    "forwards": (Forward(8888, "/run/a.sock"),),
}


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("host", "-oProxyCommand=x", "The host of a tunnel cannot be used: '-oProxyCommand=x'"),
        ("user", "a b", "The user of a tunnel is not a user name: 'a b'"),
        ("forwards", (Forward(0, "/run/a.sock"),), "A forward of a tunnel has no valid port: 0; use 1 to 65535"),
        ("forwards", (Forward(8888, "a:b"),), "The socket of a forward must be a plain absolute path, not 'a:b'"),
    ],
)
def test_what_ssh_could_misread_is_refused(field: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        Wish(**{**PLAIN, field: value})


@pytest.mark.parametrize("name", ["../box", "", "a b", "-x"])
def test_a_name_that_is_no_file_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="The name of a tunnel cannot be used"):
        Tunnels(str(tmp_path)).get(name)
    with pytest.raises(InvalidRequest, match="The project of a tunnel cannot be used"):
        project_folder(str(tmp_path), name)
