"""Evidence of spend against frequency: spend models assume that the one says nothing about the other."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clvmodels.draws import BLOCK_CELLS, spread
from clvmodels.errors import DataError, counted

_FEWEST, _MOST = 100, 500  # resampled and simulated data sets


@dataclass(frozen=True, repr=False)
class SpendAgainstFrequency:
    """Whether frequent buyers spend more or less per transaction, and what it means for CLV.

    Attributes
    ----------
    customers : int
        Those the spend model was fitted to.
    transaction : str
        What was counted: "repeat transaction", or "transaction" where the first is included.
    interval : float
        Coverage of the three intervals.
    correlation, correlation_lower, correlation_upper : float
        Spearman's, of mean spend and number of transactions; the interval is the bootstrap's, over customers.
    independent_lower, independent_upper : float
        Where it would lie in data that the fitted model makes of as many transactions of each customer. Not around 0:
        means of few transactions are more skewed, so their median is lower.
    ratio, ratio_lower, ratio_upper : float
        Mean spend weighted by transactions, over that weighted by customers: 1 under independence. The interval is the
        bootstrap's.
    """

    customers: int
    transaction: str
    interval: float
    correlation: float
    correlation_lower: float
    correlation_upper: float
    independent_lower: float
    independent_upper: float
    ratio: float
    ratio_lower: float
    ratio_upper: float

    @property
    def dependent(self) -> bool:
        """Whether the correlation lies outside of what the fitted model gives, in which the two are independent."""
        return not self.independent_lower <= self.correlation <= self.independent_upper

    @property
    def verdict(self) -> str:
        """What the figures say, in a sentence or two."""
        ratio = f"{abs(self.ratio - 1):.1%} {'more' if self.ratio > 1 else 'less'}"
        reach = f"({self.interval:.0%} interval {self.ratio_lower - 1:+.1%} to {self.ratio_upper - 1:+.1%})"
        if not self.dependent:
            return (
                f"Not distinguishable from independence: transactions of frequent buyers are worth {ratio} than those "
                f"of the average customer {reach}."
            )
        agree = (self.ratio > 1) == (self.correlation > self.independent_upper)
        if not agree or self.ratio_lower <= 1 <= self.ratio_upper:
            return (
                "The ranks are not those that the fitted model gives, but the values do not say the same: transactions "
                f"of frequent buyers are worth {ratio} than those of the average customer {reach}. Spend has another "
                "shape than the model's, or a few customers with large values decide; no effect on CLV can be told."
            )
        wrong, right = ("understated", "overstated") if self.ratio > 1 else ("overstated", "understated")
        one_time = f", and the CLV of one-time buyers is {right}" if self.transaction == "repeat transaction" else ""
        return (
            f"Frequent buyers spend {ratio} per transaction than independence implies {reach}. The CLV of repeat "
            "customers follows their own purchases and is hardly touched; what new customers spend after their first "
            f"purchase is {wrong}{one_time}."
        )

    def __repr__(self) -> str:
        rows = {
            "rank correlation": (self.correlation, self.correlation_lower, self.correlation_upper),
            "the same if independent": (None, self.independent_lower, self.independent_upper),
            "spend, by transactions / by customers": (self.ratio, self.ratio_lower, self.ratio_upper),
        }
        people = counted(self.customers, "customer")
        lines = [f"Spend against frequency: mean {self.transaction} of {people}, {self.interval:.0%} intervals"]
        for name, (value, lower, upper) in rows.items():
            lines.append(f"  {name:38}{'' if value is None else f'{value:.2f}':>6}{lower:9.2f} to {upper:.2f}")
        return "\n".join([*lines, textwrap.fill(self.verdict, 100)])


def spend_against_frequency(
    x: NDArray,
    m_x: NDArray,
    weights: NDArray,
    simulate: Callable[[NDArray, int], NDArray],
    draws: int,
    transaction: str,
    interval: float,
    rng: np.random.Generator,
) -> SpendAgainstFrequency:
    """The evidence in distinct rows of number x and mean m_x of transactions.

    Parameters
    ----------
    x, m_x, weights : ndarray, (U,)
    simulate : callable
        Numbers of transactions (N,) and the number of a draw -> means (N,) of customers like those of the model.
    draws : int
        How many draws of the parameters there are.
    transaction : str
        What x counts.
    interval : float
    rng : Generator
        Of the bootstrap.
    """
    if np.ptp(x) == 0:
        raise DataError(
            f"all customers have {counted(int(x[0]), transaction)}: spend cannot be held against their number"
        )
    customers = int(weights.sum())
    size = int(np.clip(10 * BLOCK_CELLS / customers, _FEWEST, _MOST))
    _, by_x = np.unique(x, return_inverse=True)
    _, by_m = np.unique(m_x, return_inverse=True)

    def figures(weights: NDArray) -> tuple[float, float]:
        ratio = np.average(m_x, weights=x * weights) / np.average(m_x, weights=weights)
        return _correlation(_ranks(by_x, weights), _ranks(by_m, weights), weights), float(ratio)

    correlation, ratio = figures(weights)
    shares = weights / weights.sum()
    again = np.array([figures(rng.multinomial(customers, shares)) for _ in range(size)])
    everybody = np.repeat(x, weights.astype(int))
    rank, ones = _ranks(np.repeat(by_x, weights.astype(int)), np.ones(customers)), np.ones(customers)
    independent = [
        _correlation(rank, np.argsort(np.argsort(simulate(everybody, draw))), ones) for draw in spread(draws, size)
    ]
    tail = (1 - interval) / 2
    ends = [tail, 1 - tail]
    # A resample of few customers may have equal x throughout, and then no correlation.
    (correlation_lower, ratio_lower), (correlation_upper, ratio_upper) = np.nanquantile(again, ends, axis=0)
    independent_lower, independent_upper = np.quantile(independent, ends)
    return SpendAgainstFrequency(
        customers, transaction, interval, correlation, float(correlation_lower), float(correlation_upper),
        float(independent_lower), float(independent_upper), ratio, float(ratio_lower), float(ratio_upper),
    )  # fmt: skip


def _ranks(label: NDArray, weights: NDArray) -> NDArray[np.float64]:
    """Ranks of values whose order their labels 0, 1, ... give; equal ones share the mean of theirs."""
    number = np.bincount(label, weights)
    return (np.cumsum(number) - (number - 1) / 2)[label]


def _correlation(first: NDArray, second: NDArray, weights: NDArray) -> float:
    """Pearson's correlation; not a number where a side does not vary."""
    first, second = (side - np.average(side, weights=weights) for side in (first, second))
    spread = np.sqrt((weights * first**2).sum() * (weights * second**2).sum())
    return float((weights * first * second).sum() / spread) if spread > 0 else np.nan
