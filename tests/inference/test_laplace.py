"""Draws around the mode against posteriors that are known."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

import clvmodels as clv
from clvmodels.inference import laplace


def test_draws_have_the_moments_of_a_skewed_posterior():
    # Gamma(5) in its logarithm: skewed, and unlike the Student-t that proposes.
    log_density = lambda u: (5 * u - np.exp(u)).sum(axis=1)  # noqa: E731
    sample = laplace.sample(log_density, np.log([5.0, 5.0]), np.eye(2) / 5, draws=20_000, rng=np.random.default_rng(1))
    values = np.exp(sample.u)
    error = np.sqrt(5 / sample.effective)
    assert values.mean(axis=0) == pytest.approx([5, 5], abs=4 * error)
    assert np.quantile(values, [0.05, 0.95]) == pytest.approx(stats.gamma(5).ppf([0.05, 0.95]), rel=0.02)
    assert sample.k_hat < 0.5


def test_a_posterior_that_no_student_t_covers_is_refused():
    # A thin and strongly bent valley.
    log_density = lambda u: -0.5 * u[:, 0] ** 2 - 5e4 * (u[:, 1] - u[:, 0] ** 2) ** 2  # noqa: E731
    with pytest.raises(clv.FitError, match=r"not good enough \(k-hat .* effective.*: .* method='mcmc', which"):
        laplace.sample(log_density, np.zeros(2), np.diag([1, 1e-5]), draws=1000, rng=np.random.default_rng(2))


def test_proposals_move_to_a_posterior_that_is_far_from_its_mode():
    # The logarithm of a gamma of shape 0.05: a tail to the left that no Student-t around the mode covers.
    log_density = lambda u: (0.05 * u - np.exp(u)).sum(axis=1)  # noqa: E731
    sample = laplace.sample(log_density, np.log([0.05]), np.eye(1) / 4, draws=4000, rng=np.random.default_rng(3))
    assert sample.rounds > 1
    exact = special.digamma(0.05), np.sqrt(special.polygamma(1, 0.05))
    assert sample.u.mean() == pytest.approx(exact[0], abs=5 * exact[1] / np.sqrt(sample.effective))
    assert sample.u.std() == pytest.approx(exact[1], rel=0.1)


def test_draws_of_bgnbd_agree_with_a_grid(cdnow):
    # The posterior of r and alpha at a and b held by sharp priors, integrated on a grid.
    held = {"a": stats.lognorm(1e-6, scale=0.793), "b": stats.lognorm(1e-6, scale=2.426)}
    fit = clv.BGNBD(priors=held).fit(cdnow, method="laplace", seed=4, draws=8000)
    u = np.linspace(-4.5, 4.5, 61)
    mode = clv.BGNBD(priors=held).fit(cdnow, method="map")
    r, alpha = (
        mode.parameters.loc[name, "estimate"] * np.exp(u * width) for name, width in (("r", 0.055), ("alpha", 0.09))
    )
    columns, (R, ALPHA) = mode.rows, np.meshgrid(r, alpha, indexing="ij")
    params = {"r": R.reshape(-1, 1), "alpha": ALPHA.reshape(-1, 1), "a": 0.793, "b": 2.426}
    log_likelihood = clv.BGNBD.log_likelihood(*columns.columns, **params) @ columns.weights
    scale = mode.coordinates.scales["time"]
    log_prior = stats.norm.logpdf(np.log(R), 0, 2) + stats.norm.logpdf(np.log(ALPHA / scale), 0, 2)
    log_posterior = log_likelihood.reshape(R.shape) + log_prior
    weights = np.exp(log_posterior - log_posterior.max())
    weights /= weights.sum()
    for name, values in (("r", R), ("alpha", ALPHA)):
        mean = (weights * values).sum()
        sd = np.sqrt((weights * (values - mean) ** 2).sum())
        assert fit.parameters.loc[name, "estimate"] == pytest.approx(mean, abs=5 * sd / np.sqrt(8000))
        assert fit.parameters.loc[name, "se"] == pytest.approx(sd, rel=5 / np.sqrt(2 * 8000))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_draws_of_gamma_gamma_in_a_small_shop_agree_with_a_grid(seed):
    # 30 repeaters: the posterior of q has a long tail towards 1, and with it the population's mean a long one upwards.
    rng = np.random.default_rng(8)
    x = rng.integers(1, 5, 30)
    frame = pd.DataFrame({"frequency": x, "recency": 5.0, "T": 9.0, "monetary_value": 0.0})
    frame["monetary_value"] = clv.GammaGamma.simulate(rng, x, p=6.25, q=3.74, v=15.44)
    fit = clv.GammaGamma().fit(clv.Summary(frame, "week"), method="laplace", seed=seed, draws=4000)
    axes = np.linspace(-4, 9, 90), np.linspace(-9, 6, 100), np.linspace(-9, 9, 110)
    u = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    density = np.concatenate(
        [
            clv.GammaGamma.log_likelihood(*fit.rows.columns, **fit.coordinates.to_values(part)) @ fit.rows.weights
            + fit.coordinates.log_prior(part)
            for part in np.array_split(u, 100)
        ]
    )
    weights = np.exp(density - density.max())
    values = {name: value[:, 0] for name, value in fit.coordinates.to_values(u).items()}
    mean = clv.GammaGamma.expected_spend_new(**values)
    order = np.argsort(mean)
    cumulative = np.cumsum(weights[order]) / weights.sum()
    ours = clv.GammaGamma.expected_spend_new(**fit.parameter_draws)[:, 0]
    for level, allowed in ((0.05, 0.02), (0.5, 0.03), (0.95, 0.015), (0.99, 0.008)):
        exact = mean[order][np.searchsorted(cumulative, level)]
        # What share of our draws lies below: 4000 draws of which at least 1200 are effective.
        assert (ours <= exact).mean() == pytest.approx(level, abs=allowed), level


def test_forty_coordinates_are_drawn_from_more_proposals():
    # Logarithms of gamma variables, each a little skewed: together too much for as many proposals as four need.
    shape = 12.0
    log_density = lambda u: (shape * (u - np.exp(u))).sum(axis=1)  # noqa: E731
    drawn = laplace.sample(log_density, np.zeros(40), np.eye(40) / shape, 1000, np.random.default_rng(2))
    assert drawn.u.shape == (1000, 40)
    assert drawn.rounds > 1
    assert drawn.effective > 1200
    mean, sd = special.digamma(shape) - np.log(shape), np.sqrt(special.polygamma(1, shape))
    np.testing.assert_allclose(drawn.u.mean(axis=0), mean, atol=4.5 * sd / np.sqrt(800))
    np.testing.assert_allclose(drawn.u.std(axis=0), sd, rtol=0.15)


def test_hopeless_proposals_are_given_up_early():
    asked = []

    def far_narrower(u):
        asked.append(len(u))
        return -0.5 * np.sum((u / 1e-4) ** 2, axis=1)

    with pytest.raises(clv.FitError, match=r"not good enough \(.* of 500 proposals effective"):
        laplace.sample(far_narrower, np.zeros(3), np.eye(3), 1000, np.random.default_rng(1))
    assert sum(asked) == 500
