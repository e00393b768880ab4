"""Spend against frequency: on CDNOW, on shops with and without dependence, and what it means for CLV."""

import numpy as np
import pandas as pd
import pytest
from conftest import quietly, simulated_shop
from scipy import stats

import clvmodels as clv
from clvmodels import BGNBD, GammaGamma, NonContractualCLV
from clvmodels.models.spend.base import SpendFit
from clvmodels.models.spend.independence import _correlation, _ranks

TRANSACTIONS = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}


def dependent_shop(seed, customers, strength, weeks=39):
    """A summary, and transactions and revenue of the 39 weeks after it.

    Spend is multiplied by exp(strength z), where z is the normal score of a customer's rate of purchase.
    """
    rng = np.random.default_rng(seed)
    rate = rng.gamma(TRANSACTIONS["r"], 1 / TRANSACTIONS["alpha"], customers)
    score = stats.norm.ppf(
        stats.gamma.cdf(rate, TRANSACTIONS["r"], scale=1 / TRANSACTIONS["alpha"]).clip(1e-9, 1 - 1e-9)
    )
    level = np.exp(strength * score) * SPEND["v"] / rng.gamma(SPEND["q"], size=customers)
    life = rng.geometric(rng.beta(TRANSACTIONS["a"], TRANSACTIONS["b"], customers))
    T = weeks - np.floor(rng.uniform(0, 84, customers)) / 7
    by_chance, later = rng.poisson(rate * T), rng.poisson(rate * 39)
    x = np.minimum(by_chance, life)
    order = np.maximum(x, 1)
    t_x = np.where(x > 0, T * rng.beta(order, np.maximum(by_chance, 1) - order + 1), 0.0)
    future = np.where(by_chance < life, np.minimum(later, life - by_chance), 0)
    frame = pd.DataFrame({
        "frequency": x, "recency": t_x, "T": T,
        "monetary_value": np.where(x > 0, level * rng.gamma(SPEND["p"] * order) / order, 0.0),
    })  # fmt: skip
    revenue = np.where(future > 0, level * rng.gamma(SPEND["p"] * np.maximum(future, 1)), 0.0)
    return clv.Summary(frame, "week"), future, revenue


def test_cdnow_has_the_published_correlations(cdnow):
    # Fader, Hardie & Lee (2005), RFM and CLV: Pearson's is .11, and .06 without one customer, who made 21 transactions
    # of $300. Ranks do not mind that customer.
    x, m_x = (column[cdnow.table["frequency"] > 0] for column in GammaGamma().arrays(cdnow))
    assert np.corrcoef(x, m_x)[0, 1] == pytest.approx(0.11, abs=0.005)
    others = m_x < 299
    assert (~others).sum() == 1
    assert x[~others].item() == 21
    assert np.corrcoef(x[others], m_x[others])[0, 1] == pytest.approx(0.06, abs=0.005)


def test_cdnow_spends_more_where_it_buys_more(cdnow):
    found = GammaGamma().fit(cdnow, seed=1).spend_against_frequency()
    x, m_x = (column[cdnow.table["frequency"] > 0] for column in GammaGamma().arrays(cdnow))
    assert found.customers == 946
    assert found.correlation == pytest.approx(stats.spearmanr(x, m_x).statistic, rel=1e-12)
    assert found.ratio == pytest.approx((x * m_x).sum() / x.sum() / m_x.mean(), rel=1e-12)
    # The bootstrap by other software.
    other = stats.bootstrap(
        (x, m_x), lambda x, m_x: stats.spearmanr(x, m_x).statistic, paired=True, vectorized=False, n_resamples=1000,
        confidence_level=0.9, method="percentile", rng=np.random.default_rng(0),
    ).confidence_interval  # fmt: skip
    assert found.correlation_lower == pytest.approx(other.low, abs=0.01)
    assert found.correlation_upper == pytest.approx(other.high, abs=0.01)
    # 0.21 where independence, with skewed means of few transactions, gives -0.01 to 0.10.
    assert found.independent_lower < 0.04 < found.independent_upper < 0.15 < found.correlation_lower
    assert found.dependent
    assert found.verdict.startswith("Frequent buyers spend 10.6% more per transaction than independence implies")
    assert found.verdict.endswith("is understated, and the CLV of one-time buyers is overstated.")
    assert repr(found).startswith("Spend against frequency: mean repeat transaction of 946 customers, 90% intervals\n")


def test_a_composition_gives_the_evidence_of_its_spend_model(cdnow):
    fit = quietly(NonContractualCLV(BGNBD(), GammaGamma(include_first=True)).fit, cdnow, seed=1)
    found = fit.spend_against_frequency(interval=0.5)
    assert found == fit.spend.spend_against_frequency(interval=0.5)
    assert found != fit.spend_against_frequency(interval=0.5, seed=2)
    assert found.customers == 2349
    assert "mean transaction of 2,349 customers, 50% intervals" in repr(found)
    # What one-time buyers have in common, and how far their own spend counts, pull to different sides.
    assert found.verdict.endswith("spend after their first purchase is understated.")
    again = quietly(fit.spend.spend_against_frequency, cdnow, interval=0.5)
    assert found == again


def test_independent_shops_are_called_dependent_at_the_nominal_rate():
    outside = ratio_covers = correlation_covers = 0
    # The correlation under independence of shops like these: not 0.
    centre = np.mean([
        stats.spearmanr(*(c[s.table["frequency"] > 0] for c in GammaGamma().arrays(s))).statistic
        for s in (simulated_shop(seed=seed + 10_000) for seed in range(400))
    ])  # fmt: skip
    assert 0.02 < centre < 0.08
    for seed in range(200):
        fit = quietly(GammaGamma().fit, simulated_shop(seed=seed), method="map", seed=seed)
        found = fit.spend_against_frequency()
        outside += found.dependent
        ratio_covers += found.ratio_lower <= 1 <= found.ratio_upper
        correlation_covers += found.correlation_lower <= centre <= found.correlation_upper
    # 90 % of 200 has a standard error of 2 %; means of 120 skewed values make the bootstrap's ratio cover less.
    assert 8 <= outside <= 32
    assert 168 <= correlation_covers <= 194
    assert 160 <= ratio_covers <= 194


@pytest.mark.parametrize(("strength", "word"), [(0.3, "more"), (-0.3, "less")])
def test_dependent_shops_are_detected_with_the_right_sign(strength, word):
    told = 0
    for seed in range(20):
        shop, _, _ = dependent_shop([seed, 5], 3000, strength)
        found = quietly(GammaGamma().fit, shop, seed=seed).spend_against_frequency()
        told += found.dependent and f"% {word} per transaction" in found.verdict
        assert found.ratio_lower < found.ratio < found.ratio_upper
    assert told >= 19


@pytest.mark.parametrize(("strength", "wrong", "right"), [(0.3, "under", "over"), (-0.3, "over", "under")])
def test_what_dependence_means_for_clv_is_as_told(strength, wrong, right):
    shop, transactions, revenue = dependent_shop(1, 200_000, strength)
    fit = quietly(NonContractualCLV(BGNBD(), GammaGamma()).fit, shop, seed=1)
    found = fit.spend_against_frequency()
    assert f"after their first purchase is {wrong}stated" in found.verdict
    assert found.verdict.endswith(f"and the CLV of one-time buyers is {right}stated.")
    table = fit.predict(horizon=39)
    x = shop.table["frequency"].to_numpy()

    def bias(some):
        """Of the expected spend of some customers, weighted by transactions: the model's own against what came."""
        actual = revenue[some].sum() / transactions[some].sum()
        return table["expected_revenue"][some].sum() / table["expected_transactions"][some].sum() / actual - 1

    # That of repeat customers is hardly touched: within 4 %, where frequent buyers differ by 11 %.
    assert abs(found.ratio - 1) > 0.09
    assert abs(bias(x > 0)) < 0.04
    assert bias(x == 0) * strength > 0.1 * abs(strength)
    # What new customers spend after their first purchase, weighted by transactions, against the mean of the model.
    every = (x * shop.table["monetary_value"]).sum() / x.sum()
    new = fit.new_customer(horizon=39)["expected_spend"].item()
    assert new / every - 1 == pytest.approx(1 / found.ratio - 1, abs=0.02)


def test_ranks_of_equal_values_are_those_of_scipy_with_weights_as_copies():
    rng = np.random.default_rng(3)
    first, second, weights = rng.integers(0, 5, 30), rng.integers(0, 7, 30), rng.integers(1, 4, 30)
    labels = [np.unique(side, return_inverse=True)[1] for side in (first, second)]
    ours = _correlation(*(_ranks(label, weights) for label in labels), weights)
    theirs = stats.spearmanr(np.repeat(first, weights), np.repeat(second, weights)).statistic
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_equal_numbers_of_transactions_say_nothing():
    frame = pd.DataFrame({
        "frequency": 2, "recency": 5.0, "T": 9.0, "monetary_value": np.random.default_rng(1).gamma(3, 10, 200),
    })  # fmt: skip
    fit = quietly(GammaGamma().fit, clv.Summary(frame, "week"), method="map")
    with pytest.raises(clv.DataError, match="all customers have 2 repeat transactions: spend cannot be held against"):
        fit.spend_against_frequency()
    with pytest.raises(ValueError, match="interval must lie strictly between 0 and 1"):
        fit.spend_against_frequency(interval=90)


def test_all_chains_are_simulated(cdnow, monkeypatch):
    fit, used, draw = GammaGamma().fit(cdnow, "laplace", seed=1, draws=2000), [], SpendFit.draw
    monkeypatch.setattr(SpendFit, "draw", lambda self, number: used.append(number) or draw(self, number))
    fit.spend_against_frequency()
    assert len(used) == 500
    assert np.histogram(used, 4, (0, 2000))[0].tolist() == [125] * 4  # draws lie chain after chain
