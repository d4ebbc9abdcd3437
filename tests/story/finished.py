"""What holds on every machine that site.yml has finished, whatever its cloud and release."""

from __future__ import annotations

import json

from .conftest import Story, changes, machines

# One login for all: each through two hosts takes longer than the questions.
QUESTIONS = r"""
import json, os, pwd, stat, subprocess

def say(*command):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True).stdout.strip()

def file(path):
    found = os.lstat(path)
    return [stat.S_ISSOCK(found.st_mode), pwd.getpwuid(found.st_uid).pw_name, oct(stat.S_IMODE(found.st_mode))]

if subprocess.run(["id", "mallory"], capture_output=True).returncode:
    subprocess.run(["useradd", "-m", "mallory"], check=True)
services = ("jupyter", "tensorboard")
sockets = {name: f"/run/haven/alice/{name}.sock" for name in services}
knock = "runuser -u mallory -- curl -s -m 5 --unix-socket {} http://localhost/; echo rc=$?"
print(json.dumps({
    "active": [say("systemctl", "is-active", unit) for unit in UNITS],
    "enabled": [say("systemctl", "is-enabled", unit) for unit in UNITS],
    "listening": say("ss", "-Hltnp").splitlines(),
    "sockets": {name: file(path) for name, path in sockets.items()},
    "folder": file("/run/haven/alice")[2],
    "another user": {name: say("sh", "-c", knock.format(path)) for name, path in sockets.items()},
}))
"""
UNITS = ["haven-jupyter@alice.service", "haven-tensorboard@alice.socket"]


def assert_finished(story: Story, host: str = "jupyter-demo") -> None:
    """Alice's services run and come back after a boot, behind sockets that are hers alone; only sshd is in reach."""
    program = f"UNITS = {UNITS!r}\n{QUESTIONS}"
    found = json.loads(story.ssh("sudo python3 -", host, given=program.encode()))
    assert found["active"] == ["active", "active"]
    assert found["enabled"] == ["enabled", "enabled"]
    in_reach = [line for line in found["listening"] if not line.split()[3].startswith(("127.", "[::1]"))]
    # An image's own resolver asks and answers its neighbours by name (LLMNR).
    programs = ('"sshd"', '"systemd"', '"systemd-resolve"')
    assert in_reach
    assert all(any(program in line for program in programs) for line in in_reach), found
    assert found["sockets"] == {name: [True, "alice", "0o600"] for name in ("jupyter", "tensorboard")}
    assert found["folder"] == "0o1770"  # root's, sticky, with an entry for alice alone
    assert all("rc=7" in said for said in found["another user"].values()), found["another user"]


def assert_whole_story(story: Story) -> None:
    """site.yml ends well and then changes nothing; the machine is stopped, comes back and serves again."""
    story.run("site")
    assert set(changes(story.run("site")).values()) == {0}
    assert machines(story.run("status")) == [("jupyter-demo", "running")]
    story.run("stop")
    story.run("start")
    story.run("verify")
    assert_finished(story)
