"""The log-likelihood of Pareto/NBD and its gradient on distinct rows.

The integrals of the model's text, over u from t to infinity, of (m + u - t)^-D (n + u - t)^-B, where m is the larger
of alpha + t and beta + t and n the smaller, are m^(1 - D) n^-B / c times 2F1(B, 1; c + 1; -y), with c = B + D - 1 and
y = m / n - 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clvmodels.kernels import LogLikelihood
from clvmodels.kernels.hypergeometric import log_hypergeometric
from clvmodels.kernels.rising import rising_sum


def kernel(x: NDArray, t_x: NDArray, T: NDArray, *, weights: NDArray) -> LogLikelihood:
    """Log-likelihood and gradient in r, alpha, s, beta of distinct rows, each (U,).

    A customer's likelihood is the sum of an integral over (t_x, inf) and one over (T, inf); they are computed for each
    distinct (x, t_x) and (x, T), in the order of time, in which y falls.
    """
    of_rate = rising_sum(x, weights)
    number = float(weights @ x)
    counts, of_count = np.unique(x, return_inverse=True)
    times, of_time = np.unique(np.concatenate([t_x, T]), return_inverse=True)
    groups = 2 * len(counts)  # a count, of an integral over (t_x, inf) or over (T, inf)
    both = of_time * groups + np.concatenate([of_count, len(counts) + of_count])
    integrals, at = np.unique(both, return_inverse=True)
    gone_at, alive_at = np.split(at, 2)
    t, group = times[integrals // groups], integrals % groups
    alive, bought = group >= len(counts), counts[group % len(counts)]
    dead = ~alive

    def density(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if not (theta > 0).all():
            return np.nan, np.full(4, np.nan)
        r, alpha, s, beta = theta.tolist()
        of_r = np.concatenate([r + counts, r + counts + 1])
        of_s = np.repeat([s + 1, s], len(counts))
        with np.errstate(all="ignore"):
            rate = of_rate(r)
            least = min(alpha, beta) + t
            y = abs(alpha - beta) / least
            if beta >= alpha:
                log_f, by_r, by_s, by_y = log_hypergeometric(of_r, of_s, group, y)
                ratio = alive
            else:
                log_f, by_s, by_r, by_y = log_hypergeometric(of_s, of_r, group, y)
                ratio = dead
            shape = r + bought
            per_both = 1 / (shape + s)
            buys, dies = np.log1p(t / alpha), np.log1p(t / beta)
            part = np.log(np.where(alive, shape, s) * per_both) + log_f + ratio * np.log1p(y) - shape * buys - s * dies
            gone, here = part[gone_at], part[alive_at]
            small = np.exp(-np.abs(here - gone))
            lives = np.where(here > gone, 1.0, small) / (1 + small)
            value = rate[0] - number * np.log(alpha) + weights @ (np.maximum(gone, here) + np.log1p(small))
            # How many customers each integral stands for.
            share = np.bincount(at, np.concatenate([weights * (1 - lives), weights * lives]))
            by_y = share * (by_y + ratio / (1 + y)) / least
            by_larger, by_smaller = by_y.sum(), -(by_y @ (1 + y))
            in_alpha, in_beta = (by_smaller, by_larger) if beta >= alpha else (by_larger, by_smaller)
            gradient = [
                rate[1] + share @ (by_r - buys - per_both + alive / shape),
                in_alpha + share @ ((r / alpha * t - bought) / (alpha + t)),
                share @ (by_s - dies - per_both + dead / s),
                in_beta + s / beta * (share @ (t / (beta + t))),
            ]
        return float(value), np.array(gradient)

    return density
