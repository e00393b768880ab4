"""Customers older than the log: left out by the true date of acquisition, or by the pile-up at the start."""

import numpy as np
import pandas as pd
import pytest
from conftest import quietly

import clvmodels as clv
from clvmodels import DataError, DataWarning, Transactions

NAMED = {"customer": "id", "date": "date", "value": "value"}


def shop():
    """Five customers; 'old' and 'older' bought before the log began on 2024-01-01."""
    lines = [
        ("old", "2024-01-01", 5.0, "2020-05-05"),
        ("old", "2024-02-01", 5.0, "2020-05-05"),
        ("older", "2024-04-01", 7.0, "2019-01-01"),
        ("new", "2024-02-10", 3.0, "2024-02-10"),
        ("new", "2024-03-01", 4.0, None),
        ("first", "2024-01-01", 1.0, "2024-01-01"),
        ("late", "2024-05-01", 2.0, "2024-05-01"),
    ]
    frame = pd.DataFrame(lines, columns=["id", "date", "value", "since"])
    return frame.assign(date=pd.to_datetime(frame["date"]))


def test_customers_acquired_before_the_log_are_left_out_and_told():
    log = Transactions(shop(), **NAMED, acquired="since")
    with pytest.warns(DataWarning, match=r"older than the log: 2 customers with 17\.00 of revenue: old, older"):
        summary = log.summary()
    assert summary.table.index.tolist() == ["first", "late", "new"]
    assert summary.table.loc["new", "T"] == pytest.approx(81 / 7)
    row = log.audit().table.set_index("check").loc["older than the log"]
    assert (row["level"], row["count"], row["share"], row["examples"]) == ("note", 2, 2 / 5, ["old", "older"])


def test_the_date_of_acquisition_is_read_like_the_other_date():
    frame = shop().assign(date=lambda lines: lines["date"].dt.strftime("%d/%m/%Y"))
    frame["since"] = pd.to_datetime(frame["since"]).dt.strftime("%d/%m/%Y")
    log = Transactions(frame, **NAMED, acquired="since", date_format="%d/%m/%Y")
    assert quietly(log.summary).table.index.tolist() == ["first", "late", "new"]
    typed = shop().assign(since=lambda lines: pd.to_datetime(lines["since"]).dt.tz_localize("Asia/Tokyo"))
    log = Transactions(typed, **NAMED, acquired="since", timezone="Asia/Tokyo")
    assert quietly(log.summary).table.index.tolist() == ["first", "late", "new"]


def test_dates_of_acquisition_that_say_nothing_are_told():
    frame = shop()
    frame.loc[frame["id"] == "late", "since"] = "May 2024"
    log = Transactions(frame, **NAMED, acquired="since")
    with pytest.raises(DataError, match="since cannot be read as a date for 1 customer, such as 'May 2024'; correct"):
        quietly(log.summary)
    frame.loc[frame["id"] == "first", "since"] = " "
    frame.loc[frame["id"] == "new", "since"] = "2024-02-20"
    log = Transactions(frame, **NAMED, acquired="since", bad_rows="drop")
    with pytest.warns(DataWarning) as caught:
        assert log.summary().table.index.tolist() == ["first", "late", "new"]
    assert [str(warning.message) for warning in caught][:3] == [
        "since cannot be read as a date for 1 customer, such as 'May 2024'; it is taken as missing",
        "since is missing for 1 customer, who may be older than the log",
        "since is after the first purchase in the log for 1 customer; the first purchase counts",
    ]
    row = log.audit().table.set_index("check").loc["acquired unknown"]
    assert (row["level"], row["count"]) == ("warning", 3)


def test_a_day_before_the_log_leaves_nobody_out_and_does_not_lengthen_it():
    log = Transactions(shop(), **NAMED, first_seen_after="1990-01-01")
    assert log.summary().observation_start == pd.Timestamp("2024-01-01")


def test_the_pile_up_at_the_start_is_left_out():
    log = Transactions(shop(), **NAMED, first_seen_after="2024-02-01")
    with pytest.warns(DataWarning, match=r"older than the log: 2 customers with 11\.00 of revenue: first, old"):
        summary = log.summary()
    assert summary.table.index.tolist() == ["late", "new", "older"]
    assert summary.observation_start == pd.Timestamp("2024-02-02")
    assert log.audit().table.set_index("check").loc["older than the log", "examples"] == ["first", "old"]


@pytest.mark.parametrize("option", [{"acquired": "since"}, {"first_seen_after": "2024-01-31"}])
def test_who_is_left_out_is_no_new_customer_of_a_split(option):
    split = quietly(Transactions(shop(), **NAMED, **option).split, "2024-02-28", 63, unit="day")
    assert split.calibration.table.index.tolist() == (["first", "new"] if "acquired" in option else ["new"])
    assert split.holdout["transactions"].to_dict().get("new") == 1
    assert split.new_customers.index.tolist() == (["late"] if "acquired" in option else ["late", "older"])


def test_nobody_is_left():
    with pytest.raises(DataError, match="no purchase is left of 7 lines"):
        quietly(Transactions(shop(), **NAMED, first_seen_after="2024-12-31").summary)
    with pytest.raises(ValueError, match="first_seen_after must be a date"):
        Transactions(shop(), **NAMED, first_seen_after="March")


def test_leaving_older_customers_out_recovers_the_truth_and_keeping_them_does_not():
    # Five years of a shop, of which the log holds the last two.
    rng, truth = np.random.default_rng(1), {"r": 0.5, "alpha": 3.0, "a": 0.7, "b": 2.0}
    start, days, lines = pd.Timestamp("2019-01-01"), 5 * 364, []
    for customer in range(12_000):
        born = time = rng.uniform(0, days)
        rate, dropout = rng.gamma(truth["r"], 1 / truth["alpha"]) / 7, rng.beta(truth["a"], truth["b"])
        while time < days:
            lines.append((customer, time, born))
            time += rng.exponential(1 / rate) if time == born or rng.random() >= dropout else np.inf
    frame = pd.DataFrame(lines, columns=["id", "date", "since"])
    for name in ("date", "since"):
        frame[name] = start + pd.to_timedelta(np.floor(frame[name]), unit="D")
    log = frame[frame["date"] >= start + pd.Timedelta(days=3 * 364)]
    logs = {
        "naive": Transactions(log, customer="id", date="date"),
        "acquired": Transactions(log, customer="id", date="date", acquired="since"),
    }
    expected = clv.BGNBD.expected_transactions_new(104, **truth)
    found = {}
    for name, source in logs.items():
        fit = quietly(clv.BGNBD().fit, quietly(source.summary), seed=1)
        found[name] = clv.BGNBD.expected_transactions_new(104, **fit.parameters["estimate"])
    # With three seeds: -6 to +1 % for those acquired within the log, +13 to +20 % for all.
    assert found["acquired"] == pytest.approx(expected, rel=0.08)
    assert found["naive"] > 1.1 * expected
    remark = logs["naive"].audit().table.set_index("check").loc["pile-up at the start", "remark"]
    assert "give acquired= or first_seen_after=" in remark
