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
    contracts that were seen late: a window of observation is as long for all of these. Where the longest seen have all
    ended the curve does not reach 0, and goes on as the exponential one that meets it there: for ever, if nobody is
    censored.

    Parameters
    ----------
    t, event, entry : ndarray, (N,)
        Tenure, 1 where the contract ended then, tenure when observation began.

    Returns
    -------
    callable
        Random generator -> a draw of these tenures, (N,).

    References
    ----------
    Brown, Hollander & Korwar (1974), Nonparametric Tests of Independence for Censored Data, with Applications to Heart
    Transplant Studies, in Reliability and Biometry, SIAM, for the end of the curve.
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
            rate = -risk.log_survival[-1] / times[-1] if len(survival) and times[-1] else 0.0
            groups.append((ended, np.append(1.0, survival)[number], survival, lengths, rate))

    def drawn(rng: np.random.Generator) -> NDArray:
        until = t.copy()
        for ended, still, survival, lengths, rate in groups:
            level = rng.random(len(ended)) * still
            # The first time when no more than the level is left.
            place = np.searchsorted(-survival, -level)
            with np.errstate(divide="ignore"):
                tail = np.maximum(-np.log(level) / rate, lengths[-1])
            until[ended] = entry[ended] + np.where(place == len(survival), tail, lengths[place])
        return until

    return drawn


def told(t: NDArray, event: NDArray, entry: NDArray) -> tuple[str, ...]:
    """What must be said of `follow_up`."""
    if event.all():
        return ("no contract is censored: the simulated ones are followed to their end",)
    seen, notes = t - entry, []
    for group, which in ((entry == 0, ""), (entry > 0, " that were seen late")):
        if group.any() and event[group & (seen == seen[group].max())].all():
            notes.append(
                f"the longest seen of the contracts{which} have ended: how long the simulated ones are followed beyond "
                "is extrapolated from the censoring before"
            )
    return tuple(notes)


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
    return Statistics("Survival", pd.Index(times, name=name), curve((t, event)), curve, told(t, event, entry))


def summary(fit: SurvivalFit) -> Statistics:
    """How many contracts end, at which tenures, and the share left after parts of the tenure that few exceed.

    `endings`; of the contracts that end `mean_tenure_at_end` and `sd_tenure_at_end`; and of Kaplan and Meier's curve
    `left_at_quarter`, `left_at_half` and `left_at_last`, of the renewals or the time that a twentieth of the contracts
    reach: the longest may itself be an ending, of which the curve would say nothing.
    """
    t, event, entry = fit.training_columns()[:3]
    times = np.array([0.25, 0.5, 1.0]) * np.quantile(t, 0.95, method="inverted_cdf")

    def numbers(data: Contracts, rng: np.random.Generator | None = None) -> NDArray:
        ends = data[0][data[1] == 1]
        of_ends = [ends.mean(), ends.std()] if len(ends) else [np.nan, np.nan]
        return np.array([len(ends), *of_ends, *share_left(data, entry, times)])

    labels = ["endings", "mean_tenure_at_end", "sd_tenure_at_end", "left_at_quarter", "left_at_half", "left_at_last"]
    index = pd.Index(labels, name="statistic")
    return Statistics("Contracts", index, numbers((t, event)), numbers, told(t, event, entry))
