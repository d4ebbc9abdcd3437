# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all modules for clouds share: reading options, and returning results and failures."""

from __future__ import annotations

import copy
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional, TypeVar, Union

from ansible.module_utils.basic import env_fallback, missing_required_lib
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ._ansible_module import HavenModule
from ._cloud import Cloud
from ._clouds import connect
from ._clouds.registry import CLOUDS
from ._collector import paused
from ._errors import HavenError, InvalidRequest, MissingLibrary, all_shown, shown
from ._options import HOPS
from ._ssh.checks import lines_of_keys
from ._ssh.hops import WantedHop, plain, wanted_hops, with_key

if TYPE_CHECKING:
    from ._ssh.api_proxy import ApiProxy

CONNECTION: dict[str, Any] = {
    "cloud": {
        "type": "str",
        "choices": sorted(CLOUDS),
        "required": True,
        "fallback": (env_fallback, ["HAVEN_CLOUD"]),
    },
    "project": {"type": "str", "required": True, "fallback": (env_fallback, ["HAVEN_PROJECT"])},
    "api_via": {"type": "str", "choices": ["direct", "jump_host"], "default": "direct"},
    "hops": HOPS,
    "public_keys": {"type": "list", "elements": "str", "default": []},
}


@dataclass
class Outcome:
    """The result of a module. ``diff`` is set only if something changes."""

    changed: bool = False
    diff: Optional[dict[str, Any]] = None
    values: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


Wanted = TypeVar("Wanted")


def argument_spec(options: dict[str, Any], *, of_instances: bool = False) -> dict[str, Any]:
    """A module's own options, the common options, and under each cloud's name the options that only this cloud has.

    ``of_instances``: also include the cloud's options for instances.
    """
    clouds = {
        name: {"type": "dict", "options": {**cloud.CONNECTION, **(cloud.INSTANCE if of_instances else {})}}
        for name, cloud in CLOUDS.items()
    }
    return copy.deepcopy({**CONNECTION, **clouds, **options})


def validated(spec: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    """The parameters that a module with this argument specification would get. Raises InvalidRequest."""
    result = ArgumentSpecValidator(spec).validate(given)
    if result.error_messages:
        raise InvalidRequest(f"{'. '.join(text.rstrip('.') for text in result.error_messages)}.")
    parameters: dict[str, Any] = result.validated_parameters
    return parameters


def run(
    module: HavenModule,
    read: Callable[[dict[str, Any]], Wanted],
    body: Callable[[Cloud, Wanted, bool], Outcome],
) -> None:
    """Read the options, connect, run the body, and exit the module with what it returns or raises.

    Invalid options are refused before the cloud is called. ``body`` gets the cloud, the result of ``read``, and whether
    this is check mode.
    """
    try:
        wanted = read(module.params)
        with api_proxy_of(module.params) as proxy:
            # This loads the SDK.
            with paused(keep=True):
                cloud = connect(module.params["cloud"], module.params.get(module.params["cloud"]), proxy)
            ended: Union[Outcome, HavenError] = body(cloud, wanted, module.check_mode)
    except HavenError as error:
        ended = error
    # Outside the handler, because ansible-core would append the whole chain of causes to the message.
    if isinstance(ended, HavenError):
        _fail(module, ended)
    else:
        _succeed(module, ended)


def api_proxy_of(params: dict[str, Any]) -> AbstractContextManager[Optional[ApiProxy]]:
    """The proxy to the cloud's API, if only a jump host can reach it."""
    if params["api_via"] == "direct":
        return nullcontext()
    # Here, because what it needs takes longer to load than the module itself.
    from ._ssh.api_proxy import api_proxy

    return api_proxy(plain(hops_from_options(params), "api_via: jump_host"))


def hops_from_options(params: dict[str, Any]) -> tuple[WantedHop, ...]:
    """The hops, with the user's public keys for those without a key. Raises InvalidRequest."""
    return with_key(wanted_hops(params["hops"]), lines_of_keys(params["public_keys"]))


def _succeed(module: HavenModule, outcome: Outcome) -> None:
    for text in outcome.warnings:
        module.warn(shown(text))
    extra = {"diff": outcome.diff} if outcome.diff is not None else {}
    module.exit_json(changed=outcome.changed, **outcome.values, **extra)


def _fail(module: HavenModule, error: HavenError) -> None:
    if isinstance(error, MissingLibrary):
        module.fail_json(msg=missing_required_lib(error.library), reason=error.reason)
    existing = [instance.as_dict() for instance in error.instances]
    extra = {"instances": existing} if existing else {}
    # ansible-core prints all of a failure, and tags and names in it can be anybody's.
    module.fail_json(msg=str(error), reason=error.reason, **all_shown({**extra, **error.values}))
