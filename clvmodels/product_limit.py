"""Who is at risk when, and what follows from it without a model: Kaplan and Meier's curve, Aalen and Johansen's.

A customer is at risk at t if `entry` < t <= `time`: who enters at t is not yet, and who is censored at t still is. An
entry of 0 is the beginning, time 0 included.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Array = NDArray[np.float64]

# What stands for the logarithm of 0: its exponential is 0, and yet later steps of a curve that has reached it (because
# of late entry, see `RiskTable.emptied`) are not lost.
LOG_ZERO = -1000.0


@dataclass(frozen=True)
class RiskTable:
    """Exits and numbers at risk, at the times when anyone left.

    Parameters
    ----------
    time : ndarray, (J,)
        Distinct times of exits, rising.
    at_risk, events : ndarray, (J,)
        How many could leave then, and how many did: sums of weights.
    last : float
        The longest time observed, that of an exit or not: nothing is known of later times.
    """

    time: Array
    at_risk: Array
    events: Array
    last: float

    @classmethod
    def of(
        cls,
        time: ArrayLike,
        event: ArrayLike,
        entry: ArrayLike | None = None,
        weight: ArrayLike | None = None,
        risk: ArrayLike | None = None,
    ) -> RiskTable:
        """Count customers.

        Parameters
        ----------
        time : array_like, (N,)
            Until the exit, or until the last time known.
        event : array_like, (N,)
            1 where the customer left at `time`, else 0.
        entry : array_like, (N,), optional
            When observation began; 0 if not given.
        weight : array_like, (N,), optional
            How many customers a row stands for; 1 if not given.
        risk : array_like, (N,), optional
            What a row adds to `at_risk`; its weight if not given.

        Examples
        --------
        >>> table = RiskTable.of([3, 5, 5, 8], [1, 1, 0, 0])
        >>> table.time, table.at_risk, table.events
        (array([3., 5.]), array([4., 3.]), array([1., 1.]))
        """
        time, event = np.asarray(time, float), np.asarray(event, float)
        weight = np.ones(len(time)) if weight is None else np.asarray(weight, float)
        risk = weight if risk is None else np.asarray(risk, float)
        left = event > 0
        times, at = np.unique(time[left], return_inverse=True)
        at_risk = _from(time, risk, times)
        if entry is not None:
            entry = np.asarray(entry, float)
            late = entry > 0
            at_risk = at_risk - _from(entry[late], risk[late], times)
        events = np.bincount(at, weight[left], len(times)).astype(float)
        # Sums of weights that are not whole numbers leave rounding errors, where all at risk have left.
        events = np.where(np.isclose(events, at_risk, rtol=1e-9, atol=0), at_risk, events)
        return cls(times, at_risk, events, float(time.max()))

    @property
    def log_survival(self) -> Array:
        """Logarithm of the share that is left after each time, (J,): sums of log(1 - events / at_risk), or `LOG_ZERO`.

        Kaplan & Meier (1958), JASA 53(282).
        """
        share = self.events / self.at_risk
        return np.asarray(np.cumsum(np.where(share < 1, np.log1p(-np.where(share < 1, share, 0.0)), LOG_ZERO)))

    @property
    def log_variance(self) -> Array:
        """Variance of `log_survival`, (J,), by Greenwood's formula; infinite once nobody is left."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.cumsum(self.events / (self.at_risk * (self.at_risk - self.events))))

    def limits(self, level: float) -> tuple[Array, Array]:
        """Pointwise confidence limits of the survival, (J,), from log(-log S), which keeps them within 0 and 1.

        NaN where nobody is left. Kalbfleisch & Prentice (2002), The Statistical Analysis of Failure Time Data, 1.4.
        """
        log_s = self.log_survival
        reach = special.ndtri((1 + level) / 2)
        variance = np.where(log_s > LOG_ZERO, self.log_variance, np.nan)
        spread = reach * np.sqrt(variance) / -log_s
        return np.exp(log_s * np.exp(spread)), np.exp(log_s * np.exp(-spread))

    def emptied(self) -> Array:
        """Times at which all at risk left although others are known to have stayed longer.

        With late entry the first risk sets may be so small that this happens; the curve is 0 from there on, for the
        lack of data.
        """
        return self.time[(self.events == self.at_risk) & (self.time < self.last)]

    def drawn_steps(self, rng: np.random.Generator, size: int, part: slice = slice(None)) -> Array:
        """Draws (size, J) of the steps of `log_survival`: the shares that leave are Beta(events, at_risk - events).

        The posterior of a beta process whose prior weighs nothing: independent at different times. Hjort (1990), Annals
        of Statistics 18(3).
        """
        left, stay = self.events[part], (self.at_risk - self.events)[part]
        stayed = rng.beta(np.where(stay > 0, stay, 1.0), left, (size, len(left)))
        return np.where(stay > 0, np.log(np.maximum(stayed, np.finfo(float).tiny)), LOG_ZERO)


def cumulative_incidence(
    time: ArrayLike,
    cause: NDArray[np.intp],
    causes: int,
    entry: ArrayLike | None = None,
    weight: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Share of customers that each cause has taken by each time, the causes competing (Aalen & Johansen 1978).

    Parameters
    ----------
    time : array_like, (N,)
    cause : ndarray of int, (N,)
        0, 1, ... `causes` - 1 where the customer left, -1 who is still there.
    causes : int
    entry, weight : array_like, (N,), optional
        As in `RiskTable.of`.

    Returns
    -------
    time : ndarray, (J,)
        Distinct times of exits.
    incidence : ndarray, (J, causes)
        Their sum is one minus the survival of all exits.

    Examples
    --------
    >>> cumulative_incidence([3, 5, 5, 8], np.array([0, 1, -1, -1]), 2)[1]
    array([[0.25, 0.  ],
           [0.25, 0.25]])
    """
    time = np.asarray(time, float)
    weight = np.ones(len(time)) if weight is None else np.asarray(weight, float)
    table = RiskTable.of(time, cause >= 0, entry, weight)
    left = cause >= 0
    cell = np.searchsorted(table.time, time[left]) * causes + cause[left]
    exits = np.bincount(cell, weight[left], len(table.time) * causes).reshape(-1, causes)
    before = np.exp(np.concatenate([[0.0], table.log_survival[:-1]]))
    return table.time, np.cumsum((before / table.at_risk)[:, None] * exits, axis=0)


def censoring_weights(
    time: ArrayLike, event: ArrayLike, at: float, weight: ArrayLike | None = None
) -> NDArray[np.float64]:
    """How many customers each stands for, of whom it is known whether they left by time `at`; 0 for the others.

    One over the chance not to have been censored before: 1 / G(time) of who left by then, 1 / G(at) of who was still
    seen at `at`, with Kaplan and Meier's curve of the censoring, G(t) = P(censored at t or later). Their sum is that of
    all customers, and the share of who stayed is Kaplan and Meier's curve itself.

    Parameters
    ----------
    time, event, weight : array_like, (N,)
        As in `RiskTable.of`.
    at : float
        Who is censored at that very time is known to have stayed until then.

    Returns
    -------
    ndarray, (N,)
        To be multiplied by `weight`. NaN where all who were left at some time before `at` were censored then.

    References
    ----------
    Graf, Schmoor, Sauerbrei & Schumacher (1999), Statistics in Medicine 18(17),
    doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5. Efron (1967), The two sample problem
    with censored data, for the sum.

    Examples
    --------
    Of the two who were still seen when one was censored at 2, one left later and one did not: each counts 1.5 times.

    >>> censoring_weights([1, 2, 3, 5], [1, 0, 1, 0], at=4)
    array([1. , 0. , 1.5, 1.5])
    """
    time, event = np.asarray(time, float), np.asarray(event, float)
    weight = np.ones(len(time)) if weight is None else np.asarray(weight, float)
    # Who leaves at a time does so before anyone is censored then, and is not at risk of it.
    times, place = np.unique(time, return_inverse=True)
    censoring = RiskTable.of(2 * place + (event <= 0), event <= 0, weight=weight)
    survival = np.exp(np.append(0.0, censoring.log_survival))
    left = (event > 0) & (time <= at)
    stayed = ~left & (time >= at)
    until = survival[np.searchsorted(censoring.time, 2 * np.searchsorted(times, at))]
    if until == 0:
        return np.full(len(time), np.nan)
    chance = np.where(left, survival[np.searchsorted(censoring.time, 2 * place)], until)
    return np.where(left | stayed, 1 / np.where(left | stayed, chance, 1.0), 0.0)


def _from(values: Array, weight: Array, times: Array) -> Array:
    """Sum of weights of the values at or after each time."""
    order = np.argsort(values, kind="stable")
    sums = np.concatenate([[0.0], np.cumsum(weight[order])])
    return np.asarray(sums[-1] - sums[np.searchsorted(values[order], times)])
