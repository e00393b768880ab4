"""What a model of a shop has to beat: nobody buys, the last period happens again, everybody's own rate continues."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from clvmodels.data.durations import Durations
from clvmodels.data.summary import Summary
from clvmodels.data.transactions import Split, Transactions
from clvmodels.draws import check_interval
from clvmodels.errors import DataError, DataWarning, counted, recorded
from clvmodels.models.base import Specification, checked_summary, summary_or_training
from clvmodels.models.fit import Origin
from clvmodels.models.forecast import described
from clvmodels.time import Horizon, horizon_days, unit_days


def checked_shop(data: Any, name: str) -> Summary:
    """The data, if they are the summary of a shop."""
    if isinstance(data, Durations):
        raise DataError(f"{name} counts purchases, and contracts have none; compare models of contracts with SimpleCLV")
    return checked_summary(data)


def plain_table(
    model: Specification, data: Summary, horizon: Horizon | None, days: int, columns: dict[str, Any], notes: list[str]
) -> pd.DataFrame:
    """The table of a model without margin and discount: its columns, with the `clv` where revenue is expected."""
    table = pd.DataFrame(columns, index=data.table.index)
    if "expected_revenue" in columns:
        table["historic_revenue"] = data.table["historic_revenue"]
        table["clv"] = table["expected_revenue"]
        notes = [*notes, f"clv is revenue: {model} knows neither margin nor discount"]
    ends = [name for name in table.columns if name.endswith(("_lower", "_median", "_upper"))]
    table = table[[name for name in table.columns if name not in ends] + ends].join(data.table[list(data.attributes)])
    table.attrs.update({"model": repr(model), **described(data, horizon, days), "notes": notes})
    return table


def finite_days(model: Specification, data: Summary, horizon: Horizon | None) -> int:
    """Whole days of a horizon, which must end."""
    if horizon is None:
        raise ValueError(f"{model} predicts a horizon that ends, such as '39 weeks'; it knows no residual value")
    return horizon_days(horizon, unit=data.unit, observation_end=data.observation_end)


def checked_log(model: Specification, data: Summary) -> tuple[Transactions, pd.Timestamp, pd.Timestamp]:
    """The log of a summary, and the first and the last day on which it was observed.

    Raises
    ------
    DataError
        If the summary has none.
    """
    source, start, end = data.source, data.observation_start, data.observation_end
    if source is None or start is None or end is None:
        raise DataError(
            f"{model} looks at the log again, and this summary has none; make it with Transactions(...).summary(...)"
        )
    return source, start, end


def last_period(model: Specification, data: Summary, days: int) -> tuple[pd.Timestamp, Split | None]:
    """The log of a summary, cut so many days before its end; not if it begins only then, when nobody was known.

    Raises
    ------
    DataError
        If the summary has no log, or a shorter one.
    """
    source, start, end = checked_log(model, data)
    length = (end - start).days + 1
    if days > length:
        raise DataError(
            f"{model} looks back {counted(days, 'day')}, as long as the horizon, but the log has only "
            f"{counted(length, 'day')}, {start:%Y-%m-%d} to {end:%Y-%m-%d}; shorten the horizon"
        )
    cut = end - pd.Timedelta(days=days)
    if cut < start:
        return cut, None
    with recorded() as given:
        split = source.split(cut, pd.Timedelta(days=days), unit=data.unit)
    for one in given:
        if not isinstance(one, DataWarning):  # what is odd was told when the summary was made
            warnings.warn(one, stacklevel=2)
    return cut, split


@dataclass(frozen=True, eq=False)
class ComparatorFit:
    """A `PredictZero`, `RepeatLastPeriod` or `OwnRate`: nothing is estimated.

    Attributes
    ----------
    model : Comparator
    origin : Origin
        What is known of the training data.
    data : Summary
        The training data.
    """

    model: Comparator
    origin: Origin
    data: Summary

    def predict(
        self, data: Summary | None = None, *, horizon: Horizon | None, interval: float | None = None
    ) -> pd.DataFrame:
        """What the model says of each customer.

        Parameters
        ----------
        data : Summary, optional
            The training data if not given.
        horizon : str, number, date or timedelta
            As for every model, but it must end.
        interval : float, optional
            There is no distribution: no columns come of it, and ``attrs["notes"]`` says so.

        Returns
        -------
        DataFrame, one row per customer
            `expected_transactions` and, where the summary knows revenue, `expected_revenue`, `historic_revenue` and
            `clv`; the attributes of the summary.

        Raises
        ------
        DataError
            If the summary has no log, or one too short, and the model needs it.
        """
        check_interval(interval)
        data = summary_or_training(data, self.data)
        days = finite_days(self.model, data, horizon)
        columns = self.model.expected(data, days)
        if "historic_revenue" not in data.table.columns:
            columns.pop("expected_revenue", None)
        notes = [self.model.note]
        if interval:
            notes.append("no intervals: one number per customer is no distribution")
        return plain_table(self.model, data, horizon, days, columns, notes)

    def __repr__(self) -> str:
        return f"{self.model!r}: {self.model.note}"


class Comparator(Specification):
    """A rule that predicts without estimating anything."""

    results = ComparatorFit
    note: ClassVar[str]

    def fit(self, data: Summary) -> ComparatorFit:
        """Keep the customers of a shop.

        Raises
        ------
        DataError
            If the data are not a summary.
        """
        data = checked_shop(data, str(self))
        return ComparatorFit(self, Origin.of(data), data)

    def expected(self, data: Summary, days: int) -> dict[str, Any]:
        """Transactions and revenue of each customer within so many days."""
        raise TypeError(f"{type(self).__name__} does not say what it expects")

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PredictZero(Comparator):
    """Nobody buys again: where most customers do not, hard to beat in mean absolute error, and worth nothing."""

    note = "nobody buys"

    def expected(self, data: Summary, days: int) -> dict[str, Any]:
        """See `Comparator.expected`."""
        return {"expected_transactions": 0.0, "expected_revenue": 0.0}


class RepeatLastPeriod(Comparator):
    """What a customer bought in the days before the end of observation, as many as the horizon has, happens again.

    It is counted as the holdout of a split is: purchase days and their revenue, net of the refunds of these days; the
    first purchase counts if it lies among them.
    """

    note = "the purchases of the last period, as long as the horizon, happen again"

    def expected(self, data: Summary, days: int) -> dict[str, Any]:
        """See `Comparator.expected`."""
        _, split = last_period(self, data, days)
        if split is None:  # all that the log holds happens again
            found = data.table.rename(columns={"n_transactions": "transactions", "historic_revenue": "revenue"})
        else:
            both = pd.concat([split.holdout, split.new_customers[split.holdout.columns]])
            found = both.reindex(data.table.index, fill_value=0)
        return {"expected_transactions": found["transactions"].astype(float), "expected_revenue": found.get("revenue")}


class OwnRate(Comparator):
    """Each customer goes on as so far: frequency / T transactions per unit of time, each worth the mean of all so far.

    Who has not come back has a rate of 0. The first transaction has a value but no rate: it began the clock.
    """

    note = "each customer's own rate, frequency / T, continues at the mean value of the own transactions"

    def expected(self, data: Summary, days: int) -> dict[str, Any]:
        """See `Comparator.expected`."""
        table = data.table
        T = table["T"].to_numpy()
        rate = np.divide(table["frequency"].to_numpy(), T, out=np.zeros(len(T)), where=T > 0)
        transactions = rate * (days / unit_days(data.unit))
        if "historic_revenue" not in table.columns:
            return {"expected_transactions": transactions}
        spend = (table["historic_revenue"] / (table["frequency"] + 1)).to_numpy()
        return {
            "expected_transactions": transactions,
            "expected_spend": spend,
            "expected_revenue": transactions * spend,
        }
