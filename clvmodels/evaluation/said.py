"""What a model said, looked at before it is scored: any class may be a model, and what it says may be anything.

Each rule that is broken is one sentence with the model, the column, how many customers and some of them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.errors import DataError, counted, examples
from clvmodels.models.forecast import MEAN_OF, RETAINED

_BLOCK = 'blocks (rows of the table of predict(), {"transactions": array of draws x rows, ...})'


def places(model: str, table: Any, customers: pd.Index, whose: str) -> NDArray[np.intp]:
    """Which row of a table speaks of each of the customers, who are those of `whose`: "data", or "data.active".

    Raises
    ------
    DataError
        If it is no table, or does not speak of each customer once.
    """
    if not isinstance(table, pd.DataFrame):
        what = f"{type(table).__module__.partition('.')[0]}.{type(table).__name__}".removeprefix("builtins.")
        raise DataError(f"predict() of {model} must return a pandas DataFrame, one row per customer; it is a {what}")
    if not table.columns.is_unique:
        twice = examples(table.columns[table.columns.duplicated()].unique())
        raise DataError(f"the table of {model} has columns of the same name: {twice}")
    if table.index.equals(customers):
        return np.arange(len(table))
    if not customers.is_unique:
        whom = examples(customers[customers.duplicated()].unique())
        raise DataError(
            f"{model} must predict the customers of {whose} in their order, because some have several rows: {whom}"
        )
    if not table.index.is_unique:
        several = table.index[table.index.duplicated()].unique()
        whom = counted(len(several), "customer")
        raise DataError(
            f"{model} must predict each customer of {whose} once; it has several rows for {whom}: {examples(several)}"
        )
    place = table.index.get_indexer(customers)
    if (unknown := place < 0).any():
        hint = ""
        if unknown.all():
            hint = f"; the index of its table must be their ids, and is {examples(table.index) or 'empty'}"
        whom = counted(int(unknown.sum()), "customer")
        raise DataError(f"{model} does not predict {whom}: {examples(customers[unknown])}{hint}")
    return np.asarray(place)


def numbers(
    model: str, table: pd.DataFrame, column: str, least: float = -math.inf, most: float = math.inf
) -> NDArray[np.float64]:
    """A column of a table as numbers, NaN where nothing is said.

    Raises
    ------
    DataError
        If it is of another kind, infinite, or outside of its bounds, which are 0 or 1 where there are any.
    """
    values = table[column]
    if values.dtype.kind not in "iuf":
        raise DataError(f"{model}: {column} must be numbers; its dtype is {values.dtype}")
    found = values.to_numpy(float, na_value=np.nan)
    _refuse(f"{model}: {column} must be finite, or missing for who is not predicted", np.isinf(found), table.index)
    rule = f"{model}: {column} must be " + ("a probability, from 0 to 1" if most == 1 else "0 or more")
    _refuse(rule, (found < least) | (found > most), table.index)
    return found


def interval(model: str, table: pd.DataFrame, outcome: str) -> dict[str, NDArray[np.float64]]:
    """The ends of an outcome's intervals, if the table has any.

    Raises
    ------
    DataError
        If there is one end without the other, or they cross.
    """
    names = {end: f"{outcome}_{end}" for end in ("lower", "upper")}
    present = {end: name for end, name in names.items() if name in table.columns}
    if not present:
        return {}
    if len(present) == 1:
        missing = next(name for end, name in names.items() if end not in present)
        raise DataError(f"{model}: {next(iter(present.values()))} needs {missing} beside it")
    ends = {end: numbers(model, table, name) for end, name in names.items()}
    low, high = ends.values()
    both = " and ".join(names.values())
    _refuse(f"{model}: {both} must be there both, or be missing both", np.isnan(low) != np.isnan(high), table.index)
    _refuse(f"{model}: {names['lower']} must not exceed {names['upper']}", low > high, table.index)
    return ends


def blocks_of(model: str, drawn: Any, customers: pd.Index) -> Iterator[tuple[NDArray[np.intp], dict[str, NDArray]]]:
    """The blocks of `outcome_draws`: rows of the table of `predict`, and draws (S, B) of each outcome.

    `customers` is the index of that table.

    Raises
    ------
    DataError
        If they are no blocks, differ in their outcomes or draws, or do not speak of each row once.
    """
    said = f"outcome_draws() of {model}"
    if not isinstance(drawn, Iterator | list | tuple):
        raise DataError(f"{said} must yield {_BLOCK}; it is a {type(drawn).__name__}")
    seen = np.zeros(len(customers), bool)
    first: tuple[set[str], int] | None = None
    for block in drawn:
        if not (isinstance(block, tuple | list) and len(block) == 2 and isinstance(block[1], Mapping)):
            raise DataError(f"{said} must yield {_BLOCK}; it yields a {type(block).__name__}")
        rows = _rows(said, block[0], len(customers))
        draws = {name: np.asarray(values) for name, values in block[1].items()}
        unknown = [name for name in draws if name not in MEAN_OF]
        if unknown or not draws:
            raise DataError(f"{said} names {examples(unknown) or 'no outcome'}; choose of {', '.join(MEAN_OF)}")
        for name, values in draws.items():
            if values.ndim != 2 or values.shape[1] != len(rows) or len(values) < 2:
                raise DataError(
                    f"{said}: the draws of {name} must have two rows or more, the draws, and a column for each of the "
                    f"block's {counted(len(rows), 'customer')}; their shape is {values.shape}"
                )
            if values.dtype.kind not in ("iufb" if name == RETAINED else "iuf"):
                raise DataError(f"{said}: the draws of {name} must be numbers; their dtype is {values.dtype}")
        sizes = {len(values) for values in draws.values()}
        first = first or (set(draws), min(sizes))
        if set(draws) != first[0] or sizes != {first[1]}:
            raise DataError(f"{said} must yield the same outcomes and as many draws in each block: draw s is one world")
        twice = seen[rows]
        if len(rows) and (twice.any() or (not isinstance(block[0], slice) and np.bincount(rows).max() > 1)):
            some = f" ({examples(customers[rows[twice]])})" if twice.any() else ""
            raise DataError(f"{said} must speak of each customer once; some come twice{some}")
        seen[rows] = True
        yield rows, draws
    if not seen.all():
        whom = f"{counted(int((~seen).sum()), 'customer')}: {examples(customers[~seen])}"
        raise DataError(f"{said} must speak of each customer once; it does not of {whom}")


def check_draws(model: str, outcome: str, ordered: NDArray, customers: pd.Index) -> None:
    """Refuse outcomes that cannot be: draws (S, B) in ascending order, but of `retained`, which has no order.

    Raises
    ------
    DataError
        If some are not numbers, no counts, or of `retained` neither 0 nor 1.
    """
    if ordered.dtype.kind == "b":
        return
    said = f"outcome_draws() of {model}: {outcome} must be"
    if outcome == RETAINED:
        _refuse(f"{said} 0 or 1", ((ordered != 0) & (ordered != 1)).any(axis=0), customers, _OF_BLOCK)
        return
    _refuse(f"{said} finite", ~np.isfinite(ordered[[0, -1]]).all(axis=0), customers, _OF_BLOCK)  # NaN comes last
    if outcome == "transactions":
        wrong = ordered[0] < 0
        if ordered.dtype.kind == "f":
            wrong = wrong | (ordered != np.rint(ordered)).any(axis=0)
        _refuse(f"{said} whole numbers, 0 or more", wrong, customers, _OF_BLOCK)


_OF_BLOCK = " of a block"


def _rows(said: str, part: Any, number: int) -> NDArray[np.intp]:
    """Positions of a block's rows."""
    if isinstance(part, slice):
        try:
            return np.arange(*part.indices(number))
        except (TypeError, ValueError):
            raise DataError(f"{said} must yield {_BLOCK}; the rows are {part}") from None
    rows = np.asarray(part)
    if rows.ndim != 1 or rows.dtype.kind not in "iu":
        raise DataError(f"{said} must yield {_BLOCK}; rows are a slice or whole numbers, not a {type(part).__name__}")
    if len(rows) and not (rows.min() >= 0 and rows.max() < number):
        raise DataError(f"{said}: rows must lie between 0 and {number - 1:,}; they are {rows.min()} to {rows.max()}")
    return rows.astype(np.intp)


def _refuse(rule: str, wrong: NDArray, customers: pd.Index, where: str = "") -> None:
    """One sentence, if anything is wrong: the rule, of how many customers it is not so, and some of them."""
    number = int(np.count_nonzero(wrong))
    if number:
        breaks = "breaks" if number == 1 else "break"
        raise DataError(f"{rule}; {counted(number, 'customer')}{where} {breaks} this: {examples(customers[wrong])}")
