# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What instances need, and the sandbox's own controls: groups, volumes, key pairs, tags, attributes, faults, log."""

from __future__ import annotations

import base64
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, HTTPClientError

from tests.integration.ec2_api_client import DEBIAN, Sandbox, refusal, wait_for
from tests.sandbox.ec2.process import serving

BLOB = "AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with serving(tmp_path_factory.mktemp("ec2"), "--boot-s=0.1") as facts:
        yield Sandbox(facts)


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.control("reset", {"cloud": True})
    return server


def permission(port: int, **source: Any) -> dict[str, Any]:
    return {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}


def group(sandbox: Sandbox, name: str) -> str:
    made: str = sandbox.ec2.create_security_group(GroupName=name, Description=name)["GroupId"]
    return made


def incoming(sandbox: Sandbox, id: str) -> list[tuple[int, list[str]]]:
    """The rules the machine itself was told, for traffic coming in: (port, ranges)."""
    rules = sandbox.machine(id)["asked"]["rules"]
    return [(rule["from_port"], rule["cidrs"]) for rule in rules if rule["direction"] == "in"]


class TestGroups:
    def test_a_new_rule_reaches_the_machine_before_the_call_returns(self, sandbox: Sandbox) -> None:
        one = group(sandbox, "one")
        id = sandbox.running(SecurityGroupIds=[one])["InstanceId"]
        assert incoming(sandbox, id) == []
        rule = permission(22, IpRanges=[{"CidrIp": "192.0.2.0/24"}])
        sandbox.ec2.authorize_security_group_ingress(GroupId=one, IpPermissions=[rule])
        assert incoming(sandbox, id) == [(22, ["192.0.2.0/24"])]
        sandbox.ec2.revoke_security_group_ingress(GroupId=one, IpPermissions=[rule])
        assert incoming(sandbox, id) == []

    def test_rules_of_all_groups_of_an_instance_count(self, sandbox: Sandbox) -> None:
        one, two = group(sandbox, "one"), group(sandbox, "two")
        for number, id in enumerate((one, two)):
            rule = permission(80 + number, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
            sandbox.ec2.authorize_security_group_ingress(GroupId=id, IpPermissions=[rule])
        instance = sandbox.running(SecurityGroupIds=[one])["InstanceId"]
        assert [port for port, _ in incoming(sandbox, instance)] == [80]
        sandbox.ec2.modify_instance_attribute(InstanceId=instance, Groups=[one, two])
        assert [port for port, _ in incoming(sandbox, instance)] == [80, 81]
        assert [one["GroupName"] for one in sandbox.instance(instance)["SecurityGroups"]] == ["one", "two"]

    def test_a_group_let_in_means_its_members_of_the_day(self, sandbox: Sandbox) -> None:
        inner, outer = group(sandbox, "inner"), group(sandbox, "outer")
        rule = permission(22, UserIdGroupPairs=[{"GroupId": outer}])
        sandbox.ec2.authorize_security_group_ingress(GroupId=inner, IpPermissions=[rule])
        inside = sandbox.running(SecurityGroupIds=[inner])["InstanceId"]
        guest = sandbox.running(SecurityGroupIds=[outer])
        address = f"{guest['PrivateIpAddress']}/32"
        wait_for(lambda: incoming(sandbox, inside), lambda rules: bool(rules == [(22, [address])]))
        sandbox.ec2.terminate_instances(InstanceIds=[guest["InstanceId"]])
        wait_for(lambda: incoming(sandbox, inside), lambda rules: bool(rules == []))

    def test_a_group_in_use_or_referred_to_stays(self, sandbox: Sandbox) -> None:
        one, two = group(sandbox, "one"), group(sandbox, "two")
        id = sandbox.running(SecurityGroupIds=[one])["InstanceId"]
        assert refusal(sandbox.ec2.delete_security_group, GroupId=one) == "DependencyViolation"
        rule = permission(22, UserIdGroupPairs=[{"GroupId": two}])
        sandbox.ec2.authorize_security_group_ingress(GroupId=one, IpPermissions=[rule])
        assert refusal(sandbox.ec2.delete_security_group, GroupId=two) == "DependencyViolation"
        sandbox.ec2.terminate_instances(InstanceIds=[id])
        sandbox.until(id, "terminated")
        sandbox.ec2.delete_security_group(GroupId=one)
        sandbox.ec2.delete_security_group(GroupId=two)
        assert refusal(sandbox.ec2.delete_security_group, GroupId=two) == "InvalidGroup.NotFound"

    def test_duplicates_are_refused(self, sandbox: Sandbox) -> None:
        one = group(sandbox, "one")
        assert refusal(group, sandbox=sandbox, name="one") == "InvalidGroup.Duplicate"
        rule = {"GroupId": one, "IpPermissions": [permission(22, IpRanges=[{"CidrIp": "192.0.2.0/24"}])]}
        sandbox.ec2.authorize_security_group_ingress(**rule)
        assert refusal(sandbox.ec2.authorize_security_group_ingress, **rule) == "InvalidPermission.Duplicate"


class TestAttributes:
    def test_the_type_changes_only_while_stopped(self, sandbox: Sandbox) -> None:
        id = sandbox.running()["InstanceId"]
        change = {"InstanceId": id, "InstanceType": {"Value": "g5.2xlarge"}}
        assert refusal(sandbox.ec2.modify_instance_attribute, **change) == "IncorrectInstanceState"
        sandbox.ec2.stop_instances(InstanceIds=[id])
        sandbox.until(id, "stopped")
        sandbox.ec2.modify_instance_attribute(**change)
        assert sandbox.instance(id)["InstanceType"] == "g5.2xlarge"
        wrong = {"InstanceId": id, "InstanceType": {"Value": "g5.tiny"}}
        assert refusal(sandbox.ec2.modify_instance_attribute, **wrong) == "InvalidInstanceAttributeValue"

    def test_the_shutdown_behaviour_changes_while_running(self, sandbox: Sandbox) -> None:
        id = sandbox.running()["InstanceId"]
        sandbox.ec2.modify_instance_attribute(InstanceId=id, InstanceInitiatedShutdownBehavior={"Value": "terminate"})
        answer = sandbox.ec2.describe_instance_attribute(InstanceId=id, Attribute="instanceInitiatedShutdownBehavior")
        assert answer["InstanceInitiatedShutdownBehavior"] == {"Value": "terminate"}

    def test_a_change_of_one_metadata_option_keeps_the_others(self, sandbox: Sandbox) -> None:
        id = sandbox.running(MetadataOptions={"HttpPutResponseHopLimit": 3})["InstanceId"]
        sandbox.ec2.modify_instance_metadata_options(InstanceId=id, HttpTokens="required")
        options = sandbox.instance(id)["MetadataOptions"]
        assert (options["HttpTokens"], options["HttpPutResponseHopLimit"]) == ("required", 3)


class TestVolumes:
    def test_a_volume_grows_and_never_shrinks(self, sandbox: Sandbox) -> None:
        id = sandbox.running()["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        change = sandbox.ec2.modify_volume(VolumeId=id, Size=20)["VolumeModification"]
        assert (change["OriginalSize"], change["TargetSize"]) == (8, 20)
        assert sandbox.ec2.describe_volumes(VolumeIds=[id])["Volumes"][0]["Size"] == 20
        assert refusal(sandbox.ec2.modify_volume, VolumeId=id, Size=10) == "InvalidParameterValue"

    def test_an_attached_volume_is_in_the_machine_from_its_next_start_on(self, sandbox: Sandbox) -> None:
        id = sandbox.running()["InstanceId"]
        volume = sandbox.ec2.create_volume(AvailabilityZone="us-east-1a", Size=3)["VolumeId"]
        sandbox.ec2.attach_volume(InstanceId=id, VolumeId=volume, Device="/dev/sdf")
        assert sandbox.machine(id)["asked"]["volumes"] == []
        sandbox.ec2.stop_instances(InstanceIds=[id])
        sandbox.until(id, "stopped")
        assert [one["name"] for one in sandbox.machine(id)["asked"]["volumes"]] == [volume]
        sandbox.ec2.detach_volume(VolumeId=volume)
        wait_for(lambda: sandbox.machine(id)["asked"]["volumes"], lambda volumes: bool(volumes == []))

    @pytest.mark.parametrize(
        ("zone", "device", "code"),
        [
            ("us-east-1b", "/dev/sdf", "InvalidVolume.ZoneMismatch"),
            ("us-east-1a", "/dev/xvda", "InvalidParameterValue"),
        ],
    )
    def test_an_attachment_that_cannot_be_is_refused(self, sandbox: Sandbox, zone: str, device: str, code: str) -> None:
        id = sandbox.running()["InstanceId"]
        volume = sandbox.ec2.create_volume(AvailabilityZone=zone, Size=3)["VolumeId"]
        attach = {"InstanceId": id, "VolumeId": volume, "Device": device}
        assert refusal(sandbox.ec2.attach_volume, **attach) == code

    def test_an_attached_volume_is_not_deleted(self, sandbox: Sandbox) -> None:
        id = sandbox.running()["BlockDeviceMappings"][0]["Ebs"]["VolumeId"]
        assert refusal(sandbox.ec2.delete_volume, VolumeId=id) == "VolumeInUse"


class TestKeyPairs:
    def test_an_ed25519_fingerprint_is_in_the_form_of_aws(self, sandbox: Sandbox) -> None:
        tags = [{"ResourceType": "key-pair", "Tags": [{"Key": "a", "Value": "b"}]}]
        made = sandbox.ec2.import_key_pair(
            KeyName="mine", PublicKeyMaterial=f"ssh-ed25519 {BLOB} me".encode(), TagSpecifications=tags
        )
        digest = hashlib.sha256(base64.b64decode(BLOB)).digest()
        assert made["KeyFingerprint"] == base64.b64encode(digest).decode()
        (listed,) = sandbox.ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
        assert (listed["KeyType"], listed["Tags"]) == ("ed25519", tags[0]["Tags"])
        assert BLOB in listed["PublicKey"]

    def test_a_name_is_taken_once_and_freed_by_id(self, sandbox: Sandbox) -> None:
        material = f"ssh-ed25519 {BLOB} me".encode()
        id = sandbox.ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=material)["KeyPairId"]
        again = {"KeyName": "mine", "PublicKeyMaterial": material}
        assert refusal(sandbox.ec2.import_key_pair, **again) == "InvalidKeyPair.Duplicate"
        sandbox.ec2.delete_key_pair(KeyPairId=id)
        assert sandbox.ec2.describe_key_pairs()["KeyPairs"] == []


class TestTags:
    def test_tags_of_what_is_gone_are_gone(self, sandbox: Sandbox) -> None:
        volume = sandbox.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
        one = group(sandbox, "one")
        sandbox.ec2.create_tags(Resources=[volume, one], Tags=[{"Key": "a", "Value": "b"}])
        assert len(sandbox.ec2.describe_tags()["Tags"]) == 2
        sandbox.ec2.delete_volume(VolumeId=volume)
        sandbox.ec2.delete_security_group(GroupId=one)
        assert sandbox.ec2.describe_tags()["Tags"] == []

    def test_nothing_that_does_not_exist_is_tagged(self, sandbox: Sandbox) -> None:
        def tag(id: str) -> str:
            return refusal(sandbox.ec2.create_tags, Resources=[id], Tags=[{"Key": "a", "Value": "b"}])

        assert tag("i-00000000000000000") == "InvalidInstanceID.NotFound"
        assert tag("vol-00000000000000000") == "InvalidVolume.NotFound"
        assert tag("sg-00000000000000000") == "InvalidGroup.NotFound"

    def test_the_fifty_first_tag_is_refused(self, sandbox: Sandbox) -> None:
        id = sandbox.run()["InstanceId"]
        sandbox.ec2.create_tags(Resources=[id], Tags=[{"Key": f"k{number}", "Value": ""} for number in range(50)])
        one_more = {"Resources": [id], "Tags": [{"Key": "k50", "Value": ""}]}
        assert refusal(sandbox.ec2.create_tags, **one_more) == "TagLimitExceeded"


class TestControl:
    def test_a_fault_hits_as_often_as_asked(self, sandbox: Sandbox) -> None:
        sandbox.control(
            "fault", {"action": "RunInstances", "code": "InsufficientInstanceCapacity", "status": 500, "times": 2}
        )
        assert [refusal(sandbox.run) for _ in range(2)] == ["InsufficientInstanceCapacity"] * 2
        assert sandbox.run()["State"]["Name"] == "pending"

    def test_a_fault_can_be_for_some_parameters_only(self, sandbox: Sandbox) -> None:
        sandbox.control(
            "fault",
            {
                "action": "RunInstances",
                "code": "VcpuLimitExceeded",
                "times": -1,
                "match": {"InstanceType": "g5.2xlarge"},
            },
        )
        assert sandbox.run()["State"]["Name"] == "pending"
        assert refusal(sandbox.run, InstanceType="g5.2xlarge") == "VcpuLimitExceeded"

    @pytest.mark.parametrize(("service", "call"), [("sts", "get_caller_identity"), ("ssm", "describe_parameters")])
    def test_each_service_gets_its_errors_in_its_own_form(self, sandbox: Sandbox, service: str, call: str) -> None:
        sandbox.control("fault", {"action": "*", "code": "RequestLimitExceeded", "message": "slow down", "status": 503})
        with pytest.raises(ClientError, match="slow down") as refused:
            getattr(sandbox.client(service), call)()
        assert refused.value.response["Error"]["Code"] == "RequestLimitExceeded"

    def test_a_lost_answer_leaves_what_was_made_for_the_same_token_to_find(self, sandbox: Sandbox) -> None:
        sandbox.control("fault", {"action": "RunInstances", "after_success": True})
        with pytest.raises((ConnectionClosedError, HTTPClientError)):
            sandbox.run(ClientToken="t")
        (made,) = sandbox.ec2.describe_instances()["Reservations"]
        assert sandbox.run(ClientToken="t")["InstanceId"] == made["Instances"][0]["InstanceId"]

    def test_a_lost_question_leaves_nothing(self, sandbox: Sandbox) -> None:
        sandbox.control("fault", {"action": "RunInstances"})
        with pytest.raises((ConnectionClosedError, HTTPClientError)):
            sandbox.run()
        assert sandbox.ec2.describe_instances()["Reservations"] == []

    def test_latency_is_added_to_each_call(self, sandbox: Sandbox) -> None:
        sandbox.control("latency", {"ms": 200})
        started = time.monotonic()
        sandbox.ec2.describe_key_pairs()
        assert time.monotonic() - started >= 0.2

    def test_the_log_has_a_line_a_call_and_no_user_data(self, sandbox: Sandbox) -> None:
        began = time.time()
        sandbox.run(UserData="a secret")
        assert refusal(sandbox.run, InstanceType="g5.tiny") == "InvalidParameterValue"
        entries = sandbox.control(f"log?since={began}")
        assert [(entry["action"], entry["status"], entry["code"]) for entry in entries] == [
            ("RunInstances", 200, None),
            ("RunInstances", 400, "InvalidParameterValue"),
        ]
        assert entries[0]["params"]["InstanceType"] == "g5.xlarge"
        assert entries[0]["bytes"] > 1000
        assert "UserData" not in json.dumps(entries)
        lines = Path(sandbox.facts["HAVEN_SANDBOX_EC2_LOG"]).read_text(encoding="utf-8").splitlines()
        assert [json.loads(line) for line in lines[-2:]] == entries

    def test_the_log_has_no_parameter_values_of_other_services(self, sandbox: Sandbox) -> None:
        began = time.time()
        sandbox.client("ssm").put_parameter(Name="/mine", Value="a secret", Type="SecureString")
        (entry,) = sandbox.control(f"log?since={began}")
        assert (entry["service"], entry["action"], entry["params"]["Name"]) == ("ssm", "PutParameter", "/mine")
        assert "a secret" not in json.dumps(entry)

    def test_a_reset_leaves_what_the_account_started_with(self, sandbox: Sandbox) -> None:
        sandbox.running(SecurityGroupIds=[group(sandbox, "one")])
        sandbox.control("fault", {"action": "*", "code": "Unavailable", "times": -1})
        sandbox.control("reset", {"cloud": True})
        assert sandbox.ec2.describe_instances()["Reservations"] == []
        assert sandbox.ec2.describe_volumes()["Volumes"] == []
        assert [one["GroupName"] for one in sandbox.ec2.describe_security_groups()["SecurityGroups"]] == ["default"]
        assert sandbox.ec2.describe_images(ImageIds=[DEBIAN])["Images"]
        assert sandbox.run(PrivateIpAddress="10.64.0.4")["PrivateIpAddress"] == "10.64.0.4"

    def test_what_the_sandbox_lacks_is_said_and_not_tried_again(self, sandbox: Sandbox) -> None:
        with pytest.raises(ClientError) as refused:
            sandbox.ec2.describe_volume_status()
        answer = refused.value.response
        assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("UnsupportedBySandbox", 501)

    def test_a_wrong_control_is_refused(self, sandbox: Sandbox) -> None:
        with pytest.raises(OSError, match="400"):
            sandbox.control("fault", {"colour": "red"})
        with pytest.raises(OSError, match="400"):
            sandbox.control("pending", {"seconds": 1, "state": "running"})
        with pytest.raises(OSError, match="404"):
            sandbox.control("nothing", {})


class TestElasticAddresses:
    def seen(self, sandbox: Sandbox, id: str) -> tuple[str, str]:
        """The public address of an instance as the API tells it, and the one that leads to its machine."""
        told = sandbox.instance(id).get("PublicIpAddress", "")
        return told, sandbox.machine(id)["asked"].get("public_address", "")

    def test_it_leads_to_its_instance_until_it_is_taken_off(self, sandbox: Sandbox) -> None:
        id = sandbox.running()["InstanceId"]
        before = self.seen(sandbox, id)
        mine = sandbox.ec2.allocate_address(Domain="vpc")
        asked = {"AllocationId": mine["AllocationId"], "InstanceId": id}
        association = sandbox.ec2.associate_address(**asked)["AssociationId"]
        assert self.seen(sandbox, id) == (mine["PublicIp"],) * 2
        assert mine["PublicIp"] not in before
        sandbox.ec2.disassociate_address(AssociationId=association)
        assert mine["PublicIp"] not in self.seen(sandbox, id)
        sandbox.ec2.release_address(AllocationId=mine["AllocationId"])
        assert sandbox.ec2.describe_addresses()["Addresses"] == []

    def test_it_stays_through_a_stop_and_is_free_after_the_end(self, sandbox: Sandbox) -> None:
        id = sandbox.running()["InstanceId"]
        mine = sandbox.ec2.allocate_address(Domain="vpc")
        sandbox.ec2.associate_address(AllocationId=mine["AllocationId"], InstanceId=id)
        sandbox.ec2.stop_instances(InstanceIds=[id])
        sandbox.until(id, "stopped")
        assert sandbox.instance(id)["PublicIpAddress"] == mine["PublicIp"]
        sandbox.ec2.start_instances(InstanceIds=[id])
        sandbox.until(id, "running")
        assert self.seen(sandbox, id) == (mine["PublicIp"],) * 2
        sandbox.ec2.terminate_instances(InstanceIds=[id])
        sandbox.until(id, "terminated")
        [address] = sandbox.ec2.describe_addresses()["Addresses"]
        assert not address.get("InstanceId")
        assert not address.get("AssociationId")
