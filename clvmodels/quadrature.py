"""Quadrature over a beta distribution that keeps its digits for any shapes and any smooth function.

The trapezoidal rule converges exponentially for a function that is analytic around the real line, so all the work is in
choosing the line: the logit of p, in which the beta density has exponential tails, with the tails folded in so that
even a shape of 0.03 (a tail 1,000 long) needs a few dozen nodes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

_NEGLIGIBLE = 30.0  # nats below the peak: e^-30 = 1e-13 of it


def beta_nodes(a: ArrayLike, b: ArrayLike, transition: ArrayLike) -> tuple[NDArray, NDArray]:
    """Nodes and weights such that ``sum(weights * h(nodes))`` is E[h(p)] for p ~ Beta(a, b).

    Parameters
    ----------
    a, b : array_like
        Shapes of the beta, both positive.
    transition : array_like
        Logarithm of the p around which h changes from a constant (below) to something like 1/p (above), so that
        p^(a-1) may matter where the density itself no longer does.

    Returns
    -------
    nodes, weights : ndarray, shape of the broadcast arguments + (n,)
        n is the number that the hardest entry needs.

    Examples
    --------
    >>> p, w = beta_nodes(2.0, 3.0, 0.0)
    >>> (w * p).sum(-1).round(12)  # the mean, a / (a + b)
    np.float64(0.4)
    """
    a, b, transition = np.broadcast_arrays(*(np.asarray(value, float) for value in (a, b, transition)))
    # In v = logit p the log density is a log p + b log(1-p): mode log(a/b), slope a far left, -b far right.
    mode = np.log(a) - np.log(b)
    below = np.maximum(mode - transition, 0.0)
    left = mode - _distance(a, b, _NEGLIGIBLE + below)
    right = mode + _distance(b, a, np.full_like(a, _NEGLIGIBLE))
    # Everything but plain exponentials happens between `inner_left` and `inner_right`; on a side where the density
    # reaches beyond, nodes spread out exponentially: v(u) = u - exp(inner_left - u) + exp(u - inner_right). Where both
    # shapes are large it does not, and v = u: a fold would push a narrow peak out of its window.
    inner_left = np.minimum(mode - below, 0.0) - 2.0
    inner_right = np.maximum(mode, 0.0) + 2.0
    long_left, long_right = left < inner_left, right > inner_right
    start = np.where(long_left, inner_left - np.log1p(np.maximum(inner_left - left, 0.0)), left)
    stop = np.where(long_right, inner_right + np.log1p(np.maximum(right - inner_right, 0.0)), right)
    step = 0.35 / np.sqrt(1.0 + 0.25 * a * b / (a + b))
    n = int(np.ceil(np.max((stop - start) / step))) + 1
    u = start[..., None] + np.linspace(0.0, 1.0, n) * (stop - start)[..., None]
    fold_left = long_left[..., None] * np.exp(inner_left[..., None] - u)
    fold_right = long_right[..., None] * np.exp(u - inner_right[..., None])
    v = u - fold_left + fold_right
    log_p, log_q = -np.logaddexp(0.0, -v), -np.logaddexp(0.0, v)
    log_weight = a[..., None] * log_p + b[..., None] * log_q
    weights = np.exp(log_weight - log_weight.max(-1, keepdims=True)) * (1.0 + fold_left + fold_right)
    # Where p underflows h is constant, so any small p will do.
    return np.exp(np.maximum(log_p, -650.0)), weights / weights.sum(-1, keepdims=True)


def _distance(near: NDArray, far: NDArray, drop: NDArray) -> NDArray:
    """How far from its mode, on the side with slope `near`, the log density has fallen by `drop`.

    The fall, near d - (near + far) log[(1 + near/far) / (1 + near/far e^-d)], is convex and lies above its asymptote,
    so Newton's steps from the asymptote's root never overshoot.
    """
    total, ratio = near + far, near / far
    distance = (drop + total * np.log1p(ratio)) / near
    for _ in range(8):
        shrunk = ratio * np.exp(-distance)
        fall = near * distance - total * (np.log1p(ratio) - np.log1p(shrunk))
        distance = distance - (fall - drop) / (near - total * shrunk / (1.0 + shrunk))
    return distance
