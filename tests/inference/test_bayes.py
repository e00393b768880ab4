"""Draws by the No-U-Turn sampler: the density, the samplers, what is told of the draws, and what is refused."""

import importlib.util
import logging
import os
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from conftest import quietly, simulated_contracts, simulated_shop
from scipy import stats
from test_contract import EDGES, TRUTH, family

import clvmodels as clv
from clvmodels.errors import recorded
from clvmodels.inference import bayes
from clvmodels.inference.likelihood import Optimum
from clvmodels.models import ALL
from clvmodels.models.rows import Rows
from clvmodels.params import Coordinates, Param

SAMPLERS = ["nutpie", "pymc"]
SHORT = {"draws": 300, "tune": 300}

both_samplers = pytest.mark.parametrize("sampler", SAMPLERS)


# The density


def density_and_target(model, rows, coordinates, rng):
    """The density around a point, as a sampler and as the other methods see it, with the same whitening."""
    k = len(coordinates.params)
    root = rng.normal(0, 0.2, (k, k)) + np.eye(k) / 5
    optimum = Optimum(coordinates.to_u(TRUTH[type(model)])[0], root @ root.T, 0, 0.0, 1.0, ())
    names = [param.name for param in coordinates.params]
    gradient = bayes.gradient_of(type(model), names, rows.columns, rows.weights, model.kernel)
    return bayes.Whitened(gradient, coordinates, optimum), model.target(rows, coordinates, prior=True)


@pytest.mark.parametrize("own", [False, True], ids=["default", "own"])
@pytest.mark.parametrize("model", ALL, ids=lambda model: model.__name__)
def test_the_density_is_that_of_the_other_methods_and_its_gradient_their_slope(model, own):
    # Edge rows, each standing for several customers; own priors are in the user's units, the scales are not 1.
    rng, columns = np.random.default_rng(1), EDGES[family(model)]
    rows = Rows.distinct(*np.repeat(columns, np.arange(1, columns.shape[1] + 1), axis=1))
    given = {p.name: stats.gamma(2, scale=TRUTH[model][p.name]) for p in model.params if p.upper > 1} if own else {}
    coordinates = Coordinates(model.params, {"time": 30.0, "renewals": 5.0, "money": 40.0}, given)
    density, target = density_and_target(model(priors=given), rows, coordinates, rng)
    around = np.array([1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 4.0, -4.0])
    for z in [np.zeros(len(model.params)), *rng.standard_normal((4, len(model.params)))]:
        value, gradient = density(z)
        assert value == pytest.approx(target(density.to_u(z)[None])[0], rel=1e-11)
        for i, slope in enumerate(gradient):
            near = target(density.to_u(z + 0.02 * around[:, None] * np.eye(len(z))[i]))
            # Differences of eighth order, of sums as large as 1e5, known to some ten digits.
            by_differences = (near[::2] - near[1::2]) @ np.array([4 / 5, -1 / 5, 4 / 105, -1 / 280]) / 0.02
            assert slope == pytest.approx(by_differences, rel=1e-6, abs=1e-4 * max(1, abs(value) / 1e4))


def test_covariates_and_both_kinds_of_priors_are_in_the_density():
    rng = np.random.default_rng(2)
    data = simulated_contracts(clv.Weibull, TRUTH[clv.Weibull], seed=5)
    data.table["size"] = rng.normal(3, 1, len(data.table))
    priors = {"size": clv.Prior("Normal", mu=0, sigma=0.3), "shape": clv.Prior("Gamma", alpha=2, beta=2)}
    model = clv.Weibull(covariates=["size"], priors=priors)
    fit = model.fit(data, "map")
    names = [param.name for param in fit.coordinates.params]
    assert names == ["scale", "shape", "size"]
    gradient = bayes.gradient_of(clv.Weibull, names, fit.rows.columns, fit.rows.weights, model.kernel)
    density = bayes.Whitened(gradient, fit.coordinates, fit.optimum)
    target = model.target(fit.rows, fit.coordinates, prior=True)
    for z in rng.standard_normal((5, 3)):
        value, slopes = density(z)
        assert value == pytest.approx(target(density.to_u(z)[None])[0], rel=1e-11)
        near = target(density.to_u(z + 1e-3 * np.concatenate([np.eye(3), -np.eye(3)])))
        np.testing.assert_allclose(slopes, (near[:3] - near[3:]) / 2e-3, rtol=1e-4, atol=1e-3)
    assert density(np.zeros(3))[1] == pytest.approx(np.zeros(3), abs=1e-4)  # the mode is the mode


class Ends:
    """Uniform, but it can only tell its density and quantiles: where it ends nobody knows beforehand."""

    def __init__(self, lower, upper):
        self.uniform = stats.uniform(lower, upper - lower)
        self.logpdf, self.ppf = self.uniform.logpdf, self.uniform.ppf


def test_where_there_is_no_density_it_says_so():
    model = clv.BGNBD(priors={"r": Ends(0.2, 0.3)})
    rows = Rows.distinct(*EDGES[family(clv.BGNBD)][:, :6])
    coordinates = Coordinates(model.params, {"time": 30.0}, model.priors)
    density, _ = density_and_target(model, rows, coordinates, np.random.default_rng(3))
    inside = np.linalg.solve(density.root, np.array([0.1, 0, 0, 0]))
    assert np.isfinite(density(inside)[0])
    for u in ([0.3, 0, 0, 0], [-0.3, 0, 0, 0], [1e3, 0, 0, 0], [0, np.nan, 0, 0]):
        value, gradient = density(np.linalg.solve(density.root, np.array(u)))
        assert value == -np.inf
        assert (gradient == 0).all()


# The samplers


class Known:
    """A normal distribution with a covariance, as a sampler sees a density."""

    def __init__(self, covariance):
        self.mode, self.precision = np.zeros(len(covariance)), np.linalg.inv(covariance)

    def to_u(self, z):
        return z

    def __call__(self, z):
        return -0.5 * float(z @ self.precision @ z), -self.precision @ z


COVARIANCE = np.array([[1.0, 0.6, 0.0], [0.6, 2.0, -0.5], [0.0, -0.5, 0.5]])


@pytest.fixture(scope="module")
def known_draws():
    settings = {sampler: bayes.Settings(2000, 500, 4, 0.8, sampler, False) for sampler in SAMPLERS}
    return {name: bayes.sample(Known(COVARIANCE), each, np.random.default_rng(4)) for name, each in settings.items()}


@both_samplers
def test_a_known_distribution_is_recovered(known_draws, sampler):
    chains = known_draws[sampler]
    assert chains.u.shape == (4, 2000, 3)
    told, problems = bayes.quality(chains, ["first", "second", "third"])
    assert problems == ()
    assert told["engine"] == sampler
    assert told["ess_bulk"] > 2000
    u, sd = chains.u.reshape(-1, 3), np.sqrt(np.diag(COVARIANCE))
    assert (np.abs(u.mean(axis=0)) < 4.5 * sd / np.sqrt(told["ess_bulk"])).all()
    # Squares are drawn less effectively than values: at least a quarter as many.
    few = told["ess_bulk"] / 4
    correlation = COVARIANCE / np.outer(sd, sd)
    np.testing.assert_allclose(np.corrcoef(u.T), correlation, atol=4.5 / np.sqrt(few))
    np.testing.assert_allclose(u.std(axis=0), sd, rtol=4.5 / np.sqrt(2 * few))
    for i in range(3):
        for level in (0.05, 0.95):
            assert (u[:, i] < stats.norm.ppf(level) * sd[i]).mean() == pytest.approx(
                level, abs=4.5 * np.sqrt(0.05 * 0.95 / few)
            )


@both_samplers
def test_what_is_told_of_each_draw_is_named_as_by_pymc_and_belongs_to_it(known_draws, sampler):
    chains = known_draws[sampler]
    assert set(chains.stats) == {
        "diverging", "energy", "lp", "n_steps", "step_size", "tree_depth", "acceptance_rate", "reached_max_treedepth",
    }  # fmt: skip
    assert {values.shape for values in chains.stats.values()} == {(4, 2000)}
    density = -0.5 * np.einsum("cdi,ij,cdj->cd", chains.u, np.linalg.inv(COVARIANCE), chains.u)
    np.testing.assert_allclose(chains.stats["lp"], density, atol=1e-9)
    assert 0.6 < chains.stats["acceptance_rate"].mean() < 0.99


@pytest.fixture(scope="module")
def shop():
    return simulated_shop(6, 400)


@both_samplers
def test_a_seed_repeats_the_draws_and_another_does_not(shop, sampler):
    drawn = [
        quietly(clv.GammaGamma().fit, shop, "mcmc", seed=seed, sampler=sampler, chains=2, **SHORT).parameter_draws["p"]
        for seed in (1, 1, 2)
    ]
    assert drawn[0].shape == (600, 1)
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0] != drawn[2]).any()
    chains = drawn[0].reshape(2, 300)
    assert (chains[0] != chains[1]).any()


def assert_same_posterior(ours, theirs):
    """Means and standard deviations on the line, within 4.5 errors of Monte Carlo."""
    u, v = (fit.coordinates.to_u(fit.parameter_draws) for fit in (ours, theirs))
    effective = [fit.sampling.get("ess_bulk", fit.sampling.get("effective_draws")) for fit in (ours, theirs)]
    effective = min(effective[0], len(u)), min(effective[1], len(v))
    sd = v.std(axis=0)
    error = np.sqrt(1 / effective[0] + 1 / effective[1])
    assert (np.abs(u.mean(axis=0) - v.mean(axis=0)) < 4.5 * sd * error).all()
    np.testing.assert_allclose(u.std(axis=0), sd, rtol=4.5 * error)  # twice that of a normal: tails are heavier


@pytest.mark.parametrize("model", [clv.BGNBD, clv.GammaGamma, clv.Weibull], ids=lambda model: model.__name__)
def test_both_samplers_draw_what_laplace_draws(model):
    # Of few customers the tail of Gamma-Gamma's p is so long that a chain's standard deviation says little.
    shop = simulated_shop(6, 2000)
    data = simulated_contracts(clv.Weibull, TRUTH[clv.Weibull], seed=5) if model is clv.Weibull else shop
    laplace = quietly(model().fit, data, "laplace", seed=1, draws=4000)
    for sampler in SAMPLERS:
        with recorded() as given:
            fit = model().fit(data, "mcmc", seed=2, sampler=sampler)
        assert [str(one) for one in given if isinstance(one, clv.ConvergenceWarning)] == []
        assert (fit.size, fit.chains, fit.draw_count, fit.problems) == (4000, 4, 4000, ())
        assert fit.sampling["engine"] == sampler
        assert fit.log_likelihood == pytest.approx(laplace.log_likelihood, rel=1e-12)
        assert_same_posterior(fit, laplace)


# What is told


def made_chains(u, **stats_):
    shape = u.shape[:2]
    base = {"diverging": np.zeros(shape, bool), "reached_max_treedepth": np.zeros(shape, bool)}
    return bayes.Chains(u, base | stats_, "pymc")


NORMAL = np.random.default_rng(5).standard_normal((4, 1000, 2))


def test_independent_draws_have_no_problem():
    told, problems = bayes.quality(made_chains(NORMAL), ["r", "alpha"])
    assert problems == ()
    assert told["r_hat"] < 1.005
    assert 3200 < told["ess_bulk"] < 4800
    assert told["divergences"] == told["max_treedepth"] == 0


def test_chains_that_disagree_are_told():
    apart = NORMAL + np.array([0.0, 0.0, 0.0, 1.0])[:, None, None] * [1, 0]
    told, problems = bayes.quality(made_chains(apart), ["r", "alpha"])
    assert told["r_hat"] > 1.05
    assert problems[0].startswith("the 4 chains do not agree: R-hat is above 1.01 for r (1.")
    assert "alpha" not in problems[0]
    assert "give a longer tune= and more draws=" in problems[0]


def test_few_effective_draws_are_told():
    slow = np.empty((4, 1000, 1))
    state = np.zeros(4)
    for i, noise in enumerate(np.random.default_rng(6).standard_normal((1000, 4))):
        slow[:, i, 0] = state = 0.97 * state + noise
    told, problems = bayes.quality(made_chains(slow), ["r"])
    assert told["ess_bulk"] < 400  # a thousand steps at 0.97 are worth 15
    assert any(
        p.startswith("few draws are effective for means: r (") and "of 4,000, where 400 are needed" in p
        for p in problems
    )
    assert any(p.startswith("few draws are effective for the ends of intervals: r (") for p in problems)
    few = bayes.quality(made_chains(NORMAL[:, :70]), ["r", "alpha"])[1]
    assert any("of 280, where 400 are needed; give more draws=" in problem for problem in few)


def test_chains_that_stand_still_or_are_not_numbers_are_told():
    still = bayes.quality(made_chains(np.tile(NORMAL[:, :1], (1, 1000, 1))), ["r", "alpha"])[1]
    assert any("do not agree" in problem for problem in still)
    broken = NORMAL.copy()
    broken[0, 0, 0] = np.nan
    problems = bayes.quality(made_chains(broken), ["r", "alpha"])[1]
    assert problems[0].startswith("the 4 chains do not agree: R-hat is above 1.01 for r (nan)")


def test_divergences_and_long_paths_are_told():
    some = np.zeros((4, 1000), bool)
    some[0, :3] = True
    told, problems = bayes.quality(made_chains(NORMAL, diverging=some), ["r", "alpha"])
    assert told["divergences"] == 3
    assert problems[0].startswith("3 draws of 4,000 diverged: near them is a place that the sampler does not reach")
    assert "target_accept=0.95" in problems[0]
    some[0, 1:] = False
    told, problems = bayes.quality(made_chains(NORMAL, reached_max_treedepth=some), ["r", "alpha"])
    assert told["max_treedepth"] == 1
    said = "1 draw of 4,000 took the longest path there is: the posterior is long and thin; give a longer tune=, "
    assert [problem[: len(said)] for problem in problems] == [said]


def test_a_prior_that_says_where_it_ends_makes_none_diverge(cdnow):
    ends = clv.BGNBD(priors={"r": clv.Prior("Uniform", lower=0.225, upper=1.0)})
    by_mcmc, by_laplace = (quietly(ends.fit, cdnow, method, seed=1) for method in ("mcmc", "laplace"))
    assert by_mcmc.sampling["divergences"] == 0
    theirs = by_laplace.parameters.loc["r"]
    assert by_mcmc.parameters.loc["r", "estimate"] == pytest.approx(theirs["estimate"], abs=0.2 * theirs["se"])
    # As the posterior that has no such end, behind it.
    free = quietly(clv.BGNBD().fit, cdnow, "laplace", seed=1, draws=4000).parameter_draws["r"][:, 0]
    assert theirs["estimate"] == pytest.approx(free[free > 0.225].mean(), abs=0.2 * theirs["se"])


@both_samplers
def test_a_density_that_ends_within_the_posterior_makes_chains_diverge_and_that_is_told(cdnow, sampler):
    # Without it r is 0.243 with a standard error of 0.013: a twelfth of the posterior is cut off.
    model = clv.BGNBD(priors={"r": Ends(0.225, 1.0)})
    with pytest.warns(clv.ConvergenceWarning, match=r"BGNBD: .* diverged: near them .* the end of a prior's support"):
        fit = model.fit(cdnow, "mcmc", seed=1, sampler=sampler, **SHORT)
    assert fit.sampling["divergences"] > 0
    assert any("diverged" in problem for problem in fit.problems)
    assert "! " in repr(fit)
    assert fit.parameter_draws["r"].min() > 0.225


def test_a_posterior_at_the_end_of_such_a_density_is_refused(cdnow):
    model = clv.BGNBD(priors={"r": Ends(0.26, 0.3)})
    with pytest.raises(
        clv.FitError, match=r"the border of the support of a prior .priors were given for r.; give priors"
    ):
        quietly(model.fit, cdnow, "mcmc", seed=1)


# What is refused


@pytest.mark.parametrize("method", ["ml", "map", "laplace"])
@pytest.mark.parametrize("idle", [{"tune": 500}, {"chains": 4}, {"sampler": "pymc"}, {"target_accept": 0.9}])
def test_what_belongs_to_mcmc_is_refused_elsewhere(shop, method, idle):
    with pytest.raises(ValueError, match=f"{next(iter(idle))}= belongs to method='mcmc'; method is '{method}'"):
        clv.GammaGamma().fit(shop, method, **idle)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"chains": 1}, "chains must be a whole number, at least 2; got 1"),
        ({"chains": 2.5}, "chains must be a whole number, at least 2; got 2.5"),
        ({"chains": True}, "chains must be a whole number, at least 2; got True"),
        ({"tune": 10}, "tune must be a whole number, at least 100; got 10"),
        ({"draws": 10}, "draws must be a whole number"),
        ({"sampler": "stan"}, "sampler must be 'auto', 'pymc' or 'nutpie'; got 'stan'"),
        ({"target_accept": 1.2}, "target_accept must be a number from 0.5 on and below 1, such as 0.95; got 1.2"),
        ({"target_accept": 1}, "target_accept must be a number from 0.5 on and below 1, such as 0.95; got 1"),
        ({"target_accept": float("nan")}, "target_accept must be a number from 0.5 on and below 1, .* got nan"),
    ],
)
def test_wrong_settings_are_named(shop, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        clv.GammaGamma().fit(shop, "mcmc", **given)


def test_unknown_arguments_are_named(shop):
    with pytest.raises(TypeError, match="fit has no argument 'cores'; it takes draws, tune, chains, target_accept"):
        clv.GammaGamma().fit(shop, "mcmc", cores=2)


def test_a_sampler_that_is_not_installed_is_told_and_auto_takes_the_other(shop, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.delitem(sys.modules, "nutpie", raising=False)
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "nutpie" else found(name, *more)
    )
    with pytest.raises(
        clv.FitError, match=r"not installed: pip install 'clvmodels\[nutpie\]', or choose sampler='pymc'"
    ):
        quietly(clv.GammaGamma().fit, shop, "mcmc", sampler="nutpie")
    assert bayes.Settings().engine == "pymc"
    assert quietly(clv.GammaGamma().fit, shop, "mcmc", seed=1, **SHORT).sampling["engine"] == "pymc"


def test_auto_is_nutpie_where_it_is_installed():
    assert bayes.Settings().engine == "nutpie"


def test_chains_that_cannot_start_are_refused():
    coordinates = Coordinates((Param("r", "shape"),), {}, {"r": Ends(0.2, 0.2 + 1e-9)})
    optimum = Optimum(np.log([0.2]), np.eye(1), 0, 0.0, 1.0, ())
    density = bayes.Whitened(lambda values: (0.0, np.zeros(1)), coordinates, optimum)
    with pytest.raises(clv.FitError, match=r"no chain can start: of 100 points .* given for r.* give wider priors"):
        bayes.sample(density, bayes.Settings(), np.random.default_rng(1))


def test_priors_that_are_none_and_too_little_data_are_refused_before_anything_is_sampled(shop):
    with pytest.raises(ValueError, match="improper"):
        clv.BGNBD(priors={"r": clv.Prior("HalfFlat")})
    with pytest.raises(clv.DataError, match="cannot carry the 4 parameters"):
        clv.BGNBD().fit(clv.Summary(shop.table.iloc[:2], "week"), "mcmc")


class SpikeAndSlab:
    """Half of it within a hundredth of 15, half of it anywhere: a mode that holds next to nothing of a posterior."""

    def logpdf(self, x):
        spike, slab = stats.lognorm.logpdf(x, 1e-2, scale=15.0), stats.lognorm.logpdf(x, 1.0, scale=15.0)
        return np.logaddexp(spike, slab)

    def ppf(self, q):
        return stats.lognorm.ppf(q, 1e-2, scale=15.0)


def test_what_laplace_cannot_draw_is_sent_to_mcmc(shop):
    model = clv.GammaGamma(priors={"p": SpikeAndSlab()})
    way_out = "fit with method='mcmc', which needs no such proposals, or give more data or informative priors"
    with pytest.raises(clv.FitError, match=rf"not good enough \(k-hat [12]\..*: the posterior .*; {way_out}"):
        quietly(model.fit, shop, "laplace", seed=1)


# In several threads


def test_threads_do_not_disturb_each_other():
    # Fits of one model in several threads share what was compiled; here they change turns all the time.
    rng = np.random.default_rng(7)
    columns = [rng.uniform(1, 5, 400), np.ones(400), np.zeros(400)]
    gradients = [bayes.gradient_of(clv.Weibull, ("scale", "shape"), columns, np.full(400, w), None) for w in (1.0, 3.0)]
    points = rng.uniform(0.5, 9, (3000, 2))
    alone = [[gradient(point)[0] for point in points] for gradient in gradients]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(2) as pool:
            together = list(pool.map(lambda gradient: [gradient(point)[0] for point in points], gradients * 3))
    finally:
        sys.setswitchinterval(before)
    assert together == alone * 3


@both_samplers
def test_fits_in_threads_draw_the_same_and_leaves_loggers_and_filters_alone(shop, sampler, monkeypatch):
    monkeypatch.setattr(bayes.Settings, "engine", property(lambda self: sampler))
    bayes.sample(Known(COVARIANCE), bayes.Settings(100, 100, 2, 0.8, sampler, False), np.random.default_rng(1))
    names = ("pymc", "pytensor", "pytensor.configdefaults")
    before = [logging.getLogger(name).level for name in names], list(warnings.filters)
    data = simulated_contracts(clv.Weibull, TRUTH[clv.Weibull], seed=5)

    def drawn(seed):
        fits = [
            clv.Weibull().fit(data, "mcmc", seed=seed, draws=600, tune=300),
            clv.GammaGamma().fit(shop, "mcmc", seed=1, draws=600, tune=300),
        ]
        return np.concatenate([fit.parameter_draws[fit.model.params[0].name] for fit in fits])

    alone = [drawn(seed) for seed in (1, 2)]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(drawn, (1, 2)))
    np.testing.assert_array_equal(together, alone)
    assert before == ([logging.getLogger(name).level for name in names], list(warnings.filters))


# In a process of its own

ALONE = """
import warnings
warnings.simplefilter("error")
import clvmodels as clv
import numpy as np, pandas as pd, shutil
assert not any(map(shutil.which, ("g++", "gcc", "clang", "cc", "c++")))
rng = np.random.default_rng(1)
end = rng.weibull(0.8, 300) * 9
frame = pd.DataFrame({"duration": np.minimum(end, 12.0), "event": (end < 12).astype(int)})
contracts = clv.Durations(frame.rename_axis("customer"), "month")
fits = [clv.Weibull().fit(contracts, "mcmc", seed=1, sampler=each) for each in ("pymc", "nutpie")]
assert [len(fit.problems) for fit in fits] == [0, 0], [fit.problems for fit in fits]
difference = np.abs(fits[0].parameters["estimate"] - fits[1].parameters["estimate"]) / fits[0].parameters["se"]
assert (difference < 0.15).all(), difference
"""


@pytest.mark.slow
def test_it_needs_no_compiler_and_says_nothing(tmp_path):
    # Of the folders on the path those without a compiler; what PyTensor and Numba keep, they keep in an empty folder.
    environment = os.environ | {
        "PATH": str(tmp_path),
        "PYTENSOR_FLAGS": f"base_compiledir={tmp_path / 'pytensor'}",
        "NUMBA_CACHE_DIR": str(tmp_path / "numba"),
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
    }
    command = [sys.executable, "-c", ALONE]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)  # noqa: S603
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_bar_is_shown_only_where_somebody_looks(shop, capfd, monkeypatch):
    for sampler in SAMPLERS:
        quietly(clv.GammaGamma().fit, shop, "mcmc", seed=1, sampler=sampler, chains=2, **SHORT)
    assert capfd.readouterr() == ("", "")
    assert not bayes._watched()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert bayes._watched()
