"""What predictive checks look at in contracts: how many end, when, and the share left after each tenure."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.models.predictive import Statistics, round_step
from clvmodels.product_limit import RiskTable

if TYPE_CHECKING:
    from clvmodels.models.survival.base import SurvivalFit

_TIMES = 12  # tenures of a table, at most

Contracts = tuple[NDArray, NDArray]  # tenure and event


def follow_up(t: NDArray, event: NDArray, entry: NDArray) -> Callable[[np.random.Generator], NDArray]:
    """Until which tenure each contract was observed, or would have been if it had not ended.

    Of a contract that has not ended that is its tenure. Of one that has, it is not in the data: it is drawn from the
    distribution of the others, given that it is at least as long, by Kaplan and Meier's curve of the censoring. That
    takes it as independent of the end, as the likelihood does. It is counted from the entry on, and apart for the
    contracts that were seen late: a window of observation is as long for all of these.

    Parameters
    ----------
    t, event, entry : ndarray, (N,)
        Tenure, 1 where the contract ended then, tenure when observation began.

    Returns
    -------
    callable
        Random generator -> a draw of these tenures, (N,).
    """
    seen = t - entry
    groups = []
    for group in (entry == 0, entry > 0):
        if (ended := np.flatnonzero(group & (event == 1))).size:
            # At the same time ends come before what censors.
            times, place = np.unique(seen[group], return_inverse=True)
            is_censored = event[group] == 0
            risk = RiskTable.of(2 * place + is_censored, is_censored)
            survival = np.exp(risk.log_survival)
            number = np.searchsorted(risk.time, 2 * np.searchsorted(times, seen[ended]))
            lengths = np.append(times[risk.time.astype(int) // 2], times[-1])
            groups.append((ended, np.append(1.0, survival)[number], survival, lengths))

    def drawn(rng: np.random.Generator) -> NDArray:
        until = t.copy()
        for ended, still, survival, lengths in groups:
            level = rng.random(len(ended)) * still
            # The first time when no more than the level is left; the longest seen, where there is none.
            until[ended] = entry[ended] + lengths[np.searchsorted(-survival, -level)]
        return until

    return drawn


def share_left(data: Contracts, entry: NDArray, times: NDArray) -> NDArray[np.float64]:
    """Kaplan and Meier's curve at some tenures, (K,)."""
    risk = RiskTable.of(*data, entry)
    return np.append(1.0, np.exp(risk.log_survival))[np.searchsorted(risk.time, times, side="right")]


def survival(fit: SurvivalFit, times: NDArray | None = None) -> Statistics:
    """The share left after some tenures, round ones if none are given."""
    t, event, entry = fit.training_columns()[:3]
    if times is None:
        step = round_step(t.max(), _TIMES)
        step = max(step, 1.0) if fit.clock == "renewals" else step
        times = step * np.arange(1, np.floor(t.max() / step * (1 + 1e-9)) + 1)

    def curve(data: Contracts, rng: np.random.Generator | None = None) -> NDArray:
        return share_left(data, entry, times)

    name = "renewals" if fit.clock == "renewals" else f"tenure ({fit.origin.unit}s)"
    return Statistics("Survival", pd.Index(times, name=name), curve((t, event)), curve)


def summary(fit: SurvivalFit) -> Statistics:
    """How many contracts end, at which tenures, and the share left after parts of the longest tenure seen.

    `endings`; of the contracts that end `mean_tenure_at_end` and `sd_tenure_at_end`; and of Kaplan and Meier's curve
    `left_at_quarter`, `left_at_half` and `left_at_last`, of the renewals or the time that lie so far.
    """
    t, event, entry = fit.training_columns()[:3]
    times = np.array([0.25, 0.5, 1.0]) * t.max()

    def numbers(data: Contracts, rng: np.random.Generator | None = None) -> NDArray:
        ends = data[0][data[1] == 1]
        of_ends = [ends.mean(), ends.std()] if len(ends) else [np.nan, np.nan]
        return np.array([len(ends), *of_ends, *share_left(data, entry, times)])

    labels = ["endings", "mean_tenure_at_end", "sd_tenure_at_end", "left_at_quarter", "left_at_half", "left_at_last"]
    return Statistics("Contracts", pd.Index(labels, name="statistic"), numbers((t, event)), numbers)
