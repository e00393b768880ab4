"""Draws from a posterior around its mode: Student-t proposals, Pareto-smoothed weights, resampled to equal weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clvmodels.errors import FitError
from clvmodels.inference import psis

_DEGREES_OF_FREEDOM = 3  # heavy tails: no diagnostic can see what was never proposed
_PROPOSALS_PER_DRAW = 4
_ROUNDS = 5
_EFFECTIVE = 0.3  # share of effective proposals; k-hat alone passes proposals that saw little of the posterior
_MANY = 10  # coordinates, of which each takes its share of the effective proposals: a mismatch of 4 % leaves 10 % of 60
_LEAST = 0.05  # share that is then enough, of so many more proposals
_BLOCK = 100  # proposals whose density is computed at once
_PROBE = 500  # proposals of a round that are looked at first
_HOPELESS = 2.0  # effective ones among them: a few hold all the weight, and their moments would tell nothing
_TOO_UNLIKE = (
    "the posterior is too unlike a Student-t; fit with method='mcmc', which needs no such proposals, or give more data "
    "or informative priors"
)


@dataclass(frozen=True)
class Sample:
    """Equally weighted draws (S, k) of the coordinates, and how good the proposals were.

    `rounds` is 1 where the Student-t around the mode was good enough; each further one took the moments of the last.
    """

    u: NDArray[np.float64]
    k_hat: float
    effective: float
    rounds: int


def sample(
    log_density: Callable[[NDArray], NDArray],
    mode: NDArray,
    covariance: NDArray,
    draws: int,
    rng: np.random.Generator,
) -> Sample:
    """Equally weighted draws from a log density, given its mode and the inverse of its negative Hessian.

    Where the posterior is too skewed for proposals around its mode (a small shop), the proposals move to the weighted
    mean and covariance of those before, a few times over. Of many coordinates, whose covariance few proposals would
    tell, more proposals are made.

    Raises
    ------
    FitError
        If even then k-hat exceeds min(0.7, 1 - 1/log10(proposals)), or less than 30 % of the proposals are effective
        (of more than ten coordinates 5 %).
    """
    size = draws * _PROPOSALS_PER_DRAW
    enough = _EFFECTIVE * size
    limit = psis.reliable(size)
    centre, spread = mode, covariance

    def density(u: NDArray) -> NDArray:
        return np.concatenate([log_density(u[i : i + _BLOCK]) for i in range(0, len(u), _BLOCK)])

    for round_ in range(1, _ROUNDS + 1):
        proposals, log_proposal = _student_t(centre, spread, size, rng)
        probe = density(proposals[:_PROBE])
        if (few := _effective(probe - log_proposal[:_PROBE])) < _HOPELESS:
            raise FitError(
                f"the Laplace approximation is not good enough ({few:.1f} of {len(probe)} proposals effective, where "
                f"{_EFFECTIVE:.0%} would be enough): {_TOO_UNLIKE}"
            )
        log_target = np.concatenate([probe, density(proposals[_PROBE:])]) if size > _PROBE else probe
        log_weights, k_hat = psis.smooth(log_target - log_proposal)
        weights = np.exp(log_weights)
        effective = float(1 / np.sum(weights**2))
        if k_hat <= limit and effective >= enough:
            # Systematic resampling: the number of copies of a draw differs from its expectation by less than one.
            positions = (rng.random() + np.arange(draws)) / draws
            chosen = np.minimum(np.searchsorted(np.cumsum(weights), positions), size - 1)
            return Sample(proposals[rng.permutation(chosen)], k_hat, effective, round_)
        if len(mode) > _MANY and k_hat <= limit and effective >= _LEAST * size:
            size = int(1.2 * size * enough / effective)
            continue
        centre = weights @ proposals
        spread = np.cov(proposals.T, aweights=weights, ddof=0).reshape(spread.shape)
    raise FitError(
        f"the Laplace approximation is not good enough (k-hat {k_hat:.2f}, of which {limit:.2f} is reliable; "
        f"{effective / size:.0%} of the proposals effective, of which {_EFFECTIVE:.0%} is enough): {_TOO_UNLIKE}"
    )


def _effective(log_weights: NDArray) -> float:
    """How many equally weighted draws these are worth."""
    weights = np.exp(log_weights - log_weights.max())
    return float(weights.sum() ** 2 / np.sum(weights**2))


def _student_t(
    centre: NDArray, spread: NDArray, size: int, rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Proposals (size, k) and their log density, up to a constant."""
    k = len(centre)
    degrees = max(_DEGREES_OF_FREEDOM, k / 2)  # as heavy tails of many coordinates would be far out, all of them
    values, vectors = np.linalg.eigh(spread)
    root = vectors * np.sqrt(np.maximum(values, 0.0))
    z = rng.standard_normal((size, k))
    t = z * np.sqrt(degrees / rng.chisquare(degrees, size))[:, None]
    log_density = -0.5 * (degrees + k) * np.log1p((t**2).sum(axis=1) / degrees)
    return centre + t @ root.T, log_density
