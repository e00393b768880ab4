"""The shifted geometric: every customer leaves at every renewal with the same probability.

References
----------
Fader & Hardie (2007), How to Project Customer Retention, Journal of Interactive Marketing 21(1), 76-90.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clvmodels.models.survival.base import SurvivalModel
from clvmodels.ops import log1p
from clvmodels.params import Param


class ShiftedGeometric(SurvivalModel):
    """The shifted geometric model of renewals: one churn rate for all customers and all tenures.

    Parameters
    ----------
    priors : mapping of str to prior, optional
        A density of theta.

    Examples
    --------
    >>> ShiftedGeometric.survival([1, 2, 3], theta=0.1)
    array([0.9  , 0.81 , 0.729])
    """

    clock = "renewals"
    params = (Param("theta", "probability of leaving at each renewal", upper=1.0),)

    @staticmethod
    def log_survival(t: Any, *, theta: Any) -> Any:
        """S(t) = (1 - theta)^t, in logarithms."""
        return t * log1p(-theta)

    @staticmethod
    def log_retention(t: Any, *, theta: Any) -> Any:
        """r(t) = 1 - theta, in logarithms."""
        return log1p(-theta) + 0.0 * t

    @staticmethod
    def inverse_log_survival(log_survival: ArrayLike, *, theta: ArrayLike) -> NDArray[np.float64]:
        """t = log S / log(1 - theta)."""
        return np.asarray(log_survival / np.log1p(-np.asarray(theta)))

    @classmethod
    def expected_residual_lifetime(
        cls, tenure: ArrayLike, horizon: float = math.inf, **params: ArrayLike
    ) -> NDArray[np.float64]:
        """As `SurvivalModel`: over an infinite horizon 1 / theta."""
        if horizon != math.inf:
            return super().expected_residual_lifetime(tenure, horizon, **params)
        return (0.0 * np.asarray(tenure) + 1 / np.asarray(params["theta"]))[()]
