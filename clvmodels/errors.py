"""The typed errors and warnings of the package: each is one sentence that says what, how many and what to do."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterable, Iterator
from typing import Any


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


class _Recorders(threading.local):
    """Where a thread's warnings go: which are kept for certain, and the list. The last is the innermost recorder."""

    def __init__(self) -> None:
        self.stack: list[tuple[tuple[type[Warning], ...], list[Warning]]] = []


_recorders = _Recorders()
_installing = threading.Lock()
_recording = contextlib.ExitStack()  # what is to be put back when nobody records any more
_number = 0


@contextlib.contextmanager
def recorded(*kinds: type[Warning]) -> Iterator[list[Warning]]:
    """Keep the warnings that this thread gives in a list, in their order, instead of showing them.

    `warnings.catch_warnings` changes the whole process: one thread takes the warnings of the others. Here the first
    recorder of any thread takes over how warnings are shown, and the last gives it back; each thread's go to the
    innermost of its recorders, and those of threads without one are shown as before. Other packages silence warnings
    by `catch_warnings`, in all threads at once: what they silence is not kept, but for the warnings of this package
    and those of `kinds`.

    >>> with recorded() as given:
    ...     warnings.warn("half of the orders have no date", DataWarning)
    >>> given
    [DataWarning('half of the orders have no date')]
    """
    global _number
    with _installing:
        if _number == 0:
            _take_over()
        _number += 1
    given: list[Warning] = []
    _recorders.stack.append(((DataWarning, ConvergenceWarning, AssumptionWarning, *kinds), given))
    try:
        yield given
    finally:
        _recorders.stack.pop()
        with _installing:
            _number -= 1
            if _number == 0:
                _recording.close()


def _take_over() -> None:
    """Send every warning to the recorder of the thread that gives it, or to where it went before."""
    _recording.enter_context(warnings.catch_warnings())
    _recording.callback(setattr, warnings, "warn", warnings.warn)
    shown, warned = warnings.showwarning, warnings.warn

    def show(message: Warning, *place: Any, **more: Any) -> None:
        if _recorders.stack:
            _recorders.stack[-1][1].append(message)
        else:
            shown(message, *place, **more)

    def warn(message: Any, category: Any = None, stacklevel: int = 1, *more: Any, **options: Any) -> None:
        kind = type(message) if isinstance(message, Warning) else category or UserWarning
        kinds, given = _recorders.stack[-1] if _recorders.stack else ((), [])
        if issubclass(kind, kinds):
            given.append(message if isinstance(message, Warning) else kind(message))
        else:
            warned(message, category, stacklevel + 1, *more, **options)

    warnings.simplefilter("always")
    warnings.showwarning, warnings.warn = show, warn  # type: ignore[assignment]
