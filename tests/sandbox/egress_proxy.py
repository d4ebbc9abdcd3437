# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The egress proxy: squid with an authority of its own, and an allow-list of package registries."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .errors import UnsuitableMachineError
from .processes import run
from .stand_ins.names import SIGN_IN
from .ways_out import PASSWORD, SLOW_S, USER

_USER = "proxy"  # squid gives up as root; Debian has this user for proxies
_CERTGEN = "/usr/lib/squid/security_file_certgen"
_CHECK_PASSWORD = "/usr/lib/squid/basic_ncsa_auth"
# squid's helpers: a line in for each question, with a number that the answer begins with.
_WAIT = f'while read -r number rest; do (sleep {SLOW_S}; echo "$number OK") & done\n'
_SIGN_IN = f'while read -r number url rest; do echo "$number OK rewrite-url=${{url%%://*}}://{SIGN_IN}/"; done\n'


@dataclass(frozen=True)
class ProxySettings:
    """What squid is told.

    ports: on 127.0.0.1, by names of SQUID_PORTS (ways_out.py). parent: the proxy this machine itself must use, if any.
    authorities: files of CAs. stand_ins: hosts that are found at an address of this machine.
    """

    ports: Mapping[str, int]
    folder: Path
    allowed: tuple[str, ...]
    authorities: tuple[str, ...]
    parent: tuple[str, int] | None
    stand_ins: tuple[str, ...] = ()
    stand_ins_address: str = ""


def render(settings: ProxySettings) -> str:
    """squid.conf: pure, text out."""
    folder = settings.folder
    lines = [
        *(
            f"http_port 127.0.0.1:{port} name={name} ssl-bump cert={folder}/ca.pem generate-host-certificates=on"
            " dynamic_cert_mem_cache_size=4MB"
            for name, port in settings.ports.items()
        ),
        *(f"acl at_{name} myportname {name}" for name in settings.ports),
        f"sslcrtd_program {_CERTGEN} -s {folder}/certificates -M 4MB",
        "sslcrtd_children 4 startup=2 idle=1",
        f"tls_outgoing_options cafile={folder}/authorities.pem",
        f"hosts_file {folder}/hosts",
        "acl step1 at_step SslBump1",
        # Before it has looked for the host, which may not even exist.
        "ssl_bump bump at_sign_in",
        "ssl_bump peek step1",
        "ssl_bump bump all",
        f"acl registries dstdomain {' '.join((*settings.allowed, *settings.stand_ins))}",
        "acl web port 80 443",
        "acl tls port 443",
        "acl CONNECT method CONNECT",
        "http_access deny !web",
        "http_access deny CONNECT !tls",
        f"auth_param basic program {_CHECK_PASSWORD} {folder}/password",
        "auth_param basic children 1 startup=0",
        "auth_param basic realm haven sandbox",
        "acl members proxy_auth REQUIRED",
        "http_access deny at_login !members",
        f"external_acl_type wait ttl=0 negative_ttl=0 cache=0 concurrency=200 children-max=1 children-startup=0"
        f" %SRC %>rP /bin/sh {folder}/wait",
        "acl waited external wait",
        "http_access deny at_slow !waited",
        f"url_rewrite_program /bin/sh {folder}/sign-in",
        "url_rewrite_children 1 startup=0 concurrency=200",
        "url_rewrite_access allow at_sign_in !CONNECT",
        "url_rewrite_access deny all",
        "http_access allow at_sign_in",
        "http_access allow registries",
        "http_access deny all",
        # Packages are big and asked for again by the next guest.
        "cache_mem 384 MB",
        "maximum_object_size_in_memory 64 MB",
        "visible_hostname egress",
        "via off",
        "forwarded_for delete",
        "shutdown_lifetime 0 seconds",
        "pinger_enable off",
        f"pid_filename {folder}/squid.pid",
        f"coredump_dir {folder}",
        f"cache_log {folder}/cache.log",
        f"access_log stdio:{folder}/access.log",
        "logfile_rotate 0",
    ]
    if settings.stand_ins:
        names = " ".join(settings.stand_ins)
        lines += [f"acl stand_ins dstdomain {names}", "always_direct allow stand_ins"]
    if settings.parent:
        host, port = settings.parent
        lines += [
            f"cache_peer {host} parent {port} 0 no-query no-digest no-netdb-exchange default",
            "never_direct allow all",
        ]
    return "\n".join(lines) + "\n"


def make_authority(certificate: Path, with_key: Path) -> None:
    """Make the proxy's certificate authority: the certificate alone, and in another file with its key."""
    key = with_key.with_name("ca.key")
    run(
        *(
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "30",
        ),
        *("-subj", "/O=haven sandbox/CN=haven sandbox egress authority", "-keyout", key, "-out", certificate),
        *("-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign"),
    )
    with_key.touch(mode=0o600)
    with_key.write_bytes(certificate.read_bytes() + key.read_bytes())
    key.unlink()


def prepare(settings: ProxySettings) -> list[str]:
    """Write squid's configuration and give the folder to its user; returns the command that is the proxy."""
    squid = shutil.which("squid")
    if squid is None or not Path(_CERTGEN).exists():
        raise UnsuitableMachineError("squid with TLS inspection is missing: apt-get install squid-openssl.")
    configuration = settings.folder / "squid.conf"
    configuration.write_text(render(settings), encoding="ascii")
    _write_what_it_reads(settings)
    owner = pwd.getpwnam(_USER)
    for path in (settings.folder, *settings.folder.iterdir()):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    become = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", "--inh-caps=-all", "--no-new-privs"]
    run(*become, _CERTGEN, "-c", "-s", settings.folder / "certificates", "-M", "4MB")
    return [*become, squid, "--foreground", "-N", "-f", str(configuration)]


def _write_what_it_reads(settings: ProxySettings) -> None:
    folder = settings.folder
    found = [Path(file).read_text(encoding="utf-8") for file in settings.authorities]
    (folder / "authorities.pem").write_text("\n".join(found), encoding="utf-8")
    known = Path("/etc/hosts").read_text(encoding="utf-8", errors="replace") if Path("/etc/hosts").exists() else ""
    lines = [f"{settings.stand_ins_address} {name}" for name in settings.stand_ins]
    (folder / "hosts").write_text("\n".join([known, *lines, ""]), encoding="utf-8")
    kept = run("openssl", "passwd", "-6", "-stdin", stdin=PASSWORD + "\n").strip()
    (folder / "password").write_text(f"{USER}:{kept}\n", encoding="ascii")
    for name, script in (("wait", _WAIT), ("sign-in", _SIGN_IN)):
        (folder / name).write_text(script, encoding="ascii")
