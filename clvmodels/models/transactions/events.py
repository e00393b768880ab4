"""Forecasts of purchases: simulated transactions, and customers who are yet to be acquired."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.summary import Summary
from clvmodels.models.forecast import Forecast, Forecaster, IntervalOf, question, table
from clvmodels.time import Horizon


@dataclass(frozen=True)
class Events:
    """Future transactions of a block: `counts` (S, B); `times` and, with spend, `values` lie cell after cell."""

    counts: NDArray[np.int64]
    times: NDArray[np.float64]
    values: NDArray[np.float64] | None = None

    @functools.cached_property
    def cell(self) -> NDArray[np.intp]:
        """Which of the S x B cells, counted row by row, each event belongs to."""
        return np.repeat(np.arange(self.counts.size), self.counts.ravel())

    def sum_by_cell(self, amounts: NDArray) -> NDArray[np.float64]:
        """Sum of amounts of events within each cell, (S, B)."""
        sums = np.bincount(self.cell, amounts, minlength=self.counts.size).astype(float)
        return sums.reshape(self.counts.shape)


Simulate = Callable[[tuple[NDArray, ...], slice, np.random.Generator], Events]


@dataclass(frozen=True, kw_only=True)
class EventForecast(Forecast):
    """A forecast whose outcomes are made of events.

    Parameters
    ----------
    events : callable
        Block of columns, slice of the draws, random generator -> Events.
    """

    events: Simulate

    def event_blocks(
        self, columns: tuple[NDArray, ...], seed: int, purpose: str
    ) -> Iterator[tuple[slice, slice, Events]]:
        """Simulated events, block after block: slice of the rows, slice of the draws, and their events."""
        for part, draws, some, rng in self.simulations(columns, seed, purpose):
            yield part, draws, self.events(some, draws, rng)


def outcomes_of(
    events: Simulate,
    worth: Callable[[tuple[NDArray, ...], Events], NDArray] | None = None,
    *,
    endless: bool,
) -> Callable[[tuple[NDArray, ...], slice, np.random.Generator], dict[str, NDArray]]:
    """Outcomes from events: how many and, with spend, their revenue and `worth`, margin x discounted value (S, B).

    Over an infinite horizon events end where discounting leaves next to nothing, so only their clv has a meaning.
    """

    def outcomes(columns: tuple[NDArray, ...], draws: slice, rng: np.random.Generator) -> dict[str, NDArray]:
        found = events(columns, draws, rng)
        named: dict[str, NDArray] = {} if endless else {"transactions": found.counts}
        if found.values is not None and worth is not None:
            if not endless:
                named["revenue"] = found.sum_by_cell(found.values)
            named["clv"] = worth(columns, found)
        return named

    return outcomes


def new_customer(
    fit: Forecaster,
    horizon: Horizon | None,
    interval: float | None,
    interval_of: IntervalOf,
    seed: int | None,
    **worth: Any,
) -> pd.DataFrame:
    """One row for a customer acquired at the end of observation: a history of no repeats, observed for no time."""
    known = fit.origin
    index = pd.Index(["new customer"], name="customer")
    history = pd.DataFrame(0.0, index, ["frequency", "recency", "T", "monetary_value"])
    data = Summary(history, known.unit, known.observation_start, known.observation_end)
    frame = table(fit, data, horizon, interval, interval_of, seed, **worth)
    return frame.drop(columns=["p_alive", "p_purchase"], errors="ignore")


def simulated(
    fit: Forecaster, data: Summary, horizon: Horizon, seed: int | None, **worth: Any
) -> Iterator[pd.DataFrame]:
    """Frames of simulated transactions, block after block: customer, draw, time and, with spend, value."""
    if horizon is None:
        raise ValueError("transactions over an infinite horizon have no end to be simulated to; give a finite horizon")
    t, attrs = question(fit, data, horizon, None, "outcome", seed, worth)
    source = fit.posterior.forecast(data, t, **worth)

    def frame(part: slice, draws: slice, events: Events) -> pd.DataFrame:
        draw, customer = np.divmod(events.cell, events.counts.shape[1])
        columns = {"customer": data.table.index[part][customer], "draw": draws.start + draw, "time": events.times}
        return pd.DataFrame(columns if events.values is None else columns | {"value": events.values})

    return (frame(*block) for block in source.event_blocks(source.columns, attrs["seed"], "events"))
