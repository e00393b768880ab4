"""Durations: one row per contract, how long it has lasted and whether it has ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels import schema, time
from clvmodels.data.customers import Customers, indexed
from clvmodels.errors import DataError, counted, examples


@dataclass(frozen=True, eq=False)
class Durations(Customers):
    """What the survival models need to know of each contract.

    `Subscriptions.durations` makes them from contract records; a ready frame is taken as it is, after its rules are
    checked. There are two clocks, and a model reads one of them: `duration` is time, in the unit; `renewals` counts the
    contract's own periods.

    Parameters
    ----------
    table : DataFrame
        One row per contract, indexed by the customer's own id; a column `customer_id` becomes the index. `event` and
        one of `duration` and `renewals` are required. A frame without `duration` may call `entry_renewals` just
        `entry`. All columns: `clvmodels.schema.DURATIONS`.
    unit : {"day", "week", "month", "year"}
        Unit of `duration` and `entry`, and the period of contracts that have no other.
    observation_start, observation_end : date, optional
        Days from which and until which endings were recorded; renewals to come then follow the calendar.
    source : Subscriptions, optional
        The contract records up to `observation_end`.
    attributes : tuple of str
        Columns of `table` that describe the customer; predictions carry them, and covariates may be among them.

    Raises
    ------
    DataError
        If a row breaks a rule of `clvmodels.schema.check_durations`.

    Examples
    --------
    >>> frame = pd.DataFrame({"duration": [3.2, 14.0], "event": [1, 0]}, index=["a", "b"])
    >>> Durations(frame, unit="month")
    Durations of 2 contracts in months: 1 ended
    """

    own_columns: ClassVar = schema.DURATIONS
    called: ClassVar = "the durations"
    made_by: ClassVar = "Subscriptions"

    def __post_init__(self) -> None:
        time.unit_days(self.unit)
        table = indexed(self.table)
        if "duration" not in table.columns and "entry" in table.columns:
            if "entry_renewals" in table.columns:
                raise DataError("without duration there is one clock: give entry_renewals, not entry beside it")
            table = table.rename(columns={"entry": "entry_renewals"})
        for clock, entry in (("duration", "entry"), ("renewals", "entry_renewals")):
            if clock in table.columns and entry not in table.columns:
                table = table.assign(**{entry: 0})
        schema.check_durations(table)
        if "period" in table.columns:
            schema.refuse(table, table["period"].isna().to_numpy(), "the period is missing for")
            written = {text: str(time.period(text)) for text in table["period"].unique()}
            table = table.assign(period=table["period"].map(written))  # a quarter is 3 months
        kinds: dict[str, Any] = dict.fromkeys(["renewals", "event", "entry_renewals", "contract"], np.dtype(np.int64))
        kinds |= dict.fromkeys(["duration", "entry", "weight", "value"], np.dtype(float))
        present = table.columns.intersection(list(kinds))
        table = table.astype({name: kinds[name] for name in present if table[name].dtype != kinds[name]})
        self._settle(table[[*table.columns.intersection(list(schema.DURATIONS)), *self._others(table)]])

    @staticmethod
    def _others(table: pd.DataFrame) -> list[Any]:
        return [name for name in table.columns if name not in schema.DURATIONS]

    @classmethod
    def from_survivors(cls, survivors: Any, unit: str = "year") -> Self:
        """Durations from the published form: how many customers are left after 0, 1, 2, ... renewals.

        Parameters
        ----------
        survivors : sequence, Series, mapping or DataFrame
            One cohort as numbers that never rise, the first at acquisition; or several, by name or in columns (missing
            numbers before a cohort began and after its last are left out), whose names become the attribute `cohort`.
        unit : {"day", "week", "month", "year"}
            How long a period is.

        Returns
        -------
        Durations
            One row per renewal and cohort, with the number of customers who left there as its `weight`, and one for
            those who are left.

        Examples
        --------
        >>> Durations.from_survivors([1000, 869, 743]).table[["renewals", "event", "weight"]].to_numpy().tolist()
        [[1.0, 1.0, 131.0], [2.0, 1.0, 126.0], [2.0, 0.0, 743.0]]
        """
        several = isinstance(survivors, (Mapping, pd.DataFrame))
        cohorts: Mapping[Any, Any] = survivors if several else {None: survivors}
        parts = []
        for name, numbers in cohorts.items():
            left = _checked_survivors(numbers, "survivors" if name is None else f"survivors of cohort {name!r}")
            churned, last = -np.diff(left), len(left) - 1
            rows = {
                "renewals": np.append(np.arange(1, last + 1), last),
                "event": np.append(np.ones(last, int), 0),
                "weight": np.append(churned, left[-1]),
            }
            parts.append(pd.DataFrame(rows | ({"cohort": name} if several else {})))
        table = pd.concat(parts, ignore_index=True)
        table = table[table["weight"] > 0].reset_index(drop=True).rename_axis("group")
        return cls(table, unit, attributes=("cohort",) if several else ())

    @property
    def number(self) -> int:
        """How many customers they are: the sum of the weights, where rows have them."""
        return round(float(self.table["weight"].sum())) if "weight" in self.table.columns else len(self)

    @property
    def covered(self) -> float:
        """The longest tenure ever observed, in the unit."""
        if "duration" in self.table.columns:
            return float(self.table["duration"].max())
        # Who left at the n-th renewal was a customer for n periods.
        return float((self.table["renewals"] * self.period_lengths).max())

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """How many customers each row stands for, or None where each is one."""
        return self.table["weight"].to_numpy() if "weight" in self.table.columns else None

    @property
    def periods(self) -> list[str]:
        """The contracts' periods, each once."""
        return sorted(self.table["period"].unique()) if "period" in self.table.columns else [self.unit]

    @property
    def period_lengths(self) -> NDArray[np.float64]:
        """Mean length of each contract's period in the unit, (N,)."""
        if "period" not in self.table.columns:
            return np.ones(len(self))
        days = {text: time.period(text).days for text in self.periods}
        return np.asarray(self.table["period"].map(days).to_numpy(float) / time.unit_days(self.unit))

    @property
    def active(self) -> Durations:
        """The contracts that have not ended."""
        return self._only(self.table["event"].to_numpy() == 0, "no contract is active: there is nobody to predict")

    def select(self, **values: Any) -> Durations:
        """The contracts with this value in a column, such as ``select(period="month")``."""
        keep = np.ones(len(self), bool)
        for name, value in values.items():
            if name not in self.table.columns:
                raise DataError(f"the durations have no column {name!r}; they have {list(self.table.columns)}")
            keep &= (self.table[name] == value).to_numpy(bool, na_value=False)
        return self._only(
            keep, f"no contract has {' and '.join(f'{name} {value!r}' for name, value in values.items())}"
        )

    def for_cause(self, cause: Any) -> Durations:
        """The same contracts with one cause of ending alone: where others came first, the end is not known.

        What is fitted to them is the chance of leaving for this cause if the others were abolished and independent of
        it. Value depends on all causes.
        """
        if "cause" not in self.table.columns:
            raise DataError("the durations have no causes; name their column in Subscriptions(cause=)")
        here = (self.table["cause"] == cause).to_numpy(bool, na_value=False) & (self.table["event"] == 1).to_numpy()
        if not here.any():
            known = examples(map(repr, self.table["cause"].dropna().unique()), limit=10)
            raise DataError(f"no contract ended by cause {cause!r}; there are {known}")
        table = self.table.assign(event=here.astype(int))
        if "renewals" in table.columns:  # the periods paid are one more than the renewals completed
            table["renewals"] -= (self.table["event"] == 1).to_numpy() & ~here
        return replace(self, table=table)

    def _only(self, keep: NDArray[np.bool_], none: str) -> Durations:
        if not keep.any():
            raise DataError(none)
        return replace(self, table=self.table[keep])

    def __repr__(self) -> str:
        ended = float(((self.table["event"] == 1) * (1.0 if self.weights is None else self.weights)).sum())
        until = f" until {self.observation_end:%Y-%m-%d}" if self.observation_end is not None else ""
        return f"Durations of {counted(self.number, 'contract')} in {self.unit}s{until}: {ended:,.10g} ended"


def checked_durations(data: Any) -> Durations:
    """The data, if they are durations."""
    if not isinstance(data, Durations):
        raise DataError(
            f"Durations are needed, not a {type(data).__name__}; use Subscriptions(...).durations(unit=...) or "
            "Durations(frame, unit=...)"
        )
    return data


def _checked_survivors(numbers: Sequence[float], called: str) -> NDArray[np.float64]:
    left = pd.Series(numbers).astype(float)
    known = left.loc[left.first_valid_index() : left.last_valid_index()].to_numpy()
    if len(known) < 2 or not np.isfinite(known).all() or (known < 0).any() or known[0] == 0:
        raise DataError(f"{called} must be at least two numbers, such as 1000, 869, 743; got {examples(left, 5)}")
    if (np.diff(known) > 0).any():
        at = int(np.argmax(np.diff(known) > 0)) + 1
        raise DataError(f"{called} must never rise; {known[at]:g} follow {known[at - 1]:g} at renewal {at}")
    return np.asarray(known)
