"""What holds for every Krylov method."""

import numpy as np
import pytest
import scipy.sparse
import torch
from scipy.sparse.linalg import aslinearoperator

from pdeops.errors import InputError
from pdeops.solvers.krylov import bicgstab, cg, gcrodr, gmres, minres, rminres
from tests.solvers.krylov.systems import METHODS, SHORT, Counting, definite, general, matrix_for, unitary, vector

pytestmark = pytest.mark.parametrize("method", METHODS)
KINDS = [float, complex]


def relative(A, x, b):
    return np.linalg.norm(b - A @ x) / np.linalg.norm(b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("preconditioned", [False, True])
def test_dense_solution_and_counts(method, kind, preconditioned):
    A, b = matrix_for(method, kind=kind), vector(kind=kind)
    operator, M = Counting(A), Counting(definite(condition=3, kind=kind, seed=5)) if preconditioned else None
    solve = method(operator, b, M=M, rtol=1e-10, **SHORT.get(method, {}))
    assert solve.converged
    assert "converged" in solve.reason
    np.testing.assert_allclose(solve.x, np.linalg.solve(A, b), rtol=0, atol=1e-8)
    assert solve.residual == pytest.approx(relative(A, solve.x, b), rel=1e-3, abs=1e-15)
    assert solve.residual <= 1e-10
    assert solve.applications == operator.calls
    assert solve.preconditionings == (M.calls if preconditioned else 0)


@pytest.mark.parametrize("preconditioned", [False, True])
def test_recurrence_residuals_are_true_residuals(method, preconditioned):
    """The j-th of the history is the residual of the solve that stops after j steps."""
    A, b = matrix_for(method), vector()
    extra = {"M": definite(condition=3, seed=5) if preconditioned else None, "rtol": 1e-10, **SHORT.get(method, {})}
    whole = method(A, b, **extra)
    assert len(whole.history) == whole.iterations + 1
    assert whole.history[0] == 1
    for j in (1, 3, whole.iterations // 2, whole.iterations):
        part = method(A, b, **(extra | {"maxiter": j}))
        assert part.iterations == j
        if part.residual < 1:  # otherwise it gives the start back
            assert part.residual == pytest.approx(whole.history[j], rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_matrices_operators_and_functions_are_one(method, kind):
    A, b = matrix_for(method, kind=kind), vector(kind=kind)
    forms = [A, scipy.sparse.csr_matrix(A), scipy.sparse.csc_array(A), aslinearoperator(A), lambda v: A @ v]
    solves = [method(form, b, **SHORT.get(method, {})) for form in forms]
    for solve in solves:
        assert type(solve.x) is np.ndarray
        np.testing.assert_allclose(solve.x, solves[0].x, atol=1e-7)
        assert abs(solve.applications - solves[0].applications) <= 1  # round-off


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
@pytest.mark.parametrize("as_function", [False, True])
def test_tensors(method, dtype, as_function):
    kind = complex if dtype.is_complex else float
    A = torch.from_numpy(matrix_for(method, kind=kind)).to(dtype)
    b = torch.from_numpy(vector(kind=kind)).to(dtype).reshape(2, 4, 5)
    single = dtype in (torch.float32, torch.complex64)
    operator = (lambda v: (A @ v.reshape(-1)).reshape(v.shape)) if as_function else A
    solve = method(operator, b, rtol=1e-4 if single else 1e-9, **SHORT.get(method, {}))
    assert solve.converged
    assert solve.x.dtype == dtype
    assert solve.x.shape == b.shape
    assert (A @ solve.x.reshape(-1) - b.reshape(-1)).norm() <= (1.1e-4 if single else 1.1e-9) * b.norm()


def test_fields_of_numpy(method):
    A, b = matrix_for(method), vector().reshape(5, 8)
    b.flags.writeable = False
    solve = method(lambda v: (A @ v.ravel()).reshape(v.shape), b)
    assert solve.x.shape == (5, 8)
    assert solve.converged


def test_inner_product(method):
    """In (u, v) = u^H L L^H v every method does what it does in the Euclidean one to L^H A L^-H."""
    n, C = 40, matrix_for(method, kind=complex)
    L = np.diag(np.linspace(1, 3, n)) @ unitary(n, complex, 7) + 0.1 * unitary(n, complex, 8)
    b = vector(kind=complex)
    A, G = np.linalg.solve(L.conj().T, C @ L.conj().T), L @ L.conj().T
    extra = {"rtol": 1e-9, **SHORT.get(method, {})}
    inside = method(A, b, inner=lambda u, v: u.conj() @ G @ v, **extra)
    outside = method(C, L.conj().T @ b, **extra)
    assert inside.converged
    first = slice(20)  # after which round-off tells
    np.testing.assert_allclose(inside.history[first], outside.history[first], rtol=1e-5)
    np.testing.assert_allclose(L.conj().T @ inside.x, outside.x, atol=1e-8)


def test_inner_product_of_tensor_fields(method):
    A, weights = matrix_for(method), torch.linspace(1, 2, 40, dtype=torch.float64)
    A = torch.from_numpy(A) / weights[:, None]  # self-adjoint in (u, v) = sum w u v where it was in sum u v
    b = torch.from_numpy(vector()).reshape(5, 8)
    solve = method(
        lambda v: (A @ v.reshape(-1)).reshape(v.shape), b, inner=lambda u, v: (weights * (u * v).reshape(-1)).sum()
    )
    rest = b.reshape(-1) - A @ solve.x.reshape(-1)
    assert solve.converged
    norms = [(weights * v**2).sum().sqrt() for v in (rest, b.reshape(-1))]
    assert solve.residual == pytest.approx(float(norms[0] / norms[1]), rel=1e-3)


def test_zero_right_hand_side(method):
    operator = Counting(matrix_for(method))
    solve = method(operator, np.zeros(40), x0=vector())
    assert solve.converged
    assert (solve.x == 0).all()
    assert solve.residual == solve.applications == operator.calls == 0


def test_start(method):
    A, b = matrix_for(method), vector()
    x = np.linalg.solve(A, b)
    exact = method(A, b, x0=x)
    assert exact.converged
    assert (exact.iterations, exact.applications) == (0, 1)
    near = method(A, b, x0=x + 1e-4 * vector(seed=3), rtol=1e-8, **SHORT.get(method, {}))
    far = method(A, b, rtol=1e-8, **SHORT.get(method, {}))
    assert near.converged
    assert near.iterations < far.iterations
    assert far.history[0] == 1 > near.history[0]


def test_absolute_tolerance(method):
    A, b = matrix_for(method), vector()
    solve = method(A, b, rtol=0, atol=0.1, **SHORT.get(method, {}))
    assert solve.converged
    assert 1e-6 < np.linalg.norm(b - A @ solve.x) <= 0.1


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_unknowns(method, n):
    A = np.diag(np.arange(1.0, n + 1)) + (0.1 * np.eye(n, k=1) if method not in (cg, minres, rminres) else 0)
    solve = method(A, np.ones(n), rtol=1e-12)
    assert solve.converged
    np.testing.assert_allclose(A @ solve.x, 1, atol=1e-11)


def test_the_identity_takes_a_step(method):
    solve = method(lambda v: v, vector())
    assert solve.converged
    assert solve.iterations == 1


def test_iteration_limit(method):
    A, b = definite(condition=1e6), vector()
    solve = method(A, b, rtol=1e-12, maxiter=5)
    assert not solve.converged
    assert "iteration limit" in solve.reason
    assert solve.iterations == 5
    none = method(A, b, maxiter=0)
    assert not none.converged
    assert none.applications == none.iterations == 0


def test_a_tolerance_below_round_off_ends_as_stagnation(method):
    A, b = definite(condition=1e3, n=30), vector(30)
    solve = method(A, b, rtol=1e-30, maxiter=5000, **SHORT.get(method, {}))
    assert not solve.converged
    assert solve.residual < 1e-10
    assert solve.iterations < 2000
    assert "stagnation" in solve.reason or "breakdown" in solve.reason


def test_a_recurrence_that_lost_the_residual_starts_again_from_the_true_one(method):
    """One product out of all is wrong."""
    A, b, calls = matrix_for(method), vector(), []

    def operator(v):
        calls.append(1)
        return A @ v + (1e-4 * vector(seed=7) if len(calls) == 3 else 0)

    solve = method(operator, b, rtol=1e-9)
    assert solve.converged
    assert np.linalg.norm(b - A @ solve.x) <= 1.01e-9 * np.linalg.norm(b)
    assert solve.applications == len(calls)
    assert min(solve.history[:-1]) <= 1e-9  # it had thought so before


def test_singular_consistent(method):
    values = np.concatenate([np.zeros(4), np.geomspace(1, 10, 36)])
    Q = unitary(40)
    A = (Q * values) @ Q.T
    b = A @ vector()
    solve = method(A, b, rtol=1e-9, **SHORT.get(method, {}))
    assert solve.converged
    np.testing.assert_allclose(solve.x, np.linalg.pinv(A) @ b, atol=1e-7)  # nothing of the null space comes in


def test_singular_inconsistent_is_never_called_converged(method):
    Q = unitary(40)
    A = (Q * np.concatenate([np.zeros(4), np.geomspace(1, 10, 36)])) @ Q.T
    solve = method(A, vector(), **SHORT.get(method, {}))
    assert not solve.converged
    assert solve.residual > 0.01
    assert any(word in solve.reason for word in ("stagnation", "breakdown", "limit"))
    assert np.isfinite(solve.x).all()


def test_zero_operator(method):
    solve = method(lambda v: 0 * v, vector(), **SHORT.get(method, {}))
    assert not solve.converged
    assert "breakdown" in solve.reason
    assert (solve.x == 0).all()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_operator_that_makes_no_numbers(method, value):
    calls = []

    def operator(v):
        calls.append(1)
        return definite() @ v if len(calls) < 4 else np.full(40, value)

    solve = method(operator, vector(), rtol=1e-12)
    assert not solve.converged
    assert "not finite" in solve.reason
    assert np.isfinite(solve.x).all()
    assert np.isfinite(solve.residual)
    assert solve.applications == len(calls)


def test_callback_sees_every_step(method):
    seen = []
    solve = method(matrix_for(method), vector(), callback=lambda *step: seen.append(step), **SHORT.get(method, {}))
    assert seen == list(enumerate(solve.history))[1:]


def test_inputs_stay_as_they_are(method):
    A, b, x0 = matrix_for(method), vector(), vector(seed=2)
    before = A.copy(), b.copy(), x0.copy()
    method(A, b, x0=x0)
    for x, y in zip((A, b, x0), before, strict=True):
        assert (x == y).all()


def test_types_are_promoted(method):
    A, b = matrix_for(method), vector()
    assert method(A, b.astype(np.float32)).x.dtype == np.float64
    assert method(A, np.ones(40, dtype=int)).converged
    if method in (gmres, gcrodr, bicgstab):
        assert method(general(kind=complex), b).x.dtype == np.complex128


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"A": np.eye(39)}, "A has shape"),
        ({"M": np.eye(39)}, "M has shape"),
        ({"A": "matrix"}, "wanted a matrix"),
        ({"A": torch.eye(40)}, "both of one kind"),
        ({"A": lambda v: v[:-1]}, "made shape"),
        ({"A": lambda v: 1j * v}, "complex"),
        ({"b": np.full(40, np.nan)}, "not finite"),
        ({"b": np.empty(0)}, "empty"),
        ({"x0": np.ones(39)}, "x0 has shape"),
        ({"rtol": -1.0}, "tolerances"),
        ({"maxiter": -1}, "maxiter"),
        ({"b": torch.ones(40, dtype=torch.bfloat16), "A": lambda v: v}, "precision"),
        ({"inner": lambda u, v: -(u @ v)}, "never negative"),
    ],
)
def test_bad_input(method, arguments, message):
    arguments = {"A": np.eye(40), "b": np.ones(40)} | arguments
    with pytest.raises(InputError, match=message):
        method(arguments.pop("A"), arguments.pop("b"), **arguments)


def test_minimal_methods_never_increase_the_residual(method):
    if method in (cg, bicgstab):
        pytest.skip("these minimise something else, or nothing")
    history = np.array(method(matrix_for(method), vector(), rtol=1e-12, **SHORT.get(method, {})).history)
    assert (history[1:] <= history[:-1] * (1 + 1e-9)).all()


@pytest.mark.parametrize("size", [2.0**-600, 2.0**560])
def test_right_hand_sides_whose_squares_are_no_numbers(method, size):
    A, b = matrix_for(method), vector()
    b *= 2.0 ** -np.frexp(abs(b).max())[1]  # the unit that will be found
    plain, scaled = method(A, b), method(A, size * b)
    assert scaled.converged
    assert scaled.iterations == plain.iterations
    np.testing.assert_allclose(scaled.x, size * plain.x, rtol=1e-9, atol=0)


def test_operators_that_return_their_own_memory(method):
    A, b = matrix_for(method), vector()
    memory = np.empty_like(b)
    assert method(lambda v: np.dot(A, v, out=memory), b).iterations == method(A, b).iterations
