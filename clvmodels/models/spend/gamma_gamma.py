"""Gamma-Gamma: what a transaction is worth, shrunk from the customer's own mean towards everybody's.

References
----------
Fader & Hardie (2013), The Gamma-Gamma Model of Monetary Value, brucehardie.com/notes/025.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from clvmodels.kernels import gamma_gamma
from clvmodels.models.spend.base import SpendModel
from clvmodels.ops import gammaln, log
from clvmodels.params import Param


class GammaGamma(SpendModel):
    """The Gamma-Gamma model of spend.

    A customer's transactions are Gamma(p, nu), and nu is Gamma(q, v) over customers; spend does not depend on how
    often a customer buys. q is above 1, else the population would have no mean.

    Parameters
    ----------
    include_first : bool
        Count the first transaction too, as `SpendModel` tells.
    priors : mapping of str to prior, optional
        Densities of p, q, v in the user's units.

    Examples
    --------
    >>> round(GammaGamma.conditional_expected_spend(2, 22.345, p=6.25, q=3.74, v=15.44), 2)
    24.66
    """

    params = (
        Param("p", "shape of a customer's transaction values: large means that they are alike"),
        Param("q", "shape of the customers' scales: large means that customers are alike", lower=1.0),
        Param("v", "inverse scale of them; the mean transaction is p v / (q - 1)", carries="money"),
    )
    kernel = staticmethod(gamma_gamma.kernel)

    @staticmethod
    def log_likelihood(x: Any, m_x: Any, *, p: Any, q: Any, v: Any) -> Any:
        """Log density of the mean m_x of x transactions (equation 1a)."""
        total = x * m_x
        return (
            gammaln(p * x + q)
            - gammaln(p * x)
            - gammaln(q)
            + q * log(v)
            + p * x * log(total)
            - log(m_x)
            - (p * x + q) * log(v + total)
        )

    @staticmethod
    def expected_spend_new(*, p: Any, q: Any, v: Any) -> Any:
        """Mean value of a transaction over the population, p v / (q - 1)."""
        return p * v / (q - 1)

    @staticmethod
    def conditional_expected_spend(x: Any, m_x: Any, *, p: Any, q: Any, v: Any) -> Any:
        """Mean value of a future transaction, p (v + x m_x) / (p x + q - 1) (equation 5); x = 0: the population's."""
        return p * (v + x * m_x) / (p * x + q - 1)

    @staticmethod
    def simulate(rng: np.random.Generator, x: NDArray, *, p: float, q: float, v: float) -> NDArray[np.float64]:
        """Mean of x transactions of new customers, 0 where x is 0."""
        nu = rng.gamma(q, 1 / v, x.shape)
        return np.where(x > 0, rng.gamma(p * np.maximum(x, 1)) / (nu * np.maximum(x, 1)), 0.0)

    @staticmethod
    def simulate_latent(
        rng: np.random.Generator, x: NDArray, m_x: NDArray, *, p: NDArray, q: NDArray, v: NDArray
    ) -> dict[str, NDArray[np.float64]]:
        """A customer's own mean p / nu, with nu Gamma(p x + q, v + x m_x) given the past: `mean_spend`, (S, N)."""
        return {"mean_spend": p * (v + x * m_x) / rng.standard_gamma(p * x + q)}

    @staticmethod
    def simulate_future(
        rng: np.random.Generator, x: NDArray, m_x: NDArray, counts: NDArray, *, p: NDArray, q: NDArray, v: NDArray
    ) -> NDArray[np.float64]:
        """Values of future transactions, `counts` (S, N) of them, cell after cell.

        Given the past nu is Gamma(p x + q, v + x m_x), one for all transactions of a cell.
        """
        buying = counts > 0
        repeats = counts[buying]
        shape = np.broadcast_to(p * x + q, counts.shape)[buying]
        scale = np.broadcast_to(v + x * m_x, counts.shape)[buying] / rng.standard_gamma(shape)
        spread = np.repeat(np.broadcast_to(p, counts.shape)[buying], repeats)
        return np.asarray(rng.standard_gamma(spread) * np.repeat(scale, repeats))
