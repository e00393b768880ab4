"""RegressionCLV: gradient boosting on what is known of each customer, learnt from an earlier window of the same log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clvmodels import schema
from clvmodels.data.summary import Summary
from clvmodels.draws import check_interval
from clvmodels.errors import DataError, counted
from clvmodels.evaluation.comparators import checked_log, checked_shop, finite_days, last_period, plain_table
from clvmodels.models.base import Specification, summary_or_training
from clvmodels.models.fit import Origin
from clvmodels.time import Horizon, unit_days

FEWEST = 100  # customers of the earlier window: two leaves
_LEAF = FEWEST // 2
# Many small trees without early stopping, which would set customers aside at random: chosen on the four logs of
# benchmarks/evaluation.py, where larger trees and scikit-learn's defaults do worse on nearly every one.
_SETTINGS: dict[str, Any] = {
    "learning_rate": 0.05,
    "max_iter": 100,
    "max_leaf_nodes": 8,
    "min_samples_leaf": _LEAF,
    "early_stopping": False,
    "random_state": 0,  # only where more than 200,000 customers are binned by some of them
}
_THREADS = (
    1  # small trees: more threads wait for each other longer than they work, a hundred times where cores are busy
)
_CATEGORIES = 200  # of an attribute; scikit-learn takes 255 at most
_DATES = {"date", "datetime", "datetime64"}
_NUMBERS = {"integer", "floating", "mixed-integer-float", "decimal", "boolean"} | _DATES


@dataclass(frozen=True)
class Window:
    """What a regression learns from.

    Parameters
    ----------
    cut : Timestamp
        The features are what was known at the end of this day, the outcomes what came until the end of observation.
    features, outcomes : DataFrame
        One row per customer known on that day.
    categories : dict
        Of the attributes that are categories, those that are told apart.
    """

    cut: pd.Timestamp
    features: pd.DataFrame
    outcomes: pd.DataFrame
    categories: Mapping[str, list[Any]]


@dataclass(frozen=True, eq=False)
class RegressionCLVFit:
    """A fitted `RegressionCLV`.

    Each horizon has regressions of its own, trained when it is first asked about, on the log of the training data.

    Attributes
    ----------
    model : RegressionCLV
    origin : Origin
        What is known of the training data.
    data : Summary
        The training data, with their log.
    """

    model: RegressionCLV
    origin: Origin
    data: Summary
    _windows: dict[int, Window] = field(default_factory=dict, init=False, repr=False)
    _regressions: dict[tuple[int, str, float | None], Any] = field(default_factory=dict, init=False, repr=False)

    def window(self, days: int) -> Window:
        """What the regressions of a horizon of so many days learn from.

        Raises
        ------
        DataError
            If the log is too short for an earlier window, or too few customers were known when it began, or none of
            them bought in it.
        """
        if days not in self._windows:
            self._windows[days] = self._window(days)
        return self._windows[days]

    def _window(self, days: int) -> Window:
        cut, split = last_period(self.model, self.data, days)
        learns = (
            f"{self.model} learns from what the customers known on {cut:%Y-%m-%d} did in the {counted(days, 'day')} "
            "after it"
        )
        known = 0 if split is None else len(split.calibration)
        if split is None or known < FEWEST:
            raise DataError(
                f"{learns}, and there are {known:,}; it needs {FEWEST}: shorten the horizon, or give a longer log"
            )
        outcomes = split.holdout
        if not outcomes["transactions"].any():
            raise DataError(f"{learns}, and none of the {known:,} bought anything; give a longer horizon")
        if "revenue" in outcomes and (negative := int((outcomes["revenue"] < 0).sum())):
            whom = counted(negative, "customer")
            raise DataError(f"{learns}, and {whom} spent less than nothing; read the log with refunds='net'")
        categories = _categories(split.calibration)
        features = _features(split.calibration, split.calibration.attributes, categories).dropna(axis=1, how="all")
        # Sums are rounded in the order of the rows, which must not be that of the customers' names.
        order = np.lexsort([column for frame in (outcomes, features) for _, column in frame.items()])
        return Window(cut, features.iloc[order], outcomes.iloc[order], categories)

    def _predicted(self, features: pd.DataFrame, days: int, target: str, level: float | None) -> NDArray[np.float64]:
        """Mean of an outcome, or its quantile."""
        key = days, target, level
        window = self.window(days)
        actual = window.outcomes[target].to_numpy(float)
        scale = actual.mean()  # so that the unit of money does not matter
        if not scale > 0:
            return np.zeros(len(features))
        from threadpoolctl import threadpool_limits

        with threadpool_limits(_THREADS, user_api="openmp"):
            if key not in self._regressions:
                from sklearn.ensemble import HistGradientBoostingRegressor

                loss = {"loss": "poisson"} if level is None else {"loss": "quantile", "quantile": level}
                texts = [name in window.categories for name in window.features]
                regression = HistGradientBoostingRegressor(**loss, **_SETTINGS, categorical_features=texts)
                self._regressions[key] = regression.fit(window.features, actual / scale)
            return np.asarray(self._regressions[key].predict(features) * scale)

    def predict(
        self, data: Summary | None = None, *, horizon: Horizon | None, interval: float | None = None
    ) -> pd.DataFrame:
        """What each customer will buy, by what those who looked alike bought in the last period of that length.

        Parameters
        ----------
        data : Summary, optional
            Customers with the columns and attributes of the training data, which they are if not given.
        horizon : str, number, date or timedelta
            As for every model, but it must end.
        interval : float, optional
            Adds the ends of central intervals, and the medians, each by a quantile regression of its own. Where these
            cross for a customer, they are put in order; they are never below 0, and of transactions whole.

        Returns
        -------
        DataFrame, one row per customer
            `expected_transactions` and, where the summary knows revenue, `expected_revenue`, `historic_revenue` and
            `clv`; with ``interval=`` `transactions_lower`, `transactions_median`, `transactions_upper` and those of
            revenue; the attributes of the summary.

        Raises
        ------
        DataError
            As `window`, and if the customers lack what the regressions learnt from.
        """
        check_interval(interval)
        data = summary_or_training(data, self.data)
        days = finite_days(self.model, data, horizon)
        window = self.window(days)
        attributes = [name for name in window.features if name not in schema.SUMMARY]
        features = _features(data, attributes, window.categories)
        if missing := [name for name in window.features if name not in features]:
            raise DataError(f"the customers lack what the regression learnt from: {', '.join(map(str, missing))}")
        features = features[list(window.features)]
        targets = [name for name in ("transactions", "revenue") if name in window.outcomes]
        columns = {f"expected_{name}": self._predicted(features, days, name, None) for name in targets}
        whom = f"{counted(len(window.features), 'customer')} known on {window.cut:%Y-%m-%d}"
        notes = [f"learnt from what {whom} did in the {counted(days, 'day')} after it"]
        if interval:
            levels = ((1 - interval) / 2, 0.5, (1 + interval) / 2)
            for name in targets:
                ends = np.sort([self._predicted(features, days, name, level) for level in levels], axis=0)
                ends = np.maximum(np.round(ends) if name == "transactions" else ends, 0)
                columns |= {f"{name}_{end}": ends[i] for i, end in enumerate(("lower", "median", "upper"))}
            notes.append("intervals: quantile regressions, in order where they cross")
        return plain_table(self.model, data, horizon, days, columns, notes)

    def __repr__(self) -> str:
        return f"{self.model!r} for {counted(self.origin.customers, 'customer')}, trained for each horizon"


class RegressionCLV(Specification):
    """Gradient boosting on recency, frequency and value: what customers who looked alike did in an earlier window.

    For a horizon of h days it looks at the log as it was h days before the end of observation: what was known of each
    customer then are the features, what followed until the end of observation are the outcomes. What came later is not
    in the log of a summary, so nothing leaks. The features are those of the summary, relative to the time watched,
    because everybody has been watched for longer at the end than at the cut, and trees do not extrapolate: transactions
    and revenue per day, the share of that time from first to last transaction, days since the last one, mean value of
    the repeat transactions, value of the first, and the attributes.

    It assumes that the next period is like the last: it learns a season that does not return, and misses one that it
    has not seen. Needs a log of more than the horizon, with 100 customers before it.

    Means are of Poisson loss, for transactions and revenue: both are 0 for most and never below, and it is consistent
    for the mean of anything that is not negative. (Squared error gives some customers a negative revenue, gamma loss
    does not take the zeros.) Ends of intervals and medians are of quantile loss.

    References
    ----------
    Friedman (2001), Annals of Statistics 29(5); scikit-learn's `HistGradientBoostingRegressor`. Putting crossing
    quantiles in order never makes them worse: Chernozhukov, Fernandez-Val & Galichon (2010), Econometrica 78(3).
    """

    results = RegressionCLVFit

    def fit(self, data: Summary) -> RegressionCLVFit:
        """Keep the customers and their log; regressions are trained when the horizon is known.

        Raises
        ------
        DataError
            If the data are no summary, or one without the log that it was made from.
        """
        data = checked_shop(data, str(self))
        checked_log(self, data)
        return RegressionCLVFit(self, Origin.of(data), data)

    def __repr__(self) -> str:
        return "RegressionCLV()"


def _features(data: Summary, attributes: Any, categories: Mapping[str, list[Any]]) -> pd.DataFrame:
    """What is known of each customer, in days; missing where nothing was watched yet."""
    table = data.table
    days = (table[["recency", "T"]] * unit_days(data.unit)).round()
    amounts = {
        "frequency": table["frequency"],
        "recency": days["recency"],
        "historic_revenue": table.get("historic_revenue"),
    }
    watched = days["T"].where(days["T"] > 0)
    features = {name: column / watched for name, column in amounts.items() if column is not None}
    others = table.columns.intersection(["days_since_last", "monetary_value", "first_value"])
    features |= {name: table[name].astype(float) for name in others}
    for name in attributes:
        column = data.attribute(name)
        if name in categories:
            places = pd.Index(categories[name], dtype=object).get_indexer(column.astype(object))
            features[name] = pd.Series(places, table.index).where(places >= 0).astype(float)
        else:
            features[name] = _numbers(column)
    return pd.DataFrame(features)


def _categories(data: Summary) -> dict[str, list[Any]]:
    """The most frequent values of the attributes that are text; the others are taken as missing."""
    texts = {name: data.attribute(name) for name in data.attributes if not _is_number(data.attribute(name))}
    frequent = {name: column.value_counts().sort_index().nlargest(_CATEGORIES) for name, column in texts.items()}
    return {name: sorted(counts[counts > 0].index) for name, counts in frequent.items()}


def _is_number(column: pd.Series) -> bool:
    return not isinstance(column.dtype, pd.CategoricalDtype) and pd.api.types.infer_dtype(column) in _NUMBERS


def _numbers(column: pd.Series) -> pd.Series:
    """Numbers as they are, dates as days."""
    if pd.api.types.infer_dtype(column) in _DATES:
        return (pd.to_datetime(column) - pd.Timestamp("1970-01-01")) / pd.Timedelta(days=1)
    return pd.Series(pd.to_numeric(column).to_numpy(float, na_value=np.nan), column.index)
