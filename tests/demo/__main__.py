"""`make demo`: the whole story in a sandbox, proven in a real browser, with the time that each stage took.

Sandbox up, `ansible-playbook site.yml`, then a browser through the tunnel trains a classifier and looks at TensorBoard;
stop, start (new address), and the notebook is there again. The sandbox stays up; `make sandbox-down` removes it.

With an image such as ubuntu-like (tests/sandbox/profiles.py), the machine has the habits of that image, its locks are
held for 75 s, a second user has a key of another kind, and the EC2 account has no default network.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import yaml

from ..environment import control, source
from .browser import (
    PICTURES,
    BrowserError,
    browser,
    log_in,
    open_notebook,
    refuse_wrong_password,
    screenshot,
    train,
    upload,
    watch_tensorboard,
)
from .second_run import SecondRunError, measure

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KERNEL = "digits"


class DemoError(Exception):
    """A stage failed; the message says what to look at."""


class Clock:
    """How long each stage took, in seconds; all that the user waited for adds up to the whole."""

    def __init__(self, setting_up_s: float) -> None:
        self._stages: list[tuple[str, float]] = [("set up (environment, packages)", setting_up_s)]

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        print(f"=== {name}", flush=True)
        begin = time.monotonic()
        yield
        self._stages.append((name, time.monotonic() - begin))

    def report(self) -> str:
        rows = [f"{name:<40}{seconds:8.1f} s" for name, seconds in self._stages]
        return "\n".join([*rows, f"{'all':<40}{sum(s for dummy, s in self._stages):8.1f} s"])


def call(*command: str) -> None:
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        raise DemoError(f"`{' '.join(command)}` failed; its last lines above say why.")


def free_port() -> int:
    """8888 where it is free, as in the documentation; else any."""
    for port in (8888, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise DemoError("There is no free TCP port on 127.0.0.1.")


@contextlib.contextmanager
def tunnel(config: pathlib.Path, host: str, port: int) -> Iterator[None]:
    """`ssh HOST` in the background, as the user would leave it open in a terminal."""
    ssh = subprocess.Popen(["ssh", "-F", str(config), "-N", "-o", "BatchMode=yes", host], stdin=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while ssh.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            time.sleep(0.1)
        else:
            raise DemoError(f"`ssh {host}` opened no tunnel on port {port}; its message above says why.")
        yield
    finally:
        ssh.terminate()
        ssh.wait()


def playbook(name: str, inventory: str, port: int) -> None:
    call("ansible-playbook", name, "-i", inventory, "-e", f"ssh_config_local_port={port}")


def inventory_with(cloud: str, image: str, folder: pathlib.Path) -> str:
    """The sandbox's own inventory, with that image for its machine and a user whose key is of another kind."""
    shipped = ROOT / "inventories" / f"sandbox_{cloud}"
    if not image:
        return str(shipped.relative_to(ROOT))
    copy, key = folder / "inventory-of-the-demo", folder / "bob"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(shipped, copy)
    if not key.exists():
        call("ssh-keygen", "-q", "-t", "rsa", "-b", "3072", "-N", "", "-C", "bob", "-f", str(key))
    variables = copy / "group_vars" / "all"
    (machine,) = yaml.safe_load((variables / "instances.yml").read_text())["haven_instances"]
    project = yaml.safe_load((variables / "project.yml").read_text())
    bob = {"name": "bob", "ssh_keys": [pathlib.Path(f"{key}.pub").read_text().strip()]}
    changed = {
        "haven_login_user": "ubuntu",
        "haven_instances": [{**machine, "image": {**machine["image"], "name": f"haven-{image}-slow-2*"}}],
        "haven_users": [*project["haven_users"], {**bob, "password": project["haven_users"][0]["password"]}],
        "haven_verify_users": ["alice"],  # bob's key is in no agent
    }
    (variables / "zz_demo.yml").write_text(yaml.safe_dump(changed))  # the last in the alphabet wins
    return str(copy)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--cloud", choices=["ec2", "openstack"], default="ec2")
    parser.add_argument("--image", default="", help="an image with the manners of the world, such as ubuntu-like")
    parser.add_argument("--began", type=float, default=time.time(), help="when `make` began, as seconds of the epoch")
    given = parser.parse_args()
    os.chdir(ROOT)
    try:
        tell_the_story(given.cloud, given.image, Clock(time.time() - given.began))
    except (DemoError, BrowserError, SecondRunError) as failure:
        sys.exit(f"The demo stopped: {failure}")
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. `make demo` again goes on from here; `make sandbox-down` removes everything.")


def tell_the_story(cloud: str, image: str, clock: Clock) -> None:
    port = free_port()
    images = ["--image", f"{image}-slow"] if image else []
    with clock.stage("start the sandbox"):
        call(sys.executable, "-m", "tests.sandbox", "up", "--cloud", cloud, *images)
    folder = pathlib.Path(os.environ.get("HAVEN_SANDBOX_DIR", ROOT / "build" / "sandbox"))
    source(folder / "env")
    if image and cloud == "ec2":
        # Many organisations delete the default network of their accounts.
        control("networks", default="none")
    inventory = inventory_with(cloud, image, folder)
    with clock.stage("site.yml: nothing to a proven notebook"):
        playbook("site.yml", inventory, port)
    with clock.stage("site.yml again, measured"):
        print(measure(inventory, "-e", f"ssh_config_local_port={port}"))
    config, url = folder / "ssh" / "config", f"http://localhost:{port}"
    password = (folder / "alice.password").read_text().split()[0]

    with tempfile.TemporaryDirectory() as profile, browser(pathlib.Path(profile)) as context:
        page = context.pages[0]
        with tunnel(config, "jupyter-demo", port):
            with clock.stage("browser: log in, train, read the accuracy"):
                refuse_wrong_password(page, url)
                log_in(page, url, password)
                upload(page, url, KERNEL)
                open_notebook(page, url)
                print(train(page))
                screenshot(page, PICTURES / "notebook.png")
            with clock.stage("browser: TensorBoard's loss curve"):
                watch_tensorboard(page, url)
                screenshot(page, PICTURES / "tensorboard.png")
        with clock.stage("stop"):
            playbook("playbooks/stop.yml", inventory, port)
        with clock.stage("start: the same name, whatever the address"):
            playbook("playbooks/start.yml", inventory, port)
        with tunnel(config, "jupyter-demo", port), clock.stage("browser: the notebook is there again"):
            context.clear_cookies()
            log_in(page, url, password)
            open_notebook(page, url)
            page.get_by_text("test accuracy").first.wait_for()
            screenshot(page, PICTURES / "notebook-after-restart.png")

    print(f"\n{clock.report()}\n\nPictures: {PICTURES}/*.png")
    print(f"The sandbox stays up. Look around:  . {folder}/env && ssh -F {config} jupyter-demo")
    print("Take it all away:  make sandbox-down")


if __name__ == "__main__":
    main()
