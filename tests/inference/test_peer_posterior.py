"""The posterior of BG/NBD on CDNOW's sample is the one that pymc-marketing draws under the same priors."""

import arviz
import numpy as np
import pytest
import xarray

import clvmodels as clv

PRIORS = {
    "r": clv.Prior("Weibull", alpha=2, beta=1),
    "alpha": clv.Prior("Weibull", alpha=2, beta=10),
    "a": clv.Prior("HalfNormal", sigma=10),
    "b": clv.Prior("HalfNormal", sigma=10),
}
# pymc-marketing 1.3.0 (PyMC 6.3.2): BetaGeoModel(model_config={"a": Prior("HalfNormal", sigma=10), "b": the same}), its
# default priors of r and alpha; fit(draws=5000, tune=1000, chains=4, random_seed=1), on the same customers in weeks. No
# divergences, R-hat at most 1.0007, bulk ESS 7,950 to 8,779. Mean and sd, and beside each its Monte Carlo standard
# error by ArviZ 1.3.0.
PEER = {
    "r": (0.245466825, 0.012443447, 0.000133572, 0.0000985509),
    "alpha": (4.520214116, 0.377528298, 0.004040557, 0.003115070),
    "a": (0.968056307, 0.276685920, 0.003356829, 0.004926295),
    "b": (3.174365501, 1.150219663, 0.014184570, 0.023478840),
}
FAR = 4.0  # standard errors of a difference: one of eight figures that agree would be farther in 1 of 2,000 runs


@pytest.fixture(scope="module")
def sample():
    log = clv.Transactions(clv.datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    return log.summary(unit="week", until="1997-09-30")


def far(fit):
    """The largest difference of a mean or an sd in standard errors."""
    draws = xarray.Dataset(
        {name: (("chain", "draw"), fit.parameter_draws[name].reshape(fit.chains, -1)) for name in PEER}
    )
    deviations, squares = draws.std(), (draws - draws.mean()) ** 2
    of_mean = arviz.mcse(draws, method="mean")
    of_sd = arviz.mcse(squares, method="mean") / (2 * deviations)  # by the delta method
    return max(
        max(
            abs(draws[name].mean() - mean) / np.hypot(of_mean[name], mean_error),
            abs(deviations[name] - sd) / np.hypot(of_sd[name], sd_error),
        )
        for name, (mean, sd, mean_error, sd_error) in PEER.items()
    )


@pytest.mark.parametrize("options", [{"method": "mcmc"}, {"method": "laplace", "draws": 4000}], ids=["mcmc", "laplace"])
def test_means_and_deviations_agree_within_monte_carlo_error(sample, options):
    assert far(clv.BGNBD(priors=PRIORS).fit(sample, seed=1, **options)) < FAR


def test_other_priors_do_not(sample):
    assert far(clv.BGNBD().fit(sample, "laplace", seed=1, draws=4000)) > 5 * FAR
