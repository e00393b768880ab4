import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest

from clvmodels import DataWarning, Transactions, datasets


def audit_of(frame, until=None, **options):
    """The audit's table, by check."""
    return audited(frame, until=until, **options).table.set_index("check")


def audited(frame, until=None, **options):
    named = {"customer": "customer_id", "date": "date", "value": "amount"}
    return Transactions(frame, **(named | options)).audit(until)


def shop(**columns):
    """Sixty customers who buy twice, a week apart, over a year."""
    ids = np.arange(60)
    first = pd.Timestamp("2024-01-01") + pd.to_timedelta(ids * 6, unit="D")
    frame = pd.DataFrame(
        {
            "customer_id": [f"c{i:02}" for i in [*ids, *ids]],
            "date": [*first, *(first + pd.Timedelta(days=7))],
            "amount": 10.0,
        }
    )
    return frame.assign(**columns)


def changed(column, values):
    """The shop with the first lines of a column replaced."""
    frame = shop().astype({"date": str}) if column == "date" else shop()
    frame[column] = [*values, *frame[column].iloc[len(values) :]]
    return frame


def test_a_good_log_has_nothing_to_say_but_its_size():
    table = audit_of(shop())
    assert set(table["level"]) == {"ok", "note"}
    assert table.loc["lines", "count"] == 120
    assert table.loc["customers", "count"] == 60
    assert table.loc["purchase days", "count"] == 120
    assert table.loc["one purchase only", "count"] == 0
    assert table.loc["days observed", "count"] == 361
    assert (
        table.loc["days observed", "remark"] == "2024-01-01 to 2024-12-27; the median gap between purchases is 7 days"
    )
    assert table.loc["enough to fit", "count"] == 60


CASES = {
    "no customer id": (
        lambda: audit_of(changed("customer_id", [None, " "])),
        ("warning", 2, 2 / 120, [], "left out, with 1.7% of the net revenue"),
    ),
    "unreadable dates": (
        lambda: audit_of(changed("date", ["03/04/2020", None, "?", ""])),
        (
            "error",
            4,
            4 / 120,
            ["''", "'03/04/2020'", "'?'"],
            "refused by summary(): date is not written YYYY-MM-DD; say how with date_format=",
        ),
    ),
    "unreadable values": (
        lambda: audit_of(changed("amount", [np.nan, np.inf]), bad_rows="drop"),
        ("warning", 2, 2 / 120, ["c00", "c01"], "left out"),
    ),
    "values that are text": (
        lambda: audit_of(changed("amount", ["$12.00", "1,5"]).astype({"amount": str})).rename(
            {"unreadable values": "values that are text"}
        ),
        (
            "error",
            2,
            2 / 120,
            ["'$12.00'", "'1,5'"],
            "refused by summary(); remove the currency sign '$' and say how numbers are written with decimal=','",
        ),
    ),
    "refunds": (
        lambda: audit_of(changed("amount", [-3.0, -4.5])),
        ("note", 2, 2 / 120, ["c00", "c01"], "taken off the purchases before them; their sum is -7.50"),
    ),
    "refunds only": (
        lambda: audit_of(changed("customer_id", ["x"]).assign(amount=[-1, *[10.0] * 119])),
        ("note", 1, 1 / 61, ["x"], "not in the summary"),
    ),
    "zero values": (
        lambda: audit_of(changed("amount", [0.0])),
        ("note", 1, 1 / 120, ["c00"], "counted as purchases"),
    ),
    "repeated lines": (
        lambda: audit_of(pd.concat([shop(), shop().head(5)])),
        ("note", 5, 5 / 125, ["c00", "c01", "c02"], "equal to another in every column; counted"),
    ),
    "merged into one day": (
        lambda: audit_of(pd.concat([shop(), shop().head(4).assign(amount=1.0)])),
        ("note", 4, 4 / 124, ["c00", "c01", "c02"], "are one purchase"),
    ),
    "dates in the future": (
        lambda: audit_of(changed("date", ["2999-01-01"])),
        ("warning", 1, 1 / 120, ["c00"], "give until="),
    ),
    "dates after the end": (
        lambda: audit_of(shop(), until="2024-12-21"),
        ("note", 1, 1 / 120, ["c59"], "left out, being after 2024-12-21"),
    ),
    "mixed time zones": (
        lambda: audit_of(changed("date", ["2024-01-01T10:00Z", "2024-01-07T10:00+02:00"])),
        ("warning", 2, 2 / 120, [], "times with a zone are turned into UTC, times without are taken as they are"),
    ),
    "conflicting channel": (
        lambda: audit_of(shop(channel=["web"] * 119 + ["shop"]), attributes=["channel"]),
        ("warning", 1, 1 / 60, ["c59"], "the earliest counts"),
    ),
}


@pytest.mark.parametrize("check", CASES)
def test_a_finding_is_counted_with_examples(check):
    action, (level, count, share, examples, remark) = CASES[check]
    row = action().loc[check]
    assert (row["level"], row["count"], row["examples"]) == (level, count, examples)
    assert row["share"] == pytest.approx(share)
    assert remark in row["remark"]


@pytest.mark.parametrize(
    ("refunds", "level", "remark"),
    [
        ("drop", "warning", "left out; their sum is -3.00"),
        ("keep", "warning", "counted as purchases"),
        ("error", "error", "refused by summary()"),
    ],
)
def test_the_policy_for_refunds_is_told(refunds, level, remark):
    row = audit_of(changed("amount", [-3.0]), refunds=refunds).loc["refunds"]
    assert (row["level"], row["count"], row["remark"]) == (level, 1, remark)


def test_orders_and_the_top_of_the_value_are_told():
    table = audit_of(shop(amount=[901.0, *[1.0] * 119], invoice=[*range(60), *range(60)]), order="invoice")
    assert table.loc["orders", "count"] == 60
    assert table.loc["top 1 % of customers", "count"] == 1
    assert table.loc["top 1 % of customers", "share"] == pytest.approx(902 / 1020)


def test_without_value_nothing_is_said_of_money():
    table = audit_of(shop(), value=None)
    assert not {"refunds", "zero values", "unreadable values", "top 1 % of customers"} & set(table.index)


def test_a_log_that_is_worth_nothing_has_no_top():
    table = audit_of(shop(amount=0.0))
    assert "top 1 % of customers" not in table.index
    assert table.loc["zero values", "share"] == 1


def test_times_that_all_carry_a_zone_are_not_mixed():
    frame = shop()
    frame["date"] = frame["date"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    frame.loc[0, ["customer_id", "date"]] = [None, "?"]
    assert audit_of(frame).loc["mixed time zones", "level"] == "ok"


# Enough to fit


def test_too_few_repeaters_are_a_warning():
    row = audit_of(shop().query("customer_id < 'c49'")).loc["enough to fit"]
    assert (row["level"], row["count"]) == ("warning", 49)
    assert "fewer than 50" in row["remark"]


def test_a_log_shorter_than_three_gaps_is_a_warning():
    frame = shop()
    frame["date"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(np.repeat([0, 10], 60), unit="D")
    row = audit_of(frame).loc["enough to fit"]
    assert (row["level"], row["remark"]) == ("warning", "customers who bought again; log shorter than 3 median gaps")


@pytest.mark.parametrize(
    ("frame", "remark"),
    [
        (shop().head(60), "nobody bought on a second day"),
        (shop(date=pd.Timestamp("2024-01-01")), "all purchases are on the last day"),
        (shop(customer_id=None), "no purchase can be used"),
        (shop(amount=-1.0), "no purchase can be used"),
        (shop(date="?"), "no purchase can be used"),
        (shop(amount=np.nan), "no purchase can be used"),
    ],
)
def test_what_cannot_be_fitted_is_an_error_but_never_raises(frame, remark):
    audit = audited(frame)
    row = audit.table.set_index("check").loc["enough to fit"]
    assert row["level"] == "error"
    assert remark in row["remark"]
    assert not audit.enough
    assert repr(audit)


# Left truncation


def test_cdnow_is_a_cohort():
    row = audit_of(datasets.cdnow()).loc["pile-up at the start"]
    assert row["level"] == "note"
    assert "all customers came by 1997-03-25: a cohort" in row["remark"]


def test_a_log_that_starts_later_than_its_customers_is_a_warning():
    # A shop of ten years of which only the last year is seen: all regulars seem to come at its start.
    generator = np.random.default_rng(1)
    born = generator.uniform(0, 3650, 2000)
    days = [np.arange(b + generator.uniform(0, 40), 3650, 40.0) for b in born]
    frame = pd.DataFrame(
        {"customer_id": np.repeat(np.arange(2000), [len(d) for d in days]), "day": np.concatenate(days)}
    )
    frame["date"] = pd.Timestamp("2015-01-01") + pd.to_timedelta(frame["day"].astype(int), unit="D")
    whole, seen = frame, frame[frame["date"] >= "2024-01-01"]
    assert audit_of(whole, value=None).loc["pile-up at the start", "level"] == "ok"
    row = audit_of(seen, value=None).loc["pile-up at the start"]
    assert row["level"] == "warning"
    assert row["share"] > 0.5


# Bad lines


def test_lost_revenue_leaves_refunds_out():
    # Without the refunds 20 of 1,190 are lost; with them it would be -480 of 690.
    frame = changed("customer_id", [None, None, None]).assign(amount=[10.0, 10.0, -500.0, *[10.0] * 117])
    assert audit_of(frame, refunds="drop").loc["no customer id", "remark"] == "left out, with 1.7% of the revenue"
    with pytest.warns(DataWarning, match=r"they hold 20.00 of revenue, 1.7% of all"):
        Transactions(frame, customer="customer_id", date="date", value="amount", refunds="drop").summary()
    assert audit_of(frame).loc["no customer id", "remark"] == "left out"


def test_lost_revenue_is_net_of_refunds_where_these_are_netted():
    frame = changed("customer_id", [None, None, None]).assign(amount=[10.0, 30.0, -20.0, *[10.0] * 117])
    assert audit_of(frame).loc["no customer id", "remark"] == "left out, with 1.7% of the net revenue"  # 20 of 1,190


def test_what_refunds_did_is_told():
    # c00 gives his first purchase back, c01 more than both of his, c02 a part.
    back = pd.DataFrame({"customer_id": ["c00", "c01", "c02"], "date": "2024-12-27", "amount": [-20.0, -25.0, -4.0]})
    back.loc[0, ["date", "amount"]] = "2024-01-02", -10.0
    table = audit_of(pd.concat([shop(), back.assign(date=pd.to_datetime(back["date"]))]))
    assert table.loc["refunds", ["level", "count", "examples"]].tolist() == ["note", 3, ["c00", "c01", "c02"]]
    full = table.loc["refunded in full"]
    assert (full["count"], full["share"], full["examples"]) == (3, 3 / 120, ["c00", "c01"])
    beyond = table.loc["refunds beyond"]
    assert (beyond["level"], beyond["count"], beyond["examples"]) == ("warning", 1, ["c01"])
    assert "gave back 5.00 more than they had bought" in beyond["remark"]
    assert table.loc["all given back", "examples"] == ["c01"]
    assert table.loc["refunds only", "count"] == 0
    assert table.loc["customers", "count"] == 59
    assert table.loc["purchase days", "count"] == 117
    assert table.loc["merged into one day", "count"] == 0


def test_a_share_that_is_none_is_not_told():
    frame = changed("customer_id", [None]).assign(amount=[-500.0, *[10.0] * 119])
    assert audit_of(frame, refunds="keep").loc["no customer id", "remark"] == "left out"


@pytest.mark.parametrize("missing", [None, "", " ", np.nan])
def test_missing_orders_are_counted_as_in_the_summary(missing):
    # An order number that two customers share is an order of each.
    frame = shop(invoice=[missing, "i1", "i1", *range(3, 120)]).astype({"invoice": object})
    log = Transactions(frame, customer="customer_id", date="date", order="invoice")
    summary = log.summary().table["n_orders"]
    assert log.audit().table.set_index("check").loc["orders", "count"] == summary.sum() == 120


def test_orders_that_are_not_numbers_are_missing():
    frame = pd.DataFrame({"customer_id": "a", "date": pd.Timestamp("2024-01-01"), "invoice": [np.nan, np.nan, 5.0]})
    for source in (frame, pl.from_pandas(frame, nan_to_null=False)):
        log = Transactions(source, customer="customer_id", date="date", order="invoice")
        assert log.summary().table["n_orders"].tolist() == [2]


def test_a_blank_attribute_is_no_value():
    frame = shop(channel=["", " ", *["web"] * 118])
    assert audit_of(frame, attributes=["channel"]).loc["conflicting channel", "count"] == 0
    log = Transactions(frame, customer="customer_id", date="date", attributes=["channel"])
    assert (log.summary().table["channel"] == "web").all()


@pytest.mark.parametrize(
    "dates", [["9999-12-31", "0001-01-01"], ["infinity", "-infinity"], ["0000-01-01", "-200-01-01"], ["epoch", "?"]]
)
def test_extreme_dates_do_not_break_the_audit(dates):
    assert repr(audited(changed("date", dates)))


def test_infinite_dates_are_unreadable():
    relation = duckdb.sql(
        "SELECT 'a' AS customer_id, CAST(d AS TIMESTAMP) AS date, 1 AS amount "
        "FROM (VALUES ('infinity'), ('-infinity'), ('12000-01-01'), ('2024-01-01')) AS v(d)"
    )
    assert audit_of(relation).loc["unreadable dates", "count"] == 3


def test_huge_values_are_not_finite():
    # Forty values of 9e25 would not fit into a sum.
    table = audit_of(changed("amount", [9e25] * 40))
    assert table.loc["unreadable values", "count"] == 40
    assert audit_of(changed("amount", [9e17] * 40)).loc["unreadable values", "count"] == 0


def test_an_end_before_the_data_observes_no_days():
    row = audit_of(shop(), until="2023-12-01").loc["days observed"]
    assert (row["count"], row["remark"]) == (0, "2023-12-01 is before the first date")


# How it looks


def test_the_text_is_plain_ascii():
    assert repr(audited(shop())).isascii()


def test_what_was_not_found_is_one_line():
    audit = audited(shop())
    last = "Nothing found: no customer id, unreadable dates, unreadable values, refunds, zero values, repeated lines,"
    assert " ".join(repr(audit).split()).count(last) == 1
    assert f"<p>{last}" in audit._repr_html_()
    assert "no customer id" in set(audit.table["check"])


def test_remarks_on_long_texts_are_short():
    text = repr(audited(shop(date="Dear customer, " * 100)))
    assert "Dear c..." in " ".join(text.split())
    assert len(text.splitlines()) < 30


def test_the_audit_is_a_table_of_eighty_columns():
    text = repr(audited(datasets.cdnow()))
    assert max(map(len, text.splitlines())) <= 80
    assert text.splitlines()[0] == "Audit of 69,659 lines"
    assert "merged into one day     2,068    3.0%" in text
    assert text == repr(audited(datasets.cdnow()))


def test_the_text_is_a_text_in_jupyter_too(monkeypatch):
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert "enough to fit" in repr(audited(shop()))


def test_html_is_escaped():
    frame = changed("amount", [0.0]).assign(**{"<b>": 1}).replace("c00", "<script>")
    shown = audited(frame, attributes=["<b>"])._repr_html_()
    assert "&lt;script&gt;" in shown
    assert "<script>" not in shown


def test_markup_in_ids_is_shown_as_it_is():
    assert "[red]c[/red]" in repr(audited(changed("amount", [0.0]).replace("c00", "[red]c[/red]")))


def test_the_audit_never_warns_or_raises_on_lines():
    frame = changed("date", ["?", None, "2024-01-01T00:00Z"]).assign(amount=[np.nan, -1, np.inf, *[1.0] * 117])
    frame.loc[50:55, "customer_id"] = None
    assert audited(frame).enough
    with pytest.warns(DataWarning):
        Transactions(frame, customer="customer_id", date="date", value="amount", bad_rows="drop").summary()
