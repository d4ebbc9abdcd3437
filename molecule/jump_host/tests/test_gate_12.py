"""All that holds for a gate, on Debian 12. A file a gate, so that pytest-xdist runs the gates side by side."""

# pylint: disable=wildcard-import,unused-wildcard-import

from machine import *  # noqa: F403 -- the tests of all gates
from members import *  # noqa: F403 -- the tests of all gates

testinfra_hosts = ["jump-gate-12"]
