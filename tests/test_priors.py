"""Priors by name are PyMC's distributions, and what is no prior is refused in a sentence."""

import copy
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import Density, quietly, simulated_shop
from scipy import stats

import clvmodels as clv
from clvmodels import Prior
from clvmodels.priors import _DISTRIBUTIONS

EVERY_WAY = [
    Prior("Beta", alpha=1.4, beta=3.0),
    Prior("Beta", mu=0.3, sigma=0.2),
    Prior("Beta", mu=0.3, nu=5.0),
    Prior("Cauchy", alpha=-1.0, beta=2.0),
    Prior("Exponential", lam=0.7),
    Prior("Exponential", scale=3.0),
    Prior("Gamma", alpha=2.5, beta=0.7),
    Prior("Gamma", mu=3.0, sigma=0.8),
    Prior("HalfCauchy", beta=2.0),
    Prior("HalfNormal", sigma=2.0),
    Prior("HalfStudentT", nu=3.0, sigma=2.0),
    Prior("InverseGamma", alpha=3.0, beta=2.0),
    Prior("InverseGamma", mu=3.0, sigma=2.0),
    Prior("Laplace", mu=-0.5, b=2.0),
    Prior("LogNormal", mu=0.4, sigma=1.3),
    Prior("Logistic", mu=0.4, s=1.3),
    Prior("Normal", mu=0.4, sigma=1.3),
    Prior("Pareto", alpha=1.7, m=0.4),
    Prior("StudentT", nu=3.0, mu=0.4, sigma=1.3),
    Prior("TruncatedNormal", mu=0.4, sigma=1.3, lower=0.1, upper=2.0),
    Prior("TruncatedNormal", mu=-4.0, sigma=1.3, lower=0.0),
    Prior("Uniform", lower=-1.0, upper=2.5),
    Prior("Weibull", alpha=2.0, beta=1.5),
]
every_way = pytest.mark.parametrize("prior", EVERY_WAY, ids=repr)


def test_every_way_to_write_every_distribution_is_tested():
    tested = [prior.name for prior in EVERY_WAY if "upper" not in prior.parameters or prior.name == "Uniform"]
    assert sorted(tested) == sorted(name for name, ways in _DISTRIBUTIONS.items() for _ in ways)


@pytest.fixture(scope="module")
def in_pymc():
    """PyMC's log densities of all of them, as functions of their quantiles."""
    import pymc
    import pytensor

    value = pytensor.tensor.dvector("value")
    with pymc.Model():
        variables = [prior.to_pymc(str(number)) for number, prior in enumerate(EVERY_WAY)]
    densities = pytensor.function([value], [pymc.logp(one, value) for one in variables], mode="FAST_COMPILE")
    return lambda prior, x: densities(x)[EVERY_WAY.index(prior)]


@every_way
def test_the_density_is_that_of_pymc(prior, in_pymc):
    x = prior.ppf([1e-3, 0.01, 0.2, 0.5, 0.8, 0.99, 1 - 1e-3])
    ours, theirs = prior.logpdf(x), in_pymc(prior, x)
    np.testing.assert_allclose(ours - ours[3], theirs - theirs[3], rtol=1e-11, atol=1e-11)
    assert ours[3] == pytest.approx(
        theirs[3], abs=3e-8
    )  # PyMC holds some constants, such as log(2), in single precision
    below, above = (x[0] - 10, x[-1] + 10)
    assert np.isneginf(prior.logpdf([below, above])).tolist() == np.isneginf(in_pymc(prior, [below, above])).tolist()


@every_way
def test_quantiles_probabilities_and_random_values_belong_to_the_density(prior):
    q = np.array([0.01, 0.3, 0.9])
    np.testing.assert_allclose(prior.cdf(prior.ppf(q)), q, rtol=1e-10)
    h = 1e-5
    slope = (prior.cdf(prior.ppf(q) + h) - prior.cdf(prior.ppf(q) - h)) / (2 * h)
    np.testing.assert_allclose(np.exp(prior.logpdf(prior.ppf(q))), slope, rtol=1e-5)
    draws = prior.rvs(4000, random_state=np.random.default_rng(1))
    assert stats.kstest(draws, prior.cdf).pvalue > 1e-4


def test_equal_priors_are_equal_and_written_as_given():
    prior = Prior("Gamma", beta=np.float64(1), alpha=2)
    assert prior == Prior("Gamma", alpha=2, beta=1.0)
    assert prior != Prior("Gamma", alpha=2, beta=1.5)
    assert prior != Prior("InverseGamma", alpha=2, beta=1)
    assert hash(prior) == hash(Prior("Gamma", alpha=2, beta=1))
    assert repr(prior) == "Prior('Gamma', alpha=2, beta=1.0)"
    assert copy.deepcopy(prior) == prior
    assert repr(clv.BGNBD(priors={"r": prior})) == "BGNBD(priors={'r': Prior('Gamma', alpha=2, beta=1.0)})"
    with pytest.raises(AttributeError):
        prior.name = "Beta"
    prior.parameters["alpha"] = 7
    assert prior.parameters == {"alpha": 2, "beta": 1}


@pytest.mark.parametrize(
    ("name", "parameters", "sentence"),
    [
        ("gamma", {"alpha": 2, "beta": 1}, "there is no prior 'gamma'; choose one of Beta, Cauchy, Exponential, Gamma"),
        ("Poisson", {"mu": 2}, "there is no prior 'Poisson'"),
        ("Flat", {}, "Flat is improper: its density has no end"),
        ("HalfFlat", {}, "HalfFlat is improper: its density has no end"),
        ("Gamma", {"a": 2, "scale": 1}, "Gamma takes alpha and beta, or mu and sigma; got a, scale"),
        ("Gamma", {"alpha": 2}, "Gamma takes alpha and beta, or mu and sigma; got alpha"),
        ("Gamma", {"alpha": 2, "sigma": 1}, "Gamma takes alpha and beta, or mu and sigma; got alpha, sigma"),
        ("Normal", {}, "Normal takes mu and sigma; got none of them"),
        ("Normal", {"mu": 0, "sigma": -1}, "there is no Normal with mu=0, sigma=-1: shapes and scales must be above 0"),
        ("Normal", {"mu": 0, "sigma": 0}, "there is no Normal with mu=0, sigma=0"),
        ("Gamma", {"mu": 2, "sigma": -1}, "there is no Gamma with mu=2, sigma=-1"),
        ("Gamma", {"mu": -2, "sigma": 1}, "there is no Gamma with mu=-2, sigma=1"),
        ("Gamma", {"alpha": 2, "beta": -1}, "there is no Gamma with alpha=2, beta=-1"),
        ("Exponential", {"lam": 0}, "there is no Exponential with lam=0"),
        ("Beta", {"mu": 0.5, "sigma": 0.6}, "there is no Beta with mu=0.5, sigma=0.6"),
        ("Beta", {"mu": 1.5, "nu": 2}, "there is no Beta with mu=1.5, nu=2"),
        ("InverseGamma", {"mu": -1, "sigma": 1}, "there is no InverseGamma with mu=-1, sigma=1"),
        ("StudentT", {"nu": -1, "mu": 0, "sigma": 1}, "there is no StudentT with nu=-1"),
        ("Uniform", {"lower": 2, "upper": 1}, "there is no Uniform with lower=2, upper=1"),
        ("TruncatedNormal", {"mu": 0, "sigma": 1, "lower": 2, "upper": 1}, "there is no TruncatedNormal with mu=0"),
        ("Normal", {"mu": "0", "sigma": 1}, "mu of Normal must be a finite number; got '0'"),
        ("Normal", {"mu": 0, "sigma": True}, "sigma of Normal must be a finite number; got True"),
        ("Normal", {"mu": 0, "sigma": np.inf}, "sigma of Normal must be a finite number; got inf"),
        ("Gamma", {"alpha": [1, 2], "beta": 1}, r"alpha of Gamma must be a finite number; got \[1, 2\]"),
    ],
)
def test_what_is_no_distribution_is_refused(name, parameters, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}"):
        Prior(name, **parameters)


def rising(x):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(x > 0, -np.log(x), -np.inf)


@pytest.mark.parametrize(
    ("prior", "why"),
    [
        (Density(np.zeros_like), "is improper: its density has no end"),
        (Density(lambda x: np.where(x > 0, 0.0, -np.inf)), "is improper"),
        (Density(rising), "is improper"),  # 1 / x, flat in the logarithm
        (Density(lambda x: 0.5 * rising(x)), "is improper"),
        (Density(lambda x: 2 * rising(x)), "is improper"),  # at 0
        (stats.norm(-5, 0.01), "is 0 wherever the parameter can be, above 0"),
        (Prior("Uniform", lower=-2, upper=-1), "is 0 wherever the parameter can be, above 0"),
        (stats.gamma(-1), "has parameters that it cannot have"),
        (stats.poisson(3), "has no logpdf; use one such as clvmodels.Prior"),
        ("Gamma", "has no logpdf; use one such as clvmodels.Prior"),
    ],
)
def test_what_is_no_prior_is_refused_when_the_model_is_built(prior, why):
    with pytest.raises(ValueError, match=f"^the prior of 'r' {why}"):
        clv.BGNBD(priors={"r": prior})


def test_an_own_density_that_has_an_end_is_a_prior():
    for scale in (1e-9, 1e-3, 1.0, 1e9):
        clv.BGNBD(priors={"r": Density(lambda x, scale=scale: -x / scale)})
        clv.BGNBD(priors={"r": Density(stats.lognorm(2, scale=scale).logpdf)})
        clv.BGNBD(priors={"r": Density(stats.lognorm(1e-4, scale=scale).logpdf)})
        clv.BGNBD(priors={"r": Density(stats.halfcauchy(scale=scale).logpdf)})
        clv.GammaGamma(priors={"q": Density(stats.gamma(0.5, loc=1, scale=scale).logpdf)})
    clv.ShiftedGeometric(priors={"theta": Density(stats.beta(0.3, 0.3).logpdf)})
    with pytest.raises(ValueError, match=r"^the prior of 'theta' is improper"):
        clv.ShiftedGeometric(priors={"theta": Density(lambda x: rising(x) + rising(1 - x))})


def test_priors_of_covariates_are_looked_at_when_their_columns_are_known():
    with pytest.raises(ValueError, match=r"^the prior of 'shape' is improper"):
        clv.Weibull(["age"], priors={"shape": Density(np.zeros_like)})
    frame = {"duration": [1.0, 2, 3, 4, 5, 6], "event": [1, 1, 1, 0, 1, 1], "age": [3.0, 1, 4, 1, 5, 9]}
    data = clv.Durations(pd.DataFrame(frame), "month")
    for prior in (Density(np.zeros_like), Density(lambda x: -np.log1p(np.abs(x)))):
        with pytest.raises(ValueError, match=r"^the prior of 'age' is improper"):
            clv.Weibull(["age"], priors={"age": prior}).fit(data, method="map")
    model = clv.Weibull(["age"], priors={"age": Prior("Normal", mu=0.2, sigma=1e-4)})
    sharp = quietly(model.fit, data, method="map")
    assert sharp.parameters.loc["age", "estimate"] == pytest.approx(0.2, abs=1e-3)


@pytest.fixture(scope="module")
def shop():
    return simulated_shop(3)


@pytest.mark.parametrize("method", ["map", "laplace"])
def test_a_prior_by_name_fits_as_that_of_scipy(shop, method):
    priors = {
        "r": (Prior("Gamma", alpha=2, beta=4), stats.gamma(2, scale=0.25)),
        "a": (Prior("HalfNormal", sigma=1), stats.halfnorm()),
    }
    ours, theirs = (
        quietly(clv.BGNBD(priors={name: pair[which] for name, pair in priors.items()}).fit, shop, method, seed=1)
        for which in (0, 1)
    )
    np.testing.assert_allclose(ours.parameters, theirs.parameters, rtol=1e-9)


def test_a_prior_of_preliz_is_known_by_its_name():
    try:
        import preliz
    except (ImportError, AttributeError):  # AttributeError: an older one with a newer matplotlib
        pytest.skip("PreliZ is not installed")
    distributions = [
        (preliz.Gamma(mu=2, sigma=1), "Gamma", {"mu": 2, "sigma": 1}),
        (preliz.Beta(mu=0.2, nu=4), "Beta", {"mu": 0.2, "nu": 4}),
        (preliz.HalfNormal(2), "HalfNormal", {"sigma": 2}),
        (
            preliz.Truncated(preliz.Normal(0, 1), 0, 10),
            "TruncatedNormal",
            {"mu": 0, "sigma": 1, "lower": 0, "upper": 10},
        ),
    ]
    x = np.array([0.1, 0.4, 0.9])
    for distribution, name, parameters in distributions:
        prior = clv.BGNBD(priors={"r": distribution}).priors["r"]
        assert prior.name == name
        assert prior.parameters == pytest.approx(parameters)
        np.testing.assert_allclose(prior.logpdf(x), distribution.logpdf(x), rtol=1e-10)
    with pytest.raises(ValueError, match=r"^Gamma of PreliZ has no parameters yet; give it some"):
        clv.BGNBD(priors={"r": preliz.Gamma(alpha=2)})
    with pytest.raises(ValueError, match=r"^there is no prior 'SkewNormal'"):
        clv.BGNBD(priors={"r": preliz.SkewNormal(0, 1, 2)})


def test_a_fit_with_a_prior_by_name_does_not_load_pymc():
    code = (
        "import sys, clvmodels as clv, pandas as pd;"
        "data = clv.Durations(pd.DataFrame({'renewals': [1, 2, 3, 4, 5, 6], 'event': [1, 1, 1, 0, 1, 0]}), 'month');"
        "clv.SBG(priors={'alpha': clv.Prior('Gamma', alpha=2, beta=1)}).fit(data, method='map');"
        "print({'pymc', 'pytensor'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert run.stdout.strip() == "set()"


@pytest.mark.parametrize("shapes", [[2.0], [2.0, 3.0]])
def test_a_prior_that_is_several_is_refused(shapes):
    with pytest.raises(ValueError, match="the prior of 'r' is several distributions: its parameters must be numbers"):
        clv.BGNBD(priors={"r": stats.gamma(shapes)})
