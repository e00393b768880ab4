"""SimpleCLV: average order value x purchase frequency x lifespan, a CLV model like the others."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.customers import ALL, Segments
from clvmodels.data.durations import Durations
from clvmodels.data.summary import Summary
from clvmodels.draws import check_interval
from clvmodels.errors import DataError, counted, examples
from clvmodels.models.base import Specification, checked_summary, summary_or_training
from clvmodels.models.fit import Origin
from clvmodels.models.forecast import described, memberships
from clvmodels.time import UNIT_DAYS, Horizon, horizon_days, unit_days
from clvmodels.value.figures import figure_rows, figures_frame, segments_of
from clvmodels.value.simple_contracts import SimpleContractsFit, churn_figures

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
    origin : Origin
        What is known of the training data.
    figures : SimpleFigures, or dict of SimpleFigures by segment
        The numbers of the formula.
    transactions_per_year : float, or dict of float by segment
        Purchase days of a customer in a year, which the predictions count.
    notes : tuple of str
        What the figures rest on.
    data : Summary or None
        The training data. A loaded fit has none: customers are not saved.
    """

    model: SimpleCLV
    origin: Origin
    figures: SimpleFigures | dict[Hashable, SimpleFigures]
    transactions_per_year: float | dict[Hashable, float]
    notes: tuple[str, ...]
    data: Summary | None = None

    def summary(self) -> pd.DataFrame:
        """The figures and the purchase days of a customer in a year, one row per segment, or one for all customers."""
        days = self.transactions_per_year
        frame = figures_frame(self.figures, self.model.by)
        return frame.assign(transactions_per_year=list(days.values()) if isinstance(days, dict) else days)

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
            `expected_transactions`, `expected_spend`, `expected_revenue`, `historic_revenue`, `clv`, and the attributes
            of the summary.

        Raises
        ------
        DataError
            If a customer's segment was not there when the figures were computed.
        """
        check_interval(interval)
        data = summary_or_training(data, self.data)
        days = math.inf
        if horizon is not None:
            days = horizon_days(horizon, unit=data.unit, observation_end=data.observation_end)
        age = data.table["T"].to_numpy() * unit_days(data.unit) / UNIT_DAYS["year"]
        summary, rows = self.summary(), figure_rows(data, self.figures, self.model.by)
        lifespan, customer_value, per_year = (
            summary[name].to_numpy()[rows] for name in ("lifespan", "customer_value", "transactions_per_year")
        )
        years = np.minimum(days / UNIT_DAYS["year"], np.maximum(lifespan - age, 0.0))
        revenue = customer_value * years
        columns: dict[str, Any] = {
            "expected_transactions": per_year * years,
            "expected_spend": customer_value / per_year,
            "expected_revenue": revenue,
        }
        if "historic_revenue" in data.table.columns:
            columns["historic_revenue"] = data.table["historic_revenue"]
        table = pd.DataFrame(columns | {"clv": revenue}, index=data.table.index)
        table = table.join(data.table[list(data.attributes)])
        notes = [*self.notes, "clv is revenue: the formula knows neither margin nor discount"]
        if interval:
            notes.append("no intervals: the formula has no distribution")
        table.attrs.update({"model": repr(self.model), **described(data, horizon, days), "notes": notes})
        return table

    def total(
        self,
        data: Summary | None = None,
        *,
        horizon: Horizon | None,
        by: str | None = None,
        interval: float | None = None,
    ) -> pd.DataFrame:
        """All customers together; other arguments as in `predict`.

        Parameters
        ----------
        by : str, optional
            An attribute of the summary: before the row of all customers comes one for each of its values.
        """
        data = summary_or_training(data, self.data)
        index, members = memberships(data, by)
        table = self.predict(data, horizon=horizon, interval=interval)
        names = ["expected_transactions", "expected_revenue", "clv"]
        frame = pd.DataFrame(members @ table[names].to_numpy(), index=index, columns=names)
        frame.insert(0, "customers", members.sum(axis=1).astype(int))
        frame.attrs.update(table.attrs)
        return frame

    def __repr__(self) -> str:
        if isinstance(self.figures, dict):
            shown = self.summary().to_string(max_rows=10, float_format=lambda value: f"{value:,.2f}")
            return "\n".join([repr(self.model), shown, *self.notes])
        return "\n".join([f"{self.model!r}: {self.figures}", *self.notes])


class SimpleCLV(Specification):
    """The simple formula: average order value x purchase frequency x lifespan; of contracts, price / churn rate.

    Orders are counted where the log names them, else purchase days. Frequency and lifespan are over one period: from
    the first order of the log to the end of observation (from the oldest customer's, where a summary does not know the
    log's).

    Parameters
    ----------
    lifespan : float, optional
        Years that a customer of a shop stays. If not given: 3 years for a log shorter than that; else the mean time
        from first to last purchase of the customers silent for longer than the 95th percentile of all gaps between
        purchases. One-time buyers count with 0, so it is biased low.
    by : str, optional
        An attribute of the data: each of its values has figures of its own. The period and the days after which a
        customer is silent are those of the whole log.
    """

    results = SimpleCLVFit

    def __init__(self, lifespan: float | None = None, by: str | None = None) -> None:
        if lifespan is not None and not (
            isinstance(lifespan, (int, float, np.number)) and math.isfinite(lifespan) and lifespan > 0
        ):
            raise ValueError(f"lifespan must be a positive number of years; got {lifespan!r}")
        if by is not None and not isinstance(by, str):
            raise ValueError(f"by must be the name of one column; got {by!r}")
        self.lifespan, self.by = lifespan, by

    def __repr__(self) -> str:
        given = [f"lifespan={self.lifespan:g}"] if self.lifespan is not None else []
        return f"SimpleCLV({', '.join(given + ([f'by={self.by!r}'] if self.by is not None else []))})"

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
        value, frequency = float(revenue / orders), float(orders / customers / years)
        return SimpleFigures(value, frequency, value * frequency, float(lifespan), value * frequency * float(lifespan))

    @overload
    def fit(self, data: Summary) -> SimpleCLVFit: ...
    @overload
    def fit(self, data: Durations) -> SimpleContractsFit: ...
    def fit(self, data: Summary | Durations) -> SimpleCLVFit | SimpleContractsFit:
        """Compute the figures from a summary that knows the customers' revenue, or from contracts with their prices.

        Raises
        ------
        DataError
            If the summary has no revenue, covers no time, or gives no lifespan (of a segment); if contracts have no
            price, several periods, or no churn (in a segment).
        """
        if isinstance(data, Durations):
            if self.lifespan is not None:
                raise ValueError("contracts show how long customers stay: SimpleCLV(lifespan=) is for shops")
            return SimpleContractsFit(self, Origin.of(data), *churn_figures(data, self.by), data)
        checked_summary(data)
        segments = segments_of(data, self.by)
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
            orders = segments.sums(table["n_orders"])
            notes.append("counts orders")
        else:
            orders = segments.sums(table["n_transactions"])
            notes.append("counts purchase days: the log does not name orders")
        lifespans = np.full(len(segments.labels), self.lifespan, float)
        if self.lifespan is None:
            lifespans, note = _lifespans(data, segments, years)
            notes.append(note)
        revenue, customers = segments.sums(table["historic_revenue"]), segments.sums(np.ones(len(table)))
        figures = {
            label: self.figures_from(revenue[i], orders[i], customers[i], years, lifespans[i])
            for i, label in enumerate(segments.labels)
        }
        days_per_year = segments.sums(table["n_transactions"]) / customers / years
        per_year = dict(zip(segments.labels, days_per_year.tolist(), strict=True))
        if self.by is None:
            return SimpleCLVFit(self, Origin.of(data), figures[ALL], per_year[ALL], tuple(notes), data)
        return SimpleCLVFit(self, Origin.of(data), figures, per_year, tuple(notes), data)


def _lifespans(data: Summary, segments: Segments, years: float) -> tuple[NDArray[np.float64], str]:
    """Years that a customer of each segment stays, and what the numbers rest on."""
    if round(years, 2) < LIFESPAN_OF_YOUNG_SHOPS:  # three years on the calendar are 2.998 of 365.25 days
        young = np.full(len(segments.labels), LIFESPAN_OF_YOUNG_SHOPS)
        return young, f"lifespan 3 years by convention: the log covers {years:.2f}"
    if data.source is None:
        raise DataError("SimpleCLV needs the log to find the lifespan; give lifespan=, or a summary from Transactions")
    gap = data.source.gap_quantile(_SILENT_BEYOND)
    is_silent = (data.table["days_since_last"] > gap).to_numpy()
    silent, stayed = segments.sums(is_silent), segments.sums(data.table["recency"] * is_silent)
    unseen = stayed == 0
    if unseen.any():
        names = examples(repr(segments.labels[i]) for i in np.flatnonzero(unseen))
        where = "" if segments.labels == [ALL] else f" for {segments.name} {names}"
        customers = counted(int(segments.sums(np.ones(len(data)))[unseen].sum()), "customer")
        raise DataError(
            f"no lifespan can be seen{where}: of {customers} {int(silent[unseen].sum()):,} are silent for more than "
            f"{gap:.0f} days, and none of them came back; give lifespan="
        )
    lifespans = stayed / silent * (unit_days(data.unit) / UNIT_DAYS["year"])
    shown = f"lifespan {lifespans[0]:.2f} years" if segments.labels == [ALL] else f"lifespan of each {segments.name}"
    return lifespans, (
        f"{shown}: mean from first to last purchase of {counted(int(silent.sum()), 'customer')} silent for more than "
        f"{gap:.0f} days (95 % of all gaps are shorter); one-time buyers count with 0, so it is biased low"
    )
