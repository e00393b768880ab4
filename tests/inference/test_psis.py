"""Pareto smoothing against ArviZ and against distributions whose tail is known."""

import warnings

import numpy as np
import pytest
from conftest import quietly
from scipy import stats

from clvmodels.inference import psis


def arviz_psis(log_ratios):
    """Log weights and k-hat by ArviZ, whose interface changed between 0.23 and 1."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of its coming version
        import arviz

    if hasattr(arviz, "psislw"):
        weights, k_hat = quietly(arviz.psislw, log_ratios.copy())
    else:
        from arviz_stats.base import array_stats

        weights, k_hat = array_stats.psislw(-log_ratios)  # takes the log-likelihood, the ratio's negative
    return np.asarray(weights), float(k_hat)


@pytest.mark.parametrize("df", [3, 7, 30])
def test_weights_agree_with_arviz(df):
    rng = np.random.default_rng(df)
    x = stats.t(df).rvs(3600, random_state=rng)  # a tail of 3 sqrt(3600) whole draws, however it is rounded
    log_ratios = stats.norm.logpdf(x, scale=1.3) - stats.t(df).logpdf(x)
    weights, k_hat = psis.smooth(log_ratios)
    theirs, their_k_hat = arviz_psis(log_ratios)
    assert k_hat == pytest.approx(their_k_hat, abs=1e-6)
    np.testing.assert_allclose(weights, theirs - np.logaddexp.reduce(theirs), atol=1e-6)


@pytest.mark.parametrize("shape", [0.1, 0.4, 0.9])
def test_the_shape_of_a_pareto_tail_is_found(shape):
    excess = np.sort(stats.genpareto(shape, scale=2.0).rvs(5000, random_state=np.random.default_rng(8)))
    k_hat, sigma = psis.fit_generalised_pareto(excess)
    # The standard error of the shape is about (1 + shape) / sqrt(n).
    assert k_hat == pytest.approx(shape, abs=4 * (1 + shape) / np.sqrt(5000))
    assert sigma == pytest.approx(2.0, rel=0.1)


def test_weights_add_up_and_impossible_proposals_get_none():
    log_ratios = np.random.default_rng(0).normal(size=1000)
    log_ratios[:10] = -np.inf
    weights, _ = psis.smooth(log_ratios)
    assert np.exp(weights).sum() == pytest.approx(1)
    assert (np.exp(weights[:10]) == 0).all()


def test_equal_ratios_are_equal_weights():
    weights, k_hat = psis.smooth(np.zeros(1000))
    np.testing.assert_allclose(np.exp(weights), 1e-3)
    assert k_hat == np.inf  # no tail to judge by
