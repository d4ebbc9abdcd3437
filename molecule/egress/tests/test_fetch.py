"""What a machine behind the proxy can fetch, as whom, and what it cannot."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from tests.sandbox.registries import pip_indexes

# The machine's own package index, whatever it is called.
INDEX = pip_indexes()[0].rstrip("/")
ORIGIN = "{0.scheme}://{0.netloc}".format(urlsplit(INDEX))
testinfra_hosts = ["egress-open", "egress-enforced"]

# As sudo, a login and a service see the world: three environments with nothing in common.
AS_SOMEBODY = {
    "sudo": "sudo -u $(id -un) {}",
    "login": "sudo su -l $(id -un) -c '{}'",
    "service": "sudo systemd-run --quiet --wait --pipe -p DynamicUser=yes -p EnvironmentFile=/etc/haven/egress.env {}",
}


def test_apt_updates_and_downloads(host):
    host.check_output("sudo apt-get -qq -o APT::Update::Error-Mode=any update")
    host.check_output("cd /tmp && sudo apt-get -qq download hello")


@pytest.fixture
def environment(host):
    path = "/opt/environment"
    if not host.file(f"{path}/bin/uv").exists:
        host.check_output(f"sudo python3 -m venv {path} && sudo {path}/bin/pip -q install uv")
    return f"{path}/bin"


def test_pip_downloads_from_a_fresh_environment(host, environment):
    host.check_output(f"cd /tmp && sudo -u $(id -un) {environment}/pip -q download --no-deps --no-cache-dir six")


def test_uv_installs(host, environment):
    host.check_output(f"sudo -u $(id -un) {environment}/uv -q pip install --no-cache --target /tmp/uv-was-here six")


def test_git_speaks_tls_with_a_server_outside(host):
    # Package registries hold no repositories. That this one says so, and not the proxy, is the way there and back.
    said = host.run(f"sudo -u $(id -un) env LC_ALL=C git ls-remote {ORIGIN}/no/such/repository").stderr
    assert f"repository '{ORIGIN}/no/such/repository/' not found" in said


def test_no_sudo_complains_of_its_settings(host):
    assert host.check_output("sudo true 2>&1") == ""


def test_sudo_rs_has_the_proxy_from_pam_and_the_original_from_its_own_file(host):
    rs = "sudo-rs" in host.check_output("sudo --version 2>&1")
    assert rs == (host.backend.get_hostname() == "egress-enforced")
    assert host.file("/usr/share/pam-configs/haven-egress").exists == rs
    with host.sudo():
        assert host.file("/etc/sudoers.d/haven-egress").exists != rs


@pytest.mark.parametrize("somebody", AS_SOMEBODY)
def test_everybody_reaches_the_registry(host, somebody):
    host.check_output(AS_SOMEBODY[somebody].format(f"curl -fsS -o /dev/null {INDEX}/six/"))


@pytest.mark.parametrize("somebody", AS_SOMEBODY)
def test_nobody_reaches_what_the_proxy_does_not_allow(host, somebody):
    ran = host.run(AS_SOMEBODY[somebody].format("curl -fsS -m 10 https://example.com/"))
    assert ran.rc in (22, 56)  # the proxy answers a plain request, or refuses the tunnel
    assert "403" in ran.stderr
