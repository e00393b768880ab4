"""Transactions: any log of purchases, read where it lies."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from clvmodels import schema, time
from clvmodels.data import choice, numbers, parsing, sql
from clvmodels.data.audit import BUDDHIST, Audit, audited, buddhist_lines, is_buddhist, lost_share, remedy
from clvmodels.data.customers import check_attributes
from clvmodels.data.parsing import DATES, INTEGERS, TEXTS, check_choice, id_type
from clvmodels.data.purchases import Found, collect, dates, day_number
from clvmodels.data.reader import Reader
from clvmodels.data.sql import Status
from clvmodels.data.summary import Summary
from clvmodels.errors import DataError, DataWarning, brief, counted, examples

if TYPE_CHECKING:
    from clvmodels.data.reader import Source as Source

Day = str | datetime.date | np.datetime64
Refunds = Literal["net", "drop", "keep", "error"]
BadRows = Literal["error", "drop"]


@dataclass(frozen=True, eq=False)
class Split:
    """A log cut in two: what the models may see, and what came after.

    Parameters
    ----------
    calibration : Summary
        The customers as known at the end of the cutoff day.
    holdout : DataFrame
        Columns of `clvmodels.schema.HOLDOUT`, one row per customer of the calibration in its order, zeros for those who
        bought nothing. The holdout's refunds are taken off the holdout's purchases alone (and not off those, if they
        belong by their number to earlier orders); what is left of them is told apart, as `refunds_left`.
    new_customers : DataFrame
        The same columns for the customers first seen in the holdout, and their `first_date`.
    repeat_transactions : Series
        Repeat transactions of the calibration's customers by day, from the first that has one to the end of the
        holdout.
    cutoff, holdout_end : Timestamp
        The holdout is (cutoff, holdout_end].
    horizon_days : int
        Its length.
    """

    calibration: Summary
    holdout: pd.DataFrame
    new_customers: pd.DataFrame
    repeat_transactions: pd.Series
    cutoff: pd.Timestamp
    holdout_end: pd.Timestamp
    horizon_days: int

    def __repr__(self) -> str:
        return (
            f"Split after {self.cutoff:%Y-%m-%d}: {counted(len(self.calibration), 'customer')}, holdout of "
            f"{counted(self.horizon_days, 'day')} until {self.holdout_end:%Y-%m-%d}, "
            f"{counted(len(self.new_customers), 'new customer')} kept apart"
        )


class Transactions:
    """A log of purchases: one line per purchase, order or item.

    Nothing is copied: each question is answered by scanning the log, out of memory where the log is a file.
    Purchases are merged per calendar day. Lines without a customer id are left out with a warning.

    Parameters
    ----------
    source : DataFrame, Table, path or relation
        A pandas or Polars frame, an Arrow table, a CSV or Parquet path (globs too), or a DuckDB relation. All columns
        of a CSV file are read as text, so that ids keep their leading zeros.
    customer : str or sequence of str
        Column with the customer's id. Ids keep their type, but decimals with a fraction, whole numbers of more than 64
        bits, and ids of mixed types become text. Of several columns, such as ``["customer_id", "email"]``, the first
        counts that is not missing or blank; the index has the name of the first. Nothing connects an email with the id
        that stands beside it elsewhere: such customers are two, and a warning says how many.
    date : str
        Column with the date or time. Dates as text must be written YYYY-MM-DD, with or without time and zone, unless
        `date_format` says otherwise: the order of day and month is never guessed. Buddhist years (2567 is 2024) are
        told, never converted.
    value : str or (str, str), optional
        Column with the revenue of a line, or a pair (quantity, price) whose product it is.
    order : str, optional
        Column with the order number, for counting orders.
    attributes : sequence of str
        Columns that describe the customer (channel, country); predictions carry them. The value of the earliest
        purchase day that has one counts; where that day has several, the smallest.
    refunds : {"net", "drop", "keep", "error"}
        What is done with lines of a negative value. "net" takes each off the order of the same number (with `order=`),
        else off the customer's latest purchase up to that day, then off those before it; a purchase day that this
        brings to zero is no purchase, and what exceeds all purchases is left out with a warning. "drop" leaves refunds
        out with a warning, "keep" counts them as purchases, "error" refuses them.
    acquired : str, optional
        Column with the true date of a customer's first purchase. Who was acquired before the log begins is left out
        with a warning: how often such customers bought before is not in the log, so no model can use what is.
    first_seen_after : date, optional
        Where that date is not known: customers who bought on this day or before are left out with a warning, because
        they may be older than the log. Old customers who buy so rarely that they show up later stay in, and lower what
        a model expects: the true date is better.
    date_format : str, optional
        How dates are written, in the letters of `strptime`; whole numbers such as 19970131 can be read so, too.
    timezone : str, default "UTC"
        Times that carry a zone are converted to this one before the day is taken; other times are taken as they are.
    bad_rows : {"error", "drop"}
        Lines without a readable date or a finite value are refused, or left out with a warning.
    where : mapping, optional
        Only lines count whose columns hold one of these values, as if the log held no others:
        ``{"status": ["paid", "shipped"], "cancelled_at": None}``, where None stands for what is missing or blank. The
        values are compared as they are written. Those that no line holds are told; if a column holds none, it is an
        error.
    currency : str or (str, str), optional
        Column with the currency of the value: more than one is an error, unless a pair (column, code) says which
        counts. Lines in others are then left out with a warning. A line without a currency is of no known one, so it is
        never added to the rest; lines worth 0 are. Without this option, a column whose name ends in "currency" or
        "currency_code" is looked at all the same.
    decimal : {".", ","}
        Decimal sign of values that are text; numbers are left as they are. A text that does not follow the form is not
        read, and never guessed at: 12,50 is refused where the sign is a point. A minus stands before or behind the
        digits, or is written as parentheses; currency signs must be removed.
    thousands : str, optional
        What groups the digits of values that are text by threes: ",", ".", a space (of any kind) or an apostrophe;
        with a comma also in the Indian way (12,34,567). Digits without groups are read, too.
    encoding : str, default "utf-8"
        Of a CSV file, by its name in Python: "cp1252", "cp1258" (Vietnamese), "cp874" or "tis-620" (Thai), "utf-16".
        Other files than UTF-8 are written again in it for each question, into a temporary folder.
    part : str, optional
        Column that tells which export a line comes from, where exports overlap in time: a day that several hold is
        taken from the one with the most lines of it, of equals from the last.

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
    >>> frame = pd.DataFrame({"id": ["07", "07", "8"], "date": ["2024-01-01", "2024-01-15", "2024-01-08"]})
    >>> log = Transactions(frame, customer="id", date="date")
    >>> log
    Transactions in a pandas DataFrame: customer 'id', date 'date'
    >>> log.summary(unit="week").table.loc["07", ["frequency", "recency", "T"]].tolist()
    [1.0, 2.0, 2.0]
    """

    def __init__(
        self,
        source: Source,
        *,
        customer: str | Sequence[str],
        date: str,
        value: str | Sequence[str] | None = None,
        order: str | None = None,
        attributes: Sequence[str] = (),
        refunds: Refunds = "net",
        acquired: str | None = None,
        first_seen_after: Day | None = None,
        date_format: str | None = None,
        timezone: str | None = None,
        bad_rows: BadRows = "error",
        where: choice.Where | None = None,
        currency: str | Sequence[str] | None = None,
        decimal: str = ".",
        thousands: str | None = None,
        encoding: str = "utf-8",
        part: str | None = None,
    ) -> None:
        self.options = {name: given for name, given in locals().items() if name not in ("self", "source")}
        check_choice(refunds, "refunds", get_args(Refunds))
        check_choice(bad_rows, "bad_rows", get_args(BadRows))
        check_attributes(attributes, schema.SUMMARY, "the summary")
        values = (value,) if isinstance(value, str) else value or ()
        if not isinstance(values, (tuple, list)) or (value is not None and len(values) not in (1, 2)):
            raise ValueError(f"value must be a column or a pair (quantity, price); got {value!r}")
        numbers.check_form(decimal, thousands)
        self._source = source
        self._encoding = encoding
        self._known_until: pd.Timestamp | None = None
        with contextlib.closing(Reader(source, encoding)) as reader:
            self._kind = reader.kind
            self._fields = sql.Fields(
                customers=choice.as_customers(customer),
                date=date,
                value=tuple(values),
                order=order,
                acquired=acquired,
                first_seen_after=None if first_seen_after is None else time.day(first_seen_after, "first_seen_after"),
                attributes=tuple(attributes),
                types={name: kind.split("(")[0] for name, kind in reader.types.items()},
                date_format=date_format,
                timezone=timezone or "UTC",
                refunds=refunds,
                bad_rows=bad_rows,
                decimal=decimal,
                thousands=thousands,
                where=choice.as_where(where),
                currency=choice.as_currency(currency),
                doubtful=None,
                part=part,
                overlap={},
            )
            self._check_columns(reader)
            typed = self._fields.types[date] in DATES and date_format is None
            fit = typed and bool(reader.scan(parsing.dates_fit(date))["fit"].fillna(False).item())
            self._fields = dataclasses.replace(
                self._fields,
                id_type=id_type(reader, self._fields),
                dates_fit=frozenset([date] if fit else []),
            )
            if reader.scan("SELECT 1 FROM log LIMIT 1").empty:
                raise DataError(f"{self._kind} has columns but no rows")
            choice.check_chosen(reader, self._fields)
            self._fields = dataclasses.replace(
                self._fields,
                doubtful=choice.doubtful_currency(reader, self._fields),
                overlap=choice.overlap(reader, self._fields),
            )

    def __repr__(self) -> str:
        fields = self._fields
        value = f", value {' x '.join(map(repr, fields.value))}" if fields.value else ""
        order = f", order {fields.order!r}" if fields.order else ""
        until = f", until {self._known_until:%Y-%m-%d}" if self._known_until is not None else ""
        customer = " or ".join(map(repr, fields.customers))
        chosen = "".join(f", {name} {either}" for name, either in choice.wanted(fields).items())
        chosen += f", currency {' '.join(map(repr, fields.currency))}" if fields.currency else ""
        return f"Transactions in {self._kind}: customer {customer}, date {fields.date!r}{value}{order}{chosen}{until}"

    @property
    def end(self) -> pd.Timestamp:
        """The last date in the log."""
        with self._reading(None) as reader:
            return reader.scan(sql.span(self._fields))["last"].item()

    def audit(self, until: Day | None = None) -> Audit:
        """What is in the log, what is odd, what is done about it, and whether it is enough to fit.

        Never raises on lines, however bad.

        Parameters
        ----------
        until : date, optional
            End of observation, inclusive; default: the last date in the log.
        """
        end = None if until is None else time.day(until, "until")
        with self._reading(end) as reader:
            return audited(reader, self._found(reader, with_gaps=True), self._fields, end)

    def summary(self, unit: str = "week", until: Day | None = None) -> Summary:
        """One row per customer: what the models need to know.

        Parameters
        ----------
        unit : {"day", "week", "month", "year"}
            Unit of `recency` and `T`, which are exact differences of days divided by its length.
        until : date, optional
            End of observation, inclusive; default: the last date in the log. Later lines are left out.

        Returns
        -------
        Summary
            Columns of `clvmodels.schema.SUMMARY`, then the attributes; sorted by customer.

        Raises
        ------
        DataError
            If dates or values cannot be read and `bad_rows` is "error", if refunds are there and `refunds` is "error",
            if `until` is before the first date, or if no purchase is left.
        """
        time.unit_days(unit)
        end = None if until is None else time.day(until, "until")
        with self._reading(end) as reader:
            found = self._found(reader)
            self._check_lines(reader, found)
            if end is None and (future := self._future(reader, found)):
                _warn(f"{future}, which becomes the end of observation; correct it or give until=", stacklevel=3)
            if end is not None and end < found.first:
                raise DataError(f"until {end:%Y-%m-%d} is before the data, which run from {_period(found)}")
        return self._summary(found, unit, found.last if end is None else end)

    def split(self, cutoff: Day, horizon: time.Horizon, unit: str = "week") -> Split:
        """Cut the log in two, to predict the later part from the earlier and compare.

        Parameters
        ----------
        cutoff : date
            Last day of the calibration.
        horizon : str, number, date or timedelta
            Length of the holdout: ``"39 weeks"``, an end date, or a number of `unit`. It must have been observed whole.
        unit : {"day", "week", "month", "year"}
            Unit of the calibration's `recency` and `T`.

        Raises
        ------
        DataError
            As `summary`, and if the cutoff is outside the data or the log ends before the holdout does.
        """
        cut = time.day(cutoff, "cutoff")
        length = time.horizon_days(horizon, unit=unit, observation_end=cut)
        end = cut + pd.Timedelta(days=length)
        with self._reading(end) as reader:
            found = self._found(reader, cut)
            self._check_lines(reader, found)
            if future := self._future(reader, found):
                _warn(f"{future}, so nobody knows how far the log was observed; correct it", stacklevel=3)
        # The log of a summary was observed until the end of observation, whether or not somebody bought on that day.
        last = found.last if self._known_until is None else self._known_until
        if not found.first <= cut <= last:
            raise DataError(f"cutoff {cut:%Y-%m-%d} is outside the data, which run from {_period(found)}")
        if end > last:
            raise DataError(
                f"the holdout of {counted(length, 'day')} after {cut:%Y-%m-%d} ends on {end:%Y-%m-%d}, but the log "
                f"ends on {last:%Y-%m-%d}: only {counted((last - cut).days, 'day')} of it can be checked"
            )
        calibration = self._summary(found, unit, cut)
        columns = ["transactions"]
        if self._fields.value:
            columns += ["revenue", "refunds_left"] if self._fields.refunds == "net" else ["revenue"]
        later = found.later.rename_axis(self._fields.customer)
        known = calibration.table.index
        fresh = later[~later.index.isin(known) & (later["transactions"] > 0)]
        return Split(
            calibration=calibration,
            holdout=later[columns].reindex(known, fill_value=0),
            new_customers=fresh[columns].assign(first_date=dates(fresh["first_day"])),
            repeat_transactions=_by_date(found.repeats),
            cutoff=cut,
            holdout_end=end,
            horizon_days=length,
        )

    def repeat_transactions(self, until: Day | None = None) -> pd.Series:
        """Repeat transactions of all customers together, by the days that have one.

        Parameters
        ----------
        until : date, optional
            The last day, inclusive; default: the last date in the log.
        """
        end = (self._known_until or self.end) if until is None else time.day(until, "until")
        with self._reading(end) as reader:
            return _by_date(self._found(reader, end).repeats)

    def gap_quantile(self, q: float) -> float:
        """Quantile of the days between consecutive purchase days of a customer; NaN where nobody repeats."""
        with self._reading(None) as reader:
            gaps = self._found(reader, with_gaps=True).gaps
        return float(np.quantile(gaps, q)) if len(gaps) else math.nan

    def _summary(self, found: Found, unit: str, end: pd.Timestamp) -> Summary:
        if found.customers.empty:
            raise DataError(f"no purchase is left of {counted(int(found.totals['lines'].sum()), 'line')}")
        fields, known, length = self._fields, found.customers, time.unit_days(unit)
        repeats, end_day = known["transactions"] - 1, day_number(end)
        columns = {
            "frequency": repeats,
            "recency": (known["last_day"] - known["first_day"]) / length,
            "T": (end_day - known["first_day"]) / length,
            "monetary_value": known["later_value"] / repeats.clip(lower=1),
            "n_transactions": known["transactions"],
            "n_orders": known.get("n_orders"),
            "historic_revenue": known["revenue"],
            "first_value": known["first_value"],
            "first_date": dates(known["first_day"]),
            "last_date": dates(known["last_day"]),
            "days_since_last": end_day - known["last_day"].astype("int64"),
            **{name: known[f"attribute_{i}"] for i, name in enumerate(fields.attributes)},
        }
        absent = [] if fields.value else ["monetary_value", "historic_revenue", "first_value"]
        absent += [] if fields.order else ["n_orders"]
        table = pd.DataFrame({name: column for name, column in columns.items() if name not in absent}, copy=False)
        source = copy.copy(self)
        source._known_until = end
        return Summary(
            table.rename_axis(fields.customer),
            unit=unit,
            observation_start=fields.start(found.first),
            observation_end=end,
            source=source,
            attributes=fields.attributes,
        )

    @contextlib.contextmanager
    def _reading(self, until: pd.Timestamp | None) -> Iterator[Reader]:
        reader = Reader(
            self._source, self._encoding, until=until, known_until=self._known_until, **self._fields.parameters
        )
        with contextlib.closing(reader):
            yield reader

    def _found(self, reader: Reader, cutoff: pd.Timestamp | None = None, with_gaps: bool = False) -> Found:
        """What one pass over the log finds."""
        fields = self._fields
        return collect(
            reader.stream(sql.ordered(fields)),
            refunds=fields.refunds,
            cutoff=cutoff,
            first_seen_after=fields.first_seen_after,
            acquired_from=reader.scan(sql.span(fields))["first"].item() if fields.acquired else None,
            with_gaps=with_gaps,
        )

    def _check_columns(self, reader: Reader) -> None:
        fields = self._fields
        choosing = (*(name for name, _ in fields.where), *fields.currency[:1], *([fields.part] if fields.part else []))
        parsing.check_columns(reader, fields, fields.used, choosing)
        for name in fields.value:
            parsing.check_numbers(name, fields)
        parsing.check_date(reader, fields.date, fields)
        if fields.date_format is not None and (kind := fields.types[fields.date]) not in INTEGERS | TEXTS:
            raise ValueError(f"date_format is for dates written as text or whole numbers; {fields.date!r} holds {kind}")
        parsing.check_timezone(reader, fields.timezone)

    def _check_choice(self, reader: Reader) -> None:
        """Refuse to add up what is not of one currency, and warn of customers with two ids."""
        fields = self._fields
        if left_out := choice.check_currencies(reader, fields):
            _warn(left_out, stacklevel=5)
        for sentence in choice.ids_beside(reader, fields):
            _warn(sentence, stacklevel=5)

    def _check_lines(self, reader: Reader, found: Found) -> None:
        """Refuse the lines that cannot be used, and warn of what is left out."""
        self._check_choice(reader)
        fields, count, worth = self._fields, found.totals["lines"], found.totals["value"]
        value, total = " x ".join(fields.value), counted(int(count.sum()), "line")

        if number := count[Status.NO_CUSTOMER]:
            lost, share = worth[Status.NO_CUSTOMER], lost_share(worth, fields.refunds)
            money = "" if math.isnan(share) else f"; they hold {lost:,.2f} of revenue, {share:.1%} of all"
            _warn(f"{' or '.join(fields.customers)} is missing in {number:,} of {total}, which are left out{money}")
        if number := count[Status.REFUND]:
            fault = f"{value} is negative in {number:,} of {total}"
            if fields.refunds == "error":
                some = self._customers(reader, Status.REFUND)
                raise DataError(f"{fault}: {some}; choose refunds='net', refunds='drop' or refunds='keep'")
            if fields.refunds == "drop":
                left_out = f"which are left out as refunds (sum {worth[Status.REFUND]:,.2f})"
                _warn(f"{fault}, {left_out}; refunds='net' would take them off the purchases before them")
        unusable = {
            Status.NO_DATE: f"{fields.date} {fields.date_fault(fields.date)}",
            Status.NO_VALUE: f"{value} is missing or not finite",
        }
        for status, fault in unusable.items():
            if number := count[status]:
                shown = self._unread(reader, status) if fields.texts(status) else self._customers(reader, status)
                sentence = f"{fault} in {number:,} of {total}: {shown}"
                if fields.bad_rows == "error":
                    do = remedy(reader, fields, status)
                    raise DataError(f"{sentence}; {do}, or leave them out with bad_rows='drop'")
                _warn(f"{sentence}; they are left out")
        if not count[Status.PURCHASE] and not count[Status.LATE]:
            raise DataError(f"no purchase is left of {total}")
        gone = found.refunded.index[(found.refunded["days"] > 0) & (found.refunded["transactions"] == 0)]
        if len(gone):
            _warn(
                f"left out, having given back all they had bought: {counted(len(gone), 'customer')}: {examples(gone)}"
            )
        if (left := found.refunded["left"]).any():
            whom = counted(int((left > 0).sum()), "customer")
            _warn(
                f"left out, being more than {whom} had bought before in the log: refunds of {left.sum():,.2f}: "
                f"{examples(left.index[left > 0])}"
            )
        if fields.acquired:
            self._check_acquired(reader)
        if len(found.older):
            whom = f"{counted(len(found.older), 'customer')} with {found.older['revenue'].sum():,.2f} of revenue"
            _warn(f"left out, being older than the log: {whom}: {examples(found.older.index)}")

    def _check_acquired(self, reader: Reader) -> None:
        name, seen = self._fields.acquired, reader.scan(sql.acquired(self._fields)).iloc[0]
        if seen["unread"]:
            whom = counted(int(seen["unread"]), "customer")
            fault = f"{name} cannot be read as a date for {whom}, such as {brief(repr(seen['example']))}"
            if self._fields.bad_rows == "error":
                raise DataError(f"{fault}; correct them, or let bad_rows='drop' take them as missing")
            _warn(f"{fault}; it is taken as missing")
        if seen["missing"]:
            _warn(f"{name} is missing for {counted(int(seen['missing']), 'customer')}, who may be older than the log")
        if seen["later"]:
            whom = counted(int(seen["later"]), "customer")
            _warn(f"{name} is after the first purchase in the log for {whom}; the first purchase counts")

    def _future(self, reader: Reader, found: Found) -> str:
        """What is said of dates after today, where there are any."""
        today, last = pd.Timestamp.today(), found.last
        if self._known_until is not None or not last > today:
            return ""
        number = reader.scan(sql.lines_after(self._fields), day=today)["lines"].item()
        total = counted(int(found.totals["lines"].sum()), "line")
        years = f", {thai:,} with years that {BUDDHIST}" if (thai := buddhist_lines(reader, self._fields)) else ""
        return f"{self._fields.date} is after today in {number:,} of {total}{years}; the last is {last:%Y-%m-%d}"

    def _unread(self, reader: Reader, status: Status) -> str:
        found = reader.scan(sql.unread(self._fields, status))
        shown = (f"{brief(repr(text))} (customer {brief(customer)})" for text, customer in found.to_numpy())
        return examples(shown, width=100)

    def _customers(self, reader: Reader, status: Status) -> str:
        return "customers " + examples(reader.scan(sql.customers_with(self._fields, status))["customer"])


def _warn(sentence: str, stacklevel: int = 4) -> None:
    # The line to blame is that of the user who called `summary` or `split`.
    warnings.warn(sentence, DataWarning, stacklevel=stacklevel)


def _by_date(days: pd.Series) -> pd.Series:
    """The numbers of days since 1970 as dates."""
    return days.set_axis(pd.DatetimeIndex(dates(days.index.to_series()), name="date"))


def _period(found: Found) -> str:
    years = f", years that {BUDDHIST}" if is_buddhist(found.last.year) else ""
    return f"{found.first:%Y-%m-%d} to {found.last:%Y-%m-%d}{years}"
