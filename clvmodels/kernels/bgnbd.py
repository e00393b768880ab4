"""The log-likelihood of BG/NBD and its gradient on distinct rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clvmodels.kernels import Density
from clvmodels.kernels.rising import rising_sum


def kernel(x: NDArray, t_x: NDArray, T: NDArray, *, weights: NDArray) -> Density:
    """Log-likelihood and gradient in r, alpha, a, b of distinct rows, each (U,)."""
    return beta_geometric(x, x, t_x, T, weights)


def beta_geometric(chances: NDArray, x: NDArray, t_x: NDArray, T: NDArray, weights: NDArray) -> Density:
    """What `kernel` gives, with the number of chances to drop out, the last of them at t_x.

    Times and counts repeat, so their logarithms are taken once for each that there is; a row with a chance to drop out
    is left with one exponential and one logarithm. Rows without are told by T alone.
    """
    of_rate, of_dropout = rising_sum(x, weights), rising_sum(chances, weights)
    times, place = np.unique(np.concatenate([T, t_x]), return_inverse=True)
    at_end, at_last = place[: len(T)], place[len(T) :]
    customers, purchases = (np.bincount(at_end, w, len(times)) for w in (weights, weights * x))
    number, exposed = float(weights @ x), chances > 0
    x, weights, at_end, at_last = (column[exposed] for column in (x, weights, at_end, at_last))
    earlier, of_chances = np.unique(chances[exposed] - 1, return_inverse=True)  # than the last

    def density(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if not (theta > 0).all():
            return np.nan, np.full(4, np.nan)
        r, alpha, a, b = theta.tolist()
        with np.errstate(all="ignore"):
            rate, survived, all_chances = of_rate(r), of_dropout(b), of_dropout(a + b)
            passed, per_time = np.log1p(times / alpha), 1 / (alpha + times)
            gap, shape = passed[at_end] - passed[at_last], r + x
            died = np.log(a / (b + earlier))[of_chances] + shape * gap
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
                survived[1] - all_chances[1] - dead @ (1 / (b + earlier))[of_chances],
            ]
        return float(value), np.array(gradient)

    return density
