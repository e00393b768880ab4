"""Draws: seeds, blocks that bound the memory, and the only place where draws become numbers.

Arrays of draws are (S, N): S draws of the parameters against N rows.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Parameters = dict[str, NDArray[np.float64]]

Of = Literal["posterior", "prior"]  # what the parameters are drawn from

# Cells (draws x rows) computed at once: some arrays of 16 MB.
BLOCK_CELLS = 2_000_000


def new_seed() -> int:
    """A seed from the operating system, small enough to be written down."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def check_seed(seed: int) -> int:
    """The seed, if it is one."""
    if isinstance(seed, bool) or not isinstance(seed, (int, np.integer)) or seed < 0:
        raise ValueError(f"seed must be a whole number, 0 or more; got {seed!r}")
    return int(seed)


def check_draws(draws: int) -> None:
    """Refuse a number of draws too small to tell the ends of an interval."""
    if not (isinstance(draws, (int, np.integer)) and draws >= 100):
        raise ValueError(f"draws must be a whole number, at least 100; got {draws!r}")


def generator(seed: int, *purpose: str | int) -> np.random.Generator:
    """A random generator for one purpose: equal for equal arguments, independent for any two purposes."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, purpose)).encode())])


def blocks(cost: ArrayLike) -> Iterator[slice]:
    """Slices of consecutive rows whose costs (in cells) add up to about `BLOCK_CELLS`.

    >>> [(s.start, s.stop) for s in blocks([1_500_000, 1_000_000, 400_000])]
    [(0, 1), (1, 3)]
    """
    total = np.cumsum(np.asarray(cost, float))
    start = 0
    while start < len(total):
        limit = (total[start - 1] if start else 0.0) + BLOCK_CELLS
        stop = max(start + 1, int(np.searchsorted(total, limit, side="right")))
        yield slice(start, stop)
        start = stop


def spread(available: int, number: int) -> NDArray[np.intp]:
    """Some of the draws, evenly over all of them: those of mcmc lie chain after chain.

    >>> spread(4000, 5)
    array([   0,  999, 1999, 2999, 3999])
    """
    return np.linspace(0, available - 1, number).astype(np.intp)


def check_interval(interval: float | None) -> None:
    """Refuse anything but a share strictly between 0 and 1."""
    if interval is not None and not (isinstance(interval, (int, float, np.number)) and 0 < interval < 1):
        raise ValueError(f"interval must lie strictly between 0 and 1, such as 0.9; got {interval!r}")


def summarise(draws: NDArray, interval: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of the central interval over the first axis: (S, N) -> two of (N,).

    Both ends are draws (quantiles by the inverse of the distribution function), so that they are possible values of
    a count and belong to the interval.

    >>> summarise(np.arange(1, 101)[:, None], 0.9)
    (array([5.]), array([95.]))
    """
    tail = (1 - interval) / 2
    # 1 - tail is not exact in binary: without the rounding, 0.95 x 100 may become the 96th draw.
    ends = np.quantile(draws, np.round([tail, 1 - tail], 12), axis=0, method="inverted_cdf")
    return ends[0].astype(float), ends[1].astype(float)
