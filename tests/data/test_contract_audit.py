import numpy as np
import pandas as pd
import pytest
from conftest import quietly

from clvmodels import DataError, Subscriptions

END = "2023-06-30"


def audit_of(*rows, until=END, **options):
    frame = pd.DataFrame(rows, columns=["id", "start", "end", "renews", "price", "why", "kind", "term"])
    named = {"customer": "id", "start": "start", "end": "end", "renews": "renews", "value": "price", "cause": "why"}
    return Subscriptions(frame, **(named | {"attributes": ["kind"]} | options)).audit(until)


def row(customer, start, end=None, *, renews=None, price=1.0, why=None, kind="x", term="month"):
    return (customer, start, end, renews, price, why, kind, term)


@pytest.fixture(scope="module")
def found():
    """The audit of one record of each kind, by check."""
    rows = [
        row("fine", "2023-01-01"),
        row(None, "2023-01-01"),
        row("bad start", "01.02.2023"),
        row("bad end", "2023-01-01", "soon"),
        row("bad renewal", "2023-01-01", renews="soon"),
        row("bad price", "2023-01-01", price=-1.0),
        row("backwards", "2023-02-01", "2023-01-01"),
        row("late", "2023-08-01"),
        row("overlap", "2023-01-01", "2023-05-01"),
        row("overlap", "2023-03-01", "2023-06-01", why="price"),
        row("back", "2023-01-01", "2023-02-01", why="price"),
        row("back", "2023-03-01", "2023-04-01", why="moved"),
        row("back", "2023-04-01", "2023-05-01", kind="y"),
        row("zero", "2023-02-01", "2023-02-01", why="price"),
        row("stale", "2023-01-01", renews="2023-03-01"),
        row("dear", "2023-01-01", price=None),
        row("odd", "2023-01-01", why="price"),
    ]
    audit = audit_of(*rows)
    assert audit.title == "Audit of 17 records"
    assert audit.enough
    return audit.table.set_index("check")


@pytest.mark.parametrize(
    ("check", "level", "count", "examples"),
    [
        ("records", "note", 17, []),
        ("customers", "note", 7, []),
        ("contracts", "note", 8, []),
        ("active", "note", 4, []),
        ("ended", "note", 4, []),
        ("ended: price", "note", 3, []),
        ("days observed", "note", 180, []),
        ("no customer id", "warning", 1, []),
        ("unreadable starts", "error", 1, ["'01.02.2023'"]),
        ("unreadable ends", "error", 1, ["'soon'"]),
        ("unreadable renewals", "error", 1, ["'soon'"]),
        ("unreadable prices", "error", 1, ["'-1.0'"]),
        ("end before start", "error", 1, ["backwards"]),
        ("start after the end of observation", "note", 1, ["late"]),
        ("repeated records", "ok", 0, []),
        ("overlaps", "warning", 1, ["overlap"]),
        ("continued", "note", 1, []),
        ("cause without end", "warning", 1, ["odd"]),
        ("returns", "note", 1, ["back"]),
        ("zero length", "warning", 1, ["zero"]),
        ("renews in the past", "warning", 1, ["stale"]),
        ("missing prices", "warning", 1, ["dear"]),
        ("end without cause", "note", 1, ["back"]),
        ("conflicting kind", "note", 1, ["back"]),
        ("ends after the last start", "ok", 0, []),
        ("survivors only", "ok", 0, []),
        ("enough to fit", "warning", 4, []),
    ],
)
def test_what_is_odd_is_found(found, check, level, count, examples):
    assert (found.loc[check, "level"], found.loc[check, "count"], found.loc[check, "examples"]) == (
        level, count, examples,
    )  # fmt: skip


def test_what_is_done_is_said(found):
    assert found.loc["end before start", "remark"] == (
        "refused by durations(): end or renews is before start; correct them"
    )
    assert "after 28 days: grace=" in found.loc["returns", "remark"]
    assert found.loc["days observed", "remark"] == "2023-01-01 to 2023-06-30"
    dropped = audit_of(row("a", "2023-01-01", "soon"), row("b", "2023-01-01"), bad_rows="drop").table.set_index("check")
    assert dropped.loc["unreadable ends", "level"] == "warning"
    assert dropped.loc["unreadable ends", "remark"].startswith("left out: end is not written YYYY-MM-DD; the order of")


@pytest.mark.parametrize(
    ("returns", "level", "remark"),
    [("new", "warning", "a tenure of its own"), ("first", "warning", "left out"), ("error", "error", "refused by dur")],
)
def test_returns_are_told_by_their_policy(returns, level, remark):
    rows = [row("a", "2023-01-01", "2023-02-01"), row("a", "2023-05-01")]
    table = audit_of(*rows, returns=returns).table.set_index("check")
    assert table.loc["returns", "level"] == level  # half of the contracts, where a fifth is a warning
    assert remark in table.loc["returns", "remark"]
    assert table.loc["contracts", "count"] == (2 if returns == "new" else 1)


def test_who_left_before_ends_were_recorded_is_missed():
    rng = np.random.default_rng(1)
    start = np.datetime64("2015-01-01") + rng.integers(0, 2500, 1000).astype("m8[D]")
    end = start + np.ceil(rng.exponential(700, 1000)).astype("m8[D]")
    frame = pd.DataFrame({"id": range(1000), "start": start, "end": end})
    survivors = frame[frame["end"] >= "2019-01-01"]
    tables = [
        Subscriptions(each, customer="id", start="start", end="end").audit("2022-12-31").table.set_index("check")
        for each in (frame, survivors)
    ]
    assert tables[0].loc["survivors only", "level"] == "ok"
    assert tables[1].loc["survivors only", "level"] == "warning"
    assert tables[1].loc["survivors only", "remark"].endswith("who left before is not in the records: give since=")
    made = Subscriptions(frame, customer="id", start="start", end="end")
    table = made.audit("2022-12-31", since="2022-01-01").table.set_index("check")
    assert table.loc["survivors only", ["level", "count"]].tolist() == ["ok", 0]
    gone = (frame["end"] < "2022-01-01").sum()
    assert table.loc["ended before 2022-01-01", ["level", "count"]].tolist() == ["note", gone]
    assert table.loc["contracts", "count"] == len(made.durations(until="2022-12-31", since="2022-01-01").table)
    with pytest.raises(DataError, match="since 2023-01-01 is after the end of observation"):
        made.audit("2022-12-31", since="2023-01-01")


def test_ends_that_are_known_in_advance_are_suspected():
    days = pd.date_range("2020-01-01", "2021-12-31", freq="7D")
    frame = pd.DataFrame({"id": range(len(days)), "start": days, "end": days + pd.Timedelta(days=365)})
    made = Subscriptions(frame, customer="id", start="start", end="end")
    table = made.audit().table.set_index("check")
    assert table.loc["ends after the last start", ["level", "count"]].tolist() == ["warning", 53]
    assert made.audit("2021-12-31").table.set_index("check").loc["ends after the last start", "level"] == "ok"


@pytest.mark.parametrize(
    "rows",
    [
        [row(None, "")],
        [row(None, "", price=None), row(None, " ")],
        [row("a", "soon", "soon", renews="soon", price=np.inf, term="soon")],
        [row("a", "2999-01-01")],
        [row("a", "2023-01-01", "2023-01-01")],
        [row(1, "2023-01-01", "9999-12-31"), row(1, "0001-01-01", "infinity")],
    ],
)
def test_an_audit_never_raises(rows):
    for options in ({}, {"period": "term"}, {"value_per": "term", "period": "term"}, {"grace": "1 month"}):
        for until in (END, None, "1900-01-01"):
            audit = audit_of(*rows, until=until, **options)
            assert str(audit)
            assert audit._repr_html_()


@pytest.mark.parametrize(
    ("rows", "remark"),
    [
        ([row("a", "2024-01-01")], "no contract can be used"),
        ([row("a", "2023-01-01")], "no contract has ended, so there is no churn to learn"),
    ],
)
def test_too_little_to_fit_is_said(rows, remark):
    audit = audit_of(*rows)
    assert not audit.enough
    assert audit.table.iloc[-1]["remark"] == remark


def test_the_audit_takes_what_is_known_in_advance_for_not_known():
    audit = audit_of(row("a", "2023-01-01", "2023-12-31"), row("b", "2023-01-01", "2023-05-01")).table
    assert audit.set_index("check").loc["active", "count"] == 1


def test_contracts_of_several_periods_are_counted():
    rows = [row("a", "2023-01-01"), row("b", "2023-01-01", term="quarter"), row("c", "2023-01-01", term="3 months")]
    table = audit_of(*rows, period="term").table.set_index("check")
    assert table.loc[["by the month", "by the 3 months"], "count"].tolist() == [1, 2]
    assert not audit_of(*rows).table["check"].str.startswith("by the").any()


def yearly(size=300, *, last_day=1, months=0):
    """One record per paid year, of customers who each begin on a day of the same month; ends are the last day."""
    rows = []
    for i in range(size):
        paid = 1 + i % 3  # a third leaves after one year, a third after two, a third after three
        for year in range(2018, 2018 + paid):
            begin = pd.Timestamp(year, 3, 1 + i % 28)
            rows.append((str(i), begin, begin + pd.DateOffset(years=1, months=months) - pd.Timedelta(days=last_day)))
    return pd.DataFrame(rows, columns=["id", "start", "end"])


COLUMNS = {"customer": "id", "start": "start", "end": "end", "period": "year"}


def test_ends_that_are_the_last_day_with_access():
    by_last_day, by_day_after = yearly(), yearly(last_day=0)
    contracts = Subscriptions(by_last_day, **COLUMNS, inclusive_ends=True)
    data, same = (each.durations("year", "2021-12-31") for each in (contracts, Subscriptions(by_day_after, **COLUMNS)))
    assert len(data) == 300
    pd.testing.assert_frame_equal(data.table, same.table)
    assert data.table["renewals"].tolist() == [1 + int(i) % 3 for i in data.table.index]
    # Who has access on the last day observed is a customer on it.
    assert contracts.durations("year", "2019-03-31").table["event"].sum() == 100
    assert quietly(contracts.durations, "year", "2019-02-28").table["event"].sum() == 0  # months of silence
    assert len(Subscriptions(by_last_day, **COLUMNS).durations("year", "2021-12-31")) == len(by_last_day)
    record = pd.DataFrame({"id": ["a"], "start": ["2023-01-01"], "end": ["2023-01-01"], "until": ["9999-12-31"]})
    assert Subscriptions(record, **COLUMNS, inclusive_ends=True).durations("day").table["duration"].tolist() == [1]
    endless = {**COLUMNS, "end": "until", "inclusive_ends": True}
    assert Subscriptions(record, **endless).durations("day", "2023-12-31").table["event"].tolist() == [0]
    paid = {**COLUMNS, "end": None, "renews": "end", "inclusive_ends": True}
    with pytest.warns(UserWarning, match="nothing|known only until then"):
        assert Subscriptions(record, **paid).durations("day", "2023-12-31").table["duration"].tolist() == [1]
    backwards = record.assign(end="2022-12-31")
    with pytest.raises(ValueError, match="end is before start"):
        Subscriptions(backwards, **COLUMNS, inclusive_ends=True).durations("day")


@pytest.mark.parametrize(
    ("records", "options", "count", "remark"),
    [
        (yearly(), {}, 300, "returns one day after an end; say inclusive_ends=True if"),
        (yearly().drop_duplicates("id"), {}, 300, "of the ends are on the day before a renewal day; say"),
        (yearly().head(19).drop_duplicates("id"), {}, 0, ""),  # few
        (yearly(), {"inclusive_ends": True}, 0, ""),
        (yearly(last_day=0), {}, 0, ""),
        (yearly(months=1).drop_duplicates("id"), {}, 0, ""),
        (yearly().drop_duplicates("id"), {"period": "2 days"}, 0, ""),  # any end would do
    ],
)
def test_ends_that_seem_to_be_the_last_day_are_told(records, options, count, remark):
    table = Subscriptions(records, **(COLUMNS | options)).audit("2023-12-31").table.set_index("check")
    found = table.loc["inclusive ends"]
    assert (found["level"], found["count"]) == ("warning" if count else "ok", count)
    assert remark in found["remark"]


def test_income_of_records_side_by_side_is_missed():
    rows = [
        # Two products until the end of observation; the cheaper one began last: 50 fell due on the first of six months.
        row("two", "2023-01-01", price=50.0, kind="big"),
        row("two", "2023-01-15", price=10.0, kind="small"),
        row("two", "2023-01-15", price=10.0, kind="small"),
        # An upgrade; the old record ends a day too late, on which a payment falls due.
        row("one", "2023-01-01", "2023-03-02", price=7.0),
        row("one", "2023-03-01", price=9.0),
    ]
    table = audit_of(*rows, until="2023-06-30").table.set_index("check")
    assert table.loc["repeated records", ["level", "count", "examples"]].tolist() == ["note", 1, ["two"]]
    assert table.loc["overlaps", ["level", "count"]].tolist() == ["warning", 2]
    # Counted: 50 + 5 x 10, and 2 x 7 + 4 x 9. Not counted: 5 x 50, and the 7 that overlaps on 1 March.
    remark = table.loc["overlaps", "remark"]
    assert "; 257.00 due by the others (63.1% of all, 42.83 a period) is not counted; if" in remark
    assert remark.endswith("if these are separate products, make the contract the customer")
    assert table.loc["continued", "count"] == 0


def test_an_overlap_in_which_nothing_falls_due_is_a_note():
    rows = [row("a", "2023-01-01", "2023-03-10"), row("a", "2023-03-08"), row("a", "2023-03-08")]
    table = audit_of(*rows).table.set_index("check")
    assert table.loc["overlaps", ["level", "count"]].tolist() == ["note", 1]
    assert audit_of(rows[0], rows[1], value=None).table.set_index("check").loc["overlaps", "level"] == "note"
