"""Scored: what one model said at a cutoff of each customer, beside what the customer did.

The predictive distribution is met once, in blocks of customers, and leaves a few numbers for each: memory does not grow
with draws x customers.
"""

from __future__ import annotations

import functools
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
from clvmodels.draws import generator, summarise
from clvmodels.errors import DataError, DataWarning, FitError, counted, examples
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
    ks_from_uniform,
    pit,
)
from clvmodels.evaluation.said import blocks_of, check_draws, interval, numbers, places
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
_ROUNDING = 1e-12  # a standard error below this share of the largest value is that of a constant
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
        `crps`, `log_score` (of counts), `below` = P(Y < y), `upto` = P(Y <= y) and `pit`, a place drawn between them;
        `probability` of a purchase, or of staying; and what was known: `frequency`, `recency`, or of contracts
        `tenure`, `time` and `event`.
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

    @functools.cached_property
    def metrics(self) -> pd.DataFrame:
        """All metrics: `segment` ("all", or a value), `metric`, `value` and `se`, its standard error over customers.

        Made when the model is scored, so that what cannot be said is told with the model's other warnings.
        """
        told: set[str] = set()
        with np.errstate(all="ignore"):  # what is infinite or not defined is so in the table
            rows = [
                {"segment": ALL if segment is None else segment, **row}
                for segment in (None, *self.totals.index[:-1])
                for row in self._rows(segment, told)
            ]
        return pd.DataFrame(rows, columns=["segment", "metric", "value", "se"])

    def _rows(self, segment: str | None, told: set[str]) -> Iterator[dict[str, Any]]:
        """The metrics of a segment; `told` are those of which it was said that they are left out."""
        chosen = np.ones(len(self.frame), bool) if segment is None else (self.frame["segment"] == segment).to_numpy()
        for name, value in self.totals.loc[ALL if segment is None else segment].items():
            yield {"metric": _TOTAL_NAMES[str(name)], "value": value, "se": math.nan}
        for metric in (*metrics_for(self.coverage), *self._of_censored()):
            try:
                found = self._measured(metric, chosen)
            except DataError as problem:
                if metric.name not in told:
                    told.add(metric.name)
                    warnings.warn(f"{self.target}: {problem}; left out", DataWarning, stacklevel=2)
                continue
            if found is not None:
                yield {"metric": metric.name, "value": found[0], "se": found[1]}
            if found is not None and metric.name in _RELATIVE:
                yield from self._relative(metric, found[0], chosen)
        if self.has_distribution:
            # Of those alone whose outcome is known and who are spoken of, as the coverage beside it.
            known = self.frame[chosen].dropna(subset=["actual", "implied", "pit"])
            if len(known):
                yield {"metric": "implied_coverage", "value": float(known["implied"].mean()), "se": math.nan}
                yield {"metric": "pit_distance", "value": ks_from_uniform(known["pit"]), "se": math.nan}

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
            error = math.nan
            if len(some) > 1 and np.isfinite(mean):
                error = _rounded(some.std(ddof=1) / math.sqrt(len(some)), some)
            if isinstance(metric, SquaredError):
                root = math.sqrt(mean)
                return root, error / (2 * root) if root else error
            return float(mean), error
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
    return _rounded(np.sqrt((_JACKKNIFE - 1) * left_out.var()), left_out)


def _rounded(error: float, values: NDArray) -> float:
    """A standard error of the values, 0 where they differ by rounding alone."""
    return 0.0 if error <= _ROUNDING * np.abs(values).max() else float(error)


def scored(model: str, fit: Any, window: Window, coverage: float, seed: int) -> Iterator[Scored]:
    """What a fit says of the customers of a window, and of those acquired within it, beside what happened.

    The fit may be of any class. `predict(data, *, horizon)` gets what it was fitted to and the horizon as a
    ``pd.Timedelta``, and `interval` and `seed` if it takes them; it gives a DataFrame, indexed by the customers' ids,
    with `expected_transactions`, `expected_revenue` or `p_retained`. Rows may be in any order, and there may be more.
    Of contracts those of ``data.active`` are asked for.

    `outcome_draws(data, *, horizon)`, if the fit has it, and with `seed` if it takes one, gives blocks: which rows of
    that table, as a slice or their positions, and draws by outcome, (S, B), a column for each of these rows. S is the
    same in all blocks, and draw s the same world; each row is in one block.

    Raises
    ------
    DataError
        If what it says is not possible, or of other customers: see `clvmodels.evaluation.said`.
    """
    if not hasattr(fit, "predict"):
        raise DataError(f"fit() of {model} must return what has predict(); it is a {type(fit).__name__}")
    split, drawn = window.split, hasattr(fit, "outcome_draws")
    # The draws tell the intervals, too: they need not be asked for.
    asked = accepted(fit.predict, interval=None if drawn else coverage, seed=seed)
    table = fit.predict(split.calibration, horizon=window.length, **asked)
    whose = "data.active" if isinstance(split.calibration, Durations) else "data"
    place = places(model, table, split.holdout.index, whose)
    frames = _joined(model, table.iloc[place], window)
    index, members = members_of(window.segments, len(place))
    sums: dict[str, NDArray] = {}
    if drawn:
        try:
            sums = _meet(model, fit, window, coverage, seed, frames, place, table.index, members)
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
        yield _with_metrics(
            Scored(model, split.cutoff, window.horizon, split.horizon_days, KNOWN, name, coverage, frame, totals)
        )
    try:
        fresh = [_with_metrics(score) for score in _new_customers(model, fit, window, coverage)]
    except Exception as problem:  # whatever it is, the customers who were known are scored
        said = f"{type(problem).__name__}: {problem}"
        warnings.warn(f"customers acquired within the horizon are not predicted: {said}", DataWarning, stacklevel=2)
        return
    yield from fresh


def _with_metrics(score: Scored) -> Scored:
    """The same, its metrics made: what they warn of is heard here."""
    _ = score.metrics
    return score


def _joined(model: str, table: pd.DataFrame, window: Window) -> dict[str, pd.DataFrame]:
    """What was said of each customer beside what happened, by target; the table in the order of the holdout."""
    holdout, segments = window.split.holdout, window.segments
    targets = [name for name in TARGETS if name in holdout.columns and MEAN_OF[name] in table.columns]
    if not targets:
        raise DataError(f"{model} predicts nothing of what happened: {examples(MEAN_OF[name] for name in TARGETS)}")
    known = _known(window)
    labels = np.array(segments.labels, object)
    known["segment"] = labels[segments.codes] if len(labels) else ALL
    found = {}
    for name in targets:
        mean = numbers(model, table, MEAN_OF[name], *_bounds(name, window))
        frame = known.assign(actual=holdout[name].to_numpy(float), mean=mean)
        if "restricted" in table.columns and name != "retained":
            if table["restricted"].dtype.kind != "b":
                raise DataError(f"{model}: restricted must be bool; its dtype is {table['restricted'].dtype}")
            # Money that is counted up to the longest tenure of which the fit speaks is no prediction.
            frame["mean"] = frame["mean"].mask(table["restricted"].to_numpy(bool))
        if name == "retained":
            frame["probability"] = frame["mean"]
        else:
            frame = frame.assign(**interval(model, table, name))
            if (median := f"{name}_median") in table.columns:
                frame["median"] = numbers(model, table, median)
        if name == "transactions" and "p_purchase" in table.columns:
            frame["probability"] = numbers(model, table, "p_purchase", 0, 1)
        if window.past is not None and MEAN_OF[name] in window.past.columns:
            frame["past"] = window.past[MEAN_OF[name]].to_numpy()
        found[name] = frame
    return found


def _bounds(target: str, window: Window) -> tuple[float, float]:
    """Between which numbers a mean must lie; money may be below 0 where refunds were kept, and some of it was."""
    if target == "retained":
        return 0.0, 1.0
    seen = [window.split.holdout.get(target), window.customers.table.get(f"historic_{target}")]
    return (-math.inf if any(column is not None and (column < 0).any() for column in seen) else 0.0), math.inf


def accepted(function: Any, **options: Any) -> dict[str, Any]:
    """Those of the options that are not None and that the function takes."""
    takes = inspect.signature(function).parameters
    return {name: value for name, value in options.items() if value is not None and name in takes}


def _known(window: Window) -> pd.DataFrame:
    """What was known of the customers at the cutoff, by which they are grouped later."""
    table, holdout = window.customers.table, window.split.holdout
    if not isinstance(window.customers, Durations):
        return table[["frequency", "recency", "T"]].set_axis(holdout.index)
    tenure = "duration" if "duration" in table.columns else "renewals"
    found = pd.DataFrame({"tenure": table[tenure].to_numpy(float)}, holdout.index)
    return found.assign(time=holdout["observed"], event=(holdout["retained"] == 0).astype(float))


def _meet(
    model: str,
    fit: Any,
    window: Window,
    coverage: float,
    seed: int,
    frames: dict[str, pd.DataFrame],
    place: NDArray[np.intp],
    customers: pd.Index,
    members: sparse.csc_array,
) -> dict[str, NDArray]:
    """Meet the predictive distribution: numbers for each customer into `frames`, draws of the totals by segment.

    `place` says which row of the table, whose index are the `customers`, each customer has.
    """
    back = np.full(len(customers), -1)
    back[place] = np.arange(len(place))
    said = {name: frame["mean"].notna().to_numpy() for name, frame in frames.items()}
    kept: dict[str, dict[str, NDArray]] = {name: {} for name in frames}
    sums: dict[str, NDArray] = {}

    def put(name: str, column: str, rows: NDArray, values: NDArray) -> None:
        kept[name].setdefault(column, np.full(len(place), np.nan))[rows] = values

    asked = accepted(fit.outcome_draws, seed=seed)
    drawn = fit.outcome_draws(window.split.calibration, horizon=window.length, **asked)
    for part, outcomes in blocks_of(model, drawn, customers):
        for name, frame in frames.items():
            if name not in outcomes:
                continue
            # Whose mean is not said, of him nothing is; and others than those of the holdout are not asked for.
            chosen = back[part] >= 0
            chosen[chosen] = said[name][back[part][chosen]]
            rows = back[part][chosen]
            if not len(rows):
                continue
            each = outcomes[name] if chosen.all() else outcomes[name][:, chosen]
            draws = each if name == "retained" else np.sort(each, axis=0)
            check_draws(model, name, draws, frame.index[rows])
            if name not in sums:
                sums[name] = np.zeros((members.shape[0], len(draws)))
            sums[name] += members[:, rows] @ each.T
            if name == "retained":
                continue
            y = frame["actual"].to_numpy()[rows]
            lower, upper = summarise(draws, coverage)
            put(name, "median", rows, draws[(len(draws) - 1) // 2])
            put(name, "lower", rows, lower)
            put(name, "upper", rows, upper)
            put(name, "implied", rows, ((draws >= lower) & (draws <= upper)).mean(axis=0))
            put(name, "below", rows, np.where(np.isnan(y), np.nan, (draws < y).mean(axis=0)))
            put(name, "upto", rows, np.where(np.isnan(y), np.nan, (draws <= y).mean(axis=0)))
            put(name, "crps", rows, CRPS().score(y, draws))
            if name == "transactions":
                put(name, "log_score", rows, LogScore().score(y, draws))
    for name, columns in kept.items():
        frames[name] = frames[name].assign(**columns)
        if columns:
            known = ~np.isnan(columns["upto"])
            rng = generator(seed, "pit", f"{window.split.cutoff:%Y-%m-%d}")
            places_drawn = np.full(len(known), np.nan)
            places_drawn[known] = pit(columns["below"][known], columns["upto"][known], rng)
            frames[name]["pit"] = places_drawn
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
    table = pd.concat([fit.new_customer(horizon=pd.Timedelta(days=int(days))).iloc[:1] for days in lengths])
    table.index = pd.Index([f"new {days} days before the end" for days in lengths])
    for name in ["retained"] if contracts else ["transactions", "revenue"]:
        if name not in fresh.columns or MEAN_OF[name] not in table.columns:
            continue
        means = numbers(model, table, MEAN_OF[name], *_bounds(name, window))
        smooth = not contracts and len(lengths) > 2  # the means of renewals have steps
        mean = interpolate.PchipInterpolator(lengths, means)(left) if smooth else np.interp(left, lengths, means)
        frame = pd.DataFrame({"segment": ALL, "actual": fresh[name].to_numpy(float), "mean": mean}, index=fresh.index)
        if name == "retained":
            frame["probability"] = frame["mean"]
        known = frame.dropna()
        totals = pd.DataFrame({"actual": known["actual"].sum(), "predicted": known["mean"].sum()}, index=[ALL])
        yield Scored(model, split.cutoff, window.horizon, split.horizon_days, NEW, name, coverage, frame, totals)
