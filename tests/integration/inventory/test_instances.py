# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ansible-inventory says about machines, and what it costs."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import time
from pathlib import Path

import pytest

from .conftest import KEY, Project, asked

HOSTILE = [
    "-oProxyCommand=touch CANARY",
    'a b"c',
    "it's",
    "a\nProxyCommand touch CANARY",
    "{{ lookup('pipe', 'touch CANARY') }}",
    "$(touch CANARY)",
    "localhost",
    "all",
    "haven",
    "same",
    "same",
    "x" * 255,
    "%h ${HOME}",
    "ünïcode",
]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.only("ec2", "openstack")
def test_a_machine_is_listed_with_all_that_is_documented(project: Project) -> None:
    found = project.machine("jupyter-demo", haven__host_key=f"{KEY} root@x", haven__login_user="debian", team="a")
    project.write(
        "group_vars/all.yml",
        f"haven_project: {project.name}\nhaven_cloud: {project.cloud}\n"
        "haven_hops: [{host: gate.example.org, user: sshuser}]\n",
    )
    listed = project.listed()
    variables = listed["_meta"]["hostvars"]["jupyter-demo"]
    assert asked(variables)["stricthostkeychecking"] == "true"
    config = Path(variables.pop("haven_ssh_config"))
    # The cloud says more than is known beforehand.
    assert variables.pop("haven_availability_zone")
    assert variables.pop("haven_launched_at").endswith("Z")
    assert variables.pop("haven_price_class") == {"ec2": "on_demand", "openstack": ""}[project.cloud]
    addresses = variables.pop("haven_private_address"), variables.pop("haven_public_address")
    assert addresses[0]
    # A server has a floating address only when somebody asked for it.
    assert bool(addresses[1]) == (project.cloud == "ec2")
    assert variables == {
        "haven_id": found,
        "haven_name": "jupyter-demo",
        "haven_project": project.name,
        "haven_cloud": project.cloud,
        "haven_region": project.machines.region,
        "haven_state": "running",
        "haven_instance_type": project.machines.type,
        "haven_image": project.machines.image,
        "haven_address": addresses[0],
        "haven_gpu": project.machines.gpu,
        "haven_hourly_price": None,
        "haven_instance_tags": {
            "haven:project": project.name,
            "Name": "jupyter-demo",
            "haven:host-key": f"{KEY} root@x",
            "haven:login-user": "debian",
            "team": "a",
        },
        "haven_host_key": KEY,
        "haven_is_jump_host": False,
        "haven_login_user": "debian",
        "haven_hops": [{"host": "gate.example.org", "user": "sshuser"}],
        "ansible_host": found,
        "ansible_user": "debian",
        "ansible_ssh_common_args": f"-F {config}",
    }
    groups = {name for name, content in listed.items() if "jupyter-demo" in content.get("hosts", [])}
    assert groups == {
        "haven",
        f"haven_project_{project.name.replace('-', '_')}",
        f"haven_cloud_{project.cloud}",
        "haven_state_running",
        f"haven_type_{project.machines.type.replace('.', '_')}",
        project.machines.group,
    }
    assert (mode(config), mode(config.parent)) == (0o600, 0o700)
    assert (config.parent / "known_hosts").read_text() == f"{found} {KEY} jupyter-demo\n"


@pytest.mark.only("ec2", "openstack")
def test_one_listing_is_the_only_call_whatever_the_number(project: Project) -> None:
    for number in range(4):
        project.machine(f"m{number}")
    began = time.time()
    assert len(project.hosts()) == 4
    assert project.calls(began) == list(project.machines.listing)


def test_other_projects_are_not_listed_unless_asked(project: Project) -> None:
    project.machine("mine")
    name, project.name = project.name, f"{project.name}-other"
    project.machine("theirs")
    assert project.hosts().keys() == {"mine"}
    project.write("haven.yml", f"plugin: haven.gpu.instances\nprojects: [{name}, {name}-other]\n")
    assert project.hosts().keys() == {"mine", "theirs"}
    project.write("haven.yml", "plugin: haven.gpu.instances\nprojects: ['*']\n")
    assert project.hosts().keys() >= {"mine", "theirs"}


def test_only_running_machines_are_listed_unless_asked(project: Project) -> None:
    project.machine("up")
    project.machines.stop(project.machine("down"))
    assert project.hosts().keys() == {"up"}
    project.write("haven.yml", "plugin: haven.gpu.instances\nstates: [running, stopped]\n")
    assert {name: host["haven_state"] for name, host in project.hosts().items()} == {"up": "running", "down": "stopped"}


def test_a_project_without_machines_is_an_empty_group(project: Project) -> None:
    done = project.ansible("ansible-inventory", "--graph", "haven")
    assert (done.returncode, done.stdout.strip()) == (0, "@haven:")


# The sandbox's OpenStack has one region.
@pytest.mark.only("ec2")
def test_regions_are_listed_together(project: Project) -> None:
    project.machine("east")
    project.write("haven.yml", "plugin: haven.gpu.instances\nregions: [eu-west-1]\n")
    assert project.hosts() == {}
    project.write("haven.yml", "plugin: haven.gpu.instances\nregions: [eu-west-1, us-east-1]\n")
    began = time.time()
    assert project.hosts()["east"]["haven_region"] == "us-east-1"
    assert project.calls(began) == ["DescribeInstances"] * 2


def test_variables_beside_the_file_may_be_templates_vaulted_and_in_a_folder(project: Project) -> None:
    project.machine("one")
    (project.inventory / "group_vars" / "all.yml").unlink()
    project.write(
        "group_vars/all/a.yml", f"part: {project.name[:10]}\nhaven_cloud: \"{{{{ lookup('env', 'CLOUD') }}}}\"\n"
    )
    secrets = project.write("group_vars/all/b.yml", f"haven_project: '{{{{ part }}}}{project.name[10:]}'\n")
    password = project.encrypt(secrets)
    assert secrets.read_text().startswith("$ANSIBLE_VAULT")
    assert project.hosts("--vault-password-file", str(password), CLOUD=project.cloud).keys() == {"one"}


def test_extra_variables_come_first(project: Project) -> None:
    project.machine("one")
    project.write("group_vars/all.yml", f"haven_project: somebody-elses\nhaven_cloud: {project.cloud}\n")
    assert project.hosts("-e", f"haven_project={project.name}").keys() == {"one"}


def test_the_file_wins_over_the_variables_beside_it(project: Project) -> None:
    project.machine("one")
    cloud, region = project.cloud, project.machines.region
    other = {"ec2": "openstack", "openstack": "ec2"}[cloud]
    project.write(
        "group_vars/all.yml", f"haven_project: somebody-elses\nhaven_cloud: {other}\nhaven_{cloud}: {{region: x}}\n"
    )
    project.write(
        "haven.yml",
        f"plugin: haven.gpu.instances\ncloud: {cloud}\n{cloud}: {{region: {region}}}\n"
        "projects: \"{{ [lookup('env', 'PROJECT'), 'another'] }}\"\n",
    )
    assert project.hosts(PROJECT=project.name).keys() == {"one"}


def test_groups_and_variables_can_be_composed(project: Project) -> None:
    project.machine("one", team="blue")
    project.write(
        "haven.yml",
        "plugin: haven.gpu.instances\nstrict: true\n"
        "compose: {gpus: haven_gpu.count}\ngroups: {big: haven_gpu.count > 0}\n"
        "keyed_groups: [{key: haven_instance_tags.team, prefix: team}]\n",
    )
    listed = project.listed()
    assert listed["_meta"]["hostvars"]["one"]["gpus"] == 1
    assert listed["big"]["hosts"] == listed["team_blue"]["hosts"] == ["one"]


@pytest.mark.parametrize("hostvars", ["compact", "full"])
def test_the_listing_is_the_same_without_any_shortcut(project: Project, hostvars: str) -> None:
    for number, team in enumerate(("blue", "", "{{ 1 + 1 }}")):
        project.machine(f"node-{number}", team=team, haven__host_key=KEY)
    project.write(
        "haven.yml",
        f"plugin: haven.gpu.instances\nhostvars: {hostvars}\n"
        "compose: {gpus: haven_gpu.count, label: haven_name ~ haven_state, odd: haven_instance_tags.team}\n"
        "groups: {big: haven_gpu.count > 0}\n"
        "keyed_groups: [{key: haven_instance_tags.team, prefix: team}, {key: haven_state, parent_group: states}]\n",
    )
    taken = project.ansible("ansible-inventory", "--list")
    plain = project.ansible("ansible-inventory", "--list", HAVEN_SHORTCUTS_OFF="all")
    assert plain.returncode == taken.returncode == 0, plain.stderr + taken.stderr
    assert taken.stdout == plain.stdout
    assert "node-2" in plain.stdout


@pytest.mark.only("ec2", "openstack")
@pytest.mark.parametrize("cached", [False, True])
def test_hostile_names_and_tags_are_listed_and_do_nothing(project: Project, cached: bool) -> None:
    canary = project.home / "canary"
    names = [name.replace("CANARY", str(canary)) for name in HOSTILE]
    if project.cloud == "openstack":
        # nova refuses what is not printable, and guests are dear: these are the worst.
        names = [names[0], names[4], names[5], names[-2]]
    ids = [
        project.machine(name[:255], haven__host_key=name, haven__login_user=name[:255], note="{{ 1 + 1 }}" + "y" * 200)
        for name in names
    ]
    environment = {"ANSIBLE_INVENTORY_CACHE": "1"} if cached else {}
    if cached:
        project.hosts(**environment)
    hosts = project.hosts(**environment)
    assert hosts.keys() == set(ids)
    assert {host["haven_name"] for host in hosts.values()} == {name[:255] for name in names}
    assert {host["haven_host_key"] for host in hosts.values()} == {""}
    assert "ansible_user" not in hosts[ids[0]]
    shown = project.ansible(
        "ansible", "all", "-c", "local", "-m", "ansible.builtin.debug", "-a", "msg={{ haven_name }}", **environment
    )
    assert shown.returncode == 0, shown.stdout
    assert not canary.exists()
    # Our own, where the cache wants to know of failures, and the same for all.
    helper = Path(hosts[ids[0]]["haven_ssh_config"]).with_name("proxy_helper.py")
    connecting = f"'{sys.executable}' -IS '{helper}' direct '[%h]:%p'" if cached else None
    for host in ids:
        answer = asked(hosts[host])
        assert (answer["hostkeyalias"], answer["hostname"]) == (host, hosts[host]["haven_address"])
        assert answer.get("proxycommand") == connecting


def test_a_machine_without_a_recorded_key_is_listed_and_refused(project: Project) -> None:
    project.machine("new")
    variables = project.hosts()["new"]
    assert variables["haven_host_key"] == ""
    assert (Path(variables["haven_ssh_config"]).parent / "known_hosts").read_text() == ""
    assert asked(variables)["stricthostkeychecking"] == "true"


def test_trust_on_first_use_is_a_choice_that_warns(project: Project) -> None:
    project.machine("new")
    project.write("haven.yml", "plugin: haven.gpu.instances\nhost_keys: tofu\n")
    assert asked(project.hosts()["new"])["stricthostkeychecking"] == "accept-new"
    done = project.ansible("ansible-inventory", "--graph")
    assert "host_keys is tofu: the first host key that a machine or hop shows is accepted" in " ".join(
        done.stderr.split()
    )


def test_the_cache_saves_the_call_and_not_the_ssh_configuration(project: Project) -> None:
    project.machine("one", haven__host_key=KEY)
    first = project.hosts(ANSIBLE_INVENTORY_CACHE="1")
    folder = Path(first["one"]["haven_ssh_config"]).parent
    for file in folder.iterdir():
        file.unlink()
    began = time.time()
    assert project.hosts(ANSIBLE_INVENTORY_CACHE="1") == first
    assert project.calls(began) == []
    assert {file.name for file in folder.iterdir()} == {"config", "known_hosts", "proxy_helper.py", "failed"}


def test_the_cache_is_its_owners_alone(project: Project) -> None:
    project.machine("one")
    project.hosts(ANSIBLE_INVENTORY_CACHE="1")
    files = list((project.home / ".ansible" / "haven" / "cache").iterdir())
    assert [mode(file) for file in files] == [0o600]
    assert mode(files[0].parent) == 0o700
    assert project.machines.secret not in files[0].read_text()


def test_all_files_lie_where_ansible_core_keeps_its_own(project: Project, tmp_path: Path) -> None:
    project.machine("one")
    hosts = project.hosts(ANSIBLE_HOME=str(tmp_path / "elsewhere"), ANSIBLE_INVENTORY_CACHE="1")
    ours = tmp_path / "elsewhere" / "haven"
    assert Path(hosts["one"]["haven_ssh_config"]).parent.parent == ours
    assert len(list((ours / "cache").iterdir())) == 1
    assert not (project.home / ".ansible" / "haven").exists()


def test_another_question_is_not_answered_from_the_cache(project: Project) -> None:
    project.machine("one")
    project.hosts(ANSIBLE_INVENTORY_CACHE="1")
    project.write("haven.yml", "plugin: haven.gpu.instances\nstates: [stopped]\n")
    assert project.listed(ANSIBLE_INVENTORY_CACHE="1")["_meta"]["hostvars"] == {}


def test_flushing_the_cache_asks_again(project: Project) -> None:
    project.machine("one")
    project.hosts(ANSIBLE_INVENTORY_CACHE="1")
    project.machine("two")
    assert project.hosts(ANSIBLE_INVENTORY_CACHE="1").keys() == {"one"}
    assert project.hosts("--flush-cache", ANSIBLE_INVENTORY_CACHE="1").keys() == {"one", "two"}


def test_a_refreshed_inventory_is_listed_anew(project: Project) -> None:
    project.machine("one")
    assert project.hosts(ANSIBLE_INVENTORY_CACHE="1").keys() == {"one"}
    project.machine("two")
    tasks = [
        {"ansible.builtin.assert": {"that": "groups.haven | sort == ['one']"}},
        {"ansible.builtin.meta": "refresh_inventory"},
        {"ansible.builtin.assert": {"that": "groups.haven | sort == ['one', 'two']"}},
    ]
    play = project.home / "play.yml"
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": tasks}]))
    done = project.ansible("ansible-playbook", str(play), ANSIBLE_INVENTORY_CACHE="1")
    assert done.returncode == 0, done.stdout


def test_a_failed_connection_makes_the_next_run_list_anew(project: Project) -> None:
    fail_and_list(project, "jump host", "refused")


# What fails there, and whether nothing listens or nobody ever says a word.
@pytest.mark.only("ec2")
@pytest.mark.parametrize(("by", "answer"), [("jump host", "silent"), ("direct", "refused"), ("direct", "silent")])
def test_any_other_failed_connection_does_so_too(project: Project, by: str, answer: str) -> None:
    fail_and_list(project, by, answer)


def fail_and_list(project: Project, by: str, answer: str) -> None:
    """Connect in vain, and see that the cloud is asked once more for that, and only once."""
    project.machine("one", haven__host_key=KEY)
    cached = {"ANSIBLE_INVENTORY_CACHE": "1", "ANSIBLE_TIMEOUT": "2"}
    with socket.socket() as nobody, socket.socket() as waiting:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        if answer == "silent":
            # One waits to be accepted, and whoever comes later for a place to wait.
            nobody.listen(0)
            waiting.connect(("127.0.0.1", port))
        hops = [{"host": "127.0.0.1", "port": port, "host_key": KEY}] if by == "jump host" else []
        there = f"-o HostName=127.0.0.1 -o Port={port}" if by == "direct" else ""
        arguments = ("-e", json.dumps({"haven_hops": hops, "ansible_ssh_extra_args": there}))
        project.hosts(*arguments, **cached)
        began = time.time()
        done = project.ansible("ansible", "one", "-m", "ansible.builtin.ping", *arguments, **cached)
        assert "UNREACHABLE" in done.stdout
    assert project.calls(began) == []
    project.hosts(*arguments, **cached)
    assert project.calls(began) == list(project.machines.listing)
    project.hosts(*arguments, **cached)
    assert project.calls(began) == list(project.machines.listing)


def test_a_broken_cache_is_no_answer(project: Project) -> None:
    project.machine("one")
    project.hosts(ANSIBLE_INVENTORY_CACHE="1")
    (file,) = (project.home / ".ansible" / "haven" / "cache").iterdir()
    held = file.read_text()
    file.write_text(held.replace("machines", "somethings"))
    assert file.read_text() != held
    assert project.hosts(ANSIBLE_INVENTORY_CACHE="1").keys() == {"one"}


def failure(project: Project, *arguments: str, **environment: str) -> str:
    """The one line of our plugin in the output of a run that must fail."""
    done = project.ansible("ansible-inventory", "--list", *arguments, **environment)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    lines = {line for line in done.stderr.splitlines() if line.startswith("haven.gpu.instances: ")}
    assert len(lines) == 1, done.stderr
    return lines.pop()


@pytest.mark.only("ec2", "openstack")
def test_wrong_credentials_fail_the_run_with_one_line(project: Project) -> None:
    line = failure(project, **project.machines.wrong_credentials(project.home))
    assert "credentials" in line
    assert "not-the-secret" not in line


@pytest.mark.only("ec2", "openstack")
def test_no_credentials_fail_the_run_with_one_line(project: Project) -> None:
    said = {"ec2": "no usable AWS credentials", "openstack": "openstack.auth"}[project.cloud]
    assert said in failure(project, **project.machines.no_credentials)


@pytest.mark.only("ec2", "openstack")
def test_a_missing_permission_is_named(project: Project) -> None:
    project.api.control("fault", **project.machines.denied)
    assert project.machines.permission in failure(project)


def test_a_hop_that_cannot_be_meant_fails_the_run(project: Project) -> None:
    assert "host of hop 1" in failure(project, "-e", '{"haven_hops": [{"host": "-oProxyCommand=x"}]}')


def test_an_undefined_variable_is_named(project: Project) -> None:
    line = failure(project, "-e", '{"haven_hops": "{{ nowhere }}"}')
    assert "haven_hops cannot be evaluated" in line
    assert "nowhere" in line


def test_a_missing_project_says_where_to_set_it(project: Project) -> None:
    project.write("group_vars/all.yml", f"haven_cloud: {project.cloud}\n")
    assert "haven_project" in failure(project)


def test_a_file_of_another_name_is_not_taken(project: Project) -> None:
    (project.inventory / "haven.yml").rename(project.inventory / "other.yml")
    done = project.ansible("ansible-inventory", "--list")
    assert done.returncode != 0
    assert os.listdir(project.home) in ([], [".ansible"])
