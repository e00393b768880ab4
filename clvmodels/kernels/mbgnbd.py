"""The log-likelihood of MBG/NBD and its gradient on distinct rows."""

from __future__ import annotations

from numpy.typing import NDArray

from clvmodels.kernels import LogLikelihood, Sums
from clvmodels.kernels.bgnbd import beta_geometric, beta_geometric_sums


def kernel(x: NDArray, t_x: NDArray, T: NDArray, *, weights: NDArray) -> LogLikelihood:
    """Log-likelihood and gradient in r, alpha, a, b of distinct rows, each (U,): BG/NBD's with one more chance."""
    return beta_geometric(x + 1, x, t_x, T, weights)


def sums(x: NDArray, t_x: NDArray, T: NDArray, *, weights: NDArray) -> Sums:
    """Log-likelihood of distinct rows, each (U,), by draws of r, alpha, a, b."""
    return beta_geometric_sums(x + 1, x, t_x, T, weights)
