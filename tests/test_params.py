"""Parameters on the real line and back, and the prior with its Jacobian."""

import numpy as np
import pytest
from scipy import integrate, stats

from clvmodels.params import Coordinates, Param

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
