"""Points on a Dask cluster of this machine."""

import pytest

from pdeops.errors import InputError
from pdeops.sweeps.dask import Dask

pytestmark = pytest.mark.slow


def test_all_points_run_whatever_becomes_of_some(points):
    found = {point.number: outcome.words for point, outcome in Dask(jobs=2).run(points(0, 1, 2, 3))}
    assert found == {0: "exit status 0", 1: "exit status 1", 2: "killed by SIGKILL", 3: "exit status 0"}


def test_points_of_a_running_cluster(points):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        assert [outcome.good for _, outcome in Dask(address=cluster.scheduler_address).run(points(0, 1))].count(
            True
        ) == 1


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"jobs": 0}, "launcher.jobs=0"),
        ({"address": "tcp://127.0.0.1:9"}, "launcher.address=tcp://127.0.0.1:9: there is no Dask scheduler"),
    ],
)
def test_what_cannot_run_is_refused(points, settings, message):
    with pytest.raises(InputError, match=message):
        next(Dask(**settings).run(points(0)))
