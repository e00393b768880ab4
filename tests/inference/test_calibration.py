"""Simulation-based calibration: the truth's rank among the draws is uniform, and wrong draws are found out."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import clvmodels as clv
from benchmarks.calibration import (
    CLASSES,
    DRAWS,
    LEVEL,
    RESULTS,
    Around,
    fitted_by,
    problems,
    replicate,
    simulated,
    uniformity,
)

CUSTOMERS = 60  # small shops are the hard case: the fewer the data, the less is the posterior a normal distribution
LAPLACE = fitted_by("laplace", draws=300)
MCMC = fitted_by("mcmc", chains=2, tune=100, draws=150)


def ranks_of(problem, sampler, replicates):
    """Ranks of each quantity, (replicates,); no fit is refused."""
    found = [replicate(problem, sampler, seed) for seed in range(replicates)]
    assert not any(each["refused"] for each in found)
    return {name: np.array([each[name] for each in found]) for name in found[0].keys() - {"infeasible", "refused"}}


@pytest.mark.slow
@pytest.mark.parametrize(("sampler", "replicates"), [(LAPLACE, 500), (MCMC, 150)], ids=["laplace", "mcmc"])
@pytest.mark.parametrize("name", ["BGNBD", "GammaGamma", "SBG"])
def test_ranks_are_uniform(name, sampler, replicates):
    problem = problems(CUSTOMERS)[name]
    ranks = ranks_of(problem, sampler, replicates)
    assert ranks.keys() == {*problem.priors, "prediction", "log-likelihood"}
    for quantity, values in ranks.items():
        assert uniformity(values) > LEVEL / len(ranks), quantity


def test_so_are_those_of_the_script():
    results = pd.read_csv(RESULTS)
    run = set(results[["method", "problem"]].itertuples(index=False, name=None))
    assert set(itertools.product(["laplace", "mcmc"], ["BGNBD", "GammaGamma", "SBG"])) <= run
    assert (results["replicates"] >= 500).all()
    assert (results[CLASSES].sum(axis=1) + results["refused"] == results["replicates"]).all()
    assert (results["refused"] <= 0.01 * results["replicates"]).all()
    assert results["p_value"].min() > LEVEL / len(results)


def moved(width=1.0, shift=0.0):
    """What makes draws too narrow or too wide, or shifts them by a share of their standard deviation."""

    def change(problem, draws, seed):
        logs = {name: np.log(values) for name, values in draws.items()}
        return {
            name: np.exp(values.mean() + width * (values - values.mean()) + shift * values.std())
            for name, values in logs.items()
        }

    return change


def from_the_prior(problem, draws, seed):
    rng = np.random.default_rng([2, seed])
    return {name: prior.rvs((DRAWS, 1), random_state=rng) for name, prior in problem.priors.items()}


@pytest.mark.slow
def test_wrong_draws_are_found_out():
    problem, memory = problems(CUSTOMERS)["SBG"], {}

    def found_in(change):
        def sampler(problem, data, seed):
            if seed not in memory:
                memory[seed] = LAPLACE(problem, data, seed)
            return change(problem, memory[seed], seed)

        ranks = ranks_of(problem, sampler, 300)
        return {name for name, values in ranks.items() if uniformity(values) < LEVEL / len(ranks)}

    parameters = set(problem.priors)
    assert not found_in(lambda problem, draws, seed: draws)
    assert found_in(moved(width=0.75)) >= parameters
    assert found_in(moved(width=1.5)) >= parameters
    assert found_in(moved(shift=0.3)) >= parameters
    # What learned nothing from the data is calibrated in every parameter: the log-likelihood tells.
    assert found_in(from_the_prior) == {"log-likelihood"}


@pytest.mark.slow
def test_another_prior_than_that_of_the_data_is_found_out():
    problem = problems(CUSTOMERS)["SBG"]
    other = clv.SBG(priors=problem.priors | {"beta": stats.gamma(4, scale=2)})  # twice as large as it is
    ranks = ranks_of(dataclasses.replace(problem, model=other), LAPLACE, 200)
    assert uniformity(ranks["beta"]) < LEVEL


@pytest.mark.slow
def test_the_normal_distribution_around_the_mode_is_found_out():
    # What laplace would be without its weights: the posterior of q is skewed.
    def normal(problem, data, seed):
        fit = problem.model.fit(data, method="map", seed=seed)
        rng = np.random.default_rng([3, seed])
        return fit.coordinates.to_values(rng.multivariate_normal(fit.optimum.u, fit.optimum.covariance, DRAWS))

    ranks = ranks_of(problems(CUSTOMERS)["GammaGamma"], normal, 300)
    assert uniformity(ranks["q"]) < LEVEL / len(ranks)


def test_the_prior_is_a_gamma_distribution():
    ours, scipys = Around(7.0, lower=1.0), stats.gamma(4, loc=1, scale=1.5)
    x = np.array([1.01, 3.0, 40.0])
    np.testing.assert_allclose(ours.logpdf(x), scipys.logpdf(x), rtol=1e-12)
    assert ours.ppf(0.3) == pytest.approx(scipys.ppf(0.3), rel=1e-12)
    drawn = ours.rvs((2000, 1), np.random.default_rng(1))
    assert stats.kstest(drawn[:, 0], scipys.cdf).pvalue > 0.01


def test_the_p_value_is_exact():
    # All sequences of 5 ranks in 3 places, equally likely: a share p of them has a p-value of at most p.
    p = np.array([uniformity(np.array(ranks), 3) for ranks in itertools.product(range(3), repeat=5)])
    np.testing.assert_allclose((p <= p[:, None] + 1e-9).mean(axis=1), p, atol=1e-9)


def test_data_that_cannot_be_fitted_are_drawn_again_with_their_parameters():
    problem = problems(5)["BGNBD"]
    rare = dataclasses.replace(problem, priors=problem.priors | {"alpha": stats.gamma(4, scale=300)})
    drawn = [simulated(rare, np.random.default_rng(seed)) for seed in range(5)]
    assert sum(infeasible for *_, infeasible in drawn) > 5
    assert all(data.table["frequency"].any() for _, data, _ in drawn)


def test_a_fit_that_is_refused_is_counted():
    def refuses(problem, data, seed):
        raise clv.FitError("the posterior is too unlike a Student-t")

    assert replicate(problems(CUSTOMERS)["SBG"], refuses, 1) == {"infeasible": 0, "refused": True}
