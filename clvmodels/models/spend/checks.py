"""What predictive checks look at in spend: the mean transactions of the customers who have some."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels.models.predictive import Statistics, written

if TYPE_CHECKING:
    from clvmodels.models.spend.base import SpendFit

_CLASSES = 10  # equally many customers in each


def spend(fit: SpendFit) -> Statistics:
    """Customers by mean transaction that the model counts, between round numbers near the data's own deciles."""
    _, m_x = fit.training_columns()
    quantiles = np.quantile(m_x, np.linspace(0, 1, _CLASSES + 1)[1:-1])
    borders = np.unique([float(f"{quantile:.3g}") for quantile in quantiles])

    def classes(m_x: NDArray, rng: np.random.Generator | None = None) -> NDArray:
        return np.bincount(np.searchsorted(borders, m_x), minlength=len(borders) + 1)

    labels = [*(f"to {border}" for border in written(borders)), "more"]
    transaction = fit.model.transaction
    index = pd.Index(labels, name=f"value of the mean {transaction}")
    return Statistics(f"Mean {transaction}", index, classes(m_x).astype(float), classes)


def summary(fit: SpendFit) -> Statistics:
    """Of the customers' mean transactions: mean, standard deviation, deciles and median, the largest."""
    _, m_x = fit.training_columns()
    labels = ["mean_spend", "sd_spend", "lower_decile_spend", "median_spend", "upper_decile_spend", "max_spend"]

    def numbers(m_x: NDArray, rng: np.random.Generator | None = None) -> NDArray:
        return np.array([m_x.mean(), m_x.std(), *np.quantile(m_x, [0.1, 0.5, 0.9]), m_x.max()])

    return Statistics("Spend", pd.Index(labels, name="statistic"), numbers(m_x), numbers)
