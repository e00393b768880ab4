"""Summary: one row per customer, with the unit of time it is counted in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from clvmodels import schema, time
from clvmodels.errors import DataError, counted

if TYPE_CHECKING:
    from clvmodels.data.transactions import Transactions


@dataclass(frozen=True, eq=False)
class Summary:
    """What the models need to know of each customer.

    `Transactions.summary` makes one from a log; a frame that is already summarised (as lifetimes and pymc-marketing
    use it) is taken as it is, after its rules are checked.

    Parameters
    ----------
    table : DataFrame
        One row per customer, indexed by the customer's own id. `frequency`, `recency` and `T` are required; a column
        `customer_id` becomes the index. All columns: `clvmodels.schema.SUMMARY`.
    unit : {"day", "week", "month", "year"}
        Unit of `recency` and `T`. Required: numbers without a unit are where most mistakes start.
    observation_start, observation_end : date, optional
        First day of the log and last day observed; months and years of a horizon then follow the calendar.
    source : Transactions, optional
        The log up to `observation_end`.
    attributes : tuple of str
        Columns of `table` that describe the customer (channel, country).

    Raises
    ------
    DataError
        If a row breaks a rule of `clvmodels.schema.check_summary`.

    Examples
    --------
    >>> frame = pd.DataFrame({"frequency": [2, 0], "recency": [30.43, 0], "T": [38.86, 38.86]}, index=["a", "b"])
    >>> Summary(frame, unit="week")
    Summary of 2 customers in weeks: 1 with a repeat purchase
    """

    table: pd.DataFrame
    unit: str
    observation_start: pd.Timestamp | None = None
    observation_end: pd.Timestamp | None = None
    source: Transactions | None = field(default=None, repr=False)
    attributes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        time.unit_days(self.unit)
        table = self.table
        if "customer_id" in table.columns:
            table = table.set_index("customer_id")
        if table.index.hasnans:
            raise DataError(f"the customer's id is missing in {counted(int(np.sum(table.index.isna())), 'row')}")
        schema.check_summary(table)
        counts = ["frequency", *table.columns.intersection(["n_transactions", "n_orders"])]
        kinds = dict.fromkeys(counts, np.dtype(np.int64)) | dict.fromkeys(["recency", "T"], np.dtype(float))
        table = table.astype({name: kind for name, kind in kinds.items() if table[name].dtype != kind})
        object.__setattr__(self, "table", table)
        for name in ("observation_start", "observation_end"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, time.day(getattr(self, name), name))
        start, end = self.observation_start, self.observation_end
        if start is not None and end is not None and end < start:
            raise DataError(f"observation_end {end:%Y-%m-%d} is before observation_start {start:%Y-%m-%d}")

    def __len__(self) -> int:
        return len(self.table)

    def __repr__(self) -> str:
        repeaters = int((self.table["frequency"] > 0).sum())
        until = f" until {self.observation_end:%Y-%m-%d}" if self.observation_end is not None else ""
        return f"Summary of {len(self):,} customers in {self.unit}s{until}: {repeaters:,} with a repeat purchase"
