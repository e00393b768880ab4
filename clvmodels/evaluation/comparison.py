"""Comparison: paired differences between models, and a verdict in words that may be no."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from clvmodels.draws import blocks, generator
from clvmodels.errors import DataError, counted
from clvmodels.evaluation.metrics import (
    CRPS,
    Brier,
    Gini,
    LogLoss,
    Metric,
    PoissonDeviance,
    SquaredError,
    TweedieDeviance,
)
from clvmodels.evaluation.scored import Scored
from clvmodels.evaluation.windows import apart
from clvmodels.product_limit import censoring_weights

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SAME = "not distinguishable"
WINDOWS = 8  # so many that do not overlap, and the spread over them tells how sure the level is
_RESAMPLES = 500
_NOISE = 0.005  # of a score: on CDNOW those of one model with other seeds and 1,000 draws differ by up to 0.4 %
_DECIDING = {
    "transactions": (SquaredError(), PoissonDeviance(), CRPS(), Gini()),
    "revenue": (SquaredError(), TweedieDeviance(), CRPS(), Gini()),
    "retained": (Brier(), LogLoss(), Gini()),
}
_WHAT = (
    "Judged by {interval:.0%} intervals of the differences, simultaneous over all models, targets and metrics, from\n"
    "bootstrap samples of the customers, each at all cutoffs together. They cover which customers were sampled, not\n"
    "shocks of the market that hit all of them. A difference below {noise:.1%} is never told from the noise of draws."
)
_NO_LEVEL = (
    "The total, in per cent too much or too little, has no interval where fewer than {enough} windows do not overlap\n"
    "(here {windows}): they tell too little of how the market moves. Of several cutoffs its range is shown."
)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Each model against a baseline, on the customers known at the cutoffs.

    Attributes
    ----------
    baseline : str
    table : DataFrame
        One row per horizon, target, model and metric: `value`, `baseline_value`, their `difference`, the `lower` and
        `upper` end of its interval, whether "lower" or "higher" is `better`, and the `verdict` ("better", "worse",
        "not distinguishable").
    level : DataFrame
        One row per horizon, target and model: `bias`, the relative error of the total over all cutoffs; its `lowest`
        and `highest` over the `cutoffs`; `apart`, how many windows do not overlap; and, if these are 8 or more, the
        `lower` and `upper` end of its interval.
    interval : float
    verdict : str
        All of it in words.
    """

    baseline: str
    table: pd.DataFrame
    level: pd.DataFrame
    interval: float
    verdict: str

    def plot(self, ax: Axes | None = None) -> Axes:
        """Forest plot of the differences."""
        from clvmodels.plots.evaluation import differences

        return differences(self.table, baseline=self.baseline, ax=ax)

    def __repr__(self) -> str:
        return self.verdict


def compared(
    scores: Sequence[Scored], baseline: str, interval: float, seed: int, models: Sequence[str] = ()
) -> Comparison:
    """Compare models by the scores of the same customers at the same cutoffs.

    The difference of two models is that of each customer, and customers are drawn with replacement, each with all that
    belongs to them at all cutoffs. The intervals reach as many standard errors to either side as hold the largest of
    all differences at once (max-t). Of contracts that were lost sight of, those who were seen stand for the others.

    Parameters
    ----------
    scores : list of Scored
        Of the customers known at the cutoffs.
    baseline : str
    interval : float
        Coverage of all intervals together.
    seed : int
    models : list of str
        All that were asked for, so that those which failed everywhere are told.
    """
    ids = pd.Index(np.unique(np.concatenate([score.frame.index.astype(str) for score in scores])))
    rows: list[dict[str, Any]] = []
    statistics: list[Statistic] = []
    levels, notes = [], []
    for horizon, target in dict.fromkeys((score.horizon, score.target) for score in scores):
        by_model: dict[str, dict[pd.Timestamp, Scored]] = {}
        for score in scores:
            if (score.horizon, score.target) == (horizon, target):
                by_model.setdefault(score.model, {})[score.cutoff] = score
        key = {"horizon": horizon, "target": target}
        base = by_model.get(baseline, {})
        for model, at in by_model.items():
            levels.append({**key, "model": model, **_level(list(at.values()), interval)})
            pairs = [(at[cutoff], base[cutoff]) for cutoff in at if cutoff in base]
            pairs = [pair for pair in pairs if _both_known(*pair).any()]
            places = [ids.get_indexer(one.frame.index.astype(str)) for one, _ in pairs]
            for metric in _DECIDING[target] if pairs else ():
                try:
                    statistic = _statistic(metric, pairs, places, len(ids))
                except DataError as problem:
                    notes.append(f"{target}, {horizon} ahead, {model}: {problem}; left out.")
                    continue
                if statistic is not None:
                    rows.append({**key, "model": model, "metric": metric.name, "better": metric.better})
                    statistics.append(statistic)
        notes += _unknown(by_model)
    notes += [f"{model} failed at every cutoff." for model in models if model not in {score.model for score in scores}]
    table = pd.DataFrame(rows, columns=["horizon", "target", "model", "metric", "better"])
    values = np.array([statistic(np.ones((1, len(ids))))[0] for statistic in statistics]).reshape(-1, 2)
    table["value"], table["baseline_value"] = values.T
    with np.errstate(invalid="ignore"):
        table["difference"] = table["value"] - table["baseline_value"]
    table["lower"] = table["upper"] = 0.0
    others = (table["model"] != baseline).to_numpy()
    rivals = [statistic for statistic, other in zip(statistics, others, strict=True) if other]
    ends = _simultaneous(table.loc[others, "difference"].to_numpy(), rivals, len(ids), interval, seed)
    table.loc[others, "lower"], table.loc[others, "upper"] = ends
    table["verdict"] = [_word(row) for row in table.itertuples()]
    table, level = table[["horizon", "target", "model", *_COLUMNS]], pd.DataFrame(levels)
    verdict = _verdict(baseline, table, level, interval, scores, notes)
    return Comparison(baseline, table[others].reset_index(drop=True), level, interval, verdict)


_COLUMNS = ("metric", "value", "baseline_value", "difference", "lower", "upper", "better", "verdict")
# How often each customer is drawn, (R, C) -> what a metric says of both models, (R, 2).
Statistic = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def _statistic(
    metric: Metric, pairs: list[tuple[Scored, Scored]], places: list[NDArray], customers: int
) -> Statistic | None:
    """A metric of two models at the cutoffs at which both predicted, if both have it; `places` are the customers'."""
    if isinstance(metric, Gini):
        return _ranked(metric, pairs, places)
    scores = [(one.scores(metric), other.scores(metric)) for one, other in pairs]
    if any(score is None for pair in scores for score in pair):
        return None
    both = np.stack([np.concatenate([np.asarray(pair[i], float) for pair in scores]) for i in (0, 1)])
    known = ~np.isnan(both).any(axis=0)
    weight = np.concatenate([_weights(one) for one, _ in pairs])[known]
    place = np.concatenate(places)[known]
    columns = [weight * both[0, known], weight * both[1, known], weight]
    sums = np.stack([np.bincount(place, column, customers) for column in columns], axis=1)

    def averaged(resample: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore"):  # an infinite score of a customer who is not drawn
            total = resample @ sums
            means = total[:, :2] / total[:, 2:]
        return np.sqrt(means) if isinstance(metric, SquaredError) else np.asarray(means)

    return averaged


def _ranked(metric: Gini, pairs: list[tuple[Scored, Scored]], places: list[NDArray]) -> Statistic:
    """The mean over cutoffs."""
    fed = []
    for pair, place in zip(pairs, places, strict=True):
        known = _both_known(*pair)
        actual, *means = (column.to_numpy()[known] for column in _columns(*pair))
        fed.append((place[known], _weights(pair[0])[known], actual, means))

    def ranked(resample: NDArray[np.float64]) -> NDArray[np.float64]:
        each = [
            [metric.value(resample[:, place] * weight, actual, mean) for mean in means]
            for place, weight, actual, means in fed
        ]
        return np.asarray(np.mean(each, axis=0).T)

    return ranked


def _columns(one: Scored, other: Scored) -> tuple[pd.Series, pd.Series, pd.Series]:
    """What happened, and what both models said."""
    return one.frame["actual"], one.frame["mean"], other.frame["mean"]


def _both_known(one: Scored, other: Scored) -> NDArray[np.bool_]:
    """The customers of whom it is known what happened, and both models said something."""
    return ~np.isnan(np.stack([column.to_numpy() for column in _columns(one, other)])).any(axis=0)


def _weights(score: Scored) -> NDArray[np.float64]:
    """How many customers each stands for: one, but of contracts that were lost sight of the others stand for them."""
    frame = score.frame
    if "event" not in frame.columns or not frame["actual"].isna().any():
        return np.ones(len(frame))
    weights = censoring_weights(frame["time"], frame["event"], at=float(frame["time"].max()))
    return np.where(frame["actual"].isna(), 0.0, np.nan_to_num(weights))


def _simultaneous(
    difference: NDArray, statistics: list[Statistic], customers: int, interval: float, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Ends of intervals that hold all differences together; an infinite one is what it is, whoever is drawn."""
    lower, upper = difference.copy(), difference.copy()
    if not statistics:
        return lower, upper
    rng, parts = generator(seed, "bootstrap"), []
    for part in blocks(np.full(_RESAMPLES, customers)):
        drawn = rng.integers(customers, size=(part.stop - part.start, customers))
        resample = np.stack([np.bincount(row, minlength=customers) for row in drawn]).astype(float)
        with np.errstate(invalid="ignore"):
            parts.append(np.stack([np.subtract(*statistic(resample).T) for statistic in statistics], axis=1))
    resampled = np.concatenate(parts)
    with np.errstate(invalid="ignore"):
        error = resampled.std(axis=0)
    known = np.isfinite(difference)
    lower[known & np.isnan(error)], upper[known & np.isnan(error)] = -np.inf, np.inf  # some resamples do not tell it
    free = known & np.isfinite(error) & (error > 0)
    if free.any():
        away = np.abs(resampled[:, free] - difference[free]) / error[free]
        reach = float(np.quantile(away.max(axis=1), interval)) * error[free]
        lower[free], upper[free] = difference[free] - reach, difference[free] + reach
    return lower, upper


def _word(row: Any) -> str:
    """The verdict on one difference, which may be what two fits of one model differ by: draws, the end of a search."""
    largest = max(abs(row.value), abs(row.baseline_value))
    noise = math.isfinite(largest) and abs(row.difference) <= _NOISE * largest
    if noise or row.value == row.baseline_value or not (row.upper < 0 or row.lower > 0):
        return SAME
    return "better" if (row.upper < 0) == (row.better == "lower") else "worse"


def _unknown(by_model: dict[str, dict[pd.Timestamp, Scored]]) -> list[str]:
    """What is said of customers of whom it is not known what they did."""
    for score in (score for at in by_model.values() for score in at.values()):
        if missing := int(score.frame["actual"].isna().sum()):
            whom = f"{missing:,} of {counted(len(score.frame), 'customer')} of {score.cutoff:%Y-%m-%d}"
            stand = "those who were seen stand for them, by the inverse of the chance to be seen"
            return [f"{score.target}, {score.horizon} ahead: what {whom} did is not known; {stand}."]
    return []


def _level(scores: list[Scored], interval: float) -> dict[str, float]:
    """Relative error of the total over all cutoffs, and how it differs between them."""
    totals = []
    for score in scores:
        said = score.frame["mean"].notna().to_numpy()
        happened = _weights(score) * np.nan_to_num(score.frame["actual"].to_numpy())
        totals.append([happened[said].sum(), score.frame["mean"].sum()])
    actual, predicted = np.array(totals).T
    with np.errstate(divide="ignore", invalid="ignore"):
        bias, each = predicted.sum() / actual.sum() - 1, predicted / actual - 1
        residuals = (predicted - (1 + bias) * actual) / actual.mean()
    number = apart(
        [score.cutoff for score in scores], [score.cutoff + pd.Timedelta(days=score.days) for score in scores]
    )
    found = {"bias": bias, "lowest": each.min(), "highest": each.max(), "cutoffs": len(each), "apart": number}
    found["predictions"] = sum(int(score.frame["mean"].notna().sum()) for score in scores)
    reach = math.nan
    if number >= WINDOWS:  # of a ratio of two sums over the windows
        reach = stats.t.ppf((1 + interval) / 2, number - 1) * residuals.std(ddof=1) / math.sqrt(number)
    return found | {"lower": bias - reach, "upper": bias + reach}


def _verdict(
    baseline: str,
    table: pd.DataFrame,
    level: pd.DataFrame,
    interval: float,
    scores: Sequence[Scored],
    notes: list[str],
) -> str:
    """The comparison in words."""
    cutoffs = sorted({score.cutoff for score in scores})
    customers = len(set().union(*(score.frame.index for score in scores)))
    days = f"{cutoffs[0]:%Y-%m-%d}" + (f" to {cutoffs[-1]:%Y-%m-%d}" if len(cutoffs) > 1 else "")
    lines = [f"Against {baseline}: {counted(customers, 'customer')}, {counted(len(cutoffs), 'cutoff')} ({days})"]
    for (horizon, target), levels in level.groupby(["horizon", "target"], sort=False):
        some = table[(table["horizon"] == horizon) & (table["target"] == target)]
        whole = next((row for _, row in levels.iterrows() if row["model"] == baseline), None)
        rows, words, partly = {}, [], []
        for _, row in levels.iterrows():
            theirs = some[some["model"] == row["model"]].set_index("metric")
            told = {name: f"{value:.4g}" for name, value in theirs["value"].items()}
            rows[row["model"]] = {"total": _level_told(row), **told}
            words.append("" if row["model"] == baseline else overall(theirs["verdict"]))
            if whole is not None and row["predictions"] < whole["predictions"]:
                words[-1] += " *"
                beside = ", ".join(f"{name} {value:.4g}" for name, value in theirs["baseline_value"].items())
                cutoffs_of, number_of = int(whole["cutoffs"]), int(whole["predictions"])
                partly.append(
                    f"* {row['model']}: {row['cutoffs']} of {counted(cutoffs_of, 'cutoff')}, {row['predictions']:,} of "
                    f"{counted(number_of, 'prediction')}; there {baseline} has {beside}."
                )
        width = max(map(len, words))
        frame = pd.DataFrame.from_dict(rows, orient="index").fillna("-")
        frame[""] = [word.ljust(width) for word in words]
        lines += ["", f"{target}, {horizon} ahead", *map(str.rstrip, frame.to_string().splitlines()), *partly]
    lines += ["", *notes]
    if (table["model"] != baseline).any():
        lines.append(_WHAT.format(interval=interval, noise=_NOISE))
    if few := sorted(set(level.loc[level["apart"] < WINDOWS, "apart"])):
        lines.append(_NO_LEVEL.format(windows=" and ".join(f"{number:,}" for number in few), enough=WINDOWS))
    if level["lower"].notna().any():
        lines.append(f"In brackets stands the {interval:.0%} interval of a total, over the windows.")
    return "\n".join(lines)


def _level_told(row: pd.Series) -> str:
    """The relative error of the total; of several cutoffs with its interval or its range."""
    told = _percent(row["bias"])
    if not math.isnan(row["lower"]):
        return f"{told} [{_percent(row['lower'])}, {_percent(row['upper'])}]"
    return told if row["cutoffs"] == 1 else f"{told} ({_percent(row['lowest'])} to {_percent(row['highest'])})"


def _percent(share: float) -> str:
    return f"{round(100 * share):+d}%" if math.isfinite(share) else "-"


def overall(verdicts: pd.Series) -> str:
    """The verdicts of all metrics, by their names, in words.

    >>> overall(pd.Series({"rmse": "better", "gini": "not distinguishable"}))
    'better in rmse, else not distinguishable'
    """
    by_word = {word: [str(name) for name in verdicts.index[verdicts == word]] for word in ("better", "worse", SAME)}
    said = {word: names for word, names in by_word.items() if names}
    if len(said) <= 1:
        return next(iter(said), "")
    decided = [f"{word} in {', '.join(names)}" for word, names in said.items() if word != SAME]
    return "; ".join(decided) + (f", else {SAME}" if SAME in said else "")
