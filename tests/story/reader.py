"""Somebody who follows README on a computer of their own: of a shipped inventory only the marked lines change."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import re
import shutil
import sys
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence

from tests import documented, shipped
from tests.controller import Controller
from tests.controller.terminal import Terminal, terminal
from tests.environment import control

from .conftest import ROOT, Story, machine_image

INVENTORY = "inventories/mine"
VARIABLES = f"{INVENTORY}/group_vars/all.yml"
VAULT_PASSWORD, NOTEBOOK_PASSWORD = "vault-sesame", "notebook-sesame"
_REMOTE_PROMPT = re.compile(r"alice@\S+:[^\n]*[$] $")


@dataclasses.dataclass(frozen=True)
class Reader(Story):
    """A story that is told by typing what README says, in an empty folder."""

    cloud: str = ""
    release: str = ""
    # Who has vaults with ids adds what the mark of the password says.
    vault_option: str = ""
    controller: Controller = dataclasses.field(default_factory=lambda: Controller(pathlib.Path("/nonexistent")))

    @property
    def environment(self) -> dict[str, str]:
        """For commands that nobody types: the password of the vault is in a file there."""
        password = {"ANSIBLE_VAULT_PASSWORD_FILE": str(self.home / "vault-password")}
        inventory = {"ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1", "ANSIBLE_CALLBACK_RESULT_FORMAT": "yaml"}
        return {**self.controller.environment, **password, **inventory}

    @property
    def folder(self) -> pathlib.Path:
        return self.inventory.parent.parent

    def there(self, words: Sequence[str]) -> list[str]:
        return self.controller.command(words)

    def command(self, playbook: str, *arguments: str) -> list[str]:
        return self.there(["ansible-playbook", f"haven.gpu.{playbook}", "-i", INVENTORY, *arguments])

    @contextlib.contextmanager
    def terminal(self) -> Iterator[Terminal]:
        editor = {"EDITOR": f"{sys.executable} {ROOT / 'tests/shipped.py'}", "HAVEN_FILL_IN": str(self.home / "values")}
        shell = self.there(["bash", "--norc", "--noprofile", "--noediting"])
        with terminal(shell, self.folder, {**self.controller.environment, **editor}) as opened:
            yield opened

    def follow(self, lines: Sequence[str]) -> None:
        """Type a block of README that ends with the notebook in the browser."""
        with self.terminal() as shell:
            for line in lines:
                if line.startswith("$EDITOR"):
                    self._find_values(shell)
                if line.startswith("ssh "):
                    look_at(shell, line, "http://localhost:8888/login", b"password")
                else:
                    shell.type(line, answers={"Vault password:": VAULT_PASSWORD})

    def copy_and_fill_in(self) -> None:
        """Type what README says before the first playbook."""
        aws = documented.commands("README.md", "On AWS")
        openstack = documented.commands("README.md", "On OpenStack")
        lines = {"ec2": aws, "openstack": openstack}[self.cloud]
        first = next(at for at, line in enumerate(lines) if line.startswith("ansible-playbook"))
        self.follow(lines[:first])

    def type_what_is_for_every_day(self) -> Iterator[str]:
        """Type the commands of README's table, in its order; yields the playbook of each before it is typed."""
        with self.terminal() as shell:
            for line in documented.table("README.md", "Every day").values():
                yield re.findall(r"haven\.gpu\.(\w+)", line)[0]
                shell.type(line.replace("PROJECT", self.project), answers={"Vault password:": VAULT_PASSWORD})

    def _find_values(self, shell: Terminal) -> None:
        """What a reader finds out about the network, and the password's line, by the command that its mark says."""
        marks = {mark.key: mark for mark in shipped.marks((self.folder / VARIABLES).read_text())}
        key = "vault_alice_password"
        command = re.findall(r"`(ansible-vault [^`]*)`", marks[key].how)[0] + self.vault_option
        answers = {
            "New Vault password:": VAULT_PASSWORD,
            "Confirm New Vault password:": VAULT_PASSWORD,
            "Variable name.*:": key,
            "String to encrypt.*:": NOTEBOOK_PASSWORD,
        }
        said = shell.type(command, answers=answers)
        encrypted = re.findall(rf"{key}: (!vault \|\n(?: +\S+\n)+)", said)[0]
        values = {**network(), **cloud_values(self.cloud, self.release), "haven_project": self.project}
        (self.home / "values").write_text(json.dumps({**values, key: encrypted}))

    def forward_by_hand(self, lines: Sequence[str], page: str, expected: bytes) -> None:
        """Type a block of a role's README that forwards a service of the machine, which is called `notebook` there."""
        facts = self.inventory_hosts()["jupyter-demo"]
        found = pathlib.Path(facts["haven_ssh_config"]).read_text().partition(f"Host {facts['ansible_host']}\n")[2]
        settings = [line for line in found.partition("\n\n")[0].splitlines() if not line.lstrip().startswith("User ")]
        with (self.home / ".ssh/config").open("a") as config:
            config.write("\n".join(["", "Host notebook", *settings, ""]))
        with self.terminal() as shell:
            for line in lines:
                look_at(shell, line, page, expected)


def look_at(shell: Terminal, line: str, page: str, expected: bytes) -> None:
    """Type a line that opens a tunnel, and leave it open while the page is looked at."""
    with alone_on(page):
        shell.send(line)
        shell.read_until(_REMOTE_PROMPT, within_s=60)
        with urllib.request.urlopen(page, timeout=60) as answer:  # noqa: S310 - ours
            assert expected in answer.read()
        shell.type("exit")


def network() -> dict[str, str]:
    """What the administrator of the sandbox's network tells: the jump host, the proxy, as YAML."""
    facts = os.environ
    hop = {
        "host": facts["HAVEN_SANDBOX_GATE_HOST"],
        "port": int(facts["HAVEN_SANDBOX_GATE_PORT"]),
        "user": facts["HAVEN_SANDBOX_GATE_USER"],
        "host_key": facts["HAVEN_SANDBOX_GATE_HOST_KEY"],
        "inside_address": facts["HAVEN_SANDBOX_GATE_ADDRESS"],
    }
    proxy = {"url": facts["HAVEN_SANDBOX_PROXY_URL"], "ca": "~/proxy-ca.pem"}
    return {"haven_hops": json.dumps([hop]), "haven_egress_proxy": json.dumps(proxy)}


def cloud_values(cloud: str, release: str) -> dict[str, str]:
    """What the reader's account has, as YAML."""
    image = json.dumps({"name": machine_image(release)})
    if cloud == "openstack":
        return {
            "haven_openstack": "{cloud: haven}",
            "haven_login_user": "debian",
            "image": image,
            "instance_type": "cpu.medium",
            "openstack": "{networks: [private]}",
        }
    return {
        "haven_ec2": json.dumps({"region": os.environ["AWS_DEFAULT_REGION"], "profile": "default"}),
        "haven_subnet": os.environ["HAVEN_SANDBOX_SUBNET"],
        "egress_enforce": "true",
    }


def publish_image() -> None:
    """Let the public parameter of the shipped example name an image as it has there: Ubuntu's user, a GPU's driver."""
    text = (shipped.INVENTORIES / shipped.COPIED["ec2"] / "group_vars/all.yml").read_text()
    prepared = os.environ["HAVEN_SANDBOX_PREPARED"]
    control("parameter", name=re.findall(r"parameter: ([^}]+)}", text)[0], image=f"haven-ubuntu-gpu-{prepared}2*")


@contextlib.contextmanager
def alone_on(page: str) -> Iterator[None]:
    """README names the port, and two stories may be told on this machine at the same time."""
    port = urllib.parse.urlsplit(page).port
    with (pathlib.Path(tempfile.gettempdir()) / f"haven-port-{port}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def reader(folder: pathlib.Path, cloud: str, release: str, project: str, own: Controller | None = None) -> Reader:
    """Somebody with an empty folder and a home, which has the key that README has them make, and the collection.

    ``own`` is their computer; by default, a tidy one.
    """
    controller = own or Controller(folder / "home")
    home, empty = controller.home, folder / "min första mapp"
    (home / ".ssh").mkdir(parents=True, mode=0o700, exist_ok=True)
    empty.mkdir()
    for suffix in ("", ".pub"):
        shutil.copy(os.environ["HAVEN_SANDBOX_KEY"] + suffix, home / f".ssh/id_ed25519{suffix}")
    shutil.copy(os.environ["HAVEN_SANDBOX_PROXY_CA"], home / "proxy-ca.pem")
    (home / "vault-password").write_text(VAULT_PASSWORD)
    if cloud == "ec2":
        publish_image()
    controller.install_collection()
    vault = " --encrypt-vault-id default" if own else ""
    return Reader(
        project, empty / INVENTORY, home, cloud=cloud, release=release, vault_option=vault, controller=controller
    )
