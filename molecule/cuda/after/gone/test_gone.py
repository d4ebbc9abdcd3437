"""After cuda_state: absent."""

from __future__ import annotations


def test_nothing_is_left(host):
    # The stand-in for the driver's library came with the image.
    found = "find /etc/systemd /etc/apt /usr/local /opt /run/haven -name '*cuda*' ! -name 'libcuda.so*'"
    assert host.check_output(found) == ""
    assert "could not be found" in host.run("systemctl status haven-cuda-check.service").stderr
