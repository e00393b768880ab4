"""Pareto/NBD: purchases at a constant rate, until the customer leaves unseen, at any time.

References
----------
Schmittlein, Morrison & Colombo (1987), Counting Your Customers: Who Are They and What Will They Do Next?, Management
Science 33(1), 1-24. Fader & Hardie (2005), A Note on Deriving the Pareto/NBD Model and Related Expressions, note 009.
"""

from __future__ import annotations

import functools
import itertools
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from clvmodels.kernels import pareto_nbd
from clvmodels.models.transactions.base import TransactionModel
from clvmodels.models.transactions.counts import log_negative_binomial, over_counts
from clvmodels.models.transactions.interpolation import over_time, times_needed
from clvmodels.ops import exp, expm1, is_tensor, log, log1mexp, log1p, log_rising, logaddexp, minimum, stack, where
from clvmodels.params import Param

_CELLS = 100_000  # of draws x rows x nodes, computed at once: as many as stay in a processor's cache
_TENSOR_NODES = 128  # a tensor has no value to choose by
_SURE = 46.0  # who has lived on with probability exp(-46) counts for nothing
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
    kernel = staticmethod(pareto_nbd.kernel)

    @staticmethod
    def log_likelihood(x: Any, t_x: Any, T: Any, *, r: Any, alpha: Any, s: Any, beta: Any) -> Any:
        """Log-likelihood of each customer.

        The papers' closed form is a difference of two hypergeometric functions, which overflows or cancels for frequent
        buyers. By parts it is a sum of two integrals whose terms are all positive: x transactions and death at any time
        u after t_x, or x + 1 of which the next comes at u after T, and death later. Both are kept as logarithms.
        """
        return log_rising(r, x) + _log_sum(x, t_x, T, r, alpha, s, beta)

    @staticmethod
    def p_alive(x: Any, t_x: Any, T: Any, *, r: Any, alpha: Any, s: Any, beta: Any) -> Any:
        """P(alive at T | x, t_x, T): the share of the likelihood in which the customer lives at T."""
        alive = -x * log(alpha + T) - r * log1p(T / alpha) - s * log1p(T / beta)
        return exp(minimum(alive - _log_sum(x, t_x, T, r, alpha, s, beta), 0.0))

    @staticmethod
    def p_purchase_alive(t: Any, x: Any, T: Any, *, r: Any, alpha: Any, s: Any, beta: Any) -> Any:
        """P(at least one transaction in (T, T + t] | alive at T, x, T).

        Given alive lambda is Gamma(r + x, alpha + T) and mu is Gamma(s, beta + T), independent of each other: the mean
        of lambda / (lambda + mu) (1 - exp(-(lambda + mu) t)), as an integral over the time of the next transaction.
        """
        alive = -x * log(alpha + T) - r * log1p(T / alpha) - s * log1p(T / beta)
        buys = log(r + x) - log(alpha) + _log_integral(x, T, t, r + 1, alpha, s, beta)
        return exp(minimum(buys - alive, 0.0))

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
        np.float64(1.4731)
        """
        t, x, T, r, alpha, s, beta = (np.asarray(value, float) for value in (t, x, T, r, alpha, s, beta))
        with np.errstate(divide="ignore"):
            ever = np.where(s > 1, 1 / np.maximum(s - 1, 0.0), np.inf)
        endless = np.isinf(t)
        span = np.log1p(np.where(endless, 0.0, t) / (beta + T))
        lifetime = (beta + T) * np.where(endless, ever, span * special.exprel(-(s - 1) * span))
        return np.asarray((r + x) / (alpha + T) * lifetime)[()]

    @staticmethod
    def pmf_alive(
        n: ArrayLike,
        t: ArrayLike,
        x: ArrayLike,
        T: ArrayLike,
        *,
        r: ArrayLike,
        alpha: ArrayLike,
        s: ArrayLike,
        beta: ArrayLike,
    ) -> NDArray[np.float64]:
        """P(n transactions in (T, T + t] | alive at T, x, T): alive at the end with n of them, or dead before with n.

        >>> ParetoNBD.pmf(0, 39, r=0.5533, alpha=10.578, s=0.6062, beta=11.669).round(4)
        np.float64(0.5935)
        """
        return over_counts(n, _counts_while_alive, t, np.add(r, x), np.add(alpha, T), s, np.add(beta, T))

    @staticmethod
    def survival_alive(
        t: ArrayLike,
        x: ArrayLike,
        T: ArrayLike,
        *,
        r: ArrayLike,
        alpha: ArrayLike,
        s: ArrayLike,
        beta: ArrayLike,
    ) -> NDArray[np.float64]:
        """P(alive at T + t | alive at T, x, T): ((beta + T) / (beta + T + t))^s.

        >>> ParetoNBD.survival_alive(39, 0, 0, r=0.5533, alpha=10.578, s=0.6062, beta=11.669).round(4)
        np.float64(0.4106)
        """
        return np.exp(-np.multiply(s, np.log1p(np.divide(t, np.add(beta, T)))))

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
        s: NDArray,
        beta: NDArray,
    ) -> dict[str, NDArray[np.float64]]:
        """Rates of purchase and of dropout of customers of known fate: who is dead died between t_x and T."""
        until = np.array(T, float)
        dead = ~alive
        until[dead] = _death(rng, *(value[dead] for value in (t_x, T, r + x, alpha, s + 1, beta)))
        return {
            "purchase_rate": rng.standard_gamma(r + x) / (alpha + until),
            "dropout_rate": rng.standard_gamma(np.where(alive, s, s + 1)) / (beta + until),
        }

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


def _death(
    rng: np.random.Generator, start: NDArray, end: NDArray, a: NDArray, alpha: NDArray, b: NDArray, beta: NDArray
) -> NDArray[np.float64]:
    """Times between start and end, (M,), of a density proportional to (alpha + u)^-a (beta + u)^-b.

    Drawn from the factor that falls more, by its inverse, and kept with the share that the other has fallen to.
    """
    steeper = a * np.log((alpha + end) / (alpha + start)) > b * np.log((beta + end) / (beta + start))
    power, scale = np.where(steeper, a, b), np.where(steeper, alpha, beta)
    other_power, other_scale = np.where(steeper, b, a), np.where(steeper, beta, alpha)
    power = np.where(power == 1, 1 + 1e-12, power)
    span = np.log((scale + end) / (scale + start))
    times = np.array(start, float)
    todo = np.arange(len(times))
    while len(todo):
        less = power[todo] - 1
        fallen = -np.log1p(rng.random(len(todo)) * np.expm1(-less * span[todo])) / less
        at = (scale[todo] + start[todo]) * np.expm1(fallen)  # after the start
        kept = other_power[todo] * np.log1p(at / (other_scale[todo] + start[todo])) <= rng.standard_exponential(
            len(todo)
        )
        times[todo[kept]] += at[kept]
        todo = todo[~kept]
    return np.minimum(times, end)


def _counts_while_alive(
    first: NDArray, number: int, t: NDArray, r: NDArray, alpha: NDArray, s: NDArray, beta: NDArray
) -> NDArray[np.float64]:
    """P(first, first + 1, ... transactions in t) at a Gamma(r, alpha) rate until death at a Gamma(s, beta) rate.

    Those who die within t are an integral over the time of death u, of positive terms: Gauss and Legendre's rule on
    panels of w = sqrt(log(1 + u / m)), m the smaller of alpha and beta, in which the powers of alpha + u and beta + u
    are smooth, and as functions of w the probabilities of all counts equally wide: the narrower, and the more panels
    are needed, the more such customers buy. The relative error is below 1e-10, unless the probability is, too.
    """
    shape = np.broadcast_shapes(*(np.shape(value) for value in (first, t, r, alpha, s, beta)))
    cells = [np.broadcast_to(value, shape).reshape(-1, 1) for value in (first, t, r, alpha, s, beta)]
    first, t, r, alpha, s, beta = cells
    alive = np.exp(log_negative_binomial(first, t, r, alpha) - s * np.log1p(t / beta))
    smaller = np.minimum(alpha, beta)
    with np.errstate(over="ignore"):
        until = np.minimum(t, beta * np.expm1(_SURE / s))
    width = np.sqrt(np.log1p(until / smaller))
    spread = np.fmax(smaller / alpha, width**2 * (smaller + until) ** 2 / ((alpha + until) * np.fmax(until, 1e-300)))
    needed = width * np.fmax(1.0, 0.7 * width) + 0.3 * width * np.sqrt(r * spread)
    needed += np.sqrt(s * np.log1p(until / beta)) / 4
    panels = np.ceil(np.fmax(needed, 1.0)).astype(int)
    found = np.empty((number, len(t)))
    for some in np.unique(panels):
        alike = np.flatnonzero(panels[:, 0] == some)
        nodes, log_weight = _panel_nodes(int(some))
        for rows in np.array_split(alike, 1 + len(alike) * len(nodes) // _CELLS):
            n, a, b, x, m, d, y = (value[rows] for value in (first, alpha, beta, r, smaller, s, width))
            w = y * nodes
            u = m * np.expm1(w**2)
            share = u / (a + u)
            with np.errstate(divide="ignore"):  # at time 0 nobody has died
                density = np.log(d * 2 * w * y * (m + u) / (b + u)) + log_weight - d * np.log1p(u / b)
            terms = np.exp(density + log_negative_binomial(n, u, x, a))
            living, last = alive[rows, 0], (t[rows] / (a + t[rows]))[:, 0]
            ways = reach = 1.0
            for k in range(number):
                if k:
                    ways = ways * ((x + n + k - 1) / (n + k))[:, 0]
                    reach = reach * last
                    terms *= share
                found[k, rows] = ways * (living * reach + terms.sum(axis=1))
    return found.reshape(number, *shape)


@functools.cache
def _panel_nodes(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes and logarithms of weights of Gauss and Legendre's rule on equal panels of (0, 1)."""
    nodes, weights = special.roots_legendre(16)
    starts = np.arange(number)[:, None] / number
    return (starts + (nodes + 1) / (2 * number)).ravel(), np.log(np.tile(weights / (2 * number), number))


def _log_sum(x: Any, t_x: Any, T: Any, r: Any, alpha: Any, s: Any, beta: Any) -> Any:
    """Logarithm of both integrals of the likelihood together.

    That is alpha^r beta^s times the sum of s x the integral over (t_x, inf) of (alpha + u)^-(r + x) (beta + u)^-(s + 1)
    and of (r + x) x the integral over (T, inf) of (alpha + u)^-(r + x + 1) (beta + u)^-s.
    """
    if any(is_tensor(value) for value in (x, t_x, T, r, alpha, s, beta)):
        # Both in one: PyTensor compiles half as much, and the sums have few enough terms for it to fuse.
        full = 0.0 * (x + t_x + T + r + alpha + s + beta)
        t, a, b = stack(full + t_x, full + T), stack(full + r, full + r + 1), stack(full + s + 1, full + s)
        both = _log_integral(x, t, np.inf, a, alpha, b, beta)
        gone, still_here = both[0], both[1]
    else:
        gone = _log_integral(x, t_x, np.inf, r, alpha, s + 1, beta)
        still_here = _log_integral(x, T, np.inf, r + 1, alpha, s, beta)
    return logaddexp(log(s) - log(beta) + gone, log(r + x) - log(alpha) + still_here)


def _log_integral(x: Any, t: Any, h: Any, a: Any, alpha: Any, b: Any, beta: Any) -> Any:
    """log of alpha^a beta^b x the integral of (alpha + u)^-(a + x) (beta + u)^-b over u in (t, t + h); h may be inf.

    For arrays it is computed for each distinct (x, t), which are far fewer than customers and, where there are many t
    to an x, for some t between which it is interpolated.
    """
    params = (a, alpha, b, beta)
    if any(is_tensor(value) for value in (x, t, *params)):
        return _outside(x, t, h, *params) + _inside(_TENSOR_NODES, x, t, h, *params)
    arguments = [np.asarray(value, float) for value in (x, t, h, *params)]
    shape = np.broadcast_shapes(*(value.shape for value in arguments))
    shared = all(value.ndim <= 1 for value in arguments[:3])
    by_draw = all(value.ndim == 0 or value.shape[1:] == (1,) for value in arguments[3:])
    with np.errstate(divide="ignore"):  # over no time at all the integral is 0
        if not (shared and by_draw):  # parameters that differ between customers: each cell is a draw of its own
            cells = [np.broadcast_to(value, shape).reshape(-1, 1) for value in arguments]
            return (_outside(*cells) + _inside_by_draw(*cells)).reshape(shape)
        x, t, h = (np.atleast_1d(value) for value in np.broadcast_arrays(*arguments[:3]))
        draws = np.broadcast_arrays(*(value.reshape(-1, 1) for value in arguments[3:]))
        smallest = float(np.minimum(draws[1], draws[3]).min())
        result = np.empty((len(draws[0]), len(x)))
        for level, span in itertools.product(np.unique(x), np.unique(h)):
            columns = np.flatnonzero((x == level) & (h == span))
            if not len(columns):
                continue
            times, at_time = np.unique(t[columns], return_inverse=True)
            if len(times) > 2 * times_needed(times, smallest):
                nodes, matrix = over_time(times, smallest)
                inside = _inside_by_draw(level, nodes, span, *draws) @ matrix
            else:
                inside = _inside_by_draw(level, times, span, *draws)
            result[:, columns] = (_outside(level, times, span, *draws) + inside)[:, at_time]
    return result.reshape(shape)[()]


def _inside_by_draw(
    x: Any, t: Any, h: Any, a: NDArray, alpha: NDArray, b: NDArray, beta: NDArray
) -> NDArray[np.float64]:
    """`_inside`, with as many nodes as a draw needs: the more, the more its alpha and beta differ."""
    apart = np.abs(np.log((beta + t) / (alpha + t)))
    most = np.fmin(apart.max(axis=1), 40.0)  # also where a search went so far that there is no number
    number = 24 * np.ceil(1.5 + most / 1.5).astype(int)
    result = np.empty_like(apart)
    for nodes in np.unique(number):
        alike = np.flatnonzero(number == nodes)
        for rows in np.array_split(alike, 1 + len(alike) * apart.shape[1] * nodes // _CELLS):
            some = (value[rows] if np.ndim(value) == 2 else value for value in (x, t, h, a, alpha, b, beta))
            result[rows] = _inside(int(nodes), *some)
    return result


def _outside(x: Any, t: Any, h: Any, a: Any, alpha: Any, b: Any, beta: Any) -> Any:
    """What stands before the integral of `_inside`, as a logarithm; (1 + h/m)^-c of it is beyond t + h."""
    _, c, m, _ = _parts(x, t, a, alpha, b, beta)
    outside = log(m) - log(c) - x * log(alpha + t) - a * log1p(t / alpha) - b * log1p(t / beta)
    return outside if _endless(h) else outside + log1mexp(-c * log1p(h / m))


def _inside(number: int, x: Any, t: Any, h: Any, a: Any, alpha: Any, b: Any, beta: Any) -> Any:
    """log of the integral of exp(-y) (w + (m/n) (1 - w))^-B over y > 0, where w = exp(-y / c).

    That is the substitution y = c log(1 + (u - t) / m) in the integral of `_log_integral`, with A the larger exponent
    and m what it is of at u = t, B and n the others, and c = A + B - 1. All terms are positive, and none overflows: the
    trapezoidal rule in log y, with its left tail folded in.
    """
    smaller, c, m, n = _parts(x, t, a, alpha, b, beta)
    y, log_weight = _nodes(number)
    if not _endless(h):  # exp(-y) ends at (1 + h/m)^-c instead of 0: what lies between is stretched to fill it
        end = -c * log1p(h / m)
        last, reach = exp(end)[..., None], -expm1(end)[..., None]
        y = where(y < _HALF, -log1p(reach * expm1(-y)), -log(last + reach * exp(-y)))
    at = -y / c[..., None]
    bracket = exp(at) - (m / n)[..., None] * expm1(at)
    return log(exp(log_weight - smaller[..., None] * log(bracket)).sum(axis=-1))


def _parts(x: Any, t: Any, a: Any, alpha: Any, b: Any, beta: Any) -> tuple[Any, ...]:
    """B, c, m and n of `_inside`."""
    first = a + x
    m, n = where(first >= b, alpha + t, beta + t), where(first >= b, beta + t, alpha + t)
    return minimum(first, b), first + b - 1, m, n


def _endless(h: Any) -> bool:
    return not is_tensor(h) and bool(np.isinf(h).all())


@functools.cache
def _nodes(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes y and logarithms of weights: sum(weights * f(y)) is the integral of exp(-y) f(y) over y > 0."""
    u = np.linspace(-3.5, 4.3, number)
    inner = np.exp(-u)
    y = np.exp(u - inner)
    return y, np.log(u[1] - u[0]) + np.log(y) + np.log1p(inner) - y
