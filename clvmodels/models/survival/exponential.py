"""Exponential durations: customers leave at one rate, whatever their tenure."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clvmodels.models.survival.accelerated import AcceleratedModel
from clvmodels.ops import log
from clvmodels.params import Param


class Exponential(AcceleratedModel):
    """The exponential model of time: the churn rate is the same at every tenure.

    Parameters
    ----------
    covariates : str or list of str, optional
        As `AcceleratedModel` tells.
    priors : mapping of str to prior, optional
        Densities of scale and coefficients.

    Examples
    --------
    >>> Exponential.survival([0, 10, 20], scale=10).round(3)
    array([1.   , 0.368, 0.135])
    """

    params = (Param("scale", "mean lifetime; of a customer with average covariates", carries="time"),)

    @staticmethod
    def log_survival(t: Any, *, scale: Any) -> Any:
        """S(t) = exp(-t / scale), in logarithms."""
        return -t / scale

    @staticmethod
    def log_hazard(t: Any, *, scale: Any) -> Any:
        """h(t) = 1 / scale, in logarithms."""
        return 0.0 * t - log(scale)

    @staticmethod
    def inverse_log_survival(log_survival: ArrayLike, *, scale: ArrayLike) -> NDArray[np.float64]:
        """t = -scale log S."""
        return np.asarray(-np.asarray(log_survival) * np.asarray(scale))

    @staticmethod
    def _mean_residual_time(tenure: NDArray, horizon: float, *, scale: ArrayLike) -> NDArray[np.float64]:
        """The integral of exp(-u / scale) over (0, horizon), for every tenure."""
        scale = np.asarray(scale, float)
        return np.asarray(0.0 * tenure - scale * np.expm1(-horizon / scale))[()]
