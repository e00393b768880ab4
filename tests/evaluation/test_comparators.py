"""The rules that a model has to beat: counted by hand, held against the splits of real logs, blind to the future."""

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv

LINES = [
    ("a", "2024-01-01", 10.0), ("a", "2024-02-01", 20.0), ("a", "2024-03-20", 30.0),
    ("b", "2024-01-10", 40.0),
    ("c", "2024-03-25", 5.0), ("c", "2024-03-28", 15.0),
    ("d", "2024-03-31", 7.0),
]  # fmt: skip
COMPARATORS = [clv.PredictZero(), clv.RepeatLastPeriod(), clv.OwnRate()]


def log_of(lines, **options):
    frame = pd.DataFrame(lines, columns=["id", "date", "value"])
    return clv.Transactions(frame, **({"customer": "id", "date": "date", "value": "value"} | options))


def predicted(model, summary, horizon="14 days"):
    return model.fit(summary).predict(horizon=horizon)


def test_nobody_buys():
    table = predicted(clv.PredictZero(), log_of(LINES).summary())
    assert not table[["expected_transactions", "expected_revenue", "clv"]].to_numpy().any()
    assert table["historic_revenue"].tolist() == [60, 40, 20, 7]


def test_the_last_period_happens_again():
    # 14 days before the end of 31 March are 18 to 31 March: two purchase days of c, her first one included.
    table = predicted(clv.RepeatLastPeriod(), log_of(LINES).summary())
    assert table["expected_transactions"].to_dict() == {"a": 1, "b": 0, "c": 2, "d": 1}
    assert table["expected_revenue"].to_dict() == {"a": 30, "b": 0, "c": 20, "d": 7}


def test_the_own_rate_continues():
    # T of a is 90 days, with 2 repeats and 60 spent on 3 days; c has 1 repeat in 6 days; b and d never came back.
    table = predicted(clv.OwnRate(), log_of(LINES).summary())
    np.testing.assert_allclose(table["expected_transactions"], [2 / 90 * 14, 0, 1 / 6 * 14, 0], rtol=1e-13)
    np.testing.assert_allclose(table["expected_revenue"], [2 / 90 * 14 * 20, 0, 1 / 6 * 14 * 10, 0], rtol=1e-13)
    assert table["expected_spend"].tolist() == [20, 40, 10, 7]


def test_the_last_period_is_counted_as_a_holdout_is():
    log = clv.Transactions(clv.datasets.cdnow(), customer="customer_id", date="date", value="amount")
    table = predicted(clv.RepeatLastPeriod(), log.summary(), "13 weeks")
    split = log.split("1998-03-31", "13 weeks")
    np.testing.assert_array_equal(table["expected_transactions"], split.holdout["transactions"])
    np.testing.assert_array_equal(table["expected_revenue"], split.holdout["revenue"])


def test_a_refund_of_an_earlier_purchase_makes_no_negative_revenue():
    lines = [*LINES, ("a", "2024-03-19", -15.0), ("a", "2024-03-21", -12.0)]
    table = predicted(clv.RepeatLastPeriod(), log_of(lines).summary())
    # The first of the refunds is of February's purchase; the second leaves 18 of the 30 spent on 20 March.
    assert table.loc["a", ["expected_transactions", "expected_revenue"]].tolist() == [1, 18]


def test_a_period_as_long_as_the_log_is_all_of_it():
    summary = log_of(LINES).summary()
    table = predicted(clv.RepeatLastPeriod(), summary, "91 days")
    assert table["expected_transactions"].tolist() == [3, 1, 2, 1]
    assert table["expected_revenue"].tolist() == [60, 40, 20, 7]
    with pytest.raises(clv.DataError, match=r"looks back 92 days.*only 91 days, 2024-01-01 to 2024-03-31; shorten"):
        predicted(clv.RepeatLastPeriod(), summary, "92 days")


def test_nobody_has_to_buy_on_the_last_day():
    table = predicted(clv.RepeatLastPeriod(), log_of(LINES).summary(until="2024-04-07"))
    assert table["expected_transactions"].tolist() == [0, 0, 2, 1]


def test_what_is_odd_is_told_once():
    log = log_of([*LINES, (None, "2024-03-22", 100.0)])
    with pytest.warns(clv.DataWarning, match="id is missing in 1 of 8 lines"):
        summary = log.summary()
    table = predicted(clv.RepeatLastPeriod(), summary)  # warnings are errors in tests
    assert table["expected_revenue"].sum() == 57


def test_the_customers_asked_about_may_be_some_of_the_log():
    summary = log_of(LINES).summary()
    some = clv.Summary(
        summary.table.loc[["c"]], "week", summary.observation_start, summary.observation_end, summary.source
    )
    for model in COMPARATORS:
        whole = model.fit(summary)
        pd.testing.assert_frame_equal(
            whole.predict(some, horizon="14 days"), whole.predict(horizon="14 days").loc[["c"]]
        )


@pytest.mark.parametrize("model", COMPARATORS, ids=str)
def test_what_comes_after_the_end_of_observation_changes_nothing(model):
    lines = clv.datasets.cdnow_sample()
    late = lines["date"] > "1997-09-30"
    changed = lines.assign(amount=lines["amount"].where(~late, -3 * lines["amount"] - 5))
    changed.loc[late, "customer_id"] = changed.loc[late, "customer_id"][::-1].to_numpy()
    more = pd.DataFrame({"customer_id": [1, 9999], "date": pd.Timestamp("1997-10-01"), "amount": 1000.0})
    tables = []
    for frame in (lines, pd.concat([changed, more]), lines[~late]):
        log = clv.Transactions(frame, customer="customer_id", date="date", value="amount")
        tables.append(predicted(model, log.summary(until="1997-09-30"), "13 weeks"))
    pd.testing.assert_frame_equal(tables[0], tables[1])
    pd.testing.assert_frame_equal(tables[0], tables[2])


@pytest.mark.parametrize("model", COMPARATORS, ids=str)
def test_the_unit_of_time_does_not_matter(model):
    log = log_of(LINES)
    weeks, days = (predicted(model, log.summary(unit=unit)) for unit in ("week", "day"))
    pd.testing.assert_frame_equal(weeks, days, rtol=1e-13)


@pytest.mark.parametrize("model", COMPARATORS, ids=str)
def test_without_values_only_transactions(model):
    table = predicted(model, log_of(LINES, value=None).summary())
    assert table.columns.tolist() == ["expected_transactions"]


@pytest.mark.parametrize("model", COMPARATORS, ids=str)
def test_no_distribution_no_interval_and_it_says_so(model):
    lines = [(*line, "web") for line in LINES]
    frame = pd.DataFrame(lines, columns=["id", "date", "value", "channel"])
    log = clv.Transactions(frame, customer="id", date="date", value="value", attributes=["channel"])
    fit = model.fit(log.summary())
    table = fit.predict(horizon="14 days", interval=0.9)
    assert table.columns[-1] == "channel"
    assert not [name for name in table if "lower" in name]
    assert any("no intervals" in note for note in table.attrs["notes"])
    assert table.attrs["horizon_end"] == "2024-04-14"
    assert fit.model.note in repr(fit)


@pytest.mark.parametrize("model", COMPARATORS, ids=str)
def test_what_it_cannot_do_is_refused_in_a_sentence(model):
    contracts = clv.Durations(pd.DataFrame({"renewals": [1, 2], "event": [1, 0]}), unit="month")
    with pytest.raises(clv.DataError, match=f"{model} counts purchases, and contracts have none"):
        model.fit(contracts)
    fit = model.fit(log_of(LINES).summary())
    with pytest.raises(ValueError, match=f"{model} predicts a horizon that ends"):
        fit.predict(horizon=None)
    with pytest.raises(ValueError, match="interval must lie strictly between 0 and 1"):
        fit.predict(horizon="14 days", interval=2)


def test_a_ready_frame_has_no_period_to_repeat():
    frame = pd.DataFrame({"frequency": [2, 0], "recency": [3.0, 0.0], "T": [4.0, 0.0]}, index=["a", "b"])
    summary = clv.Summary(frame, unit="week")
    with pytest.raises(clv.DataError, match="RepeatLastPeriod looks at the log again, and this summary has none"):
        predicted(clv.RepeatLastPeriod(), summary)
    assert predicted(clv.OwnRate(), summary, 2)["expected_transactions"].tolist() == [1, 0]
