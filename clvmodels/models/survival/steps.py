"""Curves that fall in steps, as Kaplan-Meier and Cox leave them: one, or one for each draw."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clvmodels.draws import blocks

Array = NDArray[np.float64]

# Steps of a drawn curve that are kept: where data have more, they are added up.
KEPT = 10_000


@dataclass(frozen=True)
class Steps:
    """A cumulative hazard -log S(t) that rises at known times.

    Parameters
    ----------
    time : ndarray, (K + 1,)
        When it rises; first minus infinity.
    hazard : ndarray, (S, K + 1)
        What it is from then on; first 0.
    last : float
        Nothing is known of later times: `at` is NaN there.
    """

    time: Array
    hazard: Array
    last: float

    @classmethod
    def drawn(cls, time: Array, last: float, size: int, draw: Callable[[slice], Array]) -> Steps:
        """Add up independent steps.

        Parameters
        ----------
        time : ndarray, (J,)
        last : float
        size : int
            Number of draws S.
        draw : callable
            Slice of `time` -> positive steps (S, B).
        """
        ends = np.unique(np.linspace(0, len(time), min(len(time), KEPT) + 1).astype(int))[1:]  # of each kept step
        hazard, before = np.zeros((size, len(ends) + 1)), np.zeros((size, 1))
        for part in blocks(np.full(len(time), size)):
            sums = before + np.cumsum(draw(part), axis=1)
            kept = np.flatnonzero((ends > part.start) & (ends <= part.stop))
            hazard[:, kept + 1] = sums[:, ends[kept] - part.start - 1]
            before = sums[:, -1:]
        return cls(np.append(-np.inf, time[ends - 1]), hazard, last)

    def at(self, t: Array, draws: slice = slice(None)) -> Array:
        """Cumulative hazard (S, B) at times (B,) or (S, B)."""
        hazard = self.hazard[draws]
        number = np.searchsorted(self.time, t, side="right") - 1
        if number.ndim < 2:
            values = hazard[:, number]
        else:
            values = np.take_along_axis(np.broadcast_to(hazard, (len(number), len(self.time))), number, axis=1)
        return np.where(np.asarray(t) <= self.last, values, np.nan)

    def reached(self, level: Array, draws: slice = slice(None)) -> Array:
        """When the cumulative hazard first is at least `level`, (S, B); infinite if not within what is known."""
        time = np.append(self.time, np.inf)
        hazard = np.broadcast_to(self.hazard[draws], (len(level), len(self.time)))
        return np.stack([time[np.searchsorted(one, at)] for one, at in zip(hazard, level, strict=True)])
