"""Pareto/NBD: purchases at a constant rate, until the customer leaves unseen, at any time.

References
----------
Schmittlein, Morrison & Colombo (1987), Counting Your Customers: Who Are They and What Will They Do Next?, Management
Science 33(1), 1-24. Fader & Hardie (2005), A Note on Deriving the Pareto/NBD Model and Related Expressions, note 009.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from clvmodels.models.base import Rows
from clvmodels.models.transactions.base import TransactionModel
from clvmodels.ops import exp, expm1, is_tensor, log, log1mexp, log1p, log_rising, logaddexp, maximum, minimum, where
from clvmodels.params import Param

_CELLS = 100_000  # of draws x rows x nodes, computed at once: as many as stay in a processor's cache
_TENSOR_NODES = 128  # a tensor has no value to choose by
_HALF = 0.6931471805599453  # where exp(-y) is a half


class ParetoNBD(TransactionModel):
    """The Pareto/NBD model of repeat transactions.

    While alive a customer buys at the rate lambda, and dies at the rate mu, whether he buys or not; over customers
    lambda is Gamma(r, alpha) and mu is Gamma(s, beta), independent of each other. Unlike under BG/NBD, where customers
    leave after a repeat transaction only and `p_alive` is 1 for whoever has not bought again, it falls for them too,
    the longer nothing is heard.

    Parameters
    ----------
    priors : mapping of str to prior, optional
        Densities of r, alpha, s, beta in the user's units.

    Examples
    --------
    >>> ParetoNBD.p_alive(26, 30.857, 31, r=0.5533, alpha=10.578, s=0.6062, beta=11.669).round(4)
    np.float64(0.9979)
    """

    params = (
        Param("r", "shape of the purchase rates: small means that customers differ much"),
        Param("alpha", "inverse scale of the purchase rates; the mean rate is r / alpha", carries="time"),
        Param("s", "shape of the dropout rates: small means that customers differ much"),
        Param("beta", "inverse scale of the dropout rates; the mean rate is s / beta", carries="time"),
    )

    @staticmethod
    def log_likelihood(x: Any, t_x: Any, T: Any, *, r: Any, alpha: Any, s: Any, beta: Any) -> Any:
        """Log-likelihood of each customer.

        The papers' closed form is a difference of two hypergeometric functions, which overflows or cancels for frequent
        buyers. By parts it is a sum of two integrals whose terms are all positive: x transactions and death at any time
        u after t_x, or x + 1 of which the next comes at u after T, and death later. Both are kept as logarithms.
        """
        return log_rising(r, x) + r * log(alpha) + s * log(beta) + _log_sum(x, t_x, T, r, alpha, s, beta)

    @staticmethod
    def p_alive(x: Any, t_x: Any, T: Any, *, r: Any, alpha: Any, s: Any, beta: Any) -> Any:
        """P(alive at T | x, t_x, T): the share of the likelihood in which the customer lives at T."""
        alive = -(r + x) * log(alpha + T) - s * log(beta + T)
        return exp(minimum(alive - _log_sum(x, t_x, T, r, alpha, s, beta), 0.0))

    @staticmethod
    def p_purchase_alive(t: Any, x: Any, T: Any, *, r: Any, alpha: Any, s: Any, beta: Any) -> Any:
        """P(at least one transaction in (T, T + t] | alive at T, x, T).

        Given alive lambda is Gamma(r + x, alpha + T) and mu is Gamma(s, beta + T), independent of each other: the mean
        of lambda / (lambda + mu) (1 - exp(-(lambda + mu) t)), as an integral over the time of the next transaction.
        """
        none_yet = log(r + x) + (r + x) * log(alpha + T) + s * log(beta + T)
        return exp(minimum(none_yet + _log_integral(x, T, t, r + 1, alpha, s, beta), 0.0))

    @staticmethod
    def expected_transactions_alive(
        t: ArrayLike,
        x: ArrayLike,
        T: ArrayLike,
        *,
        r: ArrayLike,
        alpha: ArrayLike,
        s: ArrayLike,
        beta: ArrayLike,
    ) -> NDArray[np.float64]:
        """E[transactions in (T, T + t] | alive at T, x, T]: the mean rate times the mean lifetime within t.

        The papers' closed form is 0/0 at s = 1; here it is written so that it has its limit there. Infinite at t = inf
        if s <= 1. At x = T = 0 it is E[X(t)] of a new customer.

        >>> ParetoNBD.expected_transactions_new(52, r=0.5534, alpha=10.5802, s=0.6061, beta=11.6562).round(4)
        np.float64(1.4734)
        """
        t, x, T, r, alpha, s, beta = (np.asarray(value, float) for value in (t, x, T, r, alpha, s, beta))
        with np.errstate(divide="ignore"):
            ever = np.where(s > 1, 1 / np.maximum(s - 1, 0.0), np.inf)
        endless = np.isinf(t)
        span = np.log1p(np.where(endless, 0.0, t) / (beta + T))
        lifetime = (beta + T) * np.where(endless, ever, span * special.exprel(-(s - 1) * span))
        return np.asarray((r + x) / (alpha + T) * lifetime)[()]

    @staticmethod
    def pmf(
        n: ArrayLike, t: ArrayLike, *, r: ArrayLike, alpha: ArrayLike, s: ArrayLike, beta: ArrayLike
    ) -> NDArray[np.float64]:
        """P(X(t) = n) of a new customer: alive at t with n transactions, or dead before with as many.

        >>> ParetoNBD.pmf(0, 39, r=0.5533, alpha=10.578, s=0.6062, beta=11.669).round(4)
        np.float64(0.5924)
        """
        n, t, r, alpha, s, beta = (np.asarray(value, float)[..., None] for value in (n, t, r, alpha, s, beta))
        # In v = u / (alpha + u), with u the time of death, the integrand is smooth and its terms are positive.
        y, log_weight = _nodes(_TENSOR_NODES)
        reach = t / (alpha + t)
        v, rest = reach * -np.expm1(-y), (alpha + t * np.exp(-y)) / (alpha + t)
        at_death = np.log(beta * rest + alpha * v)
        with np.errstate(divide="ignore"):
            counts = special.gammaln(r + n) - special.gammaln(r) - special.gammaln(n + 1) + special.xlogy(n, v / reach)
            dead = log_weight + (r + s - 1) * np.log(rest) + np.log(alpha * s * reach) + s * np.log(beta)
        dead = np.exp(counts + special.xlogy(n, reach) + dead - (s + 1) * at_death).sum(axis=-1, keepdims=True)
        alive = counts[..., :1] - special.xlogy(n, (v / reach)[..., :1]) + special.xlogy(n, reach)
        alive = np.exp(alive - r * np.log1p(t / alpha) - s * np.log1p(t / beta))
        return np.asarray((alive + dead)[..., 0])[()]

    @staticmethod
    def simulate(
        rng: np.random.Generator, T: ArrayLike, *, r: float, alpha: float, s: float, beta: float
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """x and t_x of new customers who are observed for T, each of the shape of T."""
        T = np.asarray(T, float)
        rate = rng.gamma(r, 1 / alpha, T.shape)
        life = _lifetime(rng, T, rng.gamma(s, 1 / beta, T.shape))
        count = rng.poisson(rate * life)
        return count, np.where(count > 0, life * rng.beta(np.maximum(count, 1), 1.0), 0.0)

    @staticmethod
    def simulate_future_alive(
        rng: np.random.Generator,
        t: float,
        x: NDArray,
        T: NDArray,
        *,
        r: NDArray,
        alpha: NDArray,
        s: NDArray,
        beta: NDArray,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Transactions in (T, T + t] of the living: counts (M,), and their times after T, customer after customer."""
        rate = rng.standard_gamma(r + x) / (alpha + T)
        life = _lifetime(rng, t, rng.standard_gamma(s) / (beta + T))
        count = rng.poisson(rate * life)
        return count, np.repeat(life, count) * rng.random(int(count.sum()))


def _lifetime(rng: np.random.Generator, end: ArrayLike, rate: NDArray) -> NDArray[np.float64]:
    """Time until death or the end, whichever comes first."""
    with np.errstate(divide="ignore", over="ignore"):  # who hardly ever dies outlives any period
        return np.minimum(rng.standard_exponential(rate.shape) / rate, end)


def _log_sum(x: Any, t_x: Any, T: Any, r: Any, alpha: Any, s: Any, beta: Any) -> Any:
    """log of: s int_t_x^inf (alpha+u)^-(r+x) (beta+u)^-(s+1) du + (r+x) int_T^inf (alpha+u)^-(r+x+1) (beta+u)^-s du."""
    gone = log(s) + _log_integral(x, t_x, None, r, alpha, s + 1, beta)
    still_here = log(r + x) + _log_integral(x, T, None, r + 1, alpha, s, beta)
    return logaddexp(gone, still_here)


def _log_integral(x: Any, t: Any, h: Any, a: Any, alpha: Any, b: Any, beta: Any) -> Any:
    """log of the integral of (alpha + u)^-(a + x) (beta + u)^-b over u in (t, t + h), or over (t, inf) if h is None."""
    params = (a, alpha, b, beta)
    if any(is_tensor(value) for value in (x, t, *params)):
        return _outside(x, t, h, *params) + _inside(x, t, h, *params, _TENSOR_NODES)
    data = [np.asarray(value, float) for value in (x, t, *(() if h is None else (h,)))]
    draws = [np.asarray(value, float) for value in params]
    shape = np.broadcast_shapes(*(value.shape for value in (*data, *draws)))
    if all(value.ndim <= 1 for value in data) and all(value.ndim == 0 or value.shape[1:] == (1,) for value in draws):
        data = [np.atleast_1d(value) for value in np.broadcast_arrays(*data)]
        draws = [value.reshape(-1, 1) for value in draws]
        draws = [np.broadcast_to(value, (max(map(len, draws)), 1)) for value in draws]
        inside = np.empty((len(draws[0]), len(data[0])))
        for level in np.unique(data[0]):  # what depends on x and the parameters alone is then computed once
            columns = np.flatnonzero(data[0] == level)
            rows = Rows.distinct(*(value[columns] for value in data[1:]))
            inside[:, columns] = _inside_by_draw(level, *rows.columns, draws)[:, rows.inverse]
    else:  # parameters that differ between customers: each cell is a draw of its own
        data, draws = ([np.broadcast_to(value, shape).reshape(-1, 1) for value in part] for part in (data, draws))
        inside = _inside_by_draw(*data, draws)
    with np.errstate(divide="ignore"):  # over no time at all the integral is 0
        outside = _outside(*data, *((None,) if h is None else ()), *draws)
    return (outside + inside).reshape(shape)[()]


def _inside_by_draw(x: Any, t: NDArray, *others: Any) -> NDArray[np.float64]:
    """`_inside` for times (P,), or (S, 1) each of one draw, with as many nodes as a draw needs.

    Where there are many times, it is computed for some between which it is interpolated.
    """
    *h, draws = others
    _, alpha, _, beta = draws
    start = t.min(axis=-1, keepdims=True)
    apart = np.abs(np.log((beta + start) / (alpha + start)))[:, 0]
    number = 24 * np.ceil(1.5 + apart / 1.5).astype(int)
    result = np.empty((len(alpha), t.shape[-1]))
    for nodes in np.unique(number):
        alike = np.flatnonzero(number == nodes)
        for rows in np.array_split(alike, 1 + len(alike) * nodes // _CELLS):
            some = [value[rows] for value in draws]
            step = max(1, _CELLS // (len(rows) * nodes))
            for first in range(0, t.shape[-1], step):
                cells = (rows if t.ndim == 2 else slice(None), slice(first, first + step))
                part = [value[cells[-t.ndim :]] for value in (t, *h)]
                at = x if t.ndim == 1 else x[cells]
                found = _inside(at, *part, *(() if h else (None,)), *some, nodes)
                result[rows, first : first + step] = found
    return result


def _outside(x: Any, t: Any, h: Any, a: Any, alpha: Any, b: Any, beta: Any) -> Any:
    """What stands before the integral of `_inside`: log of m^(1 - A) n^-B / c, times 1 - (1 + h/m)^-c."""
    larger, smaller, c, m, n = _parts(x, t, a, alpha, b, beta)
    outside = (1 - larger) * log(m) - smaller * log(n) - log(c)
    return outside if h is None else outside + log1mexp(-c * log1p(h / m))


def _parts(x: Any, t: Any, a: Any, alpha: Any, b: Any, beta: Any) -> tuple[Any, ...]:
    """A and B, the larger and the smaller of both exponents, A + B - 1, and what stands in the bracket of each at t."""
    first = a + x
    m, n = where(first >= b, alpha + t, beta + t), where(first >= b, beta + t, alpha + t)
    return maximum(first, b), minimum(first, b), first + b - 1, m, n


def _inside(x: Any, t: Any, h: Any, a: Any, alpha: Any, b: Any, beta: Any, number: int) -> Any:
    """log of the integral of exp(-y) (w + (m/n) (1 - w))^-B over y > 0, where w = exp(-y / c).

    That is the substitution y = c log[(m + u - t) / m] in the integral of `_log_integral`, whose terms are positive:
    the trapezoidal rule in log y, with its left tail folded in, never overflows.
    """
    _, smaller, c, m, n = _parts(x, t, a, alpha, b, beta)
    y, log_weight = _nodes(number)
    if h is not None:  # exp(-y) ends at (1 + h/m)^-c instead of 0: what lies between is stretched to fill it
        end = -c * log1p(h / m)
        last, reach = exp(end)[..., None], -expm1(end)[..., None]
        y = where(y < _HALF, -log1p(reach * expm1(-y)), -log(last + reach * exp(-y)))
    at = -y / c[..., None]
    bracket = exp(at) - (m / n)[..., None] * expm1(at)
    return log(exp(log_weight - smaller[..., None] * log(bracket)).sum(axis=-1))


@functools.cache
def _nodes(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes y and logarithms of weights: sum(weights * f(y)) is the integral of exp(-y) f(y) over y > 0."""
    u = np.linspace(-3.5, 4.3, number)
    inner = np.exp(-u)
    y = np.exp(u - inner)
    return y, np.log(u[1] - u[0]) + np.log(y) + np.log1p(inner) - y
