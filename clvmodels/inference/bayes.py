"""Draws from a posterior by the No-U-Turn sampler of nutpie or PyMC.

The density is that of the other methods, in coordinates that the Laplace approximation makes nearly independent and
equally wide (u = mode + root z): a sampler then needs some three evaluations a draw and little tuning. The
log-likelihood and its gradient come from a model's kernel or, where it has none, from its own text, compiled once in a
process for all data.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, Self, TypedDict, get_args

import numpy as np
from numpy.typing import NDArray

from clvmodels.draws import check_draws
from clvmodels.errors import FitError, counted
from clvmodels.inference.likelihood import Optimum
from clvmodels.params import Coordinates

Sampler = Literal["auto", "pymc", "nutpie"]
Gradient = Callable[[NDArray], tuple[float, NDArray]]

_START_SD = 1.5  # of the chains' starting points in standard deviations of the Laplace approximation
_TRIES = 100  # to find one where the density is positive
_R_HAT, _EFFECTIVE = 1.01, 100  # of all chains, and effective draws of each: Vehtari et al. (2021)
_one_at_a_time = threading.RLock()
_STATS = {  # of nutpie, by the names of PyMC
    "diverging": "diverging",
    "energy": "energy",
    "lp": "logp",
    "n_steps": "n_steps",
    "step_size": "step_size",
    "tree_depth": "depth",
    "acceptance_rate": "mean_tree_accept",
    "reached_max_treedepth": "maxdepth_reached",
}


class Sampling(TypedDict, total=False):
    """How `fit` draws: `draws` of laplace or, with the others, of each chain of mcmc."""

    draws: int
    tune: int
    chains: int
    target_accept: float
    sampler: Sampler
    progress: bool


@dataclass(frozen=True)
class Settings:
    """`Sampling`, checked and filled up."""

    draws: int = 1000
    tune: int = 500
    chains: int = 4
    target_accept: float = 0.8
    sampler: Sampler = "auto"
    progress: bool = True

    @classmethod
    def of(cls, method: str, given: Sampling) -> Self:
        """The settings that belong to a method."""
        if unknown := given.keys() - Sampling.__annotations__.keys():
            raise TypeError(f"fit has no argument {min(unknown)!r}; it takes {', '.join(Sampling.__annotations__)}")
        if method != "mcmc" and (idle := given.keys() - {"draws", "progress"}):
            raise ValueError(f"{min(idle)}= belongs to method='mcmc'; method is {method!r}")
        settings = cls(**given)
        check_draws(settings.draws)
        for name, least in (("tune", 100), ("chains", 2)):
            value = getattr(settings, name)
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
                raise ValueError(f"{name} must be a whole number, at least {least}; got {value!r}")
        if not (isinstance(settings.target_accept, (float, np.floating)) and 0.5 <= settings.target_accept < 1):
            raise ValueError(
                f"target_accept must be a number from 0.5 on and below 1, such as 0.95; got {settings.target_accept!r}"
            )
        if settings.sampler not in get_args(Sampler):
            raise ValueError(f"sampler must be 'auto', 'pymc' or 'nutpie'; got {settings.sampler!r}")
        if not isinstance(settings.progress, bool):
            raise ValueError(f"progress must be True or False; got {settings.progress!r}")
        draws, tune, chains = int(settings.draws), int(settings.tune), int(settings.chains)  # JSON has no NumPy numbers
        return replace(settings, draws=draws, tune=tune, chains=chains)

    @property
    def engine(self) -> Literal["pymc", "nutpie"]:
        """The sampler that is meant: nutpie, if it is installed and nothing else is wished."""
        installed = "nutpie" in sys.modules or importlib.util.find_spec("nutpie") is not None
        if self.sampler == "auto":
            return "nutpie" if installed else "pymc"
        if self.sampler == "nutpie" and not installed:
            raise FitError(
                "sampler='nutpie' is not installed: pip install 'clvmodels[nutpie]', or choose sampler='pymc'"
            )
        return self.sampler


@dataclass(frozen=True)
class Chains:
    """Draws (chains, draws, k) of the coordinates, what the sampler says of each, and which it was."""

    u: NDArray[np.float64]
    stats: dict[str, NDArray]
    engine: str


class Whitened:
    """The log posterior of whitened coordinates z (k,), with its gradient; minus infinity where it is not a number."""

    def __init__(self, gradient: Gradient, coordinates: Coordinates, optimum: Optimum) -> None:
        values, vectors = np.linalg.eigh(optimum.covariance)
        self.likelihood, self.coordinates = gradient, coordinates
        self.mode, self.root = optimum.u, vectors * np.sqrt(values)

    def to_u(self, z: NDArray) -> NDArray[np.float64]:
        """Coordinates (..., k) of the parameters."""
        return np.asarray(self.mode + z @ self.root.T)

    def __call__(self, z: NDArray) -> tuple[float, NDArray[np.float64]]:
        """Log density, and its gradient (k,)."""
        with np.errstate(all="ignore"):
            u = self.mode + self.root @ z
            values, slopes = self.coordinates.values_and_slopes(u)
            likelihood, gradient = self.likelihood(values)
            prior, of_prior = self.coordinates.log_prior_gradient(u)
            total, gradient = likelihood + prior, self.root.T @ (gradient * slopes + of_prior)
            if np.isfinite(total) and np.isfinite(gradient).all():
                return float(total), gradient
        return -np.inf, np.zeros(len(z))


def sample(density: Whitened, settings: Settings, rng: np.random.Generator) -> Chains:
    """Draw from the density.

    Raises
    ------
    FitError
        If nutpie is wished and not installed, or no place to start from is found.
    """
    engine = settings.engine
    starts = [_start(density, rng) for _ in range(settings.chains)]
    seed = int(rng.integers(2**31))
    draw = {"pymc": _by_pymc, "nutpie": _by_nutpie}[engine]
    z, stats = draw(density, settings, starts, seed)
    return Chains(density.to_u(z), stats, engine)


def _start(density: Whitened, rng: np.random.Generator) -> NDArray[np.float64]:
    k = len(density.mode)
    for _ in range(_TRIES):
        z = _START_SD * rng.standard_normal(k)
        if np.isfinite(density(z)[0]):
            return z
    raise FitError(
        f"no chain can start: of {_TRIES} points around the mode none has a positive density; a prior (they were given "
        f"for {', '.join(density.coordinates.priors)}) leaves next to nothing around it: give wider priors"
    )


def _by_nutpie(
    density: Whitened, settings: Settings, starts: list[NDArray], seed: int
) -> tuple[NDArray[np.float64], dict[str, NDArray]]:
    import nutpie
    from nutpie.compiled_pyfunc import from_pyfunc

    k, waiting = len(density.mode), iter(starts)
    compiled = from_pyfunc(
        k,
        lambda: lambda z: density(np.asarray(z)),
        lambda seed1, seed2, chain: lambda z: {"z": z},
        [np.dtype(float)],
        [(k,)],
        ["z"],
        make_initial_point_fn=lambda seed: next(waiting),
    )
    trace = nutpie.sample(
        compiled,
        draws=settings.draws,
        tune=settings.tune,
        chains=settings.chains,
        cores=1,
        seed=seed,
        save_warmup=False,
        target_accept=settings.target_accept,
        progress_bar=settings.progress and _watched(),
    )
    stats = {name: np.asarray(trace.sample_stats[theirs]) for name, theirs in _STATS.items()}
    return np.asarray(trace.posterior["z"], float), stats


def _by_pymc(
    density: Whitened, settings: Settings, starts: list[NDArray], seed: int
) -> tuple[NDArray[np.float64], dict[str, NDArray]]:
    with _quiet():
        import pymc

    from clvmodels.inference.blackbox import blackbox

    with _quiet(), pymc.Model():
        z = pymc.Flat("z", shape=len(density.mode))
        pymc.Potential("density", blackbox(density)(z)[0])
        trace = pymc.sample(
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            cores=1,
            random_seed=seed,
            progressbar=settings.progress and _watched(),
            init="adapt_diag",
            target_accept=settings.target_accept,
            initvals=[{"z": start} for start in starts],
            compute_convergence_checks=False,
            compile_kwargs={"mode": "FAST_COMPILE"},
        )
    stats = {name: np.asarray(trace.sample_stats[name]) for name in _STATS}
    return np.asarray(trace.posterior["z"], float), stats


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what PyMC and PyTensor log and warn of at their work: a missing BLAS, an optimisation not made.

    One thread at a time: levels and filters are those of the process, and PyTensor compiles for one.
    """
    # The last tells of a missing compiler when it is imported, and PyTensor sets the level of the one above by itself.
    loggers = [logging.getLogger(name) for name in ("pymc", "pytensor", "pytensor.configdefaults")]
    with _one_at_a_time, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        levels = [logger.level for logger in loggers]
        try:
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def _watched() -> bool:
    """Whether somebody looks: at a terminal, or a notebook."""
    return sys.stderr.isatty() or "ipykernel" in sys.modules


def quality(chains: Chains, names: Sequence[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """How well was drawn: figures, the worst over the parameters, and sentences about what is not good enough."""
    with _quiet():
        import arviz
    import xarray

    # By numbers: a covariate may be called chain or draw.
    u = xarray.Dataset({f"u{i}": (("chain", "draw"), chains.u[..., i]) for i in range(len(names))})
    with _quiet(), np.errstate(all="ignore"):  # chains that stand still have no variance: what comes of it is told
        measured = {
            "r_hat": arviz.rhat(u),
            "ess_bulk": arviz.ess(u, method="bulk"),
            "ess_tail": arviz.ess(u, method="tail"),
        }
    of = {kind: {name: float(found[f"u{i}"]) for i, name in enumerate(names)} for kind, found in measured.items()}
    number, size = chains.u.shape[:2]
    divergences, deepest = int(chains.stats["diverging"].sum()), int(chains.stats["reached_max_treedepth"].sum())
    told: dict[str, Any] = {
        "r_hat": float(np.max([*of["r_hat"].values()])),
        "ess_bulk": float(np.min([*of["ess_bulk"].values()])),
        "ess_tail": float(np.min([*of["ess_tail"].values()])),
        "divergences": divergences,
        "max_treedepth": deepest,
        "engine": chains.engine,
    }
    problems = []
    if mixed := [f"{name} ({value:.3f})" for name, value in of["r_hat"].items() if not value <= _R_HAT]:
        problems.append(
            f"the {number} chains do not agree: R-hat is above {_R_HAT} for {', '.join(mixed)}; give a longer tune= "
            "and more draws=, and if that does not help more data or informative priors"
        )
    for kind, what in (("ess_bulk", "means"), ("ess_tail", "the ends of intervals")):
        if few := [f"{name} ({value:.0f})" for name, value in of[kind].items() if not value >= _EFFECTIVE * number]:
            problems.append(
                f"few draws are effective for {what}: {', '.join(few)} of {number * size:,}, where "
                f"{_EFFECTIVE * number:,} are needed; give more draws="
            )
    if divergences:
        problems.append(
            f"{counted(divergences, 'draw')} of {number * size:,} diverged: near them is a place that the sampler "
            "does not reach, such as a narrow valley or the end of a prior's support, and the draws may miss it; give "
            "target_accept=0.95 for shorter steps, or priors that say more and are positive everywhere"
        )
    if deepest:
        problems.append(
            f"{counted(deepest, 'draw')} of {number * size:,} took the longest path there is: the posterior is long "
            "and thin; give a longer tune=, informative priors or more data"
        )
    return told, tuple(problems)


def gradient_of(
    kind: type, names: Sequence[str], columns: Sequence[NDArray], weights: NDArray, kernel: Any
) -> Gradient:
    """The log-likelihood of distinct rows with its gradient, by the parameters (k,) in the user's units.

    Parameters
    ----------
    kind : type
        The model, which has `row_log_likelihood`.
    names : sequence of str
        The parameters, those of covariates last.
    columns, weights : ndarray, (U,)
    kernel : callable or None
        The model's kernel.
    """
    if kernel is not None:
        return kernel(*columns, weights=weights)
    with _quiet():
        compiled = _compiled(kind, tuple(names), len(columns))
    held = [np.ascontiguousarray(column, float) for column in (*columns, weights)]

    def gradient(values: NDArray) -> tuple[float, NDArray]:
        with _one_at_a_time:  # what is compiled holds its inputs, and belongs to the fits of all threads
            total, slopes = compiled(values, *held)
        return float(total), slopes

    return gradient


@functools.lru_cache(maxsize=32)
def _compiled(kind: Any, names: tuple[str, ...], columns: int) -> Callable[..., Any]:
    """A model's text, compiled: parameters (k,), columns and weights, each (U,) -> log-likelihood and gradient (k,)."""
    import pytensor
    from pytensor import tensor

    values = tensor.dvector("parameters")
    rows = [tensor.dvector(f"column_{i}") for i in range(columns)]
    weights = tensor.dvector("weights")
    params: Mapping[str, Any] = {name: values[i] for i, name in enumerate(names)}
    total = (kind.row_log_likelihood(rows, params) * weights).sum()
    outputs = [total, pytensor.grad(total, values)]
    return pytensor.function([values, *rows, weights], outputs, mode="NUMBA", trust_input=True)
