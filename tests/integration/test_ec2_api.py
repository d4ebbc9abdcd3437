# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Instances on the sandbox's EC2 API keep AWS's promises where moto does not. Needs no root and no guests."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.integration.ec2_api_client import DEBIAN, Sandbox, refusal
from tests.sandbox.ec2.process import serving


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with serving(tmp_path_factory.mktemp("ec2"), "--boot-s=0.1") as facts:
        yield Sandbox(facts)


@pytest.fixture
def sandbox(server: Sandbox) -> Sandbox:
    server.control("reset", {"cloud": True})
    return server


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A cloud whose default subnet has 27 addresses."""
    with serving(tmp_path_factory.mktemp("small"), "--subnet-cidr=10.9.0.0/26") as facts:
        yield Sandbox(facts)


class TestCredentials:
    def test_a_wrong_secret_is_refused_from_the_first_call_on(self, sandbox: Sandbox) -> None:
        ec2 = sandbox.client("ec2", secret="wrong")
        assert refusal(ec2.describe_instances) == "AuthFailure"

    def test_an_unknown_key_is_refused_by_each_service_in_its_own_words(self, sandbox: Sandbox) -> None:
        assert refusal(sandbox.client("ec2", key="AKIAAAAAAAAAAAAAAAAA").describe_instances) == "AuthFailure"
        assert refusal(sandbox.client("sts", key="AKIAAAAAAAAAAAAAAAAA").get_caller_identity) == "InvalidClientTokenId"

    def test_a_missing_permission_names_the_action(self, sandbox: Sandbox) -> None:
        iam = sandbox.client("iam")
        iam.create_user(UserName="reader")
        statement = {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName="reader", PolicyName="read", PolicyDocument=policy)
        key = iam.create_access_key(UserName="reader")["AccessKey"]
        ec2 = sandbox.client("ec2", key["AccessKeyId"], key["SecretAccessKey"])
        ec2.describe_instances()
        with pytest.raises(ClientError, match="not authorized to perform: ec2:CreateTags") as refused:
            ec2.create_tags(Resources=["i-00000000000000000"], Tags=[{"Key": "a", "Value": "b"}])
        assert refused.value.response["Error"]["Code"] == "UnauthorizedOperation"

    def test_a_default_network_can_be_missing_for_one_user_alone(self, sandbox: Sandbox) -> None:
        iam = sandbox.client("iam")
        iam.create_user(UserName="guest")
        statement = {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName="guest", PolicyName="all", PolicyDocument=policy)
        key = iam.create_access_key(UserName="guest")["AccessKey"]
        sandbox.control("networks", {"default": "none", "key": key["AccessKeyId"]})
        theirs = sandbox.client("ec2", key["AccessKeyId"], key["SecretAccessKey"])
        with pytest.raises(ClientError) as refused:
            theirs.create_security_group(GroupName="theirs", Description="theirs")
        assert refused.value.response["Error"]["Code"] == "VPCIdNotSpecified"
        sandbox.ec2.create_security_group(GroupName="ours", Description="ours")


class TestSeed:
    def test_the_newest_image_of_the_account_is_not_the_newest_of_all(self, sandbox: Sandbox) -> None:
        matches = [{"Name": "name", "Values": ["haven-debian-12-2*"]}]

        def newest(**owner: Any) -> Any:
            images = sandbox.ec2.describe_images(Filters=matches, **owner)["Images"]
            return max(images, key=lambda image: image["CreationDate"])

        assert newest(Owners=["self"])["ImageId"] == DEBIAN
        assert newest()["OwnerId"] != sandbox.client("sts").get_caller_identity()["Account"]

    def test_the_public_parameter_of_a_deep_learning_image_names_the_cuda_image(self, sandbox: Sandbox) -> None:
        name = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id"
        value = sandbox.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
        (image,) = sandbox.ec2.describe_images(ImageIds=[value])["Images"]
        assert image["Name"] == "haven-debian-12-cuda-20260101"

    def test_an_unknown_parameter_is_not_found(self, sandbox: Sandbox) -> None:
        assert refusal(sandbox.client("ssm").get_parameter, Name="/aws/service/nothing") == "ParameterNotFound"

    def test_gpus_of_a_type_are_described(self, sandbox: Sandbox) -> None:
        (kind,) = sandbox.ec2.describe_instance_types(InstanceTypes=["g5.xlarge"])["InstanceTypes"]
        assert kind["GpuInfo"]["Gpus"][0]["Name"] == "A10G"

    def test_a_launch_without_a_subnet_lands_in_the_default_one(self, sandbox: Sandbox) -> None:
        instance = sandbox.run()
        assert instance["SubnetId"] == sandbox.facts["HAVEN_SANDBOX_SUBNET"]
        assert instance["PrivateIpAddress"].startswith("10.64.")


class TestClientTokens:
    def test_the_same_token_gives_the_same_instance(self, sandbox: Sandbox) -> None:
        assert sandbox.run(ClientToken="t")["InstanceId"] == sandbox.run(ClientToken="t")["InstanceId"]

    def test_also_after_it_was_terminated(self, sandbox: Sandbox) -> None:
        id = sandbox.running(ClientToken="t")["InstanceId"]
        sandbox.ec2.terminate_instances(InstanceIds=[id])
        sandbox.until(id, "terminated")
        again = sandbox.run(ClientToken="t")
        assert (again["InstanceId"], again["State"]["Name"]) == (id, "terminated")

    def test_and_after_the_listing_forgot_it(self, sandbox: Sandbox) -> None:
        id = sandbox.running(ClientToken="t")["InstanceId"]
        sandbox.ec2.terminate_instances(InstanceIds=[id])
        sandbox.until(id, "terminated")
        sandbox.control("forget", {})
        assert sandbox.ec2.describe_instances()["Reservations"] == []
        assert sandbox.run(ClientToken="t")["InstanceId"] == id

    @pytest.mark.parametrize("other", [{"InstanceType": "g5.2xlarge"}, {"UserData": "other"}, {"MaxCount": 2}])
    def test_other_parameters_are_refused(self, sandbox: Sandbox, other: dict[str, Any]) -> None:
        sandbox.run(ClientToken="t", UserData="one")
        wanted = {"UserData": "one", **other}
        assert refusal(sandbox.run, ClientToken="t", **wanted) == "IdempotentParameterMismatch"

    def test_a_failed_launch_leaves_the_token_free(self, sandbox: Sandbox) -> None:
        assert refusal(sandbox.run, ClientToken="t", KeyName="nobody") == "InvalidKeyPair.NotFound"
        assert sandbox.run(ClientToken="t")["State"]["Name"] == "pending"

    def test_a_dry_run_leaves_the_token_free(self, sandbox: Sandbox) -> None:
        assert refusal(sandbox.run, ClientToken="t", DryRun=True) == "DryRunOperation"
        assert sandbox.ec2.describe_instances()["Reservations"] == []
        assert sandbox.run(ClientToken="t", InstanceType="g5.2xlarge")["State"]["Name"] == "pending"

    def test_calls_at_once_make_one_instance(self, sandbox: Sandbox) -> None:
        with ThreadPoolExecutor(10) as pool:
            ids = set(pool.map(lambda _: sandbox.run(ClientToken="t")["InstanceId"], range(10)))
        assert len(ids) == 1
        assert len(sandbox.ec2.describe_instances()["Reservations"]) == 1

    def test_an_instance_is_found_by_its_token(self, sandbox: Sandbox) -> None:
        id = sandbox.run(ClientToken="t")["InstanceId"]
        sandbox.run(ClientToken="u")
        found = sandbox.ec2.describe_instances(Filters=[{"Name": "client-token", "Values": ["t"]}])["Reservations"]
        assert [one["Instances"][0]["InstanceId"] for one in found] == [id]


class TestLaunch:
    def test_as_many_are_made_as_asked_for(self, sandbox: Sandbox) -> None:
        made = sandbox.ec2.run_instances(ImageId=DEBIAN, InstanceType="g5.xlarge", MinCount=1, MaxCount=3)["Instances"]
        assert [one["AmiLaunchIndex"] for one in made] == [0, 1, 2]

    @pytest.mark.parametrize(
        ("params", "code"),
        [
            ({"ImageId": "ami-00000000000000000"}, "InvalidAMIID.NotFound"),
            ({"InstanceType": "g5.tiny"}, "InvalidParameterValue"),
            ({"InstanceType": "g5g.xlarge"}, "InvalidParameterValue"),  # arm64 on an x86_64 image
            ({"InstanceType": "p5e.48xlarge"}, "Unsupported"),  # not in this zone
            ({"KeyName": "nobody"}, "InvalidKeyPair.NotFound"),
            ({"SubnetId": "subnet-00000000000000000"}, "InvalidSubnetID.NotFound"),
            ({"SecurityGroupIds": ["sg-00000000000000000"]}, "InvalidGroup.NotFound"),
            ({"IamInstanceProfile": {"Name": "nobody"}}, "InvalidParameterValue"),
            ({"MinCount": 3, "MaxCount": 2}, "InvalidParameterValue"),
            ({"UserData": "x" * 20_000}, "InvalidParameterValue"),
            ({"PrivateIpAddress": "192.0.2.1"}, "InvalidParameterValue"),
            ({"PrivateIpAddress": "10.64.0.2"}, "InvalidParameterValue"),  # AWS keeps the first four
        ],
    )
    def test_what_cannot_be_is_refused_and_nothing_is_made(
        self, sandbox: Sandbox, params: dict[str, Any], code: str
    ) -> None:
        assert refusal(sandbox.run, **params) == code
        assert sandbox.ec2.describe_instances()["Reservations"] == []

    def test_a_private_address_in_use_is_refused_until_it_is_free(self, sandbox: Sandbox) -> None:
        id = sandbox.running(PrivateIpAddress="10.64.0.99")["InstanceId"]
        assert refusal(sandbox.run, PrivateIpAddress="10.64.0.99") == "InvalidIPAddress.InUse"
        sandbox.ec2.terminate_instances(InstanceIds=[id])
        sandbox.until(id, "terminated")
        assert sandbox.run(PrivateIpAddress="10.64.0.99")["PrivateIpAddress"] == "10.64.0.99"

    def test_everything_made_carries_the_tags_of_the_call(self, sandbox: Sandbox) -> None:
        kinds = ("instance", "volume", "network-interface", "spot-instances-request")
        instance = sandbox.run(
            TagSpecifications=[{"ResourceType": kind, "Tags": [{"Key": "of", "Value": kind}]} for kind in kinds],
            InstanceMarketOptions={"MarketType": "spot"},
            BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 10}}],
        )
        tags = sandbox.ec2.describe_tags(Filters=[{"Name": "key", "Values": ["of"]}])["Tags"]
        assert sorted(tag["ResourceType"] for tag in tags) == sorted([*kinds, "volume"])
        assert instance["Tags"] == [{"Key": "of", "Value": "instance"}]

    def test_tags_beyond_the_limits_are_refused(self, sandbox: Sandbox) -> None:
        def tagged(*tags: tuple[str, str]) -> str:
            pairs = [{"Key": key, "Value": value} for key, value in tags]
            return refusal(sandbox.run, TagSpecifications=[{"ResourceType": "instance", "Tags": pairs}])

        assert tagged(*[(f"k{number}", "v") for number in range(51)]) == "TagLimitExceeded"
        assert tagged(("k" * 129, "v")) == "InvalidParameterValue"
        assert tagged(("k", "v" * 257)) == "InvalidParameterValue"
        assert tagged(("aws:k", "v")) == "InvalidParameterValue"

    def test_the_root_volume_is_the_images_with_the_request_laid_over_it(self, sandbox: Sandbox) -> None:
        id = sandbox.running(
            BlockDeviceMappings=[
                {"DeviceName": "/dev/xvda", "Ebs": {"Encrypted": True}},
                {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 20, "VolumeType": "gp3", "Encrypted": True}},
            ]
        )["InstanceId"]
        mappings = {one["DeviceName"]: one["Ebs"] for one in sandbox.instance(id)["BlockDeviceMappings"]}
        assert {name: ebs["DeleteOnTermination"] for name, ebs in mappings.items()} == {
            "/dev/xvda": True,
            "/dev/sdf": False,
        }
        ids = [ebs["VolumeId"] for ebs in mappings.values()]
        volumes = sandbox.ec2.describe_volumes(VolumeIds=ids)["Volumes"]
        assert sorted((one["Size"], one["VolumeType"], one["Encrypted"]) for one in volumes) == [
            (8, "gp3", True),
            (20, "gp3", True),
        ]

    def test_a_root_volume_smaller_than_its_image_is_refused(self, sandbox: Sandbox) -> None:
        small = [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 4}}]
        assert refusal(sandbox.run, BlockDeviceMappings=small) == "InvalidBlockDeviceMapping"

    def test_the_machine_gets_key_user_data_and_volumes(self, sandbox: Sandbox) -> None:
        public = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAB me"
        sandbox.ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=public.encode())
        id = sandbox.running(
            KeyName="mine",
            UserData="#cloud-config\n",
            BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 10}}],
        )["InstanceId"]
        asked = sandbox.machine(id)["asked"]
        assert asked["image"] == "bookworm"
        assert asked["public_keys"] == [public]
        assert asked["user_data"] == "#cloud-config\n"
        assert [(one["size_gib"], one["device"]) for one in asked["volumes"]] == [(10, "/dev/sdf")]

    def test_options_of_the_launch_are_kept(self, sandbox: Sandbox) -> None:
        id = sandbox.run(
            DisableApiTermination=True,
            InstanceInitiatedShutdownBehavior="terminate",
            UserData="hello",
            MetadataOptions={"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"},
            HibernationOptions={"Configured": True},
        )["InstanceId"]

        def attribute(name: str) -> Any:
            answer = sandbox.ec2.describe_instance_attribute(InstanceId=id, Attribute=name)
            return answer[name[0].upper() + name[1:]]["Value"]

        assert attribute("disableApiTermination") is True
        assert attribute("instanceInitiatedShutdownBehavior") == "terminate"
        assert attribute("userData") == "aGVsbG8="
        described = sandbox.instance(id)
        assert described["MetadataOptions"]["HttpTokens"] == "required"
        assert described["MetadataOptions"]["HttpPutResponseHopLimit"] == 2
        assert described["HibernationOptions"] == {"Configured": True}

    def test_each_instance_of_a_launch_has_the_profile(self, sandbox: Sandbox) -> None:
        iam = sandbox.client("iam")
        arn = iam.create_instance_profile(InstanceProfileName="notebook")["InstanceProfile"]["Arn"]
        launched = sandbox.run(MinCount=2, MaxCount=2, IamInstanceProfile={"Name": "notebook"})
        iam.delete_instance_profile(InstanceProfileName="notebook")
        wanted = [{"Name": "iam-instance-profile.arn", "Values": [arn]}]
        (reservation,) = sandbox.ec2.describe_instances(Filters=wanted)["Reservations"]
        assert launched["InstanceId"] in {one["InstanceId"] for one in reservation["Instances"]}
        assert [one["IamInstanceProfile"]["Arn"] for one in reservation["Instances"]] == [arn, arn]

    def test_a_public_address_is_had_only_by_who_asks(self, sandbox: Sandbox) -> None:
        def interface(public: bool) -> list[dict[str, Any]]:
            subnet = sandbox.facts["HAVEN_SANDBOX_SUBNET"]
            return [{"DeviceIndex": 0, "SubnetId": subnet, "AssociatePublicIpAddress": public}]

        assert "PublicIpAddress" in sandbox.run(NetworkInterfaces=interface(True))
        assert "PublicIpAddress" not in sandbox.run(NetworkInterfaces=interface(False))


class TestSmallNetwork:
    def test_as_many_are_made_as_fit_and_not_fewer_than_asked(self, small: Sandbox) -> None:
        asked = {"ImageId": DEBIAN, "InstanceType": "g5.xlarge"}
        assert len(small.ec2.run_instances(MinCount=1, MaxCount=20, **asked)["Instances"]) == 20
        full = {"MinCount": 8, "MaxCount": 8, **asked}
        assert refusal(small.ec2.run_instances, **full) == "InsufficientFreeAddressesInSubnet"
        made = small.ec2.run_instances(MinCount=1, MaxCount=20, **asked)["Instances"]
        assert len(made) == 7
        assert len({one["PrivateIpAddress"] for one in made}) == 7

    def test_a_freed_address_is_had_again(self, small: Sandbox) -> None:
        small.control("reset", {"cloud": True})
        for _ in range(2):
            ids = [
                one["InstanceId"]
                for one in small.ec2.run_instances(ImageId=DEBIAN, InstanceType="g5.xlarge", MinCount=27, MaxCount=27)[
                    "Instances"
                ]
            ]
            small.until(ids[0], "running")
            small.ec2.terminate_instances(InstanceIds=ids)
            for id in ids:
                small.until(id, "terminated")


class TestRegions:
    def test_an_account_sees_the_regions_it_may_use(self, sandbox: Sandbox) -> None:
        client = sandbox.client("ec2")
        listed = {each["RegionName"]: each["OptInStatus"] for each in client.describe_regions()["Regions"]}
        assert {"us-east-1", "eu-north-1"} <= listed.keys()
        assert set(listed.values()) == {"opt-in-not-required"}
        assert not [name for name in listed if name.startswith(("cn-", "us-gov-"))]
        everything = {each["RegionName"] for each in client.describe_regions(AllRegions=True)["Regions"]}
        assert everything > listed.keys()

    def test_each_region_has_its_own_instances_and_tokens(self, sandbox: Sandbox) -> None:
        elsewhere = sandbox.client("ec2", region="eu-central-1")
        here = sandbox.run(ClientToken="t")["InstanceId"]
        (there,) = elsewhere.run_instances(
            ImageId=DEBIAN, InstanceType="g5.xlarge", MinCount=1, MaxCount=1, ClientToken="t"
        )["Instances"]
        assert there["InstanceId"] != here
        assert there["Placement"]["AvailabilityZone"].startswith("eu-central-1")
        assert refusal(elsewhere.describe_instances, InstanceIds=[here]) == "InvalidInstanceID.NotFound"


class TestLifecycle:
    def test_pending_lasts_until_the_machine_is_ready(self, sandbox: Sandbox) -> None:
        launched = sandbox.run()
        assert launched["State"]["Name"] == "pending"
        assert sandbox.machine(launched["InstanceId"])["machine"] != "ready"
        sandbox.until(launched["InstanceId"], "running")
        assert sandbox.machine(launched["InstanceId"])["machine"] == "ready"

    def test_pending_can_be_made_to_last(self, sandbox: Sandbox) -> None:
        sandbox.control("pending", {"seconds": [0.6, 0.8]})
        started = time.monotonic()
        sandbox.running()
        assert 0.6 <= time.monotonic() - started < 1.3

    def test_stopping_frees_the_public_address_and_starting_gives_another(self, sandbox: Sandbox) -> None:
        before = sandbox.running()
        id = before["InstanceId"]
        (change,) = sandbox.ec2.stop_instances(InstanceIds=[id])["StoppingInstances"]
        assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
        assert "PublicIpAddress" not in sandbox.until(id, "stopped")
        sandbox.ec2.start_instances(InstanceIds=[id])
        after = sandbox.until(id, "running")
        assert after["PublicIpAddress"] != before["PublicIpAddress"]
        assert after["PrivateIpAddress"] == before["PrivateIpAddress"]
        assert sandbox.machine(id)["asked"]["public_address"] == after["PublicIpAddress"]

    def test_terminated_is_final_and_holds_nothing(self, sandbox: Sandbox) -> None:
        id = sandbox.running(BlockDeviceMappings=[{"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 10}}])["InstanceId"]
        sandbox.ec2.terminate_instances(InstanceIds=[id])
        gone = sandbox.until(id, "terminated")
        assert not {"PrivateIpAddress", "PublicIpAddress", "SubnetId"} & set(gone)
        assert gone["BlockDeviceMappings"] == gone["SecurityGroups"] == gone["NetworkInterfaces"] == []
        assert refusal(sandbox.ec2.start_instances, InstanceIds=[id]) == "IncorrectInstanceState"
        assert sandbox.machine(id)["machine"] == "absent"
        (change,) = sandbox.ec2.terminate_instances(InstanceIds=[id])["TerminatingInstances"]
        assert change["CurrentState"]["Name"] == "terminated"

    def test_volumes_go_or_stay_with_the_instance_as_asked(self, sandbox: Sandbox) -> None:
        devices = [
            {"DeviceName": "/dev/sdf", "Ebs": {"VolumeSize": 10, "DeleteOnTermination": False}},
            {"DeviceName": "/dev/sdg", "Ebs": {"VolumeSize": 11, "DeleteOnTermination": True}},
        ]
        id = sandbox.running(BlockDeviceMappings=devices)["InstanceId"]
        sandbox.ec2.terminate_instances(InstanceIds=[id])
        sandbox.until(id, "terminated")
        left = sandbox.ec2.describe_volumes()["Volumes"]
        assert [(one["Size"], one["State"]) for one in left] == [(10, "available")]

    def test_a_protected_instance_is_not_terminated(self, sandbox: Sandbox) -> None:
        id = sandbox.running(DisableApiTermination=True)["InstanceId"]
        assert refusal(sandbox.ec2.terminate_instances, InstanceIds=[id]) == "OperationNotPermitted"
        sandbox.ec2.modify_instance_attribute(InstanceId=id, DisableApiTermination={"Value": False})
        sandbox.ec2.terminate_instances(InstanceIds=[id])
        sandbox.until(id, "terminated")

    def test_a_call_for_many_is_refused_whole(self, sandbox: Sandbox) -> None:
        good, bad = sandbox.running(), sandbox.stopped()
        sandbox.ec2.terminate_instances(InstanceIds=[bad["InstanceId"]])
        sandbox.until(bad["InstanceId"], "terminated")
        both = [good["InstanceId"], bad["InstanceId"]]
        assert refusal(sandbox.ec2.stop_instances, InstanceIds=both) == "IncorrectInstanceState"
        assert sandbox.instance(good["InstanceId"])["State"]["Name"] == "running"

    def test_an_accepted_launch_can_fail_later_with_its_reason(self, sandbox: Sandbox) -> None:
        sandbox.control("fault", {"action": "launch", "code": "Server.InsufficientInstanceCapacity", "message": "none"})
        gone = sandbox.until(sandbox.run()["InstanceId"], "terminated")
        assert gone["StateReason"]["Code"] == "Server.InsufficientInstanceCapacity"

    def test_a_reboot_keeps_it_running_with_its_address(self, sandbox: Sandbox) -> None:
        before = sandbox.running()
        sandbox.ec2.reboot_instances(InstanceIds=[before["InstanceId"]])
        after = sandbox.instance(before["InstanceId"])
        assert (after["State"], after["PublicIpAddress"]) == (before["State"], before["PublicIpAddress"])

    def test_the_console_is_empty_before_the_machine_wrote(self, sandbox: Sandbox) -> None:
        sandbox.control("pending", {"seconds": 0.5})
        id = sandbox.run()["InstanceId"]
        assert sandbox.ec2.get_console_output(InstanceId=id).get("Output", "") == ""
        sandbox.until(id, "running")
        assert "BEGIN SSH HOST KEY KEYS" in sandbox.ec2.get_console_output(InstanceId=id)["Output"]


class TestSpot:
    def test_a_spot_instance_says_so_and_cannot_be_stopped(self, sandbox: Sandbox) -> None:
        spot = sandbox.running(InstanceMarketOptions={"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.5"}})
        sandbox.running()
        found = sandbox.ec2.describe_instances(Filters=[{"Name": "instance-lifecycle", "Values": ["spot"]}])
        assert [one["Instances"][0]["InstanceId"] for one in found["Reservations"]] == [spot["InstanceId"]]
        assert refusal(sandbox.ec2.stop_instances, InstanceIds=[spot["InstanceId"]]) == "UnsupportedOperation"
        (request,) = sandbox.ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
        assert request["SpotInstanceRequestId"] == spot["SpotInstanceRequestId"]
        assert (request["State"], request["InstanceId"]) == ("active", spot["InstanceId"])

    def test_the_market_can_take_it_back(self, sandbox: Sandbox) -> None:
        id = sandbox.running(InstanceMarketOptions={"MarketType": "spot"})["InstanceId"]
        sandbox.control("interrupt", {"id": id})
        assert sandbox.until(id, "terminated")["StateReason"]["Code"] == "Server.SpotInstanceTermination"


class TestListing:
    def test_pages_hold_as_many_as_asked_and_nobody_twice(self, sandbox: Sandbox) -> None:
        sandbox.run(MinCount=12, MaxCount=12)
        pages = list(sandbox.ec2.get_paginator("describe_instances").paginate(MaxResults=5))
        ids = [[one["InstanceId"] for r in page["Reservations"] for one in r["Instances"]] for page in pages]
        assert [len(page) for page in ids] == [5, 5, 2]
        assert len({id for page in ids for id in page}) == 12

    def test_launch_time_and_wildcards_filter(self, sandbox: Sandbox) -> None:
        launched = sandbox.run(TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "x*y"}]}])

        def count(name: str, value: str) -> int:
            return len(sandbox.ec2.describe_instances(Filters=[{"Name": name, "Values": [value]}])["Reservations"])

        assert count("launch-time", f"{launched['LaunchTime']:%Y-%m-%d}T*") == 1
        assert count("launch-time", "2001-*") == 0
        assert count("tag:a", "x*") == 1
        assert count("tag:a", "x\\*y") == 1
        assert count("tag:a", "x?") == 0

    def test_an_unknown_filter_is_refused(self, sandbox: Sandbox) -> None:
        wrong = [{"Name": "colour", "Values": ["red"]}]
        assert refusal(sandbox.ec2.describe_instances, Filters=wrong) == "InvalidParameterValue"

    def test_an_unknown_instance_is_refused(self, sandbox: Sandbox) -> None:
        ids = ["i-00000000000000000"]
        assert refusal(sandbox.ec2.describe_instances, InstanceIds=ids) == "InvalidInstanceID.NotFound"

    def test_a_change_shows_in_the_next_listing(self, sandbox: Sandbox) -> None:
        id = sandbox.running()["InstanceId"]
        sandbox.ec2.create_tags(Resources=[id], Tags=[{"Key": "a", "Value": "1"}])
        assert sandbox.instance(id)["Tags"] == [{"Key": "a", "Value": "1"}]
        sandbox.ec2.delete_tags(Resources=[id], Tags=[{"Key": "a"}])
        assert "Tags" not in sandbox.instance(id)
        volume = sandbox.ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
        sandbox.ec2.attach_volume(InstanceId=id, VolumeId=volume, Device="/dev/sdf")
        assert len(sandbox.instance(id)["BlockDeviceMappings"]) == 2
        sandbox.ec2.detach_volume(VolumeId=volume)
        assert len(sandbox.instance(id)["BlockDeviceMappings"]) == 1
