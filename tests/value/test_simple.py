"""The simple formula: its arithmetic, its figures on a log that can be counted by hand, its lifespan."""

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels import SimpleCLV


@pytest.mark.parametrize(
    ("given", "figure", "value"),
    [
        ({"revenue": 100_000_000, "orders": 100, "customers": 100, "years": 1, "lifespan": 1},
         "average_order_value", 1_000_000),
        ({"revenue": 1, "orders": 1000, "customers": 10, "years": 1, "lifespan": 1}, "purchase_frequency", 100),
        ({"revenue": 100 * 60, "orders": 60, "customers": 10, "years": 2, "lifespan": 12}, "clv", 3600),
        ({"revenue": 100 * 60, "orders": 60, "customers": 10, "years": 2, "lifespan": 12}, "customer_value", 300),
    ],
)  # fmt: skip
def test_the_arithmetic(given, figure, value):
    assert getattr(SimpleCLV.figures_from(**given), figure) == pytest.approx(value, rel=1e-15)


@pytest.mark.parametrize("name", ["orders", "customers", "years"])
def test_nothing_is_divided_by_zero(name):
    given = {"revenue": 1.0, "orders": 1, "customers": 1, "years": 1, "lifespan": 1} | {name: 0}
    with pytest.raises(ValueError, match=f"{name} must be a positive number; got 0"):
        SimpleCLV.figures_from(**given)


def shop(lines, **options):
    frame = pd.DataFrame(lines, columns=["id", "date", "value", "order"])
    columns = {"customer": "id", "date": "date", "value": "value"}
    return clv.Transactions(frame, **(columns | options))


TWO_YEARS = [
    ("a", "2020-01-01", 10.0, 1), ("a", "2020-01-01", 20.0, 2), ("a", "2020-07-01", 30.0, 3),
    ("b", "2021-01-01", 40.0, 4),
]  # fmt: skip


def test_figures_of_a_log_counted_by_hand():
    summary = shop(TWO_YEARS, order="order").summary(until="2021-12-31")
    fit = SimpleCLV(lifespan=5).fit(summary)
    years = 730 / 365.25
    assert fit.figures.average_order_value == 25
    assert fit.figures.purchase_frequency == pytest.approx(4 / 2 / years)
    assert fit.figures.customer_value == pytest.approx(100 / 2 / years)
    assert fit.figures.clv == pytest.approx(100 / 2 / years * 5)
    assert "counts orders" in repr(fit)
    days = SimpleCLV(lifespan=5).fit(shop(TWO_YEARS).summary(until="2021-12-31"))
    assert days.figures.average_order_value == pytest.approx(100 / 3)
    assert days.figures.customer_value == pytest.approx(fit.figures.customer_value)
    assert "counts purchase days" in repr(days)


def test_prediction_is_customer_value_times_what_is_left_of_the_horizon_and_the_lifespan():
    summary = shop(TWO_YEARS, order="order").summary(until="2021-12-31")
    fit = SimpleCLV(lifespan=2.5).fit(summary)
    table = fit.predict(horizon="1 year")
    ages = np.array([730, 364]) / 365.25
    left = np.minimum(365 / 365.25, 2.5 - ages)
    np.testing.assert_allclose(table["expected_revenue"], fit.figures.customer_value * left)
    np.testing.assert_allclose(table["expected_transactions"], 3 / 2 / (730 / 365.25) * left)  # purchase days
    np.testing.assert_allclose(table["expected_transactions"] * table["expected_spend"], table["expected_revenue"])
    assert table["historic_revenue"].tolist() == [60, 40]
    ever = fit.predict(horizon=None)
    np.testing.assert_allclose(ever["clv"], fit.figures.customer_value * (2.5 - ages))
    assert ever.attrs["horizon"] == "infinite"
    assert fit.total(horizon=None)["clv"].item() == pytest.approx(ever["clv"].sum())
    past = SimpleCLV(lifespan=0.5).fit(summary).predict(horizon="1 year")
    assert (past["clv"] == 0).all()
    total = fit.total(horizon="1 year")
    assert total["clv"].item() == pytest.approx(table["clv"].sum())
    assert total["customers"].item() == 2
    assert "no intervals" in fit.total(horizon="1 year", interval=0.9).attrs["notes"][-1]
    with pytest.raises(clv.DataError, match="a Summary is needed, not a DataFrame"):
        fit.predict(summary.table, horizon="1 year")


def test_no_distribution_no_interval_and_it_says_so():
    fit = SimpleCLV(lifespan=3).fit(shop(TWO_YEARS).summary())
    table = fit.predict(horizon="1 year", interval=0.9)
    assert not [name for name in table.columns if "lower" in name]
    assert "no intervals: the formula has no distribution" in table.attrs["notes"]


def test_lifespan_of_a_young_shop_is_a_convention_that_is_named():
    fit = SimpleCLV().fit(shop(TWO_YEARS).summary())
    assert fit.figures.lifespan == 3
    assert any("3 years by convention" in note for note in fit.notes)


def test_lifespan_of_an_old_shop_is_seen_in_those_who_fell_silent():
    lines = [("loyal", f"{year}-{month:02}-01", 10.0, 0) for year in range(2015, 2020) for month in range(1, 13)]
    lines += [("left", f"2016-{month:02}-01", 10.0, 0) for month in range(1, 13)]
    lines += [("once", "2017-03-01", 10.0, 0)]
    fit = SimpleCLV().fit(shop(lines).summary(until="2019-12-31"))
    # Gaps are months, so "left" (335 days) and "once" (0 days) are silent, "loyal" is not.
    assert fit.figures.lifespan == pytest.approx(335 / 2 / 365.25)
    assert any("2 customers silent for more than 31 days" in note for note in fit.notes)
    assert any("biased low" in note for note in fit.notes)


def test_three_years_on_the_calendar_are_three_years():
    lines = [("loyal", f"{year}-{month:02}-01", 10.0, 0) for year in range(2017, 2020) for month in range(1, 13)]
    lines += [("left", f"2017-{month:02}-01", 10.0, 0) for month in range(1, 13)]
    fit = SimpleCLV().fit(shop(lines).summary(until="2020-01-01"))
    assert fit.figures.lifespan == pytest.approx(334 / 365.25)


def test_years_are_those_of_the_log_whoever_is_looked_at():
    summary = shop(TWO_YEARS).summary(until="2021-12-31")
    some = clv.Summary(summary.table.loc[["b"]], "week", summary.observation_start, summary.observation_end)
    assert SimpleCLV(lifespan=1).fit(some).figures.purchase_frequency == pytest.approx(1 / (730 / 365.25))


def test_a_lifespan_that_cannot_be_seen_is_refused():
    lines = [("loyal", f"{year}-{month:02}-01", 10.0, 0) for year in range(2015, 2020) for month in range(1, 13)]
    summary = shop([*lines, ("once", "2017-03-01", 10.0, 0)]).summary(until="2019-12-31")
    with pytest.raises(clv.DataError, match=r"no lifespan can be seen: .* give lifespan="):
        SimpleCLV().fit(summary)
    bare = clv.Summary(summary.table, "week")
    with pytest.raises(clv.DataError, match="needs the log to find the lifespan; give lifespan="):
        SimpleCLV().fit(bare)


@pytest.mark.parametrize("lifespan", [0, -1, np.nan, "long"])
def test_a_lifespan_is_a_positive_number(lifespan):
    with pytest.raises(ValueError, match="lifespan must be a positive number of years"):
        SimpleCLV(lifespan=lifespan)


def test_a_summary_that_knows_no_revenue_or_no_time_is_refused():
    frame = pd.DataFrame({"frequency": [1], "recency": [1.0], "T": [2.0]})
    with pytest.raises(clv.DataError, match="SimpleCLV needs the column 'historic_revenue', 'n_transactions'"):
        SimpleCLV().fit(clv.Summary(frame, "week"))
    one_day = shop([("a", "2020-01-01", 10.0, 1), ("b", "2020-01-01", 10.0, 2)]).summary()
    with pytest.raises(clv.DataError, match="covers a single day"):
        SimpleCLV().fit(one_day)
