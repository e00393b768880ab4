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


def smooth(log_ratios: NDArray) -> tuple[NDArray[np.float64], float]:
    """Normalised log weights (S,), their upper tail smoothed, and the tail's shape k-hat.

    Parameters
    ----------
    log_ratios : ndarray, (S,)
        Log target density less log proposal density, up to a constant; minus infinity where the target is zero.

    Returns
    -------
    log_weights : ndarray, (S,)
        Log of weights that add up to 1.
    k_hat : float
        Shape of the generalised Pareto tail: the weights' variance is finite below 0.5, their mean below 1.
    """
    log_weights = log_ratios - np.max(log_ratios)
    size = len(log_weights)
    tail_size = int(np.ceil(min(0.2 * size, 3 * np.sqrt(size))))
    order = np.argsort(log_weights, kind="stable")
    tail = order[-tail_size:]
    cutoff = log_weights[order[-tail_size - 1]]
    k_hat = np.inf
    if tail_size > 4 and np.isfinite(cutoff):
        excess = np.exp(log_weights[tail]) - np.exp(cutoff)
        if excess[0] > 0 or excess[-1] > 0:
            k_hat, sigma = fit_generalised_pareto(np.maximum(excess, np.finfo(float).tiny))
            quantiles = (np.arange(tail_size) + 0.5) / tail_size
            smoothed = sigma * (np.expm1(-k_hat * np.log1p(-quantiles)) / k_hat if k_hat else -np.log1p(-quantiles))
            log_weights = log_weights.copy()
            log_weights[tail] = np.minimum(np.log(smoothed + np.exp(cutoff)), 0.0)
    return np.asarray(log_weights - special.logsumexp(log_weights)), float(k_hat)


def fit_generalised_pareto(excess: NDArray) -> tuple[float, float]:
    """Shape k and scale sigma of a generalised Pareto distribution, from excesses sorted upwards.

    The posterior mean under the prior of Zhang & Stephens (2009), with the shape drawn towards 0.5 as ten further
    observations would (Vehtari et al. 2024, appendix G).
    """
    size = len(excess)
    points = 30 + int(np.sqrt(size))
    theta = 1 - np.sqrt(points / (np.arange(1, points + 1) - 0.5))
    theta = theta / (3 * excess[int(size / 4 + 0.5) - 1]) + 1 / excess[-1]
    shapes = np.log1p(-theta[:, None] * excess).mean(axis=1)
    log_likelihood = size * (np.log(-theta / shapes) - shapes - 1)
    weights = special.softmax(log_likelihood)
    weights[weights < 10 * np.finfo(float).eps] = 0.0
    theta_mean = np.sum(theta * weights) / weights.sum()
    shape = np.log1p(-theta_mean * excess).mean()
    sigma = -shape / theta_mean
    return float((size * shape + 10 * 0.5) / (size + 10)), float(sigma)
