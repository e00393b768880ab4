"""The search for an optimum, its derivatives, and what it says of places that are none."""

import numpy as np
import pandas as pd
import pytest
from conftest import simulated_shop
from scipy import stats

import clvmodels as clv
from clvmodels.inference.likelihood import Target, maximise
from clvmodels.params import Coordinates, Param

PARAMS = (Param("first", ""), Param("second", ""))


def target(function, prior=False):
    """A target whose log-likelihood is a function of the logarithms of two parameters."""
    coordinates = Coordinates(PARAMS, {}, {})
    return Target(
        lambda params, rows: function(np.log(params["first"]), np.log(params["second"])), np.ones(1), coordinates, prior
    )


def test_derivatives_are_exact_for_polynomials_and_close_for_others():
    quadratic = target(lambda u, v: -2 * u**2 + u * v - v**2)
    gradient, hessian = quadratic.derivatives(np.array([0.3, -0.7]))
    np.testing.assert_allclose(gradient, [-1.9, 1.7], atol=1e-11)
    np.testing.assert_allclose(hessian, [[-4, 1], [1, -2]], atol=1e-8)
    smooth = target(lambda u, v: np.sin(u) * np.exp(v))
    gradient, hessian = smooth.derivatives(np.array([0.4, 0.2]))
    s, c, e = np.sin(0.4), np.cos(0.4), np.exp(0.2)
    np.testing.assert_allclose(gradient, [c * e, s * e], rtol=1e-10)
    np.testing.assert_allclose(hessian, [[-s * e, c * e], [c * e, s * e]], rtol=1e-5)


def test_a_far_and_curved_optimum_is_found_to_the_last_digits():
    # Rosenbrock's valley.
    optimum = maximise(target(lambda u, v: -((1 - u) ** 2) - 100 * (v - u**2) ** 2), np.array([-2.0, 3.0]))
    np.testing.assert_allclose(optimum.u, [1, 1], atol=1e-9)
    assert optimum.problems == ()


def test_a_flat_direction_is_named():
    ridge = maximise(target(lambda u, v: -((u - v) ** 2)), np.array([1.0, 0.0]))
    assert len(ridge.problems) == 1
    assert "first and second growing together" in ridge.problems[0]
    trade = maximise(target(lambda u, v: -((u + v - 1) ** 2)), np.array([1.0, 0.0]))
    assert "first and second growing against each other" in trade.problems[0]
    alone = maximise(target(lambda u, v: -(u**2) + 0 * v), np.array([1.0, 0.0]))
    assert "next to nothing about second" in alone.problems[0]


def test_a_prior_gives_a_flat_direction_an_optimum_and_it_is_still_named():
    ridge = maximise(target(lambda u, v: -50 * (u - v) ** 2, prior=True), np.array([1.0, 0.0]))
    np.testing.assert_allclose(ridge.u, [0, 0], atol=1e-9)
    assert "next to nothing" in ridge.problems[0]


def test_a_search_that_finds_no_optimum_says_so():
    uphill = maximise(target(lambda u, v: u + v), np.zeros(2))
    assert any("did not end at an optimum" in problem for problem in uphill.problems)


@pytest.mark.parametrize("method", ["ml", "map"])
def test_a_fit_warns_of_what_the_data_leave_open(method):
    # Nobody who buys again ever stops: a and b are beyond the data.
    frame = pd.DataFrame({"frequency": np.tile([0, 3, 5], 40), "recency": np.tile([0, 20.0, 20.0], 40), "T": 20.0})
    advice = "try method='map'" if method == "ml" else "the priors decide there"
    with pytest.warns(clv.ConvergenceWarning, match=f"BGNBD: .*{advice}"):
        fit = clv.BGNBD().fit(clv.Summary(frame, "week"), method=method)
    assert fit.diagnostics["problems"]
    assert "! " in repr(fit)


def test_maximum_likelihood_knows_nothing_of_priors_and_their_ends(cdnow):
    plain = clv.BGNBD().fit(cdnow, seed=1)
    beyond = clv.BGNBD(priors={"r": stats.uniform(0.3, 0.5)}).fit(cdnow, seed=1)
    pd.testing.assert_frame_equal(beyond.parameters, plain.parameters)
    assert beyond.posterior.parameter_draws["r"].min() > 0.3
    assert beyond.predictive_check(of="prior").attrs["of"] == "prior"


class Cliff:
    """A density that ends somewhere and does not say where."""

    def __init__(self, end):
        self.end = end

    def logpdf(self, x):
        return np.where(np.asarray(x) > self.end, stats.gamma(2).logpdf(x), -np.inf)

    def ppf(self, q):
        return self.end + stats.gamma(2).ppf(q)


def test_a_prior_with_borders_is_searched_inside_and_one_that_hides_them_is_refused_there(cdnow):
    inside = clv.BGNBD(priors={"r": stats.uniform(0.1, 0.5)}).fit(cdnow, method="map")
    assert inside.parameters.loc["r", "estimate"] == pytest.approx(0.243, abs=0.005)
    beyond = clv.BGNBD(priors={"r": stats.uniform(0.3, 0.5)}).fit(cdnow, method="map")
    assert 0.3 < beyond.parameters.loc["r", "estimate"] < 0.31
    with pytest.raises(clv.FitError, match=r"border of the support of a prior \(priors were given for r"):
        clv.BGNBD(priors={"r": Cliff(0.3)}).fit(cdnow, method="map")


def test_priors_that_the_user_gave_may_decide_without_a_warning():
    frame = pd.DataFrame({"frequency": np.tile([0, 3, 5], 40), "recency": np.tile([0, 20.0, 20.0], 40), "T": 20.0})
    priors = {"a": stats.gamma(50, scale=0.02), "b": stats.gamma(50, scale=0.1)}
    fit = clv.BGNBD(priors=priors).fit(clv.Summary(frame, "week"), method="map")
    assert fit.diagnostics["problems"] == []


def test_a_good_fit_is_silent_and_at_its_optimum():
    fit = clv.BGNBD().fit(simulated_shop(seed=1, customers=2000))
    assert fit.diagnostics["problems"] == []
    assert fit.diagnostics["newton_decrement"] < 1e-8
    columns, best = fit.model.arrays(fit.data), fit.parameters["estimate"]
    for name in best.index:
        for factor in (0.99, 1.01):
            nearby = best.to_dict() | {name: best[name] * factor}
            assert clv.BGNBD.log_likelihood(*columns, **nearby).sum() < fit.log_likelihood


@pytest.mark.parametrize("prior", [False, True])
def test_covariates_have_the_derivatives_that_all_coordinates_would_have(prior):
    # Weibull durations, two covariates on the first coordinate, rows in several blocks.
    rng = np.random.default_rng(4)
    design, weights = rng.normal(size=(500, 2)), rng.integers(1, 5, 500).astype(float)
    t, event = 3 * rng.weibull(1.3, 500) * np.exp(design @ [0.5, -0.2]), rng.random(500) < 0.6
    params = (Param("scale", "", carries="time"), Param("shape", ""))
    params += tuple(Param(name, "", carries=name, lower=-np.inf) for name in ("x", "y"))
    coordinates = Coordinates(params, {"time": 2.0, "x": 10.0, "y": 0.1}, {"x": stats.norm(5, 3)})

    def log_likelihood(values, rows):
        covariates = (values["x"] / 10) * design[rows, 0] + (values["y"] / 0.1) * design[rows, 1]
        log_ratio = np.log(t[rows] / values["scale"]) - covariates
        shape = values["shape"]
        return event[rows] * (np.log(shape / t[rows]) + shape * log_ratio) - np.exp(shape * log_ratio)

    plain = Target(log_likelihood, weights, coordinates, prior)
    quick = Target(log_likelihood, weights, coordinates, prior, design)
    for u in (np.zeros(4), np.array([0.4, 0.3, 0.5, -0.2])):
        (gradient, hessian), (slope, curvature) = quick.derivatives(u), plain.derivatives(u)
        np.testing.assert_allclose(gradient, slope, rtol=1e-8, atol=1e-9 * np.abs(slope).max())
        np.testing.assert_allclose(hessian.diagonal(), curvature.diagonal(), rtol=1e-6)
        # Between two coordinates plain differences are of second order only: of step 2e-3, an error of 1e-5.
        np.testing.assert_allclose(hessian, curvature, atol=3e-5 * np.abs(curvature).max())
    np.testing.assert_allclose(maximise(quick, np.zeros(4)).u, maximise(plain, np.zeros(4)).u, rtol=1e-9, atol=1e-10)
