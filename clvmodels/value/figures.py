"""Figures of the simple formulas: of all customers together, or of each segment."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.customers import ALL, Customers, Segments
from clvmodels.errors import DataError, counted, examples


def segments_of(data: Customers, by: str | None) -> Segments:
    """The customers by an attribute, or all together."""
    return Segments("segment", [ALL], np.zeros(len(data), np.intp)) if by is None else data.segments(by)


def figures_frame(figures: Any, by: str | None) -> pd.DataFrame:
    """The figures, one row per segment, or one for all customers."""
    each: Mapping[Hashable, Any] = figures if isinstance(figures, dict) else {ALL: figures}
    index = pd.Index(list(each), name=by or "segment")
    return pd.DataFrame([dataclasses.asdict(one) for one in each.values()], index=index)


def figure_rows(data: Customers, figures: Any, by: str | None) -> NDArray[np.intp]:
    """Each customer's row of `figures_frame`, (N,).

    Raises
    ------
    DataError
        If a customer's segment was not there when the figures were computed.
    """
    if not isinstance(figures, dict) or by is None:
        return np.zeros(len(data), np.intp)
    segments, known = data.segments(by), {label: row for row, label in enumerate(figures)}
    rows = np.array([known.get(label, -1) for label in segments.labels])[segments.codes]
    if (rows < 0).any():
        unseen = examples(repr(label) for label in segments.labels if label not in known)
        raise DataError(
            f"the fit has seen no {by} {unseen}; it has no figures for "
            f"{counted(int((rows < 0).sum()), 'customer')}: {examples(data.table.index[rows < 0])}"
        )
    return rows
