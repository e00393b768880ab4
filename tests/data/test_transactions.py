import datetime
import json
import math
import warnings
from decimal import Decimal
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from clvmodels import DataError, DataWarning, Summary, Transactions, datasets

SHARED = Path(__file__).parents[3] / "shared" / "data"
COLUMNS = {"customer": "customer_id", "date": "date", "value": "amount"}


def shop(**columns):
    """Six lines of three customers: 'b' buys twice on one day, 'c' only once."""
    frame = pd.DataFrame(
        {
            "customer_id": ["b", "a", "b", "b", "a", "c"],
            "date": pd.to_datetime(
                ["2024-01-01", "2024-01-03", "2024-01-15", "2024-01-15", "2024-01-10", "2024-01-29"]
            ),
            "amount": [10.0, 20.0, 5.0, 2.5, 40.0, 7.0],
        }
    )
    return frame.assign(**columns)


def log_of(frame, **options):
    return Transactions(frame, **(COLUMNS | options))


def quietly(method, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return method(*arguments, **options)


def test_a_summary_counts_purchase_days_and_exact_time():
    summary = log_of(shop()).summary(unit="week")
    expected = pd.DataFrame(
        {
            "frequency": [1, 1, 0],
            "recency": [1.0, 2.0, 0.0],
            "T": [26 / 7, 4.0, 0.0],
            "monetary_value": [40.0, 7.5, 0.0],
            "n_transactions": [2, 2, 1],
            "historic_revenue": [60.0, 17.5, 7.0],
            "first_value": [20.0, 10.0, 7.0],
            "first_date": pd.to_datetime(["2024-01-03", "2024-01-01", "2024-01-29"]),
            "last_date": pd.to_datetime(["2024-01-10", "2024-01-15", "2024-01-29"]),
            "days_since_last": [19, 14, 0],
        },
        index=pd.Index(["a", "b", "c"], name="customer_id"),
    )
    pd.testing.assert_frame_equal(summary.table, expected, check_dtype=False, check_index_type=False)
    assert summary.unit == "week"
    assert summary.observation_start == pd.Timestamp("2024-01-01")
    assert summary.observation_end == pd.Timestamp("2024-01-29")


def test_without_value_there_are_no_money_columns():
    table = Transactions(shop(), customer="customer_id", date="date").summary().table
    assert not {"monetary_value", "historic_revenue", "first_value"} & set(table.columns)
    assert table["frequency"].tolist() == [1, 1, 0]


def test_units_only_rescale_time():
    log = log_of(shop())
    days = log.summary(unit="day").table
    for unit, length in {"week": 7, "month": 30.4375, "year": 365.25}.items():
        table = log.summary(unit=unit).table
        np.testing.assert_array_equal(table["T"], days["T"] / length)
        np.testing.assert_array_equal(table["recency"], days["recency"] / length)


def test_until_is_inclusive_and_leaves_later_lines_out():
    summary = log_of(shop()).summary(until="2024-01-15")
    assert summary.table["frequency"].to_dict() == {"a": 1, "b": 1}
    assert summary.table["T"].tolist() == [12 / 7, 2.0]
    assert log_of(shop()).summary(until="2024-01-14").table["frequency"].to_dict() == {"a": 1, "b": 0}


def test_until_may_lie_after_the_last_date():
    assert log_of(shop()).summary(unit="day", until="2024-02-29").table["days_since_last"].tolist() == [50, 45, 31]


def test_the_source_of_a_summary_is_the_log_up_to_its_end():
    source = log_of(shop()).summary(until="2024-01-14").source
    assert source.end == pd.Timestamp("2024-01-10")
    assert source.summary().table["frequency"].to_dict() == {"a": 1, "b": 0}


def test_the_source_of_a_summary_was_observed_until_its_end_whoever_bought_then():
    source = log_of(shop()).summary(until="2024-01-14").source
    split = source.split("2024-01-07", "1 week")
    assert split.holdout["transactions"].to_dict() == {"a": 1, "b": 0}
    with pytest.raises(DataError, match="but the log ends on 2024-01-14: only 7 days of it can be checked"):
        source.split("2024-01-07", "8 days")


def test_gaps_are_between_purchase_days_of_one_customer():
    log = log_of(shop())
    assert log.gap_quantile(0) == 7
    assert log.gap_quantile(1) == 14
    assert log.gap_quantile(0.5) == 10.5
    assert math.isnan(log.summary(until="2024-01-05").source.gap_quantile(0.5))


def test_the_last_date_is_the_end():
    assert log_of(shop()).end == pd.Timestamp("2024-01-29")


# CDNOW: published summaries


@pytest.fixture(scope="module")
def cdnow_sample_split():
    return log_of(datasets.cdnow_sample()).split("1997-09-30", "39 weeks")


def test_the_cdnow_sample_sums_to_the_published_summary(cdnow_sample_split):
    # CLVTools on the same log, estimation split 1997-09-30 (clv__cdnow_0930__bgnbd).
    table = cdnow_sample_split.calibration.table
    assert len(table) == 2357
    assert table["frequency"].sum() == 2457
    assert table["recency"].sum() == pytest.approx(16135.57142857143, rel=1e-12)
    assert table["T"].sum() == pytest.approx(77111.28571428571, rel=1e-12)
    assert (table["frequency"] == 0).sum() == 1411
    assert cdnow_sample_split.holdout["transactions"].sum() == 1882


def test_the_cdnow_sample_equals_the_published_rows(cdnow_sample_split):
    path = SHARED / "cdnow_sample" / "cdnow_cbs_week39.csv.gz"
    if not path.exists():
        pytest.skip("the published week-39 summary is not here")
    published = pd.read_csv(path).set_index("ID")
    table = cdnow_sample_split.calibration.table
    assert (table["frequency"] == published["x"]).all()
    # Two decimals were published.
    for ours, theirs in {"recency": "t_x", "T": "T", "monetary_value": "zbar"}.items():
        np.testing.assert_allclose(table[ours], published[theirs], atol=0.00501)


def test_cdnow_splits_as_published():
    split = log_of(datasets.cdnow()).split("1997-09-30", "39 weeks")
    assert len(split.calibration) == len(split.holdout) == 23570
    assert split.holdout["transactions"].sum() == 19684
    assert split.horizon_days == 273
    assert split.holdout_end == pd.Timestamp("1998-06-30")
    assert split.new_customers.empty


def test_calibration_and_holdout_add_up_to_the_whole():
    log = log_of(datasets.cdnow_sample())
    split, whole = log.split("1997-09-30", "39 weeks"), log.summary().table
    parts = split.calibration.table
    assert (parts["n_transactions"] + split.holdout["transactions"] == whole["n_transactions"]).all()
    np.testing.assert_allclose(parts["historic_revenue"] + split.holdout["revenue"], whole["historic_revenue"])


def test_repeat_transactions_by_day_are_those_of_the_customers_known_at_the_cutoff():
    split = log_of(datasets.cdnow_sample()).split("1997-02-15", "39 weeks")
    daily = split.repeat_transactions
    assert daily[:"1997-02-15"].sum() == split.calibration.table["frequency"].sum()
    assert daily["1997-02-16":].sum() == split.holdout["transactions"].sum()
    lines = datasets.cdnow_sample().drop_duplicates(["customer_id", "date"])
    later = lines[lines["date"] > lines.groupby("customer_id")["date"].transform("min")]
    known = later[later["customer_id"].isin(split.calibration.table.index)]
    expected = known[known["date"] <= split.holdout_end].groupby("date").size()
    pd.testing.assert_series_equal(daily, expected, check_names=False, check_index_type=False, check_freq=False)


def test_a_split_without_value_has_no_revenue():
    split = Transactions(shop(), customer="customer_id", date="date").split("2024-01-10", "5 days")
    assert list(split.holdout) == ["transactions"]
    assert split.holdout["transactions"].to_dict() == {"a": 0, "b": 1}


def test_customers_first_seen_in_the_holdout_are_kept_apart():
    split = log_of(shop()).split("2024-01-10", "19 days")
    assert split.holdout.to_dict("index") == {
        "a": {"transactions": 0, "revenue": 0.0, "refunds_left": 0.0},
        "b": {"transactions": 1, "revenue": 7.5, "refunds_left": 0.0},
    }
    assert split.new_customers.to_dict("index") == {
        "c": {"transactions": 1, "revenue": 7.0, "refunds_left": 0.0, "first_date": pd.Timestamp("2024-01-29")}
    }
    assert repr(split) == (
        "Split after 2024-01-10: 2 customers, holdout of 19 days until 2024-01-29, 1 new customer kept apart"
    )


# Sources


def relation_of(frame):
    return duckdb.connect().from_df(frame)


def sources(frame, folder):
    frame.to_csv(folder / "log.csv", index=False)
    frame.to_csv(folder / "log.csv.gz", index=False)
    frame.to_parquet(folder / "log.parquet")
    for part in range(2):
        frame.iloc[part::2].to_parquet(folder / f"part-{part}.parquet")
    return {
        "pandas": frame,
        "polars": pl.from_pandas(frame),
        "arrow": pa.Table.from_pandas(frame),
        "csv": folder / "log.csv",
        "csv text": str(folder / "log.csv"),
        "gzipped csv": folder / "log.csv.gz",
        "parquet": folder / "log.parquet",
        "glob": folder / "part-*.parquet",
        "relation": relation_of(frame),
        "relation of the default connection": duckdb.from_df(frame),
    }


def test_all_sources_give_the_same_summary(tmp_path):
    frame = shop(customer_id=["007", "07", "007", "007", "07", "7"], order=[1, 2, 3, 3, 4, 5], channel=list("uvuuvw"))
    options = {"order": "order", "attributes": ["channel"]}
    expected = log_of(frame, **options).summary().table
    assert expected.index.tolist() == ["007", "07", "7"]
    for name, source in sources(frame, tmp_path).items():
        log = log_of(source, **options)
        table = log.summary().table
        pd.testing.assert_frame_equal(table, expected, check_dtype=False, check_index_type=False, obj=name)
        assert log.audit().table["count"].tolist() == log_of(frame, **options).audit().table["count"].tolist()
        assert log.split("2024-01-10", 5, unit="day").holdout["transactions"].tolist() == [1, 0]


def test_typed_ids_keep_their_type(tmp_path):
    frame = shop(customer_id=[2, 1, 2, 2, 1, 3])
    for name, source in sources(frame, tmp_path).items():
        ids = log_of(source).summary().table.index.tolist()
        assert ids == (["1", "2", "3"] if "csv" in name else [1, 2, 3]), name


def test_large_whole_ids_are_not_rounded_next_to_a_missing_one():
    ids = pd.array([2**53 + 1, 2**53 + 2, None, 2**53 + 2, 5, 2**53 + 1], dtype="Int64")
    table = quietly(log_of(shop(customer_id=ids)).summary).table
    assert table.index.tolist() == [5, 2**53 + 1, 2**53 + 2]


@pytest.mark.parametrize("kind", ["HUGEINT", "UHUGEINT", "DECIMAL(18, 0)", "DECIMAL(38, 0)", "UBIGINT"])
def test_large_whole_ids_of_other_types_are_not_rounded(kind):
    ids = f"(VALUES ({2**53}), ({2**53 + 1}), (NULL)) AS ids(id)"
    relation = duckdb.sql(f"SELECT id::{kind} AS id, DATE '2024-01-01' AS date FROM {ids}")
    table = quietly(Transactions(relation, customer="id", date="date").summary).table
    assert table.index.tolist() == [2**53, 2**53 + 1]


def test_ids_beyond_64_bits_become_text():
    frame = pd.DataFrame({"id": pd.Series([2**70, 2**70 + 1, 7], dtype=object), "date": pd.Timestamp("2024-01-01")})
    table = Transactions(frame, customer="id", date="date").summary().table
    assert set(table.index) == {str(2**70), str(2**70 + 1), "7"}


def test_decimal_ids_become_text():
    frame = shop(customer_id=[Decimal(text) for text in ["1.10", "1.20", "1.10", "1.10", "1.20", "1.30"]])
    assert log_of(frame).summary().table.index.tolist() == ["1.10", "1.20", "1.30"]


def test_ids_of_mixed_types_become_text():
    ids = pd.Series([*range(5000), "007"], dtype=object)
    frame = pd.DataFrame({"customer_id": ids, "date": pd.Timestamp("2024-01-01")})
    table = Transactions(frame, customer="customer_id", date="date").summary().table
    assert len(table) == 5001
    assert {"7", "007"} <= set(table.index)


def test_hostile_names_are_only_names():
    names = {"customer_id": 'a "b"; DROP TABLE days; --', "date": "día del 'pedido'", "amount": "$until €"}
    frame = shop(customer_id=["'; DROP TABLE log; --", '"', "'; DROP TABLE log; --", "%", '"', "\\"])
    log = Transactions(
        frame.rename(columns=names).assign(**{"log": 1, "where (x)": "?"}),
        customer=names["customer_id"],
        date=names["date"],
        value=names["amount"],
        order="log",
        attributes=["where (x)"],
    )
    table = log.summary().table
    assert table.index.name == names["customer_id"]
    assert table.index.tolist() == sorted(set(frame["customer_id"]))
    assert (table["where (x)"] == "?").all()
    assert log.audit().enough


def test_columns_may_have_the_names_used_inside():
    inside = ["customer", "day", "value", "status", "lines", "date_text", "attribute_0", "log", "days", "orders"]
    frame = shop().assign(**dict.fromkeys(inside, "wrong"))
    table = log_of(frame, attributes=["status"], order="orders").summary().table
    pd.testing.assert_frame_equal(table[list(log_of(shop()).summary().table)], log_of(shop()).summary().table)
    assert (table["status"] == "wrong").all()


def test_the_order_of_lines_changes_no_digit():
    generator = np.random.default_rng(7)
    frame = pd.DataFrame(
        {
            "customer_id": generator.integers(0, 500, 50_000),
            "date": pd.Timestamp("2024-01-01") + pd.to_timedelta(generator.integers(0, 300, 50_000), unit="D"),
            "amount": generator.lognormal(3, 2, 50_000),
        }
    )
    table = log_of(frame).summary().table
    shuffled = log_of(frame.sample(frac=1, random_state=7)).summary().table
    pd.testing.assert_frame_equal(table, shuffled, check_exact=True)
    np.testing.assert_allclose(table["historic_revenue"], frame.groupby("customer_id")["amount"].sum(), rtol=1e-12)


def test_the_log_is_not_changed():
    frame = shop()
    log_of(frame).summary()
    pd.testing.assert_frame_equal(frame, shop())


def test_a_log_says_what_it_is_without_its_data():
    assert repr(log_of(shop())) == (
        "Transactions in a pandas DataFrame: customer 'customer_id', date 'date', value 'amount'"
    )


# Dates


@pytest.mark.parametrize(
    "texts",
    [
        ["2024-01-01", "2024-01-03"],
        ["2024-01-01 23:59:59", "2024-01-03T00:00"],
        ["2024-01-01T23:59:59.123Z", "2024-01-03 00:00:00+00:00"],
        ["2024-01-01 23:59:59 UTC", "2024-01-03 00:00:00+00"],
    ],
)
def test_iso_text_is_read(texts):
    frame = pd.DataFrame({"customer_id": [1, 1], "date": texts})
    table = Transactions(frame, customer="customer_id", date="date").summary(unit="day").table
    assert table["recency"].tolist() == [2]


@pytest.mark.parametrize("text", ["2024-1-3", "03/01/2024", "2024/01/03", "2024-01-32", "2024-01-03 25:00", "soon"])
def test_other_text_is_refused(text):
    frame = pd.DataFrame({"customer_id": [1, 1], "date": ["2024-01-01", text]})
    with pytest.raises(DataError, match="date is not written YYYY-MM-DD in 1 of 2 lines") as caught:
        Transactions(frame, customer="customer_id", date="date").summary()
    assert f"'{text}' (customer 1)" in str(caught.value)
    assert "date_format=" in str(caught.value)


def test_a_format_says_how_dates_are_written():
    frame = pd.DataFrame({"customer_id": [1, 1], "date": ["03/04/2020", "13/04/2020"]})
    log = Transactions(frame, customer="customer_id", date="date", date_format="%d/%m/%Y")
    assert log.summary().table["first_date"].tolist() == [pd.Timestamp("2020-04-03")]
    with pytest.raises(DataError, match="does not follow date_format='%m/%d/%Y' in 1 of 2 lines: '13/04/2020'"):
        Transactions(frame, customer="customer_id", date="date", date_format="%m/%d/%Y").summary()


def test_a_format_reads_whole_numbers():
    frame = pd.DataFrame({"customer_id": [1, 1], "date": [19970131, 19970201]})
    log = Transactions(frame, customer="customer_id", date="date", date_format="%Y%m%d")
    assert log.summary(unit="day").table["recency"].tolist() == [1]


def test_dates_of_python_are_read():
    frame = pd.DataFrame({"customer_id": [1, 1], "date": [datetime.date(2024, 1, 31), datetime.date(2024, 2, 2)]})
    assert Transactions(frame, customer="customer_id", date="date").summary(unit="day").table["T"].tolist() == [2]


@pytest.mark.parametrize("kind", ["typed", "text", "format"])
@pytest.mark.parametrize(("zone", "days"), [(None, 1), ("America/New_York", 0), ("Asia/Tokyo", 0)])
def test_zoned_times_are_converted_before_the_day_is_taken(kind, zone, days):
    # Half an hour before and after midnight in UTC: one day in New York, another single day in Tokyo.
    texts = ["2024-01-01T23:30:00+0000", "2024-01-02T00:30:00+0000"]
    dates = pd.to_datetime(texts) if kind == "typed" else texts
    frame = pd.DataFrame({"customer_id": [1, 1], "date": dates})
    form = "%Y-%m-%dT%H:%M:%S%z" if kind == "format" else None
    log = Transactions(frame, customer="customer_id", date="date", timezone=zone, date_format=form)
    table = log.summary(unit="day").table
    assert table["T"].tolist() == [days]
    first = {"America/New_York": "2024-01-01", "Asia/Tokyo": "2024-01-02"}.get(zone, "2024-01-01")
    assert table["first_date"].tolist() == [pd.Timestamp(first)]


def test_times_without_zone_are_taken_as_they_are():
    frame = pd.DataFrame({"customer_id": [1], "date": pd.to_datetime(["2024-01-01 23:30"])})
    log = Transactions(frame, customer="customer_id", date="date", timezone="Asia/Tokyo")
    assert log.end == pd.Timestamp("2024-01-01")


# Lines that cannot be used


def test_lines_without_a_customer_are_left_out_with_their_revenue(tmp_path):
    frame = shop(customer_id=["b", None, " ", "b", "a", ""], amount=[10.0, 20.0, 5.0, 2.5, 40.0, 7.0])
    frame.to_csv(tmp_path / "log.csv", index=False)
    sentence = "customer_id is missing in 3 of 6 lines, which are left out; they hold 32.00 of revenue, 37.9% of all"
    for source in (frame, pa.Table.from_pandas(frame), tmp_path / "log.csv"):
        with pytest.warns(DataWarning) as caught:
            summary = log_of(source).summary()
        assert [str(warning.message) for warning in caught] == [sentence]
        assert caught[0].filename == __file__
        assert summary.table.index.tolist() == ["a", "b"]
    assert summary.observation_end == pd.Timestamp("2024-01-29")


def test_an_id_that_is_not_a_number_is_missing():
    with pytest.warns(DataWarning, match="customer_id is missing in 1 of 6 lines"):
        table = log_of(shop(customer_id=[2.0, 1, 2, 2, 1, np.nan])).summary().table
    assert table.index.tolist() == [1.0, 2.0]


def test_refunds_are_dropped_kept_or_refused():
    frame = shop(amount=[10.0, 20.0, 5.0, 2.5, 40.0, -7.0])
    with pytest.warns(DataWarning, match=r"amount is negative in 1 of 6 lines, .* \(sum -7.00\)"):
        dropped = log_of(frame, refunds="drop").summary()
    assert dropped.table.index.tolist() == ["a", "b"]
    assert dropped.observation_end == pd.Timestamp("2024-01-29")
    kept = log_of(frame, refunds="keep").summary().table
    assert kept.loc["c", "historic_revenue"] == -7
    with pytest.raises(DataError, match="amount is negative in 1 of 6 lines: customers c; choose refunds="):
        log_of(frame, refunds="error").summary()


def test_bad_rows_can_be_dropped():
    frame = shop(amount=[10.0, np.nan, 5.0, np.inf, 40.0, 7.0]).astype({"date": str})
    frame.loc[0, "date"] = "01/02/2024"
    with pytest.warns(DataWarning) as caught:
        table = log_of(frame, bad_rows="drop").summary().table
    assert [str(warning.message) for warning in caught] == [
        "date is not written YYYY-MM-DD in 1 of 6 lines: '01/02/2024' (customer b); they are left out",
        "amount is missing or not finite in 2 of 6 lines: customers a, b; they are left out",
    ]
    assert table["historic_revenue"].to_dict() == {"a": 40, "b": 5, "c": 7}


def test_lines_after_the_end_are_not_looked_at():
    frame = shop(amount=[10.0, 20.0, 5.0, 2.5, 40.0, np.nan])
    assert log_of(frame).summary(until="2024-01-15").table["historic_revenue"].tolist() == [60, 17.5]
    assert log_of(frame).split("2024-01-10", 5, unit="day").holdout["revenue"].tolist() == [0, 7.5]


def test_value_may_be_quantity_times_price():
    log = log_of(shop(quantity=[1, 2, 3, 4, 5, 6]), value=("quantity", "amount"))
    assert log.summary().table["historic_revenue"].to_dict() == {"a": 240, "b": 35, "c": 42}


def test_dates_after_today_are_told():
    frame = shop(date=["2024-01-01", "2024-01-03", "2024-01-15", "2024-01-15", "2024-01-10", "2942-01-29"])
    said = "date is after today in 1 of 6 lines; the last is 2942-01-29"
    with pytest.warns(DataWarning, match=f"{said}, which becomes the end of observation; correct it or give until="):
        log_of(frame).summary()
    with pytest.warns(DataWarning, match=f"{said}, so nobody knows how far the log was observed") as caught:
        log_of(frame).split("2024-01-10", "5 days")
    assert caught[0].filename == __file__
    log_of(frame).summary(until="2024-01-31").source.summary()


# Orders and attributes


def test_orders_are_counted_once_even_over_two_days():
    frame = shop(invoice=["i1", "i2", "i1", "i3", None, "i4"])
    table = log_of(frame, order="invoice").summary().table
    assert table["n_orders"].to_dict() == {"a": 2, "b": 2, "c": 1}
    assert table["n_transactions"].to_dict() == {"a": 2, "b": 2, "c": 1}


def test_the_earliest_attribute_counts():
    frame = shop(channel=[None, "shop", "web", "app", "web", "shop"], country=["DE", "FR", "AT", "AT", "FR", None])
    summary = log_of(frame, attributes=["channel", "country"]).summary()
    assert summary.attributes == ("channel", "country")
    assert summary.table["channel"].to_dict() == {"a": "shop", "b": "app", "c": "shop"}
    assert summary.table["country"].dropna().to_dict() == {"a": "FR", "b": "DE"}


# Bad input: the sentence says which column, how many and who

many = [f"k{i}" for i in range(6)]

BAD_INPUT = {
    "missing column": (
        lambda: log_of(shop(), customer="custmer_id"),
        "there is no column 'custmer_id'; did you mean 'customer_id'? the columns are customer_id, date, amount",
    ),
    "missing value column": (lambda: log_of(shop(), value="price"), "there is no column 'price'; the columns are"),
    "column with two parts": (lambda: log_of(shop(), date="customer_id"), "column 'customer_id' is named twice"),
    "attribute named like a column of the summary": (
        lambda: log_of(shop(T=1), attributes=["T"]),
        "attribute 'T' has the name of a column of the summary",
    ),
    "attribute named like a predicted column": (
        lambda: log_of(shop(P_alive=1), attributes=["P_alive"]),
        "attribute 'P_alive' has the name of a predicted column; rename it",
    ),
    "unparseable dates": (
        lambda: log_of(shop(date=["2024-01-01", "?", None, "2024-01-02", "later", "x"])).summary(),
        (
            "date is not written YYYY-MM-DD in 4 of 6 lines: '' (customer b), '?' (customer a), 'later' (customer a), "
            "...; the order of day and month is never guessed, so say how dates are written with date_format="
        ),
    ),
    "ambiguous dates": (
        lambda: log_of(shop(date=["03/04/2020"] * 6)).summary(),
        "date is not written YYYY-MM-DD in 6 of 6 lines: '03/04/2020' (customer a)",
    ),
    "missing dates": (
        lambda: log_of(shop(date=pd.to_datetime(["2024-01-01", None] * 3))).split("2024-01-01", 1),
        ("date is missing in 3 of 6 lines: customers a, b, c; correct them, or leave them out with bad_rows='drop'"),
    ),
    "numeric dates": (
        lambda: log_of(shop(date=[20240101] * 6)),
        (
            "date column 'date' holds numbers (BIGINT), not dates; if they are written like 19970131, say so with "
            "date_format='%Y%m%d'"
        ),
    ),
    "dates that are truth values": (lambda: log_of(shop(date=True)), "date column 'date' holds BOOLEAN, not dates"),
    "format for typed dates": (
        lambda: log_of(shop(), date_format="%Y"),
        "date_format is for dates written as text or whole numbers; 'date' holds TIMESTAMP",
    ),
    "format that is none": (lambda: log_of(shop(date="x"), date_format="%Q"), "date_format '%Q' is not understood"),
    "unknown time zone": (lambda: log_of(shop(), timezone="Mars"), "unknown timezone 'Mars'; write it like 'UTC'"),
    "missing and infinite values": (
        lambda: log_of(shop(customer_id=many, amount=[np.nan, 1, np.inf, -np.inf, np.nan, 1])).summary(),
        "amount is missing or not finite in 4 of 6 lines: customers k0, k2, k3, ...; correct them, or leave them out",
    ),
    "values that are text": (
        lambda: log_of(shop(amount=["1", "2.5", "1,5", "EUR 3", "1e3", ""])).summary(),
        (
            "amount is missing or not finite in 3 of 6 lines: '' (customer c), '1,5' (customer b), 'EUR 3' (customer "
            "b); remove the currency sign or unit 'EUR' and say how numbers are written with decimal=',', or leave them"
        ),
    ),
    "values that are dates": (lambda: log_of(shop(), value="date", date="amount"), "holds TIMESTAMP, not numbers"),
    "refunds that are refused": (
        lambda: log_of(shop(amount=-1.0), refunds="error").summary(),
        "amount is negative in 6 of 6 lines: customers a, b, c; choose refunds='net', refunds='drop' or refunds='keep'",
    ),
    "nothing but refunds": (lambda: quietly(log_of(shop(amount=-1.0)).summary), "no purchase is left of 6 lines"),
    "nobody": (lambda: quietly(log_of(shop(customer_id=None)).summary), "no purchase is left of 6 lines"),
    "no rows": (lambda: log_of(shop().head(0)), "a pandas DataFrame has columns but no rows"),
    "no file": (lambda: log_of("nowhere/*.parquet"), "nowhere/*.parquet cannot be read: IO Error: No files found"),
    "no csv file": (lambda: log_of(Path("nowhere.csv")), "there is no file nowhere.csv"),
    "unknown kind of file": (lambda: log_of("log.xlsx"), "log.xlsx is neither CSV nor Parquet by its name"),
    "no log": (
        lambda: log_of([1, 2]),
        "source must be a pandas or Polars DataFrame, an Arrow table, a path or a DuckDB",
    ),
    "a lazy frame": (lambda: log_of(pl.from_pandas(shop()).lazy()), "or a DuckDB relation; got a LazyFrame"),
    "until before the data": (
        lambda: log_of(shop()).summary(until="2023-12-31"),
        "until 2023-12-31 is before the data, which run from 2024-01-01 to 2024-01-29",
    ),
    "until that is no date": (lambda: log_of(shop()).summary(until="31.12.2023"), "until must be a date written YYYY"),
    "cutoff before the data": (
        lambda: log_of(shop()).split("2023-01-01", 1),
        "cutoff 2023-01-01 is outside the data, which run from 2024-01-01 to 2024-01-29",
    ),
    "cutoff after the data": (lambda: log_of(shop()).split("2024-01-30", 1), "cutoff 2024-01-30 is outside the data"),
    "holdout after the data": (
        lambda: log_of(shop()).split("2024-01-15", "15 days"),
        "the holdout of 15 days after 2024-01-15 ends on 2024-01-30, but the log ends on 2024-01-29: only 14 days",
    ),
    "horizon of zero": (lambda: log_of(shop()).split("2024-01-15", 0), "horizon 0 must be at least one day"),
    "unknown unit": (lambda: log_of(shop()).summary(unit="fortnight"), "unknown unit 'fortnight'; use one of 'day'"),
    "unknown unit of a split": (lambda: log_of(shop()).split("2024-01-15", 1, unit="w"), "unknown unit 'w'"),
    "unknown refunds": (
        lambda: log_of(shop(), refunds="hide"),
        "unknown refunds 'hide'; use one of 'net', 'drop', 'ke",
    ),
    "unknown bad_rows": (
        lambda: log_of(shop(), bad_rows="skip"),
        "unknown bad_rows 'skip'; use one of 'error', 'drop'",
    ),
    "attributes as text": (lambda: log_of(shop(), attributes="amount"), "attributes must be a list of columns"),
    "a number for value": (
        lambda: log_of(shop(), value=2),
        "value must be a column or a pair (quantity, price); got 2",
    ),
    "column in other letters": (lambda: log_of(shop(), date="DATE"), "no column 'DATE'; did you mean 'date'?"),
    "many columns": (
        lambda: log_of(shop(**{f"col{i}": 1 for i in range(30)}), date="?"),
        f"columns are customer_id, date, amount, {', '.join(f'col{i}' for i in range(17))}, ...",
    ),
    "a column twice": (
        lambda: log_of(pd.concat([shop(), shop()[["amount"]]], axis=1)),
        "2 columns are called 'amount', 'amount', and capitals are not told from small letters; rename them",
    ),
    "a column in two spellings": (
        lambda: log_of(shop(Amount=1), value="Amount"),
        "2 columns are called 'amount', 'Amount', and capitals are not told",
    ),
    "a long text as date": (
        lambda: log_of(shop(date="Dear customer, " * 1000)).summary(),
        "in 6 of 6 lines: 'Dear customer, Dear customer, Dear c... (customer a)",
    ),
    "three values": (lambda: log_of(shop(), value=("a", "b", "c")), "value must be a column or a pair"),
    "recency above T": (
        lambda: Summary(pd.DataFrame({"frequency": [1], "recency": [3], "T": [2]}, index=[101]), unit="week"),
        "recency must not exceed T (recency is the time from first to last purchase); it does for 1 customer: 101",
    ),
    "fractional frequency": (
        lambda: Summary(pd.DataFrame({"frequency": [1.5], "recency": [1], "T": [2]}, index=[101]), unit="week"),
        "frequency must be a whole number, 0 or more; it is not for 1 customer: 101",
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_a_sentence(case):
    action, sentence = BAD_INPUT[case]
    with pytest.raises((DataError, ValueError, TypeError)) as caught:
        action()
    assert sentence in str(caught.value)


def test_a_file_of_nothing_is_refused(tmp_path):
    (tmp_path / "none.csv").write_text("")
    (tmp_path / "header.csv").write_text("customer_id,date,amount\n")
    with pytest.raises(DataError, match=r"none.csv is an empty file"):
        log_of(tmp_path / "none.csv")
    with pytest.raises(DataError, match=r"header.csv has columns but no rows"):
        log_of(tmp_path / "header.csv")


def test_a_broken_file_is_refused(tmp_path):
    (tmp_path / "log.parquet").write_text("this is text")
    with pytest.raises(DataError, match=r"log.parquet cannot be read"):
        log_of(tmp_path / "log.parquet")


@pytest.mark.parametrize("good_lines", [1, 50_000])
def test_a_file_in_another_encoding_is_refused(tmp_path, good_lines):
    # DuckDB notices at once in the first lines, and only when it comes to it in the later ones.
    text = "customer_id,date,amount\n" + "e,2024-01-01,1\n" * good_lines + "é,2024-01-01,1\n"
    (tmp_path / "log.csv").write_bytes(text.encode("latin-1"))
    sentence = (
        rf"log.csv is not written in utf-8, as line {good_lines + 2:,} shows; say in which .* encoding= \(such as"
    )
    with pytest.raises(DataError, match=sentence):
        log_of(tmp_path / "log.csv").summary()


def test_one_customer_is_a_summary():
    assert log_of(shop(customer_id="only")).summary().table["frequency"].tolist() == [4]


def test_all_dates_equal_is_a_summary_of_nobody_observed():
    table = log_of(shop(date=pd.Timestamp("2024-01-01"))).summary().table
    assert table[["frequency", "recency", "T"]].to_numpy().sum() == 0


def test_the_reference_sums_are_those_of_the_file():
    path = SHARED / "reference_r_packages.json"
    if not path.exists():
        pytest.skip("the reference results are not here")
    sums = json.loads(path.read_text())["cases"]["clv__cdnow_0930__bgnbd"]["cbs_sums"]
    assert sums == {"x": 2457, "t.x": 16135.57142857143, "T.cal": 77111.28571428571, "n_zero": 1411}
