# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The egress proxy: squid with an authority of its own, and an allow-list of package registries."""

from __future__ import annotations

import os
import pwd
import shutil
from dataclasses import dataclass
from pathlib import Path

from .errors import UnsuitableMachineError
from .processes import run

_USER = "proxy"  # squid gives up as root; Debian has this user for proxies
_CERTGEN = "/usr/lib/squid/security_file_certgen"


@dataclass(frozen=True)
class ProxySettings:
    """What squid is told. parent: the proxy this machine itself must use, if any; authorities: a file of CAs."""

    port: int
    folder: Path
    allowed: tuple[str, ...]
    authorities: str
    parent: tuple[str, int] | None


def render(settings: ProxySettings) -> str:
    """squid.conf: pure, text out."""
    folder = settings.folder
    lines = [
        f"http_port 127.0.0.1:{settings.port} ssl-bump cert={folder}/ca.pem generate-host-certificates=on"
        " dynamic_cert_mem_cache_size=4MB",
        f"sslcrtd_program {_CERTGEN} -s {folder}/certificates -M 4MB",
        "sslcrtd_children 4 startup=2 idle=1",
        f"tls_outgoing_options cafile={settings.authorities}",
        "acl step1 at_step SslBump1",
        "ssl_bump peek step1",
        "ssl_bump bump all",
        f"acl registries dstdomain {' '.join(settings.allowed)}",
        "acl web port 80 443",
        "acl tls port 443",
        "acl CONNECT method CONNECT",
        "http_access deny !web",
        "http_access deny CONNECT !tls",
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
    owner = pwd.getpwnam(_USER)
    for path in (settings.folder, *settings.folder.iterdir()):
        os.chown(path, owner.pw_uid, owner.pw_gid)
    become = ["setpriv", f"--reuid={_USER}", f"--regid={_USER}", "--clear-groups", "--inh-caps=-all", "--no-new-privs"]
    run(*become, _CERTGEN, "-c", "-s", settings.folder / "certificates", "-M", "4MB")
    return [*become, squid, "--foreground", "-N", "-f", str(configuration)]
