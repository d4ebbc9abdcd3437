"""Lets a kernel of alice's compute until it is ended: compute.py begin|end SSH_CONFIG HOST PASSWORD_FILE."""

from __future__ import annotations

import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))

from ansible_collections.haven.gpu.plugins.module_utils import _notebook
from tests.story import computing

order, ssh_config, host, password = sys.argv[1:]
with _notebook.tunnel(ssh_config, host, "alice", 30) as path:
    notebook = _notebook.Notebook(path, 60, tls=True)
    notebook.login(pathlib.Path(password).read_text())
    {"begin": computing.begin, "end": computing.end}[order](notebook)
