"""MBG/NBD against published fits, BTYDplus, mpmath, its relation to BG/NBD, and simpler models."""

import itertools

import mpmath
import numpy as np
import pandas as pd
import pytest
from conftest import quietly, r_package, shared
from scipy import special

import clvmodels as clv
from clvmodels import BGNBD, MBGNBD
from clvmodels.discounting import discount_nodes

PAPER = {"r": 0.525, "alpha": 6.183, "a": 0.891, "b": 1.614}  # CDNOW: lifetimes' tests, checked there against BTYDplus


@pytest.fixture(scope="module")
def fit(cdnow):
    return MBGNBD().fit(cdnow, seed=1)


# Published numbers, and other software


def test_maximum_likelihood_on_cdnow_is_as_published(fit):
    assert fit.parameters["estimate"].round(3).to_dict() == PAPER
    assert fit.log_likelihood == pytest.approx(-9582.136, abs=5e-4)


def test_fit_and_predictions_agree_with_btydplus(cdnow, cdnow_split, fit):
    case = r_package("btydplus__cdnow__mbgnbd")
    refined = case["refined_fit"]
    params = {name: refined["params"][name] for name in PAPER}
    assert fit.log_likelihood == pytest.approx(refined["loglik"], abs=1e-8)
    assert fit.aic == pytest.approx(refined["aic"], abs=1e-7)
    assert fit.bic == pytest.approx(refined["bic"], abs=1e-7)
    for name, value in params.items():  # the reference stops at a gradient of 6e-7
        assert fit.parameters.loc[name, "estimate"] == pytest.approx(value, rel=1e-6)
        assert fit.parameters.loc[name, "se"] == pytest.approx(refined["se_natural_scale_delta"][name], rel=1e-4)
    table, predicted = case["cbs_first20"], case["predict"]["first20"]
    history = [np.array(table[name], float) for name in ("x", "t.x", "T.cal")]
    np.testing.assert_allclose(MBGNBD.p_alive(*history, **params), predicted["palive"], rtol=1e-9)
    expected = MBGNBD.conditional_expected_transactions(39, *history, **params)
    np.testing.assert_allclose(expected, predicted["cet"], rtol=1e-9)
    columns = MBGNBD().arrays(cdnow)
    sums = case["predict"]["sums"]
    assert MBGNBD.p_alive(*columns, **params).sum() == pytest.approx(sums["palive"], rel=1e-9)
    expected = MBGNBD.conditional_expected_transactions(39, *columns, **params)
    assert expected.sum() == pytest.approx(sums["cet"], rel=1e-9)
    error = expected - cdnow_split.holdout["transactions"].to_numpy()
    assert np.abs(error).mean() == pytest.approx(case["holdout"]["mae"], rel=1e-9)
    assert np.sqrt((error**2).mean()) == pytest.approx(case["holdout"]["rmse"], rel=1e-9)
    # BTYDplus adds up its probabilities of at most 99 transactions (131 for t = 104); the rest is 1.4e-4 at t = 104.
    for t, theirs in case["expectation"]["E"].items():
        n = np.arange(132 if t == "104" else 100)
        assert (n * MBGNBD.pmf(n, float(t), **params)).sum() == pytest.approx(theirs, rel=1e-12)
    for t, row in zip(case["pmf_table"]["t"], case["pmf_table"]["P_rows_are_t"], strict=True):
        np.testing.assert_allclose(MBGNBD.pmf(np.array(case["pmf_table"]["x"]), t, **params), row, rtol=1e-8)


def test_fit_of_the_whole_of_cdnow():
    # An independent SciPy likelihood, optimised to five digits.
    log = clv.Transactions(clv.datasets.cdnow(), customer="customer_id", date="date", value="amount")
    fit = MBGNBD().fit(log.summary(until="1997-09-30"))
    np.testing.assert_allclose(fit.parameters["estimate"], [0.637141, 7.3103, 0.807472, 1.22839], rtol=2e-5)
    assert fit.log_likelihood == pytest.approx(-95336.958, abs=1e-3)


def test_fit_of_a_wholesaler_whose_dropout_is_not_identified():
    # An independent SciPy likelihood; b runs off, so that only what the data tell agrees to many digits.
    invoices = pd.read_parquet(shared("online_retail_ii/invoices.parquet"))
    invoices = invoices[invoices["customer_id"].notna() & (invoices["amount"] > 0)]
    log = clv.Transactions(invoices, customer="customer_id", date="invoice_date", value="amount")
    with pytest.warns(clv.ConvergenceWarning, match="next to nothing about a and b growing together"):
        fit = MBGNBD().fit(log.summary(until="2010-12-09"))
    assert fit.log_likelihood == pytest.approx(-38388.024, abs=2e-3)
    np.testing.assert_allclose(fit.parameters["estimate"].loc[["r", "alpha"]], [0.877172, 10.2363], rtol=1e-4)


# Its relation to BG/NBD


def test_who_survives_the_first_chance_is_a_customer_of_bgnbd():
    x = np.array([0, 0, 1, 4, 60, 5000])
    t_x, T = np.array([0, 0, 20.0, 39, 30, 38.9]), np.array([0, 39.0, 39, 39, 39, 39])
    survivor = PAPER | {"b": PAPER["b"] + 1}
    share = PAPER["b"] / (PAPER["a"] + PAPER["b"])
    mixture = np.log(share) + BGNBD.log_likelihood(x, t_x, T, **survivor)
    mixture = np.where(x == 0, np.logaddexp(mixture, np.log1p(-share)), mixture)
    # Sums of terms as large as 5000 log(5000), each to 16 digits.
    np.testing.assert_allclose(MBGNBD.log_likelihood(x, t_x, T, **PAPER), mixture, rtol=1e-12, atol=1e-12)
    alive = np.exp(np.log(share) + BGNBD.log_likelihood(x, t_x, T, **survivor) - mixture)
    alive *= BGNBD.p_alive(x, t_x, T, **survivor)
    np.testing.assert_allclose(MBGNBD.p_alive(x, t_x, T, **PAPER), alive, rtol=1e-10)


def test_one_time_buyers_are_given_up_slowly():
    alive = MBGNBD.p_alive(0, 0, np.array([0.0, 10, 40, 400, 1e6]), **PAPER)
    assert alive[0] == pytest.approx(PAPER["b"] / (PAPER["a"] + PAPER["b"]), rel=1e-14)
    assert (np.diff(alive) < 0).all()
    assert alive[-1] < 0.01


# mpmath with 50 digits


def exact_parts(x, t_x, T, r, alpha, a, b):
    """The likelihoods of being alive and of being dead at T (Batislam et al., section 3)."""
    r, alpha, a, b, t_x, T = (mpmath.mpf(float(value)) for value in (r, alpha, a, b, t_x, T))
    common = mpmath.rf(r, x) * alpha**r / mpmath.beta(a, b)
    alive = common * mpmath.beta(a, b + x + 1) / (alpha + T) ** (r + x)
    dead = common * mpmath.beta(a + 1, b + x) / (alpha + t_x) ** (r + x)
    return alive, dead


def exact_while_alive(t, x, T, r, alpha, a, b):
    """E[(1 - (1 + p tau)^-(r + x)) / p], p ~ Beta(a, b + x + 1): the closed form after Euler's transformation."""
    tau, shape = mpmath.mpf(float(t)) / (mpmath.mpf(float(alpha)) + T), mpmath.mpf(float(r)) + x
    a, b = mpmath.mpf(float(a)), mpmath.mpf(float(b)) + x + 1
    if a == 1:  # a removable singularity; the limit to 30 digits
        a += mpmath.mpf(10) ** -30
    inner = mpmath.hyp2f1(a + b - 1 - shape, a - 1, a + b - 1, tau / (1 + tau))
    return (a + b - 1) / (a - 1) * (1 - (1 + tau) ** (1 - a) * inner)


def hostile_points():
    """Every (a, x) with seeded other parameters, and histories from just bought to long silent."""
    rng = np.random.default_rng(2007)
    for a, x in itertools.product((0.03, 0.793, 1, 1 + 1e-9, 5, 500), (0, 1, 7, 300, 5000)):
        for T in (39.0, 0.0) if x == 0 else (39.0,):
            for t_x in [0.0] if x == 0 else [0.001, 38.0, T]:
                low, high = np.log([[0.03, 0.1, 0.1, 1e-2], [20, 3000, 200, 1e4]])
                r, alpha, b, t = np.exp(rng.uniform(low, high))
                yield t, x, t_x, T, {"r": r, "alpha": alpha, "a": a, "b": b}


def test_formulas_keep_their_digits_everywhere():
    for t, x, t_x, T, params in hostile_points():
        with mpmath.workdps(60):
            alive, dead = exact_parts(x, t_x, T, **params)
            log_likelihood = float(mpmath.log(alive + dead))
            p_alive = float(alive / (alive + dead))
            while_alive = float(exact_while_alive(t, x, T, **params))
            r, alpha = (mpmath.mpf(params[name]) for name in ("r", "alpha"))
            buys = float(alive / (alive + dead) * (1 - ((alpha + T) / (alpha + T + t)) ** (r + x)))
        where = (t, x, t_x, T, params)
        # Sums of terms as large as 5000 log(5000), each to 16 digits; P(alive) is the exponential of such a sum.
        ours = MBGNBD.log_likelihood(x, t_x, T, **params)
        assert ours == pytest.approx(log_likelihood, rel=1e-12, abs=1e-9), where
        assert MBGNBD.p_alive(x, t_x, T, **params) == pytest.approx(p_alive, rel=1e-10, abs=1e-300), where
        assert MBGNBD.p_purchase(t, x, t_x, T, **params) == pytest.approx(buys, rel=1e-10, abs=1e-300), where
        ours = MBGNBD.expected_transactions_alive(t, x, T, **params)
        assert ours == pytest.approx(while_alive, rel=1e-10), where


# Identities and reductions


@pytest.mark.parametrize("t", [0.5, 39.0])
def test_counts_have_probability_one_and_the_mean_of_the_formula(t):
    n = np.arange(3000)
    pmf = MBGNBD.pmf(n, t, **PAPER)
    assert pmf.sum() == pytest.approx(1, abs=1e-10)
    assert (n * pmf).sum() == pytest.approx(MBGNBD.expected_transactions_new(t, **PAPER), rel=1e-8)
    assert np.log(pmf[0]) == pytest.approx(MBGNBD.log_likelihood(0, 0, t, **PAPER), rel=1e-13)
    assert 1 - pmf[0] == pytest.approx(MBGNBD.p_purchase(t, 0, 0, 0, **PAPER), rel=1e-12)


def test_without_dropout_it_is_the_nbd():
    r, alpha = 0.4, 5.0
    params = {"r": r, "alpha": alpha, "a": 1e-12, "b": 1.0}
    x, t_x, T = np.array([0, 3, 50]), np.array([0.0, 20, 38]), 39.0
    nbd = special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + T)
    np.testing.assert_allclose(MBGNBD.log_likelihood(x, t_x, T, **params), nbd, rtol=1e-10)
    forever = MBGNBD.conditional_expected_transactions(10, x, t_x, T, **params)
    np.testing.assert_allclose(forever, (r + x) * 10 / (alpha + T), rtol=1e-9)


# New customers, who may be gone at once


def test_a_new_customer_may_be_gone_at_once(cdnow, fit):
    params = fit.parameters["estimate"].to_dict()
    stays = params["b"] / (params["a"] + params["b"])
    living = MBGNBD.expected_transactions_alive(39, 0, 0, **params)
    repeats, counted = (
        fit.new_customer(horizon=39, include_first_transaction=first)["expected_transactions"].item()
        for first in (False, True)
    )
    assert repeats == pytest.approx(stays * living, rel=1e-12)
    assert counted == pytest.approx(1 + stays * living, rel=1e-12)


def test_the_share_of_a_new_customers_value_beyond_the_data_counts_the_first_transaction_in_full(cdnow, fit):
    spend = clv.GammaGamma().fit(cdnow)
    model = clv.NonContractualCLV(MBGNBD(), clv.GammaGamma(), discount_rate=0.1)
    row = quietly(model.fit(cdnow, seed=1).new_customer, horizon=None).iloc[0]
    rate, covered = np.log(1.1) * 7 / 365.25, fit.origin.covered
    params = fit.parameters["estimate"].to_dict()
    dert = MBGNBD.dert(0, 0, 0, rate, **params)
    times, weights = discount_nodes(covered, rate)
    within = (weights * MBGNBD.expected_transactions_new(times, **params)).sum()
    assert row["dert"] == pytest.approx(1 + dert, rel=1e-9)
    assert row["clv_beyond_data"] == pytest.approx((dert - within) / (1 + dert), rel=1e-6)
    mean_spend = clv.GammaGamma.expected_spend_new(**spend.parameters["estimate"])
    assert row["clv"] == pytest.approx((1 + dert) * mean_spend, rel=1e-6)
