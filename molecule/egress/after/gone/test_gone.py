"""After egress_state: absent the machine is as it was."""

from __future__ import annotations

testinfra_hosts = ["egress-open", "egress-enforced"]


def test_everybody_reaches_the_metadata_again(host):
    asked = host.check_output(
        "sudo -u nobody curl -sS -m 5 -o /dev/null -w %{http_code} http://169.254.169.254/latest/meta-data/"
    )
    assert asked == "401"


def test_only_somebody_elses_table_is_left(host):
    assert host.check_output("sudo nft list tables") == "table inet elsewhere"


def test_no_variable_is_left(host):
    for command in ("sudo env", "sudo su -l $(id -un) -c env", "systemctl show-environment"):
        assert "proxy" not in host.check_output(command).lower()
        assert "SSL_CERT_FILE" not in host.check_output(command)
    assert host.file("/etc/environment").content_string == "SOMEBODYS=own\n"


def test_no_file_is_left(host):
    assert host.check_output("sudo find /etc /usr/local -iname '*haven*egress*' -o -iname 'egress.*'") == ""
    assert host.run("grep -rs egress /etc/pam.d /usr/share/pam-configs").stdout == ""
    assert "egress" not in host.file("/etc/hosts").content_string


def test_the_authority_is_not_trusted(host):
    assert (
        host.run("openssl storeutl -noout -text -certs /etc/ssl/certs/ca-certificates.crt | grep 'haven sandbox'").rc
        == 1
    )


def test_the_others_still_are(host):
    assert host.file("/etc/ssl/certs/ca-certificates.crt").content_string.count("BEGIN CERTIFICATE") > 100
