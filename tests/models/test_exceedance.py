"""Probabilities of outcomes, against exact probabilities, the intervals of the same draws, and closed forms."""

import itertools

import numpy as np
import pandas as pd
import pytest
from conftest import in_units, quietly
from scipy import stats

import clvmodels as clv
from clvmodels import BGNBD, SBG, ContractualCLV, Exponential, GammaGamma, KaplanMeier, NonContractualCLV
from clvmodels.schema import EXCEEDANCE

WEEKS = {"horizon": "39 weeks"}


def described(summary, **columns):
    """The same customers with attributes."""
    return clv.Summary(
        summary.table.assign(**columns), summary.unit, observation_end=summary.observation_end, attributes=(*columns,)
    )


@pytest.fixture(scope="module")
def shop(cdnow):
    """A third of the CDNOW sample, with a channel and the cost of keeping them."""
    few = clv.Summary(cdnow.table.iloc[::3], "week", observation_end=cdnow.observation_end)
    number = np.arange(len(few))
    return described(few, channel=np.where(number % 3 == 0, "store", "web"), cost=1.0 + number % 5)


@pytest.fixture(scope="module")
def fit(shop):
    return NonContractualCLV(BGNBD(), GammaGamma(), margin=0.3, discount_rate=0.10).fit(shop, method="laplace", seed=1)


@pytest.fixture(scope="module")
def contracts():
    """400 contracts of 14 a month, 40 at each of ten tenures that they have reached, and as many that have ended."""
    tenure = np.tile(np.arange(1.0, 11.0), 80)
    event = np.repeat([1, 0], 400)
    frame = pd.DataFrame(
        {"duration": tenure, "event": event, "value": 14.0, "plan": np.where(tenure > 5, "old", "new")}
    )
    return clv.Durations(frame.rename_axis("customer"), "month", attributes=("plan",))


@pytest.fixture(scope="module")
def stays(contracts):
    return ContractualCLV(Exponential(), margin=0.3).fit(contracts, method="laplace", seed=1)


# Against what is known exactly


def test_to_exceed_no_purchase_is_to_purchase(fit):
    found = fit.transactions.exceedance(0, **WEEKS)["p_above"].to_numpy()
    exact = fit.transactions.draws("p_purchase", **WEEKS)
    error = np.sqrt((exact * (1 - exact)).mean(axis=0) / len(exact))
    # Equal rows share their draws: about 400 apart, of which one in 17,000 is out by four and a half standard errors.
    assert (np.abs(found - exact.mean(axis=0)) < 4.5 * error + 1e-12).all()
    pd.testing.assert_frame_equal(
        fit.exceedance(0, quantity="transactions", **WEEKS)[["threshold"]],
        fit.transactions.exceedance(0, **WEEKS)[["threshold"]],
    )


def test_lifetimes_of_constant_churn_have_the_closed_form(stays):
    # Without memory: P(L > c) = exp(-c / scale), E max(c - L, 0) = c - scale (1 - exp(-c / scale)).
    scale, c, horizon = stays.survival.parameter_draws["scale"], 4.0, 12.0
    within = lambda t: scale * -np.expm1(-t / scale)  # noqa: E731
    found = stays.survival.exceedance(c, horizon=horizon)
    assert len(found) == 400
    sums = stays.survival.exceedance({"all": 400 * c}, horizon=horizon)
    # All active contracts are alike, and share 1,000 draws.
    row = found.drop_duplicates()
    for name, exact, spread in (
        ("p_above", np.exp(-c / scale).mean(), 0.5),
        ("expected_loss", (c - within(c)).mean(), c / 2),
        ("expected_forgone", (within(horizon) - within(c)).mean(), (horizon - c) / 2),
    ):
        assert np.abs(row[name] - exact).max() < 4.5 * spread / np.sqrt(1000), name
    # The mean of the total is as exact as the parameters of the draws allow.
    total = sums["expected_forgone"].item() - sums["expected_loss"].item() + 400 * c
    assert total == pytest.approx(400 * within(horizon).mean(), rel=4 * 0.09 / np.sqrt(1000))


def test_how_many_stay_is_a_mixture_of_binomials():
    survivors = clv.Durations.from_survivors(clv.datasets.retention("high-end")[:8])
    fit = SBG().fit(survivors, method="laplace", seed=1)
    stay = fit.draws("p_retained", horizon="2 years")[:, 0]
    active = 491  # of 1,000 after seven years, each a row of weight 491
    for limit in (425, 435, 445):
        exact = stats.binom.sf(limit, active, stay).mean()
        found = fit.exceedance({"all": limit}, horizon="2 years", quantity="retained")
        assert found["customers"].item() == active
        assert abs(found["p_above"].item() - exact) < 4 * np.sqrt(exact * (1 - exact) / 1000)
    alone = fit.exceedance(0.5, horizon="2 years", quantity="retained")["p_above"].item()
    assert abs(alone - stay.mean()) < 4 * 0.5 / np.sqrt(1000)


# Against the same draws, to the last one


def test_ends_of_intervals_leave_out_what_they_promise(fit, shop):
    table = fit.predict(interval=0.9, **WEEKS)
    for quantity in ("transactions", "revenue", "clv"):
        ends = described(shop, low=table[f"{quantity}_lower"], high=table[f"{quantity}_upper"])
        above = fit.exceedance("high", ends, quantity=quantity, **WEEKS)["p_above"]
        assert (above <= 0.05).all()
        # Quantiles by the inverse distribution function: the least value that at most 50 of 1,000 draws exceed. Of what
        # has no atoms it leaves exactly 50.
        many = table["p_purchase"] > 0.6
        if quantity != "transactions":
            assert (above[many] == 0.05).all()
        assert (fit.exceedance("low", ends, quantity=quantity, **WEEKS)["p_above"] <= 0.95).all()


def test_a_column_of_thresholds_holds_the_draws_that_a_number_does(fit, shop):
    # Customers of equal history and other thresholds share their draws: those whose intervals `predict` gives.
    own = fit.exceedance("cost", **WEEKS)
    for cost in range(1, 6):
        some = (shop.table["cost"] == cost).to_numpy()
        pd.testing.assert_frame_equal(own[some], fit.exceedance(cost, **WEEKS)[some])


def test_segments_are_sums_of_outcome_draws_against_sums_of_thresholds(fit, shop):
    parts = fit.exceedance("cost", by="channel", **WEEKS)
    draws = np.concatenate([block["clv"] for _, block in fit.outcome_draws(**WEEKS)], axis=1)
    for segment in ("store", "web", "all"):
        members = np.full(len(shop), True) if segment == "all" else (shop.table["channel"] == segment).to_numpy()
        over = draws[:, members].sum(axis=1) - shop.table["cost"][members].sum()
        row = parts.loc[segment]
        assert row["customers"] == members.sum()
        assert row["threshold"] == shop.table["cost"][members].sum()
        assert row["p_above"] == (over > 0).mean()
        assert row["expected_loss"] == pytest.approx(np.maximum(-over, 0).mean(), rel=1e-10)
        assert row["expected_forgone"] == pytest.approx(np.maximum(over, 0).mean(), rel=1e-10)
    assert parts.index.tolist() == ["store", "web", "all"]


def test_totals_are_held_against_numbers_of_their_own(fit):
    total = fit.total(by="channel", interval=0.9, **WEEKS)
    ends = total["revenue_upper"].to_dict()
    every = fit.exceedance(ends, by="channel", quantity="revenue", **WEEKS)
    assert (every["p_above"] == 0.05).all()
    some = fit.exceedance({"all": ends["all"], "web": ends["web"]}, by="channel", quantity="revenue", **WEEKS)
    pd.testing.assert_frame_equal(some, every.loc[["web", "all"]])
    one = fit.exceedance({"all": ends["all"]}, quantity="revenue", **WEEKS)
    pd.testing.assert_frame_equal(one, every.loc[["all"]].rename_axis("segment"))


def test_losses_differ_by_the_mean_less_the_threshold(fit):
    table, found = fit.predict(**WEEKS), fit.exceedance(3, **WEEKS)
    assert list(found.columns) == list(EXCEEDANCE)
    simulated = found["expected_forgone"] - found["expected_loss"] + 3
    spread = fit.total(interval=0.9, **WEEKS).pipe(lambda f: f["clv_upper"] - f["clv_lower"]).item() / 3.29
    # Sums over distinct rows, which share draws: more noise than in a total, by the square root of how many are alike.
    alike = table.groupby(list(table.columns)).size()
    assert abs(simulated.sum() - table["clv"].sum()) < 4 * spread * np.sqrt(alike.max() / 1000)
    # Who is worth paying for is who brings more on average, and not only who probably brings more.
    pays, probably = found["expected_loss"] < found["expected_forgone"], found["p_above"] > 0.5
    assert (pays == (simulated > 3)).all()
    assert (probably & ~pays).sum() == 0 < (pays & ~probably).sum()


def test_a_higher_threshold_is_exceeded_less_and_an_own_one_is_that_number(fit, shop):
    levels = [fit.exceedance(c, **WEEKS) for c in (0, 1, 5, 20)]
    for low, high in itertools.pairwise(levels):
        assert (low["p_above"] >= high["p_above"]).all()
        assert (low["expected_loss"] <= high["expected_loss"]).all()
        assert (low["expected_forgone"] >= high["expected_forgone"]).all()
    same = described(shop, five=5)
    pd.testing.assert_frame_equal(fit.exceedance("five", same, **WEEKS), levels[2])


def test_money_scales_with_its_unit(fit, shop):
    # Ten times the price is ten times the threshold: the draws of the parameters scale, too.
    dear = described(in_units(shop, unit="week", money=10.0), channel=shop.table["channel"])
    other = fit.model.fit(dear, method="laplace", seed=1)
    found, base = other.exceedance(30, **WEEKS), fit.exceedance(3, **WEEKS)
    np.testing.assert_allclose(found["p_above"], base["p_above"], atol=0.002)  # a draw or two by rounding
    np.testing.assert_allclose(found["expected_forgone"], 10 * base["expected_forgone"], rtol=1e-4, atol=1e-3)


# Edges


def test_equal_to_the_threshold_is_not_above_it_whatever_the_rounding(stays):
    # Three payments of 14 at a margin of 0.3 are 12.60, and a little more in binary.
    assert 0.3 * 14 * 3 > 12.6
    three = stays.exceedance(12.6, horizon="3 months")
    assert (three["p_above"] == 0).all()
    assert (three["expected_loss"] > 0).all()
    assert (stays.exceedance(12.59, horizon="3 months")["p_above"] > 0.5).all()


def test_without_end_the_value_is_that_of_the_prediction(fit, shop):
    few = clv.Summary(shop.table.iloc[:50], "week", observation_end=shop.observation_end)
    found = fit.exceedance({"all": 0}, few, horizon=None, discount_rate=0.3)
    table = quietly(fit.total, few, horizon=None, discount_rate=0.3, interval=0.9)
    assert found["p_above"].item() == 1
    error = (table["clv_upper"] - table["clv_lower"]).item() / 3.29 / np.sqrt(1000)
    # Outcomes end where a value is discounted to a thousandth of itself.
    assert abs(found["expected_forgone"].item() - table["clv"].item()) < 4 * error + 0.001 * table["clv"].item()
    assert found.attrs["horizon"] == "infinite"
    assert "a part of the clv lies more than 272 days ahead" in found.attrs["notes"][-1]


def test_nothing_is_said_beyond_what_a_curve_speaks_of(contracts):
    fit = ContractualCLV(KaplanMeier(), margin=0.3).fit(contracts, seed=1)
    with pytest.warns(clv.AssumptionWarning, match="reaches beyond a tenure of 10 months"):
        found = fit.exceedance(0.5, horizon="3 months", quantity="retained")
    assert found["restricted"].equals(found["p_above"].isna())
    assert found["restricted"].sum() == (contracts.active.table["duration"] + 3 > 10).sum() > 0
    segments = quietly(fit.exceedance, 0.5, horizon="3 months", quantity="retained", by="plan")
    assert segments["p_above"].isna().tolist() == [False, True, True]
    assert segments.loc["new", "restricted"] == 0 < segments.loc["old", "restricted"]


def test_attrs_say_what_was_asked(shop):
    fit = quietly(BGNBD().fit, shop, seed=3)
    found = fit.exceedance(1, horizon="13 weeks")
    expected = {"method": "ml", "horizon": "13 weeks", "quantity": "transactions", "seed": 3, "unit": "week"}
    assert expected.items() <= found.attrs.items()
    assert found.attrs["notes"][-1] == "probabilities: draws of the parameters from the Laplace approximation"
    assert found.index.equals(shop.table.index)
    pd.testing.assert_frame_equal(fit.exceedance(1, horizon="13 weeks"), found)
    assert not fit.exceedance(1, horizon="13 weeks", seed=4).equals(found)
    # An ml fit has one draw of the parameters; what is simulated has those of its posterior.
    pd.testing.assert_frame_equal(fit.posterior.exceedance(1, horizon="13 weeks"), found)


def test_a_row_that_stands_for_many_has_as_many_thresholds(stays):
    frame = pd.DataFrame({"duration": 5.0, "event": 0, "value": 14.0, "plan": ["a", "b"], "weight": [300.0, 2.0]})
    data = clv.Durations(frame.rename_axis("customer"), "month", attributes=("plan",))
    found = stays.exceedance(20, data, horizon="6 months", by="plan")
    assert found["customers"].tolist() == [300, 2, 302]
    assert found["threshold"].tolist() == [6000, 40, 6040]
    # Some 4.6 payments of 4.20 each: the many are surely between 15 and 25 on average, and the two not.
    assert stays.exceedance(15, data, horizon="6 months", by="plan")["p_above"].loc["a"] == 1
    assert stays.exceedance(25, data, horizon="6 months", by="plan")["p_above"].loc["a"] == 0
    assert 0.1 < found["p_above"].loc["b"] < 0.9


@pytest.mark.parametrize(
    ("threshold", "options", "sentence"),
    [
        (np.nan, {}, "threshold must be a finite number, the name of a column"),
        (True, {}, "threshold must be a finite number"),
        ([1, 2], {}, "threshold must be a finite number"),
        ("price", {}, "the summary has no attribute 'price', it has 'channel', 'cost', 'gap'"),
        ("gap", {}, "the threshold 'gap' must be a finite number for every customer; it is not for 1 customer: 4"),
        (
            "channel",
            {},
            "the threshold 'channel' must be a finite number for every customer; it is not for 786 customers",
        ),
        ({}, {}, "threshold names no row of the totals; give one at least"),
        (pd.Series([1.0]), {}, r"or a mapping such as \{'all': 10_000\}; got 0 "),
        ({"all": None}, {}, "threshold of 'all' must be a finite number"),
        ({"shop": 1}, {"by": "channel"}, "there is no total of 'shop'; there are 'store', 'web', 'all'"),
        ({"web": 1}, {}, "there is no total of 'web'; there are 'all'"),
        (1, {"quantity": "profit"}, "outcomes of 'profit' are not known here; choose one of 'transactions', 'revenue'"),
        (1, {"by": "region"}, "the summary has no attribute 'region'"),
        (1, {"horizon": None, "discount_rate": 0}, "without discounting no simulation reaches the end of an infinite"),
        (1, {"horizon": None, "quantity": "revenue"}, "outcomes of 'revenue' are not known here; choose one of 'clv'"),
        (1, {"seed": -1}, "seed must be a whole number"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_a_sentence(fit, shop, threshold, options, sentence):
    gap = np.where(np.arange(len(shop)) == 1, np.nan, 1.0)
    data = described(shop, gap=gap)
    with pytest.raises(ValueError, match=sentence):
        fit.exceedance(threshold, data, **{**WEEKS, **options})


def test_a_model_without_money_or_without_data_says_so(fit):
    with pytest.raises(
        ValueError, match="without discounting no simulation reaches the end of an infinite horizon; give a finite"
    ):
        fit.transactions.exceedance(0, horizon=None)
    with pytest.raises(AttributeError, match=r"use fit = model\.fit"):
        fit.model.exceedance(0, horizon="1 year")
