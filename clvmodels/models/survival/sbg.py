"""sBG, the shifted beta-geometric: at each renewal a customer leaves with a probability of his own.

References
----------
Fader & Hardie (2007), How to Project Customer Retention, Journal of Interactive Marketing 21(1), 76-90.
"""

from __future__ import annotations

import math
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clvmodels.inference.bayes import Sampling
from clvmodels.models.base import Method
from clvmodels.models.fit import Fit
from clvmodels.models.survival.base import SurvivalModel
from clvmodels.models.survival.bdw import churn_probability, renewal_of_leaving, told_apart
from clvmodels.models.survival.mixture import MixtureFit
from clvmodels.ops import log1p, log_beta_ratio
from clvmodels.params import Param


class SBG(SurvivalModel):
    """The shifted beta-geometric model of renewals.

    At each renewal a customer leaves with probability theta, the same all along; over customers theta is Beta(alpha,
    beta). Retention rises with tenure because those who leave easily are gone, not because anyone changes.

    Parameters
    ----------
    priors : mapping of str to prior, optional
        Densities of alpha and beta.

    Examples
    --------
    >>> SBG.survival([1, 2, 3], alpha=0.668, beta=3.806).round(3)
    array([0.851, 0.747, 0.67 ])
    """

    clock = "renewals"
    results = MixtureFit
    params = (
        Param("alpha", "first shape of the churn probabilities; their mean is alpha / (alpha + beta)"),
        Param("beta", "second shape of the churn probabilities", carries="renewals"),
    )

    def fit(self, data: Any, method: Method = "ml", seed: int | None = None, **sampling: Unpack[Sampling]) -> Fit:
        """Estimate the parameters, as `Model.fit`; says where one churn rate for all customers fits as well."""
        return told_apart(super().fit(data, method, seed, **sampling))

    @staticmethod
    def log_survival(t: Any, *, alpha: Any, beta: Any) -> Any:
        """Log of equation 6: S(t) = B(alpha, beta + t) / B(alpha, beta)."""
        return log_beta_ratio(alpha, beta, t)

    @staticmethod
    def log_retention(t: Any, *, alpha: Any, beta: Any) -> Any:
        """Log of equation 8: r(t) = (beta + t - 1) / (alpha + beta + t - 1)."""
        return -log1p(alpha / (beta + t - 1))

    @classmethod
    def expected_residual_lifetime(
        cls, tenure: ArrayLike, horizon: float = math.inf, **params: ArrayLike
    ) -> NDArray[np.float64]:
        """As `SurvivalModel`: over an infinite horizon (alpha + beta + tenure - 1) / (alpha - 1), if alpha > 1."""
        if horizon != math.inf:
            return super().expected_residual_lifetime(tenure, horizon, **params)
        alpha, beta = (np.asarray(params[name], float) for name in ("alpha", "beta"))
        with np.errstate(divide="ignore"):
            return np.where(alpha > 1, (alpha + beta + np.asarray(tenure, float) - 1) / (alpha - 1), np.inf)[()]

    @staticmethod
    def simulate(rng: np.random.Generator, tenure: NDArray, *, alpha: NDArray, beta: NDArray) -> NDArray[np.float64]:
        """As `SurvivalModel`: a theta of customers who have come so far, then a geometric number of renewals."""
        return renewal_of_leaving(rng, np.asarray(tenure, float), alpha, beta, 1.0)

    @staticmethod
    def simulate_latent(
        rng: np.random.Generator, tenure: NDArray, *, alpha: NDArray, beta: NDArray
    ) -> dict[str, NDArray[np.float64]]:
        """As `MixtureFit.latent_draws`: the theta of customers who have come so far, Beta(alpha, beta + tenure)."""
        return {"churn_probability": churn_probability(rng, tenure, alpha, beta, 1.0)}
