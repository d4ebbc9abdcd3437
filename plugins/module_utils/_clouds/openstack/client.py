# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection to OpenStack's APIs: the SDK, its settings, and which requests are retried.

Only this folder uses openstacksdk. It uses the SDK's configuration (clouds.yaml, environment, options) and its session,
through which it calls the services. The SDK's resource layer would first ask each service for its versions and look
things up one by one, which would triple the number of requests.

Longer than 500 lines, because one request has one way through retries, renewals, lost answers, and refusals.
"""

from __future__ import annotations

import functools
import os
import re
import time
from collections.abc import Callable, Mapping
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, NamedTuple, Optional
from urllib.parse import quote, urlencode, urlsplit

from ..._errors import (
    BadCredentials,
    CloudFailure,
    HavenError,
    LostAnswer,
    MissingLibrary,
    UnexpectedAnswer,
    Unreachable,
    Unsupported,
)
from ..._own_proxy import WANTS_LOGIN, obstructed, wants_login
from ..._retry import OTHER_ATTEMPTS, THROTTLE_ATTEMPTS, Deadline, pause_after
from ..answer import Answer
from . import errors
from .config import WHERE, configuration

if TYPE_CHECKING:
    from ..._ssh.api_proxy import ApiProxy

try:
    import openstack.exceptions
    from keystoneauth1 import exceptions as auth_errors
except ImportError:
    HAS_SDK = False
else:
    HAS_SDK = True


# The version of nova's API that is used, from 2023.1 (Antelope). It is needed for key pair names with @ (2.92),
# rebuilding from volumes (2.93), and locks in listings. Nothing newer is used, because from 2.96 on, nova looks up the
# request of each listed server one by one.
COMPUTE = (2, 95)
OLDEST_RELEASE = "2023.1 (Antelope)"
_VOLUME = "3.60"
# Our name: (the type in the catalog, the version to add if its endpoint has none)
_SERVICES = {
    "compute": ("compute", "/v2.1"),
    "network": ("network", "/v2.0"),
    "image": ("image", "/v2"),
    "volume": ("block-storage", "/v3"),
}
# How often to retry a request that was not answered in time. Each attempt takes a minute.
_LATE_ATTEMPTS = 2
# Answers after which something may have been created all the same, besides those that ask to wait, and those of a proxy
# that did not get an answer from a service that may still be working.
_BROKEN = frozenset([500, 502, 504])
_STILL_AT_WORK = frozenset([502, 504])
# Seconds that a service may ask us to wait (Retry-After) for one request, in all.
MOST_PATIENCE = 60.0
# Seconds to look for what a request without an answer may still create.
LOOK_FOR = 20.0
_SUPPORTED = re.compile(r"[Mm]inimum is (\d+)\.(\d+) and (?:the )?maximum is (\d+)\.(\d+)")


class RefusedCall(Exception):  # noqa: N818 -- what happened, caught by name
    """A service returned an error. ``status`` is the HTTP status, ``message`` is from the service, and ``retry_after``
    are the seconds that it asked to wait."""

    def __init__(self, status: int, message: str, action: str, service: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{action}: {status}")
        self.status = status
        self.message = message
        self.action = action
        self.service = service
        self.retry_after = retry_after

    @property
    def busy(self) -> bool:
        """Whether the service only asks to wait."""
        return errors.is_busy(self.status, self.message)

    def explain(self) -> HavenError:
        return errors.from_status(self.status, self.message, self.action, self.service, self.retry_after)


class _Patience:
    """How long a service may still ask us to wait before one request is sent again."""

    def __init__(self, deadline: Deadline) -> None:
        self._left = min(MOST_PATIENCE, deadline.left)

    def allows(self, refused: RefusedCall) -> bool:
        """Whether to wait for as long as the service asks. That time is then used up."""
        if refused.retry_after > self._left:
            return False
        self._left -= refused.retry_after
        return True


class Rights(NamedTuple):
    """The names of the token's roles, and the access rules of its application credential, or None if it has none."""

    roles: tuple[str, ...]
    rules: Optional[tuple[Mapping[str, Any], ...]]


class Connection:
    """A session with one cloud, with one identity. Threads can share it."""

    def __init__(self, options: Mapping[str, Any], proxy: Optional[ApiProxy] = None) -> None:
        """``proxy``: for all requests, if only a jump host can reach the API."""
        if not HAS_SDK:
            raise MissingLibrary("openstacksdk")
        self._options = options
        self._proxy = proxy
        self._config = configuration(options, proxy)
        self._session = self._make_session()
        self.region: str = self._config.get_region_name() or ""
        self._endpoints: dict[str, str] = {}
        self._lock = Lock()
        self._login: Optional[_Login] = None
        # When all waiting of this run is over.
        self.deadline = Deadline()
        # Set once something is being created. It then waits for a service that is restarting, to complete the creation.
        self.patient = False

    def log_in(self) -> None:
        """Request a token in the background. The first request waits for it, and raises its error."""
        self._login = _Login(self._session)
        self._login.start()

    def in_region(self, region: str) -> Connection:
        """The same identity in another region."""
        return Connection({**self._options, "region": region}, self._proxy)

    @property
    def project_id(self) -> str:
        return str(self._session.get_project_id() or "")

    # -- requests; paths are those in the service's documentation, with the leading slash and without the version

    def get(self, service: str, path: str, /, **query: Any) -> dict[str, Any]:
        pairs = [(name, value) for name, value in query.items() if value is not None]
        text = urlencode(pairs, doseq=True, quote_via=quote)
        return self.call("GET", service, f"{path}?{text}" if text else path)

    def post(self, service: str, path: str, body: Mapping[str, Any], /) -> dict[str, Any]:
        return self.call("POST", service, path, body)

    def put(self, service: str, path: str, body: Mapping[str, Any], /) -> dict[str, Any]:
        return self.call("PUT", service, path, body)

    def delete(self, service: str, path: str, /) -> None:
        """Delete it. If it is missing, that is not an error."""
        try:
            self.attempt("DELETE", service, path)
        except RefusedCall as refused:
            if refused.status != 404:
                raise refused.explain() from refused

    def call(
        self,
        method: str,
        service: str,
        path: str,
        body: Optional[Mapping[str, Any]] = None,
        /,
        *,
        harmless: bool = False,
    ) -> dict[str, Any]:
        """Send a request, with retries as in attempt(). Errors are HavenErrors."""
        try:
            return self.attempt(method, service, path, body, harmless=harmless)
        except RefusedCall as refused:
            raise refused.explain() from refused

    def attempt(  # noqa: PLR0913 -- a request, and how often it may be sent
        self,
        method: str,
        service: str,
        path: str,
        body: Optional[Mapping[str, Any]] = None,
        /,
        *,
        tries: int = 0,
        harmless: bool = False,
    ) -> dict[str, Any]:
        """Like call(), for callers that distinguish errors by status. Raises RefusedCall.

        Requests to wait (429, 503, and 413 for a rate) are retried a limited number of times, after the time that the
        service asks for, with jitter. Other server failures and lost connections are retried only if sending twice does
        no harm, which ``harmless`` says of a POST; make() is for creations. ``tries`` is a lower limit.
        """
        made, patience = 0, _Patience(self.deadline)
        twice = harmless or method != "POST"
        while True:
            made += 1
            asked = 0.0
            try:
                return self._understood(method, service, path, body)
            except RefusedCall as refused:
                broken = refused.status in _BROKEN and twice
                limit = tries or (THROTTLE_ATTEMPTS if refused.busy else OTHER_ATTEMPTS)
                if made >= limit or not (broken or (refused.busy and patience.allows(refused))):
                    raise
                asked = refused.retry_after
            except Unreachable as error:
                if not twice or made >= (tries or self._attempts(error)):
                    raise
            pause_after(made, asked)

    def _attempts(self, error: Unreachable) -> int:
        if isinstance(error, LostAnswer):
            return _LATE_ATTEMPTS
        return THROTTLE_ATTEMPTS if self.patient else OTHER_ATTEMPTS

    def make(
        self, service: str, path: str, body: Mapping[str, Any], look: Callable[[], Optional[Mapping[str, Any]]], /
    ) -> Mapping[str, Any]:
        """Create something once, even if the answer is lost, because OpenStack has no client tokens.

        ``look`` finds it by its mark and returns it as in the service's answer, or None. It is called before the
        request is sent again. Raises RefusedCall if the request was refused for good, and LostAnswer if it may still
        be created.
        """
        made, patience = 0, _Patience(self.deadline)
        while True:
            made += 1
            at_work, asked = False, 0.0
            try:
                return self.attempt("POST", service, path, body, tries=1)
            except RefusedCall as refused:
                if not refused.busy and refused.status not in _BROKEN:
                    raise
                failure, limit = refused.explain(), OTHER_ATTEMPTS
                at_work = refused.status in _STILL_AT_WORK
                if refused.busy:
                    limit, asked = (THROTTLE_ATTEMPTS, refused.retry_after) if patience.allows(refused) else (made, 0.0)
            except Unreachable as unreachable:
                failure, limit = unreachable, self._attempts(unreachable)
                at_work = isinstance(unreachable, LostAnswer)
            found = self._look_again(look, LOOK_FOR if at_work else 0.0, max(asked, 0.5 * made))
            if found is not None:
                return found
            if at_work:
                raise LostAnswer(
                    f"{failure} It may still be created: the next run looks for it before it creates another."
                )
            if made >= limit:
                raise failure

    @staticmethod
    def _look_again(
        look: Callable[[], Optional[Mapping[str, Any]]], seconds: float, pause: float
    ) -> Optional[Mapping[str, Any]]:
        """Look repeatedly, after a pause, for the result of a request that may still be running."""
        end = time.monotonic() + seconds
        while True:
            time.sleep(pause)
            found = look()
            if found is not None or time.monotonic() >= end:
                return found
            pause = min(pause * 1.5, 3.0)

    def pages(self, service: str, path: str, key: str, /, **query: Any) -> list[dict[str, Any]]:
        """All items in a listing."""
        answer = self.get(service, path, **query)
        items = list(answer[key])
        while True:
            following = next((each["href"] for each in answer.get(f"{key}_links", []) if each["rel"] == "next"), None)
            following = following or answer.get("next")
            if not following:
                return items
            # Behind a proxy, the link may contain an unreachable host, so only its query is used.
            answer = self.call("GET", service, f"{path}?{str(following).partition('?')[2]}")
            items.extend(answer[key])

    def has(self, service: str) -> bool:
        """Whether the cloud has this service."""
        try:
            self._endpoint(service)
        except Unsupported:
            return False
        except auth_errors.ClientException as error:
            raise self._explained(error, service) from error
        return True

    def regions(self, service: str) -> list[str]:
        """The usable regions with this service, according to the catalog in the token.

        If clouds.yaml lists the cloud's regions, the SDK refuses all others.
        """
        try:
            access = self._session.auth.get_access(self._session)
            found = access.service_catalog.get_endpoints_data(service_type=_SERVICES[service][0])
        except auth_errors.ClientException as error:
            raise self._explained(error, service) from error
        known = {each.region_name for endpoints in found.values() for each in endpoints if each.region_name}
        return sorted(filter(self._may_use, known))

    def rights(self) -> Rights:
        """What the token says that it may be used for."""
        try:
            access = self._session.auth.get_access(self._session)
        except auth_errors.ClientException as error:
            raise self._explained(error, "identity") from error
        rules = access.application_credential_access_rules
        return Rights(tuple(sorted(access.role_names or ())), tuple(rules) if isinstance(rules, list) else None)

    def kind_of(self, service: str) -> str:
        """The service's type in the catalog, which access rules name."""
        return _SERVICES[service][0]

    def path_of(self, service: str, path: str) -> str:
        """The whole path of a request, as the service sees it."""
        return urlsplit(self._endpoint(service)).path.rstrip("/") + path

    # -- internal

    def _may_use(self, region: str) -> bool:
        try:
            configuration({**self._options, "region": region})
        except BadCredentials:
            return False
        return True

    def _understood(self, method: str, service: str, path: str, body: Optional[Mapping[str, Any]]) -> dict[str, Any]:
        """Send one request. A compute service that is too old is noticed here, without an extra request."""
        try:
            return self._once(method, service, path, body)
        except RefusedCall as refused:
            if refused.status == 406 and service == "compute":
                _require_version(refused.message)
            raise

    def _once(self, method: str, service: str, path: str, body: Optional[Mapping[str, Any]]) -> dict[str, Any]:
        action = f"{method} {_template(path)}"
        headers = {"Accept": "application/json"}
        if service == "compute":
            headers["OpenStack-API-Version"] = "compute {}.{}".format(*COMPUTE)
        elif service == "volume":
            headers["OpenStack-API-Version"] = f"volume {_VOLUME}"
        try:
            url = self._endpoint(service)
            send = functools.partial(
                self._session.request,
                url + path,
                method,
                json=body,
                headers=dict(headers),
                raise_exc=False,
                endpoint_filter={"service_type": _SERVICES[service][0]},
                endpoint_override=url,
            )
            answer = send()
            # keystoneauth renews a refused token, but only for the first of several threads.
            if answer.status_code == 401 and answer.request.headers.get("X-Auth-Token") != self._session.get_token():
                answer = send()
        except auth_errors.ClientException as error:
            raise self._explained(error, service) from error
        if answer.status_code == WANTS_LOGIN:
            raise wants_login(url)
        if answer.status_code >= 400:
            # Only the service itself can say that something does not exist, not a proxy that answers in its place.
            if answer.status_code == 404 and not errors.is_from(service, answer.text):
                raise _unexpected(action, service, url)
            wait = errors.retry_after(answer.headers)
            raise RefusedCall(answer.status_code, errors.message_of(answer.text), action, service, wait)
        unexpected = functools.partial(_unexpected, action, service, url)
        if not answer.content and answer.status_code != 200:
            return Answer({}, unexpected)
        try:
            value = answer.json() if answer.content else {}
        except ValueError as error:
            raise unexpected() from error
        if not isinstance(value, dict):
            raise unexpected()
        return Answer(value, unexpected)

    def _endpoint(self, service: str) -> str:
        with self._lock:
            if self._login:
                login, self._login = self._login, None
                login.finish()
            if service not in self._endpoints:
                self._endpoints[service] = self._find_endpoint(service)
            return self._endpoints[service]

    def _find_endpoint(self, service: str) -> str:
        kind, version = _SERVICES[service]
        try:
            url = self._config.get_endpoint(kind) or self._session.get_endpoint(
                service_type=kind,
                interface=self._config.get_interface(kind),
                region_name=self._config.get_region_name(kind),
                service_name=self._config.get_service_name(kind),
                skip_discovery=True,
            )
        except (auth_errors.EndpointNotFound, auth_errors.CatalogException):
            url = None
        if not url:
            where = f" in region {self.region}" if self.region else ""
            raise Unsupported(
                f"This cloud's catalog has no {kind} service{where}: check openstack.region and "
                "openstack.interface, or do without what needs it."
            )
        url = str(url).rstrip("/")
        if self._proxy:
            self._proxy.require_tls(url)
        return url if re.search(r"/v\d+(\.\d+)?(/|$)", url) else url + version

    def _make_session(self) -> Any:
        if self._proxy:
            self._proxy.require_tls(self._auth_url)
        try:
            session = self._config.get_session()
            if self._proxy and session.verify is True:
                # requests only uses these if it may also take proxies from the environment.
                bundles = (os.environ.get(name) for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"))
                session.verify = next(filter(None, bundles), True)
            return session
        except (auth_errors.ClientException, openstack.exceptions.SDKException) as error:
            raise self._explained(error, "identity") from error

    def _explained(self, error: Exception, service: str) -> HavenError:
        proxy_failure = self._proxy.take_failure() if self._proxy else None
        if proxy_failure and isinstance(error, auth_errors.ConnectionError):
            return proxy_failure
        if isinstance(error, auth_errors.HttpError) and error.http_status == WANTS_LOGIN:
            return wants_login(self._auth_url)
        return self._explained_by_itself(error, service)

    def _explained_by_itself(self, error: Exception, service: str) -> HavenError:
        said = errors.tidy(str(error))
        if isinstance(error, auth_errors.ConnectionError):
            return self._about_connection(error, service, said)
        if isinstance(error, (auth_errors.Unauthorized, auth_errors.NotFound)):
            return BadCredentials(
                f"OpenStack at {self._auth_url} does not accept these credentials: check user, password, project and "
                "their domains, or the application credential's id, secret and date of expiry."
            )
        if isinstance(error, (auth_errors.MissingRequiredOptions, auth_errors.MissingAuthPlugin)):
            return BadCredentials(f"The credentials are incomplete ({said}): {WHERE}.")
        if isinstance(error, auth_errors.HttpError) and error.http_status in (413, 429, 500, 502, 503, 504):
            headers = error.response.headers if error.response is not None else {}
            raise RefusedCall(error.http_status, said, "POST /auth/tokens", "identity", errors.retry_after(headers))
        if isinstance(error, auth_errors.InvalidResponse):
            return _unexpected("POST /auth/tokens", "identity", self._auth_url)
        if isinstance(error, auth_errors.DiscoveryFailure):
            return Unreachable(
                f"There is no OpenStack identity service at {self._auth_url} ({said}): check auth_url, which mostly "
                "ends with /v3."
            )
        return CloudFailure(f"The connection to OpenStack failed ({said}): check the settings, or run again.")

    def _about_connection(self, error: Exception, service: str, said: str) -> HavenError:
        address = _address(error, self._auth_url)
        if _url(error).startswith(self._auth_url.rstrip("/")):
            # For a token, which is requested with the first request to any service.
            service = "identity"
        if isinstance(error, auth_errors.SSLError):
            return CloudFailure(
                f"The certificate of the {service} service is not trusted ({said}): set openstack.ca_cert, or check "
                "the address."
            )
        in_the_way = obstructed(str(error), address)
        if in_the_way:
            return in_the_way
        # The SDK raises this both for failed connections and for missing answers.
        if isinstance(error, auth_errors.ConnectTimeout):
            return LostAnswer(
                f"OpenStack's {service} service did not answer within {self._config.config['api_timeout']:g} s at "
                f"{address}: it may be slow (api_timeout in clouds.yaml says how long to wait), or the network or a "
                "proxy drops the request."
            )
        return Unreachable(
            f"OpenStack's {service} service does not answer at {address}: check the network, the proxy and auth_url, "
            "then run again (nothing is created twice)."
        )

    @property
    def _auth_url(self) -> str:
        return str((self._config.get_auth_args() or {}).get("auth_url") or "auth_url")


class _Login(Thread):
    """Gets the token of a session."""

    def __init__(self, session: Any) -> None:
        # If there is no request, nothing waits for it.
        super().__init__(daemon=True)
        self._session = session
        self._error: Optional[Exception] = None

    def run(self) -> None:
        try:
            self._session.get_token()
        except Exception as error:  # pylint: disable=broad-exception-caught
            # Any kind of error: finish() raises it where it is expected.
            self._error = error

    def finish(self) -> None:
        self.join()
        if self._error:
            raise self._error


def _unexpected(action: str, service: str, url: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"{action} was answered by something that is not OpenStack's {service} service: check the address "
        f"{_address(url, url)}, the proxy, and whether a sign-in page of the network is in the way."
    )


def _require_version(message: str) -> None:
    """Raise Unsupported if the service refuses our version because it is older."""
    match = _SUPPORTED.search(message)
    newest = (int(match.group(3)), int(match.group(4))) if match else (0, 0)
    if newest < COMPUTE:
        has = "{}.{}".format(*newest) if match else "none we know of"
        raise Unsupported(
            f"This OpenStack is older than {OLDEST_RELEASE}, the oldest release that haven.gpu supports: its compute "
            f"API ends at version {has} and {COMPUTE[0]}.{COMPUTE[1]} is needed. Use a newer cloud."
        )


def _template(path: str) -> str:
    """Return the path without ids and query, as in policies and access rules."""
    bare = path.partition("?")[0]
    return re.sub(r"/[0-9a-f]{8}-[0-9a-f-]{27}", "/{id}", bare)


def _url(error: object) -> str:
    match = re.search(r"https?://[^\s'\"]+", str(error))
    return match.group(0) if match else ""


def _address(error: object, default: str) -> str:
    match = re.match(r"https?://[^/]+", _url(error))
    return match.group(0) if match else default
