"""Simulation-based calibration of every model and method of draws -> calibration.csv, figures, the README's table.

Parameters are drawn from the prior, data from the parameters, and the model is fitted to the data under the same prior.
Of the parameters that made the data and L draws of the posterior any order is then equally likely: the rank of the
truth is uniform on 0, ..., L, for each parameter and for each other quantity. Where it is not, it tells what is wrong:
truths too often at both ends mean intervals that are too narrow, truths too often at one end a bias. The log-likelihood
is among the quantities, because draws from the prior, which learned nothing, have uniform ranks in every parameter.

Data that cannot be fitted (nobody repeats, nobody leaves) are thrown away together with their parameters, and both are
drawn again. Whether that happens depends on the data alone, and given the data nothing else is known of the parameters:
the posterior of data that were kept is the one that the model computes, so the ranks stay uniform. (To throw away
parameters, because they are implausible, would be to use another prior for the simulation than for the fit.) The same
holds for fits that laplace refuses, since it sees the data and its own random numbers. They are counted and told.

References
----------
Talts, Betancourt, Simpson, Vehtari & Gelman (2018), Validating Bayesian Inference Algorithms with Simulation-Based
Calibration, arXiv:1804.06788. Modrák, Moon, Kim, Bürkner, Huurre, Faltejsková, Gelman & Vehtari (2023),
Simulation-Based Calibration Checking for Bayesian Computation: The Choice of Test Quantities Shapes Sensitivity,
Bayesian Analysis. Säilynoja, Bürkner & Vehtari (2022), Graphical Test for Discrete Uniformity and Its Applications in
Goodness-of-Fit Evaluation and Multiple Sample Comparison, Statistics and Computing 32.
"""

from __future__ import annotations

import functools
import importlib.metadata
import itertools
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import special, stats

import clvmodels as clv
from benchmarks.run import put

RESULTS = Path(__file__).with_name("calibration.csv")
# Of the 600 draws of mcmc every sixth is used: in whitened coordinates nearly all of them are effective.
METHODS: dict[str, dict[str, Any]] = {"laplace": {}, "mcmc": {"chains": 2, "tune": 200, "draws": 300}}
CUSTOMERS, REPLICATES, SEED = 100, 500, 1
DRAWS = 99  # L: 100 places for the truth
BINS = 20
CLASSES = [f"class_{i + 1:02}" for i in range(BINS)]
LEVEL = 0.01  # of all quantities together
WEEKS, MONTHS = 39.0, 24.0
PACKAGES = ("clvmodels", "numpy", "scipy", "pymc")

Simulate = Callable[[np.random.Generator, Mapping[str, float]], Any]
Sampler = Callable[["Problem", Any, int], Mapping[str, np.ndarray]]


@dataclass(frozen=True)
class Problem:
    """A model, the prior of its parameters, and how data come from them.

    Parameters
    ----------
    name : str
    model : Model
        Under test: it has the same prior, as `priors=` or as its default.
    priors : mapping of str to frozen distribution
        From which the parameters are drawn.
    simulate : callable
        A random generator and parameters -> data.
    quantity : callable
        Parameters, each (S, 1) -> (S, 1): something that users ask for.
    """

    name: str
    model: Any
    priors: Mapping[str, Any]
    simulate: Simulate
    quantity: Callable[..., np.ndarray]

    def quantities(self, data: Any, params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What is ranked, each (S,), from parameters (S, 1) and the data."""
        rows = self.model.fit_rows(data)
        coordinates = self.model.coordinates(rows)
        log_likelihood = self.model.target(rows, coordinates, prior=False)(coordinates.to_u(params))
        own = {name: params[name] for name in (param.name for param in self.model.params)}
        named = {**params, "prediction": self.quantity(**own), "log-likelihood": log_likelihood}
        return {name: np.ravel(values) for name, values in named.items()}


def replicate(problem: Problem, sampler: Sampler, seed: int) -> dict[str, float]:
    """The rank of the truth among the draws, for each quantity; none where the fit was refused.

    `infeasible` says how many data sets were thrown away before, `refused` whether the fit was.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth, data, infeasible = simulated(problem, np.random.default_rng([SEED, seed]))
        try:
            draws = sampler(problem, data, seed)
        except clv.FitError:
            return {"infeasible": infeasible, "refused": True}
        together = {name: np.concatenate([value, draws[name]]) for name, value in truth.items()}
        values = problem.quantities(data, together)
    ranks = {name: int((value[1:] < value[0]).sum()) for name, value in values.items()}
    return {"infeasible": infeasible, "refused": False, **ranks}


def simulated(problem: Problem, rng: np.random.Generator) -> tuple[dict[str, np.ndarray], Any, int]:
    """Parameters (1, 1) and their data, and how many data sets that cannot be fitted were thrown away before."""
    for infeasible in itertools.count():
        truth = {name: prior.rvs((1, 1), random_state=rng) for name, prior in problem.priors.items()}
        data = problem.simulate(rng, {name: value.item() for name, value in truth.items()})
        try:
            problem.model.fit_rows(data)
        except clv.DataError:
            continue
        return truth, data, infeasible
    raise AssertionError


def fitted_by(method: str, **options: Any) -> Sampler:
    """L of the draws (S, 1) that a method of the package makes, as far from each other as they can be."""

    def sampler(problem: Problem, data: Any, seed: int) -> dict[str, np.ndarray]:
        draws = problem.model.fit(data, method=method, seed=seed, **options).parameter_draws
        return {name: values[:: len(values) // DRAWS][:DRAWS] for name, values in draws.items()}

    return sampler


def uniformity(ranks: np.ndarray, places: int = DRAWS + 1) -> float:
    """P-value of ranks that are uniform on 0, ..., L: of the largest deviation of their distribution function.

    At each rank the number of truths below it is binomial; the statistic is the smallest of these two-sided p-values.
    Its own distribution is exact: the counts of the ranks are Poisson given their total, so that the probability of
    staying within a band is a chain of sums (Säilynoja et al. have the band, and another way to it).
    """
    size = len(ranks)
    below = np.bincount(ranks.astype(int), minlength=places).cumsum()[:-1]
    count, share = np.arange(size + 1), np.arange(1, places)[:, None] / places
    pointwise = 2 * np.minimum(stats.binom.cdf(count, size, share), stats.binom.sf(count - 1, size, share))
    inside = pointwise > pointwise[np.arange(places - 1), below].min() * (1 + 1e-9)
    step = stats.poisson.pmf(count, size / places)
    state = np.zeros(size + 1)
    state[0] = 1.0
    for allowed in inside:
        state = np.convolve(state, step)[: size + 1] * allowed
    return max(0.0, float(1 - state @ step[::-1] / stats.poisson.pmf(size, size)))


# The problems: priors are gamma distributions of shape 4 around the published estimates of each model, wide enough that
# the data decide and narrow enough that nearly all of them can be fitted.


@dataclass(frozen=True)
class Around:
    """A gamma distribution of shape 4 above a bound, half as wide as its mean lies above it.

    It is ``stats.gamma(4, loc=lower, scale=(mean - lower) / 4)``, in a tenth of the time, which otherwise would be most
    of that of mcmc.
    """

    mean: float
    lower: float = 0.0

    @property
    def scale(self) -> float:
        return (self.mean - self.lower) / 4

    def logpdf(self, x: np.ndarray) -> np.ndarray:
        z = (np.asarray(x) - self.lower) / self.scale
        return 3 * np.log(z) - z - np.log(6 * self.scale)

    def ppf(self, q: float) -> float:
        return self.lower + self.scale * special.gammaincinv(4, q)

    def rvs(self, size: tuple[int, ...], random_state: np.random.Generator) -> np.ndarray:
        return self.lower + random_state.gamma(4, self.scale, size)


def shop(model: type, T: np.ndarray) -> Simulate:
    """Shops in weeks, of customers who are observed for T."""

    def simulate(rng: np.random.Generator, params: Mapping[str, float]) -> clv.Summary:
        x, t_x = model.simulate(rng, T, **params)  # type: ignore[attr-defined]
        return clv.Summary(pd.DataFrame({"frequency": x, "recency": t_x, "T": T}).rename_axis("customer"), "week")

    return simulate


def spending(x: np.ndarray) -> Simulate:
    """Spend of customers with x repeat transactions."""

    def simulate(rng: np.random.Generator, params: Mapping[str, float]) -> clv.Summary:
        frame = {"frequency": x, "recency": np.where(x > 0, 20.0, 0.0), "T": WEEKS}
        frame["monetary_value"] = clv.GammaGamma.simulate(rng, x, **params)
        return clv.Summary(pd.DataFrame(frame).rename_axis("customer"), "week")

    return simulate


def contracts(model: type, customers: int, covariate: str | None = None) -> Simulate:
    """Contracts in months, a third of them seen late, observed for up to two years."""
    rng = np.random.default_rng(SEED)
    entry = np.floor(rng.uniform(-16, 8, customers)).clip(0)
    until = entry + np.floor(rng.uniform(1, MONTHS, customers))
    values = np.arange(customers) % 2 - 0.5
    clock = model.clock  # type: ignore[attr-defined]

    def simulate(rng: np.random.Generator, params: Mapping[str, float]) -> clv.Durations:
        own = dict(params)
        if covariate is not None:
            own["scale"] = own["scale"] * np.exp(own.pop(covariate) * values)
        end = model.simulate(rng, entry, **own)  # type: ignore[attr-defined]
        frame = {clock: np.minimum(end, until), "event": (end <= until).astype(int)}
        frame["entry" if clock == "duration" else "entry_renewals"] = entry
        if covariate is not None:
            frame[covariate] = values
        return clv.Durations(pd.DataFrame(frame).rename_axis("customer"), "month")

    return simulate


@functools.cache
def problems(customers: int = CUSTOMERS) -> dict[str, Problem]:
    """The problems by name, each of so many customers."""
    return {problem.name: problem for problem in _problems(customers)}


def _problems(customers: int) -> Iterator[Problem]:
    T = WEEKS - 12 * np.arange(customers) / customers
    bgnbd = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
    purchases = {
        clv.BGNBD: bgnbd,
        clv.MBGNBD: {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614},
        clv.ParetoNBD: {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669},
    }
    for model, means in purchases.items():
        priors = {name: Around(mean) for name, mean in means.items()}
        expected = _of(model.expected_transactions_new, WEEKS)
        yield Problem(model.__name__, model(priors=priors), priors, shop(model, T), expected)
    # The default priors are Normal(0, 2) on the log of the parameter in the time of the data, which is mean T: it must
    # not depend on what is drawn, and all T being equal it does not.
    scales = {name: WEEKS if name == "alpha" else 1.0 for name in bgnbd}
    defaults = {name: stats.lognorm(2, scale=scale) for name, scale in scales.items()}
    at_once = shop(clv.BGNBD, np.full(customers, WEEKS))
    yield Problem(
        "BGNBD, default priors", clv.BGNBD(), defaults, at_once, _of(clv.BGNBD.expected_transactions_new, WEEKS)
    )
    priors = {"p": Around(6.25), "q": Around(3.74, lower=1), "v": Around(15.44)}
    spend = spending(np.resize([0, 1, 1, 0, 2, 3, 0, 1, 5, 12], customers))
    yield Problem("GammaGamma", clv.GammaGamma(priors=priors), priors, spend, clv.GammaGamma.expected_spend_new)
    churn = stats.beta(4, 30)
    survival = {
        clv.ShiftedGeometric: {"theta": churn},
        clv.SBG: {"alpha": Around(0.668), "beta": Around(3.806)},
        clv.DiscreteWeibull: {"theta": churn, "c": Around(0.77)},
        clv.BdW: {"gamma": Around(0.6), "delta": Around(2.1), "c": Around(1.3)},
        clv.Exponential: {"scale": Around(9)},
        clv.Weibull: {"scale": Around(9), "shape": Around(0.8)},
        clv.LogNormal: {"scale": Around(6), "sigma": Around(1.1)},
        clv.LogLogistic: {"scale": Around(6), "shape": Around(1.6)},
    }
    for model, priors in survival.items():
        yield Problem(
            model.__name__, model(priors=priors), priors, contracts(model, customers), _of(model.survival, MONTHS)
        )
    priors = survival[clv.Weibull] | {"plan": stats.norm(0, 0.5)}
    with_plan = clv.Weibull(["plan"], priors=priors)
    yield Problem(
        "Weibull, covariate",
        with_plan,
        priors,
        contracts(clv.Weibull, customers, "plan"),
        _of(clv.Weibull.survival, MONTHS),
    )


def _of(formula: Callable[..., np.ndarray], t: float) -> Callable[..., np.ndarray]:
    return lambda **params: formula(t, **params)


def main() -> None:
    """Run the methods and problems that are named, or all; write results, figures and README after each problem."""
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    methods, names = ([name for name in known if name in sys.argv] or known for known in (METHODS, problems()))
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for method, name in itertools.product(methods, names):
            start = time.perf_counter()
            found = list(pool.map(functools.partial(one, name, method), range(REPLICATES), chunksize=10))
            seconds = time.perf_counter() - start
            rows = tested(method, name, pd.DataFrame(found))
            print(f"{method}, {name}: {seconds:.0f} s, smallest p-value {rows['p_value'].min():.4f}", flush=True)
            write(rows)


def tested(method: str, name: str, found: pd.DataFrame) -> pd.DataFrame:
    """A row for each quantity: how uniform its ranks are, and how many lie in each class of them."""
    rows = []
    for quantity in found.columns.drop(["infeasible", "refused"]):
        ranks = found[quantity].dropna().to_numpy()
        counts = np.histogram(ranks, BINS, (0, DRAWS + 1))[0]
        row = {"method": method, "problem": name, "quantity": quantity, "p_value": uniformity(ranks)}
        row |= {which: found[which].sum() for which in ("infeasible", "refused")}
        rows.append(row | dict(zip(CLASSES, counts, strict=True)))
    settings = {"customers": CUSTOMERS, "replicates": REPLICATES, "python": platform.python_version()}
    settings |= {package: importlib.metadata.version(package) for package in PACKAGES}
    return pd.DataFrame(rows).assign(**settings)


def write(rows: pd.DataFrame) -> None:
    """Put the rows of a method and a problem among the results, in the place of those before; then all that follows."""
    if RESULTS.exists():
        before = pd.read_csv(RESULTS)
        same = (before["method"] == rows["method"].iloc[0]) & (before["problem"] == rows["problem"].iloc[0])
        rows = pd.concat([before[~same], rows])
    places = {key: place for place, key in enumerate(itertools.product(METHODS, problems()))}
    order = rows[["method", "problem"]].apply(tuple, axis=1).map(places)
    rows = rows.iloc[np.argsort(order, kind="stable")]
    rows.to_csv(RESULTS, index=False, float_format="%.6g")
    for method, theirs in rows.groupby("method"):
        draw(theirs, RESULTS.with_name(f"calibration_{method}.png"))
    write_readme(rows)


def one(name: str, method: str, seed: int) -> dict[str, float]:
    """A replicate of a problem, by what can be sent to another process."""
    return replicate(problems()[name], fitted_by(method, **METHODS[method]), seed)


def draw(results: pd.DataFrame, path: Path) -> None:
    """The ranks of each quantity in classes, and the band that holds all classes of a quantity 99 times in 100."""
    from matplotlib import pyplot

    names = list(results["problem"].unique())
    most = results.groupby("problem").size().max()
    figure, axes = pyplot.subplots(
        len(names),
        most,
        figsize=(2 * most, 1.5 * len(names) + 0.5),
        sharex=True,
        sharey=True,
        layout="constrained",
        squeeze=False,
    )
    for ax in axes.flat:
        ax.axis("off")
    for row, name in zip(axes, names, strict=True):
        theirs = results[results["problem"] == name]
        for ax, (_, result) in zip(row, theirs.iterrows(), strict=False):
            counts = result[CLASSES].to_numpy(float)
            tail = LEVEL / BINS / 2
            lower, upper = stats.binom.ppf([tail, 1 - tail], counts.sum(), 1 / BINS)
            ax.axis("on")
            ax.axhspan(lower, upper, color="#c6d4e1", linewidth=0)
            ax.bar(np.arange(BINS), counts, width=1, color="#2f5d8a")
            ax.axhline(counts.sum() / BINS, color="white", linewidth=0.8)
            ax.set(xticks=[], yticks=[])
            ax.set_title(f"{result['quantity']}, p = {result['p_value']:.2g}", fontsize=8)
            ax.spines[["top", "right", "left"]].set_visible(False)
        row[0].set_ylabel(name.replace(", ", ",\n"), fontsize=8)
    method = results["method"].iloc[0]
    figure.suptitle(
        f"{method}: ranks of the truth among {DRAWS} draws, {results['replicates'].iloc[0]} simulated data sets each"
    )
    figure.savefig(path, dpi=70)
    pyplot.close(figure)


def write_readme(results: pd.DataFrame) -> None:
    """Put the table into the README."""
    methods = list(results["method"].unique())
    lines = ["| model | quantities | " + " | ".join(f"{method}: smallest p | refused" for method in methods) + " |"]
    lines.append("| --- | ---: |" + " ---: | ---: |" * len(methods))
    for problem, rows in results.groupby("problem", sort=False):
        cells = [f"{rows['quantity'].nunique()}"]
        for method in methods:
            theirs = rows[rows["method"] == method]
            cells += ["-", "-"] if theirs.empty else [f"{theirs['p_value'].min():.2g}", f"{theirs['refused'].iloc[0]}"]
        lines.append(f"| {problem} | {' | '.join(cells)} |")
    put("calibration", lines)


if __name__ == "__main__":
    main()
