"""A point: its log, what came of it, and that nobody else runs it meanwhile."""

import os
import signal
import time

import pytest

from pdeops.errors import InputError
from pdeops.sweeps.point import Attempt, Outcome, deaf, quoted


def test_what_came_of_it_is_kept_with_its_causes(points):
    good, crashed, killed = points(0, 1, 2)
    assert Attempt(good).wait().good
    assert good.outcome.good
    assert Attempt(crashed).wait().words == "exit status 1"
    assert crashed.cause()[-1] == "ArithmeticError: the loss is not a number"
    assert Attempt(killed).wait().words == "killed by SIGKILL"
    assert killed.outcome.status == -signal.SIGKILL


def test_a_message_is_shown_from_its_beginning(points):
    (point,) = points(0)
    point.folder.mkdir(parents=True)
    point.log.write_text("noise\n" * 9 + "pdeops: model.width=0: wanted at least 1\n  and more\n")
    assert point.cause() == ["pdeops: model.width=0: wanted at least 1", "  and more"]
    point.log.write_text(point.log.read_text() + "$ again\nkilled\n")
    assert point.cause(1) == ["killed"]


def test_an_attempt_that_runs_keeps_others_off(points):
    (point,) = points(9)
    first = Attempt(point)
    while not (point.folder / "asleep").exists():
        time.sleep(0.02)
    other = Attempt(point).wait()
    assert other.status is None
    assert other.words == "still running, started by another command"
    assert first.stop() == point.outcome
    assert point.outcome.status == os.EX_TEMPFAIL
    assert point.outcome.words == "stopped before its end"


def test_a_signal_that_is_not_for_a_run_does_not_reach_it(points):
    (point,) = points(9)
    attempt = Attempt(point, ignore="USR2")
    while not (point.folder / "asleep").exists():
        time.sleep(0.02)
    attempt._process.send_signal(signal.SIGUSR2)
    time.sleep(0.2)
    assert attempt.poll() is None
    assert attempt.wait(until=lambda: True).status == os.EX_TEMPFAIL
    assert deaf(["a", "b"], "USR2")[-2:] == ["a", "b"]


def test_a_broken_record_counts_as_none(points):
    (point,) = points(0)
    point.folder.mkdir(parents=True)
    (point.folder / "outcome.json").write_text('{"status"')
    assert point.outcome is None


def test_folders_as_hydra_reads_them(tmp_path):
    assert quoted(tmp_path / "a b,c=1") == f"'{tmp_path}/a b,c=1'"
    with pytest.raises(InputError, match="with a ' in its name"):
        quoted(tmp_path / "it's")


def test_words():
    assert Outcome(-15, 1.0).words == "killed by SIGTERM"
    assert not Outcome(None, 0.0, "lost").good
