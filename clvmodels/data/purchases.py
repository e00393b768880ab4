"""Purchases: from lines to purchase days to customers, with refunds; the only place where purchases are counted.

The lines come sorted by customer and day (`sql.ordered`), so one pass in blocks is enough, however long the log is.
Money is added in whole numbers, so that no sum depends on the order of the lines and a full refund leaves zero.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.data.parsing import NO_DAY
from clvmodels.data.sql import Status

if TYPE_CHECKING:
    import pyarrow as pa

    Integers = NDArray[np.int64]

_DIGITS = 15  # a double holds every decimal number of so many digits
_POWERS = 10.0 ** np.arange(-_DIGITS, _DIGITS + 1)
_LARGEST_SUM = 9e18  # of whole numbers of 64 bits
_NO_ORDER = -1

# The columns of the frames that are found.
_COLUMNS = {
    "customers": ("transactions", "revenue", "first_value", "later_value", "first_day", "last_day", "n_orders"),
    "later": ("transactions", "revenue", "refunds_left", "first_day"),
    "refunded": ("days", "left", "transactions"),
    "older": ("revenue",),
}


@dataclass(frozen=True)
class Lines:
    """Lines of some customers, all of each, sorted by customer and day.

    Parameters
    ----------
    ids : Array, (C,)
        The customers.
    customer : ndarray of int, (n,)
        Which of them each line belongs to.
    day : ndarray of int, (n,)
        Days since 1970; `NO_DAY` where the date cannot be used.
    value : ndarray, (n,)
        In money; refunds are below zero.
    status : ndarray of int, (n,)
        `Status`.
    order : ndarray of int, (n,), or None
        Number of the order, `_NO_ORDER` where it has none.
    row : ndarray of int, (n,)
        Place of the line in its block.
    """

    ids: Any
    customer: Integers
    day: NDArray[np.int32]
    value: NDArray[np.float64]
    status: NDArray[np.uint8]
    order: Integers | None
    row: Integers

    def only(self, chosen: NDArray[np.bool_]) -> Lines:
        """Some of the lines."""
        if chosen.all():
            return self
        order = None if self.order is None else self.order[chosen]
        parts = (self.customer[chosen], self.day[chosen], self.value[chosen], self.status[chosen])
        return Lines(self.ids, *parts, order, self.row[chosen])


@dataclass(frozen=True)
class Days:
    """Purchase days of the customers of some lines, sorted by customer and day.

    Parameters
    ----------
    customer, day : ndarray of int, (m,)
        As in `Lines`.
    amount : ndarray of int, (m,)
        Net of refunds, as a whole number of the customer's own units.
    unit : ndarray, (C,)
        How many of these units make 1.
    orders : ndarray of int, (C,), or None
        How many orders each customer made on these days.
    refunded : ndarray of int, (C,)
        How many further purchase days refunds brought to zero.
    left : ndarray of int, (C,)
        Refunds beyond all purchases, as a positive amount.
    """

    customer: Integers
    day: NDArray[np.int32]
    amount: Integers
    unit: NDArray[np.float64]
    orders: Integers | None
    refunded: Integers
    left: Integers


@dataclass(frozen=True)
class Found:
    """What one pass over a log found.

    Parameters
    ----------
    totals : DataFrame
        `lines` and their `value` by `Status`.
    first, last : Timestamp
        Of the dates that can be used.
    customers : DataFrame
        Those with a purchase up to the cutoff, sorted: `transactions`, `revenue`, `first_value`, `later_value`,
        `first_day`, `last_day` (days since 1970), and as it was asked `n_orders`, `attribute_0`, ...
    later : DataFrame
        Those with a purchase or a refund after the cutoff: `transactions`, `revenue`, `refunds_left`, `first_day`
        (`NO_DAY` where a refund is all).
    repeats : Series
        Repeat transactions by day (since 1970) of the customers with a purchase up to the cutoff; with a cutoff alone.
    gaps : ndarray
        Days between consecutive purchase days of a customer up to the cutoff.
    refunded : DataFrame
        Customers with refunds that did more than lower a value: `days` (purchase days brought to zero), `left` (refunds
        beyond all purchases), `transactions` (what stays).
    older : DataFrame
        Customers left out because they are older than the log: `revenue`.
    """

    totals: pd.DataFrame
    first: pd.Timestamp
    last: pd.Timestamp
    customers: pd.DataFrame
    later: pd.DataFrame
    repeats: pd.Series
    gaps: NDArray[np.int64]
    refunded: pd.DataFrame
    older: pd.DataFrame


def collect(
    batches: Iterable[pa.RecordBatch],
    *,
    refunds: str,
    cutoff: pd.Timestamp | None = None,
    first_seen_after: pd.Timestamp | None = None,
    acquired_from: pd.Timestamp | None = None,
    with_gaps: bool = False,
) -> Found:
    """All that `summary`, `split` and `audit` want to know, from the batches of `sql.ordered`.

    Parameters
    ----------
    batches : iterable of RecordBatch
    refunds : {"net", "drop", "keep", "error"}
    cutoff : Timestamp, optional
        Last day of the calibration; if not given, all days belong to it.
    first_seen_after : Timestamp, optional
        Customers with a purchase on this day or before are left out: they may be older than the log.
    acquired_from : Timestamp, optional
        Customers whose date of acquisition is before this day are left out.
    with_gaps : bool
        Collect the days between purchases, too.
    """
    totals = np.zeros((2, len(Status)))
    span = [NO_DAY, -NO_DAY]
    parts: dict[str, list[dict[str, Any]]] = {name: [] for name in _COLUMNS}
    gaps, repeats = [], []
    for block in blocks(batches):
        status, value, day = (block[name].to_numpy() for name in ("status", "value", "day"))
        for kind in np.flatnonzero(np.bincount(status)):
            chosen = status == kind
            totals[:, kind] += chosen.sum(), value.sum(where=chosen)
        span = [min(span[0], day.min()), max(span[1], day.max(where=day < NO_DAY, initial=-NO_DAY))]
        lines = lines_of(block)
        usable = lines.status >= Status.REFUND
        if first_seen_after is not None or acquired_from is not None:
            older = _older(block, lines, first_seen_after, acquired_from)
            parts["older"].append(_left_out(lines, older & _buys(lines), refunds))
            usable &= ~older[lines.customer]
        past = lines.only(usable if cutoff is None else usable & (lines.day <= day_number(cutoff)))
        days = purchase_days(past, refunds=refunds)
        found = _customers(lines, days)
        parts["customers"].append(found | _attributes(block, past, found["who"]))
        if days.refunded.any() or days.left.any():
            parts["refunded"].append(_refunded(lines, days))
        if with_gaps:
            gaps.append(np.diff(days.day)[days.customer[1:] == days.customer[:-1]])
        if cutoff is not None:
            rest = lines.only(usable & (lines.day > day_number(cutoff)))
            days_after = purchase_days(rest, refunds=refunds, earlier=past)
            parts["later"].append(_later(lines, days_after))
            known = np.isin(days_after.customer, found["who"])
            repeated = days.customer[1:] == days.customer[:-1]
            repeats.append(pd.Series(np.concatenate([days.day[1:][repeated], days_after.day[known]])).value_counts())
    frames = {name: _frame(found, _COLUMNS[name]) for name, found in parts.items()}
    first, last = (pd.Timestamp(np.datetime64(int(day), "D") if span[0] < NO_DAY else "NaT") for day in span)
    return Found(
        totals=pd.DataFrame({"lines": totals[0].astype(int), "value": totals[1]}, index=list(Status)),
        first=first,
        last=last,
        repeats=pd.concat(repeats).groupby(level=0).sum() if repeats else pd.Series(dtype=int),
        gaps=np.concatenate([*gaps, np.empty(0, np.int32)]),
        **frames,
    )


def blocks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Batches of `sql.ordered` cut anew, so that each holds all lines of its customers."""
    import pyarrow as pa

    pending: list[pa.RecordBatch] = []
    for batch in batches:
        # The last customer of a batch may go on in the next; lines without a customer come last of all.
        cut = _last_start(batch.column("customer"))
        if cut:
            yield pa.Table.from_batches([*pending, batch.slice(0, cut)])
            pending = []
        pending.append(batch.slice(cut))
    if pending:
        yield pa.Table.from_batches(pending)


def lines_of(block: pa.Table) -> Lines:
    """The lines of a block that have a customer."""
    import pyarrow.compute as pc

    block = block.slice(0, len(block) - block["customer"].null_count).combine_chunks()
    ids = block["customer"].combine_chunks()
    starts = _starts(ids)
    counts = np.diff(starts, append=len(block))
    customer = np.repeat(np.arange(len(starts)), counts)
    value = block["value"].to_numpy()
    order = None
    if "purchase_order" in block.column_names:
        numbers = pc.dictionary_encode(block["purchase_order"]).combine_chunks().indices
        order = pc.fill_null(numbers, _NO_ORDER).to_numpy(zero_copy_only=False).astype(np.int64)
    day, status, row = block["day"].to_numpy(), block["status"].to_numpy(), np.arange(len(block))
    return Lines(ids.take(starts), customer, day, value, status, order, row)


def purchase_days(lines: Lines, *, refunds: str, earlier: Lines | None = None) -> Days:
    """Purchase days: lines merged by day, and refunds taken off where `refunds` is "net".

    A refund lowers the value of the order of the same number if the customer made one up to that day, else his latest
    purchase up to that day, then those before it: a stack. A purchase day that it brings to zero is no purchase.

    Parameters
    ----------
    lines : Lines
        Purchases and refunds.
    refunds : {"net", "drop", "keep", "error"}
    earlier : Lines, optional
        Lines before these: refunds of orders among them are not taken off days among these.
    """
    size = len(lines.ids)
    is_refund = lines.status == Status.REFUND
    if refunds != "net":
        lines, is_refund = lines.only(~is_refund), np.zeros(int((~is_refund).sum()), bool)
    unit = _units(lines)
    amount = np.rint(lines.value * unit[lines.customer]).astype(np.int64)
    if not is_refund.any():
        return _plain_days(lines, amount, unit)
    concerned = np.zeros(size, bool)
    concerned[lines.customer[is_refund]] = True
    chosen = concerned[lines.customer]
    days = _plain_days(lines.only(~chosen), amount[~chosen], unit)
    theirs = _net_days(lines.only(chosen), amount[chosen], unit, earlier)
    customer = np.concatenate([days.customer, theirs.customer])
    ranks = np.argsort(customer, kind="stable")
    day, amount = np.concatenate([days.day, theirs.day]), np.concatenate([days.amount, theirs.amount])
    orders = None if days.orders is None or theirs.orders is None else days.orders + theirs.orders
    return Days(customer[ranks], day[ranks], amount[ranks], unit, orders, theirs.refunded, theirs.left)


def _plain_days(lines: Lines, amount: Integers, unit: NDArray) -> Days:
    """Purchase days of customers who gave nothing back."""
    starts, none = _changes(lines.customer, lines.day), np.zeros(len(lines.ids), np.int64)
    orders = None if lines.order is None else _orders(lines.customer, lines.order, lines.day, len(lines.ids))
    return Days(lines.customer[starts], lines.day[starts], _sums(amount, starts), unit, orders, none, none)


def _net_days(lines: Lines, amount: Integers, unit: NDArray, earlier: Lines | None) -> Days:
    """Purchase days of customers who gave something back."""
    size, order = len(lines.ids), lines.order
    order = np.full(len(lines.day), _NO_ORDER) if order is None else order
    ranks = np.lexsort((lines.day, order, lines.customer))
    is_refund, amount = (lines.status == Status.REFUND)[ranks], amount[ranks]
    c, o, d = lines.customer[ranks], order[ranks], lines.day[ranks]
    starts = _changes(c, o, d)
    bought, back = (_sums(np.where(chosen, amount, 0), starts) for chosen in (~is_refund, is_refund))
    is_purchase = np.logical_or.reduceat(~is_refund, starts)
    c, o, d = c[starts], o[starts], d[starts]
    # First each order takes its own refunds; what has no number belongs to no order.
    numbered = o != _NO_ORDER
    kept, left = _stack(_numbered(_changes(c, o), len(c)), bought + back)
    kept, left = np.where(numbered, kept, bought), np.where(numbered, left, -back)
    returned = is_purchase & numbered & (kept == 0) & (bought - back > 0)
    apart = np.zeros(len(c), np.int64)
    if earlier is not None and earlier.order is not None:
        purchases = earlier.status == Status.PURCHASE
        known = numbered & np.isin(_pairs(c, o), _pairs(earlier.customer[purchases], earlier.order[purchases]))
        apart, left = np.where(known, left, 0), np.where(known, 0, left)
    # Then each customer's days take the others.
    ranks = np.lexsort((d, c))
    starts = _changes(c[ranks], d[ranks])
    gross, rest, taken = (_sums(part[ranks], starts) for part in (bought, kept, left))
    customer, day = c[ranks][starts], d[ranks][starts]
    amount, left = _stack(customer, rest - taken)
    had_purchase = np.logical_or.reduceat(is_purchase[ranks], starts)
    stays = had_purchase & ((amount > 0) | ((gross == 0) & (taken == 0)))
    orders = None
    if lines.order is not None:
        on_day = np.empty(len(c), np.intp)
        on_day[ranks] = _numbered(starts, len(c))
        valid = is_purchase & ~returned & stays[on_day]
        orders = _orders(c[valid], o[valid], d[valid], size)
    refunded = np.bincount(customer[had_purchase & ~stays], minlength=size)
    beyond = np.zeros(size, np.int64)
    np.add.at(beyond, customer, left)
    np.add.at(beyond, c, apart)
    return Days(customer[stays], day[stays], amount[stays], unit, orders, refunded, beyond)


def _stack(segment: Integers, net: Integers) -> tuple[Integers, Integers]:
    """What is left of each value when those below zero take from the ones before them, the latest first.

    Parameters
    ----------
    segment : ndarray of int, (n,)
        Equal for the values of one stack, which lie together in the order of time.
    net : ndarray of int, (n,)

    Returns
    -------
    kept, beyond : ndarray of int, (n,)
        What stays of each value, and what each took that was not there.

    Notes
    -----
    With S the running sum, C = S - min(0, running minimum of S) is what the stack holds, and a value keeps the smallest
    rise of C since it came.
    """
    running = pd.Series(net).groupby(segment).cumsum()
    lowest = running.groupby(segment).cummin().clip(upper=0)
    held = running - lowest
    before, owed = (part.groupby(segment).shift(fill_value=0) for part in (held, lowest))
    later = held[::-1].groupby(segment[::-1]).cummin()[::-1]
    return (later - before).clip(lower=0).to_numpy(), (owed - lowest).to_numpy()


def _orders(customer: Integers, order: Integers, day: NDArray, size: int) -> Integers:
    """Distinct orders of each customer; what a day's lines without a number bought counts as one."""
    numbered = order != _NO_ORDER
    counts = np.zeros(size, np.int64)
    for keys in ((customer[numbered], order[numbered]), (customer[~numbered], day[~numbered])):
        ranks = np.lexsort(keys[::-1])
        first, second = (key[ranks] for key in keys)
        counts += np.bincount(first[_changes(first, second)], minlength=size)
    return counts


def _starts(ids: Any) -> Integers:
    """Where each run of equal ids starts; missing ones are equal to each other."""
    import pyarrow.compute as pc

    known = len(ids) - ids.null_count  # they come first
    starts = [np.arange(min(known, 1))]
    if known > 1:
        differ = pc.not_equal(ids.slice(1, known - 1), ids.slice(0, known - 1))
        starts.append(np.flatnonzero(differ.to_numpy(zero_copy_only=False)) + 1)
    if ids.null_count:
        starts.append(np.array([known]))
    return np.concatenate(starts)


def _last_start(ids: Any) -> int:
    """Where the last run of equal ids starts: mostly near the end."""
    tail = ids.slice(max(len(ids) - 1000, 0))
    starts = _starts(tail)
    if len(starts) < 2:
        tail, starts = ids, _starts(ids)
    return len(ids) - len(tail) + int(starts[-1]) if len(starts) else 0


def _changes(*keys: NDArray) -> Integers:
    """Where each run of equal keys starts."""
    differ = np.zeros(len(keys[0]), bool)
    differ[:1] = True
    for key in keys:
        differ[1:] |= key[1:] != key[:-1]
    return np.flatnonzero(differ)


def _numbered(starts: Integers, size: int) -> Integers:
    """Number of the run that each of `size` places belongs to."""
    return np.repeat(np.arange(len(starts)), np.diff(starts, append=size))


def _sums(amounts: Integers, starts: Integers) -> Integers:
    """Sum of each run: where runs are short, differences of the running sum are faster than `reduceat`."""
    running = np.cumsum(amounts)  # it may go round beyond 64 bits, and the differences are right all the same
    return np.diff(running[np.append(starts[1:], len(amounts)) - 1], prepend=0) if len(starts) else starts


def _pairs(customer: Integers, order: Integers) -> Integers:
    """One number for a customer and an order; both are smaller than 2^31."""
    return customer * 2**31 + order


def _units(lines: Lines) -> NDArray[np.float64]:
    """How many units make 1 (C,): a power of ten, so that every decimal number becomes whole, and sums have room."""
    units = np.ones(len(lines.ids))
    starts = _changes(lines.customer)
    if len(starts):
        largest = np.maximum(np.maximum.reduceat(np.abs(lines.value), starts), 1e-200)
        room = np.minimum(10.0**_DIGITS, _LARGEST_SUM / np.diff(starts, append=len(lines.customer)))
        digits = np.clip(np.floor(np.log10(room / largest)), -_DIGITS, _DIGITS).astype(np.int64)
        units[lines.customer[starts]] = _POWERS[digits + _DIGITS]
    return units


def day_number(date: pd.Timestamp) -> int:
    """Days since 1970."""
    return int(date.to_datetime64().astype("datetime64[D]").astype(int))


def dates(days: pd.Series) -> pd.Series:
    """The dates of days since 1970."""
    return pd.Series(days.to_numpy().astype("datetime64[D]").astype("datetime64[us]"), days.index, copy=False)


def _older(
    block: pa.Table, lines: Lines, first_seen_after: pd.Timestamp | None, acquired_from: pd.Timestamp | None
) -> NDArray[np.bool_]:
    """Which customers (C,) are older than the log."""
    older = np.zeros(len(lines.ids), bool)
    if first_seen_after is not None:
        early = (lines.status == Status.PURCHASE) & (lines.day <= day_number(first_seen_after))
        older[lines.customer[early]] = True
    if acquired_from is not None:
        acquired = block["acquired"].to_numpy()[: len(lines.day)]
        older[lines.customer[acquired < day_number(acquired_from)]] = True
    return older


def _buys(lines: Lines) -> NDArray[np.bool_]:
    """Which customers (C,) have a purchase."""
    return np.bincount(lines.customer[lines.status == Status.PURCHASE], minlength=len(lines.ids)) > 0


def _left_out(lines: Lines, older: NDArray[np.bool_], refunds: str) -> dict[str, Any]:
    """The customers who are older than the log."""
    days = purchase_days(lines.only((lines.status >= Status.REFUND) & older[lines.customer]), refunds=refunds)
    revenue, who = np.zeros(len(lines.ids), np.int64), np.flatnonzero(older)
    np.add.at(revenue, days.customer, days.amount)
    return {"customer": lines.ids.take(who), "revenue": revenue[who] / days.unit[who]}


def _customers(lines: Lines, days: Days) -> dict[str, Any]:
    """The customers who have a purchase day; `who` is their place among `lines.ids`."""
    starts = _changes(days.customer)
    who, counts = days.customer[starts], np.diff(starts, append=len(days.customer))
    unit, first, total = days.unit[who], days.amount[starts], _sums(days.amount, starts)
    found = {
        "who": who,
        "customer": lines.ids.take(who),
        "transactions": counts,
        "revenue": total / unit,
        "first_value": first / unit,
        "later_value": (total - first) / unit,
        "first_day": days.day[starts],
        "last_day": days.day[starts + counts - 1],
    }
    return found if days.orders is None else found | {"n_orders": days.orders[who]}


def _later(lines: Lines, days: Days) -> dict[str, Any]:
    """What customers did after the cutoff."""
    counts = np.bincount(days.customer, minlength=len(lines.ids))
    revenue = np.zeros(len(lines.ids), np.int64)
    np.add.at(revenue, days.customer, days.amount)
    first = np.full(len(lines.ids), NO_DAY)
    starts = _changes(days.customer)
    first[days.customer[starts]] = days.day[starts]
    who = np.flatnonzero((counts > 0) | (days.left > 0))
    unit = days.unit[who]
    return {
        "customer": lines.ids.take(who),
        "transactions": counts[who],
        "revenue": revenue[who] / unit,
        "refunds_left": days.left[who] / unit,
        "first_day": first[who],
    }


def _refunded(lines: Lines, days: Days) -> dict[str, Any]:
    """The customers whose refunds did more than lower a value."""
    who = np.flatnonzero((days.refunded > 0) | (days.left > 0))
    return {
        "customer": lines.ids.take(who),
        "days": days.refunded[who],
        "left": days.left[who] / days.unit[who],
        "transactions": np.bincount(days.customer, minlength=len(lines.ids))[who],
    }


def _attributes(block: pa.Table, lines: Lines, who: Integers) -> dict[str, Any]:
    """Attributes of some customers: of the earliest purchase day that has one, the smallest."""
    import pyarrow as pa

    found = {}
    for name in (name for name in block.column_names if name.startswith("attribute_")):
        values = block[name].combine_chunks().take(lines.row)
        known = (lines.status == Status.PURCHASE) & values.is_valid().to_numpy(zero_copy_only=False)
        row = np.flatnonzero(known)
        earliest = np.full(len(lines.ids), NO_DAY)
        earliest[lines.customer[row[::-1]]] = lines.day[row[::-1]]
        row = row[lines.day[row] == earliest[lines.customer[row]]]
        candidates = pa.table({"customer": lines.customer[row], "value": values.take(row)})
        ranked = candidates.sort_by([("customer", "ascending"), ("value", "ascending")])
        starts = _changes(ranked["customer"].to_numpy())
        place = np.full(len(lines.ids), -1)
        place[ranked["customer"].to_numpy()[starts]] = starts
        found[name] = ranked["value"].combine_chunks().take(pa.array(place[who], mask=place[who] < 0))
    return found


def _frame(parts: list[dict[str, Any]], columns: tuple[str, ...]) -> pd.DataFrame:
    """One frame, indexed by customer, from those of the blocks; `columns` are those of a frame of no customers."""
    import pyarrow as pa

    if not parts:
        return pd.DataFrame({name: np.empty(0) for name in columns}, pd.Index([], name="customer"))

    def joined(name: str) -> Any:
        pieces = [part[name] for part in parts]
        return (
            np.concatenate(pieces) if isinstance(pieces[0], np.ndarray) else pa.chunked_array(pieces).to_pandas().array
        )

    found = {name: joined(name) for name in parts[0] if name != "who"}
    return pd.DataFrame(found, pd.Index(found.pop("customer"), name="customer"), copy=False)
