"""BG/NBD against the papers, other software, mpmath, identities and simpler models."""

import itertools

import mpmath
import numpy as np
import pandas as pd
import pytest
from conftest import r_package, shared
from scipy import special, stats

import clvmodels as clv
from clvmodels import BGNBD

PAPER = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}  # Fader, Hardie & Lee (2005), table 2
BTYD = {"r": 0.2425967, "alpha": 4.413659, "a": 0.7929869, "b": 2.426164}  # BTYD's vignette


# Published numbers


def test_maximum_likelihood_on_cdnow_is_as_published(cdnow_fit):
    # Fader, Hardie & Lee (2005), table 2; to three decimals. The log-likelihood is BTYD's.
    assert cdnow_fit.parameters["estimate"].round(3).to_dict() == PAPER
    assert cdnow_fit.log_likelihood == pytest.approx(-9582.429, abs=5e-4)


def test_log_likelihood_at_ones_is_as_published(cdnow):
    # Fader, Hardie & Lee, Implementing the BG/NBD Model in Excel (2005): -13887.7.
    columns = BGNBD().arrays(cdnow)
    assert BGNBD.log_likelihood(*columns, r=1, alpha=1, a=1, b=1).sum() == pytest.approx(-13887.7, abs=0.05)


def test_expected_transactions_of_new_customers_are_as_published(cdnow_fit):
    assert BGNBD.expected_transactions_new(52, **BTYD) == pytest.approx(1.444004, abs=5e-7)
    # The Excel note, at its own optimum: six times, to four decimals, and the last printed with fewer digits of r.
    times = np.array([0.1429, 1, 3, 31.8571, 32])
    at_optimum = BGNBD.expected_transactions_new(times, **cdnow_fit.parameters["estimate"])
    np.testing.assert_allclose(at_optimum, [0.0078, 0.0532, 0.1506, 1.0405, 1.0437], atol=6e-5)


def test_conditional_expectations_are_as_published():
    # The Excel note's customer, and the frequency-recency paradox of BTYD's vignette.
    example = BGNBD.conditional_expected_transactions(39, 2, 30.43, 38.86, **PAPER)
    assert example == pytest.approx(1.226, abs=5e-4)
    x = np.array([10, 15, 20, 25])
    increasing = BGNBD.conditional_expected_transactions(52, x, 20, 39, **BTYD)
    np.testing.assert_allclose(increasing, [0.3474606, 0.04283391, 0.004158973, 0.0003583685], rtol=2e-7)


def test_probabilities_of_counts_are_as_published():
    # BTYD's manual, bgnbd.pmf.
    assert BGNBD.pmf(10, 2, **PAPER) == pytest.approx(1.07869e-07, rel=1e-5)
    assert BGNBD.pmf(0, 39, **PAPER) == pytest.approx(0.5737864, abs=5e-8)
    published = [
        0.0019995214, 0.0015170236, 0.0011633150, 0.0009003148, 0.0007023638,
        0.0005517902, 0.0004361913, 0.0003467171, 0.0002769613, 0.0002222260,
    ]  # fmt: skip
    np.testing.assert_allclose(
        BGNBD.pmf(np.arange(11, 21), 30, **PAPER), published, rtol=0, atol=6e-11
    )  # printed digits


def test_fitted_histogram_has_the_published_chi_square(cdnow, cdnow_fit):
    # Fader, Hardie & Lee (2005), figure 2: chi-square 4.82 over 0..6 and 7+ repeat transactions, p = .19 at 3 degrees.
    x, _, T = BGNBD().arrays(cdnow)
    params = cdnow_fit.parameters["estimate"]
    expected = np.array([BGNBD.pmf(n, T, **params).sum() for n in range(7)])
    expected = np.append(expected, len(x) - expected.sum())
    actual = np.append([(x == n).sum() for n in range(7)], (x > 6).sum())
    chi_square = ((actual - expected) ** 2 / expected).sum()
    assert chi_square == pytest.approx(4.82, abs=0.005)
    assert stats.chi2.sf(chi_square, 3) == pytest.approx(0.19, abs=0.005)


def test_tracking_is_as_published(cdnow, cdnow_fit):
    # BTYD's vignette, expected cumulative repeat transactions of weeks 20 to 25.
    T = cdnow.table["T"].to_numpy()
    birth = T.max() - T
    params = cdnow_fit.parameters["estimate"]
    weeks = np.arange(20, 26)
    total = [BGNBD.expected_transactions_new(np.maximum(week - birth, 0), **params).sum() for week in weeks]
    np.testing.assert_allclose(total, [1312.458, 1387.346, 1460.392, 1531.713, 1601.418, 1669.600], rtol=5e-6)


def test_holdout_of_cdnow_is_as_published(cdnow_split, cdnow_fit):
    # Fader, Hardie & Lee (2005), section 4: correlation .626 of actual and expected transactions; CLVTools: MAE, RMSE.
    expected = cdnow_fit.predict(horizon="39 weeks")["expected_transactions"]
    actual = cdnow_split.holdout["transactions"]
    assert actual.sum() == 1882
    assert np.corrcoef(actual, expected)[0, 1] == pytest.approx(0.626, abs=5e-4)
    assert expected.sum() == pytest.approx(1653.4087, abs=1e-3)
    assert (expected - actual).abs().mean() == pytest.approx(0.785454, abs=1e-6)
    assert np.sqrt(((expected - actual) ** 2).mean()) == pytest.approx(1.607982, abs=1e-6)


def test_log_likelihood_of_a_frequent_buyer_is_as_published():
    # pymc-marketing's tests, after Hardie's note 027.
    params = {"r": 0.25, "alpha": 4.0, "a": 0.8, "b": 2.5}
    values = BGNBD.log_likelihood(np.array([0, 200]), np.array([0, 38]), np.array([40, 40]), **params)
    np.testing.assert_allclose(values, [-0.59947382, 100.7957], atol=1e-4)


# Other software, at its own parameters


@pytest.mark.parametrize("number", [4, 5, 6])
def test_formulas_agree_with_clvtools_at_round_parameters(number, cdnow):
    case = r_package("clv__fixed_parameters")["cases"][number]
    params, grid, sample = case["params"], case["grid"], case["cdnow"]
    x, t_x, T = (np.array(grid[name], float) for name in ("x", "t.x", "T.cal"))
    # At a = 1222, b = 9043 CLVTools loses four digits in differences of log-gammas; mpmath gives ours to 2e-15.
    np.testing.assert_allclose(BGNBD.log_likelihood(x, t_x, T, **params), grid["ll"], rtol=1e-11)
    np.testing.assert_allclose(BGNBD.p_alive(x, t_x, T, **params), grid["palive"], rtol=1e-10)
    ours = BGNBD.conditional_expected_transactions(case["cet_periods"], x, t_x, T, **params)
    theirs = np.array(grid["cet"], float)
    known = np.isfinite(theirs)  # CLVTools has no value at its removable singularities
    np.testing.assert_allclose(ours[known], theirs[known], rtol=1e-8)
    columns = BGNBD().arrays(cdnow)
    assert BGNBD.log_likelihood(*columns, **params).sum() == pytest.approx(sample["loglik_sum"], rel=1e-12)
    assert BGNBD.p_alive(*columns, **params).sum() == pytest.approx(sample["palive_sum"], rel=1e-10)
    np.testing.assert_allclose(
        BGNBD.expected_transactions_new(np.array(case["expectation"]["t"]), **params),
        np.array(case["expectation"]["E"], float),
        rtol=1e-9,
    )
    for t, row in zip(case["pmf"]["t"], case["pmf"]["P_rows_are_t"], strict=True):
        # CLVTools subtracts a sum from 1, so its small probabilities have an absolute error of some 1e-17.
        np.testing.assert_allclose(BGNBD.pmf(np.array(case["pmf"]["x"]), t, **params), row, rtol=1e-8, atol=1e-16)


def test_fit_and_predictions_agree_with_clvtools(cdnow, cdnow_fit):
    case = r_package("clv__cdnow_0930__bgnbd")
    refined = case["refined_fit"]
    assert cdnow_fit.log_likelihood == pytest.approx(refined["loglik"], abs=1e-8)
    assert cdnow_fit.aic == pytest.approx(refined["aic"], abs=1e-7)
    assert cdnow_fit.bic == pytest.approx(refined["bic"], abs=1e-7)
    for name, value in refined["coef"].items():  # the reference stops at a gradient of 3e-6
        assert cdnow_fit.parameters.loc[name, "estimate"] == pytest.approx(value, rel=1e-6)
        assert cdnow_fit.parameters.loc[name, "se"] == pytest.approx(refined["se"][name], rel=1e-4)
    columns = [column[:20] for column in BGNBD().arrays(cdnow)]
    params = refined["coef"]
    predicted = case["predict"]["first20"]
    np.testing.assert_allclose(BGNBD.p_alive(*columns, **params), predicted["PAlive"], atol=1e-6)
    expected = BGNBD.conditional_expected_transactions(39, *columns, **params)
    np.testing.assert_allclose(expected, predicted["CET"], atol=1e-6)


def test_fit_agrees_with_clvtools_on_apparel():
    trips = pd.read_csv(shared("apparel/apparel_trans.csv.gz"))
    log = clv.Transactions(trips, customer="id", date="date", value="price")
    # CLVTools splits 104 weeks after the first purchase, that day included.
    fit = BGNBD().fit(log.summary(until=pd.Timestamp(trips["date"].min()) + pd.Timedelta(weeks=104)))
    assert fit.log_likelihood == pytest.approx(-5857.01974891, abs=1e-6)
    assert fit.aic == pytest.approx(11722.0395, abs=1e-4)
    assert fit.bic == pytest.approx(11739.6272, abs=1e-4)


def test_fit_and_holdout_of_the_whole_of_cdnow():
    # An independent SciPy likelihood, optimised to five digits.
    log = clv.Transactions(clv.datasets.cdnow(), customer="customer_id", date="date", value="amount")
    split = log.split("1997-09-30", "1998-06-30")
    fit = BGNBD().fit(split.calibration)
    np.testing.assert_allclose(fit.parameters["estimate"], [0.251624, 4.78894, 0.723436, 2.1611], rtol=2e-5)
    assert fit.log_likelihood == pytest.approx(-95368.444, abs=1e-3)
    expected = fit.predict(horizon="1998-06-30")["expected_transactions"]
    actual = split.holdout["transactions"]
    assert (len(actual), actual.sum()) == (23_570, 19_684)
    assert expected.sum() == pytest.approx(16873.7, rel=1e-5)
    assert (expected - actual).abs().mean() == pytest.approx(0.818742, rel=1e-5)
    assert np.sqrt(((expected - actual) ** 2).mean()) == pytest.approx(1.73291, rel=1e-5)
    assert np.corrcoef(actual, expected)[0, 1] == pytest.approx(0.66879, rel=1e-5)


def test_fit_and_holdout_of_a_wholesaler_whose_dropout_is_not_identified():
    invoices = pd.read_parquet(shared("online_retail_ii/invoices.parquet"))
    invoices = invoices[invoices["customer_id"].notna() & (invoices["amount"] > 0)]
    log = clv.Transactions(invoices, customer="customer_id", date="invoice_date", value="amount")
    split = log.split("2010-12-09", "2011-12-09")
    with pytest.warns(clv.ConvergenceWarning, match="next to nothing about a and b growing together"):
        fit = BGNBD().fit(split.calibration)
    assert fit.log_likelihood == pytest.approx(-38387.587, abs=2e-3)
    np.testing.assert_allclose(fit.parameters["estimate"].loc[["r", "alpha"]], [0.874613, 10.2098], rtol=1e-4)
    expected = fit.predict(horizon="2011-12-09")["expected_transactions"]
    assert expected.sum() == pytest.approx(18922.4, rel=1e-4)
    assert split.holdout["transactions"].sum() == 12264
    assert (expected - split.holdout["transactions"]).abs().mean() == pytest.approx(2.52729, rel=1e-4)


# mpmath with 50 digits


def exact_while_alive(tau, shape, a, b):
    """E[(1 - (1 + p tau)^-shape) / p], p ~ Beta(a, b): the paper's closed form after Euler's transformation."""
    with mpmath.workdps(60):
        tau, shape, a, b = (mpmath.mpf(float(value)) for value in (tau, shape, a, b))
        if a == 1:  # a removable singularity; the limit to 30 digits
            a += mpmath.mpf(10) ** -30
        inner = mpmath.hyp2f1(a + b - 1 - shape, a - 1, a + b - 1, tau / (1 + tau))
        return (a + b - 1) / (a - 1) * (1 - (1 + tau) ** (1 - a) * inner)


A = [0.03, 0.1, 0.5, 0.793, 2, 5, 10, 30, 1, 1 + 1e-9, 1 - 1e-9, 1 + 1e-6, 1 - 1e-6, 500]
X = [0, 1, 2, 7, 40, 300, 5000]


def hostile_grid():
    """Every (a, x) at both ends of the other ranges, and 25 seeded points of each between them."""
    rng = np.random.default_rng(20050501)
    for a, x in itertools.product(A, X):
        for r, alpha, b, ratio in itertools.product((0.03, 20), (0.1, 3000), (0.1, 200), (1e-6, 1e4)):
            yield a, x, r, alpha, b, ratio
        for _ in range(25):
            low, high = np.log([[0.03, 0.1, 0.1, 1e-6], [20, 3000, 200, 1e4]])
            yield a, x, *np.exp(rng.uniform(low, high))


def test_conditional_expectation_keeps_its_digits_everywhere():
    points = np.array(list(hostile_grid()))
    a, x, r, alpha, b, ratio = points.T
    T = np.where(points[:, 0] > 1, 40.0, 0.5)
    t = ratio * (alpha + T)
    ours = np.array(
        [
            BGNBD.expected_transactions_alive(*row[:3], r=row[3], alpha=row[4], a=row[5], b=row[6])
            for row in zip(t, x, T, r, alpha, a, b, strict=True)
        ]
    )
    exact = np.array([exact_while_alive(*row) for row in zip(t / (alpha + T), r + x, a, b + x, strict=True)])
    error = np.array([float(abs(mine / true - 1)) for mine, true in zip(ours, exact, strict=True)])
    # The promise is 1e-8. A rounding error of t / (alpha + T) alone makes 1e-16.
    assert error.max() < 1e-10, points[error.argmax()]


def test_conditional_expectation_with_its_p_alive_keeps_its_digits():
    for x, t_x, T in [(1, 0.01, 39), (7, 38.9, 39), (40, 10, 39), (300, 38, 39), (5000, 38.99, 39)]:
        with mpmath.workdps(60):
            r, alpha, a, b = (mpmath.mpf(PAPER[name]) for name in ("r", "alpha", "a", "b"))
            died = a / (b + x - 1) * ((alpha + T) / (alpha + mpmath.mpf(t_x))) ** (r + x)
            exact = exact_while_alive(39 / (alpha + T), r + x, a, b + x) / (1 + died)
        ours = BGNBD.conditional_expected_transactions(39, x, t_x, T, **PAPER)
        assert ours == pytest.approx(float(exact), rel=1e-10)


@pytest.mark.parametrize("x", [0, 1, 2, 40, 300, 5000])
@pytest.mark.parametrize("a", [0.03, 1, 500])
def test_log_likelihood_keeps_its_digits(x, a):
    r, alpha, b, T = 0.25, 4.5, 2.5, 39.0
    for t_x in [T] if x == 0 else [0.001, 20.0, T]:
        t_x = 0.0 if x == 0 else t_x
        with mpmath.workdps(60):
            alive = (
                mpmath.beta(a, b + x) / mpmath.beta(a, b) * mpmath.rf(r, x) * mpmath.mpf(alpha) ** r
                / (mpmath.mpf(alpha) + T) ** (r + x)
            )  # fmt: skip
            dead = 0
            if x:
                dead = alive * a / (b + x - 1) * ((mpmath.mpf(alpha) + T) / (alpha + mpmath.mpf(t_x))) ** (r + x)
            exact = mpmath.log(alive + dead)
        ours = BGNBD.log_likelihood(x, t_x, T, r=r, alpha=alpha, a=a, b=b)
        # Sums of terms as large as 5000 log(5000), each to 16 digits.
        assert ours == pytest.approx(float(exact), rel=1e-12, abs=1e-9)


@pytest.mark.parametrize("weeks", [12.0, 156.0, 520.0])
@pytest.mark.parametrize("x", [0, 1, 40, 5000])
def test_many_customers_at_once_have_the_values_of_each_alone(x, weeks):
    # Between many T the expectation is interpolated; alone each is computed.
    T = np.arange(0 if x == 0 else 1, weeks * 7) / 7
    r, alpha = np.array([[0.05], [0.243], [5.0]]), np.array([[0.5], [4.414], [9.0]])
    for t in (0.1, 52.0, 520.0):
        for a, b in ((0.05, 0.2), (0.793, 2.426), (20.0, 50.0)):
            params = {"r": r, "alpha": alpha, "a": a, "b": b}
            together = BGNBD.expected_transactions_alive(t, np.full(len(T), x), T, **params)
            some = np.unique(np.append(np.arange(0, len(T), 37), [1, len(T) - 1]))
            alone = [BGNBD.expected_transactions_alive(t, x, T[i], **params)[:, 0] for i in some]
            np.testing.assert_allclose(together[:, some], np.transpose(alone), rtol=1e-11)


# Discounted expected residual transactions. Published rows exist for Pareto/NBD only (BTYD, CLVTools).


def exact_dert_alive(x, T, rate, r, alpha, a, b):
    """E[lambda / (lambda p + rate)], lambda ~ Gamma(r + x, alpha + T) and p ~ Beta(a, b + x): no integral over time.

    While alive a customer buys at lambda and dies at lambda p, so exp(-rate t) lambda exp(-lambda p t) integrates to
    this. Trapezoidal rule in log lambda and logit p, in both of which the integrand is smooth with exponential tails.
    """
    shape, b = r + x, b + x
    reach = 45 + 12 * np.sqrt(shape)
    place = np.arange(np.log(shape) - reach / shape, np.log(shape + reach), 0.25 / np.sqrt(1 + shape))
    density = np.exp(shape * (place - np.log(shape)) - np.exp(place) + shape)
    logit = np.arange(-45 / a - 12, 45 / b + 12, 0.2 / np.sqrt(1 + a * b / (a + b)))
    log_p = -np.logaddexp(0, -logit)
    log_weight = a * log_p - b * np.logaddexp(0, logit)
    weight = np.exp(log_weight - log_weight.max())
    total = 0.0
    for part in np.array_split(np.arange(len(place)), 1 + len(place) * len(logit) // 2_000_000):
        rates = np.exp(place[part])[:, None] / (alpha + T)
        total += density[part] @ ((rates / (rates * np.exp(log_p) + rate)) @ weight)
    return total / density.sum() / weight.sum()


@pytest.mark.parametrize(("x", "T", "rate", "r", "a"), [(3, 39, 0.05, 0.5, 1.5), (0, 0, 0.5, 2, 1)])
def test_the_reference_of_dert_is_the_double_integral(x, T, rate, r, a):
    def integrand(p, rates):
        gamma = rates ** (r + x - 1) * mpmath.exp(-(3 + T) * rates) * (3 + T) ** (r + x) / mpmath.gamma(r + x)
        return rates / (rates * p + rate) * gamma * p ** (a - 1) * (1 - p) ** (1 + x) / mpmath.beta(a, 2 + x)

    exact = mpmath.quad(integrand, [0, 1], [0, 0.02, 0.1, 0.5, 4, 20])
    assert exact_dert_alive(x, T, rate, r, 3, a, 2) == pytest.approx(float(exact), rel=1e-8)


def test_dert_keeps_its_digits_everywhere():
    rng = np.random.default_rng(2005)
    points = list(itertools.product((0.05, 1, 20), (0, 5000), (0.05, 20), (0.1, 3000), (0.1, 200), (1e-6, 1)))
    points += [
        (a, x, *np.exp(rng.uniform(*np.log([[0.05, 0.1, 0.1, 1e-6], [20, 3000, 200, 1]]))))
        for a, x in itertools.product((0.05, 0.3, 0.793, 1, 1 + 1e-9, 2, 20), X)
    ]
    for a, x, r, alpha, b, rate in points:
        for T in (0.0, 39.0) if x == 0 else (39.0,):
            # Bought on the last day: P(alive) is as near to 1 as it gets, and is no part of this test.
            params = {"r": r, "alpha": alpha, "a": a, "b": b}
            alive = BGNBD.p_alive(x, T if x else 0.0, T, **params)
            ours = BGNBD.dert(x, T if x else 0.0, T, rate, **params) / alive
            assert ours == pytest.approx(exact_dert_alive(x, T, rate, r, alpha, a, b), rel=1e-9), (
                T,
                a,
                x,
                params,
                rate,
            )


def test_dert_has_its_limits():
    x, t_x, T, rate = 3, 30.0, 39.0, 0.002
    alive = BGNBD.p_alive(x, t_x, T, **PAPER)
    r, alpha, a, b = PAPER.values()
    # Hardly any dropout: a gamma rate for ever.
    undying = {"r": r, "alpha": alpha, "a": 1e-12, "b": b}
    assert BGNBD.dert(x, t_x, T, rate, **undying) == pytest.approx((r + x) / (alpha + T) / rate, rel=1e-7)
    # Only the next moment counts: the rate of now.
    assert BGNBD.dert(x, t_x, T, 1e9, **PAPER) == pytest.approx(alive * (r + x) / (alpha + T) / 1e9, rel=1e-8)
    # No discounting: 1 / p transactions on average, infinitely many if a <= 1.
    leaving = {"r": r, "alpha": alpha, "a": 2.5, "b": b}
    ever = BGNBD.p_alive(x, t_x, T, **leaving) * (2.5 + b + x - 1) / (2.5 - 1)
    assert BGNBD.dert(x, t_x, T, 0.0, **leaving) == pytest.approx(ever, rel=1e-14)
    assert BGNBD.dert(x, t_x, T, 1e-12, **leaving) == pytest.approx(ever, rel=1e-6)
    assert BGNBD.expected_transactions_alive(1e12, x, T, **leaving) == pytest.approx((1.5 + b + x) / 1.5, rel=1e-6)
    for a in (1.0, 0.793):
        endless = BGNBD.expected_transactions_alive([1.0, np.inf], x, T, r=r, alpha=alpha, a=a, b=b)
        assert np.isfinite(endless[0])
        assert endless[1] == np.inf


@pytest.mark.parametrize("x", [0, 40])
def test_many_customers_at_once_have_the_values_of_each_alone_over_long_times(x):
    # As `discount_nodes` asks for them: from nearly 0 to far beyond any life.
    T = np.arange(1, 520 * 7, 5) / 7
    params = {"r": np.array([[0.05], [5.0]]), "alpha": np.array([[0.5], [9.0]]), "a": 0.793, "b": 2.426}
    for t in (1e-9, 1e-3, 1e4, 1e8):
        together = BGNBD.expected_transactions_alive(t, np.full(len(T), x), T, **params)
        some = [0, 100, 700, len(T) - 1]
        alone = [BGNBD.expected_transactions_alive(t, x, T[i], **params)[:, 0] for i in some]
        np.testing.assert_allclose(together[:, some], np.transpose(alone), rtol=1e-10)


# Identities and reductions


@pytest.mark.parametrize(("x", "T", "t"), [(0, 0, 39), (0, 39, 39), (3, 39, 52), (40, 39, 10)])
def test_expectation_is_the_sum_over_transactions(x, T, t):
    # Given alive, without death there would come N, negative binomial; the (j+1)-th happens if N > j and all j before
    # it were survived: E = sum_j P(N > j) B(a, b + x + j) / B(a, b + x). No quadrature in it.
    r, alpha, a, b = PAPER.values()
    j = np.arange(20_000)
    more_than = special.betainc(j + 1, r + x, t / (alpha + T + t))
    survived = np.exp(special.betaln(a, b + x + j) - special.betaln(a, b + x))
    assert BGNBD.expected_transactions_alive(t, x, T, **PAPER) == pytest.approx((more_than * survived).sum(), rel=1e-10)


def test_counts_have_probability_one_and_the_mean_of_the_formula():
    n = np.arange(3000)
    pmf = BGNBD.pmf(n, 26.0, **PAPER)
    assert pmf.sum() == pytest.approx(1, abs=1e-10)
    assert (n * pmf).sum() == pytest.approx(BGNBD.expected_transactions_new(26.0, **PAPER), rel=1e-8)


def test_no_repeat_by_t_has_the_likelihood_of_no_repeat():
    assert np.log(BGNBD.pmf(0, 39, **PAPER)) == pytest.approx(BGNBD.log_likelihood(0, 0, 39, **PAPER), rel=1e-13)


def test_purchase_probability_is_that_of_a_first_repeat():
    # A customer who was just acquired: 1 - P(X(t) = 0).
    assert BGNBD.p_purchase(39, 0, 0, 0, **PAPER) == pytest.approx(1 - BGNBD.pmf(0, 39, **PAPER), rel=1e-13)


def test_without_dropout_it_is_the_nbd():
    r, alpha = 0.4, 5.0
    params = {"r": r, "alpha": alpha, "a": 1e-12, "b": 1.0}
    x, t_x, T = np.array([0, 3, 50]), np.array([0.0, 20, 38]), 39.0
    nbd = special.gammaln(r + x) - special.gammaln(r) + r * np.log(alpha) - (r + x) * np.log(alpha + T)
    np.testing.assert_allclose(BGNBD.log_likelihood(x, t_x, T, **params), nbd, rtol=1e-10)
    forever = BGNBD.conditional_expected_transactions(10, x, t_x, T, **params)
    np.testing.assert_allclose(forever, (r + x) * 10 / (alpha + T), rtol=1e-9)


@pytest.mark.parametrize("size", [1e5, 1e9])
def test_with_one_dropout_probability_for_all_it_is_in_closed_form(size):
    # As a and b grow together the beta shrinks to p = a / (a + b); the next term is of order 1 / size.
    r, alpha, p, t, x, T = 0.4, 5.0, 0.25, 52.0, 3, 39.0
    params = {"r": r, "alpha": alpha, "a": p * size, "b": (1 - p) * size}
    exact = (1 - (1 + p * t / (alpha + T)) ** -(r + x)) / p
    assert BGNBD.expected_transactions_alive(t, x, T, **params) == pytest.approx(exact, rel=max(20 / size, 1e-8))


def test_edge_rows_are_finite_and_in_range():
    x = np.array([0, 0, 1, 1, 5000, 5000])
    t_x = np.array([0, 0, 39, 0.14, 39, 0.14])
    T = np.array([0, 39, 39, 39, 39, 39])
    assert np.isfinite(BGNBD.log_likelihood(x, t_x, T, **PAPER)).all()
    alive = BGNBD.p_alive(x, t_x, T, **PAPER)
    assert ((alive >= 0) & (alive <= 1)).all()
    assert alive[:2].tolist() == [1, 1]
    assert alive[5] == 0 or alive[5] < 1e-300
    expected = BGNBD.conditional_expected_transactions(39, x, t_x, T, **PAPER)
    assert (np.isfinite(expected) & (expected >= 0)).all()
    assert expected[0] == BGNBD.expected_transactions_new(39, **PAPER)


def test_parameters_that_differ_between_customers_are_taken_one_by_one():
    x, t_x, T = np.array([0, 2, 7]), np.array([0.0, 20, 38]), np.array([39.0, 39, 38])
    r = np.array([[0.2, 0.3, 0.4], [0.5, 0.6, 0.7]])
    together = BGNBD.conditional_expected_transactions(39, x, t_x, T, r=r, alpha=4.4, a=0.8, b=2.4)
    for (i, j), value in np.ndenumerate(together):
        alone = BGNBD.conditional_expected_transactions(39, x[j], t_x[j], T[j], r=r[i, j], alpha=4.4, a=0.8, b=2.4)
        assert value == pytest.approx(alone, rel=1e-11)


# What is said


def test_a_fit_says_for_how_many_p_alive_is_assumed(cdnow):
    with pytest.warns(clv.AssumptionWarning, match=r"p_alive is 1 for 59\.9% of the customers"):
        BGNBD().fit(cdnow)
