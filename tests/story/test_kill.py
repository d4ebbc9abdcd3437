"""A controller may die at any point of the shipped example on EC2: the next run puts everything right."""

from __future__ import annotations

import os
import pathlib
import signal

from .conftest import Story
from .finished import assert_whole_story
from .permissions import assert_undone, with_documented_permissions

POINTS = 10


def kill_after(story: Story, tasks: int) -> int:
    """SIGKILL the controller and all its children when it has announced this many tasks; returns how many it did."""
    process = story.started("site")
    assert process.stdout is not None
    seen = 0
    for line in process.stdout:
        seen += line.startswith("TASK [")
        if seen == tasks:
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.stdout.close()
    process.wait()
    return seen


def test_killed_at_ten_points_the_next_run_converges_under_the_documented_permissions(folder: pathlib.Path) -> None:
    with with_documented_permissions("ec2", folder) as story:
        total = story.run("site", "--list-tasks").count("TAGS: [") - story.run("site", "--list-tasks").count("play #")
        points = [max(1, total * n // (POINTS + 1)) for n in range(1, POINTS + 1)]
        for point in points:
            assert kill_after(story, point) == point, f"the run ended before its task {point} of {total}"
        assert_whole_story(story)
        assert list(story.inventory_hosts()) == ["jupyter-demo"]
        assert_undone(story)
