"""Summary: one row per customer, with the unit of time it is counted in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from clvmodels import schema, time
from clvmodels.data.customers import Customers, indexed


@dataclass(frozen=True, eq=False)
class Summary(Customers):
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
        Columns of `table` that describe the customer (channel, country); predictions carry them.

    Raises
    ------
    DataError
        If a row breaks a rule of `clvmodels.schema.check_summary`.

    Examples
    --------
    >>> import pandas as pd
    >>> frame = pd.DataFrame({"frequency": [2, 0], "recency": [30.43, 0], "T": [38.86, 38.86]}, index=["a", "b"])
    >>> Summary(frame, unit="week")
    Summary of 2 customers in weeks: 1 with a repeat purchase
    """

    own_columns: ClassVar = schema.SUMMARY
    called: ClassVar = "the summary"
    made_by: ClassVar = "Transactions"

    def __post_init__(self) -> None:
        time.unit_days(self.unit)
        table = indexed(self.table)
        schema.check_summary(table)
        counts = ["frequency", *table.columns.intersection(["n_transactions", "n_orders"])]
        kinds = dict.fromkeys(counts, np.dtype(np.int64)) | dict.fromkeys(["recency", "T"], np.dtype(float))
        self._settle(table.astype({name: kind for name, kind in kinds.items() if table[name].dtype != kind}))

    @property
    def covered(self) -> float:
        """How long the data are, in the unit: the days of the log or, where they are not known, the largest T."""
        if self.observation_start is not None and self.observation_end is not None:
            return (self.observation_end - self.observation_start).days / time.unit_days(self.unit)
        return float(self.table["T"].max())

    def __repr__(self) -> str:
        repeaters = int((self.table["frequency"] > 0).sum())
        until = f" until {self.observation_end:%Y-%m-%d}" if self.observation_end is not None else ""
        return f"Summary of {len(self):,} customers in {self.unit}s{until}: {repeaters:,} with a repeat purchase"
