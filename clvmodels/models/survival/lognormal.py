"""Log-normal durations: a churn rate that rises at first, and falls later."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from clvmodels.models.survival.accelerated import AcceleratedModel
from clvmodels.ops import log, log_ndtr, where
from clvmodels.params import Param


class LogNormal(AcceleratedModel):
    """The log-normal model of time.

    Parameters
    ----------
    covariates : str or list of str, optional
        As `AcceleratedModel` tells.
    priors : mapping of str to prior, optional
        Densities of scale, sigma and coefficients.

    Examples
    --------
    >>> LogNormal.survival([0, 10, 20], scale=10, sigma=1.2).round(3)
    array([1.   , 0.5  , 0.282])
    """

    params = (
        Param("scale", "median lifetime; of customers with average covariates", carries="time"),
        Param("sigma", "standard deviation of the logarithm of the lifetime"),
    )

    @staticmethod
    def log_survival(t: Any, *, scale: Any, sigma: Any) -> Any:
        """S(t) = Phi(-log(t / scale) / sigma), in logarithms."""
        later = where(t > 0, t, 1.0)
        return where(t > 0, log_ndtr(-log(later / scale) / sigma), 0.0)

    @staticmethod
    def log_hazard(t: Any, *, scale: Any, sigma: Any) -> Any:
        """Log of density over survival; minus infinity at t = 0."""
        later = where(t > 0, t, 1.0)
        z = log(later / scale) / sigma
        log_density = -0.5 * z**2 - log(later * sigma) - 0.5 * math.log(2 * math.pi)
        return where(t > 0, log_density - log_ndtr(-z), -math.inf)

    @staticmethod
    def inverse_log_survival(log_survival: ArrayLike, *, scale: ArrayLike, sigma: ArrayLike) -> NDArray[np.float64]:
        """t = scale exp(-sigma Phi^-1(S))."""
        z = special.ndtri_exp(np.asarray(log_survival, float))
        with np.errstate(over="ignore"):
            return np.asarray(np.asarray(scale) * np.exp(-np.asarray(sigma) * z))

    @classmethod
    def _mean_residual_time(cls, tenure: NDArray, horizon: float, **params: ArrayLike) -> NDArray[np.float64]:
        """Over all time E[T | T > tenure] - tenure, with E[T] = scale exp(sigma^2 / 2)."""
        if horizon != math.inf:
            return super()._mean_residual_time(tenure, horizon, **params)
        scale, sigma = (np.asarray(params[name], float) for name in ("scale", "sigma"))
        with np.errstate(divide="ignore", over="ignore"):
            z = np.log(tenure / scale) / sigma
            share = special.log_ndtr(sigma - z) - special.log_ndtr(-z)  # of the sum of lifetimes, against that of heads
            return np.asarray(scale * np.exp(sigma**2 / 2 + share) - tenure)[()]
