import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn import metrics as sklearn_metrics

from clvmodels.errors import DataError
from clvmodels.evaluation import metrics

PREDICTED, ACTUAL = np.random.default_rng(5).poisson(3, (2, 400)).astype(float)


def test_metrics_are_what_a_reader_computes_by_hand():
    predicted, actual = [0.5, 1.5, 4.0], [0, 2, 2]
    assert metrics.bias(predicted, actual) == pytest.approx(6 / 4 - 1)
    assert metrics.mean_absolute_error(predicted, actual) == pytest.approx(3 / 3)
    assert metrics.root_mean_squared_error(predicted, actual) == pytest.approx(math.sqrt(4.5 / 3))


def test_metrics_equal_those_of_scipy_and_scikit_learn():
    assert metrics.spearman(PREDICTED, ACTUAL) == pytest.approx(stats.spearmanr(PREDICTED, ACTUAL).statistic)
    assert metrics.mean_absolute_error(PREDICTED, ACTUAL) == pytest.approx(
        sklearn_metrics.mean_absolute_error(ACTUAL, PREDICTED)
    )
    assert metrics.root_mean_squared_error(PREDICTED, ACTUAL) == pytest.approx(
        sklearn_metrics.root_mean_squared_error(ACTUAL, PREDICTED)
    )


def test_a_constant_prediction_has_no_rank_correlation():
    assert math.isnan(metrics.spearman(np.full(400, 0.1), ACTUAL))


def test_a_total_of_zero_has_no_relative_error_and_no_share():
    assert math.isnan(metrics.bias([1, 2], [0, 0]))
    assert math.isnan(metrics.top_decile_share([1, 2], [0, 0]))


def test_the_top_decile_of_a_constant_prediction_holds_a_tenth():
    assert metrics.top_decile_share(np.full(400, 0.1), ACTUAL) == pytest.approx(0.1)


def test_ties_at_the_border_of_the_top_decile_count_as_the_mean_over_random_orders():
    rng = np.random.default_rng(7)
    shares = []
    for _ in range(4000):
        order = rng.permutation(400)
        first = order[np.argsort(-PREDICTED[order], kind="stable")][:40]
        shares.append(ACTUAL[first].sum() / ACTUAL.sum())
    error = np.std(shares) / math.sqrt(len(shares))
    assert metrics.top_decile_share(PREDICTED, ACTUAL) == pytest.approx(np.mean(shares), abs=4 * error)


def test_a_tenth_that_is_not_whole_counts_its_last_customer_in_part():
    assert metrics.top_decile_share([3, 2, *[1] * 13], [6, 4, *[0] * 13]) == pytest.approx((6 + 0.5 * 4) / 10)


def test_compare_gives_a_row_per_outcome_and_model_and_matches_customers_by_id():
    holdout = pd.DataFrame({"transactions": [0, 2], "revenue": [0.0, 30.0]}, index=["a", "b"])
    table = pd.DataFrame({"expected_transactions": [3.0, 1.0], "expected_revenue": [30.0, 15.0]}, index=["b", "a"])
    found = metrics.compare({"one": table, "two": table * 2}, holdout)
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


def test_compare_refuses_a_prediction_that_lacks_customers():
    holdout = pd.DataFrame({"transactions": [0, 2]}, index=["a", "b"])
    table = pd.DataFrame({"expected_transactions": [3.0]}, index=["b"])
    with pytest.raises(DataError, match=r"^one does not predict 1 customer: a$"):
        metrics.compare({"one": table}, holdout)
