# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls about instances: launch, list, start, stop, terminate, console."""

from __future__ import annotations

import base64
from typing import Any, ClassVar

from moto.core.responses import ActionResult, EmptyResult
from moto.core.utils import utcnow
from moto.ec2.responses.instances import InstanceResponse

from . import filters, launch, tags
from .client_tokens import ParameterMismatchError, fingerprint
from .cloud import Cloud
from .models import SandboxInstance, error
from .refusals import check_terms
from .spot import SpotRequest

PAGE = 1000
CONSOLE_BYTES = 64 * 1024


class Instances(InstanceResponse):  # type: ignore[misc]
    """moto's answers about instances, corrected."""

    cloud: ClassVar[Cloud]

    def run_instances(self) -> Any:
        asked = fingerprint(self.params)
        token = self.params.get("ClientToken")
        if token and not self.params.get("DryRun"):
            try:
                made = self.cloud.tokens.recall(self.region, token, asked)
            except ParameterMismatchError:
                raise error(
                    "IdempotentParameterMismatch",
                    "The parameters in the current request are not consistent with those of an earlier request that "
                    f"used the client token '{token}'.",
                ) from None
            if made is not None:
                return ActionResult(made)
        self._check_launch()
        self.error_on_dryrun()
        answer = super().run_instances()
        reservation = answer.result
        self._complete(reservation.instances)
        if token:
            self.cloud.tokens.remember(self.region, token, asked, reservation)
        sent = {key: values[0] for key, values in self.querystring.items()}
        self.cloud.launch(reservation.instances, sent)
        return answer

    def _check_launch(self) -> None:
        subnet = launch.place(self.ec2_backend, self.params)
        self.ec2_backend.describe_images(ami_ids=[self.params.get("ImageId", "")])
        check_terms(self.ec2_backend.amis.get(self.params["ImageId"]), self.cloud.accepted)
        instances = launch.count(self.params, subnet.free_addresses())
        launch.check_type(self.ec2_backend, self.params, subnet)
        launch.check_groups(self.ec2_backend, self.params, subnet)
        launch.check_address(self.params, subnet, instances)
        launch.check_user_data(self.params)
        launch.check_profile(self.ec2_backend, self.params)
        tags.check_specifications(self._parse_tag_specification(), launch.TAGGED_BY_LAUNCH)
        self.params.setdefault("ClientToken", "")  # moto would make one up
        self.params["MinCount"] = instances  # moto makes MinCount of them

    def _parse_block_device_mapping(self) -> list[dict[str, Any]]:
        image = self.ec2_backend.amis[self.params["ImageId"]]
        return launch.block_devices(image, self.params.get("BlockDeviceMappings", []))

    def _complete(self, instances: list[SandboxInstance]) -> None:
        """Keep what moto drops of the request."""
        wanted = self._parse_tag_specification()
        spot = self.params.get("InstanceMarketOptions") or {}
        profile = self.params.get("IamInstanceProfile") or {}
        for index, one in enumerate(instances):
            one.hibernation_options = {"Configured": False, **(one.hibernation_options or {})}
            one.disable_api_termination = bool(self.params.get("DisableApiTermination"))
            for nic in one.nics.values():
                nic.add_tags(wanted.get("network-interface", {}))
            if profile and index:  # moto gives it to the first instance only
                self.ec2_backend.associate_iam_instance_profile(one.id, profile.get("Name"), profile.get("Arn"))
            if spot.get("MarketType") == "spot":
                price = (spot.get("SpotOptions") or {}).get("MaxPrice")
                SpotRequest.fulfilled(one, price, wanted.get("spot-instances-request", {}))

    def describe_instances(self) -> Any:
        self.error_on_dryrun()
        ids = self._get_param("InstanceIds", [])
        wanted = self._filters_from_querystring()
        filters.check(wanted)
        limit = self._page_size(ids)
        for id in ids:
            self.ec2_backend.get_instance(id)
        chosen = set(ids)
        found = [
            (reservation, one)
            for reservation in self.ec2_backend.reservations.values()
            for one in reservation.instances
            if (not chosen or one.id in chosen) and filters.passes(one, reservation.id, wanted)
        ]
        start = self._page_start(found)
        page, rest = found[start : start + limit], found[start + limit :]
        return self._listing(page, rest[0][1].id if rest else None)

    def _page_size(self, ids: list[str]) -> int:
        limit = self._get_int_param("MaxResults")
        if limit is None:
            return PAGE
        if ids:
            raise error(
                "InvalidParameterCombination",
                "The parameter instancesSet cannot be used with the parameter maxResults",
            )
        if not 5 <= limit <= PAGE:
            raise error(
                "InvalidParameterValue",
                f"Value ( {limit} ) for parameter maxResults is invalid. Expecting a value between 5 and {PAGE}.",
            )
        return int(limit)

    def _page_start(self, found: list[tuple[Any, SandboxInstance]]) -> int:
        token = self._get_param("NextToken")
        if not token:
            return 0
        for index, (_reservation, one) in enumerate(found):
            if base64.b64encode(one.id.encode()).decode() == token:
                return index
        raise error("InvalidParameterValue", "Unable to parse pagination token")

    def _listing(self, page: list[tuple[Any, SandboxInstance]], following: str | None) -> str:
        """The answer as text, from pieces kept per instance: moto takes milliseconds to write one."""
        parts = [
            '<?xml version="1.0" encoding="utf-8"?>\n'
            '<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
            "<requestId>00000000-0000-4000-8000-000000000000</requestId><reservationSet>"
        ]
        open_reservation = None
        for reservation, one in page:
            if reservation.id != open_reservation:
                if open_reservation:
                    parts.append("</instancesSet></item>")
                parts.append(
                    f"<item><reservationId>{reservation.id}</reservationId><ownerId>{reservation.owner_id}</ownerId>"
                    "<groupSet/><instancesSet>"
                )
                open_reservation = reservation.id
            parts.append(self._fragment(one))
        if open_reservation:
            parts.append("</instancesSet></item>")
        parts.append("</reservationSet>")
        if following:
            parts.append(f"<nextToken>{base64.b64encode(following.encode()).decode()}</nextToken>")
        parts.append("</DescribeInstancesResponse>")
        return "".join(parts)

    def _fragment(self, one: SandboxInstance) -> str:
        kept = self.cloud.fragments.get(one.id)
        if kept is None:
            _status, _headers, body = self.serialized(ActionResult({"Reservations": [{"Instances": [one]}]}))
            kept = str(body).partition("<instancesSet>")[2].rpartition("</instancesSet>")[0]
            self.cloud.fragments[one.id] = kept
        return kept

    def start_instances(self) -> Any:
        return self._change("start", "StartingInstances", self.cloud.start)

    def stop_instances(self) -> Any:
        hibernate = self._get_bool_param("Hibernate", False)
        for one in self._named():
            if one.disable_api_stop:
                raise error(
                    "OperationNotPermitted",
                    f"The instance '{one.id}' may not be stopped. Modify its 'disableApiStop' instance attribute and "
                    "try again.",
                )
            if hibernate and not (one.hibernation_options or {}).get("Configured"):
                raise error(
                    "UnsupportedHibernationConfiguration",
                    f"The instance '{one.id}' was not launched with hibernation enabled.",
                )
        return self._change("stop", "StoppingInstances", self.cloud.lifecycle.stop)

    def terminate_instances(self) -> Any:
        for one in self._named():
            if one.disable_api_termination and one.state_name != "terminated":
                raise error(
                    "OperationNotPermitted",
                    f"The instance '{one.id}' may not be terminated. Modify its 'disableApiTermination' instance "
                    "attribute and try again.",
                )
        return self._change("terminate", "TerminatingInstances", self.cloud.lifecycle.terminate)

    def reboot_instances(self) -> Any:
        self.error_on_dryrun()
        named = self._named()
        for one in named:
            one.reboot()
        for one in named:
            self.cloud.lifecycle.reboot(one)
        return EmptyResult()

    def _named(self) -> list[SandboxInstance]:
        ids = self._get_param("InstanceIds", [])
        if not ids:
            raise error("MissingParameter", "The request must contain the parameter InstanceIds")
        return [self.ec2_backend.get_instance(id) for id in ids]

    def _change(self, verb: str, answer: str, carry_out: Any) -> Any:
        """Ask each model; carry out what moved. All are asked before one moves: AWS refuses a call as a whole."""
        self.error_on_dryrun()
        named = self._named()
        before = [(one, one._state, one._reason, one.state_reason, one.launch_time) for one in named]
        try:
            for one in named:
                getattr(one, verb)()
        except Exception:
            for one, *was in before:
                one._state, one._reason, one.state_reason, one.launch_time = was
            raise
        for one, was, *_rest in before:
            if one._state is not was:
                carry_out(one)
        changes = [
            {"InstanceId": one.id, "CurrentState": one._state, "PreviousState": was} for one, was, *_rest in before
        ]
        return ActionResult({answer: changes})

    def get_console_output(self) -> Any:
        """Not under the cloud's lock: the machine may take its time."""
        with self.cloud.lock:
            instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        self.error_on_dryrun()
        there = instance.state_name != "terminated" and self.cloud.machines.state(instance.id) != "absent"
        text = self.cloud.machines.console(instance.id) if there else ""
        result: dict[str, Any] = {"InstanceId": instance.id, "Timestamp": utcnow()}
        if text:
            result["Output"] = base64.b64encode(text.encode()[-CONSOLE_BYTES:]).decode()
        return ActionResult(result)
