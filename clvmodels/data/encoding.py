"""CSV files in other encodings than UTF-8, the only one that DuckDB always reads."""

from __future__ import annotations

import codecs
import gzip
import unicodedata
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from clvmodels.errors import DataError

# How much is decoded at once.
_CHUNK = 2**20

# The marks that some programs put at the start of a file.
_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


def is_utf_8(encoding: str) -> bool:
    """Whether DuckDB reads it itself.

    Raises
    ------
    ValueError
        If nobody knows this encoding.

    Examples
    --------
    >>> is_utf_8("UTF8"), is_utf_8("cp1258")
    (True, False)
    """
    try:
        "a".encode(encoding)
        return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(f"unknown encoding {encoding!r}; write it like 'utf-8', 'cp1252' or 'utf-16'") from error


def rewritten(files: Iterable[str], encoding: str, folder: Path) -> dict[str, str]:
    """Write files again in UTF-8, in pieces; the new paths and the old."""
    old = {str(folder / f"{number}.csv"): file for number, file in enumerate(files)}
    for copy, file in old.items():
        texts = decoded(file, encoding)
        # This one writes tone marks apart, which no other does: nobody would find "Nội" by its name.
        texts = _composed(texts) if codecs.lookup(encoding).name == "cp1258" else texts
        with open(copy, "w", encoding="utf-8", newline="") as out:
            out.writelines(texts)
    return old


def decoded(file: str, encoding: str) -> Iterator[str]:
    """The text of a file, in pieces.

    Raises
    ------
    DataError
        If it is not in this encoding: which line shows it, and what to try.
    """
    decoder, line = codecs.getincrementaldecoder(encoding)(), 1
    try:
        with gzip.open(file) if file.lower().endswith(".gz") else open(file, "rb") as stream:
            chunk = stream.read(_CHUNK)
            _check_mark(file, chunk, encoding)
            while True:
                state = decoder.getstate()
                try:
                    text = decoder.decode(chunk, final=not chunk)
                except UnicodeDecodeError as error:
                    decoder.setstate(state)
                    line += decoder.decode(chunk[: max(error.start - len(state[0]), 0)]).count("\n")
                    utf_8 = "" if is_utf_8(encoding) else "'utf-8', "
                    raise DataError(
                        f"{file} is not written in {encoding}, as line {line:,} shows; say in which encoding it is "
                        f"with encoding= (such as {utf_8}'cp1252', 'cp1258' for Vietnamese, 'cp874' for Thai)"
                    ) from error
                line += text.count("\n")
                yield text
                if not chunk:
                    return
                chunk = stream.read(_CHUNK)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{file} cannot be read: {error}") from error


def _check_mark(file: str, start: bytes, encoding: str) -> None:
    given = codecs.lookup(encoding).name
    for mark, name in _MARKS.items():
        if start.startswith(mark) and not given.startswith((name, "utf-32")):
            raise DataError(
                f"{file} begins with the mark of {name} and so is not written in {encoding}; say encoding={name!r}"
            )


def _composed(texts: Iterable[str]) -> Iterator[str]:
    """Letters and their marks as one sign; lines are kept whole, for a mark may begin the next piece."""
    rest = ""
    for text in texts:
        whole, end, rest = (rest + text).rpartition("\n")
        yield unicodedata.normalize("NFC", whole + end)
    yield unicodedata.normalize("NFC", rest)
