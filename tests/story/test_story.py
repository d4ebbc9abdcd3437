"""From nothing to a notebook, with secrets that must show up nowhere; then what users do the next day."""

from __future__ import annotations

import base64
import ipaddress
import json
import os
import pathlib
import re
import shutil
import subprocess
import threading
import urllib.parse
from collections.abc import Iterator

import pytest

from .conftest import ROOT, Story, changes, end, make_story

CANARIES = {"password": "canary-Pässword-7f3a9c", "secret": "canary-secret-51d0be77", "proxy": "canary-proxy-2b6c"}


def encodings(secret: str) -> list[bytes]:
    """The forms in which a secret leaks: plain, escaped for a URL, base64 at any alignment, hexadecimal."""
    plain = secret.encode()
    shifted = [base64.b64encode(b"x" * n + plain)[4:-4] for n in range(3)]
    return [plain, urllib.parse.quote(secret).encode(), plain.hex().encode(), ascii(secret)[1:-1].encode(), *shifted]


class Watch(threading.Thread):
    """Collects every process's arguments and, where we may, environment on this machine while it runs."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self._stop = threading.Event()

    def run(self) -> None:
        while not self._stop.wait(0.1):
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue  # ended meanwhile

    def stop(self) -> bytes:
        self._stop.set()
        self.join()
        return b"\n".join(self.seen)


@pytest.fixture(scope="module")
def story(folder: pathlib.Path) -> Iterator[Story]:
    secrets = {
        "haven_secret": CANARIES["secret"],
        "haven_users": [
            {
                "name": "alice",
                "ssh_keys": [pathlib.Path(os.environ["HAVEN_SANDBOX_KEY"] + ".pub").read_text().strip()],
                "password": CANARIES["password"],
            }
        ],
    }
    made = make_story(folder, "story", secrets)
    yield made
    end(made)


@pytest.fixture(scope="module")
def first_run(story: Story) -> dict[str, bytes]:
    """All that the first run showed to others: its output at -vvv, and the arguments of every process meanwhile."""
    before = story.run("site", "--check", "--diff")
    assert "jupyter-demo" in before
    assert story.inventory_hosts() == {}, "check mode created something"
    watch = Watch()
    watch.start()
    output = story.run("site", "-vvv", "--diff")
    return {"ansible-playbook -vvv --diff": output.encode(), "process arguments": watch.stop()}


def test_second_run_changes_nothing_and_check_mode_agrees(story: Story, first_run: dict[str, bytes]) -> None:
    assert set(changes(story.run("site", "--check", "--diff")).values()) == {0}
    assert set(changes(story.run("site")).values()) == {0}


def test_secrets_are_found_nowhere(story: Story, first_run: dict[str, bytes]) -> None:
    readable = "sudo find / -xdev -type f -perm /o=r -size -4M -not -path '/proc/*' -not -path '/sys/*'"
    places = {
        **first_run,
        "journal": story.ssh("sudo journalctl -o export --no-pager | base64 -w0").encode(),
        "ps of the instance": story.ssh("ps -eww -o args").encode(),
        "unit properties": story.ssh("systemctl show '*' --no-pager").encode(),
        "access log of the cloud": pathlib.Path(os.environ["HAVEN_SANDBOX_EC2_LOG"]).read_bytes(),
    }
    places["journal"] = base64.b64decode(places["journal"])
    for name, secret in CANARIES.items():
        for form in encodings(secret):
            for place, content in places.items():
                assert form not in content, f"{name} stands in: {place}"
            pattern = form.decode().replace("'", "'\\''")
            found = story.ssh(f"{readable} -print0 | sudo xargs -0 grep -lF -e '{pattern}'", check=False)
            assert not found.strip(), f"{name} stands in world-readable files of the instance: {found}"
            here = subprocess.run(
                ["grep", "-rlF", "-e", form.decode(), str(story.home)], check=False, stdout=subprocess.PIPE, text=True
            ).stdout.split()
            loose = [path for path in here if pathlib.Path(path).stat().st_mode & 0o077]
            assert not loose, f"{name} stands in files of the controller that others may read: {loose}"


def test_this_machine_has_no_way_to_the_instance_but_the_jump_host(story: Story, first_run: dict[str, bytes]) -> None:
    address = ipaddress.ip_address(story.inventory_hosts()["jupyter-demo"]["haven_private_address"])
    # Read from the routing tables, because a probe would leave by the machine's default route for somebody else's host.
    routes = json.loads(subprocess.check_output(["ip", "-j", "-4", "route", "show", "table", "all"]))
    ways = [route["dst"] for route in routes if route["dst"] != "default"]
    assert ways
    assert [way for way in ways if address in ipaddress.ip_network(way, strict=False)] == []


def test_the_instance_has_no_way_out_but_the_proxy(story: Story, first_run: dict[str, bytes]) -> None:
    direct = "curl -s -o /dev/null -m 4 --noproxy '*' http://198.51.100.200/; echo rc=$?"
    assert "rc=0" not in story.ssh(direct)
    proxy = os.environ["HAVEN_SANDBOX_PROXY_URL"]
    refused = story.ssh(f"curl -s -m 10 -o /dev/null -w '%{{http_code}}' -x {proxy} http://example.org/", check=False)
    assert refused.strip().endswith("403")


def test_with_kernel_debugger_and_terminal_open_only_sshd_listens(story: Story, first_run: dict[str, bytes]) -> None:
    from ansible_collections.haven.gpu.plugins.module_utils._notebook import Notebook, tunnel

    facts = story.inventory_hosts()["jupyter-demo"]
    with tunnel(facts["haven_ssh_config"], facts["ansible_host"], "alice", 30) as local:
        notebook = Notebook(local, 30)
        notebook.login(CANARIES["password"])
        notebook.json("POST", "/api/terminals", {})
        code = "import debugpy; debugpy.listen(('127.0.0.1', 5678)); import subprocess; "
        code += "print(subprocess.run(['cat', '/proc/net/tcp'], capture_output=True, text=True).stdout.count(' 0A '))"
        inside = int(notebook.run_cell(code))
        listening = story.ssh("sudo ss -Hltnp")
    assert inside > 0, "the kernel listens inside its own namespace, or this test proves nothing"
    assert all("sshd" in line or ('"systemd"' in line and ":22 " in line) for line in listening.splitlines()), listening


def test_another_local_user_reaches_neither_service(story: Story, first_run: dict[str, bytes]) -> None:
    story.ssh("id mallory >/dev/null 2>&1 || sudo useradd -m mallory")
    for name in ("jupyter", "tensorboard"):
        attempt = (
            f"sudo -u mallory curl -s -m 5 --unix-socket /run/haven/alice/{name}.sock http://localhost/; echo rc=$?"
        )
        assert "rc=7" in story.ssh(attempt), f"{name} can be reached by another user"


def test_units_are_hardened(story: Story, first_run: dict[str, bytes]) -> None:
    for unit in ("haven-jupyter@alice.service", "haven-tensorboard@alice.service"):
        report = story.ssh(f"sudo systemd-analyze security --no-pager {unit}")
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
        assert found, report
        assert float(found.group(1)) <= 1.5, report


def test_a_second_controller_connects_strictly_after_stop_and_start(
    story: Story, first_run: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    story.run("stop")
    assert story.inventory_hosts() == {}
    story.run("start")
    second = Story(story.project, tmp_path / "inventory", tmp_path / "home")
    shutil.copytree(story.inventory, second.inventory)
    second.home.mkdir()
    facts = second.inventory_hosts()["jupyter-demo"]
    assert "StrictHostKeyChecking yes" in pathlib.Path(facts["haven_ssh_config"]).read_text()
    assert second.ssh("cat /var/lib/cloud/data/instance-id").strip() == facts["haven_id"]


def test_wrong_password_is_refused(story: Story, first_run: dict[str, bytes]) -> None:
    output = story.run("verify", "-e", '{"haven_users": [{"name": "alice", "password": "wrong"}]}', check=False)
    assert "refused the password" in output


def test_destroy_wants_the_name_of_the_project(story: Story, first_run: dict[str, bytes]) -> None:
    output = story.run("destroy", check=False)
    assert f"haven_destroy={story.project}" in output
    assert "jupyter-demo" in story.inventory_hosts()


def test_a_cloud_that_is_down_is_one_sentence(story: Story) -> None:
    environment = {**story.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        story.command("provision"), cwd=ROOT, env=environment, check=False, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "Traceback" not in done.stdout
