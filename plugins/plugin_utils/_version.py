# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The collection's version, the same as in galaxy.yml, which an installed collection does not contain."""

from __future__ import annotations

VERSION = "0.1.0"
