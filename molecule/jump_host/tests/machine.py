"""What the gate shows to the network, keeps a log of, and does by itself."""

from __future__ import annotations

import os
import subprocess
import time

import pytest
import testinfra

INVENTORY = os.path.dirname(os.environ["MOLECULE_INVENTORY_FILE"])
CONNECT = "python3 -c 'import socket; socket.create_connection((\"{}\", {}), 3)'"


@pytest.fixture
def neighbour():
    """A machine behind the gate."""
    return testinfra.get_host(f"ansible://jump-red?ansible_inventory={INVENTORY}")


@pytest.mark.parametrize("machine", ["gate", "jump-red"])
def test_ssh_audit_finds_nothing_to_complain_about(gate, addresses, machine):
    with gate.around(f"{addresses.get(machine, addresses[gate.name])}:22") as (port, dummy):
        done = subprocess.run(
            ["ssh-audit", "--skip-rate-test", "--level=warn", "-p", str(port), "127.0.0.1"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stdout


def test_no_password_opens_the_machine_behind(neighbour):
    for user in ("root", "ubuntu"):
        said = neighbour.check_output(f"sudo sshd -T -C user={user},host=x,addr=10.0.0.1").splitlines()
        assert {"passwordauthentication no", "kbdinteractiveauthentication no", "pubkeyauthentication yes"} <= set(said)


def test_nothing_but_sshd_can_be_reached(gate, addresses, neighbour):
    gate.host.check_output("sudo systemd-run --collect --unit=open-door python3 -m http.server 8000")
    try:
        gate.host.run("timeout 10 sh -c 'until ss -ltn | grep -q :8000; do sleep 0.2; done'")
        gate.host.check_output(CONNECT.format(addresses[gate.name], 8000))
        neighbour.check_output(CONNECT.format(addresses[gate.name], 22))
        assert neighbour.run(CONNECT.format(addresses[gate.name], 8000)).rc == 1
    finally:
        gate.host.check_output("sudo systemctl stop open-door")


def test_too_many_new_connections_are_dropped(gate, addresses, neighbour):
    knock = 'import socket\nfor turn in range(80): socket.create_connection(("{}", 22), 1).close(); print(turn)'
    came = neighbour.run(f"python3 -c '{knock.format(addresses[gate.name])}'").stdout.split()
    assert 0 < len(came) < 80
    assert (
        gate.host.run("sudo nft list chain inet haven_jump_host input | grep 'too many' | grep -v 'packets 0 '").rc == 0
    )


def test_the_log_says_who_went_where_from_where(gate, addresses):
    red, blue = addresses["jump-red"], addresses["jump-blue"]
    start = gate.host.check_output("date '+%F %T'")
    gate.ssh("alice", "true", machine="jump-red")
    gate.asked("alice", f"{blue}:22")
    deadline = time.monotonic() + 10
    while f"refused={blue}:22" not in (said := gate.host.check_output(f"sudo haven-jump-audit --since '{start}'")):
        assert time.monotonic() < deadline, said
        time.sleep(0.5)
    came = f" member=alice from={os.environ['HAVEN_SANDBOX_GATE_ADDRESS']}:"
    lines = said.splitlines()
    assert any(came in line and " login key=ED25519:SHA256:" in line for line in lines)
    assert any(came in line and line.endswith(f" to={red}:22") for line in lines)
    assert any(came in line and line.endswith(f" refused={blue}:22") for line in lines)


def test_security_updates_come_every_day(host):
    settings = host.check_output("apt-config dump")
    assert 'APT::Periodic::Unattended-Upgrade "1";' in settings
    assert "security" in settings.lower()
    for timer in ("apt-daily.timer", "apt-daily-upgrade.timer"):
        assert host.service(timer).is_enabled
        assert host.service(timer).is_running


def test_the_rules_come_back_when_nftables_flushes_everything(gate):
    gate.host.check_output("sudo systemctl restart nftables")
    gate.host.run("sudo timeout 10 sh -c 'until nft list table inet haven_jump_host; do sleep 0.1; done'")
    assert "haven_jump_host" in gate.host.check_output("sudo nft list tables")
    assert gate.ssh("alice", "true", machine="jump-red").returncode == 0


def test_nothing_waits_for_a_confirmation(host):
    assert not host.file("/etc/haven/jump_host/previous").exists
    host.check_output("sudo haven-jump-host status")


def test_logins_are_limited(gate):
    said = gate.host.check_output("sudo sshd -T -C user=alice,host=gate,addr=192.0.2.1").splitlines()
    assert {"maxauthtries 4", "maxstartups 36:30:60", "logingracetime 30"} <= set(said)
    # OpenSSH has this since 9.8.
    assert any(line.startswith("persourcepenalties ") and "authfail:5" in line for line in said) == (
        gate.name == "jump-gate-13"
    )
