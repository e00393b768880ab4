"""The discrete Weibull: customers are alike, and change with their tenure.

References
----------
Nakagawa & Osaki (1975), The Discrete Weibull Distribution, IEEE Transactions on Reliability 24(5), 300-301.
Fader, Hardie, Liu, Davin & Steenburgh (2018), "How to Project Customer Retention" Revisited: The Role of Duration
Dependence, Journal of Interactive Marketing 43, 1-16.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clvmodels.models.survival.base import SurvivalModel
from clvmodels.ops import log1p
from clvmodels.params import Param


class DiscreteWeibull(SurvivalModel):
    """The discrete Weibull model of renewals: a churn rate that is the same for all customers of a tenure.

    Parameters
    ----------
    priors : mapping of str to prior, optional
        Densities of theta and c.

    Examples
    --------
    >>> DiscreteWeibull.survival([1, 2, 3], theta=0.374, c=0.636).round(3)
    array([0.626, 0.483, 0.39 ])
    """

    clock = "renewals"
    params = (
        Param("theta", "probability of leaving at the first renewal", upper=1.0),
        Param("c", "change with tenure: above 1 churn rises, below 1 it falls"),
    )

    @staticmethod
    def log_survival(t: Any, *, theta: Any, c: Any) -> Any:
        """S(t) = (1 - theta)^(t^c), in logarithms."""
        return t**c * log1p(-theta)

    @staticmethod
    def inverse_log_survival(log_survival: ArrayLike, *, theta: ArrayLike, c: ArrayLike) -> NDArray[np.float64]:
        """t = (log S / log(1 - theta))^(1 / c)."""
        return np.asarray((log_survival / np.log1p(-np.asarray(theta))) ** (1 / np.asarray(c)))
