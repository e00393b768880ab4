"""The typed errors and warnings of the package: each is one sentence that says what, how many and what to do."""

from __future__ import annotations

from collections.abc import Iterable


class DataError(ValueError):
    """The data break a rule; the sentence names the column, the number of offenders and some of them."""


class StaleDataError(DataError):
    """The newest order is older than was allowed."""


class FitError(RuntimeError):
    """A fit that cannot be used; the sentence says why and names the way out."""


class DataWarning(UserWarning):
    """Something in the data was left out, or is odd enough to be looked at."""


class ConvergenceWarning(UserWarning):
    """A fit that is not at an optimum, or whose optimum the data do not determine."""


class AssumptionWarning(UserWarning):
    """A model's assumption that shapes the answer for a stated share of the customers."""


def examples(values: Iterable[object], limit: int = 3, width: int = 40) -> str:
    """Up to `limit` of the values, each cut to `width`, joined for a sentence.

    >>> examples([101, 205, 309, 400])
    '101, 205, 309, ...'
    """
    shown: list[str] = []
    for value in values:
        if len(shown) == limit:
            return ", ".join(shown) + ", ..."
        shown.append(brief(value, width))
    return ", ".join(shown)


def brief(value: object, width: int = 40) -> str:
    """The value as text, cut to `width` characters.

    >>> brief("Dear customer, " * 10)
    'Dear customer, Dear customer, Dear cu...'
    """
    text = str(value)
    return text if len(text) <= width else f"{text[: width - 3]}..."


def counted(number: int, noun: str) -> str:
    """Number and noun, in the plural where it belongs.

    >>> counted(1, "customer"), counted(23570, "row")
    ('1 customer', '23,570 rows')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
