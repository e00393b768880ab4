"""The simple formula for contracts: price / churn rate, counted by hand."""

import numpy as np
import pandas as pd
import pytest
from conftest import quietly

import clvmodels as clv
from clvmodels import ContractualCLV, ShiftedGeometric, SimpleCLV
from clvmodels.evaluation.metrics import compare

FRAME = pd.DataFrame(
    {
        "renewals": [3, 5, 2, 8, 6],
        "event": [1, 0, 1, 0, 0],
        "entry_renewals": [0, 2, 0, 0, 1],
        "value": [10.0, 20.0, 10.0, 30.0, 10.0],
        "historic_revenue": [30.0, 120.0, 20.0, 270.0, 70.0],
        "channel": ["a", "a", "b", "b", "b"],
    },
    index=pd.Index(["p", "q", "r", "s", "t"], name="id"),
)


def months(frame=FRAME, **options):
    return clv.Durations(frame, "month", attributes=["channel"], **options)


def test_churn_is_endings_by_renewals_at_risk():
    fit = SimpleCLV().fit(months())
    # Seen late are the second and the last: 3 + 3 + 2 + 8 + 5 renewals came up, and 2 were not made.
    assert fit.figures.churn_rate == pytest.approx(2 / 21, rel=1e-15)
    assert fit.figures.lifetime == pytest.approx(10.5)
    assert fit.figures.value == 16.0
    assert fit.figures.clv == pytest.approx(168.0)
    assert fit.notes == (
        "churn rate: 2 endings / 21 renewals that came up, the same at every tenure; a period is a month",
    )
    assert repr(fit).startswith("SimpleCLV(): 16.00 a period / churn rate 0.0952 = 168.00\nchurn rate: 2 endings / 21")


def test_it_is_the_shifted_geometric_of_maximum_likelihood():
    data = months()
    simple, model = SimpleCLV().fit(data), ContractualCLV(ShiftedGeometric()).fit(data, seed=1)
    assert simple.figures.churn_rate == pytest.approx(model.parameters.loc["theta", "estimate"], rel=1e-8)
    for horizon in ("1 month", "1 year", "5 years"):
        ours, theirs = simple.predict(horizon=horizon), quietly(model.predict, horizon=horizon)
        for name in ("p_retained", "expected_lifetime", "expected_revenue", "clv"):
            np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-7)
    endless, theirs = simple.predict(horizon=None), quietly(model.survival.predict, horizon=None)
    np.testing.assert_allclose(endless["expected_lifetime"], theirs["expected_lifetime"], rtol=1e-7)


def test_predictions_are_geometric_sums():
    fit = SimpleCLV().fit(months())
    stay = 1 - 2 / 21
    table = fit.predict(horizon="3 months")
    assert table.index.tolist() == ["q", "s", "t"]
    assert list(table.columns) == [
        "p_retained",
        "expected_lifetime",
        "expected_revenue",
        "historic_revenue",
        "clv",
        "channel",
    ]
    np.testing.assert_allclose(table["p_retained"], stay**3)
    np.testing.assert_allclose(table["expected_revenue"], np.array([20, 30, 10]) * (stay + stay**2 + stay**3))
    assert table["historic_revenue"].tolist() == [120, 270, 70]
    ever = fit.predict(horizon=None)
    assert "p_retained" not in ever.columns
    # The famous value / churn is what is to come and the period that is paid already.
    np.testing.assert_allclose(ever["clv"] + [20, 30, 10], np.array([20, 30, 10]) / (2 / 21))
    assert ever.attrs["horizon"] == "infinite"
    assert ever.attrs["notes"][1:] == [
        "clv is revenue: the formula knows neither margin nor discount",
        "2 of 5 contracts have ended: they are left out",
    ]


def test_endings_of_a_period_that_is_not_over_are_no_churn_yet():
    # Who left in the running month counts with those who stay in it: nobody knows yet whether they renew.
    starts = pd.to_datetime(["2023-10-15", "2023-11-20", "2023-12-10", "2023-09-01", "2023-11-01"])
    frame = FRAME.assign(start=starts, renewals=[2, 1, 1, 3, 1], event=[1, 0, 1, 0, 0], entry_renewals=0)
    fit = SimpleCLV().fit(months(frame, observation_end="2023-12-31"))
    # The first left on 15 December; the third would have renewed on 10 January, and has completed no renewal.
    assert fit.figures.churn_rate == pytest.approx(1 / (2 + 1 + 0 + 3 + 1))


def test_renewals_of_a_horizon_follow_the_calendar():
    data = months(FRAME.assign(start=pd.Timestamp("2023-01-31")), observation_end="2023-12-31")
    fit = SimpleCLV().fit(data)
    for horizon, renewals in (("30 days", 0), ("31 days", 1), ("2 months", 2), ("1 year", 12)):
        table = fit.predict(horizon=horizon)
        np.testing.assert_allclose(table["p_retained"], (1 - 2 / 21) ** renewals)


def test_segments_have_churn_of_their_own():
    fit = SimpleCLV(by="channel").fit(months())
    assert fit.summary()["churn_rate"].tolist() == [1 / 6, 1 / 15]
    assert fit.summary().index.tolist() == ["a", "b"]
    table, total = fit.predict(horizon=1), fit.total(horizon=1, by="channel", interval=0.9)
    np.testing.assert_allclose(table["p_retained"], [5 / 6, 14 / 15, 14 / 15])
    assert total["customers"].tolist() == [1, 2, 3]
    assert total["retained"].tolist() == pytest.approx([5 / 6, 28 / 15, 5 / 6 + 28 / 15])
    assert total.loc["all", "clv"] == pytest.approx(table["clv"].sum())
    assert "no intervals: the formula has no distribution" in total.attrs["notes"]
    other = months(FRAME.assign(channel=["a", "c", "b", "b", "b"]))
    with pytest.raises(clv.DataError, match="the fit has seen no channel 'c'; it has no figures for 1 customer: q"):
        fit.predict(other, horizon=1)
    with pytest.raises(clv.DataError, match="channel 'c': none of its contracts has ended: there is no churn rate"):
        SimpleCLV(by="channel").fit(other)


def test_contracts_in_time_are_at_risk_in_periods_of_time():
    frame = pd.DataFrame({"duration": [1.5, 6.0, 4.5], "entry": [0.0, 3.0, 0.0], "event": [1, 0, 0], "value": 30.0})
    fit = SimpleCLV().fit(clv.Durations(frame.assign(period="3 months"), "month"))
    assert fit.figures.churn_rate == pytest.approx(1 / 3)  # 9 months in quarters
    table = fit.predict(horizon="6 months")
    np.testing.assert_allclose(table["p_retained"], (2 / 3) ** 2)
    assert "periods of time" in fit.notes[0]


def test_weights_count_as_customers():
    data = clv.Durations.from_survivors([1000, 869, 743])
    priced = clv.Durations(data.table.assign(value=1.0), "year")
    fit = SimpleCLV().fit(priced)
    assert fit.figures.churn_rate == pytest.approx(257 / (1000 + 869))
    total = fit.total(horizon=1)
    assert total["customers"].item() == 743
    assert total["retained"].item() == pytest.approx(743 * (1 - 257 / 1869))


@pytest.mark.parametrize(
    ("frame", "sentence"),
    [
        (FRAME.drop(columns="value"), "SimpleCLV needs the column 'value', the price of one period"),
        (FRAME.assign(event=0), "none of the contracts has ended: there is no churn rate"),
        (FRAME.assign(value=np.nan), "none of the contracts has a value, the price of one period"),
        (
            FRAME.assign(period=["month", "year", "month", "month", "year"]),
            r"SimpleCLV counts renewals, and a renewal is not the same after another period: month \(3\), year \(2\)",
        ),
    ],
)
def test_contracts_that_cannot_be_valued_are_refused(frame, sentence):
    with pytest.raises(clv.DataError, match=sentence):
        SimpleCLV().fit(months(frame))


def test_figures_of_one_cause_say_what_they_assume():
    causes = months(FRAME.assign(cause=["left", None, "died", None, None]))
    with pytest.warns(clv.AssumptionWarning, match="SimpleCLV is fitted to the endings by left"):
        fit = SimpleCLV().fit(causes.for_cause("left"))
    assert fit.figures.churn_rate == pytest.approx(1 / 20)  # who died was at risk of leaving at one renewal


def test_contracts_are_compared_as_shops_are():
    frame = FRAME.assign(renewals=[3, 5, 2, 8, 6])
    data = months(frame)
    holdout = pd.DataFrame(
        {"retained": [1, 0, 1], "lifetime": [3.0, 1, 3], "revenue": [60.0, 0, 30]}, index=["q", "s", "t"]
    )
    models = {"simple": SimpleCLV(), "geometric": ContractualCLV(ShiftedGeometric())}
    tables = {name: quietly(quietly(model.fit, data).predict, horizon="3 months") for name, model in models.items()}
    table = compare(tables, holdout)
    assert table.index.get_level_values("outcome").unique().tolist() == ["retained", "lifetime", "revenue"]
    np.testing.assert_allclose(
        table.xs("simple", level="model")["predicted"], table.xs("geometric", level="model")["predicted"], rtol=1e-7
    )


def test_what_belongs_to_the_other_kind_is_refused(cdnow):
    fit = SimpleCLV().fit(months())
    with pytest.raises(clv.DataError, match="Durations are needed, not a Summary"):
        fit.predict(cdnow, horizon=1)
    with pytest.raises(
        ValueError, match=r"contracts show how long customers stay: SimpleCLV\(lifespan=\) is for shops"
    ):
        SimpleCLV(lifespan=3).fit(months())
    with pytest.raises(
        clv.DataError, match="the churn rate is that of contracts by the month, and these are by the year"
    ):
        fit.predict(months(FRAME.assign(period="year")), horizon=1)
    missing = months(FRAME.assign(value=[1, np.nan, 1, 1, 1]))
    with pytest.raises(clv.DataError, match="value, the price of one period, is missing for active 1 customer: q"):
        fit.predict(missing, horizon=1)
    with pytest.raises(clv.DataError, match="a Summary is needed, not a DataFrame"):
        SimpleCLV().fit(FRAME)


def test_a_new_customer_is_worth_the_price_by_the_churn_rate():
    data = months()
    fit, model = SimpleCLV().fit(data), ContractualCLV(ShiftedGeometric()).fit(data, seed=1)
    churn = fit.figures.churn_rate
    assert fit.new_customer(horizon=None)["clv"].item() == pytest.approx(fit.figures.clv, rel=1e-12)
    assert fit.new_customer(horizon=None, value=7)["clv"].item() == pytest.approx(7 / churn, rel=1e-12)
    # The periods that begin within it: one at the start, and no other on the last day.
    year = fit.new_customer(horizon=12, value=10)
    assert year["clv"].item() == pytest.approx(10 * (1 - (1 - churn) ** 12) / churn, rel=1e-12)
    assert year["p_retained"].item() == pytest.approx((1 - churn) ** 12, rel=1e-12)
    for horizon in (1, "1 year", 30, None):
        for first in (True, False):
            asked = {"horizon": horizon, "value": 10, "include_first_payment": first}
            ours, theirs = fit.new_customer(**asked), quietly(model.new_customer, **asked)
            for name in {"p_retained", "expected_lifetime", "expected_revenue", "clv"} & {*ours} & {*theirs}:
                np.testing.assert_allclose(ours[name], theirs[name], rtol=1e-7)
    with pytest.raises(ValueError, match="value must be the price of one period, finite and not negative; got -1"):
        fit.new_customer(horizon=None, value=-1)


def test_a_new_customer_of_a_segment_has_its_figures(tmp_path):
    fit = SimpleCLV(by="channel").fit(months())
    for label, figures in fit.figures.items():
        row = fit.new_customer(horizon=None, attributes={"channel": label})
        assert row["clv"].item() == pytest.approx(figures.clv, rel=1e-12)
    with pytest.raises(
        ValueError, match=r"each channel has figures of its own: say which .*, attributes=\{'channel': \.\.\.\}$"
    ):
        fit.new_customer(horizon=None)
    with pytest.raises(clv.DataError, match="the fit has seen no channel 'tv'"):
        fit.new_customer(horizon=None, attributes={"channel": "tv"})
