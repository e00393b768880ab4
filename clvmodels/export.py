"""Export: a table of predictions as a file that says where it comes from, written whole or not at all."""

from __future__ import annotations

import csv
import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from clvmodels import __version__
from clvmodels.errors import DataError
from clvmodels.files import check_targets, written_whole

if TYPE_CHECKING:
    import pandas as pd


def export(table: pd.DataFrame, path: str | Path, *, overwrite: bool = False) -> Path:
    """Write a table of predictions to a file, in the format of its ending.

    The customer's id becomes the first column and keeps its type. What the table rests on (``table.attrs``: model,
    method, seed, unit, horizon, margin, ...), the version of clvmodels and the time of writing go with it, as JSON:

    - ``.parquet``: under the key ``clvmodels`` of the schema's metadata;
    - ``.duckdb``: as the comment on the table, whose name is ``clv``;
    - ``.csv``: CSV has no place for it, so in a second file beside it, ``clv.csv.json`` for ``clv.csv``.

    Parameters
    ----------
    table : DataFrame
        One row per customer, indexed by the customer's id, as `predict` returns it.
    path : str or Path
        In a folder that exists.
    overwrite : bool
        Replace a file that is there. The old file stays as it is until the new one is complete.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DataError
        If the table is empty, or its index has no name or that of a column.
    ValueError
        If the ending is none of the above.
    OSError
        If the file exists and is not to be replaced, or cannot be written.
    """
    import pandas as pd

    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"a table of predictions is needed, not a {type(table).__name__}; use fit.predict(...)")
    path = checked_path(path, overwrite=overwrite)
    if table.empty:
        raise DataError("the table has no rows to export")
    name = table.index.name
    if not isinstance(name, str) or name.lower() in table.columns.str.lower():
        raise DataError(f"the index must have the name of the customer's id, unlike any column; it is {name!r}")
    lineage = table.attrs | {
        "clvmodels": __version__,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
    with written_whole(*_files(path)) as folder:
        _WRITERS[path.suffix](table.reset_index(), json.dumps(lineage, default=str), folder / path.name)
    return path


def checked_path(path: str | Path, *, overwrite: bool) -> Path:
    """The path, if `export` can write there; asked before work that takes long.

    Raises
    ------
    ValueError
        If the ending is unknown.
    OSError
        If the folder is missing or may not be written to, the path is a folder, or the file is there and not to be
        replaced.
    """
    path = Path(path)
    if path.suffix not in _WRITERS:
        raise ValueError(f"{path} has an unknown ending; use one of {', '.join(_WRITERS)}")
    check_targets(*_files(path), overwrite=overwrite)
    return path


def _files(path: Path) -> tuple[Path, ...]:
    """The files that are written, that of the table first."""
    return (path, _sidecar(path)) if path.suffix == ".csv" else (path,)


def _sidecar(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _write_parquet(frame: pd.DataFrame, lineage: str, path: Path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    frame.attrs = {}  # pyarrow would store them a second time
    data = pa.Table.from_pandas(frame, preserve_index=False)
    parquet.write_table(data.replace_schema_metadata({**data.schema.metadata, b"clvmodels": lineage}), path)


def _write_csv(frame: pd.DataFrame, lineage: str, path: Path) -> None:
    frame.to_csv(path, index=False, quoting=csv.QUOTE_NONNUMERIC)  # every text: some readers break lines at a bare \r
    _sidecar(path).write_text(lineage, encoding="utf-8")


def _write_duckdb(frame: pd.DataFrame, lineage: str, path: Path) -> None:
    import duckdb

    with duckdb.connect(path) as connection:
        connection.register("frame", frame)
        connection.execute("CREATE TABLE clv AS FROM frame")
        text = lineage.replace("'", "''")
        connection.execute(f"COMMENT ON TABLE clv IS '{text}'")


_WRITERS: dict[str, Callable[[pd.DataFrame, str, Path], None]] = {
    ".parquet": _write_parquet,
    ".csv": _write_csv,
    ".duckdb": _write_duckdb,
}
