# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What OpenStack's services say when they refuse, in their own words, becomes a reason and something that helps."""

from __future__ import annotations

import pytest

from ansible_collections.haven.gpu.plugins.module_utils._clouds.openstack import errors

ALREADY = "IP address 10.0.0.5 already allocated in subnet 7d1c0a0e-3f1c-4c6c-9d7e-0a4f4d9a1b22"


@pytest.mark.parametrize(
    ("status", "message", "reason", "said"),
    [
        (409, ALREADY, "invalid_request", "The private_address cannot be used"),
        (400, "IP address 10.9.9.9 is not a valid IP for the specified subnet.", "invalid_request", "private_address"),
        (400, "Fixed IP address 10.0.0.5 is already in use on instance 7.", "invalid_request", "private_address"),
        (409, "Key pair 'p' already exists.", "refused", "choose another name"),
        (400, "Image 7d1c0a0e is not active.", "invalid_request", "wait until it is active"),
        (409, "Cannot 'stop' instance 7 while it is in vm_state stopped", "cloud_failure", "wait a moment"),
        (409, "No more IP addresses available on network 7.", "quota", "no free address"),
    ],
    ids=str,
)
def test_a_refusal_has_its_reason_and_what_helps(status: int, message: str, reason: str, said: str) -> None:
    error = errors.from_status(status, message, "POST /servers", "compute")
    assert error.reason == reason
    assert said in str(error)
    assert message.rstrip(".") in str(error)


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("Insufficient compute resources: Requested instance NUMA topology cannot fit the host.", "no_capacity"),
        ("Insufficient free vGPU resources on host", "no_capacity"),
        ("PCI device request [{'alias': 'a100'}] failed", "no_capacity"),
        ("Build of instance 7 aborted: Failed to allocate the network(s), not rescheduling.", "cloud_failure"),
    ],
)
def test_hosts_without_a_free_gpu_have_no_room(fault: str, reason: str) -> None:
    assert errors.from_fault(fault, "box").reason == reason
