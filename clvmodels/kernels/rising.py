"""Rising factorials of all rows at once: between equal parameters only the counts of rows matter."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import special

_SUMMED_UP_TO = 20_000  # as in `ops.log_rising`


def rising_sum(count: NDArray, weights: NDArray) -> Callable[[float], tuple[float, float]]:
    """Weighted sum of ``log_rising(start, count)`` over rows, and its slope, as a function of `start`.

    A logarithm of start + j is in the sum as often as there are customers with a count above j.

    >>> value, slope = rising_sum(np.array([0, 1, 3]), np.array([5.0, 2.0, 1.0]))(2.5)
    >>> bool(np.isclose(value, 3 * np.log(2.5) + np.log(3.5) + np.log(4.5)))
    True
    >>> bool(np.isclose(slope, 3 / 2.5 + 1 / 3.5 + 1 / 4.5))
    True
    """
    most = int(count.max(initial=0))
    if most > _SUMMED_UP_TO:
        distinct, at = np.unique(count, return_inverse=True)
        customers = np.bincount(at, weights)

        def by_gamma(start: float) -> tuple[float, float]:
            value = customers @ (special.gammaln(start + distinct) - special.gammaln(start))
            return float(value), float(customers @ (special.digamma(start + distinct) - special.digamma(start)))

        return by_gamma
    with_count = np.bincount(count.astype(np.intp), weights)
    above = np.cumsum(with_count[::-1])[::-1][1:].copy()
    steps = np.arange(most, dtype=float)

    def by_sum(start: float) -> tuple[float, float]:
        factors = start + steps
        return float(above @ np.log(factors)), float(above @ (1 / factors))

    return by_sum


def rising_sums(count: NDArray, weights: NDArray) -> Callable[[NDArray], NDArray[np.float64]]:
    """The value of `rising_sum` alone, of many starts (S, 1) at once -> (S,).

    >>> rising_sums(np.array([0, 1, 3]), np.array([5.0, 2.0, 1.0]))(np.array([[2.5], [1.0]])).round(4)
    array([5.5057, 1.7918])
    """
    if count.max(initial=0) > _SUMMED_UP_TO:
        distinct, at = np.unique(count, return_inverse=True)
        customers = np.bincount(at, weights)
        return lambda start: np.asarray((special.gammaln(start + distinct) - special.gammaln(start)) @ customers)
    above = np.cumsum(np.bincount(count.astype(np.intp), weights)[::-1])[::-1][1:].copy()
    steps = np.arange(len(above), dtype=float)
    return lambda start: np.asarray(np.log(start + steps) @ above)
