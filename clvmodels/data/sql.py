"""The SQL of the data layer: from a log in the user's columns to lines, parsed and each with a status.

Sorted by customer and day they go to `purchases`, which counts; audit and errors ask for oddities and examples. Names
are quoted through SQLGlot, values are bound, and only day arithmetic is used: weeks and months differ between engines.
"""

# ruff: noqa: S608 - what is put into the texts is quoted (names), bound (values) or our own

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import pandas as pd
from sqlglot import exp

from clvmodels.data import numbers

_INTEGERS = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT")
INTEGERS = frozenset((*_INTEGERS, *("U" + name for name in _INTEGERS)))
FLOATS = frozenset(("FLOAT", "DOUBLE"))
NUMBERS = INTEGERS | FLOATS | {"DECIMAL"}
TEXTS = frozenset(("VARCHAR", "ENUM"))
ZONED = "TIMESTAMP WITH TIME ZONE"
DATES = frozenset(("DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS", ZONED))

# A date with a time, and perhaps a zone; a lone date is told by its shape, which is faster.
_ISO_TIME = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?"
_ISO_ZONE = r"(Z| ?UTC|[+-]\d{2}(:?\d{2})?)$"

# A value so large counts as not finite: nobody sells for that, and sums must have room.
_HUGE = "1e18"

# What pandas can hold and people write; DuckDB knows infinite dates, too.
_FIRST, _LAST = "DATE '0001-01-01'", "DATE '9999-12-31'"

# The whole line, for its hash; no column is likely to have this name.
_LINE = '"a whole line of the log"'

# What stands for a date that cannot be used.
NO_DAY = 2**31 - 1


class Status(IntEnum):
    """What a line is; refunds and purchases are used."""

    LATE = 0
    NO_CUSTOMER = 1
    NO_DATE = 2
    NO_VALUE = 3
    REFUND = 4
    PURCHASE = 5


@dataclass(frozen=True)
class Fields:
    """Which columns of the log hold what, their types, and how to read them.

    The id is that of the first of `customers` that is not missing. `where` holds columns with the texts of which one
    must stand there (None: nothing stands there), `currency` a column and perhaps the only code that counts, `doubtful`
    a column that seems to hold currencies though nobody said so. `part` tells which export a line comes from, and
    `overlap` the lines by day and part that are left out, because another part holds that day, too; `dates_fit` says
    that no date needs to be looked at twice.
    """

    customers: tuple[str, ...]
    date: str
    value: tuple[str, ...]
    order: str | None
    acquired: str | None
    first_seen_after: pd.Timestamp | None
    attributes: tuple[str, ...]
    types: dict[str, str]
    id_type: str | None
    date_format: str | None
    timezone: str
    refunds: str
    bad_rows: str
    decimal: str
    thousands: str | None
    where: tuple[tuple[str, tuple[str | None, ...]], ...]
    currency: tuple[str, ...]
    doubtful: str | None
    part: str | None
    overlap: dict[str, int]
    dates_fit: bool

    @property
    def used(self) -> tuple[str, ...]:
        """The columns that are read."""
        single = (name for name in (self.order, self.acquired) if name)
        return (*self.customers, self.date, *self.value, *single, *self.attributes)

    @property
    def customer(self) -> str:
        """The name of the id in the tables that are made."""
        return self.customers[0]

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that `lines` binds, besides `until` and `known_until`."""
        kinds = {self.types[name] for name in (self.date, self.acquired) if name}
        written = kinds & (INTEGERS | TEXTS)
        formatted = {"date_format": self.date_format} if self.date_format is not None and written else {}
        zoned = "%z" in formatted["date_format"].lower() if formatted else bool(kinds & TEXTS)
        texts = ((f"where_{i}_{j}", text) for i, (_, held) in enumerate(self.where) for j, text in enumerate(held))
        chosen: dict[str, Any] = {name: text for name, text in texts if text is not None}
        chosen |= dict(zip(("currency",), self.currency[1:], strict=False))
        chosen |= {"overlap": list(self.overlap)} if self.overlap else {}
        return formatted | chosen | ({"timezone": self.timezone} if zoned or ZONED in kinds else {})

    def start(self, first: pd.Timestamp) -> pd.Timestamp:
        """The day from which on customers are counted, in a log whose first day is known."""
        return first if self.first_seen_after is None else max(first, self.first_seen_after + pd.Timedelta(days=1))

    @property
    def dates_are_written(self) -> bool:
        """Whether dates must be parsed."""
        return self.date_format is not None or self.types[self.date] in TEXTS

    def texts(self, status: Status) -> bool:
        """Whether the lines of this status are best shown by what is written there: it could not be read."""
        if status is Status.NO_DATE:
            return self.dates_are_written
        return status is Status.NO_VALUE and any(self.types[name] in TEXTS for name in self.value)

    @property
    def date_fault(self) -> str:
        """What is said of dates that cannot be read."""
        if self.date_format is not None:
            return f"does not follow date_format={self.date_format!r}"
        return "is not written YYYY-MM-DD" if self.dates_are_written else "is missing"

    @property
    def date_remedy(self) -> str:
        """What to do about them."""
        if self.date_format is not None or not self.dates_are_written:
            return "correct them"
        never = "the order of day and month is never guessed, so say how dates are written"
        return f"{never} with date_format= (such as '%d/%m/%Y')"


def quoted(name: str) -> str:
    """The name as an identifier that can hold anything.

    >>> quoted('a "b"; drop')
    '"a ""b""; drop"'
    """
    return exp.to_identifier(name, quoted=True).sql(dialect="duckdb")


def lines(fields: Fields) -> str:
    """Each line with its customer, day, value and status."""
    value = " * ".join(_number(name, fields) for name in fields.value) or "NULL::DOUBLE"
    texts = " || ' x ' || ".join(_text(name) for name in fields.value) or "NULL"
    nets = fields.refunds == "net"
    refund = "FALSE" if fields.refunds == "keep" else "value < 0"
    columns = [
        f"{_customer(fields)} AS customer",
        f"coalesce(CAST({quoted(fields.date)} AS VARCHAR), '') AS date_text",
        f"{texts} AS value_text",
        f"{_day(fields.date, fields)} AS day",
        f"{value} AS value",
        f"{_present(fields.order, fields) if fields.order else 'NULL'} AS purchase_order",
        f"{_day(fields.acquired, fields) if fields.acquired else 'NULL'} AS acquired",
        f"{_text(fields.acquired) if fields.acquired else 'NULL'} AS acquired_text",
        f"hash({_LINE}) AS line_hash",
        f"{_zoned(fields.date, fields)} AS is_zoned",
        *(f"{_present(name, fields)} AS attribute_{i}" for i, name in enumerate(fields.attributes)),
        *(f"{_currency(name, fields)} AS currency" for name in fields.currency[:1]),
        *([f"{_place(fields.part, fields)} AS place"] if fields.part else []),
    ]
    # A refund that is left out needs no date. Without a customer it is no revenue that is lost with him.
    lost = "" if nets or fields.refunds == "keep" else f" AND (customer IS NOT NULL OR NOT {refund})"
    # Nearly every line is one, so it is asked first.
    plain = "customer IS NOT NULL AND coalesce(day <= CAST($until AS DATE), day IS NOT NULL)"
    plain += f" AND value >= 0 AND value < {_HUGE}" if fields.value else ""
    once = " AND place NOT IN (SELECT unnest(CAST($overlap AS VARCHAR[])))" if fields.overlap else ""
    return f"""
        SELECT * REPLACE (CASE WHEN abs(value) < {_HUGE}{lost} THEN value END AS value), CAST(CASE
            WHEN {plain} THEN {Status.PURCHASE:d}
            WHEN day > CAST($until AS DATE) THEN {Status.LATE:d}
            WHEN customer IS NULL THEN {Status.NO_CUSTOMER:d}
            WHEN NOT {nets} AND {refund} THEN {Status.REFUND:d}
            WHEN day IS NULL THEN {Status.NO_DATE:d}
            WHEN {f"NOT coalesce(abs(value) < {_HUGE}, FALSE)" if fields.value else "FALSE"} THEN {Status.NO_VALUE:d}
            WHEN {refund} THEN {Status.REFUND:d}
            ELSE {Status.PURCHASE:d} END AS UTINYINT) AS status
        FROM (SELECT {", ".join(columns)} FROM {log(fields)} AS {_LINE})
        WHERE coalesce(day <= CAST($known_until AS DATE), TRUE){once}"""


def _place(part: str, fields: Fields) -> str:
    return f"concat({_day(fields.date, fields)}, ' ', {quoted(part)})"


def places(part: str, fields: Fields) -> str:
    """Lines of each day in each part, the one that counts last: the largest or, of equals, the last."""
    day = _day(fields.date, fields)
    return f"""
        SELECT {day} AS day, {_place(part, fields)} AS place, count(*) AS lines
        FROM {log(fields)} WHERE {day} IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 3, 2"""


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


def log(fields: Fields) -> str:
    """The lines that were asked for."""
    conditions = [_where(fields)] if fields.where else []
    if len(fields.currency) > 1:
        conditions.append(f"{_currency(fields.currency[0], fields)} = $currency")
    return f"(SELECT * FROM log WHERE {' AND '.join(conditions)})" if conditions else "log"


def one_line(fields: Fields) -> str:
    """Whether there are any."""
    return f"SELECT 1 FROM {log(fields)} LIMIT 1"


def _where(fields: Fields) -> str:
    columns = (
        " OR ".join(holds(name, text, f"where_{i}_{j}", fields) for j, text in enumerate(texts))
        for i, (name, texts) in enumerate(fields.where)
    )
    return " AND ".join(f"({condition})" for condition in columns)


def holds(name: str, text: str | None, bound: str, fields: Fields) -> str:
    """Whether a line holds this text in a column, which may be of another type; `bound` is the parameter's name."""
    column, kind = quoted(name), fields.types[name]
    if text is None:
        return f"{_present(name, fields)} IS NULL"
    if kind in FLOATS | DATES | {"DECIMAL", "BOOLEAN"}:
        return f"{column} = TRY_CAST(${bound} AS {'DOUBLE' if kind == 'DECIMAL' else kind})"
    # Whole numbers are compared as text, for a cast would round 3.7 to 4.
    return f"CAST({column} AS VARCHAR) = ${bound}"


def _number(name: str, fields: Fields) -> str:
    if fields.types[name] in TEXTS:
        return numbers.as_double(f"CAST({quoted(name)} AS VARCHAR)", fields.decimal, fields.thousands)
    return f"TRY_CAST({quoted(name)} AS DOUBLE)"


def _customer(fields: Fields, columns: int | None = None) -> str:
    ids = [_id(name, fields) for name in fields.customers[:columns]]
    return f"coalesce({', '.join(ids)})" if len(ids) > 1 else ids[0]


def _id(name: str, fields: Fields) -> str:
    column, kind = _present(name, fields), fields.types[name]
    if not fields.id_type:
        return column
    text = f"CAST({column} AS {fields.id_type})"
    # Whole numbers become floats next to a missing one; as text they are whole again.
    whole = f"TRY_CAST({quoted(name)} AS BIGINT)"
    return f"if({quoted(name)} = {whole}, CAST({whole} AS VARCHAR), {text})" if kind in FLOATS else text


def _present(name: str, fields: Fields) -> str:
    """The column, with blank text and what is not a number as NULL: all three are missing."""
    column, kind = quoted(name), fields.types[name]
    if kind in TEXTS:
        text = f"CAST({column} AS VARCHAR)" if kind == "ENUM" else column
        return rf"CASE WHEN NOT regexp_full_match({text}, '\s*') THEN {text} END"
    return f"CASE WHEN NOT isnan({column}) THEN {column} END" if kind in FLOATS else column


def _currency(name: str, fields: Fields) -> str:
    return f"CAST({_present(name, fields)} AS VARCHAR)"


def _text(name: str) -> str:
    return f"coalesce(CAST({quoted(name)} AS VARCHAR), '')"


def dates_fit(column: str) -> str:
    """Whether all dates of a typed column are such as pandas can hold."""
    name = quoted(column)
    return f"SELECT CAST(min({name}) AS DATE) >= {_FIRST} AND CAST(max({name}) AS DATE) <= {_LAST} AS fit FROM log"


def large_ids(column: str) -> str:
    """Whether an id does not fit into 64 bits."""
    name = quoted(column)
    return f"SELECT count(*) > 0 AS found FROM log WHERE {name} IS NOT NULL AND TRY_CAST({name} AS BIGINT) IS NULL"


def _day(name: str, fields: Fields) -> str:
    column, kind = quoted(name), fields.types[name]
    text = f"CAST({column} AS VARCHAR)"
    if fields.date_format is not None and kind in INTEGERS | TEXTS:
        parsed = f"try_strptime({text}, $date_format)"
        day = f"CAST({f'timezone($timezone, {parsed})' if 'timezone' in fields.parameters else parsed} AS DATE)"
    elif kind in TEXTS:
        day = f"""CASE
            WHEN {text} LIKE '____-__-__' THEN TRY_CAST({text} AS DATE)
            WHEN {_zoned(name, fields)} THEN CAST(timezone($timezone, TRY_CAST({text} AS TIMESTAMPTZ)) AS DATE)
            WHEN regexp_matches({text}, '{_ISO_TIME}$') THEN CAST(TRY_CAST({text} AS TIMESTAMP) AS DATE) END"""
    else:
        day = f"CAST({f'timezone($timezone, {column})' if kind == ZONED else column} AS DATE)"
    return (
        day
        if name == fields.date and fields.dates_fit
        else f"CASE WHEN {day} BETWEEN {_FIRST} AND {_LAST} THEN {day} END"
    )


def _zoned(name: str, fields: Fields) -> str:
    if fields.types[name] in TEXTS and fields.date_format is None:
        return f"regexp_matches(CAST({quoted(name)} AS VARCHAR), '{_ISO_TIME}{_ISO_ZONE}')"
    return "FALSE"


def unread_texts(fields: Fields, status: Status) -> str:
    """The most frequent texts that cannot be read, without the blank ones."""
    text = "date_text" if status is Status.NO_DATE else "value_text"
    return f"""
        SELECT {text} AS text FROM ({lines(fields)}) WHERE status = {status:d} AND trim({text}) <> ''
        GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 100"""


def left_out(fields: Fields) -> str:
    """What stands in the lines that `where` leaves out, most frequent first, and how many lines that are in all."""
    held = ", ".join(_text(name) for name, _ in fields.where)
    return f"""
        SELECT concat_ws(' / ', {held}) AS held, sum(count(*)) OVER ()::BIGINT AS lines
        FROM log WHERE NOT coalesce({_where(fields)}, FALSE) GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 4"""


def count_held(name: str, texts: Sequence[str | None], fields: Fields) -> str:
    """Lines that hold each of these texts in a column."""
    counts = (
        f"count(*) FILTER ({holds(name, text, f'text_{i}', fields)}) AS lines_{i}" for i, text in enumerate(texts)
    )
    return f"SELECT {', '.join(counts)} FROM log"


def frequent(name: str, fields: Fields) -> str:
    """What stands most often in a column."""
    return f"""
        SELECT CAST({quoted(name)} AS VARCHAR) AS held FROM {log(fields)} WHERE {_present(name, fields)} IS NOT NULL
        GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 6"""


def several(name: str, fields: Fields) -> str:
    """Whether more than one value stands in a column."""
    return f"SELECT count(DISTINCT {_present(name, fields)}) > 1 AS several FROM {log(fields)}"


def currencies(fields: Fields) -> str:
    """Lines by currency, and how many of them are added up and worth something: 0 is 0 in every currency."""
    return f"""
        SELECT currency, count(*) AS lines, count(*) FILTER (value <> 0 AND status <> {Status.NO_DATE:d}) AS worth
        FROM ({lines(fields)}) WHERE status <> {Status.LATE:d} GROUP BY 1 ORDER BY 2 DESC, 1"""


def second_ids(fields: Fields, number: int) -> str:
    """Lines that take their id from this column, and how many of these ids also stand beside another id."""
    before, own = _customer(fields, number), _id(fields.customers[number], fields)
    return f"""
        SELECT coalesce(sum(lines), 0)::BIGINT AS lines, count_if(lines > 0 AND others)::BIGINT AS twice
        FROM (SELECT count_if({before} IS NULL) AS lines, coalesce(bool_or({before} <> {own}), FALSE) AS others
            FROM {log(fields)} WHERE {own} IS NOT NULL GROUP BY {own})"""


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
