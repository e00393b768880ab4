"""From a fit to tables: one path for point estimates and draws, for transactions alone and for money.

A `Forecast` says what can be computed for some customers; `table`, `total` and `events` compute it in blocks. Means
and intervals are computed once per distinct row; totals draw for each customer apart, because customers who look alike
do not act alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.draws import blocks, generator, summarise
from clvmodels.models.base import Rows

IntervalOf = Literal["outcome", "mean"]

# The outcome that each interval belongs to, and the column that holds its mean.
MEAN_OF = {"transactions": "expected_transactions", "revenue": "expected_revenue", "clv": "clv"}


@dataclass(frozen=True)
class Events:
    """Future transactions of a block: `counts` (S, B); `times` and, with spend, `values` lie cell after cell."""

    counts: NDArray[np.int64]
    times: NDArray[np.float64]
    values: NDArray[np.float64] | None = None

    def sum_by_cell(self, amounts: NDArray) -> NDArray[np.float64]:
        """Sum of amounts of events within each cell, (S, B)."""
        cell = np.repeat(np.arange(self.counts.size), self.counts.ravel())
        return np.bincount(cell, amounts, minlength=self.counts.size).reshape(self.counts.shape)


@dataclass(frozen=True)
class Forecast:
    """What can be computed for some customers over one horizon.

    Parameters
    ----------
    columns : tuple of ndarray, each (N,)
        The customers' histories.
    size : int
        Number of parameter draws S.
    means : callable
        Block of columns -> means by column of the table, each (S, B).
    events : callable
        Block of columns, random generator -> Events.
    events_per_draw : ndarray, (N,)
        Roughly, for bounding the memory.
    worth : callable, optional
        Times of events -> margin x discount factor; with spend only.
    """

    columns: tuple[NDArray, ...]
    size: int
    means: Callable[[tuple[NDArray, ...]], dict[str, NDArray]]
    events: Callable[[tuple[NDArray, ...], np.random.Generator], Events]
    events_per_draw: NDArray
    worth: Callable[[NDArray], NDArray] | None = None

    def outcomes(self, columns: tuple[NDArray, ...], rng: np.random.Generator) -> dict[str, NDArray]:
        """Draws of the outcome of a block: transactions and, with spend, revenue and clv, each (S, B)."""
        events = self.events(columns, rng)
        outcomes: dict[str, NDArray] = {"transactions": events.counts}
        if events.values is not None and self.worth is not None:
            outcomes["revenue"] = events.sum_by_cell(events.values)
            outcomes["clv"] = events.sum_by_cell(events.values * self.worth(events.times))
        return outcomes

    def blocks(self, columns: tuple[NDArray, ...], events: NDArray) -> Iterator[tuple[int, slice, tuple[NDArray, ...]]]:
        """Number, slice and columns of consecutive rows that fit in memory."""
        for number, part in enumerate(blocks(self.size * (1.0 + events))):
            yield number, part, tuple(column[part] for column in columns)


def table(
    point: Forecast, posterior: Forecast | None, index: pd.Index, interval: float, interval_of: IntervalOf, seed: int
) -> pd.DataFrame:
    """One row per customer: means of `point` and, with a `posterior`, ends of the intervals."""
    rows = Rows.distinct(*point.columns)
    columns: dict[str, NDArray] = {}

    def put(name: str, part: slice, values: NDArray) -> None:
        columns.setdefault(name, np.empty(len(rows.weights)))[part] = values

    for _, part, block in point.blocks(rows.columns, np.zeros(len(rows.weights))):
        for name, draws in point.means(block).items():
            put(name, part, draws.mean(axis=0))
    if posterior is not None:
        first = np.zeros(len(rows.weights), np.intp)
        first[rows.inverse] = np.arange(len(rows.inverse))
        for number, part, block in posterior.blocks(rows.columns, posterior.events_per_draw[first]):
            if interval_of == "outcome":
                draws_of = posterior.outcomes(block, generator(seed, "outcomes", number))
            else:
                means = posterior.means(block)
                draws_of = {name: means[mean] for name, mean in MEAN_OF.items() if mean in means}
            for name, draws in draws_of.items():
                lower, upper = summarise(draws, interval)
                put(f"{name}_lower", part, lower)
                put(f"{name}_upper", part, upper)
    return pd.DataFrame({name: values[rows.inverse] for name, values in columns.items()}, index=index)


def total(
    point: Forecast, posterior: Forecast | None, interval: float, interval_of: IntervalOf, seed: int
) -> pd.DataFrame:
    """One row for all customers: sums of the means and, with a `posterior`, intervals of the sum.

    Parameters are shared by the customers of a draw and their fates are not: the interval is that of the sum, never
    the sum of intervals.
    """
    rows = Rows.distinct(*point.columns)
    sums: dict[str, float] = dict.fromkeys(MEAN_OF.values(), 0.0)
    for _, part, block in point.blocks(rows.columns, np.zeros(len(rows.weights))):
        means = point.means(block)
        sums = {name: sums[name] + float((means[name] @ rows.weights[part]).mean()) for name in sums if name in means}
    found: dict[str, float] = {"customers": len(rows.inverse)} | sums
    if posterior is not None:
        draws_of: dict[str, NDArray] = {}
        if interval_of == "mean":
            for _, part, block in posterior.blocks(rows.columns, np.zeros(len(rows.weights))):
                means = posterior.means(block)
                for name, mean in MEAN_OF.items():
                    if mean in means:
                        draws_of[name] = draws_of.get(name, 0.0) + means[mean] @ rows.weights[part]
        else:
            for number, _, block in posterior.blocks(posterior.columns, posterior.events_per_draw):
                outcomes = posterior.outcomes(block, generator(seed, "total", number))
                for name, draws in outcomes.items():
                    draws_of[name] = draws_of.get(name, 0.0) + draws.sum(axis=1)
        for name, draws in draws_of.items():
            lower, upper = summarise(draws[:, None], interval)
            found |= {f"{name}_lower": lower.item(), f"{name}_upper": upper.item()}
    return pd.DataFrame(found, index=pd.Index(["all"], name="segment"))


def simulated(forecast: Forecast, index: pd.Index, seed: int) -> Iterator[pd.DataFrame]:
    """Frames of simulated transactions, block after block: customer, draw, time and, with spend, value."""
    start = 0
    for number, _, block in forecast.blocks(forecast.columns, forecast.events_per_draw):
        events = forecast.events(block, generator(seed, "events", number))
        draw, customer = np.divmod(np.repeat(np.arange(events.counts.size), events.counts.ravel()), len(block[0]))
        frame = pd.DataFrame({"customer": index[start + customer], "draw": draw, "time": events.times})
        if events.values is not None:
            frame["value"] = events.values
        start += len(block[0])
        yield frame
