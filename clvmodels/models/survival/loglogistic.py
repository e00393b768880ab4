"""Log-logistic durations: the odds of having left are a power of the tenure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from clvmodels.models.survival.accelerated import AcceleratedModel
from clvmodels.ops import log, logaddexp, where
from clvmodels.params import Param


class LogLogistic(AcceleratedModel):
    """The log-logistic model of time.

    The odds of having left are (t / scale)^shape. The mean lifetime is infinite unless the shape is above 1.

    Parameters
    ----------
    covariates : str or list of str, optional
        As `AcceleratedModel` tells.
    priors : mapping of str to prior, optional
        Densities of scale, shape and coefficients.

    Examples
    --------
    >>> LogLogistic.survival([0, 10, 20], scale=10, shape=1.5).round(3)
    array([1.   , 0.5  , 0.261])
    """

    params = (
        Param("scale", "median lifetime; of customers with average covariates", carries="time"),
        Param("shape", "how alike lifetimes are: large means alike; churn rises at first if it is above 1"),
    )

    @staticmethod
    def log_survival(t: Any, *, scale: Any, shape: Any) -> Any:
        """S(t) = 1 / (1 + (t / scale)^shape), in logarithms."""
        later = where(t > 0, t, 1.0)
        return where(t > 0, -logaddexp(0.0, shape * log(later / scale)), 0.0)

    @staticmethod
    def log_hazard(t: Any, *, scale: Any, shape: Any) -> Any:
        """h(t) = shape / scale (t / scale)^(shape - 1) S(t), in logarithms; at t = 0 its limit."""
        later = where(t > 0, t, 1.0)
        log_ratio = log(later / scale)
        start = where(shape > 1, -math.inf, where(shape < 1, math.inf, 0.0))
        return log(shape / scale) + where(t > 0, (shape - 1) * log_ratio - logaddexp(0.0, shape * log_ratio), start)

    @staticmethod
    def inverse_log_survival(log_survival: ArrayLike, *, scale: ArrayLike, shape: ArrayLike) -> NDArray[np.float64]:
        """t = scale (1 / S - 1)^(1 / shape)."""
        lost = -np.asarray(log_survival, float)
        with np.errstate(divide="ignore", over="ignore"):
            log_odds = lost + np.log(-np.expm1(-lost))
            return np.asarray(np.asarray(scale) * np.exp(log_odds / np.asarray(shape)))

    @classmethod
    def _mean_residual_time(cls, tenure: NDArray, horizon: float, **params: ArrayLike) -> NDArray[np.float64]:
        """Over all time scale / shape B(S(tenure); 1 - 1 / shape, 1 / shape) / S(tenure), B the incomplete beta."""
        if horizon != math.inf:
            return super()._mean_residual_time(tenure, horizon, **params)
        scale, shape = (np.asarray(params[name], float) for name in ("scale", "shape"))
        log_survival = cls.log_survival(tenure, **params)
        power = 1 / np.where(shape > 1, shape, 2.0)
        left, gone = np.exp(np.maximum(log_survival, -600.0)), -np.expm1(log_survival)
        share = np.where(  # of the whole beta function: by what is lacking where S is close to 1
            gone < 0.5, special.betaincc(power, 1 - power, gone), special.betainc(1 - power, power, left)
        )
        mean = scale * power * share * special.beta(1 - power, power) / left
        # Further out S(t) is a power of t to the last digit.
        mean = np.where(log_survival > -600, mean, tenure * power / (1 - power))
        return np.where(shape > 1, mean, np.inf)[()]
