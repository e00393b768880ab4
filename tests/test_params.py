"""Parameters on the real line and back, and the prior with its Jacobian."""

import numpy as np
import pytest
from scipy import integrate, stats

from clvmodels.params import Coordinates, Param
from clvmodels.priors import Prior

PARAMS = (Param("r", "a shape"), Param("alpha", "a scale", carries="time"), Param("q", "above one", lower=1.0))


def test_coordinates_go_there_and_back():
    coordinates = Coordinates(PARAMS, {"time": 30.0}, {})
    u = np.random.default_rng(0).normal(size=(5, 3))
    values = coordinates.to_values(u)
    assert values["alpha"].shape == (5, 1)
    assert (values["q"] > 1).all()
    np.testing.assert_allclose(values["alpha"][:, 0], 30 * np.exp(u[:, 1]))
    np.testing.assert_allclose(coordinates.to_u(values), u, rtol=1e-12)


def test_the_default_prior_is_normal_in_the_logarithm_of_the_scaled_parameter():
    coordinates = Coordinates(PARAMS, {"time": 30.0}, {})
    difference = np.diff(coordinates.log_prior(np.array([[0.0, 0, 0], [1.0, -2.0, 0.5]])))
    expected = stats.norm.logpdf([1, -2, 0.5], 0, 2).sum() - 3 * stats.norm.logpdf(0, 0, 2)
    assert difference == pytest.approx(expected)


def test_a_search_starts_at_the_medians_of_the_users_priors():
    priors = {"alpha": stats.gamma(3, scale=10), "q": stats.norm(0.5, 1)}  # a median of q below its lower bound
    coordinates = Coordinates(PARAMS, {"time": 30.0}, priors)
    assert coordinates.start() == pytest.approx([0, np.log(priors["alpha"].median() / 30), 0])


def test_a_prior_of_the_user_keeps_its_probability_in_the_coordinates():
    prior = stats.gamma(3, scale=10)
    coordinates = Coordinates((Param("alpha", "a scale", carries="time"),), {"time": 30.0}, {"alpha": prior})
    density = lambda u: np.exp(coordinates.log_prior(np.array([[u]])).item())  # noqa: E731
    total, _ = integrate.quad(density, -12, 5)
    below, _ = integrate.quad(density, -12, np.log(20 / 30))
    assert below / total == pytest.approx(prior.cdf(20), rel=1e-7)


def test_default_priors_are_drawn_as_their_density_says():
    coordinates = Coordinates(PARAMS, {"time": 30.0}, {})
    draws = coordinates.prior_draws(np.random.default_rng(1), 4000)
    assert [values.shape for values in draws.values()] == [(4000, 1)] * 3
    for values in coordinates.to_u(draws).T:
        assert stats.kstest(values, stats.norm(0, 2).cdf).pvalue > 0.001


class OnlyItsOwn:
    """A prior that has a generator of its own, as SciPy's, and no quantiles."""

    logpdf = stats.gamma(3, scale=10).logpdf
    rvs = stats.gamma(3, scale=10).rvs


@pytest.mark.parametrize("prior", [stats.gamma(3, scale=10), OnlyItsOwn()])
def test_priors_of_the_user_are_drawn_in_his_units(prior):
    coordinates = Coordinates(PARAMS, {"time": 30.0}, {"alpha": prior})
    draws = coordinates.prior_draws(np.random.default_rng(2), 4000)
    assert stats.kstest(draws["alpha"][:, 0], stats.gamma(3, scale=10).cdf).pvalue > 0.001
    again = coordinates.prior_draws(np.random.default_rng(2), 4000)
    assert all((draws[name] == again[name]).all() for name in draws)


def test_a_prior_counts_within_the_support_only():
    coordinates = Coordinates(PARAMS, {"time": 30.0}, {"q": stats.norm(0.5, 1)})
    q = coordinates.prior_draws(np.random.default_rng(3), 4000)["q"][:, 0]
    assert q.min() > 1
    assert stats.kstest(q, stats.truncnorm(0.5, np.inf, 0.5, 1).cdf).pvalue > 0.001


class Flat:
    """An improper prior."""

    @staticmethod
    def logpdf(x):
        return np.zeros_like(x)


def test_priors_that_cannot_be_drawn_are_refused():
    rng = np.random.default_rng(4)
    with pytest.raises(ValueError, match="the prior of 'r' has neither ppf nor rvs, so that nothing can be drawn"):
        Coordinates(PARAMS, {"time": 30.0}, {"r": Flat()}).prior_draws(rng, 10)
    beside = r"the prior of 'q', norm\(-20, 1\), has less than 1% of its probability between 1 and inf, where q may lie"
    with pytest.raises(ValueError, match=beside):
        Coordinates(PARAMS, {"time": 30.0}, {"q": stats.norm(-20, 1)}).prior_draws(rng, 10)


GIVEN = {
    "frozen": stats.gamma(3, scale=10),
    "with shapes": stats.beta(2, 3, loc=-1, scale=90),
    "by name": Prior("Weibull", alpha=2, beta=30),
    "half": Prior("HalfStudentT", nu=4, sigma=20),
    "without density": Prior("TruncatedNormal", mu=20, sigma=30, lower=5, upper=80),
    "its own": OnlyItsOwn(),
}


@pytest.mark.parametrize("prior", GIVEN.values(), ids=GIVEN)
@pytest.mark.parametrize("value", [0.5, 7.0, 60.0, 95.0])
def test_the_prior_of_a_sampler_is_that_of_the_other_methods(prior, value):
    param = Param("alpha", "", carries="time")
    coordinates = Coordinates((Param("r", ""), param), {"time": 20.0}, {"alpha": prior})
    with np.errstate(invalid="ignore", divide="ignore"):
        u = coordinates.to_u({"r": 0.4, "alpha": value})[0]
        if not np.isfinite(u).all():  # no coordinate leads out of a support that is known
            assert prior.logpdf(value) == -np.inf
            return
        found, gradient = coordinates.log_prior_gradient(u)
    expected = coordinates.log_prior(u[None]).item()
    assert found == pytest.approx(expected, rel=1e-12)
    step = 1e-4 * np.eye(2)
    slopes = (coordinates.log_prior(u + step) - coordinates.log_prior(u - step)) / 2e-4
    assert gradient == pytest.approx(slopes, rel=1e-6, abs=1e-6)


def test_the_slopes_of_the_parameters_are_their_derivatives():
    params = (Param("r", "", lower=2), Param("p", "", lower=0, upper=3), Param("beta", "", lower=-np.inf))
    coordinates = Coordinates((*params, Param("alpha", "", carries="time")), {"time": 20.0}, {})
    u = np.array([0.3, -1.2, 0.7, 2.0])
    values, slopes = coordinates.values_and_slopes(u)
    step = 1e-5 * np.eye(4)
    up, down = (np.hstack(list(coordinates.to_values(u + sign * step).values())).diagonal() for sign in (1, -1))
    assert values == pytest.approx([v.item() for v in coordinates.to_values(u[None]).values()], rel=1e-14)
    assert slopes == pytest.approx((up - down) / 2e-5, rel=1e-8)
