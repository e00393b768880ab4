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


# By segment

SHOPS = [
    *((*line, "web") for line in TWO_YEARS[:3]), (*TWO_YEARS[3], "store"),
    ("c", "2020-03-01", 7.0, 5, None), ("d", "2020-02-01", 8.0, 6, "web"), ("d", "2021-02-01", 9.0, 7, "web"),
]  # fmt: skip


def shop_by_channel(lines=SHOPS, until="2021-12-31"):
    frame = pd.DataFrame(lines, columns=["id", "date", "value", "order", "channel"])
    log = clv.Transactions(frame, customer="id", date="date", value="value", order="order", attributes=["channel"])
    return log.summary(until=until)


def test_the_figures_of_a_segment_are_those_of_its_customers_alone():
    summary = shop_by_channel()
    fit = SimpleCLV(lifespan=5, by="channel").fit(summary)
    assert list(fit.figures) == list(fit.transactions_per_year) == ["store", "web", "(missing)"]
    table, together = fit.predict(horizon="1 year"), fit.total(horizon="1 year", by="channel")
    for segment, figures in fit.figures.items():
        own = summary.table[summary.table["channel"].fillna("(missing)") == segment]
        some = clv.Summary(own, "week", summary.observation_start, summary.observation_end, attributes=("channel",))
        alone = SimpleCLV(lifespan=5).fit(some)
        assert figures == alone.figures
        assert fit.transactions_per_year[segment] == alone.transactions_per_year
        pd.testing.assert_frame_equal(table.loc[own.index], alone.predict(horizon="1 year"))
        total = alone.total(horizon="1 year").loc["all"]
        pd.testing.assert_series_equal(together.loc[segment], total, check_names=False)
    assert table.columns[-1] == "channel"
    assert together.index.tolist() == ["store", "web", "(missing)", "all"]
    assert together.loc["all", "clv"] == pytest.approx(table["clv"].sum())


def test_figures_of_segments_counted_by_hand():
    fit = SimpleCLV(lifespan=5, by="channel").fit(shop_by_channel())
    years = 730 / 365.25
    web = fit.figures["web"]
    assert web.average_order_value == pytest.approx((60 + 17) / 5)
    assert web.purchase_frequency == pytest.approx(5 / 2 / years)
    assert web.clv == pytest.approx(77 / 2 / years * 5)
    assert fit.transactions_per_year["web"] == pytest.approx(4 / 2 / years)


def test_the_revenue_of_the_segments_is_that_of_the_shop():
    summary = shop_by_channel()
    fit = SimpleCLV(lifespan=5, by="channel").fit(summary)
    segments, years = summary.segments("channel"), 730 / 365.25
    customers = dict(zip(segments.labels, segments.sums(np.ones(len(summary))), strict=True))
    revenue = sum(
        each.average_order_value * each.purchase_frequency * years * customers[label]
        for label, each in fit.figures.items()
    )
    assert revenue == pytest.approx(summary.table["historic_revenue"].sum(), rel=1e-12)


def test_one_segment_is_the_whole_shop():
    summary = shop_by_channel([(*line[:4], "web") for line in SHOPS])
    whole, by = SimpleCLV(lifespan=5).fit(summary), SimpleCLV(lifespan=5, by="channel").fit(summary)
    assert by.figures == {"web": whole.figures}
    pd.testing.assert_frame_equal(by.predict(horizon="1 year"), whole.predict(horizon="1 year"))
    pd.testing.assert_frame_equal(by.summary().reset_index(drop=True), whole.summary().reset_index(drop=True))
    assert (by.summary().index.name, whole.summary().index.tolist()) == ("channel", ["all"])


def test_totals_may_be_cut_another_way_than_the_figures():
    summary = shop_by_channel()
    fit = SimpleCLV(lifespan=5).fit(summary)
    parts = fit.total(horizon="1 year", by="channel")
    assert parts["customers"].tolist() == [1, 2, 1, 4]
    pd.testing.assert_frame_equal(parts.loc[["all"]].rename_axis("segment"), fit.total(horizon="1 year"))
    with pytest.raises(clv.DataError, match="the summary has no attribute 'country', it has 'channel'"):
        fit.total(horizon="1 year", by="country")


def test_a_fit_by_segment_says_its_figures():
    shown = repr(SimpleCLV(lifespan=5, by="channel").fit(shop_by_channel()))
    assert shown.startswith("SimpleCLV(lifespan=5, by='channel')\n")
    assert "store" in shown
    assert "counts orders" in shown
    assert SimpleCLV(5, "channel") == SimpleCLV(lifespan=5, by="channel") != SimpleCLV(lifespan=5)


def test_a_segment_that_the_fit_has_not_seen_is_refused():
    summary = shop_by_channel()
    known = clv.Summary(summary.table[summary.table["channel"] == "web"], "week", "2020-01-01", "2021-12-31")
    fit = SimpleCLV(lifespan=5, by="channel").fit(known)
    sentence = r"the fit has seen no channel 'store', '\(missing\)'; it has no figures for 2 customers: b, c"
    for method in (fit.predict, fit.total):
        with pytest.raises(clv.DataError, match=sentence):
            method(summary, horizon="1 year")
    assert len(fit.predict(known, horizon="1 year")) == 2


MONTHS = [(year, month) for year in range(2015, 2020) for month in range(1, 13)]


def old_shop(channel_of_once):
    lines = [("loyal", f"{year}-{month:02}-01", 10.0, 0, "web") for year, month in MONTHS]
    lines += [("left", f"2016-{month:02}-01", 10.0, 0, "web") for month in range(1, 13)]
    lines += [("gone", f"2017-{month:02}-01", 10.0, 0, "store") for month in range(1, 7)]
    lines += [("once", "2017-03-01", 10.0, 0, channel_of_once)]
    return shop_by_channel(lines, until="2019-12-31")


def test_lifespans_of_segments_are_seen_in_their_silent_customers():
    fit = SimpleCLV(by="channel").fit(old_shop("store"))
    # Gaps are months: "left" (335 days), "gone" (151 days) and "once" (0 days) are silent, "loyal" is not.
    assert fit.figures["web"].lifespan == pytest.approx(335 / 365.25)
    assert fit.figures["store"].lifespan == pytest.approx(151 / 2 / 365.25)
    assert fit.notes[1].startswith("lifespan of each channel: mean from first to last purchase of 3 customers silent")


def test_a_segment_whose_lifespan_cannot_be_seen_is_named():
    sentence = (
        "no lifespan can be seen for channel 'fax': of 1 customer 1 are silent for more than 31 days, and none of them "
        "came back; give lifespan="
    )
    with pytest.raises(clv.DataError, match=sentence):
        SimpleCLV(by="channel").fit(old_shop("fax"))


def test_segments_are_by_one_column():
    with pytest.raises(ValueError, match=r"by must be the name of one column; got \['a'\]"):
        SimpleCLV(by=["a"])
    with pytest.raises(clv.DataError, match="the summary has no attribute 'country', it has 'channel'"):
        SimpleCLV(by="country").fit(shop_by_channel())
