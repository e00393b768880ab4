"""BG/NBD: purchases at a constant rate, and after each a chance to have been the last.

References
----------
Fader, Hardie & Lee (2005), "Counting Your Customers" the Easy Way: An Alternative to the Pareto/NBD Model, Marketing
Science 24(2), 275-284.
"""

from __future__ import annotations

import warnings
from typing import Any, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from clvmodels.data.summary import Summary
from clvmodels.errors import AssumptionWarning
from clvmodels.inference.bayes import Sampling
from clvmodels.kernels import bgnbd
from clvmodels.models.base import Method
from clvmodels.models.fit import Fit
from clvmodels.models.transactions.base import TransactionModel
from clvmodels.models.transactions.counts import log_negative_binomial, over_counts
from clvmodels.models.transactions.interpolation import over_time
from clvmodels.ops import expit, expm1, log, log1p, log_beta_ratio, log_rising, logaddexp, maximum, where
from clvmodels.params import Param
from clvmodels.quadrature import beta_nodes


class BGNBD(TransactionModel):
    """The BG/NBD model of repeat transactions.

    While alive a customer buys at the rate lambda, and dies after each repeat transaction with probability p; over
    customers lambda is Gamma(r, alpha) and p is Beta(a, b). Whoever has not bought again cannot have died, so
    `p_alive` is 1 for them by assumption.

    Parameters
    ----------
    priors : mapping of str to prior, optional
        Densities of r, alpha, a, b in the user's units.

    Examples
    --------
    >>> BGNBD.p_alive(2, 30.43, 38.86, r=0.243, alpha=4.414, a=0.793, b=2.426).round(4)
    np.float64(0.7266)
    """

    params = (
        Param("r", "shape of the purchase rates: small means that customers differ much"),
        Param("alpha", "inverse scale of the purchase rates; the mean rate is r / alpha", carries="time"),
        Param("a", "first shape of the dropout probabilities; their mean is a / (a + b)"),
        Param("b", "second shape of the dropout probabilities"),
    )

    kernel = staticmethod(bgnbd.kernel)
    sums = staticmethod(bgnbd.sums)

    def fit(self, data: Summary, method: Method = "ml", seed: int | None = None, **sampling: Unpack[Sampling]) -> Fit:
        """Estimate the parameters, as `Model.fit`; says for how many customers `p_alive` is 1 by assumption."""
        fit = super().fit(data, method, seed, **sampling)
        silent = float((data.table["frequency"] == 0).mean())
        if silent:
            warnings.warn(
                f"BG/NBD assumes that whoever has not bought again is still a customer: p_alive is 1 for "
                f"{silent:.1%} of the customers",
                AssumptionWarning,
                stacklevel=2,
            )
        return fit

    @staticmethod
    def log_likelihood(x: Any, t_x: Any, T: Any, *, r: Any, alpha: Any, a: Any, b: Any) -> Any:
        """Log-likelihood of each customer (equation 6, in logarithms).

        Two ways to have x transactions by T: still alive, or dead at the last one. Both are kept as logarithms, since
        their ratio overflows for frequent buyers.
        """
        rate = log_rising(r, x) - r * log1p(T / alpha) - x * log(alpha + T)
        survived = log_rising(b, x) - log_rising(a + b, x)
        # x = 0: no transaction yet, so no chance to drop out. max(x, 1) keeps that unused branch finite.
        died = log(a) - log(b + maximum(x, 1) - 1) + (r + x) * (log(alpha + T) - log(alpha + t_x))
        return rate + survived + where(x > 0, logaddexp(0.0, died), 0.0)

    @staticmethod
    def p_alive(x: Any, t_x: Any, T: Any, *, r: Any, alpha: Any, a: Any, b: Any) -> Any:
        """P(alive at T | x, t_x, T): the share of the likelihood in which the customer survived."""
        died = log(a) - log(b + maximum(x, 1) - 1) + (r + x) * (log(alpha + T) - log(alpha + t_x))
        return where(x > 0, expit(-died), 1.0)

    @staticmethod
    def p_purchase_alive(t: Any, x: Any, T: Any, *, r: Any, alpha: Any, a: Any, b: Any) -> Any:
        """P(at least one transaction in (T, T + t] | alive at T, x, T).

        Who is alive dies only after a transaction, so the next one comes at a Gamma(r + x, alpha + T) rate.
        """
        return -expm1(-(r + x) * log1p(t / (alpha + T)))

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
        """E[transactions in (T, T + t] | alive at T, x, T]: equation 10 without its P(alive).

        The paper's closed form is 0/0 at a = 1 and cancels or overflows in many other places. Here its integral over
        the dropout probability is computed, all of whose terms are positive: relative error below 1e-10. Over an
        infinite t it is the mean of 1/p: (a + b + x - 1) / (a - 1), or infinite if a <= 1. At x = T = 0 it is E[X(t)]
        of a new customer (equation 9).

        >>> BGNBD.expected_transactions_new(52, r=0.2425967, alpha=4.413659, a=0.7929869, b=2.426164).round(6)
        np.float64(1.444004)
        >>> BGNBD.conditional_expected_transactions(39, 2, 30.43, 38.86, r=.243, alpha=4.414, a=.793, b=2.426).round(3)
        np.float64(1.226)
        """
        return _expected_while_alive(t, x, T, r, alpha, a, b)[()]

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
        """P(n transactions in (T, T + t] | alive at T, x, T): equation 8, all of whose terms are positive.

        Given alive the rate is Gamma(r + x, alpha + T) and the dropout probability Beta(a, b + x), as if the customer
        were new with these parameters.

        >>> BGNBD.pmf(0, 39, r=0.243, alpha=4.414, a=0.793, b=2.426).round(7)
        np.float64(0.5737864)
        """
        return over_counts(n, _counts_while_alive, t, np.add(r, x), np.add(alpha, T), a, np.add(b, x))

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
        """P(alive at T + t | alive at T, x, T).

        A customer dies at most once, so P(dead) is the expected number of deaths: of transactions, each times its p.
        That is E[p] times the expected transactions under Beta(a + 1, b + x). The absolute error is below 1e-10.

        >>> BGNBD.survival_alive(39, 0, 0, r=0.243, alpha=4.414, a=0.793, b=2.426).round(4)
        np.float64(0.7944)
        """
        share = np.divide(a, np.add(a, b) + x)
        deaths = share * _expected_while_alive(t, x, T, r, alpha, np.add(a, 1.0), b)
        return np.clip(1.0 - deaths, 0.0, 1.0)[()]

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
        return {
            "purchase_rate": rng.standard_gamma(r + x) / (alpha + np.where(alive, T, t_x)),
            "dropout_probability": rng.beta(np.where(alive, a, a + 1), np.where(alive, b + x, b + x - 1)),
        }

    @staticmethod
    def simulate(
        rng: np.random.Generator, T: ArrayLike, *, r: float, alpha: float, a: float, b: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """x and t_x of new customers who are observed for T, each of the shape of T."""
        T = np.asarray(T, float)
        rate = rng.gamma(r, 1 / alpha, T.shape)
        count, by_chance = _purchases(rng, rate * T, rng.beta(a, b, T.shape))
        # The last of `count` transactions is the `count`-th of all that would have come by chance.
        order = np.maximum(count, 1)
        last = T * rng.beta(order, np.maximum(by_chance, 1) - order + 1)
        return count, np.where(count > 0, last, 0.0)

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
        rate = rng.standard_gamma(r + x) * (t / (alpha + T))
        dropout = rng.beta(a, b + x)
        count, by_chance = _purchases(rng, rate, dropout)
        # Given when the last one came, those before it are spread evenly up to it; if death did not cut the row
        # short, all of them are spread evenly over the period.
        cut = count < by_chance
        end = np.full(len(count), t, float)
        end[cut] = t * rng.beta(count[cut], by_chance[cut] - count[cut] + 1.0)
        times = np.repeat(end, count) * rng.random(int(count.sum()))
        times[(np.cumsum(count) - 1)[cut]] = end[cut]
        return count, times


def _counts_while_alive(
    first: NDArray, number: int, t: NDArray, r: NDArray, alpha: NDArray, a: NDArray, b: NDArray
) -> NDArray[np.float64]:
    """Equation 8 for consecutive counts: alive after n transactions, or dead at the n-th, however many were due."""
    share = t / (alpha + t)
    survived = [np.exp(log_beta_ratio(a, b, first))]
    due = [np.exp(log_negative_binomial(first, t, r, alpha))]
    for n in first + np.arange(1.0, number).reshape(-1, *[1] * np.ndim(first)):
        survived.append(survived[-1] * ((b + n - 1) / (a + b + n - 1)))
        due.append(due[-1] * ((r + n - 1) / n * share))
    at_least = special.betainc(first + number, r, share)
    found = [np.empty(0)] * number
    for k in reversed(range(number)):
        n = first + k
        at_least = at_least + due[k]
        died = np.where(n > 0, a / (b + np.maximum(n, 1) - 1) * at_least, 0.0)
        found[k] = survived[k] * (due[k] + died)
    return np.stack(found)


def _purchases(
    rng: np.random.Generator, mean: NDArray, dropout: NDArray
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Transactions until the end of the period or death, and how many chance would have brought without death."""
    by_chance = rng.poisson(mean)
    with np.errstate(divide="ignore", over="ignore"):  # who hardly ever drops out outlives any period
        until_death = 1 + np.floor(rng.standard_exponential(mean.shape) / -np.log1p(-dropout))
    return np.fmin(by_chance, until_death).astype(np.int64), by_chance


def _expected_while_alive(
    t: ArrayLike, x: ArrayLike, T: ArrayLike, r: ArrayLike, alpha: ArrayLike, a: ArrayLike, b: ArrayLike
) -> NDArray[np.float64]:
    """E[transactions in (T, T + t] | alive at T, x, T], the mean over the dropout probability p ~ Beta(a, b + x).

    Given p it is (1 - (1 + p tau)^-(r + x)) / p with tau = t / (alpha + T). The beta depends on the parameters and on x
    alone, so its nodes are made once for each distinct x. The mean is computed for each distinct (x, T, t) or, where
    there are many T to a time, for some T between which it is interpolated.
    """
    arguments = [np.asarray(value, float) for value in (t, x, T, r, alpha, a, b)]
    if (endless := np.isinf(arguments[0])).any():
        _, x, *_, a, b = arguments
        with np.errstate(divide="ignore"):
            ever = np.where(a > 1, (a + b + x - 1) / (a - 1), np.inf)
        return np.where(endless, ever, _expected_while_alive(np.where(endless, 0.0, t), x, T, r, alpha, a, b))
    shape = np.broadcast_shapes(*(value.shape for value in arguments))
    shared = all(value.ndim <= 1 for value in arguments[:3])
    by_draw = all(value.ndim == 0 or (value.ndim == 2 and value.shape[1] == 1) for value in arguments[3:])
    if not (shared and by_draw):  # parameters that differ between customers: each cell is a draw of its own
        flat = [np.broadcast_to(value, shape).reshape(-1, 1) for value in arguments]
        parts = []
        for start in range(0, len(flat[0]), 4096):
            t, x, T, r, alpha, a, b = (value[start : start + 4096] for value in flat)
            parts.append(_mean_over_dropout(t / (alpha + T), r + x, a, b + x))
        return np.concatenate(parts).reshape(shape)
    t, x, T = (np.atleast_1d(value) for value in np.broadcast_arrays(*arguments[:3]))
    r, alpha, a, b = (value.reshape(-1, 1) for value in arguments[3:])
    result = np.empty((max(len(value) for value in (r, alpha, a, b)), len(x)))
    smallest = float(alpha.min())
    for level in np.unique(x):
        columns = np.flatnonzero(x == level)
        times, at_time = np.unique(t[columns], return_inverse=True)
        spans, at_span = np.unique(T[columns], return_inverse=True)
        nodes, matrix = over_time(spans, smallest)
        if times[0] > 0 and len(times) * len(nodes) < len(columns):
            tau = (times[:, None] / (alpha[:, :, None] + nodes)).reshape(len(alpha), -1)
            mean = _mean_over_dropout(tau, r + level, a, b + level).reshape(-1, len(times), len(nodes))
            result[:, columns] = np.exp(np.log(mean) @ matrix)[:, at_time, at_span]
        else:
            pairs, back = np.unique(np.stack([t[columns], T[columns]]), axis=1, return_inverse=True)
            mean = _mean_over_dropout(pairs[0] / (alpha + pairs[1]), r + level, a, b + level)
            result[:, columns] = mean[:, back.ravel()]
    return result.reshape(shape)


def _mean_over_dropout(tau: NDArray, shape: NDArray, a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """E[(1 - (1 + p tau)^-shape) / p] for p ~ Beta(a, b): tau (S, M), the others (S, 1)."""
    # The integrand bends from shape x tau to 1/p around p = 1 / (shape x tau).
    bend = -np.log(shape * np.maximum(tau.max(axis=1, keepdims=True), 1e-300))
    p, weights = (part.squeeze(axis=1) for part in beta_nodes(a, b, bend))
    weights = -weights / p
    mean, work = np.empty((len(p), tau.shape[1])), np.empty_like(p)
    for j in range(tau.shape[1]):  # in one buffer, which stays in the cache
        np.log1p(np.multiply(p, tau[:, [j]], out=work), out=work)
        np.expm1(np.multiply(work, -shape, out=work), out=work)
        np.einsum("sn,sn->s", work, weights, out=mean[:, j])
    return mean
