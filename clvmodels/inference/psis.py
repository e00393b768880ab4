"""Pareto-smoothed importance sampling.

In NumPy because ArviZ, against which it is tested, takes seconds to import.

References
----------
Vehtari, Simpson, Gelman, Yao & Gabry (2024), Pareto smoothed importance sampling, JMLR 25(72).
Zhang & Stephens (2009), A new and efficient estimation method for the generalized Pareto distribution,
Technometrics 51(3).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import special

_AGREE = 1e-9  # log densities that differ by less do so by rounding


def reliable(draws: int) -> float:
    """The largest k-hat at which so many draws are enough, min(0.7, 1 - 1 / log10(draws)) (Vehtari et al. 2024)."""
    return float(min(0.7, 1 - 1 / np.log10(draws)))


def smooth(log_ratios: NDArray, efficiency: float = 1.0) -> tuple[NDArray[np.float64], float]:
    """Normalised log weights (S,), their upper tail smoothed, and the tail's shape k-hat.

    Parameters
    ----------
    log_ratios : ndarray, (S,)
        Log target density less log proposal density, up to a constant; minus infinity where the target is zero.
    efficiency : float
        How many independent draws one draw is worth: the tail is the longer, the less that is.

    Returns
    -------
    log_weights : ndarray, (S,)
        Log of weights that add up to 1.
    k_hat : float
        Shape of the generalised Pareto tail: the weights' variance is finite below 0.5, their mean below 1.
    """
    log_weights, k_hat = _smoothed(log_ratios[None], efficiency)
    return log_weights[0], float(k_hat[0])


def leave_one_out(log_likelihood: NDArray, efficiency: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Log density of each observation given all others, by draws from the posterior given all.

    Parameters
    ----------
    log_likelihood : ndarray, (S, B)
        Of one observation in each column: where several are equal, of one of them.
    efficiency : float
        As in `smooth`.

    Returns
    -------
    elpd, k_hat : ndarray, each (B,)
        `k_hat` is minus infinity where the draws agree on the density: there is nothing to be smoothed.

    References
    ----------
    Vehtari, Gelman & Gabry (2017), Practical Bayesian model evaluation using leave-one-out cross-validation and WAIC,
    Statistics and Computing 27(5).
    """
    elpd, k_hat = np.array(log_likelihood[0], float), np.full(log_likelihood.shape[1], -np.inf)
    differ = np.ptp(log_likelihood, axis=0) > _AGREE
    some = np.ascontiguousarray(log_likelihood[:, differ].T)
    log_weights, k_hat[differ] = _smoothed(-some, efficiency)
    elpd[differ] = special.logsumexp(log_weights + some, axis=1)
    return elpd, k_hat


def _smoothed(log_ratios: NDArray, efficiency: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """`smooth` of each row (B, S): log weights (B, S) and k-hat (B,), which is infinite without a tail to judge by."""
    log_weights = log_ratios - np.max(log_ratios, axis=1, keepdims=True)
    size = log_weights.shape[1]
    tail_size = int(np.ceil(min(0.2 * size, 3 * np.sqrt(size / efficiency))))
    order = np.argsort(log_weights, axis=1, kind="stable")
    tail = order[:, -tail_size:]
    cutoff = np.take_along_axis(log_weights, order[:, -tail_size - 1, None], axis=1)
    excess = np.exp(np.take_along_axis(log_weights, tail, axis=1)) - np.exp(cutoff)
    has_tail = np.isfinite(cutoff[:, 0]) & (excess[:, -1] > 0) & (tail_size > 4)
    k_hat = np.full(len(log_weights), np.inf)
    if has_tail.any():
        shape, sigma = fit_generalised_pareto(np.maximum(excess[has_tail], np.finfo(float).tiny))
        k_hat[has_tail] = shape
        quantiles = (np.arange(tail_size) + 0.5) / tail_size
        smoothed = -sigma[:, None] * special.boxcox1p(-quantiles, -shape[:, None])  # quantiles of the distribution
        rows = np.flatnonzero(has_tail)[:, None]
        log_weights[rows, tail[has_tail]] = np.minimum(np.log(smoothed + np.exp(cutoff[has_tail])), 0.0)
    return log_weights - special.logsumexp(log_weights, axis=1, keepdims=True), k_hat


def fit_generalised_pareto(excess: NDArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Shape k and scale sigma (...) of generalised Pareto distributions, from excesses (..., n) sorted upwards.

    The posterior mean under the prior of Zhang & Stephens (2009), with the shape drawn towards 0.5 as ten further
    observations would (Vehtari et al. 2024, appendix G).
    """
    size = excess.shape[-1]
    points = 30 + int(np.sqrt(size))
    grid = 1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    theta = grid / (3 * excess[..., [int(size / 4 + 0.5) - 1]]) + 1 / excess[..., [-1]]
    shapes = np.stack([np.log1p(-theta[..., [i]] * excess).mean(axis=-1) for i in range(points)], axis=-1)
    log_likelihood = size * (np.log(-theta / shapes) - shapes - 1)
    weights = special.softmax(log_likelihood, axis=-1)
    weights[weights < 10 * np.finfo(float).eps] = 0.0
    theta_mean = np.sum(theta * weights, axis=-1) / weights.sum(axis=-1)
    shape = np.log1p(-theta_mean[..., None] * excess).mean(axis=-1)
    sigma = -shape / theta_mean
    return (size * shape + 10 * 0.5) / (size + 10), sigma
