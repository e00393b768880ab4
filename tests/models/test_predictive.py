"""Predictive checks: hand-made statistics, data of the model that pass, data of others that do not, wild priors."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import in_units, quietly, simulated_contracts, simulated_shop
from scipy import stats

import clvmodels as clv
from clvmodels.models import predictive
from clvmodels.models.survival.checks import follow_up, share_left
from clvmodels.models.transactions.weeks import actual_by_week, simulated_by_week, weeks_observed

MODELS = {
    clv.BGNBD: {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426},
    clv.MBGNBD: {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614},
    clv.ParetoNBD: {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669},
}


def log_of(days):
    """A log from the days since 1997-01-01 on which each customer bought."""
    lines = [(customer, day) for customer, bought in days.items() for day in bought]
    frame = pd.DataFrame(lines, columns=["id", "day"])
    frame["date"] = pd.Timestamp("1997-01-01") + pd.to_timedelta(frame["day"], "D")
    return clv.Transactions(frame, customer="id", date="date")


def shop_log(seed, customers=400, weeks=39):
    """A log of a shop in which BG/NBD holds: customers of the first 12 weeks, purchases to the day."""
    rng = np.random.default_rng(seed)
    start = np.floor(rng.uniform(0, 84, customers))
    params = MODELS[clv.BGNBD]
    rate, p = rng.gamma(params["r"], 1 / params["alpha"], customers) / 7, rng.beta(params["a"], params["b"], customers)
    days = {}
    for i in range(customers):
        days[i], now = [start[i]], start[i]
        while True:
            now += rng.exponential(1 / max(rate[i], 1e-12))
            if now >= 7 * weeks:
                break
            days[i].append(np.ceil(now))
            if rng.random() < p[i]:
                break
    return days


# Weeks


@pytest.mark.parametrize("model", MODELS)
def test_weeks_of_simulated_customers_have_the_mean_of_the_formula(model):
    rng, T = np.random.default_rng(1), np.repeat([3.4, 12.0, 20.9], 700)
    weeks = weeks_observed(T, 7)
    assert weeks == 20
    found = np.array([simulated_by_week(rng, *model.simulate(rng, T, **MODELS[model]), T, weeks) for _ in range(100)])
    ends = T[:, None] - np.arange(weeks, -1, -1)  # ages of the customers between the weeks
    expected = model.expected_transactions_new(np.maximum(ends, 0).ravel(), **MODELS[model]).reshape(ends.shape)
    error = found.std(axis=0) / np.sqrt(len(found))
    assert (np.abs(found.mean(axis=0) - np.diff(expected.sum(axis=0))) < 4 * error).all()


def test_weeks_hold_every_purchase_also_of_who_buys_without_end():
    rng = np.random.default_rng(2)
    x, T = np.array([0, 1, 5000, 10**18, 2]), np.array([4.0, 4.0, 4.0, 4.0, 0.0])
    t_x = np.array([0.0, 4.0, 4.0, 3.5, 0.0])
    found = simulated_by_week(rng, x[:3], t_x[:3], T[:3], 4)
    assert found.sum() == 5001
    assert np.abs(found - 1250).max() < 4 * np.sqrt(5000 * 0.25 * 0.75) + 2
    heavy = simulated_by_week(rng, x[3:4], t_x[3:4], T[3:4], 4)
    np.testing.assert_allclose(heavy, np.array([1, 1, 1, 0.5]) / 3.5 * 1e18, rtol=1e-6)
    assert simulated_by_week(rng, x[4:], t_x[4:], T[4:], 1).sum() == 2  # first and last on the last day


def test_actual_weeks_are_counted_back_from_the_end_of_observation():
    log = log_of({"a": [0, 6, 7, 13], "b": [3, 20], "c": [20]})
    daily = log.repeat_transactions()
    assert daily.to_dict() == {pd.Timestamp("1997-01-01") + pd.Timedelta(d, "D"): 1 for d in (6, 7, 13, 20)}
    end = pd.Timestamp("1997-01-21")
    assert actual_by_week(daily, end, 2).tolist() == [2, 1]  # days 7 to 13, and 14 to 20
    assert actual_by_week(log.repeat_transactions("1997-01-14"), pd.Timestamp("1997-01-14"), 1).tolist() == [2]
    assert log.repeat_transactions("1997-01-14").sum() == 3


def test_the_log_of_cdnow_has_the_repeats_of_its_summary(cdnow, cdnow_split):
    daily = cdnow.source.repeat_transactions()
    assert daily.sum() == cdnow.table["frequency"].sum() == 2457
    whole = cdnow_split.repeat_transactions
    pd.testing.assert_series_equal(daily, whole[whole.index <= "1997-09-30"])
    weeks = clv.BGNBD().fit(cdnow, seed=1, draws=100).predictive_check("tracking")
    assert weeks.index[0] == pd.Timestamp("1997-01-14")
    assert weeks.index[-1] == pd.Timestamp("1997-09-30")
    assert weeks["observed"].sum() == 2457
    # The weeks are those of the calendar: days and months as unit make the same.
    in_months = clv.BGNBD().fit(cdnow.source.summary(unit="month"), seed=1, draws=100)
    assert in_months.predictive_check("tracking")["observed"].tolist() == weeks["observed"].tolist()


# Statistics


@pytest.fixture(scope="module")
def by_hand():
    """Five customers: frequencies 0, 0, 1, 3, 2; recencies 2, 6 and 4 weeks."""
    return {"a": [0], "b": [14], "c": [0, 14], "d": [7, 14, 21, 49], "e": [21, 35, 49]}


def test_statistics_of_purchases_by_hand(by_hand):
    fit = quietly(clv.BGNBD().fit, log_of(by_hand).summary(), method="map", seed=1, draws=200)
    observed = fit.predictive_check()["observed"]
    assert observed["share_without_repeat"] == 2 / 5
    assert observed["mean_frequency"] == 6 / 5
    assert observed["sd_frequency"] == pytest.approx(np.sqrt(14 / 5 - 36 / 25))
    assert observed["max_frequency"] == 3
    assert observed["mean_recency"] == 4
    assert observed["sd_recency"] == pytest.approx(np.sqrt(8 / 3))
    # Repeats on the days 14, 14, 21, 35, 49, 49: in the weeks up to the days 7, 14, ..., 49 are 0, 2, 1, 0, 1, 0, 2.
    assert observed["busiest_week"] == 2
    assert observed["weekly_noise"] == pytest.approx((4 + 1 + 1 + 1 + 1 + 4) / 6 / 2 / (6 / 7))
    assert fit.predictive_check("frequency")["observed"].tolist() == [2, 1, 1, 1, 0, 0, 0, 0]
    recency = fit.predictive_check("recency")["observed"]
    assert recency.index.name == "from first to last transaction (weeks)"
    assert recency[recency > 0].to_dict() == {"2 to 3": 1, "4 to 5": 1, "6 to 7": 1}
    assert fit.predictive_check("tracking")["observed"].tolist() == [0, 2, 1, 0, 1, 0, 2]


def test_statistics_of_spend_by_hand():
    frame = pd.DataFrame(
        {"frequency": [1, 2, 1, 5, 0], "recency": [1, 2, 1, 3, 0], "T": 4, "monetary_value": [10, 20, 40, 10, 0]}
    )
    fit = quietly(clv.GammaGamma().fit, clv.Summary(frame, "week"), method="map", seed=1, draws=200)
    observed = fit.predictive_check()["observed"]
    assert observed.tolist() == pytest.approx([20, np.sqrt(150), 10, 15, 34, 40])
    classes = fit.predictive_check("spend")
    assert classes["observed"].sum() == 4
    assert classes["mean"].sum() == pytest.approx(4)


def test_statistics_of_contracts_by_hand():
    frame = pd.DataFrame({"renewals": [1, 2, 2, 4, 4], "event": [1, 1, 0, 1, 0]})
    fit = quietly(clv.SBG().fit, clv.Durations(frame, "month"), method="map", seed=1, draws=200)
    observed = fit.predictive_check()["observed"]
    assert observed["endings"] == 3
    assert observed["mean_tenure_at_end"] == pytest.approx(7 / 3)
    # One of five left at the first renewal, one of four at the second, one of two at the fourth.
    assert observed[["left_at_quarter", "left_at_half", "left_at_last"]].tolist() == pytest.approx([0.8, 0.6, 0.3])
    curve = fit.predictive_check("survival")
    assert curve.index.name == "renewals"
    assert curve["observed"].to_dict() == pytest.approx({1.0: 0.8, 2.0: 0.6, 3.0: 0.6, 4.0: 0.3})


def test_the_p_value_counts_equal_data_sets_half():
    row = predictive._beside(1.0, np.array([0, 1, 1, 2, 2, 2, np.nan]), 0.5)
    assert row == (1, pytest.approx(8 / 6), 1, 2, 3 / 6 + 2 / 6 / 2)
    assert np.isnan(predictive._beside(np.nan, np.array([1.0, 2.0]), 0.5)[-1])
    assert np.isnan(predictive._beside(1.0, np.array([np.nan]), 0.5)[1:]).all()


def test_the_table_says_how_it_was_made_and_is_repeated(cdnow_fit):
    table = cdnow_fit.predictive_check("frequency", interval=0.5)
    wide = cdnow_fit.predictive_check("frequency")
    np.testing.assert_array_equal(table["mean"], wide["mean"])
    other = cdnow_fit.predictive_check("frequency", seed=8)
    assert not np.array_equal(table["mean"], other["mean"])
    assert (wide["lower"] <= table["lower"]).all()
    assert (table["upper"] < wide["upper"]).sum() >= 7
    assert table.attrs == {
        "model": "BGNBD()",
        "method": "ml",
        "of": "posterior",
        "kind": "frequency",
        "interval": 0.5,
        "seed": 1,
        "data_sets": 1000,
        "data_hash": cdnow_fit.data_hash,
        "notes": ["draws of the parameters from the Laplace approximation"],
    }


def test_the_readme_shows_what_cdnow_says(cdnow):
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    shown = re.findall(r"\| `(\w+)` \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) to ([\d.]+) \| ([\d.]+) \|", text)
    assert len(shown) == 4
    table = clv.BGNBD().fit(cdnow, seed=1).predictive_check()
    for name, *numbers in shown:
        assert [
            f"{value:.{len(number.partition('.')[2])}f}"
            for value, number in zip(
                table.loc[name, ["observed", "mean", "lower", "upper", "p_value"]], numbers, strict=True
            )
        ] == numbers


def test_expected_classes_are_those_of_the_formula(cdnow, cdnow_fit):
    shown = cdnow_fit.predictive_check("frequency")["mean"]
    T, draws = cdnow.table["T"].to_numpy(), cdnow_fit.posterior.parameter_draws
    lengths, number = np.unique(T, return_counts=True)
    for n in range(7):
        expected = (clv.BGNBD.pmf(n, lengths, **draws) @ number).mean()
        assert shown.iloc[n] == pytest.approx(expected, abs=4 * np.sqrt(expected / 1000))


def test_many_customers_make_fewer_data_sets(cdnow_fit, monkeypatch):
    monkeypatch.setattr(predictive, "_CUSTOMERS", 2357 * 150)
    assert cdnow_fit.predictive_check("frequency").attrs["data_sets"] == 150
    monkeypatch.setattr(predictive, "_CUSTOMERS", 1)
    assert cdnow_fit.predictive_check("frequency").attrs["data_sets"] == 100


# Data of the model, and data of others


@pytest.mark.parametrize("model", MODELS)
def test_data_of_the_model_pass(model):
    values = []
    for seed in range(4 if model is clv.ParetoNBD else 12):
        shop = simulated_shop(seed, customers=500, params=MODELS[model], model=model)
        fit = quietly(clv.NonContractualCLV(model(), clv.GammaGamma()).fit, shop, method="laplace", seed=1, draws=200)
        values.append(fit.predictive_check()["p_value"])
    values = pd.DataFrame(values)
    assert len(values.columns) == 12
    # Of uniform values a tenth lies so far out, and a fifth of 144 independent ones with a chance of 1 in 10,000. Those
    # of a posterior lie nearer to the middle.
    assert ((values < 0.05) | (values > 0.95)).mean(axis=None) < 0.2
    assert values.mean().between(0.2, 0.8).all()


@pytest.mark.parametrize(
    ("model", "params"),
    [
        (clv.SBG, {"alpha": 0.9, "beta": 6.0}),
        (clv.BdW, {"gamma": 0.9, "delta": 6.0, "c": 1.3}),
        (clv.Weibull, {"scale": 20.0, "shape": 0.8}),
    ],
)
def test_contracts_of_the_model_pass(model, params):
    values = []
    for seed in range(10):
        data = simulated_contracts(model, params, seed, contracts=600)
        fit = quietly(model().fit, data, method="laplace", seed=1, draws=200)
        values.append(fit.predictive_check()["p_value"])
    values = pd.DataFrame(values)
    assert ((values < 0.05) | (values > 0.95)).mean(axis=None) < 0.25
    assert values.mean().between(0.2, 0.8).all()


def test_a_spike_of_one_time_buyers_is_exposed():
    shop = simulated_shop(3, customers=600, params={"r": 8, "alpha": 40, "a": 0.5, "b": 30})
    assert (shop.table["frequency"] == 0).mean() < 0.05
    curious = shop.table.assign(frequency=0, recency=0.0, monetary_value=0.0)
    data = clv.Summary(pd.concat([shop.table, curious], ignore_index=True).rename_axis("customer"), "week")
    before, after = (
        quietly(clv.BGNBD().fit, each, method="map", seed=1, draws=200).predictive_check("frequency")
        for each in (shop, data)
    )
    assert before["p_value"].between(0.005, 0.995).all()
    assert after["p_value"]["1"] == 1  # nobody who bought twice was ever so rare
    assert after["p_value"]["7+"] < 0.01


def test_bursts_are_exposed_by_the_weeks():
    days = shop_log(8)
    steady = quietly(clv.BGNBD().fit, log_of(days).summary(until="1997-09-30"), seed=1, draws=200)
    assert steady.predictive_check()["p_value"].between(0.005, 0.995).all()
    # Who ever comes back does so in the sale of the 30th week as well.
    sale = {i: sorted({*bought, 205.0}) if len(bought) > 1 else bought for i, bought in days.items()}
    burst = quietly(clv.BGNBD().fit, log_of(sale).summary(until="1997-09-30"), seed=1, draws=200).predictive_check()
    assert burst["p_value"]["busiest_week"] == 0
    assert burst["p_value"]["weekly_noise"] == 0


def test_one_churn_rate_for_all_is_exposed():
    data = clv.Durations.from_survivors(clv.datasets.retention("high-end"))
    values = {
        model: quietly(model().fit, data, seed=1, draws=500).predictive_check()["p_value"]
        for model in (clv.SBG, clv.ShiftedGeometric)
    }
    assert values[clv.SBG].between(0.05, 0.95).all()
    assert values[clv.ShiftedGeometric][["left_at_quarter", "left_at_half", "mean_tenure_at_end"]].min() > 0.99
    assert values[clv.ShiftedGeometric]["left_at_last"] < 0.05


# How long contracts are observed


def test_one_cohort_is_observed_until_its_last_renewal():
    t, event = np.array([1, 1, 2, 3, 3.0]), np.array([1, 1, 1, 1, 0.0])
    assert follow_up(t, event, np.zeros(5))(np.random.default_rng(0)).tolist() == [3] * 5
    everybody_left = follow_up(t[:4], event[:4], np.zeros(4))
    assert everybody_left(np.random.default_rng(0)).tolist() == [np.inf] * 4
    nothing_but_starts = follow_up(np.zeros(2), np.ones(2), np.zeros(2))
    assert nothing_but_starts(np.random.default_rng(0)).tolist() == [np.inf] * 2


def test_beyond_the_longest_seen_the_censoring_goes_on_at_its_rate():
    # One of 1,001 is censored, at 1 and half a unit before the others end: still 1 - 1/1001 are observed then.
    t, event = np.append(1.0, np.full(1000, 1.5)), np.append(0.0, np.ones(1000))
    drawn = follow_up(t, event, np.zeros(1001))(np.random.default_rng(0))
    rate = -np.log(1000 / 1001) / 1.5
    # Of an exponential distribution without memory; 1,000 draws have a standard error of 1 / sqrt(1000).
    assert drawn[0] == 1
    assert (drawn[1:] - 1.5).mean() * rate == pytest.approx(1, abs=4 / np.sqrt(1000))


@pytest.mark.parametrize("censored", [0, 2])
def test_contracts_of_which_nearly_all_have_ended_pass(censored):
    values, notes = [], set()
    for seed in range(30):
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame({"duration": rng.exponential(10, 200), "event": 1})
        frame.loc[: censored - 1, ["duration", "event"]] = [1.0, 0]
        fit = clv.Exponential().fit(clv.Durations(frame, "month"), "laplace", seed=1, draws=200)
        table = fit.predictive_check()
        values.append(table["p_value"])
        notes |= set(table.attrs["notes"])
    # Thirty uniform values have a standard error of 0.05.
    assert pd.DataFrame(values).mean().between(0.35, 0.65).all(), pd.DataFrame(values).mean()
    told = "extrapolated from the censoring before" if censored else "no contract is censored"
    assert any(told in note for note in notes)


def test_a_window_is_as_long_for_all_who_were_seen_late():
    t, event = np.array([9, 14, 3.5, 30]), np.array([0, 0, 1, 1])
    entry = np.array([5, 10, 2, 27.5])
    assert follow_up(t, event, entry)(np.random.default_rng(0)).tolist() == [9, 14, 6, 31.5]


def test_what_was_not_seen_of_the_observation_is_drawn_as_it_was():
    rng = np.random.default_rng(4)
    true = np.floor(rng.uniform(1, 25, 20_000))
    end = np.ceil(rng.exponential(8, len(true)))
    t, event = np.minimum(end, true), (end <= true).astype(float)
    drawn = follow_up(t, event, np.zeros(len(t)))(rng)
    assert (drawn >= t).all()
    assert (drawn[event == 0] == t[event == 0]).all()
    # Of 20,000 the distribution function errs by about 0.0035; of what is drawn somewhat more, at the far end most.
    steps = np.arange(1, 25)[:, None]
    assert np.abs((drawn <= steps).mean(axis=1) - (true <= steps).mean(axis=1)).max() < 0.03


def test_the_share_left_is_kaplan_and_meiers():
    data = simulated_contracts(clv.Weibull, {"scale": 20.0, "shape": 0.8}, 3)
    curve = clv.KaplanMeier(clock="duration").fit(data, seed=1)
    t, event, entry = data.clock_columns("duration")
    times = np.array([1.0, 5, 12, 20])
    np.testing.assert_allclose(share_left((t, event), entry, times), curve.survival(times)["survival"])


def test_covariates_count_in_simulated_contracts():
    rng = np.random.default_rng(6)
    group = np.repeat([0, 1], 400)
    end = rng.exponential(np.where(group == 1, 60.0, 3.0))
    frame = pd.DataFrame({"duration": np.minimum(end, 12), "event": (end <= 12).astype(int), "group": group})
    fit = clv.Exponential("group").fit(clv.Durations(frame, "month"), seed=1, draws=200)
    plain = clv.Exponential().fit(clv.Durations(frame, "month"), seed=1, draws=200)
    assert fit.predictive_check()["p_value"].between(0.02, 0.98).all()
    assert plain.predictive_check("survival")["p_value"].max() > 0.99


# Priors


def test_the_prior_is_that_of_the_fit(cdnow):
    priors = {"r": stats.gamma(4, scale=0.1), "alpha": stats.gamma(8), "a": stats.gamma(2), "b": stats.gamma(4)}
    fit = quietly(clv.BGNBD(priors=priors).fit, cdnow, method="map", seed=1)
    mean = fit.predictive_check("frequency", of="prior", seed=2)["mean"]
    rng = np.random.default_rng(7)
    draws = {name: dist.rvs((4000, 1), random_state=rng) for name, dist in priors.items()}
    lengths, number = np.unique(cdnow.table["T"], return_counts=True)
    for n in range(7):
        direct = clv.BGNBD.pmf(n, lengths, **draws) @ number
        assert mean.iloc[n] == pytest.approx(direct.mean(), abs=4 * direct.std() * np.sqrt(1 / 1000 + 1 / 4000))


@pytest.mark.parametrize("model", MODELS)
def test_wild_priors_are_bounded_and_told(cdnow, model):
    fit = quietly(model(priors={"r": stats.lognorm(s=50)}).fit, cdnow, method="map", seed=1, draws=200)
    with pytest.warns(clv.AssumptionWarning, match=rf"^{model.__name__}: \d+ of 200 draws of the priors expect more "):
        table = fit.predictive_check(of="prior")
    assert table.attrs["data_sets"] < 200
    assert "are left out; narrower priors would say more" in table.attrs["notes"][0]
    assert "without a value, or with an infinite one, in up to" in table.attrs["notes"][1]
    assert (table["lower"] <= table["upper"]).all()


def test_priors_that_can_make_no_data_are_refused(cdnow):
    fit = quietly(clv.BGNBD(priors={"r": stats.lognorm(s=0.1, scale=1e22)}).fit, cdnow, method="map", seed=1, draws=200)
    with pytest.raises(
        clv.FitError, match="200 of 200 draws of the priors expect more transactions than can be counted"
    ):
        fit.predictive_check(of="prior")


@pytest.mark.parametrize("model", [clv.SBG, clv.BdW, clv.DiscreteWeibull, clv.Weibull, clv.LogNormal, clv.LogLogistic])
def test_priors_of_every_model_of_contracts_make_data(model):
    data = simulated_contracts(clv.SBG, {"alpha": 0.9, "beta": 6.0}, 1)
    if model.clock == "duration":
        columns = {"renewals": "duration", "entry_renewals": "entry"}
        data = clv.Durations(data.table.rename(columns=columns), "month")
    fit = quietly(model().fit, data, method="map", seed=1, draws=200)
    table = fit.predictive_check("survival", of="prior")
    assert table["lower"].min() < 0.2 < 0.8 < table["upper"].max()
    assert (table["mean"].diff().dropna() <= 1e-12).all()


# What cannot be checked


def test_a_summary_without_its_log_has_no_weeks(cdnow):
    plain = clv.BGNBD().fit(in_units(cdnow, unit="week"), seed=1, draws=200)
    table = plain.predictive_check()
    assert "busiest_week" not in table.index
    assert table.attrs["notes"][0].startswith("of a summary without its log nobody knows the weeks")
    with pytest.raises(clv.DataError, match=r"make it by Transactions\(...\).summary\(\)"):
        plain.predictive_check("tracking")


def test_the_log_of_other_customers_is_refused(cdnow):
    some = clv.Summary(cdnow.table.iloc[:500], "week", cdnow.observation_start, cdnow.observation_end, cdnow.source)
    fit = clv.BGNBD().fit(some, seed=1, draws=200)
    with pytest.raises(clv.DataError, match="the log holds 2,457 repeat transactions and the summary"):
        fit.plot("tracking")
    assert "busiest_week" not in fit.predictive_check().index


def test_impossible_questions_are_refused(cdnow_fit):
    with pytest.raises(ValueError, match="of must be 'posterior' or 'prior'; got 'truth'"):
        cdnow_fit.predictive_check(of="truth")
    with pytest.raises(ValueError, match="there is no plot of kind 'spend'; choose 'frequency' or 'recency' or 'trac"):
        cdnow_fit.predictive_check("spend")
    with pytest.raises(ValueError, match="interval must lie strictly between 0 and 1"):
        cdnow_fit.predictive_check(interval=90)
    with pytest.raises(ValueError, match="seed must be a whole number"):
        cdnow_fit.predictive_check(of="prior", seed=-1)


def test_weights_that_are_no_customers_are_refused():
    frame = pd.DataFrame({"renewals": [1, 2, 3, 3], "event": [1, 1, 1, 0], "weight": [3.5, 2, 1, 6]})
    fit = quietly(clv.SBG().fit, clv.Durations(frame, "month"), method="map", seed=1, draws=200)
    with pytest.raises(clv.DataError, match="weights must be whole numbers"):
        fit.predictive_check()
    assert fit.plot("survival").get_title()


# Compositions


def test_a_composition_asks_its_parts(cdnow):
    fit = clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma()).fit(cdnow, seed=1, draws=200)
    table = fit.predictive_check()
    assert table.index[0] == "share_without_repeat"
    assert table.index[-1] == "max_spend"
    assert table.attrs["data_hash"] == fit.data_hash
    assert table.attrs["model"] == repr(fit.model)
    pd.testing.assert_frame_equal(fit.predictive_check("spend"), fit.spend.predictive_check("spend"))
    prior = fit.predictive_check("recency", of="prior", interval=0.5, seed=4)
    pd.testing.assert_frame_equal(prior, fit.transactions.predictive_check("recency", of="prior", interval=0.5, seed=4))
    with pytest.raises(ValueError, match="choose 'frequency' or 'recency' or 'tracking' or 'spend'"):
        fit.predictive_check("survival")


def test_the_value_of_contracts_asks_the_survival_model():
    data = clv.Durations.from_survivors(clv.datasets.retention("high-end"))
    fit = clv.ContractualCLV(clv.SBG()).fit(data, seed=1, draws=200)
    pd.testing.assert_frame_equal(fit.predictive_check(of="prior"), fit.survival.predictive_check(of="prior"))
    curve = clv.ContractualCLV(clv.KaplanMeier()).fit(data, seed=1)
    for ask in (curve.predictive_check, lambda: curve.plot(of="prior")):
        with pytest.raises(ValueError, match="KaplanMeier takes its curve from the data and has no priors"):
            ask()
    assert not hasattr(curve.survival, "predictive_check")


def test_a_loaded_fit_has_no_customers_to_check(cdnow_fit, tmp_path):
    clv.save(cdnow_fit, tmp_path / "fit.clv")
    loaded = clv.load(tmp_path / "fit.clv")
    for kind in (None, "frequency", "tracking"):
        with pytest.raises(clv.DataError, match="needs the customers that the model was fitted to; a loaded fit has n"):
            loaded.predictive_check(kind)
