# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection to EC2's API: the SDK, its settings, and which calls are retried.

Only this folder uses the AWS SDK. It uses botocore, the part of boto3 that calls the API. The layer that boto3 adds
takes 0.13 s per module run and is not needed.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Optional

from ..._errors import (
    BadCredentials,
    CloudFailure,
    HavenError,
    InvalidRequest,
    MissingLibrary,
    UnexpectedAnswer,
    Unreachable,
)
from ..._names import nearest
from ..._own_proxy import WANTS_LOGIN, obstructed, wants_login
from ..._retry import OTHER_ATTEMPTS, THROTTLE_ATTEMPTS, WORKERS, pause_after
from ..answer import Answer
from . import errors, parser

if TYPE_CHECKING:
    from ..._ssh.api_proxy import ApiProxy

try:
    import botocore
    import botocore.config
    import botocore.exceptions
    import botocore.parsers
    import botocore.session
except ImportError:
    HAS_BOTOCORE = False
else:
    HAS_BOTOCORE = True


class RefusedCall(Exception):  # noqa: N818 -- what happened, caught by name
    """The API returned an error for a call. ``code`` is its name."""

    def __init__(self, code: str, message: str, action: str, service: str) -> None:
        super().__init__(f"{action}: {code}")
        self.code = code
        self.message = message
        self.action = action
        self.service = service

    def explain(self) -> HavenError:
        return errors.from_code(self.code, self.message, self.action, self.service)


class Connection:
    """Clients for EC2 (and SSM if needed) for one region and identity, created on demand. Threads can share it."""

    def __init__(self, options: dict[str, Any], proxy: Optional[ApiProxy] = None) -> None:
        """``proxy``: for all calls, if only a jump host can reach the API."""
        if not HAS_BOTOCORE:
            raise MissingLibrary("boto3")
        self._options = options
        self._proxy = proxy
        self._clients: dict[str, Any] = {}
        # Threads cannot share a session, but its clients. It is created once for all regions.
        self._making = Lock()
        try:
            self._session = self._make_session(options)
            if proxy:
                # Also for the SDK's own clients, such as the one that assumes a role.
                self._session.set_default_client_config(botocore.config.Config(proxies=proxy.proxies))
            self.region: str = options.get("region") or self._session.get_config_variable("region") or ""
        except botocore.exceptions.ProfileNotFound as error:
            raise BadCredentials(
                f"There is no AWS profile called {options.get('profile')!r}: check ec2.profile and ~/.aws/config."
            ) from error
        if not self.region:
            raise InvalidRequest("No AWS region is set: set ec2.region, or AWS_REGION, or one in the profile.")

    def in_region(self, region: str) -> Connection:
        """The same identity in another region, which reuses the data that botocore has loaded for this one."""
        other = copy.copy(self)
        other._options = {**self._options, "region": region}
        other._clients = {}
        other.region = region
        return other

    def call(self, action: str, /, service: str = "ec2", **parameters: Any) -> dict[str, Any]:
        """Call one API action, with retries. Errors are HavenErrors."""
        try:
            return self.attempt(action, service=service, **parameters)
        except RefusedCall as refused:
            raise refused.explain() from refused

    def attempt(self, action: str, /, service: str = "ec2", **parameters: Any) -> dict[str, Any]:
        """Like call(), for callers that distinguish errors by code. Raises RefusedCall.

        Throttling, server failures, and lost connections are retried a limited number of times, with jitter. Everything
        here can be sent twice: creations carry tokens, and all other calls set a state.
        """
        tries = 0
        while True:
            tries += 1
            try:
                return self._once(action, service, parameters)
            except RefusedCall as refused:
                throttled = refused.code in errors.THROTTLED
                limit = THROTTLE_ATTEMPTS if throttled else OTHER_ATTEMPTS
                if tries >= limit or not (throttled or refused.code in errors.TRANSIENT):
                    raise
            except Unreachable:
                if tries >= OTHER_ATTEMPTS:
                    raise
            pause_after(tries)

    def pages(self, action: str, key: str, /, **parameters: Any) -> list[dict[str, Any]]:
        """All items in a listing."""
        return list(self.items(action, key, **parameters))

    def items(
        self, action: str, key: str, /, unwanted: Sequence[str] = (), **parameters: Any
    ) -> Iterator[dict[str, Any]]:
        """Yield the items in a listing, so that only one page is in memory.

        ``unwanted`` are elements of the answer to leave out.
        """
        token: Optional[str] = None
        while True:
            more = {"NextToken": token} if token else {}
            with parser.without(*unwanted):
                answer = self.call(action, **parameters, **more)
            yield from answer.get(key, [])
            token = answer.get("NextToken")
            if not token:
                return

    def _once(self, action: str, service: str, parameters: dict[str, Any]) -> dict[str, Any]:
        sdk = botocore.exceptions
        try:
            method = getattr(self._client(service), botocore.xform_name(action))
            with parser.answering(action):
                answer: dict[str, Any] = method(**parameters)
        except parser.ProxyWantsLoginError as error:
            raise wants_login(self._endpoint(service)) from error
        except (parser.NotTheApiError, botocore.parsers.ResponseParserError) as error:
            raise self._unexpected(action, service) from error
        except sdk.ClientError as error:
            detail = error.response.get("Error", {})
            if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == WANTS_LOGIN:
                raise wants_login(self._endpoint(service)) from error
            # If the answer has no body, or the body is not an API error, the code is the HTTP status.
            code = str(detail.get("Code") or error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or "")
            if code.startswith(("2", "3", "4")):
                raise self._unexpected(action, service) from error
            code = "InternalError" if code.startswith("5") else errors.plain(code)
            raise RefusedCall(code, str(detail.get("Message") or ""), action, service) from error
        except (sdk.NoCredentialsError, sdk.PartialCredentialsError, sdk.CredentialRetrievalError) as error:
            raise BadCredentials(
                "There are no usable AWS credentials: set ec2.profile, AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or run aws sso login."
            ) from error
        except (sdk.SSOError, sdk.TokenRetrievalError) as error:
            raise BadCredentials("The AWS SSO session is over: run aws sso login and try again.") from error
        except (sdk.ParamValidationError, sdk.InvalidRegionError) as error:
            raise InvalidRequest(f"{action} cannot be sent: {errors.tidy(str(error))}.") from error
        except (sdk.SSLError, sdk.HTTPClientError, sdk.ConnectionError) as error:
            raise self._lost(error, service) from error
        except sdk.BotoCoreError as error:
            raise CloudFailure(f"{action} failed in the AWS SDK: {errors.tidy(str(error))}.") from error
        return Answer(answer, functools.partial(self._unexpected, action, service))

    def _lost(self, error: Exception, service: str) -> HavenError:
        """Why the connection to the API failed."""
        proxy_failure = self._proxy.take_failure() if self._proxy else None
        if proxy_failure:
            return proxy_failure
        if isinstance(error, botocore.exceptions.SSLError):
            return CloudFailure(
                f"The certificate of {self._endpoint(service)} is not trusted: set ec2.ca_bundle, or check "
                "the endpoint."
            )
        if isinstance(error, botocore.exceptions.ProxyConnectionError):
            in_the_way = obstructed(f"connection to proxy: {error.kwargs.get('error')}", self._endpoint(service))
            if in_the_way:
                return in_the_way
        return Unreachable(
            f"The API at {self._endpoint(service)} does not answer: check the network, the proxy and ec2.endpoint_url, "
            f"then run again (nothing is created twice).{self._region_hint()}"
        )

    def _region_hint(self) -> str:
        """A region that does not exist looks like a network that does not work. botocore may not know a newer one."""
        partitions = self._session.get_available_partitions()
        known = {region for each in partitions for region in self._session.get_available_regions("ec2", each)}
        if self.region in known:
            return ""
        near = nearest(self.region, known)
        return f" Check the region, too: {ascii(self.region)[:80]} is not known, and the nearest is {near}."

    def _unexpected(self, action: str, service: str) -> UnexpectedAnswer:
        return UnexpectedAnswer(
            f"{action} was answered by something that is not the API of {service.upper()}: check the address "
            f"{self._endpoint(service)}, the proxy, and whether a sign-in page of the network is in the way."
        )

    def _endpoint(self, service: str) -> str:
        return str(self._client(service).meta.endpoint_url)

    def _client(self, service: str) -> Any:
        with self._making:
            if service not in self._clients:
                self._clients[service] = self._make_client(service)
            return self._clients[service]

    def _make_client(self, service: str) -> Any:
        options = self._options
        config = botocore.config.Config(
            # botocore's own retries would repeat InsufficientInstanceCapacity for minutes: attempt() decides.
            retries={"total_max_attempts": 1, "mode": "standard"},
            connect_timeout=5,
            read_timeout=40,
            max_pool_connections=WORKERS,
            user_agent_extra="haven.gpu",
        )
        try:
            client = self._session.create_client(
                service,
                region_name=self.region,
                endpoint_url=options.get("endpoint_url") or None,
                verify=options.get("ca_bundle") or None,
                aws_access_key_id=options.get("access_key") or None,
                aws_secret_access_key=options.get("secret_key") or None,
                aws_session_token=options.get("session_token") or None,
                config=config,
            )
        except (botocore.exceptions.BotoCoreError, ValueError) as error:
            raise InvalidRequest(
                f"The connection to AWS cannot be set up: {errors.tidy(str(error))}. Check region, endpoint and keys."
            ) from error
        if self._proxy:
            self._proxy.require_tls(str(client.meta.endpoint_url))
        return client

    @staticmethod
    def _make_session(options: dict[str, Any]) -> Any:
        profile = options.get("profile") or None
        session = botocore.session.Session(profile=profile)
        usual = session.get_component("response_parser_factory")
        session.register_component("response_parser_factory", parser.Factory(usual))
        if profile:
            # Checked here, so that a wrong name is reported before anything else.
            session.get_scoped_config()
        return session
