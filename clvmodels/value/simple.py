"""SimpleCLV: average order value x purchase frequency x lifespan, a CLV model like the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from clvmodels.data.summary import Summary
from clvmodels.draws import check_interval
from clvmodels.errors import DataError, counted
from clvmodels.models.base import Specification, checked_summary
from clvmodels.models.forecast import described
from clvmodels.time import UNIT_DAYS, Horizon, horizon_days, unit_days

LIFESPAN_OF_YOUNG_SHOPS = 3.0
_SILENT_BEYOND = 0.95


@dataclass(frozen=True)
class SimpleFigures:
    """The numbers of the simple formula; money in the unit of revenue, time in years.

    Attributes
    ----------
    average_order_value : float
        Revenue / orders.
    purchase_frequency : float
        Orders of a customer in a year.
    customer_value : float
        Revenue of a customer in a year, average order value x purchase frequency.
    lifespan : float
        Years from a customer's first order to the last.
    clv : float
        Customer value x lifespan, the first order included.
    """

    average_order_value: float
    purchase_frequency: float
    customer_value: float
    lifespan: float
    clv: float

    def __str__(self) -> str:
        return (
            f"average order value {self.average_order_value:,.2f} x {self.purchase_frequency:.3f} orders a year "
            f"x {self.lifespan:.2f} years = {self.clv:,.2f}"
        )


@dataclass(frozen=True, eq=False)
class SimpleCLVFit:
    """A fitted `SimpleCLV`.

    Attributes
    ----------
    model : SimpleCLV
    data : Summary
        The training data.
    figures : SimpleFigures
        The numbers of the formula.
    transactions_per_year : float
        Purchase days of a customer in a year, which the predictions count.
    notes : tuple of str
        What the figures rest on.
    """

    model: SimpleCLV
    data: Summary
    figures: SimpleFigures
    transactions_per_year: float
    notes: tuple[str, ...]

    def predict(
        self, data: Summary | None = None, *, horizon: Horizon | None, interval: float | None = None
    ) -> pd.DataFrame:
        """Customer value x min(horizon, lifespan left) for each customer.

        Parameters
        ----------
        data : Summary, optional
            The training data if not given.
        horizon : str, number, date, timedelta or None
            As for every model. None is the lifespan left.
        interval : float, optional
            The formula has no distribution: no columns come of it, and ``attrs["notes"]`` says so.

        Returns
        -------
        DataFrame, one row per customer
            `expected_transactions`, `expected_spend`, `expected_revenue`, `historic_revenue`, `clv`.
        """
        check_interval(interval)
        data = self.data if data is None else checked_summary(data)
        days = math.inf
        if horizon is not None:
            days = horizon_days(horizon, unit=data.unit, observation_end=data.observation_end)
        age = data.table["T"].to_numpy() * unit_days(data.unit) / UNIT_DAYS["year"]
        years = np.minimum(days / UNIT_DAYS["year"], np.maximum(self.figures.lifespan - age, 0.0))
        revenue = self.figures.customer_value * years
        columns: dict[str, Any] = {
            "expected_transactions": self.transactions_per_year * years,
            "expected_spend": self.figures.customer_value / self.transactions_per_year,
            "expected_revenue": revenue,
        }
        if "historic_revenue" in data.table.columns:
            columns["historic_revenue"] = data.table["historic_revenue"]
        table = pd.DataFrame(columns | {"clv": revenue}, index=data.table.index)
        notes = [*self.notes, "clv is revenue: the formula knows neither margin nor discount"]
        if interval:
            notes.append("no intervals: the formula has no distribution")
        table.attrs.update({"model": repr(self.model), **described(data, horizon, days), "notes": notes})
        return table

    def total(
        self, data: Summary | None = None, *, horizon: Horizon | None, interval: float | None = None
    ) -> pd.DataFrame:
        """All customers together, in one row; arguments as in `predict`."""
        table = self.predict(data, horizon=horizon, interval=interval)
        sums = table[["expected_transactions", "expected_revenue", "clv"]].sum()
        frame = pd.DataFrame({"customers": [len(table)]} | {name: [value] for name, value in sums.items()})
        frame.index = pd.Index(["all"], name="segment")
        frame.attrs.update(table.attrs)
        return frame

    def __repr__(self) -> str:
        return "\n".join([f"{self.model!r}: {self.figures}", *self.notes])


class SimpleCLV(Specification):
    """The simple formula: average order value x purchase frequency x lifespan.

    Orders are counted where the log names them, else purchase days. Frequency and lifespan are over one period: from
    the first order of the log to the end of observation (from the oldest customer's, where a summary does not know the
    log's).

    Parameters
    ----------
    lifespan : float, optional
        Years that a customer stays. If not given: 3 years for a log shorter than that; else the mean time from first
        to last purchase of the customers silent for longer than the 95th percentile of all gaps between purchases.
        One-time buyers count with 0, so it is biased low.
    """

    results = SimpleCLVFit

    def __init__(self, lifespan: float | None = None) -> None:
        if lifespan is not None and not (
            isinstance(lifespan, (int, float, np.number)) and math.isfinite(lifespan) and lifespan > 0
        ):
            raise ValueError(f"lifespan must be a positive number of years; got {lifespan!r}")
        self.lifespan = lifespan

    def __repr__(self) -> str:
        return f"SimpleCLV({f'lifespan={self.lifespan:g}' if self.lifespan is not None else ''})"

    @staticmethod
    def figures_from(revenue: float, orders: float, customers: float, years: float, lifespan: float) -> SimpleFigures:
        """Do the arithmetic alone.

        Parameters
        ----------
        revenue, orders, customers : float
            Of the whole shop within the period.
        years : float
            Length of the period.
        lifespan : float
            Years that a customer stays.

        Examples
        --------
        >>> figures = SimpleCLV.figures_from(revenue=1200, orders=12, customers=2, years=2, lifespan=12)
        >>> print(figures)
        average order value 100.00 x 3.000 orders a year x 12.00 years = 3,600.00
        """
        for name, value in {"orders": orders, "customers": customers, "years": years}.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number; got {value!r}")
        value, frequency = revenue / orders, orders / customers / years
        return SimpleFigures(value, frequency, value * frequency, float(lifespan), value * frequency * lifespan)

    def fit(self, data: Summary) -> SimpleCLVFit:
        """Compute the figures from a summary that knows the customers' revenue.

        Raises
        ------
        DataError
            If the summary has no revenue, covers no time, or gives no lifespan.
        """
        checked_summary(data)
        missing = [name for name in ("historic_revenue", "n_transactions") if name not in data.table.columns]
        if missing:
            raise DataError(
                f"SimpleCLV needs the column {', '.join(map(repr, missing))}; make the summary from Transactions with "
                "a value= column"
            )
        table = data.table
        days = table["T"].max() * unit_days(data.unit)
        if data.observation_start is not None and data.observation_end is not None:
            days = (data.observation_end - data.observation_start).days
        years = float(days) / UNIT_DAYS["year"]
        if years == 0:
            raise DataError("the log covers a single day: there is no frequency to compute")
        notes = []
        if "n_orders" in table.columns:
            orders = float(table["n_orders"].sum())
            notes.append("counts orders")
        else:
            orders = float(table["n_transactions"].sum())
            notes.append("counts purchase days: the log does not name orders")
        lifespan = self.lifespan
        if lifespan is None:
            lifespan, note = _lifespan(data, years)
            notes.append(note)
        figures = self.figures_from(float(table["historic_revenue"].sum()), orders, len(table), years, lifespan)
        per_year = float(table["n_transactions"].sum()) / len(table) / years
        return SimpleCLVFit(self, data, figures, per_year, tuple(notes))


def _lifespan(data: Summary, years: float) -> tuple[float, str]:
    """Years that a customer stays, and what the number rests on."""
    if round(years, 2) < LIFESPAN_OF_YOUNG_SHOPS:  # three years on the calendar are 2.998 of 365.25 days
        return LIFESPAN_OF_YOUNG_SHOPS, f"lifespan 3 years by convention: the log covers {years:.2f}"
    if data.source is None:
        raise DataError("SimpleCLV needs the log to find the lifespan; give lifespan=, or a summary from Transactions")
    gap = data.source.gap_quantile(_SILENT_BEYOND)
    silent = data.table["days_since_last"] > gap
    lifespan = float((data.table["recency"][silent] * unit_days(data.unit)).mean() / UNIT_DAYS["year"])
    if not lifespan > 0:
        raise DataError(
            f"no lifespan can be seen: of {counted(len(data), 'customer')} {int(silent.sum()):,} are silent for more "
            f"than {gap:.0f} days, and none of them came back; give lifespan="
        )
    return lifespan, (
        f"lifespan {lifespan:.2f} years: mean from first to last purchase of {counted(int(silent.sum()), 'customer')} "
        f"silent for more than {gap:.0f} days (95 % of all gaps are shorter); one-time buyers count with 0, so it is "
        "biased low"
    )
