"""From nothing to a notebook, with secrets that must show up nowhere; then what users do the next day."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import ipaddress
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import urllib.request
from collections.abc import Iterator

import boto3
import pytest

from tests.integration.sandbox_guests import Sandbox, running_sandbox, wait_until

from . import computing
from .canaries import READABLE, Canaries, Watch, plant, readable_files_with
from .conftest import ROOT, Story, changes, end, machines, make_story
from .finished import assert_finished

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAr2m4Tn0f8P0mB4W7i6bq2y1lJt9o3m5Zk7h0s8Qx1d"


@pytest.fixture(scope="module")
def canaries(folder: pathlib.Path) -> Canaries:
    return plant(folder)


@pytest.fixture(scope="module")
def story(folder: pathlib.Path, canaries: Canaries) -> Iterator[Story]:
    # The cloud's credentials come as options only.
    unset = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"})
    made = make_story(folder, "story", {**canaries.variables(), "tls_ca_directory": str(folder / "ca")}, unset=unset)
    yield made
    end(made)


@pytest.fixture(scope="module")
def first_run(story: Story, folder: pathlib.Path) -> dict[str, bytes]:
    """All that the first run showed to others: its output at -vvv, and the arguments of every process meanwhile."""
    (folder / "began").touch()
    before = story.run("site", "--check", "--diff", "-vvv")
    assert "jupyter-demo" in before
    assert story.inventory_hosts() == {}, "check mode created something"
    watch = Watch()
    watch.start()
    output = story.run("site", "-vvv", "--diff")
    output += story.run(str(pathlib.Path(__file__).with_name("certificates.yml")), "-vvv", "--diff")
    output += story.run("status", "-vvv")
    return {"ansible-playbook -vvv --diff": (before + output).encode(), "process arguments": watch.stop()}


@pytest.mark.quick
def test_second_run_changes_nothing_and_check_mode_agrees(story: Story, first_run: dict[str, bytes]) -> None:
    assert set(changes(story.run("site", "--check", "--diff")).values()) == {0}
    assert set(changes(story.run("site")).values()) == {0}


@pytest.mark.quick
def test_secrets_are_in_use_and_roots_alone(story: Story, first_run: dict[str, bytes], canaries: Canaries) -> None:
    """Or their absence elsewhere would prove nothing. The passwords of notebook and cloud have opened their doors."""
    kept = {
        "/etc/haven/egress.env": "proxy_password",
        "/etc/canary": "user_data",
        "/var/lib/cloud/instance/user-data.txt": "user_data",
        "/etc/haven/tls/own.key": "tls_key",
    }
    for path, secret in kept.items():
        assert canaries.found_in(story.ssh(f"sudo cat {path}").encode()) == {secret}, path
        assert story.ssh(f"sudo stat -L -c '%U %a' {path}").split() == ["root", "600"], path
    config = "/etc/haven/jupyter/alice.py"
    assert canaries.found_in(story.ssh(f"sudo cat {config}").encode()) == {"hash of the password", "proxy_password"}
    assert "ENCRYPTED" in (story.inventory.parent / "ca" / "ca.key").read_text()


def test_no_secret_was_shown(story: Story, first_run: dict[str, bytes], canaries: Canaries) -> None:
    seen = first_run["process arguments"]
    assert b"/opt/haven/jupyter/bin/jupyter-lab" in seen, "the guest's processes were not among those seen"
    instance = story.inventory_hosts()["jupyter-demo"]["haven_id"]
    console = boto3.client("ec2").get_console_output(InstanceId=instance, Latest=True)["Output"]
    assert "ssh-ed25519" in console
    places = {
        **first_run,
        "journal": base64.b64decode(story.ssh("sudo journalctl -o export --no-pager | base64 -w0")),
        "ps of the instance": story.ssh("ps -eww -o args").encode(),
        "unit properties": story.ssh("systemctl show '*' --no-pager; systemctl show-environment").encode(),
        "access log of the cloud": pathlib.Path(os.environ["HAVEN_SANDBOX_EC2_LOG"]).read_bytes(),
        "console": console.encode(),
    }
    for place, content in places.items():
        assert content
        assert canaries.found_in(content) == set(), place
        assert b"$argon2id$" not in content, place


def test_no_secret_is_in_a_file_that_others_may_read(
    story: Story, first_run: dict[str, bytes], canaries: Canaries, folder: pathlib.Path
) -> None:
    """On both sides; a file that is meant to be found shows that the search finds."""
    control = story.home / "control"
    control.write_text(canaries.secret)
    control.chmod(0o644)
    assert readable_files_with(canaries, folder / "began", story.home) == [f"secret in {control}"]
    control.unlink()
    # What is looked for goes in by a file: sudo writes command lines into the journal.
    put = "umask 077; cat > sought; (umask 022; tail -n 1 sought > /tmp/control)"
    look = (
        f"{READABLE} -print0 2>/dev/null | sudo LC_ALL=C xargs -0 grep -saoHF -f $PWD/sought; rm -f sought /tmp/control"
    )
    found = story.ssh(f"{put}; {look}", given=b"\n".join([*canaries.forms(), b"meant to be found\n"]))
    assert set(found.splitlines()) == {"/tmp/control:meant to be found"}


def test_this_machine_has_no_way_to_the_instance_but_the_jump_host(story: Story, first_run: dict[str, bytes]) -> None:
    address = ipaddress.ip_address(story.inventory_hosts()["jupyter-demo"]["haven_private_address"])
    # Read from the routing tables, because a probe would leave by the machine's default route for somebody else's host.
    routes = json.loads(subprocess.check_output(["ip", "-j", "-4", "route", "show", "table", "all"]))
    specific = [route["dst"] for route in routes if route["dst"] != "default"]
    assert specific
    assert [route for route in specific if address in ipaddress.ip_network(route, strict=False)] == []


def test_no_other_machine_of_the_private_network_reaches_its_sshd(story: Story, first_run: dict[str, bytes]) -> None:
    address = story.inventory_hosts()["jupyter-demo"]["haven_private_address"]
    found = running_sandbox()
    assert found is not None
    with Sandbox(found).guest() as neighbour:
        knock = "timeout 3 bash -c '</dev/tcp/{}/22'"
        assert neighbour.root(knock.format(neighbour.address)).returncode == 0
        assert neighbour.root(knock.format(address)).returncode != 0


def test_the_instance_accepts_no_passwords(story: Story, first_run: dict[str, bytes]) -> None:
    said = story.ssh("sudo sshd -T -C user=debian,host=x,addr=10.0.0.1").splitlines()
    assert {"passwordauthentication no", "kbdinteractiveauthentication no", "pubkeyauthentication yes"} <= set(said)
    assert story.ssh("sudo ls /etc/haven/sshd").split() == ["lock", "next"], "nothing waits to take the change back"


def test_the_instance_has_no_way_out_but_the_proxy(story: Story, first_run: dict[str, bytes]) -> None:
    direct = "curl -s -o /dev/null -m 4 --noproxy '*' http://198.51.100.200/; echo rc=$?"
    assert "rc=0" not in story.ssh(direct)
    proxy = os.environ["HAVEN_SANDBOX_PROXY_URL"]
    refused = story.ssh(f"curl -s -m 10 -o /dev/null -w '%{{http_code}}' -x {proxy} http://example.org/", check=False)
    assert refused.strip().endswith("403")


def test_with_kernel_debugger_and_terminal_open_only_sshd_listens(
    story: Story, first_run: dict[str, bytes], canaries: Canaries
) -> None:
    from ansible_collections.haven.gpu.plugins.module_utils._notebook import Notebook, tunnel

    facts = story.inventory_hosts()["jupyter-demo"]
    with tunnel(facts["haven_ssh_config"], facts["ansible_host"], "alice", 30) as local:
        notebook = Notebook(local, 30)
        notebook.login(canaries.password)
        notebook.json("POST", "/api/terminals", {})
        code = "import debugpy; debugpy.listen(('127.0.0.1', 5678)); import subprocess; "
        code += "print(subprocess.run(['cat', '/proc/net/tcp'], capture_output=True, text=True).stdout.count(' 0A '))"
        inside = int(notebook.run_cell(code))
        listening = story.ssh("sudo ss -Hltnp")
    assert inside > 0, "the kernel listens inside its own namespace, or this test proves nothing"
    assert all("sshd" in line or ('"systemd"' in line and ":22 " in line) for line in listening.splitlines()), listening


@pytest.mark.quick
def test_services_are_their_users_alone_and_come_back_after_a_boot(story: Story, first_run: dict[str, bytes]) -> None:
    assert_finished(story)


def test_units_are_hardened(story: Story, first_run: dict[str, bytes]) -> None:
    for unit in ("haven-jupyter@alice.service", "haven-tensorboard@alice.service"):
        report = story.ssh(f"sudo systemd-analyze security --no-pager {unit}")
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", report)
        assert found, report
        assert float(found.group(1)) <= 1.5, report


@pytest.mark.quick
def test_status_is_one_table(story: Story, first_run: dict[str, bytes]) -> None:
    address = story.inventory_hosts()["jupyter-demo"]["haven_private_address"]
    said = story.run("status", "-e", '{"haven_prices": {"g4dn.xlarge": 0.5}}')
    rows = [line.split()[1:] for line in said.splitlines() if line.split()[1:2] in (["MACHINE"], ["jupyter-demo"])]
    assert rows[0] == [
        "MACHINE",
        "STATE",
        "REGION",
        "GPU",
        "ADDRESS",
        "HOPS",
        "SERVICES",
        "TUNNEL",
        "SINCE",
        "HOURLY",
        "SPENT",
    ]
    assert rows[1][:2] == ["jupyter-demo", "running"]
    assert rows[1][3:8] == ["1xT4", address, "127.0.0.1", "jupyter,tensorboard", "-"]
    assert rows[1][9] == "0.50"
    assert "volume" in said


def served(port: int) -> bool:
    """Whether a notebook's login page is at that port of this computer."""
    with contextlib.suppress(OSError), urllib.request.urlopen(f"http://localhost:{port}/login", timeout=20) as page:
        return b"password" in page.read()
    return False


def test_connect_opens_the_notebook_until_disconnect(story: Story, first_run: dict[str, bytes]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        somebodys = taken.getsockname()[1]
        wanted = f"ssh_config_local_port={somebodys}"
        said = story.run("connect", "-e", wanted)
    port = int(re.findall(r"http://localhost:(\d+) +notebook of alice", said)[0])
    assert port != somebodys
    assert served(port)
    assert set(changes(story.run("connect", "-e", wanted)).values()) == {0}
    assert f"localhost:{port}" in story.run("status", "-e", "haven_status_services=false")
    assert f"ansible-playbook haven.gpu.disconnect -i {story.inventory}" in said
    assert set(changes(story.run("disconnect", "--check")).values()) == {1}
    assert set(changes(story.run("disconnect")).values()) == {1}
    assert not served(port)
    assert set(changes(story.run("disconnect")).values()) == {0}


def stop_while_somebody_computes(story: Story, password: str) -> None:
    """Refused with the name of who computes, which the question of destroy also has; then done when told to."""
    from ansible_collections.haven.gpu.plugins.module_utils._notebook import Notebook, tunnel

    facts = story.inventory_hosts()["jupyter-demo"]
    with tunnel(facts["haven_ssh_config"], facts["ansible_host"], "alice", 30) as local:
        notebook = Notebook(local, 30)
        notebook.login(password)
        computing.begin(notebook)
    for playbook, way_on in (("stop", "haven_busy=stop"), ("destroy", f"haven_destroy={story.project}")):
        refused = " ".join(story.run(playbook, check=False).split())
        assert "the notebook server of alice is in use: a kernel without a notebook is computing" in refused
        assert way_on in refused
    assert machines(story.run("status")) == [("jupyter-demo", "running")]
    story.run("stop", "-e", "haven_busy=stop")


def test_a_second_controller_connects_strictly_after_stop_and_start(
    story: Story, first_run: dict[str, bytes], tmp_path: pathlib.Path, canaries: Canaries
) -> None:
    said = story.run("connect")
    stop_while_somebody_computes(story, canaries.password)
    assert story.inventory_hosts() == {}
    story.run("start")
    port = int(re.findall(r"http://localhost:(\d+)", said)[0])
    assert wait_until(lambda: served(port), 180), "the tunnel did not come back with the machine"
    story.run("disconnect")
    second = dataclasses.replace(story, inventory=tmp_path / "inventory", home=tmp_path / "home")
    shutil.copytree(story.inventory, second.inventory)
    second.home.mkdir()
    facts = second.inventory_hosts()["jupyter-demo"]
    assert "StrictHostKeyChecking yes" in pathlib.Path(facts["haven_ssh_config"]).read_text()
    assert second.ssh("cat /var/lib/cloud/data/instance-id").strip() == facts["haven_id"]


def test_wrong_password_is_refused(story: Story, first_run: dict[str, bytes]) -> None:
    output = story.run("verify", "-e", '{"haven_users": [{"name": "alice", "password": "wrong"}]}', check=False)
    assert "refused the password" in output


@pytest.mark.parametrize("playbook", ["verify", "configure"])
def test_another_host_key_is_named_with_both_fingerprints(
    story: Story, first_run: dict[str, bytes], playbook: str
) -> None:
    facts = story.inventory_hosts()["jupyter-demo"]
    tag = {"Key": "haven:host-key", "Value": OTHER_KEY}
    client = boto3.client("ec2")
    client.create_tags(Resources=[facts["haven_id"]], Tags=[tag])
    try:
        # Ansible keeps connections open for a minute: one of an earlier run was verified by the former key.
        said = story.run(playbook, "-e", "ansible_ssh_args='-o ControlPath=none'", check=False)
    finally:
        client.create_tags(Resources=[facts["haven_id"]], Tags=[{**tag, "Value": facts["haven_host_key"]}])
    assert "haven.gpu refuses jupyter-demo" in said
    assert len(set(re.findall(r"SHA256:[A-Za-z0-9+/]{43}", said))) == 2
    assert "censored" not in said


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
