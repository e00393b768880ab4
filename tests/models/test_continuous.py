"""Exponential, Weibull, log-normal and log-logistic: their formulas to the last digits, far out and close to 0."""

import itertools

import mpmath
import numpy as np
import pytest
from scipy import integrate, stats

import clvmodels as clv

MODELS = [clv.Exponential, clv.Weibull, clv.LogNormal, clv.LogLogistic]
every_model = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)


def parameters(model, second):
    """Names of the parameters, and their values for a scale of 1."""
    return {"scale": 1.0} | {param.name: second for param in model.params[1:]}


def exact_log_survival(model, t, second):
    """With mpmath, for a scale of 1."""
    t, second = mpmath.mpf(t), mpmath.mpf(second)
    if t == 0:
        return mpmath.mpf(0)
    if model is clv.Exponential:
        return -t
    if model is clv.Weibull:
        return -(t**second)
    if model is clv.LogLogistic:
        return -mpmath.log1p(t**second)
    z = mpmath.log(t) / second / mpmath.sqrt(2)
    return mpmath.log(mpmath.erfc(z) / 2) if z > 0 else mpmath.log1p(-mpmath.erfc(-z) / 2)


def exact_log_hazard(model, t, second):
    t, second = mpmath.mpf(t), mpmath.mpf(second)
    if model is clv.Exponential:
        return mpmath.mpf(0)
    if model is clv.Weibull:
        return mpmath.log(second) + (second - 1) * mpmath.log(t)
    if model is clv.LogLogistic:
        return mpmath.log(second) + (second - 1) * mpmath.log(t) - mpmath.log1p(t**second)
    density = mpmath.exp(-((mpmath.log(t) / second) ** 2) / 2) / (t * second * mpmath.sqrt(2 * mpmath.pi))
    return mpmath.log(density) - exact_log_survival(model, t, second)


TIMES = [1e-300, 1e-30, 1e-8, 0.01, 0.7, 1.0, 1.3, 25.0, 1e4, 1e12]
SECONDS = [0.02, 0.3, 0.99, 1.0, 2.5, 20.0]


@every_model
def test_log_survival_and_log_hazard_keep_their_digits(model):
    with mpmath.workdps(60):
        for t, second in itertools.product(TIMES, SECONDS):
            params = parameters(model, second)
            exact = float(exact_log_survival(model, t, second))
            if abs(exact) < 1e300:  # 1e12 to the power of 20 is within, others may not be
                # The first column of the likelihood: relative digits, so also those of 1 - S close to t = 0.
                assert model.log_survival(t, **params) == pytest.approx(exact, rel=2e-13, abs=1e-300), (t, second)
            hazard = float(exact_log_hazard(model, t, second))
            # Of log density - log S, each of the size of log S, sixteen digits are left.
            assert model.log_hazard(t, **params) == pytest.approx(hazard, rel=2e-13, abs=1e-14 * (1 + abs(exact)))


@every_model
def test_far_tails_are_told_apart(model):
    # log S = -1e4: a probability that no double holds.
    for second in (0.3, 1.0, 2.5):
        params = parameters(model, second)
        for target in (-1e4, -700.0, -30.0, -1.0, -1e-3, -1e-12, -1e-15):
            if model is clv.LogLogistic and target / second < -700:
                continue  # t would be beyond 1e300
            t = model.inverse_log_survival(target, **params)
            with mpmath.workdps(60):
                assert float(exact_log_survival(model, float(t), second)) == pytest.approx(target, rel=2e-12)


@every_model
def test_at_time_0_everybody_is_there_and_the_hazard_is_its_limit(model):
    t = np.array([0.0, 0.0])
    for second in (0.5, 1.0, 2.0):
        params = parameters(model, second)
        assert (model.log_survival(t, **params) == 0).all()
        assert model.inverse_log_survival(0.0, **params) == 0
        limit = {0.5: np.inf, 1.0: 0.0, 2.0: -np.inf}[second]
        limit = {clv.Exponential: 0.0, clv.LogNormal: -np.inf}.get(model, limit)
        assert (model.log_hazard(t, **params) == limit).all()
    # A contract of no duration says nothing, whatever its hazard.
    assert model.log_likelihood(0.0, 0, 0.0, **params) == 0


@every_model
def test_the_hazard_is_the_slope_of_the_log_survival(model):
    params = parameters(model, 1.4) | {"scale": 7.0}
    t, h = np.array([0.1, 1.0, 5.0, 40.0]), 1e-5
    slope = (model.log_survival(t * (1 + h), **params) - model.log_survival(t * (1 - h), **params)) / (2 * h * t)
    np.testing.assert_allclose(model.hazard(t, **params), -slope, rtol=1e-8)


@pytest.mark.parametrize("t", [0.0, 0.3, 8.0, 200.0])
def test_formulas_are_the_distributions_of_scipy(t):
    for model, second, frozen in [
        (clv.Exponential, 1.0, stats.expon(scale=7)),
        (clv.Weibull, 1.7, stats.weibull_min(1.7, scale=7)),
        (clv.LogNormal, 0.8, stats.lognorm(0.8, scale=7)),
        (clv.LogLogistic, 1.7, stats.fisk(1.7, scale=7)),
    ]:
        params = parameters(model, second) | {"scale": 7.0}
        assert model.survival(t, **params) == pytest.approx(frozen.sf(t), rel=1e-12)
        assert model.quantile(0.3, **params) == pytest.approx(frozen.ppf(0.3), rel=1e-12)
        if t > 0:
            assert model.hazard(t, **params) == pytest.approx(frozen.pdf(t) / frozen.sf(t), rel=1e-11)
        if t == 0:
            assert model.expected_residual_lifetime(0.0, **params) == pytest.approx(frozen.mean(), rel=1e-12)


@every_model
@pytest.mark.parametrize("second", [0.4, 0.9, 1.05, 3.0])
def test_mean_residual_lifetimes_are_the_integrals(model, second):
    params = parameters(model, second) | {"scale": 5.0}
    infinite = model is clv.LogLogistic and second <= 1
    for tenure, horizon in itertools.product([0.0, 1e-6, 1.0, 30.0, 1000.0], [0.01, 2.0, 60.0, np.inf]):
        found = model.expected_residual_lifetime(tenure, horizon, **params)
        if horizon == np.inf and infinite:
            assert found == np.inf
            continue
        start = model.log_survival(tenure, **params)

        def conditional(log_time, tenure=tenure, start=start):
            u = np.exp(log_time)
            with np.errstate(over="ignore"):  # S is 0 then
                return np.exp(model.log_survival(tenure + u, **params) - start + log_time)

        # Over log time, in pieces: from e^-60, and up to where nothing is left.
        last = min(np.log(horizon), 700)
        ends = np.concatenate(
            [np.linspace(-60, min(last, 20), 240), np.linspace(20, last, 100)[1:] if last > 20 else []]
        )
        exact = sum(integrate.fixed_quad(conditional, *piece, n=20)[0] for piece in itertools.pairwise(ends))
        assert found == pytest.approx(exact, rel=1e-9), (tenure, horizon)


def test_mean_residual_lifetimes_far_out():
    # Weibull and log-normal where S is 1e-4000 and less: the mean residual time is about 1 / hazard.
    for model, second in [(clv.Weibull, 2.0), (clv.Weibull, 0.5), (clv.LogNormal, 0.3)]:
        params = parameters(model, second)
        t = model.inverse_log_survival(-1e4, **params)
        with mpmath.workdps(40):
            start = exact_log_survival(model, float(t), second)
            mean = 1 / mpmath.exp(exact_log_hazard(model, float(t), second))
            conditional = lambda x: mpmath.exp(exact_log_survival(model, float(t) + x * mean, second) - start)  # noqa: B023, E731
            exact = float(mean * mpmath.quad(conditional, [0, 1, 5, 20, 60]))
        # Its digits are those of the tenure that are left once that is taken away.
        assert model.expected_residual_lifetime(t, **params) == pytest.approx(exact, rel=1e-8)
    # Log-logistic: the tail is a power of t, of which the mean beyond t is t / (shape - 1).
    assert clv.LogLogistic.expected_residual_lifetime(1e280, scale=1.0, shape=2.5) == pytest.approx(1e280 / 1.5)
    assert clv.LogLogistic.expected_residual_lifetime(1e200, scale=1.0, shape=2.5) == pytest.approx(1e200 / 1.5)


def test_a_weibull_of_shape_1_is_exponential():
    t, entry = np.array([0.0, 0.2, 5.0, 900.0]), np.array([0.0, 0.1, 0.0, 800.0])
    event = np.array([0, 1, 0, 1])
    for name in ("survival", "hazard", "expected_residual_lifetime"):
        weibull, exponential = getattr(clv.Weibull, name), getattr(clv.Exponential, name)
        np.testing.assert_allclose(weibull(t, scale=9.0, shape=1.0), exponential(t, scale=9.0), rtol=1e-12)
    np.testing.assert_allclose(
        clv.Weibull.log_likelihood(t, event, entry, scale=9.0, shape=1.0),
        clv.Exponential.log_likelihood(t, event, entry, scale=9.0),
        rtol=1e-13,
    )


@every_model
def test_simulated_lifetimes_are_those_of_the_model_given_the_tenure(model):
    params = parameters(model, 1.6) | {"scale": 7.0}
    rng = np.random.default_rng(8)
    tenure = np.array([0.0, 3.0, 50.0])
    draws = model.simulate(rng, tenure, **{name: np.full((4000, 1), value) for name, value in params.items()})
    assert (draws > tenure).all()
    for column, start in zip(draws.T, tenure, strict=True):
        left = 1 - model.conditional_survival(column - start, start, **params)
        assert stats.kstest(left, "uniform").pvalue > 1e-3
