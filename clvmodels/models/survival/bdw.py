"""BdW, the beta-discrete-Weibull: customers differ, and change with their tenure.

References
----------
Fader, Hardie, Liu, Davin & Steenburgh (2018), "How to Project Customer Retention" Revisited: The Role of Duration
Dependence, Journal of Interactive Marketing 43, 1-16.
"""

from __future__ import annotations

import math
import warnings
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from clvmodels.errors import AssumptionWarning
from clvmodels.inference.bayes import Sampling
from clvmodels.models.base import Method
from clvmodels.models.fit import Fit
from clvmodels.models.survival.base import SurvivalModel
from clvmodels.models.survival.mixture import MixtureFit
from clvmodels.ops import log_beta_ratio
from clvmodels.params import Param

# Gain in log-likelihood over one churn rate that chance alone reaches once in ten (chi-square, by parameters).
_LIKELY = {2: 1.35, 3: 2.3}


class BdW(SurvivalModel):
    """The beta-discrete-Weibull model of renewals.

    A customer is still there after t renewals with probability (1 - theta)^(t^c); over customers theta is Beta(gamma,
    delta). c > 1: a customer leaves the more easily the longer he stays; c < 1: the less easily; c = 1 is `SBG`.

    Parameters
    ----------
    priors : mapping of str to prior, optional
        Densities of gamma, delta and c.

    Examples
    --------
    >>> BdW.survival([1, 2, 3], gamma=0.523, delta=0.894, c=1.196).round(3)
    array([0.631, 0.468, 0.381])
    """

    clock = "renewals"
    results = MixtureFit
    params = (
        Param("gamma", "first shape of the probabilities of leaving at the first renewal"),
        Param("delta", "second shape of them; their mean is gamma / (gamma + delta)", carries="renewals"),
        Param("c", "change with tenure: above 1 a customer leaves more easily with time, below 1 less"),
    )

    def fit(self, data: Any, method: Method = "ml", seed: int | None = None, **sampling: Unpack[Sampling]) -> Fit:
        """Estimate the parameters, as `Model.fit`; says where one churn rate for all customers fits as well."""
        return told_apart(super().fit(data, method, seed, **sampling))

    @staticmethod
    def log_survival(t: Any, *, gamma: Any, delta: Any, c: Any) -> Any:
        """S(t) = B(gamma, delta + t^c) / B(gamma, delta), in logarithms (equation 7)."""
        return log_beta_ratio(gamma, delta, t**c)

    @staticmethod
    def log_retention(t: Any, *, gamma: Any, delta: Any, c: Any) -> Any:
        """r(t) = B(gamma, delta + t^c) / B(gamma, delta + (t - 1)^c), in logarithms."""
        before = (t - 1) ** c
        return log_beta_ratio(gamma, delta + before, t**c - before)

    @classmethod
    def expected_residual_lifetime(
        cls, tenure: ArrayLike, horizon: float = math.inf, **params: ArrayLike
    ) -> NDArray[np.float64]:
        """As `SurvivalModel`: over an infinite horizon finite if gamma c > 1."""
        mean = super().expected_residual_lifetime(tenure, horizon, **params)
        if horizon != math.inf:
            return mean
        return np.where(np.asarray(params["gamma"]) * np.asarray(params["c"]) > 1, mean, np.inf)[()]

    @staticmethod
    def simulate(
        rng: np.random.Generator, tenure: NDArray, *, gamma: NDArray, delta: NDArray, c: NDArray
    ) -> NDArray[np.float64]:
        """As `SurvivalModel`: a theta of customers who have come so far, then the renewal at which they leave."""
        return renewal_of_leaving(rng, np.asarray(tenure, float), gamma, delta, c)

    @staticmethod
    def simulate_latent(
        rng: np.random.Generator, tenure: NDArray, *, gamma: NDArray, delta: NDArray, c: NDArray
    ) -> dict[str, NDArray[np.float64]]:
        """As `MixtureFit.latent_draws`: the theta of customers who have come so far."""
        return {"churn_probability": churn_probability(rng, tenure, gamma, delta, c)}


def renewal_of_leaving(
    rng: np.random.Generator, tenure: NDArray, a: NDArray, b: NDArray, c: NDArray | float
) -> NDArray[np.float64]:
    """The renewal at which customers of a tenure leave, (S, N): theta is Beta(a, b) and S(t) is (1 - theta)^(t^c)."""
    theta = churn_probability(rng, tenure, a, b, c)
    with np.errstate(divide="ignore"):  # theta may be too small for a double: who never leaves
        further = rng.standard_exponential(theta.shape) / -np.log1p(-theta)
    with np.errstate(over="ignore"):
        return np.maximum(np.ceil((tenure**c + further) ** (1 / np.asarray(c))), tenure + 1)


def churn_probability(
    rng: np.random.Generator, tenure: NDArray, a: NDArray, b: NDArray, c: NDArray | float
) -> NDArray[np.float64]:
    """The theta of customers of a tenure, (S, N), as in `renewal_of_leaving`: Beta(a, b + tenure^c)."""
    shape = np.broadcast_shapes(tenure.shape, np.shape(a), np.shape(b), np.shape(c))
    return rng.beta(np.broadcast_to(a, shape), b + tenure**c)


def told_apart(fit: Fit) -> Fit:
    """The fit, after saying so if the data do not tell its customers, who differ, from customers who are all alike."""
    t, event, entry = fit.rows.columns  # type: ignore[union-attr]
    weights = fit.rows.weights  # type: ignore[union-attr]
    endings, renewals = event @ weights, (t - entry) @ weights
    alike = special.xlogy(endings, endings / renewals) + special.xlogy(renewals - endings, 1 - endings / renewals)
    gain, name = fit.log_likelihood - alike, type(fit.model).__name__
    if gain < _LIKELY[len(fit.model.params)] and not fit.optimum.problems:  # which say that it is flat
        warnings.warn(
            f"{name} fits hardly better than one churn rate for all customers (log-likelihood {gain:+.1f} against "
            "ShiftedGeometric): the data do not tell that customers differ, and if they do not, far horizons and their "
            "intervals come out too high; compare with ShiftedGeometric",
            AssumptionWarning,
            stacklevel=3,
        )
    return fit
