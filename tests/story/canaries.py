"""Secrets planted for a story, and the search for them and for what is made of them, in every form that could leak."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import re
import secrets
import shlex
import subprocess
import tempfile
import threading
import urllib.parse
from typing import Any

import boto3

from ansible_collections.haven.gpu.plugins.plugin_utils._password import argon2_hash

from .conftest import prepared

SESSION = "canaries"
HOST, USER = "jupyter-demo", "alice"
# Where everybody on a machine may read, or the people who read logs; file systems in memory included. Nothing is too
# large to be looked into; what has not changed since a minute before the first boot is the image.
READABLE = (
    r"sudo find / /run /tmp /var/tmp /dev/shm -xdev -type f -not -path '/proc/*' -not -path '/sys/*' "
    r"-newerct @$(($(stat -c %Y /etc/machine-id) - 60)) "
    r"\( -perm /o=r -o -perm /g=r \( -group adm -o -group systemd-journal \) \)"
)
# Each of these is written in another way in JSON, in Python, in a shell or in a URL.
ODD = "P'ä\"s\\s $w%rd"
# No word of a secret that is shorter than this is looked for alone: others use it, too.
WORD = 12


@dataclasses.dataclass(frozen=True)
class Canaries:
    """One secret for every option that is one, made anew for each run: this file must not hold what is looked for."""

    password: str
    secret: str
    proxy_password: str
    user_data: str
    cloud_secret_key: str
    cloud_session_token: str
    tls_passphrase: str
    tls_key: str
    # Not secret, but what the others go with.
    cloud_access_key: str
    tls_certificate: str

    def planted(self) -> dict[str, str]:
        names = {field.name for field in dataclasses.fields(self)} - {"cloud_access_key", "tls_certificate"}
        found = {name: str(getattr(self, name)) for name in sorted(names)}
        # Of a key in PEM the second of its lines is as secret as the whole, and stays one word wherever it is quoted.
        found["tls_key"] = self.tls_key.splitlines()[1]
        # Who has it can try passwords without asking anybody.
        found["hash of the password"] = hash_of(self.password, self.secret).rpartition("$")[2]
        return found

    def forms(self) -> dict[bytes, str]:
        """Every form of every secret, and whose it is."""
        return {form: name for name, secret in self.planted().items() for form in encodings(secret)}

    def found_in(self, content: bytes) -> set[str]:
        return {name for form, name in self.forms().items() if form in content}

    def variables(self) -> dict[str, Any]:
        """What a user would write, with a secret wherever one can be given."""
        proxy = urllib.parse.urlsplit(os.environ["HAVEN_SANDBOX_PROXY_URL"])
        file = json.dumps({"path": "/etc/canary", "permissions": "0600", "content": self.user_data})
        return {
            "haven_secret": self.secret,
            "haven_users": [{"name": USER, "ssh_keys": [public_key()], "password": self.password}],
            "haven_egress_proxy": {
                "url": f"{proxy.scheme}://guest:{self.proxy_password}@{proxy.netloc}",
                "ca": os.environ["HAVEN_SANDBOX_PROXY_CA"],
            },
            "haven_ec2": {
                "access_key": self.cloud_access_key,
                "secret_key": self.cloud_secret_key,
                "session_token": self.cloud_session_token,
            },
            "haven_instances": [{**prepared("ec2", HOST), "user_data": f"#cloud-config\nwrite_files: [{file}]\n"}],
            "tls_ca_passphrase": self.tls_passphrase,
            "tls_certificates": [
                {"name": "web", "subject_alt_names": ["localhost"]},
                {
                    "name": "own",
                    "provider": "own",
                    "certificate": self.tls_certificate,
                    "private_key": self.tls_key,
                },
            ],
        }


def public_key() -> str:
    return pathlib.Path(os.environ["HAVEN_SANDBOX_KEY"] + ".pub").read_text().strip()


def plant(folder: pathlib.Path) -> Canaries:
    """New secrets; those of the cloud are a session's that it really grants."""
    key, certificate = folder / "own.key", folder / "own.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "90",
         "-subj", "/CN=own.example.org", "-keyout", str(key), "-out", str(certificate)],
        check=True, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    session = cloud_session()
    return Canaries(
        password=f"canary-{ODD}-{secrets.token_hex(8)}",
        secret=f"canary-{ODD}-{secrets.token_hex(8)}",
        proxy_password=f"canary-proxy-{secrets.token_hex(8)}",
        user_data=f"canary-{ODD}-{secrets.token_hex(8)}",
        cloud_secret_key=session["SecretAccessKey"],
        cloud_session_token=session["SessionToken"],
        tls_passphrase=f"canary-{ODD}-{secrets.token_hex(8)}",
        tls_key=key.read_text(),
        cloud_access_key=session["AccessKeyId"],
        tls_certificate=certificate.read_text(),
    )


def cloud_session() -> dict[str, str]:
    """Temporary credentials of a role that may do everything."""
    iam, sts = boto3.client("iam"), boto3.client("sts")
    account = sts.get_caller_identity()["Account"]
    anybody, everything = (
        json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", **statement}]})
        for statement in (
            {"Action": "sts:AssumeRole", "Principal": {"AWS": "*"}},
            {"Action": "*", "Resource": "*"},
        )
    )
    with contextlib.suppress(iam.exceptions.EntityAlreadyExistsException):  # made by an earlier story of this sandbox
        iam.create_role(RoleName=SESSION, AssumeRolePolicyDocument=anybody)
    iam.put_role_policy(RoleName=SESSION, PolicyName="everything", PolicyDocument=everything)
    role = f"arn:aws:iam::{account}:role/{SESSION}"
    granted = sts.assume_role(RoleArn=role, RoleSessionName=SESSION)["Credentials"]
    return {name: str(value) for name, value in granted.items()}


@functools.cache
def hash_of(password: str, secret: str) -> str:
    """What the role jupyter writes on the machine instead of the password."""
    return argon2_hash(password, secret=secret, host=HOST, user=USER)


@functools.cache
def encodings(secret: str) -> frozenset[bytes]:
    """The forms in which a secret leaks, each of them plain, hexadecimal, and in base64 at any alignment.

    It may be escaped for a URL, for JSON, for Python, for a shell, several times over; its longest word is never.
    """
    texts = {secret, json.dumps(secret)[1:-1], repr(secret)[1:-1], ascii(secret)[1:-1], shlex.quote(secret)}
    texts |= {urllib.parse.quote(secret), urllib.parse.quote(secret, safe=""), urllib.parse.quote_plus(secret)}
    texts |= {word for word in [max(re.findall("[A-Za-z0-9]+", secret), key=len)] if len(word) >= WORD}
    forms = set()
    for plain in (text.encode() for text in texts):
        shifted = {base64.b64encode(b"x" * n + plain)[4:-4] for n in range(3)}
        forms |= {plain, plain.hex().encode(), plain.hex().upper().encode(), *shifted}
    return frozenset(forms)


def readable_files_with(canaries: Canaries, since: pathlib.Path, home: pathlib.Path) -> list[str]:
    """Files of this machine that others may read: in the home, or among temporary files newer than `since`."""
    found = set()
    for where in (["find", str(home)], ["find", tempfile.gettempdir(), "-xdev", "-newer", str(since)]):
        # What others remove meanwhile is no error.
        listed = subprocess.run([*where, "-type", "f", "-perm", "/o=r", "-size", "-64M", "-print0"], check=False,
                                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout  # fmt: skip
        for name in filter(None, _suspects(canaries, listed).split(b"\0")):
            path = pathlib.Path(os.fsdecode(name))
            try:
                leaked = canaries.found_in(path.read_bytes())
            except OSError:
                continue  # gone meanwhile
            found |= {f"{one} in {path}" for one in leaked}
    return sorted(found)


def _suspects(canaries: Canaries, listed: bytes) -> bytes:
    """Of these files those that have a line of a form, each name ended by NUL: grep looks for hundreds at once."""
    with tempfile.NamedTemporaryFile() as sought:  # only its owner may read it
        sought.write(b"\n".join({max(form.split(b"\n"), key=len) for form in canaries.forms()}))
        sought.flush()
        look = ["xargs", "-0", "--no-run-if-empty", "grep", "-lZsaF", "-f", sought.name]
        environment = {**os.environ, "LC_ALL": "C"}
        return subprocess.run(look, input=listed, env=environment, check=False, stdout=subprocess.PIPE).stdout


class Watch(threading.Thread):
    """Collects the arguments of every process while it runs: of this machine, and of the guests, which run on it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.seen: set[bytes] = set()
        self._stop = threading.Event()

    def run(self) -> None:
        while not self._stop.wait(0.1):
            for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue  # ended meanwhile

    def stop(self) -> bytes:
        self._stop.set()
        self.join()
        return b"\n".join(self.seen)
