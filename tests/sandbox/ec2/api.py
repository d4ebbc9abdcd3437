# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The EC2 API of the sandbox: moto's, with ours in front."""

from __future__ import annotations

import re
from concurrent.futures import Future
from contextlib import nullcontext
from typing import Any, ClassVar

import moto.ec2.urls
from moto.core.exceptions import AccessDeniedError, AuthFailureError
from moto.ec2.responses import EC2Response

from .addresses import Addresses
from .attributes import Attributes
from .cloud import Cloud
from .faults import error_body
from .groups import Groups
from .instances import Instances
from .key_pairs import KeyPairs
from .refusals import missing
from .regions import Regions
from .tags import Tags
from .volumes import Volumes

READS = ("Describe", "Get", "List")
UNLOCKED = frozenset({"GetConsoleOutput"})
# Changes that cannot alter what DescribeInstances says about instances they do not name.
ABOUT_NO_INSTANCE = frozenset(
    {"RunInstances", "ImportKeyPair", "CreateKeyPair", "DeleteKeyPair", "CreateSecurityGroup", "DeleteSecurityGroup"}
    | {f"{verb}SecurityGroup{direction}" for verb in ("Authorize", "Revoke") for direction in ("Ingress", "Egress")}
)
INSTANCE_ID = re.compile(r"\bi-[0-9a-f]{17}\b")
RULES_WITHIN_S = 30.0


class SandboxEC2(Instances, Addresses, Attributes, Groups, Volumes, KeyPairs, Tags, Regions, EC2Response):  # type: ignore[misc]
    """One request. moto makes a new object for each, so that what all share is on the class."""

    RESPONSE_KEY_PATH_TO_TRANSFORMER: ClassVar[dict[str, Any]] = {
        path: transform
        for path, transform in EC2Response.RESPONSE_KEY_PATH_TO_TRANSFORMER.items()
        if path != "RunInstances.Reservation.Instances.Instance.State"  # a repeated call tells the state of now
    }

    @classmethod
    def install(cls, cloud: Cloud) -> None:
        """Answer EC2 calls with this class. Before the first request."""
        for part in (Instances, Addresses, Attributes, Groups, Volumes, KeyPairs, Tags):
            part.cloud = cloud
        moto.ec2.urls.url_paths["{0}/"] = cls.dispatch

    def call_action(self) -> Any:
        self.pushed: list[Future[None]] = []
        action = str(self._get_action())
        if action in UNLOCKED:
            return self._answer()
        networks = self.cloud.networks
        with self.cloud.lock, networks.as_seen_by(self.access_key) if networks else nullcontext():
            answer = self._answer()
            if not action.startswith(READS):
                self._forget(action)
        for future in self.pushed:
            future.exception(RULES_WITHIN_S)  # the call returns when its rules are on the wire
        return answer

    def _answer(self) -> Any:
        try:
            return super().call_action()
        except NotImplementedError as missing:
            # 501 is what no client tries again, unlike moto's 500.
            content_type, body = error_body("ec2", "UnsupportedBySandbox", str(missing) or type(missing).__name__)
            return 501, {"Content-Type": content_type}, body.decode()

    def _forget(self, action: str) -> None:
        named = INSTANCE_ID.findall(str(self.querystring))
        if named or action in ABOUT_NO_INSTANCE:
            for id in named:
                self.cloud.fragments.pop(id, None)
        else:
            self.cloud.fragments.clear()

    def _authenticate_and_authorize_normal_action(self, resource: str = "*") -> None:
        try:
            super()._authenticate_and_authorize_normal_action(resource)
        except AccessDeniedError as denied:
            denied.error_type = "UnauthorizedOperation"
            _type, body = error_body("ec2", "UnauthorizedOperation", missing(denied.message))
            denied.description = body.decode()
            raise
        except AuthFailureError as refused:
            _type, body = error_body("ec2", "AuthFailure", refused.message)
            refused.description = body.decode()
            raise
