"""Margins by customer: what a margin in a column or a mapping gives is what each margin gives alone."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from conftest import quietly, simulated_shop

import clvmodels as clv
from clvmodels import BGNBD, GammaGamma, NonContractualCLV
from clvmodels.models.rows import Rows

MARGINS = {"web": 0.3, "store": 0.25, "(missing)": 1.0}
MAPPING = {"channel": MARGINS}
QUESTION = {"horizon": 39, "interval": 0.9, "discount_rate": 0.2}


@pytest.fixture(scope="module")
def shop():
    summary = simulated_shop(seed=11, customers=900)
    channel = np.resize(np.array(["web", "store", None, "web"], object), 900)
    own = pd.Series(channel).fillna("(missing)").map(MARGINS).to_numpy()
    table = summary.table.assign(channel=channel, own=own, same=0.3, written=own.astype(str))
    return clv.Summary(table, "week", attributes=("channel", "own", "written"))


@pytest.fixture(scope="module")
def fit(shop):
    return quietly(NonContractualCLV(BGNBD(), GammaGamma()).fit, shop, method="laplace", seed=1)


def test_a_column_of_one_margin_is_the_number(fit):
    pd.testing.assert_frame_equal(fit.predict(**QUESTION, margin="same"), fit.predict(**QUESTION, margin=0.3))
    pd.testing.assert_frame_equal(
        fit.total(**QUESTION, by="channel", margin="same"), fit.total(**QUESTION, by="channel", margin=0.3)
    )


def test_a_number_makes_no_more_distinct_rows(fit, shop):
    columns = fit.forecast(shop, 39.0, margin=0.3, discount_rate=0.0).columns
    assert len(Rows.distinct(*columns).weights) == len(Rows.distinct(*columns[:-1]).weights)


@pytest.mark.parametrize("margin", [MAPPING, "own", "written"], ids=["mapping", "column", "text"])
def test_each_customer_is_worth_the_own_margin(fit, shop, margin):
    ours, plain = (
        fit.predict(horizon=39, interval=0.9, interval_of="mean", discount_rate=0.2, margin=given)
        for given in (margin, 1.0)
    )
    own = shop.table["own"]
    for name in plain.columns[:-3]:
        factor = own if name.startswith("clv") else 1.0
        np.testing.assert_allclose(ours[name] / factor, plain[name], rtol=1e-12, err_msg=name)
    np.testing.assert_allclose(fit.draws("clv", horizon=39, margin=margin)[:, 5], fit.draws("clv", horizon=39)[:, 5] * (
        own.iloc[5]), rtol=1e-12)  # fmt: skip


def test_totals_are_those_of_each_margin_on_the_same_draws(fit):
    apart = {share: fit.total(**QUESTION, by="channel", margin=share) for share in MARGINS.values()}
    for margin in (MAPPING, "own", "written"):
        total = fit.total(**QUESTION, by="channel", margin=margin)
        for segment, share in MARGINS.items():
            alone = apart[share].loc[segment].astype(float)
            np.testing.assert_allclose(total.loc[segment].astype(float), alone, rtol=1e-12)
        assert total.loc["all", "clv"] == pytest.approx(total["clv"].drop("all").sum(), rel=1e-12)


def test_the_total_of_all_weighs_each_draw_of_the_segments(fit, shop):
    margins = shop.table["own"].to_numpy()
    draws = {"weighted": 0.0, "ours": 0.0}
    plain, ours = (fit.forecast(shop, 39.0, margin=margin, discount_rate=0.2) for margin in (1.0, MAPPING))
    for part, outcomes in plain.outcome_blocks(plain.columns, 1, "total"):
        draws["weighted"] += outcomes["clv"] @ margins[part]
    for _, outcomes in ours.outcome_blocks(ours.columns, 1, "total"):
        draws["ours"] += outcomes["clv"].sum(axis=1)
    np.testing.assert_allclose(draws["ours"], draws["weighted"], rtol=1e-12)
    ends = fit.total(**QUESTION, margin=MAPPING)[["clv_lower", "clv_upper"]].iloc[0]
    np.testing.assert_allclose(ends, np.sort(draws["weighted"])[[49, 949]], rtol=1e-12)


def test_margins_hold_over_an_infinite_horizon(fit, shop):
    question = {"horizon": None, "discount_rate": 0.5, "interval": 0.9, "interval_of": "mean"}
    some = dataclasses.replace(shop, table=shop.table.head(24))
    ours, plain = (quietly(fit.predict, some, **question, margin=margin) for margin in (MAPPING, 1.0))
    for name in ("clv", "clv_lower", "clv_upper"):
        np.testing.assert_allclose(ours[name], some.table["own"] * plain[name], rtol=1e-12)
    np.testing.assert_allclose(ours["clv_beyond_data"], plain["clv_beyond_data"], rtol=1e-10)


def test_a_new_customer_has_no_attribute(shop):
    fit = quietly(NonContractualCLV(BGNBD(), GammaGamma(), margin=MAPPING).fit, shop, seed=1)
    with pytest.raises(ValueError, match="the margin depends on 'channel', which nobody knows of a new customer; give"):
        fit.new_customer(horizon=39)
    for margin in (0.3, 0.6):
        new = fit.new_customer(horizon=39, margin=margin)
        assert new["clv"].item() == pytest.approx(margin * new["expected_revenue"].item())


def test_simulated_transactions_need_no_margin(fit, shop):
    by_model = quietly(NonContractualCLV(BGNBD(), GammaGamma(), margin=MAPPING).fit, shop, method="laplace", seed=1)
    bare = clv.Summary(shop.table[["frequency", "recency", "T", "monetary_value"]], "week")
    pd.testing.assert_frame_equal(
        pd.concat(by_model.simulate_future(bare, horizon=4)), pd.concat(fit.simulate_future(bare, horizon=4))
    )


def test_intervals_of_customers_are_of_their_own_margin(fit, shop):
    # The outcome of clv at no discount is the margin times that of revenue, whatever the draws.
    table = fit.predict(horizon=39, interval=0.9, margin=MAPPING)
    for end in ("lower", "upper"):
        np.testing.assert_allclose(table[f"clv_{end}"], shop.table["own"] * table[f"revenue_{end}"], rtol=1e-12)


def test_a_margin_of_the_model_is_the_one_of_its_predictions(fit, shop):
    by_model = quietly(NonContractualCLV(BGNBD(), GammaGamma(), margin=MAPPING).fit, shop, method="laplace", seed=1)
    ours, given = by_model.predict(**QUESTION), fit.predict(**QUESTION, margin=MAPPING)
    pd.testing.assert_frame_equal(ours, given)
    assert ours.attrs["model"] != given.attrs["model"]
    # Other customers need not know the segments if a number is given.
    bare = clv.Summary(shop.table[["frequency", "recency", "T", "monetary_value"]], "week")
    assert by_model.predict(bare, horizon=39, margin=0.5)["clv"].sum() > 0
    with pytest.raises(clv.DataError, match="the summary has no attribute 'channel', it has none"):
        by_model.predict(bare, horizon=39)


def test_attrs_say_what_was_given(fit):
    for margin in (0.3, "own", MAPPING):
        told = fit.predict(horizon=39, margin=margin).attrs
        assert json.loads(json.dumps(told))["margin"] == margin
        assert not any("margin 1" in note for note in told["notes"])
    for margin in (1.0, {"channel": dict.fromkeys(MARGINS, 1)}):
        told = fit.predict(horizon=39, interval=0.9, margin=margin).attrs
        assert told["notes"] == ["margin 1: clv is discounted revenue, not profit"]


def test_a_model_keeps_its_margin_to_itself_and_says_it():
    given = {"channel": {"web": 0.3, np.int64(2): np.float32(0.25)}}
    model = NonContractualCLV(BGNBD(), GammaGamma(), margin=given)
    given["channel"]["web"] = 0.9
    same = NonContractualCLV(BGNBD(), GammaGamma(), margin={"channel": {2: 0.25, "web": 0.3}})
    assert model == same
    assert model != NonContractualCLV(BGNBD(), GammaGamma(), margin=0.3)
    assert model != NonContractualCLV(BGNBD(), GammaGamma(), margin=given)
    shown = "NonContractualCLV(BGNBD(), GammaGamma(), margin={'channel': {'web': 0.3, 2: 0.25}}, discount_rate=0)"
    assert repr(model) == shown
    assert "margin='own'" in repr(NonContractualCLV(BGNBD(), GammaGamma(), margin="own"))


def test_tables_do_not_share_the_models_margin(shop):
    fit = quietly(NonContractualCLV(BGNBD(), GammaGamma(), margin=MAPPING).fit, shop, seed=1)
    fit.predict(horizon=39).attrs["margin"]["channel"]["web"] = 0.9
    assert fit.model.margin == MAPPING


@pytest.mark.parametrize(
    ("margin", "sentence"),
    [
        (0, "margin must be a share of revenue, above 0 and at most 1, such as 0.3; got 0"),
        (30, "such as 0.3; got 30"),
        (None, "such as 0.3; got None"),
        ([0.3], r"such as 0.3; got \[0.3\]"),
        (
            MARGINS,
            r"margin as a mapping names one column and gives .* such as {'channel': {'web': 0.3, 'store': 0.25}}",
        ),
        ({}, "margin as a mapping names one column"),
        ({"channel": 0.3}, "margin as a mapping names one column"),
        ({"channel": {"web": 0.3}, "country": {"DE": 0.3}}, "margin as a mapping names one column"),
        ({"channel": {"web": 30}}, "margin of channel 'web' must be a share of revenue, .*; got 30"),
        ({"channel": {None: 0.3}}, "margin gives one to None; the values of 'channel' must be text or numbers here"),
    ],
)
def test_margins_that_are_none_are_refused(margin, sentence):
    with pytest.raises(ValueError, match=sentence):
        NonContractualCLV(BGNBD(), GammaGamma(), margin=margin)


@pytest.mark.parametrize(
    ("margin", "sentence"),
    [
        ("marge", "the summary has no attribute 'marge', it has 'channel', 'own', 'same', 'written'; name the columns"),
        ("T", "the summary has no attribute 'T'"),
        ("channel", "margin column 'channel' must hold a share of .*; it does not for 900 customers: 0, 1, 2, ..."),
        ({"country": {"DE": 0.3}}, "the summary has no attribute 'country'"),
        (
            {"channel": {"web": 0.3}},
            r"margin says nothing of channel 'store', '\(missing\)'; it is missing for 450 customers: 1, 2, 5, ...",
        ),
        ({"channel": MARGINS | {"web": 0}}, "margin of channel 'web' must be a share"),
    ],
)
def test_margins_that_customers_do_not_have_are_refused(fit, margin, sentence):
    for method in (fit.predict, fit.total):
        with pytest.raises(ValueError, match=sentence):
            method(horizon=39, margin=margin)
    with pytest.raises(ValueError, match=sentence):
        fit.draws("clv", horizon=39, margin=margin)


@pytest.mark.parametrize("value", [0.0, -0.1, 30, np.nan, np.inf, "30%", "", None])
def test_a_customer_without_a_margin_is_named(fit, shop, value):
    own = shop.table["written" if isinstance(value, str) else "own"].copy()
    own.loc[[7, 9]] = value
    data = clv.Summary(shop.table.assign(own=own), "week")
    sentence = "margin column 'own' must hold a share of revenue.*; it does not for 2 customers: 7, 9$"
    with pytest.raises(clv.DataError, match=sentence):
        fit.predict(data, horizon=39, margin="own")


def test_segments_that_nobody_belongs_to_may_have_a_margin(fit):
    more = {"channel": MARGINS | {"fax": 0.1}}
    pd.testing.assert_frame_equal(fit.predict(horizon=39, margin=more), fit.predict(horizon=39, margin=MAPPING))
