"""Points on a Ray cluster of this machine."""

import signal

import pytest

from pdeops.errors import InputError
from pdeops.sweeps.ray import Ray

pytest.importorskip("ray")
pytestmark = pytest.mark.slow


def test_all_points_run_whatever_becomes_of_some(points):
    handler = signal.getsignal(signal.SIGTERM)
    running = Ray(jobs=2).run(points(0, 1, 2, 3))
    found = dict([next(running)])
    assert signal.getsignal(signal.SIGTERM) is handler
    found = {point.number: outcome.words for point, outcome in (*found.items(), *running)}
    assert found == {0: "exit status 0", 1: "exit status 1", 2: "killed by SIGKILL", 3: "exit status 0"}


@pytest.mark.parametrize(
    ("settings", "sizes", "message"),
    [
        ({"jobs": 0}, {}, "launcher.jobs=0"),
        ({"address": "127.0.0.1:9"}, {}, "launcher.address=127.0.0.1:9: there is no Ray cluster"),
        ({}, {"gpu": True, "devices": 2}, "a point takes 1 processors .* and 2 GPUs; the largest node .* has 1 and 0"),
        ({}, {"gpu": True, "devices": None}, "trainer.devices=auto: launcher=ray has to ask for a number"),
        ({}, {"nodes": 2}, "trainer.num_nodes=2: a worker of launcher=ray is on one node"),
    ],
)
def test_what_cannot_run_is_refused(points, settings, sizes, message):
    with pytest.raises(InputError, match=message):
        next(Ray(**settings).run(points(0, **sizes)))
