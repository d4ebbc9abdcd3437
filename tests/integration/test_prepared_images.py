# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The prepared images hold the services' software and nothing of a user or a sandbox."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.sandbox import images, prepared_image, role_image
from tests.sandbox.paths import Paths, image_cache

pytestmark = pytest.mark.skipif(
    not os.environ.get("HAVEN_SANDBOX_PREPARED"), reason="The running sandbox was not started with --prepared."
)


@pytest.fixture(params=sorted(prepared_image.IMAGES))
def layer(request: pytest.FixtureRequest) -> Path:
    return images.top_layer(image_cache(), request.param)


def test_a_prepared_image_holds_software_alone(layer: Path) -> None:
    assert {str(path.relative_to(layer)) for path in layer.glob("*")} <= {"opt", "usr", "var"}
    assert {path.name for path in (layer / "var").rglob("*") if path.parent.name in ("var", "lib")} == {"lib", "dpkg"}
    assert not (layer / "usr/local").exists()
    assert (layer / "opt/haven/jupyter/bin/jupyter-lab").exists()
    assert (layer / "opt/haven/tensorboard").is_dir()


def test_a_prepared_image_holds_nothing_of_a_user_or_a_sandbox(layer: Path) -> None:
    paths = Paths(Path(os.environ["HAVEN_SANDBOX_DIR"]))
    proxy = os.environ["HAVEN_SANDBOX_PROXY_URL"]
    access = role_image.Access("", "", paths.key, paths.gate_host_key, proxy, paths.proxy_ca, lambda _: None)
    # The sandbox that makes a layer looks for its own traces, too, and keeps none where it finds one.
    assert role_image.files_with(layer, ["jupyter_server"]), "the search finds nothing at all"
    assert role_image.files_with(layer, access.traces()) == []
