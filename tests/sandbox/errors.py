# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong, said in one sentence: what failed, why, and what to try."""

from __future__ import annotations


class SandboxError(Exception):
    """The sandbox cannot do what was asked; the message is for people."""


class UnsuitableMachineError(SandboxError):
    """This machine lacks something the sandbox needs; the message names it and what to install."""


class NoSuchMachineError(SandboxError):
    """The guest named does not exist, or no longer does."""
