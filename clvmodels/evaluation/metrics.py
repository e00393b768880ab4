"""Metrics: what a prediction missed, over N customers. Each says what of the future it scores, and is fed that.

A metric is minimised by one functional of the distribution of the outcome: absolute errors by the median, squared
errors by the mean. Where most outcomes are 0, a mean scored by an absolute error loses to 0, and is no worse for it.
Gneiting (2011), Making and evaluating point forecasts, JASA 106(494), doi:10.1198/jasa.2011.r10138.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import sparse, special

from clvmodels.draws import blocks, check_interval
from clvmodels.errors import DataError, counted, examples
from clvmodels.evaluation.concordance import concordance
from clvmodels.models.forecast import MEAN_OF
from clvmodels.product_limit import censoring_weights

Array = NDArray[np.float64]
Functional = Literal["mean", "median", "interval", "distribution", "probability", "total", "ranking"]
Better = Literal["lower", "higher", "zero", "nominal"]

MONEY_AND_COUNTS = ("transactions", "revenue")


class Metric(ABC):
    """One number for a prediction: `metric(actual, predicted, weights=None)`.

    Attributes
    ----------
    name : str
        Its name in tables.
    functional : str
        What it is fed: the mean, median, interval or distribution of each customer's outcome, the probability of an
        event, the means for their sum (total) or their order (ranking).
    better : str
        "lower", "higher", "zero" (smaller in absolute value), or "nominal" (nearer to what was promised).
    targets : tuple of str
        The outcomes it makes sense for.
    """

    functional: Functional
    better: Better = "lower"
    targets: tuple[str, ...] = MONEY_AND_COUNTS

    @property
    @abstractmethod
    def name(self) -> str: ...  # noqa: D102

    @abstractmethod
    def value(self, weights: Array, *args: Any) -> float:
        """The metric of arrays that were checked, all weights above 0."""

    def __call__(self, actual: ArrayLike, *prediction: ArrayLike, weights: ArrayLike | None = None) -> float:
        """The metric.

        Parameters
        ----------
        actual : array_like, (N,)
            What happened.
        *prediction : array_like, (N,) or (S, N)
            What was said of it, as `functional` tells.
        weights : array_like, (N,), optional
            How many customers a row stands for, as in a bootstrap: weight 2 is the row twice, weight 0 leaves it out.

        Returns
        -------
        float
            NaN where there is no customer, or where the metric is not defined, as a relative error of 0.

        Raises
        ------
        DataError
            If an outcome or a prediction is missing, or not possible.
        """
        arrays = [np.asarray(values, float) for values in (actual, *prediction)]
        if len({values.shape[-1] for values in arrays}) > 1:
            lengths = ", ".join(str(values.shape[-1]) for values in arrays)
            raise ValueError(f"{self.name} needs arrays of the same customers; got lengths {lengths}")
        missing = sum(np.isnan(values).any(axis=0) if values.ndim > 1 else np.isnan(values) for values in arrays)
        _refuse(self.name, np.asarray(missing), "an outcome and a prediction that are numbers")
        counts = np.ones(len(arrays[0]))
        if weights is not None:
            counts = np.asarray(weights, float)
            if counts.shape != arrays[0].shape or not (counts >= 0).all():
                raise ValueError(f"weights of {self.name} must be {len(arrays[0])} numbers, 0 or more")
            arrays, counts = [values[..., counts > 0] for values in arrays], counts[counts > 0]
        return float(self.value(counts, *arrays)) if len(counts) else math.nan


class Average(Metric):
    """A mean over customers of something that each has: `metric.score(actual, predicted)` gives these, (N,)."""

    @abstractmethod
    def score(self, *args: Any) -> Array:
        """The score of each customer, (N,)."""

    def value(self, weights: Array, *args: Any) -> float:
        """Mean of the scores."""
        return float(np.average(self.score(*args), weights=weights))


@dataclass(frozen=True)
class AbsoluteError(Average):
    """Mean absolute error, sum(|y - p|) / N, which the median minimises. As usual in the literature, also of the mean.

    Gneiting (2011), doi:10.1198/jasa.2011.r10138, table 1.

    Parameters
    ----------
    functional : {"median", "mean"}
        What it is fed.

    Examples
    --------
    Errors of 0, 1 and 2.

    >>> AbsoluteError("median")([1, 1, 5], [1, 2, 3])
    1.0
    """

    functional: Literal["median", "mean"] = "median"

    def __post_init__(self) -> None:
        if self.functional not in ("median", "mean"):
            raise ValueError(f"an absolute error is of the median or the mean; got {self.functional!r}")

    @property
    def name(self) -> str:
        """mae, or mae_median."""
        return "mae" if self.functional == "mean" else "mae_median"

    def score(self, actual: ArrayLike, predicted: ArrayLike) -> Array:
        """|y - p|, (N,)."""
        return np.abs(np.subtract(actual, predicted, dtype=float))


@dataclass(frozen=True)
class SquaredError(Average):
    """Root of the mean squared error, sqrt(sum((y - p)^2) / N), which the mean minimises; the scores are the squares.

    Gneiting (2011), doi:10.1198/jasa.2011.r10138, table 1.

    Examples
    --------
    Errors of 0, 0, 0 and 4: the root of 16 / 4.

    >>> SquaredError()([1, 2, 3, 0], [1, 2, 3, 4])
    2.0
    """

    functional = "mean"
    name = "rmse"

    def score(self, actual: ArrayLike, predicted: ArrayLike) -> Array:
        """(y - p)^2, (N,)."""
        return np.square(np.subtract(actual, predicted, dtype=float))

    def value(self, weights: Array, *args: Any) -> float:
        """Root of the mean."""
        return math.sqrt(super().value(weights, *args))


@dataclass(frozen=True)
class PoissonDeviance(Average):
    """Mean Poisson deviance, 2 (y log(y / p) - y + p), which the mean minimises; an error weighs less where p is large.

    Infinite where 0 was predicted and something happened; 0 where 0 was predicted and nothing did. McCullagh & Nelder
    (1989), Generalized Linear Models, 2.3; scikit-learn's `mean_poisson_deviance`.

    Examples
    --------
    2 (0 + 1) where nothing came, 2 (2 log 2 - 2 + 1) = 0.7726 where two came.

    >>> PoissonDeviance().score([0, 2], [1, 1]).round(4)
    array([2.    , 0.7726])
    """

    functional = "mean"
    name = "poisson_deviance"
    targets = ("transactions",)

    def score(self, actual: ArrayLike, predicted: ArrayLike) -> Array:
        """The deviance of each customer, (N,)."""
        y, p = _not_negative(self.name, actual, predicted)
        return np.asarray(2 * special.kl_div(y, p))


@dataclass(frozen=True)
class TweedieDeviance(Average):
    """Mean Tweedie deviance of a sum of purchases, a compound Poisson-gamma distribution, which the mean minimises.

    2 (y^(2-k) / ((1-k)(2-k)) - y p^(1-k) / (1-k) + p^(2-k) / (2-k)) with 1 < k < 2. Infinite where 0 was predicted and
    something was spent; not defined for a negative outcome. It carries money to the power 2 - k. Jorgensen (1997), The
    Theory of Dispersion Models, chapter 4; scikit-learn's `mean_tweedie_deviance`.

    Parameters
    ----------
    power : float
        The k.

    Examples
    --------
    At k = 1.5 it is 4 (sqrt(y) - sqrt(p))^2 / sqrt(p): 4 x 2 where nothing came of 4, 4 / 2 where 9 came of it.

    >>> TweedieDeviance().score([0, 9], [4, 4])
    array([8., 2.])
    """

    power: float = 1.5

    functional = "mean"
    name = "tweedie_deviance"
    targets = ("revenue",)

    def __post_init__(self) -> None:
        if not 1 < self.power < 2:
            raise ValueError(f"power must lie strictly between 1 and 2; got {self.power!r}")

    def score(self, actual: ArrayLike, predicted: ArrayLike) -> Array:
        """The deviance of each customer, (N,)."""
        y, p = _not_negative(self.name, actual, predicted)
        less_1, less_2 = 1 - self.power, 2 - self.power
        with np.errstate(divide="ignore"):
            cross = np.where(y > 0, y, 1.0) * p**less_1 / less_1
        return np.asarray(2 * (y**less_2 / (less_1 * less_2) - np.where(y > 0, cross, 0.0) + p**less_2 / less_2))


@dataclass(frozen=True)
class CRPS(Average):
    """Continuous ranked probability score of draws: E|X - y| - E|X - X'| / 2, the absolute error of a distribution.

    Only the true distribution minimises it; that of a single value is the absolute error. The fair estimate is used,
    sum |X_i - X_j| over S (S - 1) rather than S^2: without bias for the distribution that the draws come from, however
    many they are, so that models with more or fewer draws can be compared; of few draws it may be negative. Gneiting &
    Raftery (2007), JASA 102(477), doi:10.1198/016214506000001437, equation 21; Zamo & Naveau (2018), Mathematical
    Geosciences 50, doi:10.1007/s11004-017-9709-7.

    Examples
    --------
    Draws 0 and 2 miss 1 by 1 each, and differ by 2: 1 - 2 / 2. They miss 5 by 5 and 3: 4 - 2 / 2.

    >>> CRPS().score([1, 5], [[0, 0], [2, 2]])
    array([0., 3.])
    """

    functional = "distribution"
    name = "crps"

    def score(self, actual: ArrayLike, draws: ArrayLike) -> Array:
        """The score of each customer (N,), of draws (S, N); block by block, S log S for each."""
        y, x = np.asarray(actual, float), np.asarray(draws)
        size = len(x)
        if size < 2:
            raise DataError(f"crps needs at least two draws; got {size}. Score a single value by its absolute error")
        # The differences of all pairs are those of the sorted: the i-th is above i - 1 draws and below S - i.
        rank = (2 * np.arange(1, size + 1) - size - 1) / (size * (size - 1))
        found = np.empty(len(y))
        for part in blocks(np.full(len(y), size)):
            errors = np.sort(x[:, part] - y[part], axis=0)
            found[part] = np.abs(errors).mean(axis=0) - rank @ errors
        return found


@dataclass(frozen=True)
class LogScore(Average):
    """Logarithmic score of a count, -log of the share of draws equal to it, which the true distribution minimises.

    A count that was never drawn counts as half a draw, -log(1 / (2 S)): more draws tell it better. Good (1952), JRSS B
    14(1), doi:10.1111/j.2517-6161.1952.tb00104.x; Gneiting & Raftery (2007), doi:10.1198/016214506000001437.

    Examples
    --------
    One of four draws is 0, none is 5: log 4 and log 8.

    >>> LogScore().score([0, 5], [[0, 0], [1, 1], [1, 1], [2, 2]]).round(4)
    array([1.3863, 2.0794])
    """

    functional = "distribution"
    name = "log_score"
    targets = ("transactions",)

    def score(self, actual: ArrayLike, draws: ArrayLike) -> Array:
        """The score of each customer, (N,), of draws (S, N)."""
        equal = (np.asarray(draws) == np.asarray(actual)).sum(axis=0)
        return np.asarray(np.log(np.shape(draws)[0] / np.maximum(equal, 0.5)))


@dataclass(frozen=True)
class IntervalScore(Average):
    """Width of a central interval plus, where the outcome is outside, 2 / (1 - coverage) times how far.

    Only the true quantiles minimise it: a wide interval pays by its width, a narrow one by what it misses. Gneiting &
    Raftery (2007), doi:10.1198/016214506000001437, equation 43.

    Parameters
    ----------
    coverage : float
        The probability that the interval promises to hold.

    Examples
    --------
    A width of 4 that holds 3; and that misses 5 by 1, which costs 2 / 0.1.

    >>> IntervalScore(0.9).score([3, 5], [0, 0], [4, 4]).round(9)
    array([ 4., 24.])
    """

    coverage: float = 0.9

    functional = "interval"
    name = "interval_score"

    def __post_init__(self) -> None:
        check_interval(self.coverage)

    def score(self, actual: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> Array:
        """The score of each customer, (N,)."""
        y, low, high = (np.asarray(values, float) for values in (actual, lower, upper))
        outside = np.maximum(low - y, 0) + np.maximum(y - high, 0)
        return np.asarray(high - low + 2 / (1 - self.coverage) * outside)


@dataclass(frozen=True)
class Coverage(Average):
    """Share of the outcomes within their interval, the ends included.

    Of counts an interval holds more than it promises, because a count cannot be split: compare with what the model
    itself implies, and see that it holds in every group. Christoffersen (1998), International Economic Review 39(4),
    doi:10.2307/2527341.

    Examples
    --------
    >>> Coverage()([0, 4, 5, 1], [0, 0, 0, 2], [4, 4, 4, 3])
    0.5
    """

    functional = "interval"
    better = "nominal"
    name = "coverage"

    def score(self, actual: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> Array:
        """1 where the interval holds the outcome, else 0, (N,)."""
        return ((np.asarray(actual) >= lower) & (np.asarray(actual) <= upper)).astype(float)


@dataclass(frozen=True)
class Width(Average):
    """Mean width of the intervals: the narrower the better, among those that cover as promised.

    Gneiting, Balabdaoui & Raftery (2007), JRSS B 69(2), doi:10.1111/j.1467-9868.2007.00587.x: sharpness subject to
    calibration.

    Examples
    --------
    >>> Width()([9, 9], [0, 1], [4, 3])
    3.0
    """

    functional = "interval"
    name = "width"

    def score(self, actual: ArrayLike, lower: ArrayLike, upper: ArrayLike) -> Array:
        """Width of each interval, (N,)."""
        return np.subtract(upper, lower, dtype=float)


@dataclass(frozen=True)
class Brier(Average):
    """Mean squared error of a probability, (y - p)^2 with y = 1 where it happened, else 0.

    Of transactions, the event is a purchase within the horizon, and p is `p_purchase`. Brier (1950), Monthly Weather
    Review 78(1), doi:10.1175/1520-0493(1950)078<0001:VOFEIT>2.0.CO;2; scikit-learn's `brier_score_loss`.

    Examples
    --------
    >>> Brier().score([1, 0], [0.5, 0.1]).round(9)
    array([0.25, 0.01])
    """

    functional = "probability"
    name = "brier"
    targets = ("transactions", "retained")

    def score(self, actual: ArrayLike, predicted: ArrayLike) -> Array:
        """(y - p)^2, (N,)."""
        y, p = _event_and_probability(self.name, actual, predicted)
        return np.square(y - p)


@dataclass(frozen=True)
class LogLoss(Average):
    """Mean of -log of the probability that was given to what happened; infinite where that was 0.

    Of transactions, the event is a purchase within the horizon. Good (1952), doi:10.1111/j.2517-6161.1952.tb00104.x;
    scikit-learn's `log_loss`, which clips.

    Examples
    --------
    >>> LogLoss().score([1, 0], [0.5, 0.75]).round(4)
    array([0.6931, 1.3863])
    """

    functional = "probability"
    name = "log_loss"
    targets = ("transactions", "retained")

    def score(self, actual: ArrayLike, predicted: ArrayLike) -> Array:
        """-log p where it happened, -log(1 - p) where not, (N,)."""
        y, p = _event_and_probability(self.name, actual, predicted)
        with np.errstate(divide="ignore"):
            return -np.log(np.where(y > 0, p, 1 - p)) + 0.0


@dataclass(frozen=True)
class CensoredBrier(Metric):
    """Brier score of the probability to be still there at a time, where some customers were lost sight of before it.

    `metric(time, event, predicted)`: those of whom it is known count for those who were censored, by
    `clvmodels.product_limit.censoring_weights`; without censoring it is `Brier`. Graf, Schmoor, Sauerbrei & Schumacher
    (1999), Statistics in Medicine 18(17), doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5.

    Parameters
    ----------
    at : float
        The time that `predicted` speaks of, on the clock of `time`.

    Examples
    --------
    Left at 1, lost at 2, left at 3, stayed until 5, each predicted to be there at 4 with 0.5: of the two seen after 2
    each counts 1.5 times, so (1 + 1.5 + 1.5) / 4 x 0.25.

    >>> CensoredBrier(at=4)([1, 2, 3, 5], [1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5])
    0.25
    """

    at: float

    functional = "probability"
    name = "brier_censored"
    targets = ("retained",)

    def value(self, weights: Array, time: Array, event: Array, predicted: Array) -> float:
        """Mean over all customers, the censored included."""
        known = censoring_weights(time, event, self.at, weights)
        stayed, p = _event_and_probability(self.name, ~((event > 0) & (time <= self.at)), predicted)
        return float(np.average(known * np.square(stayed - p), weights=weights))


@dataclass(frozen=True)
class Bias(Metric):
    """Relative error of the total, sum(p) / sum(y) - 1; NaN where nothing happened at all.

    Wübben & von Wangenheim (2008), Journal of Marketing 72(3), compare models by it.

    Examples
    --------
    6 predicted, 4 came.

    >>> Bias()([1, 1, 2], [1, 2, 3])
    0.5
    """

    functional = "total"
    better = "zero"
    name = "bias"
    targets = ("transactions", "revenue", "retained")

    def value(self, weights: Array, actual: Array, predicted: Array) -> float:
        """Relative error of the total."""
        total = float(weights @ actual)
        return float(weights @ predicted) / total - 1 if total else math.nan


@dataclass(frozen=True)
class Gini(Metric):
    """Normalised Gini: that of the outcomes in the order of the prediction, over that in their own order.

    1 where the order is right, 0 where it is random; customers of equal prediction share their place, so that a
    constant has 0. Equal to cov(y, rank of p) / cov(y, rank of y); of outcomes of 0 and 1 to 2 AUC - 1. NaN where all
    outcomes are equal. Lerman & Yitzhaki (1984), Economics Letters 15, doi:10.1016/0165-1765(84)90126-5; Frees, Meyers
    & Cummings (2011), JASA 106(495), doi:10.1198/jasa.2011.tm10506.

    Examples
    --------
    Ranks -1, 0, 1 about their mean: by the prediction 0 x 0 + 0 x -1 + 3 x 1 of 3 at best; then 3 x 0, as it is second.

    >>> Gini()([0, 0, 3], [2, 1, 3]), Gini()([0, 0, 3], [3, 1, 2])
    (1.0, 0.0)
    """

    functional = "ranking"
    better = "higher"
    name = "gini"
    targets = ("transactions", "revenue", "retained")

    def value(self, weights: Array, actual: Array, predicted: Array) -> Any:
        """Ratio of the covariances with the ranks; of several sets of weights (..., N) that of each, (...)."""
        if np.ptp(actual) == 0:
            return np.full(weights.shape[:-1], math.nan)[()]
        if np.ptp(predicted) == 0:
            return np.zeros(weights.shape[:-1])[()]
        with np.errstate(invalid="ignore"):  # a resample of customers who are all alike has no order
            return _with_ranks(actual, predicted, weights) / _with_ranks(actual, actual, weights)


@dataclass(frozen=True)
class TopShare(Metric):
    """Share of the total outcome held by the customers predicted highest, that many of them; NaN where the total is 0.

    Customers tied at the border, and a last one where the number is not whole, count in part: the share is its mean
    over random orders of the tied. A constant prediction holds as much as its share of the customers. Malthouse &
    Blattberg (2005), Journal of Interactive Marketing 19(1), doi:10.1002/dir.20027, on the top 20 %.

    Parameters
    ----------
    share : float
        Of the customers.

    Examples
    --------
    The first two of twenty hold 3 and 9 of 30; of twenty tied, two hold a tenth.

    >>> TopShare(0.10)([1] * 18 + [3, 9], range(20)), TopShare(0.10)([1] * 18 + [3, 9], [1] * 20)
    (0.4, 0.1)
    """

    share: float = 0.10

    functional = "ranking"
    better = "higher"

    def __post_init__(self) -> None:
        if not 0 < self.share < 1:
            raise ValueError(f"share must lie strictly between 0 and 1, such as 0.1; got {self.share!r}")

    @property
    def name(self) -> str:
        """top_10 for a tenth."""
        return f"top_{100 * self.share:g}"

    def value(self, weights: Array, actual: Array, predicted: Array) -> float:
        """Height of the lift curve at the share."""
        return float(np.interp(self.share, *lift_curve(actual, predicted, weights)))


@dataclass(frozen=True)
class Spearman(Metric):
    """Rank correlation: Pearson's correlation of the ranks, ties sharing their mean rank; NaN where either is constant.

    Spearman (1904), American Journal of Psychology 15(1), doi:10.2307/1412159.

    Examples
    --------
    Ranks 1 3 2 4 against 1 2 3 4: 1 - 6 (1 + 1) / (4 x 15).

    >>> round(Spearman()([10, 30, 20, 40], [1, 2, 3, 4]), 12)
    0.8
    """

    functional = "ranking"
    better = "higher"
    name = "spearman"

    def value(self, weights: Array, actual: Array, predicted: Array) -> float:
        """Correlation of the ranks."""
        if np.ptp(actual) == 0 or np.ptp(predicted) == 0:
            return math.nan
        # The mean of mid-ranks is half the number of customers, ties or not.
        one, other = (_ranks(values, weights) - weights.sum() / 2 for values in (actual, predicted))
        return float(weights @ (one * other) / math.sqrt((weights @ one**2) * (weights @ other**2)))


@dataclass(frozen=True)
class Concordance(Metric):
    """Harrell's C: among pairs of customers of whom one is known to have left first, how often he had the higher risk.

    `metric(time, event, risk)`; 0.5 is the value of a random order, and of a constant. A probability to stay is a
    risk with its sign turned. See `clvmodels.evaluation.concordance.concordance`; lifelines' `concordance_index`, whose
    scores are higher for who stays longer.

    Examples
    --------
    Of who left at 1 all three pairs are right; of who left at 2 against who left at 3 right, against who stayed wrong.

    >>> Concordance()([1, 2, 3, 4], [1, 1, 1, 0], [0.9, 0.5, 0.2, 0.6])
    0.6666666666666666
    """

    functional = "ranking"
    better = "higher"
    name = "concordance"
    targets = ("retained",)

    def value(self, weights: Array, time: Array, event: Array, risk: Array) -> float:
        """Share of the comparable pairs."""
        return concordance(time, event, risk, weights)


# Of one number, interval or distribution per customer, in the order of tables; what needs a setting has the usual one.
METRICS: tuple[Metric, ...] = (
    AbsoluteError("median"),
    AbsoluteError("mean"),
    SquaredError(),
    PoissonDeviance(),
    TweedieDeviance(),
    CRPS(),
    LogScore(),
    IntervalScore(),
    Coverage(),
    Width(),
    Brier(),
    LogLoss(),
    Bias(),
    Gini(),
    TopShare(0.01),
    TopShare(0.05),
    TopShare(0.10),
    TopShare(0.20),
    Spearman(),
    Concordance(),
)


def lift_curve(actual: ArrayLike, predicted: ArrayLike, weights: ArrayLike | None = None) -> tuple[Array, Array]:
    """Share of the outcome held by a share of the customers, those predicted highest first: two arrays, from 0 to 1.

    There is a point after each group of equal predictions; on the line between, the tied count in part. NaN where the
    total is 0.

    >>> lift_curve([3, 1, 0, 0], [9, 5, 5, 1])
    (array([0.  , 0.25, 0.75, 1.  ]), array([0.  , 0.75, 1.  , 1.  ]))
    """
    outcome = np.asarray(actual, float)
    counts = np.ones(len(outcome)) if weights is None else np.asarray(weights, float)
    group = np.unique(-np.asarray(predicted, float), return_inverse=True)[1]
    customers = np.append(0.0, np.cumsum(np.bincount(group, counts)))
    held = np.append(0.0, np.cumsum(np.bincount(group, counts * outcome)))
    return customers / customers[-1], held / held[-1] if held[-1] else np.full(len(held), np.nan)


def pit(below: ArrayLike, upto: ArrayLike, rng: np.random.Generator) -> Array:
    """Randomised probability integral transform, (N,): uniform on (0, 1) if the outcomes come from the distributions.

    Of a count the distribution function jumps at the outcome, and a place within the jump is drawn. Smith (1985),
    Journal of Forecasting 4(3), doi:10.1002/for.3980040305; Czado, Gneiting & Held (2009), Biometrics 65(4),
    doi:10.1111/j.1541-0420.2009.01191.x.

    Parameters
    ----------
    below, upto : array_like, (N,)
        P(Y < y) and P(Y <= y) of the outcome y under the model.
    rng : numpy.random.Generator

    Examples
    --------
    >>> pit([0.2, 0.5], [0.2, 0.5], np.random.default_rng(1))
    array([0.2, 0.5])
    """
    low, high = np.asarray(below, float), np.asarray(upto, float)
    return np.asarray(low + rng.uniform(size=low.shape) * (high - low))


def ks_from_uniform(values: ArrayLike, weights: ArrayLike | None = None) -> float:
    """Kolmogorov's distance of values from the uniform distribution on (0, 1): the largest gap between the two curves.

    Kolmogorov (1933), Giornale dell'Istituto Italiano degli Attuari 4; `scipy.stats.kstest`.

    Examples
    --------
    The curve of the two is 0 just before 0.4.

    >>> ks_from_uniform([0.4, 0.8])
    0.4
    """
    distinct, place = np.unique(np.asarray(values, float), return_inverse=True)
    if not len(distinct):
        return math.nan
    count = np.bincount(place, None if weights is None else np.asarray(weights, float))
    upto = np.cumsum(count) / count.sum()
    return float(max(np.max(upto - distinct), np.max(distinct - upto + count / count.sum())))


def compare(predictions: Mapping[str, pd.DataFrame], holdout: pd.DataFrame) -> pd.DataFrame:
    """Totals and the usual metrics of several predictions of one holdout.

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
    shown = {
        "bias": Bias(),
        "mae": AbsoluteError("mean"),
        "rmse": SquaredError(),
        "spearman": Spearman(),
        "top_decile": TopShare(0.10),
    }
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
                **{column: metric(actual, predicted) for column, metric in shown.items()},
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(["outcome", "model"])


def _ranks(values: Array, weights: Array) -> Array:
    """Customers below each value plus half of those at it, (N,)."""
    _, place = np.unique(values, return_inverse=True)
    at = np.bincount(place, weights)
    return np.asarray((np.cumsum(at) - at / 2)[place])


def _with_ranks(values: Array, by: Array, weights: Array) -> Any:
    """Covariance, but for a factor, of values with the ranks of others, under weights (..., N)."""
    _, place = np.unique(by, return_inverse=True)
    members = sparse.csr_array((np.ones(len(place)), (np.arange(len(place)), place)))
    at, held = weights @ members, (weights * values) @ members
    mean = np.asarray(weights @ values / weights.sum(axis=-1))[..., None]
    return ((held - mean * at) * (np.cumsum(at, axis=-1) - at / 2)).sum(axis=-1)


def _not_negative(name: str, actual: ArrayLike, predicted: ArrayLike) -> tuple[Array, Array]:
    """Outcomes and predictions, refused below 0."""
    y, p = np.asarray(actual, float), np.asarray(predicted, float)
    _refuse(name, y < 0, "outcomes of 0 or more, as it is not defined below")
    _refuse(name, p < 0, "predictions of 0 or more")
    return y, p


def _event_and_probability(name: str, actual: ArrayLike, predicted: ArrayLike) -> tuple[Array, Array]:
    """Outcomes of 0 or 1, and probabilities."""
    y, p = np.asarray(actual, float), np.asarray(predicted, float)
    _refuse(name, (y != 0) & (y != 1), "outcomes of 0 or 1, such as transactions > 0")
    _refuse(name, (p < 0) | (p > 1), "probabilities between 0 and 1")
    return y, p


def _refuse(name: str, wrong: NDArray, rule: str) -> None:
    """One sentence, if anything is wrong: what is needed, and of how many customers it is not so."""
    number = int(np.count_nonzero(wrong))
    if number:
        raise DataError(f"{name} needs {rule}; {counted(number, 'customer')} break{'s' if number == 1 else ''} this")
