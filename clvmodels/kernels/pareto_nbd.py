"""The log-likelihood of Pareto/NBD and its gradient on distinct rows.

The integrals of the model's text, over u from t to infinity, of (m + u - t)^-D (n + u - t)^-B, where m is the larger
of alpha + t and beta + t and n the smaller, are m^(1 - D) n^-B / c times 2F1(B, 1; c + 1; -y), with c = B + D - 1 and
y = m / n - 1. Gauss's continued fraction of that function (DLMF 15.7.1) has positive terms only, takes no other
function than division, and is exact to the last digits after ten levels where alpha and beta are alike. Where they are
not it takes as many as the root of y, and the text's quadrature is faster.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from clvmodels.kernels import Density
from clvmodels.kernels.rising import rising_sum

_CELLS = 16_384  # of integrals x terms, computed at once: as many as stay in a processor's cache
_FAR = 30.0  # y above which the quadrature is faster
_DIGITS = 34.0  # the rest of the fraction, as minus a logarithm


def kernel(x: NDArray, t_x: NDArray, T: NDArray, *, weights: NDArray) -> Density:
    """Log-likelihood and gradient in r, alpha, s, beta of distinct rows, each (U,).

    A customer's likelihood is the sum of an integral over (t_x, inf) and one over (T, inf); they are computed for each
    distinct (x, t_x) and (x, T), in the order of time, so that those who are next to each other take as many levels.
    """
    of_rate = rising_sum(x, weights)
    number = float(weights @ x)
    counts, of_count = np.unique(x, return_inverse=True)
    times, of_time = np.unique(np.concatenate([t_x, T]), return_inverse=True)
    groups = 2 * len(counts)  # a count, of an integral over (t_x, inf) or over (T, inf)
    both = of_time * groups + np.concatenate([of_count, len(counts) + of_count])
    integrals, at = np.unique(both, return_inverse=True)
    gone_at, alive_at = np.split(at, 2)
    t, group = times[integrals // groups], integrals % groups
    alive, bought = group >= len(counts), counts[group % len(counts)]
    dead = ~alive

    def density(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if not (theta > 0).all():
            return np.nan, np.full(4, np.nan)
        r, alpha, s, beta = theta.tolist()
        of_r = np.concatenate([r + counts, r + counts + 1])
        of_s = np.repeat([s + 1, s], len(counts))
        with np.errstate(all="ignore"):
            rate = of_rate(r)
            least = min(alpha, beta) + t
            y = abs(alpha - beta) / least
            if beta >= alpha:
                log_f, by_r, by_s, by_y = _hypergeometric(of_r, of_s, group, y)
                ratio = alive
            else:
                log_f, by_s, by_r, by_y = _hypergeometric(of_s, of_r, group, y)
                ratio = dead
            shape = r + bought
            per_both = 1 / (shape + s)
            buys, dies = np.log1p(t / alpha), np.log1p(t / beta)
            part = np.log(np.where(alive, shape, s) * per_both) + log_f + ratio * np.log1p(y) - shape * buys - s * dies
            gone, here = part[gone_at], part[alive_at]
            small = np.exp(-np.abs(here - gone))
            lives = np.where(here > gone, 1.0, small) / (1 + small)
            value = rate[0] - number * np.log(alpha) + weights @ (np.maximum(gone, here) + np.log1p(small))
            # How many customers each integral stands for.
            share = np.bincount(at, np.concatenate([weights * (1 - lives), weights * lives]))
            by_y = share * (by_y + ratio / (1 + y)) / least
            by_larger, by_smaller = by_y.sum(), -(by_y @ (1 + y))
            in_alpha, in_beta = (by_smaller, by_larger) if beta >= alpha else (by_larger, by_smaller)
            gradient = [
                rate[1] + share @ (by_r - buys - per_both + alive / shape),
                in_alpha + share @ ((r / alpha * t - bought) / (alpha + t)),
                share @ (by_s - dies - per_both + dead / s),
                in_beta + s / beta * (share @ (t / (beta + t))),
            ]
        return float(value), np.array(gradient)

    return density


def _hypergeometric(B: NDArray, D: NDArray, group: NDArray, y: NDArray) -> NDArray[np.float64]:
    """log 2F1(B, 1; B + D; -y) and its slopes in B, D and y: of B and D (G,) those of the group, y (P,) descending."""
    result = np.empty((4, len(y)))
    coefficients: tuple[NDArray, NDArray, NDArray] | None = None
    start = 0
    while start < len(y):
        far, largest = not y[start] <= _FAR, float(np.fmin(y[start], 1e17))  # far: also what is not a number
        if far:
            terms = 24 * int(np.ceil(1.5 + np.log1p(largest) / 1.5))
        else:
            terms = 2 + int(_DIGITS / 2 / np.arctanh(1 / np.sqrt(1 + max(largest, 1e-9))))
        part = slice(start, start + max(_CELLS // terms, 1))
        if far:
            result[:, part] = _by_quadrature(terms, B[group[part]], D[group[part]], y[part])
        else:
            if coefficients is None:  # of the deepest fraction; the others take the first of them
                coefficients = _coefficients(B, D, terms)
            e, in_B, in_D = (each[:terms] for each in coefficients)
            result[:, part] = _by_fraction(e, in_B, in_D, group[part], y[part])
        start = part.stop
    return result


def _coefficients(B: NDArray, D: NDArray, depth: int) -> tuple[NDArray, NDArray, NDArray]:
    """Coefficients e (depth, G) of the fraction 1 / (1 + e_1 y / (1 + e_2 y / ...)); slopes of log e in B and in D."""
    n = np.arange(1.0, depth + 1)[:, None]
    j, odd = n // 2, n % 2 == 1
    c = B + D - 1
    below, above = 1 / (c + n - 1), 1 / (c + n)
    first = np.where(odd, B, D - 1) + j
    second = np.where(odd, c, 0) + j
    shared = np.where(odd, 1 / second, 0) - below - above
    return first * second * below * above, shared + odd / first, shared + ~odd / first


def _by_fraction(e: NDArray, in_B: NDArray, in_D: NDArray, group: NDArray, y: NDArray) -> NDArray[np.float64]:
    """The function by its continued fraction, from the deepest level up; what lies below is taken as its limit."""
    depth = len(e)
    e = e.take(group, axis=1)
    steps = e * y
    levels = np.empty((depth + 1, len(y)))
    levels[depth] = (1 + np.sqrt(1 + y)) / 2
    for n in range(depth - 1, -1, -1):
        np.divide(steps[n], levels[n + 1], out=levels[n])
        levels[n] += 1
    # What a relative change of e_n does to the function, divided by y: by the chain rule, from the top down.
    change = 1 / levels[:depth] - 1
    change[0] = -e[0] / (levels[0] * levels[1])
    np.multiply.accumulate(change, axis=0, out=change)
    by_B, by_D = (y * np.einsum("np,np->p", change, each.take(group, axis=1)) for each in (in_B, in_D))
    return np.stack([-np.log(levels[0]), by_B, by_D, change.sum(axis=0)])


def _by_quadrature(number: int, B: NDArray, D: NDArray, y: NDArray) -> NDArray[np.float64]:
    """The function as the integral of exp(-v) (1 + y (1 - w))^-B over v > 0, where w = exp(-v / (B + D - 1))."""
    v, weights = _nodes(number)
    c = B + D - 1
    rest = np.multiply.outer(-1 / c, v)
    np.negative(np.expm1(rest, out=rest), out=rest)
    bracket = y[:, None] * rest
    logs = np.log1p(bracket)
    bracket += 1
    terms = -B[:, None] * logs
    np.exp(terms, out=terms)
    total = terms @ weights
    logs *= terms
    terms /= bracket
    by_y = -B / y * (1 - terms @ weights / total)
    terms *= np.subtract(1, rest, out=rest)
    by_D = y * B / c**2 * (terms @ (v * weights)) / total
    return np.stack([np.log(total), by_D - logs @ weights / total, by_D, by_y])


@functools.cache
def _nodes(number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Nodes v and weights of the integral of exp(-v) f(v) over v > 0: the trapezoidal rule in log v, tail folded in."""
    u = np.linspace(-3.5, 4.3, number)
    inner = np.exp(-u)
    v = np.exp(u - inner)
    return v, (u[1] - u[0]) * v * (1 + inner) * np.exp(-v)
