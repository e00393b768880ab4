"""The log-likelihood of MBG/NBD and its gradient on distinct rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clvmodels.kernels import Density
from clvmodels.kernels.rising import rising_sum


def kernel(x: NDArray, t_x: NDArray, T: NDArray, *, weights: NDArray) -> Density:
    """Log-likelihood and gradient in r, alpha, a, b of distinct rows, each (U,).

    A row takes four transcendental functions: all of its gamma functions go to sums over counts of customers.
    """
    of_rate, of_dropout = rising_sum(x, weights), rising_sum(x + 1, weights)
    weighted, number = weights * x, float(weights @ x)
    silence = T - t_x

    def density(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if not (theta > 0).all():
            return np.nan, np.full(4, np.nan)
        r, alpha, a, b = theta.tolist()
        with np.errstate(all="ignore"):
            rate, survived, all_chances = of_rate(r), of_dropout(b), of_dropout(a + b)
            now = np.log1p(T / alpha)
            gap = now - np.log1p(t_x / alpha)
            shape = r + x
            died = np.log(a / (b + x)) + shape * gap
            small = np.exp(-np.abs(died))
            dead = weights * np.where(died > 0, 1.0, small) / (1 + small)  # customers, of each row
            time, purchases = weights @ now, weighted @ now
            value = rate[0] + survived[0] - all_chances[0] - r * time - purchases - number * np.log(alpha)
            value += weights @ (np.maximum(died, 0.0) + np.log1p(small))
            per_time = 1 / (alpha + T)
            in_alpha = r / alpha * T * weights - weighted - dead * shape * silence / (alpha + t_x)
            gradient = [
                rate[1] - time + dead @ gap,
                in_alpha @ per_time,
                dead.sum() / a - all_chances[1],
                survived[1] - all_chances[1] - dead @ (1 / (b + x)),
            ]
        return float(value), np.array(gradient)

    return density
