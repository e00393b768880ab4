"""What predictive checks look at in purchases: how often, how long, who never again, and the weeks."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.errors import DataError
from clvmodels.models.predictive import Statistics, round_step, written
from clvmodels.models.transactions.weeks import WEEK, actual_by_week, simulated_by_week, weeks_observed
from clvmodels.time import unit_days

if TYPE_CHECKING:
    from clvmodels.models.transactions.base import TransactionFit

MANY = 7  # repeat transactions that a picture puts into one class, as the papers do
_CLASSES = 10  # of recency, at most

Purchases = tuple[NDArray, NDArray]  # x and t_x
Weekly = Callable[[Purchases, np.random.Generator], NDArray]


def frequency(fit: TransactionFit) -> Statistics:
    """Customers by number of repeat transactions."""
    x, t_x, _ = fit.training_columns()

    def classes(data: Purchases, rng: np.random.Generator | None = None) -> NDArray:
        return np.bincount(np.minimum(data[0], MANY).astype(int), minlength=MANY + 1)

    labels = [*map(str, range(MANY)), f"{MANY}+"]
    observed = classes((x, t_x)).astype(float)
    return Statistics("Repeat transactions", pd.Index(labels, name="repeat transactions"), observed, classes)


def recency(fit: TransactionFit) -> Statistics:
    """Customers who came back, by time from the first to the last transaction."""
    x, t_x, T = fit.training_columns()
    longest = T.max() * (1 + 1e-9)
    step = round_step(longest, _CLASSES)
    edges = step * np.arange(np.ceil(longest / step) + 1)

    def classes(data: Purchases, rng: np.random.Generator | None = None) -> NDArray:
        return np.histogram(data[1][data[0] > 0], edges)[0]

    labels = [f"{start} to {stop}" for start, stop in zip(written(edges), written(edges[1:]), strict=False)]
    index = pd.Index(labels, name=f"from first to last transaction ({fit.origin.unit}s)")
    return Statistics("Recency of repeat customers", index, classes((x, t_x)).astype(float), classes)


def tracking(fit: TransactionFit) -> Statistics:
    """Repeat transactions of each week, by its last day; weeks are counted back from the end of observation."""
    actual, weekly = _weeks(fit)
    end = fit.data.observation_end
    ends = end - pd.to_timedelta(WEEK * np.arange(len(actual))[::-1], unit="D")
    index = pd.DatetimeIndex(ends, name="date")
    return Statistics("Repeat transactions by week", index, actual.astype(float), weekly)


def summary(fit: TransactionFit) -> Statistics:
    """A few numbers of all of these; those of the weeks where the log is known.

    Of customers: `share_without_repeat`; mean, standard deviation and maximum of the frequency; of those who came back
    mean and standard deviation of the recency. Of the weeks: `busiest_week`, its repeat transactions, and
    `weekly_noise`, half the mean square of the change from week to week, over the mean: about 1 where purchases are
    independent of each other.
    """
    x, t_x, _ = fit.training_columns()
    labels = ["share_without_repeat", "mean_frequency", "sd_frequency", "max_frequency", "mean_recency", "sd_recency"]
    observed, weekly, notes = _of_customers((x, t_x)), None, []
    try:
        actual, weekly = _weeks(fit)
    except DataError as error:
        notes.append(str(error))
    else:
        labels += ["busiest_week", "weekly_noise"]
        observed += _of_weeks(actual)

    def numbers(data: Purchases, rng: np.random.Generator) -> NDArray:
        return np.array(_of_customers(data) + (_of_weeks(weekly(data, rng)) if weekly else []))

    return Statistics("Purchases", pd.Index(labels, name="statistic"), np.array(observed), numbers, tuple(notes))


def _of_customers(data: Purchases) -> list[float]:
    x, t_x = (column.astype(float) for column in data)
    recency = t_x[x > 0]
    of_recency = [recency.mean(), recency.std()] if len(recency) else [np.nan, np.nan]
    return [np.mean(x == 0), x.mean(), x.std(), x.max(), *of_recency]


def _of_weeks(weekly: NDArray) -> list[float]:
    mean, change = weekly.mean(), np.diff(weekly).astype(float)
    return [weekly.max(), np.mean(change**2) / 2 / mean if mean > 0 and len(change) else np.nan]


def _weeks(fit: TransactionFit) -> tuple[NDArray, Weekly]:
    """Repeat transactions of each whole week until the end of observation, and how to have those of simulated data."""
    x, _, T = fit.training_columns()
    if fit.data.source is None:
        raise DataError("of a summary without its log nobody knows the weeks; make it by Transactions(...).summary()")
    daily, days = fit.data.source.repeat_transactions(), unit_days(fit.origin.unit)
    if daily.sum() != x.sum():
        raise DataError(
            f"the log holds {daily.sum():,} repeat transactions and the summary {x.sum():,.0f}, so that its weeks are "
            "not those of these customers; make the summary by Transactions(...).summary() of their lines alone"
        )
    number, in_weeks = weeks_observed(T, days), days / WEEK
    if not number:
        raise DataError("nobody was observed for a whole week")

    def weekly(data: Purchases, rng: np.random.Generator) -> NDArray:
        return simulated_by_week(rng, data[0], data[1] * in_weeks, T * in_weeks, number)

    return actual_by_week(daily, fit.data.observation_end, number), weekly
