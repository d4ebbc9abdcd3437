"""What holds for keys and certificates on the host, and for the private CA on the controller."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from testinfra.host import Host

TLS = "/etc/haven/tls"
CA = Path(os.environ["MOLECULE_EPHEMERAL_DIRECTORY"]) / "ca"


def verdict(host: Host, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What openssl says of a host's certificate to somebody who trusts the private CA."""
    with host.sudo():
        certificate = host.file(f"{TLS}/{name}.crt").content_string
    argv = ["openssl", "verify", "-CAfile", str(CA / "ca.crt"), *options]
    return subprocess.run(argv, input=certificate, capture_output=True, text=True, check=False)


def shown(host: Host, name: str, *options: str) -> str:
    with host.sudo():
        return str(host.check_output(f"openssl x509 -noout {' '.join(options)} -in {TLS}/{name}.crt"))


@pytest.mark.parametrize("option", ["-verify_hostname localhost", "-verify_ip 10.0.0.5", "-verify_ip fd00::5"])
def test_who_trusts_the_private_ca_trusts_the_host_under_each_of_its_names(host: Host, option: str) -> None:
    assert verdict(host, "web", *option.split()).returncode == 0


def test_another_name_is_not_vouched_for(host: Host) -> None:
    assert verdict(host, "web", "-verify_hostname", "other.example.org").returncode != 0


def test_the_private_ca_is_limited_to_its_names(host: Host) -> None:
    assert "permitted subtree violation" in verdict(host, "outside").stderr


def test_a_certificate_cannot_sign_others(host: Host) -> None:
    extensions = shown(host, "web", "-ext basicConstraints,keyUsage,extendedKeyUsage")
    assert "CA:FALSE" in extensions
    assert "Certificate Sign" not in extensions
    assert "TLS Web Server Authentication" in extensions


def test_a_certificate_about_to_expire_was_renewed(host: Host) -> None:
    with host.sudo():
        assert host.run(f"openssl x509 -noout -checkend {85 * 86400} -in {TLS}/web.crt").rc == 0


@pytest.mark.parametrize(("name", "owner"), [("web", "www-data"), ("self", "root"), ("own", "www-data")])
def test_a_key_is_its_owners_alone_and_belongs_to_its_certificate(host: Host, name: str, owner: str) -> None:
    with host.sudo():
        key = host.file(f"{TLS}/{name}.key")
        assert (key.user, key.mode) == (owner, 0o600)
        public = host.check_output(f"openssl pkey -pubout -in {TLS}/{name}.key")
        assert host.check_output(f"openssl x509 -pubkey -noout -in {TLS}/{name}.crt") == public


def test_a_self_signed_certificate_is_signed_by_itself(host: Host) -> None:
    lines = shown(host, "self", "-subject -issuer").splitlines()
    assert lines[0].removeprefix("subject=") == lines[1].removeprefix("issuer=")
    assert "DNS:tls12.example.org" in shown(host, "self", "-ext subjectAltName")
    assert "3072 bit" in shown(host, "self", "-text")


def test_what_is_absent_is_gone(host: Host) -> None:
    assert not [name for name in host.file(TLS).listdir() if name.startswith("gone")]


def test_the_key_of_the_private_ca_is_on_the_controller_only(host: Host) -> None:
    assert (CA / "ca.key").stat().st_mode & 0o777 == 0o600
    assert CA.stat().st_mode & 0o777 == 0o700
    # in brackets the first letter stands for itself, and the journal's record of this command is not what is found
    secret = re.sub("^.", r"[\g<0>]", (CA / "ca.key").read_text().splitlines()[1])
    with host.sudo():
        assert host.run(f"grep -rl -- '{secret}' /etc /home /opt /root /tmp /var").rc == 1


def test_running_units_were_reloaded_once_and_a_stopped_one_stayed_so(host: Host) -> None:
    with host.sudo():
        assert host.file("/run/reader.log").content_string.split() == ["started", "reloaded"]
        assert not host.file("/run/stopped.log").exists
    assert not host.service("stopped").is_running


def test_a_daily_check_warns_of_what_expires(host: Host) -> None:
    assert host.service("haven-tls-expiry.timer").is_enabled
    assert host.service("haven-tls-expiry.timer").is_running
    with host.sudo():
        assert host.run("systemctl start haven-tls-expiry.service").rc == 0
        verdict = host.check_output("systemd-analyze security --no-pager haven-tls-expiry.service").splitlines()[-1]
        assert float(verdict.split(":")[-1].split()[0]) <= 0.5
        host.check_output(
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3 -subj /CN=x "
            f"-keyout /dev/null -out {TLS}/soon.crt"
        )
        assert host.run("systemctl start haven-tls-expiry.service").rc != 0
        host.check_output(f"rm {TLS}/soon.crt")
        assert f"{TLS}/soon.crt expires within 14 days" in host.check_output(
            "journalctl -p warning -u haven-tls-expiry"
        )
        host.check_output("systemctl reset-failed haven-tls-expiry.service")
