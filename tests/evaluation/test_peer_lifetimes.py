"""LifetimesCLV: lifetimes finds our optimum and predicts what we do; its noise stays inside."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv


@pytest.fixture(scope="module")
def fit(cdnow):
    return clv.LifetimesCLV().fit(cdnow)


@pytest.fixture(scope="module")
def ours(cdnow):
    return clv.NonContractualCLV(clv.BGNBD(), clv.GammaGamma()).fit(cdnow, seed=1)


def test_it_finds_the_published_optimum(fit):
    published = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}  # Fader, Hardie & Lee (2005), table 2
    assert fit.parameters.loc["BGNBD", "estimate"].to_dict() == pytest.approx(published, abs=6e-4)


def test_it_reaches_our_likelihood_and_predicts_what_we_do(fit, ours, cdnow):
    for name, part in (("BGNBD", ours.transactions), ("GammaGamma", ours.spend)):
        model = part.model
        rows = part.rows
        there = model.log_likelihood(*rows.columns, **fit.parameters.loc[name, "estimate"]) @ rows.weights
        assert there == pytest.approx(part.log_likelihood, abs=1e-3)
    theirs, table = (each.predict(horizon="39 weeks") for each in (fit, ours))
    # Where its optimiser stops, the parameters are right to four digits.
    for name in ("expected_transactions", "expected_spend", "expected_revenue"):
        np.testing.assert_allclose(theirs[name], table[name], rtol=1e-4)
    np.testing.assert_array_equal(theirs["clv"], theirs["expected_revenue"])


def test_the_unit_is_that_of_the_summary(fit, cdnow):
    days = clv.LifetimesCLV().fit(cdnow.source.summary(unit="day", until="1997-09-30"))
    ratio = days.parameters.loc[("BGNBD", "alpha"), "estimate"] / fit.parameters.loc[("BGNBD", "alpha"), "estimate"]
    assert ratio == pytest.approx(7, rel=1e-4)
    tables = [each.predict(horizon="39 weeks")["expected_transactions"] for each in (days, fit)]
    np.testing.assert_allclose(*tables, rtol=1e-4)
    with pytest.raises(ValueError, match="the fit is in weeks and the data are in days; use unit='week'"):
        fit.predict(days.data, horizon="39 weeks")


def test_the_penalty_is_what_is_given(fit, cdnow):
    held = clv.LifetimesCLV(penalizer=0.1).fit(cdnow)
    assert (held.parameters.loc["BGNBD", "estimate"] < fit.parameters.loc["BGNBD", "estimate"]).all()
    assert repr(held.model) == "LifetimesCLV(penalizer=0.1)"
    for penalizer in (-1, np.inf, "0.1"):
        with pytest.raises(ValueError, match="penalizer must be a number, 0 or more"):
            clv.LifetimesCLV(penalizer)


def test_without_values_only_transactions(cdnow):
    table = cdnow.table[["frequency", "recency", "T"]]
    fit = clv.LifetimesCLV().fit(clv.Summary(table, unit="week"))
    assert fit.predict(horizon="39 weeks").columns.tolist() == ["expected_transactions"]


def test_no_interval_and_it_says_so(fit):
    table = fit.predict(horizon="39 weeks", interval=0.9)
    assert not [name for name in table.columns if "lower" in name]
    assert "no intervals: lifetimes gives means alone" in table.attrs["notes"]
    with pytest.raises(ValueError, match="LifetimesCLV predicts a horizon that ends"):
        fit.predict(horizon=None)


def summary(x, t_x, T, m_x):
    return clv.Summary(pd.DataFrame({"frequency": x, "recency": t_x, "T": T, "monetary_value": m_x}), unit="week")


def test_what_lifetimes_cannot_do_is_told_in_its_words(capsys):
    # Customers who buy every week until the end leave no dropout to be seen: its search runs away.
    everyone = summary([50] * 20, [50.0] * 20, [50.0] * 20, [10.0] * 20)
    with pytest.raises(clv.FitError, match=r"lifetimes' BetaGeoFitter gives no fit: The model did not converge"):
        clv.LifetimesCLV().fit(everyone)
    assert capsys.readouterr().out == ""
    nobody = summary([0, 0, 0, 1], [0.0, 0, 0, 2], [10.0, 20, 30, 5], [0.0, 0, 0, 0])
    with pytest.raises(clv.FitError, match="lifetimes needs repeat transactions of some value, and there are none"):
        clv.LifetimesCLV(0.1).fit(nobody)
    contracts = clv.Durations(pd.DataFrame({"renewals": [1, 2], "event": [1, 0]}), unit="month")
    with pytest.raises(clv.DataError, match="LifetimesCLV counts purchases, and contracts have none"):
        clv.LifetimesCLV().fit(contracts)


def test_no_number_is_no_prediction(fit, cdnow, monkeypatch):
    monkeypatch.setattr(fit.transactions, "params_", fit.transactions.params_ * np.nan)
    with pytest.raises(clv.FitError, match="lifetimes gives no expected transactions for 2,357 customers: 1, 2, 3"):
        fit.predict(horizon="39 weeks")


def test_lifetimes_is_loaded_by_a_fit_alone_and_changes_no_option():
    code = """
import sys, warnings, pandas as pd
warnings.simplefilter("error")
def option():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pd.get_option("mode.chained_assignment")
import clvmodels as clv
before = option()
frame = pd.DataFrame({"frequency": [0, 1, 2, 0], "recency": [0, 2, 3, 0], "T": [4, 4, 5, 6.0]})
model, data = clv.LifetimesCLV(0.1), clv.Summary(frame, unit="week")
assert "lifetimes" not in sys.modules
filters = list(warnings.filters)
model.fit(data).predict(horizon=4)
assert "lifetimes" in sys.modules
assert list(warnings.filters) == filters
assert option() == before
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)  # noqa: S603
    assert run.returncode == 0, run.stderr
    assert not run.stdout


def test_without_a_fit_of_spend_transactions_are_predicted_alone(cdnow, fit, monkeypatch):
    from lifetimes import GammaGammaFitter
    from lifetimes.utils import ConvergenceError

    def fails(*_):
        raise ConvergenceError("did not converge")

    monkeypatch.setattr(GammaGammaFitter, "fit", fails)
    with pytest.warns(
        clv.ConvergenceWarning, match="GammaGammaFitter gives no fit: did not converge; only transactions"
    ):
        alone = clv.LifetimesCLV().fit(cdnow)
    table = alone.predict(horizon="39 weeks")
    assert "expected_revenue" not in table.columns
    pd.testing.assert_series_equal(
        table["expected_transactions"], fit.predict(horizon="39 weeks")["expected_transactions"]
    )
