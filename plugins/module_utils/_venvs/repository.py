# Copyright (c) 2026, the haven.gpu contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commit of a repository that an environment is created from."""

from __future__ import annotations

import os
import re

from .._progress import progress
from .complaints import explained
from .models import Repository, VenvError
from .process import run

COMMIT = re.compile(r"[0-9a-f]{40}")


def wanted_commit(repository: Repository) -> str:
    """Return the commit of the branch or tag according to the repository. A full commit is returned as it is."""
    if COMMIT.fullmatch(repository.version):
        return repository.version
    version = repository.version
    # an annotated tag means the commit that it names (^{})
    patterns = [f"refs/heads/{version}", f"refs/tags/{version}^{{}}", f"refs/tags/{version}"]
    patterns = ["HEAD"] if version == "HEAD" else patterns
    done = run(["git", "ls-remote", "--", repository.url, *patterns])
    if done.returncode != 0:
        advice = "check its address, the user's access, and the egress proxy's list of allowed hosts"
        raise VenvError(f"Reading the repository {repository.url} failed: {explained(done, advice)}.")
    found = {ref: commit for commit, ref in (line.split("\t") for line in done.stdout.splitlines())}
    for pattern in patterns:
        if pattern in found:
            return found[pattern]
    raise VenvError(f"{repository.url} has no branch or tag {version}; correct repository.version or give a commit.")


def current_commit(folder: str) -> str:
    """The commit that is checked out, or an empty string."""
    if not os.path.isdir(os.path.join(folder, ".git")):
        return ""
    done = run(["git", "-C", folder, "rev-parse", "--verify", "HEAD"])
    return done.stdout.strip() if done.returncode == 0 else ""


def check_out(repository: Repository, commit: str, folder: str) -> None:
    """Check out `commit` in `folder`. Keeps files that git does not track, and refuses to overwrite edited ones."""
    os.makedirs(folder, exist_ok=True)
    # Its address may contain a token.
    progress.begins(f"fetching the repository for {repository.dest}")
    git = ["git", "-C", folder]
    depth = ["--depth=1"] if repository.shallow else ["--tags"]
    wanted = [commit] if repository.shallow else []
    steps = (
        [*git, "init", "--quiet"],
        [*git, "fetch", "--quiet", *depth, "--", repository.url, *(wanted or ["+refs/heads/*:refs/remotes/origin/*"])],
        [*git, "checkout", "--quiet", "--detach", commit],
    )
    for step in steps:
        done = run(step)
        if done.returncode != 0:
            advice = "remove local changes there, or choose another repository.dest"
            raise VenvError(
                f"Checking out {folder} to {repository.version} of {repository.url} failed: {explained(done, advice)}."
            )
