"""The queue of devices, on processes that do nothing."""

import json
import os
from itertools import pairwise

import pytest

from pdeops.errors import InputError
from pdeops.sweeps.local import Local


def test_all_points_run_whatever_becomes_of_some(points):
    found = {point.number: outcome.words for point, outcome in Local(jobs=2).run(points(0, 1, 2, 3))}
    assert found == {0: "exit status 0", 1: "exit status 1", 2: "killed by SIGKILL", 3: "exit status 0"}


def test_a_device_serves_one_point_at_a_time(points, script, monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert all(outcome.good for _, outcome in Local(gpus=[4, 7], threads=3).run(points(3, 4, 5, 6, 7)))
    spans = {"4": [], "7": []}
    for file in script.parent.glob("seen_by_*"):
        gpu, threads, begin, end = json.loads(file.read_text())
        assert threads == "3"
        spans[gpu].append((begin, end))
    assert sum(map(len, spans.values())) == 5
    for used in spans.values():
        assert all(end <= begin for (_, end), (begin, _) in pairwise(sorted(used)))
    assert max(min(used)[0] for used in spans.values()) < min(min(used)[1] for used in spans.values())  # side by side


@pytest.mark.parametrize(
    ("settings", "devices", "visible"),
    [
        ({"gpus": [0, 1]}, 1, ["0", "1"]),
        ({"gpus": [0, 1], "jobs": 4}, 1, ["0", "1", "0", "1"]),
        ({"gpus": [0, 1], "jobs": 1}, 1, ["0,1"]),
        ({"gpus": [0, 1, 2, 3]}, 2, ["0,1", "2,3"]),
        ({"gpus": [0, 1, 2], "jobs": 1}, 2, ["0,1,2"]),
        ({"gpus": ["MIG-a", "MIG-b"]}, 1, ["MIG-a", "MIG-b"]),
    ],
)
def test_gpus_are_dealt_out(settings, devices, visible):
    assert [place["CUDA_VISIBLE_DEVICES"] for place in Local(**settings).places(devices)] == visible


def test_cores_are_shared(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("joblib.cpu_count", lambda: 12)
    assert Local(jobs=3).places(2) == 3 * [{"OMP_NUM_THREADS": "2"}]
    assert Local(jobs=50).places(1)[0] == {"OMP_NUM_THREADS": "1"}
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert Local(jobs=3).places(1) == [{}, {}, {}]
    assert Local(threads=4).places(1) == [{"OMP_NUM_THREADS": "4"}]


@pytest.mark.parametrize(
    ("settings", "devices", "message"),
    [
        ({"jobs": 0}, 1, "launcher.jobs=0: wanted at least 1"),
        ({"gpus": [0, 0]}, 1, "wanted one or several different devices"),
        ({"gpus": []}, 1, "wanted one or several different devices"),
        ({"gpus": [0, 1], "jobs": 2}, 2, "for 2 jobs leave each point 1. Use launcher.jobs=1"),
        ({"gpus": [0]}, 2, "Use more of them"),
    ],
)
def test_what_cannot_be_dealt_out_is_refused(points, settings, devices, message):
    with pytest.raises(InputError, match=message.replace("[", r"\[")):
        next(Local(**settings).run(points(0, devices=devices)))


def test_closing_stops_those_that_run(points):
    made = points(0, 9, 9)
    running = Local(jobs=2).run(made)
    assert next(running)[0].number == 0
    while not (made[1].folder / "asleep").exists():
        pass
    running.close()
    assert made[1].outcome.status == os.EX_TEMPFAIL
    assert made[2].outcome is None


def test_points_may_be_made_when_they_are_asked_for(points):
    made, asked = points(0, 3, 4), []

    def one_by_one():
        for point in made:
            asked.append(sum(p.outcome is not None for p in made))
            yield point

    assert len(list(Local().one_by_one(one_by_one(), 1))) == 3
    assert asked == [0, 1, 2]
