"""A computer with what laptops have and the machine that runs the tests does not."""

from __future__ import annotations

import contextlib
import functools
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator

from . import ROOT, Controller

# macOS's TMPDIR. Ours is as long, because a socket's path has room for 104 characters in all.
TEMPORARY = "/var/folders/zz/zyxvpxvq6csfxvn_n0000000000000/T"
LOCALE = "sv_SE.UTF-8"
# What macOS has of the programs that a shell script uses. Their GNU forms take long options, and these letters more.
_GNU_ONLY = {
    "base64": "w",
    "cp": "tT",
    "date": "dI",
    "grep": "P",
    "install": "Dt",
    "ln": "Tr",
    "mv": "tT",
    "stat": "c",
    "touch": "d",
}
_COMMON = """
    awk basename cat chmod chown cksum cut dirname env expr false find head hostname id kill ls mkdir mkfifo mktemp
    nohup od printf ps pwd readlink rm rmdir sed sleep sort split tail tee test tr true tty uname uniq wc which whoami
    xargs
"""
# These have the same options everywhere.
_SAME = """
    bash clear curl git gzip openssl rsync scp sftp sh ssh ssh-add ssh-agent ssh-keygen ssh-keyscan stty tar
"""
_NO_LETTER = "~"
_WRAPPER = """\
#!/bin/sh
for word; do
  case $word in
    --?*) echo "{name}: illegal option -- -" >&2; exit 64 ;;
    -[!-]*) case $word in *[{letters}]*) echo "{name}: illegal option: $word" >&2; exit 64 ;; esac ;;
  esac
done
exec {program} "$@"
"""
_SSH_CONFIG = """\
# What people set for all their hosts.
Host *
  ControlMaster auto
  ControlPath ~/.ssh/cm-%C
  ControlPersist 10m
  RequestTTY force
  RemoteCommand exec bash -l
  FingerprintHash md5
  GatewayPorts yes
  LogLevel QUIET
  IdentityFile ~/.ssh/other
  HashKnownHosts yes
  SendEnv LANG LC_*
Host * !bastion.example.org
  ProxyJump bastion.example.org
# With these nobody could log in from a terminal: not for the machine that README's reader logs in to.
Host * !jupyter-demo !notebook
  SessionType none
  StdinNull yes
  ForkAfterAuthentication yes
  PreferredAuthentications password
  AddKeysToAgent ask
"""
_ANSIBLE_CFG = """\
[defaults]
strategy = ansible.builtin.free
forks = 2
callbacks_enabled = ansible.posix.profile_tasks
vault_identity_list = dev@~/vault-dev
remote_user = somebody
[privilege_escalation]
become = true
become_method = ansible.builtin.su
become_user = nobody
[ssh_connection]
pipelining = true
"""


@contextlib.contextmanager
def hostile(folder: pathlib.Path) -> Iterator[Controller]:
    """Such a computer, with an agent that has no key as long as it lasts. The home is in this folder."""
    with tempfile.TemporaryDirectory(prefix="haven-", dir="/tmp") as short:
        temporary = pathlib.Path(short) / "T".rjust(len(TEMPORARY) - len(short) - 1, "0")
        temporary.mkdir(mode=0o700)
        with _computer(folder / "Åsa Öberg", folder / "agent", temporary) as computer:
            yield computer


@contextlib.contextmanager
def _computer(home: pathlib.Path, agent_socket: pathlib.Path, temporary: pathlib.Path) -> Iterator[Controller]:
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    (home / ".ssh/config").write_text(_SSH_CONFIG)
    (home / ".ansible.cfg").write_text(_ANSIBLE_CFG)
    (home / "vault-dev").write_text("another vault's")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / ".ssh/other")], check=True)
    key = " ".join((home / ".ssh/other.pub").read_text().split()[:2])
    known = home / ".ssh/known_hosts"
    known.write_text(f"bastion.example.org {key}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, stderr=subprocess.DEVNULL)
    with known.open("a") as file:
        file.write(f"@revoked * {key}\n@cert-authority *.example.org {key}\n")
    settings = {
        "ANSIBLE_BECOME": "true",
        "ANSIBLE_GATHERING": "explicit",
        "ANSIBLE_STRATEGY": "ansible.builtin.free",
        "LC_ALL": LOCALE,
        "LOCPATH": str(locales()),
        "SSH_AUTH_SOCK": str(agent_socket),
        "TMPDIR": str(temporary),
    }
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", settings["SSH_AUTH_SOCK"]], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 10
        while not agent_socket.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        yield Controller(home, settings, umask="077", noexec=True, programs=str(userland()))
    finally:
        agent.terminate()
        agent.wait()


@functools.cache
def userland() -> pathlib.Path:
    """A folder of programs that know POSIX's options only, and nothing that only Linux has. In the checkout's build
    folder, as nothing can be run from /tmp."""
    folder = ROOT / "build/userland"
    folder.mkdir(parents=True, exist_ok=True)
    for name in (*_COMMON.split(), *_GNU_ONLY):
        program = shutil.which(name)
        if program:
            letters = _GNU_ONLY.get(name, _NO_LETTER)
            _write(folder / name, _WRAPPER.format(name=name, letters=letters, program=program))
    for name in _SAME.split():
        program, link = shutil.which(name), folder / name
        if program and not link.is_symlink():
            link.symlink_to(program)
    return folder


def _write(file: pathlib.Path, text: str) -> None:
    """Whole or not at all: another story may be using it."""
    if file.exists() and file.read_text() == text:
        return
    draft = file.with_name(f".{file.name}.draft")
    draft.write_text(text)
    draft.chmod(0o755)
    draft.replace(file)


@functools.cache
def locales() -> pathlib.Path:
    """A folder of compiled locales with LOCALE and what is compiled anyway. It is LOCPATH for the C library."""
    folder = ROOT / "build/locales"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / LOCALE).is_dir():
        language, dummy, encoding = LOCALE.partition(".")
        draft = folder / f"{LOCALE}.draft"
        shutil.rmtree(draft, ignore_errors=True)
        subprocess.run(["localedef", "-i", language, "-f", encoding, str(draft)], check=True)
        draft.rename(folder / LOCALE)
    return folder
