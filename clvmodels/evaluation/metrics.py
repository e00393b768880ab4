"""Metrics: what a prediction missed, over n customers with predictions p and outcomes y."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from clvmodels.errors import DataError, counted, examples
from clvmodels.models.forecast import MEAN_OF


def bias(predicted: ArrayLike, actual: ArrayLike) -> float:
    """Relative error of the total: sum(p) / sum(y) - 1; NaN where the actual total is 0.

    >>> bias([1, 2, 3], [1, 1, 2])
    0.5
    """
    expected, total = (float(np.asarray(values, float).sum()) for values in (predicted, actual))
    return expected / total - 1 if total else math.nan


def mean_absolute_error(predicted: ArrayLike, actual: ArrayLike) -> float:
    """Mean absolute error, sum(|p - y|) / n.

    The median minimises it, not the mean: where most outcomes are 0, a prediction of 0 for everybody may score best.

    >>> mean_absolute_error([1, 2, 3], [1, 1, 5])
    1.0
    """
    return float(np.abs(np.subtract(predicted, actual)).mean())


def root_mean_squared_error(predicted: ArrayLike, actual: ArrayLike) -> float:
    """Root of the mean squared error, sqrt(sum((p - y)^2) / n), which the mean minimises.

    >>> root_mean_squared_error([1, 2, 3, 4], [1, 2, 3, 0])
    2.0
    """
    return float(np.sqrt(np.square(np.subtract(predicted, actual)).mean()))


def spearman(predicted: ArrayLike, actual: ArrayLike) -> float:
    """Rank correlation: Pearson's correlation of the ranks, ties sharing their mean rank; NaN where either is constant.

    >>> round(spearman([1, 2, 3, 4], [10, 30, 20, 40]), 12)
    0.8
    """
    ranks = stats.rankdata(predicted), stats.rankdata(actual)
    return math.nan if min(np.ptp(rank) for rank in ranks) == 0 else float(np.corrcoef(*ranks)[0, 1])


def top_decile_share(predicted: ArrayLike, actual: ArrayLike) -> float:
    """Share of sum(y) held by the tenth of the customers predicted highest; NaN where the actual total is 0.

    Customers tied at the border, and a last one where n / 10 is not whole, count in part: the share is its mean over
    random orders of the tied. A constant prediction holds a tenth.

    >>> top_decile_share(range(20), [1] * 18 + [3, 9])
    0.4
    >>> top_decile_share([1] * 20, [1] * 18 + [3, 9])
    0.1
    """
    predicted, actual = np.asarray(predicted, float), np.asarray(actual, float)
    size = len(predicted) / 10
    border = np.sort(predicted)[-math.ceil(size)]
    above, tied = predicted > border, predicted == border
    held = actual[above].sum() + (size - above.sum()) / tied.sum() * actual[tied].sum()
    return float(held / actual.sum()) if actual.any() else math.nan


def compare(predictions: Mapping[str, pd.DataFrame], holdout: pd.DataFrame) -> pd.DataFrame:
    """All metrics of several predictions of one holdout.

    Parameters
    ----------
    predictions : mapping of str to DataFrame
        Tables with the means of what the holdout has: `expected_transactions`, `p_retained`, `expected_lifetime`,
        `expected_revenue`; by the model's name.
    holdout : DataFrame
        `transactions` and `revenue` of the same customers, as `Split.holdout`; of contracts `retained`, `lifetime` and
        `revenue`.

    Returns
    -------
    DataFrame
        One row per outcome and model: totals `actual` and `predicted`, `bias`, `mae`, `rmse`, `spearman`,
        `top_decile`.

    Raises
    ------
    DataError
        If a customer of the holdout was not predicted.
    """
    rows = {}
    for outcome in holdout.columns.intersection(list(MEAN_OF)):
        for name, table in predictions.items():
            unknown = holdout.index.difference(table.index)
            if len(unknown):
                raise DataError(f"{name} does not predict {counted(len(unknown), 'customer')}: {examples(unknown)}")
            actual, predicted = holdout[outcome], table.loc[holdout.index, MEAN_OF[outcome]]
            rows[outcome, name] = {
                "actual": actual.sum(),
                "predicted": predicted.sum(),
                "bias": bias(predicted, actual),
                "mae": mean_absolute_error(predicted, actual),
                "rmse": root_mean_squared_error(predicted, actual),
                "spearman": spearman(predicted, actual),
                "top_decile": top_decile_share(predicted, actual),
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["outcome", "model"])
