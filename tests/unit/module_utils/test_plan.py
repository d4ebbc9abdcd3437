# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans for machines hold what they promise, whatever was found and whatever is wanted."""

from __future__ import annotations

import dataclasses
from typing import Any, Optional

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.haven.gpu.plugins.module_utils._cloud_init import digest
from ansible_collections.haven.gpu.plugins.module_utils._clouds import package
from ansible_collections.haven.gpu.plugins.module_utils._errors import (
    HavenError,
    InvalidRequest,
    NotFound,
    Refused,
    Unsupported,
)
from ansible_collections.haven.gpu.plugins.module_utils._models import (
    STATES,
    Change,
    Image,
    ImageChoice,
    Instance,
    Observed,
    Plan,
    Resource,
    Spec,
    Traits,
    Volume,
    VolumeSpec,
)
from ansible_collections.haven.gpu.plugins.module_utils._ownership import (
    TAG_GENERATION,
    TAG_HOST_KEY,
    TAG_NAME,
    TAG_PROJECT,
)
from ansible_collections.haven.gpu.plugins.module_utils._plan import check_supported, generation, render
from ansible_collections.haven.gpu.plugins.module_utils._plan import plan as plan_for

EC2, OPENSTACK = package("ec2").TRAITS, package("openstack").TRAITS
KEY = "ssh-ed25519 AAAA"
IMAGE = Image("ami-1", "debian", "/dev/xvda")


def machine(**fields: Any) -> Instance:
    tags = {TAG_NAME: "one", TAG_PROJECT: "p", TAG_GENERATION: "1", TAG_HOST_KEY: KEY, **fields.pop("tags", {})}
    basics = {"id": "i-1", "name": "one", "project": "p", "cloud": "ec2", "region": "r", "state": "running"}
    fields["options"] = {"iam_instance_profile": None, **fields.get("options", {})}
    basics.update(subnet="subnet-1", launched_at="2026-03-01T09:00:00Z")
    fields.setdefault("firewall_ids", tuple(f"sg-{each}" for each in fields.get("firewalls", ())))
    return Instance(**{**basics, "instance_type": "small", "image": "ami-1", "tags": tags, **fields})


def wanted(**fields: Any) -> Spec:
    basics = {"project": "p", "name": "one", "image": ImageChoice(name="debian*"), "instance_type": "small"}
    return Spec(**{**basics, **fields})


def plan(spec: Spec, observed: Observed, traits: Traits = EC2) -> Plan:
    return plan_for(spec, observed, traits)


def actions(made: Plan) -> list[str]:
    return [change.action for change in made.changes]


def fulfilled(current: Instance, spec: Spec, made: Plan) -> Instance:
    """The machine after its plan, by the plan's own words: what apply and a cloud do."""
    tags = dict(current.tags)
    fields: dict[str, Any] = {}
    for change in made.changes:
        if change.field == "tags":
            tags.update(change.after)
        elif change.field == "removed_tags":
            tags = {key: value for key, value in tags.items() if key not in change.before}
        elif change.field in ("instance_type", "firewalls"):
            fields[change.field] = tuple(change.after) if change.field == "firewalls" else change.after
            if change.field == "firewalls":
                fields["firewall_ids"] = tuple(f"sg-{each}" for each in change.after)
        elif change.option == "imdsv2":
            fields["options"] = {**current.options, "imdsv2": change.after}
        elif change.action == "stop":
            fields["state"] = "stopped"
        elif change.action in ("start", "restart"):
            fields["state"] = "running"
    return dataclasses.replace(current, tags=tags, **fields)


states = st.sampled_from([state for state in STATES if state not in ("terminating", "terminated")])
tag_maps = st.dictionaries(st.sampled_from("abc"), st.sampled_from(["1", "2"]), max_size=3)
machines = st.builds(
    machine,
    state=states,
    instance_type=st.sampled_from(["small", "large"]),
    tags=tag_maps,
    firewalls=st.sampled_from([("f",), ("g",), ("f", "g")]),
    options=st.builds(dict, imdsv2=st.booleans()),
)
specs = st.builds(
    wanted,
    state=st.sampled_from(["present", "running", "stopped", "restarted", "absent"]),
    instance_type=st.sampled_from([None, "small", "large"]),
    tags=tag_maps,
    purge_tags=st.booleans(),
    firewalls=st.sampled_from([None, ("f",), ("f", "g")]),
    allow_stop=st.booleans(),
    options=st.builds(dict, imdsv2=st.sampled_from([None, True, False])),
)


def seen(spec: Spec, *found: Instance) -> Observed:
    """What is read before deciding: the ids of firewalls are made of their names here."""
    ids = None if spec.firewalls is None else tuple(f"sg-{each}" for each in spec.firewalls)
    return Observed(found, firewall_ids=ids)


@given(machines, specs)
def test_a_plan_carried_out_leaves_nothing_to_do(current: Instance, spec: Spec) -> None:
    assume(spec.state not in ("absent", "restarted"))
    try:
        made = plan(spec, seen(spec, current), EC2)
    except Refused:
        return
    after = fulfilled(current, spec, made)
    assert not plan(spec, seen(spec, after), EC2).changed


@given(machines, specs)
def test_a_machine_is_never_replaced_or_terminated_unasked(current: Instance, spec: Spec) -> None:
    assume(spec.state != "absent")
    try:
        made = plan(spec, seen(spec, current), EC2)
    except Refused:
        return
    assert not {"create", "terminate", "delete_volume"} & set(actions(made))


@given(machines, specs)
def test_a_running_machine_is_stopped_only_when_somebody_said_so(current: Instance, spec: Spec) -> None:
    try:
        made = plan(spec, seen(spec, current), EC2)
    except Refused:
        return
    assert not made.has("stop") or spec.state == "stopped" or spec.allow_stop


@given(machines, specs)
def test_what_needs_a_stopped_machine_happens_on_a_stopped_machine(current: Instance, spec: Spec) -> None:
    try:
        made = plan(spec, seen(spec, current), EC2)
    except Refused:
        return
    up = current.state in ("pending", "running")
    for change in made.changes:
        up = {"stop": False, "start": True}.get(change.action, up)
        assert not (change.needs_stop and up)


@given(machines, specs)
def test_the_diff_shows_every_change_and_nothing_else(current: Instance, spec: Spec) -> None:
    try:
        made = plan(spec, seen(spec, current), EC2)
    except Refused:
        return
    shown = render([made])
    assert bool(shown["after"]) is made.changed
    assert shown["before"].keys() == shown["after"].keys()


@given(st.lists(st.builds(machine, state=st.sampled_from(STATES)), max_size=4), specs)
def test_there_is_never_more_than_one_machine_of_a_name(found: list[Instance], spec: Spec) -> None:
    found = [dataclasses.replace(each, id=f"i-{number}") for number, each in enumerate(found)]
    observed = Observed(tuple(found), image=IMAGE)
    try:
        made = plan(spec, observed, EC2)
    except HavenError:
        return
    left = len(observed.live) + actions(made).count("create") - actions(made).count("terminate")
    assert left == (0 if spec.state == "absent" else 1)


@given(st.lists(st.integers(1, 50)))
def test_the_next_generation_was_never_used(numbers: list[int]) -> None:
    found = [machine(tags={TAG_GENERATION: str(number)}) for number in numbers]
    assert generation(found) > max(numbers, default=0)


def test_a_generation_that_is_no_number_counts_as_none() -> None:
    assert generation([machine(tags={TAG_GENERATION: "²"}), machine(tags={TAG_GENERATION: "x"})]) == 1


def test_a_missing_machine_is_created_with_its_price_class() -> None:
    made = plan(wanted(spot=True), Observed(image=IMAGE))
    assert actions(made) == ["create"]
    assert made.changes[0].after["price_class"] == "spot"


def test_a_terminated_machine_is_as_good_as_none() -> None:
    assert actions(plan(wanted(), Observed((machine(state="terminated"),), image=IMAGE))) == ["create"]


@pytest.mark.parametrize("missing", ["image", "instance_type"])
def test_creating_without_what_it_takes_is_an_error(missing: str) -> None:
    with pytest.raises(InvalidRequest, match=missing):
        plan(wanted(**{missing: None}), Observed(image=None if missing == "image" else IMAGE))


@pytest.mark.parametrize("state", ["stopped", "restarted"])
def test_what_does_not_exist_is_not_made_in_order_to_stop_it(state: str) -> None:
    with pytest.raises(NotFound):
        plan(wanted(state=state), Observed(image=IMAGE))


FIXED = {
    "image": ImageChoice(id="ami-2"),
    "key_pair": "k",
    "subnet": "s",
    "availability_zone": "z",
    "private_address": "10.0.0.9",
    "public_address": True,
    "hibernation": True,
    "spot": True,
    "root_volume": VolumeSpec(size_gib=5),
    "options": {"iam_instance_profile": "x"},
}


@pytest.mark.parametrize("name", FIXED)
def test_what_cannot_change_is_refused_by_name_or_replaced_on_request(name: str) -> None:
    current = machine(key_pair="former", volumes=(Volume("vol-1", "/dev/xvda", True, True, 10, "gp3", True),))
    label = {"root_volume": "root_volume.size_gib", "options": "iam_instance_profile"}.get(name, name)
    with pytest.raises(Refused, match=f"{label} from"):
        plan(wanted(**{name: FIXED[name]}), Observed((current,), image=IMAGE))
    made = plan(wanted(recreate=True, **{name: FIXED[name]}), Observed((current,), image=IMAGE))
    assert actions(made) == ["terminate", "create"]


def test_an_instance_that_was_made_without_a_key_pair_needs_none() -> None:
    assert not plan(wanted(key_pair="k"), Observed((machine(),))).changed


def test_recreate_alone_replaces_nothing() -> None:
    assert not plan(wanted(recreate=True), Observed((machine(),), image=IMAGE)).changed


def test_an_image_by_name_is_not_compared() -> None:
    assert not plan(wanted(image=ImageChoice(name="newer*")), Observed((machine(image="ami-old"),))).changed


def test_a_missing_host_key_is_recorded_when_the_console_has_it() -> None:
    tagless = machine(tags={TAG_HOST_KEY: ""})
    made = plan(wanted(), Observed((tagless,), host_key=KEY))
    assert made.changes[0].after == {TAG_HOST_KEY: KEY}
    nameless = dataclasses.replace(tagless, tags={TAG_NAME: "one", TAG_PROJECT: "p"})
    assert not plan(wanted(), Observed((nameless,))).changed


def test_a_host_key_still_to_come_is_part_of_the_plan() -> None:
    starting = machine(state="pending", tags={TAG_HOST_KEY: ""})
    assert [change.field for change in plan(wanted(), Observed((starting,))).changes] == ["host_key"]
    assert not plan(wanted(record_host_key=False), Observed((starting,))).changed


def test_firewalls_are_compared_by_id_since_anybody_may_take_a_name() -> None:
    current = machine(firewalls=("f", "g"), firewall_ids=("sg-1", "sg-2"))

    def changes(names: tuple[str, ...], ids: Optional[tuple[str, ...]]) -> bool:
        return plan(wanted(firewalls=names), Observed((current,), firewall_ids=ids)).changed

    assert not changes(("sg-2", "f"), ("sg-2", "sg-1"))
    assert changes(("f",), ("sg-1",))
    assert changes(("f", "g", "h"), ("sg-1", "sg-2", "sg-3"))
    assert changes((), ())
    # The machine has another one of that name, or the project has none.
    assert changes(("f", "g"), ("sg-9", "sg-2"))
    assert changes(("f", "g"), None)
    bare = dataclasses.replace(current, firewalls=(), firewall_ids=())
    assert not plan(wanted(firewalls=()), Observed((bare,), firewall_ids=())).changed


def test_protection_is_lifted_only_on_request() -> None:
    protected = machine(attributes={"termination_protection": True})
    assert actions(plan(wanted(state="absent"), Observed((protected,)))) == ["terminate"]
    told = plan(wanted(state="absent", termination_protection=False), Observed((protected,)))
    assert actions(told) == ["update", "terminate"]


def test_disks_are_deleted_only_on_request() -> None:
    left = (Resource("volume", "vol-9", "one", "available"),)
    assert not plan(wanted(state="absent"), Observed(leftovers=left)).changed
    told = plan(wanted(state="absent", delete_volumes=True), Observed(leftovers=left))
    assert told.changes == (Change("remove", kind="volume", before="available", target="vol-9"),)


def test_a_changed_disk_names_the_disk() -> None:
    disks = (
        Volume("vol-1", "/dev/xvda", True, True, 10, "gp2", True),
        Volume("vol-2", "/dev/sdf", False, False, 5, "gp3"),
    )
    spec = wanted(
        root_volume=VolumeSpec(size_gib=20, type="gp3", delete_with_instance=False),
        data_volumes=(VolumeSpec("/dev/sdf", 6),),
    )
    made = plan(spec, Observed((machine(volumes=disks),)))
    assert [(change.subject, change.target, change.after) for change in made.changes] == [
        ("root_volume.size_gib", "vol-1", 20),
        ("root_volume.type", "vol-1", "gp3"),
        ("root_volume.delete_with_instance", "vol-1", False),
        ("data_volumes.size_gib", "vol-2", 6),
    ]


def test_a_data_disk_that_is_not_there_cannot_be_added() -> None:
    with pytest.raises(Refused, match="data_volumes"):
        plan(wanted(data_volumes=(VolumeSpec("/dev/sdf", 6),)), Observed((machine(),)))


def test_the_content_of_user_data_is_in_no_message_and_no_diff() -> None:
    current = machine(attributes={"user_data": b"secret-a"})
    with pytest.raises(Refused) as refused:
        plan(wanted(user_data="secret-b"), Observed((current,)))
    made = plan(wanted(user_data="secret-b", recreate=True), Observed((current,), image=IMAGE))
    assert "secret" not in str(refused.value) + str(render([made]))


@pytest.mark.parametrize("fields", [{"state": "shelved"}, {"state": "rebuilt"}])
def test_states_of_one_cloud_are_refused_by_the_other(fields: dict[str, Any]) -> None:
    check_supported(wanted(**fields), OPENSTACK)
    with pytest.raises(Unsupported, match="EC2 has no state"):
        check_supported(wanted(**fields), EC2)


def test_what_a_cloud_lacks_is_refused_with_its_sentence() -> None:
    check_supported(wanted(), OPENSTACK)
    with pytest.raises(Unsupported, match="no spot instances"):
        check_supported(wanted(spot=True), OPENSTACK)


@pytest.mark.parametrize(
    ("now", "then", "steps"),
    [
        ("running", "shelved", ["shelve"]),
        ("stopped", "shelved", ["shelve"]),
        ("shelved", "shelved", []),
        ("shelved", "present", []),
        ("shelved", "stopped", []),
        ("shelved", "running", ["start"]),
        ("shelved", "restarted", ["start"]),
        ("running", "rebuilt", ["rebuild"]),
        ("failed", "running", ["restart"]),
        ("failed", "present", []),
        ("failed", "stopped", ["stop"]),
        ("failed", "rebuilt", ["rebuild"]),
    ],
)
def test_what_brings_a_server_from_one_state_to_another(now: str, then: str, steps: list[str]) -> None:
    made = plan(wanted(state=then), Observed((machine(state=now),), image=IMAGE), OPENSTACK)
    assert actions(made) == steps


def test_what_failed_to_start_counts_for_nothing_and_goes() -> None:
    remnant = machine(state="failed", launched_at=None)
    assert actions(plan(wanted(), Observed((remnant,), image=IMAGE), OPENSTACK)) == ["terminate", "create"]
    assert actions(plan(wanted(state="absent"), Observed((remnant,)), OPENSTACK)) == ["terminate"]
    both = Observed((remnant, dataclasses.replace(machine(), id="i-2")), image=IMAGE)
    assert not plan(wanted(), both, OPENSTACK).changed


def test_a_rebuilt_server_takes_another_image_and_user_data() -> None:
    spec = wanted(state="rebuilt", image=ImageChoice(id="ami-2"), user_data="new")
    current = machine(attributes={"user_data": digest("p", "old")})
    made = plan(spec, Observed((current,), image=Image("ami-2")), OPENSTACK)
    assert [(change.action, change.before, change.after) for change in made.changes] == [("rebuild", "ami-1", "ami-2")]


def test_user_data_is_compared_by_its_digest_where_the_cloud_does_not_show_it() -> None:
    current = machine(attributes={"user_data": digest("p", "#!/bin/sh\n")})
    assert not plan(wanted(user_data="#!/bin/sh"), Observed((current,)), OPENSTACK).changed
    with pytest.raises(Refused, match="user_data"):
        plan(wanted(user_data="#!/bin/bash"), Observed((current,)), OPENSTACK)


def test_a_floating_address_changes_in_place() -> None:
    bare, reached = machine(), machine(public_address="198.51.100.7", options={"floating_ip": "198.51.100.7"})
    pool = {"floating_ip_pool": "public"}
    [change] = plan(wanted(public_address=True, options=pool), Observed((bare,)), OPENSTACK).changes
    assert (change.field, change.before, change.after, change.details) == ("public_address", False, True, pool)
    [change] = plan(wanted(public_address=False), Observed((reached,)), OPENSTACK).changes
    assert (change.field, change.before, change.after) == ("public_address", "198.51.100.7", False)
    [change] = plan(wanted(options={"floating_ip": "198.51.100.8"}), Observed((reached,)), OPENSTACK).changes
    assert (change.option, change.before, change.after) == ("floating_ip", "198.51.100.7", "198.51.100.8")
    assert not plan(wanted(public_address=True), Observed((reached,)), OPENSTACK).changed


def test_what_a_listing_does_not_show_is_not_compared() -> None:
    assert not plan(wanted(options={"networks": ["a"]}), Observed((machine(),)), OPENSTACK).changed


def test_only_a_cloud_that_encrypts_disks_says_so_beforehand() -> None:
    for traits, told in ((EC2, True), (OPENSTACK, None)):
        made = plan(wanted(data_volumes=(VolumeSpec("/dev/sdf", 5),)), Observed(image=IMAGE), traits)
        assert made.changes[0].after["data_volumes"][0].get("encrypted") is told


def test_what_changes_of_a_disk_is_planned_as_the_cloud_has_it() -> None:
    """A disk that is not there would be encrypted by the one, and by the other only where its type says so."""
    spec, current = wanted(data_volumes=(VolumeSpec("/dev/sdf", 5),)), machine()
    for traits, told in ((EC2, "'encrypted': True"), (OPENSTACK, "'size_gib': 5}")):
        with pytest.raises(Refused, match=told):
            plan(spec, Observed((current,)), traits)


def test_a_cloud_that_says_nothing_of_disks_and_prices_promises_nothing() -> None:
    with pytest.raises(TypeError, match="'encrypts_disks', 'sells_spot', and 'key_types'"):
        Traits(title="a third")  # type: ignore[call-arg]
