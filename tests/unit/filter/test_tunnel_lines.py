# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses that haven.gpu.connect prints."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.haven.gpu.plugins.filter.tunnel_lines import tunnel_lines

NOTEBOOK = {"port": 8888, "local_port": 8888, "socket": "/run/haven/alice/jupyter.sock"}
TENSORBOARD = {"port": 6006, "local_port": 6006, "socket": "/run/haven/alice/tensorboard.sock"}


def test_each_service_has_its_address() -> None:
    assert tunnel_lines([NOTEBOOK, TENSORBOARD], "alice") == [
        "http://localhost:8888   notebook of alice",
        "http://localhost:6006   TensorBoard of alice",
    ]


def test_only_the_notebook_answers_with_https() -> None:
    lines = tunnel_lines([NOTEBOOK, TENSORBOARD], "alice", https=True)
    assert [line.split(":")[0] for line in lines] == ["https", "http"]


def test_another_port_says_who_has_the_wanted_one() -> None:
    moved = {**NOTEBOOK, "local_port": 8889, "taken_by": "ssh (process 4711)"}
    assert tunnel_lines([moved], "alice") == [
        "http://localhost:8889   notebook of alice (port 8888 is used by ssh (process 4711))"
    ]


@pytest.mark.parametrize("forwards", [[{}], ["x"], 3, [{"socket": None}]])
def test_anything_else_is_refused_with_a_sentence(forwards: Any) -> None:
    with pytest.raises(AnsibleFilterError, match=r"expects the forwards that haven\.gpu\.tunnel returned"):
        tunnel_lines(forwards, "alice")
