"""What holds for notebook servers with and without a data volume, seen through the tunnel and on the host."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
from typing import Any

import pytest
import websocket
from testinfra.host import Host

from ansible_collections.haven.gpu.plugins.module_utils import _notebook
from ansible_collections.haven.gpu.plugins.plugin_utils._password import argon2_hash
from tests.sandbox.registries import pip_indexes
from tests.story.canaries import encodings

SECRET = "a secret of the scenario"
PASSWORDS = {"alice": "the first password", "carol": "a password of carol", "dana": "a password of dana"}
UNIT = "haven-jupyter@alice.service"
FOREIGN = "http://attacker.example"
# Processes made in three ways, each with shared memory, and the calls that pinning and page-locking need.
DATA_LOADER = """
import mmap, multiprocessing, os, pathlib, sys
pathlib.Path("loader_work.py").write_text('''
from multiprocessing import shared_memory
def load(number):
    block = shared_memory.SharedMemory(create=True, size=1 << 20)
    block.buf[0] = number
    block.close()
    return block.name
''')
sys.path.insert(0, "")
import loader_work
from multiprocessing import shared_memory
total = 0
for method in ("fork", "spawn", "forkserver"):
    with multiprocessing.get_context(method).Pool(2) as pool:
        for name in pool.map(loader_work.load, range(4)):
            block = shared_memory.SharedMemory(name=name)
            total += block.buf[0]
            block.close(); block.unlink()
os.sched_setaffinity(0, os.sched_getaffinity(0))
mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
print(total)
"""
# Page-locking, as CUDA does it. What the guest itself is refused by its container is not ours to give.
LOCK_A_PAGE = "import ctypes; print(ctypes.CDLL(None).mlock(ctypes.create_string_buffer(4096), 4096))"
TRY_TO_WRITE = """
import os
for folder in ("/etc", "/usr", "/opt/haven/jupyter", "/run/haven", "/var/tmp/..", "/home/mallory"):
    try:
        open(folder + "/mark", "w")
        print("wrote to", folder)
    except OSError:
        pass
print("done")
"""
WAY_OUT = """
import subprocess
run = lambda command: subprocess.run(command, shell=True, capture_output=True, text=True)
print(run("python3 -m venv --clear /tmp/v && /tmp/v/bin/pip install -q tomli && /tmp/v/bin/pip show tomli").returncode)
print(run("curl -s -m 3 --noproxy '*' INDEX").returncode)
""".replace("INDEX", pip_indexes()[0])


@pytest.fixture(scope="module")
def stranger(visit: Any) -> _notebook.Notebook:
    return visit("alice")


@pytest.fixture(scope="module")
def alice(visit: Any) -> _notebook.Notebook:
    return visit("alice", PASSWORDS["alice"])


@pytest.mark.parametrize("user", PASSWORDS)
def test_a_kernel_answers_behind_the_password(visit: Any, user: str) -> None:
    notebook = visit(user, PASSWORDS[user])
    assert notebook.run_cell("import getpass; print(getpass.getuser())").strip() == user


def test_the_password_of_another_user_is_refused(stranger: _notebook.Notebook) -> None:
    with pytest.raises(_notebook.NotebookError, match="refused the password"):
        stranger.login(PASSWORDS["carol"])


@pytest.mark.parametrize("path", ["/api/kernels", "/api/contents", "/api/terminals", "/api/status", "/metrics"])
def test_without_a_login_the_api_gives_nothing(stranger: _notebook.Notebook, path: str) -> None:
    assert stranger.request("GET", path)[0] == 403


@pytest.mark.parametrize("path", ["/lab", "/tensorboard/", "/proxy/6006/", "/files/x"])
def test_without_a_login_a_page_leads_to_the_login(stranger: _notebook.Notebook, path: str) -> None:
    assert stranger.request("GET", path)[0] == 302


@pytest.mark.parametrize("name", ["attacker.example", "attacker.example:8888", "10.0.0.1"])
@pytest.mark.parametrize("path", ["/login", "/lab", "/api/kernels", "/tensorboard/"])
def test_a_foreign_host_name_is_refused_even_with_a_login(alice: _notebook.Notebook, name: str, path: str) -> None:
    assert alice.request("GET", path, headers={"Host": name})[0] == 403


def test_a_foreign_origin_reaches_no_kernel(alice: _notebook.Notebook, channel: Any) -> None:
    status, dummy = alice.request("POST", "/api/kernels", b"{}", {"Origin": FOREIGN})
    assert status in (403, 404)
    kernel = alice.json("POST", "/api/kernels", {})["id"]
    for changed in ({"origin": FOREIGN}, {"cookie": None}):
        with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
            channel(alice, f"/api/kernels/{kernel}/channels", **changed)
    alice.json("DELETE", f"/api/kernels/{kernel}")


def test_the_login_does_not_travel_with_requests_of_other_sites(alice: _notebook.Notebook) -> None:
    cookie = next(c for c in alice._cookies if c.name.startswith("username-"))
    assert cookie.get_nonstandard_attr("SameSite") == "Strict"
    assert cookie.has_nonstandard_attr("HttpOnly")


def test_with_kernel_debugger_and_terminal_open_only_sshd_listens(
    host: Host, alice: _notebook.Notebook, channel: Any
) -> None:
    kernel = alice.json("POST", "/api/kernels", {})["id"]
    with contextlib.closing(channel(alice, f"/api/kernels/{kernel}/channels")) as debugger:
        message = _notebook._execute_request("")
        message["channel"], message["header"]["msg_type"] = "control", "debug_request"
        message["content"] = {"type": "request", "seq": 1, "command": "initialize", "arguments": {}}
        debugger.send(json.dumps(message))
        while (answer := json.loads(debugger.recv()))["msg_type"] != "debug_reply":
            pass
        assert answer["content"]["success"]
        terminal = alice.json("POST", "/api/terminals", {})["name"]
        with contextlib.closing(channel(alice, f"/terminals/websocket/{terminal}")) as screen:
            screen.send(json.dumps(["stdin", "id -un\r"]))
            with host.sudo():
                lines = host.check_output("ss -Hltnp; ss -Hlunp").splitlines()
            inside = alice.run_cell("import subprocess; print(subprocess.getoutput('ss -Hltn'))")
    alice.json("DELETE", f"/api/terminals/{terminal}")
    alice.json("DELETE", f"/api/kernels/{kernel}")
    assert lines
    assert all(":22 " in line for line in lines)
    assert "127.0.0.1:3128" in inside
    assert len(inside.splitlines()) > 1  # the kernel's own ports, where nobody else sees them


@pytest.mark.parametrize("user", ["mallory", "carol"])
def test_another_user_cannot_open_the_socket(host: Host, user: str) -> None:
    with host.sudo(user):
        answer = host.run("curl -s -m 5 --unix-socket /run/haven/alice/jupyter.sock http://localhost/login")
    assert answer.rc == 7
    assert answer.stdout == ""


def test_the_socket_is_its_users_alone(host: Host) -> None:
    with host.sudo():
        socket, folder = host.file("/run/haven/alice/jupyter.sock"), host.file("/run/haven/alice")
        assert (socket.is_socket, socket.user, socket.mode) == (True, "alice", 0o600)
        # Root's and sticky: alice cannot put a link where systemd is about to give her a file.
        assert (folder.user, folder.group, folder.mode) == ("root", "root", 0o1770)


def test_a_data_loader_with_several_processes_runs(alice: _notebook.Notebook) -> None:
    assert alice.run_cell(DATA_LOADER).strip() == "18"


def test_memory_can_be_locked_as_outside_the_unit(host: Host, alice: _notebook.Notebook) -> None:
    assert alice.run_cell(LOCK_A_PAGE).strip() == host.check_output("python3 -c %s", LOCK_A_PAGE)


def test_a_notebook_writes_only_where_it_may(alice: _notebook.Notebook) -> None:
    assert alice.run_cell(TRY_TO_WRITE).strip() == "done"


def test_packages_come_through_the_proxy_and_nothing_by_another_way(alice: _notebook.Notebook) -> None:
    assert alice.run_cell(WAY_OUT).split() == ["0", "6"]


def test_a_host_that_the_proxy_refuses_is_named_below_the_traceback(alice: _notebook.Notebook) -> None:
    # Inside a cell, so that its error does not fail ours; with any certificate, since only the answer counts here.
    refused = "urllib.request.urlopen('https://huggingface.co/x', timeout=30, context=ssl._create_unverified_context())"
    cell = f"""
import contextlib, io, urllib.request
with contextlib.redirect_stderr(io.StringIO()) as said, contextlib.redirect_stdout(io.StringIO()):
    get_ipython()._showtraceback = lambda *dummy: None
    get_ipython().run_cell("import ssl, urllib.request; {refused}")
print(said.getvalue())
"""
    assert alice.run_cell(cell).startswith(
        "huggingface.co answered 403 Forbidden, or the egress proxy did in its place."
    )


def test_notebooks_are_on_the_data_volume_where_there_is_one(host: Host, alice: _notebook.Notebook) -> None:
    there = alice.run_cell("import os; print(os.getcwd())").strip()
    alice.json("PUT", "/api/contents/kept.txt", {"type": "file", "format": "text", "content": "kept"})
    if host.ansible.get_variables()["inventory_hostname"] == "jupyter12":
        assert there == "/home/alice"
    else:
        assert there == "/srv/notebooks/alice"
        assert host.mount_point("/srv/notebooks").filesystem == "ext4"
        assert "UUID=" in host.check_output("grep /srv/notebooks /etc/fstab")
    with host.sudo():
        kept = host.file(f"{there}/kept.txt")
        assert (kept.content_string, kept.user, kept.mode) == ("kept", "alice", 0o600)
        assert host.file(there).mode == 0o700


def test_the_unit_is_hardened_enabled_and_ordered(host: Host) -> None:
    assert host.service(UNIT).is_enabled
    with host.sudo():
        verdict = host.check_output("systemd-analyze security --no-pager %s", UNIT).splitlines()[-1]
        unit = host.check_output("systemctl show -p After,ProcSubset,PrivateDevices,DeviceAllow %s", UNIT)
    assert float(verdict.split(":")[-1].split()[0]) <= 1.5
    assert "haven-cuda-check.service" in unit
    assert "PrivateDevices=no" in unit
    assert "char-nvidia* rw" in unit
    assert "ProcSubset=all" in unit


def test_devices_that_appear_later_are_allowed_without_a_restart(host: Host) -> None:
    with host.sudo():
        start = host.check_output("systemctl show -p InvocationID %s", UNIT)
        reloaded = "journalctl -o cat --no-pager | grep -c 'Reloading' || true"
        before = int(host.check_output(reloaded))
        assert not host.service("haven-gpu-nodes.service").is_running
        host.check_output("touch /dev/nvidia-uvm")  # no guest may create a device
        host.check_output("timeout 20 sh -c 'until systemctl -q is-active haven-gpu-nodes.service; do sleep 0.2; done'")
        assert int(host.check_output(reloaded)) > before
        assert host.check_output("systemctl show -p InvocationID %s", UNIT) == start


def test_the_hash_is_its_users_alone(host: Host) -> None:
    with host.sudo():
        config = host.file("/etc/haven/jupyter/alice.py")
        assert (config.user, config.group, config.mode) == ("root", "alice", 0o640)


def test_the_password_is_nowhere_and_what_is_made_of_it_in_one_file(host: Host) -> None:
    name = host.ansible.get_variables()["inventory_hostname"]
    hashes = [argon2_hash(password, secret=SECRET, host=name, user=user) for user, password in PASSWORDS.items()]
    # All of it is fetched: sudo writes command lines into the journal, and so the words of a search there.
    files = "tar -C / --exclude=var/log/journal -czf - etc run/haven var/lib/haven var/log"
    with host.sudo():
        for user, digest in zip(PASSWORDS, hashes):
            assert digest in host.file(f"/etc/haven/jupyter/{user}.py").content_string
        journal = base64.b64decode(host.check_output("journalctl -o export --no-pager | base64 -w0"))
        tree = gzip.decompress(base64.b64decode(host.check_output(f"{files} | base64 -w0")))
    assert b"ansible-haven.gpu.files" in journal
    for secret in (*PASSWORDS.values(), SECRET):
        assert [form for form in encodings(secret) if form in journal or form in tree] == []
    for digest in hashes:
        assert [form for form in encodings(digest.rpartition("$")[2]) if form in journal] == []
        assert tree.count(digest.encode()) == 1


def test_the_server_neither_installs_extensions_nor_fetches_news(alice: _notebook.Notebook) -> None:
    dummy, page = alice.request("GET", "/lab")
    settings = json.loads(
        page.decode().split('"jupyter-config-data" type="application/json">')[1].split("</script>")[0]
    )
    assert settings["extensionManager"]["can_install"] is False
    assert settings["news"]["disabled"] is True
    assert settings["terminalsAvailable"] is True
