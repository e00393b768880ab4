"""How columns are read, in SQL: ids, days and numbers, never guessed, and which lines of a source count.

What purchases (`sql`) and contracts (`records`) have in common. Names are quoted through SQLGlot, values are bound.
"""

# ruff: noqa: S608 - what is put into the texts is quoted (names), bound (values) or our own

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from clvmodels.data import numbers
from clvmodels.errors import DataError, counted, examples

if TYPE_CHECKING:
    from clvmodels.data.reader import Reader

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
HUGE = "1e18"

# What pandas can hold and people write; DuckDB knows infinite dates, too.
_FIRST, _LAST = "DATE '0001-01-01'", "DATE '9999-12-31'"

# The whole line, for its hash; no column is likely to have this name.
LINE = '"a whole line of the log"'

# What stands for a date that cannot be used.
NO_DAY = 2**31 - 1


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of a source hold what, their types, and how to read them.

    The id is that of the first of `customers` that is not missing. `where` holds columns with the texts of which one
    must stand there (None: nothing stands there), `currency` a column and perhaps the only code that counts;
    `dates_fit` names columns whose dates need not be looked at twice.
    """

    customers: tuple[str, ...]
    attributes: tuple[str, ...]
    types: dict[str, str]
    id_type: str | None = None
    date_format: str | None
    timezone: str
    bad_rows: str
    decimal: str
    thousands: str | None
    where: tuple[tuple[str, tuple[str | None, ...]], ...]
    currency: tuple[str, ...] = ()
    dates_fit: frozenset[str] = frozenset()

    @property
    def dates(self) -> tuple[str, ...]:
        """The columns with dates."""
        raise NotImplementedError

    @property
    def customer(self) -> str:
        """The name of the id in the tables that are made."""
        return self.customers[0]

    @property
    def parameters(self) -> dict[str, Any]:
        """The values that the texts bind."""
        kinds = {self.types[name] for name in self.dates}
        written = kinds & (INTEGERS | TEXTS)
        formatted = {"date_format": self.date_format} if self.date_format is not None and written else {}
        zoned = "%z" in formatted["date_format"].lower() if formatted else bool(kinds & TEXTS)
        texts = ((f"where_{i}_{j}", text) for i, (_, held) in enumerate(self.where) for j, text in enumerate(held))
        chosen: dict[str, Any] = {name: text for name, text in texts if text is not None}
        chosen |= dict(zip(("currency",), self.currency[1:], strict=False))
        return formatted | chosen | ({"timezone": self.timezone} if zoned or ZONED in kinds else {})

    def is_written(self, date: str) -> bool:
        """Whether the dates of a column must be parsed."""
        return self.date_format is not None or self.types[date] in TEXTS

    def date_fault(self, date: str) -> str:
        """What is said of dates that cannot be read."""
        if self.date_format is not None:
            return f"does not follow date_format={self.date_format!r}"
        return "is not written YYYY-MM-DD" if self.is_written(date) else "is missing"

    def date_remedy(self, date: str) -> str:
        """What to do about them."""
        if self.date_format is not None or not self.is_written(date):
            return "correct them"
        never = "the order of day and month is never guessed, so say how dates are written"
        return f"{never} with date_format= (such as '%d/%m/%Y')"


def quoted(name: str) -> str:
    """The name as an identifier that can hold anything.

    >>> quoted('a "b"; drop')
    '"a ""b""; drop"'
    """
    return exp.to_identifier(name, quoted=True).sql(dialect="duckdb")


def log(columns: Columns) -> str:
    """The lines that were asked for."""
    conditions = [asked_for(columns)] if columns.where else []
    if len(columns.currency) > 1:
        conditions.append(f"{as_text(columns.currency[0], columns)} = $currency")
    return f"(SELECT * FROM log WHERE {' AND '.join(conditions)})" if conditions else "log"


def one_line(columns: Columns) -> str:
    """Whether there are any."""
    return f"SELECT 1 FROM {log(columns)} LIMIT 1"


def asked_for(columns: Columns) -> str:
    """The condition of `where`."""
    each = (
        " OR ".join(holds(name, text, f"where_{i}_{j}", columns) for j, text in enumerate(texts))
        for i, (name, texts) in enumerate(columns.where)
    )
    return " AND ".join(f"({condition})" for condition in each)


def holds(name: str, text: str | None, bound: str, columns: Columns) -> str:
    """Whether a line holds this text in a column, which may be of another type; `bound` is the parameter's name."""
    column, kind = quoted(name), columns.types[name]
    if text is None:
        return f"{present(name, columns)} IS NULL"
    if kind in FLOATS | DATES | {"DECIMAL", "BOOLEAN"}:
        return f"{column} = TRY_CAST(${bound} AS {'DOUBLE' if kind == 'DECIMAL' else kind})"
    # Whole numbers are compared as text, for a cast would round 3.7 to 4.
    return f"CAST({column} AS VARCHAR) = ${bound}"


def number(name: str, columns: Columns) -> str:
    """A column as a double; NULL where it is none."""
    if columns.types[name] in TEXTS:
        return numbers.as_double(f"CAST({quoted(name)} AS VARCHAR)", columns.decimal, columns.thousands)
    return f"TRY_CAST({quoted(name)} AS DOUBLE)"


def customer(columns: Columns, first: int | None = None) -> str:
    """The id, of all columns of ids or the first of them."""
    ids = [customer_id(name, columns) for name in columns.customers[:first]]
    return f"coalesce({', '.join(ids)})" if len(ids) > 1 else ids[0]


def customer_id(name: str, columns: Columns) -> str:
    """The id that stands in one column."""
    column, kind = present(name, columns), columns.types[name]
    if not columns.id_type:
        return column
    text = f"CAST({column} AS {columns.id_type})"
    # Whole numbers become floats next to a missing one; as text they are whole again.
    whole = f"TRY_CAST({quoted(name)} AS BIGINT)"
    return f"if({quoted(name)} = {whole}, CAST({whole} AS VARCHAR), {text})" if kind in FLOATS else text


def present(name: str, columns: Columns) -> str:
    """The column, with blank text and what is not a number as NULL: all three are missing."""
    column, kind = quoted(name), columns.types[name]
    if kind in TEXTS:
        text = f"CAST({column} AS VARCHAR)" if kind == "ENUM" else column
        return rf"CASE WHEN NOT regexp_full_match({text}, '\s*') THEN {text} END"
    return f"CASE WHEN NOT isnan({column}) THEN {column} END" if kind in FLOATS else column


def as_text(name: str, columns: Columns) -> str:
    """What stands in the column as text, NULL where it is missing."""
    return f"CAST({present(name, columns)} AS VARCHAR)"


def written(name: str) -> str:
    """The column as it is written, an empty text where it is missing."""
    return f"coalesce(CAST({quoted(name)} AS VARCHAR), '')"


def day(name: str, columns: Columns) -> str:
    """The day that a column holds; NULL where none can be read."""
    column, kind = quoted(name), columns.types[name]
    text = f"CAST({column} AS VARCHAR)"
    if columns.date_format is not None and kind in INTEGERS | TEXTS:
        parsed = f"try_strptime({text}, $date_format)"
        found = f"CAST({f'timezone($timezone, {parsed})' if 'timezone' in columns.parameters else parsed} AS DATE)"
    elif kind in TEXTS:
        found = f"""CASE
            WHEN {text} LIKE '____-__-__' THEN TRY_CAST({text} AS DATE)
            WHEN {zoned(name, columns)} THEN CAST(timezone($timezone, TRY_CAST({text} AS TIMESTAMPTZ)) AS DATE)
            WHEN regexp_matches({text}, '{_ISO_TIME}$') THEN CAST(TRY_CAST({text} AS TIMESTAMP) AS DATE) END"""
    else:
        found = f"CAST({f'timezone($timezone, {column})' if kind == ZONED else column} AS DATE)"
    return found if name in columns.dates_fit else f"CASE WHEN {found} BETWEEN {_FIRST} AND {_LAST} THEN {found} END"


def zoned(name: str, columns: Columns) -> str:
    """Whether a text is a time with a zone."""
    if columns.types[name] in TEXTS and columns.date_format is None:
        return f"regexp_matches(CAST({quoted(name)} AS VARCHAR), '{_ISO_TIME}{_ISO_ZONE}')"
    return "FALSE"


def dates_fit(column: str) -> str:
    """Whether all dates of a typed column are such as pandas can hold."""
    name = quoted(column)
    return f"SELECT CAST(min({name}) AS DATE) >= {_FIRST} AND CAST(max({name}) AS DATE) <= {_LAST} AS fit FROM log"


def large_ids(column: str) -> str:
    """Whether an id does not fit into 64 bits."""
    name = quoted(column)
    return f"SELECT count(*) > 0 AS found FROM log WHERE {name} IS NOT NULL AND TRY_CAST({name} AS BIGINT) IS NULL"


def left_out(columns: Columns) -> str:
    """What stands in the lines that `where` leaves out, most frequent first, and how many lines that are in all."""
    held = ", ".join(written(name) for name, _ in columns.where)
    return f"""
        SELECT concat_ws(' / ', {held}) AS held, sum(count(*)) OVER ()::BIGINT AS lines
        FROM log WHERE NOT coalesce({asked_for(columns)}, FALSE) GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 4"""


def count_held(name: str, texts: Sequence[str | None], columns: Columns) -> str:
    """Lines that hold each of these texts in a column."""
    counts = (
        f"count(*) FILTER ({holds(name, text, f'text_{i}', columns)}) AS lines_{i}" for i, text in enumerate(texts)
    )
    return f"SELECT {', '.join(counts)} FROM log"


def frequent(name: str, columns: Columns) -> str:
    """What stands most often in a column."""
    return f"""
        SELECT CAST({quoted(name)} AS VARCHAR) AS held FROM {log(columns)} WHERE {present(name, columns)} IS NOT NULL
        GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 6"""


def second_ids(columns: Columns, number: int) -> str:
    """Lines that take their id from this column, and how many of these ids also stand beside another id."""
    before, own = customer(columns, number), customer_id(columns.customers[number], columns)
    return f"""
        SELECT coalesce(sum(lines), 0)::BIGINT AS lines, count_if(lines > 0 AND others)::BIGINT AS twice
        FROM (SELECT count_if({before} IS NULL) AS lines, coalesce(bool_or({before} <> {own}), FALSE) AS others
            FROM {log(columns)} WHERE {own} IS NOT NULL GROUP BY {own})"""


def check_columns(reader: Reader, columns: Columns, used: Sequence[str], choosing: Sequence[str]) -> None:
    """Refuse columns that are not there, and the same one in two parts; those of `choosing` may be used, too."""
    names = reader.names()
    for place, name in enumerate((*used, *choosing)):
        same = [other for other in names if other.lower() == str(name).lower()]
        if len(same) > 1:
            raise DataError(
                f"{counted(len(same), 'column')} are called {examples(map(repr, same))}, and capitals are not told "
                "from small letters; rename them"
            )
        if name not in columns.types:
            lower = {known.lower(): known for known in columns.types}
            near = [lower[known] for known in difflib.get_close_matches(str(name).lower(), lower)]
            hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
            raise DataError(f"there is no column {name!r}; {hint}the columns are {examples(columns.types, limit=20)}")
        if name in used[:place] and place < len(used):
            part = "each column has one part to play: give a copy of it another name"
            raise DataError(f"column {name!r} is named twice; {part}")


def check_numbers(name: str, columns: Columns) -> None:
    """Refuse a column of values that holds no numbers."""
    if columns.types[name] not in NUMBERS | TEXTS:
        raise DataError(f"value column {name!r} holds {columns.types[name]}, not numbers")


def check_date(reader: Reader, name: str, columns: Columns) -> None:
    """Refuse a column that holds no dates."""
    kind, form = columns.types[name], columns.date_format
    if form is None and kind in NUMBERS:
        raise DataError(
            f"date column {name!r} holds numbers ({kind}), not dates; if they are written like 19970131, say so "
            "with date_format='%Y%m%d', else turn them into dates first (Excel's 45000 is 2023-03-15)"
        )
    if form is None and kind not in DATES | TEXTS:
        raise DataError(f"date column {name!r} holds {kind}, not dates")
    if form is not None:
        try:
            reader.query("SELECT try_strptime('', $form) IS NULL", form=form)
        except DataError as error:
            raise ValueError(f"date_format {form!r} is not understood; write it like '%d/%m/%Y'") from error


def check_timezone(reader: Reader, zone: str) -> None:
    """Refuse a zone that nobody knows."""
    if reader.query("SELECT 1 FROM pg_timezone_names() WHERE name = $zone", zone=zone).empty:
        raise ValueError(f"unknown timezone {zone!r}; write it like 'UTC' or 'Europe/Berlin'")


def id_type(reader: Reader, columns: Columns) -> str | None:
    """What ids are cast to where pandas would hold their type as floats and round them, or where their types differ."""
    if len(columns.customers) > 1:
        kinds = {columns.types[name] for name in columns.customers}
        plain = INTEGERS - {"HUGEINT", "UHUGEINT"} | FLOATS
        return None if len(kinds) == 1 and kinds <= plain else "VARCHAR"
    kind = reader.types[columns.customer]
    if kind.startswith("DECIMAL") and not kind.endswith(",0)"):
        return "VARCHAR"
    if kind.startswith(("DECIMAL", "HUGEINT", "UHUGEINT")):
        return "VARCHAR" if reader.scan(large_ids(columns.customer))["found"].item() else "BIGINT"
    return None


def check_choice(given: str, name: str, choices: Sequence[str]) -> None:
    """Refuse an option that is not one of the choices."""
    if given not in choices:
        raise ValueError(f"unknown {name} {given!r}; use one of {', '.join(map(repr, choices))}")
