# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel specification with which Jupyter finds an environment."""

from __future__ import annotations

import json
import os
from typing import Any

from .models import Spec, VenvError
from .process import HAVEN_ENVIRONMENT, read_environment_file


def folder_of(spec: Spec) -> str:
    """The kernel's folder in the user's data folder, because nobody else could start the kernel."""
    return os.path.join(os.path.expanduser("~"), ".local", "share", "jupyter", "kernels", spec.name.lower())


def wanted(spec: Spec) -> str:
    """Return kernel.json as text, or an empty string if the environment is not a kernel.

    The kernel inherits the server's proxy variables, which are left alone, because a server in its own network
    namespace uses another address for the proxy than the rest of the host.
    """
    if not spec.display_name:
        return ""
    egress = read_environment_file(HAVEN_ENVIRONMENT)
    environment = {key: value for key, value in egress.items() if not key.lower().endswith("_proxy")}
    environment["VIRTUAL_ENV"] = spec.path
    environment["PATH"] = f"{spec.path}/bin:/opt/haven/uv/bin:${{PATH}}"
    environment.update(spec.kernel_env)
    content: dict[str, Any] = {
        # as in ipykernel's own specification, because the debugger misses breakpoints in frozen modules
        "argv": [spec.bin_python, "-Xfrozen_modules=off", "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": spec.display_name,
        "language": "python",
        "metadata": {"debugger": True},
        "env": dict(sorted(environment.items())),
    }
    return json.dumps(content, indent=1, ensure_ascii=False)


def current(spec: Spec) -> str:
    """Return kernel.json if it belongs to this environment, or an empty string. Raises VenvError for a foreign one."""
    path = os.path.join(folder_of(spec), "kernel.json")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        program = json.loads(text)["argv"][0]
    except FileNotFoundError:
        return ""
    except (ValueError, LookupError, TypeError):
        program = ""
    if program == spec.bin_python:
        return text
    if spec.display_name:
        raise VenvError(f"{path} is a kernel that does not belong to {spec.label}; remove it, or use another name.")
    return ""


def write(spec: Spec, text: str) -> None:
    """Write the kernel specification, or remove it if the text is empty."""
    folder = folder_of(spec)
    path = os.path.join(folder, "kernel.json")
    if not text:
        os.remove(path)
        if not os.listdir(folder):
            os.rmdir(folder)
        return
    os.makedirs(folder, exist_ok=True)
    # kernel_env may contain secrets
    with open(f"{path}.new", "w", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(text)
    os.replace(f"{path}.new", path)
