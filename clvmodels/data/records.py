"""Records of contracts: which columns hold what, the SQL that reads them, and what each record is.

DuckDB parses the records and sorts them; what comes out are arrays with one place per record.
"""

# ruff: noqa: S608 - what is put into the texts is quoted (names), bound (values) or our own

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels import time
from clvmodels.data.choice import by_currency, mixed
from clvmodels.data.parsing import HUGE, LINE, Columns, as_text, customer, day, log, number, present, quoted, written

if TYPE_CHECKING:
    from clvmodels.data.reader import Reader

    Days = NDArray[np.datetime64]
    Integers = NDArray[np.int64]

# The end of what has none: what people write for it, too.
OPEN = np.datetime64("9999-12-31", "D")
NO_DAY = np.datetime64("NaT", "D")
ONE_DAY = np.timedelta64(1, "D")


class Status(IntEnum):
    """What a record is; the last is used."""

    NO_CUSTOMER = 0
    NO_START = 1
    NO_END = 2
    NO_RENEWS = 3
    NO_VALUE = 4
    NO_PERIOD = 5
    BACKWARDS = 6
    USED = 7


@dataclass(frozen=True, kw_only=True)
class Fields(Columns):
    """Which columns of contract records hold what, and how to read them.

    `period` and `value_per` are periods, or the names of columns that hold such texts. `doubtful` is a column that
    seems to hold currencies though nobody said so.
    """

    start: str
    end: str | None
    renews: str | None
    inclusive_ends: bool
    value: str | None
    period: time.Period | str
    value_per: time.Period | str
    cause: str | None
    doubtful: str | None = None

    @property
    def dates(self) -> tuple[str, ...]:
        """The columns with dates."""
        return tuple(name for name in (self.start, self.end, self.renews) if name)

    @property
    def used(self) -> tuple[str, ...]:
        """The columns that are read, each once."""
        periods = dict.fromkeys(name for name in (self.period, self.value_per) if isinstance(name, str))
        single = (name for name in (self.value, self.cause) if name)
        return (*self.customers, *self.dates, *single, *periods, *self.attributes)


def records_sql(fields: Fields, *, whole: bool = False) -> str:
    """Each record with its customer, days and values, and the texts of those that cannot be read.

    Sorted by customer and start, then by what was known at the start; by what is known later only where all that is
    equal, so that no order of the source decides. With `whole` the hash of the whole line, too.
    """
    columns = {"customer": customer(fields)}
    for name, column in (("start", fields.start), ("end", fields.end), ("renews", fields.renews)):
        if column:
            columns[name] = f"({day(column, fields)} - DATE '1970-01-01')::INTEGER"
            # PostgreSQL writes an end that is open as infinity.
            text = f"nullif({as_text(column, fields)}, 'infinity')" if name != "start" else as_text(column, fields)
            columns[f"{name}_text"] = f"CASE WHEN {day(column, fields)} IS NULL THEN {text} END"
    if fields.value:
        read = number(fields.value, fields)
        columns["value"] = f"CASE WHEN {read} >= 0 AND {read} < {HUGE} THEN {read} END"
        text = as_text(fields.value, fields)
        columns["value_text"] = f"CASE WHEN NOT coalesce({read} >= 0 AND {read} < {HUGE}, FALSE) THEN {text} END"
    for name, period in (("period", fields.period), ("value_per", fields.value_per)):
        if isinstance(period, str):
            columns[name] = written(period)
    if fields.cause:
        columns["cause"] = as_text(fields.cause, fields)
    columns |= {f"attribute_{i}": present(name, fields) for i, name in enumerate(fields.attributes)}
    known = [name for name in columns if name in ("value", "period", "value_per") or name.startswith("attribute_")]
    later = [name for name in columns if name in ("end", "renews", "cause")]
    order = ", ".join(["customer NULLS LAST", "start", *map(quoted, [*known, *later])])
    columns |= {"line_hash": f"hash({LINE})"} if whole else {}
    selected = ", ".join(f"{column} AS {quoted(name)}" for name, column in columns.items())
    return f"SELECT * FROM (SELECT {selected} FROM {log(fields)} AS {LINE}) ORDER BY {order}"


def currencies_sql(name: str, fields: Fields) -> str:
    """Records that begin by `$until` by currency, and how many of them have a price that is not 0."""
    begun = f"{day(fields.start, fields)} <= CAST($until AS DATE)"
    return f"""
        SELECT {as_text(name, fields)} AS currency, count(*) AS lines,
            count(*) FILTER ({number(str(fields.value), fields)} <> 0) AS worth
        FROM {log(fields)} WHERE {begun} GROUP BY 1 ORDER BY 2 DESC, 1"""


def mixed_currencies(reader: Reader, fields: Fields, until: pd.Timestamp) -> pd.DataFrame:
    """The currencies of prices that would be added up, where they are more than one."""
    if fields.doubtful is None:
        return pd.DataFrame()
    found = reader.scan(currencies_sql(fields.doubtful, fields), until=until)
    return mixed(by_currency(found, fields.doubtful), fields)


@dataclass(frozen=True)
class Records:
    """The records of all customers, sorted by customer and start; those without a customer come last.

    Parameters
    ----------
    ids : Array, (C,)
        The customers.
    customer : ndarray of int, (n,)
        Which of them each record belongs to; -1 where it has none.
    start, end, renews : ndarray of datetime64[D], (n,)
        NaT where there is none.
    value : ndarray, (n,)
        The price as it is written, NaN where there is none.
    period, value_per : ndarray of int, (n,)
        Which of `periods` a record is paid for, and which its price is for; -1 where it cannot be read.
    periods : tuple of Period
    cause : Array, (n,)
    attributes : list of Array, (n,)
    repeated : ndarray of bool, (n,)
        Whether it equals an earlier one in every column of the source; False where nobody asked.
    status : ndarray of int, (n,)
        `Status`.
    texts : dict of Array, (n,)
        What is written where it cannot be read, by status.
    """

    ids: Any
    customer: Integers
    start: Days
    end: Days
    renews: Days
    value: NDArray[np.float64]
    period: Integers
    value_per: Integers
    periods: tuple[time.Period, ...]
    cause: Any
    attributes: list[Any]
    repeated: NDArray[np.bool_]
    status: NDArray[np.uint8]
    texts: dict[Status, Any]

    def __len__(self) -> int:
        return len(self.customer)

    def until(self, day: np.datetime64) -> Records:
        """The records as known at the end of a day."""
        rows = np.flatnonzero(~(self.start > day))
        columns = ("customer", "start", "end", "renews", "value", "period", "value_per", "cause", "repeated", "status")
        parts = {name: getattr(self, name).take(rows) for name in columns}
        parts["end"][parts["end"] > day] = NO_DAY
        texts = {status: texts.take(rows) for status, texts in self.texts.items()}
        return replace(self, attributes=[held.take(rows) for held in self.attributes], texts=texts, **parts)

    def customers(self, chosen: NDArray) -> pd.Index:
        """The ids of some records, each once."""
        codes = self.customer[chosen]
        return pd.Index(self.ids.take(np.unique(codes[codes >= 0])).to_pandas())


def read_records(reader: Reader, fields: Fields, *, whole: bool = False) -> Records:
    """All records, each with what it is; with `whole` also whether it repeats another."""
    import pyarrow as pa
    import pyarrow.compute as pc

    table = pa.Table.from_batches(reader.stream(records_sql(fields, whole=whole))).combine_chunks()
    size, names = len(table), set(table.column_names)
    nothing = pa.nulls(size)

    def column(name: str) -> Any:
        return table[name].combine_chunks() if name in names else nothing

    def days(name: str) -> Days:
        found, known = np.full(size, NO_DAY), column(name).is_valid().to_numpy(zero_copy_only=False)
        if known.any():
            found[known] = column(name).drop_null().to_numpy().astype("datetime64[D]")
        return found

    known = size - column("customer").null_count
    who = column("customer").slice(0, known).dictionary_encode()
    codes = np.full(size, -1, np.int64)
    codes[:known] = who.indices.to_numpy()
    value = np.full(size, np.nan)
    if "value" in names:
        value = pc.fill_null(column("value"), np.nan).to_numpy()
    repeated = pd.Series(column("line_hash").to_numpy()).duplicated().to_numpy() if whole else np.zeros(size, bool)
    read: dict[time.Period, int] = {}
    period, value_per = (
        _periods(given, column(name), size, read)
        for name, given in (("period", fields.period), ("value_per", fields.value_per))
    )
    start, end, renews = days("start"), days("end"), days("renews")
    texts = {Status.NO_START: "start", Status.NO_END: "end", Status.NO_RENEWS: "renews", Status.NO_VALUE: "value"}
    unread = {status: column(f"{name}_text") for status, name in texts.items()}
    faults = {
        Status.BACKWARDS: (end < start) | (renews < start),
        Status.NO_PERIOD: (period < 0) | (value_per < 0),
        **{
            status: unread[status].is_valid().to_numpy(zero_copy_only=False)
            for status in (Status.NO_VALUE, Status.NO_RENEWS, Status.NO_END)
        },
        Status.NO_START: np.isnat(start),
        Status.NO_CUSTOMER: codes < 0,
    }
    status = np.full(size, Status.USED, np.uint8)
    for fault, found in faults.items():
        status[found] = fault
    if fields.inclusive_ends:  # what is the last day in the records is the first day without access here
        end, renews = (np.minimum(each + ONE_DAY, OPEN) for each in (end, renews))
    unread[Status.NO_PERIOD] = column("period" if isinstance(fields.period, str) else "value_per")
    if isinstance(fields.period, str) and isinstance(fields.value_per, str):
        unread[Status.NO_PERIOD] = pc.if_else(pa.array(period < 0), column("period"), column("value_per"))
    return Records(
        ids=who.dictionary,
        customer=codes,
        start=start,
        end=end,
        renews=renews,
        value=value,
        period=period,
        value_per=value_per,
        periods=tuple(read),
        cause=column("cause"),
        attributes=[column(f"attribute_{i}") for i in range(len(fields.attributes))],
        repeated=repeated,
        status=status,
        texts=unread,
    )


def _periods(given: time.Period | str, texts: Any, size: int, read: dict[time.Period, int]) -> Integers:
    """The number of each record's period in `read`, to which new ones are added."""
    if not isinstance(given, str):
        return np.full(size, read.setdefault(given, len(read)))
    found = texts.dictionary_encode()
    numbers = []
    for text in found.dictionary.to_pylist():
        try:
            period = time.period(text)
        except ValueError:
            numbers.append(-1)
        else:
            numbers.append(read.setdefault(period, len(read)))
    return np.array(numbers, np.int64)[found.indices.to_numpy()]


def something(name: str, fields: Fields) -> str:
    """Whether anything stands in a column."""
    return f"SELECT 1 FROM log WHERE {present(name, fields)} IS NOT NULL LIMIT 1"
