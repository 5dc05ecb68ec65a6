"""The choice of a solver, and the sentence that says why."""

import re

import pytest

from pdeops.solvers import auto
from pdeops.solvers.auto import Auto
from pdeops.solvers.direct import Direct
from pdeops.solvers.multigrid import Multigrid
from pdeops.solvers.preconditioners import ILU
from pdeops.solvers.sequences import GCRODR
from pdeops.solvers.transforms import Transforms
from tests.solvers.cases import assert_solves, box, make

CHOICES = {
    "constant": (Transforms, r"solver: transforms, as coefficients are constant"),
    "definite": (Multigrid, r"solver: multigrid, which took at most \d+ steps on 4 pilot samples"),
    "insulated": (Multigrid, r"solver: multigrid, which took at most \d+ steps on 4 pilot samples"),
    "torus": (Direct, r"solver: direct, for 90 unknowns of symmetric systems"),
    "indefinite": (Direct, r"solver: direct, for 63 unknowns of symmetric systems"),
    "absorbing": (Direct, r"solver: direct, for 99 unknowns of symmetric systems"),
    "unsymmetric": (Direct, r"solver: direct, for 63 unknowns of unsymmetric systems"),
}


@pytest.mark.parametrize("kind", CHOICES)
def test_each_kind_of_system_has_its_solver(kind):
    systems, (cls, sentence) = make(kind), CHOICES[kind]
    solver, reason = Auto(1e-7).settled(systems)
    assert type(solver) is cls
    assert solver.tolerance == 1e-7
    assert re.fullmatch(sentence, reason)
    assert solver.settled(systems) == (solver, "")
    assert_solves(Auto(1e-9), systems)


def test_multigrid_that_is_slow_gives_way(monkeypatch):
    monkeypatch.setattr(auto, "MOST_STEPS", 2)
    solver, reason = Auto().settled(make("definite"))
    assert solver == Direct()
    steps = int(Multigrid().solve(make("definite")).iterations.max())
    assert reason == (
        f"solver: direct, for 63 unknowns of symmetric systems, as multigrid took {steps} steps or did not converge "
        "on 4 pilot samples"
    )


def test_what_does_not_fit_into_memory_is_iterated(monkeypatch):
    monkeypatch.setattr(auto, "FACTORED", {1: 10, 2: 80, 3: 10})
    systems = make("unsymmetric", n=14)
    solver, reason = Auto(1e-9).settled(systems)
    assert isinstance(solver, GCRODR)
    assert solver.preconditioner == ILU()
    assert solver.recycle in (True, False)
    assert reason.startswith("solver: gcrodr, for 168 unknowns of unsymmetric systems; recycling is o")
    assert_solves(Auto(1e-9), systems)
    assert isinstance(Auto().settled(make("unsymmetric"))[0], Direct)
    assert isinstance(Auto().settled(make("definite", grid=box((6, 6, 6))))[0], Multigrid)


def test_the_choice_is_made_by_the_first_systems(monkeypatch):
    seen = []
    monkeypatch.setattr(Auto, "settled", lambda self, pilot: seen.append(len(pilot)) or (Direct(self.tolerance), ""))
    Auto().solve(make("definite", batch=9))
    assert seen == [6]
