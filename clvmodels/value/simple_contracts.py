"""The simple formula for contracts: price of a period x 1 / churn rate."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from clvmodels.data.customers import ALL
from clvmodels.data.durations import Clock, Durations, checked_durations
from clvmodels.draws import check_interval
from clvmodels.errors import DataError, counted, examples
from clvmodels.models.base import given_or_training
from clvmodels.models.fit import Origin
from clvmodels.models.forecast import described, memberships, whole
from clvmodels.models.survival.base import check_endings, warn_of_cause
from clvmodels.models.survival.contracts import contract_from_now
from clvmodels.models.survival.forecast import left_out
from clvmodels.models.survival.renewals import EXACT, Renewals
from clvmodels.time import Horizon, horizon_length, unit_days
from clvmodels.value.contractual import check_price, prices
from clvmodels.value.figures import figure_rows, figures_frame, segments_of

if TYPE_CHECKING:
    from clvmodels.value.simple import SimpleCLV


@dataclass(frozen=True)
class ChurnFigures:
    """The numbers of the simple formula; time in periods of the contracts.

    Attributes
    ----------
    value : float
        Mean price of a period.
    churn_rate : float
        Endings / periods at risk.
    lifetime : float
        1 / churn rate: periods that a customer pays for.
    clv : float
        Value x lifetime, the first payment included.
    """

    value: float
    churn_rate: float
    lifetime: float
    clv: float

    def __str__(self) -> str:
        return f"{self.value:,.2f} a period / churn rate {self.churn_rate:.4f} = {self.clv:,.2f}"


@dataclass(frozen=True, eq=False)
class SimpleContractsFit:
    """A `SimpleCLV` fitted to contracts.

    Attributes
    ----------
    model : SimpleCLV
    origin : Origin
        What is known of the training data.
    figures : ChurnFigures, or dict of ChurnFigures by segment
        The numbers of the formula.
    notes : tuple of str
        What the figures rest on.
    data : Durations or None
        The training data. A loaded fit has none: customers are not saved.
    """

    model: SimpleCLV
    origin: Origin
    figures: ChurnFigures | dict[Hashable, ChurnFigures]
    notes: tuple[str, ...]
    data: Durations | None = None

    def summary(self) -> pd.DataFrame:
        """The figures, one row per segment, or one for all customers."""
        return figures_frame(self.figures, self.model.by)

    def predict(
        self, data: Durations | None = None, *, horizon: Horizon | None, interval: float | None = None
    ) -> pd.DataFrame:
        """What each active customer will pay if the same share leaves at every renewal.

        Parameters
        ----------
        data : Durations, optional
            The training data if not given. Contracts that have ended are left out.
        horizon : str, number, date, timedelta or None
            As for every model. None is without end: the price / churn rate, less the period that is paid already
            (not so if `Subscriptions(timing="end")`).
        interval : float, optional
            The formula has no distribution: no columns come of it, and ``attrs["notes"]`` says so.

        Returns
        -------
        DataFrame, one row per active customer
            `p_retained` (over a finite horizon), `expected_lifetime`, `expected_revenue`, `historic_revenue`, `clv`,
            and the attributes of the data.

        Raises
        ------
        DataError
            If an active customer has no price, or a segment that was not there when the figures were computed.
        """
        return self._predicted(given_or_training(data, self.data, checked_durations), horizon, interval)

    def new_customer(
        self,
        *,
        horizon: Horizon | None,
        value: float | None = None,
        include_first_payment: bool = True,
        interval: float | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> pd.DataFrame:
        """What a customer whose contract begins at the end of observation will pay, in one row.

        Without end that is the price / churn rate. Within a finite horizon count the periods that begin in it, as for
        `ContractualCLV`: a year of a monthly contract holds twelve payments.

        Parameters
        ----------
        horizon, interval
            As in `predict`.
        value : float, optional
            Price of one period; the mean of the contracts (of the segment), if not given.
        include_first_payment : bool
            Count the payment of the first period, at once.
        attributes : mapping of str to value, optional
            What is known of the customer; a formula by segment needs it.
        """
        if value is not None:
            check_price(value)
        by = self.model.by
        if by is not None and by not in (attributes or {}):
            raise ValueError(
                f"each {by} has figures of its own: say which the new customer has, attributes={{{by!r}: ...}}"
            )
        data = contract_from_now(self.origin, "renewals", attributes, self.origin.period, 0.0)
        mean = self.summary()["value"].to_numpy()[figure_rows(data, self.figures, by)[0]]
        data = replace(data, table=data.table.assign(value=float(mean if value is None else value)))
        return self._predicted(data, horizon, interval, first_payment=include_first_payment)

    def _predicted(
        self, data: Durations, horizon: Horizon | None, interval: float | None, first_payment: bool | None = None
    ) -> pd.DataFrame:
        """The table; of new customers if it is asked about their first payment."""
        check_interval(interval)
        active = data.active
        if active.periods != [self.origin.period]:
            raise DataError(
                f"the churn rate is that of contracts by the {self.origin.period}, and these are by the "
                f"{' and the '.join(active.periods)}: predict those of its own period"
            )
        value = prices(active)
        churn = self.summary()["churn_rate"].to_numpy()[figure_rows(active, self.figures, self.model.by)]
        days, clock, behind = math.inf, _clock(active), active.timing == "end"
        schedule = Renewals.of(active, active.table[clock].to_numpy(float), clock, evenly=horizon is None)
        columns: dict[str, Any] = {}
        if horizon is None:
            first, step, *_ = schedule.columns
            lifetime, paid = first + step * (1 - churn) / churn, 1 / churn - (not behind)
        else:
            days = horizon_length(horizon, unit=active.unit, observation_end=active.observation_end)
            t = days / unit_days(active.unit)
            stay, last, lifetime, paid = np.ones(len(active)), *np.zeros((3, len(active)))
            for at in schedule.within(t, schedule.columns):
                due = at <= t * EXACT
                lifetime += np.where(due, stay * (at - last), 0.0)
                # At the start by those who renew; of new customers a renewal on the last day begins the next period.
                payable = due if first_payment is None else at < t / EXACT
                paid += np.where(payable, stay if behind else stay * (1 - churn), 0.0)
                stay, last = np.where(due, stay * (1 - churn), stay), np.where(due, at, last)
            lifetime += stay * (t - last)
            columns["p_retained"] = stay
        revenue = value * (paid + (first_payment is True))
        columns |= {"expected_lifetime": lifetime, "expected_revenue": revenue}
        if "historic_revenue" in active.table.columns:
            columns["historic_revenue"] = active.table["historic_revenue"]
        table = pd.DataFrame(columns | {"clv": revenue}, index=active.table.index)
        table = table.join(active.table[list(active.attributes)])
        notes = [*self.notes, "clv is revenue: the formula knows neither margin nor discount", *left_out(data)]
        if interval:
            notes.append("no intervals: the formula has no distribution")
        table.attrs.update({"model": repr(self.model), **described(active, horizon, days), "notes": notes})
        return table

    def total(
        self,
        data: Durations | None = None,
        *,
        horizon: Horizon | None,
        by: str | None = None,
        interval: float | None = None,
    ) -> pd.DataFrame:
        """All active customers together, with the number `retained`; other arguments as in `predict`.

        Parameters
        ----------
        by : str, optional
            An attribute of the data: before the row of all customers comes one for each of its values.
        """
        data = given_or_training(data, self.data, checked_durations)
        table = self.predict(data, horizon=horizon, interval=interval)
        active = data.active
        index, members = memberships(active, by)
        alike = np.ones(len(table)) if active.weights is None else active.weights
        means = ("p_retained", "expected_lifetime", "expected_revenue", "clv")
        names = [name for name in means if name in table.columns]
        sums = members @ (table[names].to_numpy() * alike[:, None])
        frame = pd.DataFrame(sums, index=index, columns=names).rename(columns={"p_retained": "retained"})
        frame.insert(0, "customers", whole(members @ alike))
        frame.attrs.update(table.attrs)
        return frame

    def __repr__(self) -> str:
        if isinstance(self.figures, dict):
            shown = self.summary().to_string(max_rows=10, float_format=lambda value: f"{value:,.4g}")
            return "\n".join([repr(self.model), shown, *self.notes])
        return "\n".join([f"{self.model!r}: {self.figures}", *self.notes])


def churn_figures(
    data: Durations, by: str | None
) -> tuple[ChurnFigures | dict[Hashable, ChurnFigures], tuple[str, ...]]:
    """The figures of contracts, and what they rest on."""
    data.check_one_period("SimpleCLV")
    if "value" not in data.table.columns:
        raise DataError("SimpleCLV needs the column 'value', the price of one period; name it in Subscriptions(value=)")
    warn_of_cause(data, "SimpleCLV")
    clock = _clock(data)
    tenure, ended, entry = data.clock_columns(clock)
    if (data.table["event"] == 1).any():
        check_endings((tenure, ended, entry), data, "SimpleCLV", shape=False)
    alike = np.ones(len(data)) if data.weights is None else data.weights
    length = 1.0 if clock == "renewals" else data.period_lengths
    at_risk = (tenure - entry) / length
    value = data.table["value"].to_numpy(float)
    priced = ~np.isnan(value)
    segments = segments_of(data, by)
    endings, periods, sums, priced_customers = (
        segments.sums(alike * amounts) for amounts in (ended, at_risk, np.where(priced, value, 0.0), priced)
    )
    for what, wrong in (
        ("none of its contracts has ended: there is no churn rate", endings == 0),
        ("none of its contracts has a value, the price of one period", priced_customers == 0),
        ("more contracts ended than periods were at risk: there is no churn rate below 1", endings > periods),
    ):
        if wrong.any():
            names = examples(repr(segments.labels[i]) for i in np.flatnonzero(wrong))
            raise DataError(what.replace("of its", "of the") if by is None else f"{by} {names}: {what}")
    rates, means = endings / periods, sums / priced_customers
    each = {
        label: ChurnFigures(float(means[i]), float(rates[i]), float(1 / rates[i]), float(means[i] / rates[i]))
        for i, label in enumerate(segments.labels)
    }
    ended_in_all = counted(round(float(endings.sum())), "ending")
    at_risk_of = "renewals that came up" if clock == "renewals" else "periods of time"
    note = f"churn rate: {ended_in_all} / {float(periods.sum()):,.10g} {at_risk_of}, the same at every tenure"
    return (each[ALL] if by is None else each), (f"{note}; a period is a {data.periods[0]}",)


def _clock(data: Durations) -> Clock:
    """Renewals where they are counted: they follow the calendar."""
    return "renewals" if "renewals" in data.table.columns else "duration"
