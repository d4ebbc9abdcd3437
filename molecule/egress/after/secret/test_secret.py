"""A proxy's password is where it is needed, and nobody can read it there without root."""

from __future__ import annotations

import base64

import pytest

from tests.story.canaries import encodings

testinfra_hosts = ["egress-open", "egress-enforced"]

CANARY = "canary%2Degress"


@pytest.mark.parametrize("path", ["/etc/environment", "/etc/haven/egress.env", "/etc/apt/apt.conf.d/80haven-egress"])
def test_files_with_the_password_are_roots_alone(host, path):
    with host.sudo():
        file = host.file(path)
        assert CANARY in file.content_string
        assert (file.user, file.group, file.mode) == ("root", "root", 0o600)


def test_nothing_that_everybody_can_read_has_it(host):
    # sudo logs this command: it must not hold what it looks for.
    search = (
        "sudo find /etc /run /var/log /usr/local -xdev -type f -perm /o+r -exec grep -l -E 'canary.{1,3}egres[s]' {} +"
    )
    assert host.run(search).stdout == ""


@pytest.mark.parametrize("command", ["systemctl show-environment", "systemctl show '*'", "sudo journalctl -o export"])
def test_neither_systemd_nor_the_journal_tells_it(host, command):
    said = base64.b64decode(host.check_output(f"{command} | base64 -w0"))
    assert said
    forms = encodings(CANARY) | encodings(CANARY.replace("%2D", "-"))
    assert [form for form in forms if form in said] == []


def test_no_command_line_has_it(host):
    assert CANARY not in host.check_output("ps axww -o args")


def test_system_services_still_know_the_authority(host):
    assert "SSL_CERT_FILE=" in host.check_output("systemctl show-environment")


def test_people_without_root_can_still_look_at_packages(host):
    host.check_output("sudo -u nobody apt-cache policy hello")


def test_the_name_of_an_earlier_proxy_is_no_longer_pinned(host):
    assert "haven" not in host.file("/etc/hosts").content_string
    assert not host.file("/etc/cloud/cloud.cfg.d/90-haven-egress.cfg").exists
