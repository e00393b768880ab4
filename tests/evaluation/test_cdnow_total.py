"""Why the interval of CDNOW's total misses what happened: what the README says of it, number by number."""

import numpy as np
import pytest
from conftest import quietly

import clvmodels as clv
from clvmodels import BGNBD, MBGNBD, ParetoNBD

CUTOFF, HORIZONS = "1997-09-30", ("13 weeks", "26 weeks", "39 weeks")


@pytest.fixture(scope="module")
def sample(cdnow):
    return quietly(BGNBD().fit, cdnow, method="laplace", seed=1)


@pytest.fixture(scope="module")
def everybody():
    """All 23,570 customers of CDNOW, of whom the sample is a tenth: the log, and its splits by horizon."""
    log = clv.Transactions(clv.datasets.cdnow(), customer="customer_id", date="date", value="amount")
    return log, [log.split(CUTOFF, horizon) for horizon in HORIZONS]


@pytest.fixture(scope="module")
def fit(everybody):
    _, splits = everybody
    return quietly(BGNBD().fit, splits[0].calibration, seed=1, draws=200)


def quarters(fit, splits):
    """Actual and expected transactions of each customer in the quarters after the cutoff, two arrays (N, 3)."""
    actual = np.column_stack([split.holdout["transactions"] for split in splits])
    expected = np.column_stack([fit.predict(horizon=horizon)["expected_transactions"] for horizon in HORIZONS])
    return np.diff(actual, axis=1, prepend=0), np.diff(expected, axis=1, prepend=0)


def excess(actual, expected, chosen):
    return actual[chosen].sum(axis=0) / expected[chosen].sum(axis=0) - 1


def test_the_total_lies_above_its_interval_and_the_model_gives_it_2_in_100(sample):
    total = sample.total(horizon="39 weeks", interval=0.9)
    assert round(total["transactions_lower"].item(), -1) == 1490
    assert round(total["transactions_upper"].item(), -1) == 1830
    reached = sample.exceedance({"all": 1881}, horizon="39 weeks")["p_above"].item()
    # 0.02, give or take 0.009: two standard errors of 1,000 draws.
    assert 0.01 <= reached <= 0.03
    wide = sample.total(horizon="39 weeks", interval=0.99)
    assert wide["transactions_upper"].item() > 1882


@pytest.mark.slow
def test_the_no_u_turn_sampler_says_the_same(sample, cdnow):
    fit = quietly(BGNBD().fit, cdnow, method="mcmc", seed=1, draws=500, chains=2, progress=False)
    ends = ["transactions_lower", "transactions_upper"]
    one, other = (f.total(horizon="39 weeks", interval=0.9)[ends].to_numpy() for f in (sample, fit))
    # Each end is a 5 % quantile of 1,000 draws with a standard deviation of 101.
    assert np.abs(one - other).max() < 4 * np.sqrt(2) * 101 * np.sqrt(0.05 * 0.95 / 1000) / 0.103
    assert 0.005 <= fit.exceedance({"all": 1881}, horizon="39 weeks")["p_above"].item() <= 0.035
    both = [f.exceedance(0, horizon="39 weeks") for f in (sample, fit)]
    # Some 1,200 customers of different histories, two samples of 1,000 draws: 4.5 standard errors of a probability.
    assert np.abs(both[0]["p_above"] - both[1]["p_above"]).max() < 4.5 * 0.5 * np.sqrt(2 / 1000)
    assert fit.exceedance(0, horizon="39 weeks").attrs["method"] == "mcmc"


def test_the_interval_is_chance_and_parameters_half_and_half(sample):
    drawn = np.concatenate([block["transactions"] for _, block in sample.outcome_draws(horizon="39 weeks")], axis=1)
    means = sample.draws("expected_transactions", horizon="39 weeks")
    together, parameters = drawn.sum(axis=1).std(), means.sum(axis=1).std()
    chance = (drawn - means).sum(axis=1).std()
    # A standard deviation of 1,000 draws has an error of 2.2 %.
    assert together == pytest.approx(101, abs=5)
    assert parameters == pytest.approx(73, abs=4)
    assert chance == pytest.approx(69, abs=4)
    assert np.hypot(chance, parameters) == pytest.approx(together, rel=0.07)


def test_of_ten_times_the_customers_the_interval_is_a_third_as_wide_and_the_error_is_not(sample, everybody, fit):
    _, (*_, split) = everybody
    actual = split.holdout["transactions"].to_numpy()
    total, few = (one.total(horizon="39 weeks", interval=0.9) for one in (fit, sample))
    lower, upper, mean = (
        total[name].item() for name in ("transactions_lower", "transactions_upper", "expected_transactions")
    )
    width = (few["transactions_upper"] - few["transactions_lower"]).item() / few["expected_transactions"].item()
    assert width / ((upper - lower) / mean) == pytest.approx(np.sqrt(10), rel=0.15)
    assert (round(mean, -2), actual.sum()) == (16_900, 19_684)
    # Ends of 200 draws have a standard error of 50.
    assert (lower, upper) == pytest.approx((16_300, 17_400), abs=150)
    assert (actual.sum() - mean) / ((upper - lower) / 3.29) > 7
    # Cut in ten like the sample, not one part has fewer than expected.
    part = np.arange(len(actual)) % 10
    expected = fit.predict(horizon="39 weeks")["expected_transactions"].to_numpy()
    errors = np.bincount(part, actual) / np.bincount(part, expected) - 1
    assert errors.min() > 0.05
    assert errors.mean() == pytest.approx(0.167, abs=0.002)


def test_who_bought_once_or_twice_more_comes_back_more_often_than_expected_in_every_quarter(everybody, fit):
    _, splits = everybody
    x, since = (splits[0].calibration.table[name].to_numpy() for name in ("frequency", "days_since_last"))
    actual, expected = quarters(fit, splits)
    few, many = (x == 1) | (x == 2), x > 2
    np.testing.assert_allclose(excess(actual, expected, few), [0.40, 0.50, 0.40], atol=0.005)
    missing = (actual - expected).sum(axis=1)
    assert missing.sum() == pytest.approx(2810, abs=15)
    assert missing[few].sum() == pytest.approx(1930, abs=15)
    assert actual[many].sum() / expected[many].sum() == pytest.approx(1.07, abs=0.005)
    silent = few & (since > 120)
    assert actual[silent].sum() / expected[silent].sum() == pytest.approx(1.64, abs=0.01)


def test_in_the_sample_it_is_they_too(sample, cdnow_split):
    x = cdnow_split.calibration.table["frequency"].to_numpy()
    drawn = np.concatenate([block["transactions"] for _, block in sample.outcome_draws(horizon="39 weeks")], axis=1)
    actual = cdnow_split.holdout["transactions"].to_numpy()
    few = (x == 1) | (x == 2)
    error = {}
    for name, chosen in {"few": few, "others": ~few}.items():
        totals = drawn[:, chosen].sum(axis=1)
        error[name] = (actual[chosen].sum() - totals.mean()) / totals.std()
    assert actual[few].sum() == 604
    assert drawn[:, few].sum(axis=1).mean() == pytest.approx(457, abs=4)
    assert error["others"] < 1.5 < 3.3 < error["few"]


@pytest.mark.parametrize(("model", "bias"), [(BGNBD, -0.143), (MBGNBD, -0.19), (ParetoNBD, -0.13)])
def test_every_way_of_leaving_misses_the_total_alike(everybody, model, bias):
    _, splits = everybody
    actual, expected = quarters(quietly(model().fit, splits[0].calibration, seed=1), splits)
    assert expected.sum() / actual.sum() - 1 == pytest.approx(bias, abs=0.006)


def test_the_parameters_of_all_78_weeks_nearly_give_the_total(cdnow, cdnow_split):
    log = clv.Transactions(clv.datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    late = quietly(BGNBD().fit, log.summary(unit="week", until="1998-06-30"), seed=1)
    total = late.predict(cdnow, horizon="39 weeks")["expected_transactions"].sum()
    assert total == pytest.approx(1856, abs=2)
    left = {
        name: fit.parameters["estimate"] for name, fit in {"late": late, "early": quietly(BGNBD().fit, cdnow)}.items()
    }
    share = {name: p["a"] / (p["a"] + p["b"]) for name, p in left.items()}
    assert share["early"] == pytest.approx(0.246, abs=0.001)
    assert share["late"] == pytest.approx(0.187, abs=0.001)


def test_earlier_quarters_show_an_error_with_which_the_interval_would_hold_the_total(sample, everybody):
    log, _ = everybody
    errors = []
    for cutoff in ("1997-03-31", "1997-06-30"):
        split = log.split(cutoff, "13 weeks")
        mean = (
            quietly(BGNBD().fit, split.calibration, seed=1).predict(horizon="13 weeks")["expected_transactions"].sum()
        )
        errors.append(split.holdout["transactions"].sum() / mean - 1)
    np.testing.assert_allclose(errors, [-0.12, -0.04], atol=0.005)
    common = np.sqrt(np.mean(np.square(errors)))
    total = sample.total(horizon="39 weeks", interval=0.9)
    mean = total["expected_transactions"].item()
    own = (total["transactions_upper"] - total["transactions_lower"]).item() / 3.29
    reach = 1.645 * np.hypot(own, common * mean)
    assert mean - reach == pytest.approx(1370, abs=15)
    assert mean + reach == pytest.approx(1950, abs=15)
