"""Weeks: how many repeat transactions fall into each, counted back from the end of observation."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

WEEK = 7  # days


def weeks_observed(T: NDArray, days: float) -> int:
    """Whole weeks between the first transaction of any customer and the end, of T in units of so many days."""
    return int(T.max() * days + 1e-6) // WEEK


def actual_by_week(daily: pd.Series, end: pd.Timestamp, before: int, after: int = 0) -> NDArray[np.int64]:
    """Sums of daily numbers over some weeks before a day, which is the last of its week, and some after it."""
    number = before + after
    at = np.ceil((daily.index.to_series() - end).dt.days.to_numpy() / WEEK).astype(int) + before - 1
    inside = (at >= 0) & (at < number)
    return np.bincount(at[inside], daily.to_numpy()[inside], number).astype(int)


def simulated_by_week(
    rng: np.random.Generator, x: NDArray, t_x: NDArray, T: NDArray, weeks: int
) -> NDArray[np.float64]:
    """Sums over simulated customers, (weeks,): when they bought, given how often, when last, and since when observed.

    The last of a customer's x repeat transactions came t_x after the first, and the others anywhere before it: under
    every model to which x and t_x tell all, their times are uniform, independent of each other. They are counted by
    binomial draws, week by week, so that the memory does not depend on x.

    Parameters
    ----------
    rng : Generator
    x : ndarray, (N,)
    t_x, T : ndarray, (N,)
        In weeks.
    weeks : int
        How many, up to the end of observation; what comes before them is left out.
    """
    found = np.zeros(weeks + 1)  # the first for what comes before
    bought = x > 0
    last = np.clip(np.ceil(t_x[bought] - T[bought]) + weeks, 0, weeks).astype(int)
    found += np.bincount(last, minlength=weeks + 1)
    several = x > 1
    left, start, end = x[several] - 1, -T[several], (t_x - T)[several]
    for week in range(weeks + 1):
        stop = week - weeks  # of the week, before the end of observation
        some = np.flatnonzero((left > 0) & (start <= stop))
        length, until = end[some] - start[some], np.minimum(stop, end[some]) - start[some]
        share = np.where(length > until, until / np.where(length > 0, length, 1.0), 1.0)
        counts = rng.binomial(left[some], share)
        found[week] += counts.sum(dtype=float)
        left[some] -= counts
        start[some] = np.minimum(stop, end[some])
    return found[1:]
