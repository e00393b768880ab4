"""Numbers written as text: the forms that are read, exactly as stated, and what is said of the others."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from sqlglot import exp

from clvmodels.errors import examples

# Signs that nobody can tell apart by eye are one: spaces (also no-break, narrow and thin), apostrophes, minus signs.
_SPACES, _APOSTROPHES, _MINUS = " \u00a0\u202f\u2009", "'’", "−-"
_GROUPS = {",": ",", ".": "."} | dict.fromkeys(_SPACES, _SPACES) | dict.fromkeys(_APOSTROPHES, _APOSTROPHES)
_BLANK = f"[{_SPACES}\t]*"
_AROUND = f"^[+({_SPACES}\t{_MINUS}]+|[){_SPACES}\t{_MINUS}]+$"
_NEGATIVE = f"^{_BLANK}[({_MINUS}]|[{_MINUS}]{_BLANK}$"

# The forms that are proposed, the plainer first.
_FORMS = [(decimal, group) for group in (None, ",", ".", " ", "'") for decimal in ".," if decimal != group]


def check_form(decimal: str, thousands: str | None) -> None:
    """Refuse signs that numbers are not written with."""
    if decimal not in (".", ","):
        raise ValueError(f"decimal must be '.' or ','; got {decimal!r}")
    if thousands is not None and thousands not in _GROUPS:
        raise ValueError(f"thousands must be ',', '.', a space or an apostrophe; got {thousands!r}")
    if decimal == thousands:
        other = {".": ",", ",": "."}[decimal]
        raise ValueError(f"decimal and thousands are both {decimal!r}; give decimal={other!r}, too")


def pattern(decimal: str, thousands: str | None) -> str:
    """The texts that are numbers of this form, as a regular expression that Python and DuckDB understand alike.

    Digits are grouped by threes, or not at all; with a comma also in the Indian way (12,34,567). A minus stands before
    or behind, or is written as parentheses.

    >>> german = pattern(",", ".")
    >>> [bool(re.fullmatch(german, text)) for text in ("1.234,56", "(12,50)", "1234-", "12.50", "1.23", "12,50 €")]
    [True, True, True, False, False, False]
    """
    whole = "[0-9]+"
    if thousands is not None:
        group = f"[{_GROUPS[thousands]}]"
        whole += f"|[0-9]{{1,3}}(?:{group}[0-9]{{3}})+"
        if thousands == ",":
            whole += "|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}"
    fraction = f"[{decimal}][0-9]+"
    number = f"(?:(?:{whole})(?:{fraction})?|{fraction})(?:[eE][+-]?[0-9]+)?"
    return f"{_BLANK}(?:[+{_MINUS}]?{_BLANK}{number}|{number}{_BLANK}[{_MINUS}]|\\({_BLANK}{number}{_BLANK}\\)){_BLANK}"


def as_double(text: str, decimal: str, thousands: str | None) -> str:
    """SQL of the number that an SQL text holds; NULL where the text does not follow the form."""
    signs = decimal + ("" if thousands is None else _GROUPS[thousands])
    bare = f"regexp_replace({text}, {_literal(_AROUND)}, '', 'g')"
    negative = f"regexp_matches({text}, {_literal(_NEGATIVE)})"
    # What is not replaced by a point is deleted.
    number = f"TRY_CAST(translate({bare}, {_literal(signs)}, '.') AS DOUBLE)"
    form = _literal(pattern(decimal, thousands))
    strict = f"CASE WHEN regexp_full_match({text}, {form}) THEN if({negative}, -1, 1) * {number} END"
    # The usual form is read at once, and the others (a minus behind, parentheses) where that fails.
    return f"coalesce(TRY_CAST({text} AS DOUBLE), {strict})" if (decimal, thousands) == (".", None) else strict


def remedy(texts: Iterable[str], decimal: str, thousands: str | None) -> str:
    """What to do about texts that are not numbers of this form.

    >>> remedy(["12,50", "1.234,56"], ".", None)
    "say how numbers are written with decimal=',' and thousands='.'"
    >>> remedy(["12.50 €"], ".", None)
    "remove the currency sign '€'"
    >>> remedy(["soon"], ",", ".")
    'write numbers like 1.234,56'
    """
    found = [_without_currency(part) for text in texts for part in text.split(" x ")]
    signs = sorted({sign for _, sign in found if sign})
    unread = {text for text, _ in found if not re.fullmatch(pattern(decimal, thousands), text)}
    advice = []
    if len(signs) == 1:
        advice.append(f"remove the currency sign{' or unit' if signs[0].isalpha() else ''} {signs[0]!r}")
    elif signs:
        advice.append(f"convert them to one currency or unit ({examples(map(repr, signs))}) and leave out its sign")
    score = {form: sum(bool(re.fullmatch(pattern(*form), text)) for text in unread) for form in _FORMS}
    best = [form for form in _FORMS if score[form] == max(score.values()) > 0]
    plain = [form for form in best if form[1] is None or (form[0], None) not in best]
    if plain:
        shown = " or ".join(_options(*form, than=(decimal, thousands)) for form in plain[:2])
        advice.append(f"say how numbers are written with {shown}")
    group = "" if thousands is None else thousands
    return " and ".join(advice) or f"write numbers like 1{group}234{decimal}56"


def _options(decimal: str, thousands: str | None, *, than: tuple[str, str | None]) -> str:
    """The options that must change."""
    given = [f"decimal={decimal!r}"] if decimal != than[0] else []
    if thousands != than[1]:
        given.append("no thousands=" if thousands is None else f"thousands={thousands!r}")
    return " and ".join(given)


def _without_currency(text: str) -> tuple[str, str]:
    """The text without its currency sign or code, and that sign; the text itself where there is none."""
    found = re.findall(r"[^0-9\s.,'’()+−-]+\.?", text)
    if len(found) == 1 and len(found[0]) <= 4 and all(map(_is_currency, found[0].rstrip("."))):
        bare = text.replace(found[0], "").strip()
        if any(re.fullmatch(pattern(*form), bare) for form in _FORMS):
            return bare, found[0]
    return text, ""


def _is_currency(sign: str) -> bool:
    return sign.isalpha() or unicodedata.category(sign) == "Sc"


def _literal(text: str) -> str:
    return exp.Literal.string(text).sql(dialect="duckdb")
