"""Weibull durations: a churn rate that rises or falls with tenure as a power of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from clvmodels.models.survival.accelerated import AcceleratedModel
from clvmodels.ops import log, where
from clvmodels.params import Param

_FAR = 100.0


class Weibull(AcceleratedModel):
    """The Weibull model of time.

    Parameters
    ----------
    covariates : str or list of str, optional
        As `AcceleratedModel` tells.
    priors : mapping of str to prior, optional
        Densities of scale, shape and coefficients.

    Examples
    --------
    >>> Weibull.survival([0, 10, 20], scale=10, shape=0.8).round(3)
    array([1.   , 0.368, 0.175])
    """

    params = (
        Param("scale", "tenure that 37 % reach; of customers with average covariates", carries="time"),
        Param("shape", "change with tenure: above 1 churn rises, below 1 it falls"),
    )

    @staticmethod
    def log_survival(t: Any, *, scale: Any, shape: Any) -> Any:
        """S(t) = exp(-(t / scale)^shape), in logarithms."""
        return -((t / scale) ** shape)

    @staticmethod
    def log_hazard(t: Any, *, scale: Any, shape: Any) -> Any:
        """h(t) = shape / scale (t / scale)^(shape - 1), in logarithms; at t = 0 its limit."""
        later = where(t > 0, t, 1.0)
        start = where(shape > 1, -math.inf, where(shape < 1, math.inf, 0.0))
        return log(shape / scale) + where(t > 0, (shape - 1) * log(later / scale), start)

    @staticmethod
    def inverse_log_survival(log_survival: ArrayLike, *, scale: ArrayLike, shape: ArrayLike) -> NDArray[np.float64]:
        """t = scale (-log S)^(1 / shape)."""
        return np.asarray(np.asarray(scale) * (-np.asarray(log_survival)) ** (1 / np.asarray(shape)))

    @classmethod
    def _mean_residual_time(cls, tenure: NDArray, horizon: float, **params: ArrayLike) -> NDArray[np.float64]:
        """Over all time an incomplete gamma function, scale / shape exp(a) Gamma(1 / shape, a), a = -log S(tenure)."""
        if horizon != math.inf:
            return super()._mean_residual_time(tenure, horizon, **params)
        lost = -cls.log_survival(tenure, **params)
        scale, power = np.asarray(params["scale"], float), 1 / np.asarray(params["shape"], float)
        near = np.minimum(lost, _FAR)
        with np.errstate(over="ignore"):
            log_gamma = special.gammaln(power) + np.log(special.gammaincc(power, near))
            mean = scale * power * np.exp(near + log_gamma)
        if (far := lost > _FAR).any():  # where the gamma function is next to 0 the integrand bends so little
            mean = np.where(far, super()._mean_residual_time(tenure, horizon, **params), mean)
        return np.asarray(mean)[()]
