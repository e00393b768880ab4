"""Pareto/NBD against the papers, BTYD, CLVTools, mpmath, closed forms and simpler models."""

import itertools

import mpmath
import numpy as np
import pandas as pd
import pytest
from conftest import quietly, r_package, shared
from scipy import special

import clvmodels as clv
from clvmodels import ParetoNBD

PAPER = {"r": 0.5533, "alpha": 10.578, "s": 0.6062, "beta": 11.669}  # CDNOW: Fader, Hardie & Lee (2005), to four digits


@pytest.fixture(scope="module")
def fit(cdnow):
    return ParetoNBD().fit(cdnow, seed=1)


@pytest.fixture(scope="module")
def apparel():
    """CLVTools' simulated shop."""
    trips = pd.read_csv(shared("apparel/apparel_trans.csv.gz"))
    return clv.Transactions(trips, customer="id", date="date", value="price")


# Published numbers


def test_maximum_likelihood_on_cdnow_is_as_published(fit):
    published = {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}
    assert fit.parameters["estimate"].round(3).to_dict() == published
    assert fit.log_likelihood == pytest.approx(-9594.976, abs=5e-4)
    # CLVTools' manual.
    np.testing.assert_allclose(fit.parameters["se"], [0.0476264, 0.8427222, 0.1872594, 6.2105448], rtol=1e-3)


def test_fits_of_other_weeks_of_cdnow_are_as_published(cdnow_split):
    log = clv.Transactions(clv.datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    # CLVTools' tests: split 37 weeks after the first purchase, that day included.
    fit = ParetoNBD().fit(log.summary(until="1997-09-17"))
    np.testing.assert_allclose(
        fit.parameters["estimate"], [0.54551892, 10.28188512, 0.73728504, 14.54469237], rtol=2e-3
    )
    np.testing.assert_allclose(fit.parameters["se"], [0.04744572, 0.83063349, 0.27236615, 8.59566904], rtol=5e-3)
    # All 78 weeks: abdullahau/customer-analytics.
    fit = ParetoNBD().fit(log.summary(until="1998-06-30"))
    np.testing.assert_allclose(fit.parameters["estimate"], [0.563, 12.5589, 0.4081, 10.5146], atol=0.02)


def test_expectations_are_as_published(fit):
    # BTYD's vignette, of a new customer and of customer 1516, at an optimum of its own.
    params = fit.parameters["estimate"]
    assert ParetoNBD.expected_transactions_new(52, **params) == pytest.approx(1.473434, rel=1e-4)
    history = (26, 30.857142857, 31)
    assert ParetoNBD.conditional_expected_transactions(52, *history, **params) == pytest.approx(25.45647, rel=1e-4)
    assert ParetoNBD.p_alive(*history, **params) == pytest.approx(0.997874, abs=1e-6)
    # BTYD's manual, quoted in lifetimes' tests with two digits, at parameters that are not given.
    manual = [
        0,
        0.05077821,
        0.09916088,
        0.14542507,
        0.1897993,
        0.23247466,
        0.27361274,
        0.31335159,
        0.35181024,
        0.38909211,
    ]
    np.testing.assert_allclose(ParetoNBD.expected_transactions_new(np.arange(10), **PAPER), manual, atol=0.003)
    # lifetimes' tests, where the likelihood itself underflows.
    params = {"r": 0.55, "alpha": 10.58, "s": 0.61, "beta": 11.67}
    expected = ParetoNBD.conditional_expected_transactions(10, np.array([132, 133]), 200, 200, **params)
    np.testing.assert_allclose(expected, [6.206051788963242, 6.252872247574811], rtol=1e-12)


def test_holdout_by_frequency_is_as_published(cdnow_split, fit):
    # BTYD's vignette: mean expected transactions of the 39 weeks after, by repeat transactions 0, ..., 6, 7+.
    x = cdnow_split.calibration.table["frequency"].to_numpy()
    expected = fit.predict(horizon="39 weeks")["expected_transactions"].to_numpy()
    table = np.bincount(np.minimum(x, 7).astype(int), expected) / np.bincount(np.minimum(x, 7).astype(int))
    np.testing.assert_allclose(table, [0.138, 0.600, 1.196, 1.714, 2.399, 2.907, 3.819, 6.403], atol=1e-3)
    # Fader, Hardie & Lee (2005), section 4.
    three = expected[x == 3]
    np.testing.assert_allclose([three.min(), three.max(), three.mean()], [0.09, 2.84, 1.71], atol=6e-3)
    actual = cdnow_split.holdout["transactions"]
    assert np.corrcoef(actual, expected)[0, 1] == pytest.approx(0.630, abs=5e-4)
    other = clv.BGNBD().fit(cdnow_split.calibration).predict(horizon="39 weeks")["expected_transactions"]
    assert np.corrcoef(other, expected)[0, 1] == pytest.approx(0.996, abs=5e-4)


def test_tracking_is_as_published(cdnow, fit):
    # BTYD's vignette, expected repeat transactions in each of the weeks 20 to 25.
    T = cdnow.table["T"].to_numpy()
    params = fit.parameters["estimate"]
    total = [
        ParetoNBD.expected_transactions_new(np.maximum(week - (T.max() - T), 0), **params).sum()
        for week in np.arange(19, 26)
    ]
    np.testing.assert_allclose(np.diff(total), [78.308, 76.419, 74.648, 72.983, 71.414, 69.933], rtol=1e-3)


def test_iso_value_customers_are_as_published():
    # Fader, Hardie & Lee (2005, JMR), figure 3 (read off) and the text's customer B; 15 % a year.
    params = {"r": 0.563, "alpha": 12.5589, "s": 0.4081, "beta": 10.5146}
    dert = ParetoNBD.dert(np.array([7, 1]), np.array([35, 30]), 77.86, 0.0027, **params)
    np.testing.assert_allclose(dert, [1.9, 2.0], atol=0.25)


# Other software, at its own parameters


@pytest.mark.parametrize("number", [0, 1, 2, 3])
def test_formulas_agree_with_clvtools_at_round_parameters(number, cdnow):
    case = r_package("clv__fixed_parameters")["cases"][number]
    params, grid, sample = case["params"], case["grid"], case["cdnow"]
    x, t_x, T = (np.array(grid[name], float) for name in ("x", "t.x", "T.cal"))
    # The sums of logarithms of ten, to 16 digits, may leave a small likelihood.
    np.testing.assert_allclose(ParetoNBD.log_likelihood(x, t_x, T, **params), grid["ll"], rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(ParetoNBD.p_alive(x, t_x, T, **params), grid["palive"], rtol=1e-9)
    ours = ParetoNBD.conditional_expected_transactions(case["cet_periods"], x, t_x, T, **params)
    np.testing.assert_allclose(ours, grid["cet"], rtol=1e-9)
    columns = ParetoNBD().arrays(cdnow)
    assert ParetoNBD.log_likelihood(*columns, **params).sum() == pytest.approx(sample["loglik_sum"], rel=1e-11)
    assert ParetoNBD.p_alive(*columns, **params).sum() == pytest.approx(sample["palive_sum"], rel=1e-9)
    expected = ParetoNBD.conditional_expected_transactions(39, *columns, **params)
    assert expected.sum() == pytest.approx(sample["cet_sum"], rel=1e-9)
    for row in case["dert"]:
        dert = ParetoNBD.dert(*columns, row["rate"], **params)
        np.testing.assert_allclose(dert[:20], np.array(row["first20"], float), rtol=1e-7)
        assert dert.sum() == pytest.approx(row["cdnow_sum"], rel=1e-7)
    new = case["expectation"]
    ours = ParetoNBD.expected_transactions_new(np.array(new["t"], float), **params)
    np.testing.assert_allclose(ours, np.array(new["E"], float), rtol=1e-9)
    for t, row in zip(case["pmf"]["t"], case["pmf"]["P_rows_are_t"], strict=True):
        np.testing.assert_allclose(ParetoNBD.pmf(np.array(case["pmf"]["x"]), t, **params), row, rtol=1e-8, atol=1e-16)


def test_fit_and_predictions_agree_with_clvtools(cdnow, cdnow_split, fit):
    case = r_package("clv__cdnow_0930__pnbd")
    refined = case["refined_fit"]
    assert fit.log_likelihood == pytest.approx(refined["loglik"], abs=1e-7)
    assert fit.aic == pytest.approx(refined["aic"], abs=1e-6)
    assert fit.bic == pytest.approx(refined["bic"], abs=1e-6)
    params = refined["coef"]
    for name, value in params.items():  # the reference stops at a gradient of 2e-6
        assert fit.parameters.loc[name, "estimate"] == pytest.approx(value, rel=1e-6)
        assert fit.parameters.loc[name, "se"] == pytest.approx(refined["se"][name], rel=1e-4)
    check_predictions(case, cdnow, cdnow_split, params, 39)
    table = case["pmf_table"]
    for t, row in zip(table["t"], table["P_rows_are_t"], strict=True):
        np.testing.assert_allclose(ParetoNBD.pmf(np.array(table["x"]), t, **params), row, rtol=1e-7, atol=1e-15)


def check_predictions(case, data, split, params, weeks):
    """P(alive), conditional expectation and DERT of the first customers and of all, and the errors of the holdout."""
    columns = ParetoNBD().arrays(data)
    rate = case["predict"]["continuous_discount_factor"]
    ours = {
        "PAlive": ParetoNBD.p_alive(*columns, **params),
        "CET": ParetoNBD.conditional_expected_transactions(weeks, *columns, **params),
        "DERT": ParetoNBD.dert(*columns, rate, **params),
    }
    for name, values in ours.items():
        np.testing.assert_allclose(values[:20], case["predict"]["first20"][name], rtol=1e-7)
        assert values.sum() == pytest.approx(case["predict"]["sums"][name], rel=1e-7)
    if split is not None:
        error = ours["CET"] - split.holdout["transactions"].to_numpy()
        assert np.abs(error).mean() == pytest.approx(case["holdout"]["mae"], rel=1e-7)
        assert np.sqrt((error**2).mean()) == pytest.approx(case["holdout"]["rmse"], rel=1e-7)
    new = case["newcustomer"]
    expected = 1 + ParetoNBD.expected_transactions_new(np.array(new["t"], float), **params)
    np.testing.assert_allclose(expected, np.array(new["value"], float), rtol=1e-9)
    ten = case["predict_10_periods_default_rate"]
    few = [column[:20] for column in columns]
    expected = ParetoNBD.conditional_expected_transactions(10, *few, **params)
    np.testing.assert_allclose(expected, ten["first20"]["CET"], rtol=1e-7)
    dert = ParetoNBD.dert(*few, ten["continuous_discount_factor"], **params)
    np.testing.assert_allclose(dert, ten["first20"]["DERT"], rtol=1e-7)


def test_formulas_agree_with_btyd(cdnow, cdnow_split):
    case = r_package("btydplus__cdnow__pnbd")
    params = case["refined_fit"]["params"]
    columns = ParetoNBD().arrays(cdnow)
    history = [np.array(case["cbs_first20"][name], float) for name in ("x", "t.x", "T.cal")]
    predicted = case["predict"]["first20"]
    np.testing.assert_allclose(ParetoNBD.p_alive(*history, **params), predicted["palive"], rtol=1e-9)
    expected = ParetoNBD.conditional_expected_transactions(39, *history, **params)
    np.testing.assert_allclose(expected, predicted["cet"], rtol=1e-9)
    assert ParetoNBD.p_alive(*columns, **params).sum() == pytest.approx(case["predict"]["sums"]["palive"], rel=1e-9)
    expected = ParetoNBD.conditional_expected_transactions(39, *columns, **params)
    assert expected.sum() == pytest.approx(case["predict"]["sums"]["cet"], rel=1e-9)
    assert np.abs(expected - cdnow_split.holdout["transactions"]).mean() == pytest.approx(
        case["holdout"]["mae"], rel=1e-9
    )
    new = case["expectation"]
    ours = ParetoNBD.expected_transactions_new(np.array(new["t"], float), **params)
    np.testing.assert_allclose(ours, np.array(new["E"], float), rtol=1e-9)
    for t, row in zip(case["pmf_table"]["t"], case["pmf_table"]["P_rows_are_t"], strict=True):
        np.testing.assert_allclose(ParetoNBD.pmf(np.array(case["pmf_table"]["x"]), t, **params), row, rtol=1e-8)
    dert = case["DERT_at_default"]
    default = case["default_fit"]["params"]
    np.testing.assert_allclose(ParetoNBD.dert(*history, dert["rate"], **default), dert["first20"], rtol=1e-7)


def test_formulas_agree_with_btyd_on_its_own_copy_of_cdnow(cdnow):
    case = r_package("btyd__cdnowSummary")
    params = case["params_pnbd"]
    x, t_x, T = ParetoNBD().arrays(cdnow)
    rounded = ParetoNBD.log_likelihood(x, t_x.round(3), T.round(3), **params).sum()  # as they are there
    assert rounded == pytest.approx(case["loglik"], abs=1e-6)
    # The reference took the T of the first customer for all.
    dert = ParetoNBD.dert(x, t_x, np.full(len(x), T[0]), case["dert"]["rate"], **params)
    np.testing.assert_allclose(dert[:20], list(case["dert"]["first20"].values()), rtol=1e-6)
    assert dert.sum() == pytest.approx(case["dert"]["sum"], rel=1e-8)


def test_fit_and_predictions_agree_with_clvtools_on_apparel(apparel):
    case = r_package("clv__apparel_104w__pnbd")
    split = apparel.split("2006-12-31", "2010-12-20")
    fit = ParetoNBD().fit(split.calibration)
    refined = case["refined_fit"]
    # The paper on CLVTools has -5848.0978.
    assert fit.log_likelihood == pytest.approx(refined["loglik"], abs=1e-7)
    assert fit.aic == pytest.approx(refined["aic"], abs=1e-6)
    assert fit.bic == pytest.approx(refined["bic"], abs=1e-6)
    for name, value in refined["coef"].items():
        assert fit.parameters.loc[name, "estimate"] == pytest.approx(value, rel=1e-5)
        assert fit.parameters.loc[name, "se"] == pytest.approx(refined["se"][name], rel=1e-4)
    check_predictions(case, split.calibration, split, refined["coef"], case["predict"]["period_length"])


def test_predictions_from_all_of_apparel_are_as_published(apparel):
    # The paper on CLVTools: fitted to all transactions, 7.5 % a year, and a new customer of 52 weeks.
    summary = apparel.summary(until="2010-12-20")
    fit = ParetoNBD().fit(summary)
    params = fit.parameters["estimate"]
    columns = [column[np.isin(summary.table.index, [1, 10, 100])] for column in ParetoNBD().arrays(summary)]
    np.testing.assert_allclose(ParetoNBD.p_alive(*columns, **params), [0.007191623, 0.836860928, 0.92228178], rtol=5e-3)
    dert = ParetoNBD.dert(*columns, np.log(1.075) / 52, **params)
    np.testing.assert_allclose(dert, [0.06200625, 4.28104733, 11.18582123], rtol=5e-3)
    # Its first transaction is counted, in number and spend.
    model = clv.NonContractualCLV(ParetoNBD(), clv.GammaGamma(include_first=True))
    new = quietly(model.fit, summary).new_customer(horizon=52).iloc[0]
    wanted = new[["expected_transactions", "expected_spend", "expected_revenue"]].astype(float)
    np.testing.assert_allclose(wanted, [2.218635, 39.1372, 86.83115], rtol=1e-5)


def test_fit_and_holdout_of_the_whole_of_cdnow():
    # An independent SciPy likelihood, optimised to five digits.
    log = clv.Transactions(clv.datasets.cdnow(), customer="customer_id", date="date", value="amount")
    split = log.split("1997-09-30", "1998-06-30")
    fit = ParetoNBD().fit(split.calibration)
    np.testing.assert_allclose(fit.parameters["estimate"], [0.59742, 11.5857, 0.522186, 8.82777], rtol=1e-4)
    assert fit.log_likelihood == pytest.approx(-95415.119, abs=1e-3)
    expected = fit.predict(horizon="1998-06-30")["expected_transactions"]
    actual = split.holdout["transactions"]
    assert actual.sum() == 19_684
    assert expected.sum() == pytest.approx(17153.2, rel=1e-5)
    assert (expected - actual).abs().mean() == pytest.approx(0.793766, rel=1e-5)
    assert np.sqrt(((expected - actual) ** 2).mean()) == pytest.approx(1.72615, rel=1e-5)
    assert np.corrcoef(actual, expected)[0, 1] == pytest.approx(0.670779, rel=1e-5)


def test_value_of_one_time_buyers_of_cdnow_is_as_published():
    # Fader, Hardie & Lee (2005, JMR), table 2: fitted to 78 weeks of the sample, at 15 % a year and a margin of 30 %,
    # the 12,054 customers of the cohort without a repeat are worth $4.40 each and $53,000 together.
    sample, cohort = (
        clv.Transactions(lines, customer="customer_id", date="date", value="amount").summary(until="1998-06-30")
        for lines in (clv.datasets.cdnow_sample(), clv.datasets.cdnow())
    )
    model = clv.NonContractualCLV(ParetoNBD(), clv.GammaGamma(), margin=0.3, discount_rate=0.15)
    fit = quietly(model.fit, sample)
    worth = quietly(fit.predict, cohort, horizon=None)["clv"][cohort.table["frequency"] == 0]
    assert len(worth) == 12_054
    assert worth.mean() == pytest.approx(4.40, rel=5e-3)
    assert worth.sum() == pytest.approx(53_000, rel=5e-3)


def test_fit_and_holdout_of_a_wholesaler_whose_dropout_is_not_identified():
    # An independent SciPy likelihood. s and beta run off, so that only what the data tell agrees to many digits.
    invoices = pd.read_parquet(shared("online_retail_ii/invoices.parquet"))
    invoices = invoices[invoices["customer_id"].notna() & (invoices["amount"] > 0)]
    log = clv.Transactions(invoices, customer="customer_id", date="invoice_date", value="amount")
    split = log.split("2010-12-09", "2011-12-09")
    with pytest.warns(clv.ConvergenceWarning) as told:  # there is no optimum: beyond any s and beta it is a bit better
        fit = ParetoNBD().fit(split.calibration)
    assert any("next to nothing about s and beta growing together" in str(each.message) for each in told)
    assert fit.log_likelihood == pytest.approx(-38390.676, abs=3)
    np.testing.assert_allclose(fit.parameters["estimate"].loc[["r", "alpha"]], [0.88068, 10.3254], rtol=1e-2)
    expected = fit.predict(horizon="2011-12-09")["expected_transactions"]
    assert expected.sum() == pytest.approx(19101.7, rel=1e-2)
    assert (expected - split.holdout["transactions"]).abs().mean() == pytest.approx(2.55091, rel=1e-2)


# mpmath with 50 digits


def exact_integral(x, t, a, alpha, b, beta):
    """The integral of (alpha + u)^-(a + x) (beta + u)^-b over u > t: a hypergeometric function with 0 <= z < 1."""
    t, a, alpha, b, beta = (mpmath.mpf(float(value)) for value in (t, a, alpha, b, beta))
    (small, of_small), (large, of_large) = sorted([(alpha + t, a + x), (beta + t, b)])
    total = of_small + of_large
    series = mpmath.hyp2f1(of_large, 1, total, 1 - small / large)
    return small ** (1 - of_small) * large**-of_large / (total - 1) * series


def exact(t, x, t_x, T, r, alpha, s, beta):
    """Log-likelihood, P(alive), and P(purchase) and expectation of the living."""
    gone = (exact_integral(x, t_x, r, alpha, s + 1, beta) - exact_integral(x, T, r, alpha, s + 1, beta)) * s
    r, alpha, s, beta, T, t = (mpmath.mpf(float(value)) for value in (r, alpha, s, beta, T, t))
    alive = (alpha + T) ** -(r + x) * (beta + T) ** -s
    log_likelihood = mpmath.log(mpmath.rf(r, x) * alpha**r * beta**s * (alive + gone))
    buys = exact_integral(x, T, r + 1, alpha, s, beta) - exact_integral(x, T + t, r + 1, alpha, s, beta)
    span = mpmath.log1p(t / (beta + T))
    lifetime = (beta + T) * (span if s == 1 else (1 - mpmath.exp(-(s - 1) * span)) / (s - 1))
    return log_likelihood, alive / (alive + gone), (r + x) * buys / alive, (r + x) / (alpha + T) * lifetime


def hostile_points():
    """alpha far below, at and far above beta, s at and near 1, tiny shapes, up to 5000 purchases, all histories."""
    rng = np.random.default_rng(1987)
    scales = [(0.1, 3000), (3000, 0.1), (10.0, 10.0), (1.0, 500.0), (2.0, 200.0), (10.578, 11.669)]
    for (alpha, beta), s, x in itertools.product(scales, (0.03, 1, 1 + 1e-9, 1 - 1e-6, 20), (0, 1, 40, 300, 5000)):
        T = rng.choice([39.0, 0.0]) if x == 0 else 39.0
        t_x = 0.0 if x == 0 else rng.choice([0.001, 20.0, 38.9, T])
        t = np.exp(rng.uniform(*np.log([1e-3, 1e4])))
        yield t, x, t_x, T, {"r": rng.choice([0.03, 0.55, 20]), "alpha": alpha, "s": s, "beta": beta}


def test_formulas_keep_their_digits_everywhere():
    for t, x, t_x, T, params in hostile_points():
        with mpmath.workdps(50):
            log_likelihood, alive, buys, expected = (float(value) for value in exact(t, x, t_x, T, **params))
        where = (t, x, t_x, T, params)
        # Sums of terms as large as 5000 log(5000), each to 16 digits; the others are exponentials of such sums.
        ours = ParetoNBD.log_likelihood(x, t_x, T, **params)
        assert ours == pytest.approx(log_likelihood, rel=1e-12, abs=1e-9), where
        assert ParetoNBD.p_alive(x, t_x, T, **params) == pytest.approx(alive, rel=1e-9, abs=1e-300), where
        assert ParetoNBD.p_purchase_alive(t, x, T, **params) == pytest.approx(buys, rel=1e-9), where
        assert ParetoNBD.expected_transactions_alive(t, x, T, **params) == pytest.approx(expected, rel=1e-13), where


def test_likelihood_is_finite_for_heavy_buyers_at_any_parameters():
    values = [np.array(list(itertools.product((1e-6, 1, 1e6), (1e-6, 1, 1e6))))[:, [i]] for i in (0, 1)]
    x, t_x = np.array([0, 1, 300, 5000, 20_000]), np.array([0, 1e-3, 38, 38.99, 39])
    for r, s in itertools.product((1e-6, 1.0, 1e6), repeat=2):
        params = {"r": r, "s": s, "alpha": values[0], "beta": values[1]}
        assert np.isfinite(ParetoNBD.log_likelihood(x, t_x, 39.0, **params)).all()
        for formula in (ParetoNBD.p_alive(x, t_x, 39.0, **params), ParetoNBD.p_purchase(39, x, t_x, 39.0, **params)):
            assert ((formula >= 0) & (formula <= 1)).all()


def test_a_search_that_went_too_far_is_told_so_by_the_likelihood():
    scales = np.array([0.0, 1e-320, 1e300, np.inf])
    alpha, beta = (column.reshape(-1, 1) for column in np.meshgrid(scales, scales))
    t_x, T = np.linspace(0, 38, 100), np.full(100, 39.0)
    with np.errstate(all="ignore"):  # as a search does
        values = ParetoNBD.log_likelihood(np.ones(100), t_x, T, r=0.5, s=0.6, alpha=alpha, beta=beta)
        alone = ParetoNBD.log_likelihood(np.ones(100), t_x, T, r=0.5, s=0.6, alpha=1.0, beta=2.0)
    assert not np.isfinite(values[(alpha == 0)[:, 0]]).any()
    assert not (values > 1e6).any()
    assert np.isfinite(alone).all()


@pytest.mark.parametrize("smallest", [0.3, 1e-100])
@pytest.mark.parametrize("weeks", [12.0, 520.0])
@pytest.mark.parametrize("x", [0, 1, 40, 5000])
def test_many_customers_at_once_have_the_values_of_each_alone(x, weeks, smallest):
    # Between many times the integrals are interpolated; alone each is computed.
    T = np.arange(1, weeks * 7) / 7
    t_x = T[::-1] * np.linspace(0.1, 1, len(T)) * (x > 0)
    T = np.maximum(T, t_x)
    draws = {"r": [0.05, 0.55, 5], "alpha": [0.5, 10.6, 9], "s": [3, 0.6, 0.05], "beta": [smallest, 11.7, 900]}
    params = {name: np.array(values)[:, None] for name, values in draws.items()}
    for formula in (
        ParetoNBD.log_likelihood,
        lambda x, t_x, T, **params: ParetoNBD.p_purchase_alive(39.0, x, T, **params),
    ):
        together = formula(np.full(len(T), x), t_x, T, **params)
        some = np.unique(np.append(np.arange(0, len(T), 37), len(T) - 1))
        alone = [formula(x, t_x[i], T[i], **params)[:, 0] for i in some]
        np.testing.assert_allclose(together[:, some], np.transpose(alone), rtol=1e-10, atol=1e-10)


# Identities and reductions


def test_with_equal_scales_it_is_in_closed_form():
    # alpha = beta: with n = r + s + x the mean over the time of death is a difference of powers.
    r, s, alpha = 0.55, 0.61, 10.58
    x, t_x, T = np.array([0, 1, 7, 100]), np.array([0, 20.0, 39, 38]), 39.0
    n = r + s + x
    total = (r + x) / n * (alpha + T) ** -n + s / n * (alpha + t_x) ** -n
    exact = special.gammaln(r + x) - special.gammaln(r) + (r + s) * np.log(alpha) + np.log(total)
    params = {"r": r, "alpha": alpha, "s": s, "beta": alpha}
    np.testing.assert_allclose(ParetoNBD.log_likelihood(x, t_x, T, **params), exact, rtol=1e-12)
    alive = (alpha + T) ** -n / total
    np.testing.assert_allclose(ParetoNBD.p_alive(x, t_x, T, **params), alive, rtol=1e-11)
    buys = (r + x) / n * (1 - ((alpha + T) / (alpha + T + 13)) ** n)
    np.testing.assert_allclose(ParetoNBD.p_purchase(13, x, t_x, T, **params), alive * buys, rtol=1e-11)


def test_without_dropout_it_is_the_nbd():
    r, alpha = 0.4, 5.0
    params = {"r": r, "alpha": alpha, "s": 1e-12, "beta": 1.0}
    x, t_x, T = np.array([0, 3, 50]), np.array([0.0, 20, 38]), 39.0
    nbd = special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + T)
    np.testing.assert_allclose(ParetoNBD.log_likelihood(x, t_x, T, **params), nbd, rtol=1e-9)
    forever = ParetoNBD.conditional_expected_transactions(10, x, t_x, T, **params)
    np.testing.assert_allclose(forever, (r + x) * 10 / (alpha + T), rtol=1e-9)
    buys = 1 - ((alpha + T) / (alpha + T + 10)) ** (r + x)
    np.testing.assert_allclose(ParetoNBD.p_purchase(10, x, t_x, T, **params), buys, rtol=1e-9)


def test_with_one_dropout_rate_for_all_it_is_in_closed_form():
    # As s and beta grow together mu shrinks to s / beta; the next term is of order 1 / s.
    r, alpha, mu, t, x, T = 0.4, 5.0, 0.05, 52.0, 3, 39.0
    params = {"r": r, "alpha": alpha, "s": mu * 1e9, "beta": 1e9}
    exact = (r + x) / (alpha + T) * -np.expm1(-mu * t) / mu
    assert ParetoNBD.expected_transactions_alive(t, x, T, **params) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("t", [0.5, 39.0])
def test_counts_have_probability_one_and_the_mean_of_the_formula(t):
    n = np.arange(3000)
    pmf = ParetoNBD.pmf(n, t, **PAPER)
    assert pmf.sum() == pytest.approx(1, abs=1e-10)
    assert (n * pmf).sum() == pytest.approx(ParetoNBD.expected_transactions_new(t, **PAPER), rel=1e-8)
    assert np.log(pmf[0]) == pytest.approx(ParetoNBD.log_likelihood(0, 0, t, **PAPER), rel=1e-11)
    assert 1 - pmf[0] == pytest.approx(ParetoNBD.p_purchase(t, 0, 0, 0, **PAPER), rel=1e-10)


def test_dert_has_its_limits():
    x, t_x, T, rate = 3, 30.0, 39.0, 0.002
    r, alpha, s, beta = PAPER.values()
    alive = ParetoNBD.p_alive(x, t_x, T, **PAPER)
    # Only the next moment counts: the rate of now.
    assert ParetoNBD.dert(x, t_x, T, 1e9, **PAPER) == pytest.approx(alive * (r + x) / (alpha + T) / 1e9, rel=1e-8)
    # While alive E[lambda] E[1 / (mu + rate)], the papers' confluent hypergeometric function.
    ever = beta + T
    tricomi = ever**s * rate ** (s - 1) * special.hyperu(s, s, rate * ever)
    assert ParetoNBD.dert(x, t_x, T, rate, **PAPER) == pytest.approx(alive * (r + x) / (alpha + T) * tricomi, rel=1e-8)
    # Without discounting the mean lifetime (beta + T) / (s - 1), infinite if s <= 1.
    leaving = PAPER | {"s": 2.5}
    ever = ParetoNBD.p_alive(x, t_x, T, **leaving) * (r + x) / (alpha + T) * (beta + T) / 1.5
    assert ParetoNBD.dert(x, t_x, T, 0.0, **leaving) == pytest.approx(ever, rel=1e-14)
    for s in (1.0, 0.6):
        endless = ParetoNBD.expected_transactions_alive([1.0, np.inf], x, T, **(PAPER | {"s": s}))
        assert np.isfinite(endless[0])
        assert endless[1] == np.inf


def test_parameters_that_differ_between_customers_are_taken_one_by_one():
    x, t_x, T = np.array([0, 2, 7]), np.array([0.0, 20, 38]), np.array([39.0, 39, 38])
    r = np.array([[0.2, 0.3, 0.4], [0.5, 0.6, 0.7]])
    others = {"alpha": 10.6, "s": 0.6, "beta": 11.7}
    for formula in (
        ParetoNBD.log_likelihood,
        lambda x, t_x, T, **params: ParetoNBD.p_purchase(39.0, x, t_x, T, **params),
        lambda x, t_x, T, **params: ParetoNBD.conditional_expected_transactions(39.0, x, t_x, T, **params),
    ):
        together = formula(x, t_x, T, r=r, **others)
        for (i, j), value in np.ndenumerate(together):
            assert value == pytest.approx(formula(x[j], t_x[j], T[j], r=r[i, j], **others), rel=1e-11)


def test_an_infinite_horizon_is_refused_where_its_mean_is_infinite(fit):
    with pytest.raises(
        ValueError, match="ParetoNBD expects infinitely many transactions under the estimated parameters"
    ):
        fit.predict(horizon=None)


def test_nobody_has_bought_again_at_time_0():
    pmf = clv.ParetoNBD.pmf([0, 1, 5], 0.0, r=0.55, alpha=10.6, s=0.6, beta=11.7)
    np.testing.assert_allclose(pmf, [1, 0, 0], atol=1e-12)
