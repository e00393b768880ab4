"""Cox: R's and lifelines' coefficients, our own baseline with late entry, and curves that end where the data do."""

import builtins
import json
import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import shared

import clvmodels as clv
from clvmodels.models.survival.cox import Baseline

lifelines = pytest.importorskip("lifelines")

ROSSI = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]


def reference(row):
    rows = json.loads(shared("reference_results.json").read_text())
    found = next(each for each in rows if each["id"] == row)
    return found["value"], found["tolerance_suggested"]["abs"]


@pytest.fixture(scope="module")
def rossi():
    frame = pd.read_csv(shared("survival_classics/rossi.csv.gz")).rename(
        columns={"week": "duration", "arrest": "event"}
    )
    return clv.Durations(frame.rename_axis("customer"), "week", attributes=("race",))


@pytest.fixture(scope="module")
def fit(rossi):
    return clv.Cox(ROSSI).fit(rossi, seed=1)


@pytest.fixture(scope="module")
def late():
    """2,000 simulated contracts whose hazard is 0.05 exp(0.7 price), a third of them seen late."""
    rng = np.random.default_rng(3)
    price = rng.normal(2, 1, 9000)
    end = rng.exponential(1 / (0.05 * np.exp(0.7 * (price - 2))))
    entry = rng.uniform(-20, 10, 9000).clip(0)
    until = entry + rng.uniform(2, 40, 9000)
    seen = np.flatnonzero(end > entry)[:2000]
    frame = {"duration": np.minimum(end, until), "event": (end <= until).astype(int), "entry": entry, "price": price}
    return clv.Durations(pd.DataFrame(frame).iloc[seen].rename_axis("customer"), "month")


@pytest.fixture(scope="module")
def late_fit(late):
    return clv.Cox(["price"]).fit(late, seed=1, draws=20_000)


def test_rossi_has_the_coefficients_of_r(fit):
    coefficients, tolerance = reference("cox.rossi.coef")
    assert list(fit.parameters.index) == ROSSI
    assert np.allclose(fit.parameters["estimate"], coefficients, rtol=0, atol=tolerance)
    z, tolerance = reference("cox.rossi.z")
    assert np.allclose(fit.parameters["estimate"] / fit.parameters["se"], z, rtol=0, atol=tolerance)
    (partial, _, concordance), tolerance = reference("cox.rossi.fit")
    assert fit.log_likelihood == pytest.approx(partial, abs=tolerance)
    table = fit.data.table
    survival = fit.survival([26], data=fit.data).iloc[:, 0]
    found = lifelines.utils.concordance_index(table["duration"], survival, table["event"])
    assert found == pytest.approx(concordance, abs=0.001)


def test_strata_have_baselines_of_their_own(rossi):
    fit = clv.Cox([name for name in ROSSI if name != "race"], strata="race").fit(rossi, seed=1)
    coefficients, tolerance = reference("cox.rossi.strata.race")
    assert np.allclose(fit.parameters["estimate"], coefficients, rtol=0, atol=tolerance)
    found = fit.survival([10, 52], data=rossi)
    # The baseline of each by hand: Breslow's sum over the stratum.
    x = fit.design.matrix(rossi.table) @ fit.partial.coefficients
    for race in (0, 1):
        here = (rossi.table["race"] == race).to_numpy()
        table, risk = rossi.table[here], np.exp(x[here])
        for at in (10.0, 52.0):
            times = np.unique(table.loc[(table["event"] == 1) & (table["duration"] <= at), "duration"])
            steps = [
                ((table["duration"] == t) & (table["event"] == 1)).sum() / risk[table["duration"] >= t].sum()
                for t in times
            ]
            assert np.allclose(found.loc[here, at], np.exp(-sum(steps) * risk), rtol=1e-12)
    with pytest.raises(ValueError, match=r"name the customers, as in fit.survival\(t, data=...\)"):
        fit.survival([10])
    other = clv.Durations(rossi.table.head(2).assign(race=[0, 7]), "week", attributes=("race",))
    with pytest.raises(clv.DataError, match="no baseline for race 7, the value of 1 customer: 1"):
        fit.survival([10], data=other)
    ends = fit.posterior.lifetimes(np.random.default_rng(1), fit.customer_columns(rossi))
    assert ends.shape == (1000, len(rossi))


def test_us_lapse_agent_has_the_reference_coefficients():
    frame = pd.read_parquet(shared("us_lapse_agent/uslapseagent.parquet"))
    names = ["annual_premium", "gender", "premium_frequency", "risk_state", "underwriting_age", "acc_death_rider"]
    table = frame[["duration", *names]].assign(event=frame["surrender"])
    fit = clv.Cox(names).fit(clv.Durations(table.rename_axis("contract_id"), "month"), seed=1)  # in quarters
    expected, tolerance = reference("cox.us_lapse_agent")
    partial = expected.pop("partial_LL")
    assert fit.log_likelihood == pytest.approx(partial, abs=0.01)
    found = fit.parameters["estimate"].rename(lambda name: name.replace("[T.", "_").replace("]", ""))
    assert found.to_dict() == {name: pytest.approx(value, abs=tolerance) for name, value in expected.items()}


def test_the_curve_is_that_of_lifelines(fit):
    frame = fit.data.table[["duration", "event", *ROSSI]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of pandas 4, within lifelines
        peer = lifelines.CoxPHFitter().fit(frame, "duration", "event")
    times = [1.0, 10, 26, 50, 52]  # arrests: between them lifelines interpolates
    theirs = peer.predict_survival_function(frame, times=times).T
    assert np.allclose(fit.survival(times, data=fit.data), theirs, rtol=0, atol=1e-9)
    average = np.exp(-peer.baseline_cumulative_hazard_.loc[times].iloc[:, 0])
    assert np.allclose(fit.survival(times)["survival"], average, rtol=0, atol=1e-9)


def test_late_entry_and_weights_count(late, late_fit):
    assert late_fit.parameters.loc["price", "lower"] < 0.7 < late_fit.parameters.loc["price", "upper"]
    truth = np.exp(-0.05 * np.array([5.0, 10, 20]) * np.exp(0.7 * (late.table["price"].mean() - 2)))
    found = late_fit.survival([5, 10, 20], interval=0.9999)  # 4 standard errors
    assert ((found["lower"] < truth) & (truth < found["upper"])).all()
    # Without the entries customers who left early, and are not in the data, seem not to exist.
    blind = clv.Cox(["price"]).fit(clv.Durations(late.table.assign(entry=0.0), "month"), seed=1)
    assert (blind.survival([5, 10])["survival"].to_numpy() > found["upper"].iloc[:2]).all()


def test_weights_are_repeated_rows(late):
    table = late.table.head(300).assign(weight=np.random.default_rng(1).integers(1, 4, 300))
    weighted = clv.Cox(["price"]).fit(clv.Durations(table, "month"), seed=1)
    repeated = table.loc[table.index.repeat(table["weight"])].drop(columns="weight").reset_index(drop=True)
    plain = clv.Cox(["price"]).fit(clv.Durations(repeated, "month"), seed=1)
    # Efron's ties differ: a weighted exit is not split into ties with itself. Breslow's baseline given equal
    # coefficients is the same.
    x = plain.design.matrix(repeated)
    columns = [repeated[name].to_numpy(float) for name in ("duration", "event", "entry")]
    both = [
        Baseline.of(x, weighted.partial.coefficients, *columns, np.ones(len(x))),
        weighted.baselines[0],
    ]
    assert np.allclose(both[0].table.at_risk, both[1].table.at_risk, rtol=1e-9)
    assert np.allclose(both[0].table.events, both[1].table.events)
    assert weighted.parameters["estimate"].item() == pytest.approx(plain.parameters["estimate"].item(), abs=0.02)


def test_draws_have_the_variance_of_the_delta_method(late_fit):
    """The variance of a cumulative hazard under Breslow's baseline: Tsiatis (1981), Annals of Statistics 9(1)."""
    x = np.array([[1.5, -1.0]])
    columns = (np.zeros(2), np.zeros(2, int), *x)
    posterior = late_fit.posterior
    baseline, covariance = late_fit.baselines[0], late_fit.partial.covariance
    for at in (5.0, 20.0):
        until = baseline.table.time <= at
        step = baseline.table.events[until] / baseline.table.at_risk[until]
        risk = np.exp(late_fit.partial.coefficients @ x)
        lever = (step[:, None] * (x - baseline.mean[until])).sum(axis=0)
        variance = risk**2 * ((step**2 / baseline.table.events[until]).sum() + lever**2 * covariance.item())
        drawn = -posterior.log_survival_at(at, columns)
        assert np.allclose(drawn.mean(axis=0), step.sum() * risk, rtol=0.01)
        assert np.allclose(drawn.std(axis=0), np.sqrt(variance), rtol=0.05)


def test_moving_the_sums_at_risk_to_first_order_is_enough(late, late_fit):
    shift = 2 * np.sqrt(late_fit.partial.covariance[0, 0])
    x = late_fit.design.matrix(late.table)
    columns = [late.table[name].to_numpy(float) for name in ("duration", "event", "entry")]
    exact = Baseline.of(x, late_fit.partial.coefficients + shift, *columns, np.ones(len(x)))
    here = late_fit.baselines[0]
    moved = here.table.at_risk * np.exp(here.mean[:, 0] * shift)
    enough = here.table.at_risk > 20
    assert np.allclose(moved[enough], exact.table.at_risk[enough], rtol=0.01)


def test_lifetimes_follow_the_curve_from_the_tenure_on(late_fit):
    columns = (np.array([0.0, 6.0]), np.zeros(2, int), np.array([0.5, -0.5]))
    ends = np.concatenate([late_fit.lifetimes(np.random.default_rng(seed), columns) for seed in range(4000)])
    assert (ends > columns[0]).all()
    for at in (8.0, 20.0):
        expected = np.exp(late_fit.log_survival_at(at, columns) - late_fit.log_survival_at(columns[0], columns))[0]
        error = np.sqrt(expected * (1 - expected) / 4000)
        assert (np.abs((ends > at).mean(axis=0) - expected) < 4 * error).all()
    assert np.isinf(ends).any()


def test_the_mean_residual_lifetime_is_the_area_from_the_tenure_on(late_fit, fit):
    columns = (np.array([0.0, 6.5]), np.zeros(2, int), np.array([0.5, -0.5]))
    grid = np.linspace(0, 10, 100_001)
    middle = (grid[1:] + grid[:-1]) / 2
    found = late_fit.mean_residual_lifetime(10.0, columns)[0]
    for i in range(2):
        one = tuple(column[[i]] for column in columns)
        survival = np.exp(late_fit.log_survival_at(one[0] + middle, one) - late_fit.log_survival_at(one[0], one))
        assert found[i] == pytest.approx(survival.mean() * 10, rel=1e-4)
    at_the_end = fit.mean_residual_lifetime(9.0, tuple(c[:1] for c in fit.customer_columns(fit.data.active)))
    assert at_the_end.item() == 0


def test_the_curve_ends_where_the_data_do(fit):
    assert fit.support == 52
    found = fit.survival([0, 52, 52.1], interval=0.9)
    assert found.iloc[0].tolist() == [1, 1, 1]
    assert found.iloc[2].isna().all()
    assert np.isinf(fit.lifetimes(np.random.default_rng(1), fit.customer_columns(fit.data.active))).all()


def test_formulas_and_categories_are_read(late):
    channel = np.where(np.arange(len(late)) % 3 == 0, "web", "shop")
    data = clv.Durations(late.table.assign(channel=channel), "month")
    fit = clv.Cox("price + C(channel)").fit(data, seed=1)
    assert list(fit.parameters.index) == ["price", "C(channel)[T.web]"]
    assert np.allclose(fit.summary()["hazard_ratio"], np.exp(fit.parameters["estimate"]))
    assert "partial log-likelihood" in repr(fit)


def test_a_missing_lifelines_is_a_sentence(late, monkeypatch):
    plainly = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "lifelines":
            raise ImportError(name)
        return plainly(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(clv.FitError, match=r"needs the package lifelines.*pip install 'clvmodels\[survival\]'"):
        clv.Cox(["price"]).fit(late)


def test_what_cannot_be_fitted_is_a_sentence(late):
    alike = late.table.assign(event=0)
    with pytest.raises(clv.DataError, match="has ended"):
        clv.Cox(["price"]).fit(clv.Durations(alike, "month"))
    with pytest.raises(ValueError, match="method 'ml' alone"):
        clv.Cox(["price"]).fit(late, method="map")
    with pytest.raises(ValueError, match="strata must be the name of one column"):
        clv.Cox(["price"], strata=["price"])
    renewals = clv.Durations(pd.DataFrame({"renewals": [1, 2, 3], "event": [1, 1, 0], "price": [1, 2, 4]}), "month")
    with pytest.raises(clv.DataError, match="Cox needs the column 'duration'"):
        clv.Cox(["price"]).fit(renewals)


def test_a_covariate_that_tells_exits_apart_is_told(late):
    table = late.table.head(200)
    told = clv.Durations(table.assign(flag=np.where(table["event"] == 1, 1.0, 0.0)), "month")
    with pytest.warns(clv.ConvergenceWarning, match="complete separation"):
        clv.Cox(["flag"]).fit(told, seed=1)


def test_one_cause_is_told(late):
    cause = np.where(late.table["event"] == 0, None, np.where(np.arange(len(late)) % 2 == 0, "price", "death"))
    data = clv.Durations(late.table.assign(cause=cause), "month").for_cause("price")
    with pytest.warns(clv.AssumptionWarning, match="fitted to the endings by price"):
        clv.Cox(["price"]).fit(data, seed=1)
