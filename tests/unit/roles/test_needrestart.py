# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""needrestart, which Ubuntu runs after every update, restarts no notebook server."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SETTINGS = Path(__file__).parents[3] / "roles/jupyter/files/needrestart.conf"
PERL = shutil.which("perl")
# As needrestart reads its settings, and then decides for each unit whether it is restarted.
DECIDE = r"""
our %nrconf = (override_rc => {});
eval do { local $/; open my $file, '<', shift; <$file> };
die $@ if $@;
for my $unit (@ARGV) {
    my ($rule) = grep { $unit =~ /$_/ } keys %{$nrconf{override_rc}};
    print "$unit ", (defined $rule ? $nrconf{override_rc}{$rule} : 1), "\n";
}
"""


@pytest.mark.skipif(PERL is None, reason="needrestart's settings are Perl, which is not here")
def test_notebook_servers_are_left_alone_and_nothing_else(tmp_path: Path) -> None:
    units = ["haven-jupyter@alice.service", "haven-jupyter-proxy@alice.service", "ssh.service"]
    ran = subprocess.run([str(PERL), "-w", "-e", DECIDE, SETTINGS, *units], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == [f"{unit} {decision}" for unit, decision in zip(units, "011")]
    assert ran.stderr == ""
