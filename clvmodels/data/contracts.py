"""Contracts: from records to contracts and their two clocks; the only place where renewals and payments are counted.

All is NumPy, on arrays with one place per record or per contract.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels import time
from clvmodels.data.records import NO_DAY, ONE_DAY, OPEN, Records, Status

if TYPE_CHECKING:
    Days = NDArray[np.datetime64]
    Integers = NDArray[np.int64]

Timing = Literal["start", "end"]

# What all contracts have in common.
_OF_ALL = ("records", "until", "timing")

# One number for a customer and a day: days of the years 1 to 9999 take less than this.
_DAYS, _BEFORE_1970 = 2**24, 2**20


@dataclass(frozen=True)
class Contracts:
    """The contracts of all customers as known at the end of a day, sorted by customer and start.

    Parameters
    ----------
    records : Records
    row : ndarray of int, (m,)
        The records that are used, sorted by customer and start.
    part_of : ndarray of int, (m,)
        Which contract each belongs to.
    overlaps : ndarray of bool, (m,)
        Whether it begins before an earlier one of its contract has ended.
    until : datetime64[D]
        Last day observed: later starts and ends are not known.
    timing : {"start", "end"}
        When a period is paid, by who is a customer at its start.
    customer, number : ndarray of int, (N,)
        Whose contract it is, and his how-manieth: 1, 2, ...
    start : ndarray of datetime64[D], (N,)
    event : ndarray of bool, (N,)
        Whether it has ended, for so long that nothing can continue it any more.
    in_grace : ndarray of bool, (N,)
        Whether its records are over, and another may still continue it: the customer is one until then.
    last : ndarray of datetime64[D], (N,)
        The day it ended, else the last on which the customer is known to be one.
    last_paid : ndarray of datetime64[D], (N,)
        The last day on which the customer is known to begin a period if one begins.
    stale : ndarray of bool, (N,)
        Whether it is known only until it was to be renewed, before `until`.
    period : ndarray of int, (N,)
        Which of the periods of the records it is paid by: that of the record in force last.
    price : ndarray, (N,)
        Of one period, of the record in force last.
    paid, historic_revenue : ndarray, (N,)
        Payments until `last_paid`, or if periods are paid when they end until `until`; in this contract, and in all
        contracts of the customer.
    cause : ndarray of int, (N,)
        The record that says why it ended; -1 where it has not.
    """

    records: Records
    row: Integers
    part_of: Integers
    overlaps: NDArray[np.bool_]
    until: np.datetime64
    timing: Timing
    customer: Integers
    number: Integers
    start: Days
    event: NDArray[np.bool_]
    in_grace: NDArray[np.bool_]
    last: Days
    last_paid: Days
    stale: NDArray[np.bool_]
    period: Integers
    price: NDArray[np.float64]
    paid: NDArray[np.float64]
    historic_revenue: NDArray[np.float64]
    cause: Integers

    def __len__(self) -> int:
        return len(self.customer)

    def periods_until(self, day: Any) -> Integers:
        """How many periods begin from the start to a day, that day included (N,)."""
        return renewals_until(self.start, self.period, self.records.periods, day) + 1

    def payments_until(self, day: Any, last: Any) -> Integers:
        """How many payments fall due by a day of who is a customer until another, both days included (N,)."""
        if self.timing == "start":
            return self.periods_until(np.minimum(day, last))
        return np.minimum(self.periods_until(day) - 1, self.periods_until(last))

    @cached_property
    def renewals(self) -> Integers:
        """Periods paid if the contract has ended, renewals completed if it has not (N,)."""
        return self.periods_until(self.last_paid) - ~self.event

    @cached_property
    def days(self) -> NDArray[np.float64]:
        """Tenure in days (N,): half a day where it ended on the day it began."""
        days = (self.last - self.start).astype(np.float64)
        days[self.event & (days == 0)] = 0.5
        return days

    @property
    def period_days(self) -> NDArray[np.float64]:
        """Mean length of a period (N,)."""
        return np.array([period.days for period in self.records.periods])[self.period]

    @property
    def from_renewal_day(self) -> Integers:
        """Days from the nearest renewal day to the last day (N,): negative where that comes first."""
        found = np.zeros(len(self), np.int64)
        for place, period in enumerate(self.records.periods):
            here = self.period == place
            found[here] = time.renewal_distance(self.start[here], period, self.last[here])
        return found

    @property
    def ids(self) -> pd.Index:
        """The customers (N,)."""
        return pd.Index(self.records.ids.take(self.customer).to_pandas())

    def causes(self) -> Any:
        """Why contracts ended (N,); missing where they have not, or where nobody says it."""
        import pyarrow as pa

        return self.records.cause.take(pa.array(self.cause, mask=self.cause < 0)).to_pandas().to_numpy()

    @property
    def changed(self) -> NDArray[np.bool_]:
        """Whether the records of a contract differ in their period (N,)."""
        period = self.records.period[self.row]
        low, high = np.full(len(self), len(self.records.periods)), np.full(len(self), -1)
        np.minimum.at(low, self.part_of, period)
        np.maximum.at(high, self.part_of, period)
        return low < high

    def beside(self) -> tuple[Integers, NDArray[np.float64]]:
        """Payments of records that fell due while another was in force, and their worth (N,): none of it is counted.

        Of records that repeat another nothing is.
        """
        records, periods = self.records, self.records.periods
        row, part = (each[~records.repeated[self.row]] for each in (self.row, self.part_of))
        start, cover = records.start[row], _cover(records, row, self.until)
        before = np.append(NO_DAY, _running_maximum(cover, part)[:-1])[: len(row)]
        before[np.diff(part, prepend=-1) != 0] = NO_DAY
        stop = self.last_paid + ONE_DAY

        def payments(place: Integers, since: Days, to: Days) -> Integers:
            who = part[place]
            until, earlier = (
                renewals_until(self.start[who], self.period[who], periods, edge - ONE_DAY) for edge in (to, since)
            )
            return np.maximum(until - earlier, 0)

        place, since, to = _in_force(part, start, cover, before, stop)
        # Where the record that ended last counts on, nothing else is left out.
        counted = np.bincount(place, payments(place, since, np.minimum(to, cover[place])), minlength=len(row))
        left = payments(np.arange(len(row)), start, np.minimum(cover, stop[part])) - counted.astype(np.int64)
        worth = np.where(left > 0, left * np.nan_to_num(_price(records, row, self.period[part])), 0.0)
        number = np.bincount(part, left, minlength=len(self)).astype(np.int64)
        return number, np.bincount(part, worth, minlength=len(self)).astype(np.float64)

    def find(self, customer: Integers, start: Days) -> Integers:
        """Which of the contracts those of these customers belong to that began on these days (n,)."""
        known, wanted = (
            who * _DAYS + begin.astype(np.int64) for who, begin in ((self.customer, self.start), (customer, start))
        )
        return np.searchsorted(known, wanted, side="right") - 1

    def attribute(self, number: int) -> tuple[Any, NDArray[np.bool_]]:
        """An attribute of each contract (N,), and whether its records differ.

        It is that of the earliest record that has one; where several began on that day, the smallest.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        values = self.records.attributes[number].take(pa.array(self.row))
        found = values.dictionary_encode()
        order = pc.sort_indices(found.dictionary).to_numpy()
        rank = np.empty(len(order) + 1, np.int64)
        rank[order], rank[-1] = np.arange(len(order)), -1
        codes = rank[pc.fill_null(found.indices, len(order)).to_numpy()]
        known = np.flatnonzero(codes >= 0)
        sort = known[np.lexsort((codes[known], self.records.start[self.row[known]], self.part_of[known]))]
        first = sort[_changes(self.part_of[sort])]
        place = np.full(len(self), -1)
        place[self.part_of[first]] = first
        low, high = np.full(len(self), len(order)), np.full(len(self), -1)
        np.minimum.at(low, self.part_of[known], codes[known])
        np.maximum.at(high, self.part_of[known], codes[known])
        return values.take(pa.array(place, mask=place < 0)).to_pandas().array, low < high

    def only(self, chosen: NDArray[np.bool_]) -> Contracts:
        """Some of the contracts."""
        kept, place = chosen[self.part_of], np.cumsum(chosen) - 1
        rows: dict[str, Any] = {
            "row": self.row[kept],
            "part_of": place[self.part_of[kept]],
            "overlaps": self.overlaps[kept],
        }
        columns = (field.name for field in dataclasses.fields(self) if field.name not in (*_OF_ALL, *rows))
        parts: dict[str, Any] = {name: getattr(self, name)[chosen] for name in columns}
        return replace(self, **rows, **parts)


def contracts_of(
    records: Records, until: np.datetime64, grace: time.Period | None, timing: Timing = "start"
) -> Contracts:
    """The contracts as known at the end of a day: neither a later start nor a later end.

    Parameters
    ----------
    records : Records
    until : datetime64[D]
    grace : Period or None
        How long after the end of one record another may begin and be the same contract; None: not a day.
    timing : {"start", "end"}
        When a period is paid.
    """
    row = np.flatnonzero((records.status == Status.USED) & (records.start <= until))
    end = np.where(records.end[row] <= until, records.end[row], NO_DAY)
    cover = _cover(records, row, until)
    # Of records that begin on one day the one that lasts longest comes last.
    order = np.lexsort((~np.isnat(end), cover, records.start[row], records.customer[row]))
    row, end, cover = row[order], end[order], cover[order]
    start, who = records.start[row], records.customer[row]

    first = np.diff(who, prepend=-1) != 0
    running = _running_maximum(cover, who)
    before = np.append(NO_DAY, running[:-1])[: len(row)]
    before[first] = NO_DAY
    begins = first | (start > _with_grace(before, grace))
    opening = np.flatnonzero(begins)
    part_of = np.cumsum(begins) - 1
    closing = np.append(opening[1:], len(row))[: len(opening)] - 1
    before[begins] = NO_DAY

    # The record that lasts longest says how the contract ends; of several the one that began last.
    longest = running[closing]
    places = np.where(cover == longest[part_of], np.arange(len(row)), -1)
    decides = np.maximum.reduceat(places, opening) if len(row) else places
    customer, begin = who[opening], start[opening]
    number = _running_count(customer)
    limit = _with_grace(longest, grace)
    event = ~np.isnat(end[decides]) & (limit <= until)
    returned = np.append(customer[1:] == customer[:-1], False) if len(customer) else event
    event |= returned  # who came back had left
    stale = ~event & (limit < until)
    known = event | stale
    in_grace = ~known & (longest <= until) & (limit > longest)
    last = np.where(known, longest, until)
    over = known | ((longest == until) & ~in_grace)
    last_paid = np.maximum(np.where(over, longest - ONE_DAY, until), begin)

    found = Contracts(
        records=records,
        row=row,
        part_of=part_of,
        overlaps=start < before,
        until=until,
        timing=timing,
        customer=customer,
        number=number,
        start=begin,
        event=event,
        in_grace=in_grace,
        last=last,
        last_paid=last_paid,
        stale=stale,
        period=np.zeros(len(opening), np.int64),
        price=np.full(len(opening), np.nan),
        paid=np.zeros(len(opening)),
        historic_revenue=np.zeros(len(opening)),
        cause=np.where(event & ~np.isnat(end[decides]), row[decides], -1),
    )
    return _with_payments(found, start, cover, before) if len(row) else found


def _with_grace(days: Days, grace: time.Period | None) -> Days:
    """The last day on which a record may begin that continues what ended on these days."""
    return days if grace is None else np.minimum(time.renewal_days(days, grace, 1), OPEN)


def _cover(records: Records, row: Integers, until: np.datetime64) -> Days:
    """The end of records as known at the end of a day, else the day until which they are paid."""
    end, renews = np.where(records.end[row] <= until, records.end[row], NO_DAY), records.renews[row]
    return np.where(np.isnat(end), np.where(np.isnat(renews), OPEN, renews), end)


def _with_payments(contracts: Contracts, start: Days, cover: Days, before: Days) -> Contracts:
    """The same with period, price and payments, from the records in force on each day."""
    records, part_of = contracts.records, contracts.part_of
    place, since, to = _in_force(part_of, start, cover, before, contracts.last_paid + ONE_DAY)
    contract, row = part_of[place], contracts.row[place]
    final = to == contracts.last_paid[contract] + ONE_DAY
    period = np.zeros(len(contracts), np.int64)
    in_force = np.zeros(len(contracts), np.int64)
    period[contract[final]], in_force[contract[final]] = records.period[row[final]], row[final]

    price = _price(records, row, period[contract])
    # Of periods that are paid when they end, those that have not ended are not paid yet.
    known = np.where(contracts.stale, contracts.last, contracts.until)
    due = replace(contracts, period=period).payments_until(known, contracts.last_paid)[contract]
    counts = np.zeros(len(place), np.int64)
    for edge, sign in ((to, 1), (since, -1)):
        until = edge - ONE_DAY
        begun = renewals_until(contracts.start[contract], period[contract], records.periods, until) + 1
        counts += sign * np.minimum(begun, due)
    sums: NDArray[Any] = np.bincount(contract, np.where(counts > 0, counts * price, 0.0), minlength=len(contracts))
    in_all: NDArray[Any] = np.bincount(contracts.customer, sums)[contracts.customer]
    price = _price(records, in_force, period)
    return replace(contracts, period=period, price=price, paid=sums, historic_revenue=in_all)


def _in_force(part_of: Integers, start: Days, cover: Days, before: Days, stop: Days) -> tuple[Integers, Days, Days]:
    """Which record was in force from when to when, the last day not included; no days overlap.

    It is the one that began last of those that have not ended; where none is left, the one that ended last.

    Parameters
    ----------
    part_of : ndarray of int, (m,)
        Contract of each record, ascending; records of a contract sorted by start.
    start, cover, before : ndarray of datetime64[D], (m,)
        First day, end, and the longest end of the earlier records of the contract (NaT for the first).
    stop : ndarray of datetime64[D], (N,)
        Where each contract's time ends.
    """
    size = len(part_of)
    following = np.append(part_of[1:] == part_of[:-1], False)
    limit = np.minimum(np.where(following, np.append(start[1:], OPEN), OPEN), stop[part_of])
    place = np.flatnonzero(start < limit)
    # A record that ends while an earlier one goes on gives way to it.
    nested = (before[place] > cover[place]) & (cover[place] < limit[place])
    to = np.where(nested, cover[place], limit[place])
    found = [(place, start[place], to)]
    current, at, limit = place[nested], cover[place][nested], limit[place][nested]
    below = current - 1
    opening = np.append(0, np.flatnonzero(np.diff(part_of)) + 1)[part_of] if size else part_of
    while len(current):
        exhausted = below < opening[current]
        covers = ~exhausted & (cover[np.maximum(below, 0)] > at)
        takes = exhausted | covers
        who = np.where(exhausted, current, below)[takes]
        end = np.where(exhausted[takes], limit[takes], np.minimum(cover[who], limit[takes]))
        found.append((who, at[takes], end))
        at = at.copy()
        at[takes], current = end, current.copy()
        current[takes] = who
        left = at < limit
        current, at, limit, below = current[left], at[left], limit[left], below[left] - 1
    parts = [np.concatenate(part) for part in zip(*found, strict=True)]
    real = parts[1] < parts[2]
    return parts[0][real], parts[1][real], parts[2][real]


def _price(records: Records, row: Integers, period: Integers) -> NDArray[np.float64]:
    """The price that some records name, of one of these periods."""
    numbers, days, units = (
        np.array([getattr(each, name) for each in records.periods]) for name in ("number", "days", "unit")
    )
    per = records.value_per[row]
    # Months and years are exact, and so are days and weeks; only between them a month is 30.4375 days.
    alike = units[period] == units[per]
    return (
        records.value[row] * np.where(alike, numbers[period], days[period]) / np.where(alike, numbers[per], days[per])
    )


def renewals_until(start: Days, period: Integers, periods: tuple[time.Period, ...], day: Any) -> Integers:
    """Renewals by a day of contracts of several periods, the numbers of which are given (n,)."""
    day, found = np.broadcast_to(day, start.shape), np.zeros(len(start), np.int64)
    for place, each in enumerate(periods):
        here = period == place
        if here.any():
            found[here] = time.renewals_until(start[here], each, day[here])
    return found


def _running_maximum(days: Days, who: Integers) -> Days:
    """The latest day so far of each customer."""
    running = np.maximum.accumulate(who * _DAYS + (days.astype(np.int64) + _BEFORE_1970))
    return (running - who * _DAYS - _BEFORE_1970).astype("datetime64[D]")


def _running_count(who: Integers) -> Integers:
    """1, 2, ... for each customer."""
    opening = np.diff(who, prepend=-1) != 0
    first = np.flatnonzero(opening)
    return np.arange(len(who)) - np.repeat(first, np.diff(first, append=len(who))) + 1


def _changes(keys: Integers) -> Integers:
    """Where each run of equal keys starts."""
    return np.flatnonzero(np.diff(keys, prepend=-1) != 0)
