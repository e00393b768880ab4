"""From a fit to tables: one path for point estimates and draws, for transactions alone and for money.

A `Forecast` says what can be computed for some customers; `table`, `total`, `mean_draws` and `simulated` compute it in
blocks, for any fit that gives one. Means and intervals are computed once per distinct row; totals draw for each
customer apart, because customers who look alike do not act alike.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.summary import Summary
from clvmodels.draws import blocks, check_interval, check_seed, generator, summarise
from clvmodels.errors import DataError
from clvmodels.models.base import Origin, Rows, summary_or_training
from clvmodels.time import Horizon, horizon_days, unit_days

IntervalOf = Literal["outcome", "mean"]

# The outcome that each interval belongs to, and the column that holds its mean.
MEAN_OF = {"transactions": "expected_transactions", "revenue": "expected_revenue", "clv": "clv"}


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
    events_per_draw : callable
        Block of columns -> roughly how many events a draw has, for bounding the memory.
    worth : callable, optional
        Times of events -> margin x discount factor; with spend only.
    """

    columns: tuple[NDArray, ...]
    size: int
    means: Callable[[tuple[NDArray, ...]], dict[str, NDArray]]
    events: Callable[[tuple[NDArray, ...], np.random.Generator], Events]
    events_per_draw: Callable[[tuple[NDArray, ...]], NDArray]
    worth: Callable[[NDArray], NDArray] | None = None

    def mean_blocks(self, rows: Rows) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """Means of the distinct rows, block after block: slice of the rows, and draws (S, B) by column."""
        for part in blocks(np.full(len(rows.weights), self.size)):
            yield part, self.means(tuple(column[part] for column in rows.columns))

    def event_blocks(self, columns: tuple[NDArray, ...], seed: int, purpose: str) -> Iterator[tuple[slice, Events]]:
        """Simulated events, block after block: slice of the rows, and their events."""
        for number, part in enumerate(blocks(self.size * (1.0 + self.events_per_draw(columns)))):
            yield part, self.events(tuple(column[part] for column in columns), generator(seed, purpose, number))

    def outcome_blocks(
        self, columns: tuple[NDArray, ...], seed: int, purpose: str
    ) -> Iterator[tuple[slice, dict[str, NDArray]]]:
        """Draws (S, B) of transactions and, with spend, revenue and clv, block after block."""
        for part, events in self.event_blocks(columns, seed, purpose):
            outcomes: dict[str, NDArray] = {"transactions": events.counts}
            if events.values is not None and self.worth is not None:
                outcomes["revenue"] = events.sum_by_cell(events.values)
                outcomes["clv"] = events.sum_by_cell(events.values * self.worth(events.times))
            yield part, outcomes


class Forecaster(Protocol):
    """A fit that can forecast: of transactions alone, or with money."""

    @property
    def model(self) -> Any: ...  # noqa: D102
    @property
    def data(self) -> Summary | None: ...  # noqa: D102
    @property
    def origin(self) -> Origin: ...  # noqa: D102
    @property
    def method(self) -> str: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def data_hash(self) -> str: ...  # noqa: D102
    @property
    def posterior(self) -> Forecaster: ...  # noqa: D102
    @property
    def forecast(self) -> Callable[..., Forecast]: ...  # noqa: D102


def table(
    fit: Forecaster,
    data: Summary | None,
    horizon: Horizon,
    interval: float | None,
    interval_of: IntervalOf,
    seed: int | None,
    **worth: float,
) -> pd.DataFrame:
    """One row per customer: means and, with an interval, its ends."""
    data, t, attrs = _question(fit, data, horizon, interval, interval_of, seed, worth)
    point = fit.forecast(data, t, **worth)
    rows = Rows.distinct(*point.columns)
    columns: dict[str, NDArray] = {}

    def put(name: str, part: slice, values: NDArray) -> None:
        columns.setdefault(name, np.empty(len(rows.weights)))[part] = values

    for part, means in point.mean_blocks(rows):
        for name, draws in means.items():
            put(name, part, draws.mean(axis=0))
    if interval:
        source = fit.posterior.forecast(data, t, **worth)
        parts = (
            ((part, _by_outcome(means)) for part, means in source.mean_blocks(rows))
            if interval_of == "mean"
            else source.outcome_blocks(rows.columns, attrs["seed"], "outcomes")
        )
        for part, draws_of in parts:
            for name, draws in draws_of.items():
                lower, upper = summarise(draws, interval)
                put(f"{name}_lower", part, lower)
                put(f"{name}_upper", part, upper)
    frame = pd.DataFrame({name: values[rows.inverse] for name, values in columns.items()}, index=data.table.index)
    if "clv" in frame.columns and "historic_revenue" in data.table.columns:
        frame.insert(list(frame.columns).index("clv"), "historic_revenue", data.table["historic_revenue"])
    frame.attrs.update(attrs)
    return frame


def total(
    fit: Forecaster,
    data: Summary | None,
    horizon: Horizon,
    interval: float | None,
    interval_of: IntervalOf,
    seed: int | None,
    **worth: float,
) -> pd.DataFrame:
    """One row for all customers: sums of the means and, with an interval, the interval of the sum.

    Parameters are shared by the customers of a draw and their fates are not: the interval is that of the sum, never
    the sum of intervals.
    """
    data, t, attrs = _question(fit, data, horizon, interval, interval_of, seed, worth)
    point = fit.forecast(data, t, **worth)
    rows = Rows.distinct(*point.columns)
    found: dict[str, float] = {"customers": len(data)}
    for part, means in point.mean_blocks(rows):
        for name in _by_outcome(means):
            mean = MEAN_OF[name]
            found[mean] = found.get(mean, 0.0) + float((means[mean] @ rows.weights[part]).mean())
    if interval:
        source = fit.posterior.forecast(data, t, **worth)
        sums: dict[str, NDArray] = {}
        if interval_of == "mean":
            for part, means in source.mean_blocks(rows):
                for name, draws in _by_outcome(means).items():
                    sums[name] = sums.get(name, 0.0) + draws @ rows.weights[part]
        else:
            for _, outcomes in source.outcome_blocks(source.columns, attrs["seed"], "total"):
                for name, draws in outcomes.items():
                    sums[name] = sums.get(name, 0.0) + draws.sum(axis=1)
        for name, draws in sums.items():
            lower, upper = summarise(draws[:, None], interval)
            found |= {f"{name}_lower": lower.item(), f"{name}_upper": upper.item()}
    frame = pd.DataFrame(found, index=pd.Index(["all"], name="segment"))
    frame.attrs.update(attrs)
    return frame


def mean_draws(
    fit: Forecaster, quantity: str, data: Summary | None, horizon: Horizon, **worth: float
) -> NDArray[np.float64]:
    """Draws (S, N) of one of the means."""
    data, t, _ = _question(fit, data, horizon, None, "mean", None, worth)
    source = fit.posterior.forecast(data, t, **worth)
    rows = Rows.distinct(*source.columns)
    parts = []
    for _, means in source.mean_blocks(rows):
        if quantity not in means:
            raise ValueError(f"draws of {quantity!r} are not known; choose one of {', '.join(map(repr, means))}")
        parts.append(np.broadcast_to(means[quantity], (source.size, means[quantity].shape[1])))
    return np.asarray(np.concatenate(parts, axis=1)[:, rows.inverse])


def simulated(
    fit: Forecaster, data: Summary | None, horizon: Horizon, seed: int | None, **worth: float
) -> Iterator[pd.DataFrame]:
    """Frames of simulated transactions, block after block: customer, draw, time and, with spend, value."""
    data, t, attrs = _question(fit, data, horizon, None, "outcome", seed, worth)
    source = fit.posterior.forecast(data, t, **worth)
    for part, events in source.event_blocks(source.columns, attrs["seed"], "events"):
        draw, customer = np.divmod(events.cell, events.counts.shape[1])
        frame = pd.DataFrame({"customer": data.table.index[part][customer], "draw": draw, "time": events.times})
        if events.values is not None:
            frame["value"] = events.values
        yield frame


def _by_outcome(means: dict[str, NDArray]) -> dict[str, NDArray]:
    """The means that are the mean of an outcome, under the outcome's name."""
    return {name: means[mean] for name, mean in MEAN_OF.items() if mean in means}


def _question(
    fit: Forecaster,
    data: Summary | None,
    horizon: Horizon,
    interval: float | None,
    interval_of: IntervalOf,
    seed: int | None,
    worth: dict[str, float],
) -> tuple[Summary, float, dict[str, Any]]:
    """What is asked, checked: the data, the horizon in their unit, and the `attrs` that say what the answer is."""
    data = summary_or_training(data, fit.data)
    check_interval(interval)
    if interval_of not in ("outcome", "mean"):
        raise ValueError(f"interval_of must be 'outcome' or 'mean'; got {interval_of!r}")
    unit = fit.origin.unit
    if data.unit != unit:
        raise DataError(f"the fit is in {unit}s and the data are in {data.unit}s; use unit={unit!r}")
    days = horizon_days(horizon, unit=data.unit, observation_end=data.observation_end)
    notes = []
    if worth.get("margin") == 1:
        notes.append("margin 1: clv is discounted revenue, not profit")
    if interval and fit.method != "laplace":
        notes.append("intervals: draws of the parameters from the Laplace approximation")
    attrs: dict[str, Any] = {
        "model": repr(fit.model),
        "method": fit.method,
        "seed": fit.seed if seed is None else check_seed(seed),
        "data_hash": fit.data_hash,
        **described(data, horizon, days),
        **worth,
        **({"interval": interval, "interval_of": interval_of} if interval else {}),
        "notes": notes,
    }
    return data, days / unit_days(data.unit), attrs


def described(data: Summary, horizon: Horizon, days: int) -> dict[str, Any]:
    """What `attrs` say of time, for every model: unit, horizon and, where they are known, its dates."""
    told: dict[str, Any] = {"unit": data.unit, "horizon": str(horizon), "horizon_days": days}
    if data.observation_end is not None:
        told["observation_end"] = f"{data.observation_end:%Y-%m-%d}"
        told["horizon_end"] = f"{data.observation_end + pd.Timedelta(days=days):%Y-%m-%d}"
    return told
