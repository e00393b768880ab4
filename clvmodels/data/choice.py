"""Which lines count: those that `where=` asks for, of the currency that `currency=` picks."""

from __future__ import annotations

import dataclasses
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

from clvmodels.data import parsing, sql
from clvmodels.data.parsing import Columns
from clvmodels.data.reader import Reader
from clvmodels.data.sql import Fields
from clvmodels.errors import DataError, DataWarning, counted, examples

if TYPE_CHECKING:
    from clvmodels.data import records

Where = Mapping[str, object]

# A column that is called so holds currencies: `Currency`, `order_currency`, `currencyCode`.
_CURRENCY = re.compile(r"currency([\W_]?code)?$", re.IGNORECASE)

_NONE = "no currency"


def as_customers(given: str | Sequence[str]) -> tuple[str, ...]:
    """The columns of the id, the first that is not missing counts."""
    columns = _listed(given)
    if not columns:
        raise ValueError(f"customer must be a column or a list of columns; got {given!r}")
    return columns


def as_currency(given: str | Sequence[str] | None) -> tuple[str, ...]:
    """The column of the currency, and perhaps the code that counts."""
    columns = () if given is None else _listed(given)
    if given is not None and len(columns) not in (1, 2):
        raise ValueError(f"currency must be a column or a pair (column, code); got {given!r}")
    return columns


def _listed(given: str | Sequence[str]) -> tuple[str, ...]:
    columns = (given,) if isinstance(given, str) else given
    return tuple(columns) if isinstance(columns, (tuple, list)) and all(isinstance(c, str) for c in columns) else ()


def as_where(given: Where | None) -> tuple[tuple[str, tuple[str | None, ...]], ...]:
    """Columns with the values of which one must stand there, as texts, which is how a command line gives them."""
    if given is not None and not isinstance(given, Mapping):
        raise ValueError(f"where must be a mapping such as {{'status': ['paid', 'shipped']}}; got {given!r}")
    where = []
    for name, held in (given or {}).items():
        values = [held] if isinstance(held, str) or not isinstance(held, Iterable) else list(held)
        if not values:
            raise ValueError(f"where names no value for {name!r}")
        where.append((name, tuple(dict.fromkeys(map(_text, values)))))
    return tuple(where)


def _text(value: Any) -> str | None:
    if value == "" or (pd.api.types.is_scalar(value) and pd.isna(value)):
        return None
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def wanted(fields: Columns) -> dict[str, str]:
    """What `where` asks for in each column, in a sentence."""
    return {name: " or ".join(map(_written, texts)) for name, texts in fields.where}


def _written(text: str | None) -> str:
    return "missing" if text is None else repr(text)


def check_chosen(reader: Reader, fields: Columns) -> None:
    """Refuse to choose what is not there."""
    of_all = dataclasses.replace(fields, where=(), currency=())
    for name, texts in fields.where:
        bound = {f"text_{i}": text for i, text in enumerate(texts) if text is not None}
        counts = reader.scan(parsing.count_held(name, texts, fields), **bound).iloc[0]
        absent = [text for text, number in zip(texts, counts, strict=True) if not number]
        if absent:
            told = f"no line has {name} {' or '.join(map(_written, absent))}; {_most_frequent(reader, name, of_all)}"
            if len(absent) == len(texts):
                raise DataError(told)
            warnings.warn(told, DataWarning, stacklevel=3)
    of_where = dataclasses.replace(fields, currency=())
    if fields.where and reader.scan(parsing.one_line(of_where), **of_where.parameters).empty:
        raise DataError(f"no line has all that where= asks for, of {' and '.join(name for name, _ in fields.where)}")
    if len(fields.currency) > 1 and reader.scan(parsing.one_line(fields), **fields.parameters).empty:
        name, code = fields.currency
        raise DataError(f"no line has {name} {code!r}; {_most_frequent(reader, name, of_where)}")


def _most_frequent(reader: Reader, name: str, fields: Columns) -> str:
    held = reader.scan(parsing.frequent(name, fields), **fields.parameters)["held"]
    return f"{name} holds {examples(map(repr, held), limit=5) or 'nothing'}"


def ids_beside(reader: Reader, fields: Columns) -> list[str]:
    """What is said of customers who are counted twice, because they have two ids."""
    told = []
    for number, name in enumerate(fields.customers[1:], 1):
        if twice := reader.scan(parsing.second_ids(fields, number))["twice"].item():
            beside = f"{twice:,} of the ids that are taken from {name} stand beside another id on other lines"
            told.append(f"{beside}, so their customers are counted twice; fill in {fields.customer}")
    return told


def doubtful_currency(reader: Reader, fields: Fields | records.Fields) -> str | None:
    """A column that by its name holds the currency of the value, where no option names it and it holds several."""
    if not fields.value or fields.currency:
        return None
    named = {*fields.used, *(name for name, _ in fields.where)}
    for name in fields.types.keys() - named:
        if _CURRENCY.search(name) and reader.scan(sql.several(name, fields), **fields.parameters)["several"].item():
            return name
    return None


def overlap(reader: Reader, fields: Fields) -> dict[str, int]:
    """The days and parts that are left out, because another part holds more lines of the same day."""
    if fields.part is None:
        return {}
    found = reader.scan(sql.places(fields.part, fields), **fields.parameters)
    others = found[found.duplicated("day", keep="last")]
    return dict(zip(others["place"], others["lines"].tolist(), strict=True))


def check_currencies(reader: Reader, fields: Fields) -> str:
    """What is said of lines of other currencies that are left out.

    Raises
    ------
    DataError
        If several would be added up.
    """
    found = currencies(reader, fields)
    if len(fields.currency) > 1:
        name, code = fields.currency
        others = found.drop(code, errors="ignore")
        number, total = int(others["lines"].sum()), counted(int(found["lines"].sum()), "line")
        return f"{name} is not {code} in {number:,} of {total}, which are left out: {listed(others)}" if number else ""
    if not (several := mixed(found, fields)).empty:
        name = str(found.index.name)
        pick = f"currency=({name!r}, {several.index.drop(_NONE, errors='ignore')[0]!r}) picks one"
        if fields.doubtful:
            name += ", which no option names,"
            pick += ", and where= can name those that may be added up all the same"
        raise DataError(f"{name} holds {listed(several)}, which cannot be added up; {pick}")
    return ""


def currencies(reader: Reader, fields: Fields) -> pd.DataFrame:
    """Lines by currency, and how many are worth something; empty where no column holds currencies."""
    column = fields.currency[0] if fields.currency else fields.doubtful
    if column is None:
        return pd.DataFrame()
    every = dataclasses.replace(fields, currency=(column,))
    found = reader.scan(sql.currencies(every))
    return by_currency(found, column)


def by_currency(found: pd.DataFrame, column: str) -> pd.DataFrame:
    """The same with the currencies as its index, which has the name of their column."""
    # Nobody is asked which currency a line without one is in.
    return found.assign(currency=found["currency"].fillna(_NONE)).set_index("currency").rename_axis(column)


def picked(several: pd.DataFrame) -> str:
    """How `where` picks the most frequent of several currencies."""
    return f"where={{{str(several.index.name)!r}: [{several.index.drop(_NONE, errors='ignore')[0]!r}]}} picks one"


def mixed(found: pd.DataFrame, fields: Fields | records.Fields) -> pd.DataFrame:
    """The currencies that would be added up, where they are more than one."""
    if found.empty:
        return found
    worth = found[found["worth"] > 0]
    # In a column that nobody named, a blank may mean anything.
    worth = worth.drop(_NONE, errors="ignore") if fields.doubtful else worth
    return worth if len(worth) > 1 else worth.head(0)


def listed(found: pd.DataFrame) -> str:
    """Currencies with their lines, for a sentence."""
    return examples((f"{name} in {counted(lines, 'line')}" for name, lines in found["lines"].items()), limit=5)
