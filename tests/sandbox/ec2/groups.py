# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Security groups: their rules reach the machines, and one in use stays."""

from __future__ import annotations

from typing import Any, ClassVar

from moto.core.responses import ActionResult
from moto.ec2.responses.elastic_network_interfaces import ElasticNetworkInterfaces
from moto.ec2.responses.security_groups import SecurityGroups

from .cloud import Cloud
from .models import error
from .networks import require_default
from .tags import check_specifications


class Groups(ElasticNetworkInterfaces, SecurityGroups):  # type: ignore[misc]
    """moto's answers about security groups, corrected."""

    cloud: ClassVar[Cloud]

    def create_security_group(self) -> Any:
        check_specifications(self._parse_tag_specification(), {"security-group"})
        if not self._get_param("VpcId"):
            require_default(self.ec2_backend)
        return super().create_security_group()

    def authorize_security_group_ingress(self) -> Any:
        return self._pushed(super().authorize_security_group_ingress())

    def authorize_security_group_egress(self) -> Any:
        return self._pushed(super().authorize_security_group_egress())

    def revoke_security_group_ingress(self) -> Any:
        return self._pushed(super().revoke_security_group_ingress())

    def revoke_security_group_egress(self) -> Any:
        return self._pushed(super().revoke_security_group_egress())

    def modify_security_group_rules(self) -> Any:
        return self._pushed(super().modify_security_group_rules())

    def modify_network_interface_attribute(self) -> Any:
        return self._pushed(super().modify_network_interface_attribute())

    def _pushed(self, answer: Any) -> Any:
        self.pushed += self.cloud.push_rules(self.ec2_backend)
        return answer

    def delete_security_group(self) -> Any:
        group = self._named_group()
        if group.name == "default":
            raise error(
                "CannotDelete", f'the specified group: "{group.id}" name: "default" cannot be deleted by a user'
            )
        used = any(group in nic._group_set for nic in self.ec2_backend.enis.values())
        if used or self._is_referred_to(group.id):
            raise error("DependencyViolation", f"resource {group.id} has a dependent object")
        self.error_on_dryrun()
        super().delete_security_group()
        return ActionResult({"Return": True, "GroupId": group.id})

    def _named_group(self) -> Any:
        group_id, name = self._get_param("GroupId"), self._get_param("GroupName")
        if not group_id and not name:
            raise error("MissingParameter", "The request must contain the parameter groupName or groupId")
        if not group_id:
            require_default(self.ec2_backend)
        group = (
            self.ec2_backend.get_security_group_from_id(group_id)
            if group_id
            else self.ec2_backend.get_security_group_from_name(name, self.ec2_backend.default_vpc.id)
        )
        if group is None:
            raise error("InvalidGroup.NotFound", f"The security group '{group_id or name}' does not exist")
        return group

    def _is_referred_to(self, group_id: str) -> bool:
        return any(
            rule.source_group.get("GroupId") == group_id
            for groups in self.ec2_backend.groups.values()
            for group in groups.values()
            if group.id != group_id
            for rule in (*group.ingress_rules, *group.egress_rules)
        )
