"""Somebody's computer, from which the collection is used: a home of its own, an empty folder, a terminal."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from collections.abc import Mapping, Sequence

ENTER = pathlib.Path(__file__).with_name("enter.sh")
ROOT = pathlib.Path(__file__).resolve().parents[2]
SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclasses.dataclass(frozen=True)
class Controller:
    """One computer. ``settings`` are variables of its user's shell, beside those that every shell has.

    The home is that of the system's user data base, too, where ssh looks for it. With ``noexec``, no program can be
    run from /tmp. Needs root.
    """

    home: pathlib.Path
    settings: Mapping[str, str] = dataclasses.field(default_factory=dict)
    umask: str = "022"
    noexec: bool = False
    programs: str = SYSTEM_PATH

    @property
    def environment(self) -> dict[str, str]:
        """Nothing of ours but the programs: no setting of this checkout, of pytest or of the sandbox."""
        shell = {
            "HOME": str(self.home),
            "LANG": "C.UTF-8",
            "LOGNAME": "root",
            "PATH": f"{pathlib.Path(sys.executable).parent}:{self.programs}",
            "SHELL": "/bin/bash",
            "TERM": "dumb",
            "USER": "root",
        }
        return {**shell, **self.settings}

    def command(self, arguments: Sequence[str]) -> list[str]:
        """The command that runs this one on the computer."""
        kept = str(ROOT) if self.noexec else ""
        return ["/usr/bin/unshare", "--mount", "--", str(ENTER), str(self.home), self.umask, kept, *arguments]

    def install_collection(self) -> None:
        """Put the collection where ansible-galaxy would have installed it."""
        folder = self.home / ".ansible/collections/ansible_collections/haven"
        folder.mkdir(parents=True)
        (folder / "gpu").symlink_to(ROOT)
