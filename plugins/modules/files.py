#!/usr/bin/python
# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: files
short_description: Write several text files in one call
version_added: "0.1.0"
author: The haven.gpu contributors (@haven-gpu)
description:
  - Writes files and folders with content, owner, and mode, in the order given and in one call.
    M(ansible.builtin.template) and M(ansible.builtin.copy) run two modules on the host for every file.
  - A file is replaced as a whole or not at all, and never has more permissions than it finally gets.
  - Contents are neither logged on the host nor returned, except in the diff and in the output of a command in
    O(files[].validate), and not even there if O(files[].diff) is V(false).
  - Stops at the first failure. What was written until then is kept.
attributes:
  check_mode: {support: full, description: "Commands in O(files[].validate) are not run then."}
  diff_mode: {support: full, description: "Content, owner, group, and mode of what changes."}
  idempotent: {support: full, description: A file with the right content is not written again.}
options:
  files:
    description: The files and folders. List a folder before its contents.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path. A link is replaced by a file, but followed to a folder.
        type: path
        required: true
      state:
        description: V(directory) creates a folder. Missing parents get the same owner and mode.
        type: str
        choices: [file, directory]
        default: file
      content:
        description: The complete text of a file. To render a template, use P(ansible.builtin.template#lookup).
        type: str
      mode:
        description: Permissions, as for M(ansible.builtin.file). The default is V(0644) for files, V(0755) for folders.
        type: raw
      owner:
        description: Owner, instead of O(owner).
        type: str
      group:
        description: Group, instead of O(group).
        type: str
      validate:
        description: A command that must accept the new file before it is put in place. C(%s) stands for its path.
        type: str
      diff:
        description: Whether a diff, and the error message if O(files[].validate) fails, may show the content.
        type: bool
        default: true
  owner:
    description: Owner of everything in O(files) without an owner. By default the owner is not changed.
    type: str
  group:
    description: Group of everything in O(files) without a group. By default the group is not changed.
    type: str
"""

EXAMPLES = r"""
- name: Write two files of a service
  haven.gpu.files:
    owner: root
    group: root
    files:
      - {path: /etc/example, state: directory}
      - path: /etc/example/main.conf
        content: "{{ lookup('ansible.builtin.template', 'main.conf.j2') }}"
        mode: "0600"
      - path: /etc/sudoers.d/example
        content: "Defaults env_file=/etc/example/main.conf\n"
        mode: "0440"
        validate: /usr/sbin/visudo -cf %s
"""

RETURN = r"""
paths:
  description: The paths that were changed, or in check mode would be.
  returned: success
  type: list
  elements: str
  sample: [/etc/example/main.conf]
"""

import os
import shlex
import tempfile
from typing import Any

from ..module_utils._ansible_module import HavenModule

FILE = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["file", "directory"], "default": "file"},
    "content": {"type": "str"},
    "mode": {"type": "raw"},
    "owner": {"type": "str"},
    "group": {"type": "str"},
    "validate": {"type": "str"},
    "diff": {"type": "bool", "default": True},
}
SPEC = {
    "files": {
        "type": "list",
        "elements": "dict",
        "options": FILE,
        "required": True,
        "required_if": [("state", "file", ["content"])],
    },
    "owner": {"type": "str"},
    "group": {"type": "str"},
}
Diff = dict[str, Any]


class FilesModule(HavenModule):
    hidden = frozenset({"content"})


def attributes(module: HavenModule, file: dict[str, Any], path: str) -> dict[str, Any]:
    """Return the arguments of set_fs_attributes_if_different for this file, at the given path."""
    default = "0755" if file["state"] == "directory" else "0644"
    wanted: dict[str, Any] = module.load_file_common_arguments(
        {
            "path": path,
            "mode": default if file["mode"] is None else file["mode"],
            "owner": file["owner"] or module.params["owner"],
            "group": file["group"] or module.params["group"],
        }
    )
    return wanted


def changed_attributes(module: HavenModule, file: dict[str, Any]) -> list[Diff]:
    """Set owner, group, and mode of an existing path (not in check mode). Return the difference, if any."""
    diff: Diff = {}
    if not module.set_fs_attributes_if_different(attributes(module, file, file["path"]), False, diff):
        return []
    diff["before_header"] = diff["after_header"] = file["path"]
    return [diff]


def folder(module: HavenModule, file: dict[str, Any]) -> list[Diff]:
    """Create the folder and its parents if they are missing. Return the differences."""
    path = file["path"]
    if os.path.isdir(path):
        return changed_attributes(module, file)
    missing = [path]
    while not os.path.isdir(parent := os.path.dirname(missing[-1])):
        missing.append(parent)
    for new in reversed(missing if not module.check_mode else []):
        os.mkdir(new, 0o700)
        module.set_fs_attributes_if_different(attributes(module, file, new), False)
    return [{"before_header": path, "after_header": path, "before": "", "after": "a folder\n"}]


def text(module: HavenModule, file: dict[str, Any], content: bytes) -> list[Diff]:
    """Write the file if its content differs. Return the differences."""
    path = file["path"]
    before = None
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "rb") as current:
            before = current.read()
    if before == content:
        return changed_attributes(module, file)
    if os.path.isdir(path):
        module.fail_json(msg=f"{path} is a folder. Delete it, or give the path of a file.")
    if not module.check_mode:
        replace(module, file, content)
    hidden = "content is not shown\n"
    return [
        {
            "before_header": path,
            "after_header": path,
            "before": (before or b"").decode(errors="replace") if file["diff"] else hidden * (before is not None),
            "after": content.decode() if file["diff"] else "new " + hidden,
        }
    ]


def replace(module: HavenModule, file: dict[str, Any], content: bytes) -> None:
    """Replace the file once the new one has its owner and mode and the command in validate accepts it."""
    # mkstemp creates files with mode 0600. Programs that read whole folders skip names that begin with a dot.
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(file["path"]), prefix=".haven-")
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(content)
        module.set_fs_attributes_if_different(attributes(module, file, temporary), False)
        if file["validate"]:
            command = [part.replace("%s", temporary) for part in shlex.split(file["validate"])]
            code, out, err = module.run_command(command)
            if code:
                # Checkers quote the lines that they complain about.
                said = (err or out).strip() if file["diff"] else "its output is hidden, as the content is"
                module.fail_json(
                    msg=f"{file['path']} was not written, because the command in validate refused it: {said}"
                )
        os.replace(temporary, file["path"])
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


def main() -> None:
    module = FilesModule(argument_spec=SPEC, supports_check_mode=True)
    differences: list[Diff] = []
    paths: list[str] = []
    for file in module.params["files"]:
        if file["validate"] and "%s" not in file["validate"]:
            module.fail_json(
                msg=f"The command in validate of {file['path']} must contain %s, which stands for the path."
            )
        try:
            found = (
                folder(module, file) if file["state"] == "directory" else text(module, file, file["content"].encode())
            )
        except OSError as error:
            module.fail_json(
                msg=f"{file['path']} cannot be written: {error.strerror}. Check that its folder exists and is yours."
            )
        differences += found
        paths += [file["path"]] * bool(found)
    module.exit_json(changed=bool(differences), paths=paths, diff=differences)


if __name__ == "__main__":
    main()
