"""Tracking: weeks before and after the cutoff, of the customers known there."""

import numpy as np
import pandas as pd
import pytest

import clvmodels as clv
from clvmodels.data import datasets
from clvmodels.evaluation.tracking import _expected_until, tracked

CUTOFF = "1997-09-30"


@pytest.fixture(scope="module")
def result():
    log = clv.Transactions(datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    return clv.backtest([clv.BGNBD(), clv.SimpleCLV()], log, CUTOFF, "39 weeks", seed=1)


@pytest.fixture(scope="module")
def weeks(result):
    return result.tracking(["BGNBD"])


def test_weeks_hold_every_repeat_transaction_but_of_the_first_days(weeks):
    assert weeks["date"].iloc[0] == pd.Timestamp("1997-01-14")  # 38 whole weeks before the cutoff
    assert weeks["date"].iloc[-1] == pd.Timestamp("1998-06-30")
    lines = datasets.cdnow_sample().drop_duplicates(["customer_id", "date"])
    later = lines[lines["date"] > lines.groupby("customer_id")["date"].transform("min")]
    counts = later.groupby(pd.cut(later["date"], [pd.Timestamp("1997-01-07"), *weeks["date"]]), observed=False).size()
    assert weeks["actual"].tolist() == counts.tolist()
    assert weeks.loc[weeks["period"] == "holdout", "actual"].sum() == 1882


def test_expected_before_the_cutoff_is_the_sum_over_customers(cdnow_fit, cdnow):
    T = cdnow.table["T"].to_numpy()
    edges = np.arange(-38, 1.0)
    ages = np.maximum(T[:, None] + edges, 0)
    params = {name: draws.item() for name, draws in cdnow_fit.parameter_draws.items()}
    direct = clv.BGNBD.expected_transactions_new(ages.ravel(), **params).reshape(ages.shape).sum(axis=0)
    np.testing.assert_allclose(_expected_until(cdnow_fit, T, edges), direct, rtol=1e-9)


def test_expected_after_the_cutoff_is_what_the_table_says(result, weeks):
    fit = result.fits["BGNBD", pd.Timestamp(CUTOFF)]
    after = weeks[weeks["period"] == "holdout"]
    for number in (1, 13, 39):
        table = fit.predict(horizon=pd.Timedelta(weeks=number))
        assert after["expected"].iloc[:number].sum() == pytest.approx(table["expected_transactions"].sum(), rel=1e-9)


def test_running_sums_go_on_from_what_had_happened(weeks):
    before, after = (weeks[weeks["period"] == period] for period in ("calibration", "holdout"))
    np.testing.assert_allclose(after["expected_sum"], before["actual"].sum() + after["expected"].cumsum())
    np.testing.assert_allclose(before["expected_sum"], before["expected"].cumsum())
    np.testing.assert_allclose(weeks["actual_sum"], weeks["actual"].cumsum())


def test_the_band_of_the_last_sum_is_that_of_the_total(result, weeks):
    fit = result.fits["BGNBD", pd.Timestamp(CUTOFF)]
    total = fit.total(horizon="39 weeks", interval=0.9)
    last, before = weeks.iloc[-1], weeks.loc[weeks["period"] == "calibration", "actual"].sum()
    # 200 and 1,000 draws: the ends of each are uncertain by some 15 of a width of 340.
    assert last["lower_sum"] - before == pytest.approx(total["transactions_lower"].item(), abs=50)
    assert last["upper_sum"] - before == pytest.approx(total["transactions_upper"].item(), abs=50)


def test_bands_hold_the_weeks_of_a_simulated_shop(weeks):
    # A Poisson count of mean 50 has a sd of 7: the band is about 3.3 of them wide, and a little more with parameters.
    middle = weeks.iloc[30:50]
    width = (middle["upper"] - middle["lower"]) / np.sqrt(middle["expected"])
    assert width.between(2.8, 4.8).all()
    assert ((weeks["expected"] > weeks["lower"]) & (weeks["expected"] < weeks["upper"])).mean() > 0.95


def test_a_model_without_a_process_is_tracked_after_the_cutoff_only(result):
    found = result.tracking(["SimpleCLV"])
    before = found["period"] == "calibration"
    assert found.loc[before, "expected"].isna().all()
    fit = result.fits["SimpleCLV", pd.Timestamp(CUTOFF)]
    whole = fit.predict(horizon="39 weeks")["expected_transactions"].sum()
    assert found.loc[~before, "expected"].sum() == pytest.approx(whole)
    assert "lower" not in found


class Quarters:
    """A model that knows no horizon shorter than a quarter."""

    def fit(self, data):
        self.data = data
        return self

    def predict(self, data, *, horizon):
        if horizon < pd.Timedelta(weeks=13):
            raise ValueError("quarters only")
        return pd.DataFrame({"expected_transactions": 1.0}, index=data.table.index)


def test_a_model_that_cannot_be_tracked_is_left_out_with_a_word():
    log = clv.Transactions(datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    result = clv.backtest([Quarters(), clv.SimpleCLV()], log, CUTOFF, "13 weeks", seed=1)
    with pytest.warns(clv.DataWarning, match="Quarters cannot be followed week by week and is left out: ValueError: q"):
        found = result.tracking()
    assert set(found["model"]) == {"SimpleCLV"}
    assert found.equals(result.tracking("SimpleCLV"))
    with pytest.raises(clv.DataError, match="quarters only"):
        result.tracking("Quarters")
    with pytest.raises(ValueError, match="no model 'S'; choose one of 'Quarters', 'SimpleCLV'"):
        result.tracking(["S"])


def test_the_unit_changes_no_week(result):
    split = result.windows[0][0].split
    log = clv.Transactions(datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    in_days = log.split(CUTOFF, "39 weeks", unit="day")
    found = tracked(clv.BGNBD().fit(in_days.calibration, seed=1), in_days, 0.9, seed=1)
    same = tracked(result.fits["BGNBD", pd.Timestamp(CUTOFF)], split, 0.9, seed=1)
    np.testing.assert_array_equal(found["actual"], same["actual"])
    np.testing.assert_allclose(found["expected"], same["expected"], rtol=1e-4)
