# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows what the module project_check says while it runs. Written by `make generated`; do not edit."""

from __future__ import annotations

from ..plugin_utils._progress import ActionModule

__all__ = ["ActionModule"]
