"""Groups: predicted against actual by decile of the prediction, by what the customer did before, by segment."""

from __future__ import annotations

import itertools
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.evaluation.scored import Scored

GroupBy = Literal["decile", "frequency", "recency", "tenure", "segment"]
MANY = 7  # repeat transactions that are put into one class, as the papers do
_BINS = 10


def grouped(score: Scored, by: GroupBy) -> pd.DataFrame:
    """Means of the predictions and of what happened, for each group of customers.

    Returns
    -------
    DataFrame
        `model`, `cutoff`, `horizon`, `target`, `group`, `customers`, `predicted` and `actual` (means of a customer)
        and, where the model gives intervals, `coverage`, `implied` (what the model itself gives them) and `width`.
    """
    frame = score.frame.dropna(subset=["actual", "mean"])
    labels, codes = _groups(frame, by)
    found = {"customers": pd.Series(1, frame.index), "predicted": frame["mean"], "actual": frame["actual"]}
    if "lower" in frame.columns:
        inside = (frame["actual"] >= frame["lower"]) & (frame["actual"] <= frame["upper"])
        found["coverage"] = inside.astype(float)
        if "implied" in frame.columns:
            found["implied"] = frame["implied"]
        found["width"] = frame["upper"] - frame["lower"]
    columns = pd.DataFrame({name: values.to_numpy() for name, values in found.items()})
    by_group = columns.groupby(codes)
    table = by_group.agg({name: "sum" if name == "customers" else "mean" for name in columns})
    table.insert(0, "group", [labels[code] for code in table.index])
    table = table.reset_index(drop=True)
    key: dict[str, Any] = {
        "model": score.model,
        "cutoff": score.cutoff,
        "horizon": score.horizon,
        "target": score.target,
    }
    return table.assign(**key)[[*key, *table.columns]]


def deciles(predicted: NDArray) -> NDArray[np.int64]:
    """Decile of each prediction, 1 the lowest; customers of equal predictions share the one of their middle.

    >>> deciles(np.array([5.0, 1.0, 1.0, 9.0]))
    array([7, 3, 3, 9])
    """
    middle = pd.Series(predicted).rank().to_numpy() - 0.5
    return np.asarray(np.floor(10 * middle / len(predicted)) + 1, np.int64)


def _groups(frame: pd.DataFrame, by: str) -> tuple[list[str], NDArray[np.intp]]:
    """The names of the groups in their order, and each customer's number among them."""
    if by == "decile":
        return [*map(str, range(1, 11))], deciles(frame["mean"].to_numpy()) - 1
    if by == "segment":
        codes, segments = pd.factorize(frame["segment"], sort=True)
        return [*map(str, segments)], codes
    if by == "frequency" and by in frame.columns:
        return [*map(str, range(MANY)), f"{MANY}+"], np.minimum(frame[by].to_numpy(), MANY).astype(int)
    if by in ("recency", "tenure") and by in frame.columns:
        time = frame[by].to_numpy()
        edges = np.linspace(0.0, max(float(time.max()), 1e-9), _BINS + 1)
        labels = [f"{low:.3g} to {high:.3g}" for low, high in itertools.pairwise(edges)]
        number = np.clip(np.searchsorted(edges, time) - 1, 0, _BINS - 1)
        if by == "tenure":
            return labels, number
        return ["0", *labels], np.where(time > 0, number + 1, 0)  # who never came back is a group of its own
    known = ["decile", "segment", *(name for name in ("frequency", "recency", "tenure") if name in frame.columns)]
    raise ValueError(f"there are no groups by {by!r}; choose one of {', '.join(map(repr, known))}")
