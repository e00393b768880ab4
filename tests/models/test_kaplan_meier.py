"""Kaplan-Meier as a model: what it says of contracts, and that it never goes beyond what was seen."""

import json

import numpy as np
import pandas as pd
import pytest
from conftest import shared

import clvmodels as clv

REGULAR = [1000, 631, 468, 382, 326, 289, 262, 241]  # Fader & Hardie (2007), table 1


def durations(unit="month", **columns):
    return clv.Durations(pd.DataFrame(columns).rename_axis("contract_id"), unit)


@pytest.fixture(scope="module")
def late():
    """500 simulated contracts, half of them seen late, some in the place of several."""
    rng = np.random.default_rng(7)
    duration = 20 * rng.weibull(1.2, 500)
    entry = np.where(rng.random(500) < 0.5, 0, 0.5 * duration * rng.random(500))
    event = ((rng.random(500) < 0.6) & (duration <= 40)).astype(int)
    duration = np.minimum(duration, 40)  # where observation ends
    return durations(duration=duration, event=event, entry=entry, weight=rng.integers(1, 4, 500))


@pytest.fixture(scope="module")
def fit(late):
    return clv.KaplanMeier().fit(late, seed=1)


def reference(row):
    rows = json.loads(shared("reference_results.json").read_text())
    return next(each["value"] for each in rows if each["id"] == row)


def test_telco_has_the_published_numbers():
    frame = pd.read_csv(shared("telco_ibm/telco_customer_churn.csv.gz"), index_col="customerID")
    frame = frame[(frame["Contract"] == "Month-to-month") & (frame["InternetService"] != "No")]
    table = frame[["tenure"]].set_axis(["duration"], axis=1).assign(event=(frame["Churn"] == "Yes").astype(int))
    fit = clv.KaplanMeier().fit(clv.Durations(table, "month"), seed=1)
    subjects, churned, median = reference("km.telco.n")
    assert (fit.origin.customers, fit.table["events"].sum(), fit.median) == (subjects, churned, median)


def test_us_lapse_agent_has_the_reference_curve():
    frame = pd.read_parquet(shared("us_lapse_agent/uslapseagent.parquet"))
    data = durations("month", duration=frame["duration"], event=frame["surrender"])  # in quarters, all the same
    survival = clv.KaplanMeier().fit(data, seed=1).survival([4, 8, 12, 20, 28, 40])["survival"]
    assert np.allclose(survival, reference("km.us_lapse_agent"), rtol=0, atol=1e-6)


def test_the_survivors_of_a_cohort_are_the_curve():
    fit = clv.KaplanMeier().fit(clv.Durations.from_survivors(REGULAR), seed=1)
    assert fit.clock == "renewals"
    assert np.allclose(fit.table["survival"], np.array(REGULAR[1:]) / 1000, rtol=0, atol=1e-14)
    assert fit.table["at_risk"].tolist() == REGULAR[:-1]
    assert np.allclose(fit.retention([1, 7])["retention_rate"], [0.631, 241 / 262], atol=1e-14)
    # Three periods are paid by 1000, 631 and 468 customers.
    assert fit.restricted_mean([3])["restricted_mean"].item() == pytest.approx(2.099, abs=1e-12)
    assert fit.quantile([0.3, 0.369, 0.5, 0.7]).tolist()[:3] == [1, 1, 2]
    assert fit.median == 2


def test_the_curve_ends_where_the_data_do(fit, late):
    last = late.table["duration"].max()
    assert fit.support == last
    survival = fit.survival([0, last, np.nextafter(last, np.inf)], interval=0.9)
    assert survival.iloc[0].tolist() == [1, 1, 1]
    assert survival.iloc[1].notna().all()
    assert survival.iloc[2].isna().all()
    assert fit.restricted_mean([last + 1], interval=0.9).isna().all(axis=None)
    assert np.isnan(clv.KaplanMeier().fit(clv.Durations.from_survivors([10, 9, 8]), seed=1).median)


def test_limits_are_those_of_the_table(fit):
    times = fit.table.index[[0, 100, 200]]
    limits = fit.survival(times, interval=0.95)
    assert np.allclose(limits, fit.table.loc[times, ["survival", "lower", "upper"]], rtol=0, atol=1e-14)


def test_the_restricted_mean_is_the_area_under_the_curve(fit):
    grid = np.linspace(0, 15, 200_001)
    middle = (grid[1:] + grid[:-1]) / 2
    area = fit.survival(middle)["survival"].mean() * 15
    found = fit.restricted_mean([0, 15], interval=0.9)
    assert found["restricted_mean"].tolist() == [0, pytest.approx(area, rel=1e-5)]
    assert found.loc[15, "lower"] < area < found.loc[15, "upper"]


def test_the_mean_residual_lifetime_is_the_area_from_the_tenure_on(fit):
    tenure = np.array([0.0, 3.3, 12])
    grid = np.linspace(0, 9, 90_001)
    middle = (grid[1:] + grid[:-1]) / 2
    for source in (fit, clv.KaplanMeier().fit(fit.data, seed=1, draws=100).posterior):
        found = source.mean_residual_lifetime(9.0, (tenure,))
        assert found.shape == (source.draw_count, 3)
        start = source.log_survival_at(tenure, (tenure,))
        for i, each in enumerate(tenure):
            area = np.exp(source.log_survival_at(each + middle, (tenure,)) - start[:, [i]]).mean(axis=1) * 9
            assert np.allclose(found[:, i], area, rtol=1e-4)
    # Beyond the support nothing is counted, and for who is there already nothing is known.
    found = fit.mean_residual_lifetime(9.0, (np.array([fit.support - 1, fit.support + 1]),))[0]
    assert 0.9 < found[0] <= 1
    assert np.isnan(found[1])


def test_the_interval_of_the_restricted_mean_is_right_in_repeated_samples():
    rng, means, widths = np.random.default_rng(5), [], []
    for _ in range(200):
        duration, until = rng.exponential(10, 150), rng.uniform(5, 30, 150)
        event = (duration <= until).astype(int)
        fit = clv.KaplanMeier().fit(durations(duration=np.minimum(duration, until), event=event), seed=1, draws=200)
        row = fit.restricted_mean([10], interval=0.9).iloc[0]
        means.append(row["restricted_mean"])
        widths.append(row["lower"] <= 10 * (1 - np.exp(-1)) <= row["upper"])
    assert np.mean(means) == pytest.approx(10 * (1 - np.exp(-1)), abs=4 * np.std(means) / np.sqrt(200))
    assert 0.84 <= np.mean(widths) <= 0.96  # 90 %, and three standard errors of 200 samples


def test_lifetimes_follow_the_curve_from_the_tenure_on(fit):
    columns = (np.array([0.0, 4.0]),)
    ends = fit.posterior.lifetimes(np.random.default_rng(1), columns)
    assert ends.shape == (1000, 2)
    assert (ends > columns[0]).all()
    assert set(np.unique(ends[np.isfinite(ends)])) <= set(fit.table.index)
    ends = np.concatenate([fit.lifetimes(np.random.default_rng(seed), columns) for seed in range(4000)])
    for at in (8.0, 20.0):
        expected = np.exp(fit.log_survival_at(at, columns) - fit.log_survival_at(columns[0], columns))[0]
        error = np.sqrt(expected * (1 - expected) / 4000)
        assert (np.abs((ends > at).mean(axis=0) - expected) < 4 * error).all()
    # Who is there at the end of the support stays for longer than anyone knows.
    still = np.isinf(ends).mean(axis=0)
    assert (still > 0).all()


def test_the_same_seed_gives_the_same_curves(late, fit):
    again = clv.KaplanMeier().fit(late, seed=1)
    assert again.data_hash == fit.data_hash
    assert np.array_equal(again.posterior.steps.hazard, fit.posterior.steps.hazard)
    other = clv.KaplanMeier().fit(late, seed=2)
    assert not np.array_equal(other.posterior.steps.hazard, fit.posterior.steps.hazard)


def test_more_steps_than_are_kept_are_added_up(fit, monkeypatch):
    monkeypatch.setattr("clvmodels.models.survival.steps.KEPT", 50)
    coarse = clv.KaplanMeier().fit(fit.data, seed=1)
    assert coarse.steps.hazard.shape == (1, 51)
    kept = coarse.steps.time[1:]
    assert set(kept) <= set(fit.table.index)
    assert np.allclose(coarse.steps.at(kept), fit.steps.at(kept), rtol=0, atol=1e-12)


def test_the_clock_is_chosen_or_told(late):
    table = late.table.drop(columns="weight").assign(renewals=np.ceil(late.table["duration"]).astype(int))
    table = table.assign(entry_renewals=0)
    both = clv.Durations(table, "month")
    assert clv.KaplanMeier().fit(both, seed=1).clock == "duration"
    fit = clv.KaplanMeier(clock="renewals").fit(both, seed=1)
    assert fit.clock == "renewals"
    assert "on the clock of renewals" in repr(fit)
    assert repr(fit.model) == "KaplanMeier(clock='renewals')"
    with pytest.raises(ValueError, match="clock must be 'duration' or 'renewals'; got 'days'"):
        clv.KaplanMeier(clock="days")
    with pytest.raises(clv.DataError, match="KaplanMeier needs the column 'renewals'"):
        clv.KaplanMeier(clock="renewals").fit(late)


def test_renewals_of_different_periods_are_not_pooled():
    data = durations(renewals=[1, 2, 3], event=[1, 1, 0], period=["month", "year", "month"])
    with pytest.raises(clv.DataError, match=r"not the same after another period: month \(2\), year \(1\)"):
        clv.KaplanMeier().fit(data)


def test_survival_of_customers_is_one_row_each(fit, late):
    table = fit.survival([1, 5], data=late.active)
    assert table.shape == (len(late.active), 2)
    assert np.allclose(table, fit.survival([1, 5])["survival"].to_numpy())


def test_an_early_end_of_the_curve_is_told():
    data = durations(duration=[1.0, 5, 6], event=[1, 1, 0], entry=[0, 2, 2])
    with pytest.warns(clv.DataWarning, match=r"at tenure 1 all of 1 observed so early had left.*for lack of data"):
        fit = clv.KaplanMeier().fit(data, seed=1)
    assert fit.survival([1, 5])["survival"].tolist() == [0, 0]
    columns = (np.array([3.0]),)
    conditional = fit.log_survival_at(5.5, columns) - fit.log_survival_at(columns[0], columns)
    assert np.exp(conditional).item() == pytest.approx(0.5)
    assert fit.mean_residual_lifetime(3.0, columns).item() == pytest.approx(2 + 0.5)
    assert fit.restricted_mean([6])["restricted_mean"].item() == 1


def test_what_cannot_be_fitted_is_refused():
    with pytest.raises(clv.DataError, match="none of 2 contracts has ended"):
        clv.KaplanMeier().fit(durations(duration=[1.0, 2], event=[0, 0]))
    with pytest.raises(ValueError, match="method 'ml' alone"):
        clv.KaplanMeier().fit(durations(duration=[1.0, 2], event=[1, 0]), method="laplace")
    with pytest.raises(ValueError, match="draws must be a whole number"):
        clv.KaplanMeier().fit(durations(duration=[1.0, 2], event=[1, 0]), draws=3)
    with pytest.raises(AttributeError, match="holds no results: use fit"):
        clv.KaplanMeier().table  # noqa: B018


def test_all_endings_at_one_time_are_a_curve_of_one_step():
    fit = clv.KaplanMeier().fit(durations(duration=[3.0, 3, 3, 3], event=[1, 1, 1, 0]), seed=1)
    assert fit.survival([2.9, 3])["survival"].tolist() == [1, 0.25]


def test_bad_questions_are_sentences(fit):
    with pytest.raises(ValueError, match=r"tenures must be 0 or more; got -1\.0"):
        fit.survival(-1)
    with pytest.raises(ValueError, match="tenures must be 1 or more"):
        fit.retention(0)
    with pytest.raises(ValueError, match="p must lie strictly between 0 and 1"):
        fit.quantile(1)


def test_the_picture_is_the_table(fit):
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    ax = fit.plot()
    shown = ax.lines[0].get_ydata()
    assert shown[0] == 1
    assert np.array_equal(shown[1:-1], fit.table["survival"])
    assert ax.lines[0].get_xdata()[-1] == fit.support
    pyplot.close("all")


def test_what_a_curve_of_steps_has_not_is_told():
    data = clv.Durations.from_survivors([1000, 869, 743])
    fit = clv.KaplanMeier().fit(data, seed=1)
    pd.testing.assert_frame_equal(fit.summary(), fit.table)
    pd.testing.assert_frame_equal(clv.ContractualCLV(clv.KaplanMeier()).fit(data, seed=1).summary(), fit.table)
    with pytest.raises(AttributeError, match=r"a fit of KaplanMeier has no hazard: a curve .*; it has survival\(\)"):
        fit.hazard([1])
    for name in ("parameters", "log_likelihood", "aic", "bic", "diagnostics"):
        for each in (fit, clv.ContractualCLV(clv.KaplanMeier()).fit(data, seed=1)):
            with pytest.raises(AttributeError, match=f"a fit of KaplanMeier has no {name}"):
                getattr(each, name)
    with pytest.raises(AttributeError, match="'KaplanMeierFit' object has no attribute 'hazzard'"):
        fit.hazzard  # noqa: B018
