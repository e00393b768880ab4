"""Durations: one row per contract, how long it has lasted and whether it has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels import schema, time
from clvmodels.data.customers import MISSING, Customers, indexed
from clvmodels.errors import DataError, brief, counted, examples
from clvmodels.product_limit import cumulative_incidence

Clock = Literal["duration", "renewals"]
ENTRY: dict[Clock, str] = {"duration": "entry", "renewals": "entry_renewals"}
# Contracts end at renewals where so many endings are on renewal days, and on any day where so few are.
AT_RENEWALS, ON_ANY_DAY = 0.6, 0.4
# With a smaller share of endings within periods, churn is wrong by less than that share if the period that runs when
# observation begins is counted; leaving it out would cost all contracts up to a period.
_STRAY = 0.01

NO_CAUSES = "the durations have no causes; name their column in Subscriptions(cause=)"


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
    only_cause : str, optional
        Set by `for_cause`: endings of other causes, whose `event` is 0, keep their `cause`.

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

    only_cause: str | None = None

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
        for clock, entry in ENTRY.items():
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
        own = [name for name in schema.DURATIONS if name in table.columns]
        self._settle(table[[*own, *table.columns.drop(own)]])
        if "cause" in table.columns and self.only_cause is None:
            there = (table["event"] == 0) & table["cause"].notna()
            schema.refuse(table, there.to_numpy(), "a contract that has not ended has no cause; leave it empty for")

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
    def timing(self) -> str | None:
        """When periods are paid, as `Subscriptions(timing=)` says; None where the durations are a ready frame."""
        return None if self.source is None else self.source.options.get("timing")

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
    def ends_on_renewal_days(self) -> float:
        """The share of endings that fall on a renewal day, give or take a day; NaN where it is not known.

        It is not known without `start` and `duration`, and says nothing of a period of up to three days. A period
        shorter than ten days is to be met to the day.
        """
        distance, weights = self._from_renewal_day(), self.weights
        known = np.isfinite(distance)
        days = self.period_lengths[known] * time.unit_days(self.unit)
        return renewal_day_share(distance[known], days, None if weights is None else weights[known])

    @property
    def active(self) -> Durations:
        """The contracts that are known not to have ended."""
        none = "no contract is active: there is nobody to predict"
        if lost := self.lost_told:
            none += f"; {lost}"
        return self._only(self.is_active, none)

    @property
    def is_active(self) -> NDArray[np.bool_]:
        """Which contracts are known not to have ended, (N,): those that predictions are about."""
        return (self.table["event"] == 0).to_numpy() & ~self.ended_otherwise & ~self.lost_to_follow_up

    @property
    def lost_to_follow_up(self) -> NDArray[np.bool_]:
        """Contracts that have not ended as far as is known, which is not until the end of observation, (N,).

        Fits take them for what they are, censored at the last day known; a prediction would need their tenure today. In
        a ready frame a duration may be up to three days short, because months of the calendar differ from the mean.
        """
        if self.observation_end is None or not {"start", "duration"} <= {*self.table.columns}:
            return np.zeros(len(self), bool)
        days = np.round(self.table["duration"].to_numpy() * time.unit_days(self.unit)).astype("timedelta64[D]")
        unknown = np.datetime64(self.observation_end, "D") - (self.table["start"].to_numpy("datetime64[D]") + days)
        short = np.timedelta64(0 if self.source is not None else 3, "D")
        return (self.table["event"] == 0).to_numpy() & ~self.ended_otherwise & (unknown > short)

    @property
    def lost_told(self) -> str:
        """What is to be told of contracts that are lost to follow-up; empty where there are none."""
        if not (lost := self.lost_to_follow_up).any():
            return ""
        number = round(float(np.sum(lost if self.weights is None else self.weights[lost])))
        they = "they are left out; say what happened to them with end="
        return f"for {counted(number, 'contract')} nothing is known since their renewal day: {they}"

    @property
    def ended_otherwise(self) -> NDArray[np.bool_]:
        """Contracts that ended by another cause than that of `for_cause`, (N,)."""
        if self.only_cause is None:
            return np.zeros(len(self), bool)
        return (self.table["event"] == 0).to_numpy() & self.table["cause"].notna().to_numpy()

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
            raise DataError(NO_CAUSES)
        here = (self.table["cause"] == cause).to_numpy(bool, na_value=False) & (self.table["event"] == 1).to_numpy()
        if not here.any():
            known = examples(map(repr, self.table["cause"].dropna().unique()), limit=10)
            raise DataError(f"no contract ended by cause {cause!r}; there are {known}")
        otherwise = (self.table["event"] == 1).to_numpy() & ~here
        named = self.table["cause"].to_numpy(object)
        unnamed = otherwise & self.table["cause"].isna().to_numpy()
        table = self.table.assign(event=here.astype(int), cause=np.where(unnamed, MISSING, named))
        if "renewals" in table.columns:  # the periods paid are one more than the renewals completed
            table["renewals"] -= otherwise
        return replace(self, table=table, only_cause=str(cause) if otherwise.any() else None)

    def clock_columns(self, clock: Clock) -> tuple[NDArray[np.float64], ...]:
        """Tenure, event and entry of each contract on a clock, each (N,): what a likelihood is made of.

        Of a contract that ended within a period that was not over yet when observation ended, the renewals completed
        count, and its end does not: of those who have stayed in such a period it is not known whether they renew, and
        endings alone would make churn too high.

        Where contracts end within periods, the period that ran when observation began (`observation_start`) is left out
        whole: who had left in it by then is not here, and who stayed would make churn too low. A contract of which
        nothing else was seen has its entry at its tenure and no end, which adds nothing to a likelihood.
        """
        t, event, entry = (self.table[name].to_numpy(float) for name in (clock, "event", ENTRY[clock]))
        if clock == "duration" or "start" not in self.table.columns:
            return t, event, entry
        if self.observation_end is not None:
            running = (event == 1) & (self._renewal_days(t) > np.datetime64(self.observation_end, "D"))
            t, event = t - running, event * ~running
        if (left_out := self._left_out()).any():
            entry = entry + left_out
            unseen = t - event < entry
            t, event = t - event * unseen, event * ~unseen
            entry = np.minimum(entry, t)
        return t, event, entry

    def _left_out(self) -> NDArray[np.bool_]:
        """Contracts of which the period that ran when observation began is left out, (N,)."""
        none = np.zeros(len(self), bool)
        if self.observation_start is None:
            return none
        distance = self._from_renewal_day()
        known = np.isfinite(distance)
        if not known.any() or np.average(distance[known] != 0) <= _STRAY:
            return none
        before = np.datetime64(self.observation_start, "D") - np.timedelta64(1, "D")
        entry = self.table["entry_renewals"].to_numpy()
        # The period in which the contract was then is the one that its entry speaks of, and began earlier.
        return np.asarray((self._renewal_days(entry) < before) & (self._renewal_days(entry + 1) > before))

    def _renewal_days(self, k: NDArray) -> NDArray[np.datetime64]:
        """The day of each contract's k-th renewal, (N,)."""
        starts = self.table["start"].to_numpy("datetime64[D]")
        days = np.empty(len(self), "datetime64[D]")
        for here, period in self._by_period():
            days[here] = time.renewal_days(starts[here], period, k[here])
        return days

    def _from_renewal_day(self) -> NDArray[np.float64]:
        """Days from the nearest renewal day to the end of each contract, (N,); NaN where not known."""
        distance = np.full(len(self), np.nan)
        if not {"start", "duration"} <= set(self.table.columns):
            return distance
        starts, duration = self.table["start"].to_numpy("datetime64[D]"), self.table["duration"].to_numpy()
        ends = starts + np.floor(duration * time.unit_days(self.unit) + 0.25).astype("timedelta64[D]")
        for here, period in self._by_period():
            distance[here] = time.renewal_distance(starts[here], period, ends[here])
        periods = duration / self.period_lengths  # a ready frame may count whole ones
        distance[(periods >= 1) & (np.abs(periods - np.round(periods)) < 1e-9)] = 0
        return np.where((self.table["event"] == 1) & ~np.isnat(starts), distance, np.nan)

    def _by_period(self) -> Iterator[tuple[NDArray[np.bool_], time.Period]]:
        """Which contracts have each period."""
        for text in self.periods:
            named = "period" in self.table.columns
            yield (self.table["period"] == text).to_numpy() if named else np.ones(len(self), bool), time.period(text)

    def cumulative_incidence(self, clock: Literal["duration", "renewals"] | None = None) -> pd.DataFrame:
        """Share of customers that each cause has taken by each tenure, by Aalen and Johansen's estimator.

        The causes compete: who left for one can no longer leave for another. The shares add up to that of all who left,
        one minus Kaplan and Meier's curve, so these are the shares to plan with. One minus the curve of a single cause
        (`for_cause`) is larger: it is about a world without the others.

        Parameters
        ----------
        clock : {"duration", "renewals"}, optional
            The column that is the tenure; if not given, as of `KaplanMeier`.

        Returns
        -------
        DataFrame
            Tenures at which contracts ended x causes; "(missing)" where the cause is not known.

        Examples
        --------
        >>> frame = pd.DataFrame({"duration": [3, 5, 5, 8], "event": [1, 1, 0, 0]})
        >>> frame["cause"] = ["price", "moved", None, None]
        >>> Durations(frame, unit="month").cumulative_incidence().loc[5].to_dict()
        {'moved': 0.25, 'price': 0.25}
        """
        if "cause" not in self.table.columns:
            raise DataError(NO_CAUSES)
        table, clock = self.table, self.on_clock(clock, "cumulative incidence")
        tenure, event, entry = self.clock_columns(clock)
        left = event == 1
        names = table["cause"].where(left)
        codes, causes = pd.factorize(names, sort=True)
        labels: list[Any] = list(causes)
        if (unknown := left & (codes < 0)).any():
            codes = np.where(unknown, len(labels), codes)
            labels.append(MISSING)
        times, incidence = cumulative_incidence(tenure, codes, len(labels), entry, self.weights)
        return pd.DataFrame(incidence, pd.Index(times, name=clock), pd.Index(labels, name="cause"))

    def on_clock(self, clock: Clock | None, who: str) -> Clock:
        """The clock that was asked for, or else the one that the endings fit.

        That is `renewals` where they are counted, contracts have one period, and most endings are on renewal days;
        else `duration` where the contracts have it.

        Raises
        ------
        DataError
            If the contracts do not have it, or contracts of different periods would be pooled on the clock of renewals.
        """
        if clock is None:
            both = {"duration", "renewals"} <= set(self.table.columns)
            at_renewals = both and len(self.periods) == 1 and self.ends_on_renewal_days > AT_RENEWALS
            clock = "duration" if "duration" in self.table.columns and not at_renewals else "renewals"
        if clock not in ENTRY:
            raise ValueError(f"clock must be 'duration' or 'renewals'; got {clock!r}")
        if clock not in self.table.columns:
            raise DataError(f"{who} needs the column {clock!r}; the durations have {list(self.table.columns)}")
        if clock == "renewals":
            self.check_one_period(who)
        return clock

    def check_one_period(self, who: str) -> None:
        """Refuse to count renewals of contracts of different periods together."""
        if len(self.periods) > 1:
            number = self.table["period"].value_counts()
            told = ", ".join(f"{period} ({number[period]:,})" for period in self.periods)
            raise DataError(
                f"{who} counts renewals, and a renewal is not the same after another period: {told}; fit each apart, "
                f"as in durations.select(period={self.periods[0]!r}), or use a continuous model such as Weibull"
            )

    def _only(self, keep: NDArray[np.bool_], none: str) -> Durations:
        if not keep.any():
            raise DataError(none)
        return replace(self, table=self.table[keep])

    def __repr__(self) -> str:
        ended = float(((self.table["event"] == 1) * (1.0 if self.weights is None else self.weights)).sum())
        until = f" until {self.observation_end:%Y-%m-%d}" if self.observation_end is not None else ""
        return f"Durations of {counted(self.number, 'contract')} in {self.unit}s{until}: {ended:,.10g} ended"


def renewal_day_share(distance: NDArray, days: NDArray, weights: NDArray | None = None) -> float:
    """The share of endings on renewal days.

    Parameters
    ----------
    distance : ndarray, (n,)
        Days from the nearest renewal day to each ending.
    days : ndarray, (n,)
        Length of its contract's period: up to three days say nothing, and up to nine are to be met to the day.
    weights : ndarray, (n,), optional

    Returns
    -------
    float
        NaN where nothing is said.
    """
    said = days > 3.5
    if not said.any():
        return np.nan
    near = np.abs(distance) <= (days > 9.5)
    return float(np.average(near[said], weights=None if weights is None else weights[said]))


def checked_durations(data: Any) -> Durations:
    """The data, if they are durations."""
    if not isinstance(data, Durations):
        raise DataError(
            f"Durations are needed, not a {type(data).__name__}; use Subscriptions(...).durations(unit=...) or "
            "Durations(frame, unit=...)"
        )
    return data


def _checked_survivors(numbers: Sequence[float], called: str) -> NDArray[np.float64]:
    try:
        left = pd.Series(numbers).astype(float)
    except (ValueError, TypeError):
        raise DataError(
            f"{called} must be at least two numbers, such as 1000, 869, 743; got {brief(repr(numbers))}"
        ) from None
    known = left.loc[left.first_valid_index() : left.last_valid_index()].to_numpy()
    if len(known) < 2 or not np.isfinite(known).all() or (known < 0).any() or known[0] == 0:
        raise DataError(f"{called} must be at least two numbers, such as 1000, 869, 743; got {examples(left, 5)}")
    if (np.diff(known) > 0).any():
        at = int(np.argmax(np.diff(known) > 0)) + 1
        raise DataError(f"{called} must never rise; {known[at]:g} follow {known[at - 1]:g} at renewal {at}")
    return np.asarray(known)
