"""Draws from a posterior around its mode: Student-t proposals, Pareto-smoothed weights, resampled to equal weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clvmodels.errors import FitError
from clvmodels.inference import psis

_DEGREES_OF_FREEDOM = 7
_PROPOSALS_PER_DRAW = 4


@dataclass(frozen=True)
class Sample:
    """Equally weighted draws (S, k) of the coordinates, and how good the proposal was."""

    u: NDArray[np.float64]
    k_hat: float
    effective: float


def sample(
    log_density: Callable[[NDArray], NDArray],
    mode: NDArray,
    covariance: NDArray,
    draws: int,
    rng: np.random.Generator,
) -> Sample:
    """Equally weighted draws from a log density, given its mode and the inverse of its negative Hessian.

    Raises
    ------
    FitError
        If k-hat exceeds min(0.7, 1 - 1/log10(proposals)): the posterior is too unlike a Student-t around its mode.
    """
    size, k = draws * _PROPOSALS_PER_DRAW, len(mode)
    values, vectors = np.linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    z = rng.standard_normal((size, k))
    chi_square = rng.chisquare(_DEGREES_OF_FREEDOM, size)
    t = z * np.sqrt(_DEGREES_OF_FREEDOM / chi_square)[:, None]
    proposals = mode + t @ root.T
    log_proposal = -0.5 * (_DEGREES_OF_FREEDOM + k) * np.log1p((t**2).sum(axis=1) / _DEGREES_OF_FREEDOM)
    block = 500
    log_target = np.concatenate([log_density(proposals[i : i + block]) for i in range(0, size, block)])
    log_weights, k_hat = psis.smooth(log_target - log_proposal)
    limit = min(0.7, 1 - 1 / np.log10(size))
    if not k_hat <= limit:
        raise FitError(
            f"the Laplace approximation is not good enough (k-hat {k_hat:.2f}, at most {limit:.2f} is reliable): "
            "the posterior is far from its shape at the mode; give more data, or informative priors"
        )
    weights = np.exp(log_weights)
    # Systematic resampling: the number of copies of a draw differs from its expectation by less than one.
    positions = (rng.random() + np.arange(draws)) / draws
    chosen = np.minimum(np.searchsorted(np.cumsum(weights), positions), size - 1)
    return Sample(proposals[rng.permutation(chosen)], k_hat, float(1 / np.sum(weights**2)))
