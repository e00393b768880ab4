"""What every table of customers is: one row per customer or contract, a unit of time, columns that describe them."""

from __future__ import annotations

from collections.abc import Container, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from clvmodels import schema, time
from clvmodels.errors import DataError, counted, examples

# What a table of segments calls the customers without a value, and all customers.
MISSING, ALL = "(missing)", "all"

# Kinds of values, as pandas names them, that can be compared and written to every file.
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean"}
_KINDS = {"string", "date", "datetime", "datetime64", "empty"} | _NUMBERS


@dataclass(frozen=True, eq=False)
class Segments:
    """Customers by the value of a column.

    Parameters
    ----------
    name : str
        The column.
    labels : list
        Its values in their order, those of a category in that of its categories; last, where there are customers
        without one, "(missing)".
    codes : ndarray of int, (N,)
        Each customer's number in `labels`.
    """

    name: str
    labels: list[Hashable]
    codes: NDArray[np.intp]

    def sums(self, values: ArrayLike) -> NDArray[np.float64]:
        """Sum of the customers' values in each segment."""
        return np.bincount(self.codes, np.asarray(values, float), minlength=len(self.labels)).astype(float)


@dataclass(frozen=True, eq=False)
class Customers:
    """A table of customers that models are fitted to: a `clvmodels.Summary` of a shop, or `clvmodels.Durations`.

    Parameters
    ----------
    table : DataFrame
        Indexed by the customer's own id.
    unit : {"day", "week", "month", "year"}
        Unit of time of its columns.
    observation_start, observation_end : date, optional
        First and last day observed.
    source : Transactions or Subscriptions, optional
        What it was made from.
    attributes : tuple of str
        Columns that describe the customer.
    """

    table: pd.DataFrame
    unit: str
    observation_start: pd.Timestamp | None = None
    observation_end: pd.Timestamp | None = None
    source: Any = field(default=None, repr=False)
    attributes: tuple[str, ...] = ()

    own_columns: ClassVar[Mapping[str, schema.Column]]
    called: ClassVar[str]
    made_by: ClassVar[str]

    def _settle(self, table: pd.DataFrame) -> None:
        """Keep the checked table, and check what the other fields say of it."""
        object.__setattr__(self, "table", table)
        check_attributes(self.attributes, self.own_columns, self.called)
        object.__setattr__(self, "attributes", tuple(self.attributes))
        for name in self.attributes:
            self.attribute(name)
        for name in ("observation_start", "observation_end"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, time.day(getattr(self, name), name))
        start, end = self.observation_start, self.observation_end
        if start is not None and end is not None and end < start:
            raise DataError(f"observation_end {end:%Y-%m-%d} is before observation_start {start:%Y-%m-%d}")

    @property
    def number(self) -> int:
        """How many customers they are."""
        return len(self)

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """How many customers each row stands for, or None where each is one."""
        return None

    @property
    def periods(self) -> list[str]:
        """The periods that contracts are paid by, each once."""
        return []

    @property
    def only_cause(self) -> str | None:
        """The cause of ending that alone is looked at, if it is so with these contracts."""
        return None

    @property
    def covered(self) -> float:
        """How long the data are, in the unit."""
        raise NotImplementedError

    def attribute(self, name: str) -> pd.Series:
        """A column of the table that describes the customers: none of the table's own columns.

        Raises
        ------
        DataError
            If there is none of this name, or its values are not all text, all numbers or all dates.
        """
        if not isinstance(name, str):
            raise ValueError(f"an attribute is the name of one column; got {name!r}")
        known = [column for column in self.table.columns if column not in self.own_columns]
        if name not in known:
            have, it = ("have", "they have") if self.called.endswith("s") else ("has", "it has")
            others = examples(map(repr, known), limit=20) or "none"
            raise DataError(
                f"{self.called} {have} no attribute {name!r}, {it} {others}; name the columns that describe customers "
                f"in {self.made_by}(attributes=)"
            )
        column = self.table[name]
        categories = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
        if (kind := pd.api.types.infer_dtype(categories, skipna=True)) not in _KINDS:
            raise DataError(f"attribute {name!r} holds {kind} values, not text, numbers or dates; turn them into text")
        return column

    def segments(self, by: str) -> Segments:
        """The customers by the value of an attribute.

        Raises
        ------
        DataError
            As `attribute`, and if a value has a name that tables of segments need for their own rows.
        """
        codes, values = pd.factorize(self.attribute(by))
        order = pd.Index(values).argsort()
        labels: list[Hashable] = pd.Index(values)[order].tolist()
        for label in (MISSING, ALL):
            if label in labels:
                raise DataError(
                    f"attribute {by!r} has the value {label!r}, which is what a table of segments calls "
                    f"{'customers without a value' if label == MISSING else 'all customers'}; rename it"
                )
        ranks = np.empty(len(order) + 1, np.intp)
        ranks[order] = np.arange(len(order))
        ranks[-1] = len(order)  # the code of a missing value is -1
        return Segments(by, [*labels, MISSING] if (codes < 0).any() else labels, ranks[codes])

    def __len__(self) -> int:
        return len(self.table)


def indexed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with its column `customer_id`, if there is one, as index; refused where ids are missing."""
    if "customer_id" in table.columns:
        table = table.set_index("customer_id")
    if table.index.hasnans:
        raise DataError(f"the customer's id is missing in {counted(int(np.sum(table.index.isna())), 'row')}")
    return table


def check_attributes(names: Sequence[str], own_columns: Container[str], called: str) -> None:
    """Refuse names of attributes that a table of customers could not hold beside its own columns."""
    if isinstance(names, str):
        raise ValueError(f"attributes must be a list of columns; got {names!r}")
    seen: set[str] = set()
    for name in names:
        if name in own_columns or name == "customer_id":
            raise DataError(f"attribute {name!r} has the name of a column of {called}; rename it")
        # Databases do not tell capitals from small letters.
        if (small := str(name).lower()) in schema.PREDICTED:
            raise DataError(f"attribute {name!r} has the name of a predicted column; rename it")
        if small in seen:
            raise DataError(f"attribute {name!r} is named twice; capitals are not told from small letters")
        seen.add(small)
