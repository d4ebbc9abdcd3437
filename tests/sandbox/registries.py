# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which package registries this machine uses: read from its own pip and apt, so that no name is written down here."""

from __future__ import annotations

import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin, urlsplit

from .errors import SandboxError
from .processes import run

_SIMPLE_JSON = "application/vnd.pypi.simple.v1+json"


@dataclass(frozen=True)
class DebianMirrors:
    """Where this machine gets Debian from; both are URIs as apt takes them."""

    main: str
    security: str | None

    def sources(self, suite: str) -> list[str]:
        """The lines of a sources.list for a suite such as 'bookworm'."""
        lines = [f"deb {self.main} {suite} main", f"deb {self.main} {suite}-updates main"]
        if self.security:
            lines.append(f"deb {self.security} {suite}-security main")
        return lines


def debian_mirrors() -> DebianMirrors:
    """Debian's mirrors as this machine's apt knows them.

    Raises SandboxError when apt has no source with the suite of this machine's own Debian.
    """
    suite = _os_release().get("VERSION_CODENAME", "")
    targets = run("apt-get", "indextargets", "--format", "$(CREATED_BY)|$(REPO_URI)|$(RELEASE)")
    found = parse_index_targets(targets, suite)
    if found is None:
        raise SandboxError(
            f"apt has no source for '{suite}', so there is nothing to build guests from: see apt-cache policy."
        )
    return found


def parse_index_targets(text: str, suite: str) -> DebianMirrors | None:
    """Pick the mirrors of a suite from `apt-get indextargets` output, lines of 'Packages|URI|RELEASE'."""
    main, security = None, None
    for line in text.splitlines():
        created_by, _, rest = line.partition("|")
        uri, _, release = rest.rpartition("|")
        if created_by != "Packages":
            continue
        if release == suite:
            main = main or uri
        elif release in {f"{suite}-security", f"{suite}/updates"}:
            security = security or uri
    return None if main is None else DebianMirrors(main, security)


def allowed_hosts() -> list[str]:
    """Host names guests may reach through the egress proxy: apt's sources, pip's indexes, and their file hosts."""
    names = set(hosts_of(run("apt-get", "indextargets", "--format", "$(REPO_URI)").splitlines()))
    indexes = [url for url in pip_indexes() if urlsplit(url).scheme in {"http", "https"}]
    names.update(hosts_of(indexes))
    for index in indexes:
        names.update(file_hosts(index))
    return sorted(names)


def hosts_of(urls: Iterable[str]) -> list[str]:
    """The host names of URLs, without those that have none (file:, relative ones)."""
    return sorted({name for name in (urlsplit(url).hostname for url in urls) if name})


def pip_indexes() -> list[str]:
    """The indexes pip would use here: configured ones first, pip's own default when none is."""
    configured = parse_pip_config(run(sys.executable, "-m", "pip", "config", "list"))
    if any(key == "index-url" for key, _ in configured):
        return [url for _, url in configured]
    return [parse_pip_default(run(sys.executable, "-m", "pip", "install", "--help")), *(url for _, url in configured)]


def parse_pip_config(text: str) -> list[tuple[str, str]]:
    """The (key, URL) pairs of `pip config list` that name indexes; several URLs of one value are several pairs."""
    pairs = []
    for line in text.splitlines():
        name, _, value = line.partition("=")
        key = name.rpartition(".")[2]
        if key in {"index-url", "extra-index-url"}:
            pairs += [(key, url) for url in value.strip("'\"").replace("\\n", " ").split()]
    return pairs


def parse_pip_default(text: str) -> str:
    """The default of --index-url in `pip install --help`, whose lines may be wrapped anywhere between words."""
    found = re.search(r"--index-url <url>.*?\(default\s+(\S+?)\)", text, re.DOTALL)
    if found is None:
        raise SandboxError("pip does not say which index it uses by default: set PIP_INDEX_URL.")
    return found.group(1)


def file_hosts(index: str) -> list[str]:
    """The hosts an index's own pages point to for files (PEP 503 and PEP 691), asked for at run time."""
    page = index.rstrip("/") + "/pip/"
    trust = ssl.create_default_context(cafile=ca_bundle())
    # Only http and https indexes are asked: see allowed_hosts.
    request = urllib.request.Request(page, headers={"Accept": f"{_SIMPLE_JSON}, text/html;q=0.5"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=20, context=trust) as answer:  # noqa: S310
            body = answer.read().decode("utf-8", "replace")
            return hosts_of(file_urls(body, answer.headers.get_content_type(), answer.geturl()))
    except (urllib.error.URLError, TimeoutError) as error:
        raise SandboxError(f"The package index {index} does not answer ({error}): see pip config list.") from error


def file_urls(body: str, content_type: str, base: str) -> list[str]:
    """The absolute URLs of the files one page of an index lists."""
    if content_type == _SIMPLE_JSON:
        return [urljoin(base, item["url"]) for item in json.loads(body)["files"]]
    return [urljoin(base, link) for link in re.findall(r"""href=["']([^"'#]+)""", body)]


def ca_bundle(environment: Mapping[str, str] = os.environ) -> str:
    """The file of certificate authorities this machine trusts."""
    named = [environment.get(name, "") for name in ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE")]
    default = ssl.get_default_verify_paths().cafile or ""
    for path in [*named, "/etc/ssl/certs/ca-certificates.crt", default]:
        if path and Path(path).is_file():
            return path
    raise SandboxError("No file of certificate authorities found: install ca-certificates.")


def parent_proxy(environment: Mapping[str, str] = os.environ) -> tuple[str, int] | None:
    """Host and port of the HTTP proxy this machine itself must use, from its environment; None when it needs none."""
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY"):
        if value := environment.get(name):
            parts = urlsplit(value if "//" in value else f"http://{value}")
            if parts.username or parts.scheme != "http" or not parts.hostname:
                raise SandboxError(
                    f"The proxy in {name} cannot be used: only http://HOST:PORT without a login is supported."
                )
            return parts.hostname, parts.port or 3128
    return None


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text(encoding="utf-8").splitlines()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in lines)}
