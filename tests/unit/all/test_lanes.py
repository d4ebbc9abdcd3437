"""The queue of `make test`: what runs beside what, what is written down, and how it ends early."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from tests.all.jobs import Job, chosen
from tests.all.lanes import REASONS, Lanes, StoppedError, reasons
from tests.all.times import record, table


@pytest.fixture
def lanes(tmp_path: Path) -> Lanes:
    return Lanes(tmp_path, threading.Event(), time.monotonic())


def job(name: str, code: str, minutes: float = 1, **options: object) -> Job:
    return Job(name, "unit", (sys.executable, "-c", code), minutes, **options)  # type: ignore[arg-type]


def between(path: Path, seconds: float = 0.3) -> str:
    """A program that notes when it began and ended."""
    note = f"open({str(path)!r}, 'a').write"
    return f"import time; {note}('+'); time.sleep({seconds}); {note}('-')"


def test_a_failed_job_is_one_and_its_output_is_kept(
    lanes: Lanes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    results = lanes.run([job("good", "print('7 passed in 0.1s')"), job("bad", "print('why'); raise SystemExit(3)")])
    assert {result.job.name: result.code for result in results} == {"good": 0, "bad": 3}
    said = capsys.readouterr().out
    assert "good: ok, 0.0 min, 7 passed in 0.1s" in said
    assert "bad: FAILED (rc 3)" in said
    assert "why" in said
    assert (tmp_path / "bad.log").read_text() == "why\n"


def test_the_reasons_are_the_lines_that_say_them_or_the_last(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text(
        "before\nfatal: [one]: UNREACHABLE!\n\x1b[31mE       assert 1 == 2\x1b[0m\nFAILED a::b - assert\nafter\n"
    )
    assert reasons(log) == ["fatal: [one]: UNREACHABLE!", "E       assert 1 == 2", "FAILED a::b - assert"]
    log.write_text("\n".join(map(str, range(REASONS + 2))) + "\n\n")
    assert reasons(log) == [str(number) for number in range(2, REASONS + 2)]


def test_two_run_at_a_time_but_never_two_on_the_same_thing(lanes: Lanes, tmp_path: Path) -> None:
    apart, together = tmp_path / "apart", tmp_path / "together"
    lanes.run([job(f"a{number}", between(apart), alone_on="thing") for number in range(3)])
    assert apart.read_text() == "+-+-+-"
    Lanes(tmp_path, threading.Event(), 0).run([job(f"b{number}", between(together, 0.6)) for number in range(2)])
    assert together.read_text() == "++--"


def test_the_longest_begins_first_and_what_needs_the_sandbox_waits_for_it(lanes: Lanes, tmp_path: Path) -> None:
    order = tmp_path / "order"
    code = f"open({str(order)!r}, 'a').write('{{}}')"
    jobs = [job("c", code.format("c"), 1), job("a", code.format("a"), 9, sandbox=True), job("b", code.format("b"), 5)]

    def come_up() -> None:
        time.sleep(0.5)
        lanes.ready.set()
        lanes.wake()

    threading.Thread(target=come_up).start()
    lanes.run(jobs)
    assert sorted(order.read_text()[:2]) == ["b", "c"]
    assert order.read_text()[2] == "a"


def test_stopping_ends_what_runs_and_begins_nothing_new(lanes: Lanes, tmp_path: Path) -> None:
    tidy = tmp_path / "tidy"
    patient = f"import time\ntry: time.sleep(60)\nexcept KeyboardInterrupt: open({str(tidy)!r}, 'w').write('tidy')"
    threading.Timer(0.5, lanes.stop).start()
    began = time.monotonic()
    with pytest.raises(StoppedError):
        lanes.run([job("one", patient, 9), job("two", "import time; time.sleep(60)", 8), job("three", "print()", 1)])
    assert time.monotonic() - began < 30
    assert tidy.read_text() == "tidy"
    assert not (tmp_path / "three.log").exists()


def test_times_know_set_up_from_call_and_the_table_names_the_slowest(
    lanes: Lanes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)
    (tmp_path / "test_it.py").write_text(
        "import time, pytest\n@pytest.fixture\ndef slow(): time.sleep(0.3)\ndef test_one(slow): time.sleep(0.1)\n"
    )
    command = (sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", str(tmp_path / "test_it.py"))
    results = lanes.run([Job("some", "unit", command, 1)])
    times = record(results, {}, 1.0, tmp_path)
    assert times["jobs"][0]["passed"]
    (test,) = times["tests"]
    assert test["setup"] >= 0.3 > test["call"] >= 0.1
    assert any("test_it.py::test_one" in line for line in table(times))


@pytest.mark.parametrize(
    ("options", "expected", "unexpected"),
    [
        ({}, "molecule-jupyter", "molecule-site_ec2"),
        ({"long": True}, "molecule-site_ec2", "story-quick"),
        ({"quick": True}, "story-quick", "molecule-jupyter"),
    ],
)
def test_each_target_has_its_jobs(options: dict[str, bool], expected: str, unexpected: str) -> None:
    names = {each.name for each in chosen([], **options)}
    assert expected in names
    assert unexpected not in names
    assert "mutation" not in names


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(KeyError):
        chosen(["no-such-job"])
