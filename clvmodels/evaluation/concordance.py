"""Concordance: how often a model ranks two customers as their endings came, among the pairs that can be compared."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def concordance(time: Array, event: Array, risk: Array, weights: Array) -> float:
    """Share of the comparable pairs in which the one who left first had the higher risk; equal risks count half.

    Two customers are comparable if one left while the other was still seen: who is censored at the time when another
    left had outlasted him, and two who left at the same time are no pair. Harrell, Lee & Mark (1996), Statistics in
    Medicine 15(4), doi:10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4.

    Parameters
    ----------
    time : ndarray, (N,)
        Until the customer left, or until the last time known.
    event : ndarray, (N,)
        1 where the customer left at `time`, else 0.
    risk : ndarray, (N,)
        Higher where the customer is expected to leave earlier.
    weights : ndarray, (N,)
        How many customers a row stands for.

    Returns
    -------
    float
        NaN where no pair is comparable. Time grows as N log(N)^2, memory as N.

    Examples
    --------
    Who left at 1 outlived nobody and had the highest risk (two pairs right), who left at 2 had less than who stayed
    (one pair wrong).

    >>> round(concordance(*np.array([[1.0, 2, 3], [1, 1, 0], [0.9, 0.1, 0.5], [1, 1, 1]])), 4)
    0.6667
    """
    left = np.where(event > 0, weights, 0.0)
    # Who left at a time comes before who was censored then; those who left together share a place, and are no pair.
    place = np.unique(2 * np.unique(time, return_inverse=True)[1] + (event <= 0), return_inverse=True)[1]
    rank = np.unique(risk, return_inverse=True)[1]
    at = np.bincount(place, weights)
    pairs = left @ (np.cumsum(at[::-1])[::-1] - at)[place]
    return float(_agreeing(place, rank, left, weights) / pairs) if pairs else math.nan


def _agreeing(place: NDArray, rank: NDArray, left: Array, weights: Array) -> float:
    """Sum of left[i] weights[j] over pairs with place[i] < place[j] and rank[i] > rank[j], plus half where it is equal.

    The highest bit in which two places differ tells which comes first. So for each bit: among those whose higher bits
    are the same, each with a 0 in it is held against all with a 1.
    """
    found = 0.0
    for bit in range(int(place.max()).bit_length()):
        group = place >> (bit + 1)
        later = np.where(place >> bit & 1, weights, 0.0)
        _, cell = np.unique(group * (rank.max() + 1) + rank, return_inverse=True)
        in_cell = np.bincount(cell, later)
        # Of the cells in order of group and rank: the weight of lower groups and ranks, and half that of equal rank.
        lower = (np.cumsum(in_cell) - in_cell / 2)[cell]
        in_group = np.bincount(group, later)
        lower_groups = (np.cumsum(in_group) - in_group)[group]
        earlier = np.where(place >> bit & 1, 0.0, left)
        found += earlier @ (lower - lower_groups)
    return float(found)
