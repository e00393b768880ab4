"""Subscriptions, by hand, and against a plain loop over customers."""

import datetime
import itertools
import warnings

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from conftest import shared
from hypothesis import given, settings
from hypothesis import strategies as st

from clvmodels import DataError, DataWarning, Durations, Subscriptions, datasets, time

COLUMNS = {"customer": "id", "start": "start", "end": "end"}


def records(*rows, columns=("id", "start", "end", "price")):
    return pd.DataFrame(rows, columns=list(columns))


def contracts(frame, **options):
    named = COLUMNS | {"value": "price"} if "price" in frame else COLUMNS
    return Subscriptions(frame, **(named | options))


def quietly(method, *arguments, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return method(*arguments, **options)


def simple():
    """One of each kind; observed until the end of June."""
    return records(
        ("active", "2023-01-31", None, 10.0),
        ("gone", "2023-01-31", "2023-03-15", 10.0),
        ("upgraded", "2023-02-10", "2023-04-10", 10.0),
        ("upgraded", "2023-04-10", None, 25.0),
        ("back", "2023-01-01", "2023-03-01", 10.0),
        ("back", "2023-05-01", None, 12.0),
    )


def test_durations_by_hand():
    made = contracts(simple()).durations(unit="day", until="2023-06-30")
    expected = pd.DataFrame(
        {
            "duration": [150.0, 59.0, 60.0, 43.0, 140.0],
            # Renewed on 28 Feb, 31 Mar, 30 Apr, 31 May, 30 Jun; two months paid; 1 Jun; two paid; 10 Mar ... 10 Jun.
            "renewals": [5, 2, 1, 2, 4],
            "event": [0, 1, 0, 1, 0],
            "entry": 0.0,
            "entry_renewals": 0,
            "value": [10.0, 10.0, 12.0, 10.0, 25.0],
            "period": "month",
            "start": pd.to_datetime(["2023-01-31", "2023-01-01", "2023-05-01", "2023-01-31", "2023-02-10"]),
            "contract": [1, 1, 2, 1, 1],
            # Both contracts of the one who came back: 2 x 10 + 2 x 12; the upgrade: 2 x 10 + 3 x 25.
            "historic_revenue": [60.0, 44.0, 44.0, 20.0, 95.0],
        },
        index=pd.Index(["active", "back", "back", "gone", "upgraded"], name="id"),
    )
    pd.testing.assert_frame_equal(made.table, expected, check_dtype=False, check_index_type=False)
    assert (made.observation_start, made.observation_end) == (pd.Timestamp("2023-01-01"), pd.Timestamp("2023-06-30"))


@pytest.mark.parametrize("unit", time.UNIT_DAYS)
def test_units_only_rescale_the_duration(unit):
    made = contracts(simple())
    days, others = (made.durations(unit=each, until="2023-06-30", since="2023-02-01").table for each in ("day", unit))
    for name in ("duration", "entry"):
        np.testing.assert_array_equal(others[name], days[name] / time.UNIT_DAYS[unit])
    pd.testing.assert_frame_equal(others.drop(columns=["duration", "entry"]), days.drop(columns=["duration", "entry"]))


def test_an_end_on_the_last_day_is_an_end_and_a_later_one_is_not_known():
    made = contracts(simple())
    assert made.durations(until="2023-03-15").table["event"].to_dict() == {
        "active": 0, "back": 1, "gone": 1, "upgraded": 0,
    }  # fmt: skip
    assert made.durations(until="2023-03-14").table.loc["gone", ["event", "renewals"]].tolist() == [0, 1]


def test_the_default_end_is_the_last_start_or_end_that_is_not_in_the_future():
    made = contracts(simple())
    assert made.end == made.durations().observation_end == pd.Timestamp("2023-05-01")
    later = simple().assign(end=["9999-12-31", *simple()["end"][1:]])
    assert contracts(later).end == pd.Timestamp("2023-05-01")
    assert contracts(later).durations().table.loc["active", "event"] == 0


def test_the_source_of_durations_is_what_was_known_then():
    source = contracts(simple()).durations(until="2023-03-14").source
    assert source.end == pd.Timestamp("2023-03-01")
    assert source.durations().observation_end == pd.Timestamp("2023-03-14")
    assert source.durations().table.loc["gone", "event"] == 0
    assert len(source.durations(until="2024-01-01")) == 4  # nothing later is in it


def test_the_end_of_a_month_is_no_churn_and_no_gain():
    frame = records(
        ("a", "2024-01-31", "2024-02-29"), ("b", "2024-01-31", "2024-03-01"), columns=["id", "start", "end"]
    )
    made = contracts(frame).durations(until="2024-12-31")
    assert made.table["renewals"].tolist() == [1, 2]


@pytest.mark.parametrize(
    ("period", "renewals"), [("month", 14), ("quarter", 4), ("year", 1), ("2 weeks", 30), ("day", 425)]
)
def test_renewals_are_counted_by_the_period_of_the_contract(period, renewals):
    frame = records(("a", "2023-01-01", None), columns=["id", "start", "end"])
    table = contracts(frame, period=period).durations(until="2024-03-01").table
    assert (table["renewals"].item(), table["period"].item()) == (renewals, str(time.period(period)))


def test_periods_and_prices_of_a_column_are_each_contracts_own():
    frame = records(
        ("a", "2023-01-01", None, 120.0, "year", "year"),
        ("b", "2023-01-01", None, 10.0, "quarter", "month"),
        ("c", "2023-01-01", None, 7.0, "month", "week"),
        columns=["id", "start", "end", "price", "period", "per"],
    )
    table = contracts(frame, period="period", value_per="per").durations(until="2023-12-31").table
    assert table["period"].tolist() == ["year", "3 months", "month"]
    assert table["value"].tolist() == [120.0, 30.0, 30.4375]
    assert table["renewals"].tolist() == [0, 3, 11]
    assert table["historic_revenue"].tolist() == [120.0, 120.0, 12 * 30.4375]


def test_a_record_in_between_gives_way_when_it_ends():
    # A trial of another plan inside the contract, and a gap within the grace: the first record counts again.
    frame = records(
        ("a", "2023-01-01", "2024-01-01", 10.0),
        ("a", "2023-03-01", "2023-05-01", 50.0),
        ("a", "2023-04-15", "2023-04-20", 90.0),
        ("a", "2024-01-05", None, 20.0),
    )
    made = contracts(frame, grace="1 week")
    # January, February, then two months of the trial, May to January (the gap included), then February and March.
    assert made.durations(until="2024-03-20").table["historic_revenue"].tolist() == [2 * 10 + 2 * 50 + 9 * 10 + 2 * 20]
    assert made.durations(until="2023-04-17").table["value"].item() == 90.0
    assert made.durations(until="2023-04-25").table["value"].item() == 50.0
    assert made.durations(until="2023-06-01").table["value"].item() == 10.0


@pytest.mark.parametrize(("grace", "number"), [("0 days", 2), ("30 days", 2), ("31 days", 1), ("1 month", 1)])
def test_grace_joins_what_follows_in_time(grace, number):
    frame = records(("a", "2023-01-01", "2023-03-01"), ("a", "2023-04-01", None), columns=["id", "start", "end"])
    table = contracts(frame, grace=grace).durations(until="2023-06-30").table
    assert len(table) == number
    assert table["start"].iloc[0] == pd.Timestamp("2023-01-01")
    assert table["event"].tolist() == [1, 0][-number:]


def test_an_end_within_the_grace_is_none_yet():
    frame = records(("a", "2023-01-01", "2023-03-01", 10.0), ("b", "2023-01-01", "2023-03-05", 20.0))
    made = contracts(frame, grace="7 days")
    table = made.durations(unit="day", until="2023-03-07").table
    assert table["event"].tolist() == [0, 0]
    assert table["duration"].tolist() == [65, 65]
    assert table["renewals"].tolist() == [2, 2]
    assert table["value"].tolist() == [10.0, 20.0]
    # On the last day of the grace nothing has followed: it has ended on its day.
    table = made.durations(unit="day", until="2023-03-08").table
    assert table["event"].tolist() == [1, 0]
    assert table["duration"].tolist() == [59, 66]
    assert table["renewals"].tolist() == [2, 2]
    assert contracts(frame).durations(unit="day", until="2023-03-05").table["event"].tolist() == [1, 1]
    audit = made.audit("2023-03-08").table.set_index("check")
    assert (audit.loc["within grace", "count"], audit.loc["within grace", "examples"]) == (1, ["b"])
    # Both at the cutoff and at the end of the holdout.
    split = made.split("2023-03-07", "1 day", unit="day", until="2023-03-31")
    assert split.holdout.to_numpy().tolist() == [[0, 0, 0, 0], [1, 1, 0, 1]]


def test_who_stays_and_pays_late_never_leaves():
    rng = np.random.default_rng(0)
    rows = []
    for customer in range(100):
        begin = np.datetime64("2020-01-01") + rng.integers(0, 300)
        while begin < np.datetime64("2021-09-01"):
            end = time.renewal_days(begin, time.period("month"), 1)
            rows.append((str(customer), begin, end))
            begin = end + rng.integers(0, 6)
    frame = pd.DataFrame(rows, columns=["id", "start", "end"]).astype({"start": "M8[us]", "end": "M8[us]"})
    made = contracts(frame, grace="7 days")
    assert made.durations(until="2021-06-15").table["event"].sum() == 0
    assert contracts(frame).durations(until="2021-06-15").table["event"].sum() > 100
    split = made.split("2021-06-15", "60 days", until="2021-08-20")
    assert len(split.holdout) == 100
    assert (split.holdout["retained"] == 1).all()
    assert np.ptp(split.holdout["lifetime"]) == 0


def test_a_renewal_before_the_start_is_refused_whatever_is_known_of_the_end():
    for end in (None, "2024-01-01"):
        frame = records(("a", "2023-03-01", end, "2023-02-01"), columns=["id", "start", "end", "renews"])
        with pytest.raises(DataError, match="renews is before start in 1 of 1 record: customer a"):
            contracts(frame, renews="renews").durations(until="2023-06-30")


def test_an_open_record_absorbs_later_ones():
    frame = records(("a", "2023-01-01", None, 5.0), ("a", "2023-03-01", "2023-04-01", 6.0))
    table = contracts(frame).durations(until="2023-06-30").table
    assert table[["event", "value", "historic_revenue"]].to_numpy().tolist() == [[0, 5.0, 5 + 5 + 6 + 5 + 5 + 5]]


def test_returns_by_policy():
    made = contracts(simple(), returns="first")
    with pytest.warns(DataWarning, match="1 contract of 1 customer who came back are left out: back"):
        table = made.durations(until="2023-06-30").table
    assert table.loc["back", "event"] == 1
    assert "contract" not in table.columns
    with pytest.raises(DataError, match="1 customer came back after the end of a contract: back; choose returns='new'"):
        contracts(simple(), returns="error").durations(until="2023-06-30")
    assert len(contracts(simple(), returns="error").durations(until="2023-04-30")) == 4


def test_paid_through_is_the_last_day_known():
    frame = records(
        ("past", "2023-01-01", None, "2023-04-01"),
        ("future", "2023-01-01", None, "2024-01-01"),
        ("on the day", "2023-01-01", None, "2023-06-30"),
        ("ended", "2023-01-01", "2023-03-10", "2023-04-01"),
        ("back", "2023-01-01", None, "2023-03-01"),
        ("back", "2023-05-01", None, "2023-08-01"),
        columns=["id", "start", "end", "renews"],
    )
    made = contracts(frame, renews="renews")
    with pytest.warns(
        DataWarning, match="renews is before 2023-06-30, and no end stands beside it for 1 contract: past"
    ):
        table = made.durations(unit="day", until="2023-06-30").table
    # Nobody knows whether the contract paid until 1 April was renewed on that day; who came back had left.
    assert table[["duration", "renewals", "event"]].to_numpy().tolist() == [
        [59, 2, 1], [60, 1, 0], [68, 3, 1], [180, 5, 0], [180, 5, 0], [90, 2, 0],
    ]  # fmt: skip
    assert table.index.tolist() == ["back", "back", "ended", "future", "on the day", "past"]


def test_since_begins_observation():
    frame = records(
        ("before", "2020-01-01", "2022-12-31"),
        ("on the day", "2020-01-01", "2023-01-01"),
        ("later", "2020-01-01", "2023-01-02"),
        ("day before", "2022-12-31", None),
        ("new", "2023-01-01", None),
        columns=["id", "start", "end"],
    )
    made = contracts(frame, period="year").durations(unit="day", until="2023-06-30", since="2023-01-01")
    # 1096 days lie between 2020-01-01 and 2023-01-01: one less until the end of the day before.
    assert made.table[["duration", "entry", "renewals", "entry_renewals"]].to_numpy().tolist() == [
        [181, 0, 0, 0], [1097, 1095, 4, 2], [180, 0, 0, 0], [1096, 1095, 3, 2],
    ]  # fmt: skip
    assert made.table.index.tolist() == ["day before", "later", "new", "on the day"]
    assert made.observation_start == pd.Timestamp("2023-01-01")


def test_a_contract_of_no_length_is_half_a_day_and_one_period():
    frame = records(("a", "2023-01-01", "2023-01-01", 3.0), ("b", "2023-01-01", None, 3.0))
    with pytest.warns(DataWarning, match="ended on the day they began, and count as half a day and one period: 1 con"):
        table = contracts(frame).durations(unit="day", until="2023-02-28").table
    assert table[["duration", "renewals", "historic_revenue"]].to_numpy().tolist() == [[0.5, 1, 3.0], [58.0, 1, 6.0]]


def test_causes_and_attributes():
    frame = records(
        ("a", "2023-01-01", "2023-02-01", "price", None),
        ("a", "2023-02-01", "2023-03-01", "moved", "web"),
        ("b", "2023-01-01", None, "ignored", "shop"),
        ("c", "2023-01-01", "2023-02-01", None, "shop"),
        columns=["id", "start", "end", "why", "channel"],
    )
    made = contracts(frame, cause="why", attributes=["channel"]).durations(until="2023-04-01")
    assert made.table["channel"].tolist() == ["web", "shop", "shop"]
    assert made.table["cause"].tolist()[0] == "moved"
    assert made.table["cause"].isna().tolist() == [False, True, True]
    assert made.attributes == ("channel",)


# What the records are held in, and what is refused


def test_every_kind_of_source_gives_the_same(tmp_path):
    frame = simple().assign(id=["01", "02", "03", "03", "04", "04"])
    frame.to_csv(tmp_path / "contracts.csv", index=False)
    frame.to_parquet(tmp_path / "contracts.parquet")
    typed = frame.assign(start=pd.to_datetime(frame["start"]), end=pd.to_datetime(frame["end"]))
    sources = {
        "pandas": frame, "typed": typed, "polars": pl.from_pandas(frame), "arrow": pa.Table.from_pandas(typed),
        "csv": str(tmp_path / "contracts.csv"), "parquet": tmp_path / "contracts.parquet",
        "relation": duckdb.from_df(frame),
    }  # fmt: skip
    tables = {name: contracts_of_any(source).durations(until="2023-06-30").table for name, source in sources.items()}
    for table in tables.values():
        pd.testing.assert_frame_equal(table, tables["pandas"])
    assert tables["csv"].index.tolist() == ["01", "02", "03", "04", "04"]


def contracts_of_any(source):
    return Subscriptions(source, **COLUMNS, value="price")


def test_messy_texts_are_read_as_said():
    frame = records(("a", "31.01.2023", "", "1.234,50"), ("b", "28.02.2023", "01.06.2023", "5"))
    made = contracts(frame, date_format="%d.%m.%Y", decimal=",", thousands=".")
    assert made.durations(until="2023-06-30").table["value"].tolist() == [1234.5, 5.0]


def test_where_chooses_records():
    frame = simple().assign(status=["live", "live", "test", "test", "live", "live"])
    table = contracts(frame, where={"status": "live"}).durations(until="2023-06-30").table
    assert "upgraded" not in table.index


def test_ids_keep_their_type():
    frame = simple().assign(id=pd.array([2**60, 7, 3, 3, None, None], dtype="Int64"))
    with pytest.warns(DataWarning, match="id is missing in 2 of 6 records, which are left out"):
        table = contracts(frame).durations(until="2023-06-30").table
    assert table.index.tolist() == [3, 7, 2**60]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("z", None, None, 1.0), r"start is not written YYYY-MM-DD in 1 of 7 records: customer z; the order of day"),
        (("z", "03/04/2023", None, 1.0), r"in 1 of 7 records: '03/04/2023' \(customer z\); the order of day and mo"),
        (("z", "45000", None, 1.0), r"start is not .* in 1 of 7 records: '45000' \(customer z\); numbers such as"),
        (("z", "2023-01-01", "soon", 1.0), r"end is not written YYYY-MM-DD in 1 of 7 records: 'soon' \(customer z"),
        (("z", "2023-03-01", "2023-02-01", 1.0), r"end is before start in 1 of 7 records: customer z; correct the"),
        (("z", "2023-03-01", None, -1.0), r"price is negative, not finite or no number in 1 of 7 records: '-1.0' \("),
        (("z", "2023-03-01", None, np.inf), r"price is negative, not finite or no number in 1 of 7 records: 'inf'"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_refused_or_left_out(row, sentence):
    frame = pd.concat([simple(), records(row)], ignore_index=True)
    with pytest.raises(DataError, match=f"{sentence}.*or leave them out with bad_rows='drop'"):
        contracts(frame).durations(until="2023-06-30")
    with pytest.warns(DataWarning, match=sentence.split(";")[0] + ".*they are left out"):
        table = contracts(frame, bad_rows="drop").durations(until="2023-06-30").table
    pd.testing.assert_frame_equal(table, contracts(simple()).durations(until="2023-06-30").table)


def test_periods_that_are_none_are_refused():
    frame = simple().assign(term=["month", "month", "month", "fortnight", "month", "month"])
    with pytest.raises(DataError, match=r"term is missing or no period in 1 of 6 records: 'fortnight' \(customer upgr"):
        contracts(frame, period="term").durations(until="2023-06-30")


def test_a_missing_price_is_told_and_not_guessed():
    frame = simple().assign(price=[None, 10.0, 10.0, None, 10.0, 12.0])
    with pytest.warns(DataWarning, match="price is missing for 2 contracts: active, upgraded; they have no price"):
        table = contracts(frame).durations(until="2023-06-30").table
    assert table.loc[["active", "upgraded"], ["value", "historic_revenue"]].isna().all(axis=None)


def test_a_period_that_changes_is_told():
    frame = simple().assign(term=["month", "month", "month", "year", "month", "month"])
    with pytest.warns(DataWarning, match="term changes within 1 contract: upgraded; the last counts, from the start"):
        table = contracts(frame, period="term").durations(until="2023-06-30").table
    assert table.loc["upgraded", ["period", "renewals"]].tolist() == ["year", 0]


def test_starts_in_the_future_are_told():
    frame = pd.concat([simple(), records(("z", "2999-01-01", None, 1.0))])
    with pytest.warns(DataWarning, match="start is in the future in 1 record, which are left out; correct it or give"):
        table = contracts(frame).durations().table
    assert "z" not in table.index
    assert len(contracts(frame).durations(until="2023-06-30")) == 5


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"start": "begin"}, "there is no column 'begin'"),
        ({"period": "monthly"}, "period 'monthly' is neither a period nor a column; write it like 'month', '3 months'"),
        ({"value_per": "hour"}, "value_per 'hour' is neither a period nor a column"),
        ({"grace": "a while"}, "grace 'a while' is not understood; write it like '0 days', '14 days' or '1 month'"),
        ({"returns": "maybe"}, "unknown returns 'maybe'; use one of 'new', 'first', 'error'"),
        ({"bad_rows": "keep"}, "unknown bad_rows 'keep'"),
        ({"end": "price"}, "date column 'price' holds numbers|column 'price' is named twice"),
        ({"attributes": ["event"]}, "attribute 'event' has the name of a column of the durations; rename it"),
        ({"timezone": "Mars"}, "unknown timezone 'Mars'"),
        ({"date_format": "%Y-%q"}, "date_format '%Y-%q' is not understood"),
        ({"decimal": ";"}, "decimal must be"),
    ],
)
def test_options_that_are_none_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        contracts(simple(), **options)


def test_days_outside_the_data_are_refused():
    made = contracts(simple())
    with pytest.raises(DataError, match="no contract starts by 2022-12-31, the end of observation"):
        made.durations(until="2022-12-31")
    with pytest.raises(DataError, match="since 2024-01-01 is after the end of observation, 2023-06-30"):
        made.durations(until="2023-06-30", since="2024-01-01")


def test_columns_in_which_nothing_stands_say_nothing():
    frame = records(("a", "2023-01-01", None), ("b", "2023-01-01", None), columns=["id", "start", "end"])
    for end in (None, np.nan, pd.NaT, ""):
        assert contracts(frame.assign(end=end)).durations(until="2023-06-30").table["event"].tolist() == [0, 0]


# Against a plain loop


def day(number):
    return datetime.date(2020, 1, 1) + datetime.timedelta(days=number)


RECORDS = st.lists(
    st.tuples(
        st.sampled_from("abc"),
        st.integers(0, 400),
        st.one_of(st.none(), st.integers(0, 200)),
        st.one_of(st.none(), st.integers(0, 200)),
        st.integers(1, 50),
        st.sampled_from(["month", "2 weeks", "quarter"]),
        st.sampled_from(["x", "y", None]),
    ),
    min_size=1,
    max_size=9,
    unique_by=lambda row: row[:2],  # which of two records that begin on one day counts is a convention of its own
)


def frame_of(rows):
    columns = ["id", "start", "end", "renews", "price", "term", "kind"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["start"] = [day(row[1]) for row in rows]
    for place, name in ((2, "end"), (3, "renews")):
        frame[name] = pd.to_datetime(pd.Series([None if r[place] is None else day(r[1] + r[place]) for r in rows]))
    return frame


def looped(rows, until, grace, since=None):
    """Contracts by a loop: for each customer (start, event, last, renewals, price, period, paid, kind, entry...)."""
    found = []
    for customer in sorted({row[0] for row in rows}):
        mine = []
        for _, start, length, paid, price, term, kind in sorted(row for row in rows if row[0] == customer):
            if start > until:
                continue
            end = None if length is None or start + length > until else start + length
            cover = end if end is not None else 10**6 if paid is None else start + paid
            mine.append({"start": start, "end": end, "cover": cover, "price": price, "term": term, "kind": kind})
        groups = []
        for record in mine:
            if groups and record["start"] <= max(r["cover"] for r in groups[-1]) + grace:
                groups[-1].append(record)
            else:
                groups.append([record])
        theirs = []
        for number, group in enumerate(groups):
            start, cover = group[0]["start"], max(r["cover"] for r in group)
            deciding = [r for r in group if r["cover"] == cover][-1]
            event = (deciding["end"] is not None and cover + grace <= until) or number + 1 < len(groups)
            stale = not event and cover + grace < until
            in_grace = not event and not stale and grace and cover <= until
            last = cover if event or stale else until
            final = max(start, until if in_grace else cover - 1 if event else min(until, cover - 1))
            in_force = {}
            for at in range(start, final + 1):
                begun = [r for r in group if r["start"] <= at]
                running = [r for r in begun if r["cover"] > at]
                ended = max(begun, key=lambda r: r["cover"])
                in_force[at] = running[-1] if running else [r for r in begun if r["cover"] == ended["cover"]][-1]
            period = time.period(in_force[final]["term"])
            anniversaries = []
            while True:
                offset = len(anniversaries) * period.number
                unit = "months" if period.unit == "month" else "days"
                at = (pd.Timestamp(day(start)) + pd.DateOffset(**{unit: offset})).date()
                if at > day(final):
                    break
                anniversaries.append((at - day(0)).days)
            worth = period.days / time.period("month").days if period.unit == "day" else period.number
            kinds = [r["kind"] for r in group if r["kind"] is not None]
            entered = max(0, since - 1 - start) if since is not None else 0
            theirs.append(
                {
                    "id": customer,
                    "start": start,
                    "event": int(event),
                    "duration": last - start or (0.5 if event else 0),
                    "renewals": len(anniversaries) - (not event),
                    "value": in_force[final]["price"] * worth,
                    "period": str(period),
                    "paid": sum(in_force[at]["price"] * worth for at in anniversaries),
                    "kind": kinds[0] if kinds else None,
                    "contract": number + 1,
                    "entry": entered,
                    "entry_renewals": sum(at <= since - 1 for at in anniversaries[1:]) if since is not None else 0,
                    "last": last,
                    "stale": stale,
                }
            )
        for contract in theirs:
            contract["historic_revenue"] = sum(other["paid"] for other in theirs)
        found += theirs
    return [contract for contract in found if since is None or contract["last"] >= since]


OPTIONS = {"renews": "renews", "value": "price", "period": "term", "attributes": ["kind"]}
COMPARED = ["duration", "renewals", "event", "entry", "entry_renewals", "value", "contract", "historic_revenue"]


@settings(max_examples=120, deadline=None)
@given(
    rows=RECORDS, until=st.integers(0, 600), grace=st.integers(0, 40), since=st.one_of(st.none(), st.integers(0, 500))
)
def test_contracts_equal_a_loop_over_customers(rows, until, grace, since):
    expected = looped(rows, until, grace, since if since is None else min(since, until))
    made = contracts(frame_of(rows), grace=f"{grace} days", **OPTIONS)
    begin = None if since is None else day(min(since, until))
    if not expected:
        with pytest.raises(DataError, match="no contract"):
            quietly(made.durations, unit="day", until=day(until), since=begin)
        return
    table = quietly(made.durations, unit="day", until=day(until), since=begin).table
    assert table.index.tolist() == [contract["id"] for contract in expected]
    for name in COMPARED:
        np.testing.assert_allclose(table[name], [float(contract[name]) for contract in expected], rtol=1e-12)
    assert table["period"].tolist() == [contract["period"] for contract in expected]
    assert [None if pd.isna(kind) else kind for kind in table["kind"]] == [contract["kind"] for contract in expected]
    quietly(made.audit, until=day(until))  # never raises


@settings(max_examples=60, deadline=None)
@given(rows=RECORDS, later=RECORDS, cutoff=st.integers(0, 400), horizon=st.integers(1, 150), data=st.data())
def test_nothing_later_than_the_cutoff_is_in_the_calibration(rows, later, cutoff, horizon, data):
    rows = [("d", 0, None, None, 5, "month", "x"), *rows]
    changed = []
    for row in rows:
        _, start, length, *rest = row
        if start > cutoff:
            continue
        if length is None or start + length > cutoff:
            length = data.draw(st.one_of(st.none(), st.integers(cutoff + 1 - start, cutoff + 300)))
        changed.append((row[0], start, length, *rest))
    seen = {row[:2] for row in changed}
    changed += [row for row in later if row[1] > cutoff and row[:2] not in seen]
    options = {**OPTIONS, "grace": "3 days"}
    one, other = (
        quietly(contracts(frame_of(each), **options).split, day(cutoff), horizon, unit="day", until=day(900))
        for each in (rows, changed)
    )
    pd.testing.assert_frame_equal(one.calibration.table, other.calibration.table)
    assert one.holdout.index.equals(other.holdout.index)
    active = one.calibration.active.table
    assert one.holdout.index.equals(active.index)
    # And the holdout is what a loop finds at its end.
    end = cutoff + horizon
    after = looped(rows, end, 3)
    for (customer, outcome), begin in zip(one.holdout.iterrows(), active["start"], strict=True):
        start = (begin.date() - day(0)).days
        theirs = [contract for contract in after if contract["id"] == customer and contract["start"] <= start]
        contract = theirs[-1]
        if contract["stale"]:
            assert outcome.drop("observed").isna().all()
            continue
        assert outcome["retained"] == 1 - contract["event"]
        assert outcome["lifetime"] == max(0, min(contract["last"], end) - cutoff)


# Splits


def test_a_split_by_hand():
    split = contracts(simple()).split("2023-03-31", "2 months", unit="day", until="2023-06-30")
    assert split.calibration.table.index.tolist() == ["active", "back", "gone", "upgraded"]
    assert split.calibration.observation_end == pd.Timestamp("2023-03-31")
    # The price of the upgrade was not known: 10 on 10 April and 10 May; the other pays on 30 April and 31 May.
    assert split.holdout.to_dict("index") == {
        "active": {"retained": 1.0, "lifetime": 61.0, "revenue": 20.0, "observed": 61.0},
        "upgraded": {"retained": 1.0, "lifetime": 61.0, "revenue": 20.0, "observed": 61.0},
    }
    assert split.new_customers.empty  # who came back is none
    assert (split.cutoff, split.holdout_end, split.horizon_days) == (
        pd.Timestamp("2023-03-31"), pd.Timestamp("2023-05-31"), 61,
    )  # fmt: skip
    assert repr(split) == (
        "Split after 2023-03-31: 4 contracts, 2 of them active; holdout of 61 days until 2023-05-31, 0 new customers "
        "kept apart"
    )


def test_who_leaves_in_the_holdout_pays_until_then():
    frame = records(
        ("a", "2023-01-15", "2023-05-15", 10.0), ("b", "2023-01-15", "2023-05-16", 10.0), ("c", "2023-05-01", None, 7.0)
    )
    split = contracts(frame).split("2023-03-31", "3 months", unit="day", until="2023-06-30")
    assert split.holdout.to_numpy().tolist() == [[0, 45, 10.0, 45], [0, 46, 20.0, 46]]
    fresh = split.new_customers
    assert fresh[["retained", "lifetime", "revenue"]].to_dict("index") == {
        "c": {"retained": 1.0, "lifetime": 60.0, "revenue": 14.0}
    }
    assert fresh["start"].tolist() == [split.holdout_end - pd.Timedelta(days=60)]


def test_periods_that_are_paid_when_they_end():
    frame = records(
        ("a", "2023-01-15", "2023-05-15", 10.0),  # four periods, the last paid on 15 May
        ("b", "2023-01-15", "2023-05-16", 10.0),  # the fifth is begun, and paid on 15 June
        ("c", "2023-01-31", "2023-02-10", 10.0),  # the first ends on 28 February
        ("d", "2023-03-31", None, 10.0),
        ("d", "2023-05-10", None, 25.0),
        ("e", "2023-05-01", None, 7.0),
    )
    made = contracts(frame, timing="end")
    assert made.durations(until="2023-02-27").table["historic_revenue"].tolist() == [10.0, 10.0, 0.0]
    assert made.durations(until="2023-05-31").table["historic_revenue"].tolist() == [40.0, 40.0, 10.0, 20.0, 0.0]
    assert made.durations(until="2023-06-30").table["historic_revenue"].tolist() == [40.0, 50.0, 10.0, 45.0, 7.0]
    split = made.split("2023-03-31", "3 months", unit="day", until="2023-06-30")
    assert split.calibration.table["historic_revenue"].tolist() == [20.0, 20.0, 10.0, 0.0]
    assert split.holdout["revenue"].tolist() == [20.0, 30.0, 30.0]
    assert split.new_customers["revenue"].tolist() == [7.0]
    with pytest.raises(ValueError, match="timing"):
        contracts(frame, timing="middle")


def test_what_came_of_a_contract_may_not_be_known():
    frame = records(
        ("a", "2023-01-01", None, "2023-05-01"),
        ("b", "2023-01-01", None, None),
        columns=["id", "start", "end", "renews"],
    )
    with pytest.warns(
        DataWarning, match="renews is before the end of the holdout, 2023-06-30, and no end stands beside"
    ):
        split = contracts(frame, renews="renews").split("2023-03-31", "91 days", until="2023-06-30")
    assert split.holdout["retained"].isna().tolist() == [True, False]


def test_who_is_known_only_until_a_renewal_is_not_in_the_holdout():
    frame = records(
        ("a", "2023-01-01", None, "2023-03-30"),
        ("b", "2023-01-01", None, "2023-12-31"),
        ("c", "2023-01-01", "2023-02-01", None),
        columns=["id", "start", "end", "renews"],
    )
    made = contracts(frame, renews="renews")
    with pytest.warns(DataWarning, match="known only until then: fits count them .* and predictions leave them out"):
        split = made.split("2023-03-31", "91 days", until="2023-06-30")
    assert split.calibration.table["event"].tolist() == [0, 0, 1]
    assert split.calibration.lost_to_follow_up.tolist() == [True, False, False]
    assert split.holdout.index.tolist() == split.calibration.active.table.index.tolist() == ["b"]
    # Within the grace of its renewal a contract is still one.
    late = contracts(frame, renews="renews", grace="1 day").durations(until="2023-03-31")
    assert not late.lost_to_follow_up.any()


def test_a_holdout_must_have_been_observed():
    made = contracts(simple())
    with pytest.raises(
        DataError, match=r"ends on 2023-05-31, but the records end on 2023-05-01: only 31 days of it.*say"
    ):
        made.split("2023-03-31", "2 months")
    with pytest.raises(
        DataError, match="cutoff 2022-12-01 is outside the data, which run from 2023-01-01 to 2023-06-30"
    ):
        made.split("2022-12-01", "1 month", until="2023-06-30")


# Published triangles, and real data


def yearly_records(survivors, cohort, last_year):
    """Contracts of one year each, begun on the first of January, as a published table tells their ends."""
    numbers = [survivors[year] for year in range(cohort, last_year + 1)]
    leave = [(cohort + age + 1, before - after) for age, (before, after) in enumerate(itertools.pairwise(numbers))]
    ends = [f"{year}-01-01" for year, count in leave for _ in range(count)] + [None] * numbers[-1]
    return pd.DataFrame({"start": f"{cohort}-01-01", "end": ends})


@pytest.mark.parametrize("case", ["case1", "case2"])
def test_a_published_triangle_is_given_back(case):
    # Fader & Hardie (2010), Marketing Science 29(1), five cohorts.
    table = pd.read_csv(shared("fader_hardie_retention/perils_2010_cohorts.csv"))
    table = table[table["case"] == case].pivot_table("n_active", "cohort_year", "calendar_year")
    parts = [yearly_records(row.dropna().astype(int), year, 2004) for year, row in table.iterrows()]
    frame = pd.concat(parts, ignore_index=True).rename_axis("id").reset_index()
    made = contracts(frame, period="year")
    triangle = made.cohorts("year", until="2004-12-31")
    assert triangle.index.year.tolist() == [2000, 2001, 2002, 2003, 2004]
    for year, row in triangle.iterrows():
        published = table.loc[year.year].dropna()
        assert row["started"] == published.iloc[0]
        np.testing.assert_allclose(row.drop("started").dropna() * row["started"], published, rtol=1e-12)
    durations = made.durations(unit="year", until="2004-12-31")
    grouped = (
        durations.table.assign(cohort=durations.table["start"].dt.year).groupby(["cohort", "renewals", "event"]).size()
    )
    cohorts = {year: row.dropna().tolist() for year, row in table.iterrows() if row.notna().sum() > 1}
    theirs = Durations.from_survivors(cohorts).table.set_index(["cohort", "renewals", "event"])["weight"]
    pd.testing.assert_series_equal(
        grouped.drop(2004).sort_index(), theirs.astype(int).sort_index(), check_names=False, check_index_type=False
    )


def test_the_age_of_a_cohort_is_known_when_all_of_it_have_reached_it():
    frame = records(
        ("a", "2023-01-01", None),
        ("b", "2023-01-31", "2023-03-31"),
        ("c", "2023-03-05", None),
        columns=["id", "start", "end"],
    )
    triangle = contracts(frame).cohorts("month", until="2023-04-29")
    assert triangle.index.astype(str).tolist() == ["2023-01", "2023-03"]
    np.testing.assert_array_equal(triangle, [[2, 1, 1, 0.5], [1, 1, 1, np.nan]])  # 30 April is b's third month
    later = contracts(frame).cohorts("month", until="2023-04-29", since="2023-01-02")
    np.testing.assert_array_equal(later, [[1, 1, 1, 0], [1, 1, 1, np.nan]])
    with pytest.raises(DataError, match="no contract starts by 2023-04-29, and since 2023-04-01"):
        contracts(frame).cohorts("month", until="2023-04-29", since="2023-04-01")


def test_two_columns_of_ids():
    frame = simple().assign(email="x@y", id=["a", "b", None, "c", "d", "d"])
    made = contracts(frame, customer=["id", "email"])
    with pytest.warns(
        DataWarning, match="1 of the ids that are taken from email stand beside another id on other lines"
    ):
        assert "x@y" in made.durations(until="2023-06-30").table.index


def test_of_records_that_begin_on_one_day_the_longest_comes_last():
    frame = records(
        ("a", "2023-01-01", "2023-02-01", 5.0), ("a", "2023-01-01", None, 3.0), ("a", "2023-01-01", "2023-03-01", 4.0)
    )
    for order in itertools.permutations(range(3)):
        table = contracts(frame.iloc[list(order)]).durations(until="2023-06-30").table
        assert table[["event", "value", "historic_revenue"]].to_numpy().tolist() == [[0, 3.0, 18.0]]


@pytest.mark.parametrize("segment", ["regular", "high-end"])
def test_the_published_retention_comes_back_from_records(segment):
    survivors = datasets.retention(segment)
    frame = yearly_records(survivors.set_axis(survivors.index + 2001), 2001, 2013).rename_axis("id").reset_index()
    made = contracts(frame, period="year").durations(unit="year", until="2013-12-31")
    theirs = Durations.from_survivors(survivors).table.set_index(["renewals", "event"])["weight"]
    grouped = made.table.groupby(["renewals", "event"]).size()
    pd.testing.assert_series_equal(grouped, theirs.astype(int).sort_index(), check_names=False)


def test_contracts_of_life_insurance():
    """29,317 policies, as their description says: 14,453 in force, 11,098 surrendered, 1,284 deaths, 2,482 others."""
    lapse = pd.read_parquet(shared("us_lapse_agent/uslapseagent.parquet"))
    cause = lapse["termination_cause"].astype(str)
    end = (lapse["issue_date"] + pd.to_timedelta(lapse["duration"] * 91.3125, unit="D")).dt.normalize()
    frame = pd.DataFrame(
        {
            "policy": range(len(lapse)),
            "start": lapse["issue_date"],
            "end": end.where(cause != "in-force"),
            "cause": cause.where(cause != "in-force"),
            "gender": lapse["gender"],
        }
    )
    named = {"customer": "policy", "start": "start", "end": "end", "cause": "cause", "attributes": ["gender"]}
    made = Subscriptions(frame, **named, period="quarter")
    durations = quietly(made.durations, unit="day", until="2010-07-31")
    assert len(durations) == 29317
    assert durations.table["cause"].value_counts().to_dict() == {"surrender": 11098, "other": 2482, "death": 1284}
    assert len(durations.active) == 14453
    ended = durations.table["event"] == 1
    whole_days = np.maximum(np.floor(lapse["duration"] * 91.3125), 0.5)
    np.testing.assert_array_equal(durations.table["duration"][ended], whole_days[ended])
    # A quarter of the calendar has 90 to 92 days, one of 365.25 / 4 days never drifts from it by more than three.
    quarters = np.maximum(np.ceil((durations.table["duration"][ended] - 3) / 91.3125), 1)
    late = durations.table["renewals"][ended] - quarters
    assert late.between(0, 1).all()
    split = quietly(made.split, "2005-12-31", "1 year", until="2010-07-31")
    in_force = (frame["start"] <= "2005-12-31") & ~(frame["end"] <= "2005-12-31")
    assert len(split.holdout) == in_force.sum()
    assert split.holdout["retained"].sum() == (in_force & ~(frame["end"] <= "2006-12-31")).sum()
    assert len(split.new_customers) == frame["start"].between("2006-01-01", "2006-12-31").sum()


def test_contracts_of_a_telephone_company():
    """7,043 customers, of whom 1,869 left, by months of tenure (sample data)."""
    telco = pd.read_csv(shared("telco_ibm/telco_customer_churn.csv.gz"))
    today = pd.Timestamp("2020-01-01")
    begin = pd.Series([today - pd.DateOffset(months=int(months)) for months in telco["tenure"]])
    frame = pd.DataFrame(
        {
            "id": telco["customerID"],
            "start": begin,
            "end": pd.Series([today] * len(telco)).where(telco["Churn"] == "Yes"),
            "price": telco["MonthlyCharges"],
            "kind": telco["Contract"],
        }
    )
    made = contracts(frame, attributes=["kind"]).durations(until="2020-01-01")
    table = made.table.loc[telco["customerID"]]
    assert table["event"].sum() == 1869
    # Who left after n months paid n; who stays has renewed n times, the last time on this very day.
    np.testing.assert_array_equal(table["renewals"], telco["tenure"])
    assert made.attributes == ("kind",)
    paid = (telco["MonthlyCharges"] * (telco["tenure"] + (telco["Churn"] == "No"))).to_numpy()
    np.testing.assert_allclose(table["historic_revenue"], paid, rtol=1e-12)


def test_prices_in_several_currencies_are_refused():
    frame = simple().assign(currency=["EUR", "USD", "EUR", "EUR", "EUR", None])
    made = contracts(frame)
    sentence = "currency, which no option names, holds EUR in 4 lines, USD in 1 line, which cannot be added up; where="
    for ask in (made.durations, lambda until: made.split("2023-03-31", "1 month", until=until)):
        with pytest.raises(DataError, match=sentence):
            ask(until="2023-06-30")
    row = made.audit("2023-06-30").table.set_index("check").loc["several currencies"]
    assert (row["level"], row["count"]) == ("error", 5)
    assert row["remark"].endswith("where={'currency': ['EUR']} picks one")
    euros = contracts(frame, where={"currency": ["EUR"]})
    assert euros.durations(until="2023-06-30").table.index.tolist() == ["active", "back", "upgraded"]
    assert "several currencies" not in euros.audit("2023-06-30").table["check"].tolist()
    # Where no price is read or none counts, nothing is added up; nor what begins after the end of observation.
    for quiet in (contracts(frame.drop(columns="price")), contracts(frame.assign(price=[10, 0, 10, 10, 10, 12]))):
        assert len(quiet.durations(until="2023-06-30")) == 5
    made.cohorts("month", until="2023-06-30")
    assert len(contracts(simple().assign(currency=[*["EUR"] * 5, "USD"])).durations(until="2023-04-30")) == 4


@pytest.mark.parametrize("ask", ["durations", "cohorts", "split"])
def test_nobody_has_observed_the_future(ask):
    made = contracts(simple())
    arguments = ("2023-03-31", "1 month") if ask == "split" else ()
    with pytest.raises(DataError, match=r"^until 2999-01-01 is after today, 2\d{3}-\d\d-\d\d, and nobody knows yet"):
        getattr(made, ask)(*arguments, until="2999-01-01")
    with pytest.raises(DataError, match="since 2999-01-01 is after the end of observation"):
        getattr(made, ask)(*arguments, until="2023-06-30", since="2999-01-01")
    row = made.audit("2999-01-01").table.set_index("check").loc["observed beyond today"]
    assert (row["level"], row["count"]) == ("error", 1)
    assert row["remark"].startswith("refused by durations(): until 2999-01-01 is after today")


def test_a_silence_at_the_end_is_told():
    days = pd.date_range("2023-01-02", periods=20, freq="7D")
    frame = pd.DataFrame({"id": range(20), "start": days, "end": [days[9], *[None] * 19]})
    made = contracts(frame)
    assert len(made.durations(until="2023-05-29")) == 20  # 14 days, twice the longest gap
    assert made.audit("2023-05-29").table.set_index("check").loc["silence at the end", "level"] == "ok"
    sentence = "no start or end is recorded in the last 15 days before 2023-05-30, though the longest gap before that "
    with pytest.warns(DataWarning, match=f"{sentence}is 7 days; everybody counts as still there: if the records end"):
        made.durations(until="2023-05-30")
    row = made.audit("2023-05-30").table.set_index("check").loc["silence at the end"]
    assert (row["level"], row["count"]) == ("warning", 15)
    assert row["remark"].startswith(sentence)


def test_years_that_look_buddhist_are_told():
    frame = simple().assign(end=["2567-02-28", *simple()["end"][1:]])
    made = contracts(frame)
    with pytest.warns(DataWarning, match=r"1 of 6 records have years that look Buddhist \(2567 is 2024: subtract 543"):
        assert made.durations(until="2023-06-30").table.loc["active", "event"] == 0
    row = made.audit("2023-06-30").table.set_index("check").loc["Buddhist years"]
    assert (row["level"], row["count"], row["examples"]) == ("warning", 1, ["active"])
    thai = frame.assign(start=[f"{int(day[:4]) + 543}{day[4:]}" for day in frame["start"]], end=None)
    with pytest.raises(
        DataError, match=r"no contract starts by today.*; correct the starts; their years look Buddhist"
    ):
        contracts(thai).durations()
    table = contracts(thai).audit().table.set_index("check")
    assert table.loc["Buddhist years", "count"] == 6
    assert table.loc["days observed", "remark"].endswith("the last start: all are in the future")
    assert table.loc["observed beyond today", "level"] == "error"


def test_years_that_nobody_means_are_told():
    frame = simple().assign(end=["9999-12-31", *simple()["end"][1:]])
    frame.loc[1, "start"] = "0203-01-01"
    made = contracts(frame)
    table = made.audit("2023-06-30").table.set_index("check")
    assert table.loc["implausible years", ["level", "count", "examples"]].tolist() == ["warning", 1, ["gone"]]
    assert table.loc["ends far in the future", ["level", "count", "examples"]].tolist() == ["note", 1, ["active"]]
    assert made.durations(until="2023-06-30").table.loc["active", "event"] == 0


@pytest.mark.parametrize(
    "mark", ["NULL", "n/a", "N/A", "NA", "None", "NaN", "-", "0000-00-00", "0000-00-00 00:00:00", "0"]
)
def test_marks_for_what_is_missing_must_be_emptied(mark):
    frame = simple().assign(end=[mark, *simple()["end"][1:]])
    with pytest.raises(DataError) as refused:
        contracts(frame).durations(until="2023-06-30")
    assert str(refused.value) == (
        f"end is not written YYYY-MM-DD in 1 of 6 records: {mark!r} (customer active); {mark!r}, if that stands for a "
        "missing date, must be emptied, or leave them out with bad_rows='drop', which takes away customers who are "
        "still there"
    )
    row = contracts(frame).audit("2023-06-30").table.set_index("check").loc["unreadable ends"]
    assert row["remark"].endswith(f"; {mark!r}, if that stands for a missing date, must be emptied")
    both = frame.assign(end=[mark, "soon", *simple()["end"][2:]])
    with pytest.raises(DataError, match="must be emptied, and the order of day and month is never guessed, so say how"):
        contracts(both).durations(until="2023-06-30")


def test_what_is_no_attribute_is_told():
    with pytest.raises(DataError, match=r"^the durations have no attribute 'kind', they have none; name the columns"):
        contracts(simple()).durations(until="2023-06-30").attribute("kind")
    with pytest.raises(
        DataError, match="'price' is named twice; each column has one part to play: give a copy of it an"
    ):
        contracts(simple(), attributes=["price"])
