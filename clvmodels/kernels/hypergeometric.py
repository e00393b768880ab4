"""The hypergeometric function of Pareto/NBD, with its slopes.

Gauss's continued fraction of 2F1(B, 1; B + D; -y) (DLMF 15.7.1) has positive terms only and takes no other function
than division. Where y is small it is exact to the last digits after ten levels; it takes as many more as the root of y,
and where y is large an integral with as many nodes as the logarithm of y is faster.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

_CELLS = 16_384  # of values x terms, computed at once: as many as stay in a processor's cache
_FAR = 30.0  # y above which the integral is faster
_DIGITS = 34.0  # what is left of the fraction, as minus a logarithm


def log_hypergeometric(B: NDArray, D: NDArray, group: NDArray, y: NDArray) -> NDArray[np.float64]:
    """log 2F1(B, 1; B + D; -y) and its slopes in B, D and y.

    Parameters
    ----------
    B, D : ndarray, (G,)
        Positive, of groups that share their coefficients.
    group : ndarray of int, (P,)
    y : ndarray, (P,)
        Not negative, in descending order: those next to each other take equally many terms.

    Returns
    -------
    ndarray, (4, P)

    Examples
    --------
    >>> log_hypergeometric(np.array([1.0]), np.array([1.0]), np.array([0]), np.array([1.0]))[:, 0].round(4)  # of log 2
    array([-0.3665, -0.1866,  0.16  , -0.2787])
    """
    result = np.empty((4, len(y)))
    coefficients: tuple[NDArray, NDArray, NDArray] | None = None
    far = int(np.count_nonzero(~(y <= _FAR)))  # also what is not a number
    start = 0
    while start < len(y):
        if start < far:
            terms = 24 * int(np.ceil(1.5 + np.log1p(np.fmin(y[start], 1e17)) / 1.5))
            part = slice(start, min(start + _CELLS // terms, far))
            result[:, part] = _by_quadrature(terms, B[group[part]], D[group[part]], y[part])
        else:
            terms = 2 + int(_DIGITS / 2 / np.arctanh(1 / np.sqrt(1 + max(y[start], 1e-9))))
            part = slice(start, start + _CELLS // terms)
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
    u = np.linspace(-np.log(37 + number / 16), 4.3, number)  # from v = 1e-16 / y, for the y that takes so many
    inner = np.exp(-u)
    v = np.exp(u - inner)
    return v, (u[1] - u[0]) * v * (1 + inner) * np.exp(-v)
