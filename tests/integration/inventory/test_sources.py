# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What one inventory file lists: several sources, machines of one's own, what filters leave, and under which names."""

from __future__ import annotations

import json
import time
from typing import Any

from .conftest import KEY, Project, asked

CACHED = {"ANSIBLE_INVENTORY_CACHE": "1"}


def write(project: Project, **options: Any) -> None:
    """The inventory file with these options."""
    # JSON is YAML.
    project.write("haven.yml", json.dumps({"plugin": "haven.gpu.instances", **options}))


def nowhere(project: Project) -> dict[str, Any]:
    """Options of an account that does not exist."""
    return {"ec2": {"profile": "nowhere"}} if project.cloud == "ec2" else {"openstack": {"cloud": "nowhere"}}


def named(project: Project, *names: str) -> dict[str, Any]:
    """The cloud's own filter for machines with these names."""
    return {"tag:Name": list(names)} if project.cloud == "ec2" else {"name": f"^({'|'.join(names)})$"}


def test_sources_are_listed_side_by_side_each_with_its_own_hops(project: Project) -> None:
    project.machine("one", haven__host_key=KEY)
    name, project.name = project.name, f"{project.name}-other"
    project.machine("two", haven__host_key=KEY)
    beside = {"haven_cloud": project.cloud, "haven_hops": [{"host": "outer.example.org"}]}
    project.write("group_vars/all.yml", json.dumps(beside))
    write(
        project,
        sources=[
            {"name": "first", "projects": [name], "hourly_prices": {project.machines.type: 0.5}},
            {"name": "second", "projects": [project.name], "hops": [{"host": "inner.example.org"}]},
            # Nothing that the others have not.
            {"name": "third", "projects": [name, project.name], "hops": []},
        ],
    )
    listed = project.listed()
    hosts = listed["_meta"]["hostvars"]
    assert {host: variables["haven_source"] for host, variables in hosts.items()} == {"one": "first", "two": "second"}
    assert listed["haven_source_first"]["hosts"] == ["one"]
    assert sorted(listed["haven"]["hosts"]) == ["one", "two"]
    assert [hosts[each]["haven_hourly_price"] for each in ("one", "two")] == [0.5, None]
    proxy_commands = {each: asked(hosts[each])["proxycommand"] for each in hosts}
    assert "haven-hop-outer-example-org-" in proxy_commands["one"]
    assert "haven-hop-inner-example-org-" in proxy_commands["two"]
    assert [hosts[each]["haven_hops"][0]["host"] for each in ("one", "two")] == [
        "outer.example.org",
        "inner.example.org",
    ]


def test_a_source_that_cannot_be_listed_fails_the_run_by_name_or_is_left_out(project: Project) -> None:
    project.machine("one")
    sources: list[dict[str, Any]] = [{"name": "good"}, {"name": "broken", **nowhere(project)}]
    write(project, sources=sources)
    done = project.ansible("ansible-inventory", "--list")
    assert done.returncode != 0
    lines = {line for line in done.stderr.splitlines() if line.startswith("haven.gpu.instances: ")}
    assert len(lines) == 1
    assert "Source broken: There is no" in lines.pop()
    sources[1]["on_error"] = "warn"
    write(project, sources=sources)
    done = project.ansible("ansible-inventory", "--graph", "haven")
    assert done.returncode == 0
    assert "--one" in done.stdout
    said = " ".join(done.stderr.split())
    assert "[WARNING]: haven.gpu.instances: Source broken: There is no" in said
    assert "Its machines are left out." in said


def test_a_source_that_is_left_out_keeps_its_cached_listing(project: Project) -> None:
    project.machine("one")
    write(project, on_error="warn")
    assert project.hosts(**CACHED).keys() == {"one"}
    project.api.control("fault", **project.machines.denied)
    assert project.hosts("--flush-cache", **CACHED) == {}
    began = time.time()
    assert project.hosts(**CACHED).keys() == {"one"}
    assert project.calls(began) == []


def test_each_source_is_cached_by_itself(project: Project) -> None:
    project.machine("one")
    sources = [{"name": "first"}, {"name": "second", "states": ["stopped"]}]
    write(project, sources=sources)
    assert project.hosts(**CACHED).keys() == {"one"}
    write(project, sources=[sources[0], {"name": "second", "states": ["stopped", "stopping"]}])
    began = time.time()
    assert project.hosts(**CACHED).keys() == {"one"}
    assert project.calls(began) == list(project.machines.listing)


def test_all_regions_are_those_the_account_may_use(project: Project) -> None:
    project.machine("one")
    write(project, regions=["all"])
    began = time.time()
    assert project.hosts()["one"]["haven_region"] == project.machines.region
    calls = project.calls(began)
    if project.cloud == "ec2":
        assert calls.count("DescribeRegions") == 1
        assert calls.count("DescribeInstances") > 10
    else:
        # The catalogue that comes with a token knows them.
        assert set(calls) == set(project.machines.listing)


def test_filters_are_the_clouds_own_and_exclusion_comes_last(project: Project) -> None:
    for name in ("one", "two", "three"):
        project.machine(name)
    write(project, filters=named(project, "one", "three"))
    assert project.hosts().keys() == {"one", "three"}
    write(
        project,
        filters=named(project, "one", "three"),
        include_filters=[named(project, "two")],
        exclude_filters=[named(project, "three", "four")],
    )
    assert project.hosts().keys() == {"one", "two"}
    write(project, exclude_filters=[named(project, "two"), named(project, "three")])
    assert project.hosts().keys() == {"one"}


def test_a_changed_filter_is_not_answered_from_the_cache(project: Project) -> None:
    project.machine("one")
    assert project.hosts(**CACHED).keys() == {"one"}
    for option in ({"filters": named(project, "two")}, {"exclude_filters": [named(project, "one")]}):
        write(project, **option)
        assert project.hosts(**CACHED) == {}


def test_a_filter_on_the_state_comes_before_the_states(project: Project) -> None:
    project.machine("up")
    project.machines.stop(project.machine("down"))
    stopped = {"instance-state-name": "stopped"} if project.cloud == "ec2" else {"status": "SHUTOFF"}
    write(project, filters=stopped)
    assert project.hosts().keys() == {"down"}


def test_a_filter_that_the_cloud_does_not_know_is_its_error(project: Project) -> None:
    write(project, filters={"no-such-filter": "x"})
    done = project.ansible("ansible-inventory", "--list")
    assert done.returncode != 0
    assert "no-such-filter" in done.stderr


def test_everything_the_cloud_said_is_there_where_it_is_asked_for(project: Project) -> None:
    found = project.machine("one", note="{{ 1 + 1 }}")
    assert "haven_details" not in project.hosts()["one"]
    write(project, hostvars="full")
    first = project.hosts(**CACHED)
    details = first["one"]["haven_details"]
    if project.cloud == "ec2":
        assert (details["InstanceId"], details["State"]["Name"]) == (found, "running")
        assert {"Key": "note", "Value": "{{ 1 + 1 }}"} in details["Tags"]
    else:
        assert (details["id"], details["status"], details["metadata"]["note"]) == (found, "ACTIVE", "{{ 1 + 1 }}")
    assert project.hosts(**CACHED) == first
    shown = project.ansible(
        "ansible", "one", "-c", "local", "-m", "ansible.builtin.debug", "-a", "msg={{ haven_details | to_json }}"
    )
    assert "{{ 1 + 1 }}" in shown.stdout


def test_hosts_are_named_by_preference(project: Project) -> None:
    project.machine("one", hostname="alpha")
    second = project.machine("two", hostname="not a word")
    write(project, hostnames=["tag:hostname", "haven_cloud ~ '-' ~ haven_name | upper"])
    assert project.hosts().keys() == {"alpha", f"{project.cloud}-TWO"}
    write(project, hostnames=["tag:hostname", "haven_nothing.at.all"])
    assert project.hosts().keys() == {"alpha", second}
    write(project, hostnames=["tag:hostname", "haven_nothing.at.all"], strict=True)
    done = project.ansible("ansible-inventory", "--list")
    assert done.returncode != 0
    assert "hostnames: haven_nothing.at.all cannot be evaluated" in " ".join(done.stderr.split())
    write(project, hostnames=["private_address"])
    assert {name == host["haven_private_address"] for name, host in project.hosts().items()} == {True}
    write(project, hostnames=["'same'"])
    assert second in project.hosts()


def test_machines_of_ones_own_stand_beside_the_clouds(project: Project) -> None:
    project.machine("one")
    gpu = {"model": "RTX3090", "count": 1, "memory_gib": 24.0}
    machines = [
        {"name": "gamer-pc", "ssh_alias": "gamer", "gpu": gpu},
        {"name": "box", "address": "10.1.2.3", "port": 2200, "host_key": KEY, "private_key": "keys/box", "tags": {}},
    ]
    write(project, machines=machines, keyed_groups=[{"key": "haven_gpu.model", "prefix": "with"}])
    listed = project.listed()
    hosts = listed["_meta"]["hostvars"]
    assert hosts.keys() == {"one", "gamer-pc", "box"}
    assert sorted(listed["haven_cloud_static"]["hosts"]) == ["box", "gamer-pc"]
    assert listed["with_RTX3090"]["hosts"] == ["gamer-pc"]
    gamer, box = asked(hosts["gamer-pc"]), asked(hosts["box"])
    # Nothing but the user's own configuration says where it is.
    assert (gamer["hostname"], gamer["stricthostkeychecking"]) == ("gamer", "true")
    assert (box["hostname"], box["port"], box["hostkeyalias"]) == ("10.1.2.3", "2200", "box")
    assert box["identityfile"] == str(project.inventory / "keys" / "box")
    assert hosts["box"]["haven_host_key"] == KEY


def test_without_a_cloud_only_ones_own_machines_are_listed(project: Project) -> None:
    project.write("group_vars/all.yml", "haven_project: mine\n")
    write(project, machines=[{"name": "gamer-pc", "ssh_alias": "gamer"}])
    began = time.time()
    assert project.hosts()["gamer-pc"]["haven_project"] == "mine"
    assert project.calls(began) == []
