"""Backtests: what is known at a cutoff decides the predictions, and what came after scores them."""

import json
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from conftest import quietly, shared

import clvmodels as clv
from clvmodels.data import datasets
from clvmodels.evaluation import metrics
from clvmodels.evaluation.scored import standard_error
from clvmodels.evaluation.windows import apart, windows

CUTOFF, HORIZON = "1997-09-30", "39 weeks"


def log_of(lines, **options):
    return clv.Transactions(lines, customer="customer_id", date="date", value="amount", **options)


def shop(transactions=None):
    return clv.NonContractualCLV(transactions or clv.BGNBD(), clv.GammaGamma())


def values(result, model, target="transactions", segment="all", customers="known"):
    table = result.table
    chosen = (table["model"] == model) & (table["target"] == target) & (table["segment"] == segment)
    return table[chosen & (table["customers"] == customers)].set_index("metric")["value"]


@pytest.fixture(scope="module")
def cdnow():
    models = [clv.SimpleCLV(), clv.PredictZero(), clv.RepeatLastPeriod(), shop(), clv.ParetoNBD()]
    return clv.backtest(models, log_of(datasets.cdnow_sample()), CUTOFF, HORIZON, seed=1)


# Published


def test_bgnbd_on_cdnow_is_as_published(cdnow):
    found = values(cdnow, "BGNBD + GammaGamma")
    # CLVTools 0.12.1 at its maximum of the likelihood: total, MAE and RMSE over 2,357 customers.
    assert found["predicted_total"] == pytest.approx(1653.41, abs=0.01)
    assert found["actual_total"] == 1882
    assert found["mae"] == pytest.approx(0.78545, abs=1e-5)
    assert found["rmse"] == pytest.approx(1.60798, abs=1e-5)


def test_pareto_nbd_on_cdnow_by_frequency_is_as_published(cdnow):
    table = cdnow.groups("frequency")
    found = table[table["model"] == "ParetoNBD"]
    # BTYD's vignette: conditional expectations and what happened, by repeat transactions 0 to 6, 7 and more.
    expected = [0.138, 0.600, 1.196, 1.714, 2.399, 2.907, 3.819, 6.403]
    actual = [0.237, 0.697, 1.393, 1.560, 2.532, 2.947, 3.862, 6.359]
    np.testing.assert_allclose(found["predicted"], expected, atol=0.001)
    np.testing.assert_allclose(found["actual"], actual, atol=0.0006)
    assert found["customers"].tolist() == [1411, 439, 214, 100, 62, 38, 29, 64]
    assert found["group"].tolist() == ["0", "1", "2", "3", "4", "5", "6", "7+"]


# Every number of the table from the predictions


def test_the_table_is_made_of_the_predictions(cdnow):
    rows = cdnow.predictions.query("model == 'BGNBD + GammaGamma' and target == 'revenue'")
    found = values(cdnow, "BGNBD + GammaGamma", "revenue")
    y, p = rows["actual"], rows["mean"]
    assert found["actual_total"] == pytest.approx(y.sum())
    assert found["bias"] == pytest.approx(p.sum() / y.sum() - 1)
    assert found["mae"] == pytest.approx((y - p).abs().mean())
    assert found["mae_median"] == pytest.approx((y - rows["median"]).abs().mean())
    assert found["rmse"] == pytest.approx(np.sqrt(((y - p) ** 2).mean()))
    assert found["coverage"] == pytest.approx(((y >= rows["lower"]) & (y <= rows["upper"])).mean())
    assert found["crps"] == pytest.approx(rows["crps"].mean())
    assert found["implied_coverage"] == pytest.approx(rows["implied"].mean())
    assert found["mae_to_zero"] == pytest.approx(found["mae"] / y.mean())
    assert found["rmse_to_constant"] == pytest.approx(found["rmse"] / y.std(ddof=0))
    past = cdnow.predictions.query("model == 'RepeatLastPeriod' and target == 'revenue'")["mean"]
    assert found["mae_to_past"] == pytest.approx(found["mae"] / np.abs(y.to_numpy() - past.to_numpy()).mean())


def test_brier_score_is_that_of_a_purchase(cdnow):
    rows = cdnow.predictions.query("model == 'ParetoNBD'")
    score = ((rows["probability"] - (rows["actual"] > 0)) ** 2).mean()
    assert values(cdnow, "ParetoNBD")["brier"] == pytest.approx(score)


def test_a_model_without_a_distribution_has_no_intervals(cdnow):
    found = values(cdnow, "SimpleCLV")
    assert {"crps", "coverage", "log_score", "predicted_total_lower"}.isdisjoint(found.index)
    assert {"rmse", "bias", "gini", "poisson_deviance"} <= set(found.index)


def test_zero_has_an_infinite_deviance_which_is_told(cdnow):
    found = values(cdnow, "PredictZero")
    assert found["poisson_deviance"] == np.inf
    assert found["bias"] == -1
    assert np.isnan(found["poisson_deviance_to_zero"])
    assert values(cdnow, "SimpleCLV")["poisson_deviance_to_zero"] == 0


def test_totals_are_those_of_the_fit(cdnow):
    fit = cdnow.fits["BGNBD + GammaGamma", pd.Timestamp(CUTOFF)]
    total = fit.total(horizon=HORIZON, interval=0.9, seed=1)
    found = values(cdnow, "BGNBD + GammaGamma", "revenue")
    assert found["predicted_total"] == pytest.approx(total["expected_revenue"].item())
    assert found["predicted_total_lower"] == pytest.approx(total["revenue_lower"].item())
    assert found["predicted_total_upper"] == pytest.approx(total["revenue_upper"].item())


def test_the_distribution_left_what_draws_say(cdnow):
    fit = cdnow.fits["ParetoNBD", pd.Timestamp(CUTOFF)]
    rows = cdnow.predictions.query("model == 'ParetoNBD'").reset_index(drop=True)
    draws = np.concatenate([block["transactions"] for _, block in fit.outcome_draws(horizon=HORIZON, seed=1)], axis=1)
    y = rows["actual"].to_numpy()
    np.testing.assert_allclose(rows["below"], (draws < y).mean(axis=0))
    np.testing.assert_allclose(rows["upto"], (draws <= y).mean(axis=0))
    lower, upper = np.quantile(draws, [0.05, 0.95], axis=0, method="inverted_cdf")
    np.testing.assert_array_equal(rows["lower"], lower)
    np.testing.assert_array_equal(rows["upper"], upper)
    np.testing.assert_array_equal(rows["median"], np.quantile(draws, 0.5, axis=0, method="inverted_cdf"))
    np.testing.assert_allclose(rows["implied"], ((draws >= lower) & (draws <= upper)).mean(axis=0))
    np.testing.assert_allclose(rows["crps"], metrics.CRPS().score(y, draws))


def test_standard_errors_are_those_of_the_mean_and_of_the_jackknife():
    rng = np.random.default_rng(1)
    y = rng.poisson(1.0, 4000).astype(float)
    p = np.full(4000, 1.0)
    # The error of sum(p) / sum(y) - 1 by the delta method; that of the jackknife of 20 groups is uncertain by a sixth.
    assert standard_error(metrics.Bias(), [y, p]) == pytest.approx(y.std() / y.mean() ** 2 / np.sqrt(4000), rel=0.6)
    assert np.isnan(standard_error(metrics.Bias(), [y[:30], p[:30]]))


# Windows


def test_rolling_cutoffs_end_where_the_horizon_is_just_observed():
    log = log_of(datasets.cdnow_sample())
    found = windows(log, "3 every 2 months", ["26 weeks"], None, None)
    assert [f"{at[0].split.cutoff:%Y-%m-%d}" for at in found] == ["1997-08-30", "1997-10-30", "1997-12-30"]
    assert found[-1][0].split.holdout_end == log.end


def test_horizons_share_one_calibration_and_one_fit():
    models, log = [clv.BGNBD()], log_of(datasets.cdnow_sample())
    result = clv.backtest(models, log, ["1997-06-30", CUTOFF], ["13 weeks", HORIZON], seed=1)
    assert len(result.fits) == 2
    total = result.table.query("metric == 'actual_total'").set_index(["cutoff", "horizon"])["value"]
    assert (total.xs("13 weeks", level="horizon") < total.xs(HORIZON, level="horizon")).all()
    whole = clv.backtest(models, log, CUTOFF, HORIZON, seed=1)
    frame = result.predictions
    some = frame[(frame["cutoff"] == pd.Timestamp(CUTOFF)) & (frame["horizon"] == HORIZON)].reset_index(drop=True)
    pd.testing.assert_frame_equal(some, whole.predictions)


def test_windows_that_do_not_overlap_are_counted():
    days = pd.date_range("2024-01-01", periods=8, freq="28D")
    assert apart(days, days + pd.Timedelta(days=28)) == 8
    assert apart(days, days + pd.Timedelta(days=29)) == 4
    assert apart(days[::-1], days[::-1] + pd.Timedelta(days=28)) == 8
    months = pd.date_range("2024-01-01", periods=12, freq="MS")
    assert apart(months, months + pd.DateOffset(months=1)) == 12  # of 28 to 31 days


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"cutoffs": "1998-06-01"}, "ends on 1999-03-01, but the log ends on 1998-06-30"),
        ({"cutoffs": []}, "cutoffs must name a day at least"),
        ({"cutoffs": [CUTOFF, CUTOFF]}, "cutoffs are named twice: 1997-09-30"),
        ({"cutoffs": "0 every week"}, "number of cutoffs must lie between 1 and 1,000"),
        (
            {"horizon": ["1 week", 7.0, "7 days"]},
            "two horizons are of one length: 1 week, 7 weeks, 7 days; name each once",
        ),
        ({"horizon": []}, "horizon must name a length of time at least"),
        ({"interval": 90}, "interval must lie strictly between 0 and 1"),
        ({"jobs": 0}, "jobs must be a whole number, 1 or more"),
        ({"by": "channel"}, "has no attribute 'channel'"),
        ({"by": ["acquisition month"]}, "by must be the name of one attribute"),
        ({"by": "acquisition week"}, "'acquisition month', 'acquisition quarter' or 'acquisition year'"),
        ({"cutoffs": "4 evry 13 weeks"}, "or '4 every 13 weeks'; got '4 evry 13 weeks'"),
        ({"cutoffs": "4 every 13 weks"}, "'13 weks' is no length of time; write it like '4 every 13 weeks'"),
        ({"method": "mle"}, "method must be one of 'ml', 'map', 'laplace', 'mcmc'; got 'mle'"),
        ({"models": [clv.SimpleCLV]}, r"SimpleCLV is a class, not a model: write SimpleCLV\(\)"),
        ({"models": []}, "backtest needs a model at least"),
        ({"models": ["BGNBD"]}, "str is no model: it has no fit"),
        ({"data": datasets.cdnow_sample()}, "backtest needs Transactions or Subscriptions"),
    ],
)
def test_what_is_asked_wrongly_is_said_in_a_sentence(options, sentence):
    log = log_of(datasets.cdnow_sample())
    asked = {"models": [clv.PredictZero()], "data": log, "cutoffs": CUTOFF, "horizon": HORIZON}
    with pytest.raises(ValueError, match=sentence):
        clv.backtest(**(asked | options))


@pytest.mark.parametrize("kind", [np.array, pd.Series, pd.Index, pd.DatetimeIndex, tuple])
def test_cutoffs_may_be_any_list_of_days(kind):
    log = log_of(datasets.cdnow_sample())
    found = windows(log, kind(["1997-06-30", "1997-09-30"]), ["13 weeks"], None, None)
    assert [at[0].split.cutoff for at in found] == [pd.Timestamp("1997-06-30"), pd.Timestamp(CUTOFF)]


# Pictures and groups


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"kind": "pie"}, "no plot of kind 'pie'"),
        ({"kind": "tenure"}, "no plot of kind 'tenure'"),
        ({"kind": "calibration", "models": ["XX"]}, "there is no model 'XX'; choose one of 'SimpleCLV'"),
        ({"kind": "calibration", "cutoff": "1980-01-01"}, "there is no cutoff 1980-01-01; choose one of 1997-09-30"),
        ({"kind": "calibration", "baseline": "SimpleCLV"}, "kind 'calibration' has no baseline"),
        ({"kind": "calibration", "target": "retained"}, "no 'retained' here; choose one of 'transactions', 'revenue'"),
        ({"kind": "lift", "models": "ParetoNBD", "target": "revenue"}, "'ParetoNBD' predicts no revenue at 1997-09-30"),
        ({"kind": "pit", "cutoff": "1998-01-01"}, "there is no cutoff 1998-01-01"),
        ({"kind": "pit", "models": "SimpleCLV"}, "no model with a predictive distribution"),
        ({"kind": "tracking", "target": "revenue"}, "counts transactions; there is none of 'revenue'"),
        ({"kind": "cumulative", "baseline": "SimpleCLV"}, "kind 'cumulative' has no baseline"),
        ({"kind": "differences", "cutoff": CUTOFF}, "of all cutoffs together"),
        ({"kind": "differences", "models": "SimpleCLV"}, "no other model here to be compared with 'SimpleCLV'"),
    ],
)
def test_what_a_picture_does_not_have_is_refused(cdnow, asked, sentence):
    with pytest.raises(ValueError, match=sentence):
        cdnow.plot(**asked)


@pytest.mark.parametrize("kind", ["tracking", "cumulative", "calibration", "frequency", "pit", "lift", "differences"])
def test_a_picture_shows_the_models_that_were_asked_for(cdnow, kind):
    from matplotlib import pyplot

    ax = cdnow.plot(kind, models=["ParetoNBD"])
    shown = {text.get_text() for text in ax.get_legend().get_texts()} & set(cdnow.models)
    assert shown == {"ParetoNBD"}
    pyplot.close(ax.figure)


def test_a_picture_shows_the_cutoff_and_the_target_that_were_asked_for():
    from matplotlib import pyplot

    log = log_of(datasets.cdnow_sample())
    result = clv.backtest([clv.RepeatLastPeriod(), shop()], log, ["1997-06-30", CUTOFF], "13 weeks", seed=1)
    actual = {}
    for cutoff in ("1997-06-30", CUTOFF, None):
        ax = result.plot("calibration", target="revenue", models="BGNBD + GammaGamma", cutoff=cutoff)
        line = next(line for line in ax.lines if line.get_label() == "BGNBD + GammaGamma")
        actual[cutoff] = sorted(line.get_ydata())
        groups = result.groups("decile").query("target == 'revenue' and model == 'BGNBD + GammaGamma'")
        of_cutoff = groups[groups["cutoff"] == pd.Timestamp(cutoff or CUTOFF)]
        np.testing.assert_allclose(actual[cutoff], sorted(of_cutoff["actual"]))
        pyplot.close(ax.figure)
    assert actual[None] == actual[CUTOFF] != actual["1997-06-30"]
    both, one = result.pit("revenue"), result.pit("revenue", cutoff="1997-06-30")
    size = len(one["BGNBD + GammaGamma"])
    np.testing.assert_array_equal(one["BGNBD + GammaGamma"], both["BGNBD + GammaGamma"][:size])
    assert len(both["BGNBD + GammaGamma"]) > size
    some = result.plot("differences", target="revenue")
    assert all(label.get_text().startswith("revenue") for label in some.get_yticklabels())
    pyplot.close(some.figure)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (("decile", "new"), "no model predicts 'new' customers here"),
        (("decile", "xx"), "customers must be 'known' or 'new'; got 'xx'"),
        (("tenure",), "choose one of 'decile', 'segment', 'frequency', 'recency'"),
    ],
)
def test_groups_that_are_not_there_are_refused(cdnow, asked, sentence):
    with pytest.raises(ValueError, match=sentence):
        cdnow.groups(*asked)


# What any model may do


class Interval:
    """Everybody buys 0 to 4 times, each number with equal chance: an interval [0, 4] that says nothing of anybody."""

    def fit(self, data):
        return self

    def predict(self, data, *, horizon):
        return pd.DataFrame({"expected_transactions": 2.0}, index=data.table.index)

    def outcome_draws(self, data, *, horizon, seed=None):
        rng = np.random.default_rng(seed)
        size = len(data)
        for start in range(0, size, 1000):
            part = slice(start, min(start + 1000, size))
            yield part, {"transactions": rng.integers(0, 5, (500, part.stop - part.start))}


class PointOnly:
    """A model without its distribution, for which nothing need be simulated."""

    def __init__(self, model):
        self.model = model

    def fit(self, data, seed=None):
        self.fitted = self.model.fit(data, seed=seed)
        return self

    def predict(self, data, *, horizon):
        return self.fitted.predict(data, horizon=horizon)


class Broken:
    def fit(self, data):
        if data.observation_end > pd.Timestamp("1997-07-01"):
            raise RuntimeError("no convergence")
        return clv.PredictZero().fit(data)


class SomeOnly:
    def fit(self, data):
        return self

    def predict(self, data, *, horizon):
        return pd.DataFrame({"expected_transactions": 1.0}, index=data.table.index[:-2])


def test_a_constant_interval_that_covers_is_exposed():
    models = {"constant": Interval(), "BG/NBD": clv.BGNBD()}
    result = clv.backtest(models, log_of(datasets.cdnow_sample()), CUTOFF, HORIZON, seed=1)
    constant, model = values(result, "constant"), values(result, "BG/NBD")
    assert constant["coverage"] == pytest.approx(0.958, abs=0.0006)  # more than was asked for, as the model's own
    assert model["coverage"] > 0.9
    # The randomised PIT of the model is near uniform, that of the constant far from it.
    distance = {name: metrics.ks_from_uniform(pit) for name, pit in result.pit().items()}
    assert distance["constant"] > 0.4 > 0.1 > distance["BG/NBD"]
    # In the top decile it misses a third, where the model holds what it implies.
    top = result.groups("decile").query("group == '10'").set_index("model")
    by_frequency = result.groups("frequency").query("group == '7+'").set_index("model")
    assert by_frequency.loc["constant", "coverage"] < 0.5 < 0.85 < by_frequency.loc["BG/NBD", "coverage"]
    assert "constant" not in top.index  # all its predictions are equal: there is no top
    assert top.loc["BG/NBD", "coverage"] > 0.9
    assert constant["interval_score"] > model["interval_score"]
    assert constant["crps"] > 1.5 * model["crps"]


def test_a_model_that_fails_at_a_cutoff_is_told_and_stops_nobody():
    models = [Broken(), SomeOnly(), clv.PredictZero()]
    result = clv.backtest(models, log_of(datasets.cdnow_sample()), ["1997-06-30", CUTOFF], "13 weeks", seed=1)
    failed = result.failures.set_index(["model", "cutoff"])["reason"]
    assert failed["Broken", pd.Timestamp(CUTOFF)] == "RuntimeError: no convergence"
    assert failed["SomeOnly", pd.Timestamp(CUTOFF)] == ("DataError: SomeOnly does not predict 2 customers: 2356, 2357")
    assert len(failed) == 3
    assert ("Broken", pd.Timestamp("1997-06-30")) in result.fits
    assert "3 failures: SomeOnly at 1997-06-30, Broken at 1997-09-30" in repr(result)
    assert set(result.predictions["model"]) == {"Broken", "PredictZero"}
    with pytest.raises(clv.DataError, match="there is nothing to compare with: SomeOnly: DataError: SomeOnly does not"):
        result.compare("SomeOnly")
    with pytest.raises(clv.DataError, match=r"at any cutoff: Broken: RuntimeError: no convergence$"):
        clv.backtest([Broken()], log_of(datasets.cdnow_sample()), CUTOFF, "13 weeks")


def test_a_model_whose_distribution_cannot_be_drawn_is_scored_by_its_means():
    class Narrow(Interval):
        def outcome_draws(self, data, *, horizon):
            raise clv.FitError("the Laplace approximation is not good enough")

    result = clv.backtest([Narrow()], log_of(datasets.cdnow_sample()), CUTOFF, HORIZON, seed=1)
    assert {"rmse", "bias"} <= set(values(result, "Narrow").index)
    assert "crps" not in values(result, "Narrow").index
    assert result.warnings["warning"].tolist() == [
        "only the means are scored: the Laplace approximation is not good enough"
    ]


def test_memory_does_not_grow_with_draws_times_customers():
    class Drawn(Interval):
        def outcome_draws(self, data, *, horizon, seed=None):
            rng = np.random.default_rng(seed)
            for start in range(0, len(data), 100):
                part = slice(start, min(start + 100, len(data)))
                yield part, {"transactions": rng.integers(0, 5, (1000, part.stop - part.start))}

    log = log_of(datasets.cdnow())
    tracemalloc.start()
    clv.backtest([Drawn()], log, CUTOFF, HORIZON, seed=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6 < 1000 * 23_570 * 8 / 3  # a third of the draws


def test_models_of_one_name_are_numbered():
    result = clv.backtest([shop(), shop(), clv.BGNBD()], log_of(datasets.cdnow_sample()), CUTOFF, "13 weeks", seed=1)
    assert result.models == ["BGNBD + GammaGamma", "BGNBD + GammaGamma (2)", "BGNBD"]


def test_warnings_are_kept_with_who_gave_them(cdnow):
    some = cdnow.warnings.query("model == 'BGNBD + GammaGamma'")["warning"].tolist()
    assert some == [
        "BG/NBD assumes that whoever has not bought again is still a customer: p_alive is 1 for 59.9% of the customers"
    ]


def test_jobs_change_nothing():
    log = log_of(datasets.cdnow_sample())
    one, two = (
        clv.backtest([clv.BGNBD(), shop()], log, ["1997-06-30", CUTOFF], "13 weeks", jobs=jobs, seed=1)
        for jobs in (1, 2)
    )
    pd.testing.assert_frame_equal(one.table, two.table)
    pd.testing.assert_frame_equal(one.predictions, two.predictions)
    pd.testing.assert_frame_equal(one.warnings, two.warnings)


# Nothing leaks, and nothing depends on names, order or units


def later_changed(lines):
    """The log with other values, refunds, attributes and customers after the cutoff."""
    later = lines["date"] > pd.Timestamp(CUTOFF)
    changed = lines.assign(amount=lines["amount"].where(~later, lines["amount"] * 3 + 1))
    changed["channel"] = changed["channel"].where(~later, "other")
    some = changed[later].iloc[::5].assign(amount=-5.0)
    fresh = changed[later].iloc[::7].assign(customer_id=lambda frame: frame["customer_id"] + 100_000)
    kept = changed[~later | (np.arange(len(changed)) % 3 > 0)]
    end = changed.nlargest(1, "date")
    return pd.concat([kept, some, fresh, end], ignore_index=True)


def test_what_comes_after_the_cutoff_changes_no_prediction():
    lines = datasets.cdnow_sample()
    lines["channel"] = np.where(lines["customer_id"] % 2, "web", "shop")
    models = [
        clv.SimpleCLV(by="channel"),
        clv.RepeatLastPeriod(),
        clv.OwnRate(),
        clv.RegressionCLV(),
        shop(),
        shop(clv.MBGNBD()),
    ]
    # Refunds are netted where there are any; before the cutoff there are none.
    before, after = (
        quietly(
            clv.backtest, models, log_of(log, attributes=["channel"]), "1997-09-30", "13 weeks", seed=1, progress=False
        )
        for log in (lines, later_changed(lines))
    )
    assert before.failures.empty
    assert after.failures.empty
    assert not before.predictions["actual"].equals(after.predictions["actual"])
    said = ["model", "target", "customer", "mean", "median", "lower", "upper", "probability", "implied"]
    known = [frame.predictions.query("customers == 'known'")[said].reset_index(drop=True) for frame in (before, after)]
    pd.testing.assert_frame_equal(*known)


def test_order_names_and_units_change_nothing():
    lines = datasets.cdnow_sample()
    models = [clv.SimpleCLV(), clv.RepeatLastPeriod(), clv.OwnRate(), shop()]

    def metrics_of(log, **options):
        result = clv.backtest(models, log_of(log), CUTOFF, HORIZON, seed=1, **options)
        table = result.table.set_index(["model", "target", "metric"])["value"]
        # What is simulated, and the groups of the jackknife, depend on the order of the customers.
        return table[~table.index.get_level_values("metric").str.contains("lower|upper|upto|crps|log_score|interval")]

    plain = metrics_of(lines)
    shuffled = metrics_of(lines.sample(frac=1, random_state=1))
    pd.testing.assert_series_equal(plain, shuffled)
    exact = ["actual_total", "predicted_total", "mae", "rmse", "poisson_deviance", "bias", "gini", "brier", "top_10"]
    renamed = metrics_of(lines.assign(customer_id="c" + (90_000 - lines["customer_id"]).astype(str)))
    days = metrics_of(lines, unit="day")
    for other in (renamed, days):
        for name in exact:
            np.testing.assert_allclose(
                # Rates of 1 / T and 2 / (2 T) are equal in days, and in weeks but for the last digit: ranks tell them.
                other.xs(name, level="metric"),
                plain.xs(name, level="metric"),
                rtol=1e-3 if name in ("gini", "top_10") else 1e-5,
                err_msg=name,
            )


# Segments, cohorts and new customers


def test_segments_add_up_to_all():
    lines = datasets.cdnow_sample()
    lines["channel"] = np.where(lines["customer_id"] % 3, "web", "shop")
    log = log_of(lines, attributes=["channel"])
    result = clv.backtest([clv.BGNBD()], log, CUTOFF, HORIZON, by="channel", seed=1)
    found = {segment: values(result, "BGNBD", segment=segment) for segment in ("web", "shop", "all")}
    for name in ("actual_total", "predicted_total"):
        assert found["web"][name] + found["shop"][name] == pytest.approx(found["all"][name])
    total = result.fits["BGNBD", pd.Timestamp(CUTOFF)].total(horizon=HORIZON, by="channel", interval=0.9, seed=1)
    for segment in ("web", "shop", "all"):
        assert found[segment]["predicted_total_lower"] == total.loc[segment, "transactions_lower"]
    assert result.groups("segment")["group"].tolist() == ["shop", "web"]


def test_acquisition_cohorts_are_segments():
    result = clv.backtest(
        [clv.BGNBD()], log_of(datasets.cdnow_sample()), CUTOFF, HORIZON, by="acquisition month", seed=1
    )
    found = result.table.query("metric == 'actual_total'").set_index("segment")["value"]
    assert list(found.index) == ["all", "1997-01", "1997-02", "1997-03"]
    assert found["all"] == found.iloc[1:].sum() == 1882


def test_new_customers_are_predicted_from_the_day_that_they_came():
    lines = datasets.cdnow()
    result = clv.backtest([clv.BGNBD(), clv.PredictZero()], log_of(lines), "1997-02-15", HORIZON, seed=1)
    rows = result.predictions.query("customers == 'new'")
    assert set(rows["model"]) == {"BGNBD"}  # zero says nothing of customers who are not there
    split = log_of(lines).split("1997-02-15", HORIZON)
    assert rows["actual"].sum() == split.new_customers["transactions"].sum()
    fit = result.fits["BGNBD", pd.Timestamp("1997-02-15")]
    left = (split.holdout_end - split.new_customers["first_date"]).dt.days.to_numpy()
    known = {name: draws[0, 0] for name, draws in fit.parameter_draws.items()}
    exact = 1 + clv.BGNBD.expected_transactions_new(left / 7, **known)
    np.testing.assert_allclose(rows["mean"], exact, rtol=1e-3)  # interpolated between 16 horizons
    assert values(result, "BGNBD", customers="new")["predicted_total"] == pytest.approx(exact.sum(), rel=1e-4)


def test_published_holdout_totals_of_the_whole_of_cdnow():
    rows = json.loads(shared("reference_results.json").read_text())
    reference = {row["id"]: row["value"] for row in rows}
    models = {"BGNBD": PointOnly(clv.BGNBD()), "ParetoNBD": PointOnly(clv.ParetoNBD())}
    result = clv.backtest(models, log_of(datasets.cdnow()), CUTOFF, HORIZON, seed=1)
    for model, name in (("BGNBD", "bgnbd"), ("ParetoNBD", "paretonbd")):
        total, actual, mae, rmse, _ = reference[f"{name}.holdout.cdnow_master"]
        found = values(result, model)
        assert found["actual_total"] == actual
        numbers = [found[name] for name in ("predicted_total", "mae", "rmse")]
        np.testing.assert_allclose(numbers, [total, mae, rmse], rtol=1e-3)
