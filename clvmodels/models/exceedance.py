"""Probabilities of outcomes: whether a customer or a segment exceeds a threshold, and what each decision loses."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.customers import Customers
from clvmodels.draws import blocks
from clvmodels.errors import DataError, brief, examples
from clvmodels.models.forecast import (
    Forecaster,
    check_room,
    memberships,
    outcome_sums,
    question,
    told,
    way_out,
    whole,
)
from clvmodels.models.rows import Rows
from clvmodels.schema import EXCEEDANCE, refuse
from clvmodels.time import Horizon

Threshold = float | str | Mapping[Any, float]

_ROUNDING = 1e-9  # an outcome above a threshold by this share of it is equal to it: payments add up to round sums


def exceedance(
    fit: Forecaster,
    data: Customers,
    threshold: Threshold,
    quantity: str,
    horizon: Horizon | None,
    by: str | None,
    seed: int | None,
    **worth: Any,
) -> pd.DataFrame:
    """Outcomes held against a threshold: one row per customer or, with `by` or a mapping, per segment.

    The outcomes are those whose intervals `predict` and `total` give, draw by draw: under one seed the two agree,
    whatever the thresholds.
    """
    rate = worth.get("discount_rate")
    if horizon is None and not rate:
        raise ValueError(f"without discounting no simulation reaches the end of an infinite horizon; {way_out(rate)}")
    t, attrs = question(fit, data, horizon, None, "outcome", seed, worth)
    source = fit.posterior.forecast(data, t, **worth)
    customers = source.customers
    attrs |= {"quantity": quantity, "notes": told(fit, source, "probabilities")}
    if horizon is None:
        attrs["notes"].append(f"a part of the clv {source.beyond}: only the model says it; how much, predict tells")
    found: dict[str, NDArray] = {}
    if by is None and not isinstance(threshold, Mapping):
        index = customers.table.index
        # The rows of `predict`, so that the draws are its own; each is held against the thresholds of who share it.
        rows = Rows.distinct(*source.columns)
        pairs = Rows.distinct(rows.inverse, _each(threshold, customers))
        row, limits = pairs.columns
        held = {name: np.empty(len(limits)) for name in EXCEEDANCE if name != "threshold"}
        for part, outcomes in source.outcome_blocks(rows.columns, attrs["seed"], "outcomes"):
            draws = _named(outcomes, quantity)
            first, last = np.searchsorted(row, [part.start, part.stop])
            for some in blocks(np.full(last - first, source.size)):
                here = slice(first + some.start, first + some.stop)
                for name, values in _held(draws[:, row[here] - part.start], limits[here]).items():
                    held[name][here] = values
        found |= {name: values[pairs.inverse] for name, values in {"threshold": limits, **held}.items()}
        if source.restricted is not None:
            found["restricted"] = source.restricted
    else:
        index, members = memberships(customers, by)
        alike = np.ones(len(customers)) if customers.weights is None else customers.weights
        found["customers"] = whole(members @ alike)
        if source.restricted is not None:
            found["restricted"] = whole(members @ (alike * source.restricted))
        if isinstance(threshold, Mapping):
            given = _given(threshold, index)
            index, members = index[given >= 0], members.tocsr()[given >= 0].tocsc()
            found = {name: values[given >= 0] for name, values in found.items()}
            limits = np.array(list(threshold.values()), float)[given[given >= 0]]
        else:
            limits = members @ (alike * _each(threshold, customers))
        check_room(by, index, source.size)
        sums = _named(outcome_sums(source, index, members, attrs["seed"]), quantity)
        found |= {"threshold": limits, **_held(sums.T, limits)}
    frame = pd.DataFrame(found, index=index)
    frame.attrs.update(attrs)
    return frame


def _named(outcomes: Mapping[str, NDArray], quantity: str) -> NDArray:
    """The draws of a quantity."""
    if quantity not in outcomes:
        raise ValueError(f"outcomes of {quantity!r} are not known here; choose one of {', '.join(map(repr, outcomes))}")
    return outcomes[quantity]


def _held(draws: NDArray, limits: NDArray) -> dict[str, NDArray[np.float64]]:
    """Draws (S, B) against thresholds (B,): missing where a draw is."""
    over = draws - limits
    above = np.where(np.isnan(over), np.nan, over > _ROUNDING * np.abs(limits))
    return {
        "p_above": above.mean(axis=0),
        "expected_loss": np.maximum(-over, 0.0).mean(axis=0),
        "expected_forgone": np.maximum(over, 0.0).mean(axis=0),
    }


def _each(threshold: Any, customers: Customers) -> NDArray[np.float64]:
    """The threshold of each customer, (N,)."""
    if isinstance(threshold, str):
        column = pd.to_numeric(customers.attribute(threshold), errors="coerce").to_numpy(float, na_value=np.nan)
        refuse(
            customers.table,
            ~np.isfinite(column),
            f"the threshold {threshold!r} must be a finite number for every customer; it is not for",
        )
        return column
    return np.full(len(customers), _number(threshold, "threshold"))


def _given(threshold: Mapping[Hashable, Any], index: pd.Index) -> NDArray[np.intp]:
    """Which of the thresholds belongs to each row of the totals, -1 where none does."""
    if not threshold:
        raise ValueError("threshold names no row of the totals; give one at least, such as {'all': 10_000}")
    for label, value in threshold.items():
        _number(value, f"threshold of {label!r}")
    number = {label: place for place, label in enumerate(threshold)}
    if unknown := [label for label in number if label not in index]:
        raise DataError(
            f"there is no total of {examples(map(repr, unknown))}; there are {examples(map(repr, index), limit=10)}"
        )
    return np.array([number.get(label, -1) for label in index], np.intp)


def _number(value: Any, name: str) -> float:
    """The number, if it is one."""
    if isinstance(value, (bool, np.bool_)) or not (isinstance(value, (int, float, np.number)) and math.isfinite(value)):
        raise ValueError(
            f"{name} must be a finite number, the name of a column with one for each customer, or a mapping such as "
            f"{{'all': 10_000}}; got {brief(repr(value))}"
        )
    return float(value)
