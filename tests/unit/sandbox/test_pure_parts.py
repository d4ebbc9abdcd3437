# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The sandbox's small pure parts."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from ipaddress import IPv4Network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sandbox import cgroups, egress_proxy, gate, gate_image, metadata, wire
from tests.sandbox.egress_proxy import ProxySettings
from tests.sandbox.errors import SandboxError
from tests.sandbox.machine_traits import MachineTraits
from tests.sandbox.machines import Volume
from tests.sandbox.network import short_name
from tests.sandbox.paths import read_env, write_env
from tests.sandbox.processes import outer_children, start_time
from tests.sandbox.seed import Seed, plant
from tests.sandbox.volumes import filesystem_uuid, serial_name

VALUES = st.dictionaries(
    st.from_regex(r"[A-Z_]{1,20}", fullmatch=True),
    st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0\r"), max_size=40),
    max_size=5,
)


@given(VALUES)
@settings(deadline=None, max_examples=30)
def test_what_is_written_to_env_is_read_again(tmp_path_factory: pytest.TempPathFactory, values: dict[str, str]) -> None:
    path = tmp_path_factory.mktemp("env") / "env"
    write_env(path, values)
    assert read_env(path) == values
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_shell_that_sources_env_gets_the_values(tmp_path: Path) -> None:
    path = tmp_path / "env"
    write_env(path, {"ONE": "it's $HOME `id`", "TWO": "a\nb"})
    script = f'. {shlex.quote(str(path))}; printf "%s|%s" "$ONE" "$TWO"'
    assert (
        subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout
        == "it's $HOME `id`|a\nb"
    )


@given(st.text(min_size=1))
def test_a_links_name_is_short_and_safe_for_any_guest(guest: str) -> None:
    name = short_name(guest)
    assert len(name) <= 15
    assert name.isalnum()


HYBRID = """\
30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 30 0:27 / /sys/fs/cgroup/systemd rw,relatime shared:9 - cgroup cgroup rw,name=systemd
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""


def test_control_groups_are_found_in_the_hierarchies_systemd_uses() -> None:
    assert cgroups.parse_mounts(HYBRID) == {
        "name=systemd": "/sys/fs/cgroup/systemd",
        "": "/sys/fs/cgroup/unified",
    }
    unified = "24 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
    assert cgroups.parse_mounts(unified) == {"": "/sys/fs/cgroup"}


def test_a_process_own_group_is_known_by_hierarchy() -> None:
    text = "4:memory:/x\n1:name=systemd:/user.slice/a:b\n0::/\n"
    assert cgroups.parse_own(text) == {"memory": "/x", "name=systemd": "/user.slice/a:b", "": ""}


def proxy_settings(parent: tuple[str, int] | None = None) -> ProxySettings:
    ports = {"plain": 3128, "login": 3129, "slow": 3130, "sign_in": 3131}
    stand_ins = ("github.com",), "127.1.2.3"
    return ProxySettings(ports, Path("/p"), ("a.example", "b.example"), ("/etc/ca.pem",), parent, *stand_ins)


def test_the_proxy_allows_the_registries_and_denies_the_rest() -> None:
    lines = egress_proxy.render(proxy_settings()).splitlines()
    assert [line for line in lines if line.startswith("http_access")] == [
        "http_access deny !web",
        "http_access deny CONNECT !tls",
        # Who wants a login, who waits, and who lets nobody reach anything.
        "http_access deny at_login !members",
        "http_access deny at_slow !waited",
        "http_access allow at_sign_in",
        "http_access allow registries",
        "http_access deny all",
    ]
    assert "acl registries dstdomain a.example b.example github.com" in lines
    assert not [line for line in lines if "cache_peer" in line]


def test_the_proxy_goes_through_the_machines_own_where_there_is_one() -> None:
    lines = egress_proxy.render(proxy_settings(("parent.example", 8080))).splitlines()
    assert "cache_peer parent.example parent 8080 0 no-query no-digest no-netdb-exchange default" in lines
    assert lines.index("always_direct allow stand_ins") < lines.index("never_direct allow all")


def test_the_proxy_listens_on_loopback_only() -> None:
    lines = egress_proxy.render(proxy_settings()).splitlines()
    ports = [line.split()[1] for line in lines if line.startswith("http_port ")]
    assert ports == [f"127.0.0.1:{port}" for port in (3128, 3129, 3130, 3131)]


def test_metadata_names_what_there_is_and_nothing_else() -> None:
    facts = metadata.Facts("i-1", "ip-10-0-0-9", "10.0.0.9", "")
    assert facts.answer("") == "hostname\ninstance-id\nlocal-hostname\nlocal-ipv4"
    assert facts.answer("instance-id") == "i-1"
    assert facts.answer("public-ipv4") is None
    assert facts.answer("iam/security-credentials/") is None


def test_a_seed_tells_cloud_init_who_the_machine_is(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    plant(tmp_path, Seed("i-1", "web", ('ssh-ed25519 AAAA "quoted"',), b"\x1f\x8bzipped"))
    folder = tmp_path / "var/lib/cloud/seed/nocloud"
    assert json.loads((folder / "meta-data").read_text()) == {
        "instance-id": "i-1",
        "local-hostname": "web",
        "public-keys": ['ssh-ed25519 AAAA "quoted"'],
    }
    assert (folder / "user-data").read_bytes() == b"\x1f\x8bzipped"
    assert (folder / "user-data").stat().st_mode & 0o777 == 0o600
    assert "127.0.1.1 web\n" in (tmp_path / "etc/hosts").read_text()


def test_the_gates_user_data_is_a_cloud_config_that_makes_no_user() -> None:
    head, _, body = gate.user_data("PRIVATE").decode().partition("\n")
    config = json.loads(body)
    assert head == "#cloud-config"
    assert config["ssh_keys"]["ed25519_private"] == "PRIVATE"
    assert config["users"] == []


def test_the_gate_lets_a_sandboxs_own_key_pass_to_its_own_subnet(tmp_path: Path) -> None:
    keys, *rules = (tmp_path / name for name in (gate.KEYS, *gate.RULES))
    for path, text in [
        (keys, "restrict ssh-ed25519 OLD old\n"),
        *((rule, "elements = { 10.0.0.0/8, 1.2.3.0/24 }\n") for rule in rules),
    ]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    gate.admit(tmp_path, "ssh-ed25519 NEW new", IPv4Network("10.1.0.0/20"))
    assert keys.read_text() == "restrict ssh-ed25519 NEW new\n"
    assert [rule.read_text() for rule in rules] == ["elements = { 10.1.0.0/20, 1.2.3.0/24 }\n"] * 2
    with pytest.raises(SandboxError, match="0 times"):
        gate.admit(tmp_path, "ssh-ed25519 NEW new", IPv4Network("10.1.0.0/20"))


def test_the_gates_layer_is_another_when_the_role_or_what_it_lies_on_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate_image, "repository", lambda: tmp_path)
    role, readme = (tmp_path / "roles/jump_host" / name for name in ("tasks/main.yml", "README.md"))
    module = tmp_path / "plugins/modules/files.py"
    for path in (role, readme, module):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("before")
    base = [Path("layer-1"), Path("bookworm-2")]
    names = [gate_image.folder(tmp_path, base)]
    for path in (role, module):
        path.write_text("after")
        names.append(gate_image.folder(tmp_path, base))
    names.append(gate_image.folder(tmp_path, base[1:]))
    assert len(set(names)) == len(names)
    readme.write_text("after")
    assert gate_image.folder(tmp_path, base[1:]) == names[-1]


def superblock(magic: bytes, at: int, uuid_at: int) -> bytes:
    block = bytearray(2048)
    block[at : at + len(magic)] = magic
    block[uuid_at : uuid_at + 16] = bytes(range(16))
    return bytes(block)


def test_the_uuid_of_a_file_system_is_read_from_its_superblock() -> None:
    uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f"
    assert filesystem_uuid(superblock(b"\x53\xef", 1080, 1128)) == uuid
    assert filesystem_uuid(superblock(b"XFSB", 0, 32)) == uuid
    assert filesystem_uuid(bytes(2048)) is None
    assert filesystem_uuid(b"") is None


def test_a_volume_is_found_by_its_name_when_no_device_is_asked_for() -> None:
    assert Volume.from_dict({"name": "vol-1", "size_gib": 3}) == Volume("vol-1", 3, "/dev/vol-1")
    assert Volume.from_dict({"name": "vol-1", "size_gib": 3, "device": "/dev/sdf"}).device == "/dev/sdf"


@pytest.mark.parametrize(
    "data", [{"name": "../x", "size_gib": 1}, {"name": "v", "size_gib": 1, "device": "/dev/../etc"}]
)
def test_a_volume_cannot_lead_elsewhere(data: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="cannot be named"):
        Volume.from_dict(data)


def test_a_process_is_known_by_its_number_and_the_time_it_started() -> None:
    with subprocess.Popen(["sleep", "30"]) as child:
        assert child.pid in outer_children(os.getpid())
        assert start_time(child.pid) is not None
        child.kill()
        child.wait()
        assert start_time(child.pid) is None


def test_a_socket_is_reached_by_a_path_longer_than_an_address_can_be(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 120) / "socket"
    path.parent.mkdir()
    with wire.listen(path), wire.connect(path, 1.0):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_nitro_machine_sees_volumes_in_the_order_in_which_they_come_and_a_disk_of_the_host() -> None:
    nitro, plain = MachineTraits(nitro=True), MachineTraits()
    first = nitro.seen(Volume("vol-1", 1, "/dev/sdf"), [])
    second = nitro.seen(Volume("vol-2", 1, "/dev/sdg"), [first])
    assert (first.device, second.device) == ("/dev/nvme2n1", "/dev/nvme3n1")
    (store,) = nitro.own_disks("i-1")
    assert store.device == "/dev/nvme1n1"
    assert serial_name(store.name).startswith("nvme-Amazon_EC2_NVMe_Instance_Storage_AWS")
    assert nitro.own_disks("i-1") == [store] != nitro.own_disks("i-2")
    assert plain.seen(Volume("vol-1", 1, "/dev/sdf"), []).device == "/dev/sdf"
    assert plain.own_disks("i-1") == []
