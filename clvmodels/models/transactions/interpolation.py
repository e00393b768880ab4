"""Interpolation over the time observed: a shop has a thousand different T, one for each day or for each customer."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import chebyshev
from numpy.typing import NDArray


def times_needed(spans: NDArray, smallest: float) -> int:
    """How many times `over_time` takes."""
    needed = np.ceil(12 + 6 * np.log((smallest + spans[-1]) / (smallest + spans[0])))
    return int(np.fmin(needed, 1e9))  # no number, or infinitely many, where a search went too far


def over_time(spans: NDArray, smallest: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Times (K,) and a matrix (K, P) that takes values at these times to values at the spans (P,).

    The logarithm of a formula about customers is so smooth in log(alpha + T) that Chebyshev's polynomials give it to 13
    digits from a dozen times and six more for each factor e of alpha + T.

    Parameters
    ----------
    spans : ndarray, (P,)
        Times in ascending order.
    smallest : float
        The smallest that is added to a time in the formula, under any draw of the parameters.

    Examples
    --------
    >>> spans = np.linspace(0, 39, 200)
    >>> times, matrix = over_time(spans, 4.0)
    >>> len(times)
    27
    >>> bool(np.allclose(np.log(4.4 + times) @ matrix, np.log(4.4 + spans), rtol=1e-13))
    True
    """
    place = np.log(smallest + spans)
    low, width = place[0], max(place[-1] - place[0], 1e-9)
    count = times_needed(spans, smallest)
    nodes = np.cos(np.pi * (np.arange(count) + 0.5) / count)
    at_nodes, at_spans = (chebyshev.chebvander(v, count - 1) for v in (nodes, 2 * (place - low) / width - 1))
    return np.exp(low + width * (nodes + 1) / 2) - smallest, np.linalg.solve(at_nodes.T, at_spans.T)
