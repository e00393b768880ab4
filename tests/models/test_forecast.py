"""Tables and totals by segment: the same draws cut another way."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest
from conftest import quietly, simulated_shop

import clvmodels as clv
from clvmodels import BGNBD, GammaGamma, NonContractualCLV
from clvmodels.draws import BLOCK_CELLS
from clvmodels.models import forecast
from clvmodels.models.forecast import MEAN_OF

OUTCOMES = ("transactions", "revenue", "clv")


def described(summary, **columns):
    """The same customers with attributes."""
    table = summary.table.assign(**columns)
    return clv.Summary(
        table, summary.unit, summary.observation_start, summary.observation_end, attributes=tuple(columns)
    )


@pytest.fixture(scope="module")
def shop(cdnow):
    """The CDNOW sample with a channel; a hundredth of the customers have none."""
    number = np.arange(len(cdnow))
    channel = np.where(number % 3 == 0, "store", "web").astype(object)
    channel[number % 100 == 7] = None
    return described(cdnow, channel=channel)


@pytest.fixture(scope="module")
def fits(shop):
    model = NonContractualCLV(BGNBD(), GammaGamma(), margin=0.3, discount_rate=0.10)
    return {method: model.fit(shop, method=method, seed=1) for method in ("ml", "laplace")}


# The table


def test_attributes_are_the_last_columns_of_every_prediction(fits, shop):
    money = fits["ml"].predict(horizon="39 weeks", interval=0.9)
    for table in (money, fits["ml"].transactions.predict(horizon="39 weeks", interval=0.9)):
        assert table.columns[-1] == "channel"
        pd.testing.assert_series_equal(table["channel"], shop.table["channel"])
    assert list(money.columns[:-1]) == list(clv.schema.PREDICTIONS)
    assert money.attrs["margin"] == 0.3


def test_attributes_change_no_number(fits, cdnow):
    table = fits["ml"].predict(horizon="39 weeks", interval=0.9)
    pd.testing.assert_frame_equal(
        table.drop(columns="channel"), fits["ml"].predict(cdnow, horizon="39 weeks", interval=0.9)
    )


# Totals by segment


@pytest.mark.parametrize("interval_of", ["outcome", "mean"])
def test_the_row_of_all_customers_is_the_total_without_segments(fits, interval_of):
    for fit in (*fits.values(), fits["ml"].transactions):
        question = {"horizon": "39 weeks", "interval": 0.9, "interval_of": interval_of}
        total, parts = fit.total(**question), fit.total(**question, by="channel")
        assert parts.index.tolist() == ["store", "web", "(missing)", "all"]
        assert (parts.index.name, total.index.name) == ("channel", "segment")
        pd.testing.assert_frame_equal(parts.loc[["all"]].rename_axis("segment"), total)
        assert parts.attrs == total.attrs


def test_means_add_up_to_those_of_the_table(fits):
    for fit in fits.values():
        table, parts = fit.predict(horizon="39 weeks"), fit.total(horizon="39 weeks", by="channel")
        label = table["channel"].fillna("(missing)")
        for name in (MEAN_OF[outcome] for outcome in OUTCOMES):
            sums = table.groupby(label)[name].sum()
            np.testing.assert_allclose(parts[name].drop("all"), sums[parts.index[:-1]], rtol=1e-10)
            assert parts[name].drop("all").sum() == pytest.approx(parts.loc["all", name], rel=1e-12)
        assert parts["customers"].tolist() == [*label.value_counts()[parts.index[:-1]], len(table)]


def test_ends_of_intervals_of_the_mean_are_quantiles_of_sums_of_draws(fits, shop):
    fit = fits["laplace"]
    parts = fit.total(horizon="39 weeks", interval=0.9, interval_of="mean", by="channel")
    label = shop.table["channel"].fillna("(missing)").to_numpy()
    for name in OUTCOMES:
        draws = fit.draws(MEAN_OF[name], horizon="39 weeks")
        for segment in ("store", "web", "(missing)"):
            sums = np.sort(draws[:, label == segment].sum(axis=1))
            ends = parts.loc[segment, [f"{name}_lower", f"{name}_upper"]]
            np.testing.assert_allclose(ends.astype(float), sums[[49, 949]], rtol=1e-10)


def test_a_draw_of_all_customers_is_the_sum_of_that_draw_of_the_segments(fits, shop):
    fit = fits["laplace"]
    parts = fit.total(horizon="39 weeks", interval=0.9, by="channel")
    source = fit.posterior.forecast(shop, 39.0, margin=0.3, discount_rate=0.10)
    label = shop.table["channel"].fillna("(missing)").to_numpy()
    draws = {(name, segment): 0.0 for name in OUTCOMES for segment in ("store", "web", "(missing)")}
    for part, outcomes in source.outcome_blocks(source.columns, 1, "total"):
        for name, segment in draws:
            draws[name, segment] += outcomes[name][:, label[part] == segment].sum(axis=1)
    for name in OUTCOMES:
        draws[name, "all"] = sum(draws[name, segment] for segment in ("store", "web", "(missing)"))
        for segment in parts.index:
            ends = parts.loc[segment, [f"{name}_lower", f"{name}_upper"]].astype(float)
            np.testing.assert_allclose(ends, np.sort(draws[name, segment])[[49, 949]], rtol=1e-10)


def test_ends_of_intervals_do_not_add_up(fits):
    parts = fits["laplace"].total(horizon="39 weeks", interval=0.9, by="channel")
    for name in OUTCOMES:
        # Chance in one segment makes up for chance in another.
        assert parts[f"{name}_lower"].drop("all").sum() < parts.loc["all", f"{name}_lower"]
        assert parts[f"{name}_upper"].drop("all").sum() > parts.loc["all", f"{name}_upper"]


def test_the_share_beyond_the_data_of_a_segment_is_that_of_its_clv(fits):
    fit, question = fits["ml"], {"horizon": None, "discount_rate": 0.3}
    table, parts = quietly(fit.predict, **question), quietly(fit.total, **question, by="channel")
    label = table["channel"].fillna("(missing)")
    beyond = (table["clv_beyond_data"] * table["clv"]).groupby(label).sum() / table["clv"].groupby(label).sum()
    np.testing.assert_allclose(parts["clv_beyond_data"].drop("all"), beyond[parts.index[:-1]], rtol=1e-10)
    assert parts.loc["all", "clv_beyond_data"] == pytest.approx(
        np.average(parts["clv_beyond_data"].drop("all"), weights=parts["clv"].drop("all"))
    )
    assert table.columns[-1] == "channel"


def test_a_segment_is_predicted_as_if_it_were_alone(fits, shop):
    fit = fits["laplace"]
    parts = fit.total(horizon="39 weeks", interval=0.9, by="channel")
    web = clv.Summary(shop.table[shop.table["channel"] == "web"], "week", shop.observation_start, shop.observation_end)
    alone = fit.total(web, horizon="39 weeks", interval=0.9).loc["all"]
    for name in OUTCOMES:
        assert parts.loc["web", MEAN_OF[name]] == pytest.approx(alone[MEAN_OF[name]], rel=1e-10)
        # Two independent simulations of one interval: each end within four standard errors of a 5 % quantile.
        lower, upper = f"{name}_lower", f"{name}_upper"
        allowed = 4 * np.sqrt(2) * (alone[upper] - alone[lower]) / 3.29 * np.sqrt(0.05 * 0.95 / 1000) / 0.103
        assert abs(parts.loc["web", lower] - alone[lower]) < allowed
        assert abs(parts.loc["web", upper] - alone[upper]) < allowed


def test_a_segment_of_one_customer_is_that_customer(fits, cdnow):
    few = described(clv.Summary(cdnow.table.iloc[:40], "week"), person=[f"p{i:02}" for i in range(40)])
    fit = fits["laplace"]
    table = fit.predict(few, horizon=39, interval=0.9)
    parts = fit.total(few, horizon=39, interval=0.9, by="person").drop("all")
    assert (parts["customers"] == 1).all()
    assert parts.index.tolist() == table["person"].tolist()
    for name in OUTCOMES:
        np.testing.assert_allclose(parts[MEAN_OF[name]], table[MEAN_OF[name]], rtol=1e-10)
    # Two simulations of a count of 1,000 draws: an end is off by one where its probability is near 5 %.
    assert np.abs(parts["transactions_upper"].to_numpy() - table["transactions_upper"].to_numpy()).max() <= 1


def test_other_customers_have_segments_of_their_own(fits, cdnow):
    number = np.arange(300)
    others = described(
        clv.Summary(cdnow.table.iloc[:300], "week"), year=number % 2 + 2020, size=pd.Categorical(number % 3)
    )
    parts = fits["ml"].total(others, horizon=39, by="year")
    assert parts.index.tolist() == [2020, 2021, "all"]
    assert parts.loc["all", "clv"] == pytest.approx(fits["ml"].predict(others, horizon=39)["clv"].sum())
    # A column of a given summary that is no attribute makes segments, too.
    bare = clv.Summary(others.table, "week")
    pd.testing.assert_frame_equal(fits["ml"].total(bare, horizon=39, by="year"), parts)
    assert "year" not in fits["ml"].predict(bare, horizon=39)


def test_ten_thousand_segments_are_held_in_memory_as_draws_by_segments(cdnow_fit):
    customers, segments = 12_000, 10_000
    many = described(simulated_shop(seed=4, customers=customers), code=np.arange(customers) % segments)
    cdnow_fit.posterior  # noqa: B018 - not what is measured
    tracemalloc.start()
    parts = cdnow_fit.total(many, horizon=39, interval=0.9, by="code")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(parts) == segments + 1
    # Once to add up, once to sort for the quantiles, and some arrays of a block.
    assert peak < 2 * 8 * 1000 * segments + 20 * 8 * BLOCK_CELLS


def test_segments_whose_draws_do_not_fit_are_refused_in_one_sentence(fits, monkeypatch):
    monkeypatch.setattr(forecast, "SEGMENT_CELLS", 3000)
    sentence = "'channel' makes 3 segments, and with 1,000 draws there is room for the intervals of 2; choose a column"
    with pytest.raises(clv.DataError, match=sentence):
        fits["ml"].total(horizon="39 weeks", interval=0.9, by="channel")
    assert len(fits["ml"].total(horizon="39 weeks", by="channel")) == 4


@pytest.mark.parametrize(
    ("by", "sentence"),
    [
        ("chanel", "the summary has no attribute 'chanel', it has 'channel'; name the columns"),
        ("frequency", "the summary has no attribute 'frequency', it has 'channel'"),
        (["channel"], r"an attribute is the name of one column; got \['channel'\]"),
    ],
)
def test_segments_that_cannot_be_made_are_refused(fits, by, sentence):
    for fit in (fits["ml"], fits["ml"].transactions):
        with pytest.raises(ValueError, match=sentence):
            fit.total(horizon="39 weeks", by=by)


@pytest.mark.parametrize("name", ["customers", "Revenue_Upper"])
def test_segments_named_like_a_column_of_the_total_are_refused(fits, cdnow, name):
    data = clv.Summary(cdnow.table.assign(**{name: "a"}), "week")
    with pytest.raises(clv.DataError, match=f"'{name}' is the name of a column of the totals, too; rename it"):
        fits["ml"].total(data, horizon=39, by=name)
