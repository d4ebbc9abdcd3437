# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox's network, on the wire: only the gate leads in, only the proxy leads out, and rules hold."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from tests.integration.sandbox_guests import Guest, Sandbox, allow, wait_until
from tests.sandbox.plan import Plan
from tests.sandbox.sshd import greets

SSH = (22, 22)
WEB = (8000, 8000)


@pytest.fixture(scope="module")
def alice(sandbox: Sandbox) -> Iterator[Guest]:
    with sandbox.guest() as guest:
        yield guest


@pytest.fixture(scope="module")
def bob(sandbox: Sandbox) -> Iterator[Guest]:
    with sandbox.guest("trixie") as guest:
        guest.serve()
        yield guest


@pytest.fixture(autouse=True)
def _rules_as_at_first(alice: Guest, bob: Guest) -> Iterator[None]:
    yield
    alice.set_rules()
    bob.set_rules()


def proxied(guest: Guest, url: str, *options: str) -> str:
    """The status a request through the proxy gets; for https the proxy's own answer to CONNECT after it."""
    proxy = guest.sandbox.env["HAVEN_SANDBOX_PROXY_URL"]
    ask = "curl -s --connect-timeout 3 -m 20 -o /dev/null -w '%{http_code} %{http_connect}'"
    return guest.root(f"{ask} -x {proxy} {' '.join(options)} {url}").stdout


def allowed_hosts(sandbox: Sandbox) -> tuple[str, ...]:
    return Plan.read(sandbox.paths.plan).allowed_hosts


def test_this_machine_reaches_no_guest(sandbox: Sandbox, alice: Guest) -> None:
    alice.set_rules(allow("in", "all", (0, 0), "0.0.0.0/0"))
    for address in (alice.address, sandbox.gate, urlsplit(sandbox.env["HAVEN_SANDBOX_PROXY_URL"]).hostname):
        # Not every network outside refuses a connection to nowhere, so the greeting decides.
        assert not greets(str(address))


def test_the_gate_is_the_way_in(alice: Guest) -> None:
    assert alice.ssh("hostname; sudo id -u").stdout.split() == [alice.id, "0"]


def test_the_gate_is_what_the_role_made_and_logs_nobody_in(sandbox: Sandbox, alice: Guest) -> None:
    """What else the role promises, its own scenario shows."""
    assert sandbox.on_gate("haven-jump-host status").returncode == 0
    assert str(sandbox.subnet) in sandbox.on_gate("nft list set inet haven_jump_host env_guests_ipv4").stdout
    for name in ("sshuser", "debian", "root"):
        done = sandbox.ask_gate(f"-l{name}", "id -un")
        assert done.stdout == ""
        assert done.returncode != 0
    assert sandbox.ask_gate(f"-W{alice.address}:22").stdout.startswith("SSH-2.0-")
    assert "open failed" in sandbox.ask_gate(f"-W{sandbox.gate}:22").stderr


def test_a_guest_has_no_name_service_and_no_route_outside(alice: Guest) -> None:
    routes = alice.output("ip -4 route").splitlines()
    assert not [route for route in routes if route.startswith("default")]
    assert alice.root("getent hosts example.org").returncode != 0
    for host in allowed_hosts(alice.sandbox):
        for family, _, _, _, address in socket.getaddrinfo(host, 443, type=socket.SOCK_STREAM):
            if family == socket.AF_INET:
                assert not alice.reaches(str(address[0]), 443)


def test_a_guest_with_a_default_route_of_its_own_still_gets_nowhere(alice: Guest) -> None:
    proxy = urlsplit(alice.sandbox.env["HAVEN_SANDBOX_PROXY_URL"]).hostname
    alice.output(f"ip route add default via {proxy}")
    try:
        host = allowed_hosts(alice.sandbox)[0]
        assert not alice.reaches(socket.gethostbyname(host), 80)
        assert not alice.reaches(alice.sandbox.env["HAVEN_SANDBOX_GATE_HOST"], 443)
    finally:
        alice.output("ip route del default")


def test_the_proxy_lets_registries_through_inspected_by_its_own_authority(alice: Guest) -> None:
    authority = alice.sandbox.paths.proxy_ca.read_text()
    alice.output(f"cat > /tmp/ca.pem <<'END'\n{authority}END")
    for host in allowed_hosts(alice.sandbox):
        # Whatever a registry says, it is not the proxy's refusal.
        assert proxied(alice, f"https://{host}/", "--cacert", "/tmp/ca.pem")[:3] not in {"000", "403", "503"}, host


def test_a_guest_that_does_not_know_the_proxys_authority_does_not_believe_it(alice: Guest) -> None:
    host = allowed_hosts(alice.sandbox)[0]
    assert proxied(alice, f"https://{host}/").startswith("000")


@pytest.mark.parametrize("url", ["http://example.org/", "https://example.org/", "http://127.0.0.1/", "http://[::1]/"])
def test_the_proxy_refuses_every_other_host(alice: Guest, url: str) -> None:
    assert "403" in proxied(alice, url, "--insecure")


def test_the_proxy_opens_no_tunnel_to_another_port(alice: Guest) -> None:
    host = allowed_hosts(alice.sandbox)[0]
    assert proxied(alice, f"https://{host}:22/", "--insecure").startswith("403")


def test_nothing_gets_in_that_no_rule_allows(alice: Guest, bob: Guest) -> None:
    assert not alice.reaches(bob.address)
    assert alice.root(f"ping -c 1 -W 1 {bob.address}").returncode != 0


def test_a_rule_lets_in_whom_it_names_and_nobody_else(sandbox: Sandbox, alice: Guest, bob: Guest) -> None:
    with sandbox.guest() as carol:
        bob.set_rules(allow("in", "tcp", WEB, f"{alice.address}/32"))
        assert alice.reaches(bob.address)
        assert not carol.reaches(bob.address)


def test_a_rule_lets_in_the_ports_it_names_and_no_other(alice: Guest, bob: Guest) -> None:
    bob.set_rules(allow("in", "tcp", (8001, 9000), str(alice.sandbox.subnet)))
    assert not alice.reaches(bob.address)
    bob.set_rules(allow("in", "tcp", (7000, 8000), str(alice.sandbox.subnet)))
    assert alice.reaches(bob.address)


def test_a_rule_taken_away_closes_the_port_again_but_cuts_no_connection(alice: Guest, bob: Guest) -> None:
    bob.set_rules(allow("in", "tcp", WEB, f"{alice.address}/32"))
    talk = (
        "import socket, time\n"
        f"link = socket.create_connection(('{bob.address}', 8000), 5)\n"
        "open('/tmp/connected', 'w').close()\n"
        "while not __import__('os').path.exists('/tmp/go'): time.sleep(0.05)\n"
        "link.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n"
        "open('/tmp/answer', 'wb').write(link.recv(15))\n"
    )
    alice.output(f"rm -f /tmp/connected /tmp/go /tmp/answer; cat > /tmp/talk.py <<'END'\n{talk}END")
    alice.output("systemd-run --quiet python3 /tmp/talk.py")
    assert wait_until(lambda: alice.root("test -e /tmp/connected").returncode == 0)
    bob.set_rules()
    assert not alice.reaches(bob.address)
    alice.output("touch /tmp/go")
    assert wait_until(lambda: alice.root("test -s /tmp/answer").returncode == 0)
    assert alice.output("cat /tmp/answer") == "HTTP/1.0 200 OK"


def test_what_a_machine_may_not_send_does_not_leave_it(alice: Guest, bob: Guest) -> None:
    bob.set_rules(allow("in", "tcp", WEB, "0.0.0.0/0"))
    alice.set_rules(allow("out", "tcp", SSH, "0.0.0.0/0"), out=False)
    assert not alice.reaches(bob.address)
    assert proxied(alice, "http://example.org/").startswith("000")
    alice.set_rules(allow("out", "tcp", WEB, f"{bob.address}/32"), out=False)
    assert alice.reaches(bob.address)


def test_rules_for_overlapping_ranges_and_for_icmp_hold(alice: Guest, bob: Guest) -> None:
    bob.set_rules(allow("in", "icmp", (0, 0), f"{alice.address}/32", str(alice.sandbox.subnet), "0.0.0.0/0"))
    assert alice.root(f"ping -c 1 -W 2 {bob.address}").returncode == 0
    assert not alice.reaches(bob.address)


def test_a_guests_root_cannot_lift_its_rules_nor_borrow_an_address(sandbox: Sandbox, alice: Guest, bob: Guest) -> None:
    stranger = str(sandbox.subnet[4092])
    bob.set_rules(allow("in", "tcp", WEB, f"{stranger}/32"))
    bob.output("nft flush ruleset")
    assert not alice.reaches(bob.address)
    alice.output(f"ip addr add {stranger}/32 dev eth0")
    try:
        assert not alice.reaches(bob.address, via=stranger)
    finally:
        alice.output(f"ip addr del {stranger}/32 dev eth0")


def test_a_public_address_leads_to_its_machine_while_it_runs(sandbox: Sandbox, alice: Guest) -> None:
    public = ipaddress.IPv4Network("198.51.100.0/25")
    first, second = str(public[101]), str(public[102])
    with sandbox.guest() as dave:
        dave.set_rules()
        sandbox.machines.stop(dave.id)
        dave.start(first)
        assert dave.ssh("hostname", first).stdout.strip() == dave.id
        sandbox.machines.stop(dave.id)
        dave.start(second)
        assert dave.ssh("hostname", second).stdout.strip() == dave.id
        assert dave.ssh("hostname", first).returncode != 0


def test_the_metadata_address_wants_a_token_and_knows_who_asks(alice: Guest, bob: Guest) -> None:
    base = "http://169.254.169.254/latest"
    assert alice.output(f"curl -s -o /dev/null -w '%{{http_code}}' {base}/meta-data/instance-id") == "401"
    for guest in (alice, bob):
        ask = (
            f"token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' {base}/api/token) && "
            f'curl -sf -H "X-aws-ec2-metadata-token: $token" {base}/meta-data/instance-id'
        )
        assert guest.output(ask) == guest.id


def test_security_groups_do_not_cover_the_metadata_address(alice: Guest) -> None:
    alice.set_rules(out=False)
    status = "curl -s -m 5 -o /dev/null -w '%{http_code}' http://169.254.169.254/latest/meta-data/"
    assert alice.output(status) == "401"
