"""Holds a connection open: `hold.py CONFIG TARGET GATE FILE`; what came over it is in the file once it has ended."""

import pathlib
import subprocess
import sys

config, target, gate, file = sys.argv[1:]
with subprocess.Popen(["ssh", "-F", config, "-W", target, gate], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as ssh:
    came = ssh.stdout.read()  # our end stays open: it ends when the other one does
pathlib.Path(file).write_bytes(came)
