"""Kernels against published optima and mpmath; the contract test holds them to the models' own formulas."""

import itertools

import mpmath
import numpy as np
import pytest

from clvmodels import BGNBD, MBGNBD, GammaGamma, ParetoNBD
from clvmodels.kernels.rising import rising_sum, rising_sums


@pytest.mark.parametrize(
    ("model", "published", "log_likelihood"),
    [
        (BGNBD, [0.242593, 4.413592, 0.792922, 2.425910], -9582.4292),  # Fader, Hardie & Lee (2005), to more digits
        (ParetoNBD, [0.553, 10.578, 0.606, 11.669], -9594.976),  # the same, table 2
        (MBGNBD, None, None),
        (GammaGamma, None, None),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_slopes_are_zero_at_the_optimum(model, published, log_likelihood, cdnow):
    fit = model().fit(cdnow)
    kernel = model.kernel(*fit.rows.columns, weights=fit.rows.weights)
    value, gradient = kernel(fit.parameters["estimate"].to_numpy())
    assert value == pytest.approx(fit.log_likelihood, rel=1e-13)
    # In standard errors, as far as the search goes.
    assert np.abs(gradient * fit.parameters["se"]).max() < 1e-4
    if published:
        assert kernel(np.array(published))[0] == pytest.approx(log_likelihood, abs=1e-3)


# mpmath


def power_integral(x, t, a, alpha, b, beta):
    """The integral of (alpha + u)^-(a + x) (beta + u)^-b over u > t, for either order of alpha and beta."""
    (small, of_small), (large, of_large) = sorted([(alpha + t, a + x), (beta + t, b)])
    total = of_small + of_large
    series = mpmath.hyp2f1(of_large, 1, total, 1 - small / large)
    return small ** (1 - of_small) * large**-of_large / (total - 1) * series


def pareto_nbd(x, t_x, T, r, alpha, s, beta):
    """Fader & Hardie (2005), note 009: alive at T, or dead since some time between t_x and T."""
    alive = (alpha + T) ** -(r + x) * (beta + T) ** -s
    gone = s * (power_integral(x, t_x, r, alpha, s + 1, beta) - power_integral(x, T, r, alpha, s + 1, beta))
    return mpmath.log(mpmath.rf(r, x) * alpha**r * beta**s * (alive + gone))


def mbgnbd(x, t_x, T, r, alpha, a, b):
    """Batislam et al. (2007), section 3."""
    alive = mpmath.beta(a, b + x + 1) / (alpha + T) ** (r + x)
    dead = mpmath.beta(a + 1, b + x) / (alpha + t_x) ** (r + x)
    return mpmath.log(mpmath.rf(r, x) * alpha**r / mpmath.beta(a, b) * (alive + dead))


def bgnbd(x, t_x, T, r, alpha, a, b):
    """Fader, Hardie & Lee (2005), equation 6."""
    alive = mpmath.beta(a, b + x) / (alpha + T) ** (r + x)
    dead = mpmath.beta(a + 1, b + x - 1) / (alpha + t_x) ** (r + x) if x else 0
    return mpmath.log(mpmath.rf(r, x) * alpha**r / mpmath.beta(a, b) * (alive + dead))


def gamma_gamma(x, m_x, p, q, v):
    """Fader & Hardie (2013), note 025, equation 1a."""
    return (
        mpmath.loggamma(p * x + q) - mpmath.loggamma(p * x) - mpmath.loggamma(q) + q * mpmath.log(v)
        + (p * x - 1) * mpmath.log(m_x) + p * x * mpmath.log(x) - (p * x + q) * mpmath.log(v + x * m_x)
    )  # fmt: skip


HISTORIES = [(0, 0.0, 0.0), (0, 0.0, 39.0), (1, 39.0, 39.0), (1, 0.14, 39.0), (40, 38.0, 39.0), (5000, 38.9, 39.0)]
SPENT = [(1, 0.01), (1, 35.0), (7, 71.0), (5000, 20.0)]
OF_PARETO = [
    (0.55, 10.578, 0.606, 11.669), (0.55, 10.0, 1.0, 10.0), (0.55, 2.0, 0.6, 200.0), (0.55, 200.0, 0.6, 2.0),
    (1e-3, 2.0, 1e3, 20.0), (1e3, 20.0, 1e-3, 2.0),
]  # fmt: skip
OF_BG = list(itertools.product([1e-3, 0.5, 1e3], [0.1, 1e3], [1e-3, 1.0, 1e3], [1e-3, 2.4]))


@pytest.mark.parametrize(
    ("model", "exact", "rows", "thetas"),
    [
        (ParetoNBD, pareto_nbd, HISTORIES[:5], OF_PARETO),
        (MBGNBD, mbgnbd, HISTORIES, OF_BG),
        (BGNBD, bgnbd, HISTORIES, OF_BG),
        (GammaGamma, gamma_gamma, SPENT, [(6.25, 3.74, 15.44), (0.01, 1.001, 1e3), (40.0, 1e3, 1e-3)]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_values_and_slopes_keep_their_digits_everywhere(model, exact, rows, thetas):
    for row in rows:
        kernel = model.kernel(*np.array(row, float)[:, None], weights=np.ones(1))
        for theta in thetas:
            value, gradient = kernel(np.array(theta))
            with mpmath.workdps(80):
                row, at = [mpmath.mpf(each) for each in row], [mpmath.mpf(each) for each in theta]
                wanted = exact(*row, *at)
                slopes = []
                for number, middle in enumerate(at):
                    step = middle * mpmath.mpf(10) ** -20
                    up, down = ([*at[:number], middle + way * step, *at[number + 1 :]] for way in (1, -1))
                    slopes.append(float((exact(*row, *up) - exact(*row, *down)) / (2 * step) * middle))
            assert value == pytest.approx(float(wanted), rel=1e-12, abs=1e-9), (row, theta)
            # A slope in the logarithm of a parameter is a sum of terms as large as 5000, to 16 digits.
            np.testing.assert_allclose(gradient * theta, slopes, rtol=1e-10, atol=1e-9, err_msg=str((row, theta)))


@pytest.mark.parametrize("count", [[0, 0], [0, 1, 7], [3, 20_000], [0, 5, 30_000]])
@pytest.mark.parametrize("start", [1e-3, 0.55, 1e3])
def test_rising_sums_are_those_of_the_customers(count, start):
    weights = np.arange(1.0, len(count) + 1)
    value, slope = rising_sum(np.array(count, float), weights)(start)
    with mpmath.workdps(50):
        exact = [mpmath.log(mpmath.rf(start, each)) for each in count]
        slopes = [mpmath.digamma(mpmath.mpf(start) + each) - mpmath.digamma(start) for each in count]
    assert value == pytest.approx(float(weights @ np.array(exact, float)), rel=1e-12)
    assert slope == pytest.approx(float(weights @ np.array(slopes, float)), rel=1e-12)


# Many draws at once


@pytest.mark.parametrize("model", [BGNBD, MBGNBD])
def test_sums_of_many_draws_are_those_of_the_formula(model, cdnow):
    x, t_x, T = model().fit(cdnow).rows.columns
    x, t_x, T = (np.append(column, edge) for column, edge in ((x, [0, 5000]), (t_x, [0, 38.0]), (T, [0, 39.0])))
    rng = np.random.default_rng(3)
    weights = rng.integers(1, 5, len(x)).astype(float)
    draws = {name: np.exp(rng.normal(0, 1.5, (700, 1))) for name in ("r", "alpha", "a", "b")}
    found = model.sums(x, t_x, T, weights=weights)(draws)
    np.testing.assert_allclose(found, model.log_likelihood(x, t_x, T, **draws) @ weights, rtol=1e-12)


def test_sums_of_counts_too_large_to_be_summed_one_by_one():
    count, weights, start = np.array([0.0, 3.0, 30_000.0]), np.array([2.0, 1.0, 3.0]), np.array([[0.3], [2.0]])
    expected = [rising_sum(count, weights)(value.item())[0] for value in start]
    assert rising_sums(count, weights)(start) == pytest.approx(expected, rel=1e-13)


def test_laplace_draws_the_same_by_the_formula_and_by_its_sums(cdnow, monkeypatch):
    fast = BGNBD().fit(cdnow, "laplace", seed=1, draws=300)
    monkeypatch.setattr(BGNBD, "sums", None)
    slow = BGNBD().fit(cdnow, "laplace", seed=1, draws=300)
    for name, draws in slow.parameter_draws.items():
        np.testing.assert_allclose(fast.parameter_draws[name], draws, rtol=1e-12)
    assert fast.log_likelihood == slow.log_likelihood
