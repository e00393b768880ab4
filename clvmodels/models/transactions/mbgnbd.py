"""MBG/NBD: the BG/NBD in which a customer may also leave right after the first purchase.

References
----------
Batislam, Denizel & Filiztekin (2007), Empirical Validation and Comparison of Models for Customer Base Analysis,
International Journal of Research in Marketing 24(3), 201-209. Hoppe & Wagner (2007), Customer Base Analysis: The Case
for a Central Variant of the Betageometric/NBD Model, Marketing - Journal of Research and Management 3(2), 75-90.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from clvmodels.kernels import mbgnbd
from clvmodels.models.transactions.base import TransactionModel
from clvmodels.models.transactions.bgnbd import BGNBD
from clvmodels.ops import expit, log, log1p, log_rising, logaddexp
from clvmodels.params import Param


class MBGNBD(TransactionModel):
    """The MBG/NBD model of repeat transactions.

    While alive a customer buys at the rate lambda, and dies after each transaction with probability p, the first one at
    time 0 included; over customers lambda is Gamma(r, alpha) and p is Beta(a, b). Unlike under BG/NBD, where `p_alive`
    is 1 for whoever has not bought again, it falls for them too, the longer nothing is heard.

    Whoever survives the first chance, which a share b / (a + b) does, is a BG/NBD customer with b + 1 in place of b;
    that is how the formulas about the living are written here.

    Parameters
    ----------
    priors : mapping of str to prior, optional
        Densities of r, alpha, a, b in the user's units.

    Examples
    --------
    >>> MBGNBD.p_alive(0, 0, 38.86, r=0.525, alpha=6.183, a=0.891, b=1.614).round(4)
    np.float64(0.3897)
    """

    params = (
        Param("r", "shape of the purchase rates: small means that customers differ much"),
        Param("alpha", "inverse scale of the purchase rates; the mean rate is r / alpha", carries="time"),
        Param("a", "first shape of the dropout probabilities; their mean is a / (a + b)"),
        Param("b", "second shape of the dropout probabilities"),
    )
    kernel = staticmethod(mbgnbd.kernel)
    sums = staticmethod(mbgnbd.sums)

    @staticmethod
    def log_likelihood(x: Any, t_x: Any, T: Any, *, r: Any, alpha: Any, a: Any, b: Any) -> Any:
        """Log-likelihood of each customer.

        Two ways to have x transactions by T: still alive, after x + 1 chances to die, or dead at the last one. Both are
        kept as logarithms, since their ratio overflows for frequent buyers.
        """
        rate = log_rising(r, x) - r * log1p(T / alpha) - x * log(alpha + T)
        survived = log_rising(b, x + 1) - log_rising(a + b, x + 1)
        died = log(a) - log(b + x) + (r + x) * (log(alpha + T) - log(alpha + t_x))
        return rate + survived + logaddexp(0.0, died)

    @staticmethod
    def p_alive(x: Any, t_x: Any, T: Any, *, r: Any, alpha: Any, a: Any, b: Any) -> Any:
        """P(alive at T | x, t_x, T): the share of the likelihood in which the customer survived."""
        died = log(a) - log(b + x) + (r + x) * (log(alpha + T) - log(alpha + t_x))
        return expit(-died)

    @staticmethod
    def p_purchase_alive(t: Any, x: Any, T: Any, *, r: Any, alpha: Any, a: Any, b: Any) -> Any:
        """P(at least one transaction in (T, T + t] | alive at T, x, T)."""
        return BGNBD.p_purchase_alive(t, x, T, r=r, alpha=alpha, a=a, b=b + 1)

    @staticmethod
    def expected_transactions_alive(
        t: ArrayLike,
        x: ArrayLike,
        T: ArrayLike,
        *,
        r: ArrayLike,
        alpha: ArrayLike,
        a: ArrayLike,
        b: ArrayLike,
    ) -> NDArray[np.float64]:
        """E[transactions in (T, T + t] | alive at T, x, T]; infinite at t = inf if a <= 1.

        >>> MBGNBD.expected_transactions_new(52, r=0.525, alpha=6.183, a=0.891, b=1.614).round(3)
        np.float64(1.42)
        """
        return BGNBD.expected_transactions_alive(t, x, T, r=r, alpha=alpha, a=a, b=np.add(b, 1))

    @staticmethod
    def pmf_alive(
        n: ArrayLike,
        t: ArrayLike,
        x: ArrayLike,
        T: ArrayLike,
        *,
        r: ArrayLike,
        alpha: ArrayLike,
        a: ArrayLike,
        b: ArrayLike,
    ) -> NDArray[np.float64]:
        """P(n transactions in (T, T + t] | alive at T, x, T).

        >>> MBGNBD.pmf(0, 39, r=0.525, alpha=6.183, a=0.891, b=1.614).round(4)
        np.float64(0.5825)
        """
        return BGNBD.pmf_alive(n, t, x, T, r=r, alpha=alpha, a=a, b=np.add(b, 1))

    @staticmethod
    def survival_alive(
        t: ArrayLike,
        x: ArrayLike,
        T: ArrayLike,
        *,
        r: ArrayLike,
        alpha: ArrayLike,
        a: ArrayLike,
        b: ArrayLike,
    ) -> NDArray[np.float64]:
        """P(alive at T + t | alive at T, x, T)."""
        return BGNBD.survival_alive(t, x, T, r=r, alpha=alpha, a=a, b=np.add(b, 1))

    @staticmethod
    def latent(
        rng: np.random.Generator,
        alive: NDArray[np.bool_],
        x: NDArray,
        t_x: NDArray,
        T: NDArray,
        *,
        r: NDArray,
        alpha: NDArray,
        a: NDArray,
        b: NDArray,
    ) -> dict[str, NDArray[np.float64]]:
        """Rate and dropout probability of customers of known fate: who is dead died at the last transaction."""
        return BGNBD.latent(rng, alive, x, t_x, T, r=r, alpha=alpha, a=a, b=b + 1)

    @staticmethod
    def simulate(
        rng: np.random.Generator, T: ArrayLike, *, r: float, alpha: float, a: float, b: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """x and t_x of new customers who are observed for T, each of the shape of T."""
        stays = rng.random(np.shape(T)) < b / (a + b)
        x, t_x = BGNBD.simulate(rng, T, r=r, alpha=alpha, a=a, b=b + 1)
        return np.where(stays, x, 0), np.where(stays, t_x, 0.0)

    @staticmethod
    def simulate_future_alive(
        rng: np.random.Generator,
        t: float,
        x: NDArray,
        T: NDArray,
        *,
        r: NDArray,
        alpha: NDArray,
        a: NDArray,
        b: NDArray,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Transactions in (T, T + t] of the living: counts (M,), and their times after T, customer after customer."""
        return BGNBD.simulate_future_alive(rng, t, x, T, r=r, alpha=alpha, a=a, b=b + 1)
