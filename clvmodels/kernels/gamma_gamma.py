"""The log-likelihood of Gamma-Gamma and its gradient on distinct rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from clvmodels.kernels import LogLikelihood


def kernel(x: NDArray, m_x: NDArray, *, weights: NDArray) -> LogLikelihood:
    """Log-likelihood and gradient in p, q, v of distinct rows, each (U,).

    A row takes one logarithm: its gamma functions depend on x alone.
    """
    counts, at = np.unique(x, return_inverse=True)
    customers = np.bincount(at, weights)
    total = x * m_x
    rows = np.stack([weights, weights * x])
    number = float(weights.sum())
    log_means, log_totals = float(weights @ np.log(m_x)), float(weights @ np.log(total))

    def density(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if not (theta > 0).all():
            return np.nan, np.full(3, np.nan)
        p, q, v = theta.tolist()
        with np.errstate(all="ignore"):
            shape = p * counts
            # log(v + total) less log(total), which does not cancel where p x is large.
            of_rows, of_transactions = (rows @ np.log1p(v / total)).tolist()
            of_scale = of_rows + log_totals - number * np.log(v)
            rising = customers @ (special.gammaln(shape + q) - special.gammaln(shape)) - number * special.gammaln(q)
            value = rising - p * of_transactions - q * of_scale - log_means
            after = special.digamma(shape + q)
            per_row, per_transaction = (rows @ (1 / (v + total))).tolist()
            gradient = [
                customers @ (counts * (after - special.digamma(shape))) - of_transactions,
                customers @ after - number * special.digamma(q) - of_scale,
                q * (number / v - per_row) - p * per_transaction,
            ]
        return float(value), np.array(gradient)

    return density
