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
  - Brings files and folders to the content, owner and mode they should have, in the order given and in one go.
    M(ansible.builtin.template) and M(ansible.builtin.copy) run two modules on the host for every file.
  - A file is replaced whole or not at all, and never has more than its final permissions meanwhile.
  - Contents are neither logged on the host nor returned, except in the diff and in what a command in
    O(files[].validate) says of them, and not even there where O(files[].diff) is V(false).
  - Stops at the first failure; what was written before it stays.
attributes:
  check_mode: {support: full, description: "Commands in O(files[].validate) are not run then."}
  diff_mode: {support: full, description: "Content, owner, group and mode of what changes."}
  idempotent: {support: full, description: A file with the right content is not written again.}
options:
  files:
    description: Files and folders, a folder before what is in it.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Absolute path. A link there is replaced by a file, and followed to a folder.
        type: path
        required: true
      state:
        description: V(directory) makes a folder; parents that are missing become like it.
        type: str
        choices: [file, directory]
        default: file
      content:
        description: The whole text of a file. P(ansible.builtin.template#lookup) renders one.
        type: str
      mode:
        description: Permissions, as for M(ansible.builtin.file); by default V(0644) for files and V(0755) for folders.
        type: raw
      owner:
        description: Owner instead of O(owner).
        type: str
      group:
        description: Group instead of O(group).
        type: str
      validate:
        description: Command that accepts or refuses the new file before it takes its place; C(%s) stands for its path.
        type: str
      diff:
        description: Whether a diff, and the message of a refusal by O(files[].validate), may show the content.
        type: bool
        default: true
  owner:
    description: Owner of everything in O(files) that names none; by default what is there is left.
    type: str
  group:
    description: Group of everything in O(files) that names none; by default what is there is left.
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
  description: What was changed, or would be.
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
    """What the module's set_fs_attributes_if_different takes for this file, at the path given."""
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
    """Set owner, group and mode of what is there (not in check mode). Returns the difference, if any."""
    diff: Diff = {}
    if not module.set_fs_attributes_if_different(attributes(module, file, file["path"]), False, diff):
        return []
    diff["before_header"] = diff["after_header"] = file["path"]
    return [diff]


def folder(module: HavenModule, file: dict[str, Any]) -> list[Diff]:
    """Make the folder and its parents where they are missing. Returns the differences."""
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
    """Write the file if its content differs. Returns the differences."""
    path = file["path"]
    before = None
    if os.path.isfile(path) and not os.path.islink(path):
        with open(path, "rb") as current:
            before = current.read()
    if before == content:
        return changed_attributes(module, file)
    if os.path.isdir(path):
        module.fail_json(msg=f"{path} is a folder; remove it, or name a file.")
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
    """Put the content in the path's place once it has its owner and mode and the command in validate accepts it."""
    # mkstemp makes files with mode 0600; a name with a dot is read by none of the programs that read whole folders.
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(file["path"]), prefix=".haven-")
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(content)
        module.set_fs_attributes_if_different(attributes(module, file, temporary), False)
        if file["validate"]:
            command = [part.replace("%s", temporary) for part in shlex.split(file["validate"])]
            code, out, err = module.run_command(command)
            if code:
                # A checker quotes what it complains of.
                said = (err or out).strip() if file["diff"] else "what it said is not shown, as the content is not"
                module.fail_json(msg=f"{file['path']} was not written, its check refused the new content: {said}")
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
            module.fail_json(msg=f"The command in validate of {file['path']} must contain %s, where the path goes.")
        try:
            found = (
                folder(module, file) if file["state"] == "directory" else text(module, file, file["content"].encode())
            )
        except OSError as error:
            module.fail_json(
                msg=f"{file['path']} cannot be written: {error.strerror}; see that its folder is there and yours."
            )
        differences += found
        paths += [file["path"]] * bool(found)
    module.exit_json(changed=bool(differences), paths=paths, diff=differences)


if __name__ == "__main__":
    main()
