import json
import os

import duckdb
import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

import clvmodels as clv
from clvmodels.export import _WRITERS

ENDINGS = ("parquet", "csv", "duckdb")
IDS = ("007", "7", 'a,"b"', "two\nlines", "bare\rreturn", "o'Neill", "Zoë")


@pytest.fixture
def table() -> pd.DataFrame:
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.gamma(1, 10, (len(IDS), 2)), columns=["expected_revenue", "clv"])
    table.index = pd.Index(IDS, name="customer_id")
    table.attrs = {"model": "BGNBD()", "seed": 7, "margin": 0.3, "notes": ["it's a test"]}
    return table


def read(path):
    """The exported table, and its lineage."""
    if path.suffix == ".parquet":
        return parquet.read_table(path).to_pandas(), json.loads(parquet.read_schema(path).metadata[b"clvmodels"])
    if path.suffix == ".csv":
        lineage = path.with_name(path.name + ".json").read_text(encoding="utf-8")
        return pd.read_csv(path, dtype={"customer_id": str}, lineterminator="\n"), json.loads(lineage)
    with duckdb.connect(path, read_only=True) as connection:
        comment = connection.sql("SELECT comment FROM duckdb_tables() WHERE table_name = 'clv'").fetchall()[0][0]
        return connection.sql("FROM clv").df(), json.loads(comment)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_read_is_what_was_written(table, tmp_path, ending):
    path = clv.export(table, tmp_path / f"clv.{ending}")
    found, _ = read(path)
    pd.testing.assert_frame_equal(found.set_index("customer_id"), table, check_index_type=False)
    assert found.columns[0] == "customer_id"


@pytest.mark.parametrize("ending", ENDINGS)
def test_numbers_as_ids_stay_numbers(table, tmp_path, ending):
    table.index = pd.Index(range(len(table)), name="id")
    path = clv.export(table, tmp_path / f"clv.{ending}")
    found, _ = read(path)
    assert found["id"].tolist() == list(range(len(table)))


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_file_says_where_it_comes_from(table, tmp_path, ending):
    _, lineage = read(clv.export(table, tmp_path / f"clv.{ending}"))
    created = pd.Timestamp(lineage.pop("created"))
    assert lineage == {**table.attrs, "clvmodels": clv.__version__}
    assert abs(pd.Timestamp.now("UTC") - created) < pd.Timedelta(minutes=1)


@pytest.mark.parametrize("ending", ENDINGS)
def test_nothing_but_the_files_is_left_behind(table, tmp_path, ending):
    clv.export(table, tmp_path / f"clv.{ending}")
    assert names(tmp_path) == (["clv.csv", "clv.csv.json"] if ending == "csv" else [f"clv.{ending}"])


@pytest.mark.parametrize("ending", ENDINGS)
def test_files_are_replaced_only_when_asked(table, tmp_path, ending):
    path = clv.export(table, tmp_path / f"clv.{ending}")
    with pytest.raises(FileExistsError, match=rf"clv\.{ending} exists; replace it with overwrite=True$"):
        clv.export(table * 2, path)
    assert read(path)[0]["clv"].tolist() == table["clv"].tolist()
    clv.export(table * 2, path, overwrite=True)
    assert read(path)[0]["clv"].tolist() == (table["clv"] * 2).tolist()


def test_the_file_beside_a_csv_is_not_replaced_unasked(table, tmp_path):
    (tmp_path / "clv.csv.json").write_text("mine")
    with pytest.raises(FileExistsError, match=r"clv\.csv\.json exists"):
        clv.export(table, tmp_path / "clv.csv")
    assert names(tmp_path) == ["clv.csv.json"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_failure_in_the_middle_leaves_the_old_file_and_nothing_else(table, tmp_path, ending, monkeypatch):
    def write_half(frame, lineage, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    path = clv.export(table, tmp_path / f"clv.{ending}")
    before = names(tmp_path), path.read_bytes()
    monkeypatch.setitem(_WRITERS, f".{ending}", write_half)
    with pytest.raises(OSError, match=rf"clv\.{ending} cannot be written: No space left on device$"):
        clv.export(table * 2, path, overwrite=True)
    assert (names(tmp_path), path.read_bytes()) == before


def test_a_new_file_gets_the_permissions_of_any_other(table, tmp_path):
    (tmp_path / "other").touch()
    path = clv.export(table, tmp_path / "clv.csv")
    assert path.stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize(
    ("name", "error", "sentence"),
    [
        ("clv.xlsx", ValueError, r"clv\.xlsx has an unknown ending; use one of \.parquet, \.csv, \.duckdb$"),
        ("clv", ValueError, "has an unknown ending"),
        ("missing/clv.csv", FileNotFoundError, r"clv\.csv cannot be written: there is no folder .*missing$"),
        ("file/clv.csv", FileNotFoundError, r"cannot be written: there is no folder .*file$"),
        ("folder.csv", IsADirectoryError, r"folder\.csv cannot be written: it is a folder$"),
    ],
)
def test_a_path_that_cannot_be_written_is_refused_in_one_sentence(table, tmp_path, name, error, sentence):
    (tmp_path / "file").touch()
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(error, match=sentence):
        clv.export(table, tmp_path / name, overwrite=True)


def test_a_folder_without_permission_is_refused_before_anything_is_written(table, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write everywhere
    with pytest.raises(PermissionError, match=rf"clv\.csv cannot be written: the folder {tmp_path} is not yours"):
        clv.export(table, tmp_path / "clv.csv")


def test_a_table_without_rows_or_ids_is_refused(table, tmp_path):
    with pytest.raises(clv.DataError, match=r"^the table has no rows"):
        clv.export(table[:0], tmp_path / "clv.csv")
    for name in (None, "CLV"):
        with pytest.raises(clv.DataError, match=rf"^the index must have .* it is {name!r}$"):
            clv.export(table.rename_axis(name), tmp_path / "clv.csv")
    assert names(tmp_path) == []


def test_the_table_itself_is_not_changed(table, tmp_path):
    before = table.copy()
    clv.export(table, tmp_path / "clv.parquet")
    pd.testing.assert_frame_equal(table, before)
    assert table.attrs == before.attrs


@pytest.mark.parametrize("ending", ENDINGS)
def test_attributes_are_kept(table, tmp_path, ending):
    table["channel"] = [None, "", *["web"] * 4, "a,b"]
    table["size"] = pd.Categorical([None, *["S", "M"] * 3], ["M", "S", "L"])
    table["since"] = [np.nan, *[2001.0] * 6]
    table["gold"] = [True, False] * 3 + [True]
    found, _ = read(clv.export(table, tmp_path / f"clv.{ending}"))
    assert list(found.columns[-4:]) == ["channel", "size", "since", "gold"]
    assert found["channel"].tolist()[2:] == table["channel"].tolist()[2:]
    assert pd.isna(found["channel"][0])
    assert found["size"].astype(object).where(found["size"].notna(), None).tolist() == [None, *["S", "M"] * 3]
    np.testing.assert_array_equal(found["since"], table["since"])
    assert found["gold"].tolist() == table["gold"].tolist()


def test_a_margin_by_segment_is_in_the_file(table, tmp_path):
    table.attrs["margin"] = {"channel": {"web": 0.3, "(missing)": 0.2}}
    _, lineage = read(clv.export(table, tmp_path / "clv.parquet"))
    assert lineage["margin"] == table.attrs["margin"]
