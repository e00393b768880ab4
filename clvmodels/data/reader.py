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
    **bound : object
        Parameters of every text that reads the log.

    Attributes
    ----------
    kind : str
        What to call the source in a sentence.
    types : dict of str
        The columns and their types in DuckDB.
    """

    def __init__(self, source: Source, **bound: object) -> None:
        import duckdb

        self._source, self._bound = source, bound
        # DuckDB would tell the type of a pandas column of objects from a sample, and read "007" as 7 if it missed it.
        self._connection = duckdb.connect(
            config={"pandas_analyze_sample": sys.maxsize, "temp_directory": tempfile.gettempdir()}
        )
        self.kind = _kind(source)
        with _readable(self.kind):
            relation = self._opened()
            self.types = dict(zip(relation.columns, map(str, relation.types), strict=True))

    def close(self) -> None:
        """Give back what the question took."""
        self._connection.close()

    def names(self) -> list[str]:
        """The columns as they are written: DuckDB renames those that repeat."""
        source: Any = self._source
        if not isinstance(source, (str, Path)):
            return [str(name) for name in getattr(source, "column_names", source.columns)]
        if _is_parquet(str(source)):
            return list(self.types)
        with _readable(self.kind):
            header = self._connection.read_csv(str(source), header=False, **_CSV).limit(1).fetchall()
        return [str(name) for name in header[0]]

    def query(self, text: str, **parameters: object) -> pd.DataFrame:
        """Run a text that does not read the log."""
        with _readable(self.kind):
            return self._connection.execute(text, parameters).df()

    def scan(self, text: str, **parameters: object) -> pd.DataFrame:
        """Run a text that reads the log."""
        with self._log():
            return self.query(text, **self._bound, **parameters)

    def stream(self, text: str) -> Iterator[pyarrow.RecordBatch]:
        """Run a text that reads the log, and give its rows in batches as they come."""
        import pyarrow

        with self._log(), _readable(self.kind):
            yield from pyarrow.RecordBatchReader.from_stream(self._connection.sql(text, params=self._bound))

    @contextlib.contextmanager
    def _log(self) -> Iterator[None]:
        import duckdb
        import pyarrow

        if not isinstance(self._source, duckdb.DuckDBPyRelation):
            yield
            return
        # A relation belongs to another connection; from this one it can be read as a stream, anew each time.
        with _readable(self.kind):
            self._connection.register("log", pyarrow.RecordBatchReader.from_stream(self._source))
        try:
            yield
        finally:
            self._connection.unregister("log")

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
            relation = self._connection.read_csv(path, header=True, **_CSV)
            if len(relation.columns) == 1:
                raise DataError(
                    f"{path} was read as one column, {examples(map(repr, relation.columns))}: its first line must be "
                    "the header, and some line has more or fewer fields than it (a value such as 1,234 must be quoted)"
                )
        relation.create_view("log")
        return relation


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


@contextlib.contextmanager
def _readable(name: str) -> Iterator[None]:
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
        raise DataError(f"{name} cannot be read: {' '.join(reason.split())}") from error
