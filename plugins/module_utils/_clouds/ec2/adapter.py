# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The adapter for EC2, which implements the Protocol in _cloud.py."""

from __future__ import annotations

import base64
import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Optional

from ..._errors import CloudFailure, HavenError, InvalidRequest, NotFound, Refused, TokenUsed, Unsupported
from ..._models import Change, Gpu, Image, ImageChoice, Instance, Kind, Pacing, Resource, Spec
from ..._ownership import TAG_NAME, TAG_PROJECT
from ..._progress import progress
from ..._retry import Deadline, together
from . import errors, gpus, shapes
from .access import Access
from .checks import Checks
from .client import Connection, RefusedCall

_SPENT = ("IdempotentParameterMismatch", "InvalidIdempotencyToken", "IdempotentInstanceTerminated")
# Filters on the state.
_STATE_FILTERS = frozenset(["instance-state-name", "instance-state-code"])
# Instances per page. A page is in memory while it is read; one of 1,000 instances would take another 13 MiB.
_PAGE = 500
# Seconds until a security group or a volume is no longer in use by a terminated instance.
RELEASE_TIMEOUT = 120.0
# Kind: (the action that deletes it, its parameter, the errors if it is still in use, the error if it does not exist)
_DELETIONS: dict[Kind, tuple[str, str, tuple[str, ...], str]] = {
    "volume": ("DeleteVolume", "VolumeId", ("VolumeInUse",), "InvalidVolume.NotFound"),
    "firewall": (
        "DeleteSecurityGroup", "GroupId", ("DependencyViolation", "InvalidGroup.InUse"), "InvalidGroup.NotFound",
    ),
    "key_pair": ("DeleteKeyPair", "KeyPairId", (), "InvalidKeyPair.NotFound"),
}  # fmt: skip
# Our name: (the API's name in the request, in the answer)
_ATTRIBUTES = {
    "termination_protection": ("disableApiTermination", "DisableApiTermination"),
    "shutdown_behavior": ("instanceInitiatedShutdownBehavior", "InstanceInitiatedShutdownBehavior"),
    "user_data": ("userData", "UserData"),
}


class Ec2(Access, Checks):
    """One region of EC2, with one identity."""

    name = "ec2"
    # At most one call per second.
    pacing = Pacing()
    deadline = Deadline()
    restart_shows = False

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.region = connection.region
        self._gpus: dict[str, Optional[Gpu]] = {}

    def in_region(self, region: str) -> Ec2:
        return Ec2(self._ec2.in_region(region))

    # -- reading

    def instances(
        self,
        project: Optional[str] = None,
        names: Iterable[str] = (),
        *,
        states: Iterable[str] = (),
        filters: Optional[Mapping[str, Sequence[str]]] = None,
        details: bool = False,
    ) -> list[Instance]:
        wanted, own = set(names), dict(filters or {})
        conditions: dict[str, Sequence[str]] = (
            {f"tag:{TAG_PROJECT}": [project]} if project else {"tag-key": [TAG_PROJECT]}
        )
        # A filter accepts 200 values. For more, the whole project is listed and filtered here.
        if 0 < len(wanted) <= 200:
            conditions[f"tag:{TAG_NAME}"] = sorted(wanted)
        if states and not own.keys() & _STATE_FILTERS:
            spelled = {"terminating": "shutting-down"}
            conditions["instance-state-name"] = [spelled.get(state, state) for state in states]
        for name in own.keys() & conditions.keys():
            raise InvalidRequest(f"The filter {ascii(name)[:80]} is haven.gpu's own: use projects instead.")
        found = self._listed([*shapes.filters(conditions), *shapes.own_filters(own)], details=details)
        return [each for each in found if not wanted or each.name in wanted]

    def regions(self) -> list[str]:
        listed = self._ec2.call("DescribeRegions")["Regions"]
        return sorted(item["RegionName"] for item in listed if item.get("OptInStatus") != "not-opted-in")

    def refresh(self, ids: Sequence[str]) -> dict[str, Instance]:
        # By filter rather than by id, so that an instance that is not visible yet is missing instead of an error.
        found: dict[str, Instance] = {}
        for start in range(0, len(ids), 200):
            chunk = self._listed(shapes.filters({"instance-id": ids[start : start + 200]}))
            found.update({each.id: each for each in chunk})
        return found

    def _listed(self, filters: list[dict[str, Any]], *, details: bool = False) -> list[Instance]:
        unwanted = () if details else shapes.UNREAD
        reservations = self._ec2.items("DescribeInstances", "Reservations", unwanted, Filters=filters, MaxResults=_PAGE)
        if not details:
            return [self._instance(item) for reservation in reservations for item in reservation["Instances"]]
        return [
            dataclasses.replace(self._instance(item), details=shapes.details(item, reservation))
            for reservation in reservations
            for item in reservation["Instances"]
        ]

    def _instance(self, item: Mapping[str, Any]) -> Instance:
        return shapes.instance(item, self.region, self.gpu(item.get("InstanceType") or ""))

    def gpu(self, instance_type: str) -> Optional[Gpu]:
        if instance_type not in self._gpus:
            is_known, gpu = gpus.known(instance_type)
            self._gpus[instance_type] = gpu if is_known else self._ask_for_gpu(instance_type)
        return self._gpus[instance_type]

    def _ask_for_gpu(self, instance_type: str) -> Optional[Gpu]:
        try:
            answer = self._ec2.attempt("DescribeInstanceTypes", InstanceTypes=[instance_type])
        except RefusedCall as refused:
            # Not essential: the creation itself reports what is wrong with a type. The permission is optional.
            return None if refused.code.startswith("Invalid") else gpus.UNKNOWN
        for item in answer["InstanceTypes"]:
            return gpus.described(item.get("GpuInfo", {}))
        return None

    def with_volumes(self, instances: Sequence[Instance]) -> list[Instance]:
        ids = [volume.id for instance in instances for volume in instance.volumes]
        details: dict[str, Mapping[str, Any]] = {}
        for start in range(0, len(ids), 200):
            conditions = shapes.filters({"volume-id": ids[start : start + 200]})
            items = self._ec2.pages("DescribeVolumes", "Volumes", Filters=conditions)
            details.update({item["VolumeId"]: item for item in items})
        return [
            dataclasses.replace(
                instance,
                volumes=tuple(shapes.volume_with_details(each, details.get(each.id, {})) for each in instance.volumes),
            )
            for instance in instances
        ]

    def with_attributes(self, instances: Sequence[Instance], names: Iterable[str]) -> list[Instance]:
        asked = [(each.id, name) for each in instances for name in sorted(_ATTRIBUTES.keys() & set(names))]
        answers = dict(zip(asked, together(lambda pair: self._attribute(*pair), asked)))
        return [
            dataclasses.replace(
                instance, attributes={name: value for (owner, name), value in answers.items() if owner == instance.id}
            )
            for instance in instances
        ]

    def _attribute(self, instance_id: str, name: str) -> Any:
        question, field = _ATTRIBUTES[name]
        answer = self._ec2.call("DescribeInstanceAttribute", InstanceId=instance_id, Attribute=question)
        value = answer.get(field, {}).get("Value")
        return base64.b64decode(value or "") if name == "user_data" else value

    def image(self, choice: ImageChoice) -> Image:
        if choice.name:
            owners = [choice.owner] if choice.owner else ["self", "amazon"]
            conditions = [{"Name": "name", "Values": [choice.name]}, {"Name": "state", "Values": ["available"]}]
            found = self._ec2.call("DescribeImages", Filters=conditions, Owners=owners)["Images"]
            if not found:
                raise NotFound(
                    f"No image in {self.region} is called {choice.name!r} and owned by {' or '.join(owners)}: "
                    "check the pattern, the owner and the region."
                )
            return shapes.image(max(found, key=lambda item: (item.get("CreationDate", ""), item["ImageId"])))
        image_id = choice.id or self._parameter(choice.parameter or "")
        found = self._ec2.call("DescribeImages", ImageIds=[image_id])["Images"]
        if not found:
            raise NotFound(f"There is no image {image_id} in {self.region}: check the id and the region.")
        return shapes.image(found[0])

    def _parameter(self, name: str) -> str:
        value = self._ec2.call("GetParameter", service="ssm", Name=name)["Parameter"]["Value"]
        if not value.startswith("ami-"):
            raise InvalidRequest(f"The SSM parameter {name} does not contain an image id: choose another one.")
        return str(value)

    def console(self, instance: Instance) -> str:
        try:
            answer = self._ec2.attempt("GetConsoleOutput", InstanceId=instance.id, Latest=True)
        except RefusedCall as refused:
            # Types before Nitro have no latest output, only the output saved after the boot.
            if refused.code not in ("UnsupportedOperation", "InvalidParameterCombination"):
                raise refused.explain() from refused
            answer = self._ec2.call("GetConsoleOutput", InstanceId=instance.id)
        return str(answer.get("Output") or "")

    def resources(self, project: str) -> list[Resource]:
        tagged = shapes.filters({f"tag:{TAG_PROJECT}": [project]})
        listings: list[tuple[str, str, Callable[[Mapping[str, Any]], Resource]]] = [
            ("DescribeVolumes", "Volumes", _volume_resource),
            ("DescribeSecurityGroups", "SecurityGroups", lambda item: _resource("firewall", item, "GroupId")),
            ("DescribeKeyPairs", "KeyPairs", lambda item: _resource("key_pair", item, "KeyPairId")),
            (
                "DescribeAddresses",
                "Addresses",
                lambda item: _resource("address", item, "AllocationId", used=bool(item.get("AssociationId"))),
            ),
        ]
        found = [
            Resource("instance", each.id, each.name, each.state) for each in self.instances(project) if not each.gone
        ]
        answers = together(lambda listing: self._ec2.pages(listing[0], listing[1], Filters=tagged), listings)
        for (_action, _key, make), items in zip(listings, answers):
            found.extend(make(item) for item in items)
        return found

    # -- creating

    def firewall_ids(self, project: str, names: Iterable[str], subnet: Optional[str] = None) -> Mapping[str, str]:
        """The groups' ids by name. One call for all unknown names, and one for the subnet if a name is ambiguous."""
        wanted = set(names)
        named = {each for each in wanted if not each.startswith("sg-")}
        unknown = sorted(each for each in named if (project, each) not in self._firewalls)
        if unknown:
            conditions = shapes.filters({f"tag:{TAG_PROJECT}": [project], f"tag:{TAG_NAME}": unknown})
            for item in self._ec2.pages("DescribeSecurityGroups", "SecurityGroups", Filters=conditions):
                self._remember_firewall(project, item)
        found = {each: self._firewall_in(project, each, subnet) for each in named}
        return {**{each: each for each in wanted - named}, **{name: key for name, key in found.items() if key}}

    def _remember_firewall(self, project: str, item: Mapping[str, Any]) -> None:
        name, network = shapes.tags_of(item)[TAG_NAME], item.get("VpcId", "")
        known = self._firewalls.setdefault((project, name), {}).setdefault(network, item["GroupId"])
        if known != item["GroupId"]:
            raise Refused(
                f"Two security groups of network {network} have the tags of firewall {name} of project {project} "
                f"({known} and {item['GroupId']}): remove the tags from the one that haven.gpu did not create."
            )

    def _firewall_in(self, project: str, name: str, subnet: Optional[str]) -> Optional[str]:
        """The id of the firewall for a subnet. If there is only one, EC2 checks that it is in the right network."""
        by_network = self._firewalls.get((project, name), {})
        if len(by_network) < 2:
            return next(iter(by_network.values()), None)
        network = self.network_of(subnet)
        if network in by_network:
            return by_network[network or ""]
        raise Refused(
            f"Project {project} has firewalls {name} in several networks ({', '.join(sorted(by_network))}), and none "
            f"in {network or 'the default network'}: create it with haven.gpu.firewall and the subnet of the "
            "instance, or give its id."
        )

    def _ids_of(self, project: str, firewalls: Sequence[str], subnet: Optional[str]) -> list[str]:
        known = self.firewall_ids(project, firewalls, subnet)
        missing = sorted(set(firewalls) - known.keys())
        if missing:
            raise NotFound(
                f"Project {project} has no firewall {' or '.join(missing)} in {self.region}: "
                "create it with haven.gpu.firewall first, or give the id of a security group."
            )
        return [known[each] for each in firewalls]

    def create(self, spec: Spec, image: Image, generation: int) -> Instance:
        firewalls = self._ids_of(spec.project, spec.firewalls or (), spec.subnet)
        parameters = shapes.run_parameters(spec, image, generation, firewalls)
        try:
            answer = self._ec2.attempt("RunInstances", **parameters)
        except RefusedCall as refused:
            if refused.code in _SPENT:
                raise TokenUsed(f"{spec.name}: {refused.code}", terminated=False) from refused
            raise refused.explain() from refused
        made = self._instance(answer["Instances"][0])
        if made.gone:
            raise TokenUsed(f"{spec.name}: {made.id} is {made.state}", terminated=True)
        return made

    def settle(self, instances: Sequence[Instance]) -> list[Instance]:
        # Client tokens ensure this.
        return list(instances)

    def failure(self, instance: Instance, wanted: str) -> HavenError:
        state = "terminated" if instance.gone else instance.state
        return errors.from_state(f"{instance.name} ({instance.id})", state, wanted, instance.state_reason or "")

    # -- changing

    def terminate(self, ids: Sequence[str]) -> None:
        try:
            self._ec2.attempt("TerminateInstances", InstanceIds=list(ids))
        except RefusedCall as refused:
            if refused.code != "InvalidInstanceID.NotFound":
                raise refused.explain() from refused
            # If EC2 no longer knows one of them, it refuses the whole call.
            for each in ids if len(ids) > 1 else ():
                self.terminate([each])

    def start(self, ids: Sequence[str]) -> None:
        self._ec2.call("StartInstances", InstanceIds=list(ids))

    def stop(self, ids: Sequence[str], *, hibernate: bool = False) -> None:
        self._ec2.call("StopInstances", InstanceIds=list(ids), Hibernate=hibernate)

    def restart(self, ids: Sequence[str]) -> None:
        self._ec2.call("RebootInstances", InstanceIds=list(ids))

    def tag(self, ids: Sequence[str], tags: Mapping[str, str]) -> None:
        self._ec2.call("CreateTags", Resources=list(ids), Tags=shapes.tag_list(tags))

    def untag(self, ids: Sequence[str], keys: Sequence[str]) -> None:
        self._ec2.call("DeleteTags", Resources=list(ids), Tags=[{"Key": key} for key in keys])

    def update(self, instance: Instance, change: Change) -> None:
        if change.field == "delete_with_instance":
            device = next(volume.device for volume in instance.volumes if volume.id == change.target)
            mapping = {"DeviceName": device, "Ebs": {"DeleteOnTermination": change.after}}
            self._modify(instance, BlockDeviceMappings=[mapping])
        elif change.field == "size_gib":
            self._ec2.call("ModifyVolume", VolumeId=change.target, Size=change.after)
        elif change.field == "type":
            self._ec2.call("ModifyVolume", VolumeId=change.target, VolumeType=change.after)
        elif change.option == "imdsv2":
            tokens = "required" if change.after else "optional"
            self._ec2.call("ModifyInstanceMetadataOptions", InstanceId=instance.id, HttpTokens=tokens)
        elif change.field == "firewalls":
            self._modify(instance, Groups=self._ids_of(instance.project, change.after, instance.subnet))
        elif change.field == "instance_type":
            self._modify(instance, InstanceType={"Value": change.after})
        elif change.field == "termination_protection":
            self._modify(instance, DisableApiTermination={"Value": change.after})
        elif change.field == "shutdown_behavior":
            self._modify(instance, InstanceInitiatedShutdownBehavior={"Value": change.after})
        else:
            raise InvalidRequest(f"{change.subject} of {instance.name} cannot be changed on EC2.")

    def _modify(self, instance: Instance, **attribute: Any) -> None:
        self._ec2.call("ModifyInstanceAttribute", InstanceId=instance.id, **attribute)

    # -- disks that outlive their instance

    def leftovers(self, project: str, names: Iterable[str]) -> list[Resource]:
        conditions = {f"tag:{TAG_PROJECT}": [project], f"tag:{TAG_NAME}": sorted(names)}
        items = self._ec2.pages("DescribeVolumes", "Volumes", Filters=shapes.filters(conditions))
        return [_volume_resource(item) for item in items]

    def discard(self, instance: Instance) -> None:
        # EC2 itself has terminated an instance that never ran, with everything that belongs to it.
        self.terminate([instance.id])

    def remove(self, resource: Resource) -> None:
        if resource.kind not in _DELETIONS:
            raise Unsupported(
                f"The {resource.kind} {resource.id} is kept: haven.gpu creates none on EC2, so delete it yourself."
            )
        action, parameter, held, gone = _DELETIONS[resource.kind]
        deadline = self.deadline.within(RELEASE_TIMEOUT)
        pause = 0.5
        while True:
            try:
                self._ec2.attempt(action, **{parameter: resource.id})
                return
            except RefusedCall as refused:
                if refused.code == gone:
                    return
                if refused.code not in held:
                    raise refused.explain() from refused
                if deadline.over:
                    raise CloudFailure(
                        f"The {resource.kind} {resource.name} ({resource.id}) is still in use: terminate the "
                        "instances that use it, or take it off them, and run again."
                    ) from refused
            progress.known(f"the {resource.kind} {resource.name} ({resource.id}) is still in use")
            time.sleep(pause)
            pause = min(pause * 1.5, 5.0)


def _volume_resource(item: Mapping[str, Any]) -> Resource:
    return _resource("volume", item, "VolumeId", item["State"], used=bool(item.get("Attachments")))


def _resource(
    kind: Kind, item: Mapping[str, Any], id_field: str, state: str = "", used: Optional[bool] = None
) -> Resource:
    return Resource(kind, item.get(id_field, ""), shapes.tags_of(item).get(TAG_NAME, ""), state, used)
