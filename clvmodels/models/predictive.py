"""Predictive checks: data as the model makes them, by its priors or after the fit, beside those it was fitted to.

References
----------
Gelman, Meng & Stern (1996), Posterior Predictive Assessment of Model Fitness via Realized Discrepancies, Statistica
Sinica 6(4), 733-807, for the p-values. Gabry, Simpson, Vehtari, Betancourt & Gelman (2019), Visualization in Bayesian
Workflow, JRSS A 182(2), doi:10.1111/rssa.12378, for checks of the priors.
"""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.draws import Of, check_interval, check_seed, generator, spread, summarise
from clvmodels.errors import AssumptionWarning, FitError, counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from clvmodels.models.fit import Fit

COLUMNS = ("observed", "mean", "lower", "upper", "p_value")

# Data sets that are simulated: one by each draw of the parameters, up to a number, and fewer where customers are many.
_MOST, _LEAST = 1000, 100
_CUSTOMERS = 10_000_000  # of all data sets together


@dataclass(frozen=True)
class Statistics:
    """Numbers that describe data: those of the data that the model was fitted to, and how to have them of others.

    Parameters
    ----------
    title : str
        What they are about.
    labels : Index, (K,)
        What each is called.
    observed : ndarray, (K,)
    of : callable
        Simulated data and a random generator -> the same numbers of them, (K,); NaN where there is none.
    notes : tuple of str
        What must be said of them.
    """

    title: str
    labels: pd.Index
    observed: NDArray[np.float64]
    of: Callable[[Any, np.random.Generator], NDArray]
    notes: tuple[str, ...] = ()


def drawn(fit: Fit, of: Of, seed: int | None) -> Fit:
    """The fit with the draws of its posterior, or with as many of its priors."""
    if of == "posterior":
        return fit.posterior
    if of != "prior":
        raise ValueError(f"of must be 'posterior' or 'prior'; got {of!r}")
    rng = generator(fit.seed if seed is None else check_seed(seed), "prior", type(fit.model).__name__)
    coordinates = dataclasses.replace(fit.coordinates, priors=fit.model.priors)  # an ml fit was made without them
    return fit.with_draws(coordinates.prior_draws(rng, fit.size))


def data_sets(fit: Fit, least: int, most: int) -> int:
    """How many data sets are simulated: fewer where customers are many."""
    return min(most, max(least, _CUSTOMERS // fit.origin.customers))


def replicas(fit: Fit, statistics: Statistics, of: Of, seed: int | None) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The statistics of data sets that the model makes of such customers, (R, K), and what must be said of them.

    Each data set has a draw of the parameters of its own. A draw of wide priors may be too wild to be simulated: it is
    left out and told.
    """
    seed = fit.seed if seed is None else check_seed(seed)
    source = drawn(fit, of, seed)
    simulate, rng = source.simulator(), generator(seed, "predictive check", of, type(fit.model).__name__)
    number = min(source.draw_count, data_sets(fit, _LEAST, _MOST))
    found, notes = [], list(statistics.notes)
    for draw in spread(source.draw_count, number):
        with np.errstate(all="ignore"):  # what overflows under a wild draw is told as not known
            try:
                data = simulate(rng, draw)
            except ValueError:  # NumPy has no count above 9.2e18
                if of == "posterior":
                    raise
                continue
            found.append(statistics.of(data, rng))
    name = type(fit.model).__name__
    if wild := number - len(found):
        told = f"{wild:,} of {counted(number, 'draw')} of the priors expect more transactions than can be counted"
        if not found:
            raise FitError(f"{name}: {told}; give narrower priors")
        notes.append(f"{told}, and are left out; narrower priors would say more")
        warnings.warn(f"{name}: {notes[-1]}", AssumptionWarning, stacklevel=4)
    simulated = np.stack(found).astype(float)
    lacking = ~np.isfinite(simulated)
    if lacking.any():
        which = ", ".join(map(str, statistics.labels[lacking.any(axis=0)]))
        most = counted(int(lacking.sum(axis=0).max()), "simulated data set")
        notes.append(f"without a value, or with an infinite one, in up to {most}: {which}")
    if of == "posterior" and fit.sampling is None:
        notes.append("draws of the parameters from the Laplace approximation")
    return simulated, tuple(notes)


def table(
    fit: Fit, kind: str | None, statistics: Statistics, of: Of, interval: float, seed: int | None
) -> pd.DataFrame:
    """One row per statistic: what was observed, and where it lies among the simulated."""
    check_interval(interval)
    simulated, notes = replicas(fit, statistics, of, seed)
    rows = [_beside(*pair, interval) for pair in zip(statistics.observed, simulated.T, strict=True)]
    frame = pd.DataFrame(rows, statistics.labels, list(COLUMNS), dtype=float)
    frame.attrs.update(
        {
            "model": repr(fit.model),
            "method": fit.method,
            "of": of,
            "kind": kind,
            "interval": interval,
            "seed": fit.seed if seed is None else seed,
            "data_sets": len(simulated),
            "data_hash": fit.data_hash,
            "notes": list(notes),
        }
    )
    return frame


def picture(
    fit: Fit, statistics: Statistics, of: Of, seed: int | None, draw: Callable[..., Axes], ax: Axes | None
) -> Axes:
    """One of `clvmodels.plots.models`, of the observed statistics and the simulated."""
    simulated, _ = replicas(fit, statistics, of, seed)
    return draw(
        statistics.labels, statistics.observed, simulated, title=f"{statistics.title}: {called(fit, of)}", of=of, ax=ax
    )


def called(fit: Fit, of: Of) -> str:
    """What a picture shows beside the data."""
    name = type(fit.model).__name__
    return f"{name} against the data it was fitted to" if of == "posterior" else f"the priors of {name} beside the data"


def _beside(observed: float, simulated: NDArray, interval: float) -> tuple[float, ...]:
    """A row of the table, of the data sets that have the statistic."""
    simulated = simulated[~np.isnan(simulated)]
    if not len(simulated):
        return (observed, *[math.nan] * 4)
    (lower,), (upper,) = summarise(simulated[:, None], interval)
    p_value = np.mean(simulated > observed) + np.mean(simulated == observed) / 2
    return observed, simulated.mean(), lower, upper, math.nan if math.isnan(observed) else p_value


def round_step(length: float, most: int) -> float:
    """The smallest of 1, 2, 5, 10, ... and their tenths that goes into a length at most so many times.

    >>> round_step(38.9, 10), round_step(1.9, 10), round_step(12, 12)
    (5.0, 0.2, 1.0)
    """
    power = 10.0 ** math.floor(math.log10(length / most))
    return next(digit * power for digit in (1, 2, 5, 10) if length / (digit * power) <= most * (1 + 1e-9))


def written(numbers: Iterable[float]) -> list[str]:
    """Numbers as they stand on an axis."""
    return [f"{number:,.10g}" for number in numbers]
