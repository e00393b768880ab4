"""The log-likelihood of BG/NBD and its gradient on distinct rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clvmodels.kernels import Density
from clvmodels.kernels.rising import rising_sum


def kernel(x: NDArray, t_x: NDArray, T: NDArray, *, weights: NDArray) -> Density:
    """Log-likelihood and gradient in r, alpha, a, b of distinct rows, each (U,).

    Times and counts repeat, so their logarithms are taken once for each that there is; a row with repeat transactions
    is left with one exponential and one logarithm. Rows without are told by T alone.
    """
    of_rate, of_dropout = rising_sum(x, weights), rising_sum(x, weights)
    times, place = np.unique(np.concatenate([T, t_x]), return_inverse=True)
    at_end, at_last = place[: len(T)], place[len(T) :]
    customers, purchases = (np.bincount(at_end, w, len(times)) for w in (weights, weights * x))
    bought, number = x > 0, float(weights @ x)
    x, weights, at_end, at_last = (column[bought] for column in (x, weights, at_end, at_last))
    counts, of_count = np.unique(x, return_inverse=True)

    def density(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if not (theta > 0).all():
            return np.nan, np.full(4, np.nan)
        r, alpha, a, b = theta.tolist()
        with np.errstate(all="ignore"):
            rate, survived, all_chances = of_rate(r), of_dropout(b), of_dropout(a + b)
            passed, per_time = np.log1p(times / alpha), 1 / (alpha + times)
            gap, shape = passed[at_end] - passed[at_last], r + x
            died = np.log(a / (b + counts - 1))[of_count] + shape * gap
            small = np.exp(-np.abs(died))
            dead = weights * np.where(died > 0, 1.0, small) / (1 + small)  # customers, of each row
            time = customers @ passed
            value = rate[0] + survived[0] - all_chances[0] - r * time - purchases @ passed - number * np.log(alpha)
            value += weights @ (np.maximum(died, 0.0) + np.log1p(small))
            in_alpha = (customers * (r / alpha) * times - purchases) @ per_time
            gradient = [
                rate[1] - time + dead @ gap,
                in_alpha + (dead * shape) @ (per_time[at_end] - per_time[at_last]),
                dead.sum() / a - all_chances[1],
                survived[1] - all_chances[1] - dead @ (1 / (b + counts - 1))[of_count],
            ]
        return float(value), np.array(gradient)

    return density
