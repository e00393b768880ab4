"""Gamma-Gamma against the paper, other software, exact identities and edge rows."""

import mpmath
import numpy as np
import pandas as pd
import pytest
from conftest import quietly, r_package, shared
from scipy import integrate, stats

import clvmodels as clv
from clvmodels import GammaGamma

PAPER = {"p": 6.25, "q": 3.74, "v": 15.44}  # Fader & Hardie (2013), note 025


@pytest.fixture(scope="module")
def fit(cdnow):
    return GammaGamma().fit(cdnow, seed=1)


def test_maximum_likelihood_on_cdnow_is_as_published(fit):
    assert fit.parameters["estimate"].round(2).to_dict() == PAPER


def test_expected_spend_is_as_published(fit):
    # lifetimes' tests, customers 1 to 10, whose values go back to the note's.
    published = [24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17]
    np.testing.assert_allclose(fit.predict()["expected_spend"].iloc[:10], published, atol=0.01)


def test_fit_agrees_with_clvtools(fit):
    case = r_package("clv__cdnow_0930__gg")
    refined = case["refined_fit"]
    assert fit.log_likelihood == pytest.approx(refined["loglik"], abs=1e-8)
    assert fit.bic == pytest.approx(refined["bic"], abs=1e-7)
    for ours, theirs in zip(("p", "q", "v"), ("p", "q", "gamma"), strict=True):
        # The reference stops where its gradient is 2e-7, and its likelihood is flat along p against v.
        assert fit.parameters.loc[ours, "estimate"] == pytest.approx(refined["coef"][theirs], rel=1e-5)
        assert fit.parameters.loc[ours, "se"] == pytest.approx(refined["se"][theirs], rel=1e-3)
    spend = fit.predict()["expected_spend"]
    np.testing.assert_allclose(spend.iloc[:20], case["predict"]["first20"]["predicted.mean.spending"], rtol=1e-6)
    assert spend.sum() == pytest.approx(case["predict"]["sums"]["predicted.mean.spending"], rel=1e-6)


def test_expected_revenue_agrees_with_clvtools(cdnow):
    # Its revenue of the period is expected transactions x the spend of its default (less refined) Gamma-Gamma fit.
    case, spend = r_package("clv__cdnow_0930__bgnbd"), r_package("clv__cdnow_0930__gg")["default_fit"]["coef"]
    transactions = np.array(case["predict"]["first20"]["CET"])
    x, m_x = (column[:20] for column in GammaGamma().arrays(cdnow))
    mean = GammaGamma.conditional_expected_spend(x, m_x, p=spend["p"], q=spend["q"], v=spend["gamma"])
    revenue = case["predict"]["first20"]["predicted.period.spending"]
    np.testing.assert_allclose(transactions * mean, revenue, atol=1e-6)


def test_fits_to_longer_and_other_logs():
    log = clv.Transactions(clv.datasets.cdnow_sample(), customer="customer_id", date="date", value="amount")
    # Notebooks of abdullahau/customer-analytics, 78 weeks, by a general-purpose optimiser: four digits.
    np.testing.assert_allclose(
        GammaGamma().fit(log.summary()).parameters["estimate"], [4.6823, 4.1904, 24.4006], rtol=1e-3
    )
    trips = pd.read_csv(shared("apparel/apparel_trans.csv.gz"))
    log = clv.Transactions(trips, customer="id", date="date", value="price")
    # The CLVTools paper (arXiv 2602.09845).
    early = GammaGamma().fit(log.summary(until=pd.Timestamp(trips["date"].min()) + pd.Timedelta(weeks=104)))
    np.testing.assert_allclose(early.parameters["estimate"], [3.099, 5.654, 56.504], rtol=2e-4)
    assert early.log_likelihood == pytest.approx(-1670.663, abs=1e-3)
    spend = GammaGamma().fit(log.summary()).predict()["expected_spend"]
    np.testing.assert_allclose(spend.loc[[1, 10, 100]], [77.79363, 36.04491, 37.23417], rtol=1e-5)


def test_a_fit_that_includes_the_first_transaction_agrees_with_clvtools(cdnow):
    # Its data of CDNOW with remove.first.transaction = FALSE: purchase days, the first among them.
    case = r_package("clv__cdnow_0930__gg_keepfirst")
    refined, predicted = case["refined_fit"], case["predict"]
    model = GammaGamma(include_first=True)
    with pytest.warns(clv.DataWarning, match="leaves 8 customers out of its fit, whose mean transaction is worth 0"):
        fit = model.fit(cdnow)
    number, mean = model.arrays(cdnow)
    assert number.sum() == case["cbs_sums"]["x"]
    assert mean.sum() == pytest.approx(case["cbs_sums"]["Spending"], rel=1e-12)
    np.testing.assert_allclose(mean[:20], case["cbs_first20"]["Spending"], rtol=1e-12)
    assert fit.log_likelihood == pytest.approx(refined["loglik"], abs=1e-8)
    assert fit.bic == pytest.approx(refined["bic"], abs=1e-7)
    for ours, theirs in zip(("p", "q", "v"), ("p", "q", "gamma"), strict=True):
        assert fit.parameters.loc[ours, "estimate"] == pytest.approx(refined["coef"][theirs], rel=1e-5)
        assert fit.parameters.loc[ours, "se"] == pytest.approx(refined["se"][theirs], rel=1e-3)
    spend = fit.predict()["expected_spend"]
    np.testing.assert_allclose(spend.iloc[:20], predicted["first20"]["predicted.mean.spending"], rtol=1e-6)
    assert spend.sum() == pytest.approx(predicted["sums"]["predicted.mean.spending"], rel=1e-6)
    new = GammaGamma.expected_spend_new(**fit.parameters["estimate"])
    assert new == pytest.approx(case["newcustomer_spending"], rel=1e-6)


def test_the_first_transaction_informs_where_it_is_included(cdnow):
    model = GammaGamma(include_first=True)
    assert repr(model) == "GammaGamma(include_first=True)"
    assert model != GammaGamma()
    assert model == GammaGamma(**model.options())
    number, mean = model.arrays(cdnow)
    x, m_x = GammaGamma().arrays(cdnow)
    np.testing.assert_array_equal(number, x + 1)
    np.testing.assert_allclose(number * mean - x * m_x, cdnow.table["first_value"], atol=1e-9)
    once = x == 0
    np.testing.assert_array_equal(mean[once], cdnow.table["first_value"][once])
    spend = quietly(model.fit, cdnow).predict()["expected_spend"][once]
    assert np.all(np.diff(spend.iloc[np.argsort(mean[once])]) >= 0)
    assert spend.nunique() > 100
    assert np.ptp(GammaGamma().fit(cdnow).predict()["expected_spend"][once]) == 0


def test_a_first_transaction_that_is_missing_or_too_negative_is_refused_by_name(cdnow):
    without = clv.Summary(cdnow.table.drop(columns="first_value"), "week")
    with pytest.raises(clv.DataError, match="needs the column 'first_value'; give the transactions a value= column"):
        GammaGamma(include_first=True).fit(without)
    table = cdnow.table.copy()
    table.loc[3, "first_value"] = -5.0
    rule = r"the mean of first_value and monetary_value must not be negative .* it is for 1 customer: 3$"
    with pytest.raises(clv.DataError, match=rule):
        GammaGamma(include_first=True).fit(clv.Summary(table, "week"))
    quietly(GammaGamma().fit, clv.Summary(table, "week"))


def test_with_the_first_transaction_nobody_need_repeat():
    frame = pd.DataFrame({
        "frequency": 0, "recency": 0.0, "T": 9.0, "monetary_value": 0.0,
        "first_value": np.random.default_rng(1).gamma(3, 10, 400),
    })  # fmt: skip
    fit = quietly(GammaGamma(include_first=True).fit, clv.Summary(frame, "week"), method="map")
    assert len(fit.rows.weights) == 400
    frame["first_value"] = 20.0
    with pytest.raises(clv.DataError, match="the mean transaction is 20 for all 400 customers"):
        GammaGamma(include_first=True).fit(clv.Summary(frame, "week"))


def test_log_likelihood_is_the_mixture_over_customers():
    # m_x of x gamma transactions is Gamma(p x, nu x); nu ~ Gamma(q, v). Integrated numerically.
    p, q, v = 2.5, 3.1, 20.0
    for x, m_x in [(1, 12.0), (4, 33.0)]:
        density, _ = integrate.quad(
            lambda nu, x=x, m_x=m_x: (
                stats.gamma.pdf(m_x, p * x, scale=1 / (nu * x)) * stats.gamma.pdf(nu, q, scale=1 / v)
            ),
            0, np.inf, epsabs=0, epsrel=1e-11,
        )  # fmt: skip
        assert GammaGamma.log_likelihood(x, m_x, p=p, q=q, v=v) == pytest.approx(np.log(density), rel=1e-9)


def test_log_likelihood_of_a_frequent_buyer_keeps_its_digits():
    p, q, v = PAPER.values()
    x, m_x = 5000, 0.01
    with mpmath.workdps(50):
        exact = (
            mpmath.loggamma(p * x + q) - mpmath.loggamma(p * x) - mpmath.loggamma(q) + q * mpmath.log(v)
            + (p * x - 1) * mpmath.log(m_x) + p * x * mpmath.log(x) - (p * x + q) * mpmath.log(v + x * m_x)
        )  # fmt: skip
    assert GammaGamma.log_likelihood(x, m_x, p=p, q=q, v=v) == pytest.approx(float(exact), rel=1e-8)


def test_without_repeats_the_population_mean_and_with_many_ones_own():
    mean = GammaGamma.expected_spend_new(**PAPER)
    assert GammaGamma.conditional_expected_spend(0, 0.0, **PAPER) == mean
    assert mean == pytest.approx(PAPER["p"] * PAPER["v"] / (PAPER["q"] - 1))
    assert GammaGamma.conditional_expected_spend(5000, 80.0, **PAPER) == pytest.approx(80, rel=1e-3)


def test_expected_spend_is_the_mean_of_the_posterior():
    # E[p / nu | x, m] with nu ~ Gamma(p x + q, v + x m).
    x, m_x, (p, q, v) = 3, 22.0, PAPER.values()
    posterior = stats.invgamma(p * x + q, scale=v + x * m_x)
    assert GammaGamma.conditional_expected_spend(x, m_x, **PAPER) == pytest.approx(p * posterior.mean(), rel=1e-12)


def test_means_of_zero_stay_out_of_the_fit_and_are_counted(cdnow):
    table = cdnow.table.copy()
    free = table.index[table["frequency"] > 0][:3]
    table.loc[free, "monetary_value"] = 0.0
    with pytest.warns(clv.DataWarning, match="leaves 3 customers out of its fit"):
        fit = GammaGamma().fit(clv.Summary(table, "week"))
    assert fit.predict().loc[free, "expected_spend"].between(0, 35).all()


def test_equal_means_are_refused_with_what_to_do():
    frame = pd.DataFrame({"frequency": [1, 2, 3, 4], "recency": 5.0, "T": 9.0, "monetary_value": 20.0})
    with pytest.raises(clv.DataError, match="is 20 for all 4 customers: there is no spread to fit"):
        GammaGamma().fit(clv.Summary(frame, "week"))


def test_future_transactions_of_a_customer_share_that_customers_scale():
    # Var(z1 + z2) = 2 Var(z) + 2 Cov, with Cov = Var(p / nu): one nu for both, nu ~ Gamma(p x + q, v + x m).
    x, m_x, (p, q, v) = 1, 30.0, PAPER.values()
    shape, rate = p * x + q, v + x * m_x
    second = rate**2 / ((shape - 1) * (shape - 2))  # E[1 / nu^2]
    covariance = p**2 * (second - (rate / (shape - 1)) ** 2)
    variance = p * second + covariance
    params = {name: np.full((200_000, 1), value) for name, value in PAPER.items()}
    counts = np.full((200_000, 1), 2)
    values = GammaGamma.simulate_future(np.random.default_rng(0), np.array([x]), np.array([m_x]), counts, **params)
    total = values.reshape(-1, 2).sum(axis=1)
    spread = (total - total.mean()) ** 2
    assert total.var() == pytest.approx(2 * variance + 2 * covariance, abs=4 * spread.std() / np.sqrt(len(total)))


def test_negative_means_are_refused_by_name():
    lines = pd.DataFrame({
        "id": [7, 7, 8, 8, 8, 9, 9],
        "date": ["2020-01-01", "2020-02-01", "2020-01-01", "2020-02-01", "2020-03-01", "2020-01-01", "2020-01-15"],
        "value": [10.0, -30.0, 10, 20, 30, 5, 5],
    })  # fmt: skip
    log = clv.Transactions(lines, customer="id", date="date", value="value", refunds="keep")
    summary = log.summary()
    assert summary.table.loc[7, "monetary_value"] == -30
    with pytest.raises(clv.DataError, match=r"monetary_value must not be negative .* it is for 1 customer: 7"):
        GammaGamma().fit(summary)


def test_a_summary_without_values_is_refused():
    frame = pd.DataFrame({"frequency": [1, 2, 3], "recency": [1, 2, 3], "T": [4, 4, 4]})
    with pytest.raises(clv.DataError, match="needs the column 'monetary_value'; give the transactions a value= column"):
        GammaGamma().fit(clv.Summary(frame, "week"))
