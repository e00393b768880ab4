"""Equal rows are weights: a table reduced to its distinct rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rows:
    """Distinct rows of some columns: equal rows are weights.

    Parameters
    ----------
    columns : tuple of ndarray, each (U,)
        Sorted by the first column, then the second, and so on.
    weights : ndarray, (U,)
        How many rows of the original share each.
    inverse : ndarray of int, (N,)
        ``columns[i][inverse]`` are the original columns.
    """

    columns: tuple[NDArray, ...]
    weights: NDArray
    inverse: NDArray

    @classmethod
    def distinct(cls, *columns: NDArray, weights: NDArray | None = None) -> Self:
        """Reduce columns of equal length to their distinct rows; of rows that have weights, these are summed.

        >>> rows = Rows.distinct(np.array([1.0, 0.0, 1.0]), np.array([5.0, 0.0, 5.0]))
        >>> rows.columns[0], rows.weights, rows.inverse
        (array([0., 1.]), array([1., 2.]), array([1, 0, 1]))
        """
        order = np.lexsort(columns[::-1])
        is_new = np.zeros(len(order), bool)
        is_new[:1] = True
        for column in columns:
            is_new[1:] |= np.diff(column[order]) != 0
        number = np.cumsum(is_new) - 1
        inverse = np.empty(len(order), np.intp)
        inverse[order] = number
        sums = np.bincount(number, None if weights is None else weights[order]).astype(float)
        return cls(tuple(column[order[is_new]] for column in columns), sums, inverse)

    @property
    def countable(self) -> bool:
        """Whether the rows stand for whole numbers of customers."""
        return bool((self.weights == np.round(self.weights)).all())

    def hash(self, unit: str) -> str:
        """Hash of the distinct rows, their weights and the unit of time."""
        digest = hashlib.sha256(unit.encode())
        for column in (*self.columns, self.weights):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()[:16]
