"""After ssh_config_state: absent the user's configuration is what it was."""

from __future__ import annotations

import os
from pathlib import Path

HOME = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "home"


def test_the_users_own_configuration_is_as_it_was() -> None:
    original = "# mine\nUser everywhere\n\nHost elsewhere\n  HostName 192.0.2.1"
    assert (HOME / "config").read_text() == original


def test_nothing_of_ours_is_left() -> None:
    assert list(HOME.glob("haven-*")) == []


def test_undoing_what_was_never_done_makes_nothing() -> None:
    assert not (HOME.parent / "nothing").exists()
