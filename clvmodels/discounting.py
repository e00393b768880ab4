"""Discounted sums of a stream of transactions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


def discounted(expectation: Callable[[float], NDArray], horizon: float, rate: float) -> NDArray[np.float64]:
    """Integral of exp(-rate t) dE(t) over (0, horizon], for an expectation E(t) with E(0) = 0.

    By parts it is exp(-rate h) E(h) + rate x the integral of exp(-rate t) E(t); the nodes are those of Gauss and
    Legendre in the square root of time, because E bends most just after its start.

    Parameters
    ----------
    expectation : callable
        E(t) for a scalar t, any shape.
    horizon : float
        h, in the unit of t.
    rate : float
        Continuous discount rate per unit of t.

    Examples
    --------
    >>> discounted(lambda t: 2.0 * t, 1.0, 0.1).round(12)  # a constant flow of 2: 2 (1 - e^-0.1) / 0.1
    np.float64(1.903251639281)
    """
    at_end = np.asarray(expectation(horizon), float)
    if rate == 0:
        return at_end
    total = np.exp(-rate * horizon) * at_end
    for node, weight in zip((_NODES + 1) / 2, _WEIGHTS / 2, strict=True):
        time = horizon * node**2
        total = total + rate * horizon * 2 * node * weight * np.exp(-rate * time) * expectation(time)
    return np.asarray(total)
