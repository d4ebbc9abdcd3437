"""After cuda_state: absent."""

from __future__ import annotations


def test_nothing_is_left(host):
    assert host.check_output("find /etc/systemd /etc/apt /usr/local /opt /run/haven -name '*cuda*'") == ""
    assert "could not be found" in host.run("systemctl status haven-cuda-check.service").stderr
