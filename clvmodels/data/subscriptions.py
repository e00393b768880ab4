"""Subscriptions: contract records of any kind, read where they lie."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels import schema, time
from clvmodels.data import choice, numbers, parsing
from clvmodels.data.audit import BUDDHIST
from clvmodels.data.contract_audit import audited, blanks, buddhist, remedy, said, silence, today, unobserved
from clvmodels.data.contracts import Contracts, Timing, contracts_of
from clvmodels.data.customers import check_attributes
from clvmodels.data.durations import Durations
from clvmodels.data.reader import Reader
from clvmodels.data.records import Fields, Records, Status, mixed_currencies, read_records, something
from clvmodels.errors import DataError, DataWarning, brief, counted, examples

if TYPE_CHECKING:
    from clvmodels.data.audit import Audit
    from clvmodels.data.reader import Source
    from clvmodels.data.transactions import BadRows, Day

Returns = Literal["new", "first", "error"]

_NO_GRACE = re.compile(r"\s*0\s+(day|week|month|year)s?\s*", re.IGNORECASE)


@dataclass(frozen=True, eq=False)
class ContractSplit:
    """Contract records cut in two: what the models may see, and what came after.

    Parameters
    ----------
    calibration : Durations
        The contracts as known at the end of the cutoff day: no later start, end or price.
    holdout : DataFrame
        Columns of `clvmodels.schema.CONTRACT_HOLDOUT`, one row per active contract of the calibration in its order.
        Missing where it is not known: a contract that was to be renewed before the end of the holdout, and has no end.
    new_customers : DataFrame
        The same columns but `observed`, and the `start`, for those whose first contract began in the holdout; their
        `lifetime` and `revenue` count from it, at the prices they paid.
    cutoff, holdout_end : Timestamp
        The holdout is (cutoff, holdout_end].
    horizon_days : int
        Its length.
    """

    calibration: Durations
    holdout: pd.DataFrame
    new_customers: pd.DataFrame
    cutoff: pd.Timestamp
    holdout_end: pd.Timestamp
    horizon_days: int

    def __repr__(self) -> str:
        return (
            f"Split after {self.cutoff:%Y-%m-%d}: {counted(len(self.calibration), 'contract')}, "
            f"{len(self.holdout):,} of them active; holdout of {counted(self.horizon_days, 'day')} until "
            f"{self.holdout_end:%Y-%m-%d}, {counted(len(self.new_customers), 'new customer')} kept apart"
        )


class Subscriptions:
    """Records of contracts: one line per contract, or per part of one (a price, a plan, a renewal).

    Nothing is copied until a question is asked. Records of a customer that follow each other, or overlap, are one
    contract, so that an upgrade is no churn. Records without a customer id are left out with a warning.

    Parameters
    ----------
    source : DataFrame, Table, path or relation
        A pandas or Polars frame, an Arrow table, a CSV or Parquet path (globs too), or a DuckDB relation. All columns
        of a CSV file are read as text, so that ids keep their leading zeros.
    customer : str or sequence of str
        Column with the customer's id, as for `Transactions`.
    start : str
        Column with the first day.
    end : str, optional
        Column with the day on which access ended. Missing: still active. An end after the end of observation is not
        known yet then: still a customer on that day.
    renews : str, optional
        Column with the day until which is paid, by who is still a customer. Where it is before the end of observation
        and no end stands beside it, nothing is known of the customer from that day on: a warning says how many, and
        predictions leave them out.
    inclusive_ends : bool
        Whether `end` and `renews` are the last day with access, so that the next record begins on the day after.
    value : str, optional
        Column with the price. Of records that overlap the one counts that began last. A column whose name ends in
        "currency" or "currency_code" is looked at: prices in several are refused, unless `where` names those that
        count.
    value_per : str, default "month"
        What the price is for: "month", "3 months", "quarter", "year", "week", "2 weeks", "day", or a column that holds
        such texts. Months, quarters and years convert exactly; a month counts 30.4375 days or 1/12 of 365.25.
    period : str, default "month"
        What is paid for at once, and after which the contract is renewed: such a text, or a column with each
        contract's own. Where it changes within a contract the last counts, for the whole of it.
    timing : {"start", "end"}
        When a period is paid: at its start or at its end. Whoever is a customer at its start owes it. It decides what
        has been paid so far and in a holdout, and must be that of `ContractualCLV`.
    grace : str, default "0 days"
        Records that begin so long after the end of what came before are still the same contract; `renews` counts
        where there is no end. What follows later is a return, and proves that the customer had left. Until it is over,
        at the end of observation as at that of a holdout, the customer is still one, and pays at the renewals in it.
    cause : str, optional
        Column that says why a contract ended.
    attributes : sequence of str
        Columns that describe the customer (channel, plan); predictions carry them. The value of the contract's earliest
        record that has one counts; where several began on that day, the smallest.
    returns : {"new", "first", "error"}
        What is done with customers who came back. "new": a contract of its own, with a tenure of its own, numbered in
        the column `contract`. "first": only the first contract counts. "error": they are refused.
    date_format, timezone, bad_rows, where, decimal, thousands, encoding
        As for `Transactions`. `bad_rows` is about records without a readable start, with an end, renewal, price or
        period that cannot be read, with a negative price, or that end before they start.

    Attributes
    ----------
    options : dict
        All of these but the source, as they were given.

    Raises
    ------
    DataError
        If the source is missing, empty or unreadable, or lacks a column.
    ValueError
        If an option is not one of those named here.

    Examples
    --------
    >>> frame = pd.DataFrame({"id": ["07", "8"], "from": ["2024-01-31", "2024-03-01"], "to": ["2024-03-15", None]})
    >>> contracts = Subscriptions(frame, customer="id", start="from", end="to")
    >>> contracts.durations(until="2024-05-31").table[["renewals", "event"]].to_numpy().tolist()
    [[2, 1], [2, 0]]
    """

    def __init__(
        self,
        source: Source,
        *,
        customer: str | Sequence[str],
        start: str,
        end: str | None = None,
        renews: str | None = None,
        inclusive_ends: bool = False,
        value: str | None = None,
        value_per: str = "month",
        period: str = "month",
        timing: Timing = "start",
        grace: str = "0 days",
        cause: str | None = None,
        attributes: Sequence[str] = (),
        returns: Returns = "new",
        date_format: str | None = None,
        timezone: str | None = None,
        bad_rows: BadRows = "error",
        where: choice.Where | None = None,
        decimal: str = ".",
        thousands: str | None = None,
        encoding: str = "utf-8",
    ) -> None:
        self.options = {name: given for name, given in locals().items() if name not in ("self", "source")}
        parsing.check_choice(returns, "returns", get_args(Returns))
        parsing.check_choice(bad_rows, "bad_rows", ("error", "drop"))
        parsing.check_choice(timing, "timing", get_args(Timing))
        check_attributes(attributes, schema.DURATIONS, "the durations")
        numbers.check_form(decimal, thousands)
        self._source, self._encoding, self._returns = source, encoding, returns
        self._grace, self._timing = _grace(grace), timing
        self._known_until: pd.Timestamp | None = None
        with contextlib.closing(Reader(source, encoding)) as reader:
            self._kind = reader.kind
            self._fields = Fields(
                customers=choice.as_customers(customer),
                start=start,
                end=end,
                renews=renews,
                inclusive_ends=inclusive_ends,
                value=value,
                period=_period(period),
                value_per=_period(value_per),
                cause=cause,
                attributes=tuple(attributes),
                types={name: kind.split("(")[0] for name, kind in reader.types.items()},
                date_format=date_format,
                timezone=timezone or "UTC",
                bad_rows=bad_rows,
                decimal=decimal,
                thousands=thousands,
                where=choice.as_where(where),
            )
            self._check_columns(reader)
            self._fields = dataclasses.replace(self._fields, id_type=parsing.id_type(reader, self._fields))
            if reader.scan("SELECT 1 FROM log LIMIT 1").empty:
                raise DataError(f"{self._kind} has columns but no rows")
            choice.check_chosen(reader, self._fields)
            self._fields = dataclasses.replace(self._fields, doubtful=choice.doubtful_currency(reader, self._fields))

    def __repr__(self) -> str:
        fields = self._fields
        columns = ("start", "end", "renews", "value", "cause")
        held = (f", {name} {self.options[name]!r}" for name in columns if self.options[name])
        chosen = "".join(f", {name} {either}" for name, either in choice.wanted(fields).items())
        until = f", until {self._known_until:%Y-%m-%d}" if self._known_until is not None else ""
        customer = " or ".join(map(repr, fields.customers))
        return f"Subscriptions in {self._kind}: customer {customer}{''.join(held)}{chosen}{until}"

    @property
    def end(self) -> pd.Timestamp:
        """The last start or end that is not in the future."""
        with self._reading() as reader:
            return _last(self._known(read_records(reader, self._fields)))

    def audit(self, until: Day | None = None, since: Day | None = None) -> Audit:
        """What is in the records, what is odd, what is done about it, and whether it is enough to fit.

        Never raises on records, however bad.

        Parameters
        ----------
        until, since : date, optional
            Last day observed, and first, as for `durations`.
        """
        with self._reading() as reader:
            records = self._known(read_records(reader, self._fields, whole=True))
            end = self._end(records, until)
            first = self._since(since, end)
            contracts = self._contracts(records, end)
            return audited(
                reader,
                records,
                contracts,
                self._fields,
                self._returns,
                self._grace,
                until is not None,
                None if first is None else from_day(first),
            )

    def durations(self, unit: str = "month", until: Day | None = None, since: Day | None = None) -> Durations:
        """One row per contract: how long it has lasted, on two clocks, and whether it has ended.

        Parameters
        ----------
        unit : {"day", "week", "month", "year"}
            Unit of `duration` and `entry`, which are exact differences of days divided by its length. `renewals` are
            counted on the calendar from the start of each contract, by its own period.
        until : date, optional
            Last day observed: until when starts and ends were recorded, not after today. Later ones are not known
            then. A warning tells where nothing is recorded for long before it, so that all count as still there.
            Default: the last start or end in the records that is not in the future; where ends are known in advance,
            or nothing happened lately, give it.
        since : date, optional
            First day from which ends were recorded. Contracts that ended before are left out, because nobody knows how
            many there were; those that began before have `entry` > 0, which every likelihood takes into account.

        Returns
        -------
        Durations
            Columns of `clvmodels.schema.DURATIONS`, then the attributes; sorted by customer and start. A contract that
            ended on the day it began counts as half a day and one period.

        Raises
        ------
        DataError
            If records cannot be used and `bad_rows` is "error", if customers came back and `returns` is "error", or if
            no contract is left.
        """
        time.unit_days(unit)
        records, end, told = self._checked(until)
        contracts = self._contracts(records, end)
        made, more = self._durations(contracts, unit, self._since(since, end), end)
        _tell([*told, *more])
        return made

    def split(
        self,
        cutoff: Day,
        horizon: time.Horizon,
        unit: str = "month",
        until: Day | None = None,
        since: Day | None = None,
    ) -> ContractSplit:
        """Cut the records in two, to predict the later part from the earlier and compare.

        Parameters
        ----------
        cutoff : date
            Last day of the calibration.
        horizon : str, number, date or timedelta
            Length of the holdout: ``"1 year"``, an end date, or a number of `unit`. It must have been observed whole.
        unit : {"day", "week", "month", "year"}
            Unit of the calibration and of the holdout's `lifetime`.
        until, since : date, optional
            Last day observed, and first, as for `durations`.

        Raises
        ------
        DataError
            As `durations`, and if the cutoff is outside the data or observation ends before the holdout does.
        """
        cut = time.day(cutoff, "cutoff")
        length = time.horizon_days(horizon, unit=unit, observation_end=cut)
        end = cut + pd.Timedelta(days=length)
        records, observed, told = self._checked(until)
        first = self._first(records)
        if not first <= cut <= observed:
            raise DataError(
                f"cutoff {cut:%Y-%m-%d} is outside the data, which run from {first:%Y-%m-%d} to {observed:%Y-%m-%d}"
            )
        if end > observed:
            whole = "" if until else "; if they were observed longer than until their last start or end, say until="
            raise DataError(
                f"the holdout of {counted(length, 'day')} after {cut:%Y-%m-%d} ends on {end:%Y-%m-%d}, but the records "
                f"end on {observed:%Y-%m-%d}: only {counted((observed - cut).days, 'day')} of it can be checked{whole}"
            )
        before, after = (self._contracts(records, day) for day in (cut, end))
        first_day = self._since(since, cut)
        calibration, more = self._durations(before, unit, first_day, cut)
        active = self._kept(before, first_day).only(calibration.is_active)
        holdout = self._outcomes(active, after, unit)
        if unknown := int(holdout["retained"].isna().sum()):
            more.append(
                f"{self._fields.renews} is before the end of the holdout, {end:%Y-%m-%d}, and no end stands beside it "
                f"for {counted(unknown, 'contract')}: {examples(holdout.index[holdout['retained'].isna()])}; whether "
                "they are customers then is not known, and missing in the holdout"
            )
        _tell([*told, *more])
        fresh = after.only((after.number == 1) & ~np.isin(after.customer, before.customer))
        return ContractSplit(
            calibration=calibration,
            holdout=holdout,
            new_customers=self._table(
                fresh,
                {
                    "retained": np.where(fresh.stale, np.nan, 1.0 - fresh.event),
                    "lifetime": np.where(fresh.stale, np.nan, fresh.days / time.unit_days(unit)),
                    "revenue": np.where(fresh.stale, np.nan, fresh.paid) if self._fields.value else None,
                    "start": fresh.start.astype("datetime64[s]"),
                },
            ),
            cutoff=cut,
            holdout_end=end,
            horizon_days=length,
        )

    def cohorts(self, unit: str = "month", until: Day | None = None, since: Day | None = None) -> pd.DataFrame:
        """The retention triangle: what share of those who started together is left after 0, 1, 2, ... units.

        Parameters
        ----------
        unit : {"day", "week", "month", "year"}
            Cohorts are the contracts that started in the same one of the calendar; age is counted from each contract's
            own start, on the calendar.
        until, since : date, optional
            Last day observed, and first, as for `durations`. Contracts that began before are left out: nobody knows
            how many began with them.

        Returns
        -------
        DataFrame
            One row per cohort: `started`, the number of contracts, and the share of them left at age 0, 1, 2, ...;
            missing where not all of them were observed so long.
        """
        time.unit_days(unit)
        period = time.period(unit)
        records, end, told = self._checked(until, priced=False)
        _tell(told)
        first = self._since(since, end)
        contracts = self._kept(self._contracts(records, end), None)
        contracts = contracts if first is None else contracts.only(contracts.start >= from_day(first))
        if not len(contracts):
            raise DataError(f"no contract starts by {end:%Y-%m-%d}{f', and since {first:%Y-%m-%d}' if first else ''}")
        begin = pd.Series(contracts.start.astype("datetime64[us]"))
        calendar = begin.dt.to_period({"day": "D", "week": "W", "month": "M", "year": "Y"}[unit])
        cohort, index = pd.factorize(calendar, sort=True)
        # Left at age k is who had not left by the day of that age.
        ages = time.renewals_until(contracts.start, period, contracts.last_paid) + 1
        known = np.where(contracts.stale, ages, time.renewals_until(contracts.start, period, contracts.until) + 1)
        observed = np.full(len(index), np.iinfo(np.int64).max)
        np.minimum.at(observed, cohort, known)
        left = np.zeros((len(index), observed.max() + 1))
        gone = contracts.event
        np.add.at(left, (cohort[gone], np.minimum(ages[gone], observed.max())), 1)
        started = np.bincount(cohort)
        share = 1 - left[:, :-1].cumsum(axis=1) / started[:, None]
        share[np.arange(observed.max()) >= observed[:, None]] = np.nan
        table = pd.DataFrame(share, pd.PeriodIndex(index, name="cohort"), range(observed.max()))
        table.insert(0, "started", started)
        return table

    # What the questions have in common

    @contextlib.contextmanager
    def _reading(self) -> Iterator[Reader]:
        with contextlib.closing(Reader(self._source, self._encoding, **self._fields.parameters)) as reader:
            yield reader

    def _known(self, records: Records) -> Records:
        """The records as known at the end of the day up to which these are."""
        return records if self._known_until is None else records.until(from_day(self._known_until))

    def _contracts(self, records: Records, end: pd.Timestamp) -> Contracts:
        return contracts_of(records, from_day(end), self._grace, self._timing)

    def _end(self, records: Records, until: Day | None) -> pd.Timestamp:
        if until is not None:
            return time.day(until, "until")
        return _last(records) if self._known_until is None else self._known_until

    @staticmethod
    def _first(records: Records) -> pd.Timestamp:
        return pd.Timestamp(records.start[records.status == Status.USED].min())

    @staticmethod
    def _since(since: Day | None, end: pd.Timestamp) -> pd.Timestamp | None:
        first = None if since is None else time.day(since, "since")
        if first is not None and first > end:
            raise DataError(f"since {first:%Y-%m-%d} is after the end of observation, {end:%Y-%m-%d}")
        return first

    def _kept(self, contracts: Contracts, since: pd.Timestamp | None) -> Contracts:
        """The contracts that count: by the policy of returns, and of those that were observed at all."""
        keep = np.ones(len(contracts), bool) if self._returns == "new" else contracts.number == 1
        return contracts.only(keep if since is None else keep & (contracts.last >= from_day(since)))

    def _durations(
        self, contracts: Contracts, unit: str, since: pd.Timestamp | None, end: pd.Timestamp
    ) -> tuple[Durations, list[str]]:
        """The durations, and what is to be told of them."""
        fields, told, length = self._fields, [], time.unit_days(unit)
        if len(contracts) == 0:
            raise DataError(f"no contract starts by {end:%Y-%m-%d}, the end of observation")
        if (again := contracts.number > 1).any():
            whom = f"{counted(len(np.unique(contracts.customer[again])), 'customer')}"
            shown = examples(contracts.only(again).ids.unique())
            if self._returns == "error":
                raise DataError(
                    f"{whom} came back after the end of a contract: {shown}; choose returns='new' (a contract of its "
                    "own) or returns='first', or join what lies close together with grace="
                )
            if self._returns == "first":
                told.append(f"{counted(int(again.sum()), 'contract')} of {whom} who came back are left out: {shown}")
        kept = self._kept(contracts, since)
        if len(kept) == 0:
            raise DataError(
                f"no contract is left of {counted(len(contracts), 'contract')}: all ended before {since:%Y-%m-%d}"
            )
        ids = kept.ids
        if (same_day := kept.event & (kept.last == kept.start)).any():
            whom = f"{counted(int(same_day.sum()), 'contract')}: {examples(ids[same_day])}"
            told.append(f"ended on the day they began, and count as half a day and one period: {whom}")
        if kept.stale.any():
            whom = f"{counted(int(kept.stale.sum()), 'contract')}: {examples(ids[kept.stale])}"
            told.append(
                f"{fields.renews} is before {end:%Y-%m-%d}, and no end stands beside it for {whom}; they are known "
                "only until then: fits count them as customers up to that day, and predictions leave them out; if they "
                "have left, give that column as end="
            )
        if fields.value and (priceless := np.isnan(kept.price)).any():
            whom = f"{counted(int(priceless.sum()), 'contract')}: {examples(ids[priceless])}"
            told.append(f"{fields.value} is missing for {whom}; they have no price, and cannot be valued")
        if (changed := kept.changed).any():
            whom = f"{counted(int(changed.sum()), 'contract')}: {examples(ids[changed])}"
            told.append(f"{fields.period} changes within {whom}; the last counts, from the start of the contract")
        # What is seen from the beginning of a day is tenure at the end of the day before.
        before = (kept.start.min() if since is None else from_day(since)) - np.timedelta64(1, "D")
        late = kept.start <= before
        table = self._table(
            kept,
            {
                "duration": kept.days / length,
                "renewals": kept.renewals,
                "event": kept.event.astype(np.int64),
                "entry": np.where(late, (before - kept.start).astype(np.int64), 0) / length,
                "entry_renewals": np.where(late, kept.periods_until(before) - 1, 0),
                "value": kept.price if fields.value else None,
                "period": np.array([str(period) for period in kept.records.periods], object)[kept.period],
                "start": kept.start.astype("datetime64[us]"),
                "contract": kept.number if self._returns == "new" else None,
                "cause": kept.causes() if fields.cause else None,
                "historic_revenue": kept.historic_revenue if fields.value else None,
                **{name: kept.attribute(i)[0] for i, name in enumerate(fields.attributes)},
            },
        )
        source = copy.copy(self)
        source._known_until = end
        start = since if since is not None else pd.Timestamp(contracts.start.min())
        return Durations(table, unit, start, end, source, fields.attributes), told

    def _outcomes(self, active: Contracts, after: Contracts, unit: str) -> pd.DataFrame:
        """What became of contracts until the day up to which the others are known."""
        later = after.find(active.customer, active.start)
        cut, end, last = active.until, after.until, after.last[later]
        unknown = after.stale[later]
        gone = after.event[later]
        days = np.maximum((np.minimum(last, end) - cut).astype(np.int64), 0)
        begins_until = np.where(gone, last - np.timedelta64(1, "D"), end)
        due = active.payments_until(end, begins_until) - active.payments_until(cut, cut)
        due = np.maximum(due, 0)  # who ended within the grace before the cutoff
        columns = {
            "retained": 1.0 - gone,
            "lifetime": days / time.unit_days(unit),
            "revenue": due * active.price if self._fields.value else None,
        }
        return self._table(
            active,
            {name: None if column is None else np.where(unknown, np.nan, column) for name, column in columns.items()}
            | {"observed": days / time.unit_days(unit)},
        )

    def _table(self, contracts: Contracts, columns: dict[str, NDArray[Any] | None]) -> pd.DataFrame:
        given = {name: column for name, column in columns.items() if column is not None}
        return pd.DataFrame(given, contracts.ids.rename(self._fields.customer), copy=False)

    # What is refused, and what is told

    def _check_columns(self, reader: Reader) -> None:
        fields = self._fields
        for name, given in (("period", fields.period), ("value_per", fields.value_per)):
            if isinstance(given, str) and given not in fields.types:
                raise ValueError(
                    f"{name} {given!r} is neither a period nor a column; write it like 'month', '3 months', 'quarter', "
                    f"'year', '2 weeks', or name one of {examples(fields.types, limit=20)}"
                )
        parsing.check_columns(reader, fields, fields.used, [name for name, _ in fields.where])
        # A column in which nothing stands has no type by which it could be refused, and says nothing.
        empty: dict[str, Any] = {
            name: None
            for name in ("end", "renews", "value", "cause")
            if (column := getattr(fields, name)) and reader.scan(something(column, fields)).empty
        }
        self._fields = fields = dataclasses.replace(fields, **empty)
        for name in fields.dates:
            parsing.check_date(reader, name, fields)
        kinds = {fields.types[name] for name in fields.dates}
        if fields.date_format is not None and not kinds & (parsing.INTEGERS | parsing.TEXTS):
            names = " and ".join(map(repr, fields.dates))
            raise ValueError(
                f"date_format is for dates written as text or whole numbers; {names} hold {examples(kinds)}"
            )
        if fields.value:
            parsing.check_numbers(fields.value, fields)
        parsing.check_timezone(reader, fields.timezone)

    def _checked(self, until: Day | None, *, priced: bool = True) -> tuple[Records, pd.Timestamp, list[str]]:
        """The records, the last day observed, and what is to be told of the records."""
        fields = self._fields
        with self._reading() as reader:
            told = choice.ids_beside(reader, fields)
            records = self._known(read_records(reader, fields))
            end = self._end(records, until)
            several = mixed_currencies(reader, fields, end) if priced else pd.DataFrame()
        if not several.empty:
            raise DataError(
                f"{fields.doubtful}, which no option names, holds {choice.listed(several)}, which cannot be added up; "
                f"{choice.picked(several)}, or can name those that may be added up all the same"
            )
        total = counted(len(records), "record")
        if from_day(end) > today():
            years = f"; their years {BUDDHIST}" if until is None and buddhist(records).any() else ""
            raise DataError(f"{unobserved(from_day(end), until is not None)}{years}")
        known = ~(records.start > from_day(end))  # where the start cannot be read, too
        for status in Status:
            if status is Status.USED or not (number := int((found := known & (records.status == status)).sum())):
                continue
            sentence = f"{said(status, fields)} in {number:,} of {total}"
            if status is Status.NO_CUSTOMER:
                told.append(f"{sentence}, which are left out")
                continue
            sentence += f": {self._shown(records, status, np.flatnonzero(found))}"
            if fields.bad_rows == "error":
                do = remedy(records, status, found, fields)
                lost = ", which takes away customers who are still there" if blanks(records, status, found) else ""
                raise DataError(f"{sentence}; {do}, or leave them out with bad_rows='drop'{lost}")
            told.append(f"{sentence}; they are left out")
        if not (records.status == Status.USED).any():
            raise DataError(f"no contract is left of {total}")
        if until is None and self._known_until is None and (later := ~known).any():
            future = counted(int(later.sum()), "record")
            told.append(f"{fields.start} is in the future in {future}, which are left out; correct it or give until=")
        if thai := int(buddhist(records).sum()):
            told.append(f"{thai:,} of {total} have years that {BUDDHIST}")
        if until is not None and (remark := silence(records, from_day(end))[1]):
            told.append(remark)
        return records, end, told

    @staticmethod
    def _shown(records: Records, status: Status, rows: NDArray[np.intp]) -> str:
        """Some of the records: what is written there, where it could not be read, and the customer."""
        texts = records.texts.get(status)
        rows = rows[: 100 * 4]
        shown = []
        for row in rows:
            (customer,) = records.customers(np.array([row]))
            text = None if texts is None else texts[int(row)].as_py()
            one = (
                f"{brief(repr(text))} (customer {brief(customer)})"
                if text is not None
                else f"customer {brief(customer)}"
            )
            shown += [one] if one not in shown else []
            if len(shown) > 3:
                break
        return examples(shown, width=100)


def from_day(day: pd.Timestamp) -> np.datetime64:
    """A day as NumPy counts it."""
    return day.to_datetime64().astype("datetime64[D]")


def _last(records: Records) -> pd.Timestamp:
    """The last start or end that is not in the future; where all are, the last start."""
    used = records.status == Status.USED
    starts = records.start[used]
    dates = np.concatenate([starts, records.end[used]])
    past = dates[dates <= today()]
    return pd.Timestamp(past.max() if len(past) else starts.max() if len(starts) else today())


def _period(given: str) -> time.Period | str:
    """A period, or else the name of a column."""
    try:
        return time.period(given)
    except ValueError:
        if not isinstance(given, str):
            raise
        return given


def _grace(given: str) -> time.Period | None:
    if isinstance(given, str) and _NO_GRACE.fullmatch(given):
        return None
    try:
        return time.period(given)
    except ValueError:
        raise ValueError(f"grace {given!r} is not understood; write it like '0 days', '14 days' or '1 month'") from None


def _tell(sentences: list[str]) -> None:
    for sentence in sentences:
        # The line to blame is that of the user.
        warnings.warn(sentence, DataWarning, stacklevel=3)
