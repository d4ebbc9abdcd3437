# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Key pairs and firewalls (security groups) on EC2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn, Optional

from ..._errors import Refused
from ..._models import Firewall, FirewallSpec, KeyPair, KeyPairSpec, Rule
from ..._ownership import TAG_NAME, TAG_PROJECT
from . import shapes
from .client import Connection, RefusedCall


class Access:
    """The part of the adapter for key pairs and firewalls."""

    def __init__(self, connection: Connection) -> None:
        self._ec2 = connection
        # By id. None stands for those of the default network.
        self._subnets: dict[Optional[str], list[dict[str, Any]]] = {}
        # By project and name, and then by network.
        self._firewalls: dict[tuple[str, str], dict[str, str]] = {}

    def key_pair(self, project: str, name: str) -> Optional[KeyPair]:
        """The project's key pair of this name. Raises Refused if one without the tag has the name."""
        wanted = shapes.scoped(project, name)
        found = self._ec2.call(
            "DescribeKeyPairs", IncludePublicKey=True, Filters=shapes.filters({"key-name": [wanted]})
        )["KeyPairs"]
        for item in found:
            if item["KeyName"] == wanted:
                if shapes.tags_of(item).get(TAG_PROJECT) != project:
                    raise Refused(
                        f"EC2 has a key pair {wanted} that does not carry the tag {TAG_PROJECT}={project}, so it "
                        "is not touched: choose another name, or tag it yourself if it is yours."
                    )
                return shapes.key_pair(item, project)
        return None

    def import_key_pair(self, spec: KeyPairSpec) -> KeyPair:
        public_key = spec.public_key or ""
        tags = {TAG_PROJECT: spec.project, TAG_NAME: spec.name}
        try:
            item = self._ec2.attempt(
                "ImportKeyPair",
                KeyName=shapes.scoped(spec.project, spec.name),
                PublicKeyMaterial=public_key.encode(),
                TagSpecifications=shapes.tag_specifications(tags, "key-pair"),
            )
        except RefusedCall as refused:
            # Already imported: an answer was lost, or another controller was faster.
            found = self.key_pair(spec.project, spec.name) if refused.code == "InvalidKeyPair.Duplicate" else None
            if found is None:
                raise refused.explain() from refused
            return found
        return shapes.key_pair(item, spec.project, public_key)

    def network_of(self, subnet: Optional[str]) -> Optional[str]:
        """The VPC of a subnet, or the default VPC."""
        found = self.subnets_of(subnet)
        return str(found[0]["VpcId"]) if found else None

    def subnets_of(self, subnet: Optional[str]) -> list[dict[str, Any]]:
        """The subnet, or those of the default VPC. One call for each, once. Raises NotFound if it does not exist."""
        if subnet not in self._subnets:
            if subnet:
                found = self._ec2.call("DescribeSubnets", SubnetIds=[subnet])["Subnets"]
            else:
                # Every default subnet is in the default VPC. So this takes the same permission.
                found = self._ec2.pages(
                    "DescribeSubnets", "Subnets", Filters=shapes.filters({"default-for-az": ["true"]})
                )
            self._subnets[subnet] = found
        return self._subnets[subnet]

    def firewall(self, project: str, name: str, network: Optional[str]) -> Optional[Firewall]:
        tags = {f"tag:{TAG_PROJECT}": [project], f"tag:{TAG_NAME}": [name]}
        if network:
            tags["vpc-id"] = [network]
        items = self._ec2.pages("DescribeSecurityGroups", "SecurityGroups", Filters=shapes.filters(tags))
        found = [shapes.firewall(item, project) for item in items if shapes.tags_of(item).get(TAG_NAME) == name]
        if len(found) > 1 and not network:
            default = self.network_of(None)
            found = [each for each in found if each.network == default] or found
        if len(found) > 1:
            networks = ", ".join(sorted(str(each.network) for each in found))
            raise Refused(
                f"Project {project} has firewalls {name} in several networks ({networks}): set subnet or network."
            )
        return found[0] if found else None

    def create_firewall(self, spec: FirewallSpec) -> Firewall:
        """Create the group, closed for incoming traffic and, by EC2's default, open for outgoing traffic."""
        tags = {TAG_PROJECT: spec.project, TAG_NAME: spec.name}
        network = {"VpcId": spec.network} if spec.network else {}
        description = spec.description or f"haven.gpu project {spec.project}"
        try:
            item = self._ec2.attempt(
                "CreateSecurityGroup",
                GroupName=shapes.scoped(spec.project, spec.name),
                Description=description,
                TagSpecifications=shapes.tag_specifications(tags, "security-group"),
                **network,
            )
        except RefusedCall as refused:
            if refused.code != "InvalidGroup.Duplicate":
                raise refused.explain() from refused
            return self.firewall(spec.project, spec.name, spec.network) or self._refuse_namesake(spec)
        everything = frozenset({Rule("out", "all", -1, -1, "0.0.0.0/0")})
        return Firewall(item["GroupId"], spec.name, spec.project, description, spec.network, everything, tags)

    def _refuse_namesake(self, spec: FirewallSpec) -> NoReturn:
        """Raises Refused for the group that has the name of ours and not its tags."""
        name = shapes.scoped(spec.project, spec.name)
        conditions = {"group-name": [name], **({"vpc-id": [spec.network]} if spec.network else {})}
        items = self._ec2.pages("DescribeSecurityGroups", "SecurityGroups", Filters=shapes.filters(conditions))
        ids = " and ".join(str(item["GroupId"]) for item in items)
        raise Refused(
            f"EC2 has a security group {name} ({ids}) that does not carry the tags {TAG_PROJECT}={spec.project} and "
            f"{TAG_NAME}={spec.name}, so haven.gpu did not create it and does not touch it: choose another name, or "
            "tag it yourself if it is yours."
        )

    def open_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        self._change_rules(firewall, rules, "Authorize", "InvalidPermission.Duplicate")

    def close_firewall(self, firewall: Firewall, rules: Sequence[Rule]) -> None:
        self._change_rules(firewall, rules, "Revoke", "InvalidPermission.NotFound")

    def _change_rules(self, firewall: Firewall, rules: Sequence[Rule], verb: str, already: str) -> None:
        for direction, word in (("in", "Ingress"), ("out", "Egress")):
            chosen = [rule for rule in rules if rule.direction == direction]
            if not chosen:
                continue
            try:
                self._ec2.attempt(
                    f"{verb}SecurityGroup{word}", GroupId=firewall.id, IpPermissions=shapes.permissions(chosen)
                )
            except RefusedCall as refused:
                if refused.code != already:
                    raise refused.explain() from refused
