"""Distributions of the number of purchases: many counts at once, and the table of a fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import special

from clvmodels.data.summary import Summary
from clvmodels.draws import blocks
from clvmodels.errors import DataError
from clvmodels.models.forecast import question, told
from clvmodels.models.rows import Rows
from clvmodels.ops import log_gamma_ratio
from clvmodels.time import Horizon

if TYPE_CHECKING:
    from clvmodels.models.transactions.base import TransactionFit

MORE = "more"  # the last column of a table of counts
TAIL = 1e-3  # what is left for it, at most, of any customer
CELLS = 100_000_000  # customers x counts of the largest table: 800 MB

_RUN = 32  # consecutive counts that are computed one from the other, before rounding or underflow matter
_NOTHING = 1e-13  # of a probability, what double precision cannot tell from none


def over_counts(n: ArrayLike, formula: Callable[..., NDArray[np.float64]], *others: ArrayLike) -> NDArray[np.float64]:
    """The probabilities of counts n; consecutive counts on an axis of their own are computed one from the other.

    Parameters
    ----------
    n : array_like
        Counts. To be computed together they have shape (K, 1, ..., 1), one axis more than the broadcast of the others.
    formula : callable
        First count, number of counts k, others -> (k, ...), the probabilities of that many counts from the first on.
    *others : array_like
        What else the formula takes.
    """
    counts, values = np.asarray(n, float), [np.asarray(value, float) for value in others]
    shape = np.broadcast_shapes(*(value.shape for value in values))
    consecutive = counts.ndim == len(shape) + 1 and counts.size == len(counts) and (np.diff(counts.ravel()) == 1).all()
    if not consecutive:
        return np.asarray(formula(counts, 1, *values)[0])[()]
    starts = range(0, len(counts), _RUN)
    parts = [formula(counts[start], min(_RUN, len(counts) - start), *values) for start in starts]
    return np.concatenate([np.broadcast_to(part, (len(part), *shape)) for part in parts])


def log_negative_binomial(n: NDArray, t: NDArray, r: NDArray, alpha: NDArray) -> NDArray[np.float64]:
    """log P(n purchases in t) at a Gamma(r, alpha) rate that nothing ends."""
    ways = log_gamma_ratio(r, n) - special.gammaln(n + 1)
    return np.asarray(ways + special.xlogy(n, t / (alpha + t)) - r * np.log1p(t / alpha))


def count_distribution(fit: TransactionFit, data: Summary, horizon: Horizon, most: int | None) -> pd.DataFrame:
    """The table of `TransactionFit.count_distribution`."""
    if horizon is None:
        raise ValueError("counts over an infinite horizon have no end; give a finite horizon (horizon='1 year')")
    if most is not None and (isinstance(most, bool) or not isinstance(most, (int, np.integer)) or most < 0):
        raise ValueError(f"most must be a whole number, 0 or more; got {most!r}")
    t, attrs = question(fit, data, horizon, None, "outcome", None, {})
    attrs["notes"] = told(fit, fit.forecast(data, t), None)
    x, t_x, T = fit.model.arrays(data)
    rows = Rows.distinct(x, T, t_x)  # those of equal (x, T) are neighbours
    found: list[NDArray] = []
    left = np.ones(len(rows.weights))
    if most is not None:
        _check_size(most + 1, len(data), "choose a smaller most")
    while left.max() > TAIL if most is None else len(found) <= most:
        likely = f"more transactions than that have a probability of {left.max():.1%} of some customer"
        _check_size(len(found), len(data), f"{likely}; say how many columns there shall be (most=20)")
        number = _RUN if most is None else min(_RUN, most + 1 - len(found))
        counts = np.arange(len(found), len(found) + number)
        chunk = np.zeros((number, len(left)))
        wanted = np.flatnonzero(left > _NOTHING)
        for part in blocks(np.full(len(wanted), fit.draw_count)):
            some = wanted[part]
            chunk[:, some] = _mixed(fit, counts, t, *(column[some] for column in rows.columns))
        found.extend(chunk)
        left = left - chunk.sum(axis=0)
    table = np.stack(found)
    if most is None:  # no longer than it must be
        beyond = 1 - np.cumsum(table, axis=0).min(axis=1)
        table = table[: 1 + int(np.argmax(beyond <= TAIL))]
    left = np.maximum(1 - table.sum(axis=0), 0.0)
    columns = pd.Index([*range(len(table)), MORE], name="transactions")
    values = np.concatenate([table, left[None]])[:, rows.inverse].T
    frame = pd.DataFrame(values, index=data.table.index, columns=columns)
    frame.attrs.update(attrs)
    return frame


def _check_size(counts: int, customers: int, advice: str) -> None:
    """Refuse a table that is too large to be held."""
    if counts * customers > CELLS:
        raise DataError(f"a table of {counts:,} counts for {customers:,} customers is too large; {advice}")


def _mixed(fit: TransactionFit, n: NDArray, t: float, x: NDArray, T: NDArray, t_x: NDArray) -> NDArray[np.float64]:
    """P(n transactions) of each count and row (K, B), a mean over the draws of the parameters."""
    params, size = fit.parameter_draws, fit.draw_count
    alive = np.broadcast_to(fit.model.p_alive(x, t_x, T, **params), (size, len(x)))
    mean = np.outer(n == 0, (1 - alive).mean(axis=0))
    pairs = Rows.distinct(x, T)
    for part in blocks(np.full(len(pairs.weights), size * len(n))):
        some = (column[part] for column in pairs.columns)
        counted = fit.model.pmf_alive(n[:, None, None], t, *some, **params)
        of = np.flatnonzero((pairs.inverse >= part.start) & (pairs.inverse < part.stop))
        mean[:, of] += np.einsum("su,nsu->nu", alive[:, of], counted[:, :, pairs.inverse[of] - part.start]) / size
    return mean
