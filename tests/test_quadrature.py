"""Means over a beta distribution against its moments and its Laplace transform."""

import mpmath
import numpy as np
import pytest

from clvmodels.quadrature import beta_nodes

SHAPES = [(a, b) for a in (0.03, 0.5, 1, 7, 500, 1e5) for b in (0.1, 1, 40, 5200, 1e7)]


@pytest.mark.parametrize(("a", "b"), SHAPES)
def test_moments_of_the_beta(a, b):
    p, weights = beta_nodes(a, b, 0.0)
    assert weights.sum() == pytest.approx(1, rel=1e-14)
    assert (weights * p).sum() == pytest.approx(a / (a + b), rel=1e-11)
    third = a * (a + 1) * (a + 2) / ((a + b) * (a + b + 1) * (a + b + 2))
    assert (weights * p**3).sum() == pytest.approx(third, rel=1e-11)


@pytest.mark.parametrize(("a", "b"), [(a, b) for a, b in SHAPES if a <= 500])  # beyond, mpmath gives up
@pytest.mark.parametrize("z", [1e-6, 1.0, 1e4])
def test_laplace_transform_of_the_beta(a, b, z):
    # E exp(-z p) = 1F1(a; a + b; -z), which bends at p = 1 / z.
    p, weights = beta_nodes(a, b, -np.log(z))
    with mpmath.workdps(30):
        exact = float(mpmath.hyp1f1(a, a + b, -z))
    assert (weights * np.exp(-z * p)).sum() == pytest.approx(exact, rel=1e-8, abs=1e-12)


def test_arguments_broadcast_and_the_hardest_entry_sets_the_number_of_nodes():
    a = np.array([[0.03], [2.0]])
    p, weights = beta_nodes(a, 3.0, np.zeros((2, 1)))
    assert p.shape == weights.shape == (2, 1, p.shape[-1])
    assert 20 < p.shape[-1] < 120
    np.testing.assert_allclose((weights * p).sum(-1), a / (a + 3), rtol=1e-11)
