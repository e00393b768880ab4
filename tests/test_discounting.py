"""Discounted sums against integrals in closed form."""

import numpy as np
import pytest
from scipy import integrate, special

from clvmodels.discounting import discount_nodes
from clvmodels.models import BGNBD
from clvmodels.time import rate_per_unit


def discounted(expectation, horizon, rate):
    times, weights = discount_nodes(horizon, rate)
    return float(np.sum(weights * expectation(times)))


@pytest.mark.parametrize("rate", [1e-6, 0.01, 0.5])
@pytest.mark.parametrize("decay", [0.0, 0.2, 3.0])
def test_an_exponentially_fading_stream(rate, decay):
    # dE = exp(-decay t) dt.
    expectation = lambda t: -np.expm1(-decay * t) / decay if decay else t  # noqa: E731
    exact = -np.expm1(-(rate + decay) * 2.0) / (rate + decay)
    assert discounted(expectation, 2.0, rate) == pytest.approx(exact, rel=1e-9)


def test_rate_zero_is_the_expectation_itself():
    assert discounted(lambda t: 3.0 * t, 52.0, 0.0) == 156.0


@pytest.mark.parametrize(("weeks", "tolerance"), [(52, 1e-11), (520, 2e-8)])
@pytest.mark.parametrize(("x", "T"), [(0, 0.0), (5, 39.0)])
def test_purchases_of_bgnbd(weeks, tolerance, x, T):
    params = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    rate = rate_per_unit(0.10, "week")

    def alive(t):
        return BGNBD.expected_transactions_alive(t, x, T, **params)

    tail, _ = integrate.quad(
        lambda s: np.exp(-rate * s**2) * alive(s**2) * 2 * s, 0, np.sqrt(weeks), epsabs=0, epsrel=1e-12
    )
    exact = np.exp(-rate * weeks) * alive(weeks) + rate * tail
    assert discounted(alive, weeks, rate) == pytest.approx(exact, rel=tolerance)


@pytest.mark.parametrize("rate", [1e-6, 0.002, 1.0])
@pytest.mark.parametrize("decay", [0.0, 1e-7, 0.01, 5.0, 1e4])
def test_an_infinite_stream_that_fades(rate, decay):
    # dE = exp(-decay t) dt, from one that never fades to one that is over at once.
    expectation = lambda t: -np.expm1(-decay * t) / decay if decay else t  # noqa: E731
    assert discounted(expectation, np.inf, rate) == pytest.approx(1 / (rate + decay), rel=1e-9)


@pytest.mark.parametrize("power", [0.03, 0.2, 0.5, 1.0])
def test_an_infinite_stream_that_never_ends(power):
    # As E rises where some customers never leave: rate x the integral of exp(-rate t) t^power.
    exact = special.gamma(power + 1) * 0.002**-power
    assert discounted(lambda t: t**power, np.inf, 0.002) == pytest.approx(exact, rel=1e-9)


def test_a_long_horizon_comes_near_the_infinite_one():
    # From both sides of the formula: 32 nodes in the square root of time, and those in its logarithm.
    expectation = lambda t: np.log1p(t / 20)  # noqa: E731
    endless = discounted(expectation, np.inf, 0.002)
    assert discounted(expectation, 20_000.0, 0.002) == pytest.approx(endless, rel=1e-8)


def test_an_infinite_horizon_without_discounting_is_the_limit():
    times, weights = discount_nodes(np.inf, 0.0)
    assert (times.tolist(), weights.tolist()) == ([np.inf], [1.0])


def test_an_annual_rate_is_the_same_in_every_unit():
    per_day = rate_per_unit(0.10, "day")
    assert np.exp(-per_day * 365.25) == pytest.approx(1 / 1.1, rel=1e-14)
    for unit, days in {"week": 7, "month": 30.4375, "year": 365.25}.items():
        assert rate_per_unit(0.10, unit) == pytest.approx(per_day * days, rel=1e-14)
