# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Outside of the clouds: what the laptop and a stranger reach, and what nobody reaches from there."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.integration.ec2_api_client import Sandbox as Account
from tests.integration.sandbox_guests import Guest, Sandbox, allow, command, wait_until
from tests.sandbox.internet import LAPTOP, STRANGER
from tests.sandbox.plan import Plan
from tests.sandbox.registries import debian_mirrors
from tests.sandbox.relay import RESET_EVERY
from tests.sandbox.ways_out import SLOW_S

PUBLIC = "198.51.100.103"
WEB = (8000, 8000)


def ask(address: str, port: int = 8000) -> list[str]:
    return ["curl", "-s", "-m", "2", "-o", "/dev/null", "-w", "%{http_code}", f"http://{address}:{port}/"]


@pytest.fixture(scope="module")
def alice(sandbox: Sandbox) -> Iterator[Guest]:
    """A guest with a public address, that serves who may come in."""
    with sandbox.guest() as guest:
        sandbox.machines.stop(guest.id)
        guest.start(PUBLIC)
        guest.serve()
        yield guest


@pytest.fixture(scope="module")
def addresses(sandbox: Sandbox) -> tuple[str, str]:
    first, second = Plan.read(sandbox.paths.plan).ranges.laptop
    return str(first), str(second)


def test_a_public_address_is_reached_by_whom_the_firewall_lets_in_and_by_no_stranger(
    sandbox: Sandbox, alice: Guest, addresses: tuple[str, str]
) -> None:
    alice.set_rules(allow("in", "tcp", WEB, f"{addresses[0]}/32"))
    assert sandbox.on_laptop(*ask(PUBLIC)).stdout == "200"
    assert sandbox.on_laptop(*ask(PUBLIC), who=STRANGER).returncode == 28
    # The machine sees who asked.
    assert addresses[0] in alice.output("journalctl -u serve-8000 --no-pager -o cat")
    alice.set_rules()
    assert sandbox.on_laptop(*ask(PUBLIC)).returncode == 28


def test_a_laptop_whose_address_has_changed_is_somebody_else(
    sandbox: Sandbox, alice: Guest, addresses: tuple[str, str]
) -> None:
    alice.set_rules(allow("in", "tcp", WEB, f"{addresses[0]}/32"))
    sandbox.move_laptop(1)
    try:
        assert sandbox.on_laptop(*ask(PUBLIC)).returncode == 28
        alice.set_rules(allow("in", "tcp", WEB, f"{addresses[1]}/32"))
        assert sandbox.on_laptop(*ask(PUBLIC)).stdout == "200"
    finally:
        sandbox.move_laptop(0)
    assert sandbox.on_laptop(*ask(PUBLIC)).returncode == 28


def test_what_was_connected_gets_no_answer_when_the_address_changes(
    sandbox: Sandbox, alice: Guest, addresses: tuple[str, str], tmp_path: Path
) -> None:
    alice.set_rules(allow("in", "tcp", WEB, *(f"{address}/32" for address in addresses)))
    talk = tmp_path / "talk.py"
    talk.write_text(
        "import pathlib, socket, sys, time\n"
        f"link = socket.create_connection(('{PUBLIC}', 8000), 5)\n"
        "link.settimeout(3)\n"
        "pathlib.Path(sys.argv[1]).touch()\n"
        "while not pathlib.Path(sys.argv[2]).exists(): time.sleep(0.05)\n"
        "try:\n"
        "    link.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n')\n"
        "    print(link.recv(15))\n"
        "except OSError as error:\n"
        "    print('no answer')\n"
    )
    connected, go = tmp_path / "connected", tmp_path / "go"
    with sandbox.outside("python3", str(talk), str(connected), str(go), stdout=subprocess.PIPE) as there:
        assert wait_until(connected.exists)
        sandbox.move_laptop(1)
        try:
            go.touch()
            assert there.communicate(timeout=20)[0] == "no answer\n"
        finally:
            sandbox.move_laptop(0)


def test_who_is_outside_reaches_nothing_private(sandbox: Sandbox, alice: Guest) -> None:
    alice.set_rules(allow("in", "all", (0, 0), "0.0.0.0/0"))
    proxy = str(Plan.read(sandbox.paths.plan).ranges.proxy)
    places = (ask(alice.address), ask(proxy, 3128), ask("169.254.169.254", 80))
    at_once = "; ".join(f"{shlex.join(place)} &" for place in places).replace("&;", "&") + " wait"
    for who in (LAPTOP, STRANGER):
        assert sandbox.on_laptop("sh", "-c", at_once, who=who).stdout == "000" * len(places)


def test_a_machine_reaches_the_outside_from_its_public_address_and_from_no_other(
    sandbox: Sandbox, alice: Guest, addresses: tuple[str, str], tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    listen = f"import socket; seen = socket.create_server(('', 8000)).accept()[1][0]; open('{seen}', 'w').write(seen)"
    with sandbox.outside("python3", "-c", listen) as there, sandbox.guest() as bob:
        assert not bob.reaches(addresses[0])
        assert there.poll() is None
        assert wait_until(lambda: alice.root(ask_once(addresses[0])).returncode == 0)
        there.wait(20)
    assert seen.read_text() == PUBLIC
    # Its firewall's rules for what goes out hold there, too.
    alice.set_rules(allow("out", "tcp", WEB, str(sandbox.subnet)), out=False)
    assert alice.root(ask_once(addresses[0])).returncode != 0


def ask_once(address: str) -> str:
    return f"timeout 3 bash -c '</dev/tcp/{address}/8000'"


def test_the_jump_host_leads_from_the_laptop_to_guests(sandbox: Sandbox, alice: Guest) -> None:
    """And the API is there under the name that its certificate has."""
    alice.set_rules()
    facts = sandbox.env
    known = sandbox.paths.laptop / "known"
    known.write_text(f"gate.haven.test {facts['HAVEN_SANDBOX_GATE_HOST_KEY']}\n")
    options = ["-F", "/dev/null", "-i", facts["HAVEN_SANDBOX_KEY"], "-o", f"UserKnownHostsFile={known}"]
    who = f"{facts['HAVEN_SANDBOX_GATE_USER']}@gate.haven.test"
    said = sandbox.on_laptop("timeout", "10", "ssh", *options, "-o", "BatchMode=yes", "-W", f"{alice.address}:22", who)
    assert said.stdout.startswith("SSH-2.0-"), said.stderr
    instances = "import boto3; print(boto3.client('ec2').describe_instances()['Reservations'])"
    assert sandbox.on_laptop("python", "-c", instances).stdout.startswith("["), "the API is not reached"


def test_no_name_is_resolved_outside_but_those_the_laptop_knows(sandbox: Sandbox) -> None:
    assert sandbox.on_laptop("getent", "hosts", "example.org").returncode != 0
    assert sandbox.on_laptop("getent", "hosts", "api.haven.test").stdout.split()[0] == "198.51.100.129"
    assert sandbox.on_laptop("sh", "-c", "env | grep -i _proxy=").stdout == ""


def test_what_runs_on_the_laptop_ends_with_whoever_started_it(sandbox: Sandbox, tmp_path: Path) -> None:
    alive = tmp_path / "alive"
    beat = f"while :; do touch {alive}; sleep 0.1; done"
    there = sandbox.outside("sh", "-c", beat)
    assert wait_until(alive.exists)
    there.kill()
    there.wait()

    def silent() -> bool:
        before = alive.stat().st_mtime_ns
        time.sleep(0.5)
        return alive.stat().st_mtime_ns == before

    assert wait_until(silent)


def test_the_command_line_leads_to_the_laptop_and_changes_its_address(
    sandbox: Sandbox, addresses: tuple[str, str]
) -> None:
    show = ("ip", "-4", "-o", "addr", "show", "eth0")
    for place, address in zip(("second", "first"), reversed(addresses), strict=True):
        said = command("laptop", "--address", place, "--", *show, folder=sandbox.paths.dir)
        assert f"inet {address}/32" in said.stdout, said.stderr
    said = command("stranger", "--", "sh", "-c", "ip -4 -o addr show eth0; exit 7", folder=sandbox.paths.dir)
    assert said.returncode == 7
    assert not [address for address in addresses if address in said.stdout]


GUIDE = "https://github.com/eryl/aida-transformers-workshop-code"


def test_hosts_of_the_internet_are_found_under_their_own_names(
    sandbox: Sandbox, addresses: tuple[str, str], tmp_path: Path
) -> None:
    """From the laptop, without a proxy, and with certificates that it trusts."""
    assert sandbox.on_laptop("curl", "-sS", "https://checkip.amazonaws.com").stdout.strip() == addresses[0]
    assert (
        sandbox.on_laptop("curl", "-sS", "https://checkip.amazonaws.com", who=STRANGER).stdout.strip() not in addresses
    )
    done = sandbox.on_laptop("git", "clone", "--quiet", "--depth=1", "--branch=v1", GUIDE, str(tmp_path / "guide"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "guide" / "requirements.txt").is_file()


def test_ec2_is_found_under_its_own_name(sandbox: Sandbox) -> None:
    where = (
        "import boto3; c = boto3.client('ec2'); print(c.meta.endpoint_url, 'Reservations' in c.describe_instances())"
    )
    said = sandbox.on_laptop("python", "-c", where)
    assert said.stdout.split() == ["https://ec2.us-east-1.amazonaws.com", "True"], said.stderr


def test_guests_find_hosts_of_the_internet_through_the_proxy_alone(sandbox: Sandbox, alice: Guest) -> None:
    alice.set_rules()
    authority = sandbox.paths.proxy_ca.read_text()
    alice.output(f"cat > /tmp/ca.pem <<'END'\n{authority}END")
    proxy = sandbox.env["HAVEN_SANDBOX_PROXY_URL"]
    through = f"export https_proxy={proxy} GIT_SSL_CAINFO=/tmp/ca.pem CURL_CA_BUNDLE=/tmp/ca.pem"
    assert alice.root(f"git ls-remote {GUIDE}").returncode != 0
    assert "refs/tags/v1" in alice.output(f"{through}; git ls-remote {GUIDE}")
    assert alice.output(f"{through}; curl -sS https://checkip.amazonaws.com") == "198.51.100.133"
    channel = alice.output(f"{through}; curl -sS https://conda.anaconda.org/conda-forge/noarch/repodata.json")
    assert "haven-greeting" in channel
    archive = "https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz"
    assert "list.txt" in alice.output(f"{through}; curl -sS {archive} | tar -tz")


def way(sandbox: Sandbox, name: str) -> str:
    """Options of curl for a way out."""
    return f"--cacert /tmp/ca.pem -x '{sandbox.env[f'HAVEN_SANDBOX_PROXY_{name}URL']}'"


@pytest.fixture
def asks(sandbox: Sandbox, alice: Guest) -> Callable[..., str]:
    """Ask for something through a way out; what curl says of it."""
    alice.set_rules()
    alice.output(f"cat > /tmp/ca.pem <<'END'\n{sandbox.paths.proxy_ca.read_text()}END")

    def ask(name: str, url: str, write: str = "%{http_code} %{http_connect}", more: str = "") -> str:
        curl = f"curl -s -m 60 -o /tmp/answer -w '{write}' {way(sandbox, name)} {more} {url}; echo \" $?\""
        return alice.output(curl)

    return ask


def test_a_proxy_may_want_a_password_with_odd_characters(sandbox: Sandbox, asks: Callable[..., str]) -> None:
    assert "%40" in sandbox.env["HAVEN_SANDBOX_PROXY_LOGIN_URL"]
    assert asks("LOGIN_", "https://checkip.amazonaws.com/") == "200 200 0"
    assert asks("LOGIN_", "http://api.ipify.org/").startswith("200")
    nobody = sandbox.env["HAVEN_SANDBOX_PROXY_LOGIN_URL"].rpartition("@")[2]
    for wrong in ("", "haven:wrong@"):
        # curl takes the last proxy that it is given.
        assert "000 407" in asks("LOGIN_", "https://checkip.amazonaws.com/", more=f"-x http://{wrong}{nobody}")


def test_a_proxy_may_be_slow(asks: Callable[..., str]) -> None:
    taken = float(asks("SLOW_", "https://checkip.amazonaws.com/", write="%{time_total}").split()[0])
    assert taken >= 2 * SLOW_S, "once for the connection, once for the request in it"


@pytest.mark.usefixtures("asks")
def test_a_proxy_may_reset_connections(sandbox: Sandbox, alice: Guest) -> None:
    curl = f"curl -s -o /dev/null -w '%{{http_code}} ' {way(sandbox, 'RESETTING_')} https://checkip.amazonaws.com/"
    said = alice.output(f"for i in $(seq {RESET_EVERY}); do {curl} || :; done").split()
    assert sorted(said) == ["000", *["200"] * (RESET_EVERY - 1)]


def test_a_proxy_may_end_an_answer_in_its_middle(asks: Callable[..., str]) -> None:
    where = f"{debian_mirrors().main.rstrip('/')}/dists/bookworm/main/binary-amd64/Packages.xz"
    assert asks("", where) == "200 000 0"
    assert asks("CUTTING_", where) == "200 000 18"


def test_a_proxy_may_show_a_page_to_sign_in_whatever_is_asked_for(alice: Guest, asks: Callable[..., str]) -> None:
    for url in ("https://pypi.org/simple/pip/", "http://example.org/", "-d x=y https://ec2.us-east-1.amazonaws.com/"):
        assert asks("SIGN_IN_", url).startswith("200"), url
        assert "Please sign in" in alice.output("cat /tmp/answer")


@pytest.mark.parametrize(
    ("name", "login", "said"),
    [
        ("", None, ""),
        ("LOGIN_", None, ""),
        pytest.param("SLOW_", None, "", marks=pytest.mark.long),
        ("RESETTING_", None, ""),
        ("LOGIN_", "", "wants a user and a password"),
        ("LOGIN_", "haven:p%4055@", "refuses the user and password"),
        ("SIGN_IN_", None, "answers with a web page (Sign in) instead of the list of packages"),
    ],
)
def test_what_is_wrong_with_a_proxy_is_said_in_one_sentence(
    sandbox: Sandbox, tmp_path: Path, name: str, login: str | None, said: str
) -> None:
    """By the module that the role egress begins with; here on the laptop, which takes no guest."""
    parts = urlsplit(sandbox.env[f"HAVEN_SANDBOX_PROXY_{name}URL"])
    user = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc and login is None else login or ""
    options = {"url": f"http://{user}proxy.haven.test:{parts.port}", "ca": sandbox.paths.proxy_ca.read_text()}
    answer = proxy_check(sandbox, tmp_path, **options)
    assert bool(answer.get("failed")) is bool(said), answer
    assert said in answer.get("msg", "")
    assert said or answer["available"]


def proxy_check(sandbox: Sandbox, folder: Path, **options: str) -> dict[str, Any]:
    arguments = folder / "arguments.json"
    arguments.write_text(json.dumps({"ANSIBLE_MODULE_ARGS": options}))
    module = "ansible_collections.haven.gpu.plugins.modules.proxy_check"
    done = sandbox.on_laptop(sys.executable, "-m", module, str(arguments))
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_proxys_authority_that_is_not_given_is_said(sandbox: Sandbox, tmp_path: Path) -> None:
    said = proxy_check(sandbox, tmp_path, url="http://proxy.haven.test:3128")["msg"]
    assert "is not trusted" in said
    assert "set egress_proxy.ca" in said


def test_an_elastic_address_leads_to_its_machine(sandbox: Sandbox, addresses: tuple[str, str]) -> None:
    account = Account(sandbox.env)
    group = account.ec2.create_security_group(GroupName="elastic", Description="elastic")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": f"{addresses[0]}/32"}]}
    account.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[rule])
    mine = account.ec2.allocate_address(Domain="vpc")
    id = account.run(SecurityGroupIds=[group])["InstanceId"]
    try:
        account.ec2.associate_address(AllocationId=mine["AllocationId"], InstanceId=id)
        knock = ("timeout", "2", "bash", "-c", f"</dev/tcp/{mine['PublicIp']}/22")
        assert wait_until(lambda: sandbox.on_laptop(*knock).returncode == 0, 60)
        assert sandbox.on_laptop(*knock, who=STRANGER).returncode != 0
    finally:
        account.ec2.terminate_instances(InstanceIds=[id])
        account.until(id, "terminated")
        account.ec2.release_address(AllocationId=mine["AllocationId"])
        account.ec2.delete_security_group(GroupId=group)
