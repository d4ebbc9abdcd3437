"""What a second run costs, beside what its tasks would cost if each did nothing: no stamp file skips a check here."""

from __future__ import annotations

import pathlib
import re
import subprocess
import tempfile
import time

RECAP = re.compile(r": ok=(\d+)\s+changed=(\d+)\s+unreachable=0\s+failed=0")
NO_OPS = 20


class SecondRunError(Exception):
    """The second run failed or changed something; the message says which."""


def timed(*command: str) -> tuple[float, str]:
    """Seconds and output of one command."""
    begin = time.monotonic()
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise SecondRunError(f"`{' '.join(command)}` failed:\n{done.stdout[-2000:]}")
    return time.monotonic() - begin, done.stdout


def no_op(inventory: str) -> float:
    """Seconds of one task that finds everything as it should be, on the instances' own connection."""
    play = "- hosts: haven\n  gather_facts: false\n  become: true\n  tasks:\n"
    task = "    - ansible.builtin.file: {path: /etc, state: directory}\n"
    with tempfile.TemporaryDirectory() as folder:
        one, many = pathlib.Path(folder) / "one.yml", pathlib.Path(folder) / "many.yml"
        one.write_text(play + task)
        many.write_text(play + task * (1 + NO_OPS))
        short, _ = timed("ansible-playbook", str(one), "-i", inventory)
        long, _ = timed("ansible-playbook", str(many), "-i", inventory)
    return (long - short) / NO_OPS


def measure(inventory: str, *extra: str) -> str:
    """Run site.yml again and compare; returns a sentence with both figures. Raises where anything changed.

    Allowed is what as many tasks cost that do nothing, and a third more, and what verify takes.
    """
    seconds, output = timed("ansible-playbook", "site.yml", "-i", inventory, *extra)
    rows = RECAP.findall(output)
    changed = sum(int(changes) for _, changes in rows)
    if not rows or changed:
        raise SecondRunError(f"the second run changed {changed} things:\n{output[-2000:]}")
    verify, _ = timed("ansible-playbook", "playbooks/verify.yml", "-i", inventory)
    tasks, cost = sum(int(ok) for ok, _ in rows), no_op(inventory)
    bound = 1.3 * tasks * cost + verify
    return f"Second run: changed=0, {seconds:.1f} s of {bound:.1f} s allowed."
