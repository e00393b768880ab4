"""Sources of every kind: nobody is lost or mixed up in silence, and whatever cannot be read gets a sentence."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from clvmodels import DataError, Transactions

HEADER = "customer_id,date,amount\n"


def log_of(source, **options):
    return Transactions(source, **({"customer": "customer_id", "date": "date", "value": "amount"} | options))


def frame():
    return pd.DataFrame({"customer_id": ["a", "b"], "date": ["2024-01-01", "2024-01-09"], "amount": [1.0, 2.0]})


# Several files


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_columns_of_several_files_are_matched_by_name(tmp_path, kind):
    parts = frame(), frame()[["amount", "date", "customer_id"]].assign(amount=[10.0, 20.0], channel="web")
    for number, part in enumerate(parts):
        path = tmp_path / f"{number}.{kind}"
        part.to_csv(path, index=False) if kind == "csv" else part.to_parquet(path)
    table = log_of(tmp_path / f"*.{kind}", attributes=["channel"]).summary().table
    assert table["historic_revenue"].to_dict() == {"a": 11, "b": 22}
    assert table["channel"].tolist() == ["web", "web"]


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_a_column_that_one_file_lacks_is_missing_there(tmp_path, kind):
    for number, part in enumerate([frame(), frame().drop(columns="amount")]):
        path = tmp_path / f"{number}.{kind}"
        part.to_csv(path, index=False) if kind == "csv" else part.to_parquet(path)
    with pytest.raises(DataError, match="amount is missing or not finite in 2 of 4 lines"):
        log_of(tmp_path / f"*.{kind}").summary()


# The start of a CSV file


@pytest.mark.parametrize(
    "text",
    [
        HEADER + "a,2024-01-01,1\n" * 1000 + "customer_id,date,amount,country\n" + "b,2024-01-01,1,DE\n" * 1000,
        HEADER + "a,2024-01-01,1\n" * 3 + "b,2024-01-01,1,DE\n" * 1000,
        HEADER + "a,2024-01-01,1,234\nb,2024-01-05,5\n",
        "Report of orders\n\n" + HEADER + "a,2024-01-01,1\n",
        "# exported today\n" + HEADER + "a,2024-01-01,1\n",
    ],
)
def test_no_line_of_a_csv_file_is_skipped_in_silence(tmp_path, text):
    (tmp_path / "log.csv").write_text(text)
    with pytest.raises(DataError, match=r"log.csv was read as one column, '.*some line has more or fewer fields"):
        log_of(tmp_path / "log.csv")


def test_columns_that_repeat_in_a_csv_file_are_refused(tmp_path):
    (tmp_path / "log.csv").write_text("customer_id,date,amount,note,Amount,note\na,2024-01-01,1,x,2,y\n")
    with pytest.raises(DataError, match="2 columns are called 'amount', 'Amount', and capitals"):
        log_of(tmp_path / "log.csv")
    assert len(log_of(tmp_path / "log.csv", value=None).summary()) == 1


def test_a_line_of_another_length_is_named_by_its_number_only(tmp_path):
    (tmp_path / "log.csv").write_text(HEADER + "a,2024-01-01,1\n" * 30_000 + "secret,2024-01-01,1,DE\n")
    with pytest.raises(DataError) as caught:
        log_of(tmp_path / "log.csv").summary()
    sentence = str(caught.value)
    assert sentence.endswith(
        "cannot be read: Invalid Input Error: CSV Error on Line: 30002 Expected Number of Columns: 3 Found: 4"
    )


def test_a_quote_that_is_not_closed_is_said_without_the_line(tmp_path):
    (tmp_path / "log.csv").write_text(HEADER + "a,2024-01-01,1\n" * 30_000 + '"secret,2024-01-01,1\n')
    with pytest.raises(DataError) as caught:
        log_of(tmp_path / "log.csv").summary()
    assert str(caught.value).endswith("CSV Error on Line: 30002 Value with unterminated quote found.")


def test_a_file_of_no_dialect_is_said_in_one_sentence(tmp_path):
    (tmp_path / "log.csv").write_text('customer_id,date\n"a"b,2\n"x,3\n')
    with pytest.raises(DataError, match=r"not possible to automatically detect the CSV parsing dialect$"):
        log_of(tmp_path / "log.csv")


# Other sources


def test_endings_may_be_in_capitals(tmp_path):
    frame().to_csv(tmp_path / "LOG.CSV", index=False)
    frame().to_parquet(tmp_path / "LOG.PARQUET")
    for name in ("LOG.CSV", "LOG.PARQUET"):
        assert log_of(tmp_path / name).summary().table.index.tolist() == ["a", "b"]


def test_binary_ids_of_a_parquet_file_are_text(tmp_path):
    frame().assign(customer_id=[b"a", b"b"]).to_parquet(tmp_path / "log.parquet")
    assert log_of(tmp_path / "log.parquet").summary().table.index.tolist() == ["a", "b"]


def closed_relation():
    connection = duckdb.connect()
    relation = connection.from_df(frame())
    connection.close()
    return relation


UNREADABLE = {
    "periods": lambda: frame().assign(date=pd.PeriodIndex(["2024-01-01", "2024-01-02"], freq="D")),
    "a closed relation": closed_relation,
    "a server's path without ending": lambda: "https://127.0.0.1:9/log",
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_gets_a_sentence(case):
    with pytest.raises(DataError) as caught:
        log_of(UNREADABLE[case]()).summary()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


def test_a_relation_that_is_closed_later_gets_a_sentence():
    connection = duckdb.connect()
    log = log_of(connection.from_df(frame()))
    connection.close()
    with pytest.raises(DataError, match="a DuckDB relation cannot be read: Connection Error"):
        log.summary()


def test_a_lazy_frame_must_be_collected():
    with pytest.raises(TypeError, match=r"got a LazyFrame; \.collect\(\) it first"):
        log_of(pl.from_pandas(frame()).lazy())


# A log may be copied, stored and asked at the same time


@pytest.mark.parametrize("source", [frame(), pl.from_pandas(frame()), pa.Table.from_pandas(frame())])
def test_a_log_can_be_copied_and_stored(source):
    log = log_of(source)
    summary = log.summary()
    stored = pickle.loads(pickle.dumps((log, summary)))  # noqa: S301 - our own
    for other in (copy.deepcopy(log), stored[0], stored[1].source):
        pd.testing.assert_frame_equal(other.summary().table, summary.table)


def test_a_log_can_be_asked_by_several_threads():
    log = log_of(frame())
    expected = log.summary().table
    with ThreadPoolExecutor(4) as pool:
        for summary in pool.map(lambda _: log.summary(), range(20)):
            pd.testing.assert_frame_equal(summary.table, expected)


def test_a_log_larger_than_the_memory_is_sorted_on_disk(tmp_path, monkeypatch):
    rng, path = np.random.default_rng(1), tmp_path / "log.parquet"
    lines = {"id": rng.integers(0, 500_000, 1_500_000), "day": rng.integers(0, 1000, 1_500_000)}
    frame = pd.DataFrame(lines | {"value": rng.integers(1, 10_000, 1_500_000) / 100})
    frame.assign(day=pd.Timestamp("2021-01-01") + pd.to_timedelta(frame["day"], unit="D")).to_parquet(path)
    log = Transactions(path, customer="id", date="day", value="value")
    expected, connect, limits = log.summary().table, duckdb.connect, {"memory_limit": "40MB"}
    monkeypatch.setattr(duckdb, "connect", lambda config: connect(config=config | limits))
    pd.testing.assert_frame_equal(log.summary().table, expected)
    limits["temp_directory"] = ""
    with pytest.raises(DataError, match=r"cannot be read: .*memory"):
        log.summary()
