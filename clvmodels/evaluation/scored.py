"""Scored: what one model said at a cutoff of each customer, beside what the customer did.

The predictive distribution is met once, in blocks of customers, and leaves a few numbers for each: memory does not grow
with draws x customers.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import interpolate, sparse

from clvmodels.data.customers import ALL
from clvmodels.data.durations import Durations
from clvmodels.data.summary import Summary
from clvmodels.draws import summarise
from clvmodels.errors import DataError, DataWarning, FitError, counted, examples
from clvmodels.evaluation.comparators import RepeatLastPeriod
from clvmodels.evaluation.metrics import (
    CRPS,
    METRICS,
    Average,
    CensoredBrier,
    Concordance,
    IntervalScore,
    LogScore,
    Metric,
    SquaredError,
)
from clvmodels.evaluation.windows import Window
from clvmodels.models.forecast import MEAN_OF, members_of

TARGETS = ("transactions", "retained", "revenue")
KNOWN, NEW = "known", "new"

# What a metric is fed, by the functional that it scores.
_FED = {
    "mean": ("mean",),
    "median": ("median",),
    "interval": ("lower", "upper"),
    "probability": ("probability",),
    "total": ("mean",),
    "ranking": ("mean",),
}
# Errors that are told relative to predicting zero, to repeating the last period, and to the actual mean for everybody.
_RELATIVE = ("mae", "mae_median", "rmse", "poisson_deviance", "tweedie_deviance")
_JACKKNIFE = 20  # groups of customers left out in turn, for the standard error of what is no average
# New customers of a shop, and of contracts, are predicted for so many lengths of time, and between them interpolated.
_HORIZONS = {False: 16, True: 60}


@dataclass(frozen=True, eq=False)
class Scored:
    """One target of one model at one cutoff, over one horizon.

    Parameters
    ----------
    model : str
    cutoff : Timestamp
    horizon : str
    days : int
        Length of the horizon.
    customers : {"known", "new"}
        Those of the cutoff, or those acquired within the horizon.
    target : {"transactions", "retained", "revenue"}
    coverage : float
        What the intervals promise to hold.
    frame : DataFrame
        One row per customer: `segment`, `actual`, `mean`; from a table with intervals or medians `lower`, `upper`,
        `median`; from a predictive distribution also `implied` (the coverage that the model itself gives the interval),
        `crps`, `log_score` (of counts), `below` = P(Y < y), `upto` = P(Y <= y); `probability` of a purchase, or of
        staying; and what was known: `frequency`, `recency`, or of contracts `tenure`, `time` and `event`.
    totals : DataFrame
        One row per segment and one for all: `actual`, `predicted`, and from a distribution `lower`, `upper`, `upto`.
    """

    model: str
    cutoff: pd.Timestamp
    horizon: str
    days: int
    customers: str
    target: str
    coverage: float
    frame: pd.DataFrame
    totals: pd.DataFrame

    @property
    def has_distribution(self) -> bool:
        """Whether the model gave a predictive distribution."""
        return "crps" in self.frame.columns

    def columns(self, metric: Metric) -> list[NDArray] | None:
        """What the metric is fed, actual first; None where the model does not say it."""
        if self.target not in metric.targets:
            return None
        frame = self.frame
        if isinstance(metric, (Concordance, CensoredBrier)):
            if "event" not in frame.columns:
                return None
            stays = frame["mean"].to_numpy()
            seen = [frame["time"].to_numpy(), frame["event"].to_numpy()]
            return [*seen, -stays if isinstance(metric, Concordance) else stays]
        if metric.functional == "distribution":
            return None  # scored draw by draw, and kept
        names = _FED[metric.functional]
        if any(name not in frame.columns for name in names):
            return None
        actual = frame["actual"].to_numpy()
        if metric.functional == "probability" and self.target == "transactions":
            actual = (actual > 0).astype(float)
        return [actual, *(frame[name].to_numpy() for name in names)]

    def scores(self, metric: Metric) -> NDArray[np.float64] | None:
        """The metric's score of each customer, (N,), if it has one; NaN where prediction or outcome is not known."""
        if metric.functional == "distribution":
            return self.frame[metric.name].to_numpy() if metric.name in self.frame.columns else None
        fed = self.columns(metric)
        if fed is None or not isinstance(metric, Average):
            return None
        known = ~np.isnan(np.stack(fed)).any(axis=0)
        found = np.full(len(known), np.nan)
        found[known] = metric.score(*(column[known] for column in fed))
        return found

    def rows(self, segment: str | None) -> Iterator[dict[str, Any]]:
        """The rows of the tidy table: metric, value, standard error."""
        chosen = np.ones(len(self.frame), bool) if segment is None else (self.frame["segment"] == segment).to_numpy()
        for name, value in self.totals.loc[ALL if segment is None else segment].items():
            yield {"metric": _TOTAL_NAMES[str(name)], "value": value, "se": math.nan}
        for metric in (*metrics_for(self.coverage), *self._of_censored()):
            try:
                found = self._measured(metric, chosen)
            except DataError as problem:
                warnings.warn(f"{self.target}: {problem}; left out", DataWarning, stacklevel=2)
                continue
            if found is not None:
                yield {"metric": metric.name, "value": found[0], "se": found[1]}
            if found is not None and metric.name in _RELATIVE:
                yield from self._relative(metric, found[0], chosen)
        if "implied" in self.frame.columns:
            implied = self.frame.loc[chosen, "implied"]  # its mean leaves out who is not spoken of
            yield {"metric": "implied_coverage", "value": implied.mean(), "se": math.nan}

    def _of_censored(self) -> Iterator[Metric]:
        """What speaks of all, where sight of some was lost before the end; who is seen longest is seen until then."""
        if self.target == "retained" and "event" in self.frame.columns and self.frame["actual"].isna().any():
            yield CensoredBrier(at=float(self.frame["time"].max()))

    def _relative(self, metric: Metric, value: float, chosen: NDArray[np.bool_]) -> Iterator[dict[str, Any]]:
        """The error over that of simple predictions; 0 where theirs is infinite."""
        frame = self.frame[chosen].dropna(subset=["actual", "mean"])
        actual = frame["actual"].to_numpy()
        simple = {"zero": np.zeros(len(actual)), "constant": np.full(len(actual), actual.mean())}
        if "past" in frame.columns:
            simple["past"] = frame["past"].to_numpy()
        for name, prediction in simple.items():
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio = np.divide(value, metric(actual, prediction))
            yield {"metric": f"{metric.name}_to_{name}", "value": float(ratio), "se": math.nan}

    def _measured(self, metric: Metric, chosen: NDArray[np.bool_]) -> tuple[float, float] | None:
        """The metric over the chosen customers and its standard error."""
        scores = self.scores(metric)
        if scores is not None:
            some = scores[chosen & ~np.isnan(scores)]
            if not len(some):
                return None
            mean = some.mean()
            error = some.std(ddof=1) / math.sqrt(len(some)) if len(some) > 1 and np.isfinite(mean) else math.nan
            if isinstance(metric, SquaredError):
                root = math.sqrt(mean)
                return root, error / (2 * root) if root else math.nan
            return float(mean), float(error)
        fed = self.columns(metric)
        if fed is None:
            return None
        known = chosen & ~np.isnan(np.stack(fed)).any(axis=0)
        arrays = [column[known] for column in fed]
        return metric(*arrays), standard_error(metric, arrays)


_TOTAL_NAMES = {
    "actual": "actual_total",
    "predicted": "predicted_total",
    "lower": "predicted_total_lower",
    "upper": "predicted_total_upper",
    "upto": "predicted_total_upto_actual",
}


def metrics_for(coverage: float) -> tuple[Metric, ...]:
    """All metrics, those of intervals for what these promise to hold."""
    return tuple(IntervalScore(coverage) if isinstance(metric, IntervalScore) else metric for metric in METRICS)


def standard_error(metric: Metric, arrays: list[NDArray]) -> float:
    """Standard error over customers by the jackknife: each of 20 groups of customers is left out in turn.

    Shao & Wu (1989), A general theory for jackknife variance estimation, Annals of Statistics 17(3).
    """
    number = len(arrays[0])
    if number < 2 * _JACKKNIFE:
        return math.nan
    group = np.random.default_rng(0).permutation(np.arange(number) % _JACKKNIFE)
    left_out = np.array([metric(*(column[group != g] for column in arrays)) for g in range(_JACKKNIFE)])
    return float(np.sqrt((_JACKKNIFE - 1) * left_out.var()))


def scored(model: str, fit: Any, window: Window, coverage: float, seed: int) -> Iterator[Scored]:
    """What a fit says of the customers of a window, and of those acquired within it, beside what happened."""
    split, drawn = window.split, hasattr(fit, "outcome_draws")
    # The draws tell the intervals, too: they need not be asked for.
    asked = accepted(fit.predict, interval=None if drawn else coverage, seed=seed)
    table = fit.predict(split.calibration, horizon=window.length, **asked)
    place = _places(model, table, split.holdout)
    frames = _joined(model, table.iloc[place], window)
    index, members = members_of(window.segments, len(place))
    sums: dict[str, NDArray] = {}
    if drawn:
        try:
            sums = _meet(fit, window, coverage, seed, frames, place, len(table), members)
        except FitError as problem:
            warnings.warn(f"only the means are scored: {problem}", DataWarning, stacklevel=2)
    for name, frame in frames.items():
        unknown = frame[["actual", "mean"]].isna().any(axis=1).to_numpy()
        if unknown.any():
            warnings.warn(
                f"{name} is not known or not predicted for {counted(int(unknown.sum()), 'customer')}: "
                f"{examples(frame.index[unknown])}; they are left out of its metrics",
                DataWarning,
                stacklevel=2,
            )
        if unknown.all():
            continue
        both = np.where(unknown[:, None], 0.0, frame[["actual", "mean"]])
        totals = pd.DataFrame(members @ both, index=index, columns=["actual", "predicted"])
        if name in sums and not unknown.any():
            totals["lower"], totals["upper"] = summarise(sums[name].T, coverage)
            totals["upto"] = (sums[name] <= totals["actual"].to_numpy()[:, None]).mean(axis=1)
        yield Scored(model, split.cutoff, window.horizon, split.horizon_days, KNOWN, name, coverage, frame, totals)
    yield from _new_customers(model, fit, window, coverage)


def _joined(model: str, table: pd.DataFrame, window: Window) -> dict[str, pd.DataFrame]:
    """What was said of each customer beside what happened, by target; the table in the order of the holdout."""
    holdout, segments = window.split.holdout, window.segments
    targets = [name for name in TARGETS if name in holdout.columns and MEAN_OF[name] in table.columns]
    if not targets:
        raise DataError(f"{model} predicts nothing of what happened: {examples(MEAN_OF[name] for name in TARGETS)}")
    known, past = _known(window), _past(window)
    labels = np.array(segments.labels, object)
    known["segment"] = labels[segments.codes] if len(labels) else ALL
    found = {}
    for name in targets:
        frame = known.assign(actual=holdout[name].to_numpy(float), mean=table[MEAN_OF[name]].to_numpy(float))
        if "restricted" in table.columns and name != "retained":
            # Money that is counted up to the longest tenure of which the fit speaks is no prediction.
            frame["mean"] = frame["mean"].mask(table["restricted"].to_numpy())
        for column in ("median", "lower", "upper"):
            if name != "retained" and f"{name}_{column}" in table.columns:
                frame[column] = table[f"{name}_{column}"].to_numpy(float)
        if name == "transactions" and "p_purchase" in table.columns:
            frame["probability"] = table["p_purchase"].to_numpy(float)
        if name == "retained":
            frame["probability"] = frame["mean"]
        if name in past:
            frame["past"] = past[name]
        found[name] = frame
    return found


def accepted(function: Any, **options: Any) -> dict[str, Any]:
    """Those of the options that are not None and that the function takes."""
    takes = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if value is not None and name in takes}


def _places(model: str, table: pd.DataFrame, holdout: pd.DataFrame) -> NDArray[np.intp]:
    """Which row of the table speaks of each customer of the holdout."""
    if table.index.equals(holdout.index):
        return np.arange(len(table))
    if not table.index.is_unique or not holdout.index.is_unique:
        raise DataError(f"{model} must predict the customers of the holdout in their order, where ids occur twice")
    place = table.index.get_indexer(holdout.index)
    if (unknown := place < 0).any():
        whom = counted(int(unknown.sum()), "customer")
        raise DataError(f"{model} does not predict {whom}: {examples(holdout.index[unknown])}")
    return place


def _past(window: Window) -> dict[str, NDArray]:
    """What would happen again if the last period were repeated, by target; nothing, if the log is too short."""
    if not isinstance(window.customers, Summary):
        return {}
    with contextlib.suppress(DataError):
        repeated = RepeatLastPeriod().fit(window.customers).predict(horizon=window.length)
        return {name: repeated[MEAN_OF[name]].to_numpy() for name in TARGETS if MEAN_OF[name] in repeated.columns}
    return {}


def _known(window: Window) -> pd.DataFrame:
    """What was known of the customers at the cutoff, by which they are grouped later."""
    table, holdout = window.customers.table, window.split.holdout
    if not isinstance(window.customers, Durations):
        return table[["frequency", "recency", "T"]].set_axis(holdout.index)
    tenure = "duration" if "duration" in table.columns else "renewals"
    found = pd.DataFrame({"tenure": table[tenure].to_numpy(float)}, holdout.index)
    return found.assign(time=holdout["observed"], event=(holdout["retained"] == 0).astype(float))


def _meet(
    fit: Any,
    window: Window,
    coverage: float,
    seed: int,
    frames: dict[str, pd.DataFrame],
    place: NDArray[np.intp],
    number: int,
    members: sparse.csc_array,
) -> dict[str, NDArray]:
    """Meet the predictive distribution: numbers for each customer into `frames`, draws of the totals by segment.

    `place` says which of the `number` rows of the table each customer has.
    """
    back = np.full(number, -1)
    back[place] = np.arange(len(place))
    kept: dict[str, dict[str, NDArray]] = {name: {} for name in frames}
    sums: dict[str, NDArray] = {}

    def put(name: str, column: str, rows: NDArray, values: NDArray) -> None:
        kept[name].setdefault(column, np.full(len(place), np.nan))[rows] = values

    asked = accepted(fit.outcome_draws, seed=seed)
    for part, outcomes in fit.outcome_draws(window.split.calibration, horizon=window.length, **asked):
        rows = back[part]
        chosen = rows >= 0
        rows = rows[chosen]
        for name, frame in frames.items():
            if name not in outcomes:
                continue
            draws = np.asarray(outcomes[name])[:, chosen]
            if name not in sums:
                sums[name] = np.zeros((members.shape[0], len(draws)))
            sums[name] += members[:, rows] @ draws.T
            if name == "retained":
                continue
            draws = np.sort(draws, axis=0)
            y = frame["actual"].to_numpy()[rows]
            lower, upper = summarise(draws, coverage)
            put(name, "median", rows, draws[(len(draws) - 1) // 2])
            put(name, "lower", rows, lower)
            put(name, "upper", rows, upper)
            put(name, "implied", rows, ((draws >= lower) & (draws <= upper)).mean(axis=0))
            put(name, "below", rows, (draws < y).mean(axis=0))
            put(name, "upto", rows, (draws <= y).mean(axis=0))
            put(name, "crps", rows, CRPS().score(y, draws))
            if name == "transactions":
                put(name, "log_score", rows, LogScore().score(y, draws))
    for name, columns in kept.items():
        unsaid = frames[name]["mean"].isna().to_numpy()
        for column, values in columns.items():
            frames[name][column] = np.where(unsaid, np.nan, values)
    return sums


def _new_customers(model: str, fit: Any, window: Window, coverage: float) -> Iterator[Scored]:
    """Customers acquired within the horizon, from the day that each came; how many come is not predicted.

    Of a contract's price nothing is known before it begins, so of contracts only `retained` is scored.
    """
    split = window.split
    fresh = split.new_customers
    contracts = isinstance(window.customers, Durations)
    fit = getattr(fit, "survival", fit) if contracts else fit
    if not hasattr(fit, "new_customer") or fresh.empty:
        return
    left = np.maximum((split.holdout_end - fresh["start" if contracts else "first_date"]).dt.days.to_numpy(), 1)
    lengths = np.unique(left)
    most = _HORIZONS[contracts]
    if len(lengths) > most:
        lengths = np.unique(np.linspace(lengths[0], lengths[-1], most).round().astype(int))
    try:
        tables = [fit.new_customer(horizon=pd.Timedelta(days=int(days))).iloc[0] for days in lengths]
    except (ValueError, TypeError) as problem:
        warnings.warn(f"customers acquired within the horizon are not predicted: {problem}", DataWarning, stacklevel=2)
        return
    for name in ["retained"] if contracts else ["transactions", "revenue"]:
        if name not in fresh.columns or MEAN_OF[name] not in tables[0].index:
            continue
        means = np.array([row[MEAN_OF[name]] for row in tables], float)
        smooth = not contracts and len(lengths) > 2  # the means of renewals have steps
        mean = interpolate.PchipInterpolator(lengths, means)(left) if smooth else np.interp(left, lengths, means)
        frame = pd.DataFrame({"segment": ALL, "actual": fresh[name].to_numpy(float), "mean": mean}, index=fresh.index)
        if name == "retained":
            frame["probability"] = frame["mean"]
        known = frame.dropna()
        totals = pd.DataFrame({"actual": known["actual"].sum(), "predicted": known["mean"].sum()}, index=[ALL])
        yield Scored(model, split.cutoff, window.horizon, split.horizon_days, NEW, name, coverage, frame, totals)
