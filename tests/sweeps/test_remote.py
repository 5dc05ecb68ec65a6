"""Points as tasks of a cluster's workers, Dask's and Ray's."""

import os
import time

import pytest

from pdeops.sweeps.dask import Dask
from pdeops.sweeps.ray import Ray

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("package", "launcher", "patience"), [("distributed", Dask, 20), ("ray", Ray, 30)])
def test_closing_stops_those_that_run_and_starts_no_others(points, package, launcher, patience):
    pytest.importorskip(package)
    made = points(0, 9, 3)
    running = launcher(jobs=1).run(made)
    assert next(running)[0].number == 0
    while not (made[1].folder / "asleep").exists():
        time.sleep(0.02)
    begin = time.monotonic()
    running.close()
    assert time.monotonic() - begin < patience
    assert made[1].outcome.status == os.EX_TEMPFAIL
    assert made[2].outcome is None
