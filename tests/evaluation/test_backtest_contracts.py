"""Backtests of contracts: who is retained, what is paid, and what is not known."""

import numpy as np
import pandas as pd
import pytest
from conftest import quietly

import clvmodels as clv
from clvmodels.evaluation import metrics

UNTIL = "2023-06-30"


def records(seed=1, number=600, alpha=0.8, beta=6.0):
    """Monthly contracts that end at renewals as sBG says, begun over two and a half years."""
    rng = np.random.default_rng(seed)
    begin = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 900, number), unit="D")
    months = np.minimum(rng.geometric(rng.beta(alpha, beta, number)), 600)
    end = pd.Series([day + pd.DateOffset(months=int(m)) for day, m in zip(begin, months, strict=True)])
    frame = pd.DataFrame({"id": np.arange(number), "begin": begin, "end": end.where(end <= pd.Timestamp(UNTIL))})
    return frame.assign(price=rng.choice([10.0, 20.0, 50.0], number), plan=rng.choice(["a", "b"], number))


def contracts(frame, **options):
    columns = {"customer": "id", "start": "begin", "end": "end", "value": "price", "period": "month"}
    return clv.Subscriptions(frame, **columns, attributes=["plan"], **options)


@pytest.fixture(scope="module")
def result():
    models = [clv.SimpleCLV(), clv.ContractualCLV(clv.SBG()), clv.BdW()]
    return clv.backtest(models, contracts(records()), "2022-03-31", "12 months", by="plan", seed=1, until=UNTIL)


def metric_values(result, model, target, segment="all", customers="known"):
    table = result.table
    chosen = (table["model"] == model) & (table["target"] == target) & (table["segment"] == segment)
    return table[chosen & (table["customers"] == customers)].set_index("metric")["value"]


def test_numbers_are_those_of_the_split_and_the_fit(result):
    split = contracts(records()).split("2022-03-31", "12 months", until=UNTIL)
    found, money = (metric_values(result, "SBG", target) for target in ("retained", "revenue"))
    assert found["actual_total"] == split.holdout["retained"].sum()
    assert money["actual_total"] == split.holdout["revenue"].sum()
    fit = result.fits["SBG", pd.Timestamp("2022-03-31")]
    table = fit.predict(horizon="12 months")
    assert found["brier"] == pytest.approx(((table["p_retained"] - split.holdout["retained"]) ** 2).mean())
    assert money["rmse"] == pytest.approx(np.sqrt(((table["expected_revenue"] - split.holdout["revenue"]) ** 2).mean()))
    total = fit.total(horizon="12 months", interval=0.9, by="plan", seed=1)
    for segment in ("a", "b", "all"):
        of_segment = metric_values(result, "SBG", "retained", segment)
        assert of_segment["predicted_total_lower"] == total.loc[segment, "retained_lower"]
        assert of_segment["predicted_total"] == pytest.approx(total.loc[segment, "retained"])


def test_concordance_is_that_of_leaving_first(result):
    rows = result.predictions.query("model == 'SBG' and target == 'retained' and customers == 'known'")
    pairs = right = 0.0
    for leaver in rows[rows["event"] == 1].itertuples():
        others = rows[(rows["time"] > leaver.time) | ((rows["time"] == leaver.time) & (rows["event"] == 0))]
        pairs += len(others)
        right += (others["mean"] > leaver.mean).sum() + 0.5 * (others["mean"] == leaver.mean).sum()
    assert metric_values(result, "SBG", "retained")["concordance"] == pytest.approx(right / pairs)


def test_the_verdict_knows_contracts(result):
    words = result.compare("SimpleCLV").table.query("target == 'retained' and model == 'SBG'")
    assert set(words["metric"]) == {"brier", "log_loss", "gini"}
    assert set(words["verdict"]) == {"better"}


def test_survival_is_calibrated_by_tenure(result):
    rows = result.groups("tenure").query("model == 'SBG' and target == 'retained'")
    known = result.predictions.query("model == 'SBG' and target == 'retained' and customers == 'known'")
    assert rows["customers"].sum() == len(known)
    # Who has stayed long stays: the model that made the contracts follows within four standard errors.
    error = np.sqrt(rows["predicted"] * (1 - rows["predicted"]) / rows["customers"])
    assert ((rows["actual"] - rows["predicted"]).abs() < 4 * error).all()
    assert rows["predicted"].is_monotonic_increasing


def test_pictures_of_contracts(result):
    from matplotlib import pyplot

    with pytest.raises(ValueError, match="no plot of kind 'frequency'; choose 'calibration' or 'tenure' or"):
        result.plot("frequency")
    ax = result.plot("tenure", models=["SBG"])
    rows = result.groups("tenure").query("model == 'SBG' and target == 'retained'")
    np.testing.assert_allclose([bar.get_height() for bar in ax.patches], rows["actual"])
    assert ax.get_xlabel().startswith("tenure at the cutoff")
    pyplot.close(ax.figure)
    pyplot.close(result.plot("pit").figure)
    assert result.pit().keys() == result.pit("revenue").keys() == {"SBG"}  # BdW has no price, and so no revenue
    with pytest.raises(ValueError, match="a PIT is of transactions or revenue"):
        result.plot("pit", target="retained")


def test_threads_change_no_warning():
    log = contracts(records(number=150))
    models = [clv.ContractualCLV(clv.Cox(["plan"])), clv.Weibull(), clv.Exponential(), clv.Cox(["plan"])]
    found = [
        quietly(clv.backtest, models, log, "4 every 2 months", "6 months", seed=1, jobs=jobs, until=UNTIL)
        for jobs in (1, 2, 4)
    ]
    assert found[0].warnings["warning"].str.contains("the longest that Cox speaks of").sum() == 8
    for result in found[1:]:
        pd.testing.assert_frame_equal(result.warnings, found[0].warnings)
        pd.testing.assert_frame_equal(result.table, found[0].table)


def test_contracts_begun_within_the_horizon_are_apart(result):
    rows = result.predictions.query("customers == 'new'")
    split = contracts(records()).split("2022-03-31", "12 months", until=UNTIL)
    assert set(rows["target"]) == {"retained"}  # the price of a contract to come is not known
    sbg = rows[rows["model"] == "SBG"].set_index("customer")
    assert sorted(sbg.index) == sorted(split.new_customers.index)
    fit = result.fits["SBG", pd.Timestamp("2022-03-31")].survival
    left = (split.holdout_end - split.new_customers["start"]).dt.days
    exact = [fit.new_customer(horizon=pd.Timedelta(days=int(days)))["p_retained"].item() for days in left.iloc[:20]]
    # Between 60 lengths of a year a straight line: less than a step of the curve, a twentieth, away.
    np.testing.assert_allclose(sbg.loc[left.index[:20], "mean"], exact, atol=0.05)


def test_what_comes_after_the_cutoff_changes_no_prediction():
    frame = records(number=300)
    later = frame["end"] > pd.Timestamp("2022-03-31")
    changed = frame.assign(end=frame["end"].where(~later | (frame.index % 2 == 0)))
    fresh = frame.tail(1).assign(id=10_000, begin=pd.Timestamp("2022-06-01"), end=pd.NaT, price=999.0)
    changed = pd.concat([changed[changed["begin"] <= pd.Timestamp("2022-03-31")], fresh])
    models = [clv.SimpleCLV(), clv.ContractualCLV(clv.SBG())]
    said = []
    for some in (frame, changed):
        result = clv.backtest(models, contracts(some), "2022-03-31", "12 months", seed=1, until=UNTIL)
        known = result.predictions.query("customers == 'known'")
        said.append(known[["model", "target", "customer", "mean", "lower", "upper"]].reset_index(drop=True))
    pd.testing.assert_frame_equal(*said)


def test_who_is_lost_sight_of_counts_by_the_others():
    frame = records()
    lost = frame.index % 5 == 0
    frame["renews"] = pd.Timestamp("2030-01-01")
    frame.loc[lost & frame["end"].isna(), "renews"] = pd.Timestamp("2022-10-15")
    with pytest.warns(clv.DataWarning, match="is before the end of the holdout"):
        result = clv.backtest(
            [clv.ContractualCLV(clv.SBG())],
            contracts(frame, renews="renews"),
            "2022-03-31",
            "12 months",
            seed=1,
            until=UNTIL,
        )
    found = metric_values(result, "SBG", "retained")
    rows = result.predictions.query("target == 'retained' and customers == 'known'")
    unknown = rows["actual"].isna()
    assert unknown.any()
    assert found["brier"] == pytest.approx(metrics.Brier()(rows.loc[~unknown, "actual"], rows.loc[~unknown, "mean"]))
    assert result.warnings["warning"].str.contains("retained is not known").any()
    assert "brier_censored" in found.index


def test_a_model_that_speaks_of_nobody_is_told():
    models = [clv.KaplanMeier(clock="renewals"), clv.SBG()]
    log = contracts(records(number=200))
    result = clv.backtest(models, log, "2020-06-30", "24 months", seed=1, until=UNTIL)
    assert set(result.compare("SBG").table["model"]) <= {"KaplanMeier"}
    assert result.warnings["warning"].str.contains("p_retained is missing").any()
    assert set(result.predictions.query("customers == 'known'")["model"]) == {"SBG"}
