import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from clvmodels.errors import DataError
from clvmodels.evaluation import metrics as m

RNG = np.random.default_rng(5)
COUNTS = RNG.poisson(0.7, 400).astype(float)
MEANS = RNG.gamma(2, 0.4, 400).round(1) + 0.1  # with ties
MONEY = COUNTS * RNG.gamma(2, 20, 400)
BOUGHT = (COUNTS > 0).astype(float)
CHANCE = 1 - np.exp(-MEANS)
CENSORED = m.CensoredBrier(at=3.0)
ALL = (*m.METRICS, CENSORED)


def data(metric, n, rng):
    """What a metric is fed of n customers: outcomes with zeros and ties, and a prediction with ties."""
    counts = rng.poisson(1.0, n).astype(float)
    means = rng.integers(1, 5, n) / 2
    if metric.name in ("concordance", "brier_censored"):
        return rng.integers(1, 6, n).astype(float), rng.integers(0, 2, n).astype(float), means / 3
    match metric.functional:
        case "probability":
            return (counts > 0).astype(float), means / 3
        case "interval":
            return counts, means - 0.5, means + 1
        case "distribution":
            return counts, rng.poisson(means, (9, n)).astype(float)
    return counts, means


def by_name(test):
    return pytest.mark.parametrize("metric", ALL, ids=[metric.name for metric in ALL])(test)


# What holds of all.


@by_name
@settings(max_examples=40, deadline=None)
@given(weights=st.lists(st.integers(0, 3), min_size=1, max_size=12), seed=st.integers(0, 999))
def test_a_weight_is_the_row_that_often(metric, weights, seed):
    fed = data(metric, len(weights), np.random.default_rng(seed))
    repeated = [np.repeat(values, weights, axis=-1) for values in fed]
    assert metric(*fed, weights=weights) == pytest.approx(metric(*repeated), rel=1e-9, abs=1e-9, nan_ok=True)


@by_name
def test_order_and_equal_weights_of_customers_do_not_matter(metric):
    fed = data(metric, 50, np.random.default_rng(1))
    order = np.random.default_rng(2).permutation(50)
    found = metric(*fed)
    assert metric(*(values[..., order] for values in fed)) == pytest.approx(found)
    assert metric(*fed, weights=np.full(50, 2.5)) == pytest.approx(found)


@by_name
def test_an_average_is_the_mean_of_the_scores(metric):
    fed = data(metric, 50, np.random.default_rng(1))
    if isinstance(metric, m.Average):
        assert metric.score(*fed).shape == (50,)
        mean = metric.score(*fed).mean()
        assert metric(*fed) == pytest.approx(math.sqrt(mean) if metric.name == "rmse" else mean)
    else:
        assert not hasattr(metric, "score")


@by_name
def test_nobody_has_no_metric_and_one_customer_has_a_number_or_none(metric):
    fed = data(metric, 1, np.random.default_rng(1))
    assert math.isnan(metric(*(values[..., :0] for values in fed)))
    assert math.isnan(metric(*fed, weights=[0]))
    nothing = ("gini", "spearman", "concordance")
    assert math.isnan(metric(*fed)) == (metric.name in nothing)


@by_name
def test_a_missing_number_is_refused_whichever_it_is(metric):
    fed = data(metric, 5, np.random.default_rng(1))
    for place in range(len(fed)):
        broken = [values.astype(float) for values in fed]
        broken[place][..., 2] = np.nan
        with pytest.raises(
            DataError,
            match=f"^{metric.name} needs an outcome and a prediction that are numbers; 1 customer breaks this$",
        ):
            metric(*broken)


@by_name
def test_other_customers_and_negative_weights_are_refused(metric):
    fed = data(metric, 5, np.random.default_rng(1))
    with pytest.raises(ValueError, match=rf"^{metric.name} needs arrays of the same customers; got lengths 4, 5"):
        metric(fed[0][:4], *fed[1:])
    for weights in ([1, 1, 1, 1], [1, 1, 1, 1, -1]):
        with pytest.raises(ValueError, match=f"^weights of {metric.name} must be 5 numbers, 0 or more$"):
            metric(*fed, weights=weights)


def test_names_are_those_of_the_tables():
    assert " ".join(metric.name for metric in m.METRICS) == (
        "mae_median mae rmse poisson_deviance tweedie_deviance crps log_score interval_score coverage width brier "
        "log_loss bias gini top_1 top_5 top_10 top_20 spearman concordance"
    )
    assert {metric.better for metric in m.METRICS} == {"lower", "higher", "zero", "nominal"}
    assert {target for metric in m.METRICS for target in metric.targets} == {"transactions", "revenue", "retained"}


def test_settings_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"^power must lie strictly between 1 and 2; got 2$"):
        m.TweedieDeviance(2)
    with pytest.raises(ValueError, match=r"^share must lie strictly between 0 and 1, such as 0.1; got 10$"):
        m.TopShare(10)
    with pytest.raises(ValueError, match=r"^interval must lie strictly between 0 and 1"):
        m.IntervalScore(90)
    with pytest.raises(ValueError, match=r"^an absolute error is of the median or the mean; got 'mode'$"):
        m.AbsoluteError("mode")


# Errors of a mean or a median.


def test_errors_are_what_a_reader_computes_by_hand():
    actual, predicted = [0, 2, 2], [0.5, 1.5, 4.0]
    for functional in ("median", "mean"):
        assert m.AbsoluteError(functional)(actual, predicted) == pytest.approx((0.5 + 0.5 + 2) / 3)
    assert m.SquaredError()(actual, predicted) == pytest.approx(math.sqrt((0.25 + 0.25 + 4) / 3))
    assert m.Bias()(actual, predicted) == pytest.approx(6 / 4 - 1)
    # 2 (0.5 - 0); 2 (2 log(2 / 1.5) - 0.5); 2 (2 log(2 / 4) + 2)
    by_hand = [1, 2 * (2 * math.log(4 / 3) - 0.5), 2 * (2 - 2 * math.log(2))]
    np.testing.assert_allclose(m.PoissonDeviance().score(actual, predicted), by_hand, rtol=1e-14)


def test_errors_equal_those_of_scikit_learn():
    assert m.AbsoluteError("mean")(COUNTS, MEANS) == pytest.approx(sklearn_metrics.mean_absolute_error(COUNTS, MEANS))
    assert m.SquaredError()(COUNTS, MEANS) == pytest.approx(sklearn_metrics.root_mean_squared_error(COUNTS, MEANS))
    theirs = sklearn_metrics.mean_poisson_deviance(COUNTS, MEANS)
    assert m.PoissonDeviance()(COUNTS, MEANS) == pytest.approx(theirs, rel=1e-12)
    for power in (1.1, 1.5, 1.9):
        theirs = sklearn_metrics.mean_tweedie_deviance(MONEY, MEANS * 40, power=power)
        assert m.TweedieDeviance(power)(MONEY, MEANS * 40) == pytest.approx(theirs, rel=1e-10)


@pytest.mark.parametrize("metric", [m.PoissonDeviance(), m.TweedieDeviance()])
def test_a_deviance_is_infinite_where_nothing_was_predicted_and_something_came(metric):
    assert metric.score([0, 3, 3], [0, 0, 3]).tolist() == [0, math.inf, 0]
    assert metric([0, 3], [0, 0]) == math.inf
    assert metric([0, 3], [0, 0], weights=[4, 0]) == 0  # who is not drawn makes nothing infinite


@pytest.mark.parametrize("metric", [m.PoissonDeviance(), m.TweedieDeviance()])
def test_a_deviance_of_refunds_is_refused(metric):
    with pytest.raises(
        DataError, match="needs outcomes of 0 or more, as it is not defined below; 2 customers break this"
    ):
        metric([-1, 3, -5], [1, 1, 1])
    with pytest.raises(DataError, match="needs predictions of 0 or more; 1 customer breaks this"):
        metric([1, 3], [1, -1])


def test_the_deviance_between_poisson_and_gamma_reaches_poisson():
    # At power 1 the Tweedie deviance is the Poisson deviance; the difference is of the order of power - 1.
    assert m.TweedieDeviance(1 + 1e-6)(COUNTS, MEANS) == pytest.approx(m.PoissonDeviance()(COUNTS, MEANS), rel=1e-4)


def test_each_error_is_least_for_what_it_says_it_scores():
    outcomes = np.random.default_rng(3).poisson(np.random.default_rng(4).gamma(0.7, 2.0, 20_001)).astype(float)
    values = {"mean": outcomes.mean(), "median": np.median(outcomes)}
    assert values["mean"] > values["median"] + 0.3
    grid = np.linspace(0.02, 4, 200)
    for metric in (m.AbsoluteError("median"), m.SquaredError(), m.PoissonDeviance(), m.TweedieDeviance()):
        at = [metric(outcomes, np.full(len(outcomes), value)) for value in grid]
        # The exact optimum of the sample lies within one step of the grid.
        assert abs(grid[np.argmin(at)] - values[metric.functional]) <= grid[1] - grid[0]


# Distributions.


def test_crps_of_a_normal_is_the_closed_form():
    # Gneiting & Raftery (2007), equation 21: of N(0, 1), y (2 F(y) - 1) + 2 f(y) - 1 / sqrt(pi).
    y, size = np.array([-1.0, 0.3, 2.5]), 20_000
    draws = np.random.default_rng(6).normal(size=(50, size, 3))
    exact = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / math.sqrt(math.pi)
    found = np.array([m.CRPS().score(y, part) for part in draws])
    assert (np.abs(found.mean(axis=0) - exact) < 4 * found.std(axis=0) / math.sqrt(50)).all()


def test_crps_is_the_mean_over_all_pairs_of_draws():
    draws = np.random.default_rng(7).poisson(2, (7, 5)).astype(float)
    y = np.arange(5.0)
    pairs = np.abs(draws[:, None] - draws[None]).sum(axis=(0, 1)) / (7 * 6)
    np.testing.assert_allclose(m.CRPS().score(y, draws), np.abs(draws - y).mean(axis=0) - pairs / 2, rtol=1e-12)


def test_crps_of_few_draws_has_the_mean_of_that_of_many():
    rng = np.random.default_rng(8)
    y = rng.poisson(1.5, 40_000)
    few, many = (m.CRPS().score(y, rng.poisson(1.5, (size, 40_000))) for size in (3, 60))
    error = math.sqrt((few.var() + many.var()) / 40_000)
    assert abs(few.mean() - many.mean()) < 4 * error
    # The plain estimate would be off by E|X - X'| / (2 S).
    pairs = np.abs(rng.poisson(1.5, 40_000) - rng.poisson(1.5, 40_000)).mean()
    assert pairs / 6 > 20 * error


def test_crps_of_a_single_value_is_the_absolute_error_and_goes_block_by_block():
    y, value = np.arange(3000.0), np.full(3000, 7.0)
    draws = np.broadcast_to(value, (1000, 3000))  # more than one block
    np.testing.assert_allclose(m.CRPS().score(y, draws), m.AbsoluteError().score(y, value), atol=1e-9)
    with pytest.raises(DataError, match=r"^crps needs at least two draws; got 1"):
        m.CRPS()([1], [[1]])


def test_a_log_score_is_that_of_the_probabilities():
    y = np.array([0, 1, 4])
    draws = np.random.default_rng(9).poisson(1.0, (200_000, 3))
    exact = -stats.poisson.logpmf(y, 1.0)
    share = np.exp(-exact)
    error = np.sqrt((1 - share) / share / 200_000)
    assert (np.abs(m.LogScore().score(y, draws) - exact) < 4 * error).all()
    # Never drawn: half a draw.
    assert m.LogScore().score([9], [[0], [1]]).tolist() == [math.log(4)]


@pytest.mark.parametrize("metric", [m.CRPS(), m.LogScore()])
def test_the_true_distribution_has_the_lowest_score_of_distributions(metric):
    rng = np.random.default_rng(10)
    mean = rng.gamma(1.5, 1.0, 5000)
    y = rng.poisson(mean)
    scores = {k: metric.score(y, rng.poisson(k * mean, (300, 5000))) for k in (0.7, 1.0, 1.3)}
    scores["constant"] = metric.score(y, rng.permuted(np.broadcast_to(y, (300, 5000)), axis=1))
    for name, score in scores.items():
        difference = score - scores[1.0]
        assert name == 1.0 or difference.mean() > 4 * difference.std() / math.sqrt(5000)


# Intervals.


def test_an_interval_that_holds_everybody_pays_by_its_width():
    y = np.array([0, 0, 0, 1, 6])
    assert m.Coverage()(y, np.zeros(5), np.full(5, 4)) == 0.8
    assert m.Width()(y, np.zeros(5), np.full(5, 4)) == 4
    # 6 is 2 beyond the interval, which costs 2 x 2 / 0.1 = 40.
    assert m.IntervalScore(0.9)(y, np.zeros(5), np.full(5, 4)) == pytest.approx(4 + 40 / 5)


def test_the_interval_score_is_least_for_the_true_quantiles_of_its_coverage():
    y = np.random.default_rng(11).exponential(size=40_000)
    for coverage in (0.5, 0.9):
        tail = (1 - coverage) / 2
        scores = {}
        for shift in (-0.02, 0.0, 0.02):
            lower, upper = -math.log(1 - tail - shift / 2), -math.log(tail - shift / 2)
            scores[shift] = m.IntervalScore(coverage)(y, np.full(40_000, lower), np.full(40_000, upper))
        assert min(scores, key=scores.get) == 0.0


# Probabilities.


def test_probabilities_are_scored_as_by_scikit_learn():
    assert m.Brier()(BOUGHT, CHANCE) == pytest.approx(sklearn_metrics.brier_score_loss(BOUGHT, CHANCE), rel=1e-12)
    assert m.LogLoss()(BOUGHT, CHANCE) == pytest.approx(sklearn_metrics.log_loss(BOUGHT, CHANCE), rel=1e-12)


def test_a_certainty_that_was_wrong_is_infinite_and_one_that_was_right_costs_nothing():
    assert m.LogLoss().score([1, 0, 1, 0], [0, 1, 1, 0]).tolist() == [math.inf, math.inf, 0, 0]
    assert m.Brier().score([1, 0, 1, 0], [0, 1, 1, 0]).tolist() == [1, 1, 0, 0]


@pytest.mark.parametrize("metric", [m.Brier(), m.LogLoss()])
def test_counts_are_no_events_and_means_no_probabilities(metric):
    with pytest.raises(DataError, match="needs outcomes of 0 or 1, such as transactions > 0; 1 customer breaks this"):
        metric([2, 1], [0.5, 0.5])
    with pytest.raises(DataError, match="needs probabilities between 0 and 1; 1 customer breaks this"):
        metric([0, 1], [1.5, 0.5])


def test_the_censored_brier_score_is_the_plain_one_where_all_were_followed():
    # As in a holdout of 12 months: who stayed is censored at its end.
    rng = np.random.default_rng(12)
    time = rng.integers(1, 25, 300).astype(float)
    event = (time <= 12).astype(float)
    p = rng.uniform(size=300)
    found = m.CensoredBrier(at=12)(np.minimum(time, 12), event, p)
    assert found == pytest.approx(m.Brier()(1 - event, p), rel=1e-14)


def test_the_censored_brier_score_by_hand():
    # At 2 one of four leaves, and of the three who stay one is lost: G = 2/3 for those seen later (4 and 6).
    time, event, p = [2, 2, 4, 6], [1, 0, 1, 0], [0.1, 0.9, 0.4, 0.8]
    # p^2 of who left by 5 and (1 - p)^2 of who stayed: 0.01 x 1 + 0.16 x 1.5 + 0.04 x 1.5, over 4.
    assert m.CensoredBrier(at=5)(time, event, p) == pytest.approx((0.01 + 0.24 + 0.06) / 4)


def test_the_censored_brier_score_finds_that_of_the_uncensored():
    rng = np.random.default_rng(13)
    rate, size = rng.gamma(2, 0.1, 50_000), 50_000
    end, lost = rng.exponential(1 / rate), rng.exponential(6, size)
    p = np.exp(-5 * rate)
    true = m.Brier().score(end > 5, p)
    found = m.CensoredBrier(at=5)(np.minimum(end, lost), end <= lost, p)
    # The weights are at most exp(5 / 6) = 2.3, so that the error is at most as many times that of the plain score.
    assert found == pytest.approx(true.mean(), abs=4 * 2.3 * true.std() / math.sqrt(size))
    seen = (end <= lost) & (end <= 5) | (np.minimum(end, lost) > 5)
    assert abs(m.Brier()((end > 5)[seen], p[seen]) - true.mean()) > 4 * 2.3 * true.std() / math.sqrt(size)


# Totals and ranking.


def test_a_total_of_zero_has_no_relative_error_no_share_and_no_order():
    for metric in (m.Bias(), m.Gini(), m.TopShare(), m.Spearman()):
        assert math.isnan(metric([0, 0], [1, 2]))


def test_a_constant_prediction_has_no_order():
    constant = np.full(400, 0.1)
    assert math.isnan(m.Spearman()(COUNTS, constant))
    assert m.Gini()(COUNTS, constant) == pytest.approx(0, abs=1e-12)
    for share in (0.01, 0.05, 0.1, 0.2):
        assert m.TopShare(share)(COUNTS, constant) == pytest.approx(share)
    assert m.Concordance()(MEANS, BOUGHT, constant) == 0.5


def test_spearman_is_that_of_scipy():
    assert m.Spearman()(COUNTS, MEANS) == pytest.approx(stats.spearmanr(MEANS, COUNTS).statistic, rel=1e-12)


def test_gini_by_hand_and_by_the_area_of_the_lift_curve():
    # Ranks 1.5, 0.5, -0.5, -1.5 by the prediction: 6 + 0 - 1 - 3. At best 1.5, -1.5, 0, 0, as the twos are tied: 6.
    assert m.Gini()([4, 0, 2, 2], [9, 8, 7, 6]) == pytest.approx((6 - 1 - 3) / 6)
    assert m.Gini()([4, 0, 2, 2], [6, 9, 7, 7]) == pytest.approx(-1)
    area = [np.trapezoid(y, x) - 0.5 for x, y in (m.lift_curve(COUNTS, MEANS), m.lift_curve(COUNTS, COUNTS))]
    assert m.Gini()(COUNTS, MEANS) == pytest.approx(area[0] / area[1], rel=1e-12)
    # Twice the area is the Gini coefficient: half the mean difference of all pairs, relative to the mean.
    assert 2 * area[1] == pytest.approx(np.abs(COUNTS[:, None] - COUNTS).mean() / 2 / COUNTS.mean(), rel=1e-12)


def test_gini_of_many_resamples_at_once_is_that_of_each():
    weights = np.random.default_rng(17).multinomial(400, np.full(400, 1 / 400), 5).astype(float)
    found = m.Gini().value(weights, MONEY, MEANS)
    np.testing.assert_allclose(found, [m.Gini()(MONEY, MEANS, weights=row) for row in weights], rtol=1e-12)
    assert m.Gini().value(weights, MONEY, np.ones(400)).tolist() == [0] * 5
    assert np.isnan(m.Gini().value(weights, np.ones(400), MEANS)).all()


def test_gini_of_an_event_is_twice_the_area_under_the_roc_curve_less_one():
    auc = sklearn_metrics.roc_auc_score(BOUGHT, MEANS)
    assert m.Gini()(BOUGHT, MEANS) == pytest.approx(2 * auc - 1, rel=1e-12)


def test_ties_at_the_border_of_the_top_count_as_the_mean_over_random_orders():
    rng = np.random.default_rng(7)
    shares = []
    for _ in range(4000):
        order = rng.permutation(400)
        first = order[np.argsort(-MEANS[order], kind="stable")][:40]
        shares.append(COUNTS[first].sum() / COUNTS.sum())
    error = np.std(shares) / math.sqrt(len(shares))
    assert error > 0
    assert m.TopShare(0.1)(COUNTS, MEANS) == pytest.approx(np.mean(shares), abs=4 * error)


def test_a_top_that_is_not_whole_counts_its_last_customer_in_part():
    assert m.TopShare(0.1)([6, 4, *[0] * 13], [3, 2, *[1] * 13]) == pytest.approx((6 + 0.5 * 4) / 10)


# The transform of the outcomes.


def test_the_randomised_transform_of_true_distributions_is_uniform_and_shows_wrong_ones():
    rng = np.random.default_rng(14)
    mean = rng.gamma(1, 1, 5000)
    y = rng.poisson(mean)
    distance = {k: m.ks_from_uniform(m.pit(*stats.poisson.cdf([y - 1, y], k * mean), rng)) for k in (0.5, 1.0)}
    # 1.95 / sqrt(n) is exceeded once in a thousand.
    assert distance[1.0] < 1.95 / math.sqrt(5000) < distance[0.5]


def test_the_distance_from_uniform_is_that_of_scipy_and_takes_weights():
    values = np.random.default_rng(15).beta(2, 3, 200)
    assert m.ks_from_uniform(values) == pytest.approx(stats.kstest(values, "uniform").statistic, rel=1e-12)
    weights = np.random.default_rng(16).integers(0, 3, 200)
    assert m.ks_from_uniform(values, weights) == pytest.approx(m.ks_from_uniform(np.repeat(values, weights)))
    assert m.ks_from_uniform([1.0]) == 1
    assert math.isnan(m.ks_from_uniform([]))


# Several predictions beside each other.


def test_compare_gives_a_row_per_outcome_and_model_and_matches_customers_by_id():
    holdout = pd.DataFrame({"transactions": [0, 2], "revenue": [0.0, 30.0]}, index=["a", "b"])
    table = pd.DataFrame({"expected_transactions": [3.0, 1.0], "expected_revenue": [30.0, 15.0]}, index=["b", "a"])
    found = m.compare({"one": table, "two": table * 2}, holdout)
    assert found.index.tolist() == [(outcome, model) for outcome in holdout for model in ("one", "two")]
    assert found.loc[("transactions", "one")].to_dict() == pytest.approx(
        {
            "actual": 2,
            "predicted": 4,
            "bias": 1,
            "mae": 1,
            "rmse": 1,
            "spearman": 1,
            "top_decile": 0.2,
        }
    )
    assert found.loc[("revenue", "two"), "bias"] == pytest.approx(2)


def test_bgnbd_on_cdnow_misses_as_much_as_in_an_r_package(cdnow_split, cdnow_fit):
    # CLVTools 0.12.1, clv__cdnow_0930__bgnbd of the reference file: total 1653.409, MAE 0.785454, RMSE 1.607982.
    table = cdnow_fit.predict(horizon="39 weeks")
    found = m.compare({"BGNBD": table}, cdnow_split.holdout[["transactions"]]).loc[("transactions", "BGNBD")]
    assert found["actual"] == 1882
    assert found["predicted"] == pytest.approx(1653.409, abs=0.01)  # two optimisers agree to six digits
    assert found["mae"] == pytest.approx(0.785454, abs=2e-6)
    assert found["rmse"] == pytest.approx(1.607982, abs=2e-6)


def test_compare_refuses_a_prediction_that_lacks_customers():
    holdout = pd.DataFrame({"transactions": [0, 2]}, index=["a", "b"])
    table = pd.DataFrame({"expected_transactions": [3.0]}, index=["b"])
    with pytest.raises(DataError, match=r"^one does not predict 1 customer: a$"):
        m.compare({"one": table}, holdout)
