"""Tracking: repeat transactions week by week, before and after the cutoff, against what a model expects."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import sparse

from clvmodels.data.summary import Summary
from clvmodels.data.transactions import Split
from clvmodels.draws import generator, summarise
from clvmodels.errors import DataError
from clvmodels.models.rows import Rows
from clvmodels.models.transactions.base import TransactionFit
from clvmodels.models.transactions.weeks import WEEK, actual_by_week, simulated_by_week, weeks_observed
from clvmodels.time import unit_days

_DRAWS = 200  # of the parameters, for the expectation and the band


def tracked(fit: Any, split: Split, interval: float, seed: int) -> pd.DataFrame:
    """Repeat transactions of the customers known at the cutoff, week by week.

    Before the cutoff the model expects what a customer does from the first purchase on, knowing nothing but its day;
    after the cutoff it knows the customer's history. The weeks are counted from the cutoff in both directions; what is
    left over at either end is left out.

    Returns
    -------
    DataFrame
        `date` (last day of the week), `period` ("calibration", "holdout"), `actual`, and of a model `expected`,
        `lower`, `upper`, the predictive interval of the week's number, and the same of the running sum: `actual_sum`,
        `expected_sum`, `lower_sum`, `upper_sum`; after the cutoff they go on from what had happened until then.
    """
    calibration, cutoff = split.calibration, split.cutoff
    length = unit_days(calibration.unit)
    T = calibration.table["T"].to_numpy() * length  # days
    back, ahead = weeks_observed(T, 1), split.horizon_days // WEEK
    edges = np.arange(-back, ahead + 1) * WEEK  # days after the cutoff
    ends = edges[1:]
    actual = actual_by_week(split.repeat_transactions, cutoff, back, ahead)
    frame = pd.DataFrame(
        {
            "date": cutoff + pd.to_timedelta(ends, unit="D"),
            "period": np.where(ends <= 0, "calibration", "holdout"),
            "actual": actual,
        }
    )
    part = getattr(fit, "transactions", None)
    fit = part if isinstance(part, TransactionFit) else fit
    if isinstance(fit, TransactionFit):
        before = np.diff(_expected_until(fit, T / length, edges[: back + 1] / length))
        after = np.diff(_expected_after(fit, calibration, edges[back:] / length))
        frame["expected"] = np.concatenate([before, after])
        drawn = dataclasses.replace(fit.posterior, parameter_draws=_thinned(fit.posterior))
        draws = np.concatenate(
            [
                _drawn_before(drawn, T / length, length, back, seed),
                _drawn_after(drawn, calibration, length, ahead, seed),
            ],
            axis=1,
        )
        frame["lower"], frame["upper"] = summarise(draws, interval)
        frame["expected_sum"] = _running(frame["expected"].to_numpy(), actual, back)
        lower, upper = summarise(_running(draws, actual, back), interval)
        frame["lower_sum"], frame["upper_sum"] = lower, upper
    else:
        sums = np.array([_total(fit, calibration, pd.Timedelta(days=int(end))) for end in ends[back:]])
        frame["expected"] = np.concatenate([np.full(back, np.nan), np.diff(sums, prepend=0.0)])
        frame["expected_sum"] = _running(frame["expected"].to_numpy(), actual, back)
    frame["actual_sum"] = frame["actual"].cumsum()
    return frame


def _running(weekly: NDArray, actual: NDArray, back: int) -> NDArray[np.float64]:
    """Running sums (..., weeks); after the cutoff from what had happened until then."""
    before, after = np.cumsum(weekly[..., :back], axis=-1), np.cumsum(weekly[..., back:], axis=-1)
    return np.concatenate([before, actual[:back].sum() + after], axis=-1)


def _total(fit: Any, calibration: Any, horizon: pd.Timedelta) -> float:
    table = fit.predict(calibration, horizon=horizon)
    if "expected_transactions" not in table.columns:
        raise DataError("tracking needs a model that predicts transactions")
    return float(table["expected_transactions"].sum())


def _thinned(fit: TransactionFit, size: int = _DRAWS) -> dict[str, NDArray]:
    """Evenly some of the draws of the parameters; the one of a point estimate."""
    chosen = np.unique(np.linspace(0, fit.draw_count - 1, min(fit.draw_count, size)).astype(int))
    return {name: values[chosen] for name, values in fit.parameter_draws.items()}


def _expected_until(fit: TransactionFit, T: NDArray, edges: NDArray) -> NDArray[np.float64]:
    """Expected repeat transactions up to some times before the cutoff, of customers first seen T before it."""
    span, number = np.unique(T, return_counts=True)
    ages = np.maximum(span + edges[:, None], 0.0)
    distinct, place = np.unique(ages, return_inverse=True)
    mean = np.atleast_2d(fit.model.expected_transactions_new(distinct, **_thinned(fit))).mean(axis=0)
    return np.asarray(mean[place.reshape(ages.shape)] @ number)


def _expected_after(fit: TransactionFit, calibration: Summary, times: NDArray) -> NDArray[np.float64]:
    """Expected transactions of all customers together up to some times after the cutoff."""
    model, params = fit.model, _thinned(fit)
    rows = Rows.distinct(*model.arrays(calibration))
    x, _, T = rows.columns
    alive = np.atleast_2d(model.p_alive(*rows.columns, **params)) * rows.weights
    pairs = Rows.distinct(x, T)
    alike = sparse.csr_array((np.ones(len(x)), (np.arange(len(x)), pairs.inverse)))
    still = alive @ alike  # how many customers of each (x, T) are alive, by draw
    return np.array(
        [
            (still * model.expected_transactions_alive(t, *pairs.columns, **params)).sum(axis=1).mean() if t else 0.0
            for t in times
        ]
    )


def _drawn_before(fit: TransactionFit, T: NDArray, length: float, weeks: int, seed: int) -> NDArray[np.float64]:
    """Simulated repeat transactions of each week before the cutoff, (S, weeks)."""
    rng, in_weeks = generator(seed, "tracking"), length / WEEK
    found = []
    for draw in range(fit.draw_count):
        x, t_x = fit.model.simulate(rng, T, **fit.draw(draw))
        found.append(simulated_by_week(rng, x, t_x * in_weeks, T * in_weeks, weeks))
    return np.stack(found)


def _drawn_after(
    fit: TransactionFit, calibration: Summary, length: float, weeks: int, seed: int
) -> NDArray[np.float64]:
    """Simulated transactions of each week after the cutoff, (S, weeks)."""
    source = fit.forecast(calibration, weeks * WEEK / length)
    found = np.zeros(source.size * weeks)
    for _, draws, events in source.event_blocks(source.columns, seed, "tracking"):
        draw = draws.start + events.cell // events.counts.shape[1]
        week = np.minimum((events.times * length / WEEK).astype(int), weeks - 1)
        found += np.bincount(draw * weeks + week, minlength=len(found))
    return found.reshape(source.size, weeks)
