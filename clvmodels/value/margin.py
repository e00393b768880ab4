"""Margins: one number, a column of the summary, or a mapping by the values of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.customers import Customers
from clvmodels.errors import DataError, brief, counted, examples
from clvmodels.schema import refuse

Margin = float | str | Mapping[str, Mapping[Any, float]]

_SHARE = "a share of revenue, above 0 and at most 1, such as 0.3"


def checked_margin(margin: Margin) -> Margin:
    """The margin in plain numbers and dicts of its own, if it is one."""
    if isinstance(margin, str):
        return margin
    if not isinstance(margin, Mapping):
        return _share(margin, "margin")
    attribute, shares = next(iter(margin.items()), (None, None))
    if len(margin) != 1 or not isinstance(attribute, str) or not isinstance(shares, Mapping):
        raise ValueError(
            "margin as a mapping names one column and gives each of its values a margin, such as "
            f"{{'channel': {{'web': 0.3, 'store': 0.25}}}}; got {brief(margin, 100)}"
        )
    plain = {key.item() if isinstance(key, np.generic) else key: share for key, share in shares.items()}
    for key in plain:
        if not isinstance(key, (str, int, float)):
            raise ValueError(f"margin gives one to {key!r}; the values of {attribute!r} must be text or numbers here")
    return {attribute: {key: _share(share, f"margin of {attribute} {key!r}") for key, share in plain.items()}}


def margin_attribute(margin: Margin) -> str | None:
    """The column of the summary that a margin depends on."""
    return margin if isinstance(margin, str) else next(iter(margin)) if isinstance(margin, Mapping) else None


def margins(margin: Margin, data: Customers) -> NDArray[np.float64]:
    """The margin of each customer, (N,).

    Raises
    ------
    DataError
        If the summary has no such column, or it gives a customer no margin.
    """
    if isinstance(margin, str):
        column = data.attribute(margin)
        shares = pd.to_numeric(column, errors="coerce").to_numpy(float, na_value=np.nan)
        bad = ~((shares > 0) & (shares <= 1))  # missing ones, too
        refuse(data.table, bad, f"margin column {margin!r} must hold {_SHARE}; it does not for")
        return shares
    if isinstance(margin, Mapping):
        ((attribute, given),) = margin.items()
        segments = data.segments(attribute)
        shares = np.array([given.get(label, np.nan) for label in segments.labels])
        bad = np.isnan(shares[segments.codes])
        if bad.any():
            without = examples(repr(label) for label in segments.labels if label not in given)
            raise DataError(
                f"margin says nothing of {attribute} {without}; it is missing for "
                f"{counted(int(bad.sum()), 'customer')}: {examples(data.table.index[bad])}"
            )
        return shares[segments.codes]
    return np.full(len(data), float(margin))


def _share(share: Any, name: str) -> float:
    if not (isinstance(share, (int, float, np.number)) and 0 < share <= 1):
        raise ValueError(f"{name} must be {_SHARE}; got {share!r}")
    return float(share)
