"""Reader: a source of any kind, opened for one question."""

from __future__ import annotations

import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import pandas as pd

from clvmodels.data.encoding import decoded, is_utf_8, rewritten
from clvmodels.errors import DataError, examples

if TYPE_CHECKING:
    import duckdb
    import polars
    import pyarrow

    Source: TypeAlias = str | Path | pd.DataFrame | polars.DataFrame | pyarrow.Table | duckdb.DuckDBPyRelation

# DuckDB would look for the header itself and skip what is before it, in silence; and would read the columns of several
# files by position.
_CSV: dict[str, Any] = {
    "all_varchar": True,
    "quotechar": '"',
    "comment": "",
    "skiprows": 0,
    "union_by_name": True,
}


class Reader:
    """A connection of its own in which the source is called `log`, so that questions may be asked at the same time.

    Parameters
    ----------
    source : DataFrame, Table, path or relation
        As of `Transactions`.
    encoding : str
        Of a CSV file. DuckDB reads UTF-8; files in another encoding are written again in it for the question, into a
        temporary folder.
    **bound : object
        Parameters of the texts that read the log; each text takes those that it names.

    Attributes
    ----------
    kind : str
        What to call the source in a sentence.
    types : dict of str
        The columns and their types in DuckDB.
    """

    def __init__(self, source: Source, encoding: str = "utf-8", **bound: object) -> None:
        import duckdb

        self._source, self._bound = source, bound
        # DuckDB would tell the type of a pandas column of objects from a sample, and read "007" as 7 if it missed it.
        self._connection = duckdb.connect(
            config={"pandas_analyze_sample": sys.maxsize, "temp_directory": tempfile.gettempdir()}
        )
        self.kind = _kind(source)
        self._copies: dict[str, str] = {}
        with contextlib.ExitStack() as stack:
            stack.callback(self._connection.close)
            with self._readable():
                if not is_utf_8(encoding):
                    self._copies = self._rewritten(encoding, stack)
                relation = self._opened()
                self.types = dict(zip(relation.columns, map(str, relation.types), strict=True))
            self._taken = stack.pop_all()

    def close(self) -> None:
        """Give back what the question took."""
        self._taken.close()

    def names(self) -> list[str]:
        """The columns as they are written: DuckDB renames those that repeat."""
        source: Any = self._source
        if not isinstance(source, (str, Path)):
            return [str(name) for name in getattr(source, "column_names", source.columns)]
        if not self._is_csv:
            return list(self.types)
        with self._readable():
            header = self._connection.read_csv(self._paths, header=False, **_CSV).limit(1).fetchall()
        return [str(name) for name in header[0]]

    def query(self, text: str, **parameters: object) -> pd.DataFrame:
        """Run a text that does not read the log."""
        with self._readable():
            return self._connection.execute(text, parameters).df()

    def scan(self, text: str, **parameters: object) -> pd.DataFrame:
        """Run a text that reads the log."""
        with self._log():
            return self.query(text, **self._named(text, parameters))

    def stream(self, text: str) -> Iterator[pyarrow.RecordBatch]:
        """Run a text that reads the log, and give its rows in batches as they come."""
        import pyarrow

        with self._log(), self._readable():
            yield from pyarrow.RecordBatchReader.from_stream(self._connection.sql(text, params=self._named(text, {})))

    def _named(self, text: str, parameters: dict[str, object]) -> dict[str, object]:
        """The parameters that a text names, columns apart: DuckDB refuses others."""
        text, given = re.sub(r'"[^"]*"', "", text), self._bound | parameters
        return {name: value for name, value in given.items() if re.search(rf"\${name}\b", text)}

    @contextlib.contextmanager
    def _log(self) -> Iterator[None]:
        import duckdb
        import pyarrow

        if not isinstance(self._source, duckdb.DuckDBPyRelation):
            yield
            return
        # A relation belongs to another connection; from this one it can be read as a stream, anew each time.
        with self._readable():
            self._connection.register("log", pyarrow.RecordBatchReader.from_stream(self._source))
        try:
            yield
        finally:
            self._connection.unregister("log")

    def _rewritten(self, encoding: str, stack: contextlib.ExitStack) -> dict[str, str]:
        """Copies of the files in UTF-8, until the stack is closed."""
        if not self._is_csv:
            raise ValueError(f"encoding is for CSV files; {self.kind} has none")
        return rewritten(self._files(), encoding, Path(stack.enter_context(tempfile.TemporaryDirectory())))

    @property
    def _paths(self) -> str | list[str]:
        """What DuckDB reads."""
        return list(self._copies) or str(self._source)

    def _files(self) -> list[str]:
        """The files that the path stands for."""
        found = self._connection.execute("SELECT file FROM glob($1)", [str(self._source)]).fetchall()
        return [file for (file,) in found]

    def _opened(self) -> duckdb.DuckDBPyRelation:
        import duckdb

        source = self._source
        if isinstance(source, duckdb.DuckDBPyRelation):
            return source
        if not isinstance(source, (str, Path)):
            self._connection.register("log", source)
            return self._connection.table("log")
        path = str(source)
        if _is_parquet(path):
            relation = self._connection.read_parquet(path, union_by_name=True, binary_as_string=True)
        else:
            relation = self._connection.read_csv(self._paths, header=True, **_CSV)
            if any("\0" in name for name in relation.columns):
                raise DataError(f"{path} is not written in UTF-8; if it is UTF-16, say so with encoding='utf-16'")
            if len(relation.columns) == 1:
                raise DataError(
                    f"{path} was read as one column, {examples(map(repr, relation.columns))}: its first line must be "
                    "the header, and some line has more or fewer fields than it (a value such as 1,234 must be quoted)"
                )
        relation.create_view("log")
        return relation

    @property
    def _is_csv(self) -> bool:
        return isinstance(self._source, (str, Path)) and not _is_parquet(str(self._source))

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Turn whatever DuckDB raises into one sentence, without the line at fault: it may hold personal data."""
        import duckdb
        import pyarrow

        try:
            yield
        except (duckdb.Error, pyarrow.ArrowException, OSError) as error:
            reason = re.sub(
                r"Original Line:.*?(Expected Number|Value with|Invalid unicode|Possible|$)",
                r"\1",
                str(error),
                flags=re.DOTALL,
            )
            reason = re.split(r"\n\n|Possible|The search space|due to the following", reason)[0]
            if self._is_csv and "Invalid unicode" in reason:
                self._find_other_encoding()
            for copy, file in self._copies.items():
                reason = reason.replace(copy, file)
            raise DataError(f"{self.kind} cannot be read: {' '.join(reason.split())}") from error

    def _find_other_encoding(self) -> None:
        """Say which line of which file is not UTF-8."""
        for file in self._files():
            for _ in decoded(file, "utf-8"):
                pass


def _kind(source: Source) -> str:
    """What to call the source; what can be refused without reading it is refused."""
    import duckdb

    if isinstance(source, duckdb.DuckDBPyRelation):
        return "a DuckDB relation"
    if isinstance(source, (str, Path)):
        _check_path(str(source))
        return f"the {'Parquet' if _is_parquet(str(source)) else 'CSV'} file {source}"
    # Asked by name, so that a library that is not installed is not missed.
    kind = f"{type(source).__module__.split('.')[0]} {type(source).__name__}"
    if not isinstance(source, pd.DataFrame) and kind not in ("polars DataFrame", "pyarrow Table"):
        lazy = "; .collect() it first" if kind == "polars LazyFrame" else ""
        raise TypeError(
            "source must be a pandas or Polars DataFrame, an Arrow table, a path or a DuckDB relation; "
            f"got a {type(source).__name__}{lazy}"
        )
    return f"a {kind}"


def _is_parquet(path: str) -> bool:
    return path.lower().endswith((".parquet", ".pq"))


def _check_path(path: str) -> None:
    file = Path(path)
    if file.is_dir():
        raise DataError(f"{path} is a folder; name its files with a pattern such as {file / '*.parquet'}")
    if not _is_parquet(path) and not path.lower().endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt")):
        raise DataError(f"{path} is neither CSV nor Parquet by its name (.csv, .csv.gz, .tsv, .txt, .parquet)")
    if not file.exists() and "://" not in path and not set("*?[") & set(path):
        raise DataError(f"there is no file {path}")
    if file.is_file() and not file.stat().st_size:
        raise DataError(f"{path} is an empty file")
