"""RegressionCLV: scikit-learn on an earlier window that is put together by hand here, and blind to what comes later."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingRegressor

import clvmodels as clv

END, HORIZON = pd.Timestamp("1998-03-31"), pd.Timedelta(weeks=13)


def log_of(lines, **options):
    return clv.Transactions(lines, customer="customer_id", date="date", value="amount", **options)


@pytest.fixture(scope="module")
def lines():
    return clv.datasets.cdnow_sample()


@pytest.fixture(scope="module")
def predicted(lines):
    return table_of(log_of(lines))


def table_of(log, unit="week", interval=0.9):
    summary = log.summary(unit=unit, until=END)
    return clv.RegressionCLV().fit(summary).predict(horizon=HORIZON, interval=interval)


def by_hand(lines, day):
    """The features of the customers known at the end of a day, from the lines alone."""
    days = lines[lines["date"] <= day].groupby(["customer_id", "date"])["amount"].sum().reset_index()
    found = days.groupby("customer_id").agg(n=("date", "size"), first=("date", "min"), last=("date", "max"))
    # In whole cents, as the log adds: trees tell 14.37 from 14.369999999.
    found["spent"] = days.groupby("customer_id")["amount"].sum().round(2)
    found["first_value"] = days.groupby("customer_id")["amount"].first().round(2)
    T = (day - found["first"]).dt.days
    return pd.DataFrame(
        {
            "frequency": (found["n"] - 1) / T,
            "recency": (found["last"] - found["first"]).dt.days / T,
            "historic_revenue": found["spent"] / T,
            "days_since_last": (day - found["last"]).dt.days,
            "monetary_value": (found["spent"] - found["first_value"]).round(2) / (found["n"] - 1).clip(lower=1),
            "first_value": found["first_value"],
        }
    )


def outcome_by_hand(lines, known, begin, end):
    within = lines[(lines["date"] > begin) & (lines["date"] <= end)]
    bought = within.groupby("customer_id").agg(transactions=("date", "nunique"), revenue=("amount", "sum"))
    return bought.reindex(known, fill_value=0)


@pytest.mark.parametrize("target", ["transactions", "revenue"])
def test_it_is_scikit_learn_on_the_window_before(lines, predicted, target):
    features, now = by_hand(lines, END - HORIZON), by_hand(lines, END)
    outcomes = outcome_by_hand(lines, features.index, END - HORIZON, END)[target]
    theirs = HistGradientBoostingRegressor(
        loss="poisson", learning_rate=0.05, max_leaf_nodes=8, min_samples_leaf=50, early_stopping=False
    ).fit(features, outcomes)
    np.testing.assert_allclose(predicted[f"expected_{target}"], theirs.predict(now), rtol=1e-6)  # sums of rounded steps
    # The Poisson loss makes the total of what was learnt that of the outcomes, up to the last steps.
    assert theirs.predict(features).sum() == pytest.approx(outcomes.sum(), rel=0.01)


def test_two_kinds_of_customers():
    # Half of them buy once a week, half bought once, half a year ago: in four weeks they buy 4 times, or never.
    days = pd.date_range("2024-01-01", "2024-06-30", freq="7D")
    weekly = pd.DataFrame({"customer_id": np.repeat(np.arange(200), len(days)), "date": np.tile(days, 200)})
    once = pd.DataFrame({"customer_id": np.arange(200, 400), "date": days[0]})
    log = log_of(pd.concat([weekly, once]).assign(amount=10.0))
    table = clv.RegressionCLV().fit(log.summary(until="2024-06-30")).predict(horizon="4 weeks", interval=0.9)
    buys = table.index < 200
    np.testing.assert_allclose(table.loc[buys, "expected_transactions"], 4, rtol=0.01)
    np.testing.assert_allclose(table.loc[buys, "expected_revenue"], 40, rtol=0.01)
    assert table.loc[~buys, "expected_transactions"].max() < 0.05
    assert (table.loc[buys, ["transactions_lower", "transactions_median", "transactions_upper"]] == 4).all(axis=None)
    assert not table.loc[~buys, ["transactions_median", "transactions_upper"]].any(axis=None)


def test_intervals_are_in_order_possible_and_about_right(lines, predicted):
    for name in ("transactions", "revenue"):
        lower, median, upper = (predicted[f"{name}_{end}"] for end in ("lower", "median", "upper"))
        assert ((lower >= 0) & (lower <= median) & (median <= upper)).all()
    assert (predicted["transactions_upper"] % 1 == 0).all()
    # Of the customers it learnt from: 95 % are at the upper end or below, give or take three standard errors and what
    # boosting leaves undone.
    summary = log_of(lines).summary(until=END)
    fit = clv.RegressionCLV().fit(summary)
    before = log_of(lines).summary(until=END - HORIZON)
    revenue = outcome_by_hand(lines, before.table.index, END - HORIZON, END)["revenue"]
    below = (revenue <= fit.predict(before, horizon=HORIZON, interval=0.9)["revenue_upper"]).mean()
    assert below == pytest.approx(0.95, abs=3 * np.sqrt(0.95 * 0.05 / len(revenue)) + 0.01)
    narrow = fit.predict(horizon=HORIZON, interval=0.5)
    assert (narrow["revenue_upper"] - narrow["revenue_lower"]).mean() < (
        predicted["revenue_upper"] - predicted["revenue_lower"]
    ).mean()


def test_what_comes_after_the_end_of_observation_changes_nothing(lines, predicted):
    late = lines["date"] > END
    changed = lines.assign(amount=lines["amount"].where(~late, -7 * lines["amount"] - 5))
    changed.loc[late, "customer_id"] = changed.loc[late, "customer_id"][::-1].to_numpy()
    more = pd.DataFrame({"customer_id": [1, 9999], "date": END + pd.Timedelta(days=1), "amount": 1000.0})
    for frame in (pd.concat([changed, more]), lines[~late]):
        pd.testing.assert_frame_equal(table_of(log_of(frame)), predicted)


def test_the_order_of_rows_the_names_of_customers_and_the_units_change_nothing(lines, predicted):
    mixed = lines.sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(table_of(log_of(mixed)), predicted)
    renamed = table_of(log_of(mixed.assign(customer_id=5000 - mixed["customer_id"])))
    pd.testing.assert_frame_equal(renamed.set_index(5000 - renamed.index).sort_index(), predicted, check_names=False)
    pd.testing.assert_frame_equal(table_of(log_of(lines), unit="day"), predicted)
    cents = table_of(log_of(lines.assign(amount=lines["amount"] * 128)))  # a power of two, which rounds alike
    np.testing.assert_allclose(cents["expected_revenue"], 128 * predicted["expected_revenue"], rtol=1e-9)


def test_each_horizon_is_learnt_apart_and_once(lines):
    fit = clv.RegressionCLV().fit(log_of(lines).summary(until=END))
    short, long = (fit.predict(horizon=f"{weeks} weeks") for weeks in (13, 26))
    assert long["expected_transactions"].sum() > 1.5 * short["expected_transactions"].sum()
    assert fit.window(91) is fit.window(91)
    assert "known on 1997-09-30 did in the 182 days after it" in long.attrs["notes"][0]
    pd.testing.assert_frame_equal(fit.predict(horizon="13 weeks"), short)
    assert "transactions_lower" not in short


def test_attributes_are_learnt_from_whatever_they_are():
    # Only the channel tells who buys.
    rng = np.random.default_rng(1)
    size = 400
    channel = np.array(["web", "shop", "fax", None], object)[np.arange(size) % 4]
    first = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 30, size), "D")
    about = {
        "channel": channel,
        "score": rng.random(size),
        "vip": np.arange(size) % 5 == 0,
        "price": [Decimal("1.5")] * size,
        "joined": [datetime.date(2023, 1, 1 + i % 28) for i in range(size)],
        "nothing": pd.Series([None] * size, dtype=object),
    }
    start = pd.DataFrame({"customer_id": np.arange(size), "date": first, "amount": 10.0, **about})
    again = [start.assign(date=day)[channel == "web"] for day in pd.to_datetime(["2024-03-01", "2024-04-15"])]
    log = log_of(pd.concat([start, *again]), attributes=list(about))
    fit = clv.RegressionCLV().fit(log.summary(until="2024-02-29").source.summary(until="2024-02-29"))
    summary = log.summary(until="2024-04-30")
    fit = clv.RegressionCLV().fit(summary)
    table = fit.predict(horizon="60 days")
    assert table.columns[-6:].tolist() == list(about)
    window = fit.window(60)
    assert "nothing" not in window.features
    assert window.categories["channel"] == ["fax", "shop", "web"]
    means = fit.predict(log.summary(until="2024-03-01"), horizon="60 days").groupby("channel")["expected_transactions"]
    assert means.mean()["web"] > 10 * means.mean()["fax"]
    other = summary.table.assign(channel="never seen")
    unseen = clv.Summary(other, "week", summary.observation_start, summary.observation_end, None, summary.attributes)
    assert np.isfinite(fit.predict(unseen, horizon="60 days")["expected_transactions"]).all()
    lacking = clv.Summary(other.drop(columns="channel"), "week", summary.observation_start, summary.observation_end)
    with pytest.raises(clv.DataError, match="the summary has no attribute 'channel'"):
        fit.predict(lacking, horizon="60 days")


def test_customers_of_the_last_day_have_a_prediction(lines):
    summary = log_of(lines).summary(until="1997-03-25")
    assert (summary.table["T"] == 0).any()
    table = clv.RegressionCLV().fit(summary).predict(horizon="4 weeks", interval=0.9)
    assert np.isfinite(table.to_numpy()).all()


def test_without_values_only_transactions(lines):
    log = clv.Transactions(lines, customer="customer_id", date="date")
    table = table_of(log)
    assert table.columns.tolist() == [
        "expected_transactions", "transactions_lower", "transactions_median", "transactions_upper"
    ]  # fmt: skip
    fit = clv.RegressionCLV().fit(log_of(lines).summary(until=END))
    with pytest.raises(clv.DataError, match="lack what the regression learnt from: historic_revenue, monetary_value"):
        fit.predict(log.summary(until=END), horizon=HORIZON)


def refused(lines, until, horizon, **options):
    return clv.RegressionCLV().fit(log_of(lines, **options).summary(until=until)).predict(horizon=horizon)


def test_what_it_cannot_learn_from_is_refused_in_a_sentence(lines):
    with pytest.raises(clv.DataError, match=r"looks back 274 days, as long as the horizon, but the log has only 273"):
        refused(lines, "1997-09-30", "274 days")
    with pytest.raises(clv.DataError, match=r"known on 1996-12-31 did in the 273 days after it, and there are 0"):
        refused(lines, "1997-09-30", "39 weeks")
    with pytest.raises(clv.DataError, match=r"known on 1997-01-02 did in .*, and there are 40; it needs 100: shorten"):
        refused(lines, "1997-09-30", "271 days")
    first = lines.drop_duplicates("customer_id")
    with pytest.raises(clv.DataError, match="none of the 2,357 bought anything; give a longer horizon"):
        refused(first, "1997-06-30", "8 weeks")
    back = pd.DataFrame({"customer_id": [4], "date": pd.Timestamp("1997-06-01"), "amount": -500.0})
    with pytest.raises(clv.DataError, match="1 customer spent less than nothing; read the log with refunds='net'"):
        refused(pd.concat([lines, back]), "1997-06-30", "8 weeks", refunds="keep")
    ready = clv.Summary(pd.DataFrame({"frequency": [2], "recency": [3.0], "T": [4.0]}), unit="week")
    with pytest.raises(clv.DataError, match="RegressionCLV looks at the log again, and this summary has none"):
        clv.RegressionCLV().fit(ready)
    contracts = clv.Durations(pd.DataFrame({"renewals": [1, 2], "event": [1, 0]}), unit="month")
    with pytest.raises(clv.DataError, match="RegressionCLV counts purchases, and contracts have none"):
        clv.RegressionCLV().fit(contracts)
    with pytest.raises(ValueError, match="RegressionCLV predicts a horizon that ends"):
        refused(lines, END, None)
