"""The SQL of the data layer: from a log in the user's columns to lines, parsed and each with a status.

Sorted by customer and day they go to `purchases`, which counts; audit and errors ask for oddities and examples. Names
are quoted through SQLGlot, values are bound, and only day arithmetic is used: weeks and months differ between engines.
"""

# ruff: noqa: S608 - what is put into the texts is quoted (names), bound (values) or our own

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pandas as pd

from clvmodels.data.parsing import (
    HUGE,
    LINE,
    NO_DAY,
    TEXTS,
    Columns,
    as_text,
    customer,
    day,
    log,
    number,
    present,
    quoted,
    written,
    zoned,
)


class Status(IntEnum):
    """What a line is; refunds and purchases are used."""

    LATE = 0
    NO_CUSTOMER = 1
    NO_DATE = 2
    NO_VALUE = 3
    REFUND = 4
    PURCHASE = 5


@dataclass(frozen=True, kw_only=True)
class Fields(Columns):
    """Which columns of a log of purchases hold what, and how to read them.

    `doubtful` is a column that seems to hold currencies though nobody said so. `part` tells which export a line comes
    from, and `overlap` the lines by day and part that are left out, because another part holds that day, too.
    """

    date: str
    value: tuple[str, ...]
    order: str | None
    acquired: str | None
    first_seen_after: pd.Timestamp | None
    refunds: str
    doubtful: str | None
    part: str | None
    overlap: dict[str, int]

    @property
    def used(self) -> tuple[str, ...]:
        """The columns that are read."""
        single = (name for name in (self.order, self.acquired) if name)
        return (*self.customers, self.date, *self.value, *single, *self.attributes)

    @property
    def dates(self) -> tuple[str, ...]:
        """The columns with dates."""
        return (self.date, self.acquired) if self.acquired else (self.date,)

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that `lines` binds, besides `until` and `known_until`."""
        return super().parameters | ({"overlap": list(self.overlap)} if self.overlap else {})

    def start(self, first: pd.Timestamp) -> pd.Timestamp:
        """The day from which on customers are counted, in a log whose first day is known."""
        return first if self.first_seen_after is None else max(first, self.first_seen_after + pd.Timedelta(days=1))

    def texts(self, status: Status) -> bool:
        """Whether the lines of this status are best shown by what is written there: it could not be read."""
        if status is Status.NO_DATE:
            return self.is_written(self.date)
        return status is Status.NO_VALUE and any(self.types[name] in TEXTS for name in self.value)


def lines(fields: Fields) -> str:
    """Each line with its customer, day, value and status."""
    value = " * ".join(number(name, fields) for name in fields.value) or "NULL::DOUBLE"
    texts = " || ' x ' || ".join(written(name) for name in fields.value) or "NULL"
    nets = fields.refunds == "net"
    refund = "FALSE" if fields.refunds == "keep" else "value < 0"
    columns = [
        f"{customer(fields)} AS customer",
        f"coalesce(CAST({quoted(fields.date)} AS VARCHAR), '') AS date_text",
        f"{texts} AS value_text",
        f"{day(fields.date, fields)} AS day",
        f"{value} AS value",
        f"{present(fields.order, fields) if fields.order else 'NULL'} AS purchase_order",
        f"{day(fields.acquired, fields) if fields.acquired else 'NULL'} AS acquired",
        f"{written(fields.acquired) if fields.acquired else 'NULL'} AS acquired_text",
        f"hash({LINE}) AS line_hash",
        f"{zoned(fields.date, fields)} AS is_zoned",
        *(f"{present(name, fields)} AS attribute_{i}" for i, name in enumerate(fields.attributes)),
        *(f"{as_text(name, fields)} AS currency" for name in fields.currency[:1]),
        *([f"{_place(fields.part, fields)} AS place"] if fields.part else []),
    ]
    # A refund that is left out needs no date. Without a customer it is no revenue that is lost with him.
    lost = "" if nets or fields.refunds == "keep" else f" AND (customer IS NOT NULL OR NOT {refund})"
    # Nearly every line is one, so it is asked first.
    plain = "customer IS NOT NULL AND coalesce(day <= CAST($until AS DATE), day IS NOT NULL)"
    plain += f" AND value >= 0 AND value < {HUGE}" if fields.value else ""
    once = " AND place NOT IN (SELECT unnest(CAST($overlap AS VARCHAR[])))" if fields.overlap else ""
    return f"""
        SELECT * REPLACE (CASE WHEN abs(value) < {HUGE}{lost} THEN value END AS value), CAST(CASE
            WHEN {plain} THEN {Status.PURCHASE:d}
            WHEN day > CAST($until AS DATE) THEN {Status.LATE:d}
            WHEN customer IS NULL THEN {Status.NO_CUSTOMER:d}
            WHEN NOT {nets} AND {refund} THEN {Status.REFUND:d}
            WHEN day IS NULL THEN {Status.NO_DATE:d}
            WHEN {f"NOT coalesce(abs(value) < {HUGE}, FALSE)" if fields.value else "FALSE"} THEN {Status.NO_VALUE:d}
            WHEN {refund} THEN {Status.REFUND:d}
            ELSE {Status.PURCHASE:d} END AS UTINYINT) AS status
        FROM (SELECT {", ".join(columns)} FROM {log(fields)} AS {LINE})
        WHERE coalesce(day <= CAST($known_until AS DATE), TRUE){once}"""


def _place(part: str, fields: Fields) -> str:
    return f"concat({day(fields.date, fields)}, ' ', {quoted(part)})"


def places(part: str, fields: Fields) -> str:
    """Lines of each day in each part, the one that counts last: the largest or, of equals, the last."""
    date = day(fields.date, fields)
    return f"""
        SELECT {date} AS day, {_place(part, fields)} AS place, count(*) AS lines
        FROM {log(fields)} WHERE {date} IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 3, 2"""


def ordered(fields: Fields) -> str:
    """What `purchases` wants to know of each line, sorted by customer and day; those without a customer come last."""
    day = f"coalesce({{}} - DATE '1970-01-01', {NO_DAY})::INTEGER AS {{}}"
    columns = ["customer", day.format("day", "day"), "coalesce(value, 0) AS value", "status"]
    columns += ["purchase_order"] if fields.order else []
    columns += [day.format("acquired", "acquired")] if fields.acquired else []
    columns += [f"attribute_{i}" for i in range(len(fields.attributes))]
    return f"SELECT {', '.join(columns)} FROM ({lines(fields)}) ORDER BY 1 NULLS LAST, 2"


def span(fields: Fields) -> str:
    """First and last date."""
    return f"SELECT min(day) AS first, max(day) AS last FROM ({lines(fields)})"


def unread_texts(fields: Fields, status: Status) -> str:
    """The most frequent texts that cannot be read, without the blank ones."""
    text = "date_text" if status is Status.NO_DATE else "value_text"
    return f"""
        SELECT {text} AS text FROM ({lines(fields)}) WHERE status = {status:d} AND trim({text}) <> ''
        GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 100"""


def several(name: str, fields: Columns) -> str:
    """Whether more than one value stands in a column."""
    return f"SELECT count(DISTINCT {present(name, fields)}) > 1 AS several FROM {log(fields)}"


def currencies(fields: Fields) -> str:
    """Lines by currency, and how many of them are added up and worth something: 0 is 0 in every currency."""
    return f"""
        SELECT currency, count(*) AS lines, count(*) FILTER (value <> 0 AND status <> {Status.NO_DATE:d}) AS worth
        FROM ({lines(fields)}) WHERE status <> {Status.LATE:d} GROUP BY 1 ORDER BY 2 DESC, 1"""


def three_decimals(name: str, fields: Fields) -> str:
    """Texts with a decimal sign in a column of values, and how many of them might as well be whole thousands."""
    text, sign = f"CAST({quoted(name)} AS VARCHAR)", f"[{fields.decimal}]"
    return f"""
        SELECT count(*) AS marked, count_if(three) AS three, min(text) FILTER (three) AS example
        FROM (SELECT {text} AS text,
                regexp_matches({text}, '^[^0-9]*[1-9][0-9]{{0,2}}({sign}[0-9]{{3}})+[^0-9]*$') AS three
            FROM {log(fields)} WHERE regexp_matches({text}, '{sign}[0-9]'))"""


def unread(fields: Fields, status: Status) -> str:
    """Some texts that cannot be read, with their customers."""
    text = "date_text" if status is Status.NO_DATE else "value_text"
    return f"""
        SELECT DISTINCT {text} AS text, customer FROM ({lines(fields)}) WHERE status = {status:d}
        ORDER BY ALL LIMIT 4"""


def acquired(fields: Fields) -> str:
    """Customers whose date of acquisition cannot be read, with one such text, is missing, or is after a purchase."""
    return f"""
        SELECT count(unread) AS unread, min(unread) AS example, count_if(first IS NULL) - count(unread) AS missing,
            count_if(first > bought) AS later
        FROM (SELECT min(acquired) AS first, min(day) AS bought,
                min(acquired_text) FILTER (acquired IS NULL AND trim(acquired_text) <> '') AS unread
            FROM ({lines(fields)}) WHERE status = {Status.PURCHASE:d} GROUP BY customer)"""


def lines_after(fields: Fields) -> str:
    """Number of lines after `$day`."""
    return f"SELECT count(*) AS lines FROM ({lines(fields)}) WHERE day > CAST($day AS DATE)"


def customers_with(fields: Fields, status: Status) -> str:
    """Some customers with lines of this status."""
    return f"""
        SELECT DISTINCT customer FROM ({lines(fields)}) WHERE status = {status:d} AND customer IS NOT NULL
        ORDER BY customer LIMIT 4"""


def duplicates(fields: Fields) -> str:
    """Number of purchase lines that equal an earlier one in every column, by customer."""
    return f"""
        SELECT customer, sum(repeats)::BIGINT AS repeats FROM (
            SELECT any_value(customer) AS customer, count(*) - 1 AS repeats FROM ({lines(fields)})
            WHERE status = {Status.PURCHASE:d} GROUP BY line_hash HAVING count(*) > 1)
        GROUP BY customer ORDER BY customer"""


def odd_lines(fields: Fields) -> str:
    """What the audit counts of the lines of each customer, and of the lines without one; conflicting attributes."""
    bought, used = f"status = {Status.PURCHASE:d}", f"status >= {Status.REFUND:d}"
    columns = [
        *(f"count_if(status = {status:d}) AS {status.name}" for status in Status),
        f"count_if({bought} AND value = 0) AS zeros",
        f"count_if({used} AND value < 0) AS negatives",
        "count_if(day > CAST($limit AS DATE)) AS beyond",
        "count_if(day IS NOT NULL) AS dated",
        "count_if(is_zoned AND day IS NOT NULL) AS zoned",
    ]
    for i in range(len(fields.attributes)):
        differ = f"min(attribute_{i}) FILTER ({bought}) <> max(attribute_{i}) FILTER ({bought})"
        columns.append(f"coalesce({differ}, FALSE) AS conflict_{i}")
    return f"SELECT customer, {', '.join(columns)} FROM ({lines(fields)}) GROUP BY customer ORDER BY customer"
