"""A terminal with a shell, in which commands are typed as a person types them."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Mapping, Sequence

# What the shell prints when it waits for the next command: the status of the last one.
_PROMPT = "[ready $?]"
_READY = re.compile(r"\[ready (\d+)\]\s*$")
# So wide that nobody breaks a line.
_SIZE = struct.pack("HHHH", 200, 300, 0, 0)


class TerminalError(Exception):
    """A command failed, or what was waited for did not come; with all that was on the screen since it was typed."""


class Terminal:
    """The shell on the other side, and what it has printed since the last command."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._seen = ""

    def type(self, line: str, *, answers: Mapping[str, str] | None = None, within_s: float = 600) -> str:
        """Type a command and wait until it has ended well; returns what it printed.

        ``answers``: what to type when such a question (a regular expression) stands at the end of the screen.
        Raises TerminalError.
        """
        self.send(line)
        said = self.read_until(_READY, answers=answers, within_s=within_s)
        found = _READY.search(said)
        if found is None or found.group(1) != "0":
            raise TerminalError(f"`{line}` failed:\n{said[-40000:]}")
        return said

    def send(self, line: str) -> None:
        """Type a line and wait for nothing."""
        self._seen = ""
        os.write(self._descriptor, f"{line}\n".encode())

    def read_until(
        self, wanted: re.Pattern[str], *, answers: Mapping[str, str] | None = None, within_s: float = 600
    ) -> str:
        """Wait until the pattern is on the screen; returns what was printed since the last line was typed."""
        open_questions = dict(answers or {})
        deadline = time.monotonic() + within_s
        while not wanted.search(self._seen):
            for question in [each for each in open_questions if re.search(f"{each}\\s*$", self._seen)]:
                os.write(self._descriptor, f"{open_questions.pop(question)}\n".encode())
            if time.monotonic() > deadline:
                raise TerminalError(f"{wanted.pattern} did not come in {within_s:.0f} s:\n{self._seen[-6000:]}")
            if select.select([self._descriptor], [], [], 1)[0]:
                try:
                    self._seen += os.read(self._descriptor, 1 << 16).decode(errors="replace").replace("\r", "")
                except OSError:  # what Linux says when the other side has ended
                    raise TerminalError(f"The shell has ended:\n{self._seen[-6000:]}") from None
        return self._seen


@contextlib.contextmanager
def terminal(command: Sequence[str], folder: pathlib.Path, environment: Mapping[str, str]) -> Iterator[Terminal]:
    """A terminal in this folder; ``command`` starts its shell, a bash without a configuration of its own."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, _SIZE)
    # A terminal belongs to a session: getpass and ssh open /dev/tty.
    process = subprocess.Popen(
        ["/usr/bin/setsid", "--ctty", "--wait", *command], cwd=folder, env={**environment, "PS1": f"{_PROMPT} "},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    try:
        shell = Terminal(ours)
        shell.read_until(_READY, within_s=60)
        yield shell
    finally:
        # Who reads from a terminal that is gone gets SIGHUP.
        os.close(ours)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
