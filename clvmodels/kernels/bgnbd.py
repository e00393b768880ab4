"""The log-likelihood of BG/NBD and its gradient on distinct rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clvmodels.draws import Parameters
from clvmodels.kernels import LogLikelihood, Sums
from clvmodels.kernels.rising import rising_sum, rising_sums

_CELLS = 100_000  # draws times rows computed at once: as many as stay in a processor's cache


def kernel(x: NDArray, t_x: NDArray, T: NDArray, *, weights: NDArray) -> LogLikelihood:
    """Log-likelihood and gradient in r, alpha, a, b of distinct rows, each (U,)."""
    return beta_geometric(x, x, t_x, T, weights)


def sums(x: NDArray, t_x: NDArray, T: NDArray, *, weights: NDArray) -> Sums:
    """Log-likelihood of distinct rows, each (U,), by draws of r, alpha, a, b."""
    return beta_geometric_sums(x, x, t_x, T, weights)


def beta_geometric(chances: NDArray, x: NDArray, t_x: NDArray, T: NDArray, weights: NDArray) -> LogLikelihood:
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


def beta_geometric_sums(chances: NDArray, x: NDArray, t_x: NDArray, T: NDArray, weights: NDArray) -> Sums:
    """The value of `beta_geometric` alone, of many draws at once."""
    of_rate, of_dropout = rising_sums(x, weights), rising_sums(chances, weights)
    times, place = np.unique(np.concatenate([T, t_x]), return_inverse=True)
    at_end, at_last = place[: len(T)], place[len(T) :]
    customers, purchases = (np.bincount(at_end, w, len(times)) for w in (weights, weights * x))
    number, exposed = float(weights @ x), chances > 0
    x, weights, at_end, at_last = (column[exposed] for column in (x, weights, at_end, at_last))
    earlier, of_chances = np.unique(chances[exposed] - 1, return_inverse=True)
    at_once = max(1, _CELLS // max(1, len(times)))

    def some(r: NDArray, alpha: NDArray, a: NDArray, b: NDArray) -> NDArray[np.float64]:
        passed, chance = np.log1p(times / alpha), np.log(a / (b + earlier))
        value = of_rate(r) + of_dropout(b) - of_dropout(a + b) - number * np.log(alpha[:, 0])
        value -= r[:, 0] * (passed @ customers) + passed @ purchases
        size = max(1, _CELLS // len(r))
        for start in range(0, len(x), size):
            rows = slice(start, start + size)
            died = passed[:, at_end[rows]]
            died -= passed[:, at_last[rows]]
            died *= r + x[rows]
            died += chance[:, of_chances[rows]]
            small = np.abs(died)
            np.negative(small, out=small)
            np.log1p(np.exp(small, out=small), out=small)
            np.maximum(died, 0.0, out=died)
            died += small
            value += died @ weights[rows]
        return value

    def log_likelihood(params: Parameters) -> NDArray[np.float64]:
        draws = [params[name] for name in ("r", "alpha", "a", "b")]
        with np.errstate(all="ignore"):
            parts = [some(*(d[i : i + at_once] for d in draws)) for i in range(0, len(draws[0]), at_once)]
        return np.concatenate(parts)

    return log_likelihood
