# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attributes of one instance: what can be changed in place, and when."""

from __future__ import annotations

from typing import Any, ClassVar

from moto.core.responses import ActionResult, EmptyResult
from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.responses.instances import InstanceResponse

from .cloud import Cloud
from .models import SandboxInstance, error

ONLY_WHILE_STOPPED = frozenset({"InstanceType", "UserData", "EbsOptimized", "Kernel", "Ramdisk", "EnaSupport"})
SHUTDOWN_BEHAVIOURS = frozenset({"stop", "terminate"})


class Attributes(InstanceResponse):  # type: ignore[misc]
    """moto's answers about attributes, corrected."""

    cloud: ClassVar[Cloud]

    def describe_instance_attribute(self) -> Any:
        attribute = self._get_param("Attribute")
        if attribute in {"userData", "instanceInitiatedShutdownBehavior", "disableApiTermination", "disableApiStop"}:
            instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
            field, value = {
                "userData": ("UserData", str(instance.user_data) if instance.user_data else None),
                "instanceInitiatedShutdownBehavior": (
                    "InstanceInitiatedShutdownBehavior",
                    instance.instance_initiated_shutdown_behavior,
                ),
                "disableApiTermination": ("DisableApiTermination", bool(instance.disable_api_termination)),
                "disableApiStop": ("DisableApiStop", bool(instance.disable_api_stop)),
            }[attribute]
            return ActionResult({"InstanceId": instance.id, field: {} if value is None else {"Value": value}})
        return super().describe_instance_attribute()

    def modify_instance_attribute(self) -> Any:
        """One attribute a call, as AWS has it; also in the form Attribute=name, Value=value."""
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        if instance.state_name in {"shutting-down", "terminated"}:
            raise error(
                "IncorrectInstanceState", f"The instance '{instance.id}' is not in a valid state for this operation."
            )
        attribute = self._get_param("Attribute")
        if attribute:
            name = attribute[0].upper() + attribute[1:]
            self.params[name] = {"Value": self._get_param("Value")}
            del self.params["Attribute"]
        self._check_stopped(instance)
        if "InstanceType" in self.params:
            self._check_type(self.params["InstanceType"].get("Value"))
        if "InstanceInitiatedShutdownBehavior" in self.params:
            return self._shutdown_behaviour(instance)
        for name in ("DisableApiTermination", "DisableApiStop", "SourceDestCheck", "EbsOptimized"):
            if isinstance((self.params.get(name) or {}).get("Value"), str):
                self.params[name]["Value"] = self.params[name]["Value"].lower() == "true"
        if self.params.get("Groups"):
            return self._groups(instance)
        return super().modify_instance_attribute()

    def _check_stopped(self, instance: SandboxInstance) -> None:
        for name in ONLY_WHILE_STOPPED & set(self.params):
            if instance.state_name != "stopped":
                raise error(
                    "IncorrectInstanceState",
                    f"The instance '{instance.id}' is not in the 'stopped' state. Its {name} can be changed only then.",
                )

    @staticmethod
    def _check_type(name: str | None) -> None:
        if name not in INSTANCE_TYPES:
            raise error("InvalidInstanceAttributeValue", f"Invalid value '{name}' for InstanceType.")

    def _shutdown_behaviour(self, instance: SandboxInstance) -> Any:
        value = self.params["InstanceInitiatedShutdownBehavior"].get("Value")
        if value not in SHUTDOWN_BEHAVIOURS:
            raise error(
                "InvalidParameterValue",
                f"Invalid value '{value}' for instanceInitiatedShutdownBehavior. Supported values: stop, terminate.",
            )
        self.error_on_dryrun()
        instance.instance_initiated_shutdown_behavior = value
        return EmptyResult()

    def _groups(self, instance: SandboxInstance) -> Any:
        for group_id in self.params["Groups"]:
            group = self.ec2_backend.get_security_group_from_id(group_id)
            if group is None:
                raise error("InvalidGroup.NotFound", f"The security group '{group_id}' does not exist")
            if group.vpc_id != instance.vpc_id:
                raise error("InvalidParameter", f"{group_id} and {instance.id} belong to different networks.")
        self.error_on_dryrun()
        answer = super().modify_instance_attribute()
        self.pushed += self.cloud.push_rules(self.ec2_backend)
        return answer

    def modify_instance_metadata_options(self) -> Any:
        """What a call does not name stays; moto sets it back."""
        now = self.ec2_backend.get_instance(self._get_param("InstanceId")).metadata_options
        kept = {
            "HttpTokens": now.http_tokens,
            "HttpPutResponseHopLimit": now.http_put_response_hop_limit,
            "HttpEndpoint": now.http_endpoint,
            "HttpProtocolIpv6": now.http_protocol_ipv6,
            "InstanceMetadataTags": now.instance_metadata_tags,
        }
        for name, value in kept.items():
            self.params.setdefault(name, value)
        self.error_on_dryrun()
        return super().modify_instance_metadata_options()
